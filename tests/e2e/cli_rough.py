"""What does mpool do when its surroundings are against it: a daemon that stops or dies, readers that do not read,
descriptors that are closed, words and variables that nobody should have written?

Each run ends with a sentence and a status, and at a signal at once, whatever it waits for.
"""
import contextlib
import json
import os
import signal
import subprocess
import threading

from cli_puppet import Puppet
from cli_tools import Ran, Terminal, end, environment, mpool, start
from harness import MPOOL, Skip, alive, test, until
from wire import PATIENCE, RpcError


@contextlib.contextmanager
def stopped(pid):
    """The process does nothing inside of this."""
    os.kill(pid, signal.SIGSTOP)
    until(lambda: open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] == "T", "it is stopped")
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def waits(pid):
    """Whether the process is in a system call that waits for a socket (a Python before its exec is not)."""
    numbers = {"x86_64": ("47", "299", "7", "271"), "aarch64": ("212", "243", "73")}.get(os.uname().machine)  # recvmsg, recvmmsg, poll, ppoll
    if numbers is None:
        raise Skip("the numbers of this machine's system calls are not known here")
    with open(f"/proc/{pid}/syscall") as f:
        return f.read().split()[0] in numbers


# ---- a daemon that stops ---------------------------------------------------------------------------------------------


@test(config="[daemon]\nmax_connections = 1\n")
def a_full_daemon_says_so_whatever_is_sent(d):
    keeper = d.client()
    assert keeper.request("ping") == "pong"
    for words, input in ((["ping"], None), (["call", "math.square", "3"], None), (["run", "wc", "-c"], bytes(8 << 20)),
                         (["map", "math.square"], b"1\n" * 1000000)):
        ran = mpool(d, *words, input=input)
        assert ran.code == 125 and "E_BUSY" in ran.err and "no daemon answers" not in ran.err, (words, ran)


@test()
def control_c_ends_every_verb_though_the_daemon_hangs(d):
    task = mpool(d, "submit", "sys.sleep", "600").out.strip()
    for words, again in ((["call", "sys.sleep", "600"], 0), (["wait", task], 0), (["result", "-t", "600", task], 0),
                         (["map", "sys.sleep", ":::", "600"], 1), (["run", "sleep", "600"], 1)):
        terminal = Terminal(d, *words)
        if words[0] in ("call", "map", "run"):
            until(lambda: [t for t in d.request("list") if t["attached"]], "its task is there")
        else:
            until(lambda: waits(terminal.pid), "it waits for an answer")  # noqa: B023
        with stopped(d.pid):
            terminal.type(b"\x03")
            if again:
                terminal.wait_for("again to leave")
                terminal.type(b"\x03")
            code, text = terminal.end()
            assert code == 130, (words, code, text)
    mpool(d, "cancel", task)
    d.settle(quiet=True)


@test()
def connecting_to_a_daemon_that_hangs_can_be_left(d):
    with stopped(d.pid):
        for words in (["ping"], ["run", "-n", "true"], ["map", "sys.noop", ":::", "1"]):
            process = start(d, *words)
            until(lambda: waits(process.pid), "it waits for the answer to hello")  # noqa: B023
            process.send_signal(signal.SIGINT)
            assert end(process).code == 130, words


@test(timeout=120)
def a_daemon_that_hangs_is_told_from_none(d):
    with stopped(d.pid):
        ran = mpool(d, "ping")
    assert ran.code == 125 and "no daemon answers: The wait timed out" in ran.err, ran
    assert f"tried {d.path}: somebody listens, but does not answer as mpoold" in ran.err, ran


