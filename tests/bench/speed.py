"""How fast are tasks: one at a time, many at once, as a map, large ones, from many clients, beside busy strangers?"""
import os
import subprocess
import sys
import time

import report
import sides
from sides import MPOOL, Ours

CALL_PEERS = ("Pool", "Executor", "gearmand", "beanstalkd", "Redis")


def spins(b):
    """Whether the daemon says that it waits awake."""
    return bool(b.side("mpool").daemon.request("stats").get("spin_ns", 0))


def our_floor(b):
    """The floor whose layout is that of an unpinned daemon."""
    return "floor free spin" if spins(b) else "floor free parked"


def call(b):
    floor = our_floor(b)
    answers = b.turns([("mpool", "round", 5000, 0), (floor, "round", 5000, 0),
                       *((peer, "round", 1500, 0) for peer in CALL_PEERS)])
    b.times("no-op, one at a time", answers)
    goals = [(floor, "mpool / floor of the same layout", 1.3), ("Pool", "mpool / Pool.apply", 1 / 10), ("gearmand", "mpool / gearmand", 1 / 15)]
    for peer, what, most in goals:
        if peer in answers:
            b.report.goal(what, b.ratio(answers, "mpool", "p50", peer).median, report.plain, most=most)


def pinned_apart():
    """mpool as the floor is laid out: client and daemon on the first CPU, the worker on the second."""
    side = Ours(workers=1)
    first, second = sorted(os.sched_getaffinity(0))[:2]
    for pid in (side.process.pid, side.daemon.pid):
        os.sched_setaffinity(pid, {first})
    for pid in side.daemon.worker_pids():
        os.sched_setaffinity(pid, {second})
    return side


def call_pinned(b):
    """Where the kernel has no say, mpool and the floor differ by their work alone."""
    b.adopt("mpool on one CPU", Ours(workers=1, cpu=0))
    pairs = [("mpool on one CPU", "floor one parked")]
    if b.cpus > 1:
        # Started with all CPUs, so that it waits awake as it would without pins.
        side = b.adopt("mpool pinned apart", pinned_apart())
        spin = side.daemon.request("stats").get("spin_ns", 0)
        pairs.append(("mpool pinned apart", "floor apart spin" if spin else "floor apart parked"))
    for ours, floor in pairs:
        answers = b.turns([(ours, "round", 5000, 0), (floor, "round", 5000, 0)])
        b.times("no-op, one at a time", answers, base=ours)
        b.report.goal(f"{ours} / {floor}", b.ratio(answers, ours, "p50", floor).median, report.plain, most=1.3)
        answers = b.turns([(ours, "flow", 400000, 512), (floor, "flow", 1000000, 512)])
        b.rates("no-ops, 512 in flight", answers, base=ours)


def flow(b, depth, count, peers):
    floor = our_floor(b)
    answers = b.turns([("mpool", "flow", count, depth), (floor, "flow", 4 * count, depth),
                       *((name, "flow", peer_count, depth) for name, peer_count in peers)])
    b.rates(f"no-ops, {depth} in flight", answers)
    return answers


def depth8(b):
    flow(b, 8, 60000, (("Pool", 6000), ("Redis", 20000)))


def depth64(b):
    answers = flow(b, 64, 200000, (("Pool", 6000), ("gearmand", 4000), ("beanstalkd", 10000), ("Redis", 50000)))
    b.report.goal("mpool, 64 in flight", report.Spread(a.rate for a in answers["mpool"]).median, report.rate, least=1.5e6)


def depth512(b):
    answers = flow(b, 512, 500000, (("Pool", 8000), ("Executor", 4000), ("gearmand", 8000), ("beanstalkd", 15000), ("Redis", 200000)))
    b.report.goal("mpool, 512 in flight", report.Spread(a.rate for a in answers["mpool"]).median, report.rate, least=5e6)
    for peer, what, least in (("Pool", "mpool / Pool.apply_async", 100), ("Redis", "mpool / Redis batched by 512", 3)):
        if peer in answers:
            b.report.goal(what, b.ratio(answers, "mpool", "rate", peer).median, report.plain, least=least)


