#!/usr/bin/python3
"""What can a compromised worker do to the supervisor and to others? It may hurt its own lane and nothing else.

Hostile functions (modules/hostile.c) run in a pool of their own; in each test an honest pool must go on answering, soon
and correctly, while the attack runs and after it.
"""
import os
import random
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from harness import SANITIZED, SLOW, Client, Daemon, RpcError, alive, descendants, main, no_process_left, test, until  # noqa: E402

POOLS = """[daemon]
cancel_grace = 200ms
[pool default]
modules = math sys exec
workers = 2
[pool bad]
modules = @TESTS@/hostile.so @TESTS@/trial.so
workers = 2
"""


class Honest(threading.Thread):
    """Calls the honest pool all the while; a wrong or late answer is the test's failure."""

    def __init__(self, d):
        super().__init__(daemon=True)
        self.d, self.over, self.worst, self.calls, self.failure = d, threading.Event(), 0.0, 0, None

    def run(self):
        try:
            with Client(self.d.path) as c:
                while not self.over.is_set():
                    started = time.monotonic()
                    assert c.call("math.square", self.calls) == self.calls**2
                    self.worst = max(self.worst, time.monotonic() - started)
                    self.calls += 1
                    self.over.wait(0.001)
        except BaseException as e:
            self.failure = e

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, *_):
        self.over.set()
        self.join(30 * SLOW)
        if kind is None:
            if self.failure:
                raise self.failure
            print(f"honest calls: {self.calls}, the slowest took {self.worst * 1000:.1f} ms")
            assert self.worst < 1.5 * SLOW, f"an honest call took {self.worst:.2f} s"


def attack(c, function, *args, timeout=30 * SLOW, **options):
    """→ the result or the error's code; any is fine, as long as there is one."""
    try:
        return c.call(f"hostile.{function}", *args, pool="bad", timeout=timeout, **options)
    except RpcError as e:
        assert e.kind == 0 or e.code in ("E_POOL_DOWN",), e
        return e.code


def bad_pool_recovers(d):
    """The hostile pool's next workers are sound."""

    def sound():
        try:
            with Client(d.path) as c:
                return c.call("trial.weigh", b"\x01\x02", pool="bad") == [2, 3]
        except RpcError:
            return False

    until(sound, "the attacked pool works again", 40 * SLOW)


def hostile(**options):
    return test(config=POOLS, workers=None, timeout=options.pop("timeout", 180), **options)


# ---- the lane ----------------------------------------------------------------------------------------------------------


@hostile()
def the_supervisors_half_of_the_lane_cannot_be_written(d):
    assert attack(d.client(), "write_supervisor_half") == [0, 0]


