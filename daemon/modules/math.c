/* math: simple arithmetic, the first functions to call in a new pool. Integers stay integers; a result that does not
 * fit 64 bits is a failure, never a wrong number. */
#include <mpool/module.h>
#include <stdbool.h>

static int too_large(mpool_task *task)
{
    return mpool_fail(task, MPOOL_FAIL_FINAL, "the result does not fit 64 bits");
}

/* A number as received: integers are exact, anything else is a float (or refused, with an error message). */
struct number {
    bool exact;
    int64_t i;
    double f;
};

static int read_number(mpool_task *task, mpool_value *v, struct number *ret)
{
    ret->exact = mpool_type(task, v) == MPOOL_INT;
    if (!ret->exact)
        return mpool_read_f64(task, v, &ret->f);
    int r = mpool_read_i64(task, v, &ret->i);
    ret->f = (double)ret->i;
    return r;
}

static int reply_number(mpool_task *task, const struct number *n)
{
    return n->exact ? mpool_reply_i64(task, n->i) : mpool_reply_f64(task, n->f);
}

static int square(mpool_task *task)
{
    mpool_value v;
    struct number n;
    if (mpool_arg(task, 0, &v) < 0 || read_number(task, &v, &n) < 0)
        return -1;
    if (n.exact && __builtin_mul_overflow(n.i, n.i, &n.i))
        return too_large(task);
    n.f *= n.f;
    return reply_number(task, &n);
}

enum fold { ADD, MULTIPLY };

static int fold_in(mpool_task *task, enum fold fold, mpool_value *v, struct number *total)
{
    struct number n;
    if (read_number(task, v, &n) < 0)
        return -1;
    total->exact = total->exact && n.exact;
    if (total->exact && (fold == ADD ? __builtin_add_overflow(total->i, n.i, &total->i)
                                     : __builtin_mul_overflow(total->i, n.i, &total->i)))
        return too_large(task);
    total->f = fold == ADD ? total->f + n.f : total->f * n.f;
    return 0;
}

/* All arguments, or the elements of one array. */
static int fold_all(mpool_task *task, enum fold fold)
{
    struct number total = {.exact = true, .i = fold == MULTIPLY, .f = fold == MULTIPLY};
    mpool_value v;
    uint32_t count = mpool_arg_count(task);
    if (count == 1 && mpool_arg_type(task, 0) == MPOOL_ARRAY) {
        if (mpool_arg(task, 0, &v) < 0 || mpool_read_array(task, &v, &count) < 0)
            return -1;
        for (uint32_t i = 0; i < count; i++)
            if (fold_in(task, fold, &v, &total) < 0)
                return -1;
    } else {
        for (uint32_t i = 0; i < count; i++)
            if (mpool_arg(task, i, &v) < 0 || fold_in(task, fold, &v, &total) < 0)
                return -1;
    }
    return reply_number(task, &total);
}

static int add(mpool_task *task)
{
    return fold_all(task, ADD);
}

static int mul(mpool_task *task)
{
    return fold_all(task, MULTIPLY);
}

static int factorial(mpool_task *task)
{
    uint64_t n, product = 1;
    if (mpool_arg_u64(task, 0, &n) < 0)
        return -1;
    for (uint64_t i = 2; i <= n; i++)
        if (__builtin_mul_overflow(product, i, &product))
            return too_large(task);
    return mpool_reply_u64(task, product);
}

/* By trial division: up to four billion steps for the largest numbers, which makes it a task worth running in a worker.
 */
static int is_prime(mpool_task *task)
{
    uint64_t n;
    if (mpool_arg_u64(task, 0, &n) < 0)
        return -1;
    if (n < 4 || n % 2 == 0)
        return mpool_reply_bool(task, n == 2 || n == 3);
    for (uint64_t i = 3; i <= n / i; i += 2) {
        if (n % i == 0)
            return mpool_reply_bool(task, false);
        if (i % (1u << 20) == 1 && mpool_cancelled(task))
            return mpool_fail(task, MPOOL_FAIL_FINAL, "cancelled");
    }
    return mpool_reply_bool(task, true);
}

MPOOL_MODULE("math", "1.0.0", MPOOL_FN("square", square, .flags = MPOOL_IDEMPOTENT, .summary = "n → n·n"),
    MPOOL_FN("add", add, .flags = MPOOL_IDEMPOTENT, .summary = "a, b, … → their sum"),
    MPOOL_FN("sum", add, .flags = MPOOL_IDEMPOTENT, .summary = "[a, b, …] → their sum"),
    MPOOL_FN("mul", mul, .flags = MPOOL_IDEMPOTENT, .summary = "a, b, … → their product"),
    MPOOL_FN("factorial", factorial, .flags = MPOOL_IDEMPOTENT, .summary = "n → n!, up to 20"),
    MPOOL_FN("is_prime", is_prime, .flags = MPOOL_IDEMPOTENT | MPOOL_CANCELLABLE, .summary = "n → is it a prime?"))
