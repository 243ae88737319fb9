"""How long does a ping take beside a neighbour that asks for much?

Each neighbour sends what it has made beforehand and reads its answers as raw bytes, so that it hardly needs a processor
itself; a process of its own pings meanwhile, one after the other, on a connection of its own.
"""
import os
import socket
import struct
import subprocess
import sys
import threading
import time

import report
from sides import Ours
from wire import Client, Raw, pack

GOAL_NS = 20e6
DUE_NS = 1000000
LEAST_SECONDS = 0.3  # a neighbour that is done sooner begins again
LARGE = 60 << 20
PINGER = """
import select, socket, struct, sys, time
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
took = []
print(flush=True)
poll = select.poll()
poll.register(0, select.POLLIN)
while not poll.poll(0):
    began = time.monotonic_ns()
    s.sendall(b"\\x94\\x00\\x01\\xa4ping\\x90")
    got = 0
    while got < 9:
        got += len(s.recv(64))
    took.append(time.monotonic_ns() - began)
    time.sleep(max(0, (1000000 - took[-1]) / 1e9))
sys.stdout.buffer.write(struct.pack(f"{len(took)}Q", *took))
"""


class Answer:
    """What pings took that were due every millisecond: while one waits, those that were due meanwhile wait as well."""

    def __init__(self, took):
        took = sorted(left for ns in took for left in range(ns, 0, -DUE_NS))
        self.p50, self.p99, self.most = took[len(took) // 2], took[len(took) - 1 - len(took) // 100], took[-1]


def pings_beside(path, work):
    """Calls work() until some time has passed, and pings meanwhile."""
    pinger = subprocess.Popen([sys.executable, "-c", PINGER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    pinger.stdout.readline()
    began = time.monotonic()
    while True:
        work()
        if time.monotonic() - began >= LEAST_SECONDS:
            break
    raw = pinger.communicate(b"\n")[0]
    return Answer(struct.unpack(f"{len(raw) // 8}Q", raw))


# ---- neighbours -----------------------------------------------------------------------------------------------------


class Neighbour:
    """A connection that sends and reads raw bytes."""

    def __init__(self, path, memfd=False):
        self.client = Client(path, timeout=600)
        self.sock = self.client.sock
        if memfd:
            self.client.request("hello", {"memfd": True})

    def exchange(self, request, fds=(), answers=1):
        """Sends, and reads so many answers, whatever they are."""
        thread = threading.Thread(target=self.client.send_bytes, args=(request, fds))
        thread.start()
        for _ in range(answers):
            self._skip_answer()
        thread.join()

    def _skip_answer(self):
        while True:
            message = self.client.receive()
            if message[0] == 1:
                break
        for fd in self.client.fds:
            os.close(fd)
        self.client.fds.clear()


def values(count):
    """An array of so many numbers, each of which has to be looked at."""
    return Raw(b"\xdd" + struct.pack(">I", count) + b"\x01" * count)


def large_map(b, d):
    n = Neighbour(d.path, memfd=True)
    request = pack([0, 1, "map", ["sys.blob", [1 << 20] * b.count(1000, 10)]])
    return lambda: n.exchange(request)


def small_chunks(b, d):
    n = Neighbour(d.path, memfd=True)
    request = pack([0, 1, "map", ["math.square", [1] * b.count(800000, 1000), {"chunk": 1}]])
    return lambda: n.exchange(request)


def large_result(b, d):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(d.path)
    size = b.count(LARGE, 1 << 20)
    request = pack([0, 1, "call", ["sys.blob", [size]]])
    into = bytearray(1 << 20)

    def work():
        sock.sendall(request)
        left = size + 9
        while left > 0:
            left -= sock.recv_into(into)

    return work


def argument(b, d, value):
    n = Neighbour(d.path)
    request = pack([0, 1, "call", ["sys.noop", [value]]])
    return lambda: n.exchange(request)


def large_argument(b, d):
    return argument(b, d, b"x" * b.count(LARGE, 1 << 20))


def many_values(b, d):
    count = b.count(LARGE, 1 << 20)
    return argument(b, d, values(count))


def large_item(b, d):
    n = Neighbour(d.path)
    count = b.count(LARGE // 2, 1 << 20)
    request = pack([0, 1, "map", ["sys.noop", [values(count), 1]]])
    return lambda: n.exchange(request)


def many_items(b, d):
    n = Neighbour(d.path)
    count = b.count(8 << 20, 1 << 16)
    request = pack([0, 1, "map", ["sys.noop", values(count)]])
    return lambda: n.exchange(request)


def flood(b, d, one):
    n = Neighbour(d.path)
    count = b.count(60000, 600)
    request = b"".join(one(i) for i in range(count)) + pack([0, 1, "call", ["sys.noop"]])
    answers = count + 1 if one(0)[1] == 0 else 1
    return lambda: n.exchange(request, answers=answers)


def notifications(b, d):
    return flood(b, d, lambda i: pack([2, "call", ["sys.noop"]]))


def chosen_msgids(b, d):
    return flood(b, d, lambda i: pack([0, i << 16 & 0xFFFFFFFF, "call", ["sys.noop"]]))


def long_name(b, d):
    n = Neighbour(d.path)
    request = pack([0, 1, "call", ["x" * b.count(LARGE, 1 << 20)]])
    return lambda: n.exchange(request)


def many_puts(b, d):
    n = Neighbour(d.path)
    handle = n.client.request("open", "queue", None, {"capacity": 1 << 20})["id"]
    count = b.count(1 << 20, 1000)
    put = pack([0, 1, "put", [handle, values(count)]])
    get = pack([0, 1, "get", [handle, 1 << 20]])
    return lambda: n.exchange(put + get, answers=2)


def many_kept(b, d):
    n = Neighbour(d.path)
    count = b.count(20000, 100)
    n.exchange(b"".join(pack([0, i, "submit", ["sys.noop"]]) for i in range(count)), answers=count)
    request = pack([0, 1, "list", [{"limit": min(count, 10000)}]])
    return lambda: n.exchange(request)


def large_array(b, d):
    n = Neighbour(d.path, memfd=True)
    size = b.count(1 << 27, 1 << 10)

    def work():
        result = n.client.request("open", "array", None, {"type": "i64", "count": size})
        for fd in n.client.fds:
            os.close(fd)
        n.client.fds.clear()
        n.client.request("close", result["id"])

    return work


def strangers(b, d):
    """Connections that say nothing that is a message: a line in the log for each, and nobody reads the log."""
    def work():
        for _ in range(b.count(3000, 30)):
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(d.path)
                s.sendall(b"\x01")
                s.recv(1)
    return work


NEIGHBOURS = (
    ("nobody", lambda b, d: lambda: time.sleep(LEAST_SECONDS)),
    ("a map of 1,000 MiB", large_map),
    ("800,000 chunks of one item", small_chunks),
    ("a result of 60 MiB", large_result),
    ("an argument of 60 MiB", large_argument),
    ("the same, 60 million values", many_values),
    ("an item of 30 million values", large_item),
    ("8 million items", many_items),
    ("60,000 notifications", notifications),
    ("60,000 msgids i << 16", chosen_msgids),
    ("a name of 60 MiB", long_name),
    ("a million items into a queue", many_puts),
    ("a list of 20,000 tasks", many_kept),
    ("an array of 1 GiB", large_array),
    ("3,000 strangers, log unread", strangers),
)


def neighbours(b):
    read_end, write_end = os.pipe()
    side = b.adopt("mpool", Ours(stderr=write_end))
    for what, make in NEIGHBOURS:
        work = make(b, side.daemon)
        answers = []
        for turn in range(b.rounds):
            b.report.progress(f"neighbours: {what}, round {turn + 1} of {b.rounds}")
            answers.append(pings_beside(side.daemon.path, work))
        b.report.row(what, "a ping", p50=(report.Spread(a.p50 for a in answers), report.duration),
                     p99=(report.Spread(a.p99 for a in answers), report.duration),
                     most=(report.Spread(a.most for a in answers), report.duration))
        b.report.goal(f"p99 beside {what}", report.Spread(a.p99 for a in answers).median, report.duration, most=GOAL_NS)
    os.close(read_end)
    os.close(write_end)
