#!/usr/bin/python3
"""Do requests do what the protocol says: call, map, submit, wait, result, status, cancel, list, options, errors?"""
import os
import re
import signal
import time

from harness import Closed, RpcError, main, pack, test, until
from wire import Ext, Raw


@test()
def ping_answers_pong(d):
    assert d.client().request("ping") == "pong"


@test()
def hello_says_who_the_server_is(d):
    said = d.client().request("hello", {"client": "test", "protocol": 1})
    assert said["server"] == "mpoold" and said["protocol"] == 1, said
    assert said["pid"] == d.pid and said["user"] == os.getuid(), said
    assert said["limits"]["message_bytes"] == 64 << 20 and said["limits"]["depth"] == 32, said
    assert {"result_bytes", "memfd_bytes", "in_flight"} <= set(said["limits"]), said
    assert {"memfd", "output", "stream"} <= set(said["features"]), said


@test()
def hello_may_come_again_and_late(d):
    c = d.client()
    assert c.call("math.square", 3) == 9
    first = c.request("hello")
    assert c.request("hello", {"client": "again"})["pid"] == first["pid"]
    assert c.request("hello", None)["pid"] == first["pid"]


@test()
def hello_refuses_a_protocol_that_it_does_not_speak(d):
    c = d.client()
    e = c.error("hello", {"protocol": 2})
    assert (e.kind, e.code) == (1, "E_BAD_PARAMS") and "protocol" in e.text, e
    assert c.error("hello", {"client": "x" * 65}).code == "E_BAD_PARAMS"
    assert c.request("ping") == "pong"


@test()
def call_is_answered_with_the_result_itself(d):
    assert d.client().call("math.square", 7) == 49


@test()
def method_and_function_names_may_be_bin(d):
    c = d.client()
    assert c.request(b"ping") == "pong"
    assert c.request(b"call", b"math.square", [5]) == 25


@test()
def arguments_may_be_left_out(d):
    c = d.client()
    assert c.request("call", "sys.noop") is None
    assert c.request("call", "sys.noop", None) is None
    assert c.request("call", "sys.noop", None, None) is None
    assert c.request("call", "sys.noop", [], {}) is None


@test()
def every_kind_of_value_travels_unchanged(d):
    c = d.client()
    deep = []
    for _ in range(20):
        deep = [deep]
    for value in (None, True, False, 0, -1, 127, 128, -32, -33, 255, 256, 65535, 65536, 2**31, 2**32, 2**53 + 1, 2**63,
                  2**64 - 1, -(2**63), 0.0, -1.5, 1e300, float("inf"), "", "é", "x" * 31, "x" * 32, "x" * 256, "x" * 70000,
                  b"", b"\x00\xff", b"y" * 300, b"y" * 70000, [], [1, [2, [3]]], list(range(16)), {}, {"a": {"b": [1]}},
                  {i: str(i) for i in range(20)}, Ext(7, b""), Ext(1, b"abc"), Ext(-1, b"1234"), Ext(5, b"z" * 300), deep):
        assert c.call("sys.echo", value) == value, value


@test()
def odd_encodings_travel_unchanged(d):
    """A value need not be in its shortest form, nor its text be UTF-8."""
    c = d.client()
    for raw in (b"\xd3" + bytes(7) + b"\x05", b"\xdb\x00\x00\x00\x01a", b"\xdd\x00\x00\x00\x00", b"\xca\x3f\x80\x00\x00", b"\xa2\xff\xfe"):
        msgid = c.send("call", ["sys.echo", [Raw(raw)]])
        c.sock.settimeout(10)
        want = b"\x94\x01" + pack(msgid) + b"\xc0" + raw
        got = b""
        while len(got) < len(want):
            got += c.sock.recv(4096)
        assert got == want, (got, want)


@test()
def ten_thousand_pipelined_calls_are_each_answered_once(d):
    c = d.client()
    ids = {}
    out = bytearray()
    for i in range(10000):
        out += pack([0, i, "call", ["math.square", [i]]])
        ids[i] = i * i
    import threading

    sender = threading.Thread(target=c.sock.sendall, args=(out,))
    sender.start()
    for i, want in ids.items():
        assert c.reply(i) == want
    sender.join()


@test()
def replies_come_in_the_order_in_which_tasks_end(d):
    c = d.client()
    slow = c.start("sys.sleep", 0.4)
    fast = c.start("math.square", 2)
    pong = c.send("ping")
    assert c.reply(pong) == "pong" and slow not in c.replies
    assert c.reply(fast) == 4 and slow not in c.replies
    c.reply(slow)


@test()
def every_msgid_comes_back_as_it_was(d):
    c = d.client()
    for msgid in (0, 1, 127, 128, 65535, 65536, 2**31, 2**32 - 1):
        c.send("ping", msgid=msgid)
        assert c.reply(msgid) == "pong"


# ---- map ---------------------------------------------------------------------------------------------------------------


