#!/usr/bin/python3
"""For whom does a process ask that runs inside a worker? For the caller of its task, never for the daemon. Needs root."""
import json
import os
import pwd
import signal

from harness import NOBODY, TEST_MODULES, Skip, alive, as_nobody, daemon_for_others, main, need_root, no_process_left, test, until

PYTHON = "/usr/bin/python3"  # which other users may run, too
HERE = os.path.dirname(os.path.abspath(__file__))
OPEN = "[daemon]\nsocket_mode = 0666\n"
POOLS = "[pool default]\nmodules = math, exec\nworkers = 2\n{user}[pool secure]\nmodules = sys\nworkers = 1\nallow_users = root\n"
THIRD = pwd.getpwnam("daemon")  # neither root nor nobody: an account that runs daemons

# What a process inside a worker may do: whom it is taken for, and how three requests end. argv: socket, a task of root's.
PROBE = f"""
import json, sys
sys.path.insert(0, {HERE!r})
from wire import Client, RpcError
said = {{}}
def tell(what, action):
    try:
        said[what] = action()
    except RpcError as e:
        said[what] = e.code
with Client(sys.argv[1]) as c:
    said["user"] = c.request("hello")["user"]
    tell("secure", lambda: c.call("sys.echo", 5, pool="secure"))
    tell("result", lambda: c.request("result", int(sys.argv[2]), 5000))
    tell("list", lambda: sorted(t["user"] if "user" in t else t["uid"] for t in c.request("list", {{"all": True}})))
print(json.dumps(said))
"""


def probe(d, root_task, wrap=()):
    return [*wrap, PYTHON, "-c", PROBE, d.path, str(root_task)]


def said(done):
    assert done["status"] == 0, done
    return json.loads(done["stdout"])


def check_stranger(answers):
    assert answers["user"] == NOBODY, answers
    assert answers["secure"] == "E_DENIED" and answers["result"] == "E_DENIED", answers
    assert set(answers["list"]) <= {NOBODY}, answers


def check_root(answers):
    assert answers["user"] == 0 and answers["secure"] == 5 and answers["result"] == 36, answers
    assert 0 in answers["list"] and NOBODY in answers["list"], answers


def rights_in(home, config, **options):
    """Calls, maps, submitted tasks and spawned processes of root and of another user, and what they start in turn."""
    d = daemon_for_others(home, config, workers=None, **options)
    root = d.client()
    task = root.submit("math.square", 6)

    def other():
        c = d.client()
        mine = c.submit("math.square", 7)
        assert c.request("result", mine, 5000) == 49
        command = probe(d, task)
        check_stranger(said(c.call("exec.run", command)))
        check_stranger(said(c.call("exec.run", probe(d, task, ["setsid", "-w", "sh", "-c", '"$@"; true', "sh"]))))
        check_stranger(said(c.request("map", "exec.run", [command])[0]))
        check_stranger(said(c.request("result", c.submit("exec.run", command), 20000)))
        spawned = c.request("spawn", "exec.run", [command])["id"]
        c.request("wait", spawned, 20000)
        check_stranger(said(c.request("result", spawned, 20000)))
        c.close()

    as_nobody(other)
    check_root(said(root.call("exec.run", probe(d, task))))
    check_root(said(root.request("result", root.submit("exec.run", probe(d, task)), 20000)))
    d.finish()
    no_process_left()


@test(daemon=False)
def a_task_has_its_callers_rights_where_workers_run_as_root(home):
    rights_in(home, OPEN + POOLS.format(user=""))


@test(daemon=False)
def a_task_has_its_callers_rights_where_workers_have_a_user_of_their_own(home):
    rights_in(home, OPEN + POOLS.format(user=f"user = {THIRD.pw_name}\n"))


def as_third(home):
    """Options of a daemon that an ordinary user runs."""
    need_root()
    os.makedirs(os.path.join(home, "run"), exist_ok=True)
    for path in (home, os.path.join(home, "run")):
        os.chown(path, THIRD.pw_uid, THIRD.pw_gid)
    return {"prefix": ["setpriv", f"--reuid={THIRD.pw_uid}", f"--regid={THIRD.pw_gid}", "--clear-groups"]}


@test(daemon=False)
def a_task_has_its_callers_rights_where_workers_run_as_the_daemon(home):
    rights_in(home, OPEN + POOLS.format(user=""), **as_third(home))


@test(daemon=False)
def a_connection_that_a_worker_keeps_asks_for_the_caller_of_each_task(home):
    d = daemon_for_others(home, OPEN + f"[pool default]\nmodules = math, {TEST_MODULES}/nest.so\nworkers = 1\n"
                          "[pool secure]\nmodules = sys\nworkers = 1\nallow_users = root\n", workers=None)

    def other():
        c = d.client()
        assert c.call("nest.ask", "math.square", [3]) == 9
        e = c.call_error("nest.ask", "sys.echo", [5])
        assert "E_DENIED" in e.text, e
        c.close()

    for _ in range(3):
        as_nobody(other)
        assert d.client().call("nest.ask", "sys.echo", [5]) == 5
    before = d.worker_pids()
    for pid in before:  # with them go the connections, which the harness would miss
        os.kill(pid, signal.SIGKILL)
    until(lambda: not d.worker_pids() & before, "they have been replaced")
    d.finish()


