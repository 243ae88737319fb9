/* <mpool/module.h> — write functions that mpoold's workers run.
 *
 *     #include <mpool/module.h>
 *
 *     static int square(mpool_task *task)
 *     {
 *         int64_t n;
 *         if (mpool_arg_i64(task, 0, &n) < 0)
 *             return -1;                        // the caller is told which argument was wrong, and how
 *         return mpool_reply_i64(task, n * n);
 *     }
 *
 *     MPOOL_MODULE("math", "1.0.0",
 *         MPOOL_FN("square", square, .flags = MPOOL_IDEMPOTENT, .summary = "n → n·n"))
 *
 *     cc -shared -fPIC -o math.so math.c        // links nothing
 *
 * A module is loaded once in its pool's forkserver process; workers are forked from it, warm. It is never unloaded.
 * Handlers of pthread_atfork() run around that fork. Threads do not come along: start them in MPOOL_WORKER_INIT.
 * What a function changes in its process (directory, umask, signal mask, timers, limits, environment, locale) is put
 * back when it has returned; a child process that it leaves running costs the worker. Set up what is to stay in the
 * hooks. A worker runs one function at a time, on its main thread. All calls below are for that thread, inside the
 * function (or the hook) that was handed the task, unless they say otherwise.
 *
 * ABI: this header and the host agree on MPOOL_ABI_MAJOR; a host with the same major and an equal or newer minor loads
 * the module unchanged. Structs that cross carry their size; new fields and calls come at their ends only.
 */
#ifndef MPOOL_MODULE_H
#define MPOOL_MODULE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MPOOL_ABI_MAJOR 1
#define MPOOL_ABI_MINOR 0

/* ---- what a module declares -------------------------------------------------------------------------------- */

typedef struct mpool_task mpool_task;
typedef struct mpool_init mpool_init;

/* Runs a task. → 0 when a reply was built (none at all replies nil), negative after mpool_fail() or a failed call
 * below. The first failure that is reported stands, whatever the function does after it; a return other than 0 without
 * any is reported as "returned N without saying why". */
typedef int mpool_function(mpool_task *task);
/* A hook. → 0, or negative after mpool_init_fail(): the pool, or the worker, then does not start. */
typedef int mpool_hook(mpool_init *init);
typedef void mpool_fini(void);

enum {
    /* Running it twice does no harm: a task whose worker died is run again (up to the pool's attempts). */
    MPOOL_IDEMPOTENT = 1u << 0,
    /* Looks at mpool_cancelled() or mpool_cancel_fd(): a cancel or time-out gives it a grace before the kill. */
    MPOOL_CANCELLABLE = 1u << 1,
};

enum mpool_row_kind {
    MPOOL_ROW_FUNCTION = 0,
    MPOOL_ROW_INIT = 1,        /* once, in the forkserver: load what all workers share */
    MPOOL_ROW_WORKER_INIT = 2, /* in each new worker, before its first task */
    MPOOL_ROW_WORKER_FINI = 3, /* in a worker that ends in peace */
};

struct mpool_row {
    uint32_t kind;    /* enum mpool_row_kind; a kind that the host does not know is refused */
    uint32_t flags;   /* MPOOL_IDEMPOTENT | … */
    const char *name; /* [a-z0-9_]{1,63}; called as "module.name" */
    mpool_function *function;
    mpool_hook *hook;
    mpool_fini *fini;
    uint32_t timeout_s; /* of one run; 0: the pool's */
    uint32_t reserved;
    const char *summary; /* one line for `mpool functions`, or NULL */
};

struct mpool_module_info {
    uint32_t size; /* sizeof (struct mpool_module_info) as the module was compiled */
    uint16_t abi_major, abi_minor;
    const char *name; /* [a-z0-9_]{1,63} */
    const char *version;
    const struct mpool_row *rows;
    uint32_t row_count;
    uint32_t row_size; /* sizeof (struct mpool_row) as the module was compiled */
};

/* The one symbol that the host looks up. */
#define MPOOL_MODULE_SYMBOL "mpool_module_v1"
typedef const struct mpool_module_info *mpool_module_entry(void);

#ifdef __cplusplus
#define MPOOL_EXTERN_C extern "C"
#else
#define MPOOL_EXTERN_C
#endif

