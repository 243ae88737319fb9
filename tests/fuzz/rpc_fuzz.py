#!/usr/bin/python3
"""Can any sequence of bytes, descriptors and disconnections harm the daemon, or another client?

A seeded crowd of clients sends requests that are nearly right: parts mutated, cut, in small pieces, with descriptors that
belong to nothing, many at a time, read or not; clients go at every point; workers are killed and the configuration is
read again meanwhile. All along a ping must be answered soon, and honest clients must get the right answer to each
request once. In the end the daemon must hold what it held at the start: no task, no byte of arguments, no descriptor.

    MPOOL_BUILD=build python3 tests/fuzz/rpc_fuzz.py [SECONDS [SEED]]

The seed decides what is sent; when it arrives is the kernel's choice. Most is found in a build with sanitizers.
"""
import os
import random
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from harness import SLOW, Client, Closed, RpcError, main, memfd, pack, test, until  # noqa: E402
from wire import Ext, Malformed, Raw, Short, unpack_from  # noqa: E402

SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else int(os.environ.get("SEED", random.SystemRandom().randrange(1 << 32)))
CROWD = 24
CONFIG = """[daemon]
max_message = 64K
max_output_bytes = 64K
max_in_flight = 40
max_kept = 60
max_kept_bytes = 4M
result_ttl = 1s
cancel_grace = 100ms
stall_timeout = 1s
max_objects = 60
max_user_object_bytes = 1M
max_open_objects = 8
[pool default]
workers = 2
max_queue = 30
max_processes = 12
timeout = 1s
[pool bad]
modules = @TESTS@/hostile.so @TESTS@/trial.so sys
workers = 2
max_queue = 10
timeout = 1s
"""
METHODS = ["hello", "ping", "call", "map", "submit", "spawn", "signal", "wait", "result", "status", "cancel", "list", "functions", "pools",
           "workers", "stats", "open", "close", "remove", "objects", "inspect", "put", "get", "confirm", "done", "join", "finish"]
KINDS = ["value", "array", "lock", "rlock", "semaphore", "bounded_semaphore", "condition", "event", "barrier", "queue", "joinable_queue", "pipe",
         None, "odd"]
NAMES = ["a", "b", "c", "lock:1:0123456789abcdef", "", "x" * 129, "\x00", None]
OBJECT_OPTIONS = {"create": ["yes", "no", "new", "odd"], "mode": [0o600, 0o666, 0o777], "ttl_s": [0, 1, -1], "read_only": [True, False],
                  "type": ["i8", "u64", "f32", "bytes", "odd"], "value": [0, 1, 3, 256, -1, 1.5, 1 << 63], "count": [0, 1, 512, 1 << 17, 1 << 48],
                  "set": [True], "parties": [0, 1, 256, 257], "group": [0, 1, 1 << 32], "nonsense": [1],
                  "capacity": [0, 1, 3, 1 << 20, 1 << 32], "size": [0, 1, 100, 1 << 40], "at_least_once": [True, False],
                  "duplex": [True, False], "end": [0, 1, 2]}
FUNCTIONS = ["math.square", "sys.noop", "sys.echo", "sys.sleep", "sys.blob", "sys.output", "sys.fail", "sys.crash", "sys.pid", "sys.progress",
             "text.wordcount", "hostile.scribble", "hostile.leave", "trial.deaf", "no.such", "math.sqare", "", "\x00", "x" * 300]
OPTIONS = {"pool": ["default", "bad", "none", ""], "name": ["n", "x" * 128, "x" * 129, "\udcff"], "timeout_ms": [1, 20, 500, 0, -1],
           "attempts": [1, 3, 101], "output": [True, False], "args_memfd": [1, 2, 5, 1 << 40], "ttl_s": [1, 0], "star": [True, False],
           "each": [True, False], "stream": [True, False], "chunk": [1, 7, 1000, 0], "daemonic": [True], "nonsense": [1]}


