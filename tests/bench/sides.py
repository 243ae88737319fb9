"""Who takes part in the benchmark, what each needs, and how it is started and asked.

A side is a program that answers lines (ask.h). Each peer does the same job as mpool, in its own best way: how is said
at the top of its file in peers/. Which packages a peer needs stands here, once.
"""
import os
import shutil
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
from harness import BUILD, MPOOL, MPOOLD, Daemon, new_home  # noqa: E402, F401

PROGRAMS = os.path.join(BUILD, "tests", "bench")

# peer → (the program that must be there, Debian's packages); programs of ours that need a library count too
NEEDS = {
    "Pool": (sys.executable, ()),
    "Executor": (sys.executable, ()),
    "multiprocessing": (sys.executable, ()),
    "gearmand": ("gearmand", ("gearman-job-server", "libgearman-dev")),
    "beanstalkd": ("beanstalkd", ("beanstalkd",)),
    "Redis": ("redis-server", ("redis-server",)),
    "xargs": ("xargs", ("findutils",)),
    "parallel": ("parallel", ("parallel",)),
}


class Missing(Exception):
    """A peer is not installed; says what it needs."""


def find(peer):
    """The program of a peer; raises Missing."""
    name, packages = NEEDS[peer]
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if not path or (peer == "gearmand" and not os.path.exists(f"{PROGRAMS}/peers/peer-gearman")):
        raise Missing(f"{peer} needs {' '.join(packages)} (./dev bench --peers)")
    return path


def packages():
    return sorted({package for _, names in NEEDS.values() for package in names})


class Answer:
    """One measurement: how many tasks, how long in all, and the percentiles of one task, in nanoseconds."""

    def __init__(self, count, words):
        self.count = count
        self.total, self.p50, self.p99, self.p999 = (int(word) for word in words)

    @property
    def rate(self):
        return self.count * 1e9 / self.total


class Side:
    """A program that is asked. server: what it needs beside itself, ended with it; scratch: a directory that goes then."""

    def __init__(self, command, server=None, scratch=None):
        self.server, self.scratch = server, scratch
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, verb, count, depth=0):
        try:
            self.process.stdin.write(f"{verb} {count} {depth}\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            sys.exit(f"bench: {' '.join(self.process.args)} ended with {self.process.wait()} at `{verb} {count} {depth}`")
        return Answer(count, line.split())

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        if self.server:
            self.server.terminate()
            self.server.wait()
        if self.scratch:
            shutil.rmtree(self.scratch, ignore_errors=True)


def pinned(cpu):
    """What to put before a command so that it has only this CPU of those that are allowed (None: nothing)."""
    return [] if cpu is None else ["taskset", "-c", str(sorted(os.sched_getaffinity(0))[cpu])]


class Ours(Side):
    """A daemon with a client of its own."""

    def __init__(self, workers=None, cpu=None, config=None, program="bench", modules=(), stderr=None):
        self.home = new_home()
        self.daemon = None
        try:
            self.daemon = Daemon(self.home, workers=workers or len(os.sched_getaffinity(0)), config=config, modules=modules,
                                 prefix=pinned(cpu), stderr=stderr)
            super().__init__([*pinned(cpu), f"{PROGRAMS}/{program}", self.daemon.path])
        except BaseException:
            self._end()
            raise

    def _end(self):
        if self.daemon and self.daemon.process.poll() is None:
            self.daemon.process.kill()
            self.daemon.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def close(self):
        try:
            super().close()
            if self.daemon.stop() != 0:
                sys.exit(f"bench: the daemon ended with {self.daemon.status}:\n{self.daemon.log()}")
        finally:
            self._end()


def floor(layout, mode):
    return Side([f"{PROGRAMS}/floor", layout, mode])


def _python(kind):
    return Side([sys.executable, f"{HERE}/peers/pool.py", kind, str(len(os.sched_getaffinity(0)))])


def _server(command, ready):
    """Starts a peer's server and waits until ready() is true."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 10
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            sys.exit(f"bench: {' '.join(command)} does not start")
        time.sleep(0.02)
    return process


def _connects(family, address):
    with socket.socket(family) as s:
        return s.connect_ex(address) == 0


def _by_path(peer, program, arguments):
    home = new_home()
    path = os.path.join(home, "socket")
    server = _server([find(peer), *(word.format(path=path, home=home) for word in arguments)],
                     lambda: os.path.exists(path) and _connects(socket.AF_UNIX, path))
    return Side([f"{PROGRAMS}/peers/{program}", path], server, home)


def _gearmand():
    program = find("gearmand")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    server = _server([program, "--listen=127.0.0.1", f"--port={port}", "--log-file=none"],
                     lambda: _connects(socket.AF_INET, ("127.0.0.1", port)))
    return Side([f"{PROGRAMS}/peers/peer-gearman", str(port)], server)


_STARTS = {
    "mpool": Ours,
    "Pool": lambda: _python("multiprocessing"),
    "Executor": lambda: _python("futures"),
    "multiprocessing": lambda: Side([sys.executable, f"{HERE}/peers/shared.py"]),
    "gearmand": _gearmand,
    "beanstalkd": lambda: _by_path("beanstalkd", "peer-beanstalk", ["-l", "unix:{path}"]),
    "Redis": lambda: _by_path("Redis", "peer-redis", ["--port", "0", "--unixsocket", "{path}", "--save", "", "--appendonly", "no",
                                                      "--dir", "{home}"]),
}


def start(name):
    """A side by its name: mpool, a peer, or `floor LAYOUT MODE`. Raises Missing."""
    words = name.split()
    return floor(*words[1:]) if words[0] == "floor" else _STARTS[name]()
