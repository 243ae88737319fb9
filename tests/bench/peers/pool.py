#!/usr/bin/python3
"""How fast are CPython's own pools? Asked as ask.h says.

    pool.py multiprocessing|futures WORKERS

In its own best way: `round` is apply(), or submit().result(); `flow` is apply_async(), or submit(), with DEPTH in flight;
`map` is map() with its default chunks, for ProcessPoolExecutor (whose default is 1) with those of Pool.map; `imap` (Pool
alone) takes results one by one, in chunks of 1,024. `replaced`
(Pool alone, with one worker that ends after each task): from a result to that of the worker that comes next.
"""
import concurrent.futures
import multiprocessing
import os
import sys
import time


def noop():
    return None


def square(n):
    return n * n


class Pool:
    def __init__(self, workers):
        self.pool = multiprocessing.Pool(workers)

    def call(self):
        return self.pool.apply(noop)

    def start(self):
        return self.pool.apply_async(noop)

    def end(self, waiting):
        return waiting.get()

    def map(self, count):
        return self.pool.map(square, range(count))

    def close(self):
        self.pool.terminate()


class Executor:
    def __init__(self, workers):
        self.workers = workers
        self.pool = concurrent.futures.ProcessPoolExecutor(workers)

    def call(self):
        return self.pool.submit(noop).result()

    def start(self):
        return self.pool.submit(noop)

    def end(self, waiting):
        return waiting.result()

    def map(self, count):
        chunk = -(-count // (4 * self.workers))
        return list(self.pool.map(square, range(count), chunksize=chunk))

    def close(self):
        self.pool.shutdown()


def each(count, one):
    """Times count calls of one → the four numbers of an answer."""
    took = []
    start = last = time.monotonic_ns()
    for _ in range(count):
        one()
        now = time.monotonic_ns()
        took.append(now - last)
        last = now
    took.sort()
    return last - start, took[count // 2], took[count - 1 - count // 100], took[count - 1 - count // 1000]


def check(right):
    if not right:
        sys.exit("a wrong answer")


def flow(pool, count, depth):
    start = time.monotonic_ns()
    waiting = [pool.start() for _ in range(min(count, depth))]
    left = count - len(waiting)
    # The oldest is waited for first, and another takes its place.
    at = 0
    while at < len(waiting):
        check(pool.end(waiting[at]) is None)
        waiting[at] = None
        at += 1
        if left:
            left -= 1
            waiting.append(pool.start())
    return time.monotonic_ns() - start, 0, 0, 0


def mapped(pool, count):
    start = time.monotonic_ns()
    results = pool.map(count)
    took = time.monotonic_ns() - start
    check(len(results) == count and results[-1] == (count - 1) ** 2)
    return took, 0, 0, 0


def pulled(pool, count):
    start = time.monotonic_ns()
    n = 0
    for result in pool.pool.imap(square, range(count), 1024):
        check(result == n * n)
        n += 1
    check(n == count)
    return time.monotonic_ns() - start, 0, 0, 0


def replaced(count):
    with multiprocessing.Pool(1, maxtasksperchild=1) as pool:
        pool.apply(noop)
        seen = [0]

        def one():
            pid = pool.apply(os.getpid)
            check(pid != seen[0])
            seen[0] = pid

        return each(count, one)


def main():
    pool = {"multiprocessing": Pool, "futures": Executor}[sys.argv[1]](int(sys.argv[2]))
    for line in sys.stdin:
        verb, count, depth = line.split()
        count, depth = int(count), int(depth)
        if verb == "round":
            answer = each(count, lambda: check(pool.call() is None))
        elif verb == "flow":
            answer = flow(pool, count, depth)
        elif verb == "map":
            answer = mapped(pool, count)
        elif verb == "imap":
            answer = pulled(pool, count)
        elif verb == "replaced":
            answer = replaced(count)
        else:
            sys.exit(f"no verb {verb}")
        print(*answer, flush=True)
    pool.close()


if __name__ == "__main__":
    main()