@test()
def an_answer_is_waited_for_no_longer_than_call_timeout(d):
    holder = start(d, "lock", "l", "--", "cat", stdin=subprocess.PIPE)
    until(lambda: any(o["name"] == "l" for o in d.request("objects")) and d.request("inspect", "l")["held"] == 1, "the lock is held")
    for words, code in ((("call", "sys.sleep", "60"), 124), (("map", "sys.sleep", ":::", "60"), 124), (("run", "sleep", "60"), 124),
                        (("queue", "get", "q"), 124), (("lock", "l", "--", "true"), 1)):
        ran = mpool(d, words[0], "--call-timeout", "200ms", *words[1:])
        assert ran.code == code, (words, ran)
    with stopped(d.pid):
        for words in (("ping",), ("call", "sys.noop"), ("ls",), ("--call-timeout", "1", "stats")):
            ran = mpool(d, "--call-timeout", "100ms", *words)
            assert ran.code == 125 and "no daemon answers: The wait timed out" in ran.err, (words, ran)
    assert mpool(d, "call", "--call-timeout", "60s", "math.square", "7").out == "49\n"
    holder.stdin.close()
    assert holder.wait(60) == 0


@test(daemon=False)
def a_full_backlog_is_waited_for_but_not_for_ever(home):
    import socket

    path = os.path.join(home, "full")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(0)
    filler = []
    while True:
        s = socket.socket(socket.AF_UNIX)
        s.setblocking(False)
        filler.append(s)
        try:
            s.connect(path)
        except BlockingIOError:
            break
    ran = mpool(None, "--socket", path, "ping")
    assert ran.code == 125 and "takes no more connections" in ran.err, ran


# ---- a daemon that dies ----------------------------------------------------------------------------------------------


@test(workers="12")
def every_verb_that_waits_hears_of_the_daemons_death(d):
    task = mpool(d, "submit", "sys.sleep", "600").out.strip()
    waiting = {words: start(d, *words) for words in (
        ("call", "sys.sleep", "600"), ("run", "-n", "sleep", "600"), ("map", "sys.sleep", ":::", "600"), ("wait", task),
        ("result", "-t", "600", task), ("--json", "wait", task), ("map", "--exec", "sleep {}", ":::", "600"))}
    # these have nothing to wait for but their input
    idle = {words: start(d, *words, stdin=subprocess.PIPE) for words in (
        ("run", "cat"), ("map", "math.square"), ("map", "-k", "-x", "echo"))}
    for words, process in idle.items():
        if words[0] == "map":
            process.stdin.write(b"3\n")
            process.stdin.flush()
            assert process.stdout.readline() in (b"9\n", b"3\n"), words
    until(lambda: d.request("stats")["connections"] == 1 + len(waiting) + len(idle), "all are connected")
    until(lambda: len(d.workers(state="busy")) == 1 + 5, "all tasks run")
    d.kill()
    for words, process in (waiting | idle).items():
        out, err = process.stdout.read(), process.stderr.read()
        ran = Ran(process.wait(PATIENCE), out, err)
        assert ran.code == 125 and "closed the connection" in ran.err and not ran.out, (words, ran)
    for words in (["ping"], ["ls"], ["status"], ["functions"], ["call", "sys.noop"], ["run", "true"], ["map", "sys.noop"]):
        ran = mpool(d, *words)
        assert ran.code == 125 and "no daemon answers" in ran.err and not ran.out, (words, ran)


@test()
def a_worker_killed_in_the_middle_of_a_map_costs_one_item(d):
    terminal = Terminal(d, "map", "--bar", "-j", "2", "sys.sleep", ":::", "600", *["0.05"] * 60)
    terminal.wait_for(r" 1\d/61")
    os.kill(max(d.workers(state="busy"), key=lambda w: w["since_ms"])["pid"], signal.SIGKILL)
    terminal.wait_for("1 failed")
    code, _ = terminal.end()
    lines = terminal.screen.split("\n")
    assert code == 1 and lines.count("null") == 60, terminal.screen
    assert sum("E_LOST: worker" in line for line in lines) == 1, terminal.screen


@test()
def a_map_that_nobody_can_serve_ends_with_one_sentence(d):
    numbers = "\n".join(map(str, range(100000)))
    for words, said in ((["math.sqaure"], "E_NO_FUNCTION: there is no function 'math.sqaure'; did you mean 'math.square'?"),
                        (["-p", "none", "math.square"], "E_NO_POOL: ")):
        for more in ([], ["--json"], ["--sum"], ["-k"]):
            ran = mpool(d, "map", *more, *words, input=numbers)
            assert ran.code == 125 and ran.err.startswith(f"mpool: {said}") and ran.err.count("\n") == 1, (words, more, ran)
            assert not ran.out, (words, more, ran)
    ran = mpool(d, "map", "math.square", "1", "2")
    assert ran.code == 125 and "items stand behind \":::\", as in `mpool map math.square ::: 1 …`" in ran.err, ran


