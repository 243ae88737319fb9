"""Whatever one client asks for, the daemon goes on serving the others: no work, no log and no reader holds the loop.

Where it can be counted it is counted, not timed: `stats` tells how often work was put off to the next pass of the loop,
as it had had its share of this one (`loop_deferrals`).
"""
import fcntl
import os
import pty
import re
import signal
import socket
import struct

from harness import SLOW, Daemon, main, memfd, pack, test, until
from wire import Raw


# ---- requests by the thousand ---------------------------------------------------------------------------------------

MANY = 30000


def seconds_for(d, messages):
    """How long a connection that sends all of them keeps the daemon busy, by the daemon's own processor time."""
    before, done = d.cpu_seconds(), d.request("stats")["tasks"]["done"]
    c = d.client()
    c.send_bytes(b"".join(messages))
    until(lambda: d.request("stats")["tasks"]["done"] == done + len(messages), "all of them have run")
    return d.cpu_seconds() - before


@test(timeout=120)
def msgids_that_were_chosen_to_collide_cost_no_more_than_others(d):
    """Fifteen seconds for 60,000 when msgids were their own hash: all of them lay in one chain."""
    call = ["sys.noop", []]
    plain = seconds_for(d, [pack([0, i, "call", call]) for i in range(MANY)])
    for kind, messages in (
        ("notifications", [pack([2, "call", call])] * MANY),
        ("i << 16", [pack([0, i << 16 & 0xFFFFFFFF, "call", call]) for i in range(MANY)]),
        ("one msgid", [pack([0, 7, "call", call])] * MANY),
    ):
        took = seconds_for(d, messages)
        assert took < 1.0 * SLOW + 5 * plain, f"{kind}: {took} s, others {plain} s"


@test()
def a_name_of_megabytes_is_refused_like_any_other(d):
    c = d.client()
    name = "x" * (4 << 20)
    for method, params, error in (
        ("call", [name], "E_NO_FUNCTION"),
        (name, [], "E_NO_METHOD"),
        ("open", ["value", name], "E_BAD_PARAMS"),
        ("call", ["sys.noop", [], {name: 1}], "E_BAD_PARAMS"),
        ("call", ["sys.noop", [], {"pool": name}], "E_BAD_PARAMS"),
    ):
        said = c.error(method, *params)
        assert said.code == error, said
        assert len(str(said)) < 2000


# ---- large ones go on step by step ----------------------------------------------------------------------------------

MIB = 1 << 20
STEP = MIB  # of what one connection has copied, scanned or written in one pass


def deferrals(d, work):
    """How often work was put off to another pass meanwhile."""
    before = d.request("stats")["loop_deferrals"]
    work()
    return d.request("stats")["loop_deferrals"] - before


def values(count):
    """An array of so many numbers: each byte of it has to be looked at."""
    return Raw(b"\xdd" + struct.pack(">I", count) + b"\x01" * count)


@test()
def a_large_argument_is_copied_in_steps(d):
    c = d.client()
    size = 8 * MIB
    assert deferrals(d, lambda: c.call("sys.noop", b"x" * size)) >= 7
    assert deferrals(d, lambda: c.call("sys.noop", values(size))) >= 7
    assert deferrals(d, lambda: c.wait(c.submit("sys.noop", values(size)))) >= 7
    assert c.call("sys.echo", b"y" * (size + 1)) == b"y" * (size + 1)


@test()
def a_large_result_is_looked_over_in_steps(d):
    """Small numbers, each of which is a value of its own; and nothing of it is sent before all of it was seen."""
    c = d.client()
    count = 8 * MIB

    def work():
        c.send_bytes(pack([0, 1, "call", ["sys.echo", [values(count)]]]))
        left = count + 9
        while left > 0:
            left -= len(c.sock.recv(1 << 20))
        assert left == 0

    assert deferrals(d, work) >= 7 + 7  # on the way in, too


def swallow(c, size, request):
    """Sends, and reads so many bytes of answers as raw ones."""
    c.send_bytes(request)
    while size > 0:
        size -= len(c.sock.recv(1 << 20))
    assert size == 0


@test()
def a_large_list_of_a_map_is_put_together_in_steps(d):
    """For a client without memfds; and its results, several of a chunk together, come in memfds of the worker's."""
    c = d.client()
    count, item = 16, MIB
    for options in ({}, {"chunk": 4}, {"each": True}):
        each = 5 + item + (2 if "each" in options else 0)
        assert deferrals(d, lambda: swallow(c, 4 + 3 + count * each, pack(
            [0, 1, "map", ["sys.blob", [item] * count, options]]))) >= 15, options


