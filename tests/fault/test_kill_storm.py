#!/usr/bin/python3
"""Does every task get exactly one definite answer while its workers are killed by the thousand?

A stream of tasks of mixed size, idempotent and not, as calls, submits and maps; beside it a killer. Each run of a
function appends its key to a file (modules/journal.c), and the judge believes that file alone: a task answered with a
result has run; one that is not idempotent has never run twice; none is unanswered. KILLS=N sets how many.
"""
import collections
import os
import random
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from harness import PATIENCE, SANITIZED, SLOW, Client, Daemon, RpcError, alive, descendants, main, memfd, no_process_left, pack, test, until  # noqa: E402

KILLS = int(os.environ.get("KILLS", "1500" if SANITIZED else "10000"))
LIMIT = float(os.environ.get("MPOOL_TEST_TIMEOUT", 400))
ATTEMPTS = 3  # the pool's, for idempotent functions
WINDOW = 96


class Task:
    __slots__ = ("key", "function", "ballast", "size", "kind", "error", "answers")

    def __init__(self, key, function, ballast, size, kind):
        self.key, self.function, self.ballast, self.size, self.kind = key, function, ballast, size, kind
        self.error, self.answers = None, 0


class Stream:
    """Sends tasks and files what comes back."""

    def __init__(self, d, journal, dice):
        self.c = d.client()
        self.journal, self.dice = journal, dice
        self.tasks = []
        self.waiting = {}  # msgid → what to do with the answer
        self.ballast = {n: b"b" * n for n in (0, 20, 200, 300, 5000, 60000, 400000, 800000)}

    def size(self):
        r = self.dice.random()
        if r < 0.7:
            return self.dice.choice((0, 20, 200))
        if r < 0.95:
            return self.dice.choice((300, 5000))
        if r < 0.99:
            return 60000
        return self.dice.choice((400000, 800000))

    def new(self, kind):
        function = self.dice.choice(("journal.once", "journal.once", "journal.again"))
        task = Task(len(self.tasks), function, self.size(), self.size(), kind)
        self.tasks.append(task)
        r = self.dice.random()
        pause = 0 if r < 0.6 else self.dice.randrange(400) if r < 0.95 else self.dice.randrange(8000) if r < 0.998 else 30000
        return task, [self.journal, task.key, pause, self.ballast[task.ballast], task.size]

    def check(self, task, error, result):
        task.answers += 1
        task.error = error
        if error is None:
            assert result[0] == task.key and result[1] == task.ballast and len(result[2]) == task.size, (
                f"task {task.key} was answered with another's result")
            assert result[2] == bytes([ord("a") + task.key % 26]) * task.size, f"the result of task {task.key} is damaged"
        else:
            assert error[0] == 0 and error[1].startswith("E_LOST: "), f"task {task.key} ({task.kind}): {error}"
            if task.function == "journal.again":
                assert f"attempt {ATTEMPTS} of {ATTEMPTS}" in error[1], f"task {task.key} was given up early: {error}"

    def send(self):
        r = self.dice.random()
        if r < 0.8:
            task, args = self.new("call")
            msgid = self.c.send("call", [task.function, args])
            self.waiting[msgid] = lambda error, result: self.check(task, error, result)
        elif r < 0.92:
            task, args = self.new("submit")
            msgid = self.c.send("submit", [task.function, args, {"ttl_s": 3}])

            def fetch(error, ident):
                assert error is None, f"submit: {error}"
                self.waiting[self.c.send("result", [ident, 600000])] = lambda e, result: self.check(task, e, result)

            self.waiting[msgid] = fetch
        else:
            made = [self.new("map") for _ in range(self.dice.randrange(2, 40))]
            function = made[0][0].function
            for task, _ in made:
                task.function = function
            msgid = self.c.send("map", [function, [args for _, args in made], {"star": True, "each": True}])

            def spread(error, pairs):
                assert error is None and len(pairs) == len(made), f"map: {error}"
                for (task, _), (e, result) in zip(made, pairs):
                    self.check(task, e, result)

            self.waiting[msgid] = spread

    def pump(self):
        """Waits for answers; a silence of PATIENCE is a hang."""
        self.c.pump(PATIENCE * 2)
        for msgid in list(self.c.replies):
            error, result = self.c.replies.pop(msgid)
            self.c.forget(msgid)
            self.waiting.pop(msgid)(error, result)

    def drain(self):
        while self.waiting:
            self.pump()


