#!/usr/bin/python3
"""Locks and their kin when their owner, its connection or the daemon is no more: nobody keeps what it has lost, and nobody is kept
out by one who is gone."""
import errno
import os
import signal
import subprocess

from cli_tools import environment
from harness import BUILD, Daemon, main, test, until
from pages import Object

LOCKER = os.path.join(BUILD, "tests", "e2e", "locker")
HOLDERS = (("lock", 0), ("rlock", 0), ("semaphore", 1), ("bounded_semaphore", 1), ("bounded_semaphore", 2), ("condition", 0))
RESET, CLOSED, TIMEDOUT = -errno.ECONNRESET, -errno.ENOTCONN, -errno.ETIMEDOUT


class Locker:
    """A program that uses one object as it is told (locker.c)."""

    def __init__(self, d, kind, name, number=0):
        self.process = subprocess.Popen([LOCKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(d.path))
        self.pid = self.process.pid
        assert self.say("open", kind, name, number) == 0

    def tell(self, *words):
        self.process.stdin.write((" ".join(map(str, words)) + "\n").encode())
        self.process.stdin.flush()

    def hear(self):
        return int(self.process.stdout.readline())

    def say(self, *words):
        self.tell(*words)
        return self.hear()

    def each(self, number, *words):
        """The same for each token there is, which must succeed."""
        for _ in range(max(number, 1)):
            assert self.say(*words) == 0, words

    def end(self):
        self.process.communicate()
        assert self.process.returncode == 0, self.process.returncode


def pairs(d):
    """Two processes with each kind of object that somebody has: one that will lose it, and another."""
    for i, (kind, number) in enumerate(HOLDERS):
        two = [Locker(d, kind, f"o{i}", number) for _ in range(2)]
        yield kind, f"o{i}", number, *two
        for locker in two:
            locker.end()


def parties(d, name):
    return [p["pid"] for p in d.request("inspect", name)["clients"]]


def wait_buried(d, name, locker):
    until(lambda: locker.pid not in parties(d, name), "the daemon knows it no more")


def wait_waiting(d, name, locker):
    until(lambda: any(p["pid"] == locker.pid and p["waits"] for p in d.request("inspect", name)["clients"]), "it waits")


@test()
def a_take_after_the_connection_has_ended_fails_and_keeps_nobody_out(d):
    for kind, name, number, ghost, other in pairs(d):
        assert ghost.say("take", 0) == 0 and ghost.say("release") == 0
        assert ghost.say("cut") == 0
        wait_buried(d, name, ghost)
        assert [ghost.say("take", ms) for ms in (0, 1000, -1)] == [RESET] * 3, kind
        other.each(number, "take", 0)


@test()
def what_was_had_when_the_connection_ended_is_another_ones_and_the_release_says_so(d):
    for kind, name, number, ghost, other in pairs(d):
        ghost.each(number, "take", 0)
        assert other.say("take", 0) == TIMEDOUT
        assert ghost.say("cut") == 0
        assert other.say("take", -1) == 1, "told that it was abandoned"
        assert ghost.say("release") == RESET, kind
        assert other.say("release") == 0, "it was not taken away from him"


@test()
def a_thread_that_waits_while_its_handle_is_ended_leaves_nothing_taken(d):
    for kind, name, number, ghost, other in pairs(d):
        other.each(number, "take", 0)
        assert ghost.say("thread-take", -1) == 0
        wait_waiting(d, name, ghost)
        assert ghost.say("disconnect") == 0
        wait_buried(d, name, ghost)
        other.each(number, "release")
        assert ghost.say("join") == CLOSED, kind
        assert ghost.say("take", 0) == CLOSED and ghost.say("release") == CLOSED and ghost.say("close") == 0
        other.each(number, "take", 0)


@test()
def a_stale_owner_has_no_number(d):
    stale, new = Locker(d, "lock", "l"), Locker(d, "lock", "l")
    assert stale.say("fence") == -errno.EPERM, "it has not taken it"
    assert stale.say("take", 0) == 0 and stale.say("fence") == 1
    assert stale.say("cut") == 0
    assert new.say("take", -1) == 1 and new.say("fence") == 2
    assert stale.say("fence") in (-errno.EPERM, RESET), "the number is the new owner's"
    assert stale.say("release") == RESET
    got = new.say("fence")
    assert got == 2, got
    for locker in (stale, new):
        locker.end()


@test()
def what_bears_the_number_of_nobody_is_swept_out_when_somebody_comes_looks_or_goes(d):
    """One that was buried alive, took, and died before it found out."""
    nobody = 1 << 29
    for n, visit in enumerate((lambda: Locker(d, "lock", "l0").end(), lambda: d.request("inspect", "l1"), lambda: leaver.end())):
        leaver = Locker(d, "lock", f"l{n}")
        o = Object(d.client(), "lock", f"l{n}")
        waiter = Locker(d, "lock", f"l{n}")
        assert o.word() == 0
        o.put(nobody)
        waiter.tell("take", -1)
        visit()
        assert waiter.hear() == 1, "told that it was abandoned"
        waiter.end()
        leaver.process.communicate()
    # The last one to close leaves nothing behind for those who come later.
    o.put(nobody)
    o.close()
    d.close_clients()
    late = Locker(d, "lock", "l2")
    assert late.say("take", 0) == 1
    late.end()


@test(descriptors=False)
def after_a_restart_nobody_takes_anything_of_the_daemon_before(d):
    """Stopped in order or killed; whoever tries first, holds or waits."""
    for end in (Daemon.stop, Daemon.kill):
        old = {(kind, number): Locker(d, kind, f"o{i}", number) for i, (kind, number) in enumerate(HOLDERS)}
        barrier, event = Locker(d, "barrier", "b", 1), Locker(d, "event", "e", 0)
        holder, waiter = Locker(d, "lock", "held"), Locker(d, "lock", "held")
        assert barrier.say("take", 0) == 0 and event.say("release") == 0 and event.say("take", 0) == 0
        for locker in old.values():
            assert locker.say("take", 0) == 0 and locker.say("release") == 0
        assert holder.say("take", -1) >= 0
        waiter.tell("take", -1)
        wait_waiting(d, "held", waiter)
        end(d)
        again = Daemon(d.home)
        for (kind, number), locker in old.items():
            assert locker.say("take", 0) == RESET and locker.say("take", -1) == RESET, (end, kind)
        assert barrier.say("take", 0) == RESET and event.say("take", 0) == RESET
        heard = waiter.hear()
        assert heard == RESET, heard
        new = Locker(again, "lock", "held")
        assert new.say("take", 0) == 0, "it is another lock"
        assert holder.say("release") == RESET, "two have had it, and the first one is told"
        for locker in (*old.values(), barrier, event, holder, waiter, new):
            locker.end()
        d = again
    d.finish(descriptors=False)


@test()
def a_consumer_that_dies_gives_back_no_more_than_there_was_at_first(d):
    """A semaphore of 0 that counts items, and one of 2 that keeps places."""
    items, producer = Locker(d, "semaphore", "items", 0), Locker(d, "semaphore", "items", 0)
    for _ in range(5):
        assert producer.say("release") == 0
    for _ in range(5):
        assert items.say("take", 0) == 0
    items.process.kill()
    items.process.wait()
    wait_buried(d, "items", items)
    assert d.request("inspect", "items")["free"] == 0, "what was consumed stays consumed"
    assert producer.say("take", 0) == TIMEDOUT and producer.say("release") == 0 and producer.say("take", 0) == 0
    places, other = Locker(d, "semaphore", "places", 2), Locker(d, "semaphore", "places", 2)
    assert places.say("take", 0) == 0 and places.say("take", 0) == 0 and other.say("take", 0) == TIMEDOUT
    places.process.send_signal(signal.SIGKILL)
    places.process.wait()
    assert other.say("take", -1) == 1 and other.say("take", 0) == 1 and other.say("take", 0) == TIMEDOUT
    for locker in (producer, other):
        locker.end()


if __name__ == "__main__":
    main()
