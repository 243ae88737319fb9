"""What does mpool say and show? Its words, tables, JSON and statuses, against a puppet for a daemon (cli_puppet.py)."""
import json
import os
import re
import socket
import stat
import subprocess
import threading

from cli_puppet import Close, Puppet
from cli_tools import Terminal, end, environment, mpool, start
from harness import MPOOL, Skip, test
from wire import Ext, RpcError

ESC = "\033"
TASK = {"id": 17, "name": f"eve{ESC}[2J", "function": "text.wordcount", "pool": "default", "state": "running",
        "attempt": 1, "attempts": 3, "submitted_ms": 1000, "started_ms": 2000, "ended_ms": 62000, "error": None}
LOST = dict(TASK, id=18, name=None, state="lost", error="E_LOST: worker 12 (pid 4711) was killed by SIGKILL" + " x" * 100)


def verbs():
    text = mpool(None, "--help").out
    return re.findall(r"^  ([a-z]+) +\S", text[: text.index("Exit status:")], re.M)


# ---- words -----------------------------------------------------------------------------------------------------------


@test(daemon=False)
def help_of_every_verb_teaches_and_ends_well(_):
    assert len(verbs()) >= 18, verbs()
    for verb in verbs():
        ran = mpool(None, verb, "--help")
        assert ran.code == 0 and f"Usage: mpool {verb}" in ran.out and not ran.err, ran
        assert mpool(None, "help", verb).out == ran.out
        assert "125" in ran.out and "128+N" in ran.out, ran
        statuses = set(re.findall(r"^  ([0-9+N-]+) +", ran.out[ran.out.index("Exit status:"):], re.M))
        assert ("101" in statuses) == (verb == "map") and ("127" in statuses) == (verb in ("run", "wait", "lock", "sem", "queue")), ran
        assert "124" in statuses, ran


@test(daemon=False)
def a_mistyped_verb_is_answered_with_the_right_one(_):
    ran = mpool(None, "stauts")
    assert ran.code == 125 and not ran.out, ran
    assert ran.err == "mpool: there is no verb 'stauts'; did you mean 'status'?\n", ran
    assert "`mpool --help`" in mpool(None, "qqqqqqqq").err


@test(daemon=False)
def mistakes_in_options_say_what_is_allowed(_):
    for words, said in (
            (["ping", "--cuont"], "did you mean '--count'?"),
            (["ping", "-z"], "there is no option '-z'"),
            (["ping", "--count"], "--count needs a value: N"),
            (["ping", "--count", "0"], "'0' is not a number from 1 to 1000000"),
            (["ping", "--count=99999999999999999999"], "is not a number"),
            (["ping", "--json=1"], "--json takes no value"),
            (["ping", "operand"], "ping: unexpected argument 'operand'"),
            (["--pool", "p", "ping"], "ping takes no --pool"),
            (["call", "--timeout", "5y", "f"], "'5y' is not a time"),
            (["call", "--timeout", "-1", "f"], "'-1' is not a time"),
            (["call", "--timeout", "0", "f"], "at least 1ms"),
            (["call", "--timeout", "25d", "f"], "up to 24 days"),
            (["submit", "--ttl", "5ms", "f"], "--ttl: at least 1000ms"),
            (["lock", "l", "--ttl", "366d", "true"], "up to 365 days"),
            (["call", "--timeout", "0x10", "f"], "is not a time"),
            (["call", "--name", "x" * 129, "f"], "at most 128 bytes"),
            (["--color", "pink", "ping"], "auto, always, never"),
            (["map", "--halt", "later", "f"], "allowed are never, now, soon"),
            (["map", "f", "g", ":::", "1"], "unexpected 'g' before"),
            (["map"], "map needs a function"),
            (["map", "--sum", "--json", "f"], "exclude one another"),
            (["wait"], "wait needs the id"),
            (["wait", "abc"], "'abc' is not a task id"),
            (["cancel", "9007199254740992"], "is not a task id"),
            (["module", "chekc", "f"], "module: there is no 'chekc'"),
            (["completion", "fish"], "bash or zsh"),
            (["module", "new", "bad name"], "mpool: module: 'bad name' cannot be a module's name"),
            (["module", "new", "x" * 64], "at most 63 characters"),
            (["ls", "--state", "foo"], "--state: 'foo' is not one of queued, placed, running, backoff, delayed, done,"),
            (["objects", "--kind", "values"], "is not one of value, array, lock,"),
            (["value", "set", "n", "1", "--type", "int"], "is not one of i8, u8,"),
            (["run"], "run needs a command"),
            (["call"], "call needs a function"),
            (["call", "f", "--args-json", "{}"], "--args-json: not a JSON array"),
            (["call", "f", "1", "--args-json", "[]"], "use one of them"),
            (["call", "f", "123456789012345678901234"], "too big integer"),
            ([], "missing verb")):
        ran = mpool(None, *words)
        assert ran.code == 125 and said in ran.err and not ran.out, (words, ran)


