#!/usr/bin/python3
"""What becomes of a client whose reader pauses? It gets everything, and what makes it waits; until memory is needed.

Each test pauses once, for longer than stall_timeout, whatever it has to show: that is the one wait for time here.
"""
import subprocess
import threading
import time

from cli_tools import environment
from harness import MPOOL, SLOW, Closed, as_nobody, daemon_for_others, main, pack, test, until
from wire import Client

PAUSE = 2.2  # beyond a stall_timeout of 1 s and the second in which it was looked for
CONFIG = "[daemon]\nstall_timeout = 1s\nmax_output_bytes = 256K\n"


class Reader(threading.Thread):
    """The other end of a pipe of mpool's, that begins to read when it is told to, and reads at a steady pace."""

    def __init__(self, d, *words, piece=1 << 20, pause=0):
        super().__init__(daemon=True)
        self.mpool = subprocess.Popen([MPOOL, *words], env=environment(d.path), stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.piece, self.pause, self.out, self.go = piece, pause, bytearray(), threading.Event()
        self.start()

    def run(self):
        self.go.wait()
        while data := self.mpool.stdout.read1(self.piece):
            self.out += data
            time.sleep(self.pause)

    def end(self):
        self.go.set()
        self.join(60 * SLOW)
        err = self.mpool.stderr.read()
        return self.mpool.wait(), len(self.out), err


@test(config=CONFIG, workers="4")
def what_a_paused_reader_is_sent_by_the_command_line_arrives_whole(d):
    lines = b"".join(b"%06d\n" % i for i in range(100000, 800000))
    paused = [Reader(d, "run", "head", "-c", "4000000", "/dev/zero"),
              Reader(d, "run", "seq", "-f", "%06.0f", "100000", "799999"),
              Reader(d, "map", "--exec", "head -c 600000 /dev/zero #", ":::", *"12345678"),
              Reader(d, "map", "-k", "text.upper", ":::", *(["x" * 20000] * 100))]
    steady = Reader(d, "run", "head", "-c", "3000000", "/dev/zero", piece=65536, pause=PAUSE / 40)
    steady.go.set()
    time.sleep(PAUSE)
    assert all(r.mpool.poll() is None for r in paused), "it had ended before it was read"
    assert d.request("stats")["running"] >= 1, "no command was slowed down"
    assert [r.end() for r in paused] == [(0, 4000000, b""), (0, len(lines), b""), (0, 4800000, b""), (0, 2000100, b"")]
    assert bytes(paused[1].out) == lines
    assert steady.end() == (0, 3000000, b"")


@test(config=CONFIG, workers="4")
def what_a_paused_connection_is_sent_arrives_whole(d):
    before = d.rss_kib()
    c = {name: d.client() for name in ("stream", "map", "calls", "output", "process", "gets", "wait")}
    other = d.client()
    stream = c["stream"].send("map", ["sys.blob", [60000] * 1500, {"stream": True, "chunk": 10}])
    whole = c["map"].send("map", ["sys.blob", [10000] * 1000])
    calls = [c["calls"].start("sys.blob", 100000) for _ in range(100)]
    output = c["output"].send("call", ["exec.run", [["head", "-c", "3000000", "/dev/zero"], {"output": True}], {"output": True}])
    process = c["process"].request("spawn", "exec.run", [["head", "-c", "3000000", "/dev/zero"], {"output": True}], {"output": True})
    queue = c["gets"].request("open", "queue", "q")["id"]
    gets = [c["gets"].send("get", [queue]) for _ in range(60)]
    its_end = other.request("open", "queue", "q")["id"]
    for i in range(60):
        other.request("put", its_end, [b"%05d" % i + bytes(100000)])
    task = other.submit("sys.blob", 400000)
    waits = [c["wait"].send("result", [task, 20000]) for _ in range(10)]
    time.sleep(PAUSE)
    assert d.rss_kib() - before < 64 * 1024 * SLOW, "it hoards what is not read"
    done = other.request("stats")["tasks"]["items"]
    assert done < 2000, "the map that streams did not wait for its reader"

    assert c["stream"].reply(stream) == [1500, 0]
    items = {first + i: item for _, (_, first, pairs) in c["stream"].notes for i, item in enumerate(pairs)}
    assert sorted(items) == list(range(1500)) and all(e is None and len(r) == 60000 for e, r in items.values())
    assert [len(x) for x in c["map"].reply(whole)] == [10000] * 1000
    assert [len(c["calls"].reply(i)) for i in calls] == [100000] * 100
    c["output"].reply(output)
    assert sum(len(n[1][2]) for n in c["output"].notes) == 3000000
    while sum(len(n[1][2]) for n in c["process"].notes) < 3000000:
        c["process"].pump()
    assert other.wait(process["id"])["exitcode"] == 0
    assert [c["gets"].reply(i)[0][:5] for i in gets] == [b"%05d" % i for i in range(60)]
    assert [len(c["wait"].reply(i)) for i in waits] == [400000] * 10


@test(workers="1")
def one_kept_result_is_not_copied_for_each_of_its_readers(d):
    other = d.client()
    task = other.submit("sys.blob", 30 << 20)
    other.wait(task)
    before = d.rss_kib()
    readers = [d.client() for _ in range(20)]
    for c in readers:
        msgid = c.send("result", [task])
    until(lambda: all(c._readable() for c in readers), "they all have something to read")
    assert d.rss_kib() - before < 120 * 1024, "it lies in memory for each of them"
    assert len(readers[-1].reply(msgid)) == 30 << 20
    assert other.request("forget", task) is True


def unread(c, count, size=60000):
    """Asks for so many results, and reads none."""
    c.send_bytes(b"".join(pack([0, i, "call", ["sys.blob", [size]]]) for i in range(count)))


@test(config="[daemon]\nstall_timeout = 1s\nmax_output_bytes = 64K\nmax_message = 1M\nmax_unread_bytes = 8M\n", workers="2")
def when_the_memory_for_replies_is_used_up_the_largest_holder_goes(d):
    """Not one that has paused for long and holds little."""
    before = d.rss_kib()
    paused, greedy, other = d.client(), d.client(), d.client()
    calls = [paused.start("sys.blob", 60000) for _ in range(6)]
    until(lambda: other.request("stats")["running"] == 0, "its results are there")
    time.sleep(PAUSE)
    unread(greedy, 1000)
    until(lambda: other.request("stats")["connections"] == 2, "the greedy one is closed")
    assert other.request("stats")["connections_closed_for_stalling"] == 1
    d.wait_log("closed: it does not read its replies, and the memory for them is needed")
    assert [len(paused.reply(i)) for i in calls] == [60000] * 6
    assert d.rss_kib() - before < 40 * 1024 * SLOW
    assert other.call("math.square", 5) == 25


@test(daemon=False)
def one_user_cannot_use_up_the_memory_for_everybodys_replies(home):
    d = daemon_for_others(home, "[daemon]\nsocket_mode = 0666\nmax_output_bytes = 64K\nmax_message = 1M\nmax_unread_bytes = 8M\n"
                                "max_user_share = 25\n")
    mine = d.client()
    unread(mine, 70)  # about 4 MiB of 8
    until(lambda: d.request("stats")["running"] == 0, "its results are there")

    def greedy():
        clients = [Client(d.path) for _ in range(6)]
        for c in clients:
            unread(c, 12)
        ended = 0
        for c in clients:
            try:
                for i in range(12):
                    c.reply(i)
            except Closed:
                ended += 1
        assert ended > 0, "all of its connections were kept"
        assert ended < 6, "and nobody needed all of them to go"

    as_nobody(greedy)
    for i in range(70):
        assert len(mine.reply(i)) == 60000
    d.finish()


if __name__ == "__main__":
    main()
