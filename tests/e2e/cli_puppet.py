"""A daemon on strings for the tests of the command line: it answers what a test tells it to, be it ever so odd.

With it a test sees what mpool does with answers that a good daemon gives seldom or never. Each connection is served by a
thread, one request after the other. Fails by closing the connection; the test then sees what mpool says.
"""
import contextlib
import os
import socket
import threading

from wire import RpcError, Short, pack, unpack_from


class Close(Exception):
    """Raised by an answer: the connection is closed at once."""


class Connection:
    """What an answer may use besides returning a result."""

    def __init__(self, sock):
        self.sock = sock
        self.msgid = None

    def notify(self, method, params):
        self.sock.sendall(pack([2, method, params]))

    def output(self, stream, data):
        self.notify("output", [self.msgid, stream, data])


class Puppet:
    """answers: method → function(connection, *params) → result; RpcError and Close may be raised."""

    def __init__(self, home, **answers):
        self.path = os.path.join(home, "puppet.sock")
        self.answers = {
            "hello": lambda c, *_: {"server": "mpoold", "version": "9.9", "protocol": 1, "pid": 1, "user": os.getuid(),
                                    "limits": {"message_bytes": 64 << 20, "depth": 32, "in_flight": 1024},
                                    "features": ["memfd", "output", "stream"]},
            "ping": lambda c: "pong",
            "pools": lambda c: [{"name": "default", "state": "serving", "workers": 2, "min": 2, "max": 2}],
        }
        self.answers.update(answers)
        self.seen = []  # [method, params] in order, hello apart
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            sock, _ = self.listener.accept()
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        connection, buffer = Connection(sock), bytearray()
        with sock, contextlib.suppress(Close, OSError):
            while True:
                try:
                    message, end = unpack_from(buffer, 0)
                except Short:
                    data = sock.recv(1 << 16)
                    if not data:
                        return
                    buffer += data
                    continue
                del buffer[:end]
                self._answer(connection, message)

    def _answer(self, connection, message):
        kind, method, params = (message[0], *message[-2:])
        connection.msgid = message[1] if kind == 0 else None
        if method != "hello":
            self.seen.append([method, params])
        error = result = None
        try:
            if method not in self.answers:
                raise RpcError(1, f"E_NO_METHOD: the puppet has no answer to {method}")
            result = self.answers[method](connection, *params)
        except RpcError as e:
            error = [e.kind, e.text]
        if kind == 0:
            connection.sock.sendall(pack([1, message[1], error, result]))

    def params(self, method):
        """Of the only request with this method."""
        (params,) = [p for m, p in self.seen if m == method]
        return params