@test(daemon=False)
def without_a_daemon_each_path_tried_is_named_with_its_reason(home):
    run = os.path.join(home, "run")
    os.makedirs(os.path.join(run, "mpoold"))
    ran = mpool(None, "ping", env={"XDG_RUNTIME_DIR": run})
    assert ran.code == 125 and not ran.out, ran
    assert f"tried {run}/mpoold/mpoold.sock: No such file or directory" in ran.err, ran
    assert "`mpoold`" in ran.err and "systemctl start mpoold" in ran.err, ran
    stale = os.path.join(home, "stale")
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(stale)
    ran = mpool(None, "--socket", stale, "ping")
    assert f"tried {stale}: nobody listens there any more" in ran.err and ran.err.count("tried") == 1, ran
    assert "systemctl start mpoold" in ran.err, ran
    plain, long = os.path.join(home, "plain"), "/" + "x" * 200
    open(plain, "w").close()
    for path, said in ((plain, "it is not a socket"), (home, "it is not a socket"), (long, "too long for the path of a socket")):
        ran = mpool(None, "--socket", path, "ping")
        assert ran.code == 125 and f"tried {path}: " in ran.err and said in ran.err and "systemctl" not in ran.err, ran
    quiet = mpool(None, "-q", "--socket", stale, "ping")
    assert quiet.code == 125 and quiet.err.count("\n") == 1, quiet


@test()
def who_may_not_use_the_daemon_is_not_told_to_start_one(d):
    if os.getuid() != 0:
        raise Skip("needs root")
    for directory in (d.home, os.path.dirname(d.path)):
        os.chmod(directory, 0o755)
    ran = mpool(d, "ping", user=65534, group=65534, extra_groups=[])
    assert ran.code == 125 and "you may not use" in ran.err and "group" in ran.err and "systemctl" not in ran.err, ran


@test(daemon=False)
def what_answers_but_is_no_daemon_is_an_error(home):
    ran = mpool(Puppet(home, hello=lambda c, *_: (_ for _ in ()).throw(Close())), "ping")
    assert ran.code == 125 and "no daemon answers" in ran.err, ran


# ---- outputs ---------------------------------------------------------------------------------------------------------


@test(daemon=False)
def a_full_disk_is_reported(home):
    p = Puppet(home, call=lambda *_: "x" * 100)
    with open("/dev/full", "wb") as full:
        for words in (["--help"], ["call", "f"], ["completion", "bash"]):
            process = subprocess.Popen([MPOOL, *words], stdout=full, stderr=subprocess.PIPE, env=environment(p.path))
            _, err = process.communicate(timeout=60)
            assert process.returncode == 125, words
            assert err == b"mpool: cannot write to standard output: No space left on device\n", err


@test(daemon=False)
def a_reader_that_has_gone_ends_it_silently(home):
    p = Puppet(home, call=lambda *_: "x" * 100)
    for before in ("", "trap '' PIPE; "):
        gone, pipe = os.pipe()
        os.close(gone)  # before it begins: a reader that only goes soon may go too late
        with open(pipe, "wb") as out:
            ran = subprocess.run(["bash", "-c", f"{before}{MPOOL} call f; echo $? >&2"], stdout=out, stderr=subprocess.PIPE,
                                 env=environment(p.path), timeout=60)
        assert ran.stderr == b"141\n", ran


