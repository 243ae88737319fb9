#!/usr/bin/python3
"""What happens when workers die, hang, crash, grow, idle, or outlive their supervisor?"""
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time

from harness import (SLOW, TEST_MODULES, Daemon, RpcError, Skip, alive, descendants, main, need_root, no_process_left, process_table,
                     reap, test, until)


def lost(c, msgid):
    try:
        raise AssertionError(f"answered with {c.reply(msgid)!r}")
    except RpcError as e:
        assert (e.kind, e.code) == (0, "E_LOST"), e
        return e


# ---- death -------------------------------------------------------------------------------------------------------------


@test()
def a_worker_killed_while_idle_is_replaced_at_once(d):
    c = d.client()
    victims = d.worker_pids()
    for _ in range(3):
        c.map("math.square", list(range(100)))  # proven workers: their death throttles nothing
    started = time.monotonic()
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(d.worker_pids() - victims) == 2 and not d.worker_pids() & victims, "both are replaced")
    assert time.monotonic() - started < 2 * SLOW
    assert c.call("math.square", 3) == 9


@test()
def a_worker_killed_in_a_task_yields_the_verdict_within_milliseconds(d):
    c = d.client()
    msgid = c.start("sys.sleep", 60)
    victim = d.wait_worker(state="busy")
    started = time.monotonic()
    os.kill(victim["pid"], signal.SIGKILL)
    e = lost(c, msgid)
    assert time.monotonic() - started < 0.5 * SLOW
    want = rf"E_LOST: worker {victim['id']} \(pid {victim['pid']}\) was killed by SIGKILL while running sys\.sleep \(attempt 1 of 1, \d+\.\d+ s CPU, peak \d+ KiB\)$"
    assert re.match(want, e.text), e
    line = d.wait_log(rf"worker.*died.*pid={victim['pid']}|worker.*died.*{victim['pid']}")
    assert line


@test()
def an_exit_in_a_task_is_told_from_a_signal(d):
    c = d.client()
    task = c.submit("sys.crash", {"exit": 3})
    status = c.wait(task)
    assert status["verdict"]["exit"] == 3 and status["verdict"]["signal"] is None, status
    assert "3" in status["error"], status


@test(modules=["trial"])
def processor_time_and_peak_memory_of_the_dead_are_told(d):
    c = d.client()
    task = c.submit("trial.spin")
    worker = d.wait_worker(state="busy")
    until(lambda: d.workers(pid=worker["pid"])[0]["cpu_ms"] > 100, "it has used some processor time")
    os.kill(worker["pid"], signal.SIGKILL)
    verdict = c.wait(task)["verdict"]
    assert verdict["cpu_ms"] >= 100 and verdict["peak_kib"] > 500, verdict


@test(workers="1")
def tasks_behind_a_dead_one_run_elsewhere_and_count_no_attempt(d):
    c = d.client()
    for _ in range(50):
        c.call("sys.noop")  # known to be tiny: they will be placed ahead
    first = c.start("sys.sleep", 60)
    victim = d.wait_worker(state="busy")
    behind = [c.start("math.square", i) for i in range(20)]
    os.kill(victim["pid"], signal.SIGKILL)
    lost(c, first)
    assert [c.reply(m) for m in behind] == [i * i for i in range(20)]


@test(modules=["trial"])
def others_are_not_disturbed_by_crashing_tasks(d):
    good, bad = d.client(), d.client()
    ids = [bad.start("sys.crash") for _ in range(30)]
    for i in range(300):
        assert good.call("math.square", i) == i * i
    for m in ids:
        lost(bad, m)


@test(modules=["trial"])
def every_signal_is_named(d):
    c = d.client()
    for number, name in ((6, "SIGABRT"), (7, "SIGBUS"), (8, "SIGFPE"), (9, "SIGKILL"), (11, "SIGSEGV"), (15, "SIGTERM")):
        e = c.call_error("sys.crash", number)
        assert e.code == "E_LOST" and name in e.text, (number, e)


# ---- stopped and stuck -------------------------------------------------------------------------------------------------


