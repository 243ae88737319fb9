#!/bin/sh
# A module and a program in C++17 compile without a warning, and are what they would be in C.
#
#     cxx17.sh CLIENT-INCLUDES MODULE-INCLUDES ARCHIVE MPOOL
set -eu
client=$1 module=$2 archive=$3 mpool=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
number=0 failed=0

say() {
    number=$((number + 1))
    if [ "$1" = 0 ]; then
        echo "ok $number - $2"
    else
        echo "not ok $number - $2"
        sed 's/^/# /' "$work/out" | head -30
        failed=1
    fi
}

cat >"$work/module.cc" <<'EOF'
#include <mpool/module.h>
#include <string>

static int initialised(mpool_init *init)
{
    return init->pool ? 0 : mpool_init_fail(init, "no pool");
}

static int greet(mpool_task *task)
{
    const char *name;
    size_t length;
    if (mpool_arg_str(task, 0, &name, &length) < 0)
        return -1;
    std::string text = "hello " + std::string(name, length);
    return mpool_reply_str(task, text.data(), text.size());
}

static int bytes(mpool_task *task)
{
    void *room = mpool_reply_bin_reserve(task, 3);
    if (!room)
        return mpool_fail(task, MPOOL_FAIL_RETRYABLE, "no room for %d bytes", 3);
    std::char_traits<char>::copy(static_cast<char *>(room), "abc", 3);
    return 0;
}

MPOOL_MODULE("cxx", "1.0",
    MPOOL_INIT(initialised),
    MPOOL_WORKER_INIT(initialised),
    MPOOL_FN("greet", greet, .flags = MPOOL_IDEMPOTENT, .summary = "name → greeting"),
    MPOOL_FN("bytes", bytes))
EOF
cat >"$work/program.cc" <<'EOF'
#include <mpool/process.h>
#include <mpool/queue.h>

int main()
{
    mpool_connect_options connect = MPOOL_CONNECT_OPTIONS_INIT;
    mpool_options task = MPOOL_OPTIONS_INIT;
    mpool_map_options map = MPOOL_MAP_OPTIONS_INIT;
    mpool_process_options process = MPOOL_PROCESS_OPTIONS_INIT;
    mpool_object_options object = MPOOL_OBJECT_OPTIONS_INIT;
    mpool_item item = MPOOL_ITEM_INIT;
    mpool_queue_item queue_item = MPOOL_QUEUE_ITEM_INIT;
    mpool_client *client = nullptr;
    mpool_object *lock = nullptr;
    bool abandoned = false;
    map.task = process.task = &task;
    (void)map;
    (void)process;
    connect.path = "/nonexistent/mpoold.sock";
    if (mpool_connect_with(&client, &connect) == 0)
        return 1;
    int r = mpool_call(client, nullptr, "math.add", "ii", -3, 4);
    r += mpool_queue_put(lock, 0, "s", "text");
    r += mpool_lock_acquire(lock, 0, &abandoned);
    return r < 0 && item.size && queue_item.size && object.tokens < 0 ? 0 : 1;
}
EOF
flags='-std=c++17 -Wall -Wextra -pedantic -Werror'
libraries=$(pkg-config --libs msgpack-c 2>/dev/null || pkg-config --libs msgpack)
for compiler in g++ clang++; do
    command -v $compiler >/dev/null || continue
    status=0
    $compiler $flags -I "$module" -shared -fPIC -o "$work/cxx.so" "$work/module.cc" >"$work/out" 2>&1 &&
        "$mpool" module check "$work/cxx.so" >"$work/out" 2>&1 && grep -q 'cxx.greet.*name → greeting' "$work/out" || status=1
    say $status "${compiler}_makes_a_module"
    status=0
    $compiler $flags -I "$client" -c -o "$work/program.o" "$work/program.cc" >"$work/out" 2>&1 || status=1
    # The archive of a build with sanitizers wants theirs.
    if [ $status = 0 ] && ! nm "$archive" | grep -qE '__(asan|ubsan|tsan)'; then
        $compiler -o "$work/program" "$work/program.o" "$archive" $libraries -pthread >"$work/out" 2>&1 &&
            "$work/program" >"$work/out" 2>&1 || status=1
    fi
    say $status "${compiler}_makes_a_program"
done
echo "1..$number"
exit $failed
