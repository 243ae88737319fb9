/* Does the executable stand in front of functions of libc that are called before main()?
 *
 * Not beside the thread sanitizer: while that starts it calls some of them itself, when it bears no instrumented code
 * yet, and it stands in front of others. Fork handlers are not remembered then, and each task counts as one that
 * touched the process.
 */
#pragma once

#if defined(__SANITIZE_THREAD__)
#define INTERPOSES 0
#elif defined(__has_feature)
#define INTERPOSES (!__has_feature(thread_sanitizer))
#else
#define INTERPOSES 1
#endif
