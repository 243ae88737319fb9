"""How long does a lone call wait beside greedy connections?

Each of them keeps calls of 5 ms in flight, far more than there are workers. Meanwhile a connection of its own makes one
call of 5 ms after the other and takes the time from request to answer. Turns let it wait for no more than the tasks that
run already, and for as many others as there are connections whose turn comes first: none, as it has used nothing.
"""
import time

import report
from sides import Ours
from wire import Client, pack

GREEDY = (0, 1, 10, 100)
TASK_S = 0.005
IN_FLIGHT = 2000  # of all greedy connections together
CALLS = 40
GOAL_NS = 25e6  # its own 5 ms, at most 5 ms until a worker is free, and three times that for a busy machine


class Greedy:
    """Sends its calls at once; they are never read, and end with the connection."""

    def __init__(self, path, calls):
        self.client = Client(path)
        for i in range(calls):
            self.client.send_bytes(pack([0, i, "call", ["sys.sleep", [TASK_S]]]))
        self.client.request("ping")


def waits(path, greedy, calls):
    """→ ns of each call of the lone connection."""
    others = [Greedy(path, max(1, IN_FLIGHT // greedy)) for _ in range(greedy)]
    took = []
    with Client(path) as lone:
        for _ in range(calls):
            begin = time.monotonic_ns()
            lone.call("sys.sleep", TASK_S)
            took.append(time.monotonic_ns() - begin)
    for other in others:
        other.client.close()
    return took


def measure(b):
    for greedy in GREEDY:
        took = []
        for turn in range(b.rounds):
            b.report.progress(f"fair: {greedy} greedy connections, round {turn + 1} of {b.rounds}")
            side = Ours(workers=2)
            try:
                took += waits(side.daemon.path, greedy, b.count(CALLS, 5))
            finally:
                side.close()
        took.sort()
        middle, last = took[len(took) // 2], took[-1]
        b.report.row(f"beside {greedy}", "mpool", median=(report.Spread([middle]), report.duration),
                     longest=(report.Spread([last]), report.duration))
        if greedy == GREEDY[-1]:
            b.report.goal("a lone call of 5 ms beside 100 greedy connections", middle, report.duration, most=GOAL_NS)
