#!/usr/bin/python3
"""Measures mpool beside its peers and the floor, in turns, and prints what came out with the goals.

    run.py [NAME…] [--json] [--rounds N]

Without NAMEs everything that takes seconds is measured, some minutes in all; `smoke` takes a hundredth of the work and
fails only if a figure is missing or an answer wrong. A ratio is taken within each round, whose sides ran right after
one another, and is shown as its median with the least and the greatest of the rounds. Needs a build (MPOOL_BUILD).
"""
import argparse
import os
import sys

import facts
import fair
import instructions
import life
import neighbours
import sides
import speed
import state
from turns import Bench
from report import Report

# name, what it asks, function, part of a plain `./dev bench`, part of the smoke test
MEASURES = (
    ("call", "a no-op, one at a time", speed.call, True, True),
    ("call-pinned", "the same, pinned to one CPU and to two", speed.call_pinned, True, True),
    ("depth8", "no-ops, 8 in flight on one connection", speed.depth8, True, False),
    ("depth64", "no-ops, 64 in flight on one connection", speed.depth64, True, False),
    ("depth512", "no-ops, 512 in flight on one connection", speed.depth512, True, True),
    ("map", "squares of integers through the C library", speed.map_items, True, True),
    ("large", "64 MiB as argument and as result, beside memcpy", speed.large, True, True),
    ("exec", "a process for each of 2,000 items", speed.exec_map, True, True),
    ("clients", "from 1 to 256 connections", speed.clients, True, True),
    ("hogs", "a no-op beside two busy loops", speed.hogs, True, False),
    ("killed", "a worker's death until the next one has answered", life.killed, True, True),
    ("memory", "memory of a worker, of a queued no-op, of a million of them", life.memory, True, False),
    ("backlog", "the cost of a task in a queue of a million and of a hundred", life.backlog, True, False),
    ("neighbours", "a ping beside neighbours that ask for much", neighbours.neighbours, True, True),
    ("fair", "a lone call beside 1, 10 and 100 greedy connections", fair.measure, True, True),
    ("shared", "locks, values and arrays beside those of multiprocessing", state.shared, True, True),
    ("idle", "what an idle daemon with 1,000 connections costs", life.idle, True, False),
    ("instructions", "instructions a task in client, supervisor and worker", instructions.measure, False, False),
    ("floors", "the floor in each layout and mode", speed.floors, False, False),
)


def listing():
    return "\n".join(f"  {name:<14}{what}{'' if plain else ' (by name only)'}" for name, what, _, plain, _ in MEASURES)


def main():
    parser = argparse.ArgumentParser(description=__doc__ + "\nNAMEs:\n" + listing(), formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the tables")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds of each measure (5)")
    parser.add_argument("--packages", action="store_true", help="print the packages of the peers and end")
    parser.add_argument("--list", action="store_true", help="print the NAMEs and end")
    options = parser.parse_args()
    if options.packages:
        print(*sides.packages())
        return
    if options.list:
        print(listing())
        return
    smoke = options.names == ["smoke"]
    unknown = set(options.names) - {m[0] for m in MEASURES} - ({"smoke"} if smoke else set())
    if unknown or options.rounds < 1:
        parser.error(f"no such measure: {' '.join(sorted(unknown))}. There are:\n{listing()}" if unknown else "--rounds wants at least 1")
    wanted = [m for m in MEASURES if (m[4] if smoke else m[0] in options.names if options.names else m[3])]
    report = Report(options.json, options.rounds, facts.gather())
    for name, what, function, _, _ in wanted:
        bench = Bench(report, 1 if smoke else options.rounds, 0.01 if smoke else 1.0)
        report.begin(name, what)
        try:
            function(bench)
        finally:
            bench.close()
        if not report.measures[-1]["rows"]:
            sys.exit(f"bench: {name} gave no figures")
        report.end()
    report.finish()


if __name__ == "__main__":
    os.environ.setdefault("LC_ALL", "C.UTF-8")
    main()
