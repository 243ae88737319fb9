#!/usr/bin/python3
"""Where does what a function prints go: to the caller who asked for it, or into the daemon's log?"""
import re
import time

from harness import SLOW, RpcError, main, test, until


def output_of(c, msgid):
    """→ {stream: bytes} of the notifications that belong to msgid, which must all come before the response."""
    c.reply(msgid)
    streams = {1: b"", 2: b""}
    for method, params in c.notes:
        assert method == "output", method
        owner, stream, data = params
        assert isinstance(data, bytes) and stream in (1, 2)
        if owner == msgid:
            streams[stream] += data
    return streams


@test(modules=["trial"])
def output_comes_to_the_caller_who_asked_for_it(d):
    c = d.client()
    msgid = c.start("trial.say", 3, "hello", output=True)
    assert output_of(c, msgid) == {1: b"hello\n" * 3, 2: b"hello\n"}
    assert "hello" not in d.log()


@test(modules=["trial"])
def output_that_nobody_asked_for_is_logged_with_task_and_worker(d):
    c = d.client()
    assert c.call("trial.say", 2, "a lonely line") == 2
    d.wait_log("a lonely line")
    line = next(line for line in d.log().splitlines() if "a lonely line" in line)
    assert re.search(r"worker=\d+", line) and re.search(r"task=[1-9]\d*", line), line
    assert not c.notes


@test(modules=["trial"])
def logged_output_cannot_forge_lines(d):
    c = d.client()
    c.call("trial.say", 1, "evil\x1b[2J\r\nlevel=error worker died pid=1\nlast")
    d.wait_log("last")
    assert "\x1b" not in d.log() and "\r" not in d.log()
    assert not re.search(r"^level=error worker died", d.log(), re.M), d.log()


@test(modules=["world"], workers=1)
def what_each_of_many_short_tasks_printed_is_logged_as_its_own(d):
    """They lie in the worker's lane one behind the other, and none of them ends a line."""
    c = d.client()
    ids = {c.submit("world.print", f"<{n}>", n % 3): n for n in range(60)}
    for task in ids:
        c.wait(task)
    for task, n in ids.items():
        line = d.wait_log(rf"^.*<{n}>.*$").group(0)
        assert f"task={task} function=world.print" in line and line.endswith(f'text="<{n}>"'), line
        assert f"stream={2 if n % 3 == 2 else 1} " in line, line


@test(modules=["trial"], workers=1)
def a_long_line_is_logged_to_its_last_character(d):
    c = d.client()
    for text, shown in (("\x1b" * 3000, "\\x1b" * 3000), ("é" * 3001, "é" * 3001), ("é" + "x" * 1900, "é" + "x" * 1900)):
        c.call("trial.say", 1, text + "end")
        d.wait_log('end"$')
        lines = re.findall(r' stream=1 text="(.*)"$', d.log(), re.M)
        assert "".join(line.removesuffix("…") for line in lines) == shown + "end", lines
        assert len(lines) == 1 or len(text) > 2000, lines
        open(d.log_path, "w").close()


@test(modules=["trial"])
def much_output_comes_whole_and_in_order(d):
    c = d.client()
    n = 50000
    msgid = c.start("trial.say", n, "0123456789" * 10, output=True)
    got = output_of(c, msgid)
    assert got[1] == (b"0123456789" * 10 + b"\n") * n


@test(modules=["trial"])
def output_of_two_callers_does_not_mix(d):
    a, b = d.client(), d.client()
    ids = [(c, word, c.start("trial.say", 500, word, output=True)) for _ in range(10) for c, word in ((a, "aaaa"), (b, "bbbb"))]
    for c, word, msgid in ids:
        assert output_of(c, msgid)[1] == (word.encode() + b"\n") * 500


@test(modules=["trial"])
def output_before_a_crash_still_comes(d):
    c = d.client()
    msgid = c.start("exec.run", ["sh", "-c", "echo out; echo err >&2; exit 3"], {"output": True}, output=True)
    got = output_of(c, msgid)
    assert got == {1: b"out\n", 2: b"err\n"}, got


@test()
def output_of_a_command_comes_while_it_runs(d):
    c = d.client()
    msgid = c.start("exec.run", ["sh", "-c", "echo first; sleep 60"], {"output": True}, output=True)
    until(lambda: c.pump() is None and c.notes, "the first line is here")
    assert c.notes[0] == ("output", [msgid, 1, b"first\n"]), c.notes
    assert msgid not in c.replies
    c.request("cancel", {"msgid": msgid})
    try:
        c.reply(msgid)
        raise AssertionError("no error")
    except RpcError as e:
        assert e.code == "E_CANCELLED", e


@test(modules=["hostile"], timeout=120)
def a_flood_of_output_is_bounded_and_hurts_nobody(d):
    noisy, c = d.client(), d.client()
    before = d.rss_kib()
    total = 64 << 20
    msgid = noisy.start("hostile.flood_output", int(total / SLOW), "x" * 4095 + "\n")
    worst, rounds = 0.0, 0
    while msgid not in noisy.replies:
        started = time.monotonic()
        assert c.call("math.square", 3) == 9
        worst = max(worst, time.monotonic() - started)
        rounds += 1
        try:
            noisy.pump(0.01)
        except TimeoutError:
            pass
    noisy.reply(msgid)
    assert worst < 1.0 * SLOW, worst
    assert d.rss_kib() - before < 32 * 1024 * SLOW
    assert len(d.log()) < 64 << 20


@test(modules=["hostile"], timeout=120)
def a_caller_who_does_not_read_its_output_stops_only_itself(d):
    greedy, c = d.client(), d.client()
    before = d.rss_kib()
    greedy.start("hostile.flood_output", 256 << 20, "x" * 65535, output=True)
    d.wait_worker(state="busy")
    for _ in range(200):
        assert c.call("math.square", 3) == 9
    assert d.rss_kib() - before < 64 * 1024 * SLOW, "output is hoarded"
    greedy.close()
    d.clients.remove(greedy)
    until(lambda: len(d.workers(state="idle")) == 2, "the flooding task has been stopped", 30 * SLOW)


@test(modules=["hostile"], timeout=120)
def a_flood_of_log_lines_is_bounded_and_hurts_nobody(d):
    noisy, c = d.client(), d.client()
    msgid = noisy.start("hostile.flood_log", int(200000 / SLOW), "all work and no play")
    worst = 0.0
    while msgid not in noisy.replies:
        started = time.monotonic()
        assert c.call("math.square", 3) == 9
        worst = max(worst, time.monotonic() - started)
        try:
            noisy.pump(0.01)
        except TimeoutError:
            pass
    noisy.reply(msgid)
    assert worst < 1.0 * SLOW, worst


if __name__ == "__main__":
    main()
