/* --halt: when does a map give up? "now" or "soon", with ",fail=N" for the Nth failure instead of the first. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum halt_when { HALT_NEVER, HALT_SOON, HALT_NOW };

struct halt {
    enum halt_when when;
    uint64_t failures; /* failures before the map stops */
};

/* → 0, or -1 after reporting what is allowed. text: NULL means never halt. */
int halt_parse(const char *text, struct halt *ret);
