#!/usr/bin/python3
"""Does a gigabyte travel, both ways, and is its memory given back?"""
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from harness import SLOW, Skip, descendants, main, test, until  # noqa: E402

GIB = 1 << 30


def room(needed):
    with open("/proc/meminfo") as f:
        available = next(int(line.split()[1]) for line in f if line.startswith("MemAvailable")) << 10
    if available < needed:
        raise Skip(f"needs {needed >> 20} MiB of memory, {available >> 20} are available")


def one_gib_args():
    fd = os.memfd_create("args", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    head = b"\x91\xc6" + struct.pack(">I", GIB)
    os.write(fd, head)
    block = b"\x01" * (16 << 20)
    for _ in range(GIB // len(block)):
        assert os.write(fd, block) == len(block)
    import fcntl

    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)
    return fd, len(head) + GIB


def large_memfds():
    """Memfds above 64 MiB that the daemon or any of its processes still holds or maps."""
    found = []
    for pid, name in descendants(os.getpid()):
        try:
            with open(f"/proc/{pid}/maps") as f:
                for line in f:
                    start, end = (int(n, 16) for n in line.split()[0].split("-"))
                    if "/memfd:" in line and end - start > 64 << 20:
                        found.append((name, pid, line))
            for fd in os.listdir(f"/proc/{pid}/fd"):
                if "/memfd:" in os.readlink(f"/proc/{pid}/fd/{fd}") and os.stat(f"/proc/{pid}/fd/{fd}").st_size > 64 << 20:
                    found.append((name, pid, fd))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


@test(modules=["trial"], timeout=300)
def a_gibibyte_of_arguments_arrives_and_is_given_back(d):
    room(3 * GIB)
    before = d.rss_kib()
    c = d.client()
    c.request("hello", {"memfd": True})
    fd, size = one_gib_args()
    msgid = c.send("call", ["trial.weigh", None, {"args_memfd": size}], fds=[fd])
    os.close(fd)
    assert c.reply(msgid, timeout=120 * SLOW) == [GIB, GIB]
    until(lambda: d.rss_kib() - before < 64 * 1024 * SLOW, "the supervisor has given it back")
    until(lambda: not large_memfds(), "nobody holds the memfd")


@test(modules=["trial"], timeout=300)
def a_gibibyte_of_result_arrives_and_is_given_back(d):
    room(4 * GIB)
    before = d.rss_kib()
    c = d.client()
    c.request("hello", {"memfd": True})
    msgid = c.start("trial.big", GIB)
    assert c.reply(msgid, timeout=120 * SLOW) is None
    (note,) = [params for method, params in c.notes if method == "memfd"]
    assert note == [msgid, GIB + 5], note
    fd = c.fds.pop()
    assert os.pread(fd, 8, 0) == b"\xc6" + struct.pack(">I", GIB) + b"xxx"
    assert os.pread(fd, 8, GIB) == b"x" * 5 and os.fstat(fd).st_size == GIB + 5
    os.close(fd)
    until(lambda: d.rss_kib() - before < 64 * 1024 * SLOW, "the supervisor has given it back")
    until(lambda: not large_memfds(), "nobody holds the memfd")


if __name__ == "__main__":
    main()
