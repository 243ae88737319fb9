#!/usr/bin/python3
"""Processes of their own for one function each: start, end, exit codes, signals, who they live and die with, caps."""
import json
import os
import signal
import subprocess
import sys

from harness import HERE, MPOOL, RpcError, alive, descendants, main, test, until

FEW = "[daemon]\nmax_user_processes = 3\n[pool default]\nworkers = 1\nmax_processes = 2\n[pool other]\nworkers = 1\nmax_processes = 2\n"


def start(c, function, *args, **options):
    return c.request("spawn", function, list(args), options)


def ended(c, process):
    """Joins it → (exit code, state)."""
    status = c.wait(process["id"])
    assert status["alive"] is False and status["pid"] == process["pid"], status
    return status["exitcode"], status["state"]


@test(workers="1")
def a_function_runs_in_a_process_of_its_own_beside_the_workers(d):
    c = d.client()
    workers = d.worker_pids()
    p = start(c, "math.square", 7, name="seven")
    assert p["pid"] not in workers and p["name"] == "seven", p
    assert ended(c, p) == (0, "done")
    assert c.request("result", p["id"]) == 49
    until(lambda: not alive(p["pid"]), "it has gone")
    assert d.worker_pids() == workers


@test(workers="1")
def no_process_runs_a_second_function(d):
    c = d.client()
    pids = set()
    for i in range(20):
        p = start(c, "math.square", i)
        assert ended(c, p) == (0, "done")
        pids.add(p["pid"])
    assert len(pids) == 20


@test(workers="1")
def processes_run_while_every_worker_is_busy(d):
    c = d.client()
    busy = c.start("sys.sleep", 600)
    d.wait_worker(state="busy")
    running = [start(c, "sys.sleep", 600) for _ in range(5)]
    assert all(alive(p["pid"]) for p in running)
    assert ended(c, start(c, "math.square", 2)) == (0, "done")
    for p in running:
        assert c.request("signal", p["id"], "KILL") is True
        assert ended(c, p) == (-9, "lost")
    c.request("cancel", {"msgid": busy})


@test()
def join_has_a_time_out(d):
    c = d.client()
    p = start(c, "sys.sleep", 600)
    e = c.error("wait", p["id"], 10)
    assert e.code == "E_NOT_READY", e
    status = c.request("status", p["id"])
    assert status["alive"] is True and status["exitcode"] is None and status["daemonic"] is True, status
    c.request("signal", p["id"], "TERM")
    assert ended(c, p) == (-15, "lost")


@test(workers="1", modules=["nest"])
def an_exit_is_told_and_is_no_crash(d):
    c = d.client()
    for _ in range(10):  # more than would throttle a pool
        assert ended(c, start(c, "nest.leave", 3)) == (3, "failed")
        assert ended(c, start(c, "nest.leave", 0)) == (0, "done")
    p = start(c, "nest.leave", 3)
    c.wait(p["id"])
    e = c.error("result", p["id"])
    assert e.code == "E_FAILED" and "exited with status 3" in e.text, e
    assert d.request("pools")[0]["state"] == "serving"


@test()
def a_failure_is_exit_code_1_as_an_exception_is(d):
    c = d.client()
    p = start(c, "math.square", "seven")
    assert ended(c, p) == (1, "failed")
    assert c.error("result", p["id"]).code == "E_BAD_ARGS"


@test()
def signals_are_told_by_name_or_number_and_refused_when_there_is_none(d):
    c = d.client()
    for word, number in (("TERM", 15), ("SIGINT", 2), ("kill", 9), (10 + 2, 12)):
        p = start(c, "sys.sleep", 600)
        until(lambda: d.workers(pid=p["pid"], state="busy"), "it runs")
        assert c.request("signal", p["id"], word) is True
        assert ended(c, p) == (-number, "lost")
        assert c.request("signal", p["id"], word) is False
    p = start(c, "sys.sleep", 600)
    for word in ("", "NOSUCH", 0, 65, -1, 1 << 40, None, ["TERM"]):
        e = c.error("signal", p["id"], word)
        assert e.code == "E_BAD_PARAMS", (word, e)
    assert c.error("signal", 1, "TERM").code == "E_NO_TASK"
    plain = c.submit("sys.sleep", 600)
    assert c.error("signal", plain, "TERM").code == "E_BAD_PARAMS"
    c.request("cancel", plain)
    assert c.request("cancel", p["id"]) is True
    code, state = ended(c, p)
    assert state == "cancelled"


