#!/bin/sh
# The compiler refuses arguments that do not fit their letters, and takes those that do without a warning: in C11 and
# C17, with gcc when it optimises, with clang always; in C++ the macros are not there.
#
#     format_check.sh INCLUDES
set -eu
includes=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
number=0 failed=0

say() {
    number=$((number + 1))
    echo "$1 $number - $2"
    case $1 in not*) failed=1 ;; esac
}

write() {
    cat >"$work/$1" <<EOF
#include <mpool/queue.h>
#include <mpool/process.h>
int test(mpool_client *c, mpool_object *q, struct mpool_process *p, mpool_call_fn *f, const char *format, int64_t n, int k);
int test(mpool_client *c, mpool_object *q, struct mpool_process *p, mpool_call_fn *f, const char *format, int64_t n, int k)
{
    mpool_result *r;
    (void)format;
    return $2;
}
EOF
}

good='mpool_call(c, &r, "m.f", "ii", -3, k) + mpool_call(c, &r, "m.f", NULL) + mpool_call(c, &r, "m.f", "{s[x]}", "a", n)
    + mpool_submit(c, NULL, "m.f", "xs", n, "t") + mpool_request(c, NULL, "stats", "") + mpool_queue_put(q, -1, format, k)
    + mpool_apply_async(c, NULL, f, NULL, "m.f", "d", 1.5) + mpool_process_start(c, &p, NULL, "m.f", "b", true)'

bad='mpool_call(c, &r, "m.f", "ii", -3, n) + mpool_call(c, &r, "m.f", "x", k) + mpool_call(c, &r, "m.f", "ii", k)
    + mpool_call(c, &r, "m.f", "i", k, k) + mpool_call(c, &r, "m.f", "i") + mpool_call(c, &r, "m.f", "s", k)
    + mpool_submit(c, NULL, "m.f", "d", k) + mpool_request(c, NULL, "status", "u", n) + mpool_queue_put(q, 0, "i", "x")
    + mpool_apply_async(c, NULL, f, NULL, "m.f", "t", k) + mpool_process_start(c, &p, NULL, "m.f", "", k)'

for compiler in gcc clang; do
    command -v $compiler >/dev/null || continue
    for standard in c11 c17; do
        for level in -O0 -O2; do
            flags="-std=$standard $level -Wall -Wextra -pedantic -Wconversion -Werror -I $includes -c -o $work/out.o"
            write good.c "$good"
            if $compiler $flags "$work/good.c" 2>"$work/err"; then
                say ok "${compiler}_${standard}${level}_takes_what_fits"
            else
                say "not ok" "${compiler}_${standard}${level}_takes_what_fits"
                sed 's/^/# /' "$work/err" | head -20
            fi
            [ $compiler$level != gcc-O0 ] || continue # checked when the call is made
            write bad.c "$bad"
            $compiler $flags "$work/bad.c" 2>"$work/err" || true
            refused=$(grep -c 'error.*do not fit the letters' "$work/err" || true)
            if [ "$refused" = 11 ]; then
                say ok "${compiler}_${standard}${level}_refuses_what_does_not_fit"
            else
                say "not ok" "${compiler}_${standard}${level}_refuses_what_does_not_fit ($refused of 11)"
                sed 's/^/# /' "$work/err" | head -40
            fi
        done
    done
done
for compiler in g++ clang++; do
    command -v $compiler >/dev/null || continue
    write good.cc "$good"
    if $compiler -std=c++17 -Wall -Wextra -pedantic -Werror -I "$includes" -c -o "$work/out.o" "$work/good.cc" 2>"$work/err"; then
        say ok "${compiler}_sees_plain_functions"
    else
        say "not ok" "${compiler}_sees_plain_functions"
        sed 's/^/# /' "$work/err" | head -20
    fi
done
echo "1..$number"
exit $failed
