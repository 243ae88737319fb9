#!/usr/bin/python3
"""Queues, joinable queues and pipes in the daemon: order, caps, waiting, confirming, ends, and the death of those who use
them.

    QUEUE_ITEMS=1000000 python3 tests/e2e/test_queues.py storm       the storms of kills, with so many items
"""
import collections
import json
import os
import random
import resource
import signal
import socket
import subprocess
import traceback

from harness import MPOOL, SLOW, Closed, Skip, daemon_for_others, held_by_nobody, main, memfd, test, until
from wire import Client, Ext, RpcError, pack, unpack

ITEMS = int(os.environ.get("QUEUE_ITEMS", "40000"))
BATCH = 64


def opened(client, kind, name=None, **options):
    return client.request("open", kind, name, options)["id"]


def error(client, method, *params):
    try:
        result = client.request(method, *params)
    except RpcError as e:
        return e.code
    raise AssertionError(f"{method}{params} was answered with {result!r}")


def error_of(client, msgid):
    try:
        result = client.reply(msgid)
    except RpcError as e:
        return e.code
    raise AssertionError(f"it was answered with {result!r}")


def facts(client, name):
    return client.request("inspect", name)


# ---- order, batches, values ----

@test()
def items_come_out_in_the_order_they_went_in(d):
    a, b = d.client(), d.client()
    q, r = opened(a, "queue", "q"), opened(b, "queue", "q")
    values = [0, -1, "text", b"bytes", None, [1, [2, {"k": 1.5}]], {}, 2**64 - 1, Ext(5, b"x"), "", "é" * 300, list(range(100))]
    for value in values:
        assert a.request("put", q, [value]) == 1
    assert a.request("put", q, values) == len(values)
    got = b.request("get", r, 5)
    while len(got) < 2 * len(values):
        got += b.request("get", r, 1000)
    assert got == values + values, got
    assert b.request("put", r, []) == 0
    assert facts(a, "q")["items"] == 0 and facts(a, "q")["put"] == 2 * len(values)


@test()
def thousands_of_items_travel_in_one_call(d):
    c = d.client()
    q = opened(c, "queue", "q")
    assert c.request("put", q, list(range(60000))) == 60000
    assert c.request("get", q, 60000) == list(range(60000))
    for n in (1, 15, 16, 17, 65535):
        assert c.request("put", q, list(range(n))) == n
        assert c.request("get", q, n) == list(range(n)), n