@test()
def map_gives_results_in_order(d):
    c = d.client()
    assert c.map("math.square", list(range(10))) == [0, 1, 4, 9, 16, 25, 36, 49, 64, 81]
    assert c.map("math.square", list(range(20000))) == [i * i for i in range(20000)]


@test()
def map_passes_values_of_any_shape(d):
    c = d.client()
    shapes = [0, -1, 1 << 40, None, True, 1.5, "", "short", "long" * 100, b"bytes", [], [1, [2, [3]]], {"a": {"b": [None]}}, [None, 5], [[0, "E"], None]]
    items = [shape for shape in shapes for _ in range(40)] + shapes * 40
    assert c.map("sys.echo", items) == items
    assert c.map("sys.echo", items, each=True) == [[None, item] for item in items]


@test()
def map_of_nothing_is_nothing(d):
    c = d.client()
    assert c.map("math.square", []) == []
    assert c.map("math.square", [], each=True) == []
    assert c.map("math.square", [], stream=True) == [0, 0]


@test()
def map_of_one_item_is_a_list_of_one(d):
    assert d.client().map("math.square", [9]) == [81]


@test(modules=["trial"])
def map_spreads_items_over_workers(d):
    c = d.client()
    started = time.monotonic()
    pids = c.map("trial.pid_after", [0.2] * 4)
    assert len(set(pids)) == 2, pids
    assert time.monotonic() - started < 0.75 * 4 * 0.2 + 2, "items ran one after the other"


@test()
def thousands_of_maps_after_many_calls_find_each_their_own_place(d):
    """The ids of maps and calls fall into every place of the tables that they are looked up by, after the memory of many tasks
    that ended has been kept for others."""
    c = d.client()
    for i in [c.start("math.square", i) for i in range(300)]:
        c.reply(i)
    for _ in range(2):  # a map takes two ids, its chunk's too: a call in between makes them odd or even
        for start in range(0, 2304, 128):
            for i, n in [(c.send("map", ["math.square", [n]]), n) for n in range(start, start + 128)]:
                assert c.reply(i) == [n * n]
        assert c.call("math.square", 3) == 9


@test()
def star_makes_each_item_the_argument_array(d):
    c = d.client()
    assert c.map("math.add", [[1, 2], [3, 4]], star=True) == [3, 7]
    assert c.map("sys.noop", [[]] * 3, star=True) == [None] * 3
    e = c.error("map", "math.add", [[1, 2], 3], {"star": True})
    assert e.code in ("E_BAD_PARAMS", "E_BAD_ARGS"), e


@test()
def first_failing_item_fails_the_map_and_is_named(d):
    c = d.client()
    e = c.error("map", "math.square", [1, 2, "x", 4])
    assert e.kind == 0 and e.code == "E_BAD_ARGS" and e.text.endswith("(item 2)"), e
    e = c.error("map", "math.square", ["x"] + [1] * 5000)
    assert e.text.endswith("(item 0)"), e
    e = c.error("map", "math.square", [1] * 4999 + ["x"])
    assert e.text.endswith("(item 4999)"), e


@test()
def each_lets_a_bad_item_fail_alone(d):
    c = d.client()
    got = c.map("math.square", [1, "x", 3], each=True)
    assert got[0] == [None, 1] and got[2] == [None, 9], got
    assert got[1][1] is None and got[1][0][0] == 0 and got[1][0][1].startswith("E_BAD_ARGS: "), got


@test()
def streamed_items_come_as_notifications_each_once(d):
    c = d.client()
    msgid = c.send("map", ["math.square", list(range(3000)) + ["x"], {"stream": True}])
    assert c.reply(msgid) == [3000, 1]
    seen = {}
    for method, (owner, first, pairs) in c.notes:
        assert method == "items" and owner == msgid
        for offset, (error, result) in enumerate(pairs):
            assert first + offset not in seen, "an item came twice"
            seen[first + offset] = (error, result)
    assert sorted(seen) == list(range(3001))
    assert all(seen[i] == (None, i * i) for i in range(3000))
    assert seen[3000][0][1].startswith("E_BAD_ARGS: ") and seen[3000][1] is None


@test()
def each_and_stream_exclude_one_another(d):
    assert d.client().error("map", "math.square", [1], {"each": True, "stream": True}).code == "E_BAD_PARAMS"


@test()
def chunk_size_changes_nothing_in_the_result(d):
    c = d.client()
    want = [i * i for i in range(100)]
    for chunk in (1, 7, 100, 1000000):
        assert c.map("math.square", list(range(100)), chunk=chunk) == want
    for chunk in (0, -1, 1000001, "3"):
        assert c.error("map", "math.square", [1], {"chunk": chunk}).code == "E_BAD_PARAMS"


