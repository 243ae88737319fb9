"""mpool queue get --exec: commands that do the items of a queue.

The tests run in test_cli.py.
"""
import collections
import os
import signal

from cli_scripts import ODD, REFUSED, TAKEN
from cli_tools import Terminal, end, mpool, start
from harness import MPOOL, alive, descendants, test, until


def put(d, *items, name="q", options=("--at-least-once",)):
    assert mpool(d, "queue", "put", name, "--strings", *options, "--", *items).code == 0


def rest(d, name="q"):
    """What is still in the queue, from its front."""
    ran = mpool(d, "queue", "get", name, "-n", 512, "-t", 0, "--raw")
    return ran.lines


def read(path):
    """The words that a command has written to a file of that name, once it has."""
    until(lambda: os.path.exists(path), f"{os.path.basename(path)} is written")
    with open(path) as f:
        return f.read().split()


@test()
def a_command_has_its_item_as_its_standard_input(d):
    c = d.client()
    large = b"\x00\xff" * (5 << 20)
    queue = c.request("open", "queue", "q", {"at_least_once": True})["id"]
    for item, want in (("a b\n", b"a b\n"), ("", b""), (b"\x00\xff", b"\x00\xff"), (7, b"7"), ({"x": ["y", None]}, b'{"x": ["y", null]}'), (large, large)):
        c.request("put", queue, [item])
        ran = mpool(d, "queue", "get", "q", "--exec", "cat")
        assert ran.code == 0 and ran.raw == want and not ran.err, (item if item is not large else "large", ran.err)
    c.request("put", queue, ["a", "b"])
    assert mpool(d, "queue", "get", "q", "--json", "--exec", "cat").out == '"a"'
    ran = mpool(d, "queue", "get", "q", "-x", "sh", "-c", "wc -c; exit 0")
    assert ran.code == 0 and ran.out.strip() == "1", ran
    assert rest(d) == []


@test()
def an_item_whose_command_fails_goes_back_to_the_front(d):
    put(d, "a", "b")
    for command, status, said in ((["exit 5"], 5, ""), (["false"], 1, ""), (["no-such-command"], 127, "not found"), (["no-such-command", "x"], 127, "not found"),
                                  (["/etc/passwd"], 126, "ermission denied"), (["kill -TERM $$"], 143, ""), (["cat; kill -9 $$"], 137, "")):
        ran = mpool(d, "queue", "get", "q", "-n", 2, "--exec", *command)
        assert ran.code == status and said in ran.err and ran.out == ("a" if command[0].startswith("cat") else ""), (command, ran)
        ran = mpool(d, "queue", "get", "q", "-t", 0, "-x", "cat; exit 9")
        assert ran.code == 9 and ran.out == "a", (command, ran)
    assert mpool(d, "queue", "get", "q", "-n", 2, "--exec", "cat").out == "ab" and rest(d) == []


@test()
def an_item_enters_a_command_as_in_a_map_and_is_never_executed(d):
    items = [item for item in ODD if "\udcff" not in item]
    for n, command in enumerate([c for c in TAKEN if "{}" in c or "$MPOOL_ITEM" in c][::3]):
        some = items if n == 0 else items[n % 7::7]
        put(d, *some)
        ran = mpool(d, "queue", "get", "q", "-n", len(some), "--exec", command, cwd=d.home)
        assert ran.code == 0 and ran.out == "".join(some) and not ran.err, (command, ran)
    put(d, *items)
    ran = mpool(d, "queue", "get", "q", "-n", len(items), "-x", "printf", "%s|it's $HOME %s|", "{}", "x{.}.png", cwd=d.home)
    stems = [item if item in (".",) else os.path.splitext(item)[0] for item in items]
    assert ran.code == 0 and ran.out == "".join(f"{i}|it's $HOME x{s}.png|" for i, s in zip(items, stems)), ran
    put(d, "$(touch pwned)")
    for words in [[c] for c in REFUSED if "{" in c][::3] + [["sh", "-c", "echo {}"], ["sh", "-c", "ls;{.}"], ["echo", "{1} "]]:
        ran = mpool(d, "queue", "get", "q", "--exec", *words, cwd=d.home)
        assert ran.code == 125 and not ran.out and ran.err.startswith("mpool: queue get --exec: ") and ran.err.count("\n") == 1, (words, ran)
    ran = mpool(d, "queue", "get", "q", "--", "--exec")
    assert ran.code == 125
    assert rest(d) == ["$(touch pwned)"] and not os.path.exists(os.path.join(d.home, "pwned"))


