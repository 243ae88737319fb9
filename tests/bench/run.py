#!/usr/bin/python3
"""Measures mpool beside multiprocessing.Pool, in turns, and prints a table of medians with ratios.

    run.py [--json] [--rounds N] [--quick]

The two take turns round by round, so that whatever else the machine does hits both. Both have the same number of
workers. A ratio above 1 says how many times better mpool is. Needs a build (MPOOL_BUILD, default build/).
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
from harness import BUILD, Daemon, new_home  # noqa: E402

# name, verb, how many for mpool, how many for the peer, unit, what the answer's field is, smaller is better
MEASURES = (
    ("round trip, median", "round", 20000, 3000, "µs", 1, True),
    ("round trip, 99 %", "round", 20000, 3000, "µs", 2, True),
    ("pipelined tasks", "pipe", 200000, 20000, "/s", 0, False),
    ("map items", "map", 2000000, 1000000, "/s", 0, False),
)


class Side:
    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, verb, count):
        self.process.stdin.write(f"{verb} {count}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"bench: {self.process.args[0]} ended with {self.process.wait()}")
        return [int(word) for word in line.split()]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def show(value, unit):
    if unit == "µs":
        return f"{value:,.1f} µs"
    for factor, letter in ((1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:,.2f} {letter}/s"
    return f"{value:,.0f}/s"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds to take the median of (5)")
    parser.add_argument("--quick", action="store_true", help="a hundredth of the work, to see that it works")
    options = parser.parse_args()
    workers = len(os.sched_getaffinity(0))
    home = new_home()
    figures = {name: ([], []) for name, *_ in MEASURES}
    daemon = Daemon(home, workers=workers)
    try:
        ours = Side([os.path.join(BUILD, "tests", "bench", "bench"), daemon.path])
        theirs = Side([sys.executable, os.path.join(HERE, "pool_peer.py"), str(workers)])
        for side in (ours, theirs):
            side.ask("round", 200)
        for _ in range(max(1, options.rounds)):
            answers = {}
            for name, verb, mine, peers, unit, field, _smaller in MEASURES:
                for side, column, count in ((ours, 0, mine), (theirs, 1, peers)):
                    count = max(100, count // 100) if options.quick else count
                    if (verb, column) not in answers:
                        answers[verb, column] = side.ask(verb, count)
                    value = answers[verb, column][field]
                    figures[name][column].append(value / 1000 if unit == "µs" else count * 1e9 / value)
        ours.close()
        theirs.close()
        if daemon.stop() != 0:
            sys.exit("bench: the daemon ended with an error")
    finally:
        if daemon.process.poll() is None:
            daemon.process.kill()
            daemon.process.wait()
        shutil.rmtree(home, ignore_errors=True)

    rows = []
    for name, verb, mine, peers, unit, field, smaller in MEASURES:
        a, b = (statistics.median(column) for column in figures[name])
        rows.append({"name": name, "unit": unit, "mpool": a, "multiprocessing": b, "ratio": b / a if smaller else a / b})
    if options.json:
        print(json.dumps({"workers": workers, "rounds": options.rounds, "python": sys.version.split()[0], "rows": rows}, ensure_ascii=False))
        return
    print(f"{workers} workers, medians of {options.rounds} rounds, in turns with multiprocessing.Pool of Python {sys.version.split()[0]}\n")
    print(f"{'':22}{'mpool':>14}{'Pool':>14}{'ratio':>9}")
    for row in rows:
        print(f"{row['name']:22}{show(row['mpool'], row['unit']):>14}{show(row['multiprocessing'], row['unit']):>14}{row['ratio']:>8.1f}×")


if __name__ == "__main__":
    main()
