#!/usr/bin/python3
"""Who may do what? Tasks belong to their user; pools say who may use them; workers run as their pool's user. Needs root."""
import os
import pwd

from harness import NOBODY, as_nobody, daemon_for_others, main, need_root, no_process_left, test, until

OPEN = "[daemon]\nsocket_mode = 0666\n"


def refused(c, method, *params):
    e = c.error(method, *params)
    assert e.kind == 1 and e.code in ("E_DENIED", "E_NO_TASK", "E_NO_POOL", "E_NO_FUNCTION"), e
    return e.code


@test(daemon=False)
def tasks_of_others_are_not_shown_and_not_touched(home):
    d = daemon_for_others(home, OPEN, workers="5")
    mine = d.client().submit("sys.sleep", 30, name="mine")
    waiting = d.client()
    waiting.send("call", ["sys.sleep", [30]])
    waiting.send("map", ["sys.sleep", [30]])
    attached = until(lambda: [t["id"] for t in waiting.request("list") if t["id"] != mine][1:] and
                     [t["id"] for t in waiting.request("list") if t["id"] != mine], "the call and the map are listed")

    def other():
        c = d.client()
        assert c.request("hello")["user"] == NOBODY
        theirs = c.submit("math.square", 4, name="theirs")
        assert c.request("result", theirs, 5000) == 16
        assert [s["name"] for s in c.request("list")] == ["theirs"]
        for method, params in (("status", [mine]), ("wait", [mine, 0]), ("result", [mine]), ("cancel", [mine])):
            assert refused(c, method, *params) == "E_DENIED", method
        for task in attached:
            for method in ("status", "cancel"):
                assert refused(c, method, task) == "E_DENIED", (method, task)
        c.close()

    as_nobody(other)
    waiting.close()
    c = d.client()
    until(lambda: not [t for t in c.request("list") if t["id"] in attached], "what was waited for has gone with its caller")
    assert c.request("status", mine)["state"] in ("placed", "running")
    assert {s["name"] for s in c.request("list", {"all": True})} == {"mine", "theirs"}, "root sees all"
    assert {s["name"] for s in c.request("list")} == {"mine"}, "but only if it asks for all"
    assert c.request("cancel", mine) is True
    d.finish()
    no_process_left()


@test(daemon=False)
def by_default_only_its_own_user_and_group_may_connect(home):
    d = daemon_for_others(home, None)

    def other():
        try:
            d.client()
        except PermissionError:
            return
        raise AssertionError("it was let in")

    as_nobody(other)
    d.finish()


@test(daemon=False)
def a_pool_says_who_may_use_it(home):
    d = daemon_for_others(home, OPEN + "[pool default]\nmodules = math\nworkers = 1\n[pool closed]\nmodules = sys\nworkers = 1\nallow_users = root\n",
                workers=None)

    def other():
        c = d.client()
        assert c.call("math.square", 3) == 9
        refused(c, "call", "sys.pid", [], {"pool": "closed"})
        refused(c, "call", "sys.pid", [])
        c.close()

    as_nobody(other)
    assert d.client().call("sys.pid", pool="closed") > 0
    d.finish()


@test(daemon=False)
def members_of_allow_groups_are_let_in_and_others_refused(home):
    group = 54321
    d = daemon_for_others(home, OPEN + "[pool default]\nmodules = math\nworkers = 1\n[pool team]\nmodules = sys\nworkers = 1\n"
                f"allow_groups = {group}\n", workers=None)

    def member():
        c = d.client()
        assert c.call("sys.pid", pool="team") > 0
        assert c.call("sys.pid") > 0, "without a pool it is found as well"
        c.close()

    def stranger():
        c = d.client()
        assert refused(c, "call", "sys.pid", [], {"pool": "team"}) == "E_DENIED"
        assert refused(c, "submit", "sys.pid", []) == "E_DENIED"
        assert refused(c, "map", "sys.echo", [1]) == "E_DENIED"
        c.close()

    as_nobody(member, gid=group)
    as_nobody(member, groups=[100, group])
    as_nobody(stranger)
    as_nobody(stranger, gid=100, groups=[101, group + 1])
    assert d.client().call("sys.pid", pool="team") > 0, "root may"
    d.finish()


@test(daemon=False)
def workers_run_as_their_pools_user_with_nothing_of_root(home):
    need_root()
    user = pwd.getpwuid(NOBODY).pw_name
    d = daemon_for_others(home, f"[pool default]\nworkers = 1\nuser = {user}\n", workers=None)
    c = d.client()
    with open(f"/proc/{c.call('sys.pid')}/status") as f:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
    assert set(status["Uid"].split()) == {str(NOBODY)}, status["Uid"]
    assert "0" not in status["Gid"].split() and "0" not in status["Groups"].split(), (status["Gid"], status["Groups"])
    assert int(status["CapEff"], 16) == 0 and int(status["CapPrm"], 16) == 0, status["CapEff"]
    assert status["NoNewPrivs"] == "1", status["NoNewPrivs"]
    home_and_name = c.call("exec.run", ["sh", "-c", "echo $HOME $USER"])["stdout"].decode().split()
    assert home_and_name == [pwd.getpwuid(NOBODY).pw_dir, user], home_and_name
    e = c.call("exec.run", ["cat", "/etc/shadow"])
    assert e["status"] != 0, "it reads what root alone may read"
    d.finish()
    no_process_left()


if __name__ == "__main__":
    main()
