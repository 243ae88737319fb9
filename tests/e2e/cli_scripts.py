"""mpool in other people's scripts: items in commands, what a status says, commands as if they ran here.

The tests run in test_cli.py.
"""
import json
import os
import re
import signal
import socket
import subprocess

from cli_tools import Terminal, end, environment, mpool, start
from harness import MPOOL, MPOOLD, test, until

# ---- items in commands ---------------------------------------------------------------------------------------------------

# Places where an item arrives as it is: it is the only argument of printf, or all that is printed.
TAKEN = ["printf %s {}", 'printf %s "{}"', "printf %s ''{}\"\"", "printf %s", "printf '%s'", 'printf "%s" {} # {}', "true; printf %s {}",
         '(printf %s {})', 'printf %s "$(printf %s. {})" | sed \'$s/[.]$//\'', 'printf %s "`printf %s. "$MPOOL_ITEM"`" | sed \'$s/[.]$//\'',
         "f() { printf %s {}; }; f other", "set -- other; printf %s {}", "printf %s {} # it's a \" comment", "\\printf %s {}",
         'x={}; printf %s "$x"', "if true; then\n  printf %s {}\nfi", 'case {} in {}) printf %s {};; esac', "printf %s \"$MPOOL_ITEM\"",
         'sh -c \'printf %s "$1"\' sh {}', 'sh -c \'printf %s "$MPOOL_ITEM"\'', "env printf %s {}", 'eval \'printf %s "$MPOOL_ITEM"\'']
# Places where it would not.
REFUSED = ["echo '{}'", "echo 'a {} b'", 'echo "a {} b"', 'echo "$(echo "a {}")"', 'echo "$x{}"', "echo `echo {}`", "sh -c 'echo {}'",
           'sh -c "echo {}"', 'sh -c "ls;{}"', "cat <<X\n{}\nX", "cat <<'X'\n{}\nX", "cat <<X\na\nX\n", "cat <<{}\na\n", "echo $(({}))", "echo $((1 + {}))",
           "((x={}))", "echo ${x:-{}}", "echo \"${x:-'{}'}\"", "echo 'open", 'echo "open', "echo $(open", "echo '{.}'", 'echo "a {/}"',
           "echo {1}", 'echo "x{2}"', "convert {1} {1.}.png", "echo {%}", "echo {-1}"]
ODD = ["plain", "a b", "it's", '"', "'", "$(touch pwned)", "`touch pwned`", "'; touch pwned; '", '"; touch pwned; "', "\ntouch pwned\n#", "\\", "\\'; touch pwned #",
       "*", "$HOME", "-n", "", "X\ntouch pwned", "a[$(touch pwned)]", "}; touch pwned", "\udcff\udcfe", "%s%n"]


@test()
def an_item_is_one_word_and_never_executed_whatever_stands_around_it(d):
    shells = os.path.join(d.home, "shells")
    os.mkdir(shells)
    os.symlink("/bin/bash", os.path.join(shells, "sh"))
    dash, bash = os.environ["PATH"], f"{shells}:{os.environ['PATH']}"
    for path, commands in ((dash, TAKEN), (bash, TAKEN[::4])):
        for n, command in enumerate(commands):
            items = ODD if n < 2 else ODD[n % 4::4]
            ran = mpool(d, "map", "-k", "-e", f"PATH={path}", "-x", command, ":::", *items, cwd=d.home)
            assert ran.code == 0 and ran.out == "".join(items) and not ran.err, (command, ran)
    for command in REFUSED:
        ran = mpool(d, "map", "-x", command, ":::", *ODD, cwd=d.home)
        assert ran.code == 125 and not ran.out and ran.err.startswith("mpool: map --exec: ") and ran.err.count("\n") == 1, (command, ran)
    assert os.listdir(d.home).count("pwned") == 0


@test()
def what_is_refused_within_quotes_says_how_to_write_it(d):
    for command, said in (('echo "say {}"', 'as in "some text "{}'), ("echo 'say {}'", "as in 'some text '{}"), ("cat <<X\n{}\nX", "write $MPOOL_ITEM there"),
                          ("echo `echo {}`", "write $(…) instead"), ("echo {1}", "{1} is not known")):
        ran = mpool(d, "map", "-x", command, ":::", "x")
        assert ran.code == 125 and said in ran.err, (command, ran)
    ran = mpool(d, "map", "-x", 'echo "say "{}; cat <<X\n$MPOOL_ITEM\nX\n: ', ":::", "x")
    assert ran.code == 0 and ran.out == "say x\nx\n", ran