@test(modules=["trial"])
def an_item_that_kills_its_worker_fails_alone(d):
    c = d.client()
    got = c.map("trial.crash_if", [0] * 50 + [1] + [0] * 50, each=True, chunk=101)
    assert [p[1] for i, p in enumerate(got) if i != 50] == [0] * 100, got
    assert got[50][0][1].startswith("E_LOST: ") and "SIGKILL" not in got[50][0][1], got[50]
    e = c.error("map", "trial.crash_if", [0, 1, 0])
    assert e.code == "E_LOST" and e.text.endswith("(item 1)"), e


@test(modules=["trial"])
def a_chunk_whose_worker_dies_does_not_run_finished_items_again(d):
    log = os.path.join(d.home, "journal")
    c = d.client()
    items = [[log, str(i), 1 if i == 30 else 0] for i in range(60)]
    got = c.map("trial.note", items, star=True, each=True, chunk=60)
    assert sum(1 for p in got if p[0]) == 1 and got[30][0][1].startswith("E_LOST"), got
    lines = open(log).read().split()
    assert sorted(lines, key=int) == [str(i) for i in range(60)], "an item ran twice or never"


@test()
def items_of_a_long_map_do_not_hold_up_a_short_call(d):
    c, other = d.client(), d.client()
    msgid = c.send("map", ["sys.sleep", [0.02] * 100])
    d.wait_worker(state="busy")
    started = time.monotonic()
    assert other.call("math.square", 4) == 16
    assert time.monotonic() - started < 1.5
    c.reply(msgid)


# ---- submit --------------------------------------------------------------------------------------------------------------


@test()
def submit_gives_an_id_that_leads_to_the_result(d):
    c = d.client()
    task = c.submit("math.square", 12)
    assert isinstance(task, int) and 0 < task < 2**53
    status = c.wait(task)
    assert status["state"] == "done" and status["id"] == task and status["function"] == "math.square", status
    assert status["attached"] is False and status["uid"] == os.getuid() and status["error"] is None, status
    assert status["submitted_ms"] <= status["started_ms"] <= status["ended_ms"], status
    assert abs(status["ended_ms"] - time.time() * 1000) < 60000, status
    assert c.request("result", task) == 144
    assert c.request("result", task) == 144, "a result may be asked for twice"


@test()
def a_submitted_task_outlives_its_client(d):
    c = d.client()
    task = c.submit("sys.sleep", 0.2, name="long one")
    c.close()
    c = d.client()
    assert c.wait(task)["state"] == "done"
    assert c.request("status", task)["name"] == "long one"


@test()
def result_of_a_failed_task_is_its_error(d):
    c = d.client()
    task = c.submit("sys.fail", "out of paper")
    status = c.wait(task)
    assert status["state"] == "failed" and "out of paper" in status["error"], status
    e = c.error("result", task)
    assert e.kind == 0 and e.code == "E_FAILED" and "out of paper" in e.text, e


@test()
def wait_and_result_say_not_ready_after_their_time(d):
    c = d.client()
    task = c.submit("sys.sleep", 30)
    assert c.error("wait", task, 0).code == "E_NOT_READY"
    assert c.error("result", task).code == "E_NOT_READY"
    started = time.monotonic()
    e = c.error("wait", task, 300)
    assert (e.kind, e.code) == (1, "E_NOT_READY") and time.monotonic() - started >= 0.29, e
    started = time.monotonic()
    assert c.error("result", task, 300).code == "E_NOT_READY" and time.monotonic() - started >= 0.29
    assert c.request("cancel", task) is True
    assert c.wait(task)["state"] == "cancelled"


@test(modules=["trial"])
def result_waits_as_long_as_it_is_told(d):
    c = d.client()
    assert c.request("result", c.submit("trial.pid_after", 0.2), 20000) in d.worker_pids()


@test()
def several_connections_may_wait_for_one_task(d):
    c = d.client()
    task = c.submit("sys.sleep", 0.3)
    others = [d.client() for _ in range(20)]
    ids = [o.send("wait", [task]) for o in others]
    assert all(o.reply(i)["state"] == "done" for o, i in zip(others, ids))


@test()
def a_result_is_forgotten_after_its_time_to_live(d):
    c = d.client()
    task = c.submit("math.square", 2, ttl_s=1)
    kept = c.submit("math.square", 3)
    assert c.wait(task)["state"] == "done"

    def gone():
        try:
            c.request("status", task)
        except RpcError as e:
            return e

    e = until(gone, "the result is forgotten")
    assert e.code == "E_NO_TASK", e
    assert c.request("result", kept, 10000) == 9


@test(config="[pool default]\nmodules = sys @TESTS@/trial.so\nworkers = 2\n[pool quick]\nmodules = sys math\ntimeout = 200ms\nworkers = 1\n",
      workers=None)
