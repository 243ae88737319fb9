#!/usr/bin/python3
"""Does mpool do its work with a real daemon: run, call, map, submit and what follows? (cli_answers.py has its words, cli_rough.py the
weather.)"""
import json
import os
import pwd
import re
import signal
import subprocess
import threading

import cli_answers  # noqa: F401 (its tests run with these)
import cli_consumers  # noqa: F401 (and so do these)
import cli_rough  # noqa: F401 (and so do these)
import cli_scripts  # noqa: F401 (and these)
from cli_tools import Terminal, end, environment, mpool, start
from harness import MPOOL, MPOOLD, ROOT, alive, main, test, until


def read_pid(path):
    """The number in a file that somebody is about to write."""

    def number():
        try:
            with open(path) as f:
                return int(f.read() or 0)
        except FileNotFoundError:
            return 0

    return until(number, f"{path} holds a number")


# ---- call, submit and what follows ---------------------------------------------------------------------------------------


@test()
def call_prints_the_result(d):
    for words, out in ((["math.square", "7"], "49\n"), (["math.square", "-7"], "49\n"), (["sys.noop"], "null\n"),
                       (["sys.echo", '{"a": [1, 2.5, null]}'], '{"a": [1, 2.5, null]}\n'),
                       (["sys.echo", "--strings", "007"], '"007"\n'), (["sys.echo", "ü"], '"ü"\n')):
        ran = mpool(d, "call", *words)
        assert ran.code == 0 and ran.out == out and not ran.err, (words, ran)


@test()
def call_says_what_went_wrong(d):
    for words, code, said in ((["sys.fail", "no way"], 1, "E_FAILED: no way"), (["math.square", "x"], 1, "E_BAD_ARGS: "),
                              (["sys.sleep", "60", "-t", "100ms"], 124, "E_TIMEOUT: "),
                              (["sys.crash"], 1, "E_LOST: worker"), (["math.sqaure", "2"], 125, "E_NO_FUNCTION: "),
                              (["sys.noop", "-p", "none"], 125, "E_NO_POOL: ")):
        ran = mpool(d, "call", *words)
        assert ran.code == code and ran.err.startswith("mpool: " + said) and not ran.out, (words, ran)


@test()
def call_shows_what_the_function_prints_when_asked(d):
    ran = mpool(d, "call", "--output", "sys.print", "hello")
    assert ran.code == 0 and "hello" in ran.err and "hello" not in ran.out, ran


@test()
def a_large_result_passes(d):
    text = json.dumps(["x" * (3 << 20)])
    ran = mpool(d, "call", "--raw", "sys.echo", "--stdin", input=text)
    assert ran.code == 0 and ran.out == "x" * (3 << 20), (ran.code, ran.err)


@test()
def a_submitted_task_is_followed_by_its_id(d):
    task = mpool(d, "submit", "--name", "mine", "math.square", "9").out.strip()
    assert mpool(d, "wait", task).code == 0
    ran = mpool(d, "result", task)
    assert ran.code == 0 and ran.out == "81\n", ran
    ran = mpool(d, "status", task)
    assert re.search(r"^state +done$", ran.out, re.M) and re.search(r"^name +mine$", ran.out, re.M), ran
    assert json.loads(mpool(d, "status", "--json", task).out)["state"] == "done"
    assert task in mpool(d, "ls", "--ids").lines
    assert mpool(d, "ls", "--name", "mine", "--ids").lines == [task]
    assert mpool(d, "ls", "--state", "done", "--ids").lines == [task]
    assert mpool(d, "ls", "--state", "failed", "--ids").lines == []
    ran = mpool(d, "ls", "--state", "failed")
    assert ran.code == 0 and not ran.out and ran.err == "mpool: no tasks of that kind\n", ran
    assert mpool(d, "ls", "--all").lines[1].split()[:2] == [task, pwd.getpwuid(os.getuid()).pw_name]