class Attacker:
    def __init__(self, dice, path):
        self.dice, self.path = dice, path
        self.ids = []  # of tasks, as answers told them
        self.handles = []  # of objects
        self.open()

    def open(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(10 * SLOW)
        self.sock.connect(self.path)
        self.sock.setblocking(False)
        self.out, self.got, self.fds = b"", bytearray(), []
        self.reads = self.dice.random() < 0.8
        self.slow = self.dice.random() < 0.2
        self.next_id = 0

    def close(self):
        self.sock.close()
        for fd in self.fds:
            os.close(fd)
        self.fds = []

    # ---- what is sent ----

    def value(self, depth=0):
        d = self.dice
        kind = d.randrange(14 if depth < 4 else 9)
        if kind >= 11:
            return [self.value(depth + 1) for _ in range(d.randrange(5))]
        if kind >= 9:
            return {str(i): self.value(depth + 1) for i in range(d.randrange(4))}
        return [None, True, d.randrange(-100, 100), d.choice([1 << 31, 1 << 52, (1 << 64) - 1, -(1 << 63)]), d.random(), "text" * d.randrange(4),
                d.randbytes(d.choice([0, 1, 31, 300, 5000])), Ext(d.randrange(-128, 128), b"x" * d.randrange(20)), 0][kind]

    def arguments(self, function):
        d = self.dice
        if function == "sys.sleep":
            return [d.choice([0, 0.001, 0.02, 0.02, 30])]
        if function == "sys.blob":
            return [d.choice([0, 1, 1000, 60000, 70000, 700000])]
        if function == "sys.output":
            return [d.randbytes(d.choice([1, 100, 20000])), d.choice([1, 2])]
        if function in ("math.square", "sys.progress"):
            return [d.randrange(1000)]
        return [self.value() for _ in range(d.randrange(3))]

    def options(self):
        d = self.dice
        options = {name: d.choice(OPTIONS[name]) if d.random() < 0.95 else self.value() for name in d.sample(sorted(OPTIONS), d.randrange(4))}
        # A time to live of some other number would keep its task beyond the end, and rightly.
        if type(options.get("ttl_s")) is int and options["ttl_s"] > 1:
            options["ttl_s"] = 1
        return options

    def task_id(self):
        d = self.dice
        return d.choice([*self.ids[-8:], {"msgid": d.randrange(8)}, (1 << 52) + d.randrange(2000), d.randrange(5000), self.value()])

    def params(self, method):
        d = self.dice
        if method in ("call", "submit", "map", "spawn"):
            function = d.choice(FUNCTIONS)
            if method == "map":
                args = [item for _ in range(d.choice([0, 1, 5, 40])) for item in self.arguments(function)[:1]]
            else:
                args = self.arguments(function)
            params = [function, args]
            if d.random() < 0.6:
                params.append(self.options())
                if "args_memfd" in params[2] and d.random() < 0.8:
                    params[1] = None
            return params
        if method in ("wait", "result"):
            return [self.task_id(), *([d.choice([0, 1, 50, None, -1, 1 << 60])] if d.random() < 0.7 else [])]
        if method == "signal":
            return [self.task_id(), d.choice(["TERM", "KILL", "SIGSTOP", "CONT", "USR1", 9, 0, 99, self.value()])]
        if method in ("status", "cancel"):
            return [self.task_id()]
        if method == "open":
            options = {name: d.choice(OBJECT_OPTIONS[name]) if d.random() < 0.95 else self.value()
                       for name in d.sample(sorted(OBJECT_OPTIONS), d.randrange(3))}
            return [d.choice(KINDS), d.choice([*NAMES, *self.handles[-4:]]), options][: d.choice([1, 2, 3, 3])]
        if method == "close":
            return [d.choice([d.randrange(2000), self.value()])]
        if method in ("put", "get", "confirm", "done", "join", "finish"):
            soon = d.choice([0, 1, 20, -1, "soon"])  # never for ever: every request is to be answered
            rest = {"put": [[self.value() for _ in range(d.randrange(6))], soon], "get": [d.choice([1, 3, 100, 0]), soon],
                    "confirm": [[d.choice([(1 << 20) + d.randrange(4), 0, self.value()]) for _ in range(d.randrange(4))]],
                    "done": [d.choice([0, 1, 2, 1 << 31])], "join": [soon], "finish": []}[method]
            if method == "put" and d.random() < 0.2:
                rest = [None if d.random() < 0.9 else rest[0], soon, d.choice([1, 2, 5, 1 << 40, self.value()])]
            return [d.choice([d.randrange(1, 60), d.randrange(2000), self.value()]), *rest]
        if method in ("remove", "inspect"):
            return [d.choice([*NAMES, *self.handles[-4:]])]
        if method == "hello":
            return [{"client": d.choice(["fuzz", "\n", "x" * 65]), "memfd": d.random() < 0.7}] if d.random() < 0.8 else [self.value()]
        if method == "list":
            return [{key: value for key, value in (("state", d.choice(["running", "done", "odd"])), ("limit", d.choice([1, 10000, 0])),
                                                   ("all", True), ("name", "n")) if d.random() < 0.4}]
        return [] if d.random() < 0.95 else [self.value()]

    def message(self):
        d = self.dice
        method = d.choice(METHODS) if d.random() < 0.5 else d.choice(["call", "map", "submit", "spawn", "result", "cancel"])
        params = self.params(method)
        if d.random() < 0.03:
            params = params[: d.randrange(len(params) + 1)] + [self.value()] * d.randrange(3)
        self.next_id += 1
        msgid = self.next_id if d.random() < 0.5 else d.randrange(8)
        whole = [2, method, params] if d.random() < 0.1 else [0, msgid, method, params]
        if d.random() < 0.01:
            whole[d.randrange(len(whole))] = self.value()
        data = bytearray(pack(whole))
        # Nor may chance make a time to live longer, or a process live on.
        if d.random() < 0.03 and b"ttl_s" not in data and b"daemonic" not in data:
            for _ in range(d.randrange(1, 4)):
                at, what = d.randrange(len(data)), d.randrange(3)
                if what == 0:
                    data[at] = d.randrange(256)
                elif what == 1:
                    data[at:at] = d.randbytes(d.randrange(1, 6))
                elif len(data) > 8:
                    del data[at : at + d.randrange(1, 6)]
        fds = []
        if (b"args_memfd" in data or method == "put" and len(params) > 3) and d.random() < 0.9 or d.random() < 0.02:
            for _ in range(d.choice([1, 1, 1, 1, 2, 20])):
                content = d.choice([b"\x90", b"\x91\x07", b"\x91\xc1", b"\x95\x01\x02\x03\x04", b"\x92\x01\x02", bytes(5)])
                fds.append(memfd(content, seal=d.random() < 0.9) if d.random() < 0.95 else os.open("/dev/null", os.O_RDONLY))
        return bytes(data), fds

    # ---- a step ----

    def send(self):
        d = self.dice
        fds = []
        if not self.out:
            for _ in range(d.choice([1, 1, 1, 3, 20])):
                data, fds = self.message()
                self.out += data
                if fds:
                    break
        piece = self.out[: d.randrange(1, 8)] if self.slow else self.out
        try:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, b"".join(fd.to_bytes(4, sys.byteorder) for fd in fds))] if fds else []
            self.out = self.out[self.sock.sendmsg([piece], rights) :]
        finally:
            for fd in fds:
                os.close(fd)

    def receive(self):
        data, ancillary, _, _ = self.sock.recvmsg(1 << 16, socket.CMSG_SPACE(4 * 16), socket.MSG_CMSG_CLOEXEC)
        for level, kind, raw in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                for at in range(0, len(raw) - 3, 4):
                    fd = int.from_bytes(raw[at : at + 4], sys.byteorder)
                    try:  # a page of an object may be written: spoil it
                        os.pwrite(fd, self.dice.randbytes(4096), 0)
                    except OSError:
                        pass
                    os.close(fd)
        if not data:
            raise ConnectionResetError
        self.got += data
        at = 0
        while at < len(self.got):
            try:
                message, at = unpack_from(self.got, at)
            except Short:
                break
            except Malformed as e:
                raise AssertionError(f"the daemon sent what is no message: {e}") from None
            assert isinstance(message, list) and (len(message) == 4 and message[0] == 1 or len(message) == 3 and message[0] == 2), message
            if message[0] == 1 and message[2] is None and isinstance(message[3], int) and message[3] > 1000:
                self.ids.append(message[3])
            elif message[0] == 1 and isinstance(message[3], dict) and "daemonic" not in message[3] and "pid" in message[3] and "id" in message[3]:
                self.ids.append(message[3]["id"])  # a process that has been started
            if message[0] == 1 and isinstance(message[3], dict) and isinstance(message[3].get("handle"), str):
                self.handles.append(message[3]["handle"])
        del self.got[:at]

    def step(self):
        d = self.dice
        try:
            if d.random() < 0.02:
                self.close()
                self.open()
                return
            if d.random() < 0.01:
                self.sock.shutdown(d.choice([socket.SHUT_WR, socket.SHUT_WR, socket.SHUT_RD, socket.SHUT_RDWR]))
            if self.reads:
                try:
                    self.receive()
                except BlockingIOError:
                    pass
            self.send()
        except BlockingIOError:
            if d.random() < 0.05:  # it is not read any more, or reads nothing itself
                self.reads = True
        except (BrokenPipeError, ConnectionResetError):
            self.close()
            self.open()