@test()
def parts_of_an_item_have_places(d):
    items = {"dir.d/pic.tar.gz": ("dir.d/pic.tar", "pic.tar.gz", "dir.d", "pic.tar"), "dir.d/pic": ("dir.d/pic", "pic", "dir.d", "pic"),
             ".profile": (".profile", ".profile", ".", ".profile"), "/etc": ("/etc", "etc", "/", "etc"), "a/.b.c": ("a/.b", ".b.c", "a", ".b"),
             "": ("", "", ".", ""), "a/": ("a/", "", "a", ""), "$(x).'y'": ("$(x)", "$(x).'y'", ".", "$(x)")}
    ran = mpool(d, "map", "-k", "-x", "printf '%s|' {.} {/} {//} {/.} {#} 'no {#} {3}'", ":::", *items)
    want = "".join("|".join((*parts, str(n), f"no {n} {{3}}", "")) for n, parts in enumerate(items.values(), 1))
    assert ran.code == 0 and ran.out == want, (ran, want)
    ran = mpool(d, "map", "-x", "touch {}; mv {} {.}.new", ":::", "a.txt", cwd=d.home)
    assert ran.code == 0 and os.path.exists(os.path.join(d.home, "a.new")), ran
    # braces that are the shell's own, and an environment in which another map's item stands
    ran = mpool(d, "map", "-E", "-x", "echo \\{} {} ${MPOOL_ITEM#a}", ":::", "ab", env={"MPOOL_ITEM": "other"})
    assert ran.code == 0 and ran.out == "{} ab b\n", ran


@test()
def a_second_list_of_items_is_refused(d):
    for words in (["sys.echo", ":::", "a", ":::", "b"], ["-x", "echo {}", ":::", "a", ":::+", "b"], ["sys.echo", ":::", "a", "::::", "file"]):
        ran = mpool(d, "map", *words)
        assert ran.code == 125 and not ran.out and "one list of items" in ran.err, (words, ran)
    assert mpool(d, "map", "sys.echo", input=":::\n").out == ":::\n"


# ---- status and state ----------------------------------------------------------------------------------------------------


@test()
def wait_ends_as_run_would_for_a_submitted_command(d):
    for command, status, said in (("exit 0", 0, ""), ("exit 3", 3, "exit status 3"), ("kill -9 $$", 137, "killed by signal 9"),
                                  ('["./none"]', 127, "exit status 127"), ('["/etc/passwd"]', 126, "exit status 126")):
        task = mpool(d, "submit", "exec.run", command).out.strip()
        ran = mpool(d, "wait", task)
        assert ran.code == status and (said in ran.err if said else not ran.err), (command, ran)
        ran = mpool(d, "wait", "--json", task)
        assert ran.code == status and json.loads(ran.out)["state"] == "done" and not ran.err, (command, ran)
        ran = mpool(d, "spawn", "--join", "exec.run", command)
        assert ran.code == status and said in ran.err, (command, ran)
    slow = mpool(d, "submit", "-t", "100ms", "sys.sleep", "600").out.strip()
    assert mpool(d, "wait", slow).code == 124
    late = mpool(d, "submit", "exec.run", '["sleep", "600"]', '{"timeout": 0.1}').out.strip()
    ran = mpool(d, "wait", late)
    assert ran.code == 124 and "ran for too long" in ran.err, ran
    # of several, mpool's own failure, then a time-out, then the first that failed
    good, three, four = (mpool(d, "submit", "exec.run", f"exit {n}").out.strip() for n in (0, 3, 4))
    for tasks, status in (((good, good), 0), ((good, four, three), 4), ((three, late, four), 124), ((three, late, "1"), 125), (("1", late), 125)):
        assert mpool(d, "wait", *tasks).code == status, tasks


