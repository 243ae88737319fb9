#!/usr/bin/python3
"""Items a second through the daemon's queues and pipes, beside multiprocessing's in the same run.

    queues.py [ITEMS]        (MPOOL_BUILD: the build)

Each row: the best of ROUNDS, in turn with its peer. multiprocessing has no batches: its batch is a list of 512 items put as
one, which is what its users do. Knows the programs alone; it promises nothing and has no goals of its own.
"""
import multiprocessing
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

from harness import BUILD, Daemon, new_home  # noqa: E402

ROUNDS = 3
BATCH = 512
PROGRAM = os.path.join(BUILD, "tests", "bench", "queues")


def put_all(queue, items, batch):
    if batch == 1:
        for i in range(items):
            queue.put(i)
    else:
        for first in range(0, items, batch):
            queue.put(list(range(first, min(first + batch, items))))


def echo(end, items):
    for _ in range(items):
        end.send(end.recv())


def theirs(mode, items):
    start = time.monotonic()
    if mode == "pipe":
        ours, other = multiprocessing.Pipe()
        process = multiprocessing.Process(target=echo, args=(other, items))
        process.start()
        for i in range(items):
            ours.send(i)
            ours.recv()
    else:
        queue = multiprocessing.Queue(65536)
        batch = BATCH if mode == "batch" else 1
        process = multiprocessing.Process(target=put_all, args=(queue, items, batch))
        process.start()
        seen = 0
        while seen < items:
            got = queue.get()
            seen += len(got) if batch > 1 else 1
    seconds = time.monotonic() - start
    process.join()
    return items / seconds


def ours(d, mode, items):
    ran = subprocess.run([PROGRAM, mode, str(items)], env={**os.environ, "MPOOL_SOCKET": d.path}, capture_output=True, text=True,
                         timeout=300)
    assert ran.returncode == 0, ran.stderr
    return float(ran.stdout)


def main():
    items = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    d = Daemon(new_home())
    print(f"{'':8} {'mpool':>12} {'multiprocessing':>16}  items a second")
    for mode, count in (("single", items), ("ahead", items), ("batch", items * 10), ("pipe", items // 5)):
        rounds = [(ours(d, mode, count), theirs(mode, count)) for _ in range(ROUNDS)]
        best = [max(r[side] for r in rounds) for side in (0, 1)]
        print(f"{mode:8} {best[0]:12,.0f} {best[1]:16,.0f}  {best[0] / best[1]:.2f} times")
    d.finish()


if __name__ == "__main__":
    main()
