"""What do workers, waiting tasks and idleness cost, and how soon is a dead worker replaced?"""
import re
import socket
import struct
import time

import report
from harness import until
from sides import Ours
from wire import pack

CALL_NOOP = b"\xa4call\x91\xa8sys.noop"
# Numbers of five bytes, so that every request and every answer has the same length.
FIRST_ID = 1 << 24
ANSWER = 9
AHEAD = 1000  # tasks that may lie in lanes instead of the queue, at most
IDLE_SECONDS = 5


def killed(b):
    side = b.adopt("one worker", Ours(workers=1))
    answers = b.turns([("one worker", "killed", 100, 0), ("Pool", "replaced", 20, 0)])
    b.times("until the next has answered", answers, base="one worker")
    assert side.daemon.request("stats")["workers_died"] >= b.count(100)
    b.report.goal("p99, the call that tells included", report.Spread(a.p99 for a in answers["one worker"]).median, report.duration, most=1e6)


# ---- memory ---------------------------------------------------------------------------------------------------------


def private_bytes(pid):
    """Private memory outside the lane, whose parts are memfds."""
    total, counts = 0, False
    with open(f"/proc/{pid}/smaps") as f:
        for line in f:
            if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                counts = "/memfd:" not in line
            elif counts and line.startswith(("Private_Clean:", "Private_Dirty:")):
                total += int(line.split()[1]) * 1024
    return total


def resident_bytes(pid):
    """Anonymous memory in use: what a process has allocated, without programs, libraries and lanes."""
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"RssAnon:\s+(\d+)", f.read()).group(1)) * 1024


def cpu_ns(pid):
    with open(f"/proc/{pid}/schedstat") as f:
        return int(f.read().split()[0])


def rest_ns(pid):
    """Waits until it rests → processor time that it has had."""
    last = [-1]

    def rests():
        before, last[0] = last[0], cpu_ns(pid)
        time.sleep(0.004)
        return before == last[0]

    until(rests, "the supervisor rests", timeout=60)
    return last[0]


class Blocked:
    """A daemon whose workers sleep, so that whatever comes has to wait."""

    def __init__(self, config="[daemon]\nmax_in_flight = 1048576\n"):
        self.side = Ours(config=config)
        self.daemon = self.side.daemon
        self.workers = len(self.daemon.request("workers"))
        self.sleepers = None
        self.raw = socket.socket(socket.AF_UNIX)
        self.raw.settimeout(120)
        self.raw.connect(self.daemon.path)

    def block(self):
        self.sleepers = self.daemon.client()
        for i in range(self.workers):
            self.sleepers.send_bytes(pack([0, i, "call", ["sys.sleep", [3600]]]))
        until(lambda: len(self.daemon.workers(state="busy")) == self.workers, "all workers sleep")

    def unblock(self):
        for i in range(self.workers):
            self.sleepers.send_bytes(pack([2, "cancel", [{"msgid": i}]]))

    def send(self, count, first=FIRST_ID):
        self.raw.sendall(b"".join(struct.pack(">BBBI", 0x94, 0, 0xCE, first + i) + CALL_NOOP for i in range(count)))

    def wait_queued(self, count):
        until(lambda: self.daemon.request("stats")["queued"] >= count - AHEAD, f"{count} tasks wait", timeout=60)

    def receive(self, count):
        left = count * ANSWER
        while left > 0:
            got = self.raw.recv(min(left, 1 << 20))
            if not got:
                raise AssertionError("the daemon has closed the connection")
            left -= len(got)

    def close(self):
        self.raw.close()
        if self.sleepers:
            self.daemon.close_clients()
        self.side.close()