@test(workers="1")
def a_map_whose_items_run_is_running_and_not_queued(d):
    """The state that is shown and the one that is asked for are the same, and `cancel $(ls --state queued)` hits none that runs."""
    gate = os.path.join(d.home, "gate")
    os.mkfifo(gate)
    process = start(d, "map", "-k", "-j", "2", "--exec", f"echo >> started; read x < {gate}; echo {{}}", ":::", "a", "b", cwd=d.home)
    until(lambda: os.path.exists(os.path.join(d.home, "started")), "the first item runs")
    shown = {row["id"]: row["state"] for row in json.loads(mpool(d, "ls", "--json").out)}
    assert "running" in shown.values(), shown
    for state in ("queued", "placed", "running"):
        assert {int(i) for i in mpool(d, "ls", "--ids", "--state", state).lines} == {i for i, s in shown.items() if s == state}, (state, shown)
    for task in mpool(d, "ls", "--ids", "--state", "queued").lines:
        mpool(d, "cancel", task)
    opened = os.open(gate, os.O_WRONLY)
    os.write(opened, b"go\n" * 2)
    ran = end(process)
    os.close(opened)
    assert ran.lines[:1] == ["a"] and "a)" not in ran.err, ran


@test()
def what_a_command_wrote_before_its_time_out_is_shown(d):
    command = "echo out{}; echo err{} >&2; exec sleep 600"
    ran = mpool(d, "map", "-k", "-t", "300ms", "--exec", command, ":::", 1, 2)
    assert ran.code == 2 and ran.out == "out1\nout2\n" and "err1\n" in ran.err and "err2\n" in ran.err, ran
    assert ran.err.count("it ran for too long and was stopped") == 2, ran
    ran = mpool(d, "map", "--json", "-t", "300ms", "--exec", command, ":::", 1)
    said = json.loads(ran.out)["result"]
    assert ran.code == 1 and said["timed_out"] and said["stdout"] == "out1\n", ran


@test()
def a_cut_of_a_commands_output_is_always_said(d):
    big = "head -c 70000 /dev/zero | tr '\\0' x"
    for command, status in ((big, None), (f"{big}; exit 7", "exit status 7"), (f"{big}; kill -15 $$", "killed by signal 15")):
        ran = mpool(d, "map", "--max-output", 1000, "--exec", f"{command} #", ":::", 1)
        assert ran.code == 1 and ran.out == "x" * 1000 and "--max-output" in ran.err and (not status or status in ran.err), (command, ran)
    ran = mpool(d, "map", "--max-output", 70000, "--exec", f"{big} #", ":::", 1)
    assert ran.code == 0 and len(ran.out) == 70000 and not ran.err, ran.err
    assert mpool(d, "map", "--max-output", 5, "math.square", ":::", 1).code == 125


@test()
def what_cannot_be_as_it_was_asked_for_is_said(d):
    ran = mpool(d, "map", "-k", "-j", 8, "math.square", ":::", 3)
    assert ran.code == 0 and ran.out == "9\n" and ran.err == "mpool: 2 at a time, not 8: pool 'default' has no more workers\n", ran
    for words in (["-j", 2], ["-q", "-j", 8], ["-j", 2, "-p", "default"]):
        ran = mpool(d, "map", *words, "math.square", ":::", 3)
        assert ran.code == 0 and not ran.err, (words, ran)
    assert "not 3" in mpool(d, "map", "-j", 3, "--exec", "echo", ":::", 3).err
    assert mpool(d, "sem", "s", "-n", 2, "true").code == 0
    ran = mpool(d, "sem", "s", "-n", 4, "--", "touch", "ran", cwd=d.home)
    assert ran.code == 125 and "was made with value 2, not 4" in ran.err and not os.path.exists(os.path.join(d.home, "ran")), ran
    assert mpool(d, "sem", "s", "-n", 2, "true").code == mpool(d, "sem", "s", "true").code == 0
    assert mpool(d, "queue", "put", "q", "--capacity", 3, 1).code == 0
    for words, said in ((["-c", 4], "made with capacity 3, not 4"), (["--at-least-once"], "made without --at-least-once"), (["--joinable"], "without --joinable")):
        ran = mpool(d, "queue", "put", "q", *words, 2)
        assert ran.code == 125 and said in ran.err, (words, ran)
    assert mpool(d, "queue", "put", "q", "--capacity", 3, 2).code == 0
    assert mpool(d, "queue", "get", "q", "-n", 2).out == "1\n2\n"


# ---- as if it ran here ---------------------------------------------------------------------------------------------------


def shell(d, script, program="sh", **more):
    """→ the standard output of a script in which `mpool` is ours. It must end with 0."""
    path = os.path.dirname(MPOOL) + ":" + os.environ["PATH"]
    ran = subprocess.run([program, "-c", script], capture_output=True, env=environment(d.path, PATH=path), timeout=60, text=True, cwd=d.home, **more)
    assert ran.returncode == 0, ran
    return ran.stdout