def the_time_out_of_pool_and_function_hold_without_the_callers(d):
    c = d.client()
    e = c.call_error("sys.sleep", 30, pool="quick")
    assert e.code == "E_TIMEOUT" and "200 ms" in e.text, e
    assert c.call("math.square", 5, pool="quick") == 25
    e = c.call_error("trial.doze")
    assert e.code == "E_TIMEOUT" and "1000 ms" in e.text, e
    # The least of them holds.
    e = c.call_error("sys.sleep", 30, pool="quick", timeout_ms=60000)
    assert e.code == "E_TIMEOUT" and "200 ms" in e.text, e
    e = c.call_error("trial.doze", timeout_ms=100)
    assert e.code == "E_TIMEOUT" and "100 ms" in e.text, e
    # Of a submitted task and of the items of a map as well: only the slow one is lost.
    e = c.error("result", c.submit("sys.sleep", 30, pool="quick"), 20000)
    assert (e.kind, e.code) == (0, "E_TIMEOUT"), e
    got = c.map("sys.sleep", [0, 30, 0], each=True, pool="quick")
    assert [pair[0] is None for pair in got] == [True, False, True] and got[1][0][1].startswith("E_TIMEOUT"), got


@test()
def a_time_out_tells_what_was_asked_for(d):
    c = d.client()
    for ms in (100, 137):
        for answer in (c.call_error("sys.sleep", 30, timeout_ms=ms).text,
                       c.map("sys.sleep", [30], each=True, timeout_ms=ms)[0][0][1],
                       c.error("map", "sys.sleep", [30], {"timeout_ms": ms}).text,
                       c.error("result", c.submit("sys.sleep", 30, timeout_ms=ms), 20000).text):
            assert f"longer than {ms} ms " in answer, answer


@test(modules=["trial"])
def a_time_out_of_a_century_is_none_that_comes_at_once(d):
    c = d.client()
    (f,) = [f for f in c.request("functions") if f["name"] == "trial.patient_pid"]
    assert f["timeout_ms"] == (2**32 - 1) * 1000, f
    assert len(c.map("trial.patient_pid", [0.1] * 3)) == 3
    assert c.call("trial.patient_pid", 0.1) > 0


@test(workers="1")
def an_ended_task_still_tells_its_pid_and_time_out(d):
    c = d.client()
    (pid,) = d.worker_pids()
    for function, args, state in (("math.square", [3], "done"), ("sys.fail", ["no luck"], "failed"), ("sys.sleep", [30], "timeout")):
        status = c.wait(c.submit(function, *args, timeout_ms=100))
        assert (status["state"], status["pid"], status["timeout_ms"]) == (state, pid, 100), status
    d.settle()
    (pid,) = d.worker_pids()
    status = c.wait(c.submit("sys.crash", 9))
    assert (status["state"], status["pid"], status["timeout_ms"]) == ("lost", pid, None), status


@test(config="[daemon]\nmax_kept = 5\n", workers="1")
def submit_is_refused_when_too_many_are_kept(d):
    c = d.client()
    for i in range(5):
        c.submit("math.square", i)
    e = c.error("submit", "math.square", [1])
    assert (e.kind, e.code) == (1, "E_BUSY"), e
    assert c.call("math.square", 3) == 9, "attached tasks are not kept"


@test()
def an_id_of_an_earlier_run_is_told_from_nonsense(d):
    from harness import Daemon

    c = d.client()
    task = c.submit("math.square", 2)
    c.wait(task)
    c.close()
    d.finish()
    again = Daemon(d.home)
    c = again.client()
    e = c.error("result", task)
    assert e.code == "E_NO_TASK" and "earlier run" in e.text, e
    assert "if it was of an earlier run" in e.text, "nobody can know that: any number may be made up"
    for made_up in (0, 1, 999, 1000, 12345, 2**32, 10**10, 2**52, 2**53 - 1):
        e = c.error("status", made_up)
        assert e.text == f"E_NO_TASK: there is no task {made_up}", e
    for bad in (-1, "7", 1.5, None):
        assert c.error("status", bad).code == "E_BAD_PARAMS", bad
    again.finish()