@test()
def a_map_goes_no_further_when_the_daemon_stops(d):
    process = start(d, "map", "-j", "2", "sys.sleep", stdin=subprocess.PIPE)
    for _ in range(4):
        process.stdin.write(b"0.1\n")
        process.stdin.flush()
    assert process.stdout.readline() == b"null\n"
    stopping = threading.Thread(target=d.stop)
    stopping.start()
    with contextlib.suppress(BrokenPipeError):
        while process.poll() is None:
            process.stdin.write(b"0.1\n")
            process.stdin.flush()
    ran = end(process)
    stopping.join()
    assert ran.code == 125 and ("E_STOPPING" in ran.err or "closed the connection" in ran.err), ran


# ---- readers that do not read ----------------------------------------------------------------------------------------


@test()
def a_reader_that_does_not_read_keeps_nobody_from_leaving(d):
    for words in (["run", "-n", "yes"], ["map", "sys.echo", ":::", "x" * 100000]):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            process = start(d, *words)
            until(lambda: full(process.stdout), "the pipe is full")  # noqa: B023
            process.send_signal(number)
            assert process.wait(PATIENCE) == -number, (words, number)
            process.stdout.close()
            process.stderr.close()


def full(pipe):
    import fcntl
    import struct
    import termios

    held = struct.unpack("i", fcntl.ioctl(pipe.fileno(), termios.FIONREAD, b"\0" * 4))[0]
    return held > (60 << 10)


# ---- descriptors that are closed or odd ------------------------------------------------------------------------------


@test()
def closed_descriptors_are_not_taken_for_the_connections(d):
    def shell(text):
        ran = subprocess.run(["sh", "-c", text.replace("mpool", MPOOL)], capture_output=True, env=environment(d.path), timeout=PATIENCE)
        return Ran(ran.returncode, ran.stdout, ran.stderr)

    ran = shell("mpool map sys.echo <&-")
    assert ran.code == 125 and ran.err == "mpool: cannot read standard input: Bad file descriptor\n", ran
    ran = shell("mpool call sys.echo --stdin <&-")
    assert ran.code == 125 and "cannot read standard input: Bad file descriptor" in ran.err, ran
    ran = shell("mpool run cat <&-")
    assert ran.code == 1 and not ran.out and ran.err == "cat: -: Bad file descriptor\n", ran
    for words in ("map sys.echo ::: 1", "call sys.echo 1", "run echo 1", "status", "--version", "--help"):
        ran = shell(f"mpool {words} >&-")
        assert ran.code == 125 and ran.err == "mpool: cannot write to standard output: Bad file descriptor\n", (words, ran)
    for words, code in (("call sys.noop", 125), ("call sys.nop", 125), ("run true", 0), ("map math.square ::: x", 1)):
        assert shell(f"mpool {words} <&- >&- 2>&-").code == code, words
    ran = shell("mpool map sys.echo < /")
    assert ran.code == 125 and ran.err == "mpool: cannot read standard input: Is a directory\n", ran


@test()
def a_full_disk_ends_run_and_map(d):
    with open("/dev/full", "wb") as nothing:
        for words in (["run", "echo", "1"], ["map", "sys.echo", ":::", "1"], ["map", "-x", "echo", ":::", "1"], ["ls", "--json"]):
            process = subprocess.Popen([MPOOL, *words], stdin=subprocess.DEVNULL, stdout=nothing, stderr=subprocess.PIPE,
                                       env=environment(d.path))
            _, err = process.communicate(timeout=PATIENCE)
            assert process.returncode == 125, words
            assert err == b"mpool: cannot write to standard output: No space left on device\n", (words, err)


