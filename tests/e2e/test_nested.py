#!/usr/bin/python3
"""Tasks that wait for tasks of their own pool: more of them than there are workers, and never a deadlock."""
import os
import signal
import sys

from harness import MPOOL, main, test, until

# The workers beyond the size go soon, so that the harness finds the daemon as it was.
POOL = "[daemon]\n[pool default]\nidle_timeout = 100ms\n"
ONE = POOL + "workers = 1\n"


@test(config=ONE, workers=None, modules=["nest"])
def a_function_calls_a_function_that_calls_a_function_in_a_pool_of_one(d):
    c = d.client()
    assert c.call("nest.down", 2) == 2
    assert c.call("nest.down", 10) == 10


@test(config=ONE, workers=None, modules=["nest"])
def a_function_submits_and_waits_in_a_pool_of_one(d):
    c = d.client()
    assert c.call("nest.down_detached", 5) == 5


@test(config=ONE, workers=None, modules=["nest"])
def a_worker_may_keep_its_connection_from_task_to_task(d):
    c = d.client()
    for depth in (0, 3, 1, 5):
        assert c.call("nest.down_kept", depth) == depth
    before = d.worker_pids()
    for pid in before:  # with them go the connections, which the harness would miss
        os.kill(pid, signal.SIGKILL)
    until(lambda: not d.worker_pids() & before, "they have been replaced")


@test(config=ONE, workers=None, modules=["nest"])
def a_function_maps_over_items_in_a_pool_of_one(d):
    c = d.client()
    assert c.call("nest.squares", list(range(1000))) == [i * i for i in range(1000)]


@test(config=POOL + "workers = 2\n", workers=None, modules=["nest"])
def many_parents_at_once_all_get_their_children(d):
    c = d.client()
    ids = [c.start("nest.down", 3) for _ in range(100)]
    assert [c.reply(i) for i in ids] == [3] * 100
    assert c.call("math.square", 3) == 9


@test(config=ONE, workers=None, modules=["nest"])
def a_command_that_a_function_runs_counts_as_inside_it_too(d):
    c = d.client()
    done = c.call("exec.run", [MPOOL, "--socket", d.path, "call", "math.square", "12"])
    assert done["stdout"].strip() in (b"144", "144"), done


@test(config=ONE, workers=None)
def a_function_takes_from_a_queue_what_another_of_its_pool_puts(d):
    c = d.client()
    taken = c.start("exec.run", [MPOOL, "--socket", d.path, "queue", "get", "jobs"])
    put = c.start("exec.run", [MPOOL, "--socket", d.path, "queue", "put", "jobs", '"an item"'])
    assert c.reply(put)["status"] == 0
    assert c.reply(taken)["stdout"].strip() in (b'"an item"', '"an item"')
    c.request("remove", "jobs")


@test(config=ONE + "max_nested = 2\n", workers=None, modules=["nest"])
def nesting_deeper_than_max_nested_is_an_error_and_no_hang(d):
    c = d.client()
    assert c.call("nest.down", 2) == 2
    e = c.call_error("nest.down", 3)
    assert e.code == "E_FAILED" and "E_BUSY" in e.text and "max_nested" in e.text, e
    assert c.call("nest.down", 2) == 2


@test(config=ONE + "max_nested = 0\n", workers=None, modules=["nest"])
def a_pool_may_refuse_nesting_altogether(d):
    e = d.client().call_error("nest.down", 1)
    assert "E_BUSY" in e.text, e


@test(config=ONE + "max_queue = 1\n", workers=None, modules=["nest"])
def a_full_queue_does_not_keep_the_children_from_their_parents(d):
    c = d.client()
    ids = [c.start("nest.down", 2) for _ in range(10)]
    assert [c.reply(i) for i in ids] == [2] * 10


@test(config=ONE, workers=None, modules=["nest"])
def the_workers_beyond_the_pools_size_go_again(d):
    c = d.client()
    assert c.call("nest.down", 4) == 4
    until(lambda: d.request("pools")[0]["workers"] == 1, "the others have gone")
    assert d.request("pools")[0]["waiting"] == 0


def answered_parent(d, c):
    """A task that has had the answer of its nested call, and goes on until the file is closed → msgid, file."""
    fifo = os.path.join(d.home, "fifo")
    os.mkfifo(fifo)
    parent = c.start("nest.relay", "math.square", [7], fifo)
    return parent, os.open(fifo, os.O_WRONLY | os.O_CLOEXEC)  # it is at the other end


