/* What are a task's arguments? See args.h. */
#include "client/cli/args.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/json_in.h"
#include "client/cli/cleanup.h"
#include "client/cli/say.h"

struct args_options args_options;

enum { READ_SIZE = 64 * 1024 };

/* Reads a descriptor to its end. signal_fd: stop when it becomes readable; peer_fd: stop when its other end is closed;
 * -1 for none. *ret: taken, free(). → 0; -EFBIG: over `cap` bytes; -EINTR, -ECONNRESET: stopped; other -errno. */
static int args_read_all(int fd, size_t cap, int signal_fd, int peer_fd, char **ret, size_t *ret_length)
{
    _cleanup_(freep) char *data = NULL;
    size_t length = 0, size = 0;
    for (;;) {
        struct pollfd p[] = {
            {.fd = fd, .events = POLLIN}, {.fd = signal_fd, .events = POLLIN}, {.fd = peer_fd, .events = POLLRDHUP}};
        if (size - length < READ_SIZE) {
            size_t bigger = size ? size * 2 : 2 * (size_t)READ_SIZE;
            char *grown = realloc(data, bigger);
            if (!grown)
                return -ENOMEM;
            data = grown;
            size = bigger;
        }
        if (poll(p, sizeof p / sizeof p[0], -1) < 0) {
            if (errno != EINTR)
                return -errno;
            continue;
        }
        if (p[1].revents || p[2].revents)
            return p[1].revents ? -EINTR : -ECONNRESET;
        ssize_t n = read(fd, data + length, READ_SIZE);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return -errno;
        if (n == 0)
            break;
        length += n > 0 ? (size_t)n : 0;
        if (length > cap)
            return -EFBIG;
    }
    *ret = data;
    *ret_length = length;
    data = NULL;
    return 0;
}

static int pack_value(struct wire_buf *to, enum json_in_kind kind, const char *text, size_t length, const char *what)
{
    char why[JSON_IN_WHY];
    int r = json_in_value(to, kind, text, length, why);
    if (r < 0)
        say_error("%s: %s", what, why);
    return r < 0 ? -1 : 0;
}

static int pack_stdin(struct wire_buf *to)
{
    _cleanup_(freep) char *text = NULL;
    size_t length = 0;
    int r = args_read_all(STDIN_FILENO, ARGS_STDIN_CAP, -1, -1, &text, &length);
    if (r == -EFBIG)
        say_error("standard input is larger than %u MiB", ARGS_STDIN_CAP >> 20);
    else if (r < 0)
        say_error("cannot read standard input: %s", strerror(-r));
    return r < 0 ? -1 : pack_value(to, JSON_IN_ARRAY, text, length, "standard input");
}

int args_pack(struct wire_buf *to, char **words, size_t count)
{
    int ways = (count > 0) + (args_options.json != NULL) + args_options.from_stdin;
    if (ways > 1) {
        say_error("arguments come as words, by --args-json or by --stdin: use one of them");
        return -1;
    }
    if (args_options.from_stdin)
        return pack_stdin(to);
    if (args_options.json)
        return pack_value(to, JSON_IN_ARRAY, args_options.json, strlen(args_options.json), "--args-json");
    msgpack_packer pk = wire_packer(to);
    msgpack_pack_array(&pk, count);
    for (size_t i = 0; i < count; i++) {
        char what[40];
        snprintf(what, sizeof what, "argument %zu", i + 1);
        if (pack_value(to, args_options.strings ? JSON_IN_TEXT : JSON_IN_WORD, words[i], strlen(words[i]), what) < 0)
            return -1;
    }
    return 0;
}
