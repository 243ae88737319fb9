#!/usr/bin/python3
"""Do the caps hold, and does one user's use of them leave the others, and the administrator, their part?"""
import os
import select
import signal

from harness import Client, RpcError, daemon_for_others, held_by_nobody, main, pack, test, until

OPEN = "[daemon]\nsocket_mode = 0666\n"


def refused(c, *request):
    e = c.error(*request)
    assert (e.kind, e.code) == (1, "E_BUSY"), e
    return e


# ---- connections -------------------------------------------------------------------------------------------------------


def come_in(path, count):
    """→ those who were let in, and what the others were told."""
    inside, words = [], []
    for _ in range(count):
        c = Client(path)
        try:
            c.send("ping")
            message = c.receive()
        except (BrokenPipeError, ConnectionResetError) as e:
            raise AssertionError("it was closed without a word") from e
        if message[0] == 1:
            inside.append(c)
        else:
            assert message[:2] == [2, "error"], message
            words.append(message[2][0][1])
    return inside, words


@test(daemon=False)
def one_user_has_a_part_of_the_connections_and_no_more(home):
    d = daemon_for_others(home, OPEN + "max_connections = 20\n")

    def all_it_may():
        inside, words = come_in(d.path, 200)
        assert len(inside) == 10 and len(words) == 190, (len(inside), len(words))
        assert all(w == "E_BUSY: you have all the connections you may (max_connections, max_user_share)" for w in words), words
        return inside

    with held_by_nobody(all_it_may):
        inside, words = come_in(d.path, 12)
        assert len(inside) == 10 and words == ["E_BUSY: too many connections (max_connections)"] * 2, words
        for c in inside:
            c.close()
    until(lambda: d.request("stats")["connections"] == 1, "all are gone")
    d.finish()


@test(daemon=False)
def the_last_connections_are_the_administrators(home):
    d = daemon_for_others(home, OPEN + "max_connections = 32\nmax_user_share = 100\n")

    def all_it_may():
        inside, words = come_in(d.path, 40)
        assert len(inside) == 30 and set(words) == {"E_BUSY: too many connections (max_connections)"}, (len(inside), words)
        return inside

    with held_by_nobody(all_it_may):
        assert d.request("ping") == "pong"
    d.finish()


# ---- arguments ---------------------------------------------------------------------------------------------------------


def held(d):
    return d.request("stats")["attached_bytes"]


def push(c, data):
    """As much of it as is taken now → how much."""
    c.sock.setblocking(False)
    sent = 0
    try:
        while sent < len(data):
            sent += c.sock.send(data[sent:])
    except BlockingIOError:
        pass
    c.sock.setblocking(True)
    return sent


class Unfinished:
    """A call of much that goes in bit by bit, and is answered."""

    def __init__(self, d, size):
        self.data, self.client = pack([0, 1, "call", ["sys.sleep", [0, bytes(size)]]]), d.client()

    def push(self, most=None):
        self.data = self.data[push(self.client, self.data[: len(self.data) if most is None else most]):]

    def is_answered(self):
        """Without waiting: what the kernel has taken is read once another one's message has ended, and so must go on."""
        self.push()
        return bool(select.select([self.client.sock], [], [], 0)[0]) and self.client.reply(1) is None


@test(config="[daemon]\nmax_message = 2M\nmax_output_bytes = 1M\nmax_args_bytes = 6M\n", timeout=90)
def unfinished_messages_count_and_all_of_them_end(d):
    """Twenty of 2 MiB, of which each has sent all but its last bytes: more than there is room for, and nobody is lost."""
    before = d.rss_kib()
    calls = [Unfinished(d, (2 << 20) - 100) for _ in range(20)]
    other = d.client()

    def stuck():
        for u in calls:
            if len(u.data) > 50:
                u.push(len(u.data) - 50)
        return sum(len(u.data) > 50 for u in calls) > 10 and other.call("math.square", 3) == 9 and held(d) > 5 << 20

    until(stuck, "there is no room for more")
    assert held(d) <= (6 << 20) + (2 << 20) + (1 << 20), held(d)
    assert d.rss_kib() - before < 40 << 10
    left = list(calls)
    while left:  # whatever the order in which they send the rest
        done = [u for u in left if u.is_answered()]
        left = [u for u in left if u not in done]
        assert other.request("ping") == "pong"
    assert held(d) == 0


