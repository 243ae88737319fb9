#!/usr/bin/python3
"""What if the Nth allocation of the supervisor fails? A clear refusal, or an answer; never its end, and nothing is left.

For each kind of request, its first allocation is made to fail, then its second, and so on until none is left to fail.
A preloaded library does it (preload/nomem.c); the supervisor is the only process that it touches. Reading the
configuration is left to config-memory, which fails our own allocations alone: libeconf does not survive that of its own.
"""
import mmap
import os
import signal
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from harness import BUILD, SANITIZED, Client, Closed, Daemon, RpcError, Skip, alive, main, test, until  # noqa: E402

LIBRARY = os.path.join(BUILD, "tests", "fault", "libnomem.so")
MOST = 400  # allocations of one request
CLOSED = (Closed, ConnectionResetError, BrokenPipeError)
REFUSALS = {"E_INTERNAL", "E_BUSY", "E_TOO_LARGE"}


class Page:
    """The shared page: see preload/nomem.c."""

    def __init__(self, home):
        self.path = os.path.join(home, "nomem")
        with open(self.path, "wb") as f:
            f.write(bytes(mmap.PAGESIZE))
        with open(self.path, "r+b") as f:
            self.at = mmap.mmap(f.fileno(), mmap.PAGESIZE)

    def arm(self, pid, n):
        self.at[0:12] = struct.pack("iii", pid, n, 0)

    def disarm(self):
        """→ whether one has failed."""
        failed = struct.unpack("iii", self.at[0:12])[2]
        self.at[4:8] = struct.pack("i", 0)
        return failed > 0


def supervisor(d):
    """Of the two processes with the library the guardian's child."""
    with open(f"/proc/{d.started}/task/{d.started}/children") as f:
        children = f.read().split()
    return int(children[0]) if children else d.started


def start(home, **options):
    if SANITIZED:
        raise Skip("a sanitizer has an allocator of its own")
    page = Page(home)
    d = Daemon(home, env={"LD_PRELOAD": LIBRARY, "NOMEM_PAGE": page.path}, **options)
    pid = supervisor(d)
    with open(f"/proc/{pid}/maps") as f:
        assert "libnomem" in f.read(), "the library is where it has to be"
    return d, page, pid


def idle(d):
    stats = d.request("stats")
    return stats["queued"] == 0 and stats["running"] == 0 and stats["connections"] == 1


def each_may_fail(d, page, pid, action):
    """→ how many allocations have failed. action: with a connection of its own; says what it did."""
    outcomes = {}
    for n in range(1, MOST):
        page.arm(pid, n)
        try:
            with Client(d.path) as c:
                outcome = action(c)
        except RpcError as e:
            assert e.code in REFUSALS, f"{action.__name__}, allocation {n}: {e}"
            outcome = e.code
        except CLOSED:
            outcome = "closed"
        failed = page.disarm()
        assert alive(pid), f"{action.__name__}, allocation {n}: the supervisor has died: {d.log()[-2000:]}"
        until(lambda: idle(d), f"nothing is left of {action.__name__}, allocation {n}: {d.request('stats')}")
        left = [o["name"] for o in d.request("objects")]
        assert outcome == "closed" or not left, f"{action.__name__}, allocation {n}: {left}"
        for name in left:  # made, and its maker has not heard of it
            d.request("remove", name)
        outcomes.setdefault(outcome, []).append(n)
        if not failed:
            print(f"{action.__name__}: {outcomes}")
            return n - 1
    raise AssertionError(f"{action.__name__}: {MOST} allocations, and no end")


def idle_workers(d):
    try:
        return len([w for w in d.workers() if w["state"] == "idle"])
    except (RpcError, *CLOSED):  # this very request was refused
        return None


def ping(c):
    return c.request("ping")


def call(c):
    assert c.call("text.upper", "abc") == "ABC"


def large_call(c):
    assert c.call("sys.echo", b"x" * 300000) == b"x" * 300000


def submit(c):
    task = c.request("submit", "sys.echo", [1], {"name": "n"})
    assert c.request("result", task, 20000) == 1
    assert c.request("forget", task) is True


def map_of_many(c):
    assert c.request("map", "math.square", list(range(200)), {"chunk": 7}) == [i * i for i in range(200)]


def spawn(c):
    task = c.request("spawn", "math.square", [3])
    assert c.request("result", task["id"], 20000) == 9
    c.request("forget", task["id"])


def objects(c):
    c.request("hello", {"memfd": True})
    for kind in ("value", "lock", "queue", "pipe", "barrier"):
        options = {"value": {"type": "i32"}, "barrier": {"parties": 2}}.get(kind, {})
        made = c.request("open", kind, f"n.{kind}", options)
        try:
            c.request("inspect", f"n.{kind}")
            assert any(o["name"] == f"n.{kind}" for o in c.request("objects"))
        finally:
            c.request("remove", f"n.{kind}")
            c.request("close", made["id"])


def queue(c):
    q = c.request("open", "queue")["id"]
    n = c.request("put", q, [b"a" * 1000] * 20)  # as many as there was memory for
    got = []
    while len(got) < n:  # likewise
        got += c.request("get", q, 20, 0)
    assert got == [b"a" * 1000] * n
    assert n > 0


def readers(c):
    for method in ("hello", "functions", "pools", "workers", "stats", "list", "objects"):
        c.request(method)


@test(daemon=False, timeout=300)
def each_allocation_of_a_request_may_fail(home):
    d, page, pid = start(home, workers="2")
    failed = {a.__name__: each_may_fail(d, page, pid, a)
              for a in (ping, call, large_call, submit, map_of_many, spawn, objects, queue, readers)}
    assert "broke the protocol" not in d.log(), "no worker is blamed for what the supervisor lacks"
    assert all(failed.values()), f"each of them allocates, or it shows nothing: {failed}"
    assert d.stop() == 0


@test(daemon=False, timeout=300)
def each_allocation_of_a_birth_may_fail(home):
    d, page, pid = start(home, workers="2")
    for n in range(1, 40):
        assert d.request("call", "math.square", [3]) == 9  # the death of one that has done nothing slows births down
        victim = next(w for w in d.workers() if w["tasks"] > 0)["pid"]
        page.arm(pid, n)
        os.kill(victim, signal.SIGKILL)
        until(lambda: idle_workers(d) == 2, f"two are there again, allocation {n}")
        page.disarm()
        assert alive(pid), d.log()[-2000:]
    assert d.request("call", "math.square", [3]) == 9
    assert d.stop() == 0


if __name__ == "__main__":
    main()