@test()
def a_pipe_that_is_closed_ends_what_runs(d):
    path = os.path.join(d.home, "pid")
    script = f"{MPOOL} run -n sh -c 'echo $$ > {path}; exec yes' | head -n 1"
    ran = subprocess.run(["sh", "-c", script], capture_output=True, env=environment(d.path), timeout=PATIENCE)
    assert ran.stdout == b"y\n" and ran.stderr == b"", ran
    with open(path) as f:
        pid = int(f.read())
    until(lambda: not alive(pid), "the command has ended for want of a reader")


# ---- words and variables ---------------------------------------------------------------------------------------------


@test()
def a_hundred_thousand_arguments_are_taken(d):
    count = 100000
    numbers = [str(n) for n in range(count)]
    ran = mpool(d, "map", "-k", "math.square", ":::", *numbers)
    assert ran.code == 0 and ran.lines == [str(n * n) for n in range(count)]
    ran = mpool(d, "call", "math.add", *numbers)
    assert ran.code == 0 and int(ran.out) == sum(range(count)), ran
    ran = mpool(d, "run", "-n", "sh", "-c", "echo $#", "sh", *numbers)
    assert ran.code == 0 and ran.out == f"{count}\n", (ran.code, ran.err)


@test()
def names_that_are_no_text_are_answered(d):
    odd = os.fsdecode(b"\xff\xfe\x1b[2J")
    for words, said in ((["call", odd], "E_NO_FUNCTION"), (["call", "sys.noop", "-p", odd], "E_NO_POOL"), (["status", odd], "not a task id"),
                        ([odd], "there is no verb"), (["--" + odd], "there is no option"), (["-S", odd, "ping"], "No such file"),
                        (["help", odd], "there is no verb"), (["-S", "", "ping"], "--socket is empty"), (["call", ""], "No function"),
                        (["call", "x" * 100000], "E_"), (["map", "x" * 100000, ":::", "1"], "E_")):
        ran = mpool(d, *words)
        assert ran.code in (1, 125) and said in ran.err and "\033" not in ran.err and "\udcff" not in ran.err, (words, ran)
    ran = mpool(d, "run", "-n", odd)
    assert ran.code == 127, ran
    ran = mpool(d, "call", "sys.noop", "--name", odd)
    assert ran.code == 0, ran
    directory = os.path.join(d.home, odd)
    os.mkdir(directory)
    ran = mpool(d, "run", "-n", "-e", f"A={odd}", "sh", "-c", 'echo "$A"; pwd', cwd=directory)
    assert ran.out == f"{odd}\n{directory}\n", ran
    ran = mpool(d, "map", "-x", "printf '%s' {}", ":::", odd)
    assert ran.out == odd and ran.code == 0, ran


@test()
def an_item_that_cannot_be_sent_fails_alone(d):
    ran = mpool(d, "map", "-k", "sys.echo", ":::", "1", "9" * 30, "3")
    assert ran.code == 1 and ran.lines == ["1", "3"], ran
    assert ran.err.startswith(f"mpool: item 2 ({'9' * 30}): too big integer") and ran.err.count("\n") == 1, ran
    ran = mpool(d, "map", "-k", "--args-json", "math.add", input="[1, 2]\n{\n[3, 4]\n7\n")
    assert ran.code == 2 and ran.lines == ["3", "7"] and "item 2 ({): not a JSON array" in ran.err, ran
    ran = mpool(d, "map", "-k", "--exec", "echo", input=b"a\0b\nc\n")
    assert ran.code == 1 and ran.out == "c\n" and "item 1 (a\\x00b): it holds a NUL byte" in ran.err, ran
    ran = mpool(d, "map", "-k", "--json", "--exec", "echo", input=b"a\0b\nc\n")
    first, second = map(json.loads, ran.lines)
    assert ran.code == 1 and first["item"] == "a\0b" and "NUL" in first["error"] and second["result"]["stdout"] == "c\n", ran
    ran = mpool(d, "map", "-k", "sys.echo", ":::", "1", "[" * 3000 + "]" * 3000, "[" * 100 + "]" * 100, "3")
    assert ran.code == 2 and ran.lines == ["1", "3"] and "item 2 ([" in ran.err and "item 3 ([" in ran.err, ran
    assert ran.err.count("nested") == 2, ran
    ran = mpool(d, "map", "-k", "sys.echo", input=b"a\0b\nc")
    assert ran.code == 0 and ran.out == "a\0b\nc\n", ran