def memory(b):
    million = 1000000
    pool = Blocked()
    try:
        pids = sorted(pool.daemon.worker_pids())
        idle = report.Spread(private_bytes(pid) for pid in pids)
        b.report.row("an idle worker", "private, no lane", memory=(idle, report.size))
        pool.block()
        before = resident_bytes(pool.daemon.pid)
        at, sent = {}, 0
        for count in (10000, 100000, million - 10):
            b.report.progress(f"memory: {count} waiting")
            pool.send(count - sent, FIRST_ID + sent)
            sent = count
            pool.wait_queued(count)
            at[count] = resident_bytes(pool.daemon.pid)
        each = (at[million - 10] - before) / million
        b.report.row("supervisor", "nothing queued", memory=(report.Spread([before]), report.size))
        for count, memory_now in at.items():
            b.report.row("supervisor", f"{report.plain(count)} queued", memory=(report.Spread([memory_now]), report.size),
                         each=(report.Spread([(memory_now - before) / count]), report.size))
        pool.unblock()
        pool.receive(sent)
        b.report.goal("an idle worker beside its lane", idle.median, report.size, most=128 << 10)
        b.report.goal("a queued no-op", each, report.size, most=256)
        b.report.goal("supervisor with a million queued, without 256 B for each", at[million - 10] - 256 * million, report.size,
                      most=32 << 20)
    finally:
        pool.close()


def backlog(b):
    """Processor time of the supervisor a task, whether a hundred wait at a time or a million."""
    depths = {100: 5000, 10000: 100000, 999990: 999990}  # waiting at a time → in all
    pool = Blocked("[daemon]\nmax_in_flight = 1048576\nspin = off\n")
    pid = pool.daemon.pid
    costs = {depth: [] for depth in depths}
    try:
        for turn in range(min(b.rounds, 3)):
            for depth, total in depths.items():
                b.report.progress(f"backlog: round {turn + 1}, {depth} waiting")
                spent = 0
                for _ in range(total // depth):
                    pool.block()
                    start = rest_ns(pid)
                    pool.send(depth)
                    # Nobody asks whether they are there: the answer would count.
                    rest_ns(pid)
                    pool.unblock()
                    pool.receive(depth)
                    spent += rest_ns(pid) - start
                    pool.daemon.close_clients()
                costs[depth].append(spent / total)
    finally:
        pool.close()
    for depth, cost in costs.items():
        b.report.row("no-ops", f"{report.plain(depth)} waiting", supervisor=(report.Spread(cost), report.duration))
    ratio = report.Spread(x / y for x, y in zip(costs[max(depths)], costs[min(depths)]))
    b.report.goal("a task among a million / among a hundred", ratio.median, report.plain, most=1)


def idle(b):
    pool = Ours()
    pid = pool.daemon.pid
    connections = []

    def switches():
        with open(f"/proc/{pid}/status") as f:
            return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", f.read(), re.M).group(1))

    def look():
        """Waits for a moment without a change, then counts for some seconds."""
        last = [-1]

        def quiet():
            before, last[0] = last[0], switches()
            time.sleep(0.2)
            return before == last[0]

        until(quiet, "the daemon is idle")
        start, cpu = switches(), cpu_ns(pid)
        time.sleep(IDLE_SECONDS)
        return (switches() - start) / IDLE_SECONDS, (cpu_ns(pid) - cpu) / IDLE_SECONDS

    try:
        for count in (0, 1000):
            while len(connections) < count:
                s = socket.socket(socket.AF_UNIX)
                s.connect(pool.daemon.path)
                connections.append(s)
                s.sendall(pack([0, 1, "ping", []]))
                s.recv(64)
            b.report.progress(f"idle: {count} connections, {IDLE_SECONDS} s")
            wakes, cpu = look()
            b.report.row(f"over {IDLE_SECONDS} s", f"{report.plain(count)} connections", wakes=(report.Spread([wakes]), report.rate),
                         cpu=(report.Spread([cpu]), lambda ns: report.duration(ns) + " a second"))
            b.report.goal(f"wakes a second with {report.plain(count)} connections", wakes, report.plain, most=0.999)
        b.report.goal("processor time a second with them", cpu, report.duration, most=1e5)
    finally:
        for s in connections:
            s.close()
        pool.close()
