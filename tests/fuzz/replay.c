/* Runs a fuzz target over the files of a corpus, as TAP: `replay CORPUS_FOLDER`.
 *
 * For builds without libFuzzer. Address space is limited, so that an input which makes anybody reserve memory by its
 * word fails here; not under sanitizers, which reserve terabytes for their shadow.
 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <sys/resource.h>

#define ADDRESS_SPACE (256ul << 20)
#define MOST_BYTES    (1u << 20)

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define UNLIMITED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNLIMITED 1
#endif
#ifndef UNLIMITED
#define UNLIMITED 0
#endif

static int no_dots(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static bool replay(const char *folder, const char *name)
{
    char path[4096];
    int length = snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = length > 0 && (size_t)length < sizeof(path) ? fopen(path, "rbe") : NULL;
    if (!file)
        return false;
    static uint8_t bytes[MOST_BYTES];
    size_t size = fread(bytes, 1, sizeof(bytes), file);
    bool whole = !ferror(file) && feof(file);
    fclose(file);
    if (whole)
        LLVMFuzzerTestOneInput(bytes, size);
    return whole;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s CORPUS_FOLDER\n", argv[0]);
        return 2;
    }
    struct rlimit limit = {ADDRESS_SPACE, ADDRESS_SPACE};
    if (!UNLIMITED && setrlimit(RLIMIT_AS, &limit) != 0) {
        perror("Bail out! setrlimit");
        return 1;
    }
    struct dirent **entries;
    int count = scandir(argv[1], &entries, no_dots, alphasort);
    if (count <= 0) {
        printf("Bail out! no corpus in %s\n", argv[1]);
        return 1;
    }

    bool all = true;
    printf("1..%d\n", count);
    fflush(stdout); /* what a crash would swallow */
    for (int i = 0; i < count; i++) {
        bool good = replay(argv[1], entries[i]->d_name);
        printf("%s %d - %s\n", good ? "ok" : "not ok", i + 1, entries[i]->d_name);
        fflush(stdout);
        all = all && good;
        free(entries[i]);
    }
    free(entries);
    return all ? 0 : 1;
}