# Leaves a process that ends what would end it, and asks when it is the supervisor's child.
RUNAWAY = f"""
import os, signal, sys, time
sys.path.insert(0, {HERE!r})
from wire import Client, RpcError
reaper = os.getppid()
if os.fork() > 0:
    time.sleep(60)
os.setsid()
parent = os.getppid()
with open(sys.argv[2] + ".pid", "w") as f:
    f.write(str(os.getpid()))
os.kill(reaper, signal.SIGKILL)
os.kill(parent, signal.SIGKILL)
while os.getppid() in (parent, reaper):
    time.sleep(0.001)
try:
    with Client(sys.argv[1]) as c:
        told = repr(c.request("list", {{"all": True}}))
except RpcError as e:
    told = str(e)
except BaseException as e:
    told = "nothing: " + repr(e)
with open(sys.argv[2] + ".new", "w") as f:
    f.write(told)
os.rename(sys.argv[2] + ".new", sys.argv[2])
"""


@test(daemon=False)
def who_outlives_its_task_asks_for_nobody(home):
    d = daemon_for_others(home, OPEN, workers="1")
    told = os.path.join(home, "told")
    root = d.client()
    root.submit("math.square", 6)
    root.start("exec.run", [PYTHON, "-c", RUNAWAY, d.path, told])
    until(lambda: os.path.exists(told + ".pid") and os.path.getsize(told + ".pid"), "it runs")
    with open(told + ".pid") as f:
        pid = int(f.read())
    until(lambda: os.path.exists(told) or not alive(pid), "it has asked, or was found and killed before it could")
    if os.path.exists(told):
        with open(told) as f:
            text = f.read()
        assert ("E_DENIED" in text and "for nobody" in text) or text.startswith("nothing"), text
    d.finish()
    no_process_left()


@test(daemon=False)
def the_daemons_user_is_administrator_where_the_socket_is_his_alone(home):
    options = as_third(home)

    def others_tasks(d):
        with os.fdopen(os.open(os.path.join(home, "seen"), os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666), "r+") as f:
            pid = os.fork()
            if pid == 0:
                os.setgroups([])
                os.setgid(THIRD.pw_gid)
                os.setuid(THIRD.pw_uid)
                f.write(json.dumps(len(d.request("list", {"all": True}))))
                f.flush()
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
            f.seek(0)
            return json.load(f)

    for mode, seen in (("0600", 1), ("0666", 0)):
        d = daemon_for_others(home, f"[daemon]\nsocket_mode = {mode}\n", workers="1", **options)
        c = d.client()
        assert c.request("result", c.submit("math.square", 2), 5000) == 4
        assert others_tasks(d) == seen, (mode, seen)
        d.finish()
        no_process_left()


# What a command can do to the processes that are given to it. Says how each try ends.
SPY = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
for pid in map(int, sys.argv[1:]):
    for name in ("environ", "mem", "fd"):
        try:
            path = f"/proc/{pid}/{name}"
            os.listdir(path) if name == "fd" else os.close(os.open(path, os.O_RDONLY))
            print(pid, name, "open")
        except PermissionError:
            print(pid, name, "closed")
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    print(pid, "ptrace", "open" if libc.ptrace(0x4206, pid, None, None) == 0 else "closed")
"""


@test(daemon=False)
def a_task_cannot_look_into_the_daemon_or_take_it_over(home):
    d = daemon_for_others(home, OPEN, workers="2", **as_third(home))
    c = d.client()
    targets = {d.pid: "supervisor", d.started: "guardian"} | {pid: "worker" for pid in d.worker_pids()}
    done = c.call("exec.run", [PYTHON, "-c", SPY, *map(str, targets)])
    lines = done["stdout"].decode().splitlines() if isinstance(done["stdout"], bytes) else done["stdout"].splitlines()
    assert len(lines) == 4 * len(targets), done
    assert all(line.endswith("closed") for line in lines), (targets, lines)
    d.finish()
    no_process_left()


def landlock_version():
    import ctypes

    return ctypes.CDLL(None, use_errno=True).syscall(444, None, 0, 1)  # landlock_create_ruleset: which version?


@test(daemon=False)
def a_task_of_the_same_user_cannot_stop_the_daemon_where_the_kernel_can_tell(home):
    options = as_third(home)
    if landlock_version() < 6:
        raise Skip("the kernel does not confine signals (Linux 6.12)")
    d = daemon_for_others(home, OPEN + "[pool default]\nworkers = 1\n[pool other]\nmodules = math\nworkers = 1\n",
                          workers=None, **options)
    c = d.client()
    for pid in (d.pid, d.started, d.workers(pool="other")[0]["pid"]):
        for number in ("STOP", "KILL"):
            assert c.call("exec.run", ["kill", f"-{number}", str(pid)], pool="default")["status"] != 0, (pid, number)
    assert c.call("math.square", 3, pool="other") == 9
    done = c.call("exec.run", ["sh", "-c", "sleep 60 & kill $! && ! wait $!"], pool="default")
    assert done["status"] == 0, "what it started itself it may end"
    d.finish()


@test(daemon=False)
def a_task_of_another_user_cannot_stop_the_daemon(home):
    d = daemon_for_others(home, OPEN + f"[pool default]\nuser = {THIRD.pw_name}\nworkers = 1\n", workers=None)
    c = d.client()
    for pid in (d.pid, d.started):
        for number in ("STOP", "KILL"):
            assert c.call("exec.run", ["kill", f"-{number}", str(pid)])["status"] != 0, (pid, number)
    assert c.call("math.square", 3) == 9
    d.finish()


if __name__ == "__main__":
    main()