@test()
def every_bound_of_the_document_holds_on_both_sides(d):
    c = d.client()
    c.request("hello", {"memfd": True})
    done = c.submit("sys.noop")
    c.wait(done)
    q = c.request("open", "queue")["id"]
    c.request("put", q, [1] * 3)

    def option(method, *params):
        return lambda key: lambda value: (method, [*params, {key: value}])

    call, many = option("call", "sys.noop", []), option("map", "sys.noop", [])
    submit, spawn = option("submit", "sys.noop", []), option("spawn", "sys.noop", [])
    semaphore, bounded, barrier = option("open", "semaphore", None), option("open", "bounded_semaphore", None), option("open", "barrier", None)
    queue, lock, pipe = option("open", "queue", None), option("open", "lock", None), option("open", "pipe", None)
    longest = 17592186044415
    rows = [  # what is asked for, and the least and the most that may be
        *[(make("timeout_ms"), 1, 2**31) for make in (call, many, submit, spawn)],
        *[(make("attempts"), 1, 100) for make in (call, many, submit)],
        (many("chunk"), 1, 1000000),
        (submit("ttl_s"), 1, 604800),
        (spawn("ttl_s"), 1, 604800),
        (option("list")("limit"), 1, 10000),
        (lambda ms: ("wait", [done, ms]), 0, longest),
        (lambda ms: ("result", [done, ms]), 0, longest),
        (lambda ms: ("put", [q, [1], ms]), 0, longest),
        (lambda ms: ("get", [q, 1, ms]), 0, longest),
        (semaphore("value"), 0, 256),
        (bounded("value"), 1, 256),
        (barrier("parties"), 1, 256),
        (lock("ttl_s"), 0, 31536000),
        (lock("mode"), 0, 0o666),
        (pipe("end"), 0, 1),
        (queue("capacity"), None, 1048576),
        (lambda n: ("call", ["sys.noop", [], {"name": "x" * n}]), 0, 128),
        (lambda n: ("hello", [{"client": "x" * n}]), 0, 64),
        (lambda n: ("open", ["queue", "b" * n]), 1, 128),
        (lambda n: ("get", [q, n, 0]), 1, 1048576),
    ]
    for make, least, most in rows:
        for value, good in ((least, True), (most, True), (least and least - 1, False), (most + 1, False)):
            if value is None or (value == 0 and not good and least != 1):
                continue
            if make(0)[0] == "get":
                c.request("put", q, [1])
            method, params = make(value)
            try:
                answer = c.request(method, *params)
                assert good, f"{method}{params} was answered with {answer!r}"
                if method == "open":
                    c.request("close", answer["id"])
            except RpcError as e:
                assert not good and e.code == "E_BAD_PARAMS", (method, params, e)


# ---- cancel ----------------------------------------------------------------------------------------------------------------


@test(workers="1")
def a_queued_task_is_cancelled_at_once(d):
    c = d.client()
    running = c.submit("sys.sleep", 30)
    d.wait_worker(state="busy")
    queued = c.submit("sys.sleep", 30)
    assert c.request("cancel", queued) is True
    status = c.wait(queued, 5000)
    assert status["state"] == "cancelled" and status["error"].startswith("E_CANCELLED: "), status
    assert c.request("cancel", running) is True
    assert c.wait(running)["state"] == "cancelled"


@test()
def a_cancellable_function_is_told_and_its_worker_lives(d):
    c = d.client()
    pids = d.worker_pids()
    task = c.submit("sys.sleep", 30)
    until(lambda: c.request("status", task)["state"] == "running", "it runs")
    assert c.request("cancel", task) is True
    assert c.wait(task)["state"] == "cancelled"
    assert d.worker_pids() == pids


@test(modules=["trial"], config="[daemon]\ncancel_grace = 200ms\n")
def a_function_that_does_not_listen_is_killed_and_no_other(d):
    c = d.client()
    deaf = c.start("trial.deaf")
    worker = d.wait_worker(state="busy")
    mate = d.wait_worker(state="idle")
    assert c.request("cancel", {"msgid": deaf}) is True
    try:
        c.reply(deaf)
        raise AssertionError("no error")
    except RpcError as e:
        assert (e.kind, e.code) == (0, "E_CANCELLED"), e
    until(lambda: worker["pid"] not in d.worker_pids(), "the worker is gone")
    assert mate["pid"] in d.worker_pids()
    assert c.call("math.square", 3) == 9


@test()
def cancel_of_an_ended_task_is_false(d):
    c = d.client()
    task = c.submit("math.square", 2)
    c.wait(task)
    assert c.request("cancel", task) is False
    assert c.request("result", task) == 4


@test()
def cancel_by_msgid_reaches_this_connection_alone(d):
    c, other = d.client(), d.client()
    msgid = c.start("sys.sleep", 30)
    d.wait_worker(state="busy")
    assert other.request("cancel", {"msgid": msgid}) is False
    assert c.request("cancel", {"msgid": msgid + 1000}) is False
    assert c.request("cancel", {"msgid": msgid}) is True
    try:
        c.reply(msgid)
        raise AssertionError("no error")
    except RpcError as e:
        assert e.code == "E_CANCELLED", e


@test()
def cancel_by_msgid_reaches_every_request_that_waits(d):
    c, other = d.client(), d.client()
    task = c.submit("sys.sleep", 60)
    q = c.request("open", "joinable_queue", None, {"capacity": 1})["id"]
    c.request("put", q, [1])
    waits = {
        "wait": c.send("wait", [task]),
        "wait with a time": c.send("wait", [task, 60000]),
        "result": c.send("result", [task, 60000]),
        "put": c.send("put", [q, [2]]),
        "join": c.send("join", [q]),
    }
    c.request("ping")
    for what, msgid in waits.items():
        assert other.request("cancel", {"msgid": msgid}) is False, "another connection's msgids are its own"
        assert c.request("cancel", {"msgid": msgid}) is True, what
        try:
            raise AssertionError(f"{what} was answered with {c.reply(msgid)!r}")
        except RpcError as e:
            assert e.code == "E_CANCELLED" and e.kind in (0, 1), (what, e)
        assert c.request("cancel", {"msgid": msgid}) is False, what
    assert c.request("status", task)["state"] == "running", "it is the wait that was cancelled, not the task"
    c.request("cancel", task)
    assert c.wait(task)["state"] == "cancelled"


