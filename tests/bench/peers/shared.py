#!/usr/bin/python3
"""How fast is the shared state of CPython's multiprocessing? Asked as ask.h says.

In its own best way: `lock` takes and releases a Lock that nobody else wants; `contended` the same in DEPTH processes at
once, COUNT times in all, around a raw counter; `value` adds to a Value under its own lock, which is what += needs there;
`array` one process fills a RawArray of COUNT numbers and another sums them up (both by memoryview and sum(), which is
as fast as Python gets without libraries). `queue` hands COUNT numbers from one process to another by a Queue, one by one;
`pipe` the same by a Pipe; `batch` in lists of DEPTH by a Queue; `large` COUNT items of DEPTH bytes.
"""
import ctypes
import multiprocessing
import sys
import time


def check(right):
    if not right:
        sys.exit("a wrong answer")


def timed(body):
    start = time.monotonic_ns()
    body()
    return time.monotonic_ns() - start, 0, 0, 0


def lock(count, depth):
    one = multiprocessing.Lock()

    def body():
        for _ in range(count):
            one.acquire()
            one.release()

    return timed(body)


def value(count, depth):
    one = multiprocessing.Value(ctypes.c_int64, 0)

    def body():
        for _ in range(count):
            with one.get_lock():
                one.value += 1

    answer = timed(body)
    check(one.value == count)
    return answer


def contend(ready, one, counter, each):
    ready.wait()
    for _ in range(each):
        with one:
            counter.value += 1


def contended(count, depth):
    one, counter, ready = multiprocessing.Lock(), multiprocessing.RawValue(ctypes.c_int64, 0), multiprocessing.Barrier(depth + 1)
    each = count // depth
    processes = [multiprocessing.Process(target=contend, args=(ready, one, counter, each)) for _ in range(depth)]
    for process in processes:
        process.start()
    ready.wait()

    def body():
        for process in processes:
            process.join()

    total, *rest = timed(body)
    check(counter.value == each * depth)
    return (total * count // counter.value, *rest)


def sum_up(numbers, total):
    total.value = sum(memoryview(numbers).cast("B").cast("q"))


def array(count, depth):
    total = multiprocessing.RawValue(ctypes.c_int64, 0)

    def body():
        numbers = multiprocessing.RawArray(ctypes.c_int64, count)
        view = memoryview(numbers).cast("B").cast("q")
        for i in range(count):
            view[i] = i
        process = multiprocessing.Process(target=sum_up, args=(numbers, total))
        process.start()
        process.join()

    answer = timed(body)
    check(total.value == count * (count - 1) // 2)
    return answer


def produce(give, count, depth):
    if depth:
        for first in range(0, count, depth):
            give(list(range(first, min(first + depth, count))))
    else:
        for i in range(count):
            give(i)


def handed(count, depth, queue, give, take):
    process = multiprocessing.Process(target=produce, args=(give, count, depth))

    def body():
        process.start()
        n = 0
        while n < count:
            got = take()
            for number in got if depth else (got,):
                check(number == n)
                n += 1
        process.join()

    return timed(body)


def queue(count, depth):
    one = multiprocessing.Queue()
    return handed(count, 0, one, one.put, one.get)


def batch(count, depth):
    one = multiprocessing.Queue()
    return handed(count, depth, one, one.put, one.get)


def pipe(count, depth):
    receiver, sender = multiprocessing.Pipe(False)
    return handed(count, 0, None, sender.send, receiver.recv)


def produce_large(give, count, depth):
    for i in range(count):
        item = bytearray(depth)  # made anew, as the thread of the queue has the last one still
        item[0] = item[-1] = i % 256
        give(item)


def large(count, depth):
    one = multiprocessing.Queue(4)
    process = multiprocessing.Process(target=produce_large, args=(one.put, count, depth))

    def body():
        process.start()
        for i in range(count):
            item = one.get()
            check(len(item) == depth and item[0] == item[-1] == i % 256)
        process.join()

    return timed(body)


VERBS = {verb.__name__: verb for verb in (lock, value, contended, array, queue, batch, pipe, large)}


def main():
    for line in sys.stdin:
        verb, count, depth = line.split()
        if verb not in VERBS:
            sys.exit(f"no verb {verb}")
        print(*VERBS[verb](int(count), int(depth)), flush=True)


if __name__ == "__main__":
    main()