@test()
def a_stopped_idle_worker_delays_no_task(d):
    c = d.client()
    for _ in range(20):
        c.call("math.square", 2)
    pid = min(d.worker_pids())
    os.kill(pid, signal.SIGSTOP)
    started = time.monotonic()
    ids = [c.start("math.square", i) for i in range(200)]
    assert [c.reply(m) for m in ids] == [i * i for i in range(200)]
    assert time.monotonic() - started < 3 * SLOW
    os.kill(pid, signal.SIGCONT)
    d.settle(quiet=True)


@test(workers="1")
def a_worker_that_stays_stopped_is_replaced(d):
    c = d.client()
    c.call("math.square", 2)
    (pid,) = d.worker_pids()
    os.kill(pid, signal.SIGSTOP)
    assert c.call("math.square", 3, timeout=30 * SLOW) == 9
    until(lambda: not alive(pid) or pid not in d.worker_pids(), "it is gone")


@test()
def a_task_in_a_stopped_worker_times_out_and_ends(d):
    c = d.client()
    msgid = c.start("sys.sleep", 60, timeout_ms=500)
    worker = d.wait_worker(state="busy")
    os.kill(worker["pid"], signal.SIGSTOP)
    try:
        c.reply(msgid)
        raise AssertionError("no error")
    except RpcError as e:
        assert e.code == "E_TIMEOUT", e
    until(lambda: not alive(worker["pid"]), "the stopped one is killed")
    assert c.call("math.square", 3) == 9


@test(modules=["trial"])
def a_short_task_never_waits_behind_a_long_one(d):
    """Tasks placed ahead of time are taken back when their worker turns out to be busy for long."""
    c = d.client()
    for _ in range(100):
        c.call("trial.pid_after", 0)  # looks tiny
    long = c.start("trial.pid_after", 30)
    d.wait_worker(state="busy")
    started = time.monotonic()
    ids = [c.start("trial.pid_after", 0) for _ in range(100)]
    for m in ids:
        c.reply(m)
    assert time.monotonic() - started < 3 * SLOW
    c.request("cancel", {"msgid": long})


# ---- want of memory --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def cgroup(what, *places):
    """A cgroup of its own → its directory, and the words before a command that run it in there. places: where its kind is,
    the file of its limit and the limit."""
    for root, limit, size, procs in places:
        place = os.path.join(root, f"mpool-test-{what}-{os.getpid()}")
        try:
            os.mkdir(place)
        except OSError:
            continue
        try:
            with open(os.path.join(place, limit), "w") as f:
                f.write(str(size))
        except OSError:
            os.rmdir(place)
            continue
        try:
            yield place, ["sh", "-c", f'echo $$ >{place}/{procs} && exec "$@"', "sh"]
        finally:
            until(lambda: not open(os.path.join(place, "cgroup.procs")).read(), "the cgroup is empty")
            os.rmdir(place)
        return
    raise Skip(f"no cgroup for {what} can be made here")