@hostile(timeout=300)
def scribbling_over_its_lane_hurts_that_worker_alone(d):
    seed = int(os.environ.get("SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"SEED={seed}")
    c = d.client()
    outcomes = {}
    with Honest(d):
        for mode in range(6):
            for i in range(3 if SANITIZED else 6):
                outcome = attack(c, "scribble", mode, seed + i)
                outcomes[str(outcome)] = outcomes.get(str(outcome), 0) + 1
                assert d.process.poll() is None, "the supervisor died"
    print(outcomes)
    bad_pool_recovers(d)


@hostile(timeout=300)
def scribbling_while_the_supervisor_reads_hurts_that_worker_alone(d):
    """A child of the worker flips words all the time: double fetches."""
    c = d.client()
    with Honest(d):
        for round_ in range(3 if SANITIZED else 8):
            attack(c, "scribble_on", round_, 300)
            for i in range(200):
                try:
                    c.call("trial.weigh", b"\x01" * (i * 37 % 5000), pool="bad", timeout=30 * SLOW)
                except RpcError:
                    pass
            assert d.process.poll() is None, "the supervisor died"
    bad_pool_recovers(d)


# ---- descriptors and sockets -------------------------------------------------------------------------------------------


@hostile()
def clearing_o_nonblock_never_blocks_the_supervisor(d):
    c = d.client()
    with Honest(d):
        for _ in range(4):
            attack(c, "clear_nonblock")
            for i in range(50):
                try:
                    c.call("trial.weigh", b"\x01" * 100, pool="bad")
                except RpcError:
                    pass
        attack(c, "flood_output", 1 << 20, "y" * 4096)


@hostile()
def closing_every_descriptor_ends_in_an_answer(d):
    c = d.client()
    with Honest(d):
        for stay in (0, 1):
            for _ in range(3):
                started = time.monotonic()
                attack(c, "close_everything", stay, timeout_ms=5000)
                assert time.monotonic() - started < 15 * SLOW
    bad_pool_recovers(d)


@hostile(timeout=300)
def flooding_the_doorbell_and_the_control_socket_is_bounded(d):
    c = d.client()
    before = d.rss_kib()
    with Honest(d):
        for payload in (b"", b"\x00", b"\x08\x00\x00\x00\x00\x00\x00\x00", b"\x00" * 4096, b"x" * 60000):
            # Of the large ones as many as would be seen below if they were kept.
            count = min(int(20000 / SLOW), (300 << 20) // max(len(payload), 1))
            attack(c, "flood", count, payload, timeout=120 * SLOW, timeout_ms=60000)
            assert d.process.poll() is None, "the supervisor died"
    assert d.rss_kib() - before < 64 * 1024 * SLOW
    bad_pool_recovers(d)


@hostile(timeout=300)
def noise_on_the_control_socket_is_not_believed(d):
    c = d.client()
    seed = int(os.environ.get("SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"SEED={seed}")
    with Honest(d):
        for i in range(20 if SANITIZED else 60):
            attack(c, "gossip", seed + i, 50)
            assert d.process.poll() is None, "the supervisor died"
    bad_pool_recovers(d)


@hostile(timeout=300)
def a_flood_of_descriptors_leaves_their_number_constant(d):
    c = d.client()
    base = sum(d.descriptors().values())
    most = base
    msgid = c.send("call", ["hostile.flood_rights", [int(300 / SLOW)], {"pool": "bad", "timeout_ms": 60000}])
    with Honest(d):
        while msgid not in c.replies:
            most = max(most, sum(d.descriptors().values()))
            try:
                c.pump(0.005)
            except TimeoutError:
                pass
    print(f"{base} descriptors before, {most} at most")
    assert most < base + 600, most
    bad_pool_recovers(d)


# ---- flight ------------------------------------------------------------------------------------------------------------


@hostile()
def leaving_in_the_middle_of_a_task_is_a_loss(d):
    c = d.client()
    for status in (0, 1, 77):
        e = c.call_error("hostile.leave", status, pool="bad")
        assert e.code == "E_LOST", e
    bad_pool_recovers(d)


@hostile()
def a_child_that_ran_away_does_not_outlive_its_worker(d):
    c = d.client()
    away = c.call("hostile.run_away", pool="bad")
    for w in d.workers(pool="bad"):
        os.kill(w["pid"], signal.SIGKILL)
    until(lambda: not alive(away), "the runaway is gone", 10 * SLOW)


@test(daemon=False, timeout=90)
def a_child_that_ran_away_does_not_outlive_sigterm(home):
    d = Daemon(home, workers=None, config=POOLS)
    away = d.client().call("hostile.run_away", pool="bad")
    assert d.stop() == 0
    until(lambda: not alive(away), "the runaway is gone", 10 * SLOW)
    no_process_left()


@test(daemon=False, timeout=90)
def children_of_workers_do_not_outlive_the_supervisors_sigkill(home):
    d = Daemon(home, workers=None, config=POOLS)
    c = d.client()
    away = c.call("hostile.run_away", pool="bad")
    c.send("call", ["hostile.keep_child", [], {"pool": "bad"}])
    d.wait_worker(pool="bad", state="busy")
    worker = d.wait_worker(pool="bad", state="busy")["pid"]
    until(lambda: descendants(worker), "the child is there")
    d.kill()
    no_process_left(10 * SLOW)
    assert not alive(away)


LIES = ("nodot", "empty", "others", "noname", "late")


@test(config="[pool default]\nmodules = math\nworkers = 1\n" +
      "".join(f"[pool {lie}]\nmodules = @TESTS@/liar.so\nworkers = 1\nenvironment = LIAR={lie}\n" for lie in LIES),
      workers=None)
def a_forkserver_that_lies_is_not_believed_and_hurts_no_other_pool(d):
    for lie in LIES:
        until(lambda: any(p["name"] == lie and p["error"] for p in d.request("pools")), f"the lie {lie} is found out")
        error = next(p["error"] for p in d.request("pools") if p["name"] == lie)
        assert "report cannot be read" in error, (lie, error)
    names = {f["name"]: f for f in d.request("functions")}
    assert "math.square" in names and names["math.add"]["pools"] == ["default"], names
    assert not [name for name in names if "liar" in name or "." not in name], names
    assert d.client().call("math.square", 3) == 9


if __name__ == "__main__":
    main()