@test()
def wait_and_result_tell_failures_and_time_outs_apart(d):
    good, bad = (mpool(d, "submit", *w).out.strip() for w in (["sys.noop"], ["sys.fail", "no"]))
    ran = mpool(d, "wait", good, bad)
    assert ran.code == 1 and f"task {bad}: E_FAILED: no" in ran.err and good not in ran.err, ran
    assert mpool(d, "result", bad).code == 1
    slow = mpool(d, "submit", "sys.sleep", "600").out.strip()
    assert mpool(d, "wait", "--timeout", "50ms", slow).code == 124
    assert mpool(d, "wait", "--timeout", "0", slow).code == 124
    assert mpool(d, "result", slow).code == 124
    assert mpool(d, "cancel", slow).code == 0
    assert mpool(d, "wait", slow).code == 1
    ran = mpool(d, "cancel", slow)
    assert ran.code == 0 and "had ended already" in ran.err, ran
    ran = mpool(d, "wait", "1")
    assert ran.code == 125 and "E_NO_TASK" in ran.err, ran


@test()
def forget_drops_results(d):
    done = mpool(d, "submit", "math.square", "7").out.strip()
    slow = mpool(d, "submit", "sys.sleep", "600").out.strip()
    assert mpool(d, "result", "-t", "10", done).out == "49\n"
    ran = mpool(d, "forget", done, slow)
    assert ran.code == 0 and ran.out == "" and slow in ran.err and "has not ended" in ran.err, ran
    ran = mpool(d, "result", done)
    assert ran.code == 125 and "E_NO_TASK" in ran.err, ran
    ran = mpool(d, "forget", done)
    assert ran.code == 125 and "E_NO_TASK" in ran.err, ran
    assert mpool(d, "cancel", slow).code == 0
    until(lambda: mpool(d, "ls", "--ids").out == "", "it is gone with its end")
    again = mpool(d, "submit", "math.square", "7").out.strip()
    d.request("wait", int(again))
    assert mpool(d, "--json", "forget", again).out == f'{{"id": {again}, "forgotten": true}}\n'


@test()
def the_daemon_is_pictured(d):
    assert "math.square" in mpool(d, "functions", "--names").lines
    assert re.search(r"^math\.square +default ", mpool(d, "functions").out, re.M)
    assert re.search(r"^default +serving +2/2 ", mpool(d, "pools").out, re.M)
    pids = {str(pid) for pid in d.worker_pids()}
    assert {line.split()[2] for line in mpool(d, "workers").lines[1:]} == pids
    ran = mpool(d, "status")
    assert f"pid {d.pid}" in ran.lines[0] and d.path in ran.lines[0] and "done, 0 failed" in ran.lines[2], ran
    assert re.search(r" (1 connection|\d+ connections)$", ran.lines[1]), ran
    assert all(pid in ran.out for pid in pids), ran
    assert re.search(r"^tasks\.done +\d+$", mpool(d, "stats").out, re.M)
    assert mpool(d, "ping", "-c", "100").code == 0
    assert f"pid {d.pid}" in mpool(d, "version").out


@test()
def an_unknown_pool_or_function_is_no_empty_list(d):
    for words in (["ls"], ["ls", "--json"], ["ls", "--ids"], ["ps"], ["ps", "--json"], ["workers"], ["workers", "--json"]):
        ran = mpool(d, *words, "--pool", "defualt")
        assert ran.code == 125 and not ran.out and ran.err == "mpool: there is no pool 'defualt'; did you mean 'default'?\n", (words, ran)
        ran = mpool(d, *words, "--pool", "default")
        assert ran.code == 0, (words, ran)
    assert len(json.loads(mpool(d, "workers", "--json", "--pool", "default").out)) == len(d.worker_pids())
    assert "did you mean 'math.square'?" in mpool(d, "ls", "-f", "math.sqaure").err
    assert "`mpool functions` lists them" in mpool(d, "ls", "-f", "nothing.like.that").err
    assert mpool(d, "ls", "-f", "math.square").code == 0
    for verb in ("call", "submit", "spawn"):
        ran = mpool(d, verb, "math")
        assert ran.code == 125 and "\nThere are math." in ran.err and "math.square" in ran.err, ran
        ran = mpool(d, verb, "nothing.like.that")
        assert ran.code == 125 and "`mpool functions` lists" in ran.err, ran