@test()
def a_large_item_is_found_and_copied_in_steps(d):
    c = d.client()
    size = 8 * MIB
    assert deferrals(d, lambda: c.map("sys.noop", [1, values(size), 2])) >= 7 + 7
    assert c.map("sys.echo", [b"a", b"x" * size, b"b"]) == [b"a", b"x" * size, b"b"]
    fd = memfd(pack([b"a", values(size), b"b"]))
    options = {"args_memfd": os.fstat(fd).st_size}
    before = d.request("stats")["loop_deferrals"]
    assert c.reply(c.send("map", ["sys.noop", None, options], fds=[fd])) == [None] * 3
    assert d.request("stats")["loop_deferrals"] - before >= 7 + 7 + 7  # it is looked over first
    os.close(fd)


# The address sanitizer keeps what was freed for a while, 256 MiB of it.
@test(env={"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"})
def a_client_that_goes_in_the_middle_of_its_large_request_or_answer_leaves_nothing(d):
    before = d.rss_kib()
    for _ in range(3):
        for function in ("sys.noop", "sys.echo"):
            c = d.client()
            c.send_bytes(pack([0, 1, "call", [function, [values(8 * MIB)]]]))
            c.close()
            d.clients.remove(c)
    d.settle(quiet=True)
    until(lambda: d.rss_kib() < before + 16 * 1024 * SLOW, "the memory was given back")


@test()
def no_request_puts_or_confirms_more_than_a_queue_can_hold(d):
    """Sixty million tickets, or items that wait for room, are a second of walking."""
    c = d.client()
    queue = c.request("open", "queue", None, {"at_least_once": True})["id"]
    most = 1 << 20
    for method, what in (("put", values(most + 1)), ("confirm", values(most + 1))):
        assert c.error(method, queue, what).code == "E_TOO_BIG"
    assert c.request("confirm", queue, values(most)) == 0
    assert c.request("put", queue, values(most), 0) == 65536


# ---- a log that nobody reads ----------------------------------------------------------------------------------------

LINES = 400


def chatter(d, lines=LINES):
    """Makes the daemon write so many lines: of messages that are none."""
    for _ in range(lines):
        c = d.client()
        c.send_bytes(b"\x01")
        c.ended()
        c.close()
        d.clients.remove(c)


def serves_and_stops(home, stderr):
    """A daemon whose stderr takes nothing more goes on serving, and SIGTERM ends it."""
    d = Daemon(home, stderr=stderr)
    chatter(d)
    assert d.client().call("math.square", 7) == 49
    assert not fcntl.fcntl(stderr, fcntl.F_GETFL) & os.O_NONBLOCK, "a flag that others share was changed"
    return d


def read_all(fd):
    os.set_blocking(fd, False)
    text = b""
    try:
        while piece := os.read(fd, 1 << 16):
            text += piece
    except (BlockingIOError, OSError):  # a terminal whose other end has closed says EIO
        pass
    return text.decode()


@test(daemon=False)
def a_pipe_that_nobody_reads_stops_no_daemon_and_what_is_lost_is_counted(home):
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)
    d = serves_and_stops(home, write_end)
    first = read_all(read_end)
    assert "serving" in first and "dropped_lines" not in first, first
    chatter(d, 1)
    text = first + read_all(read_end)
    lost = int(re.search(r"dropped_lines=(\d+)", text).group(1))
    assert lost > 0 and text.count(" refused: ") + lost == LINES + 1, text
    assert all(re.match(r"\d\d:\d\d:\d\d", line) for line in text.splitlines()), f"a line in pieces: {text}"
    chatter(d)
    d.finish()


@test(daemon=False)
def a_terminal_that_was_stopped_stops_no_daemon(home):
    master, slave = pty.openpty()
    d = serves_and_stops(home, slave)
    d.finish()
    assert "serving" in read_all(master)


@test(daemon=False)
def a_socket_that_nobody_reads_stops_no_daemon(home):
    """As of a journal that hangs."""
    ours, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    d = serves_and_stops(home, theirs.fileno())
    d.finish()
    assert "serving" in read_all(ours.fileno())


@test(modules=["hostile"], workers="4")
def tasks_that_print_without_end_fill_no_disk_and_drown_no_word_of_the_daemon(d):
    c = d.client()
    for msgid in [c.start("hostile.flood_output", 8 << 20, "x" * 1000 + "\n") for _ in range(8)]:
        c.reply(msgid)
    text = d.log()
    assert len(text) < (4 << 20) * 1.5, len(text)  # the burst, and some seconds of the rate
    victim = d.workers()[0]
    os.kill(victim["pid"], signal.SIGKILL)
    d.wait_log(rf"worker died.*pid={victim['pid']}\b")


if __name__ == "__main__":
    main()