def little_memory(size):
    return cgroup("memory", ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", size, "tasks"), ("/sys/fs/cgroup", "memory.max", size, "cgroup.procs"))


def few_pids():
    return cgroup("pids", ("/sys/fs/cgroup/pids", "pids.max", "max", "tasks"), ("/sys/fs/cgroup", "pids.max", "max", "cgroup.procs"))


@test(daemon=False)
def the_verdict_says_that_it_was_for_want_of_memory(home):
    with little_memory(256 << 20) as (_, prefix):
        d = Daemon(home, workers=None, prefix=prefix, config="[pool default]\nmodules = sys math @TESTS@/trial.so\nworkers = 2\n")
        c = d.client()
        pids = d.worker_pids()
        e = c.call_error("trial.hoard", 1 << 30)
        assert e.code == "E_LOST" and "SIGKILL" in e.text and "out of memory" in e.text, e
        assert d.pid not in pids and os.path.exists(f"/proc/{d.pid}"), "a worker was chosen"
        task = c.submit("trial.hoard", 1 << 30)
        status = c.request("wait", task, 20000)
        assert status["state"] == "lost" and status["verdict"]["oom"] == "yes", status
        # One that is killed by hand is told from it.
        msgid = c.send("call", ["sys.sleep", [30]])
        os.kill(d.wait_worker(function="sys.sleep")["pid"], signal.SIGKILL)
        assert "out of memory" not in lost(c, msgid).text
        assert c.call("math.square", 5) == 25
        d.wait_log("oom=yes")
        c.close()
        d.finish(descriptors=False)
        no_process_left()


@test(daemon=False)
def two_that_the_kernel_kills_at_once_are_both_told_so(home):
    with little_memory(256 << 20) as (_, prefix):
        d = Daemon(home, workers=None, prefix=prefix, config="[pool default]\nmodules = sys @TESTS@/trial.so\nworkers = 2\n")
        c = d.client()
        ids = [c.send("call", ["trial.hoard", [1 << 30]]) for _ in range(2)]
        hoarders = [w["pid"] for w in until(lambda: len(d.workers(function="trial.hoard")) == 2 and d.workers(), "both hoard")]
        os.kill(d.pid, signal.SIGSTOP)  # it hears of both deaths in one moment
        until(lambda: not any(alive(pid) for pid in hoarders), "both are killed")
        os.kill(d.pid, signal.SIGCONT)
        for m in ids:
            assert lost(c, m).text.endswith(" — out of memory")
        d.finish(descriptors=False)
        no_process_left()


@test(workers="1")
def a_kill_is_not_called_want_of_memory_because_somebody_elses_was(d):
    with little_memory(32 << 20) as (_, prefix):
        hoarder = subprocess.run(prefix + [sys.executable, "-c", "list(range(1 << 27))"], stderr=subprocess.DEVNULL)
        assert hoarder.returncode == -signal.SIGKILL, hoarder
    c = d.client()
    task = c.submit("sys.sleep", 30)
    os.kill(d.wait_worker(function="sys.sleep")["pid"], signal.SIGKILL)
    status = c.wait(task)
    assert status["verdict"]["oom"] == "no" and "memory" not in status["error"], status


@test(daemon=False)
def where_nothing_counts_nothing_definite_is_said(home):
    hidden = ["unshare", "--mount", "sh", "-c", 'umount -R -l /sys/fs/cgroup && exec "$@"', "sh"]
    if subprocess.run(hidden + ["true"], stderr=subprocess.DEVNULL).returncode != 0:
        raise Skip("the cgroups cannot be hidden here")
    d = Daemon(home, workers="1", prefix=hidden)
    c = d.client()
    task = c.submit("sys.sleep", 30)
    os.kill(d.wait_worker(function="sys.sleep")["pid"], signal.SIGKILL)
    status = c.wait(task)
    assert status["verdict"]["oom"] == "perhaps" and status["error"].endswith(" — perhaps out of memory"), status
    task = c.submit("sys.crash", 11)
    assert c.wait(task)["verdict"]["oom"] == "no", "that was no SIGKILL"
    d.finish()
    no_process_left()


# ---- load and start ----------------------------------------------------------------------------------------------------


@test(config="[pool default]\nmodules = math sys\n[pool slow]\nmodules = @TESTS@/badload.so\nenvironment = BADLOAD=hang\nload_timeout = 300ms\n"
             "[pool gone]\nmodules = @TESTS@/badload.so\nenvironment = BADLOAD=leave\n", workers=None)
def a_module_that_does_not_end_loading_throttles_its_pool_and_says_so(d):
    c = d.client()

    def throttled():
        pools = {p["name"]: p for p in c.request("pools")}
        return pools if pools["slow"]["state"] == pools["gone"]["state"] == "throttled" else None

    pools = until(throttled, "both are throttled")
    assert "badload" in pools["slow"]["error"] and "load_timeout" in pools["slow"]["error"], pools["slow"]
    assert "badload" in pools["gone"]["error"] and "SIGKILL" in pools["gone"]["error"], pools["gone"]
    assert c.call("math.square", 5) == 25


@test(config="[daemon]\nstop_grace = 100ms\n[pool default]\nworkers = 2\n", workers=None)
def a_daemon_whose_forkserver_hangs_still_stops(d):
    forkserver = int(re.findall(r"forkserver=(\d+) ready", d.log())[-1])
    os.kill(forkserver, signal.SIGSTOP)
    os.kill(d.workers()[0]["pid"], signal.SIGKILL)
    until(lambda: d.request("pools")[0]["starting"] == 1, "another one is wanted")
    assert d.stop() == 0


@test(config="[pool default]\nworkers = 1\n", workers=None)
def a_forkserver_that_hangs_is_replaced_and_the_tasks_wait_for_that(d):
    forkserver = int(re.findall(r"forkserver=(\d+) ready", d.log())[-1])
    c = d.client()
    os.kill(forkserver, signal.SIGSTOP)
    os.kill(d.workers()[0]["pid"], signal.SIGKILL)
    assert c.call("math.square", 12) == 144
    assert "has made no worker for" in d.log()


@test(config="[pool default]\nmodules = math sys\n[pool bad]\nmodules = @TESTS@/badload.so\n", workers=None)
def a_module_that_crashes_on_load_throttles_its_pool_alone(d):
    c = d.client()
    pools = {p["name"]: p for p in until(lambda: [p for p in [c.request("pools")] if any(q["state"] == "throttled" for q in p)],
                                         "the bad pool is throttled")[0]}
    assert pools["bad"]["state"] == "throttled" and pools["bad"]["error"], pools["bad"]
    assert "SIGSEGV" in pools["bad"]["error"] and "badload" in pools["bad"]["error"], pools["bad"]
    assert pools["default"]["state"] == "serving"
    assert c.call("math.square", 5) == 25
    e = c.call_error("badload.never", pool="bad")
    assert e.kind == 1 and e.code in ("E_POOL_DOWN", "E_NO_FUNCTION"), e
    d.wait_log("badload")
    tries = len(re.findall("badload", d.log()))
    assert tries < 200, "it spins"


@test(daemon=False)
def workers_that_do_not_start_throttle_their_pool_and_recover(home):
    flag = os.path.join(home, "down")
    open(flag, "w").close()
    config = f"[pool default]\nmodules = math\nworkers = 1\n[pool lic]\nmodules = @TESTS@/badinit.so\nworkers = 1\nenvironment = BADINIT={flag}\n"
    d = Daemon(home, workers=None, config=config)
    c = d.client()
    assert c.call("math.square", 4) == 16
    pool = until(lambda: [p for p in c.request("pools") if p["name"] == "lic" and p["state"] == "throttled"], "it is throttled")[0]
    assert "licence server" in (pool["error"] or ""), pool
    d.wait_log("licence server is down")
    os.unlink(flag)
    until(lambda: [p for p in c.request("pools") if p["name"] == "lic" and p["state"] == "serving" and p["idle"]], "it serves", 30 * SLOW)
    assert c.call("badinit.fine") is True
    d.finish(descriptors=False)
    no_process_left()


SPOILT = {"fail": "licence server", "exit": "exited with status 3", "abort": "SIGABRT", "fork": "exited with status 0"}


def spoilt_pools(home):
    """A pool for each way in which a worker may not start → their configuration; what is in the file that spoils each."""
    config = ""
    for how in SPOILT:
        path = os.path.join(home, how)
        with open(path, "w") as f:
            f.write(how)
        config += f"[pool {how}]\nmodules = @TESTS@/badinit.so\nworkers = 1\nenvironment = BADINIT={path}\n"
    return config


@test(daemon=False)
def who_waits_for_a_worker_that_cannot_start_is_told_why(home):
    d = Daemon(home, workers=None, config="[pool default]\nmodules = math\nworkers = 1\n" + spoilt_pools(home))
    c = d.client()
    for how, why in SPOILT.items():
        first = [c.start("badinit.fine", pool=how), c.send("map", ["badinit.fine", [[]] * 3, {"pool": how}]),
                 c.send("spawn", ["badinit.fine", [], {"pool": how}])]
        try:
            task = c.request("submit", "badinit.fine", [], {"pool": how})
        except RpcError as e:
            assert e.code == "E_POOL_DOWN", e
        else:
            assert c.error("result", task, 60000).code == "E_POOL_DOWN"
            assert c.wait(task)["state"] == "failed"
        for m in first:
            try:
                raise AssertionError(f"no error: {c.reply(m)}")
            except RpcError as e:
                assert e.code == "E_POOL_DOWN" and e.kind == 1 and why in e.text, (how, e)
        # From now on there is no waiting; and a spawn is tried each time.
        for method in ("call", "map", "submit", "spawn"):
            assert c.error(method, "badinit.fine", [], {"pool": how}).code == "E_POOL_DOWN"
    assert c.call("math.square", 4) == 16
    for how in SPOILT:
        os.unlink(os.path.join(home, how))
    until(lambda: all(p["idle"] == 1 and p["error"] is None for p in c.request("pools")), "all serve", 30 * SLOW)
    for how in SPOILT:
        assert c.call("badinit.fine", pool=how) is True
    for how in SPOILT:
        until(lambda: c.request("wait", spawned(c, how))["state"] == "done", "processes start, too", 30 * SLOW)
    d.finish(descriptors=False)
    no_process_left()


def spawned(c, pool):
    while True:
        try:
            return c.request("spawn", "badinit.fine", [], {"pool": pool})["id"]
        except RpcError as e:
            assert e.code == "E_POOL_DOWN", e


@test(daemon=False)
def while_another_worker_serves_a_birth_that_fails_is_shown_and_nobody_is_refused(home):
    flag = os.path.join(home, "flag")
    d = Daemon(home, workers=None, config=f"[pool default]\nmodules = sys @TESTS@/badinit.so\nworkers = 2\nenvironment = BADINIT={flag}\n")
    with open(flag, "w") as f:
        f.write("exit")
    c = d.client()
    os.kill(min(d.worker_pids()), signal.SIGKILL)
    until(lambda: "exited with status 3" in (c.request("pools")[0]["error"] or ""), "the reason is shown")
    died = len(re.findall(r"worker died.*exit=3", d.log()))
    d.wait_log(r"(worker died.*exit=3(.*\n)*.*){%d}" % (died + 4))
    assert [c.call("badinit.fine") for _ in range(5)] == [True] * 5
    os.unlink(flag)
    until(lambda: c.request("pools")[0]["error"] is None and c.request("pools")[0]["idle"] == 2, "it has recovered", 30 * SLOW)
    d.finish(descriptors=False)
    no_process_left()


@test(daemon=False)
def a_worker_that_is_not_ready_after_load_timeout_is_given_up(home):
    flag = os.path.join(home, "flag")
    with open(flag, "w") as f:
        f.write("hang")
    config = f"[pool default]\nmodules = @TESTS@/badinit.so\nworkers = 1\nload_timeout = 300ms\nenvironment = BADINIT={flag}\n"
    d = Daemon(home, workers=None, config=config, ready=False)
    d.wait_ready()
    c = d.client()
    e = c.call_error("badinit.fine")
    assert e.code == "E_POOL_DOWN" and "load_timeout" in e.text, e
    e = c.error("spawn", "badinit.fine")
    assert e.code == "E_POOL_DOWN" and "load_timeout" in e.text, e
    d.finish(descriptors=False)
    no_process_left()


@test(daemon=False)
def a_fork_that_is_refused_is_told_and_tried_again(home):
    with few_pids() as (place, prefix):
        d = Daemon(home, workers="1", prefix=prefix)
        c = d.client()
        limit = os.path.join(place, "pids.max")
        with open(os.path.join(place, "pids.current")) as f:
            now = int(f.read())
        with open(limit, "w") as f:
            f.write(str(now - 1))
        os.kill(d.workers()[0]["pid"], signal.SIGKILL)
        for method in ("call", "spawn"):
            e = c.error(method, "math.square", [3])
            assert e.code == "E_POOL_DOWN" and "Resource temporarily unavailable" in e.text, e
        assert "Resource temporarily unavailable" in c.request("pools")[0]["error"]
        with open(limit, "w") as f:
            f.write("max")
        until(lambda: c.request("pools")[0]["idle"] == 1, "there is a worker again", 30 * SLOW)
        assert c.call("math.square", 3) == 9 and c.request("pools")[0]["error"] is None
        d.finish(descriptors=False)
        no_process_left()


@test(daemon=False)
def a_pool_whose_modules_load_no_more_answers_once_it_has_no_worker(home):
    module = os.path.join(home, "trial.so")
    shutil.copy(f"{TEST_MODULES}/trial.so", module)
    d = Daemon(home, workers=None, config=f"[pool default]\nmodules = math {module}\nworkers = 1\n")
    c = d.client()
    running = c.start("trial.deaf")
    worker = d.wait_worker(state="busy")
    os.unlink(module)
    os.kill(int(re.findall(r"forkserver=(\d+) ready", d.log())[-1]), signal.SIGKILL)
    waiting = c.start("math.square", 5)
    d.wait_log("trial.so.*\n(.*\n)*.*throttled")
    os.kill(worker["pid"], signal.SIGKILL)
    lost(c, running)
    try:
        raise AssertionError(f"no error: {c.reply(waiting)}")
    except RpcError as e:
        assert e.code == "E_POOL_DOWN" and "trial.so" in e.text, e
    shutil.copy(f"{TEST_MODULES}/trial.so", module)
    until(lambda: c.request("pools")[0]["idle"] == 1, "it has been loaded again", 60 * SLOW)
    assert c.call("math.square", 5) == 25
    d.finish(descriptors=False)
    no_process_left()


@test(daemon=False)
def a_module_that_others_may_write_is_refused(home):
    bad = os.path.join(home, "trial.so")
    shutil.copy(f"{TEST_MODULES}/trial.so", bad)
    os.chmod(bad, 0o777)
    d = Daemon(home, config=f"[pool default]\nmodules = math\n[pool bad]\nmodules = {bad}\n", workers=None)
    pool = until(lambda: [p for p in d.request("pools") if p["name"] == "bad" and p["error"]], "it is refused")[0]
    assert "trial.so" in pool["error"] and "writ" in pool["error"], pool
    d.finish()
    no_process_left()


# ---- recycling ---------------------------------------------------------------------------------------------------------


@test(config="[pool default]\nworkers = 2\nmax_tasks = 10\n", workers=None, modules=["trial"])
def workers_are_replaced_after_max_tasks_and_no_task_is_delayed(d):
    c = d.client()
    worst, counts = 0.0, {}
    for _ in range(500):
        started = time.monotonic()
        pid = c.call("sys.pid")
        worst = max(worst, time.monotonic() - started)
        counts[pid] = counts.get(pid, 0) + 1
    assert max(counts.values()) <= 10, counts
    assert len(counts) >= 50, len(counts)
    assert worst < 1.0 * SLOW, worst
    assert d.request("stats")["tasks"]["lost"] == 0


@test(config="[pool default]\nworkers = 2\nmax_tasks = 7\n", workers=None)
def recycling_loses_nothing_of_a_flood(d):
    c = d.client()
    assert c.map("math.square", list(range(3000)), chunk=1) == [i * i for i in range(3000)]
    ids = [c.start("math.square", i) for i in range(2000)]
    assert [c.reply(m) for m in ids] == [i * i for i in range(2000)]


@test(config="[pool default]\nworkers = 1\nmax_memory = 64M\n", workers=None, modules=["trial"])
def a_worker_that_has_grown_is_replaced_after_its_task(d):
    c = d.client()
    pid = c.call("trial.hoard", 100 << 20)
    until(lambda: pid not in d.worker_pids(), "it is replaced")
    assert c.call("sys.pid") != pid
    assert d.request("stats")["tasks"]["lost"] == 0


@test(config="[pool default]\nworkers = 1..4\nidle_timeout = 300ms\n", workers=None, modules=["trial"])
def the_pool_grows_under_load_and_shrinks_when_idle(d):
    c = d.client()
    assert len(d.worker_pids()) == 1
    ids = [c.start("trial.pid_after", 0.3) for _ in range(8)]
    assert len({c.reply(m) for m in ids}) == 4
    (pool,) = c.request("pools")
    assert (pool["min"], pool["max"]) == (1, 4), pool
    until(lambda: len(d.worker_pids()) == 1, "it has shrunk", 20 * SLOW)
    assert c.call("math.square", 3) == 9
    assert d.request("stats")["tasks"]["lost"] == 0


@test(config="[pool default]\nworkers = 1..2\nidle_timeout = 50ms\n", workers=None)
def growing_and_shrinking_loses_nothing(d):
    c = d.client()
    for round_ in range(30):
        ids = [c.start("math.square", i) for i in range(50)]
        ids.append(c.start("sys.sleep", 0.02 * (round_ % 4)))
        for m in ids:
            c.reply(m)
    until(lambda: len(d.worker_pids()) == 1, "it has shrunk", 20 * SLOW)


# ---- families ----------------------------------------------------------------------------------------------------------

@test(daemon=False, timeout=120)
def hundreds_of_workers_come_are_replaced_and_die(home):
    """More than a forkserver's socket holds requests. A reload makes a quarter more of them at most, and not twice as many."""
    many = 300
    config = f"[pool default]\nmodules = math\nworkers = {many}\nmax_tasks = 0\n"
    d = Daemon(home, workers=None, config=config)
    c = d.client()
    first = d.worker_pids()
    most = 0

    def replaced():
        nonlocal most
        pool = c.request("pools")[0]
        most = max(most, pool["workers"])
        return pool["idle"] == pool["workers"] == many and not first & d.worker_pids()

    d.signal(signal.SIGHUP)
    until(replaced, "all are replaced", 60 * SLOW)
    assert many < most <= many + many // 4, most
    for pid in d.worker_pids():
        os.kill(pid, signal.SIGKILL)
    until(lambda: c.request("stats")["workers_died"] == 2 * many and c.request("pools")[0]["idle"] == many, "all are back", 60 * SLOW)
    assert c.map("math.square", list(range(1000))) == [i * i for i in range(1000)]
    assert "cannot be made" not in d.log() and c.request("stats")["workers_born"] == 3 * many
    d.finish(descriptors=False)
    no_process_left()


@test(daemon=False)
def a_spawn_and_a_small_pool_do_not_stand_behind_a_large_one(home):
    config = "[pool default]\nmodules = math\nworkers = 100\n[pool small]\nmodules = sys\nworkers = 1\n"
    d = Daemon(home, workers=None, config=config)
    c = d.client()
    for pid in d.worker_pids():
        os.kill(pid, signal.SIGKILL)
    ids = [c.send("spawn", ["math.square", [7]]), c.start("sys.noop", pool="small")]
    p = c.reply(ids[0])
    assert c.wait(p["id"])["state"] == "done"
    c.reply(ids[1])
    d.settle()
    log = d.log()
    ready = [m.group(1) for m in re.finditer(r"worker ready pool=(\w+)", log)][101:]
    assert "small" in ready[:50], ready
    d.finish(descriptors=False)
    no_process_left()


RUNAWAY = "setsid sh -c 'trap \"\" TERM HUP INT; (setsid sh -c \"trap \\\"\\\" TERM HUP INT; sleep 600 & wait\" &) ; sleep 600 & wait' & sleep 600"


def named(name):
    return [p for p in descendants(os.getpid()) if p[1] == name]


@test()
def children_of_a_command_die_with_its_task(d):
    c = d.client()
    msgid = c.start("exec.run", ["sh", "-c", RUNAWAY])
    until(lambda: len(named("sleep")) >= 3, "the family is there")
    assert c.request("cancel", {"msgid": msgid}) is True
    try:
        c.reply(msgid)
        raise AssertionError("no error")
    except RpcError as e:
        assert e.code == "E_CANCELLED", e
    until(lambda: not named("sleep"), "the family is gone", 10 * SLOW)


@test()
def children_of_a_command_die_with_its_worker(d):
    c = d.client()
    msgid = c.start("exec.run", ["sh", "-c", RUNAWAY])
    until(lambda: len(named("sleep")) >= 3, "the family is there")
    os.kill(d.wait_worker(state="busy")["pid"], signal.SIGKILL)
    lost(c, msgid)
    until(lambda: not named("sleep"), "the family is gone", 10 * SLOW)


@test(modules=["hostile"], workers="8")
def an_orphan_is_killed_and_told_once(d):
    c = d.client()
    away = {c.call("hostile.run_away") for _ in range(24)}
    for pid in d.worker_pids():
        os.kill(pid, signal.SIGKILL)
    until(lambda: not any(alive(pid) for pid in away), "all have gone", 10 * SLOW)
    killed = [int(pid) for pid in re.findall(r"orphan killed pid=(\d+)", d.log())]
    assert away <= set(killed) and len(set(killed)) == len(killed) == d.request("stats")["orphans_killed"], (away, killed)


@test()
def background_children_of_a_finished_command_do_not_stay(d):
    c = d.client()
    result = c.call("exec.run", ["sh", "-c", "(setsid sleep 600 >/dev/null 2>&1 &); echo done"])
    assert result["status"] == 0 and result["stdout"] == b"done\n", result
    until(lambda: not named("sleep"), "the child is gone", 10 * SLOW)


def all_at_work(home):
    """A daemon with three workers that do not end by themselves, one of them with children → it and its client."""
    d = Daemon(home, modules=["trial"], workers="3")
    c = d.client()
    c.start("exec.run", ["sh", "-c", RUNAWAY])
    c.start("trial.deaf")
    c.start("trial.spin")
    until(lambda: len(named("sleep")) >= 3 and len(d.workers(state="busy")) == 3, "all run")
    return d, c


@test(daemon=False)
def nothing_survives_the_supervisors_sigkill(home):
    d, c = all_at_work(home)
    d.kill()
    assert c.ended() == [], "the client hears of it at once"
    no_process_left(10 * SLOW)


@test(daemon=False)
def a_stopped_worker_does_not_survive_the_supervisors_sigkill(home):
    d = Daemon(home)
    for pid in d.worker_pids():
        os.kill(pid, signal.SIGSTOP)
    d.kill()
    no_process_left(10 * SLOW)


@test(daemon=False)
def nothing_survives_the_guardians_sigkill(home):
    d, _ = all_at_work(home)
    d.signal(signal.SIGKILL)
    no_process_left(10 * SLOW)


@test(daemon=False)
def a_daemon_killed_while_it_starts_leaves_nobody(home):
    for step in range(20):
        for whole in (False, True):
            d = Daemon(os.path.join(home, f"{step}-{whole}"), ready=False, workers="4")
            deadline = time.monotonic() + step * 0.002
            while time.monotonic() < deadline:
                pass
            children = [] if whole else [pid for pid, (parent, _, _) in process_table().items() if parent == d.started]
            for pid in children or [d.started]:
                os.kill(pid, signal.SIGKILL)
            d.wait_exit()
            no_process_left(10 * SLOW)


@test(daemon=False)
def the_forkserver_may_be_killed_and_comes_back(home):
    d = Daemon(home)
    c = d.client()
    workers = d.worker_pids()
    c.map("math.square", list(range(100)))
    forkservers = [pid for pid, _ in descendants(d.pid) if pid not in workers]
    if not forkservers:
        raise Skip("no forkserver process is to be seen")
    for pid in forkservers:
        os.kill(pid, signal.SIGKILL)
    assert c.call("math.square", 6) == 36, "workers outlive their forkserver"
    for pid in d.worker_pids():
        os.kill(pid, signal.SIGKILL)
    assert c.call("math.square", 7, timeout=30 * SLOW) == 49
    until(lambda: len(d.worker_pids() - workers) == 2, "there are new workers", 30 * SLOW)
    d.finish(descriptors=True)
    no_process_left()
    reap()


# Leaves three messages with 250 descriptors each unread: as many as no process of this user may add to.
FILL = """
import array, socket, sys
ends = []
for _ in range(3):
    a, b = socket.socketpair()
    ends += [a, b]
    a.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [a.fileno()] * 250))])
print(flush=True)
sys.stdin.read()
"""


@test(daemon=False)
def descriptors_that_a_process_of_the_same_user_has_under_way_only_delay_births(home):
    need_root()
    user = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"]
    os.makedirs(os.path.join(home, "run"))
    for path in (home, os.path.join(home, "run")):
        os.chown(path, 54321, 54321)
    d = Daemon(home, workers="1", nofile=256, prefix=user)
    with subprocess.Popen([*user, sys.executable, "-c", FILL], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as fill:
        fill.stdout.readline()
        worker = d.request("call", "sys.pid")
        error = d.client().error("call", "sys.blob", [1 << 20])
        assert "E_FAILED: the result cannot be handed over: Too many references" in str(error), error
        assert d.request("call", "sys.pid") == worker, "the task has failed, and not its worker"
        os.kill(worker, signal.SIGKILL)
        pool = until(lambda: [p for p in d.request("pools") if p["error"]], "the reason is shown")[0]
        assert pool["error"] == "a worker cannot be made: Too many references: cannot splice", pool
        fill.communicate()
    until(lambda: [p for p in d.request("pools") if p["idle"] == 1 and not p["error"]], "one is made, and nothing is wrong")
    assert d.client().call("math.square", 7) == 49
    d.finish()


if __name__ == "__main__":
    main()