# ---- run -----------------------------------------------------------------------------------------------------------------


@test()
def run_is_as_if_the_command_ran_here(d):
    ran = mpool(d, "run", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (ran.code, ran.out, ran.err) == (3, "out\n", "err\n"), ran
    ran = mpool(d, "run", "--", "cat", input=b"\xff\x00 bytes\n" * 1000)
    assert ran.code == 0 and ran.raw == b"\xff\x00 bytes\n" * 1000, ran
    ran = mpool(d, "run", "pwd", cwd="/usr")
    assert ran.out == "/usr\n", ran
    assert mpool(d, "run", "-C", "/usr/lib", "pwd").out == "/usr/lib\n"
    ran = mpool(d, "run", "-e", "A=1 2", "-e", "B", "-e", "A=3", "sh", "-c", 'echo "$A $B $C"', env={"B": "b", "C": "c"})
    assert ran.out == "3 b \n", ran
    ran = mpool(d, "run", "-E", "-e", "B=x", "sh", "-c", 'echo "$B $C"', env={"B": "b", "C": "c"})
    assert ran.out == "x c\n", ran


@test()
def run_ends_with_the_status_of_the_command(d):
    for words, code in ((["true"], 0), (["sh", "-c", "exit 255"], 255), (["no-such-command"], 127), (["/etc"], 126),
                        (["/etc/passwd"], 126), (["sh", "-c", "kill -9 $$"], 137), (["sh", "-c", "kill -TERM $$"], 143)):
        ran = mpool(d, "run", *words)
        assert ran.code == code, (words, ran)
    ran = mpool(d, "run", "-t", "100ms", "sleep", "600")
    assert ran.code == 124 and "E_TIMEOUT" in ran.err, ran


@test()
def run_streams_both_outputs_as_they_come(d):
    process = start(d, "run", "sh", "-c", "echo one; echo two >&2; read x < fifo; echo three", cwd=d.home)
    os.mkfifo(os.path.join(d.home, "fifo"))
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    assert process.stdout.readline() == b"one\n" and process.stderr.readline() == b"two\n"
    with open(os.path.join(d.home, "fifo"), "w") as f:
        f.write("go\n")
    watchdog.cancel()
    ran = end(process)
    assert ran.code == 0 and ran.out == "three\n", ran


@test()
def a_signal_ends_the_command_and_all_it_started(d):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        path = os.path.join(d.home, f"pid.{number}")
        process = start(d, "run", "sh", "-c", f"sleep 600 & echo $! > {path}.new; mv {path}.new {path}; wait")
        pid = read_pid(path)
        process.send_signal(number)
        ran = end(process)
        assert ran.code == 128 + number and not ran.out, ran
        until(lambda: not alive(pid), "the command's child has ended")


@test()
def a_second_signal_leaves_at_once(d):
    path = os.path.join(d.home, "pid")
    process = start(d, "run", "sh", "-c", f"trap '' TERM; echo $$ > {path}.new; mv {path}.new {path}; while :; do sleep 1; done")
    pid = read_pid(path)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    assert end(process).code in (130, 143)
    until(lambda: not alive(pid), "the command has ended for want of a caller")


@test()
def run_hears_of_the_daemons_end(d):
    path = os.path.join(d.home, "pid")
    process = start(d, "run", "sh", "-c", f"echo $$ > {path}.new; mv {path}.new {path}; exec sleep 600")
    pid = read_pid(path)
    d.kill()
    ran = end(process)
    assert ran.code == 125 and "closed the connection" in ran.err, ran
    until(lambda: not alive(pid), "the command has ended with the daemon")


# ---- map -----------------------------------------------------------------------------------------------------------------


@test()
def map_prints_one_line_an_item(d):
    ran = mpool(d, "map", "math.square", ":::", 1, 2, 3)
    assert ran.code == 0 and sorted(ran.lines) == ["1", "4", "9"] and not ran.err, ran
    ran = mpool(d, "map", "-k", "math.square", input="\n".join(map(str, range(20000))))
    assert ran.code == 0 and ran.lines == [str(n * n) for n in range(20000)]
    ran = mpool(d, "map", "-k", "-j", "3", "math.square", input="\n".join(map(str, range(500))))
    assert ran.lines == [str(n * n) for n in range(500)]
    assert mpool(d, "map", "math.square", ":::").code == 0
    assert mpool(d, "map", "-0", "-k", "--strings", "sys.echo", input="a\nb\0" "7").out == "a\nb\n7\n"
    assert mpool(d, "map", "--args-json", "math.add", input="[2, 3]").out == "5\n"


@test()
def map_goes_on_after_a_failure_and_counts_it(d):
    ran = mpool(d, "map", "-k", "math.square", ":::", 1, "x", 3)
    assert ran.code == 1 and ran.lines == ["1", "9"] and "mpool: item 2 (x): E_BAD_ARGS" in ran.err, ran
    ran = mpool(d, "map", "-j", "1", "sys.crash", ":::", 11)
    assert ran.code == 1 and "item 1 (11): E_LOST" in ran.err, ran
    ran = mpool(d, "map", "-t", "100ms", "sys.sleep", ":::", 0, 600)
    assert ran.code == 1 and "item 2 (600): E_TIMEOUT" in ran.err, ran


@test()
def map_adds_up_what_wc_adds_up(d):
    found = subprocess.run(["find", "/usr/include", "-maxdepth", "1", "-name", "*.h", "-print0"], capture_output=True, check=True)
    ran = mpool(d, "map", "-0", "--sum", "text.wordcount", input=found.stdout)
    counted = subprocess.run(["wc", "-w", "--files0-from=-"], input=found.stdout, capture_output=True, check=True,
                             env=environment(None, LC_ALL="C"))
    total = int(counted.stdout.splitlines()[-1].split()[0])
    assert ran.code == 0 and int(ran.out) == total > 0, (ran, total)


@test()
def map_runs_commands_with_items_quoted(d):
    odd = ["a b", "it's", '"x"', "$HOME", "; exit 9", "*", "-n", "\\", "new\nline", ""]
    ran = mpool(d, "map", "-k", "--exec", "printf '%s|' {} {#}", ":::", *odd)
    assert ran.code == 0 and ran.out == "".join(f"{x}|{n}|" for n, x in enumerate(odd, 1)), ran
    ran = mpool(d, "map", "-k", "--exec", "echo", ":::", "a b", "c")
    assert ran.out == "a b\nc\n", ran
    ran = mpool(d, "map", "-k", "--exec", "echo o{}; echo e{} >&2; exit {}", ":::", 0, 3)
    assert ran.code == 1 and ran.out == "o0\no3\n" and ran.err == "e0\ne3\nmpool: item 2 (3): exit status 3\n", ran
    ran = mpool(d, "map", "--json", "--exec", "echo {}; kill -9 $$", ":::", "x")
    said = json.loads(ran.out)
    assert ran.code == 1 and said["result"]["signal"] == 9 and said["result"]["stdout"] == "x\n", ran


@test()
def jobs_bounds_what_runs_at_a_time(d):
    ran = mpool(d, "map", "-j", "1", "--exec", "mkdir alone && rmdir alone # {}", ":::", *range(20), cwd=d.home)
    assert ran.code == 0 and not ran.err, ran


@test()
def halt_gives_up_at_a_failure(d):
    items = ["false"] + ["sleep 600"] * 50
    for halt in ("now", "now,fail=1"):
        ran = mpool(d, "map", "--halt", halt, "--exec", "eval", ":::", *items)
        assert ran.code == 1 and "halted after 1 failed" in ran.err, ran
    ran = mpool(d, "map", "--halt", "soon,fail=2", "-j", "1", "-k", "--exec", "echo {}; false", ":::", *range(50))
    assert ran.code == len(ran.lines) and 2 <= ran.code < 10, ran


@test()
def a_new_module_builds_and_is_found_good(d):
    ran = mpool(d, "module", "new", "fresh", cwd=d.home, env={"MPOOLD": MPOOLD})
    assert ran.code == 0, ran
    include = os.path.join(ROOT, "daemon", "modules", "include")
    command = ["cc", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-I", include, "-o", "fresh.so", "fresh.c"]
    subprocess.run(command, cwd=d.home, check=True)
    ran = mpool(d, "module", "check", "./fresh.so", cwd=d.home, env={"MPOOLD": MPOOLD})
    assert ran.code == 0 and "fresh." in ran.out, ran
    assert json.loads(mpool(d, "--json", "module", "check", "./fresh.so", cwd=d.home, env={"MPOOLD": MPOOLD}).out)["ok"]
    assert mpool(d, "module", "check", "./none.so", cwd=d.home, env={"MPOOLD": MPOOLD}).code == 2
    assert mpool(d, "module", "new", "Not-a-name", cwd=d.home, env={"MPOOLD": MPOOLD}).code == 125
    assert mpool(d, "module", "check", "none", cwd=d.home, env={"MPOOLD": MPOOLD}).code == 1


@test()
def a_signal_stops_a_map(d):
    path = os.path.join(d.home, "pid")
    process = start(d, "map", "--exec", f"echo $$ > {path}.new; mv {path}.new {path}; exec sleep {{}}", ":::", *[600] * 20)
    pid = read_pid(path)
    process.send_signal(signal.SIGINT)
    ran = end(process)
    assert ran.code == 130 and not ran.out, ran
    until(lambda: not alive(pid), "what ran has ended")
    process = start(d, "map", "math.square", stdin=subprocess.PIPE)
    process.stdin.write(b"5\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"25\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == -signal.SIGTERM
    process.communicate()


@test()
def a_map_hears_of_the_daemons_end(d):
    path = os.path.join(d.home, "pid")
    process = start(d, "map", "--exec", f"echo $$ > {path}.new; mv {path}.new {path}; exec sleep {{}}", ":::", *[600] * 20)
    read_pid(path)
    d.kill()
    ran = end(process)
    assert ran.code == 125 and "closed the connection" in ran.err and "no answer" in ran.err, ran


@test()
def a_million_items_need_no_memory_to_speak_of(d):
    process = subprocess.Popen(["sh", "-c", f"seq 1000000 | {MPOOL} map --sum math.square"], stdout=subprocess.PIPE,
                               env=environment(d.path))
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert int(out) == sum(n * n for n in range(1000001)), out
    if "SAN_OPTIONS" not in " ".join(os.environ) and os.environ.get("MPOOL_TEST_SLOW", "1") == "1":
        assert usage.ru_maxrss < 96 << 10, f"{usage.ru_maxrss} KiB"


@test()
def the_bar_moves_on_a_terminal_and_leaves_nothing_behind(d):
    terminal = Terminal(d, "map", "--bar", "-k", "sys.sleep", ":::", *[0.3] * 6)
    terminal.wait_for(r"\d/6")
    code, _ = terminal.end()
    assert code == 0 and terminal.screen.splitlines() == ["null"] * 6, terminal.screen
    for words in (["map", "--no-bar", "sys.sleep", ":::", "0.3"], ["-q", "map", "--bar", "sys.sleep", ":::", "0.3"],
                  ["map", "sys.sleep", ":::", "0.3"]):
        _, text = Terminal(d, *words).end()
        assert text == "null\r\n", (words, text)
    assert mpool(d, "map", "--bar", "sys.sleep", ":::", "0.3").err == ""


@test()
def control_c_on_the_terminal_stops_a_map(d):
    terminal = Terminal(d, "map", "--bar", "sys.sleep", ":::", *[600] * 4)
    terminal.wait_for(r"0/4")
    terminal.type(b"\x03")
    code, text = terminal.end()
    assert code == 130 and "stopping what runs" in text, text


if __name__ == "__main__":
    main()