@test()
def a_signal_right_after_the_start_ends_it_whether_it_runs_already_or_not(d):
    c = d.client()
    for _ in range(50):
        p = start(c, "sys.sleep", 600)
        assert c.request("signal", p["id"], "TERM") is True
        assert ended(c, p)[0] == -15


@test(workers="1")
def one_killed_right_after_its_start_has_ended(d):
    """Mostly the signal comes before the process has looked at its task: nobody else may run that in its place."""
    c = d.client()
    for number in (signal.SIGKILL, signal.SIGTERM):
        for _ in range(20):
            p = start(c, "sys.sleep", 600)
            os.kill(p["pid"], number)
            assert ended(c, p) == (-number, "lost")
            assert c.error("result", p["id"]).code == "E_LOST"


@test(config="[daemon]\ncancel_grace = 100ms\n[pool default]\nworkers = 1\n", workers=None)
def one_stopped_right_after_its_start_keeps_its_task(d):
    c = d.client()
    stopped = []
    for _ in range(5):
        p = start(c, "sys.sleep", 0.5)
        os.kill(p["pid"], signal.SIGSTOP)
        stopped.append(p)
    late = start(c, "sys.sleep", 600, timeout_ms=100)
    os.kill(late["pid"], signal.SIGSTOP)
    assert ended(c, late) == (-9, "timeout")
    for p in stopped:
        os.kill(p["pid"], signal.SIGCONT)
    for p in stopped:
        assert ended(c, p) == (0, "done")


@test(workers="1")
def one_cancelled_before_it_looked_at_its_task_is_never_used_again(d):
    c = d.client()
    for _ in range(20):
        p = start(c, "sys.sleep", 600)
        assert c.request("cancel", p["id"]) is True
        assert ended(c, p) == (-9, "cancelled")
        other = start(c, "math.square", 2)
        assert other["pid"] != p["pid"] and ended(c, other) == (0, "done")


@test()
def a_time_out_ends_it(d):
    c = d.client()
    p = start(c, "sys.sleep", 600, timeout_ms=50)
    assert ended(c, p) == (-9, "timeout")
    assert c.error("result", p["id"]).code == "E_TIMEOUT"


STARTER = """
import sys; sys.path.insert(0, sys.argv[1])
from wire import Client
c = Client(sys.argv[2])
for daemonic in (True, False):
    print(c.request("spawn", "sys.sleep", [600], {"daemonic": daemonic, "output": True})["pid"], flush=True)
sys.stdin.read()
"""


