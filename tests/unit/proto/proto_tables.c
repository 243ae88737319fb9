/* Prints the tables of PROTOCOL.md from the lists they come from: `proto-tables methods|errors|states`. */
#include <stdio.h>
#include <string.h>

#include "proto/tables.h"

static const char *or_nothing(const char *text)
{
    return *text ? text : "none";
}

static void print_methods(void)
{
    printf("| method | params | result | who | what it does |\n|---|---|---|---|---|\n");
    for (int i = 0; i < MPOOL_METHOD_COUNT; i++) {
        const struct wire_method_info *m = wire_method_info((enum mpool_method)i);
        printf("| [`%s`](#%s) | %s | %s | %s | %s |\n", m->name, m->name, or_nothing(m->params), m->result,
            m->who == WIRE_WHO_ADMIN   ? "admin"
            : m->who == WIRE_WHO_OWNER ? "owner"
                                       : "any",
            m->sentence);
    }
}

static void print_errors(void)
{
    printf("| error | class | retryable | meaning |\n|---|---|---|---|\n");
    for (int i = MPOOL_ERROR_NONE + 1; i < MPOOL_ERROR_COUNT; i++) {
        const struct wire_error_info *e = wire_error_info((enum mpool_error)i);
        printf("| `%s` | %d | %s | %s |\n", e->name, e->class, e->retryable ? "yes" : "no", e->sentence);
    }
}

static void print_states(void)
{
    printf("| state | final | meaning |\n|---|---|---|\n");
    for (int i = 0; i < MPOOL_STATE_COUNT; i++) {
        const struct wire_state_info *s = wire_state_info((enum mpool_state)i);
        printf("| `%s` | %s | %s |\n", s->name, s->final ? "yes" : "no", s->sentence);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } tables[] = {{"methods", print_methods}, {"errors", print_errors}, {"states", print_states}};
    for (size_t i = 0; argc == 2 && i < sizeof(tables) / sizeof(tables[0]); i++)
        if (strcmp(argv[1], tables[i].name) == 0) {
            tables[i].print();
            return 0;
        }
    fprintf(stderr, "usage: proto-tables methods|errors|states\n");
    return 2;
}
