#!/usr/bin/python3
"""What does a function find, and what does it leave? Its process is its own, and the next one finds it as it was."""
import os
import re
import signal

from harness import MPOOLD, Skip, descendants, main, need_root, test


def lost(c, function, *args):
    e = c.call_error(function, *args)
    assert e.code == "E_LOST", e


# ---- process groups ----------------------------------------------------------------------------------------------------


@test(modules=["world"], workers=3)
def every_worker_and_forkserver_has_a_session_of_its_own(d):
    members = descendants(d.pid)
    assert len(members) == 4, members
    for pid, name in members:
        assert os.getsid(pid) == os.getpgid(pid) == pid, (pid, name)


@test(modules=["world"], workers=3)
def a_function_that_signals_its_group_ends_its_own_worker_alone(d):
    c = d.client()
    before = {pid for pid, _ in descendants(d.pid)}
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        lost(c, "world.signal_group", number)
    lost(c, "world.shell", "kill 0; sleep 60")
    d.settle()
    after = {pid for pid, _ in descendants(d.pid)}
    assert len(before & after) >= 1 and len(after) == 4, (before, after)
    assert d.request("stats")["workers_died"] == 4, d.log()
    assert "forkserver" not in "".join(line for line in d.log().splitlines() if "killed" in line), d.log()


@test(workers=1)
def a_command_that_signals_its_group_ends_itself_alone(d):
    c = d.client()
    worker = d.worker_pids()
    result = c.call("exec.run", "kill -TERM 0; sleep 60")
    assert result["signal"] == signal.SIGTERM, result
    assert d.worker_pids() == worker and c.call("exec.run", ["true"])["status"] == 0


# ---- what a task leaves ------------------------------------------------------------------------------------------------

UNDONE = ("umask", "directory", "alarm", "interval", "blocked", "ignored", "soft limit", "variable", "no path", "locale", "zombie",
          "raw umask", "no death signal")
REPLACED = ("timer", "pending", "hard limit", "child", "output")
OWN = ("pid", "group", "session")
LIMITED = ["setpriv", "--bounding-set=-sys_resource,-sys_nice", "--inh-caps=-sys_resource,-sys_nice"]


def world_of(look):
    return {key: value for key, value in look.items() if key not in OWN}


def leave_and_look(c, what):
    """Both are in the worker's lane at once: nothing is done between them but by the worker itself."""
    first, second = c.start("world.leave", what), c.start("world.look")
    c.reply(first)
    return c.reply(second)


@test(modules=["world"], workers=1)
def what_a_task_changes_is_put_back_before_the_next_one(d):
    c = d.client()
    clean = c.call("world.look")
    for what in UNDONE:
        assert leave_and_look(c, what) == clean, what
    assert "spoiled" not in d.log() and d.request("stats")["workers_died"] == 0


@test(modules=["world"], workers=1, prefix=LIMITED)
def a_worker_that_cannot_be_as_it_was_is_replaced_and_costs_nobody(d):
    need_root()
    c = d.client()
    clean = c.call("world.look")
    for what in (*REPLACED, "nice"):
        look = leave_and_look(c, what)
        assert world_of(look) == world_of(clean) and look["pid"] != clean["pid"], (what, look)
        d.wait_log(rf"info worker spoiled pool=default worker=\d+ pid={clean['pid']} .*function=world.leave")
        clean = look
    assert d.log().count("worker spoiled") == len(REPLACED) + 1
    complaints = re.findall(" (?:warning|error) (.*)", d.log())
    assert len(complaints) == 1 and "orphan killed" in complaints[0], complaints


@test(modules=["world"], workers=1)
def a_command_runs_in_no_other_tasks_world(d):
    c = d.client()
    script = "umask; pwd; nice; ulimit -f; echo $WORLD; trap"
    clean = c.call("exec.run", script)["stdout"]
    for what in (*UNDONE, *REPLACED):
        first, second = c.start("world.leave", what), c.start("exec.run", script)
        c.reply(first)
        assert c.reply(second)["stdout"] == clean, what


@test(modules=["world"], workers=1)
def an_alarm_that_a_task_has_left_ends_no_other(d):
    c = d.client()
    assert c.call("exec.run", ["true"])["status"] == 0
    c.call("world.leave", "alarm")
    assert c.call("sys.sleep", 1.2) is None


@test(modules=["world"], workers=1)
def a_function_waits_for_no_child_of_others(d):
    """The process that watches over commands is gone before it waits, and comes back with the next command."""
    c = d.client()
    worker = d.worker_pids()
    for how in ("wait", "waitpid", "waitid", "wait4"):
        assert c.call("exec.run", ["true"])["status"] == 0
        assert "mpool-reaper" in [name for _, name in descendants(d.pid)]
        assert c.call("world.wait_for_children", how) == 0, how
    assert c.call("exec.run", ["true"])["status"] == 0
    assert d.worker_pids() == worker and not re.search("orphan|spoiled", d.log()), d.log()


@test(modules=["world"], workers=1)
def a_command_and_who_watches_over_it_hold_no_descriptor_of_functions(d):
    c = d.client()
    c.call("world.leave", "descriptor")
    assert c.call("exec.run", "test -e /proc/$$/fd/77")["status"] == 1
    reaper = next(pid for pid, name in descendants(d.pid) if name == "mpool-reaper")
    worker, = d.worker_pids()
    assert "77" in os.listdir(f"/proc/{worker}/fd") and "77" not in os.listdir(f"/proc/{reaper}/fd")
    assert len(os.listdir(f"/proc/{reaper}/fd")) <= 7, os.listdir(f"/proc/{reaper}/fd")


# ---- fork handlers -----------------------------------------------------------------------------------------------------


@test(modules=["forker"], workers=1)
def fork_handlers_run_around_the_birth_of_a_worker(d):
    """The last registered prepares first; parent and child run in the order of registration."""
    with open(MPOOLD, "rb") as f:
        if b"__tsan_init" in f.read():
            raise Skip("beside the thread sanitizer the daemon remembers no fork handlers")
    c = d.client()
    assert c.call("forker.trace") == "module-prepare lib-prepare lib-child module-child"
    os.kill(*d.worker_pids(), signal.SIGKILL)
    again = "module-prepare lib-prepare lib-parent module-parent module-prepare lib-prepare lib-child module-child"
    assert c.call("forker.trace") == again
    assert c.call("forker.trace_of_a_child") == again + " module-prepare lib-prepare lib-child module-child"
    assert "workers lack" not in d.log(), d.log()


@test(modules=["forker"], workers=2, config="[pool default]\nenvironment = FORKER_THREAD=1\n")
def a_forkserver_with_threads_is_warned_of_once_with_their_names(d):
    line = d.wait_log(r"^.* warning log pool=default forkserver=\d+ .*workers lack.*$").group(0)
    assert "1 thread beside its own (forker-stays)" in line, line
    assert d.log().count("workers lack") == 1, d.log()


@test(modules=["forker"], workers=1)
def what_an_init_hook_logs_is_in_the_log(d):
    d.wait_log(r'warning log pool=default forkserver=\d+ text="forker: said in \\x22init\\x22 with 2 handlers"')


if __name__ == "__main__":
    main()