@test()
def a_commands_umask_is_that_of_here(d):
    for mask in ("077", "022", "002", "0777"):
        assert shell(d, f"umask {mask}; mpool run sh -c umask; mpool map -x 'umask; :' ::: x") == f"{int(mask, 8):04o}\n" * 2, mask
    assert shell(d, "umask 027; mpool run sh -c 'echo > made'; stat -c %a made") == "640\n"
    assert json.loads(mpool(d, "call", "exec.run", "umask").out)["stdout"] == "0022\n"


@test()
def outputs_that_go_to_one_place_keep_their_order(d):
    lines = "".join(f"out{n}\nerr{n}\n" for n in range(50))
    script = "for i in $(seq 0 49); do echo out$i; echo err$i >&2; done"
    assert shell(d, f"mpool run sh -c '{script}' 2>&1") == lines
    assert shell(d, f"mpool run sh -c '{script}' >both 2>&1; cat both") == lines
    assert shell(d, f"mpool map -x '{script} #' ::: a 2>&1") == lines
    terminal = Terminal(d, "run", "-n", "sh", "-c", script)
    assert terminal.end()[1].replace("\r", "") == lines
    ran = mpool(d, "run", "sh", "-c", script)
    assert ran.out + ran.err == "".join(f"out{n}\n" for n in range(50)) + "".join(f"err{n}\n" for n in range(50)), ran
    assert json.loads(shell(d, "mpool map --json -x 'echo out; echo err >&2; :' ::: a 2>&1"))["result"]["stderr"] == "err\n"


@test()
def standard_input_is_the_commands_own(d):
    """It comes as it is written, from whatever kind of file, and what the command does not read is left for the next one."""
    process = start(d, "run", "sh", "-c", "while read x; do echo got $x; done", stdin=subprocess.PIPE)
    for word in (b"one", b"two"):
        process.stdin.write(word + b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"got " + word + b"\n"
    ran = end(process)
    assert ran.code == 0 and not ran.out, ran
    assert shell(d, "seq 3 >lines; for i in 1 2 3; do mpool run -n echo $i; done <lines; { mpool run sh -c 'read x; echo first $x'; cat; } <lines") == "1\n2\n3\nfirst 1\n2\n3\n"
    assert shell(d, "mkfifo fifo; (echo through >fifo) & mpool run cat <fifo") == "through\n"
    assert shell(d, "mpool run cat </dev/null; mpool run -n cat <lines; head -c 1000000 /dev/zero | mpool run wc -c") == "1000000\n"
    assert shell(d, "exec 3<>fifo; echo kept >&3; mpool run head -n 1 <&3") == "kept\n"
    assert "Bad file descriptor" in mpool(d, "run", "cat", preexec_fn=lambda: os.close(0)).err
    ran = mpool(d, "run", "cat", stdin=os.open("/", os.O_RDONLY))
    assert ran.code == 125 and "Is a directory (-n leaves it alone)" in ran.err, ran
    # a writer learns that nobody reads any more
    assert shell(d, "yes | mpool run head -n 1; echo ${PIPESTATUS[0]}", "bash") == "y\n141\n"
    # a command that does not read does not keep anybody from ending
    assert shell(d, "mkfifo idle; exec 3<>idle; mpool run true <&3; mpool run sh -c 'echo $0' <&3") == "sh\n"
    # the next task's is empty again
    assert json.loads(mpool(d, "call", "exec.run", "cat").out)["stdout"] == ""


@test()
def what_is_typed_at_a_terminal_reaches_the_command(d):
    terminal = Terminal(d, "run", "sh", "-c", "while read x; do echo got-$x; done; echo over")
    terminal.type(b"one\n")
    terminal.wait_for("got-one")
    terminal.type(b"two\n")
    terminal.wait_for("got-two")
    terminal.type(b"\x04")
    code, text = terminal.end()
    assert code == 0 and text.endswith("over\r\n"), text
    left, right = socket.socketpair()
    process = start(d, "run", "cat", stdin=right)
    right.close()
    left.sendall(b"by a socket")
    assert process.stdout.read(11) == b"by a socket"
    left.close()
    assert end(process).code == 0


@test()
def mpool_ends_by_the_signal_that_ended_the_command(d):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGSEGV, signal.SIGKILL):
        for words in (["run", "-n"], ["lock", "l", "--"], ["sem", "s", "--"]):
            process = start(d, *words, "sh", "-c", f"kill -{int(number)} $$", cwd=d.home)
            process.communicate()
            assert process.returncode == -number, (number, words, process.returncode)
    process = start(d, "run", "sleep", "600")
    d.wait_worker(state="busy")
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == -signal.SIGINT
    process = start(d, "map", "sys.sleep", ":::", 600)
    d.wait_worker(state="busy")
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == -signal.SIGTERM
    # so Ctrl-C ends a shell's loop, and make
    with open(os.path.join(d.home, "Makefile"), "w") as f:
        f.write("all: a b\na b:\n\t@echo begin-$@; mpool run sh -c 'echo up-$@; exec sleep 600'\n")
    path = os.path.dirname(MPOOL) + ":" + os.environ["PATH"]
    for words in (["bash", "-c", "for i in a b; do mpool run sh -c \"echo up-$i; exec sleep 600\"; done; echo beyond"], ["make", "-C", d.home]):
        terminal = Terminal(d, *words[1:], program=words[:1], env={"PATH": path})
        terminal.wait_for("up-a")
        terminal.type(b"\x03")
        code, text = terminal.end()
        assert code in (2, 130) and "up-b" not in text and "begin-b" not in text and "beyond" not in text, (code, text)


