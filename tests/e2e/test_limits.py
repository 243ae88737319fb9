#!/usr/bin/python3
"""What can a client do to the daemon and to others? Malformed, oversized, slow, greedy and silent clients, and too many."""
import os
import random
import resource
import select
import socket
import struct
import threading
import time

from harness import SLOW, Client, Closed, RpcError, Skip, main, memfd, pack, test, until
from wire import Raw


def end_of(d, data):
    """Sends the bytes on a connection of their own and reads until the daemon closes → the messages that came."""
    c = d.client()
    try:
        c.send_bytes(data)
    except (BrokenPipeError, ConnectionResetError):
        pass
    return c.ended()


def still_serves(d):
    assert d.client().call("math.square", 11) == 121


# ---- malformed ---------------------------------------------------------------------------------------------------------


@test()
def malformed_bytes_close_the_connection(d):
    for data in (b"\xc1", b"\x00", b"\xa3abc", b"\xc0", b"\x80", b"\x90", b"\x91\x00", b"\x92\x00\x01", b"\x95\x00\x01\xa4ping\x90\x00",
                 b"\x94\x07\x01\xa4ping\x90", b"\x94\xff\x01\xa4ping\x90", b"\x94\xa1x\x01\xa4ping\x90", b"\x94\x00\xa1x\xa4ping\x90",
                 b"\x94\x00\xff\xa4ping\x90", b"\x94\x00\xcf\x00\x00\x00\x01\x00\x00\x00\x00\xa4ping\x90", b"\x93\x00\x01\x90",
                 b"\x93\x01\x01\x90", b"\x94\x01\x01\xc0\x01", b"GET / HTTP/1.0\r\n\r\n", bytes(64)):
        messages = end_of(d, data)
        assert len(messages) <= 1, (data, messages)
        for m in messages:
            assert m[0] == 1 and m[2][0] == 1 and m[2][1].startswith("E_BAD_REQUEST: "), (data, m)
    still_serves(d)


@test()
def a_bad_request_with_a_msgid_is_told_so_once(d):
    for data in (b"\x94\x00\x2a\x07\x90", b"\x94\x00\x2a\xa4ping\x07", b"\x94\x00\x2a\xa4ping\xc1", b"\x94\x00\x2a\xa4ping\x91\xc1"):
        messages = end_of(d, data)
        assert len(messages) == 1 and messages[0][:2] == [1, 42], (data, messages)
        assert messages[0][2][0] == 1 and messages[0][2][1].startswith("E_BAD_REQUEST: "), (data, messages)


@test()
def requests_before_malformed_bytes_are_answered(d):
    c = d.client()
    c.send_bytes(pack([0, 1, "call", ["math.square", [9]]]) + pack([0, 2, "ping", []]) + b"\xc1" + pack([0, 3, "ping", []]))
    messages = {m[1]: m for m in c.ended()}
    assert 3 not in messages, "the daemon went on reading after malformed bytes"
    assert messages.get(2, [0, 0, 0, "pong"])[3] == "pong"


@test()
def noise_of_any_kind_hurts_nobody(d):
    seed = int(os.environ.get("SEED", random.SystemRandom().randrange(1 << 32)))
    print("SEED", seed)
    dice = random.Random(seed)
    keeper = d.client()
    valid = pack([0, 5, "call", ["sys.echo", [{"a": [1, 2, {"b": "c"}]}]]]) + pack([2, "ping", []])
    for _ in range(int(400 / SLOW)):
        if dice.random() < 0.5:
            data = dice.randbytes(dice.randrange(1, 400))
        else:
            broken = bytearray(valid)
            for _ in range(dice.randrange(1, 5)):
                broken[dice.randrange(len(broken))] = dice.randrange(256)
            data = bytes(broken[: dice.randrange(1, len(broken) + 1)])
        c = Client(d.path)
        try:
            c.send_bytes(data)
            c.sock.shutdown(socket.SHUT_WR)
            c.ended(10 * SLOW)
        except (BrokenPipeError, ConnectionResetError):
            pass
        c.close()
        assert keeper.request("ping") == "pong"
    still_serves(d)