class Honest:
    """Keeps a few calls, maps and tasks under way, and knows the answers."""

    def __init__(self, path):
        self.c, self.number, self.wanted, self.right, self.excused = Client(path), 0, {}, 0, 0

    def step(self):
        while len(self.wanted) < 4:
            self.number += 1
            n = self.number
            if n % 3 == 0:
                msgid, answer = self.c.send("map", ["math.square", [n, n + 1, n + 2], {"timeout_ms": 60000}]), [n * n, (n + 1) ** 2, (n + 2) ** 2]
            else:
                msgid, answer = self.c.send("call", ["math.square", [n], {"timeout_ms": 60000}]), n * n
            self.wanted[msgid] = answer
        while self.c._readable():
            self.c.pump()
        for msgid in [m for m in self.wanted if m in self.c.replies]:
            self.judge(msgid)

    def judge(self, msgid):
        answer = self.wanted.pop(msgid)
        try:
            result = self.c.reply(msgid)
            assert result == answer, f"{result!r} instead of {answer!r}"
            self.right += 1
        except RpcError as e:
            # Three workers killed in a row, the time-out in the crowd, or somebody of the same user guessed its id.
            assert e.code in ("E_LOST", "E_TIMEOUT", "E_CANCELLED"), e
            self.excused += 1

    def finish(self):
        for msgid in list(self.wanted):
            self.judge(msgid)
        self.c.close()


