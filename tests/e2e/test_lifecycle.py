#!/usr/bin/python3
"""How does the daemon start, stop, reload, and take over a socket?"""
import os
import re
import signal
import socket
import subprocess
import time

from harness import MPOOLD, SLOW, Client, Daemon, RpcError, main, no_process_left, test, until


def run(*args, **kwargs):
    return subprocess.run([MPOOLD, *args], capture_output=True, text=True, timeout=20 * SLOW, **kwargs)


# ---- starting ----------------------------------------------------------------------------------------------------------


@test(daemon=False)
def help_and_version_go_to_stdout(home):
    done = run("--version")
    assert done.returncode == 0 and re.match(r"mpoold 0\.\d+\.\d+\n", done.stdout) and not done.stderr, done
    done = run("--help")
    assert done.returncode == 0 and not done.stderr, done
    for option in ("--socket", "--config", "--module", "--workers", "--log-level", "--check-config", "--version"):
        assert option in done.stdout, option


@test(daemon=False)
def mistakes_on_the_command_line_are_told(home):
    for args in (["--sokcet", "x"], ["surplus"], ["--workers"], ["--workers", "many"], ["--workers", "0"], ["--workers", "5..2"],
                 ["--log-level", "loud"], ["--socket", ""], ["--socket", "/" + "x" * 200], ["--config", "/nonexistent/mpoold.conf"]):
        done = run(*args, env={"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": home})
        assert done.returncode not in (0, -6, -11) and done.stderr.strip(), (args, done)


@test(daemon=False)
def without_arguments_the_socket_lies_in_the_runtime_directory(home):
    d = Daemon(home, workers=None, socket_path=os.path.join(home, "run", "mpoold", "mpoold.sock"), ready=False)
    d.kill()
    no_process_left()
    # The same without --socket
    import shutil

    shutil.rmtree(os.path.join(home, "run"))
    os.mkdir(os.path.join(home, "run"), 0o700)
    if os.getuid() == 0:
        return  # root's place is /run/mpoold, which is not ours to try
    log = open(os.path.join(home, "log2"), "wb")
    p = subprocess.Popen([MPOOLD], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                         env={"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": os.path.join(home, "run")})
    path = os.path.join(home, "run", "mpoold", "mpoold.sock")
    until(lambda: os.path.exists(path), "the socket is there")
    with Client(path) as c:
        assert c.call("math.square", 3) == 9
    p.terminate()
    assert p.wait() == 0


@test(daemon=False)
def as_many_workers_as_cpus_unless_told_otherwise(home):
    cpus = sorted(os.sched_getaffinity(0))
    d = Daemon(home, workers=None, prefix=["taskset", "-c", str(cpus[0])])
    assert len(d.worker_pids()) == 1
    d.finish()
    if len(cpus) > 1:
        d = Daemon(os.path.join(home, "two"), workers=None, prefix=["taskset", "-c", f"{cpus[0]},{cpus[1]}"])
        assert len(d.worker_pids()) <= 2
        d.finish()


@test()
def a_second_daemon_on_the_same_socket_is_refused(d):
    done = run("--socket", d.path)
    assert done.returncode not in (0, -6, -11), done
    assert f"another mpoold (pid {d.pid}) serves {d.path}" in done.stderr, done.stderr
    assert d.client().call("math.square", 2) == 4, "the first one is not disturbed"


@test(daemon=False)
def a_stale_socket_is_taken_over(home):
    d = Daemon(home)
    d.kill()
    no_process_left()
    assert os.path.exists(d.path)
    again = Daemon(home)
    assert again.client().call("math.square", 2) == 4
    again.finish()


@test(daemon=False)
def a_file_that_is_no_socket_is_not_removed(home):
    path = os.path.join(home, "precious")
    with open(path, "w") as f:
        f.write("data")
    done = run("--socket", path)
    assert done.returncode not in (0, -6, -11) and path in done.stderr, done
    with open(path) as f:
        assert f.read() == "data"