# ---- sizes -------------------------------------------------------------------------------------------------------------


@test()
def bombs_of_declared_elements_are_refused_without_memory(d):
    before = d.rss_kib()
    for bomb in (b"\xdf\x10\x00\x00\x00", b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xc9\xff\xff\xff\xff\x01"):
        c = d.client()
        c.send_bytes(pack([0, 7, "call", ["sys.echo", [Raw(bomb)]]]))
        messages = c.ended()
        assert len(messages) == 1 and messages[0][1] == 7, (bomb, messages)
        assert messages[0][2][1].startswith("E_TOO_BIG: "), (bomb, messages)
    for bomb in (b"\xdf\x10\x00\x00\x00", b"\xdd\xff\xff\xff\xff"):
        end_of(d, bomb)
    assert d.rss_kib() - before < 4096 * SLOW, "a declared size was believed"


@test(config="[daemon]\nmax_message = 64K\n")
def messages_over_the_limit_are_refused_and_at_the_limit_taken(d):
    c = d.client()
    envelope = len(pack([0, 1, "call", ["sys.echo", [b"x" * 300]]])) - 300  # a bin 16 head, as for 60 KiB
    fits = b"x" * (65536 - envelope)
    assert len(pack([0, 1, "call", ["sys.echo", [fits]]])) == 65536
    c.send("call", ["sys.echo", [fits]], msgid=1)
    try:
        c.reply(1)
    except RpcError as e:
        assert e.code == "E_RESULT_TOO_BIG", e
    messages = end_of(d, pack([0, 9, "call", ["sys.echo", [fits + b"x"]]]))
    assert len(messages) == 1 and messages[0][1] == 9 and messages[0][2][1].startswith("E_TOO_BIG: "), messages
    still_serves(d)


@test()
def a_message_over_the_limit_is_refused_before_it_has_come(d):
    c = d.client()
    c.send_bytes(b"\x94\x00\x07\xa4call\x92\xa8sys.echo\x91\xc6" + struct.pack(">I", 200 << 20) + bytes(1000))
    messages = c.ended()
    assert len(messages) == 1 and messages[0][1] == 7 and messages[0][2][1].startswith("E_TOO_BIG: "), messages


@test()
def nesting_over_the_limit_is_refused(d):
    c = d.client()

    def nested(levels):
        return Raw(b"\x91" * levels + b"\xc0")

    msgid = c.send("call", ["sys.echo", [nested(20)]])
    c.reply(msgid)
    messages = end_of(d, pack([0, 3, "call", ["sys.echo", [nested(40)]]]))
    assert len(messages) == 1 and messages[0][1] == 3 and messages[0][2][1].startswith("E_TOO_DEEP: "), messages
    end_of(d, b"\x91" * 100000)
    end_of(d, pack([0, 3, "call", ["sys.echo", [nested(1000000)]]]))
    end_of(d, b"\x94\x00\x01\xa4ping" + b"\x81" * 100000)
    still_serves(d)


@test(config="[daemon]\nmax_depth = 128\n")
def every_depth_that_may_be_configured_works_in_every_kind_of_answer(d):
    """At 127 and 128 the first map made the supervisor abort: around each result of a map are levels of its own."""
    c = d.client()
    deep = b"\x91" * 125 + b"\xc0"  # [0, msgid, method, [function, [items…]]] has three levels above an item

    def said(method, *params):
        c.send_bytes(pack([0, 1, method, list(params)]))
        c.forget(1)
        messages = []
        while not messages or messages[-1][0] != 1:
            messages.append(c.receive())
        return messages

    for options in ({}, {"each": True}, {"stream": True}, {"each": True, "chunk": 1}):
        for item in (Raw(deep), Raw(b"\x91" * 100 + b"\x07")):
            messages = said("map", "sys.echo", [item, 2], options)
            assert messages[-1][2] is None, (options, messages[-1])
    assert said("call", "sys.echo", [Raw(deep)])[-1][2] is None
    over = Raw(b"\x91" + deep)
    assert d.client().error("call", "sys.echo", [over]).code == "E_TOO_DEEP"
    still_serves(d)


@test()
def results_that_do_not_fit_are_errors_not_closed_connections(d):
    c = d.client()
    e = c.call_error("text.repeat_no_such", 1)
    assert e.code == "E_NO_FUNCTION"
    assert c.request("ping") == "pong"


# ---- slow and silent clients -------------------------------------------------------------------------------------------


@test(config="[daemon]\nstall_timeout = 1s\n")
def a_message_that_never_ends_is_given_up(d):
    silent = d.client()  # sends nothing at all, and may
    half = d.client()
    half.send_bytes(pack([0, 1, "call", ["math.square", [7]]])[:-3])
    started = time.monotonic()
    half.ended()
    assert 0.8 < time.monotonic() - started < 10 * SLOW
    assert silent.request("ping") == "pong", "an idle connection is no stalled one"


@test(config="[daemon]\nstall_timeout = 2s\n")
def a_message_that_pauses_after_an_idle_time_is_not_given_up_early(d):
    """The clock of the daemon's last pass is as old as its sleep was long."""
    c = d.client()
    assert c.request("ping") == "pong"
    time.sleep(3)
    data = pack([0, 77, "call", ["math.square", [9]]])
    c.send_bytes(data[:5])
    time.sleep(1.2)
    c.send_bytes(data[5:])
    assert c.reply(77) == 81


@test(config="[daemon]\nstall_timeout = 2s\n", timeout=90)
def a_thousand_slow_writers_hurt_nobody(d):
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    slow = []
    for _ in range(1000):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.connect(d.path)
        s.send(b"\x94")
        slow.append(s)
    c = d.client()
    worst = 0.0
    deadline = time.monotonic() + 1.5
    tail = b"\x00\x01\xa4call\x92"
    for byte in tail:
        for s in slow:
            try:
                s.send(bytes([byte]))
            except OSError:
                pass
        started = time.monotonic()
        assert c.call("math.square", 3) == 9
        worst = max(worst, time.monotonic() - started)
        if time.monotonic() > deadline:
            break
    assert worst < 2 * SLOW, worst
    # They go on being slow, and are let go.
    poll = select.poll()
    for s in slow:
        poll.register(s, select.POLLIN)
    gone = set()

    def all_gone():
        for fd, _ in poll.poll(0):
            gone.add(fd)
            poll.unregister(fd)
        return len(gone) == len(slow)

    until(all_gone, "all slow writers have been closed", 20 * SLOW)
    for s in slow:
        s.close()


@test(config="[daemon]\nmax_output_bytes = 1M\n")
def a_client_that_never_reads_harms_itself_alone(d):
    before = d.rss_kib()
    greedy, c = d.client(), d.client()
    greedy.sock.setblocking(False)
    request = pack([0, 1, "call", ["sys.echo", [b"x" * 60000]]])
    rest = b""  # of a request that went in part

    def is_not_read():
        nonlocal rest
        try:
            for _ in range(50):
                rest = rest or request
                rest = rest[greedy.sock.send(rest):]
        except BlockingIOError:
            return c.request("stats")["running"] == 0
        return False

    until(lambda: is_not_read() or c.call("math.square", 4) != 16, "the greedy one is not read, and nothing runs for it", 30 * SLOW)
    assert d.rss_kib() - before < 64 * 1024 * SLOW, "the daemon hoards what nobody reads"
    still_serves(d)


@test(timeout=120)
def more_calls_than_may_be_in_flight_are_all_answered(d):
    """At full speed, so that answers of a pass make room that its own requests have just used up."""
    total = int(150000 / SLOW)
    c = d.client()
    sender = threading.Thread(target=lambda: c.sock.sendall(
        b"".join(pack([0, i, "call", ["sys.noop", []]]) for i in range(total))))
    sender.start()
    seen = set()
    while len(seen) < total:
        kind, msgid, error, _ = c.receive()
        assert kind == 1 and error is None and msgid not in seen, (kind, msgid, error)
        seen.add(msgid)
    sender.join()


@test()
def a_slow_reader_gets_everything_in_the_end(d):
    c = d.client()
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    n, size = 300, 20000
    sender = threading.Thread(target=c.sock.sendall, args=(b"".join(pack([0, i, "call", ["sys.echo", [b"x" * size]]]) for i in range(n)),))
    sender.start()
    for i in range(n):
        assert c.reply(i) == b"x" * size
    sender.join()


@test(config="[daemon]\nmax_in_flight = 8\n")
def over_its_cap_in_flight_a_connection_is_paused_and_loses_nothing(d):
    c = d.client()
    for i in range(100):
        c.send("call", ["sys.sleep", [0.01]], msgid=i)
    most = 0
    other = d.client()
    while 99 not in c.replies:
        stats = other.request("stats")
        most = max(most, stats["queued"] + stats["running"])
        c.pump()
    assert most <= 8, most
    for i in range(100):
        c.reply(i)


@test(config="[daemon]\n[pool default]\nmax_queue = 10\n", workers="1")
def a_full_queue_pauses_callers_and_refuses_submits(d):
    c, other = d.client(), d.client()
    blockers = [c.start("sys.sleep", 0.3)] + [c.start("sys.sleep", 0.01) for _ in range(40)]
    until(lambda: d.request("pools")[0]["queued"] >= 10, "the queue is full")
    e = other.error("submit", "math.square", [1])
    assert (e.kind, e.code) == (1, "E_BUSY"), e
    for b in blockers:
        c.reply(b)
    assert other.request("result", other.submit("math.square", 5), 5000) == 25


# ---- many --------------------------------------------------------------------------------------------------------------


@test(timeout=120)
def two_thousand_connections_are_served_at_once(d):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        raise Skip(f"only {hard} descriptors allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, hard))
    clients = [d.client() for _ in range(2000)]
    ids = [c.start("math.square", i) for i, c in enumerate(clients)]
    for i, (c, msgid) in enumerate(zip(clients, ids)):
        assert c.reply(msgid) == i * i
    assert d.request("stats")["connections"] >= 2000


@test(config="[daemon]\nmax_connections = 20\n")
def connections_over_the_cap_do_not_disturb_the_others(d):
    clients = [d.client() for _ in range(20)]
    for c in clients:
        assert c.request("ping") == "pong"
    surplus = Client(d.path, timeout=1.0)
    try:
        surplus.request("ping")
        raise AssertionError("one more than the cap was served")
    except (Closed, TimeoutError, BrokenPipeError, ConnectionResetError, RpcError):
        pass
    surplus.close()
    assert all(c.request("ping") == "pong" for c in clients)
    clients.pop().close()
    d.clients.pop()
    until(lambda: connects(d), "there is room again")


# ---- last words --------------------------------------------------------------------------------------------------------


def words_of(messages):
    """The errors among them, without their classes."""
    return [(m[2] if m[0] == 1 else m[2][0])[1].split(":")[0] for m in messages if m[1] != "memfd"]


@test(config="[daemon]\nmax_message = 1M\nmax_connections = 2\n")
def who_is_still_writing_reads_why_it_is_refused(d):
    """With a plain socket: all is written first, and then it is read. No write fails."""
    much = bytes(8 << 20)
    for data, error in ((b"\x94\x00\x07\xa4call\x92\xa8sys.echo\x91\xc6" + struct.pack(">I", len(much)), "E_TOO_BIG"),
                        (pack([0, 7, "call", ["sys.echo", [Raw(b"\x91" * 40)]]]), "E_TOO_DEEP"),
                        (pack([0, 7, 5, []]), "E_BAD_REQUEST")):
        c = Client(d.path)
        c.sock.sendall(data + much)
        assert words_of(c.ended()) == [error], error
        c.close()
    until(lambda: d.request("stats")["connections"] == 1, "they are gone")
    full = [d.client(), d.client()]
    assert [c.request("ping") for c in full] == ["pong", "pong"]
    c = Client(d.path)
    c.sock.sendall(pack([0, 1, "ping", []]) + much)
    assert c.receive() == [2, "error", [[1, "E_BUSY: too many connections (max_connections)"]]]
    assert c.ended() == []
    c.close()


@test(config="[daemon]\nmax_connections = 1\n")
def who_does_not_heed_last_words_is_left_soon(d):
    """Neither many that stay, nor one that writes on for ever, hold anything for long."""
    keeper = d.client()
    assert keeper.request("ping") == "pong"
    stay = [Client(d.path) for _ in range(150)]
    assert all(words_of([c.receive()]) == ["E_BUSY"] for c in stay)
    assert sum(d.descriptors().values()) - sum(d.base.values()) <= 1 + 64

    def is_left():
        try:
            stay[-1].sock.send(bytes(1 << 20))
        except (BrokenPipeError, ConnectionResetError):
            return True
        return False

    until(is_left, "the one that writes on is left")
    until(lambda: sum(d.descriptors().values()) == sum(d.base.values()) + 1, "so are those that are silent")
    for c in stay:
        c.close()


def connects(d):
    try:
        with Client(d.path, timeout=1.0) as c:
            return c.request("ping") == "pong"
    except (Closed, TimeoutError, BrokenPipeError, ConnectionResetError, RpcError):
        return False


@test(nofile=64, workers="1", timeout=90)
def running_out_of_descriptors_pauses_accepting_without_spinning(d):
    first = d.client()
    assert first.request("ping") == "pong"
    crowd = []
    for _ in range(200):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.setblocking(False)
        try:
            s.connect(d.path)
        except BlockingIOError:
            s.close()
            break
        crowd.append(s)
    assert first.call("math.square", 8) == 64
    # The processor time that a quiet second costs it: the one wait for time here, as there is no event of not spinning.
    before = d.cpu_seconds()
    select.select([], [], [], 1.0)
    spent = d.cpu_seconds() - before
    assert spent <= 0.05 * SLOW, f"{spent} s of processor time in a second of nothing"
    assert first.call("math.square", 8) == 64, "those who are in are served on"
    for s in crowd:
        s.close()
    until(lambda: connects(d), "it accepts again")


@test(timeout=90)
def connections_that_come_and_go_leave_nothing_behind(d):
    for i in range(int(2000 / SLOW)):
        c = Client(d.path)
        if i % 3 == 0:
            c.send("call", ["sys.sleep", [5]])
        elif i % 3 == 1:
            c.send_bytes(b"\x94\x00")
        c.close()
    until(lambda: d.request("stats")["connections"] == 1, "all are gone")
    still_serves(d)


# ---- descriptors -------------------------------------------------------------------------------------------------------


@test()
def descriptors_that_nobody_asked_for_are_closed(d):
    c = d.client()
    fds = [os.open("/dev/null", os.O_RDONLY) for _ in range(253)]
    for i in range(50):
        c.send("ping", msgid=i, fds=fds)
        assert c.reply(i) == "pong"
    for fd in fds:
        os.close(fd)
    # finish() counts what is left


@test()
def args_memfd_without_or_with_a_wrong_descriptor_is_refused(d):
    c = d.client()
    args = pack([7])
    e = c.error("call", "math.square", None, {"args_memfd": len(args)})
    assert (e.kind, e.code) == (1, "E_BAD_PARAMS"), e

    def with_fd(fd, size, params=None):
        msgid = c.send("call", ["math.square", params, {"args_memfd": size}], fds=[fd])
        os.close(fd)
        try:
            return c.reply(msgid)
        except RpcError as e:
            return e.code

    assert with_fd(memfd(args), len(args)) == 49
    assert with_fd(memfd(args, seal=False), len(args)) == "E_BAD_PARAMS"
    assert with_fd(memfd(args), len(args) + 1) == "E_BAD_PARAMS"
    assert with_fd(memfd(args), 0) == "E_BAD_PARAMS"
    assert with_fd(os.open("/etc/passwd", os.O_RDONLY), 10) == "E_BAD_PARAMS"
    assert with_fd(os.open("/dev/null", os.O_RDONLY), 10) == "E_BAD_PARAMS"
    a, b = socket.socketpair()
    assert with_fd(a.detach(), 10) == "E_BAD_PARAMS"
    b.close()
    r, w = os.pipe()
    assert with_fd(r, 10) == "E_BAD_PARAMS"
    os.close(w)
    assert with_fd(memfd(args), len(args), [7]) == "E_BAD_PARAMS", "args and args_memfd exclude one another"
    assert c.request("ping") == "pong"


@test()
def garbage_in_an_args_memfd_fails_that_task_alone(d):
    c = d.client()
    for data in (b"\xc1", b"\x91", b"\x07", b"\xdd\xff\xff\xff\xff", b"\x91" * 100000, b"\x91\x07\x00"):
        msgid = c.send("call", ["math.square", None, {"args_memfd": len(data)}], fds=[memfd(data)])
        try:
            raise AssertionError(f"{data[:10]!r} gave {c.reply(msgid)!r}")
        except RpcError as e:
            assert e.code in ("E_BAD_PARAMS", "E_BAD_ARGS", "E_TOO_DEEP", "E_TOO_BIG"), (data[:10], e)
    assert c.call("math.square", 3) == 9


# ---- what is kept of submitted tasks ---------------------------------------------------------------------------------


def kept_bytes(c):
    return c.request("stats")["detached_bytes"]


@test(config="[daemon]\nmax_kept_bytes = 1M\n[pool default]\nworkers = 1\n", workers=None)
def arguments_of_submitted_tasks_have_a_cap_in_bytes(d):
    c = d.client()
    before = kept_bytes(c)
    long = c.submit("sys.sleep", 30)
    ids, e = [], None
    for _ in range(30):
        try:
            ids.append(c.submit("sys.echo", b"x" * 100000))
        except RpcError as error:
            e = error
            break
    assert e and (e.kind, e.code) == (1, "E_BUSY") and "max_kept_bytes = 1048576" in e.text, e
    assert len(ids) == 10 or len(ids) == 9, len(ids)
    assert before < kept_bytes(c) <= 1 << 20
    fd = memfd(pack([b"y" * 900000]))
    msgid = c.send("submit", ["sys.echo", None, {"args_memfd": os.fstat(fd).st_size}], fds=[fd])
    os.close(fd)
    try:
        raise AssertionError(f"it was taken: {c.reply(msgid)}")
    except RpcError as error:
        e = error
    assert (e.kind, e.code) == (1, "E_BUSY"), e
    assert c.submit("math.square", 3) > 0, "what is small has room still"
    assert d.client().error("call", "no.such", []).code == "E_NO_FUNCTION", "and others are served"
    c.request("cancel", long)
    assert [c.request("result", task, 20000) for task in ids] == [b"x" * 100000] * len(ids), "and nothing that was taken is lost"


@test(config="[daemon]\nmax_kept_bytes = 1M\nresult_ttl = 1s\n[pool default]\nworkers = 1\n", workers=None)
def results_of_submitted_tasks_have_a_cap_in_bytes(d):
    c = d.client()
    first = c.submit("sys.blob", 700000)
    assert c.request("result", first, 20000) == b"\0" * 700000 or len(c.request("result", first, 20000)) == 700000
    second = c.submit("sys.blob", 700000)
    e = c.error("result", second, 20000)
    assert (e.kind, e.code) == (0, "E_RESULT_TOO_BIG") and "max_kept_bytes" in e.text, e
    large = c.submit("sys.blob", 3000000)
    e = c.error("result", large, 20000)
    assert (e.kind, e.code) == (0, "E_RESULT_TOO_BIG"), e
    assert len(c.request("result", first, 0)) == 700000, "what was kept is kept"

    def expired():
        return kept_bytes(c) == 0

    until(expired, "their time is over")
    third = c.submit("sys.blob", 700000)
    assert len(c.request("result", third, 20000)) == 700000, "there is room again"


if __name__ == "__main__":
    main()
