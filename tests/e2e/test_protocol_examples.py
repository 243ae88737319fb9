#!/usr/bin/python3
"""Does a real daemon answer every example of proto/PROTOCOL.md as the document says?

    MPOOL_SOCKET=/run/mpoold/mpoold.sock python3 tests/e2e/test_protocol_examples.py [words of test names…]

Without MPOOL_SOCKET a private daemon is started for it. Each example is one test, on a connection of its own. Python's
own library only; the first example's program needs the package msgpack and is skipped without it.
"""
import array
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "unit", "proto"))
import protocol_md as md  # noqa: E402

DOCUMENT = os.path.join(ROOT, "proto", "PROTOCOL.md")
PATIENCE = 60  # seconds for one message; a safety net


class Skip(Exception):
    pass


class Peer:
    """A connection that knows bytes only."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.buffer, self.fds = b"", []

    def close(self):
        self.sock.close()
        for fd in self.fds:
            os.close(fd)

    def send(self, data, fd=None):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))] if fd is not None else []
        sent = self.sock.sendmsg([data], rights)
        if sent < len(data):  # an empty write fails, too, once the daemon has closed
            self.sock.sendall(data[sent:])

    def fill(self, deadline):
        """→ False at the end of the stream."""
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        if not poll.poll(max(0, deadline - time.monotonic()) * 1000):
            raise AssertionError(f"nothing came for {PATIENCE} s")
        try:
            data, ancillary, _, _ = self.sock.recvmsg(1 << 16, socket.CMSG_SPACE(64), socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            return False
        for level, kind, raw in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds = array.array("i")
                fds.frombytes(raw[: len(raw) - len(raw) % fds.itemsize])
                self.fds.extend(fds)
        self.buffer += data
        return bool(data)

    def message(self):
        """→ (bytes, value) of the next message."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                value, end = md.decode(self.buffer)
                raw, self.buffer = self.buffer[:end], self.buffer[end:]
                return raw, value
            except md.Short:
                if not self.fill(deadline):
                    raise AssertionError("the daemon closed the connection") from None

    def expect_end(self):
        deadline = time.monotonic() + PATIENCE
        while self.fill(deadline):
            assert not self.buffer, f"the daemon sent {self.buffer[:100].hex(' ')} instead of closing"


def sealed_memfd(data):
    import fcntl

    fd = os.memfd_create("args", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, data)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)
    return fd


def seals_of(fd):
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_GET_SEALS)


class Replay:
    def __init__(self, path):
        self.peer = Peer(path)
        self.captured, self.names = {}, {}
        self.awaited = []  # messages of one group, in any order
        self.rider = None
        self.ended = False

    def line(self, line):
        if line.kind != "<" or line.later:
            if line.kind != "<@":
                self.settle()
        if line.kind == "<":
            self.awaited.append(line)
        elif line.kind == ">@":
            self.rider = sealed_memfd(md.fill(line.span, self.captured))
        elif line.kind == ">":
            self.peer.send(md.fill(line.span, self.captured), self.rider)
            if self.rider is not None:
                os.close(self.rider)
                self.rider = None
        elif line.kind == "<@":
            self.settle()
            assert self.peer.fds, "no descriptor came with the message"
            fd = self.peer.fds.pop(0)
            try:
                head = os.pread(fd, 4096, 0)
                # An object's page, which begins with its magic number, is for writing.
                wanted = 2 | 4 if head[:4] == b"POOL" else 2 | 8
                assert seals_of(fd) & wanted == wanted, "the memfd is not sealed against shrinking, and growing or writing"
                md.match_bytes(line.span, head, self.captured)
            finally:
                os.close(fd)
        else:
            self.peer.expect_end()
            self.ended = True

    def settle(self):
        """Reads until every awaited message has come."""
        while self.awaited:
            raw, value = self.peer.message()
            reasons = []
            for line in self.awaited:
                captured, names = dict(self.captured), dict(self.names)
                try:
                    md.match_bytes(line.span, raw, captured)
                    if line.shape is not None:
                        md.matches(line.shape, value, names, "the message")
                except AssertionError as e:
                    reasons.append(f"line {line.number}: {e}")
                    continue
                self.captured, self.names = captured, names
                for name in names.keys() - captured.keys():  # in a map its bytes have no place of their own
                    captured[name] = md.encode_id(names[name])
                self.awaited.remove(line)
                break
            else:
                raise AssertionError(f"{value!r} came\n" + "\n".join(reasons))

    def finish(self):
        self.settle()
        if self.ended:
            return
        # Whatever came beyond the example would come before this.
        self.peer.send(bytes.fromhex("9400cdffff a470696e6790"))
        raw, value = self.peer.message()
        assert value == [1, 0xFFFF, None, "pong"], f"more came than the example says: {value!r}"
        assert not self.peer.fds, "a descriptor came that no example speaks of"


def replay(block, path):
    r = Replay(path)
    try:
        for line in block.lines:
            try:
                r.line(line)
            except AssertionError as e:
                raise AssertionError(f"at line {line.number} of PROTOCOL.md: {e}") from None
        r.finish()
    finally:
        r.peer.close()


def run_program(program, output, path):
    """The document's own client prints what the document says."""
    if subprocess.run([sys.executable, "-c", "import msgpack"], capture_output=True).returncode != 0:
        raise Skip("this Python has no msgpack")
    ran = subprocess.run([sys.executable, "-c", program], env={**os.environ, "MPOOL_SOCKET": path}, capture_output=True, text=True,
                         timeout=PATIENCE)  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == output, f"it printed:\n{ran.stdout}"


def tests_of(text):
    fences = {fence: "\n".join(body) + "\n" for _, _, fence, body in md.sections(text) if fence in ("python", "output")}
    yield "the program in PROTOCOL.md prints what stands below it", lambda path: run_program(
        fences["python"], fences["output"], path
    )
    for block in md.blocks(text):
        yield f"{block.title}: the example at line {block.number}", lambda path, block=block: replay(block, path)


def main():
    with open(DOCUMENT, encoding="utf-8") as f:
        tests = [(name, run) for name, run in tests_of(f.read()) if all(word in name for word in sys.argv[1:])]
    path, daemon, home = os.environ.get("MPOOL_SOCKET"), None, None
    failed = 0
    print(f"1..{len(tests)}", flush=True)
    try:
        if not path:
            import harness

            home = tempfile.mkdtemp(prefix="mpool-test-")
            daemon = harness.Daemon(home, workers="2")
            path = daemon.path
        for number, (name, run) in enumerate(tests, 1):
            try:
                run(path)
                print(f"ok {number} - {name}", flush=True)
            except Skip as why:
                print(f"ok {number} - {name} # SKIP {why}", flush=True)
            except Exception as e:
                failed += 1
                why = str(e) if isinstance(e, AssertionError) else traceback.format_exc()
                print(f"not ok {number} - {name}")
                print(re.sub(r"^", "# ", why.rstrip(), flags=re.M), flush=True)
        if daemon:
            daemon.finish()
    finally:
        if daemon and daemon.process.poll() is None:
            daemon.kill()
        if home:
            shutil.rmtree(home, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