@test(config="[daemon]\nmax_message = 256K\nmax_output_bytes = 64K\nmax_args_bytes = 1M\nstall_timeout = 1s\n", timeout=90)
def unfinished_messages_that_stop_make_room_for_the_others(d):
    calls = [Unfinished(d, 200000) for _ in range(8)]
    for u in calls:
        u.push(len(u.data) - 50)
    until(lambda: held(d) > 700000, "they are held")
    late = Unfinished(d, 200000)
    until(late.is_answered, "it has its turn")


@test(daemon=False)
def one_user_has_a_part_of_the_arguments_and_no_more(home):
    d = daemon_for_others(home, OPEN + "max_message = 1M\nmax_output_bytes = 1M\nmax_args_bytes = 16M\nmax_user_share = 25\n")

    def all_it_may():
        clients = [Client(d.path) for _ in range(12)]
        call = pack([0, 1, "call", ["sys.sleep", [600, bytes(900000)]]])
        for c in clients:
            c.sent = push(c, call)

        def full():
            for c in clients:
                c.sent += push(c, call[c.sent:])
            return held(d) > 3 << 20

        until(full, "it has its part")
        assert held(d) <= (5 << 20), held(d)
        return clients

    with held_by_nobody(all_it_may):
        c = d.client()
        assert len(c.call("sys.echo", bytes(900000))) == 900000
    until(lambda: held(d) == 0, "it is gone with its connections")
    d.finish()


# ---- descriptors -------------------------------------------------------------------------------------------------------


@test(nofile=72, workers="1")
def large_arguments_leave_workers_their_descriptors(d):
    """Calls that wait hold a descriptor each: not the last ones, so that a worker that dies is replaced."""
    blocker = d.client()
    slow = blocker.start("sys.sleep", 600)
    worker = d.wait_worker(state="busy")
    c = d.client()
    calls = pack([0, 0, "call", ["sys.sleep", [0, bytes(600000)]]])
    more = b"".join(calls[:2] + bytes([i]) + calls[3:] for i in range(30))
    sent = 0

    def no_more():
        nonlocal sent
        while select.select([], [c.sock], [], 0.2)[1] and sent < len(more):
            sent += push(c, more[sent:])
        return sum(d.descriptors().values()) > 40

    until(no_more, "no more of them are taken")
    os.kill(worker["pid"], signal.SIGKILL)
    try:
        blocker.reply(slow)
    except RpcError as e:
        assert e.code == "E_LOST", e
    seen = set()
    while len(seen) < 30:
        if sent < len(more):
            sent += push(c, more[sent:])
        if c._readable() or sent == len(more):
            _, msgid, error, _ = c.receive()
            assert error is None, error
            seen.add(msgid)
    assert d.request("ping") == "pong"


@test(nofile=96, workers="1")
def kept_results_leave_others_their_descriptors(d):
    c = d.client()
    tasks = [c.submit("sys.blob", 600000, ttl_s=600) for _ in range(60)]
    for task in tasks:
        c.wait(task)
    assert c.call("sys.sleep", 0, bytes(600000)) is None, "there is one for arguments"
    with Client(d.path) as late:
        assert late.request("ping") == "pong", "and for others"
    assert [len(c.request("result", task)) for task in tasks[::6]] == [600000] * 10
    for task in tasks:
        assert c.request("forget", task) is True


@test(daemon=False)
def one_user_has_a_part_of_the_descriptors_and_no_more(home):
    """By connections, pages of objects, kept results: whatever it holds, others come in and have objects of their own."""
    d = daemon_for_others(home, OPEN + "[pool default]\nallow_users = nobody\n", nofile=160, workers="1")

    def by_connections():
        inside, words = come_in(d.path, 200)
        assert inside and set(words) == {
            "E_BUSY: you hold all the descriptors you may, by connections, kept results and objects (LimitNOFILE=, "
            "max_user_share)"}, (len(inside), set(words))
        return inside

    def with_locks(most):
        """→ a connection that has so many open, and how many it got."""
        c, count = Client(d.path), 0
        c.request("hello", {"memfd": True})
        try:
            for count in range(most):
                c.request("open", "lock", None)
                os.close(c.fds.pop())
        except RpcError as e:
            assert e.code == "E_BUSY", e
        else:
            count = most
        return c, count

    def by_objects():
        c, count = with_locks(200)
        assert 10 < count < 100, count
        return c

    def by_results():
        c = Client(d.path)
        for task in [c.request("submit", "sys.blob", [600000], {"ttl_s": 600}) for _ in range(100)]:
            c.request("wait", task)
        return c

    for harm in (by_connections, by_objects, by_results):
        with held_by_nobody(harm):
            own = [with_locks(1) for _ in range(10)]
            assert [count for _, count in own] == [1] * 10, (harm, own)
            assert own[0][0].request("call", "sys.noop") is None
            for c, _ in own:
                c.close()
        until(lambda: d.request("stats")["connections"] <= 2, "all are gone")
    assert "accepting paused" not in d.log(), d.log()
    for task in d.request("list", {"all": True, "limit": 200}):
        d.request("forget", task["id"])
    d.finish()


