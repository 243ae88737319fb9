#!/usr/bin/python3
"""What if the Nth system call of a kind fails? A clean end with a reason, or an answer; never a crash, never a hang.

strace makes the Nth call of each process (guardian, supervisor, forkserver, workers) fail. A daemon that starts must
answer: with the result, or with an error, or say in `pools` why it cannot; and it must still stop and leave nobody.
"""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from harness import MPOOLD, SANITIZED, Client, Closed, Daemon, RpcError, Skip, main, no_process_left, test, until  # noqa: E402

ROUNDS = (1, 2, 3, 5, 8, 13, 21, 34)


def answer(d):
    """→ how the daemon came through: "result", the code of an error, or "throttled"."""
    try:
        with Client(d.path, timeout=3) as c:
            try:
                return "result" if c.call("sys.echo", b"x" * 700000) == b"x" * 700000 else "wrong"
            except TimeoutError:
                # Beginning for ever would be a hang: it goes on, or says what keeps it.
                def known():
                    state["now"] = Client(d.path).request("pools")[0]
                    return state["now"]["state"] == "throttled" or state["now"]["state"] == "serving"

                state = {}
                until(known, f"the pool serves or says why not: {state}")
                return state["now"]["state"]
            except RpcError as e:
                return e.code
    except (Closed, ConnectionRefusedError, ConnectionResetError, BrokenPipeError, FileNotFoundError):
        return "closed"


def connects(d):
    try:
        Client(d.path, timeout=3).close()
        return True
    except (FileNotFoundError, ConnectionRefusedError):
        return False


def one(home, call, error, when):
    d = Daemon(home, ready=False, workers="2",
               prefix=["strace", "-D", "-f", "-qq", "-o", os.path.join(home, "trace"), "-e", f"trace={call}",
                       "-e", f"inject={call}:error={error}:when={when}"])

    def up():
        # READY=1 may be the very message that is lost.
        return any("READY=1" in lines for lines in d.notices) or d.process.poll() is not None or connects(d)

    until(up, "it serves or ends")
    if d.process.poll() is None:
        first = answer(d)
        second = answer(d)
        assert "wrong" not in (first, second), "a wrong result"
        if d.process.poll() is None:
            status = d.stop()
            outcome = f"{first}, {second}, ended with {status}"
            assert status == 0 or first == "closed" or second == "closed", outcome
        else:
            outcome = f"{first}, {second}, ended by itself with {d.process.returncode}"
    else:
        outcome = f"did not start, ended with {d.process.returncode}"
        assert d.log().strip(), f"{outcome} without a word"
    assert d.process.returncode >= 0 and d.process.returncode < 128, f"{outcome}:\n{d.log()[-3000:]}"
    no_process_left()
    return outcome


def calls_to_load(home, call):
    """How often the loader makes this call before the program has its say: that is not ours to judge."""
    trace = os.path.join(home, "version")
    subprocess.run(["strace", "-qq", "-o", trace, "-e", f"trace={call}", MPOOLD, "--version"], stdout=subprocess.DEVNULL, check=True)
    with open(trace) as f:
        return sum(line.startswith(call + "(") for line in f)


def sweep(home, call, error):
    if not shutil.which("strace"):
        raise Skip("no strace here")
    if SANITIZED:
        raise Skip("sanitizers do not survive failing system calls themselves")
    seen = {}
    loading = calls_to_load(home, call)
    for when in (loading + n for n in ROUNDS):
        outcome = one(os.path.join(home, f"{call}-{when}"), call, error, when)
        seen.setdefault(outcome, []).append(when)
    for outcome, rounds in seen.items():
        print(f"call {rounds}: {outcome}")


def register(call, error):
    def body(home):
        sweep(home, call, error)

    body.__name__ = f"the_nth_{call}_may_fail_with_{error.lower()}"
    test(daemon=False, timeout=120)(body)


for call_, error_ in (("memfd_create", "EMFILE"), ("mmap", "ENOMEM"), ("socketpair", "EMFILE"), ("accept4", "EMFILE"),
                      ("accept4", "ECONNABORTED"), ("sendmsg", "ENOBUFS"), ("recvmsg", "ENOMEM"), ("pidfd_open", "EMFILE"),
                      ("clone", "EAGAIN"), ("fallocate", "ENOSPC"), ("openat", "EMFILE"), ("epoll_ctl", "ENOMEM"),
                      ("fcntl", "EINVAL"), ("pipe2", "EMFILE"), ("write", "EIO"), ("read", "EIO")):
    register(call_, error_)


if __name__ == "__main__":
    main()