@test(daemon=False)
def results_are_json_whatever_they_are(home):
    value = []
    p = Puppet(home, call=lambda *_: value[0])
    for value[:], said in (
            ([None], "null"), ([True], "true"), ([-(2**63)], str(-(2**63))), ([2**64 - 1], str(2**64 - 1)),
            ([1.5], "1.5"), ([3.0], "3.0"), ([0.1 + 0.2], "0.30000000000000004"), ([1e300], "1e+300"),
            ([float("nan")], "null"), ([float("inf")], "null"),
            (['a"\\\n\t\x01\x7fü'], '"a\\"\\\\\\n\\t\\u0001\\u007fü"'),
            ([b"plain"], '"plain"'), ([b"\xff\x00\x01"], '{"base64": "/wAB"}'), (["\udcff"], '{"base64": "/w=="}'),
            ([b"\xed\xa0\x80"], '{"base64": "7aCA"}'), ([b"\xc0\x80"], '{"base64": "wIA="}'),
            ([Ext(-5, b"ab")], '{"ext": -5, "base64": "YWI="}'), ([Ext(7, b"abc")], '{"ext": 7, "base64": "YWJj"}'),
            ([[]], "[]"), ([{}], "{}"), ([[1, [2, {}]]], "[1, [2, {}]]"),
            ([{"a": 1, 2: "b", None: 3, False: 4}], '{"a": 1, "2": "b", "null": 3, "false": 4}')):
        ran = mpool(p, "call", "f")
        assert ran.code == 0 and ran.out == said + "\n", (value, ran)
        json.loads(ran.out)


@test(daemon=False)
def raw_results_are_the_bytes_and_nothing_else(home):
    value = []
    p = Puppet(home, call=lambda *_: value[0])
    for value[:], said in (([b"\xff\x00\n"], b"\xff\x00\n"), (["text"], b"text")):
        ran = mpool(p, "call", "--raw", "f")
        assert ran.raw == said and ran.code == 0, ran
    value[:] = [5]
    ran = mpool(p, "call", "--raw", "f")
    assert ran.code == 125 and "of type integer" in ran.err and not ran.out, ran


@test(daemon=False)
def arguments_are_json_where_they_parse(home):
    for words, args in (
            (["7", "-5", "1.5", "true", "null"], [7, -5, 1.5, True, None]),
            (["hello", "a b", "", "007", "--", "--x"], ["hello", "a b", "", "007", "--x"]),
            (['"7"', '{"a": [1, "x"]}', "[", "18446744073709551615"], ["7", {"a": [1, "x"]}, "[", 2**64 - 1]),
            (["--strings", "7", "null"], ["7", "null"]),
            (["--args-json", "[1, [2]]"], [1, [2]]),
            ([b"\xff\xfe"], [b"\xff\xfe"])):
        p = Puppet(home, call=lambda *_: 1)
        ran = end(start(p, "call", "m.f", *[os.fsdecode(w) for w in words]))
        assert ran.code == 0, ran
        assert p.params("call")[:2] == ["m.f", args], p.seen
        os.unlink(p.path)


@test(daemon=False)
def arguments_may_come_on_standard_input(home):
    p = Puppet(home, call=lambda *_: 1)
    assert mpool(p, "call", "m.f", "--stdin", input='[1,\n"x"]').code == 0
    assert p.params("call")[1] == [1, "x"]
    ran = mpool(p, "call", "m.f", "--stdin", input="[1,")
    assert ran.code == 125 and "not a JSON array: line 1" in ran.err, ran


@test(daemon=False)
def options_of_a_task_reach_the_daemon(home):
    p = Puppet(home, call=lambda *_: 1, submit=lambda *_: 5)
    words = ["--pool", "big", "--timeout", "1.5s", "--attempts", "3", "--name", "mine"]
    assert mpool(p, "call", *words, "m.f").code == 0
    assert p.params("call")[2] == {"pool": "big", "timeout_ms": 1500, "attempts": 3, "name": "mine"}, p.seen
    ran = mpool(p, "--pool", "big", "-t", "2m", "submit", "--ttl", "60", "m.f")
    assert ran.out == "5\n" and p.params("submit")[2] == {"pool": "big", "timeout_ms": 120000, "ttl_s": 60}, (ran, p.seen)
    assert mpool(p, "submit", "--ttl", "1.5h", "m.f").code == 0 and p.seen[-1][1][2] == {"ttl_s": 5400}, p.seen