@test()
def a_command_gets_the_signal_that_mpool_got(d):
    report = "; ".join(f"trap 'echo {name}; exit 4' {name}" for name in ("INT", "QUIT", "TERM", "HUP"))
    command = f"{report}; echo > up.new; mv up.new up; while :; do read x < gate; done"
    os.mkfifo(os.path.join(d.home, "gate"))
    up = os.path.join(d.home, "up")

    def started():
        until(lambda: os.path.exists(up), "the command runs")
        os.unlink(up)

    for name in ("INT", "QUIT", "TERM", "HUP"):
        process = start(d, "run", "-n", "bash", "-c", command, cwd=d.home)
        started()
        process.send_signal(getattr(signal, "SIG" + name))
        ran = end(process)
        assert ran.code == 4 and ran.out == name + "\n", (name, ran)
        process = start(d, "run", "-n", "sh", "-c", "echo > up.new; mv up.new up; exec sleep 600", cwd=d.home)
        started()
        process.send_signal(getattr(signal, "SIG" + name))
        process.communicate()
        assert process.returncode == -getattr(signal, "SIG" + name), name
        # of a submitted one, its end is the result
        task = mpool(d, "submit", "exec.run", json.dumps(["bash", "-c", command]), json.dumps({"cwd": d.home})).out.strip()
        started()
        assert mpool(d, "cancel", "--signal", name, task).code == 0
        assert mpool(d, "wait", task).code == 4 and json.loads(mpool(d, "result", task).out)["stdout"] == name + "\n"
    # one that does not heed it is killed, and mpool ends as it was told
    process = start(d, "run", "-n", "bash", "-c", "trap '' INT; echo > up.new; mv up.new up; while :; do read x < gate; done", cwd=d.home)
    started()
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == -signal.SIGINT
    # a map's commands get it, too; a cancel that names none is a SIGTERM
    process = start(d, "map", "-x", command.replace("echo INT;", "echo INT > got;") + " #", ":::", "a", cwd=d.home)
    started()
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == -signal.SIGINT
    until(lambda: os.path.exists(os.path.join(d.home, "got")), "the map's command got it")
    task = mpool(d, "submit", "exec.run", json.dumps(["bash", "-c", command.replace("echo TERM;", "echo TERM > term;")]), json.dumps({"cwd": d.home})).out.strip()
    started()
    assert mpool(d, "cancel", task).code == 0 and mpool(d, "wait", task).code == 1
    assert os.path.exists(os.path.join(d.home, "term"))
    assert mpool(d, "cancel", "--signal", "KILL", task).code == 125
    c = d.client()
    for options in ({"signal": 9}, {"signal": "USR1"}, {"signal": 0}, {"signal": -1}, {"signal": 2**40}, {"signal": []}, {"other": 2}, 7):
        assert "E_BAD_PARAMS" in str(c.error("cancel", int(task), options)), options
    for options in ({}, [], None, {"signal": None}, {"signal": 2}, {"signal": "sigint"}):
        assert c.request("cancel", int(task), options) is False