# ---- kept tasks --------------------------------------------------------------------------------------------------------


@test(daemon=False)
def one_user_has_a_part_of_the_kept_tasks_and_no_more(home):
    d = daemon_for_others(home, OPEN + "max_kept = 20\nmax_kept_bytes = 2M\n")

    def number():
        c = Client(d.path)
        for i in range(10):
            c.submit("math.square", i)
        e = refused(c, "submit", "math.square", [1])
        assert "max_user_share = 50" in e.text and "forget" in e.text, e

    with held_by_nobody(number):
        c = d.client()
        for i in range(10):
            c.submit("math.square", i)
        refused(c, "submit", "math.square", [1])
        for t in c.request("list", {"all": True}):
            c.wait(t["id"])
            assert c.request("forget", t["id"]) is True
    assert d.request("stats")["detached_kept"] == 0 and d.request("stats")["detached_bytes"] == 0

    def size():
        c = Client(d.path)
        done = [c.submit("sys.blob", 400000) for _ in range(4)]
        codes = []
        for task in done:
            try:
                c.request("result", task, 20000)
            except RpcError as e:
                codes.append(e.code)
        assert codes == ["E_RESULT_TOO_BIG"] * 2, codes
        refused(c, "submit", "sys.echo", [bytes(300000)])

    with held_by_nobody(size):
        c = d.client()
        assert len(c.request("result", c.submit("sys.blob", 900000), 20000)) == 900000
        for t in c.request("list", {"all": True}):
            c.request("forget", t["id"])
    d.finish()


@test(config="[daemon]\nmax_kept = 3\n", workers="1")
def what_is_forgotten_makes_room(d):
    c, other = d.client(), d.client()
    tasks = [c.submit("math.square", i) for i in range(3)]
    refused(c, "submit", "math.square", [1])
    c.wait(tasks[1])
    assert c.request("forget", tasks[1]) is True
    for method in ("result", "status", "wait", "forget", "cancel"):
        e = c.error(method, tasks[1])
        assert e.code == "E_NO_TASK" and "forgotten" in e.text, e
    late = c.submit("sys.sleep", 0.3)
    waits = other.send("wait", [late])
    assert c.request("forget", late) is False, "it has not ended"
    assert other.reply(waits)["state"] == "done", "who waits is answered"
    assert c.error("status", late).code == "E_NO_TASK", "and then it is gone"
    stays = c.request("spawn", "sys.sleep", [60])["id"]
    assert c.request("forget", stays) is False and c.request("cancel", stays) is True
    until(lambda: d.request("stats")["detached_kept"] == 2, "it goes with its end")
    for bad in (None, "7", -1):
        assert c.error("forget", bad).code == "E_BAD_PARAMS"


@test(config="[daemon]\nresult_ttl = 1h\nmax_result_ttl = 2h\n")
def how_long_a_result_is_kept_is_bounded_by_the_configuration(d):
    c = d.client()
    assert c.submit("sys.noop", ttl_s=7200) > 0
    for ttl_s in (7201, 0x7fffffff):
        e = c.error("submit", "sys.noop", [], {"ttl_s": ttl_s})
        assert e.code == "E_BAD_PARAMS" and "ttl_s" in e.text and "7200" in e.text and "max_result_ttl" in e.text, e
        assert c.error("spawn", "sys.noop", [], {"ttl_s": ttl_s}).code == "E_BAD_PARAMS"


if __name__ == "__main__":
    main()