/* A line a call, so that what there is can be seen at a glance. */
/* clang-format off */
#ifdef __cplusplus
/* C++ (14 or later) wants designators in the order of declaration: .flags, .timeout_s, .summary. */
struct mpool_fn_options {
    uint32_t flags = 0, timeout_s = 0;
    const char *summary = nullptr;
};
constexpr struct mpool_row mpool_fn_row_(const char *name, mpool_function *function, mpool_fn_options options)
{
    return {MPOOL_ROW_FUNCTION, options.flags, name, function, nullptr, nullptr, options.timeout_s, 0, options.summary};
}
constexpr struct mpool_row mpool_hook_row_(uint32_t kind, mpool_hook *hook, mpool_fini *fini)
{
    return {kind, 0, nullptr, nullptr, hook, fini, 0, 0, nullptr};
}
/* The first of the arguments is the function. The commas make sure that there is a rest, if only nothing. */
#define MPOOL_FIRST_(first, ...) first
#define MPOOL_REST_(first, ...) __VA_ARGS__
#define MPOOL_FN(fn_name, ...)                                                                                         \
    mpool_fn_row_((fn_name), (MPOOL_FIRST_(__VA_ARGS__, )), __extension__ mpool_fn_options{MPOOL_REST_(__VA_ARGS__, )})
#define MPOOL_INIT(fn)        mpool_hook_row_(MPOOL_ROW_INIT, (fn), nullptr)
#define MPOOL_WORKER_INIT(fn) mpool_hook_row_(MPOOL_ROW_WORKER_INIT, (fn), nullptr)
#define MPOOL_WORKER_FINI(fn) mpool_hook_row_(MPOOL_ROW_WORKER_FINI, nullptr, (fn))
#else
#define MPOOL_FN(fn_name, ...) {.kind = MPOOL_ROW_FUNCTION, .name = (fn_name), .function = __VA_ARGS__}
#define MPOOL_INIT(fn)        {.kind = MPOOL_ROW_INIT, .hook = (fn)}
#define MPOOL_WORKER_INIT(fn) {.kind = MPOOL_ROW_WORKER_INIT, .hook = (fn)}
#define MPOOL_WORKER_FINI(fn) {.kind = MPOOL_ROW_WORKER_FINI, .fini = (fn)}
#endif

/* MPOOL_MODULE("name", "version", rows…): once per shared object, at file level. */
#define MPOOL_MODULE(module_name, module_version, ...)                                                                 \
    static const struct mpool_row mpool_module_rows_[] = {__VA_ARGS__};                                                \
    static const struct mpool_module_info mpool_module_info_ = {                                                       \
        sizeof(struct mpool_module_info),                                                                              \
        MPOOL_ABI_MAJOR,                                                                                               \
        MPOOL_ABI_MINOR,                                                                                               \
        (module_name),                                                                                                 \
        (module_version),                                                                                              \
        mpool_module_rows_,                                                                                            \
        (uint32_t)(sizeof mpool_module_rows_ / sizeof mpool_module_rows_[0]),                                          \
        sizeof(struct mpool_row),                                                                                      \
    };                                                                                                                 \
    MPOOL_EXTERN_C __attribute__((visibility("default"))) const struct mpool_module_info *mpool_module_v1(void);       \
    MPOOL_EXTERN_C const struct mpool_module_info *mpool_module_v1(void)                                               \
    {                                                                                                                  \
        return &mpool_module_info_;                                                                                    \
    }

/* ---- values: where arguments are read ---------------------------------------------------------------------- */

/* A place in the arguments. Copy it freely; valid until the function returns. */
typedef struct mpool_value {
    const unsigned char *at, *end;
} mpool_value;

enum mpool_type {
    MPOOL_NOTHING, /* past the last element */
    MPOOL_NIL,
    MPOOL_BOOL,
    MPOOL_INT,
    MPOOL_FLOAT,
    MPOOL_STR,
    MPOOL_BIN,
    MPOOL_ARRAY,
    MPOOL_MAP,
    MPOOL_EXT,
};

enum { MPOOL_LOG_ERROR, MPOOL_LOG_WARNING, MPOOL_LOG_INFO, MPOOL_LOG_DEBUG };

enum {
    MPOOL_FAIL_FINAL = 0,
    MPOOL_FAIL_RETRYABLE = 1, /* may succeed if run again; honoured up to the task's attempts */
};