@test()
def items_as_large_as_a_message_pass_whole(d):
    c = d.client()
    q = opened(c, "queue", None, size=1 << 30)
    for size in (1 << 16, 1 << 20, 5_000_000, (64 << 20) - 4096):
        item = os.urandom(64) * (size // 64)
        assert c.request("put", q, [item]) == 1
        assert c.request("get", q) == [item]
    many = [os.urandom(300_000) for _ in range(10)]
    assert c.request("put", q, many) == 10
    got = []
    while len(got) < 10:
        more = c.request("get", q, 100)
        assert 0 < len(more) < 10, "an answer holds about a mebibyte"
        got += more
    assert got == many


# ---- memfds ----

PADDING = b"." * (64 << 10)  # what is smaller is no item to go as a memfd


def large(value):
    return pack([[value, PADDING]])

def taking_memfds(d):
    c = d.client()
    c.request("hello", {"memfd": True})
    return c


def put_memfd(c, q, data, timeout=None, size=None, seal=True, fds=1):
    fd = memfd(data, seal=seal)
    try:
        return c.send("put", [q, None, timeout, len(data) if size is None else size], fds=[fd] * fds)
    finally:
        os.close(fd)


def got_memfd(c):
    """What the last memfd that came holds, as its taker maps it."""
    assert [n[0] for n in c.notes] == ["memfd"], c.notes
    size = c.notes.pop()[1][1]
    fd = c.fds.pop()
    try:
        data = os.pread(fd, size + 1, 0)
    finally:
        os.close(fd)
    assert len(data) == size
    return unpack(data)


def got_large(c):
    (value, padding), = got_memfd(c)
    assert padding == PADDING
    return value


@test()
def an_item_in_a_memfd_is_handed_on_as_it_is(d):
    a, b = d.client(), taking_memfds(d)
    q, r = opened(a, "queue", "q", size=1 << 30), opened(b, "queue", "q")
    item = os.urandom(1000) * 20000
    for waits in (False, True):
        get = b.send("get", [r, 10]) if waits else None
        assert a.reply(put_memfd(a, q, pack([item]))) == 1
        assert a.request("put", q, ["small"]) == 1
        assert facts(a, "q")["memfds"] == (0 if waits else 1)
        assert b.reply(b.send("get", [r, 10]) if get is None else get) is None
        assert got_memfd(b) == [item]
        assert b.request("get", r, 10) == ["small"], "in its order"
    assert facts(a, "q")["item_bytes"] == 0 and facts(a, "q")["memfds"] == 0


@test()
def an_item_in_a_memfd_returns_when_its_taker_dies(d):
    a, b, c = d.client(), taking_memfds(d), taking_memfds(d)
    q, r, s = opened(a, "queue", "q", at_least_once=True), opened(b, "queue", "q"), opened(c, "queue", "q")
    assert a.reply(put_memfd(a, q, large("one"))) == 1
    assert b.request("get", r) > 0 and got_large(b) == "one"
    b.close()
    ticket = c.request("get", s)
    assert ticket > 0 and got_large(c) == "one"
    assert facts(a, "q")["memfds"] == 1
    assert c.request("confirm", s, [ticket]) == 1
    assert facts(a, "q")["memfds"] == 0


@test()
def who_takes_no_memfds_is_told_and_leaves_the_item(d):
    a, b = d.client(), taking_memfds(d)
    q, r = opened(a, "queue", "q"), opened(b, "queue", "q")
    waits = a.send("get", [q, 1])
    assert b.reply(put_memfd(b, r, large(1))) == 1
    for _ in range(2):
        try:
            a.reply(waits)
            raise AssertionError("a memfd went to one who takes none")
        except RpcError as e:
            assert e.code == "E_RESULT_TOO_BIG" and "memfd" in e.text, e
        waits = a.send("get", [q, 1])
    assert b.request("get", r) is None and got_large(b) == 1
    a.request("cancel", {"msgid": waits})


@test()
def a_memfd_that_is_not_as_it_should_be_is_refused(d):
    c = taking_memfds(d)
    q = opened(c, "queue", "q", size=200_000)
    one, two, deep = pack([1]), pack([1, 2]), b"\x91" * 40 + b"\x01"
    for data, wanted, how in ((one, "sealed", {"seal": False}), (one, "size", {"size": 3}), (one, "size", {"size": 0}), (two, "list of one", {}),
                              (b"\x01", "list of one", {}), (b"\x91\xc1", "list of one", {}), (deep, "list of one", {}), (one + b"\x01", "list of one", {}),
                              (pack([1, PADDING]), "list of one", {}), (pack(["x" * 300_000]), "larger", {}), (one, "memfd_size", {"size": "2"}),
                              (one, "no descriptor", {"fds": 0}), (one, "timeout", {"timeout": -3})):
        try:
            c.reply(put_memfd(c, q, data, **how))
            raise AssertionError(f"{how} was taken")
        except RpcError as e:
            assert e.code in ("E_BAD_PARAMS", "E_TOO_BIG") and wanted in e.text, (how, e)
    for params in ((q + 77, None, 0, 2), (q, [1], 0, 2), (q, None, 0, {})):
        fd = memfd(one)
        try:
            c.reply(c.send("put", params, fds=[fd]))
            raise AssertionError(f"{params} was taken")
        except RpcError as e:
            assert e.code in ("E_NO_OBJECT", "E_BAD_PARAMS"), e
        os.close(fd)
    assert c.reply(put_memfd(c, q, large(1))) == 1, "each refused request took its descriptor with it"
    assert c.request("get", q) is None and got_large(c) == 1


@test()
def a_small_item_in_a_memfd_is_an_item_like_any_other(d):
    a, b = d.client(), taking_memfds(d)
    q, r = opened(a, "queue", "q", capacity=300), opened(b, "queue", "q")
    before = len(os.listdir(f"/proc/{d.pid}/fd"))
    for i in range(300):
        assert b.reply(put_memfd(b, r, pack([["small", i]]))) == 1
    assert facts(a, "q")["memfds"] == 0 and len(os.listdir(f"/proc/{d.pid}/fd")) == before
    waits = put_memfd(b, r, pack(["last"]))
    assert a.request("get", q, 300) == [["small", i] for i in range(300)], "who takes no memfds gets them, too"
    assert b.reply(waits) == 1 and a.request("get", q) == ["last"]


@test()
def memfds_wait_for_room_and_are_counted(d):
    c, other = taking_memfds(d), taking_memfds(d)
    q = opened(c, "queue", "q")
    for _ in range(64):
        assert c.reply(put_memfd(c, q, large(1))) == 1
    assert c.request("put", q, [7]) == 1, "other items have room"
    late = put_memfd(c, q, large(2), timeout=20)
    try:
        c.reply(late)
        raise AssertionError("there was room for one more")
    except RpcError as e:
        assert e.code == "E_NOT_READY", e
    waits = put_memfd(other, opened(other, "queue", "q"), large(3))
    assert c.request("get", q) is None and got_large(c) == 1
    assert other.reply(waits) == 1
    waits = put_memfd(other, opened(other, "queue", "q"), large(4))
    names = [f"q{i}" for i in range(3)]
    more = [opened(c, "queue", name) for name in names]
    counted = 65
    for one in more:
        for _ in range(64):
            try:
                c.reply(put_memfd(c, one, large(1)))
                counted += 1
            except RpcError as e:
                assert e.code == "E_BUSY" and "256" in e.text, e
                break
    assert counted == 256, "of all queues of one owner"
    other.close()
    until(lambda: facts(c, "q")["putters"] == 0, "who died waits no more")
    for name in ("q", *names):
        c.request("remove", name)


@test()
def without_descriptors_a_memfd_stays_where_it_is(d):
    c = taking_memfds(d)
    q = opened(c, "queue", "q", at_least_once=True)
    assert c.reply(put_memfd(c, q, large("one"))) == 1
    limits = resource.prlimit(d.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(d.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    for _ in range(2):
        assert error(c, "get", q) == "E_INTERNAL"
    try:
        c.reply(put_memfd(c, q, large("two")))
        raise AssertionError("a descriptor came for which there was no room")
    except RpcError as e:
        assert e.code in ("E_BUSY", "E_BAD_PARAMS"), e
    assert facts(c, "q")["memfds"] == 1 and facts(c, "q")["held"] == 0
    resource.prlimit(d.pid, resource.RLIMIT_NOFILE, limits)
    assert c.request("get", q) > 0 and got_large(c) == "one"


@test()
def an_item_that_was_taken_with_a_lease_is_confirmed_or_comes_back(d):
    a, b = taking_memfds(d), taking_memfds(d)
    for kind in ("queue", "joinable_queue"):
        q, r = opened(a, kind, kind), opened(b, kind, kind)
        for i in range(3):
            assert a.reply(put_memfd(a, q, large(i))) == 1
            assert a.request("put", q, [f"small {i}"]) == 1
        first = a.request("get", q, 10, 0, True)
        assert first > 0 and got_large(a) == 0
        assert b.request("get", r, 10, 0, True) == ["small 0"], "what is small needs no lease"
        second = b.request("get", r, 10, 0, True)
        assert got_large(b) == 1 and facts(a, kind)["held"] == 2
        assert b.request("confirm", r, [first]) == 0, "it is another's"
        assert b.request("confirm", r, [second, second], False) == 1 and facts(a, kind)["held"] == 1
        assert a.request("confirm", q, [first], False) == 1
        for i in range(3):
            assert a.request("get", q) is None and got_large(a) == i, "in its old place, and without a ticket for who asks for none"
            assert i == 0 or b.request("get", r) == [f"small {i}"]
        assert facts(a, kind)["memfds"] == 0 and facts(a, kind)["returned"] == 2
        if kind == "joinable_queue":
            assert a.request("done", q, 3) and error(a, "done", q, 1) == "E_BAD_PARAMS" and b.request("done", r, 3)
            assert a.request("join", q, 0) is True
        assert error(a, "confirm", q, [first]) == "E_DENIED"
        assert a.request("remove", kind) is True


@test()
def with_a_lease_it_is_delivered_at_most_once_all_the_same(d):
    a = taking_memfds(d)
    for kind in ("queue", "joinable_queue"):
        q = opened(a, kind, kind)
        for end in ("confirm", "close", "death"):
            b = taking_memfds(d)
            r = opened(b, kind, kind)
            before = facts(a, kind)
            waits = b.send("get", [r, 1, None, True])
            until(lambda: facts(a, kind)["getters"] == 1, "it waits")  # pylint: disable=cell-var-from-loop
            assert a.reply(put_memfd(a, q, large(end))) == 1
            ticket = b.reply(waits)
            assert ticket > 0 and got_large(b) == end
            if end == "confirm":
                assert b.request("confirm", r, [ticket]) == 1
            elif end == "close":
                assert b.request("close", r) is True
            b.close()
            until(lambda: facts(a, kind)["users"] == 1, "it is gone")  # pylint: disable=cell-var-from-loop
            row = facts(a, kind)
            assert (row["items"], row["held"], row["memfds"], row["returned"], row["unfinished"]) == (0, 0, 0, 0, 0), (end, row)
            lost = 0 if end == "confirm" and kind == "queue" else 1
            assert row["lost"] - before["lost"] == lost, (kind, end, row)
        assert error(a, "get", q, 1, 0) == "E_NOT_READY"


@test()
def the_end_of_file_waits_for_a_lease(d):
    a, b = taking_memfds(d), taking_memfds(d)
    q, r = opened(a, "queue", "q"), opened(b, "queue", "q")
    assert a.reply(put_memfd(a, q, large("x"))) == 1 and a.request("finish", q) is True
    ticket = a.request("get", q, 1, 0, True)
    assert got_large(a) == "x"
    waits = b.send("get", [r])
    assert error(a, "get", q, 1, 0) == "E_NOT_READY", "it may come back"
    assert a.request("confirm", q, [ticket], False) == 1
    assert b.reply(waits) is None and got_large(b) == "x"
    assert b.request("get", r) == [] and a.request("get", q) == []


@test()
def tickets_can_be_given_back(d):
    a, b = d.client(), d.client()
    q, r = opened(a, "queue", "q", at_least_once=True), opened(b, "queue", "q")
    assert a.request("put", q, list(range(6))) == 6
    mine = a.request("get", q, 4)
    assert b.request("get", r, 1)[0][1] == 4
    assert a.request("confirm", q, [mine[3][0], mine[1][0]], False) == 2
    assert [item for _, item in b.request("get", r, 10)] == [1, 3, 5]
    assert a.request("confirm", q, [ticket for ticket, _ in mine]) == 2, "two of them are another's now"


@test()
def a_pipe_takes_large_items_and_ends(d):
    a, b = taking_memfds(d), taking_memfds(d)
    made = a.request("open", "pipe", None, {})
    r = made["id"]
    s = b.request("open", "pipe", made["handle"])["id"]
    item = b"p" * 3_000_000
    assert b.reply(put_memfd(b, s, pack([item]))) == 1
    assert b.reply(put_memfd(b, s, large("q"))) == 1
    b.close()
    assert a.request("get", r) is None and got_memfd(a) == [item]
    assert a.request("get", r) is None and got_large(a) == "q"
    assert a.request("get", r) == []


# ---- caps ----

@test()
def a_full_queue_says_so_and_lets_putters_wait(d):
    a, b = d.client(), d.client()
    q, r = opened(a, "queue", "q", capacity=3), opened(b, "queue", "q")
    assert a.request("put", q, [1, 2], 0) == 2
    assert a.request("put", q, [3, 4, 5], 0) == 1
    assert error(a, "put", q, [4], 0) == "E_NOT_READY"
    assert error(a, "put", q, [4], 20) == "E_NOT_READY"
    first, second = a.send("put", [q, [4, 5, 6, 7, 8]]), a.send("put", [q, [9]])
    until(lambda: facts(b, "q")["putters"] == 2, "both wait")
    assert error(b, "put", r, [100], 0) == "E_NOT_READY"
    assert [b.request("get", r, 1)[0] for _ in range(9)] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert a.reply(first) == 5 and a.reply(second) == 1


@test()
def a_put_that_is_late_tells_how_many_went_in(d):
    a, b = d.client(), d.client()
    q, r = opened(a, "queue", "q", capacity=2), opened(b, "queue", "q")
    late = a.send("put", [q, [1, 2, 3, 4, 5], 300])
    until(lambda: facts(b, "q")["putters"] == 1, "it waits")
    assert b.request("get", r, 1) == [1]
    assert a.reply(late) == 3
    assert b.request("get", r, 9) == [2, 3]
    assert error(b, "get", r, 9, 0) == "E_NOT_READY"


@test()
def bytes_have_a_cap_and_one_item_too(d):
    c = d.client()
    q = opened(c, "queue", None, size=1000)
    assert error(c, "put", q, [b"x" * 1000]) == "E_TOO_BIG"
    assert error(c, "put", q, [1, b"x" * 1000]) == "E_TOO_BIG"
    assert error(c, "get", q, 1, 0) == "E_NOT_READY", "nothing of a request that can never go in goes in"
    assert c.request("put", q, [b"x" * 600]) == 1
    assert error(c, "put", q, [b"x" * 600], 0) == "E_NOT_READY"
    assert c.request("put", q, [b"x" * 300], 0) == 1


@test()
def the_number_of_those_who_wait_has_a_cap(d):
    c, other = d.client(), d.client()
    q = opened(c, "queue", "q")
    waiting = [c.send("get", [q]) for _ in range(1024)]
    until(lambda: facts(other, "q")["getters"] == 1024, "all wait")
    assert error(c, "get", q) == "E_BUSY"
    r = opened(other, "queue", "q")
    assert other.request("put", r, list(range(1024))) == 1024
    assert [c.reply(m) for m in waiting] == [[i] for i in range(1024)]


@test()
def options_and_params_out_of_bounds_are_refused(d):
    c = d.client()
    for options in ({"capacity": (1 << 20) + 1}, {"size": 1 << 40}, {"capacity": -1}, {"duplex": True}, {"at_least_once": 1}):
        assert error(c, "open", "queue", None, options) == "E_BAD_PARAMS", options
    c.request("hello", {"memfd": True})
    q, lock = opened(c, "queue"), opened(c, "lock")
    for method, params in (("put", [q, 1]), ("put", [q, [1], -1]), ("put", [q, [1], "soon"]), ("put", ["q", [1]]),
                           ("get", [q, 0]), ("get", [q, 1 << 21]), ("get", [q, 1, 2**64 - 1]), ("get", [q, 1.5]),
                           ("put", [q]), ("done", [q, -1]), ("join", [q, []]), ("get", [lock]), ("confirm", [q])):
        assert error(c, method, *params) == "E_BAD_PARAMS", (method, params)
    assert error(c, "get", 999) == "E_NO_OBJECT"
    assert error(d.client(), "get", q) == "E_NO_OBJECT", "an id is good on its own connection alone"
    assert error(c, "confirm", q, [1]) == "E_DENIED" and error(c, "done", q) == "E_DENIED" and error(c, "join", q) == "E_DENIED"
    opened(c, "queue", "q")
    assert error(c, "open", "queue", "q", {"read_only": True}) == "E_BAD_PARAMS"
    assert c.request("put", q, [1]) == 1


# ---- waiting ----

@test()
def getters_are_served_in_the_order_they_came(d):
    clients = [d.client() for _ in range(5)]
    ids = [opened(c, "queue", "q") for c in clients]
    waiting = []
    for c, q in zip(clients, ids):
        waiting.append(c.send("get", [q, 2]))
        until(lambda: facts(clients[0] if c is not clients[0] else clients[1], "q")["getters"] == len(waiting), "it waits")
    putter = d.client()
    q = opened(putter, "queue", "q")
    for i in range(5):
        assert putter.request("put", q, [i]) == 1
    assert [c.reply(m) for c, m in zip(clients, waiting)] == [[i] for i in range(5)]


@test()
def a_get_that_is_late_takes_nothing(d):
    c = d.client()
    q = opened(c, "queue")
    assert error(c, "get", q, 1, 0) == "E_NOT_READY"
    assert error(c, "get", q, 1, 30) == "E_NOT_READY"
    assert c.request("put", q, [7]) == 1
    assert c.request("get", q, 1, 0) == [7]


@test()
def a_waiting_request_can_be_cancelled(d):
    c = d.client()
    q = opened(c, "queue", "q", capacity=1)
    get = c.send("get", [q])
    assert c.request("cancel", {"msgid": get}) is True
    try:
        c.reply(get)
        raise AssertionError("it was not cancelled")
    except RpcError as e:
        assert e.code == "E_CANCELLED", e
    assert c.request("cancel", {"msgid": get}) is False
    assert c.request("put", q, [1]) == 1
    put = c.send("put", [q, [2, 3]])
    assert c.request("cancel", {"msgid": put}) is True
    try:
        c.reply(put)
        raise AssertionError("it was not cancelled")
    except RpcError as e:
        assert e.code == "E_CANCELLED", e
    assert c.request("get", q, 9) == [1]
    get = c.send("get", [q])
    assert c.request("close", q) is True
    try:
        c.reply(get)
        raise AssertionError("it outlived its use")
    except RpcError as e:
        assert e.code == "E_CANCELLED", e


@test()
def those_who_wait_and_die_stand_in_nobodys_way(d):
    a, b, c = d.client(), d.client(), d.client()
    for client in (a, b, c):
        opened(client, "queue", "q", capacity=1)
    q = {client: opened(client, "queue", "q") for client in (a, b, c)}
    a.send("get", [q[a]])
    until(lambda: facts(c, "q")["getters"] == 1, "it waits")
    a.close()
    until(lambda: facts(c, "q")["getters"] == 0, "it has gone")
    assert c.request("put", q[c], [1]) == 1
    b.send("put", [q[b], [2]])
    until(lambda: facts(c, "q")["putters"] == 1, "it waits")
    put = c.send("put", [q[c], [3]])
    b.close()
    until(lambda: facts(c, "q")["putters"] == 1, "it has gone, and what it wanted to put")
    assert c.request("get", q[c]) == [1]
    assert c.reply(put) == 1
    assert c.request("get", q[c]) == [3]


# ---- at least once, joinable ----

@test()
def what_was_not_confirmed_returns_to_the_front(d):
    a, b = d.client(), d.client()
    q, r = opened(a, "queue", "q", at_least_once=True), opened(b, "queue", "q")
    a.request("put", q, list(range(10)))
    taken = b.request("get", r, 6)
    assert [item for _, item in taken] == [0, 1, 2, 3, 4, 5]
    assert b.request("confirm", r, [taken[1][0], taken[4][0], 1, 2**53 - 1]) == 2
    assert a.request("confirm", q, [taken[0][0]]) == 0, "another's ticket"
    assert facts(a, "q")["held"] == 4
    b.close()
    until(lambda: facts(a, "q")["held"] == 0, "they are back")
    assert [item for _, item in a.request("get", q, 99)] == [0, 2, 3, 5, 6, 7, 8, 9]


@test()
def held_items_leave_no_room_and_hold_back_the_end(d):
    a, b = d.client(), d.client()
    q, r = opened(a, "queue", "q", at_least_once=True, capacity=2), opened(b, "queue", "q")
    a.request("put", q, [1, 2])
    taken = b.request("get", r, 2)
    assert error(a, "put", q, [3], 0) == "E_NOT_READY"
    assert b.request("confirm", r, [taken[0][0]]) == 1
    assert a.request("finish", q) is True
    assert a.request("finish", q) is False
    assert b.request("get", r) == [], "what it holds itself cannot come back to it"
    waiting = a.send("get", [q])
    until(lambda: facts(b, "q")["getters"] == 1, "it waits: the item may return")
    b.close()
    assert [item for _, item in a.reply(waiting)] == [2]


@test()
def join_waits_until_every_item_is_done(d):
    a, b = d.client(), d.client()
    q, r = opened(a, "joinable_queue", "q"), opened(b, "joinable_queue", "q")
    assert a.request("join", q) is True
    a.request("put", q, [1, 2, 3])
    assert error(a, "join", q, 0) == "E_NOT_READY" and error(a, "join", q, 20) == "E_NOT_READY"
    join = a.send("join", [q])
    assert error(b, "done", r) == "E_BAD_PARAMS", "more than was taken"
    assert b.request("get", r, 3) == [1, 2, 3]
    assert b.request("done", r, 2) is True and facts(b, "q")["unfinished"] == 1
    assert b.request("done", r) is True
    assert a.reply(join) is True


@test()
def nobody_joins_on_the_dead(d):
    a, b = d.client(), d.client()
    q, r = opened(a, "joinable_queue", "q"), opened(b, "joinable_queue", "q")
    a.request("put", q, [1, 2])
    b.request("get", r, 1)
    join = a.send("join", [q])
    b.close()
    until(lambda: facts(d.client(), "q")["lost"] == 1, "its item is lost")
    assert a.request("get", q) == [2]
    a.request("done", q)
    assert a.reply(join) is True


# ---- ends ----

@test()
def after_the_finish_the_rest_comes_and_then_the_end(d):
    a, b = d.client(), d.client()
    q, r = opened(a, "queue", "q", capacity=2), opened(b, "queue", "q")
    a.request("put", q, [1, 2])
    late = a.send("put", [q, [3]])
    until(lambda: facts(b, "q")["putters"] == 1, "it waits")
    assert b.request("finish", r) is True
    try:
        a.reply(late)
        raise AssertionError("it went in")
    except RpcError as e:
        assert e.code == "E_FINISHED", e
    assert error(a, "put", q, [4]) == "E_FINISHED"
    assert b.request("get", r, 9) == [1, 2] and b.request("get", r, 9) == [] and a.request("get", q) == []


@test()
def those_who_wait_hear_of_the_end(d):
    a, b = d.client(), d.client()
    q, r = opened(a, "queue", "q"), opened(b, "queue", "q")
    waiting = [a.send("get", [q]) for _ in range(3)]
    until(lambda: facts(b, "q")["getters"] == 3, "they wait")
    b.request("finish", r)
    assert [a.reply(m) for m in waiting] == [[], [], []]


@test()
def the_daemons_end_reaches_those_who_wait(d):
    waiting = []
    for _ in range(5):
        c = d.client()
        q = opened(c, "queue", "q", capacity=1, at_least_once=True)
        waiting.append((c, c.send("get", [q])))
    c = d.client()
    q = opened(c, "queue", "full", capacity=1)
    c.request("put", q, [1])
    waiting.append((c, c.send("put", [q, [2, 3]])))
    pipe = d.client()
    waiting.append((pipe, pipe.send("get", [opened(pipe, "pipe", "p")])))
    until(lambda: facts(c, "q")["getters"] == 5, "they wait")
    assert d.stop() == 0
    for c, msgid in waiting:
        try:
            c.reply(msgid)
            raise AssertionError("it was answered")
        except (Closed, RpcError, ConnectionError):
            pass


@test()
def a_time_out_may_be_as_long_as_one_likes(d):
    a, b = d.client(), d.client()
    q, r = opened(a, "queue", "q"), opened(b, "queue", "q")
    waits = [a.send("get", [q, 1, ms]) for ms in (5 * 3600 * 1000, 2**31, 2**40, 2**44 - 1)]
    until(lambda: facts(b, "q")["getters"] == len(waits), "all of them wait")
    b.request("put", r, [1, 2, 3, 4])
    assert [a.reply(msgid) for msgid in waits] == [[1], [2], [3], [4]]


@test()
def puts_that_wait_do_not_keep_their_own_connection_from_taking(d):
    """What a connection may have waiting is 256 MiB: of memfds, so that nobody copies as much."""
    c = d.client()
    c.request("hello", {"memfd": True})
    q = opened(c, "queue", "q")
    size = 15_750_000
    fd = memfd(pack([b"x" * size]))
    size = os.fstat(fd).st_size
    puts = [c.send("put", [q, None, None, size], fds=[fd]) for _ in range(20)]  # the queue takes one, 17 may wait
    os.close(fd)
    # One that is copied is refused as well: they count together.
    last = c.send("put", [q, [b"x" * 1_000_000]])
    taken, refused = 0, 0
    while True:
        try:
            assert c.request("get", q, 1, 0) is None
            taken += 1
        except RpcError as e:
            assert e.code == "E_NOT_READY", e
            break
    assert len(c.fds) == taken
    for msgid in puts:
        try:
            assert c.reply(msgid) == 1
        except RpcError as e:
            assert e.code == "E_BUSY", e
            refused += 1
    assert c.failure(last).code == "E_BUSY"
    assert (taken, refused) == (18, 2), (taken, refused)


# ---- pipes ----

@test()
def a_finished_pipe_is_shown_so(d):
    a, b = d.client(), d.client()
    opened(a, "pipe", "p")
    sender = opened(b, "pipe", "p")
    assert not facts(a, "p")["finished"]
    b.request("finish", sender)
    assert facts(a, "p")["finished"]


@test()
def a_pipe_goes_one_way_or_both(d):
    a, b = d.client(), d.client()
    p, q = opened(a, "pipe", "one"), opened(b, "pipe", "one")
    assert b.request("put", q, ["hello", 2]) == 2
    assert a.request("get", p, 9) == ["hello", 2]
    assert error(a, "put", p, [1]) == "E_DENIED" and error(b, "get", q) == "E_DENIED"
    assert error(d.client(), "open", "pipe", "one") == "E_BUSY"
    p, q = opened(a, "pipe", "two", duplex=True, end=1), opened(b, "pipe", "two")
    assert a.request("put", p, [1]) == 1 and b.request("put", q, [2]) == 1
    assert a.request("get", p) == [2] and b.request("get", q) == [1]


@test()
def when_one_end_goes_the_other_reads_the_rest_and_then_the_end(d):
    a = d.client()
    p = opened(a, "pipe", "p", duplex=True)
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        c = Client(d.path)
        q = opened(c, "pipe", "p")
        c.request("put", q, ["last words", "and more"])
        theirs.sendall(b"!")
        signal.pause()
    ours.recv(1)
    a.request("put", p, ["never read"])
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    until(lambda: facts(a, "p")["lost"] == 1, "the other end has gone")
    assert a.request("get", p, 9) == ["last words", "and more"] and a.request("get", p) == []
    assert error(a, "put", p, [1]) == "E_FINISHED"
    assert error(d.client(), "open", "pipe", "p") == "E_FINISHED"
    a.request("close", p)
    b = d.client()
    p, q = opened(a, "pipe", "p"), opened(b, "pipe", "p")
    assert b.request("put", q, [5]) == 1 and a.request("get", p, 9) == [5], "once both have gone it is as new"


@test()
def an_end_that_was_left_before_the_other_came_may_be_taken_again(d):
    a, b = d.client(), d.client()
    for end in (0, 1):  # restarted before anybody came
        for _ in range(3):
            a.request("close", opened(a, "pipe", f"p{end}", end=end))
        a.request("finish", opened(a, "pipe", "q", end=1))
        p, q = opened(a, "pipe", f"p{end}", end=end), opened(b, "pipe", f"p{end}")
        reader, writer = ((a, p), (b, q)) if end == 0 else ((b, q), (a, p))
        assert writer[0].request("put", writer[1], [1]) == 1 and reader[0].request("get", reader[1]) == [1], end
        d.request("remove", "q")
    p = opened(a, "pipe", "left", end=1)
    assert a.request("put", p, [1]) == 1
    a.request("close", p)
    p = opened(a, "pipe", "left", end=1)
    assert a.request("put", p, [2]) == 1
    a.request("close", p)
    q = opened(b, "pipe", "left")
    assert b.request("get", q, 9) == [1, 2] and b.request("get", q) == [], "what it left, and then the end"
    assert error(a, "open", "pipe", "left", {"end": 1}) == "E_FINISHED", "its reader has read the end"


@test()
def open_tells_which_end_of_a_pipe_it_is(d):
    a = d.client()
    assert [a.request("open", "pipe", "p", None)["end"] for _ in range(2)] == [0, 1]
    assert [a.request("open", "pipe", "q", {"end": end})["end"] for end in (1, 0)] == [1, 0]
    assert "end" not in a.request("open", "queue", None, None)


@test()
def one_who_waits_at_a_pipe_hears_of_the_other_ends_death(d):
    a, b = d.client(), d.client()
    p = opened(a, "pipe", "p", duplex=True, capacity=1)
    opened(b, "pipe", "p")
    get = a.send("get", [p])
    a.send("put", [p, [1]])
    full = a.send("put", [p, [2]])
    until(lambda: facts(b, "p")["putters"] == 1 and facts(b, "p")["getters"] == 1, "they wait")
    b.close()
    assert a.reply(get) == []
    try:
        a.reply(full)
        raise AssertionError("it went in")
    except RpcError as e:
        assert e.code == "E_FINISHED", e


# ---- the death of many ----

def child(action):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            action()
            status = 0
        except (Closed, ConnectionError):
            traceback.print_exc()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return pid


def produce(path, number, count):
    c = Client(path)
    q = opened(c, "queue", "storm")
    for first in range(0, count, BATCH):
        items = [[number, i] for i in range(first, min(first + BATCH, count))]
        assert c.request("put", q, items) == len(items)


def consume(path, record, confirms):
    """Writes what it takes to its record before it confirms."""
    c = Client(path)
    q = opened(c, "queue", "storm")
    out = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    while True:
        taken = c.request("get", q, BATCH)
        if not taken:
            return
        items = [item for _, item in taken] if confirms else taken
        os.write(out, b"".join(b"%d %d\n" % tuple(item) for item in items))
        if confirms:
            c.request("confirm", q, [ticket for ticket, _ in taken])


def storm(d, at_least_once):
    producers, consumers, kills = 8, 8, 24
    each = ITEMS // producers
    control = d.client()
    q = opened(control, "queue", "storm", capacity=2048, at_least_once=at_least_once)
    records, eaters = [], {}

    def eat():
        records.append(f"{d.home}/record.{len(records)}")
        eaters[child(lambda: consume(d.path, records[-1], at_least_once))] = len(records) - 1

    for _ in range(consumers):
        eat()
    feeders = {child(lambda n=n: produce(d.path, n, each)) for n in range(producers)}
    choice = random.Random(4)
    killed = set()
    for k in range(1, kills + 1):
        until(lambda: facts(control, "storm")["taken"] >= k * (ITEMS // (kills + 2)), "the storm goes on")
        victim = choice.choice(sorted(eaters))
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
        killed.add(eaters.pop(victim))
        eat()
    for pid in feeders:
        assert os.waitpid(pid, 0)[1] == 0, "a producer failed"
    control.request("finish", q)
    for pid in list(eaters):
        assert os.waitpid(pid, 0)[1] == 0, "a consumer failed"
    counted, lines = collections.Counter(), 0
    for number, record in enumerate(records):
        last = {}
        with open(record, "rb") if os.path.exists(record) else open(os.devnull, "rb") as f:
            for line in f:
                producer, i = map(int, line.split())
                if not at_least_once:
                    assert i > last.get(producer, -1), f"out of order: {producer} {i} after {last[producer]}"
                last[producer] = i
                counted[producer, i] += 1
                lines += 1
    assert all(n < producers and i < each for n, i in counted), "an item that nobody put"
    told = facts(control, "storm")
    again = sum(n - 1 for n in counted.values())
    missing = producers * each - len(counted)
    print(f"{lines} taken and recorded, {len(killed)} consumers killed: {missing} missing, {again} twice; {told}")
    assert told["put"] == producers * each and told["items"] == told["held"] == 0
    if at_least_once:
        assert missing == 0
        assert again <= told["returned"] <= BATCH * kills
        assert told["taken"] == told["put"] + told["returned"]
    else:
        assert again == 0
        assert missing <= BATCH * kills and told["taken"] == told["put"]


@test(timeout=300)
def in_a_storm_of_kills_every_item_is_delivered_at_least_once(d):
    storm(d, True)


@test(timeout=300)
def in_a_storm_of_kills_no_item_is_delivered_twice(d):
    storm(d, False)


@test()
def a_producer_that_is_killed_leaves_whole_items_in_order(d):
    c = d.client()
    q = opened(c, "queue", "storm", capacity=100)
    seen = 0
    for _ in range(10):
        pid = child(lambda: produce(d.path, 0, 1_000_000))
        got = []
        while len(got) < 500:
            got += c.request("get", q, 64)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        until(lambda: facts(c, "storm")["putters"] == 0, "it has gone")
        while facts(c, "storm")["items"]:
            got += c.request("get", q, 64)
        assert got == [[0, i] for i in range(len(got))], "each item in its order, and none torn"
        seen += len(got)
    assert facts(c, "storm")["put"] == seen


# ---- the command line ----

def mpool(d, *words, stdin=""):
    ran = subprocess.run([MPOOL, "--socket", d.path, "queue", *words], input=stdin, capture_output=True, text=True, timeout=30)
    return ran.returncode, ran.stdout, ran.stderr


@test()
def scripts_put_and_get(d):
    assert mpool(d, "put", "jobs", "7", "text", '{"a": [1, null]}', "-5") == (0, "", "")
    assert mpool(d, "get", "jobs") == (0, "7\n", "")
    assert mpool(d, "get", "jobs", "--count", "3") == (0, '"text"\n{"a": [1, null]}\n-5\n', "")
    assert mpool(d, "get", "jobs", "--timeout", "0")[0] == 124
    assert mpool(d, "put", "jobs", "--strings", "8", "x") [0] == 0
    assert mpool(d, "put", "jobs", stdin="".join(f"{i}\n" for i in range(3000)))[0] == 0
    assert mpool(d, "finish", "jobs") == (0, "", "")
    code, out, _ = mpool(d, "get", "jobs", "--follow")
    assert code == 0 and out.split() == ['"8"', '"x"', *map(str, range(3000))]
    assert mpool(d, "get", "jobs")[:2] == (1, "")
    code, _, err = mpool(d, "put", "jobs", "9")
    assert code == 1 and "E_FINISHED" in err, err
    code, out, _ = mpool(d, "stat", "jobs", "--json")
    assert code == 0 and json.loads(out)["taken"] == 3006
    code, out, _ = mpool(d, "stat", "jobs")
    lines = dict(line.split(None, 1) for line in out.splitlines())
    assert code == 0 and lines["taken"] == "3006" and lines["finished"] == "yes" and "unfinished" not in lines, out


@test()
def a_bad_item_is_named_when_those_before_it_are_in(d):
    code, _, err = mpool(d, "put", "q", stdin="1\n2\n1e999\n4\n")
    assert code == 125 and err.startswith("mpool: queue: item 3: ") and "; 2 went in before it" in err, err
    assert mpool(d, "get", "q", "-n", "2") == (0, "1\n2\n", "")
    code, _, err = mpool(d, "put", "q", stdin="".join(f"{i}\n" for i in range(600)) + "[" * 5000 + "]" * 5000 + "\n")
    assert code == 125 and "item 601: " in err, err
    assert facts(d.client(), "q")["items"] == 600
    code, _, err = mpool(d, "put", "q", "1e999", "2")
    assert code == 125 and "item 1: " in err and "; 0 went in" in err, err
    code, _, err = mpool(d, "put", "small", "--capacity", "2", "-t", "50ms", "1", "2", "3")
    assert code == 124 and "up to number 2, no more" in err, err


@test()
def scripts_are_told_what_is_no_queue(d):
    c = taking_memfds(d)
    for kind in ("value", "lock", "pipe"):
        opened(c, kind, kind)
        for words in (["put", kind, "1"], ["get", kind], ["join", kind], ["finish", kind], ["stat", kind]):
            assert mpool(d, *words) == (125, "", f"mpool: E_EXISTS: '{kind}' is not a queue, but a {kind}\n"), words


@test()
def scripts_join_and_wait_for_room(d):
    assert mpool(d, "put", "work", "--joinable", "--capacity", "2", "1", "2")[0] == 0
    assert mpool(d, "put", "work", "--timeout", "50ms", "3")[0] == 124
    assert mpool(d, "join", "work", "--timeout", "0")[0] == 124
    assert mpool(d, "get", "work", "-n", "2") == (0, "1\n2\n", "")
    assert mpool(d, "join", "work") == (0, "", "")
    assert facts(d.client(), "work")["lost"] == 0, "what get has printed is done"
    assert mpool(d, "put", "sure", "--at-least-once", "1", "2")[0] == 0
    assert mpool(d, "get", "sure") == (0, "1\n", "")
    assert facts(d.client(), "sure")["held"] == 0 and facts(d.client(), "sure")["returned"] == 0
    code, _, err = mpool(d, "join", "sure")
    assert code == 125 and "'sure'" in err and "--joinable" in err, err
    assert mpool(d, "finish", "nosuch")[0] == 125
    assert mpool(d, "take", "work")[0] == 125 and mpool(d, "put")[0] == 125 and mpool(d, "get", "a", "b")[0] == 125


# ---- shares ----

MIB = 1 << 20


def not_put(client, *params):
    try:
        result = client.request("put", *params)
    except RpcError as e:
        return f"{e.code}: {e.text}"
    raise AssertionError(f"it was answered with {result!r}")


def held_of(c, *names):
    return sum(facts(c, name)["bytes"] for name in names)


@test()
def queues_count_what_they_hold_and_not_what_they_may_hold(d):
    c = d.client()
    for i in range(1000):
        opened(c, "queue", f"q{i}", size=1 << 30)
    assert held_of(c, "q0", "q999") <= 2 * (64 << 10)
    q = opened(c, "queue", "q0")
    assert c.request("put", q, [b"x" * MIB] * 3) == 3
    assert 3 * MIB < held_of(c, "q0") < 3 * MIB + (128 << 10)
    assert [row["bytes"] for row in c.request("objects") if row["name"] == "q0"] == [held_of(c, "q0")]
    while facts(c, "q0")["items"] > 0:
        c.request("get", q, 3)
    assert held_of(c, "q0") == held_of(c, "q1")


@test(config="[daemon]\nmax_user_object_bytes = 2M\n")
def the_share_of_a_user_is_a_cap_on_what_its_queues_hold(d):
    c, other = d.client(), d.client()
    names = ("one", "two", "three")
    one, two, three = (opened(c, "queue", name) for name in names)
    assert other.request("put", opened(other, "queue", "two"), [b"x" * 100]) == 1
    while c.request("put", one, [b"x" * 100_000] * 10, 0) == 10:
        pass
    for client, q in ((c, one), (c, two), (other, opened(other, "queue", "three"))):
        for timeout in (0, 50):
            why = not_put(client, q, [b"y" * 300_000], timeout)
            assert why.startswith("E_NOT_READY") and "max_user_object_bytes" in why, why
    assert held_of(c, *names) <= 2 * MIB
    assert c.request("put", three, [b"z" * 10_000], 0) == 1, "what is small has its place in every queue"
    why = not_put(c, one, [b"x" * 2 * MIB])
    assert why.startswith("E_TOO_BIG") and "max_user_object_bytes" in why, why
    assert taking_memfds(d).error("open", "array", None, {"type": "bytes", "count": MIB}).code == "E_BUSY", "all objects of a user share"


@test(config="[daemon]\nmax_user_object_bytes = 2M\n")
def a_put_that_waits_for_its_users_share_goes_in_when_some_is_free(d):
    a, b, c = d.client(), d.client(), d.client()
    waiting, last = opened(b, "queue", "waiting"), opened(c, "queue", "last")

    def full_queue():
        """Unnamed: it goes with its client."""
        holder = d.client()
        q = opened(holder, "queue")
        assert holder.request("put", q, [b"l" * 600_000] * 3, 0) == 3
        return holder, q

    def an_item_is_taken():
        holder, q = full_queue()
        yield
        assert len(holder.request("get", q, 2)) + len(holder.request("get", q, 2)) >= 2
        yield
        holder.close()

    def a_queue_is_closed():
        holder, q = full_queue()
        yield
        assert holder.request("close", q) is True
        yield
        holder.close()

    def its_user_is_gone():
        holder, _ = full_queue()
        yield
        holder.close()
        yield

    def a_page_is_gone():
        holder = taking_memfds(d)
        opened(holder, "array", type="bytes", count=1_800_000)
        yield
        holder.close()
        yield

    def one_who_waits_before_it_gives_up():
        holder, q = full_queue()
        assert holder.request("put", q, [b"l" * 100_000], 0) == 1
        first = a.send("put", [opened(a, "queue", "waiting"), [b"x" * 1_900_000]])
        until(lambda: facts(d.client(), "waiting")["putters"] == 1, "it waits")
        yield
        a.request("cancel", {"msgid": first})
        assert error_of(a, first) == "E_CANCELLED"
        assert len(holder.request("get", q, 2)) == 1 and len(holder.request("get", q, 2)) == 1
        yield
        holder.close()

    def the_share_grows():
        holder, _ = full_queue()
        yield
        d.write_config("[daemon]\nmax_user_object_bytes = 16M\n")
        d.signal(signal.SIGHUP)
        yield
        holder.close()

    for way in (an_item_is_taken, a_queue_is_closed, its_user_is_gone, a_page_is_gone, one_who_waits_before_it_gives_up, the_share_grows):
        steps = way()
        next(steps)
        before = facts(a, "waiting")["putters"]
        puts = b.send("put", [waiting, [b"w" * 500_000]]), c.send("put", [last, [b"s" * 500_000]])
        until(lambda: (facts(a, "waiting")["putters"], facts(a, "last")["putters"]) == (before + 1, 1), f"both wait until {way.__name__}")  # pylint: disable=cell-var-from-loop
        next(steps)
        assert (b.reply(puts[0], timeout=20), c.reply(puts[1], timeout=20)) == (1, 1), way
        assert b.request("get", waiting) == [b"w" * 500_000] and c.request("get", last) == [b"s" * 500_000]
        for _ in steps:
            pass
        until(lambda: held_of(a, "waiting", "last") == 2 * (64 << 10), "all is given back")


@test(daemon=False)
def whose_share_is_full_is_alone_with_that(home):
    d = daemon_for_others(home, "[daemon]\nsocket_mode = 0666\nmax_user_object_bytes = 1M\n")

    def fill(c, q):
        while c.request("put", q, [b"x" * 100_000], 0) == 1:
            pass

    def others():
        c = Client(d.path)
        q = opened(c, "queue", "theirs")
        try:
            fill(c, q)
        except RpcError as e:
            assert e.code == "E_NOT_READY" and "max_user_object_bytes" in e.text, e
        c.send("put", [q, [b"x" * 500_000]])
        return c

    c = d.client()
    with held_by_nobody(others):
        q = opened(c, "queue")
        assert c.request("put", q, [b"y" * 900_000], 0) == 1
        assert len(c.request("get", q)) == 1
        until(lambda: facts(c, "theirs")["putters"] == 1, "the other one waits")
        row = facts(c, "theirs")
        assert row["bytes"] <= 1 << 20 and row["items"] > 0, row
    c.request("remove", "theirs")
    c.close()
    d.stop()


# ---- what it costs ----

@test()
def queues_use_their_memory_again(d):
    if SLOW > 1:
        raise Skip("a sanitizer keeps what was freed")
    c = d.client()
    q = opened(c, "queue", "q", size=1 << 30)
    before = d.rss_kib()
    for _ in range(4):
        for _ in range(32):
            assert c.request("put", q, [b"x" * 1000] * 1000) == 1000
        left = 32000
        while left:
            left -= len(c.request("get", q, 1000))
    assert d.rss_kib() - before < 64 << 10, f"{d.rss_kib() - before} KiB more than before"


@test()
def waiting_at_a_queue_costs_no_processor_time(d):
    clients = [d.client() for _ in range(50)]
    for c in clients:
        c.send("get", [opened(c, "queue", "q"), 1, 100000])
    control = d.client()
    until(lambda: facts(control, "q")["getters"] == 50, "all wait")
    before, passes = d.cpu_seconds(), control.request("stats")["loop_passes"]
    with Client(d.path) as other:
        other.sock.settimeout(1)
        try:
            other.sock.recv(1)  # nothing comes: a second in which nobody does anything
        except socket.timeout:
            pass
    assert d.cpu_seconds() - before < 0.3
    assert control.request("stats")["loop_passes"] - passes < 50


@test()
def queues_without_a_name_go_with_their_last_use(d):
    c = d.client()
    for _ in range(20):  # many at a time, as each answer awaited is two switches of process
        queues = [c.reply(msgid)["id"] for msgid in [c.send("open", ["queue"]) for _ in range(100)]]
        puts = [c.send("put", [q, [1, 2, 3]]) for q in queues]
        closes = [c.send("close", [q]) for q in queues]
        assert [c.reply(msgid) for msgid in puts] == [3] * 100
        assert all(c.reply(msgid) is True for msgid in closes)
    assert c.request("objects") == []


if __name__ == "__main__":
    main()