@test(config=CONFIG, workers=None, timeout=SECONDS + 60)
def a_crowd_of_broken_clients_harms_nobody(d):
    print(f"SEED {SEED} seconds {SECONDS}")
    dice = random.Random(SEED)
    crowd = [Attacker(random.Random(dice.randrange(1 << 62)), d.path) for _ in range(CROWD)]
    honest = [Honest(d.path) for _ in range(3)]
    keeper, worst, steps = d.client(), 0.0, 0
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        for attacker in crowd:
            for _ in range(dice.randrange(6)):
                attacker.step()
                steps += 1
        for h in honest:
            h.step()
        started = time.monotonic()
        assert keeper.request("ping") == "pong"
        worst = max(worst, time.monotonic() - started)
        if dice.random() < 0.02:
            pids = [w["pid"] for w in keeper.request("workers")]
            if pids:
                try:
                    os.kill(dice.choice(pids), signal.SIGKILL)
                except ProcessLookupError:
                    pass
        if dice.random() < 0.002:
            d.signal(signal.SIGHUP)
    for h in honest:
        h.finish()
    for attacker in crowd:
        attacker.close()
    print(f"steps {steps} requests {keeper.request('stats')['requests']} worst ping {worst * 1000:.0f} ms, honest answers "
          f"{sum(h.right for h in honest)}, lost to kills {sum(h.excused for h in honest)}")
    assert worst < 2 * SLOW, f"a ping took {worst:.1f} s"
    assert sum(h.right for h in honest) > 100, "hardly anybody honest was served"

    def idle():
        s = keeper.request("stats")
        busy = {k: s[k] for k in ("queued", "running", "attached_bytes", "detached_kept", "detached_bytes")}
        idle.last = {**busy, "connections": s["connections"]}
        return s["connections"] == 1 and not any(busy.values())

    try:
        until(idle, "", 20 * SLOW)
    except AssertionError:
        raise AssertionError(f"something is left of those who have gone: {idle.last}, {keeper.request('list', {'all': True})}") from None


if __name__ == "__main__":
    sys.argv[1:] = []  # names of tests, to the harness
    main()