/* The host's calls. Size-prefixed: a call that an older host lacks lies past its `size`. Use the inline functions below. */
struct mpool_host {
    uint32_t size;
    uint16_t abi_major, abi_minor;

    /* arguments; all read calls: → 0, or negative after the failure has been reported for the task */
    uint32_t (*arg_count)(mpool_task *task);
    int (*arg)(mpool_task *task, uint32_t index, mpool_value *ret);
    int (*value_type)(const mpool_value *v); /* → enum mpool_type; never fails */
    /* each reads one value and moves past it */
    int (*read_bool)(mpool_task *task, mpool_value *v, int *ret);
    /* integers, and floats that are whole and below 2^53: some languages have no other numbers */
    int (*read_i64)(mpool_task *task, mpool_value *v, int64_t *ret);
    int (*read_u64)(mpool_task *task, mpool_value *v, uint64_t *ret);
    int (*read_f64)(mpool_task *task, mpool_value *v, double *ret); /* integers too */
    /* str or bin, not terminated. A str from a stranger need not be UTF-8, and paths come as bin where they are not */
    int (*read_str)(mpool_task *task, mpool_value *v, const char **ret, size_t *ret_length);
    int (*read_bin)(mpool_task *task, mpool_value *v, const void **ret, size_t *ret_length);
    int (*read_array)(mpool_task *task, mpool_value *v, uint32_t *ret_count); /* then the elements follow in *v */
    /* then key, value, key, value …; an empty array is an empty map: PHP and Lua cannot say otherwise */
    int (*read_map)(mpool_task *task, mpool_value *v, uint32_t *ret_pairs);
    int (*skip)(mpool_task *task, mpool_value *v);
    /* one whole value as its MessagePack bytes */
    int (*read_raw)(mpool_task *task, mpool_value *v, const void **ret, size_t *ret_length);

    /* the reply: exactly one value; after array(n) or map(n) its n elements or n pairs follow */
    int (*reply_nil)(mpool_task *task);
    int (*reply_bool)(mpool_task *task, int value);
    int (*reply_i64)(mpool_task *task, int64_t value);
    int (*reply_u64)(mpool_task *task, uint64_t value);
    int (*reply_f64)(mpool_task *task, double value);
    int (*reply_str)(mpool_task *task, const char *text, size_t length); /* must be UTF-8 */
    int (*reply_bin)(mpool_task *task, const void *bytes, size_t length);
    int (*reply_array)(mpool_task *task, uint32_t count);
    int (*reply_map)(mpool_task *task, uint32_t pairs);
    int (*reply_raw)(mpool_task *task, const void *msgpack, size_t length); /* one whole value, checked */
    /* a bin of `length` bytes whose memory the function fills itself, all of it and before its next reply call; NULL
     * when there is no room (reported) */
    void *(*reply_bin_reserve)(mpool_task *task, size_t length);

    /* the rest */
    int (*fail)(mpool_task *task, unsigned flags, const char *format, va_list ap); /* → -1 */
    void (*progress)(mpool_task *task, uint64_t done, uint64_t total);             /* total 0: unknown */
    int (*cancelled)(mpool_task *task);                                            /* cheap: one load */
    int (*cancel_fd)(mpool_task *task); /* readable when cancelled() may have turned true; the host's, do not close */
    void (*log)(mpool_task *task, int level, const char *format, va_list ap);
    void *(*alloc)(mpool_task *task, size_t size); /* 16-aligned, freed when the function returns; NULL: reported */
    uint64_t (*task_id)(mpool_task *task);
    uint32_t (*attempt)(mpool_task *task); /* 1 for the first run */
    /* where the caller asked for output: stream 1 or 2; else the daemon's log */
    int (*output)(mpool_task *task, int stream, const void *bytes, size_t length);
};

/* The public head of a task; the host's own part follows it. */
struct mpool_task {
    const struct mpool_host *host;
};

/* The head of what hooks are handed. */
struct mpool_init {
    uint32_t size;
    uint32_t worker; /* the worker's number; 0 in the forkserver */
    const char *pool;
    int (*fail)(mpool_init *init, const char *format, va_list ap); /* → -1 */
    void (*log)(mpool_init *init, int level, const char *format, va_list ap);
};

#define MPOOL_INLINE static inline __attribute__((unused))

