#!/usr/bin/python3
"""Which task runs next? Priorities, turns between users and connections. What ran is read from a file that it wrote."""
import os
import time

from cli_tools import end, mpool, start
from harness import as_nobody, daemon_for_others, main, test, until


class Order:
    """Tasks of one worker write their names into a file in the order in which they run. Until release() none does."""

    def __init__(self, d, home):
        self.d, self.path, self.gate = d, os.path.join(home, "order"), os.path.join(home, "gate")
        with open(self.path, "w"):
            os.chmod(self.path, 0o666)
        os.mkfifo(self.gate)
        self.blocker = d.client()
        self.blocked = self.blocker.start("exec.run", f"cat {self.gate}")
        self.gate_fd = os.open(self.gate, os.O_WRONLY)  # opens once the command does

    def args(self, name):
        return [f"echo {name} >>{self.path}"]

    def release(self):
        os.close(self.gate_fd)
        self.blocker.reply(self.blocked)

    def ran(self):
        with open(self.path) as f:
            return f.read().split()

    def wait(self, count):
        until(lambda: len(self.ran()) == count, f"{count} tasks have run")
        return self.ran()


def queued(d, count):
    until(lambda: sum(p["queued"] for p in d.request("pools")) == count, f"{count} tasks wait")


@test(workers="1")
def a_higher_priority_goes_first(d):
    o = Order(d, d.home)
    c = d.client()
    for name, priority in (("low", 0), ("usual", None), ("high", 255), ("usual2", 128), ("low2", 0), ("high2", 255)):
        c.request("submit", "exec.run", o.args(name), {"priority": priority})
    queued(d, 6)
    o.release()
    assert o.wait(6) == ["high", "high2", "usual", "usual2", "low", "low2"]


@test(workers="1")
def a_priority_is_of_calls_submits_and_maps_alike(d):
    o = Order(d, d.home)
    c = d.client()
    c.send("call", ["exec.run", o.args("call"), {"priority": 1}])
    c.send("map", ["exec.run", o.args("map"), {"priority": 3}])
    c.request("submit", "exec.run", o.args("submit"), {"priority": 2})
    queued(d, 3)
    assert c.error("call", "exec.run", [], {"priority": 256}).code == "E_BAD_PARAMS"
    assert c.error("call", "exec.run", [], {"priority": -1}).code == "E_BAD_PARAMS"
    assert c.error("spawn", "exec.run", [], {"priority": 1}).code == "E_BAD_PARAMS", "a process never waits"
    o.release()
    assert o.wait(3) == ["map", "submit", "call"]


@test(workers="1")
def the_command_line_and_the_library_have_priorities(d):
    o = Order(d, d.home)
    for name, priority in (("usual", ()), ("low", ("--priority", 0)), ("high", ("--priority=255",))):
        ran = mpool(d, "submit", "exec.run", f'"echo {name} >>{o.path}"', *priority)
        assert ran.code == 0, ran
    for wrong in ("256", "-1", "x"):
        assert mpool(d, "submit", "exec.run", '"true"', f"--priority={wrong}").code == 125
    calls = [start(d, "map", "exec.run", "--priority", priority, ":::", f'"echo {name} >>{o.path}"')
             for name, priority in (("map1", 1), ("map129", 129))]
    queued(d, 5)
    o.release()
    assert o.wait(5) == ["high", "map129", "usual", "map1", "low"]
    for call in calls:
        assert end(call).code == 0


@test(workers="1")
def a_lone_task_waits_for_no_more_than_one_of_a_greedy_connection(d):
    o = Order(d, d.home)
    calls, maps, submits, lone = (d.client() for _ in range(4))
    for n in range(20):
        calls.send("call", ["exec.run", o.args(f"call{n}")])
    maps.send("map", ["exec.run", [o.args(f"map{n}")[0] for n in range(20)], {"chunk": 1}])
    for n in range(20):
        submits.request("submit", "exec.run", o.args(f"submit{n}"))
    until(lambda: d.request("pools")[0]["queued"] >= 41, "they wait")
    lone.send("call", ["exec.run", o.args("lone")])
    lone.request("ping")
    o.release()
    ran = o.wait(61)
    # Each of the three has its turn first, and may have a second one if that is shorter than usual.
    assert ran.index("lone") <= 9, ran
    for kind in ("call", "map", "submit"):
        assert [name for name in ran if name.startswith(kind)] == [f"{kind}{n}" for n in range(20)], ran
        assert ran.index(f"{kind}19") > 30, ran


@test(daemon=False)
def a_user_with_many_connections_gets_no_more_than_one_with_a_single_one(home):
    d = daemon_for_others(home, "[daemon]\nsocket_mode = 0666\n", workers="1")
    o = Order(d, home)
    greedy = [d.client() for _ in range(10)]
    for n in range(10):
        for i, c in enumerate(greedy):
            c.send("call", ["exec.run", o.args(f"root{i}.{n}")])
    queued(d, 100)

    def other():
        c = d.client()
        for n in range(10):
            c.request("submit", "exec.run", o.args(f"other{n}"))
        c.close()

    as_nobody(other)
    o.release()
    ran = o.wait(110)
    # By turns they would have run after 20; a connection's share would be one in eleven, and the last would end them all.
    assert ran.index("other9") < 60, ran
    assert ran.index("other0") < 10, ran
    d.finish()


