#!/usr/bin/python3
"""What does a client that takes more than its share do to the others? In line, unread, unasked, gone without a word."""
import fcntl
import os
import select
import signal
import time

from harness import SLOW, Client, Closed, RpcError, main, memfd, pack, test, until
from wire import Raw


def still_serves(d):
    assert d.client().call("math.square", 11) == 121


def in_one_go(d, send):
    """What send() sends is all there before the daemon looks."""
    os.kill(d.pid, signal.SIGSTOP)
    try:
        send()
    finally:
        os.kill(d.pid, signal.SIGCONT)


# ---- in line -----------------------------------------------------------------------------------------------------------


@test(config="[daemon]\n[pool default]\nmax_queue = 2\n", workers="1")
def waiting_for_room_in_a_queue_costs_no_processor_time(d):
    clients = [d.client() for _ in range(80)]
    ids = [c.start("sys.sleep", 1.5 if i == 0 else 0.001) for i, c in enumerate(clients)]
    until(lambda: d.request("pools")[0]["queued"] >= 2, "the queue is full")
    # The processor time of a while in which nothing happens: the one wait for time, as there is no event of not spinning.
    before = d.cpu_seconds()
    select.select([], [], [], 0.8)
    spent = d.cpu_seconds() - before
    assert spent <= 0.04 * SLOW, f"{spent} s of processor time in 0.8 s of nothing"
    for c, msgid in zip(clients, ids):
        c.reply(msgid)


@test(config="[daemon]\n[pool default]\nmax_queue = 3\nworkers = 1\n[pool other]\nmax_queue = 3\nworkers = 1\n", workers=None)
def those_who_wait_for_one_pool_do_not_hold_up_those_of_another(d):
    first = [d.client() for _ in range(100)]
    for c in first:
        c.start("sys.sleep", 60)
    second = [d.client() for _ in range(100)]
    ids = [c.start("sys.sleep", 0.002, pool="other") for c in second]
    for c, msgid in zip(second, ids):
        c.reply(msgid)
    for c in first:
        c.close()
    until(lambda: d.request("stats")["connections"] == 101, "those who wait and go are gone")
    still_serves(d)


@test(timeout=120)
def a_flood_of_long_requests_holds_up_nobody(d):
    c, other = d.client(), d.client()
    for _ in range(30):
        for msgid in [c.send("submit", ["sys.noop"]) for _ in range(500)]:
            c.reply(msgid)
            c.forget(msgid)
    flood = b"".join(pack([0, i, "list", [{"state": "running", "all": True}]]) for i in range(4000))
    sent, served = 0, 0
    c.sock.setblocking(False)
    poll = select.poll()
    poll.register(c.sock, select.POLLIN)
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        try:
            if sent < len(flood):
                sent += c.sock.send(flood[sent:])
        except BlockingIOError:
            pass
        if poll.poll(0):
            c.sock.recv(1 << 20)
        assert other.request("ping") == "pong"
        served += 1
    # Taken as they come, the flood's replies alone would last longer than these seconds: one ping at the most.
    assert served > 5, f"somebody else was served {served} times only"


# ---- gone --------------------------------------------------------------------------------------------------------------


@test(config="[daemon]\nmax_in_flight = 2\n")
def a_client_that_goes_while_it_is_not_read_is_missed(d):
    c = d.client()
    for _ in range(3):
        c.start("sys.sleep", 600)
    other = d.client()
    until(lambda: other.request("stats")["running"] == 2, "two of them run")
    c.close()
    until(lambda: other.request("stats")["running"] == 0, "its tasks have been cancelled")
    assert other.request("stats")["connections"] == 1


# ---- descriptors -------------------------------------------------------------------------------------------------------


@test()
def a_refused_request_leaves_its_descriptor_to_nobody(d):
    c = d.client()
    args = [memfd(pack([i])) for i in range(8)]

    def call(msgid, fd, function="math.square", first=None, **options):
        c.send("call", [function, first, {**options, "args_memfd": 2}], msgid=msgid, fds=[args[fd]])

    def send():
        call(1, 1, function="no.such")
        call(2, 2)
        call(3, 3, nonsense=True)
        call(4, 4, pool="nowhere")
        call(5, 5, first=[1])
        call(6, 6, first=1)
        call(7, 7)

    in_one_go(d, send)
    for msgid in (1, 3, 4, 5, 6):
        try:
            raise AssertionError(f"{msgid} was answered with {c.reply(msgid)!r}")
        except RpcError:
            pass
    assert c.reply(2) == 4 and c.reply(7) == 49
    for fd in args:
        os.close(fd)