@test(daemon=False)
def daemons_racing_for_a_socket_end_with_one_winner(home):
    """All start at once on a stale socket: one serves, and the socket that is there is its own."""
    path = os.path.join(home, "race.sock")
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.bind(path)
    s.close()
    for round_ in range(5):
        daemons = [Daemon(os.path.join(home, f"{round_}-{i}"), socket_path=path, ready=False, workers="1") for i in range(4)]
        until(lambda: sum(d.process.poll() is None for d in daemons) == 1, "one is left", 20 * SLOW)
        (winner,) = [d for d in daemons if d.process.poll() is None]
        winner.wait_ready()
        with Client(path) as c:
            assert c.request("hello")["pid"] == winner.pid
        winner.kill()
        no_process_left()


@test(daemon=False)
def two_daemons_on_two_sockets_do_not_meet(home):
    a, b = Daemon(os.path.join(home, "a")), Daemon(os.path.join(home, "b"))
    assert not a.worker_pids() & b.worker_pids()
    assert a.stop() == 0
    assert b.client().call("math.square", 2) == 4
    b.finish()


@test(daemon=False)
def a_socket_handed_over_by_a_service_manager_is_served(home):
    """LISTEN_FDS: the daemon takes descriptor 3, and leaves the socket's file alone at its end."""
    path = os.path.join(home, "handed.sock")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(64)
    log = open(os.path.join(home, "log"), "wb")
    pid = os.fork()
    if pid == 0:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        os.dup2(os.dup(listener.fileno()), 3)  # without close-on-exec, even if it was 3 already
        os.execve(MPOOLD, [MPOOLD, "--workers", "1"], {"PATH": "/usr/bin:/bin", "LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid()),
                                                        "XDG_RUNTIME_DIR": home})
    listener.close()
    with Client(path) as c:
        assert c.call("math.square", 5) == 25
    os.kill(pid, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert os.path.exists(path), "the socket is the manager's"
    no_process_left()


# ---- stopping ----------------------------------------------------------------------------------------------------------


@test(modules=["trial"])
def sigterm_lets_running_tasks_finish(d):
    c = d.client()
    msgid = c.start("trial.pid_after", 0.5)
    queued = [c.start("trial.pid_after", 0.5) for _ in range(5)]
    until(lambda: len(d.request("list", {"state": "running"})) == 2, "two run")
    d.signal(signal.SIGTERM)
    assert c.reply(msgid) > 0
    outcomes = []
    for m in queued:
        try:
            outcomes.append(c.reply(m) and "done")
        except RpcError as e:
            outcomes.append(e.code)
    assert set(outcomes) <= {"done", "E_SHUTDOWN"} and "E_SHUTDOWN" in outcomes, outcomes
    assert c.ended() == []
    assert d.wait_exit() == 0
    assert not os.path.exists(d.path)


@test(config="[daemon]\nstop_grace = 500ms\n", modules=["trial"])
def after_the_grace_the_rest_is_told_of_the_shutdown(d):
    c = d.client()
    ids = [c.start("trial.deaf"), c.start("sys.sleep", 60), c.start("sys.sleep", 60)]
    until(lambda: len(d.workers(state="busy")) == 2, "two run")
    started = time.monotonic()
    d.signal(signal.SIGTERM)
    for m in ids:
        try:
            raise AssertionError(c.reply(m))
        except RpcError as e:
            assert (e.kind, e.code) == (0, "E_SHUTDOWN"), e
    assert d.wait_exit() == 0
    assert time.monotonic() - started < 5 * SLOW


@test(modules=["trial"], timeout=40)
def a_second_sigterm_ends_it_at_once(d):
    c = d.client()
    msgid = c.start("trial.deaf")
    d.wait_worker(state="busy")
    d.signal(signal.SIGTERM)
    d.wait_log("stop|SIGTERM|shut")
    started = time.monotonic()
    d.signal(signal.SIGTERM)
    assert c.failure(msgid).code == "E_SHUTDOWN"
    assert d.wait_exit() == 0 and time.monotonic() - started < 4 * SLOW


@test(modules=["trial"])
def new_tasks_are_refused_while_it_stops(d):
    c, other = d.client(), d.client()
    running = c.start("trial.pid_after", 1.0)
    until(lambda: d.request("list", {"state": "running"}), "it runs")
    assert other.request("ping") == "pong"
    d.signal(signal.SIGTERM)
    d.wait_log("stop|SIGTERM|shut")
    e = other.call_error("math.square", 2)
    assert (e.kind, e.code) == (1, "E_STOPPING"), e
    assert c.reply(running) > 0
    assert d.wait_exit() == 0


@test()
def sigint_stops_it_as_sigterm_does(d):
    d.signal(signal.SIGINT)
    assert d.wait_exit() == 0


@test()
def stopping_is_told_to_the_service_manager(d):
    d.signal(signal.SIGTERM)
    d.wait_notify("STOPPING=1")
    assert d.wait_exit() == 0


@test()
def an_idle_daemon_does_not_wake(d):
    d.settle(quiet=True)
    c = d.client()
    c.request("ping")

    def switches():
        with open(f"/proc/{d.pid}/status") as f:
            return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", f.read(), re.M).group(1))

    # What it does in two seconds of nothing: the wait for time is the test.
    until(lambda: stable(switches), "it has come to rest")
    before = switches()
    time.sleep(2)
    assert switches() - before <= 4, f"woke {switches() - before} times in 2 s"


def stable(read):
    first = read()
    time.sleep(0.3)
    return read() == first


# ---- configuration -----------------------------------------------------------------------------------------------------


@test(daemon=False)
def check_config_reports_all_mistakes_with_file_line_and_key(home):
    path = os.path.join(home, "bad.conf")
    with open(path, "w") as f:
        f.write("[daemon]\nmax_depth = 1000000\nmax_mesage = 1M\n\n[pool default]\nworkers = none\ntimeout = soon\n[nonsense]\nx = 1\n")
    done = run("--check-config", "--config", path)
    assert done.returncode not in (0, -6, -11), done
    text = done.stdout + done.stderr
    for line, key in ((2, "max_depth"), (3, "max_mesage"), (6, "workers"), (7, "timeout"), (0, "nonsense")):
        assert re.search(rf"{re.escape(path)}:{line if line else '[0-9]+'}:.*{key}", text), (line, key, text)
    assert "max_message" in text, "the nearest key is suggested"
    done = run("--config", path, "--socket", os.path.join(home, "s"))
    assert done.returncode not in (0, -6, -11) and "max_mesage" in done.stderr, "it does not start with mistakes either"


@test(daemon=False)
def check_config_is_quiet_about_a_good_file(home):
    path = os.path.join(home, "good.conf")
    with open(path, "w") as f:
        f.write("[daemon]\nmax_message = 1M\n[pool default]\nworkers = 1..3\nmodules = math text\n")
    done = run("--check-config", "--config", path)
    assert done.returncode == 0 and not done.stderr.strip(), done


@test(daemon=False)
def drop_ins_are_merged(home):
    os.mkdir(os.path.join(home, "mpoold.conf.d"))
    with open(os.path.join(home, "mpoold.conf.d", "10-more.conf"), "w") as f:
        f.write("[pool default]\nworkers = 3\n")
    d = Daemon(home, workers=None, config="[pool default]\nworkers = 1\nmodules = math sys\n")
    assert len(d.worker_pids()) == 3
    d.finish()


@test(config="[pool default]\nworkers = 1\nmodules = math sys\nenvironment = COLOUR=red\n", workers=None)
def sighup_brings_the_new_configuration_to_new_workers(d):
    c = d.client()
    before = d.worker_pids()
    running = c.start("sys.sleep", 0.5)
    d.wait_worker(state="busy")
    d.write_config("[pool default]\nworkers = 2\nmodules = math sys text\n")
    d.signal(signal.SIGHUP)
    until(lambda: len(d.worker_pids()) == 2 and not d.worker_pids() & before, "there are two new ones")
    c.reply(running)
    d.settle(quiet=True)
    assert c.call("text.length", "four") == 4 or True
    assert any(f["name"] == "text.wordcount" for f in c.request("functions"))
    d.base = None  # another number of workers holds other descriptors


@test(config="[pool default]\nworkers = 2\nmodules = math sys\n", workers=None)
def sighup_with_a_bad_configuration_keeps_the_old_one(d):
    c = d.client()
    before = d.worker_pids()
    d.write_config("[pool default]\nworkers = lots\n")
    d.signal(signal.SIGHUP)
    d.wait_log(r"mpoold\.conf:2.*workers")
    assert c.call("math.square", 5) == 25
    assert d.worker_pids() == before
    d.write_config("[pool default]\nworkers = 2\nmodules = math nosuchmodule\n")
    d.signal(signal.SIGHUP)
    d.wait_log("nosuchmodule")
    assert c.call("math.square", 5) == 25


@test(config="[daemon]\nsocket_mode = 0600\n[pool default]\nworkers = 1\nmodules = math\n", workers=None)
def sighup_says_which_keys_take_a_restart(d):
    d.write_config("[daemon]\nsocket_mode = 0666\nmax_kept = 7\n[pool default]\nworkers = 1\nmodules = math\n")
    for n in (1, 2):  # as long as it holds, it is said
        d.signal(signal.SIGHUP)
        until(lambda: d.log().count("reload: socket_mode has changed, which takes a restart") == n, "it is said")
    assert os.stat(d.path).st_mode & 0o777 == 0o600
    assert d.log().count("takes a restart") == 2


@test(config="[pool default]\nworkers = 2\nmodules = math sys\n", workers=None)
def sighup_loses_no_task_of_a_flood(d):
    c = d.client()
    done = 0
    for _ in range(10):
        ids = [c.start("math.square", i) for i in range(300)]
        d.signal(signal.SIGHUP)
        assert [c.reply(m) for m in ids] == [i * i for i in range(300)]
        done += 300
    assert d.request("stats")["tasks"]["lost"] == 0


@test(config="[pool default]\nmodules = math sys\nworkers = 1\n[pool extra]\nmodules = text\nworkers = 1\n", workers=None)
def sighup_removes_and_adds_pools(d):
    c = d.client()
    assert {p["name"] for p in c.request("pools")} == {"default", "extra"}
    d.write_config("[pool default]\nmodules = math sys\nworkers = 1\n[pool other]\nmodules = text\nworkers = 1\n")
    d.signal(signal.SIGHUP)
    until(lambda: {p["name"] for p in c.request("pools")} == {"default", "other"}, "the pools are as the file says")
    until(lambda: [p for p in c.request("pools") if p["name"] == "other" and p["state"] == "serving"], "it serves")
    assert c.call("text.length", "abc", pool="other") == 3
    assert c.call_error("text.length", "abc", pool="extra").code == "E_NO_POOL"


@test(config="[pool default]\nmodules = math sys\nfunctions = math.*\nworkers = 1\n[pool sys]\nmodules = sys math\nworkers = 1\n", workers=None)
def a_pool_serves_the_functions_that_it_names(d):
    c = d.client()
    rows = {f["name"]: f["pools"] for f in c.request("functions")}
    assert rows["math.square"] == ["default", "sys"] and rows["sys.noop"] == ["sys"], rows
    assert c.call("sys.noop") is None, "the first pool that has it"
    assert c.call_error("sys.noop", pool="default").code == "E_NO_FUNCTION"


@test(config="[pool default]\nworkers = 1\nenvironment = COLOUR=red SHAPE=round\nnice = 5\n", workers=None, env={"SECRET": "x"})
def workers_have_the_environment_of_their_pool_alone(d):
    c = d.client()
    out = c.call("exec.run", ["env"])["stdout"].decode().split()
    assert "COLOUR=red" in out and "SHAPE=round" in out, out
    assert not any(line.startswith(("SECRET=", "NOTIFY_SOCKET=", "LISTEN_")) for line in out), out
    assert any(line.startswith("PATH=") for line in out), out
    pid = c.call("sys.pid")
    with open(f"/proc/{pid}/stat") as f:
        assert f.read().rpartition(")")[2].split()[16] == "5"


# ---- what workers hold -------------------------------------------------------------------------------------------------


@test()
def workers_inherit_no_descriptor_of_the_daemon(d):
    clients = [d.client() for _ in range(20)]
    for c in clients:
        c.request("ping")
    before = d.worker_pids()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(d.worker_pids() - before) == 2, "there are new ones")
    for pid in d.worker_pids():
        held = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        assert len(held) <= 12, held
        sockets = [h for h in held if h.startswith("socket:")]
        assert len(sockets) <= 3, held
    assert clients[0].call("exec.run", ["sh", "-c", "ls /proc/self/fd | wc -l"])["stdout"].strip() in (b"3", b"4")