@test(config="[pool default]\nworkers = 1\n", workers=None)
def cancel_by_msgid_reaches_a_process_that_has_not_started(d):
    forkserver = int(re.findall(r"forkserver=(\d+) ready", d.log())[-1])
    c = d.client()
    os.kill(forkserver, signal.SIGSTOP)
    try:
        spawned = c.send("spawn", ["sys.sleep", [60]])
        c.request("ping")
        assert c.request("cancel", {"msgid": spawned}) is True
        try:
            raise AssertionError(f"it was answered with {c.reply(spawned)!r}")
        except RpcError as e:
            assert e.code == "E_CANCELLED", e
        assert c.request("cancel", {"msgid": spawned}) is False
        assert [t["state"] for t in c.request("list", {"process": True})] == ["cancelled"]
    finally:
        os.kill(forkserver, signal.SIGCONT)


@test()
def a_map_can_be_cancelled(d):
    c = d.client()
    msgid = c.send("map", ["sys.sleep", [0.5] * 1000])
    d.wait_worker(state="busy")
    started = time.monotonic()
    assert c.request("cancel", {"msgid": msgid}) is True
    try:
        c.reply(msgid)
        raise AssertionError("no error")
    except RpcError as e:
        assert e.code == "E_CANCELLED", e
    assert time.monotonic() - started < 5
    until(lambda: len(d.workers(state="idle")) == 2, "the workers are idle")


@test()
def a_task_whose_connection_goes_is_cancelled(d):
    c = d.client()
    c.start("sys.sleep", 60)
    c.send("map", ["sys.sleep", [60] * 100])
    until(lambda: len(d.workers(state="busy")) == 2, "both run")
    c.close()
    until(lambda: len(d.workers(state="idle")) == 2, "both are idle again")
    assert d.client().call("math.square", 5) == 25


@test(modules=["trial"])
def half_closing_does_not_lose_the_answers(d):
    """A script that sends, shuts down its sending side and reads until the end gets all of it."""
    import socket

    c = d.client()
    a, b = c.start("trial.pid_after", 0.1), c.start("math.square", 6)
    c.sock.shutdown(socket.SHUT_WR)
    try:
        assert c.reply(b) == 36
        assert c.reply(a) > 0
    except Closed:
        raise AssertionError("the connection was closed before the answers came") from None


# ---- what is running -------------------------------------------------------------------------------------------------------


@test(workers="1")
def list_filters_newest_first(d):
    c = d.client()
    ids = [c.submit("math.square", i, name=f"n{i}") for i in range(5)]
    failed = c.submit("sys.fail", "no")
    for task in ids + [failed]:
        c.wait(task)
    assert [s["id"] for s in c.request("list")][:6] == [failed] + ids[::-1]
    assert [s["id"] for s in c.request("list", {"state": "failed"})] == [failed]
    assert [s["id"] for s in c.request("list", {"function": "math.square", "limit": 2})] == ids[:-3:-1]
    assert [s["id"] for s in c.request("list", {"name": "n1"})] == [ids[1]]
    assert c.request("list", {"pool": "default", "limit": 1})[0]["id"] == failed
    for bad in ({"limit": 0}, {"limit": 10001}, {"state": "gone"}, {"stat": "done"}, 7):
        assert c.error("list", bad).code == "E_BAD_PARAMS", bad


@test()
def attached_tasks_are_listed_while_they_run(d):
    c, other = d.client(), d.client()
    msgid = c.start("sys.sleep", 30, name="nap")
    d.wait_worker(state="busy")
    (status,) = until(lambda: other.request("list", {"state": "running"}), "it is listed")
    assert status["attached"] is True and status["name"] == "nap" and status["attempt"] == 1, status
    assert status["pid"] in d.worker_pids(), status
    c.request("cancel", {"msgid": msgid})


@test(modules=["trial"])
def progress_is_shown(d):
    c = d.client()
    task = c.submit("trial.progress", 3, 10)
    until(lambda: c.request("status", task)["progress"] == [3, 10], "progress is shown")
    c.request("cancel", task)
    c.wait(task)


@test(modules=["trial"])
def functions_tell_where_they_run(d):
    rows = {f["name"]: f for f in d.client().request("functions")}
    square = rows["math.square"]
    assert square["module"] == "math" and square["pools"] == ["default"] and square["idempotent"] is True, square
    assert rows["sys.crash"]["idempotent"] is False and rows["sys.sleep"]["cancellable"] is True
    for key in ("version", "timeout_ms", "summary", "calls", "mean_us"):
        assert key in square, key
    assert {"exec.run", "sys.noop", "sys.echo", "sys.pid", "sys.fail", "text.wordcount", "trial.note"} <= set(rows)


