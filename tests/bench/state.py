"""How fast is shared state beside that of multiprocessing?"""
import report
from sides import PROGRAMS, Ours

PEER = "multiprocessing"
ARRAY = (1 << 30) // 8  # numbers in a gibibyte


def compare(b, what, verb, count, peer_count, depth=0, least=None, peer_verb=None):
    """Rows of operations a second; least: how many times as many mpool should do."""
    answers = b.turns([("mpool", verb, count, depth), (PEER, peer_verb or verb, peer_count, depth)])
    b.rates(what, answers)
    if least:
        b.report.goal(f"{what}: mpool / {PEER}", b.ratio(answers, "mpool", "rate", PEER).median, report.plain, least=least)


def ranges(b):
    """Squares of numbers that lie in shared memory: what is handed to the pool are ranges of them."""
    answers = b.turns([("mpool", "ranges", 4000000, 20000), ("Pool", "map", 500000, 0)])
    b.rates("squares within an array", answers)
    b.report.goal("squares in an array: mpool / Pool.map", b.ratio(answers, "mpool", "rate", "Pool").median, report.plain, least=10)


def shared(b):
    b.adopt("mpool", Ours(program="shared", modules=[f"{PROGRAMS}/modules/range.so"]))
    compare(b, "a lock, taken and released", "lock", 2000000, 300000, least=5)
    compare(b, "one lock, four processes", "contended", 400000, 100000, depth=4, least=5)
    compare(b, "add to a value", "value", 5000000, 200000, least=5)
    compare(b, "a queue, one by one", "queue", 500000, 50000, least=1)
    compare(b, "the same, each call waits", "steps", 20000, 20000, peer_verb="queue")
    compare(b, "a queue, 512 in a call", "batch", 1000000, 50000, depth=512, least=5, peer_verb="queue")
    compare(b, "the same, there lists of 512", "batch", 1000000, 500000, depth=512)
    compare(b, "a pipe, one by one", "pipe", 500000, 50000, least=1)
    compare(b, "a queue, items of 16 MiB", "large", 30, 30, depth=16 << 20, least=1)
    ranges(b)
    compare(b, "1 GiB, filled and summed", "array", ARRAY, ARRAY // 64)