class Killer(threading.Thread):
    """Sends signals to random workers, each worker dying once."""

    def __init__(self, d, count, seed, stops=False, forkservers=False):
        super().__init__(daemon=True)
        self.d, self.count, self.stops, self.forkservers = d, count, stops, forkservers
        self.dice = random.Random(seed)
        self.killed, self.busy, self.stopped, self.failure = set(), 0, 0, None
        self.enough = threading.Event()

    def strike(self, worker):
        try:
            fd = os.pidfd_open(worker["pid"])
        except ProcessLookupError:
            return False
        try:
            with open(f"/proc/{worker['pid']}/stat") as f:
                if int(f.read().rpartition(")")[2].split()[1]) != self.d.pid:
                    return False  # the number already belongs to somebody else
            if self.stops and self.dice.random() < 0.5:
                signal.pidfd_send_signal(fd, signal.SIGSTOP)
                self.stopped += 1
                self.enough.wait(self.dice.choice((0.0005, 0.005, 0.05, 0.2)))
                if self.dice.random() < 0.7:
                    signal.pidfd_send_signal(fd, signal.SIGCONT)
                    return False
            signal.pidfd_send_signal(fd, signal.SIGKILL)
            return True
        except (ProcessLookupError, FileNotFoundError):
            return False
        finally:
            os.close(fd)

    def run(self):
        try:
            with Client(self.d.path) as c:
                while len(self.killed) < self.count and not self.enough.is_set():
                    workers = [w for w in c.request("workers") if w["id"] not in self.killed]
                    # A worker that dies before its first task slows the pool's restarts on purpose, and several in
                    # sequence are the end of a pool that has no other: few of those, however long a start takes.
                    ripe = [w for w in workers if w["tasks"] > 0 or w["id"] % 40 == 0]
                    if not ripe:
                        self.enough.wait(0.001)
                        continue
                    victim = self.dice.choice(ripe)
                    self.enough.wait(self.dice.choice((0, 0, 0, 0.001, 0.004)))
                    if self.strike(victim):
                        self.killed.add(victim["id"])
                        self.busy += victim["state"] == "busy"
                    if self.forkservers and self.dice.random() < 0.02:
                        pids = {w["pid"] for w in c.request("workers")}
                        for pid, _ in descendants(self.d.pid):
                            if pid not in pids and self.dice.random() < 0.3:
                                try:
                                    os.kill(pid, signal.SIGKILL)
                                except ProcessLookupError:
                                    pass
        except BaseException as e:
            self.failure = e
        self.enough.set()


def judge(stream, journal):
    """Holds what was answered against what was written."""
    runs = collections.Counter()
    with open(journal) as f:
        for line in f:
            key, attempt, pid = line.split()
            runs[int(key)] += 1
    wrong = []
    lost = 0
    for t in stream.tasks:
        n = runs.pop(t.key, 0)
        most = 1 if t.function == "journal.once" else ATTEMPTS
        lost += t.error is not None
        if t.answers != 1:
            wrong.append(f"task {t.key} ({t.kind} {t.function}) was answered {t.answers} times")
        elif t.error is None and n < 1:
            wrong.append(f"task {t.key} ({t.kind} {t.function}) has a result and never ran")
        elif n > most:
            wrong.append(f"task {t.key} ({t.kind} {t.function}) ran {n} times, {most} are allowed (answered {t.error})")
    if runs:
        wrong.append(f"keys in the journal that nobody sent: {list(runs)[:10]}")
    assert not wrong, f"{len(wrong)} wrong:\n" + "\n".join(wrong[:20])
    return lost