@test(workers="1", config="[daemon]\n[pool default]\nmax_queue = 5\n")
def a_full_queue_keeps_out_nobody_who_has_no_task_in_it(d):
    o = Order(d, d.home)
    greedy, late, lone = d.client(), d.client(), d.client()
    for n in range(20):
        greedy.send("call", ["exec.run", o.args(f"call{n}")])
    queued(d, 5)
    for n in range(20):
        late.send("call", ["exec.run", o.args(f"late{n}")])
    lone.send("call", ["exec.run", o.args("lone")])
    queued(d, 7)
    o.release()
    ran = o.wait(41)
    assert ran.index("lone") <= 9, ran


@test(workers="2", timeout=120)
def no_short_task_waits_for_a_long_one(d):
    c = d.client()
    for msgid in [c.start("sys.sleep", 0) for _ in range(500)]:  # so that lanes are filled ahead
        c.reply(msgid)
    slow = d.client()
    slow_id = slow.start("sys.sleep", 60)
    short = [c.start("sys.sleep", 0) for _ in range(1000)]
    for msgid in short:
        c.reply(msgid)
    assert slow.request("cancel", {"msgid": slow_id}) is True, "it has not ended yet"


# ---- at its time, or never ---------------------------------------------------------------------------------------------


def wall_ms():
    return int(time.time() * 1000)


@test()
def a_task_starts_no_earlier_than_it_should(d):
    c = d.client()
    begin = wall_ms()
    tasks = [c.request("submit", "sys.pid", [], options) for options in (
        {"delay_ms": 400}, {"start_at_ms": begin + 400}, {"delay_ms": 1, "start_at_ms": begin + 400},
        {"delay_ms": 400, "start_at_ms": begin - 1000000})]
    assert [c.request("status", task)["state"] for task in tasks] == ["delayed"] * 4
    assert d.request("pools")[0]["queued"] == 4
    for task in tasks:
        assert c.request("result", task, 20000) > 0
        status = c.request("status", task)
        assert status["started_ms"] >= begin + 395, (status, begin)
    assert c.call("sys.pid", start_at_ms=begin - 1) > 0, "a time that is over is now"
    waits = c.start("sys.pid", delay_ms=3600000)
    c.request("ping")
    assert c.request("cancel", {"msgid": waits}) is True
    assert c.failure(waits).code == "E_CANCELLED"


@test(workers="1", config="[daemon]\n[pool default]\nmax_queue = 2\n")
def a_delayed_task_counts_as_a_waiting_one(d):
    c = d.client()
    tasks = [c.submit("sys.pid", delay_ms=3600000) for _ in range(2)]
    assert c.error("submit", "sys.pid", []).code == "E_BUSY"
    for task in tasks:
        assert c.request("cancel", task) is True
    assert c.request("result", c.submit("sys.pid"), 20000) > 0


@test(workers="1")
def a_task_that_waited_past_its_deadline_never_runs_and_says_so(d):
    o = Order(d, d.home)
    c = d.client()
    soon = {"expires_at_ms": wall_ms() + 50}
    call = c.send("call", ["exec.run", o.args("call"), {"queue_timeout_ms": 50}])
    mapped = c.send("map", ["exec.run", [o.args("map")[0]], soon])
    each = c.send("map", ["exec.run", [o.args("each")[0]], soon | {"each": True}])
    task = c.request("submit", "exec.run", o.args("submit"), soon)
    late = c.request("submit", "exec.run", o.args("late"), {"queue_timeout_ms": 1, "delay_ms": 60})
    kept = c.request("submit", "exec.run", o.args("kept"), {"queue_timeout_ms": 3600000})
    for msgid in (call, mapped):
        assert c.failure(msgid).code == "E_EXPIRED"
    assert c.reply(each)[0][0][1].startswith("E_EXPIRED"), "each item has its error"
    for id in (task, late):
        assert c.request("wait", id, 20000)["state"] == "expired"
        assert c.error("result", id).code == "E_EXPIRED"
    o.release()
    c.request("result", kept, 20000)
    assert o.ran() == ["kept"]
    assert d.request("stats")["tasks"]["overdue"] == 5
    assert c.error("call", "sys.pid", [], {"expires_at_ms": 1}).code == "E_EXPIRED", "though a worker is idle"
    assert c.call("sys.sleep", 0.2, queue_timeout_ms=100) is None, "the limit is for the time in the queue alone"


