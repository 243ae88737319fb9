#!/usr/bin/python3
"""Do large arguments and results travel, and is their memory given back?"""
import contextlib
import fcntl
import mmap
import os
import resource
import select
import socket
import struct

from harness import PATIENCE, SLOW, RpcError, main, memfd, pack, test, unpack, until

MIB = 1 << 20


def hello(d):
    c = d.client()
    c.request("hello", {"memfd": True})
    return c


def call_with_memfd(c, function, args, **options):
    fd = memfd(args)
    msgid = c.send("call", [function, None, {"args_memfd": len(args), **options}], fds=[fd])
    os.close(fd)
    return msgid


def bin_args(size, byte=b"x"):
    """The argument array [bin of `size` bytes] without packing it twice."""
    return b"\x91\xc6" + struct.pack(">I", size) + byte * size


def result_of(c, msgid):
    """The answer's bytes, out of the memfd if it came by one."""
    result = c.reply(msgid, timeout=60 * SLOW)
    for i, (method, params) in enumerate(c.notes):
        if method == "memfd" and params[0] == msgid:
            assert result is None
            del c.notes[i]
            fd = c.fds.pop(0)
            seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
            want = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
            assert seals & want == want, seals
            assert os.fstat(fd).st_size == params[1], (os.fstat(fd).st_size, params)
            with mmap.mmap(fd, params[1], mmap.MAP_SHARED, mmap.PROT_READ) as m:
                value = m[:]
            os.close(fd)
            return value
    return pack(result)


def is_bin(value, size):
    return value[:5] == b"\xc6" + struct.pack(">I", size) and len(value) == size + 5 and value.count(b"x", 5) == size


def given_back(d, before):
    """Its memory is what it was, but for a modest cache."""
    until(lambda: d.rss_kib() - before < 48 * 1024 * SLOW, f"memory is given back (was {before} KiB)")
    with open(f"/proc/{d.pid}/maps") as f:
        spans = [[int(x, 16) for x in line.split()[0].split("-")] for line in f if "memfd" in line]
    large = [end - start for start, end in spans if end - start > 16 * MIB]
    assert not large, large


@test(modules=["trial"])
def arguments_of_every_size_arrive_whole(d):
    """Across the borders of slot, lane and memfd."""
    c = d.client()
    sizes = {0, 1, 100, 200, 230, 256, 300, 4095, 4096, 65535, 65536, 131072, 524200, 524288, 524300, 600000, MIB, MIB + 1, 3 * MIB}
    sizes |= {256 + delta for delta in range(-24, 25)} | {(512 << 10) + delta for delta in range(-24, 25)}
    for size in sorted(sizes):
        assert c.call("trial.weigh", b"\x01" * size) == [size, size], size


@test(modules=["trial"])
def results_of_every_size_arrive_whole(d):
    c = d.client()
    sizes = {0, 1, 200, 256, 300, 4096, 65536, 131072, 524200, 524288, 524300, 600000, MIB, MIB + 1, 3 * MIB}
    sizes |= {256 + delta for delta in range(-24, 25)} | {(512 << 10) + delta for delta in range(-24, 25)}
    for size in sorted(sizes):
        assert c.call("trial.big", size) == b"x" * size, size


@test(modules=["trial"])
def large_and_small_ones_mixed_keep_apart(d):
    c = d.client()
    want = {}
    import threading

    out = []
    for i in range(120):
        size = (0, 10, 300, 5000, 60000, 400000, 800000)[i % 7]
        c.next_id += 1
        want[c.next_id] = bytes([i]) * size
        out.append(pack([0, c.next_id, "call", ["sys.echo", [want[c.next_id]]]]))
    sender = threading.Thread(target=lambda: [c.sock.sendall(o) for o in out])
    sender.start()
    for msgid, value in want.items():
        assert c.reply(msgid, timeout=60 * SLOW) == value
    sender.join()


@test(modules=["trial"], timeout=120)
def arguments_by_memfd_from_1_to_256_mib(d):
    c = hello(d)
    before = d.rss_kib()
    for size in (1, MIB, 16 * MIB, 64 * MIB + 5, 256 * MIB):
        msgid = call_with_memfd(c, "trial.weigh", bin_args(size, b"\x01"))
        assert unpack(result_of(c, msgid)) == [size, size]
    given_back(d, before)


@test(modules=["trial"], timeout=120)
def results_by_memfd_from_1_to_256_mib(d):
    c = hello(d)
    before = d.rss_kib()
    for size in (MIB, 16 * MIB, 64 * MIB + 5, 256 * MIB):
        assert is_bin(result_of(c, c.start("trial.big", size)), size), size
    given_back(d, before)