def storm(d, kills, **how):
    seed = int(os.environ.get("SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"SEED={seed}")
    journal = os.path.join(d.home, "journal")
    open(journal, "w").close()
    stream = Stream(d, journal, random.Random(seed))
    killer = Killer(d, kills, seed + 1, **how)
    started = time.monotonic()
    # Some tasks first, so that the workers of the start have shown that they can work.
    for _ in range(50):
        stream.send()
    stream.drain()
    killer.start()
    try:
        while not killer.enough.is_set():
            while len(stream.waiting) < WINDOW:
                stream.send()
            stream.pump()
        if killer.failure:
            raise killer.failure
        stream.drain()
    finally:
        killer.enough.set()
        killer.join(PATIENCE)
    took = time.monotonic() - started
    lost = judge(stream, journal)
    stats = d.request("stats")
    assert stats["workers_died"] >= len(killer.killed), stats
    until(lambda: d.request("stats")["detached_kept"] == 0, "the results of the submitted tasks are forgotten")
    print(f"{len(killer.killed)} kills ({killer.busy} of busy workers, {killer.stopped} stopped) in {took:.1f} s, "
          f"{len(stream.tasks)} tasks, {lost} lost with a verdict; supervisor {d.rss_kib()} KiB")
    return killer, stream


def is_stopped(pid):
    with open(f"/proc/{pid}/stat") as f:
        return f.read().rsplit(")", 1)[1].split()[0] == "T"


def in_one_lane(d, c, journal, build, runs):
    """Sends the calls of journal.once that build(key) makes, together, behind one that stops the supervisor: so all of
    them are in the one worker's lane, and stay there behind a slow one. That is so for functions known to be quick. On a
    busy machine they may not look quick; then they are taught again. → the key, and the msgids, once the first `runs`
    have begun; the supervisor is stopped."""
    for key in range(0, 100000, 1000):
        for i in range(200):
            c.request("call", "journal.once", [journal, key + i, 0, b"", 0])
            c.request("call", "journal.stop", [False])
        requests, first = build(key + 500), c.next_id + 1000
        fds = [memfd(args) if isinstance(args, bytes) else None for args in requests]
        params = [["journal.once", None, {"args_memfd": len(args)}] if fd else ["journal.once", args]
                  for args, fd in zip(requests, fds)]
        c.send_bytes(b"".join(pack([0, first + i, "call", each]) for i, each in enumerate([["journal.stop", [True]], *params])),
                     [fd for fd in fds if fd])
        for fd in fds:
            if fd:
                os.close(fd)
        c.next_id = first + 1 + len(requests)
        msgids = range(first + 1, c.next_id)
        until(lambda: is_stopped(d.pid), "the supervisor is stopped")
        try:
            until(lambda: all(begun(journal, key + 500 + i) for i in range(runs)), "all of them are in the lane", 0.5 * SLOW)
            return key + 500, msgids
        except AssertionError:
            os.kill(d.pid, signal.SIGCONT)
            for msgid in msgids:
                c.request("cancel", {"msgid": msgid})
            for msgid in msgids:
                try:
                    c.reply(msgid)
                except RpcError as e:
                    assert e.code == "E_CANCELLED", e
    raise AssertionError("this machine is too busy for a function to be quick")


def begun(journal, key):
    with open(journal) as f:
        return any(line.split()[0] == str(key) for line in f)


@test(modules=["journal"], workers="1")
def what_was_sent_before_a_death_is_heard_after_it(d):
    """A large result is a message ahead of its DONE. The death of a worker that has not read all its own messages must
    not hide it: the kernel tells of the reset before it hands out what was received."""
    c, journal = d.client(), os.path.join(d.home, "journal")
    (pid,) = d.worker_pids()
    key, (large, sleeps, unread) = in_one_lane(d, c, journal, lambda key: [
        [journal, key, 0, b"", 800000], [journal, key + 1, 60000000, b"", 0], pack([journal, key + 2, 0, b"x" * 800000, 0])], 2)
    # The large result is on its way, the large arguments are not read. It hears nothing more of its worker until that is dead.
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.05)
    os.kill(d.pid, signal.SIGCONT)
    assert len(c.reply(large)[2]) == 800000
    try:
        c.reply(sleeps)
        raise AssertionError("one who was killed has answered")
    except RpcError as e:
        assert e.code == "E_LOST", e
    assert c.reply(unread)[:2] == [key + 2, 800000]
    with open(journal) as f:
        runs = collections.Counter(int(line.split()[0]) for line in f)
    assert max(runs.values()) == 1, runs.most_common(3)


def in_futex(pid):
    with open(f"/proc/{pid}/syscall") as f:
        return f.read().split()[0] == "202"


@test(workers="1", modules=["trial"])
def a_large_result_behind_a_socket_full_of_words_is_found(d):
    """Of one who lives as of one who dies: the socket holds more messages than are heard in one pass."""
    c, words = d.client(), 258
    for dies in (False, True):
        path = os.path.join(d.home, f"begin-{dies}")
        msgid = c.start("trial.talk", path, words, 800000)
        pid = d.wait_worker(state="busy")["pid"]
        os.kill(d.pid, signal.SIGSTOP)
        open(path, "w").close()
        until(lambda: in_futex(pid), "its result is published")
        if dies:
            os.kill(pid, signal.SIGKILL)
            until(lambda: not alive(pid), "it is dead")
        os.kill(d.pid, signal.SIGCONT)
        assert len(c.reply(msgid)) == 800000


@test(workers="1", modules=["journal"])
def many_large_results_wait_for_a_slow_supervisor(d):
    c, count = d.client(), 3  # with the one that stops the supervisor, as many as fit the lane of a function of 200 us
    for dies in (False, True):
        journal = os.path.join(d.home, f"journal-{dies}")
        (pid,) = d.worker_pids()
        _, msgids = in_one_lane(d, c, journal, lambda key: [
            [journal, key + i, 0, b"", 700000 + i] for i in range(count)], count)
        until(lambda: in_futex(pid), "all of them are done")
        if dies:
            os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        os.kill(d.pid, signal.SIGCONT)
        assert [len(c.reply(msgid)[2]) for msgid in msgids] == [700000 + i for i in range(count)]
        assert d.request("stats")["workers_died"] == dies


@test(modules=["journal"], workers="4", timeout=LIMIT)
def storm_of_kills_every_task_is_answered_exactly_once(d):
    killer, stream = storm(d, KILLS)
    assert len(killer.killed) == KILLS
    assert killer.busy > KILLS / 20, "the storm has hit idle workers only"


@test(modules=["journal"], workers="3", timeout=LIMIT)
def workers_that_are_stopped_and_continued_lose_nothing(d):
    storm(d, min(KILLS, 200), stops=True)


@test(modules=["journal"], workers="3", timeout=LIMIT)
def forkservers_that_are_killed_too_lose_nothing(d):
    storm(d, min(KILLS, 300), forkservers=True)


@test(config="[pool default]\nworkers = 1..5\nidle_timeout = 20ms\nmax_tasks = 40\n", workers=None, modules=["journal"], timeout=LIMIT)
def kills_while_the_pool_breathes_and_recycles_lose_nothing(d):
    storm(d, min(KILLS, 500))
    until(lambda: len(d.worker_pids()) == 1, "it has shrunk", 20 * SLOW)


@test(daemon=False, timeout=LIMIT)
def a_supervisor_killed_in_the_storm_lets_every_caller_know(home):
    """Callers hear of it at once, nobody survives, and what had run had run once."""
    for round_ in range(5 if SANITIZED else 10):
        place = os.path.join(home, str(round_))
        d = Daemon(place, modules=["journal"], workers="3")
        journal = os.path.join(place, "journal")
        open(journal, "w").close()
        stream = Stream(d, journal, random.Random(round_))
        for _ in range(50 + 40 * round_):
            while len(stream.waiting) >= WINDOW:
                stream.pump()
            stream.send()
        d.signal(signal.SIGKILL)
        started = time.monotonic()
        stream.c.ended(PATIENCE)
        assert time.monotonic() - started < 1.0 * SLOW, "the callers were left waiting"
        d.wait_exit()
        no_process_left(10 * SLOW)
        runs = collections.Counter(int(line.split()[0]) for line in open(journal))
        doubled = [t.key for t in stream.tasks if t.function == "journal.once" and runs[t.key] > 1]
        assert not doubled, doubled
        unrun = [t.key for t in stream.tasks if t.answers and t.error is None and not runs[t.key]]
        assert not unrun, unrun
        d.close_clients()


if __name__ == "__main__":
    main()