@test(config="[daemon]\n[pool default]\nmax_queue = 1\n", workers="1")
def a_request_that_waits_keeps_its_descriptor(d):
    c = d.client()
    for _ in range(4):
        c.start("sys.sleep", 0.1)
    fds = [memfd(pack([i])) for i in range(12)]
    ids = [c.send("call", ["math.square", None, {"args_memfd": 2}], fds=[fd]) for fd in fds]
    assert [c.reply(i) for i in ids] == [i * i for i in range(12)]
    for fd in fds:
        os.close(fd)


@test()
def descriptors_that_are_lost_on_their_way_are_not_taken_for_others(d):
    """More in one message than are taken: what comes behind them is not mistaken for what is missing."""
    c = d.client()
    fds = [memfd(pack([i])) for i in range(60)]

    def call(i):
        return pack([0, i, "call", ["math.square", None, {"args_memfd": 2}]])

    def send():
        c.send_bytes(b"".join(call(i) for i in range(10)), fds[:10])
        c.send_bytes(b"".join(call(i) for i in range(10, 50)), fds[10:50])
        c.send_bytes(call(50)[:10], fds[50:51])
        for i in range(51, 60):
            c.send_bytes(call(i - 1)[10:] + call(i)[:10], fds[i:i + 1])
        c.send_bytes(call(59)[10:])

    in_one_go(d, send)
    answers = {}
    for i in range(60):
        try:
            answers[i] = c.reply(i)
        except RpcError as e:
            answers[i] = e.code
    assert all(answers[i] == i * i for i in range(10)), answers
    assert all(answers[i] in (i * i, "E_BUSY") for i in range(10, 60)), answers
    assert "E_BUSY" in answers.values(), answers
    c.next_id = 100
    assert c.request("ping") == "pong"
    c.send("call", ["math.square", None, {"args_memfd": 2}], msgid=60, fds=[fds[7]])
    assert c.reply(60) == 49, "the next ones are told apart again"
    for fd in fds:
        os.close(fd)


@test(nofile=160, workers="1")
def descriptors_that_are_not_read_do_not_use_them_up(d):
    c, other = d.client(), d.client()
    c.request("hello", {"memfd": True})
    task = c.submit("sys.blob", 1 << 20)
    other.wait(task, 10000)
    ids = range(1000, 1500)
    c.send_bytes(b"".join(pack([0, i, "result", [task]]) for i in ids))
    until(lambda: other.request("ping") == "pong" and c._readable(), "answers have come")
    assert sum(d.descriptors().values()) < 160
    with Client(d.path) as late:
        assert late.request("ping") == "pong", "others come in"
    for i in ids:
        assert c.reply(i) is None
        while c.fds:
            os.close(c.fds.pop())
    assert len(other.request("result", task)) == 1 << 20
    other.request("forget", task)


@test(nofile=80, workers="1")
def small_memfds_are_not_held_open(d):
    c = d.client()
    blocker = c.start("sys.sleep", 0.5)
    fd = memfd(pack([7]))
    ids = [c.send("call", ["math.square", None, {"args_memfd": 2}], fds=[fd]) for _ in range(300)]
    os.close(fd)
    c.reply(blocker)
    assert all(c.reply(i) == 49 for i in ids)


@test()
def a_large_array_of_items_is_checked_before_any_of_it_runs(d):
    c, other = d.client(), d.client()
    item = pack(bytes(60000))
    whole = b"\xdd" + (200).to_bytes(4, "big") + item * 200
    for data, good in ((whole, True), (whole + b"\x00", False), (whole[:-1], False), (whole[:-60003] + b"\xc1" * 60003, False),
                       (b"\x91" * 3_000_000, False), (pack({}), False)):
        before = other.request("stats")["tasks"]["items"]
        fd = memfd(data)
        msgid = c.send("map", ["sys.noop", None, {"args_memfd": len(data)}], fds=[fd])
        os.close(fd)
        try:
            assert c.reply(msgid) == [None] * 200 and good
        except RpcError as e:
            assert not good and e.code == "E_BAD_PARAMS", (good, e)
            assert other.request("stats")["tasks"]["items"] == before, "items ran before all was checked"
    fd = memfd(whole)
    msgid = c.send("map", ["sys.noop", None, {"args_memfd": len(whole)}], fds=[fd])
    os.close(fd)
    c.request("cancel", {"msgid": msgid})
    try:
        c.reply(msgid)
    except RpcError as e:
        assert e.code == "E_CANCELLED", e


