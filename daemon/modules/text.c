/* text: counting in files, and a little work on strings. */
#include <errno.h>
#include <fcntl.h>
#include <mpool/module.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define BLOCK (128u << 10)

/* What is counted in a file. A word is a run of bytes between white space that contains a printable one, both as in the
 * C locale: what `LC_ALL=C wc -w` counts. */
struct counts {
    uint64_t bytes, lines, words;
    bool in_word;
};

static void count(struct counts *counts, const unsigned char *block, size_t length)
{
    counts->bytes += length;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = block[i];
        counts->lines += c == '\n';
        if (c == ' ' || (c >= '\t' && c <= '\r')) {
            counts->words += counts->in_word;
            counts->in_word = false;
        } else if (c > ' ' && c < 0x7f) {
            counts->in_word = true;
        }
    }
}

/* The first argument, as a path. */
static int open_file(mpool_task *task, const char **ret_path)
{
    const char *name;
    size_t length;
    if (mpool_arg_str(task, 0, &name, &length) < 0)
        return -1;
    char *path = mpool_alloc(task, length + 1);
    if (!path)
        return -1;
    memcpy(path, name, length);
    path[length] = 0;
    if (strlen(path) != length)
        return mpool_fail(task, MPOOL_FAIL_FINAL, "a path cannot contain the byte 0");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return mpool_fail(task, MPOOL_FAIL_FINAL, "%s: %s", path, strerror(errno));
    *ret_path = path;
    return fd;
}

static int count_file(mpool_task *task, struct counts *counts)
{
    unsigned char *block = mpool_alloc(task, BLOCK);
    const char *path = NULL;
    int fd = block ? open_file(task, &path) : -1;
    if (fd < 0)
        return -1;

    ssize_t n;
    *counts = (struct counts){0};
    while ((n = read(fd, block, BLOCK)) > 0)
        count(counts, block, (size_t)n);
    int error = errno;
    close(fd);
    if (n < 0)
        return mpool_fail(task, MPOOL_FAIL_FINAL, "%s: %s", path, strerror(error));
    counts->words += counts->in_word;
    return 0;
}

static int wordcount(mpool_task *task)
{
    struct counts counts;
    return count_file(task, &counts) < 0 ? -1 : mpool_reply_u64(task, counts.words);
}

static int lines(mpool_task *task)
{
    struct counts counts;
    return count_file(task, &counts) < 0 ? -1 : mpool_reply_u64(task, counts.lines);
}

static int bytes(mpool_task *task)
{
    struct counts counts;
    return count_file(task, &counts) < 0 ? -1 : mpool_reply_u64(task, counts.bytes);
}

/* ---- strings ---- */

/* Bytes of the UTF-8 character that begins at `at`; 1 if none does. */
static size_t character(const char *at, const char *end)
{
    size_t n = 1;
    while (at + n < end && ((unsigned char)at[n] & 0xc0) == 0x80)
        n++;
    return n;
}

static int length(mpool_task *task)
{
    const char *at;
    size_t size;
    uint64_t characters = 0;
    if (mpool_arg_str(task, 0, &at, &size) < 0)
        return -1;
    for (const char *end = at + size; at < end; at += character(at, end))
        characters++;
    return mpool_reply_u64(task, characters);
}

static int reverse(mpool_task *task)
{
    const char *at;
    size_t size;
    if (mpool_arg_str(task, 0, &at, &size) < 0)
        return -1;
    char *out = mpool_alloc(task, size);
    if (!out)
        return -1;
    const char *end = at + size;
    for (size_t n, to = size; at < end; at += n) {
        n = character(at, end);
        to -= n;
        memcpy(out + to, at, n);
    }
    return mpool_reply_str(task, out, size);
}

static int upper(mpool_task *task)
{
    const char *text;
    size_t size;
    if (mpool_arg_str(task, 0, &text, &size) < 0)
        return -1;
    char *out = mpool_alloc(task, size);
    if (!out)
        return -1;
    for (size_t i = 0; i < size; i++)
        out[i] = text[i] >= 'a' && text[i] <= 'z' ? (char)(text[i] - 'a' + 'A') : text[i];
    return mpool_reply_str(task, out, size);
}

MPOOL_MODULE("text", "1.0.0",
    MPOOL_FN("wordcount", wordcount, .flags = MPOOL_IDEMPOTENT, .summary = "path → words in the file"),
    MPOOL_FN("lines", lines, .flags = MPOOL_IDEMPOTENT, .summary = "path → lines in the file"),
    MPOOL_FN("bytes", bytes, .flags = MPOOL_IDEMPOTENT, .summary = "path → bytes in the file"),
    MPOOL_FN("length", length, .flags = MPOOL_IDEMPOTENT, .summary = "text → its characters"),
    MPOOL_FN("reverse", reverse, .flags = MPOOL_IDEMPOTENT, .summary = "text → back to front"),
    MPOOL_FN("upper", upper, .flags = MPOOL_IDEMPOTENT, .summary = "text → with A to Z for a to z"))