@test()
def a_daemonic_one_dies_with_its_starter_and_another_lives_on(d):
    starter = subprocess.Popen([sys.executable, "-c", STARTER, HERE, d.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    daemonic, other = int(starter.stdout.readline()), int(starter.stdout.readline())
    assert alive(daemonic) and alive(other)
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    starter.stdin.close()
    starter.stdout.close()
    until(lambda: not alive(daemonic), "the daemonic one has died")
    c = d.client()
    left = [p for p in c.request("list", {"process": True}) if p["alive"]]
    assert [p["pid"] for p in left] == [other] and alive(other), left
    assert c.request("signal", left[0]["id"], "TERM") is True
    assert c.wait(left[0]["id"])["exitcode"] == -15


FORKED = STARTER.replace("sys.stdin.read()", """
import os
if os.fork() == 0:
    os.close(1)
sys.stdin.read()
""")


@test()
def a_daemonic_one_dies_with_its_starter_whose_child_holds_the_connection_open(d):
    starter = subprocess.Popen([sys.executable, "-c", FORKED, HERE, d.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    daemonic, other = int(starter.stdout.readline()), int(starter.stdout.readline())
    child = until(lambda: descendants(starter.pid), "it has forked")[0][0]
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    until(lambda: not alive(daemonic), "the daemonic one has died")
    assert alive(child) and alive(other)
    starter.stdin.close()
    starter.stdout.close()
    until(lambda: not alive(child), "the child has gone, too")
    c = d.client()
    (left,) = [p for p in c.request("list", {"process": True}) if p["alive"]]
    assert c.request("signal", left["id"], "KILL") is True
    c.wait(left["id"])


@test()
def hundreds_started_and_killed_at_once_leave_nothing(d):
    clients = [d.client() for _ in range(6)]
    ids = [[] for _ in clients]
    for i in range(300):
        c, mine = clients[i % 6], ids[i % 6]
        try:
            mine.append(start(c, ("sys.sleep", "math.square", "sys.crash")[i // 6 % 3], 9, daemonic=bool(i % 2))["id"])
        except RpcError as e:
            assert e.code == "E_BUSY", e
        if i % 4 == 3:
            for id_ in mine[-3:]:
                c.request("signal", id_, ("KILL", "TERM")[i % 8 // 4])
    for c, mine in zip(clients[:3], ids):
        for id_ in mine:
            c.request("signal", id_, "KILL")
            status = c.wait(id_)
            assert status["alive"] is False and status["exitcode"] in (0, -9, -15), status
    for c in clients[3:]:
        c.close()  # the daemonic ones of these end with them
    c = clients[0]
    for p in c.request("list", {"process": True}):
        if p["alive"] and not p["daemonic"]:
            c.request("signal", p["id"], "KILL")
    until(lambda: d.request("pools")[0]["processes"] == 0, "all have gone")


@test()
def one_that_prints_faster_than_its_starter_reads_ends_with_it(d):
    c = d.client()
    p = start(c, "exec.run", ["yes"], {"output": True}, output=True)
    c.receive()  # it prints
    c.close()
    until(lambda: not alive(p["pid"]), "it has ended")


@test(config=FEW, workers=None)
def one_beyond_the_caps_is_refused_and_there_is_room_again_when_one_has_ended(d):
    c = d.client()
    a, b = (start(c, "sys.sleep", 600, pool="default") for _ in range(2))
    e = c.error("spawn", "sys.sleep", [600], {"pool": "default"})
    assert e.code == "E_BUSY" and "max_processes = 2" in e.text, e
    other = start(c, "sys.sleep", 600, pool="other")
    e = c.error("spawn", "sys.sleep", [600], {"pool": "other"})
    assert e.code == "E_BUSY" and "max_user_processes = 3" in e.text, e
    c.request("signal", a["id"], "KILL")
    ended(c, a)
    third = start(c, "sys.sleep", 600, pool="default")
    for p in (b, other, third):
        c.request("signal", p["id"], "KILL")
        ended(c, p)


@test(config="[daemon]\n[pool default]\nworkers = 1\nmax_processes = 0\n", workers=None)
def a_pool_may_refuse_processes_altogether(d):
    e = d.client().error("spawn", "math.square", [2])
    assert e.code == "E_DENIED" and "max_processes" in e.text, e


@test(workers="1", modules=["nest"])
def what_it_prints_goes_to_its_starter_who_asked_and_to_the_log_else(d):
    c = d.client()
    p = start(c, "nest.leave", 3, output=True)
    assert ended(c, p)[0] == 3
    assert ["process_output", [p["id"], 1, b"leaving with 3"]] in [list(n) for n in c.notes], c.notes
    p = start(c, "nest.leave", 4)
    assert ended(c, p)[0] == 4
    d.wait_log("leaving with 4")


@test(workers="1", modules=["nest"])
def a_process_may_call_its_own_pool(d):
    c = d.client()
    p = start(c, "nest.relay", "math.square", [9])
    assert ended(c, p) == (0, "done") and c.request("result", p["id"]) == 81


@test()
def bad_requests_are_told_what_is_wrong(d):
    c = d.client()
    assert c.error("spawn", "no.such").code == "E_NO_FUNCTION"
    assert c.error("spawn", 7).code == "E_BAD_PARAMS"
    assert c.error("spawn", "math.square", 7).code == "E_BAD_PARAMS"
    for options in ({"attempts": 2}, {"daemonic": 1}, {"name": "x" * 129}, {"timeout_ms": 0}, {"nope": 1}):
        assert c.error("spawn", "math.square", [7], options).code == "E_BAD_PARAMS", options
    assert c.error("submit", "math.square", [7], {"daemonic": True}).code == "E_BAD_PARAMS"


@test(config="[daemon]\nstop_grace = 0\n")
def those_that_live_when_the_daemon_stops_are_ended(d):
    c = d.client()
    p = start(c, "sys.sleep", 600, daemonic=False)
    assert d.stop() == 0
    assert not alive(p["pid"])


@test(config="[daemon]\n[pool default]\nworkers = 1\n", workers=None)
def one_that_runs_is_left_alone_by_a_reload(d):
    c = d.client()
    p = start(c, "sys.sleep", 600)
    generation = d.workers(process=False)[0]["generation"]
    d.write_config("[daemon]\n[pool default]\nworkers = 1\nnice = 1\n")
    d.signal(signal.SIGHUP)
    until(lambda: all(w["generation"] > generation + 1 for w in d.workers(process=False)), "the workers are new")
    assert alive(p["pid"])
    q = start(c, "math.square", 3)
    assert ended(c, q) == (0, "done")
    c.request("signal", p["id"], "TERM")
    assert ended(c, p)[0] == -15


def mpool(d, *words):
    return subprocess.run([MPOOL, "--socket", d.path, *words], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)


@test()
def the_command_line_starts_lists_and_kills_them(d):
    started = mpool(d, "spawn", "sys.sleep", "600", "--name", "watcher")
    assert started.returncode == 0, started
    id_ = started.stdout.strip()
    listed = mpool(d, "ps")
    assert "watcher" in listed.stdout and "sys.sleep" in listed.stdout and id_ in listed.stdout, listed
    (process,) = json.loads(mpool(d, "ps", "--json").stdout)
    assert process["alive"] and str(process["id"]) == id_ and str(process["pid"]) in listed.stdout, process
    assert mpool(d, "ps", "--ids").stdout.split() == [id_]
    killed = mpool(d, "kill", "-s", "INT", id_)
    assert (killed.returncode, killed.stdout, killed.stderr) == (0, "", ""), killed
    assert mpool(d, "wait", id_).returncode == 1
    assert mpool(d, "ps").stdout == "" and json.loads(mpool(d, "ps", "--json").stdout) == []
    assert "SIGINT" in mpool(d, "ps", "--ended").stdout
    assert "had ended already" in mpool(d, "kill", "-s", "9", id_).stderr
    bad = mpool(d, "kill", "-s", "NOSUCH", id_)
    assert bad.returncode == 125 and "there is no signal 'NOSUCH'" in bad.stderr, bad
    for words in (["-9", "@"], ["@", "-KILL"], ["-SIGKILL", "@"], ["-s9", "@"]):
        id_ = mpool(d, "spawn", "sys.sleep", "600").stdout.strip()
        killed = mpool(d, "kill", *[id_ if w == "@" else w for w in words])
        assert (killed.returncode, killed.stderr) == (0, ""), killed
        assert "SIGKILL" in mpool(d, "wait", id_).stderr
    for words in (["kill", "x"], ["kill", "99"], ["kill"]):
        bad = mpool(d, *words)
        assert bad.returncode == 125 and "process" in bad.stderr and "`mpool ps`" in bad.stderr, bad


@test(modules=["nest"])
def a_joined_one_prints_and_ends_as_if_it_ran_here(d):
    done = mpool(d, "spawn", "--join", "nest.leave", "3")
    assert (done.returncode, done.stdout, done.stderr) == (3, "leaving with 3", ""), done
    done = mpool(d, "spawn", "-j", "math.square", "seven")
    assert done.returncode == 1 and "E_BAD_ARGS" in done.stderr, done
    done = mpool(d, "spawn", "-j", "sys.crash", "15")
    assert done.returncode == 128 + 15, done
    done = mpool(d, "spawn", "-j", "--timeout", "100ms", "sys.sleep", "600")
    assert done.returncode == 124 and "E_TIMEOUT" in done.stderr, done


if __name__ == "__main__":
    main()