@test()
def absurd_variables_are_survived(d):
    for env, said in (({"MPOOL_SOCKET": "/" + "x" * 5000}, "longer than any path"), ({"MPOOL_SOCKET": "x" * 200}, "File name too long"),
                      ({"MPOOL_SOCKET": "\n\033[2J"}, "no daemon answers"), ({"MPOOL_SOCKET": "", "XDG_RUNTIME_DIR": ""}, "no daemon answers"),
                      ({"MPOOL_SOCKET": "/", "XDG_RUNTIME_DIR": "x"}, "tried /:")):
        ran = mpool(None, "ping", env=env)
        assert ran.code == 125 and said in ran.err and "\033" not in ran.err, (env, ran)
    for env in ({"COLUMNS": "1"}, {"COLUMNS": "0"}, {"COLUMNS": "-5"}, {"COLUMNS": "9" * 40}, {"COLUMNS": ""}, {"LC_ALL": "xx_YY"},
                {"TERM": ""}, {"TERM": "dumb"}, {"NO_COLOR": "1"}, {"LANG": "", "LC_ALL": "C"}):
        for words in (["functions"], ["--help"], ["map", "--help"], ["ls"]):
            assert mpool(d, *words, env=env).code == 0, (env, words)
    for columns in (1, 2, 20, 10000):
        for words in (["functions"], ["map", "--help"], ["status"], []):
            code, _ = Terminal(d, *words, columns=columns).end()
            assert code == (0 if words else 125), (columns, words)
        code, text = Terminal(d, "map", "--bar", "sys.sleep", ":::", *["0.1"] * 6, columns=columns).end()
        assert code == 0 and text.count("null") == 6, (columns, text)
    for env in ({"TERM": "dumb"}, {"TERM": ""}):
        _, text = Terminal(d, "map", "--bar", "sys.sleep", ":::", "0.3", env=env).end()
        assert text == "null\r\n", text


@test(daemon=False)
def text_of_others_cannot_drive_the_terminal_by_c1_either(home):
    def fail(*_):
        raise RpcError(0, "E_FAILED: \u009b2J and \u00a0 more")

    ran = mpool(Puppet(home, call=fail), "call", "m.f")
    assert ran.err == "mpool: E_FAILED: \\xc2\\x9b2J and \u00a0 more\n", ran
    os.unlink(os.path.join(home, "puppet.sock"))
    ran = mpool(Puppet(home, call=lambda *_: "\u009b2J"), "call", "m.f")
    assert ran.out == '"\\u009b2J"\n', ran


# ---- input that comes as it likes ------------------------------------------------------------------------------------


@test()
def the_bar_knows_the_total_of_what_has_been_piped_in(d):
    script = f"for i in $(seq 20); do echo 0.1; done | {MPOOL} map --bar sys.sleep"
    terminal = Terminal(d, program=["sh", "-c", script])
    terminal.wait_for(r" \d+/20 ")
    code, _ = terminal.end()
    assert code == 0 and terminal.screen.split() == ["null"] * 20, terminal.screen


@test()
def a_writer_that_pauses_behind_a_bar_is_not_forgotten(d):
    read, write = os.pipe()
    terminal = Terminal(d, "map", "--bar", "-k", "math.square", stdin=read)
    os.close(read)
    for n in range(5):
        os.write(write, f"{n}\n".encode())
        terminal.wait_for(rf"(^|[\r\nK]){n * n}\r\n")
        terminal.wait_for(rf"{n + 1} done, {n + 1} read")
    threading.Thread(target=os.close, args=(write,)).start()
    code, _ = terminal.end()
    assert code == 0 and terminal.screen.split() == ["0", "1", "4", "9", "16"], terminal.screen