# ---- unread ------------------------------------------------------------------------------------------------------------


@test(config="[daemon]\nmax_output_bytes = 64K\nmax_message = 4M\nmax_unread_bytes = 8M\n", workers="1")
def many_who_wait_for_one_large_result_do_not_fill_the_memory(d):
    before = d.rss_kib()
    c, other = d.client(), d.client()
    blocker = other.start("sys.sleep", 0.3)
    task = other.submit("sys.blob", 3 << 20)
    ids = [c.send("result", [task, 60000]) for _ in range(60)]
    assert c.request("ping") == "pong", "all of them wait"
    other.reply(blocker)
    other.wait(task)
    for i in ids:
        assert d.rss_kib() - before < 40 * 1024 * SLOW, "the same result is in memory many times"
        assert len(c.reply(i)) == 3 << 20
    other.request("forget", task)


# ---- notifications -----------------------------------------------------------------------------------------------------


@test(workers="1")
def notifications_print_to_nobody_and_cannot_be_cancelled_by_a_number(d):
    c = d.client()
    c.notify("call", ["sys.output", [b"x", 1], {"output": True}])
    c.notify("map", ["sys.output", [b"x"], {"output": True}])
    c.notify("call", ["sys.sleep", [0.2]])
    c.notify("map", ["sys.sleep", [0.1, 0.1]])
    assert c.request("cancel", {"msgid": 0}) is False
    assert c.call("math.square", 3) == 9
    assert c.notes == [], c.notes


@test()
def notifications_of_every_method_are_not_answered(d):
    c = d.client()
    task = c.submit("sys.noop")
    c.wait(task)
    for method, params in (("hello", [{}]), ("ping", []), ("call", ["math.square", [1]]), ("map", ["math.square", [1, 2], {"stream": True}]),
                           ("submit", ["sys.noop"]), ("wait", [task]), ("result", [task]), ("status", [task]), ("cancel", [task]),
                           ("list", []), ("functions", []), ("pools", []), ("workers", []), ("stats", []), ("no_such", []),
                           ("call", ["no.such"]), ("status", [1]), ("wait", []), ("call", [1, 2, 3]), ("map", ["math.square", None])):
        c.notify(method, params)
    assert c.request("ping") == "pong"
    until(lambda: not d.request("pools")[0]["running"], "all has been done")
    assert c.request("ping") == "pong"
    assert c.notes == [] and c.replies == {}, (c.notes, c.replies)


# ---- maps --------------------------------------------------------------------------------------------------------------


@test(config="[daemon]\nmax_message = 1M\n", timeout=90)
def a_map_whose_results_cannot_be_sent_ends_early(d):
    c = d.client()
    e = c.error("map", "sys.blob", [100000] * 40000)
    assert e.code == "E_RESULT_TOO_BIG", e
    assert d.request("stats")["tasks"]["items"] < 20000


@test(timeout=90)
def a_large_chunk_that_is_handed_back_many_times_is_answered_whole(d):
    n = 60000
    items = [i % 100 for i in range(n)]
    assert d.client().map("math.square", items, chunk=n, timeout_ms=60000) == [i * i for i in items]
    c = d.client()
    assert c.map("sys.sleep", [0.003] * 40, chunk=40, timeout_ms=60000) == [None] * 40


@test(config="[daemon]\n[pool default]\nmax_queue = 5\n", workers="4")
def many_maps_do_not_overfill_a_queue(d):
    clients = [d.client() for _ in range(30)]
    ids = [c.send("map", ["sys.sleep", [0.001] * 40, {"chunk": 1}]) for c in clients]
    most = 0
    watch = d.client()
    for c, msgid in zip(clients, ids):
        while msgid not in c.replies:
            most = max(most, watch.request("pools")[0]["queued"])
            c.pump()
        assert c.reply(msgid) == [None] * 40
    assert most <= 5 + 30 + 8, most


if __name__ == "__main__":
    main()