def floors(b):
    """mpool's way and the floor's in each layout."""
    names = [f"floor {layout} {mode}" for layout in ("one", "apart", "free") for mode in ("parked", "spin")]
    if b.cpus < 2:
        names = [name for name in names if "apart" not in name]
    b.times("no-op, one at a time", b.turns([("mpool", "round", 3000, 0), *((name, "round", 1000, 0) for name in names)]))
    for depth in (8, 64, 512):
        slow = {name: 20 if name.startswith("floor one spin") else 1 for name in names}
        b.rates(f"no-ops, {depth} in flight",
                b.turns([("mpool", "flow", 3000 * depth, depth), *((name, "flow", 1500 * depth // slow[name], depth) for name in names)]))


def map_items(b):
    answers = b.turns([("mpool", "map_all", 1000000, 0), ("Pool", "map", 500000, 0), ("Executor", "map", 200000, 0)])
    b.rates("int64 → int64, a whole list", answers)
    b.report.goal("mpool / Pool.map with default chunks", b.ratio(answers, "mpool", "rate", "Pool").median, report.plain, least=5)
    b.rates("the same, one by one", b.turns([("mpool", "map", 1000000, 0), ("Pool", "imap", 300000, 0)]))


def large(b):
    length = 64 << 20 if b.share == 1 else 1 << 20
    side, what = b.side("mpool"), f"{report.size(length)}"
    verbs = ("memcpy", "argument", "result")
    for verb in verbs:
        side.ask(verb, 1, length)
    times = {verb: [] for verb in verbs}
    for turn in range(b.rounds):
        for verb in verbs:
            b.report.progress(f"large: round {turn + 1} of {b.rounds}, {verb}")
            times[verb].append(length * 1e9 / side.ask(verb, b.count(8, 3), length).p50)
    for verb in verbs:
        ratio = report.Spread(x / y for x, y in zip(times[verb], times["memcpy"])) if verb != "memcpy" else None
        b.report.row(what, verb, ratio, speed=(report.Spread(times[verb]), report.bandwidth))
        if ratio:
            b.report.goal(f"{verb} / memcpy", ratio.median, report.plain, least=0.8)


def clients(b):
    side = b.side("mpool")
    numbers = (1, 2, 4, 16, 64, 256) if b.share == 1 else (1, 16)
    rates = {n: [] for n in numbers}
    for turn in range(b.rounds):
        for n in numbers:
            b.report.progress(f"clients: round {turn + 1} of {b.rounds}, {n}")
            rates[n].append(side.ask("clients", b.count(200000, 2000), n).rate)
    medians = {n: report.Spread(rates[n]).median for n in numbers}
    for n in numbers:
        b.report.row("64 in flight on each", f"{n} connection{'s' * (n > 1)}", rate=(report.Spread(rates[n]), report.rate))
    b.report.goal("the least of them / the peak", min(medians.values()) / max(medians.values()), report.plain, least=0.8)


def hogs(b):
    floor = our_floor(b)
    b.side("mpool"), b.side(floor)
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        answers = b.turns([("mpool", "round", 1500, 0), (floor, "round", 1500, 0)])
    finally:
        for process in busy:
            process.kill()
            process.wait()
    b.times("no-op beside two busy loops", answers)
    b.report.goal("p99 of mpool / of the floor", b.ratio(answers, "mpool", "p99", floor).median, report.plain, most=3)


def exec_map(b):
    """A process for each item: the same 2,000 by each."""
    count = b.count(2000, 20)
    text = "".join(f"{i}\n" for i in range(count)).encode()
    commands = {"mpool": [MPOOL, "--socket", b.side("mpool").daemon.path, "map", "--exec", "true"], "xargs": ["xargs", "-P2", "-n1", "true"],
                "parallel": ["parallel", "-j2", "true"]}
    for peer in ("xargs", "parallel"):
        try:
            sides.find(peer)
        except sides.Missing as missing:
            b.report.note(f"left out: {missing}")
            del commands[peer]
    took = {name: [] for name in commands}
    for turn in range(min(b.rounds, 3)):
        for name, command in commands.items():
            b.report.progress(f"exec: round {turn + 1}, {name}")
            start = time.monotonic_ns()
            subprocess.run(command, input=text, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True,
                           env={**os.environ, "HOME": b.side("mpool").home})
            took[name].append((time.monotonic_ns() - start) / count)
    for name, values in took.items():
        ratio = report.Spread(x / y for x, y in zip(values, took["mpool"])) if name != "mpool" else None
        b.report.row(f"true, {count} times", name, ratio, each=(report.Spread(values), report.duration))
        if ratio:
            b.report.goal(f"mpool / {name}", 1 / ratio.median, report.plain, most=1)
