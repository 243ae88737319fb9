"""How the tests of the command line run mpool: with pipes, on a terminal of their own, or in the background.

Knows nothing of what the verbs do. A run that takes longer than the safety net is a failure.
"""
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

from harness import MPOOL
from wire import PATIENCE


def environment(path, **more):
    """Of a program that knows no other daemon than this one."""
    clean = {k: v for k, v in os.environ.items() if k not in ("MPOOL_SOCKET", "NO_COLOR", "COLUMNS", "XDG_RUNTIME_DIR")}
    return clean | {"TERM": "xterm", "LANG": "C.UTF-8"} | ({"MPOOL_SOCKET": path} if path else {}) | more


class Ran:
    """What came of a run: text of both outputs, and the status (128 + signal when one killed it, as a shell says)."""

    def __init__(self, code, out, err):
        self.code = code if code >= 0 else 128 - code
        self.raw = out
        self.out, self.err = (x.decode("utf-8", "surrogateescape") for x in (out, err))
        self.lines = self.out.splitlines()

    def __repr__(self):
        return f"status {self.code}\nstdout: {self.out!r}\nstderr: {self.err!r}"


def start(target, *words, stdin=subprocess.DEVNULL, env=None, **more):
    """mpool in the background. target: a daemon, a puppet, or None for no daemon."""
    path = getattr(target, "path", None)
    return subprocess.Popen([MPOOL, *map(str, words)], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env=environment(path, **(env or {})), **more)


def end(process, input=None, timeout=None):
    out, err = process.communicate(input, PATIENCE if timeout is None else timeout)
    return Ran(process.returncode, out, err)


def mpool(target, *words, input=None, **more):
    """Runs mpool to its end. input: str or bytes for standard input."""
    if input is not None:
        more["stdin"] = subprocess.PIPE
    return end(start(target, *words, **more), input.encode() if isinstance(input, str) else input)


class Terminal:
    """mpool with its own terminal as its standard descriptors."""

    def __init__(self, target, *words, columns=80, env=None, stdin=None, program=(MPOOL,)):
        """stdin: a descriptor instead of the terminal; program: instead of mpool."""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
            if stdin is not None:
                os.dup2(stdin, 0)
            os.execvpe(program[0], [*program, *map(str, words)], environment(target.path, **(env or {})))
        self.text = ""

    def _read(self, deadline):
        ready, _, _ = select.select([self.fd], [], [], max(0, deadline - time.monotonic()))
        assert ready, f"nothing more comes on the terminal: {self.text!r}"
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # EIO: nobody holds the other side any more
            data = b""
        self.text += data.decode("utf-8", "replace")
        return data

    def wait_for(self, pattern):
        deadline = time.monotonic() + PATIENCE
        while not re.search(pattern, self.text):
            assert self._read(deadline), f"it ended without {pattern!r}: {self.text!r}"
        return self.text

    def type(self, data):
        os.write(self.fd, data)

    def end(self):
        """→ (status, all that was written)"""
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            pass
        os.close(self.fd)
        _, status = os.waitpid(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        return (code if code >= 0 else 128 - code), self.text

    @property
    def screen(self):
        """What is left to be seen: carriage returns and erasures carried out."""
        lines = []
        for line in self.text.replace("\r\n", "\n").split("\n"):
            shown = ""
            for piece in line.split("\r"):
                shown = piece.replace("\033[K", "") if "\033[K" in piece or len(piece) >= len(shown) else piece
            lines.append(re.sub(r"\033\[[0-9;]*m", "", shown))
        return "\n".join(lines)
