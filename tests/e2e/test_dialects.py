#!/usr/bin/python3
"""Is a client understood whose language cannot say what C says: without integers, empty maps, or text that is UTF-8?

Each dialect is a client that changes every message it sends, before the same conversation is held with it. What foreign
clients that nobody here wrote make of it is in test_foreign.py.
"""
import os
import struct

from harness import Client, RpcError, memfd, main, pack, test
from wire import Raw


def floats(v):
    """All numbers as float64, as of a language that has no others."""
    if isinstance(v, int) and not isinstance(v, bool):
        return float(v)
    if isinstance(v, (list, tuple)):
        return [floats(item) for item in v]
    if isinstance(v, dict):
        return {key: floats(item) for key, item in v.items()}
    return v


def arrays(v):
    """Empty maps as empty arrays: PHP and Lua."""
    if isinstance(v, (list, tuple)):
        return [arrays(item) for item in v]
    if isinstance(v, dict):
        return {key: arrays(item) for key, item in v.items()} if v else []
    return v


def binaries(v):
    """All text as bin: Python's bytes, and paths that need not be UTF-8."""
    if isinstance(v, str):
        return v.encode("utf-8", "surrogateescape")
    if isinstance(v, (list, tuple)):
        return [binaries(item) for item in v]
    if isinstance(v, dict):
        return {binaries(key): binaries(item) for key, item in v.items()}
    return v


class Dialect(Client):
    """A client that sends everything as `change` makes it."""

    def __init__(self, d, change):
        super().__init__(d.path)
        d.clients.append(self)
        self.change = change

    def send(self, method, params=(), msgid=None, fds=()):
        if msgid is None:
            self.next_id += 1
            msgid = self.next_id
        self.send_bytes(pack(self.change([0, msgid, method, list(params)])), fds)
        return msgid


# ---- numbers ----------------------------------------------------------------------------------------------------------------


@test()
def whoever_has_only_floats_can_do_everything_with_tasks(d):
    c = Dialect(d, floats)
    assert c.request("ping") == "pong"
    assert c.request("hello", {"protocol": 1})["protocol"] == 1
    assert c.call("math.factorial", 5, timeout_ms=2**31, attempts=3) == 120
    assert c.map("math.factorial", [1, 2, 3], chunk=2) == [1, 2, 6]
    task = c.submit("math.factorial", 6, ttl_s=60, timeout_ms=10000)
    assert task > 2**32, "ids are where floats are sent for want of another number"
    assert c.wait(task, 10000)["state"] == "done"
    assert c.request("result", task, 10000) == 720
    assert c.request("status", task)["id"] == task
    assert c.request("cancel", task) is False
    assert len(c.request("list", {"limit": 1})) == 1
    waiting = c.start("sys.sleep", 60)
    assert c.request("cancel", {"msgid": waiting}) is True
    try:
        c.reply(waiting)
        raise AssertionError("it was to be cancelled")
    except RpcError as e:
        assert e.code == "E_CANCELLED", e
    process = c.request("spawn", "sys.sleep", [60])["id"]
    assert c.request("signal", process, 15) is True
    assert c.wait(process)["exitcode"] == -15
    fd = memfd(pack([5]))
    m = c.send("call", ["math.factorial", None, {"args_memfd": 2}], fds=[fd])
    assert c.reply(m) == 120
    os.close(fd)


