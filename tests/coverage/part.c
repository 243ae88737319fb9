/* In every program and shared library of a coverage build: tells exits.c how the counters of this part are written. */
void coverage_part_add(void (*save)(void));
void coverage_part_remove(void (*save)(void));
void __gcov_dump(void);
void __gcov_reset(void);

static void save(void)
{
    __gcov_dump();
    __gcov_reset(); /* the process may go on, and what it reaches then is written later */
}

static __attribute__((constructor)) void add(void)
{
    coverage_part_add(save);
}

static __attribute__((destructor)) void take_away(void)
{
    coverage_part_remove(save);
}