/* ---- values -------------------------------------------------------------------------------------------------- */

MPOOL_INLINE int mpool_type(mpool_task *t, const mpool_value *v)
{
    return v->at < v->end && (*v->at < 0x80 || *v->at == 0xd3) ? MPOOL_INT : t->host->value_type(v);
}
MPOOL_INLINE int mpool_read_bool(mpool_task *t, mpool_value *v, int *ret) { return t->host->read_bool(t, v, ret); }
/* The two commonest forms of an integer are read in place: 0 … 127 in one byte, and int 64 in nine. */
MPOOL_INLINE int mpool_read_i64(mpool_task *t, mpool_value *v, int64_t *ret)
{
    const unsigned char *p = v->at;
    if (p < v->end && *p < 0x80) {
        *ret = *p;
        v->at = p + 1;
        return 0;
    }
    if (v->end - p >= 9 && *p == 0xd3) {
        uint64_t bits = 0;
        for (int i = 1; i <= 8; i++)
            bits = bits << 8 | p[i];
        *ret = (int64_t)bits;
        v->at = p + 9;
        return 0;
    }
    return t->host->read_i64(t, v, ret);
}
MPOOL_INLINE int mpool_read_u64(mpool_task *t, mpool_value *v, uint64_t *ret) { return t->host->read_u64(t, v, ret); }
MPOOL_INLINE int mpool_read_f64(mpool_task *t, mpool_value *v, double *ret) { return t->host->read_f64(t, v, ret); }
MPOOL_INLINE int mpool_read_str(mpool_task *t, mpool_value *v, const char **ret, size_t *ret_length)
{
    return t->host->read_str(t, v, ret, ret_length);
}
MPOOL_INLINE int mpool_read_bin(mpool_task *t, mpool_value *v, const void **ret, size_t *ret_length)
{
    return t->host->read_bin(t, v, ret, ret_length);
}
MPOOL_INLINE int mpool_read_array(mpool_task *t, mpool_value *v, uint32_t *ret) { return t->host->read_array(t, v, ret); }
MPOOL_INLINE int mpool_read_map(mpool_task *t, mpool_value *v, uint32_t *ret) { return t->host->read_map(t, v, ret); }
MPOOL_INLINE int mpool_skip(mpool_task *t, mpool_value *v) { return t->host->skip(t, v); }
MPOOL_INLINE int mpool_read_raw(mpool_task *t, mpool_value *v, const void **ret, size_t *ret_length)
{
    return t->host->read_raw(t, v, ret, ret_length);
}

/* ---- arguments by position --------------------------------------------------------------------------------- */

MPOOL_INLINE uint32_t mpool_arg_count(mpool_task *t) { return t->host->arg_count(t); }
MPOOL_INLINE int mpool_arg(mpool_task *t, uint32_t i, mpool_value *ret) { return t->host->arg(t, i, ret); }
MPOOL_INLINE int mpool_arg_type(mpool_task *t, uint32_t i)
{
    mpool_value v;
    if (i >= t->host->arg_count(t) || t->host->arg(t, i, &v) < 0)
        return MPOOL_NOTHING;
    return t->host->value_type(&v);
}
/* Is it there, and not nil? Callers leave an optional argument out by either. */
MPOOL_INLINE int mpool_arg_given(mpool_task *t, uint32_t i)
{
    int type = mpool_arg_type(t, i);
    return type != MPOOL_NOTHING && type != MPOOL_NIL;
}
#define MPOOL_ARG_(suffix, type)                                                                                       \
    MPOOL_INLINE int mpool_arg_##suffix(mpool_task *t, uint32_t i, type *ret)                                          \
    {                                                                                                                  \
        mpool_value v;                                                                                                 \
        int r = t->host->arg(t, i, &v);                                                                                \
        return r < 0 ? r : mpool_read_##suffix(t, &v, ret);                                                         \
    }
MPOOL_ARG_(bool, int)
MPOOL_ARG_(i64, int64_t)
MPOOL_ARG_(u64, uint64_t)
MPOOL_ARG_(f64, double)
#undef MPOOL_ARG_
MPOOL_INLINE int mpool_arg_str(mpool_task *t, uint32_t i, const char **ret, size_t *ret_length)
{
    mpool_value v;
    int r = t->host->arg(t, i, &v);
    return r < 0 ? r : t->host->read_str(t, &v, ret, ret_length);
}
MPOOL_INLINE int mpool_arg_bin(mpool_task *t, uint32_t i, const void **ret, size_t *ret_length)
{
    mpool_value v;
    int r = t->host->arg(t, i, &v);
    return r < 0 ? r : t->host->read_bin(t, &v, ret, ret_length);
}

