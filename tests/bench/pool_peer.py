#!/usr/bin/python3
"""The peer of bench.c: the same measurements of CPython's multiprocessing.Pool, asked for in the same way.

    pool_peer.py WORKERS
"""
import multiprocessing
import sys
import time


def square(n):
    return n * n


def main():
    with multiprocessing.Pool(int(sys.argv[1])) as pool:
        pool.map(square, range(1000))
        for line in sys.stdin:
            verb, count = line.split()
            count = int(count)
            start = time.monotonic_ns()
            if verb == "round":
                took = []
                last = start
                for i in range(count):
                    if pool.apply(square, (i & 0xFFFF,)) != (i & 0xFFFF) ** 2:
                        sys.exit("a wrong result")
                    now = time.monotonic_ns()
                    took.append(now - last)
                    last = now
                took.sort()
                print(last - start, took[count // 2], took[count - 1 - count // 100], flush=True)
            elif verb == "pipe":
                waiting = [pool.apply_async(square, (i & 0xFFFF,)) for i in range(count)]
                for result in waiting:
                    result.get()
                print(time.monotonic_ns() - start, flush=True)
            elif verb == "map":
                results = pool.map(square, range(count))
                if len(results) != count:
                    sys.exit("results are missing")
                print(time.monotonic_ns() - start, flush=True)


if __name__ == "__main__":
    main()