@test(workers="1")
def the_command_line_has_times(d):
    o = Order(d, d.home)
    ids = [mpool(d, "submit", "exec.run", f'"echo {name} >>{o.path}"', *words).out.strip() for name, words in (
        ("delay", ("--delay", "1ms")), ("at", ("--at", "@1")), ("expired", ("--expires", "2001-01-01 10:00")),
        ("timeout", ("--queue-timeout=10ms",)), ("tomorrow", ("--at", "@7999999999")))]
    for id, state in zip(ids[2:], ("expired", "expired")):
        assert mpool(d, "wait", id).code != 0
        assert d.request("status", int(id))["state"] == state
    assert d.request("status", int(ids[4]))["state"] == "delayed"
    for wrong in (("--at", "soon"), ("--expires", "25:00"), ("--delay", "-1"), ("--at", "@-5")):
        ran = mpool(d, "submit", "exec.run", '"true"', *wrong)
        assert ran.code == 125 and wrong[0] in ran.err, ran
    o.release()
    assert sorted(o.wait(2)) == ["at", "delay"]
    d.request("cancel", int(ids[4]))


# ---- paused ------------------------------------------------------------------------------------------------------------


@test(workers="2")
def a_paused_function_waits_and_holds_up_no_other(d):
    c = d.client()
    running = c.start("sys.sleep", 0.3)
    d.wait_worker(state="busy")
    assert c.request("pause", "default", "sys.sleep") is True
    assert c.request("pause", "default", "sys.sleep") is False
    waiting = [c.start("sys.sleep", 0) for _ in range(50)]
    assert c.call("math.square", 3) == 9, "it goes past those that wait, of the same connection"
    assert c.reply(running) is None, "what runs goes on"
    late = c.start("sys.sleep", 0, queue_timeout_ms=1)
    assert c.failure(late).code == "E_EXPIRED"
    assert d.request("pools")[0]["queued"] == 50
    assert [f["name"] for f in c.request("functions") if f["paused"]] == ["sys.sleep"]
    assert c.request("cancel", {"msgid": waiting[7]}) is True
    assert c.failure(waiting.pop(7)).code == "E_CANCELLED"
    assert c.request("resume", "default", "sys.sleep") is True
    assert c.request("resume", "default", "sys.sleep") is False
    for msgid in waiting:
        assert c.reply(msgid) is None


@test(workers="2")
def a_paused_pool_waits(d):
    c = d.client()
    assert c.request("pause", "default") is True
    waiting = [c.start("math.square", n) for n in range(50)]
    task = c.submit("sys.pid")
    assert c.error("result", task, 50).code == "E_NOT_READY"
    pool = d.request("pools")[0]
    assert pool["paused"] is True and pool["queued"] == 51 and pool["running"] == 0
    assert c.request("resume", "default") is True
    assert [c.reply(msgid) for msgid in waiting] == [n * n for n in range(50)]
    assert c.request("result", task, 20000) > 0
    assert d.request("pools")[0]["paused"] is False


@test(workers="1", descriptors=False)
def what_a_running_task_waits_for_is_not_paused(d):
    path = os.path.join(d.home, "child.py")
    with open(path, "w") as f:
        f.write("import sys\nsys.path.insert(0, sys.argv[1])\nfrom wire import Client\nc = Client(sys.argv[2])\n"
                "c.request('ping')\nsys.stdout.write('up\\n')\nsys.stdout.flush()\nsys.stdin.readline()\n"
                "print(c.call('math.square', 5))\n")
    gate = os.path.join(d.home, "gate")
    os.mkfifo(gate)
    c = d.client()
    msgid = c.start("exec.run", f"python3 {path} {os.path.dirname(os.path.abspath(__file__))} {d.path} <{gate}")
    fd = os.open(gate, os.O_WRONLY)
    assert c.request("pause", "default") is True
    os.write(fd, b"go\n")
    os.close(fd)
    assert b"25" in c.reply(msgid)["stdout"]
    assert c.request("resume", "default") is True


@test()
def a_daemon_with_paused_tasks_stops(d):
    c = d.client()
    assert c.request("pause", "default") is True
    calls = [c.start("sys.pid") for _ in range(3)] + [c.start("sys.pid", delay_ms=3600000)]
    queued(d, 4)
    d.signal(15)
    for msgid in calls:
        assert c.failure(msgid).code == "E_SHUTDOWN"
    d.wait_exit()


@test(daemon=False)
def only_administrators_pause(home):
    d = daemon_for_others(home, "[daemon]\nsocket_mode = 0666\n", workers="1")

    def other():
        c = d.client()
        for method in ("pause", "resume"):
            for params in (["default"], ["default", "sys.pid"], ["nothing"]):
                assert c.error(method, *params).code == "E_DENIED"

    as_nobody(other)
    c = d.client()
    assert c.error("pause", "nothing").code == "E_NO_POOL"
    assert c.error("pause", "default", "sys.nothing").code == "E_NO_FUNCTION"
    assert mpool(d, "pause", "default").code == 0
    assert "paused" in mpool(d, "pools").out
    assert "already" in mpool(d, "pause", "default").err
    assert mpool(d, "resume", "default", "--json").out == "true\n"
    assert mpool(d, "pause", "default", "sys.pid").code == 0
    assert mpool(d, "resume", "default", "sys.pid").code == 0
    assert mpool(d, "pause").code == 125
    d.finish()


if __name__ == "__main__":
    main()