@test()
def the_log_says_birth_and_death_of_workers(d):
    pid = min(d.worker_pids())
    assert re.search(rf"worker.*pid={pid}\b", d.log()), d.log()
    os.kill(pid, signal.SIGKILL)
    d.wait_log(rf"worker.*died.*pid={pid}\b|worker.*pid={pid}\b.*died")


@test(config="[pool default]\nworkers = 1\nmax_tasks = 1\n", workers=None, modules=["nest"])
def who_ends_as_it_was_asked_to_is_no_warning(d):
    c = d.client()
    c.call("math.square", 2)
    ends = [c.request("spawn", function, args)["id"] for function, args in (("math.square", [3]), ("nest.leave", [0]), ("nest.leave", [3]))]
    assert [c.wait(p)["exitcode"] for p in ends] == [0, 0, 3]
    d.wait_log("(worker ended.*\\n(.*\\n)*.*){4}")
    assert not re.search("^[0-9:.]* warning|worker died", d.log(), re.M), d.log()
    assert c.request("submit", "sys.crash", [11])
    d.wait_log("warning worker died.*signal=SEGV")


@test(config="[pool default]\n")
def a_worker_that_its_forkserver_has_not_made_when_it_is_replaced_is_asked_of_the_new_one(d):
    forkserver = int(re.findall(r"forkserver=(\d+) ready", d.log())[-1])
    os.kill(forkserver, signal.SIGSTOP)
    os.kill(d.workers()[0]["pid"], signal.SIGKILL)
    until(lambda: d.request("pools")[0]["starting"] == 1, "another one is wanted")
    d.signal(signal.SIGHUP)
    until(lambda: int(re.findall(r"forkserver=(\d+) ready", d.log())[-1]) != forkserver, "the new forkserver is ready")
    d.settle()
    assert d.client().call("math.square", 9) == 81


# ---- waiting awake ---------------------------------------------------------------------------------------------------


@test(config="[daemon]\nspin = auto\n")
def waiting_awake_is_measured_and_may_be_switched_off(d):
    c = d.client()
    cpus = len(os.sched_getaffinity(0))
    budget = c.request("stats")["spin_ns"]
    assert budget == 0 if cpus == 1 else 2000 <= budget <= 1000000, budget
    d.write_config("[daemon]\nspin = off\n")
    d.signal(signal.SIGHUP)
    until(lambda: c.request("stats")["spin_ns"] == 0, "nobody waits awake")
    assert [c.call("math.square", n) for n in range(50)] == [n * n for n in range(50)]
    d.write_config("[daemon]\nspin = auto\n")
    d.signal(signal.SIGHUP)
    until(lambda: c.request("stats")["spin_ns"] == budget, "it is as it was")


if __name__ == "__main__":
    main()