@test()
def whoever_has_only_floats_can_do_everything_with_objects(d):
    c = Dialect(d, floats)
    c.request("hello", {"memfd": True})
    for kind, options in (("value", {"value": 7, "mode": 0o600, "ttl_s": 60}), ("array", {"count": 3}),
                          ("semaphore", {"value": 2}), ("barrier", {"parties": 2})):
        o = c.request("open", kind, None, options)
        assert o["kind"] == kind
        assert c.request("close", o["id"]) is True
    f = c.request("open", "value", None, {"type": "f64", "value": 7})
    with os.fdopen(os.dup(c.fds[-1]), "rb") as page:
        page.seek(3456)
        assert struct.unpack("d", page.read(8)) == (7.0,)
    c.request("close", f["id"])
    q = c.request("open", "joinable_queue", None, {"capacity": 4, "size": 1000, "at_least_once": True})["id"]
    assert c.request("put", q, [1, 2, 3], 1000) == 3
    tickets = [ticket for ticket, _ in c.request("get", q, 2, 1000)]
    assert c.request("confirm", q, tickets) == 2
    assert c.request("get", q, 1, 0)[0][1] == 3.0
    assert c.request("done", q, 1) is True
    assert c.request("join", q, 1000) is True
    fd = memfd(pack([8]))
    assert c.reply(c.send("put", [q, None, 1000, 2], fds=[fd])) == 1
    os.close(fd)
    assert c.request("finish", q) is True
    assert c.request("close", q) is True


@test()
def a_number_that_is_no_integer_is_refused_and_shown(d):
    c = d.client()
    for value, shown in ((1.5, "the float 1.5"), (2.0**53, "the float 9007199254740992"), (-1.0, "the float -1"),
                         (float("nan"), "the float"), (float("inf"), "the float inf"), ("7", "string")):
        for method, params in (("status", [value]), ("wait", [1, value]), ("call", ["sys.noop", [], {"timeout_ms": value}]),
                               ("close", [value]), ("list", [{"limit": value}])):
            e = c.error(method, *params)
            assert e.code == "E_BAD_PARAMS" and shown in e.text, (method, value, e)
    e = c.call_error("math.factorial", 1.5)
    assert e.text == "E_BAD_ARGS: argument 1: expected integer of 0 or more, got the float 1.5", e


@test()
def a_msgid_may_be_a_float_and_comes_back_as_an_integer(d):
    c = d.client()
    for msgid in (0, 1, 2**31, 2**32 - 1):
        c.send_bytes(pack([0.0, float(msgid), "ping", []]))
        assert c.receive() == [1, msgid, None, "pong"]
    # msgpackr sends a float32 where that holds the number.
    c.send_bytes(pack([0, Raw(struct.pack(">Bf", 0xCA, 7.0)), "ping", []]))
    assert c.receive() == [1, 7, None, "pong"]


# ---- maps, strings, nil -----------------------------------------------------------------------------------------------------


@test()
def an_empty_array_is_an_empty_map_everywhere(d):
    c = Dialect(d, arrays)
    assert c.request("hello", {})["protocol"] == 1
    assert c.request("call", "math.square", [7], {}) == 49
    assert c.request("map", "math.square", [1, 2], {}) == [1, 4]
    task = c.request("submit", "math.square", [8], {})
    assert c.wait(task)["state"] == "done"
    assert c.request("spawn", "sys.noop", [], {})["id"] > task
    assert isinstance(c.request("list", {}), list)
    assert c.request("objects", {}) == []
    assert c.request("open", "queue", None, {})["kind"] == "queue"
    assert c.call("exec.run", ["true"], {})["status"] == 0
    assert c.call("exec.run", ["true"], {"env": {}})["status"] == 0
    # What is in it is looked at: a list of things is no map.
    assert c.error("call", "math.square", [7], [1]).text.startswith("E_BAD_PARAMS: options: expected a map, got array")
    assert c.call_error("exec.run", ["true"], [1]).code == "E_BAD_ARGS"


@test()
def a_key_or_text_may_be_bin_everywhere(d):
    c = Dialect(d, binaries)
    assert c.request("hello", {"client": "bytes", "errors": "pair"})["server"] == "mpoold"
    assert c.call("math.square", 7, pool="default", name="label") == 49
    assert c.call("text.upper", "shout") == "SHOUT"
    task = c.submit("math.square", 8, name="label")
    assert c.wait(task)["name"] == "label"
    assert [t["id"] for t in c.request("list", {"name": "label", "state": "done", "function": "math.square", "pool": "default"})] == [task]
    process = c.request("spawn", "sys.sleep", [60])["id"]
    assert c.request("signal", process, "TERM") is True
    q = c.request("open", "queue", "q", {"create": "new"})
    assert [o["name"] for o in c.request("objects", {"kind": "queue"})] == ["q"]
    assert c.request("inspect", "q")["kind"] == "queue" and q["name"] == "q"
    assert c.request("remove", "q") is True
    assert c.call("exec.run", "printf $V", {"env": {"V": "v"}, "cwd": "/"})["stdout"] == b"v"
    assert c.call("exec.run", ["pwd"], {"cwd": "/"})["stdout"] == b"/\n"