@test(modules=["trial"])
def a_result_over_the_message_limit_needs_a_client_that_takes_memfds(d):
    c = d.client()
    e = c.call_error("trial.big", 65 * MIB)
    assert (e.kind, e.code) == (0, "E_RESULT_TOO_BIG"), e
    assert len(c.call("trial.big", 60 * MIB)) == 60 * MIB
    able = hello(d)
    assert is_bin(result_of(able, able.start("trial.big", 65 * MIB)), 65 * MIB)
    assert c.request("ping") == "pong"


@test(modules=["trial"], config="[daemon]\nmax_payload = 4M\n")
def payloads_over_the_limit_are_refused(d):
    c = hello(d)
    limit = c.request("hello", {"memfd": True})["limits"]
    assert limit["memfd_bytes"] == 4 * MIB, limit
    msgid = call_with_memfd(c, "trial.weigh", bin_args(5 * MIB))
    try:
        raise AssertionError(c.reply(msgid))
    except RpcError as e:
        assert e.code in ("E_TOO_BIG", "E_BAD_PARAMS") and e.kind == 1, e
    e = c.call_error("trial.big", 5 * MIB)
    assert (e.kind, e.code) == (0, "E_RESULT_TOO_BIG"), e
    msgid = call_with_memfd(c, "trial.weigh", bin_args(3 * MIB, b"\x01"))
    assert c.reply(msgid) == [3 * MIB, 3 * MIB]


@test(modules=["trial"])
def large_results_of_submitted_tasks_can_be_fetched(d):
    c = hello(d)
    task = c.submit("trial.big", 20 * MIB)
    assert c.wait(task)["state"] == "done"
    for _ in range(2):
        assert is_bin(result_of(c, c.send("result", [task])), 20 * MIB)
    c.request("forget", task)


@test(modules=["trial"])
def a_descriptor_is_the_functions_standard_input(d):
    c = d.client()

    def cat(fds, command="cat", **options):
        msgid = c.send("call", ["exec.run", [command, {"stdin": True}], {"stdin": True, **options}], fds=fds)
        for fd in fds:
            os.close(fd)
        return msgid

    def pipe_with(data):
        r, w = os.pipe()
        os.write(w, data)
        os.close(w)
        return r

    assert c.reply(cat([pipe_with(b"hello")]))["stdout"] == b"hello"
    # beside arguments that come by a descriptor, too
    args, both = pack([["cat"], {"stdin": True}]), pipe_with(b"both")
    aside = memfd(args)
    msgid = c.send("call", ["exec.run", None, {"args_memfd": len(args), "stdin": True}], fds=[aside, both])
    assert c.reply(msgid)["stdout"] == b"both"
    os.close(aside)
    os.close(both)
    # many that wait for few workers keep each its own
    ids = [cat([pipe_with(b"%d" % n)]) for n in range(20)]
    assert [c.reply(i)["stdout"] for i in ids] == [b"%d" % n for n in range(20)]
    # those that nobody runs any more are closed: their writers learn it
    r, w = os.pipe()
    other, kept = d.client(), c
    c = other
    for _ in range(5):
        cat([os.dup(r)], "sleep 600")
    os.close(r)
    d.wait_worker(state="busy")
    c.close()
    c = kept
    poll = select.poll()
    poll.register(w, select.POLLERR)
    assert poll.poll(PATIENCE * 1000)
    os.close(w)
    ends = socket.socketpair()
    for fds, said in (([], "no descriptor came"), ([ends[0].detach()], "neither a pipe"), ([os.open("/", os.O_RDONLY)], "neither a pipe")):
        with_error = cat(fds)
        try:
            raise AssertionError(c.reply(with_error))
        except RpcError as e:
            assert e.code == "E_BAD_PARAMS" and said in str(e), e
    assert c.error("submit", "exec.run", [], {"stdin": True}).code == "E_BAD_PARAMS"
    assert c.call("exec.run", "cat")["stdout"] == b""
    assert c.call("exec.run", "cat; readlink /proc/self/fd/0", {"stdin": True})["stdout"] == b"/dev/null\n"


@test(modules=["trial"])
def large_maps_go_by_memfd_too(d):
    c = hello(d)
    items = [b"\x01" * (256 << 10)] * 40
    msgid = c.send("map", ["trial.weigh", None, {"args_memfd": len(pack(items))}], fds=[memfd(pack(items))])
    assert unpack(result_of(c, msgid)) == [[256 << 10, 256 << 10]] * 40
    value = unpack(result_of(c, c.send("map", ["trial.big", [700000] * 8])))
    assert [len(v) for v in value] == [700000] * 8