@test(config=ONE, workers=None, modules=["nest"])
def a_parent_that_has_its_answer_waits_no_more(d):
    c = d.client()
    parent, writer = answered_parent(d, c)
    until(lambda: not d.workers(function="nest.relay")[0]["waiting"], "its worker counts as busy again")
    assert d.request("pools")[0]["waiting"] == 0
    os.close(writer)
    assert c.reply(parent) == 49


# A command that calls all that its arguments name, at once, and waits for the answers.
FAN = f"""
import sys
sys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r})
from wire import Client
with Client(sys.argv[1]) as c:
    ids = [c.start("exec.run", ["sh", "-c", command]) for command in sys.argv[2:]]
    assert all(c.reply(i)["status"] == 0 for i in ids)
"""


def fan(d, c, commands):
    return c.start("exec.run", [sys.executable, "-c", FAN, d.path, *commands])


@test(config=ONE, workers=None)
def the_children_of_a_parent_run_in_their_order(d):
    c, log = d.client(), os.path.join(d.home, "order")
    done = c.reply(fan(d, c, [f"echo {i} >>{log}" for i in range(20)]))
    assert done["status"] == 0, done
    with open(log) as f:
        assert [int(line) for line in f] == list(range(20))


@test(config=POOL + "workers = 2\nmax_queue = 10\n", workers=None)
def the_queue_has_its_cap_and_its_order_for_a_parent_with_many_children_too(d):
    c, log, gate = d.client(), os.path.join(d.home, "order"), os.path.join(d.home, "gate")
    os.mkfifo(gate)
    door = os.open(gate, os.O_RDWR | os.O_CLOEXEC)
    step = f"echo %s >>{log}; dd if={gate} bs=1 count=1 status=none >/dev/null"
    parent = fan(d, c, [step % i for i in range(57)])

    def queued():
        return d.request("pools")[0]["queued"]

    def begun():
        with open(log) as f:
            return f.read().split()

    until(lambda: queued() == 10, "the queue is full")
    until(lambda: os.path.exists(log) and len(begun()) == 2, "two of them run, one in its parent's place")
    other = d.client()
    assert other.error("submit", "math.square", [3]).code == "E_BUSY"
    assert queued() == 10
    late = other.start("exec.run", ["sh", "-c", f"echo other >>{log}"])
    for n in range(1, 31):
        os.write(door, b".")
        until(lambda: "other" in begun() or len(begun()) >= n + 2, "the next one runs")
        assert queued() <= 10
        if "other" in begun():
            break
    order = begun()
    assert "other" in order, f"30 of another's children went before it: {order}"
    assert other.reply(late)["status"] == 0
    os.write(door, b"." * 57)
    assert c.reply(parent)["status"] == 0
    mine = [int(word) for word in begun() if word != "other"]
    assert sorted(mine) == list(range(57)) and all(abs(i - n) <= 3 for i, n in enumerate(mine)), mine
    os.close(door)


@test(config=POOL + "workers = 2\nmax_nested = 1\n", workers=None, modules=["nest"])
def a_place_is_free_again_once_the_nested_call_is_answered(d):
    c = d.client()
    parent, writer = answered_parent(d, c)
    for _ in range(10):
        assert c.call("nest.down", 1) == 1, "the one place for those who wait is free"
    os.close(writer)
    assert c.reply(parent) == 49


@test(config=ONE, workers=None, modules=["nest"])
def a_parent_that_is_killed_takes_the_child_that_it_waits_for_along(d):
    c = d.client()
    msgid = c.start("nest.relay", "sys.sleep", [600])
    until(lambda: d.workers(function="sys.sleep"), "the child runs")
    parent = d.workers(function="nest.relay")[0]
    assert parent["waiting"] and not d.workers(function="sys.sleep")[0]["waiting"]
    os.kill(parent["pid"], signal.SIGKILL)
    assert c.failure(msgid).code == "E_LOST"
    until(lambda: not d.workers(function="sys.sleep"), "the child has ended")
    assert c.call("nest.down", 3) == 3


@test(config=ONE, workers=None, modules=["nest"])
def a_cancelled_parent_gives_its_place_back(d):
    c, other = d.client(), d.client()
    msgid = c.start("nest.relay", "sys.sleep", [600])
    until(lambda: d.workers(function="sys.sleep"), "the child runs")
    parent = other.start("nest.down", 2)  # waits: the pool of one is at work
    assert c.request("cancel", {"msgid": msgid}) is True
    assert other.reply(parent) == 2
    assert c.failure(msgid).code == "E_CANCELLED"


if __name__ == "__main__":
    main()