@test()
def an_item_that_does_not_fit_into_a_command_is_refused_and_goes_back(d):
    c = d.client()
    queue = c.request("open", "queue", "q", {"at_least_once": True})["id"]
    for item in (b"a\x00b", "x" * (128 << 10)):
        c.request("put", queue, [item])
        ran = mpool(d, "queue", "get", "q", "--exec", "echo {}")
        assert ran.code == 125 and not ran.out and "where {} stands" in ran.err, ran
        ran = mpool(d, "queue", "get", "q", "--exec", 'wc -c; echo "[$MPOOL_ITEM_STEM]"', env={"MPOOL_ITEM": "other"})
        assert ran.code == 125 and "where {.} stands" in ran.err, ran
        ran = mpool(d, "queue", "get", "q", "--exec", "wc -c; env | grep -c ^MPOOL_ITE[M]= || :", env={"MPOOL_ITEM": "other"})
        assert ran.code == 0 and ran.out.split() == [str(len(item)), "0"], ran


@test()
def it_ends_as_get_does_where_there_is_no_item(d):
    put(d)
    ran = mpool(d, "queue", "get", "q", "-t", 0, "--exec", "touch ran", cwd=d.home)
    assert ran.code == 124 and "E_NOT_READY" in ran.err, ran
    put(d, "a", "b", "c", options=())
    ran = mpool(d, "queue", "get", "q", "-t", "50ms", "-n", 4, "--exec", "echo {#} {}")
    assert ran.code == 124 and ran.out == "1 a\n2 b\n3 c\n", ran
    put(d, "a", options=())
    assert mpool(d, "queue", "finish", "q").code == 0
    ran = mpool(d, "queue", "get", "q", "--follow", "--exec", "echo {}")
    assert ran.code == 0 and ran.out == "a\n" and not ran.err, ran
    assert mpool(d, "queue", "get", "q", "--exec", "touch ran", cwd=d.home).code == 1
    assert not os.path.exists(os.path.join(d.home, "ran"))
    for words in (["put", "q", "--exec", "cat"], ["stat", "q", "-x", "cat"], ["get", "q", "--exec"], ["get", "q", "--exec", "--"]):
        assert mpool(d, "queue", *words).code == 125, words


@test()
def consumers_share_a_queue_and_each_item_is_done_once(d):
    """One of them is killed again and again; what is done twice or not at all would show."""
    items = [f"item{n}" for n in range(40)]
    put(d, *items)
    assert mpool(d, "queue", "finish", "q").code == 0
    work = "sleep 0.02; echo {} >> done"
    steady = [start(d, "queue", "get", "q", "-f", "--exec", work, cwd=d.home) for _ in range(2)]
    for n in range(5):
        victim = start(d, "queue", "get", "q", "-f", "--exec", work, cwd=d.home)
        until(lambda: victim.poll() is not None or len(descendants(victim.pid)) > 1 + n % 2, "the victim works")
        victim.kill()
        end(victim)
    for process in steady:
        ran = end(process)
        assert ran.code == 0 and not ran.err, ran
    assert mpool(d, "queue", "get", "q", "-f", "--exec", work, cwd=d.home).code == 0
    done = collections.Counter(read(os.path.join(d.home, "done")))
    assert set(done) == set(items), set(items) - set(done)
    # Only a shell that is killed between its last word and its end has done an item that comes again.
    assert sum(done.values()) <= len(items) + 5, done


@test()
def a_killed_mpool_gives_the_item_back_when_its_command_has_ended(d):
    pids = os.path.join(d.home, "pids")
    os.mkfifo(os.path.join(d.home, "gate"))
    # A command of three generations, of which one is in a session of its own, and one has no parent any more.
    tree = "sleep 600 & echo $! > p; setsid sh -c 'sleep 601 & echo $$ $! >> p; wait' & sleep 602 & echo $$ $! >> p; until [ $(wc -w < p) = 5 ]; do sleep 0.01; done; mv p pids; wait"
    put(d, "a", "b")
    process = start(d, "queue", "get", "q", "--exec", tree, cwd=d.home)
    theirs = [int(pid) for pid in read(pids)]
    assert mpool(d, "queue", "get", "q", "-t", 0, "-x", "cat; exit 1").out == "b"
    process.kill()
    end(process)
    until(lambda: mpool(d, "queue", "get", "q", "-t", 0, "-x", "cat; exit 1").out == "a", "it is back, at the front")
    assert not any(alive(pid) for pid in theirs)
    # One that does not let itself be stopped keeps it, and may do it after all.
    process = start(d, "queue", "get", "q", "--exec", "trap '' TERM; echo $$ > pid.new; mv pid.new pid; read x < gate", cwd=d.home)
    pid, = map(int, read(os.path.join(d.home, "pid")))
    process.kill()
    assert mpool(d, "queue", "get", "q", "-t", 0, "-x", "cat; exit 1").out == "b" and alive(pid)
    with open(os.path.join(d.home, "gate"), "w") as f:
        f.write("go\n")
    end(process)
    until(lambda: not alive(pid), "it has ended")
    assert rest(d) == ["b"]


