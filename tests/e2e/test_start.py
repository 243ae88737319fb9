#!/usr/bin/python3
"""Does everybody start from a known state, whatever was left to them: the daemon, its forkservers and workers, clients?"""
import os
import shutil
import signal
import sys
import tempfile
import time

from harness import Daemon, main, need_root, test, until
from pages import Object


def after(code):
    """The start of a command line: python runs this code, then what comes behind it."""
    return [sys.executable, "-c", f"import os, resource, signal, sys\n{code}\nos.execvp(sys.argv[1], sys.argv[1:])"]


# ---- the daemon --------------------------------------------------------------------------------------------------------

DISORDER = """
for n in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGALRM, signal.SIGPIPE, signal.SIGUSR1, signal.SIGXFSZ):
    signal.signal(n, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
os.umask(0o777)
os.dup2(os.open("/dev/null", os.O_RDONLY), 77, inheritable=True)
for fd in (0, 1, 2):
    os.close(fd)
"""


@test(modules=["world"], workers=1, prefix=after(DISORDER), descriptors=False)
def a_daemon_started_in_disorder_serves_and_ends_in_order(d):
    look = d.client().call("world.look")
    assert (look["blocked"], look["ignored"], look["umask"]) == (0, 0, 0o077), look
    for pid in [d.pid, look["pid"]]:
        names = {int(fd): os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
        assert all(fd in names for fd in (0, 1, 2)), names
        assert pid == d.pid or 77 not in names, names
    assert all(os.readlink(f"/proc/{d.pid}/fd/{fd}") == "/dev/null" for fd in (0, 1, 2))
    assert d.client().call("exec.run", ["sh", "-c", "kill -USR1 $$; sleep 60"])["signal"] == signal.SIGUSR1
    assert d.stop() == 0


@test(modules=["world"], workers=1, prefix=after("signal.setitimer(signal.ITIMER_REAL, 2)"))
def a_timer_that_its_parent_left_running_does_not_end_a_daemon(d):
    assert d.client().call("world.look")["timers"] == 0
    # Nobody can ask whether another process has a timer: it has to run out.
    started = time.monotonic()
    until(lambda: time.monotonic() > started + 2, "the timer would have run out")
    assert d.client().call("math.square", 3) == 9


@test(modules=["world"], workers=1, prefix=after("os.umask(0)"))
def nobody_else_may_write_what_functions_make(d):
    assert d.client().call("world.look")["umask"] == 0o022


@test(daemon=False)
def a_daemon_needs_the_directory_it_was_started_in_no_longer(home):
    place = tempfile.mkdtemp(dir=home)
    config = os.path.join(place, "own.conf")
    with open(config, "w") as f:
        f.write("[pool default]\nworkers = 1\n")
    d = Daemon(home, workers=None, args=["--config", "own.conf"], prefix=after(f"os.chdir({place!r})"), modules=["world"],
               socket_path=os.path.join(home, "run", "s"))
    with open(config, "a") as f:
        f.write("max_queue = 17\n")
    d.signal(signal.SIGHUP)
    d.wait_log("worker ended")  # that of the configuration before: those that are looked at stay
    shutil.rmtree(place)
    c = d.client()
    assert c.call("world.look")["cwd"] == b"/"
    assert c.call("exec.run", ["pwd"])["stdout"] == b"/\n"
    for pid in d.started, d.pid, *d.worker_pids():
        assert os.readlink(f"/proc/{pid}/cwd") == "/", pid
    d.finish()


@test(daemon=False)
def paths_of_the_command_line_are_those_of_the_directory_it_was_typed_in(home):
    d = Daemon(home, workers=1, args=["--socket", "run/mpoold.sock"])
    assert d.client().call("exec.run", "echo $MPOOL_SOCKET")["stdout"].decode().strip() == d.path
    d.finish()


# ---- limits ------------------------------------------------------------------------------------------------------------


@test(modules=["world"], workers=1, prefix=["prlimit", "--fsize=8388608:", "--nofile=200:", "--"])
def a_limit_of_file_sizes_is_for_functions_and_not_for_the_daemon(d):
    Object(d.client(), "array", None, type="u8", count=64 << 20)
    look = d.client().call("world.look")
    assert (look["fsize"], look["nofile"]) == (8 << 20, 200), look


# Without the capability that lifts limits, a hard one holds for the daemon as well.
@test(modules=["world"], workers=1,
      prefix=["setpriv", "--bounding-set=-sys_resource", "--inh-caps=-sys_resource", "prlimit", "--fsize=33554432", "--"])
def what_does_not_fit_below_a_hard_limit_is_an_error_for_who_asked(d):
    need_root()
    c = d.client()
    c.request("hello", {"memfd": True})
    e = c.error("open", "array", None, {"type": "u8", "count": 64 << 20})
    assert "too large" in e.text, e
    c = d.client()
    assert len(c.call("world.bytes", 3 << 20)) == 3 << 20
    e = c.call_error("world.bytes", 40 << 20)
    assert e.code == "E_RESULT_TOO_BIG" and "RLIMIT_FSIZE" in e.text, e
    assert c.call("world.look")["fsize"] == 32 << 20


if __name__ == "__main__":
    main()