@test()
def functions_count_their_calls(d):
    c = d.client()
    for i in range(7):
        c.call("math.square", i)
    row = next(f for f in c.request("functions") if f["name"] == "math.square")
    assert row["calls"] == 7 and row["mean_us"] is not None, row


@test()
def pools_workers_and_stats_agree(d):
    c = d.client()
    msgid = c.start("sys.sleep", 30)
    d.wait_worker(state="busy")
    (pool,) = c.request("pools")
    assert (pool["name"], pool["state"], pool["workers"], pool["busy"], pool["idle"]) == ("default", "serving", 2, 1, 1), pool
    assert (pool["min"], pool["max"]) == (2, 2) and {m["name"] for m in pool["modules"]} >= {"sys", "math", "text", "exec"}
    busy = [w for w in c.request("workers") if w["state"] == "busy"]
    assert len(busy) == 1 and busy[0]["function"] == "sys.sleep" and busy[0]["pool"] == "default", busy
    for key in ("id", "pid", "since_ms", "task", "tasks", "ahead", "rss_kib", "cpu_ms", "age_ms"):
        assert key in busy[0], key
    stats = c.request("stats")
    assert stats["running"] == 1 and stats["pid"] == d.pid and stats["socket"] == d.path, stats
    assert stats["workers_born"] == 2 and stats["workers_died"] == 0, stats
    c.request("cancel", {"msgid": msgid})


@test()
def stats_count_what_became_of_tasks(d):
    c = d.client()
    c.call("math.square", 1)
    c.call_error("sys.fail", "x")
    c.call_error("sys.crash")
    c.call_error("sys.sleep", 30, timeout_ms=50)
    tasks = c.request("stats")["tasks"]
    assert (tasks["done"], tasks["failed"], tasks["lost"], tasks["timeout"]) == (1, 1, 1, 1), tasks


# ---- options and errors ----------------------------------------------------------------------------------------------------


@test()
def an_unknown_method_is_an_error_with_a_suggestion(d):
    c = d.client()
    e = c.error("cal", "math.square", [1])
    assert (e.kind, e.code) == (1, "E_NO_METHOD") and "call" in e.text, e
    assert c.error("nvim_get_api_info").code == "E_NO_METHOD"
    assert c.error("").code == "E_NO_METHOD"
    assert c.error("x" * 100000).code == "E_NO_METHOD"
    assert c.request("ping") == "pong"


@test()
def wrong_params_name_the_parameter(d):
    c = d.client()
    for method, params, word in (
        ("ping", [1], "ping"),
        ("call", [], "function"),
        ("call", [7], "function"),
        ("call", ["math.square", 7], "args"),
        ("call", ["math.square", [7], 7], "options"),
        ("call", ["math.square", [7], {}, 1], "call"),
        ("map", ["math.square"], "items"),
        ("map", ["math.square", 7], "items"),
        ("map", ["math.square", None], "items"),
        ("wait", [], "id"),
        ("wait", ["x"], "id"),
        ("cancel", [{"msgi": 1}], "msgid"),
        ("call", ["math.square", [7], {"timeout_ms": "1"}], "timeout_ms"),
        ("call", ["math.square", [7], {"timeout_ms": 0}], "timeout_ms"),
        ("call", ["math.square", [7], {"timeout_ms": 2**31 + 1}], "timeout_ms"),
        ("call", ["math.square", [7], {"attempts": 0}], "attempts"),
        ("call", ["math.square", [7], {"attempts": 101}], "attempts"),
        ("call", ["math.square", [7], {"name": "x" * 129}], "name"),
        ("call", ["math.square", [7], {"tiemout_ms": 1}], "timeout_ms"),
        ("call", ["math.square", [7], {"ttl_s": 1}], "ttl_s"),
        ("submit", ["math.square", [7], {"output": True}], "output"),
        ("submit", ["math.square", [7], {"ttl_s": 0}], "ttl_s"),
        ("call", ["math.square", [7], {"output": 1}], "output"),
        ("call", ["math.square", [7], {1: 2}], "options"),
    ):
        e = c.error(method, *params)
        assert (e.kind, e.code) == (1, "E_BAD_PARAMS") and word in e.text, (method, params, e)
    assert c.request("ping") == "pong"


@test()
def unknown_functions_and_pools_are_told(d):
    c = d.client()
    e = c.call_error("math.squar", 1)
    assert (e.kind, e.code) == (1, "E_NO_FUNCTION") and "math.square" in e.text, e
    assert c.call_error("", 1).code == "E_NO_FUNCTION"
    assert c.call_error("x" * 10000, 1).code == "E_NO_FUNCTION"
    e = c.call_error("math.square", 1, pool="defualt")
    assert (e.kind, e.code) == (1, "E_NO_POOL"), e
    assert c.call("math.square", 3, pool="default") == 9


