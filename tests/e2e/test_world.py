#!/usr/bin/python3
"""What does a function find, and what does it leave? Its process is its own, and the next one finds it as it was."""
import os
import re
import signal

from harness import descendants, main, test


def lost(c, function, *args):
    e = c.call_error(function, *args)
    assert e.code == "E_LOST", e


# ---- process groups ----------------------------------------------------------------------------------------------------


@test(modules=["world"], workers=3)
def every_worker_and_template_has_a_session_of_its_own(d):
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
    assert "template" not in "".join(line for line in d.log().splitlines() if "killed" in line), d.log()


@test(workers=1)
def a_command_that_signals_its_group_ends_itself_alone(d):
    c = d.client()
    worker = d.worker_pids()
    result = c.call("exec.run", "kill -TERM 0; sleep 60")
    assert result["signal"] == signal.SIGTERM, result
    assert d.worker_pids() == worker and c.call("exec.run", ["true"])["status"] == 0


# ---- fork handlers -----------------------------------------------------------------------------------------------------


@test(modules=["forker"], workers=1)
def fork_handlers_run_around_the_birth_of_a_worker(d):
    """The last registered prepares first; parent and child run in the order of registration."""
    c = d.client()
    assert c.call("forker.trace") == "module-prepare lib-prepare lib-child module-child"
    os.kill(*d.worker_pids(), signal.SIGKILL)
    again = "module-prepare lib-prepare lib-parent module-parent module-prepare lib-prepare lib-child module-child"
    assert c.call("forker.trace") == again
    assert c.call("forker.trace_of_a_child") == again + " module-prepare lib-prepare lib-child module-child"
    assert "workers lack" not in d.log(), d.log()


@test(modules=["forker"], workers=2, config="[pool default]\nenvironment = FORKER_THREAD=1\n")
def a_template_with_threads_is_warned_of_once_with_their_names(d):
    line = d.wait_log(r"^.* warning log pool=default template=\d+ .*workers lack.*$").group(0)
    assert "1 thread beside its own (forker-stays)" in line, line
    assert d.log().count("workers lack") == 1, d.log()


@test(modules=["forker"], workers=1)
def what_an_init_hook_logs_is_in_the_log(d):
    d.wait_log(r'warning log pool=default template=\d+ text="forker: said in \\x22init\\x22 with 2 handlers"')


if __name__ == "__main__":
    main()