@test(modules=["trial"], workers="1")
def a_worker_killed_with_large_payloads_in_flight_leaks_nothing(d):
    import signal

    c = hello(d)
    before = d.rss_kib()
    for _ in range(10):
        ids = [call_with_memfd(c, "trial.pid_after", pack([60.0]))]
        ids += [call_with_memfd(c, "trial.weigh", bin_args(8 * MIB)) for _ in range(3)]
        os.kill(d.wait_worker(state="busy")["pid"], signal.SIGKILL)
        for i, m in enumerate(ids):
            try:
                got = unpack(result_of(c, m))
                assert i > 0 and got[0] == 8 * MIB, (i, got)
            except RpcError as e:
                assert e.code == "E_LOST" and i == 0, e
    given_back(d, before)


@test(modules=["trial"])
def memfds_of_a_client_that_goes_are_closed(d):
    for _ in range(20):
        c = hello(d)
        for _ in range(5):
            call_with_memfd(c, "trial.weigh", bin_args(2 * MIB))
        c.start("trial.big", 80 * MIB)
        c.close()
        d.clients.remove(c)
    until(lambda: d.request("stats")["connections"] == 1, "all are gone")


@test(modules=["trial"])
def a_small_result_in_a_memfd_is_a_small_result(d):
    """What was begun as a large result, in a memfd, and became a small one."""
    c = d.client()
    for memfd_too in (False, True):
        c.request("hello", {"memfd": memfd_too})
        got = c.map("trial.big_and_fail", [3_000_000] * 20, each=True, chunk=1)
        assert [pair[0][1] for pair in got] == ["E_FAILED: all for nothing"] * 20
        got = c.map("trial.big_and_fail", [3_000_000] * 4, stream=True)
        assert got == [0, 4], got
    assert not c.fds


# ---- no descriptor left ----

@contextlib.contextmanager
def without_descriptors(pid):
    """Inside of it the process can open and receive none."""
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


def failure_of(c, msgid):
    try:
        c.reply(msgid, timeout=20 * SLOW)
    except RpcError as e:
        return e
    raise AssertionError("it was answered with a result")


@test(workers="1")
def a_worker_without_a_descriptor_fails_its_large_tasks_and_lives(d):
    c = hello(d)
    workers = d.worker_pids()
    pid, = workers
    args = bin_args(2 * MIB)
    for _ in range(2):
        with without_descriptors(pid):
            e = failure_of(c, call_with_memfd(c, "sys.echo", args))
            assert e.code == "E_FAILED" and "arguments" in e.text and "Too many open files" in e.text, e
            e = failure_of(c, c.send("call", ["sys.blob", [4 * MIB]]))
            assert e.code == "E_FAILED" and "result" in e.text and "Too many open files" in e.text, e
            assert c.call("math.square", 7) == 49, "what is small needs none"
        assert is_bin(result_of(c, call_with_memfd(c, "sys.echo", args)), 2 * MIB)
    assert d.worker_pids() == workers


@test(workers="1")
def a_daemon_without_a_descriptor_for_a_result_blames_no_worker(d):
    c = hello(d)
    workers = d.worker_pids()
    for _ in range(3):
        with without_descriptors(d.pid):
            e = failure_of(c, c.send("call", ["sys.blob", [4 * MIB]]))
            assert e.code == "E_INTERNAL" and "descriptor" in e.text, e
            assert c.call("math.square", 7) == 49
        assert is_bin(result_of(c, c.send("call", ["sys.blob", [4 * MIB]])), 4 * MIB)
    assert d.worker_pids() == workers and c.request("stats")["workers_broke_protocol"] == 0


@test(workers="1")
def a_map_whose_large_results_are_cut_off_fails_and_blames_no_worker(d):
    c = hello(d)
    for options in ({}, {"each": True}):
        with without_descriptors(d.pid):
            msgid = c.send("map", ["sys.blob", [2 * MIB] * 4, options])
            try:
                errors = [error for error, _ in c.reply(msgid, timeout=20 * SLOW)]
            except RpcError as e:
                errors = [[e.kind, f"{e.code}: {e.text}"]]
            assert any(error and error[1].startswith("E_INTERNAL") for error in errors), errors
        assert c.call("math.square", 7) == 49
    assert c.request("stats")["workers_broke_protocol"] == 0  # one whose map has failed may have been stopped


if __name__ == "__main__":
    main()
