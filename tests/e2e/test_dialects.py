#!/usr/bin/python3
"""Is a client understood whose language cannot say what C says: without integers, empty maps, or text that is UTF-8?

Each dialect is a client that changes every message it sends, before the same conversation is held with it. What foreign
clients that nobody here wrote make of it is in test_foreign.py.
"""
import os
import struct

from harness import Client, Daemon, RpcError, main, memfd, pack, test, until
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


# ---- text that others see ---------------------------------------------------------------------------------------------------


def assert_utf8(value, what):
    """The codec here lets bytes that are no UTF-8 through as lone surrogates, which cannot be encoded."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise AssertionError(f"{what}: {value!r}") from None
    elif isinstance(value, dict):
        for key, item in value.items():
            assert_utf8(key, what)
            assert_utf8(item, what)
    elif isinstance(value, list):
        for item in value:
            assert_utf8(item, what)


def assert_all_listings_are_utf8(d):
    with Client(d.path) as c:
        for method, params in (("hello", []), ("list", [{"all": True}]), ("functions", []), ("pools", []), ("workers", []),
                               ("stats", []), ("objects", [{"all": True}])):
            assert_utf8(c.request(method, *params), method)


BAD = os.fsdecode(b"caf\xe9 \xf0\x9f\x98 \xc3\xa9\0")  # latin-1, a character cut short, a good one, and NUL
GOOD = "caf? ??? é?"  # the same, as others see it


@test()
def a_label_is_shown_as_utf8_and_found_as_it_was_given(d):
    for c, number in ((d.client(), "1"), (Dialect(d, binaries), "2")):
        bad, good = BAD + number, GOOD + number
        task = c.submit("sys.sleep", 60, name=bad)
        call = c.start("sys.sleep", 60, name=bad)
        items = c.send("map", ["sys.sleep", [60], {"name": bad}])
        process = c.request("spawn", "sys.sleep", [60], {"name": bad})
        assert process["name"] == good, process
        with Client(d.path) as other:
            assert good in {t["name"] for t in other.request("list")}
        for name in (bad, good):
            found = c.request("list", {"name": name})
            assert len(found) == 4 and {task, process["id"]} < {t["id"] for t in found}, found
        assert c.request("status", task)["name"] == good
        assert_all_listings_are_utf8(d)
        for t in found:
            c.request("cancel", t["id"])
        for id in (task, process["id"]):
            c.wait(id)
        for msgid in (call, items):
            try:
                c.reply(msgid)
            except RpcError as e:
                assert e.code == "E_CANCELLED", e


@test(modules=("latin1",))
def what_a_module_says_of_itself_and_of_its_failures_is_shown_as_utf8(d):
    c = d.client()
    assert_all_listings_are_utf8(d)
    f = {f["name"]: f for f in c.request("functions")}["latin1.fail"]
    assert (f["summary"], f["version"]) == ("cr?me: fails", "1.0-caf?"), f
    assert c.call_error("latin1.fail").text == "E_FAILED: caf?: closed"
    task = c.submit("latin1.fail")
    assert c.wait(task)["error"] == "E_FAILED: caf?: closed"
    assert c.error("result", task).text == "E_FAILED: caf?: closed"
    assert c.map("latin1.fail", [1], each=True) == [[[0, "E_FAILED: caf?: closed"], None]]
    assert c.error("map", "latin1.fail", [1]).text == "E_FAILED: caf?: closed (item 0)"
    c.call("latin1.say")
    d.wait_log("printed caf")
    d.wait_log("logged caf")
    with open(d.log_path, "rb") as log:
        log.read().decode()  # raises where it is no UTF-8


@test(modules=("latin1",))
def a_text_that_is_cut_is_cut_between_characters(d):
    c = d.client()
    long = c.call_error("latin1.fail_long").text
    assert 3990 < len(long.encode()) <= 4000 and set(long) == set("E_FAILED: €"), long[-20:]
    item = c.error("map", "latin1.fail_long", [1]).text
    assert 3990 < len(item.encode()) <= 4000 and item.endswith("€ (item 0)"), item[-20:]
    for method, params in (("€" * 50, []), ("call", ["€" * 500]), ("call", ["math.square", [], {"€" * 50: 1}]),
                           ("list", [{"€" * 50: 1}]), ("list", [{"state": "€" * 50}]), ("hello", [{"€" * 50: 1}]),
                           ("open", ["€" * 50]), ("open", ["lock", "€" * 50]), ("objects", [{"€" * 50: 1}])):
        for pad in ("", "x", "xx"):
            e = c.error(bend(method, pad), *bend(params, pad))
            assert_utf8(e.text, method)
            assert "€" in e.text and "?'" not in e.text.replace("did you mean '", ""), e
    line = "x" + "€" * 1500
    c.call("sys.print", line)
    d.wait_log("€")
    with open(d.log_path, "rb") as log:
        text = log.read().decode()
    assert "\\x" not in text and text.count("€") == 1500, "the characters of a long line are whole in the log"


def bend(value, pad):
    """The long text in it begins so many bytes later."""
    if isinstance(value, str) and "€" in value:
        return pad + value
    if isinstance(value, list):
        return [bend(item, pad) for item in value]
    if isinstance(value, dict):
        return {bend(key, pad): bend(item, pad) for key, item in value.items()}
    return value


@test(daemon=False)
def places_that_are_not_utf8_are_shown_as_utf8(home):
    odd = os.fsdecode(os.path.join(home.encode(), b"caf\xe9"))
    os.mkdir(odd)
    module = os.path.join(odd, "none.so")
    d = Daemon(home, socket_path=os.path.join(odd, "s"), config=f"[pool default]\nmodules = math\n[pool bad]\nmodules = {os.path.join(home, 'x')}.so\n",
               workers=None, args=("--module", module), ready=False)
    d.wait_notify("READY=1")
    with Client(d.path) as c:
        d.pid = c.request("hello")["pid"]
        until(lambda: all(p["state"] == "throttled" for p in c.request("pools")), "modules that are not there are known")
        assert "caf?" in c.request("stats")["socket"]
        errors = [p["error"] for p in c.request("pools") if p["error"]]
        assert errors and any("caf" in e for e in errors), errors
    assert_all_listings_are_utf8(d)
    with open(d.log_path, "rb") as log:
        log.read().decode()
    d.finish()


# ---- hello ------------------------------------------------------------------------------------------------------------------


@test()
def errors_may_be_one_string(d):
    c = d.client()

    def error(method, *params):
        msgid = c.send(method, params)
        kind, got, error, result = c.receive()
        assert (kind, got, result) == (1, msgid, None), (method, error, result)
        return error

    every = (("call", "sys.fail", ["no luck"]), ("nonsense",), ("call", "math.square", [], {"x": 1}), ("status", 1),
             ("map", "sys.fail", ["no luck"]), ("call", "sys.crash", [9]), ("open", "no"), ("call", "none.none"))
    pairs = [error(*request) for request in every]
    assert all(isinstance(e, list) and isinstance(e[0], int) for e in pairs), pairs
    c.request("hello", {"errors": "text"})
    c.request("hello", {"client": "go"})  # does not take it back
    texts = [error(*request) for request in every]
    for pair, text in zip(pairs, texts):
        assert isinstance(text, str) and text.split(":")[0] == pair[1].split(":")[0], (pair, text)
    assert texts[0] == "E_FAILED: no luck"
    task = c.submit("sys.fail", "no luck")
    assert c.wait(task)["error"] == "E_FAILED: no luck"
    assert error("result", task) == "E_FAILED: no luck"
    waiting = c.submit("sys.sleep", 60)
    assert error("result", waiting) .startswith("E_NOT_READY: ")
    c.request("cancel", waiting)
    assert error("result", waiting, 10000).startswith("E_CANCELLED: ")
    # What is in a result stays: its shape is that of the method.
    assert c.map("sys.fail", ["no luck"], each=True) == [[[0, "E_FAILED: no luck"], None]]
    assert error("hello", {"errors": "shout"}) == 'E_BAD_PARAMS: option errors: expected "pair" or "text"'
    c.request("hello", {"errors": "pair"})
    assert error(*every[0]) == [0, "E_FAILED: no luck"]
    c.request("hello", {"errors": "text"})
    c.send_bytes(pack([0, 99, "ping", 7]))
    ended = c.ended()
    assert len(ended) == 1 and ended[0][:2] == [1, 99] and ended[0][2].startswith("E_BAD_REQUEST: "), ended


@test()
def a_hello_changes_only_what_it_names(d):
    c = d.client()

    def takes_memfds():
        """A shared page comes as a memfd to those alone who take them."""
        try:
            c.request("close", c.request("open", "lock")["id"])
        except RpcError as e:
            assert "memfd" in e.text, e
            return False
        return True

    assert not takes_memfds()
    c.request("hello", {"memfd": True})
    assert takes_memfds()
    for options in (None, {}, {"client": "x"}, {"memfd": None}, {"errors": "pair"}):
        c.request("hello", options)
        assert takes_memfds(), options
    assert c.error("hello", {"memfd": False, "protocol": 2}).code == "E_BAD_PARAMS"
    assert takes_memfds(), "one that is refused changes nothing"
    c.request("hello", {"memfd": False})
    assert not takes_memfds()


if __name__ == "__main__":
    main()