@test(daemon=False)
def errors_become_statuses(home):
    error = []

    def answer(*_):
        raise RpcError(*error)

    p = Puppet(home, call=answer, result=answer)
    for error[:], code in (
            ([0, "E_FAILED: no"], 1), ([0, "E_LOST: gone"], 1), ([0, "E_CANCELLED: by its caller"], 1),
            ([0, "E_TIMEOUT: too long"], 124), ([1, "E_NO_FUNCTION: none"], 125), ([1, "E_BUSY: later"], 125),
            ([1, "E_NOT_READY: runs"], 124), ([1, "E_NO_TASK: none"], 125), ([1, "E_NEWER: than this"], 125)):
        for words in (["call", "m.f"], ["result", "1"]):
            ran = mpool(p, *words)
            assert ran.code == code and ran.err == f"mpool: {error[1]}\n" and not ran.out, (error, ran)


@test(daemon=False)
def a_connection_that_is_lost_is_said(home):
    def close(*_):
        raise Close

    p = Puppet(home, call=close, map=close)
    for words in (["call", "m.f"], ["run", "-n", "x"], ["map", "m.f", ":::", "1", "2"]):
        ran = mpool(p, *words)
        assert ran.code == 125 and "closed the connection" in ran.err, (words, ran)


@test(daemon=False)
def text_of_others_cannot_drive_the_terminal(home):
    def fail(*_):
        raise RpcError(0, f"E_FAILED: {ESC}]0;evil\x07 and more")

    p = Puppet(home, call=fail, list=lambda *_: [TASK, LOST], status=lambda *_: TASK)
    for words in (["call", "m.f"], ["ls"], ["status", "17"], ["ls", "--json"]):
        terminal = Terminal(p, "--color", "never", *words)
        _, text = terminal.end()
        assert ESC not in text and "\x07" not in text and ("evil" in text or "[2J" in text), text


@test(daemon=False)
def tables_fit_the_terminal_and_are_whole_elsewhere(home):
    p = Puppet(home, list=lambda *_: [TASK, LOST])
    ran = mpool(p, "ls")
    assert LOST["error"] in ran.out and ESC not in ran.out, ran
    assert len({line.index("text.wordcount") for line in ran.lines[1:]}) == 1, ran
    for columns in (120, 80):
        terminal = Terminal(p, "ls", columns=columns)
        terminal.end()
        assert max(len(line) for line in terminal.screen.splitlines()) <= columns and "…" in terminal.screen, terminal.screen


@test(daemon=False)
def tasks_of_all_users_bear_their_users_name(home):
    root, stranger = dict(TASK, uid=0), dict(TASK, uid=4242424)
    p = Puppet(home, list=lambda *_: [root, stranger])
    assert "USER" not in mpool(p, "ls").lines[0]
    assert p.params("list") == [{}], p.seen
    ran = mpool(p, "ls", "--all")
    assert p.seen[-1] == ["list", [{"all": True}]], p.seen
    assert [line.split()[1] for line in ran.lines] == ["USER", "root", "4242424"], ran


