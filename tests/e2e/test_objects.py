#!/usr/bin/python3
"""Shared objects, as the daemon keeps them: names, handles, rights, caps, lifetimes, and the end of those who use them."""
import fcntl
import mmap
import os
import random
import signal
import socket
import struct
import traceback

from harness import NOBODY, Client, Closed, Daemon, alive, as_nobody, daemon_for_others, main, no_process_left, test, until
from pages import ABANDONED, CELL, CLOSED, EMPTY, FREE, SYNC_BYTES, WORDS, Object

OPEN = "[daemon]\nsocket_mode = 0666\n"
PAGES = ("value", "array", "lock", "rlock", "semaphore", "bounded_semaphore", "condition", "event", "barrier")
NEEDED = {"array": {"count": 10}, "barrier": {"parties": 2}}


def apart(action):
    """Runs action(say) in a process of its own, which then waits to be killed, with what action returned kept alive.
    → its pid, and what it said."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            kept = action(lambda text: theirs.sendall(text.encode() + b"\n"))
            signal.pause()
            del kept
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    theirs.close()
    ours.settimeout(20)
    said = ours.makefile().readline().strip()
    assert said, "the process apart has failed"
    ours.close()
    return pid, said


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


# ---- names, handles, lifetimes --------------------------------------------------------------------------------------


@test()
def every_kind_of_page_is_made_and_found_again(d):
    c, other = d.client(), d.client()
    for kind in PAGES:
        made = Object(c, kind, f"a.{kind}", **NEEDED.get(kind, {}))
        assert made.facts["created"] and made.facts["kind"] == kind and made.handle == f"a.{kind}"
        found = Object(other, None, f"a.{kind}")
        assert not found.facts["created"] and found.facts["kind"] == kind
        assert found.client_id != made.client_id, "two connections are two clients"
        made.page[4000] = 77
        assert found.page[4000] == 77, "they have the same page"
    assert [o["kind"] for o in c.request("objects")] == list(PAGES)


@test()
def what_exists_is_not_opened_as_something_else(d):
    c = d.client()
    made = (("value", {"type": "u8"}, {"type": "i8"}, "type u8, not i8"), ("array", {"type": "f64", "count": 3}, {"type": "f32"}, "type f64, not f32"),
            ("array", {"count": 3}, {"count": 4}, "count 3, not 4"), ("barrier", {"parties": 2}, {"parties": 3}, "parties 2, not 3"),
            ("bounded_semaphore", {"value": 2}, {"value": 1}, "value 2, not 1"), ("queue", {"capacity": 5}, {"capacity": 6}, "capacity 5, not 6"),
            ("joinable_queue", {"size": 1 << 20}, {"size": 1 << 21}, "size 1048576, not 2097152"))
    for number, (kind, options, other, said) in enumerate(made):
        name = f"o{number}"
        opened = (lambda more: Object(c, kind, name, **more).facts) if kind in PAGES else (lambda more: c.request("open", kind, name, more))
        first = opened(options)
        assert first["created"] and first["uid"] == os.getuid()
        for create in ("yes", "no"):
            refused = c.error("open", kind, name, {**other, "create": create})
            assert refused.code == "E_EXISTS" and said in str(refused), refused
        for same in (options, {}):
            again = opened(same)
            assert not again["created"] and again["uid"] == os.getuid()
        assert c.request("inspect", name)["users"] == 3, "the refused ones use nothing"
    assert Object(c, "semaphore", "s", value=2).facts["created"]
    assert not Object(c, "semaphore", "s", value=1).facts["created"], "how many are free at first is no size"


@test()
def a_named_object_stays_until_it_is_removed(d):
    with Client(d.path) as c:
        o = Object(c, "value", "n", type="i64", value=-7)
        assert struct.unpack_from("=q", o.page, CELL)[0] == -7
        struct.pack_into("=q", o.page, CELL, 42)
    c = d.client()
    until(lambda: c.request("inspect", "n")["users"] == 0, "the first user has gone")
    o = Object(c, "value", "n", type="i64", value=1)
    assert struct.unpack_from("=q", o.page, CELL)[0] == 42, "it has kept its value"
    assert c.request("remove", "n") is True
    assert c.error("remove", "n").code == "E_NO_OBJECT"
    anew = Object(c, "value", "n")
    assert anew.facts["created"] and struct.unpack_from("=q", anew.page, CELL)[0] == 0
    assert struct.unpack_from("=q", o.page, CELL)[0] == 42, "who has the removed one goes on using it"
    assert len(c.request("objects")) == 2
    o.close()
    assert len(c.request("objects")) == 1, "it has gone with its last use"


@test()
def an_anonymous_object_is_opened_by_its_handle_and_goes_with_its_last_use(d):
    c, other = d.client(), d.client()
    o = Object(c, "lock")
    kind, number, key = o.handle.split(":")
    assert kind == "lock" and len(key) == 16 and int(number) > 0
    second = Object(other, "lock", o.handle)
    assert not second.facts["created"]
    assert other.error("open", "event", o.handle).code == "E_EXISTS"
    forged = f"lock:{number}:{int(key, 16) ^ 1:016x}"
    assert other.error("open", "lock", forged).code == "E_NO_OBJECT", "the key decides"
    assert other.error("open", None, f"lock:{int(number) + 1}:{key}").code == "E_NO_OBJECT"
    o.close()
    assert len(c.request("objects")) == 1
    other.close()
    d.clients.remove(other)
    until(lambda: c.request("objects") == [], "it has gone with its last user")
    assert c.error("open", "lock", o.handle).code == "E_NO_OBJECT"


@test()
def create_says_whether_it_must_be_there(d):
    c = d.client()
    c.request("hello", {"memfd": True})
    assert c.error("open", "lock", "x", {"create": "no"}).code == "E_NO_OBJECT"
    assert c.error("open", None, "x").code == "E_NO_OBJECT", "without a kind nothing can be made"
    assert c.error("open", None).code == "E_BAD_PARAMS"
    Object(c, "lock", "x", create="new")
    assert c.error("open", "lock", "x", {"create": "new"}).code == "E_EXISTS"
    assert c.error("open", "event", "x").code == "E_EXISTS"
    Object(c, "lock", "x", create="no")


@test()
def names_and_options_that_cannot_be_are_refused(d):
    c = d.client()
    c.request("hello", {"memfd": True})
    for name in ("", "a" * 129, "a b", "a\n", "ä", "a\0b", "x*"):
        e = c.error("open", "lock", name)
        assert e.code == "E_BAD_PARAMS" and "name" in e.text, (name, e)
    for kind, options, word in (
        ("lock", {"count": 3}, "count"),
        ("lock", {"mod": 1}, "mode"),
        ("lock", {"mode": 0o777}, "mode"),
        ("lock", {"mode": 0o111}, "mode"),
        ("lock", {"mode": "rw"}, "mode"),
        ("lock", {"create": "maybe"}, "create"),
        ("lock", {"create": "new!"}, "create"),
        ("lock", {"read_only": True}, "read_only"),
        ("lock", {"ttl_s": -1}, "ttl_s"),
        ("value", {"type": "i63"}, "type"),
        ("value", {"type": "bytes"}, "type"),
        ("value", {"type": "u8", "value": 256}, "value"),
        ("value", {"type": "i8", "value": -129}, "value"),
        ("value", {"type": "i64", "value": 1 << 63}, "value"),
        ("value", {"type": "u64", "value": -1}, "value"),
        ("value", {"value": 1.5}, "value"),
        ("array", {}, "count"),
        ("array", {"count": 1 << 49}, "count"),
        ("semaphore", {"value": 257}, "value"),
        ("semaphore", {"value": -1}, "value"),
        ("bounded_semaphore", {"value": 0}, "value"),
        ("barrier", {}, "parties"),
        ("barrier", {"parties": 0}, "parties"),
        ("barrier", {"parties": 257}, "parties"),
    ):
        e = c.error("open", kind, "x", options)
        assert e.code == "E_BAD_PARAMS" and word in e.text, (kind, options, e)
    assert "semaphore" in c.error("open", "semaphor", "x").text
    assert c.error("open", 7, "x").code == "E_BAD_PARAMS"
    assert c.error("open", "lock", 7).code == "E_BAD_PARAMS"
    assert c.error("close", "x").code == "E_BAD_PARAMS"
    assert c.request("close", 12345) is False
    assert c.error("objects", {"kin": "lock"}).code == "E_BAD_PARAMS"
    assert c.request("objects") == [], "nothing was left behind"


@test()
def who_takes_no_descriptors_is_told_so(d):
    e = d.client().error("open", "lock", "x")
    assert e.code == "E_BAD_PARAMS" and "memfd" in e.text
    assert d.request("objects") == []


@test()
def a_named_object_goes_when_it_was_not_used_for_its_time_to_live(d):
    c = d.client()
    o = Object(c, "lock", "short", ttl_s=1)
    Object(c, "lock", "long", ttl_s=1000).close()
    o.close()
    until(lambda: [x["name"] for x in c.request("objects")] == ["long"], "the one has gone")


@test()
def values_begin_as_they_are_told(d):
    c = d.client()
    for name, form, value in (("i8", "b", -128), ("u8", "B", 255), ("i16", "h", -300), ("u16", "H", 65535), ("i32", "i", -(1 << 31)),
                              ("u32", "I", (1 << 32) - 1), ("i64", "q", -(1 << 63)), ("u64", "Q", (1 << 64) - 1), ("f32", "f", 1.5),
                              ("f64", "d", 0.1)):
        o = Object(c, "value", type=name, value=value)
        assert struct.unpack_from("=" + form, o.page, CELL)[0] == value, name
        assert o.facts["type"] == name and o.facts["count"] == 1
    s = Object(c, "semaphore", value=3)
    assert [s.word(WORDS + 8 * i) for i in range(5)] == [FREE, FREE, FREE, EMPTY, EMPTY] and s.facts["capacity"] == 256
    assert Object(c, "bounded_semaphore", value=3).facts["capacity"] == 3


@test()
def an_array_takes_no_memory_before_it_is_used(d):
    c = d.client()
    before = d.rss_kib()
    o = Object(c, "array", "big", type="f64", count=1 << 27)
    assert o.facts["size"] == (1 << 30) + SYNC_BYTES
    o.page[o.facts["size"] - 1] = 1
    assert d.rss_kib() - before < 1024, "the daemon maps its first page alone"
    seals = fcntl.fcntl(Object(c, "array", "big", keep_fd=True).fd, fcntl.F_GET_SEALS)
    assert seals & fcntl.F_SEAL_SHRINK and seals & fcntl.F_SEAL_GROW and seals & fcntl.F_SEAL_SEAL
    assert Object(c, "array", count=0, type="bytes").facts["size"] == SYNC_BYTES


# ---- death ----------------------------------------------------------------------------------------------------------


@test()
def what_a_killed_process_held_is_free_and_called_abandoned(d):
    def holder(say):
        c = Client(d.path)
        Object(c, "lock", "l").hold()
        Object(c, "lock", "untouched")
        say("held")
        return c

    pid, _ = apart(holder)
    c = d.client()
    o, untouched = Object(c, "lock", "l"), Object(c, "lock", "untouched")
    told = c.request("inspect", "l")
    assert [p["pid"] for p in told["clients"] if p["holds"]] == [pid] and told["held"] == 1, told
    kill(pid)
    until(lambda: o.word() == ABANDONED, "the lock is free again")
    assert untouched.word() == FREE
    told = c.request("inspect", "l")
    assert [p["pid"] for p in told["clients"]] == [os.getpid()] and told["abandoned"] == 1 and told["held"] == 0, told


@test()
def a_child_that_inherits_the_socket_keeps_nothing_alive(d):
    def parent(say):
        c = Client(d.path)
        o = Object(c, "lock", "l")
        o.hold()
        pid = os.fork()
        if pid == 0:
            signal.pause()
            os._exit(0)
        say(str(pid))
        return c

    pid, child = apart(parent)
    child = int(child)
    c = d.client()
    o = Object(c, "lock", "l")
    assert o.word() not in (FREE, ABANDONED)
    kill(pid)
    until(lambda: o.word() == ABANDONED, "the lock is free again")
    assert alive(child), "and the socket is still open"
    os.kill(child, signal.SIGKILL)


@test()
def whoever_goes_on_with_a_dead_ones_connection_opens_nothing(d):
    go, gone = os.pipe()
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        c = Client(d.path)
        Object(c, "lock", "l").hold()
        if os.fork() == 0:
            os.close(gone)
            os.read(go, 1)  # until the parent has gone, and its word is taken back
            theirs.sendall(f"{c.error('open', 'lock', 'l').code}\n".encode())
            os._exit(0)
        os._exit(0)
    os.waitpid(pid, 0)
    c = d.client()
    o = Object(c, "lock", "l")
    until(lambda: o.word() == ABANDONED, "the lock is free again")
    os.close(gone)
    ours.settimeout(20)
    assert ours.recv(100) == b"E_DENIED\n"
    os.close(go)


@test()
def closing_the_last_use_gives_up_what_it_held(d):
    c, other = d.client(), d.client()
    first, second, watched = Object(c, "lock", "l"), Object(c, "lock", "l"), Object(other, "lock", "l")
    assert first.client_id == second.client_id, "one connection is one client"
    first.hold()
    first.close()
    assert watched.word() == second.client_id, "the second use keeps it"
    second.close()
    assert watched.word() == ABANDONED
    assert c.request("close", second.id) is False


@test()
def ids_are_those_of_the_connection_alone(d):
    c, other = d.client(), d.client()
    o = Object(c, "lock", "l")
    assert other.request("close", o.id) is False
    assert c.request("inspect", "l")["users"] == 1


@test(daemon=False)
def an_orderly_stop_is_written_into_every_page(home):
    d = Daemon(home)
    c = Client(d.path)
    objects = [Object(c, kind, **NEEDED.get(kind, {})) for kind in PAGES]
    assert all(o.word(CLOSED) == 0 for o in objects)
    d.stop()
    assert all(o.word(CLOSED) == 1 for o in objects)
    c.close()
    d.finish()
    no_process_left()


# ---- caps -----------------------------------------------------------------------------------------------------------


@test(config="[daemon]\nmax_user_objects = 5\n")
def objects_of_a_user_have_a_cap(d):
    c = d.client()
    objects = [Object(c, "lock") for _ in range(5)]
    e = c.error("open", "lock", "sixth")
    assert e.code == "E_BUSY" and "max_user_objects" in e.text, e
    objects[0].close()
    Object(c, "lock", "sixth")


@test(config="[daemon]\nmax_objects = 3\n")
def objects_have_a_cap_over_all_users(d):
    c = d.client()
    for _ in range(3):
        Object(c, "lock")
    e = c.error("open", "lock")
    assert e.code == "E_BUSY" and "max_objects" in e.text, e


@test(config="[daemon]\nmax_user_object_bytes = 64K\n")
def bytes_of_a_user_have_a_cap(d):
    c = d.client()
    o = Object(c, "array", type="bytes", count=60 << 10)
    e = c.error("open", "value")
    assert e.code == "E_BUSY" and "max_user_object_bytes" in e.text, e
    e = c.error("open", "array", None, {"count": 1 << 48})
    assert e.code == "E_BUSY", e
    o.close()
    Object(c, "value")


@test(config="[daemon]\nmax_open_objects = 4\n")
def openings_of_a_connection_have_a_cap(d):
    c = d.client()
    uses = [Object(c, "lock", "l") for _ in range(4)]
    e = c.error("open", "lock", "l")
    assert e.code == "E_BUSY" and "max_open_objects" in e.text, e
    e = c.error("open", "lock", "new")
    assert e.code == "E_BUSY", e
    assert [o["name"] for o in c.request("objects")] == ["l"], "what could not be opened was not made"
    uses[0].close()
    Object(c, "lock", "l")
    Object(d.client(), "lock", "l")


@test(nofile="200", descriptors=False)
def objects_leave_the_daemon_its_descriptors(d):
    c = d.client()
    c.request("hello", {"memfd": True})
    made = 0
    try:
        while made < 1000:
            Object(c, "lock")
            made += 1
    except Exception as e:
        assert getattr(e, "code", None) == "E_BUSY", e
    assert 50 < made < 200, made
    assert c.call("math.square", 7) == 49, "it serves on"


# ---- rights ---------------------------------------------------------------------------------------------------------


@test(daemon=False)
def others_get_what_the_mode_says(home):
    d = daemon_for_others(home, OPEN)
    c = d.client()
    Object(c, "value", "private", value=1)
    Object(c, "value", "shown", value=2, mode=0o604)
    Object(c, "lock", "public", mode=0o606)
    Object(c, "lock", "team", mode=0o660, group=54321)

    def other():
        mine = d.client()
        mine.request("hello", {"memfd": True})
        for name in ("private", "team"):
            for method, params in (("open", [None, name]), ("inspect", [name]), ("remove", [name])):
                assert mine.error(method, *params).code == "E_DENIED", (method, name)
        e = mine.error("open", "value", "shown")
        assert e.code == "E_DENIED" and "read_only" in e.text
        Object(mine, "lock", "public")
        assert mine.error("remove", "public").code == "E_DENIED", "only its owner removes it"
        assert {o["name"] for o in mine.request("objects")} == {"shown", "public"}
        assert mine.error("open", "lock", "x", {"group": 0}).code == "E_DENIED"
        own = Object(mine, "lock", "own")
        assert mine.request("inspect", "own")["uid"] == NOBODY
        own.close()
        mine.request("remove", "own")
        mine.close()

    def member():
        with Client(d.path) as mine:
            Object(mine, "lock", "team")

    as_nobody(other)
    as_nobody(member, groups=(54321,))
    assert len(c.request("objects", {"all": True})) == 4
    d.finish()
    no_process_left()


@test(daemon=False)
def a_reader_can_neither_write_nor_open_it_again_for_writing(home):
    d = daemon_for_others(home, OPEN)
    Object(d.client(), "array", "shown", type="bytes", count=10, mode=0o644)

    def reader():
        with Client(d.path) as c:
            o = Object(c, "array", "shown", read_only=True, keep_fd=True)
            for action in (lambda: mmap.mmap(o.fd, SYNC_BYTES, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE),
                           lambda: os.write(o.fd, b"x"),
                           lambda: os.open(f"/proc/self/fd/{o.fd}", os.O_RDWR),
                           lambda: os.fchmod(o.fd, 0o666),
                           lambda: os.ftruncate(o.fd, 0)):
                try:
                    action()
                except (PermissionError, OSError):
                    continue
                raise AssertionError("a reader could write")
            os.close(o.fd)

    as_nobody(reader)
    d.finish()
    no_process_left()


@test(daemon=False)
def whoever_was_given_the_handle_may_open_it(home):
    d = daemon_for_others(home, OPEN)
    c = d.client()
    o = Object(c, "lock")

    def other():
        with Client(d.path) as mine:
            assert mine.request("objects") == [], "nobody else is shown the handle"
            mine.takes_memfds = False
            Object(mine, "lock", o.handle)

    as_nobody(other)
    d.finish()
    no_process_left()


# ---- malice ---------------------------------------------------------------------------------------------------------


@test(timeout=120)
def whoever_scribbles_over_a_page_spoils_that_object_alone(d):
    c, good = d.client(), d.client()
    lock = Object(good, "lock", "good")
    lock.hold()
    dice = random.Random(1)
    for kind in PAGES:
        needed = NEEDED.get(kind, {})
        for _ in range(30):
            bad = Object(c, kind, f"bad.{kind}", **needed)
            bad.page[:SYNC_BYTES] = dice.randbytes(SYNC_BYTES)
            if dice.random() < 0.5:  # the numbers that matter most
                for at in range(WORDS, WORDS + 1024, 4):
                    bad.put(dice.choice((bad.client_id, lock.client_id, ABANDONED, EMPTY, 0xFFFFFFFF)), at)
            told = d.request("inspect", f"bad.{kind}")
            assert told["kind"] == kind and len(told["clients"]) == 1, told
            bad.close()
    assert lock.word() == lock.client_id and d.request("inspect", "good")["held"] == 1
    assert d.client().call("math.square", 7) == 49


@test(timeout=120)
def a_page_that_changes_under_the_daemon_hurts_nobody(d):
    def scribbler(say):
        c = Client(d.path)
        pages = [Object(c, kind, f"bad.{kind}", **NEEDED.get(kind, {})).page for kind in PAGES]
        say("ready")
        dice = random.Random(2)
        while True:
            for page in pages:
                page[:SYNC_BYTES] = dice.randbytes(SYNC_BYTES)

    pid, _ = apart(scribbler)
    c = d.client()
    c.request("hello", {"memfd": True})
    for _ in range(100):
        for kind in PAGES:
            o = Object(c, None, f"bad.{kind}")
            c.request("inspect", f"bad.{kind}")
            o.close()
    kill(pid)
    assert c.call("math.square", 7) == 49
    until(lambda: all(o["users"] == 0 for o in c.request("objects")), "the scribbler has gone")


@test()
def a_page_with_holes_hurts_nobody(d):
    c = d.client()
    o = Object(c, "lock", "l", keep_fd=True)
    libc = __import__("ctypes").CDLL(None, use_errno=True)
    assert libc.fallocate(o.fd, 3, __import__("ctypes").c_long(0), __import__("ctypes").c_long(SYNC_BYTES)) == 0
    os.close(o.fd)
    assert d.request("inspect", "l")["held"] == 0
    o.close()


if __name__ == "__main__":
    main()
