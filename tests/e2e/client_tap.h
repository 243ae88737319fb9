/* TAP for plain C programs that talk to a real daemon: one function a behaviour, connected anew for each. */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mpool/client.h>

struct tap_test {
    const char *name;
    bool (*run)(mpool_client *client);
};

#define TAP_TEST(function)                                                                                             \
    {                                                                                                                  \
#function, function                                                                                            \
    }

/* Inside a test: on failure says where and what, and the test is not ok. */
#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            printf(                                                                                                    \
                "# %s:%d: not so: %s (last error: %s)\n", __FILE__, __LINE__, #condition, mpool_error_text(client));   \
            return false;                                                                                              \
        }                                                                                                              \
    } while (0)

/* → the program's exit status. The connection is $MPOOL_SOCKET, or the usual places. */
static inline int tap_main(const struct tap_test *tests, size_t count)
{
    int failed = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("1..%zu\n", count);
    for (size_t i = 0; i < count; i++) {
        mpool_client *client;
        int r = mpool_connect(&client, NULL);
        if (r < 0) {
            printf("Bail out! no daemon: %s\n", mpool_strerror(r));
            return 1;
        }
        bool ok = tests[i].run(client);
        printf("%s %zu - %s\n", ok ? "ok" : "not ok", i + 1, tests[i].name);
        failed += !ok;
        mpool_disconnect(client);
    }
    return failed > 0;
}