@test()
def a_killed_keeper_or_daemon_ends_the_command(d):
    put(d, "a")
    process = start(d, "queue", "get", "q", "--exec", "echo $$ > pid.new; mv pid.new pid; exec sleep 600", cwd=d.home)
    pid, = map(int, read(os.path.join(d.home, "pid")))
    keeper = [p for p, name in descendants(process.pid) if name == "mpool-keeper"]
    os.kill(keeper[0], signal.SIGKILL)
    ran = end(process)
    assert ran.code == 137 and "was killed" in ran.err, ran
    until(lambda: not alive(pid), "the command has ended")
    os.unlink(os.path.join(d.home, "pid"))
    process = start(d, "queue", "get", "q", "--exec", "echo $$ > pid.new; mv pid.new pid; exec sleep 600", cwd=d.home)
    pid, = map(int, read(os.path.join(d.home, "pid")))
    d.kill()
    ran = end(process)
    assert ran.code == 123 and "connection was lost" in ran.err and not alive(pid), ran


@test()
def what_a_failed_command_has_left_running_keeps_the_item(d):
    put(d, "a")
    os.mkfifo(os.path.join(d.home, "gate"))
    ran = mpool(d, "queue", "get", "q", "--exec", "(read x < gate) > /dev/null 2>&1 & exit 3", cwd=d.home)
    assert ran.code == 3, ran
    assert mpool(d, "queue", "get", "q", "-t", "100ms").code == 124
    with open(os.path.join(d.home, "gate"), "w") as f:
        f.write("go\n")
    assert mpool(d, "queue", "get", "q", "--raw").out == "a\n"
    # One that succeeded has done the item, whatever it has left.
    put(d, "b", "c")
    ran = mpool(d, "queue", "get", "q", "-n", 2, "--exec", "cat; (read x < gate) > /dev/null 2>&1 &", cwd=d.home)
    assert ran.code == 0 and ran.out == "bc" and rest(d) == [], ran
    with open(os.path.join(d.home, "gate"), "w") as f:
        f.write("go\ngo\n")


@test()
def signals_reach_the_command_and_end_mpool_as_they_ended_it(d):
    put(d, "a")
    os.mkfifo(os.path.join(d.home, "gate"))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        process = start(d, "queue", "get", "q", "-f", "--exec", "echo $$ > pid.new; mv pid.new pid; exec sleep 600", cwd=d.home)
        pid, = map(int, read(os.path.join(d.home, "pid")))
        os.unlink(os.path.join(d.home, "pid"))
        process.send_signal(number)
        ran = end(process)
        assert process.returncode == -number and not alive(pid) and not ran.err, (number, ran)
    # One that ends well after all has done its item; another is not begun, but mpool ends as it was told.
    put(d, "b")
    process = start(d, "queue", "get", "q", "-f", "--exec", "trap 'echo done; exit 0' TERM; echo > pid.new; mv pid.new pid; read x < gate", cwd=d.home)
    read(os.path.join(d.home, "pid"))
    process.send_signal(signal.SIGTERM)
    ran = end(process)
    assert process.returncode == -signal.SIGTERM and ran.out == "done\n", ran
    assert rest(d) == ["b"]


@test()
def control_c_ends_a_loop_of_consumers_and_gives_the_item_back(d):
    put(d, "a", "b")
    script = f"for i in 1 2 3; do {MPOOL} queue get q --exec 'cat; echo; exec sleep 600'; echo next; done"
    terminal = Terminal(d, "-c", script, program=("bash",))
    terminal.wait_for("a\r\n")
    terminal.type(b"\x03")
    code, text = terminal.end()
    assert code == 130 and "next" not in text, text
    assert rest(d) == ["a", "b"]


@test()
def an_item_of_an_at_most_once_queue_is_gone_and_that_is_said(d):
    put(d, "a", "b", "c", options=())
    ran = mpool(d, "queue", "get", "q", "--exec", "cat; exit 3")
    assert ran.code == 3 and ran.out == "a" and ran.err == "mpool: the item is gone: 'q' was made without --at-least-once\n", ran
    ran = mpool(d, "queue", "get", "q", "--exec", "cat")
    assert ran.code == 0 and ran.out == "b" and not ran.err, ran
    assert rest(d) == ["c"]
    # One that it makes itself is of the other kind; done items of a joinable queue are done.
    process = start(d, "queue", "get", "new", "--exec", "cat; exit 3")
    until(lambda: "new" in mpool(d, "objects", "--names").lines, "it is made")
    put(d, "a", name="new")
    assert end(process).code == 3 and rest(d, "new") == ["a"]
    for options in (("--joinable",), ("--joinable", "--at-least-once")):
        name = f"j{len(options)}"
        put(d, "a", name=name, options=options)
        assert mpool(d, "queue", "join", name, "-t", 0).code == 124
        assert mpool(d, "queue", "get", name, "--exec", "cat").code == 0
        assert mpool(d, "queue", "join", name, "-t", 0).code == 0