@test(modules=["trial"], config="[pool default]\nmodules = math sys\nworkers = 1\n[pool other]\nmodules = math sys\nworkers = 1\n")
def without_a_pool_the_first_configured_one_is_taken_however_fast_the_others_load(d):
    c = d.client()
    pids = {w["pid"]: w["pool"] for w in d.request("workers")}
    assert pids[c.call("sys.pid")] == "default"
    assert pids[c.call("sys.pid", pool="other")] == "other"


@test()
def arguments_that_the_function_refuses_are_explained(d):
    c = d.client()
    e = c.call_error("math.square", "x")
    assert (e.kind, e.code) == (0, "E_BAD_ARGS") and "argument 1" in e.text, e
    e = c.call_error("math.square")
    assert (e.kind, e.code) == (0, "E_BAD_ARGS"), e


@test()
def a_failure_carries_the_functions_own_words(d):
    e = d.client().call_error("sys.fail", "the printer is on fire: é")
    assert (e.kind, e.code) == (0, "E_FAILED") and "the printer is on fire: é" in e.text, e


@test()
def a_notification_is_done_and_not_answered(d):
    c = d.client()
    c.notify("submit", ["math.square", [4], {"name": "quiet"}])
    c.notify("no_such_method", [1, 2, 3])
    c.notify("call", ["math.square", ["bad"]])
    c.notify("ping", ["too", "many"])
    assert c.request("ping") == "pong"
    task = until(lambda: c.request("list", {"name": "quiet"}), "the task is there")[0]["id"]
    assert c.request("result", task, 5000) == 16
    assert not c.replies and not c.notes


@test()
def a_task_that_runs_too_long_is_stopped(d):
    c = d.client()
    started = time.monotonic()
    e = c.call_error("sys.sleep", 30, timeout_ms=300)
    took = time.monotonic() - started
    assert (e.kind, e.code) == (0, "E_TIMEOUT") and "300 ms" in e.text and "sys.sleep" in e.text, e
    assert 0.29 < took < 5, took
    status = c.wait(c.submit("sys.sleep", 30, timeout_ms=100))
    assert status["state"] == "timeout", status


@test(modules=["trial"])
def retryable_failures_run_again_as_often_as_allowed(d):
    c = d.client()
    path = os.path.join(d.home, "tries")
    assert c.call("trial.fail_until", path, 3, attempts=5) == 3
    os.unlink(path)
    e = c.call_error("trial.fail_until", path, 3, attempts=2)
    assert e.code == "E_FAILED", e
    assert os.path.getsize(path) == 2
    os.unlink(path)
    e = c.call_error("trial.fail_until", path, 3)
    assert e.code == "E_FAILED" and os.path.getsize(path) == 1, "no retry without being asked"


@test(modules=["trial"])
def final_failures_do_not_run_again(d):
    c = d.client()
    path = os.path.join(d.home, "notes")
    c.call_error("trial.note_and_fail", path, attempts=5)
    assert os.path.getsize(path) == 1


@test(modules=["trial"])
def a_lost_worker_is_explained(d):
    c = d.client()
    task = c.submit("sys.crash", 11)
    status = c.wait(task)
    assert status["state"] == "lost", status
    v = status["verdict"]
    assert v["signal"] == 11 and v["signal_name"] == "SIGSEGV" and v["exit"] is None and v["oom"] == "no", v
    assert v["attempt"] == 1 and v["cpu_ms"] >= 0 and v["peak_kib"] > 0 and v["pid"] > 0 and v["worker"] > 0, v
    e = c.error("result", task)
    assert (e.kind, e.code) == (0, "E_LOST"), e
    for word in ("worker", "pid", "SIGSEGV", "sys.crash", "attempt 1 of 1", "CPU", "peak"):
        assert word in e.text, (word, e)


@test(modules=["trial"])
def idempotent_functions_survive_a_lost_worker(d):
    c = d.client()
    path = os.path.join(d.home, "tries")
    assert c.call("trial.crash_until", path, 2) == 2
    os.unlink(path)
    e = c.call_error("trial.crash_until", path, 100)
    assert e.code == "E_LOST" and os.path.getsize(path) == 3 and "attempt 3 of 3" in e.text, e
    os.unlink(path)
    assert c.call_error("trial.crash_until", path, 100, attempts=1).code == "E_LOST"
    assert os.path.getsize(path) == 1


@test()
def empty_options_are_options(d):
    c = d.client()
    assert c.request("call", "math.square", [2], {}) == 4
    assert c.request("call", "math.square", [2], {"name": "x", "attempts": 100, "timeout_ms": 2**31 - 1}) == 4


if __name__ == "__main__":
    main()