@test()
def paths_that_are_not_utf8_work(d):
    """As bin, and as the str that languages without bytes send."""
    name = os.path.join(d.home.encode(), b"caf\xe9 \xff")
    os.mkdir(name)
    path = os.path.join(name, b"f\xfcnf")
    with open(path, "wb") as f:
        f.write(b"one two\nthree\n")
    for c in (d.client(), Dialect(d, binaries)):
        text, folder = os.fsdecode(path), os.fsdecode(name)
        assert c.call("text.wordcount", text) == 3
        assert c.call("text.lines", text) == 2
        assert c.call("text.bytes", text) == 14
        assert c.map("text.wordcount", [text, text]) == [3, 3]
        assert c.call("exec.run", ["pwd"], {"cwd": folder})["stdout"] == name + b"\n"
        assert c.call("exec.run", ["cat", text])["stdout"] == b"one two\nthree\n"
        assert c.call("exec.run", ["sh", "-c", 'printf %s "$V"'], {"env": {"V": folder}})["stdout"] == name
        c.call("sys.append", text, "four")
        with open(path, "rb") as f:
            assert f.read() == b"one two\nthree\nfour\n"
        with open(path, "wb") as f:
            f.write(b"one two\nthree\n")
        e = c.call_error("text.wordcount", folder + "/none")
        assert e.code == "E_FAILED" and e.text.endswith("/none: No such file or directory"), e
        e.text.encode()  # raises where it is no UTF-8


@test()
def an_option_of_nil_is_as_absent_everywhere(d):
    c = d.client()
    c.request("hello", {"client": None, "protocol": None, "memfd": None, "errors": None})
    task_options = dict.fromkeys(("pool", "name", "timeout_ms", "attempts", "args_memfd"))
    assert c.request("call", "math.square", [7], {**task_options, "output": None}) == 49
    assert c.request("map", "math.square", [7], {**task_options, "output": None, "star": None, "each": None, "stream": None, "chunk": None}) == [49]
    task = c.request("submit", "math.square", [7], {**task_options, "ttl_s": None})
    assert c.request("wait", task, None)["state"] == "done"
    assert c.request("result", task, None) == 49
    process = c.request("spawn", "sys.noop", None, {"pool": None, "name": None, "timeout_ms": None, "daemonic": None, "output": None, "ttl_s": None})
    assert c.wait(process["id"])["daemonic"] is True
    assert len(c.request("list", dict.fromkeys(("state", "function", "pool", "name", "limit", "all", "process")))) == 2
    assert c.request("objects", {"kind": None, "all": None}) == []
    names = ("create", "mode", "group", "ttl_s", "read_only", "type", "value", "count", "set", "parties", "capacity", "size", "at_least_once", "duplex", "end")
    q = c.request("open", "queue", None, dict.fromkeys(names))["id"]
    assert c.request("put", q, [1, 2], None, None) == 2
    assert c.request("get", q, None, None) == [1]
    run = c.call("exec.run", ["echo", "hi"], dict.fromkeys(("env", "cwd", "stdin", "timeout", "output", "max_output")))
    assert run["stdout"] == b"hi\n" and run["truncated"] is False
    assert c.call("exec.run", ["true"], None)["status"] == 0
    assert c.call_error("sys.fail", None, None).text == "E_FAILED: failed as asked"
    c.call("sys.output", b"x", None)
    assert c.call_error("sys.crash", None).code == "E_LOST"


if __name__ == "__main__":
    main()
