#!/usr/bin/python3
"""Shared objects in use: by the command line's verbs, by functions in workers, and by processes that are killed."""
import json
import os
import re
import signal
import subprocess
import time

from cli_tools import end, environment, mpool, start
from harness import MPOOL, Skip, alive, main, test, until
from pages import Object


def holders(d, name):
    return [p["pid"] for p in d.request("inspect", name)["clients"] if p["holds"]]


def wait_held(d, name):
    """Waits until somebody holds it. → pid"""

    def held():
        known = [o["name"] for o in d.request("objects")]
        return holders(d, name) if name in known else []

    return until(held, f"somebody holds {name}")[0]


def wait_open(d, name, count):
    until(lambda: len(d.request("inspect", name)["clients"]) == count, f"{count} have {name} open")


# ---- lock -----------------------------------------------------------------------------------------------------------


@test()
def lock_runs_the_command_and_has_its_status(d):
    ran = mpool(d, "lock", "l", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (ran.code, ran.out, ran.err) == (7, "out\n", "err\n"), ran
    assert mpool(d, "lock", "l", "echo", "-n", "x").out == "x", "the command's options are its own"
    assert mpool(d, "lock", "-w", "5", "l", "echo", "x").out == "x\n", "options may stand before the name"
    assert mpool(d, "lock", "l", "--", "sh", "-c", "kill -9 $$").code == 128 + 9
    assert mpool(d, "lock", "l", "--", "/nonexistent/x").code == 127
    assert mpool(d, "lock", "l", "--", "/").code == 126
    assert holders(d, "l") == []


@test()
def lock_keeps_others_out_and_says_so_by_its_status(d):
    first = start(d, "lock", "l", "--", "cat", stdin=subprocess.PIPE)
    wait_held(d, "l")
    ran = mpool(d, "lock", "l", "-n", "--", "echo", "no")
    assert ran.code == 1 and not ran.out and "'l'" in ran.err, ran
    ran = mpool(d, "lock", "l", "-w", "10ms", "-E", "75", "--", "echo", "no")
    assert ran.code == 75 and not ran.out, ran
    ran = mpool(d, "-q", "lock", "l", "--timeout", "10ms", "--", "echo", "no")
    assert ran.code == 1 and not ran.err, ran
    second = start(d, "lock", "l", "--", "echo", "yes")
    wait_open(d, "l", 2)
    assert end(first, b"").code == 0
    ran = end(second)
    assert (ran.code, ran.out, ran.err) == (0, "yes\n", ""), ran


@test()
def who_waits_for_a_lock_and_since_when_it_is_held_is_shown(d):
    def waiting():
        return [p["pid"] for p in d.request("inspect", "l")["clients"] if p["waits"]]

    first = start(d, "lock", "l", "--close", "--", "cat", stdin=subprocess.PIPE)
    wait_held(d, "l")
    assert d.request("inspect", "l")["held_since_ms"] is None and waiting() == []
    before = int(time.time() * 1000)
    second, third = (start(d, "lock", "l", "--close", "--", *w, stdin=subprocess.PIPE) for w in (["cat"], ["true"]))
    until(lambda: set(waiting()) == {second.pid, third.pid}, "both are shown")
    since = d.request("inspect", "l")["held_since_ms"]
    assert before - 1000 <= since <= int(time.time() * 1000), since
    shown = mpool(d, "inspect", "l")
    assert shown.code == 0 and "held since" in shown.out and shown.out.count(" waits\n") == 2, shown
    third.kill()
    third.communicate()
    until(lambda: waiting() == [second.pid], "the dead waits no more")
    assert end(first, b"").code == 0
    until(lambda: holders(d, "l") == [second.pid], "it has gone on")
    assert waiting() == [] and d.request("inspect", "l")["held_since_ms"] >= since
    assert end(second, b"").code == 0


@test()
def a_killed_holder_leaves_the_lock_to_the_next_who_is_told(d):
    first = start(d, "lock", "l", "--close", "--", "sh", "-c", "echo $$; exec sleep 1000")
    command = int(first.stdout.readline())
    second = start(d, "lock", "l", "--close", "--", MPOOL, "inspect", "l", "--json")
    wait_open(d, "l", 2)
    assert holders(d, "l") == [first.pid]
    first.kill()
    first.communicate()
    ran = end(second)
    assert ran.code == 0 and "abandoned" in ran.err, ran
    told = json.loads(ran.out)
    assert [p["pid"] for p in told["clients"] if p["holds"]] == [second.pid] and told["fence"] == 2, told
    until(lambda: not alive(command), "the command has gone with its lock")
    ran = mpool(d, "lock", "l", "true")
    assert ran.code == 0 and not ran.err, "it is told once"


@test()
def a_lock_is_held_as_long_as_anything_of_its_command_runs(d):
    """Whether mpool is killed, or the command has ended and left something behind: in another session, without our descriptors."""
    left = "setsid sh -c 'trap \"\" HUP TERM INT; echo > ready; read x < gate' >/dev/null 2>&1 & echo $$ $!"
    for verb, name in (("lock", "l"), ("sem", "s")):
        gate = os.path.join(d.home, "gate")
        os.mkfifo(gate)
        for killed in (True, False):
            first = start(d, verb, name, "--", "sh", "-c", left + ("; wait" if killed else "; exit 7"), cwd=d.home)
            command, child = (int(n) for n in first.stdout.readline().split())
            until(lambda: os.path.exists(os.path.join(d.home, "ready")), "what it leaves behind runs")
            os.unlink(os.path.join(d.home, "ready"))
            if killed:
                first.kill()
                first.wait()
                assert alive(command), "it goes on"
                os.kill(command, signal.SIGKILL)
                first.communicate()
            else:
                assert end(first).code == 7  # the command's status comes at once
            ran = mpool(d, verb, name, "--nonblock", "--", "true")
            assert ran.code == 1 and "timed out" in ran.err, (verb, killed, ran)
            second = start(d, verb, name, "--", "echo", "next")
            wait_open(d, name, 2)
            with open(gate, "w") as f:
                f.write("go\n")
            ran = end(second)
            assert (ran.code, ran.out, ran.err) == (0, "next\n", ""), (verb, killed, ran)
            until(lambda: not alive(child), "it has ended")  # noqa: B023
        os.unlink(gate)


@test()
def a_lock_that_nobody_waits_for_any_more_is_not_taken(d):
    first = start(d, "lock", "l", "--", "cat", stdin=subprocess.PIPE)
    wait_held(d, "l")
    second = start(d, "lock", "l", "--", "touch", "ran", cwd=d.home)
    wait_open(d, "l", 2)
    second.kill()
    second.communicate()
    wait_open(d, "l", 1)
    assert end(first, b"").code == 0
    assert not os.path.exists(os.path.join(d.home, "ran"))


@test()
def a_keeper_that_is_killed_leaves_the_lock_to_the_next(d):
    first = start(d, "lock", "l", "--", "sh", "-c", "echo $$; exec sleep 1000")
    command = int(first.stdout.readline())
    keeper, = holders(d, "l")
    assert keeper != first.pid
    os.kill(keeper, signal.SIGKILL)
    ran = end(first)
    assert ran.code == 137 and "was killed" in ran.err, ran
    until(lambda: not alive(command), "the command has gone with its lock")
    ran = mpool(d, "lock", "l", "true")
    assert ran.code == 0 and "abandoned" in ran.err, ran


@test()
def signals_reach_the_command(d):
    ran = start(d, "lock", "l", "--", "sh", "-c", "trap 'echo caught; exit 3' TERM; echo ready; while :; do sleep 0.01; done")
    assert ran.stdout.readline() == b"ready\n"
    ran.send_signal(signal.SIGTERM)
    out = end(ran)
    assert (out.code, out.out) == (3, "caught\n"), out


@test(daemon=True)
def a_lock_is_made_as_it_is_told(d):
    assert mpool(d, "lock", "l", "--mode", "0660", "--ttl", "1h", "--", "true").code == 0
    told = d.request("inspect", "l")
    assert told["mode"] == 0o660 and told["ttl_ms"] == 3600000
    assert mpool(d, "lock", "year", "--group", os.getgid(), "--ttl", "365d", "--", "true").code == 0
    assert d.request("inspect", "year")["ttl_ms"] == 365 * 86400000
    mpool(d, "remove", "year")
    for words, said in (([], "name"), (["l"], "command"), (["l", "--"], "command"), (["l", "-m", "777", "true"], "mode"),
                        (["l", "-m", "rw", "true"], "mode"), (["l", "-w", "x", "true"], "time"), (["a b", "true"], "name 'a b'"),
                        (["l", "--nope", "true"], "nope"), (["l", "--ttl", "10ms", "true"], "ttl"),
                        (["new", "-g", "nosuchgroup", "true"], "--group: there is no group 'nosuchgroup'")):
        ran = mpool(d, "lock", *words)
        assert ran.code == 125 and said in ran.err, (words, ran)
    assert [o["name"] for o in d.request("objects")] == ["l"]


@test()
def a_counter_behind_a_lock_is_exact(d):
    script = 'n=$(cat count); echo $((n + 1)) > count'
    with open(os.path.join(d.home, "count"), "w") as f:
        f.write("0\n")
    running = [start(d, "lock", "l", "--", "sh", "-c", script, cwd=d.home) for _ in range(30)]
    assert all(end(p).code == 0 for p in running)
    with open(os.path.join(d.home, "count")) as f:
        assert f.read() == "30\n"


# ---- sem, value, the rest -------------------------------------------------------------------------------------------


@test()
def sem_lets_so_many_run_at_a_time(d):
    two = [start(d, "sem", "s", "-n", "2", "--close", "--", "cat", stdin=subprocess.PIPE) for _ in range(2)]
    until(lambda: d.request("objects") and len(holders(d, "s")) == 2, "two of them run")
    ran = mpool(d, "sem", "s", "--nonblock", "-E", "9", "--", "echo", "no")
    assert ran.code == 9 and not ran.out, ran
    third = start(d, "sem", "s", "-n", "2", "--", "echo", "yes")
    wait_open(d, "s", 3)
    two[0].kill()
    two[0].communicate()
    ran = end(third)
    assert (ran.code, ran.out) == (0, "yes\n") and "abandoned" in ran.err, ran
    assert end(two[1], b"").code == 0
    assert d.request("inspect", "s")["free"] == 2


@test()
def value_is_read_and_changed(d):
    for words, code, out in ((["get", "v"], 125, ""), (["set", "v", "5"], 0, ""), (["get", "v"], 0, "5\n"), (["add", "v", "-7"], 0, "-2\n"),
                             (["add", "v"], 125, ""), (["cas", "v", "-2", "9"], 0, ""), (["cas", "v", "-2", "1"], 1, "9\n"),
                             (["set", "v", "1.5"], 125, ""), (["set", "v", "9223372036854775807"], 0, ""),
                             (["set", "v", "9223372036854775808"], 125, ""), (["get", "v"], 0, "9223372036854775807\n"),
                             (["set", "b", "255", "--type", "u8"], 0, ""), (["set", "b", "256"], 125, ""), (["set", "b", "-1"], 125, ""),
                             (["add", "b", "1"], 0, "0\n"), (["add", "v", "1"], 0, "-9223372036854775808\n"),
                             (["set", "f", "0.5", "--type", "f64"], 0, ""), (["add", "f", "0.25"], 0, "0.75\n"),
                             (["add", "n", "1"], 0, "1\n"), (["sub", "n", "1"], 125, ""), ([], 125, ""), (["set", "n", "x"], 125, ""),
                             (["set", "n", "1", "--type", "i7"], 125, "")):
        ran = mpool(d, "value", *words)
        assert (ran.code, ran.out) == (code, out), (words, ran)
        assert bool(ran.err) == (code == 125), (words, ran)


@test()
def a_number_that_does_not_fit_is_said_and_makes_nothing(d):
    for words, said in ((["set", "ratio", "0.75"], "'0.75' is not an i64; --type f64 makes a value for fractions"),
                        (["add", "ratio", "1e3"], "'1e3' is not an i64"), (["set", "ratio", "256", "--type", "u8"], "'256' is too large for 'ratio', a u8"),
                        (["set", "ratio", "-129", "--type", "i8"], "'-129' is too small for 'ratio', an i8"),
                        (["set", "ratio", "100000000000000000000"], "is too large for 'ratio', an i64"),
                        (["set", "ratio", "1e999", "--type", "f64"], "is too large for 'ratio', an f64"),
                        (["set", "ratio", "1e99", "--type", "f32"], "is too large for 'ratio', an f32"),
                        (["set", "ratio", "one"], "'one' is not a number")):
        ran = mpool(d, "value", *words)
        assert ran.code == 125 and said in ran.err, (words, ran)
        assert d.request("objects") == [], words
    assert mpool(d, "value", "set", "ratio", "0.75", "--type", "f64").code == 0
    assert mpool(d, "value", "add", "ratio", "0.25").out == "1\n"
    assert mpool(d, "value", "set", "big", "100000000000000000000", "--type", "f64").code == 0
    assert mpool(d, "value", "get", "big").out == "1e+20\n"
    mpool(d, "value", "set", "n", "1")
    ran = mpool(d, "value", "set", "n", "0.5")
    assert ran.code == 125 and "'n' is: give a whole number, or remove it first" in ran.err, ran
    assert mpool(d, "value", "get", "n").out == "1\n"


@test(daemon=True, config="[daemon]\nsocket_mode = 0666\n")
def who_may_only_read_a_value_is_told_so(d):
    if os.getuid() != 0:
        raise Skip("needs root")
    for directory in (d.home, os.path.dirname(d.path)):
        os.chmod(directory, 0o755)
    assert mpool(d, "value", "set", "v", "5", "--mode", "0644").code == 0
    other = {"user": 65534, "group": 65534, "extra_groups": []}
    assert mpool(d, "value", "get", "v", **other).out == "5\n"
    assert re.search(r"^number +5$", mpool(d, "inspect", "v", **other).out, re.M)
    for words in (["set", "v", "6"], ["add", "v", "1"], ["cas", "v", "5", "6"]):
        ran = mpool(d, "value", *words, **other)
        assert ran.code == 125 and ran.err == "mpool: value: you may only read 'v', not change it\n", ran


@test()
def additions_of_many_processes_at_once_are_exact(d):
    running = [start(d, "value", "add", "v", str(i)) for i in range(40)]
    assert all(end(p).code == 0 for p in running)
    assert mpool(d, "value", "get", "v").out == f"{sum(range(40))}\n"


@test()
def objects_and_inspect_show_what_there_is(d):
    assert "no shared objects" in mpool(d, "objects").err
    mpool(d, "value", "set", "v", "5")
    c = d.client()
    o = Object(c, "lock", "l")
    anonymous = Object(c, "event")
    o.hold()
    ran = mpool(d, "objects")
    assert ran.code == 0 and [line.split()[:2] for line in ran.lines[1:]] == [["v", "value"], ["l", "lock"], [anonymous.handle, "event"]], ran
    assert mpool(d, "objects", "--names").out == "v\nl\n"
    assert [x["kind"] for x in json.loads(mpool(d, "objects", "--json").out)] == ["value", "lock", "event"]
    ran = mpool(d, "inspect", "l")
    assert ran.code == 0 and any(line.split()[0] == str(os.getpid()) and line.split()[-1] == "yes" for line in ran.lines if line.split()), ran
    assert mpool(d, "inspect", anonymous.handle).code == 0
    assert "E_NO_OBJECT" in mpool(d, "inspect", "nosuch").err
    assert mpool(d, "inspect").code == 125
    ran = mpool(d, "remove", "v", "nosuch", "l")
    assert ran.code == 125 and "nosuch" in ran.err, ran
    assert mpool(d, "objects", "--names").out == ""


@test()
def inspect_shows_what_the_kind_has(d):
    mpool(d, "value", "set", "v", "-5")
    mpool(d, "value", "set", "r", "2.5", "--type", "f64")
    mpool(d, "sem", "s", "-n", "3", "true")
    mpool(d, "lock", "l", "true")
    objects = [Object(d.client(), "event", "event"), Object(d.client(), "barrier", "barrier", parties=2)]
    shown = {name: dict(line.split(None, 1) for line in mpool(d, "inspect", name).lines if line) for name in ("v", "r", "s", "l", "event", "barrier")}
    common = {"object", "kind", "owner", "made", "waiters", "PID"}
    shown = {name: {k: v for k, v in facts.items() if not k.isdigit()} for name, facts in shown.items()}
    assert shown["v"]["number"] == "-5" and shown["v"]["type"] == "i64" and shown["r"]["number"] == "2.5", shown
    for name, wanted in (("s", {"capacity", "free", "held", "abandoned", "fence"}), ("l", {"held", "abandoned", "fence"}),
                         ("event", {"set"}), ("barrier", {"parties", "broken"})):
        assert set(shown[name]) - common == wanted, (name, shown[name])
    assert objects


# ---- in workers -----------------------------------------------------------------------------------------------------


@test(modules=("sharer",), workers="4", descriptors=False)  # workers keep their connections
def functions_use_the_objects_that_they_are_given(d):
    c = d.client()
    lock, value = Object(c, "lock"), Object(c, "value", "total")
    assert c.map("sharer.add", [[lock.handle, "total", 1, 0]] * 200, star=True) == [0] * 200
    assert mpool(d, "value", "get", "total").out == "200\n"
    assert lock.word() == 0
    e = c.call_error("sharer.add", "no name", "total", 1, 0)
    assert e.code == "E_FAILED" and "E_BAD_PARAMS" in e.text, e


@test(modules=("sharer",), workers="2", descriptors=False)
def a_task_that_is_killed_while_it_holds_a_lock_blocks_nobody(d):
    c = d.client()
    lock, value = Object(c, "lock"), Object(c, "value", "total")
    for round in range(10):
        assert c.call_error("sharer.add", lock.handle, "total", 1, 1).code == "E_LOST"
        assert c.call("sharer.add", lock.handle, "total", 1, 0) == 1, "the next one is told that it was abandoned"
        assert c.call("sharer.add", lock.handle, "total", 1, 0) == 0
    assert mpool(d, "value", "get", "total").out == "20\n"


# ---- the end of the daemon ------------------------------------------------------------------------------------------


@test(descriptors=False)
def who_waits_hears_that_the_daemon_has_gone(d):
    holder = start(d, "lock", "l", "--", "cat", stdin=subprocess.PIPE)
    wait_held(d, "l")
    waiter = start(d, "lock", "l", "--", "echo", "no")
    wait_open(d, "l", 2)
    d.kill()
    ran = end(waiter)
    assert ran.code == 125 and not ran.out and ran.err, ran
    ran = end(holder)
    assert ran.code == 123 and "lock 'l' was lost" in ran.err, ran


@test(descriptors=False)
def the_command_of_a_lost_lock_gets_sigterm_and_mpool_does_not_succeed(d):
    """Whether the daemon is stopped or killed; and a command that goes on has lost the lock all the same."""
    script = "trap 'echo told; kill -9 $!; exit 0' TERM; echo runs; sleep 1000 & wait"
    holders = [start(d, verb, name, "--", "sh", "-c", script) for verb, name in (("lock", "l"), ("sem", "s"))]
    deaf = start(d, "lock", "deaf", "--", "sh", "-c", "trap '' TERM; echo runs; read x; exit 0", stdin=subprocess.PIPE)
    for running in (*holders, deaf):
        assert running.stdout.readline() == b"runs\n"
    d.stop()
    for running in holders:
        ran = end(running)
        assert (ran.code, ran.out) == (123, "told\n") and "was lost" in ran.err, ran
    assert deaf.poll() is None, "it is waited for"
    ran = end(deaf, b"\n")
    assert ran.code == 123 and "was lost" in ran.err, ran


if __name__ == "__main__":
    main()
