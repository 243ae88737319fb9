"""How many instructions does a no-op cost in the client, the supervisor and a worker?

Counted one by one by steps.c, in one process after the other: what N and what 2N tasks take, and the difference by N.
That needs neither hardware counters nor valgrind, both of which fail for some of these processes. The daemon does not
wait awake here, as the instructions of waiting say nothing. While one process is stepped through, the others have all
the time in the world: it always finds as much to do at once as the depth allows.
"""
import signal
import subprocess

import report
from sides import PROGRAMS, Ours

# depth → N
DEPTHS = {1: 20, 64: 128, 512: 512}


class Steps:
    def __init__(self, pid):
        self.process = subprocess.Popen([f"{PROGRAMS}/steps", str(pid)], stdout=subprocess.PIPE, text=True)
        self._read()

    def _read(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"bench: steps ended with {self.process.wait()}")
        return int(line)

    def count(self):
        self.process.send_signal(signal.SIGUSR1)
        return self._read()

    def close(self):
        self.process.terminate()
        if self.process.wait() != 0:
            raise SystemExit("bench: steps could not let go")


def cost(b, side, pid, depth, count):
    """Instructions of this process a task."""

    def ask(n):
        return side.ask("flow", n, depth) if depth > 1 else side.ask("round", n)

    ask(count)
    steps = Steps(pid)
    try:
        counted = []
        for n in (count, 2 * count):
            before = steps.count()
            ask(n)
            counted.append(steps.count() - before)
    finally:
        steps.close()
    return (counted[1] - counted[0]) / count


def measure(b):
    for depth, count in DEPTHS.items():
        total = 0
        for kind in ("client", "supervisor", "worker"):
            b.report.progress(f"instructions: {kind}, {depth} in flight")
            # One worker, so that every task is its; a daemon for each, as it is pinned while it is stepped through.
            side = Ours(workers=1, config="[daemon]\nspin = off\n")
            try:
                pid = {"client": side.process.pid, "supervisor": side.daemon.pid, "worker": min(side.daemon.worker_pids())}[kind]
                each = cost(b, side, pid, depth, count)
            finally:
                side.close()
            total += each
            b.report.row(f"no-op, {depth} in flight", kind, instructions=(report.Spread([each]), report.plain))
        b.report.row(f"no-op, {depth} in flight", "all three", instructions=(report.Spread([total]), report.plain))