@test()
def a_command_taken_for_a_function_is_answered_with_how_commands_run(d):
    ran = mpool(d, "map", "echo", ":::", 1)
    assert ran.code == 125 and "E_NO_FUNCTION" in ran.err and "mpool map --exec 'echo {}'" in ran.err, ran
    ran = mpool(d, "call", "ls")
    assert ran.code == 125 and "`mpool run ls`" in ran.err, ran


@test()
def items_of_a_queue_come_raw_when_asked(d):
    assert mpool(d, "queue", "put", "q", "a b", '{"x": "y"}', "7", "--strings", "it's").code == 0
    assert mpool(d, "queue", "get", "q", "-n", 2).out == '"a b"\n"{\\"x\\": \\"y\\"}"\n'
    assert mpool(d, "queue", "put", "q", '{"x": "y"}').code == 0
    assert mpool(d, "queue", "get", "q", "--raw", "-n", 3).out == '7\nit\'s\n{"x": "y"}\n'


# ---- JSON ----------------------------------------------------------------------------------------------------------------

# For each verb that takes --json: what it is run with, and how it ends. ID is a task's that has ended, PID a process's.
JSON = {
    "call": [("math.square 3", 0), ("sys.output hello --output", 0)], "map": [("math.square ::: 1 2", 0), ("math.square ::: 1 x", 1), ("--exec echo ::: 1 2", 0)],
    "submit": [("sys.noop", 0)], "spawn": [("sys.noop", 0), ("--join sys.output hello", 0), ("--join sys.fail no", 1), ('--join exec.run exit.3', 127)],
    "ps": [("", 0), ("--ids", 0)], "kill": [("PID", 0)], "wait": [("ID", 0), ("ID ID", 0)], "result": [("ID", 0)], "cancel": [("ID", 0), ("--signal INT ID ID", 0)],
    "forget": [("ID", 0)], "ls": [("", 0), ("--ids", 0), ("--state failed", 0)], "status": [("", 0), ("ID", 0)],
    "value": [("set v 3", 0), ("get v", 0), ("add v 1", 0), ("cas v 1 2", 1), ("cas v 4 5", 0), ("set f nan --type f64", 0), ("get f", 0)],
    "queue": [("put q 1 b --joinable", 0), ("get q -n 2", 0), ("join q", 0), ("stat q", 0), ("finish q", 0), ("put q 2", 1)],
    "objects": [("", 0), ("--names", 0)], "inspect": [("v", 0)], "remove": [("q f", 0)], "functions": [("", 0), ("--names", 0)], "pools": [("", 0), ("--names", 0)],
    "workers": [("", 0)], "pause": [("default text.wordcount", 0)], "resume": [("default text.wordcount", 0), ("default", 0)], "stats": [("", 0)], "ping": [("", 0), ("-c 3", 0)], "module": [("check ./none.so", 2)], "version": [("", 0)],
}


@test()
def every_verb_that_takes_json_prints_json(d):
    """The verbs come from the help: a new one is missed here until it has a row. One document, or one a line."""
    task, process = mpool(d, "submit", "sys.noop").out.strip(), mpool(d, "spawn", "sys.sleep", "600").out.strip()
    mpool(d, "wait", task)
    named = re.findall(r"^  (\w+) {2,}", mpool(None, "--help").out.partition("\nOptions of")[0], re.M)
    takes = [verb for verb in named if "--json" in mpool(None, verb, "--help").out]
    assert set(takes) == set(JSON), set(takes) ^ set(JSON)
    for verb in sorted(JSON, key=lambda verb: verb == "forget"):
        for words, status in JSON[verb]:
            words = [{"ID": task, "PID": process}.get(word, word) for word in words.split()]
            ran = mpool(d, "--json", verb, *words, env={"MPOOLD": MPOOLD})
            assert ran.code == status, (verb, words, ran)
            try:
                said = [json.loads(ran.out)]
            except ValueError:
                said = [json.loads(line) for line in ran.lines]
            assert said or status == 2 or "put" in words, (verb, words, ran)
    for verb in set(named) - set(takes):
        for words in (["--json", verb, "v", "true"], [verb, "--json", "true"]) + (([verb, "v", "--json", "true"],) if verb in ("lock", "sem") else ()):
            ran = mpool(d, *words)
            assert ran.code == 125 and not ran.out, (words, ran)