@test(daemon=False)
def color_is_for_terminals_that_want_it(home):
    p = Puppet(home, list=lambda *_: [LOST])
    assert ESC not in mpool(p, "ls").out and ESC in mpool(p, "ls", "--color", "always").out
    for env, colored in (({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)):
        _, text = Terminal(p, "ls", env=env).end()
        assert (ESC in text) == colored, (env, text)


@test(daemon=False)
def json_is_what_the_daemon_said(home):
    stats = {"uptime_ms": 5, "tasks": {"done": 2}, "new": [None, {"x": 1.5}]}
    p = Puppet(home, stats=lambda c: stats, list=lambda *_: [LOST], workers=lambda c: [], functions=lambda c: [],
               status=lambda *_: LOST, wait=lambda *_: dict(LOST, state="done"))
    assert json.loads(mpool(p, "stats", "--json").out) == stats
    assert json.loads(mpool(p, "--json", "ls").out) == [LOST]
    assert json.loads(mpool(p, "status", "18", "--json").out) == LOST
    whole = json.loads(mpool(p, "status", "--json").out)
    assert whole["stats"] == stats and whole["workers"] == [] and whole["pools"][0]["name"] == "default", whole
    assert json.loads(mpool(p, "wait", "18", "--json").out)["state"] == "done"
    assert set(json.loads(mpool(p, "ping", "-c", "3", "--json").out)) == {"count", "min_us", "p50_us", "p99_us", "max_us"}


@test(daemon=False)
def odd_answers_are_shown_as_far_as_they_go(home):
    odd = [{}, {"name": 5, "state": [1], "id": "x"}, 7, None]
    p = Puppet(home, list=lambda *_: odd, pools=lambda c: odd, workers=lambda c: odd, functions=lambda c: odd,
               stats=lambda c: odd, status=lambda *_: [])
    for words in (["ls"], ["ls", "--ids"], ["pools"], ["pools", "--names"], ["workers"], ["functions"], ["stats"], ["status"],
                  ["status", "3"], ["version"]):
        assert mpool(p, *words).code == 0, words


@test(daemon=False)
def wait_tells_by_its_status_whether_all_went_well(home):
    def status(c, task, timeout=None):
        if task == 4:
            raise RpcError(1, "E_NOT_READY: it runs")
        if task == 5:
            raise RpcError(1, "E_NO_TASK: none")
        return dict(TASK, id=task, state={1: "done", 2: "failed", 3: "cancelled"}[task], error=None)

    p = Puppet(home, wait=status)
    for ids, code in (("1", 0), ("1 1", 0), ("1 2", 1), ("2 1", 1), ("3", 1), ("4 2", 124), ("1 5", 125)):
        ran = mpool(p, "wait", *ids.split())
        assert ran.code == code and bool(ran.err) == bool(code), (ids, ran)


# ---- what is made of the tables ----------------------------------------------------------------------------------------


@test(daemon=False)
def bash_completion_knows_verbs_options_and_names(home):
    p = Puppet(home, functions=lambda c: [{"name": "math.square"}, {"name": "text.lines"}], list=lambda c, f: [dict(TASK, id=5, ended_ms=None)] if "process" in f else [TASK],
               objects=lambda c, f: [{"name": f"a.{f.get('kind', 'object')}"}])
    script = os.path.join(home, "completion")
    with open(script, "w") as f:
        f.write(mpool(None, "completion", "bash").out)
    for words, wanted in (
            (["st"], "status stats"), (["map", "--keep"], "--keep-order"), (["call", "m"], "math.square"),
            (["--pool", "d"], "default"), (["wait", ""], "17"), (["help", "pi"], "ping"), (["ls", "--state", "ru"], "running"),
            (["--pool", "default", "ca"], "call cancel"), (["module", "c"], "check"), (["--color", "a"], "auto always"),
            (["value", ""], "get set add cas"), (["value", "get", ""], "a.value"), (["value", "set", "x", ""], ""),
            (["value", "--type", "u8", "add", "a"], "a.value"), (["queue", "get", "a"], "a.queue a.joinable_queue"), (["lock", "a"], "a.lock"),
            (["sem", "a"], "a.bounded_semaphore"), (["inspect", ""], "a.object"), (["kill", ""], "5"), (["objects", "--kind", "ba"], "barrier"),
            (["map", "--exec", "mkfif"], "mkfifo"), (["lock", "a", "mkfif"], "mkfifo"), (["sem", "a", "--", "mkfif"], "mkfifo"),
            (["module", "check", home + "/comp"], script)):
        quoted = " ".join(f"'{w}'" for w in words)
        program = (f"PATH={os.path.dirname(MPOOL)}:$PATH; source {script}; compopt() {{ :; }}; "
                   f"COMP_WORDS=(mpool {quoted}); COMP_CWORD={len(words)}; _mpool; echo ${{COMPREPLY[*]}}")
        ran = subprocess.run(["bash", "-c", program], capture_output=True, text=True, env=environment(p.path), timeout=60)
        assert ran.stdout == wanted + "\n" and not ran.stderr, (words, ran)


@test(daemon=False)
def the_manual_page_has_every_verb_and_option(_):
    page = os.path.join(os.path.dirname(MPOOL), "mpool.1")
    if not os.path.exists(page):
        return
    text = open(page).read().replace("\\-", "-").replace("\\fB", "").replace("\\fR", "")
    for verb in verbs():
        assert f"mpool {verb}" in text, verb
        for option in re.findall(r"--[a-z][a-z-]+", mpool(None, verb, "--help").out):
            assert option in text, (verb, option)


@test(daemon=False)
def module_hands_over_to_mpoold(home):
    program = os.path.join(home, "mpoold")
    with open(program, "w") as f:
        f.write('#!/bin/sh\necho "$@"\nexit 7\n')
    os.chmod(program, stat.S_IRWXU)
    ran = mpool(None, "module", "check", program, env={"MPOOLD": program})
    assert ran.code == 7 and ran.out == f"--module-check {program}\n", ran
    ran = mpool(None, "--json", "module", "check", "img", env={"MPOOLD": program})
    assert ran.out == "--module-check img --json\n", ran
    ran = mpool(None, "module", "new", "img", env={"MPOOLD": program}, cwd=home)
    assert ran.code == 125 and not os.path.exists(home + "/img.c"), ran
    ran = mpool(None, "module", "new", "img", env={"MPOOLD": "/bin/echo"}, cwd=home)
    assert ran.code == 0 and "wrote img.c" in ran.err and open(home + "/img.c").read() == "--module-new img\n", ran
    ran = mpool(None, "module", "new", "img", env={"MPOOLD": "/bin/echo"}, cwd=home)
    assert ran.code == 125 and "img.c: File exists" in ran.err, ran
    ran = mpool(None, "module", "check", "x", env={"MPOOLD": home + "/none"})
    assert ran.code == 125 and "cannot run" in ran.err, ran


# ---- map against a puppet ----------------------------------------------------------------------------------------------


def mapping(function):
    """An answer to map that applies a function to each item, streamed or as pairs."""

    def answer(connection, name, items, options=None):
        pairs = []
        for item in items:
            try:
                pairs.append([None, function(item)])
            except RpcError as e:
                pairs.append([[e.kind, e.text], None])
        if not (options or {}).get("stream"):
            return pairs
        connection.notify("items", [connection.msgid, 0, pairs])
        failed = sum(1 for e, _ in pairs if e)
        return [len(pairs) - failed, failed]

    return answer


@test(daemon=False)
def map_gives_results_while_its_input_pauses(home):
    p = Puppet(home, map=mapping(lambda x: x * x))
    process = start(p, "map", "math.square", stdin=subprocess.PIPE)
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    for n in (3, 5, 7):
        process.stdin.write(f"{n}\n".encode())
        process.stdin.flush()
        assert process.stdout.readline() == f"{n * n}\n".encode()
    watchdog.cancel()
    ran = end(process)
    assert ran.code == 0 and not ran.out and not ran.err, ran


@test(daemon=False)
def map_names_the_items_that_fail(home):
    def function(x):
        if x == "bad" * 40:
            raise RpcError(0, "E_FAILED: it is bad")
        return x

    p = Puppet(home, map=mapping(function))
    ran = mpool(p, "map", "-k", "m.f", ":::", "a", "bad" * 40, "c")
    assert ran.code == 1 and ran.out == "a\nc\n", ran
    assert ran.err == f"mpool: item 2 ({'bad' * 20}…): E_FAILED: it is bad\n", ran
    ran = mpool(p, "map", "-k", "--json", "m.f", ":::", "1", "bad" * 40)
    assert [json.loads(line) for line in ran.lines] == [
        {"index": 0, "item": "1", "result": 1}, {"index": 1, "item": "bad" * 40, "error": "E_FAILED: it is bad"}], ran
    assert ran.code == 1 and not ran.err, ran


@test(daemon=False)
def map_counts_failures_up_to_a_hundred(home):
    def function(x):
        raise RpcError(0, "E_FAILED: always")

    p = Puppet(home, map=mapping(function))
    for count in (3, 100, 101, 256):
        ran = mpool(p, "map", "m.f", input="\n".join(map(str, range(count))))
        assert ran.code == min(count, 101) and ran.err.count("E_FAILED") == count, (count, ran.code)


@test(daemon=False)
def map_refuses_an_item_without_end(home):
    p = Puppet(home, map=mapping(lambda x: 1))
    ran = mpool(p, "map", "--strings", "m.f", input=b"a\nb\n" + b"x" * (17 << 20))
    assert ran.code == 125 and ran.out == "1\n1\n" and "item 3 is longer than 16 MiB" in ran.err, (ran.code, ran.err)


@test(daemon=False)
def map_adds_up_exactly_while_it_can(home):
    p = Puppet(home, map=mapping(lambda x: x))
    assert mpool(p, "map", "--sum", "m.f", ":::", 2**62, 2**62 - 1).out == f"{2**63 - 1}\n"
    assert mpool(p, "map", "--sum", "m.f", ":::", 1, 2.5).out == "3.5\n"
    assert mpool(p, "map", "--sum", "m.f", ":::").out == "0\n"
    ran = mpool(p, "map", "--sum", "m.f", ":::", 1, "x")
    assert ran.code == 1 and ran.out == "1\n" and "item 2 (x): its result is not a number" in ran.err, ran