/* ---- the reply ----------------------------------------------------------------------------------------------- */

MPOOL_INLINE int mpool_reply_nil(mpool_task *t) { return t->host->reply_nil(t); }
MPOOL_INLINE int mpool_reply_bool(mpool_task *t, int v) { return t->host->reply_bool(t, v); }
MPOOL_INLINE int mpool_reply_i64(mpool_task *t, int64_t v) { return t->host->reply_i64(t, v); }
MPOOL_INLINE int mpool_reply_u64(mpool_task *t, uint64_t v) { return t->host->reply_u64(t, v); }
MPOOL_INLINE int mpool_reply_f64(mpool_task *t, double v) { return t->host->reply_f64(t, v); }
MPOOL_INLINE int mpool_reply_str(mpool_task *t, const char *s, size_t n) { return t->host->reply_str(t, s, n); }
MPOOL_INLINE int mpool_reply_bin(mpool_task *t, const void *p, size_t n) { return t->host->reply_bin(t, p, n); }
MPOOL_INLINE int mpool_reply_array(mpool_task *t, uint32_t n) { return t->host->reply_array(t, n); }
MPOOL_INLINE int mpool_reply_map(mpool_task *t, uint32_t pairs) { return t->host->reply_map(t, pairs); }
MPOOL_INLINE int mpool_reply_raw(mpool_task *t, const void *p, size_t n) { return t->host->reply_raw(t, p, n); }
MPOOL_INLINE void *mpool_reply_bin_reserve(mpool_task *t, size_t n) { return t->host->reply_bin_reserve(t, n); }

/* ---- the rest ------------------------------------------------------------------------------------------------ */

/* Reports a failure in the function's own words. flags: MPOOL_FAIL_FINAL or MPOOL_FAIL_RETRYABLE. → -1, to return. */
MPOOL_INLINE __attribute__((format(printf, 3, 4))) int mpool_fail(mpool_task *t, unsigned flags, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int r = t->host->fail(t, flags, format, ap);
    va_end(ap);
    return r;
}
/* level: MPOOL_LOG_…; one line in the daemon's log, with task and worker. */
MPOOL_INLINE __attribute__((format(printf, 3, 4))) void mpool_log(mpool_task *t, int level, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    t->host->log(t, level, format, ap);
    va_end(ap);
}
MPOOL_INLINE void mpool_progress(mpool_task *t, uint64_t done, uint64_t total) { t->host->progress(t, done, total); }
/* → 0; else the task is to end, and this says how: the number of a signal (SIGHUP, SIGINT, SIGQUIT, SIGTERM), which a
 * function that runs a command may pass on to that; or MPOOL_CANCELLED, where nobody has named one. */
#define MPOOL_CANCELLED 128
MPOOL_INLINE int mpool_cancelled(mpool_task *t) { return t->host->cancelled(t); }
MPOOL_INLINE int mpool_cancel_fd(mpool_task *t) { return t->host->cancel_fd(t); }
MPOOL_INLINE void *mpool_alloc(mpool_task *t, size_t size) { return t->host->alloc(t, size); }
MPOOL_INLINE uint64_t mpool_task_id(mpool_task *t) { return t->host->task_id(t); }
MPOOL_INLINE uint32_t mpool_attempt(mpool_task *t) { return t->host->attempt(t); }
MPOOL_INLINE int mpool_output(mpool_task *t, int stream, const void *p, size_t n) { return t->host->output(t, stream, p, n); }

MPOOL_INLINE __attribute__((format(printf, 2, 3))) int mpool_init_fail(mpool_init *init, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int r = init->fail(init, format, ap);
    va_end(ap);
    return r;
}
MPOOL_INLINE __attribute__((format(printf, 3, 4))) void mpool_init_log(
    mpool_init *init, int level, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    init->log(init, level, format, ap);
    va_end(ap);
}

/* clang-format on */
#ifdef __cplusplus
}
#endif
#endif
