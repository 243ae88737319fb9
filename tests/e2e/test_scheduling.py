#!/usr/bin/python3
"""Which task runs next? Priorities, turns between users and connections. What ran is read from a file that it wrote."""
import os

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


if __name__ == "__main__":
    main()
