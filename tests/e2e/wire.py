"""How bytes look on the wire: a small MessagePack codec and a client that speaks MessagePack-RPC, for tests alone.

Written here, and not taken from a library, so that a mistake of the daemon is not hidden by the same mistake in a
library it shares, and so that malformed bytes can be made on purpose. Knows nothing of how a daemon is started.
Fails with an exception that says what came instead; every wait has a time-out.
"""
import array
import os
import select
import socket
import struct
import time

SLOW = float(os.environ.get("MPOOL_TEST_SLOW", "1"))  # sanitizer builds multiply every safety net
PATIENCE = 20.0 * SLOW  # seconds until a wait that should have ended counts as a hang


class Ext:
    """An extension value; the daemon never makes one, but must carry one through."""

    def __init__(self, code, data):
        self.code, self.data = code, data

    def __eq__(self, other):
        return isinstance(other, Ext) and (self.code, self.data) == (other.code, other.data)

    def __repr__(self):
        return f"Ext({self.code}, {self.data!r})"


class Raw:
    """Bytes that stand for a value as they are."""

    def __init__(self, data):
        self.data = data


def _head(n, small, codes):
    """small: (limit, base) of the fix form or None; codes: ((limit, byte, format), …)."""
    if small and n < small[0]:
        return bytes([small[1] | n])
    for limit, code, form in codes:
        if n < limit:
            return struct.pack(">B" + form, code, n)
    raise ValueError("too long")


def pack(value):
    out = bytearray()
    _pack(value, out)
    return bytes(out)


def _pack(v, out):
    if v is None:
        out += b"\xc0"
    elif v is False:
        out += b"\xc2"
    elif v is True:
        out += b"\xc3"
    elif isinstance(v, int):
        if 0 <= v < 128:
            out.append(v)
        elif -32 <= v < 0:
            out.append(v & 0xFF)
        elif v >= 0:
            out += _head(v, None, ((1 << 8, 0xCC, "B"), (1 << 16, 0xCD, "H"), (1 << 32, 0xCE, "I"), (1 << 64, 0xCF, "Q")))
        elif v >= -(1 << 7):
            out += struct.pack(">Bb", 0xD0, v)
        elif v >= -(1 << 15):
            out += struct.pack(">Bh", 0xD1, v)
        elif v >= -(1 << 31):
            out += struct.pack(">Bi", 0xD2, v)
        else:
            out += struct.pack(">Bq", 0xD3, v)
    elif isinstance(v, float):
        out += struct.pack(">Bd", 0xCB, v)
    elif isinstance(v, str):
        b = v.encode("utf-8", "surrogateescape")
        out += _head(len(b), (32, 0xA0), ((1 << 8, 0xD9, "B"), (1 << 16, 0xDA, "H"), (1 << 32, 0xDB, "I")))
        out += b
    elif isinstance(v, (bytes, bytearray, memoryview)):
        out += _head(len(v), None, ((1 << 8, 0xC4, "B"), (1 << 16, 0xC5, "H"), (1 << 32, 0xC6, "I")))
        out += v
    elif isinstance(v, (list, tuple)):
        out += _head(len(v), (16, 0x90), ((1 << 16, 0xDC, "H"), (1 << 32, 0xDD, "I")))
        for item in v:
            _pack(item, out)
    elif isinstance(v, dict):
        out += _head(len(v), (16, 0x80), ((1 << 16, 0xDE, "H"), (1 << 32, 0xDF, "I")))
        for key, item in v.items():
            _pack(key, out)
            _pack(item, out)
    elif isinstance(v, Ext):
        out += _head(len(v.data), None, ((1 << 8, 0xC7, "B"), (1 << 16, 0xC8, "H"), (1 << 32, 0xC9, "I")))
        out += struct.pack(">b", v.code) + v.data
    elif isinstance(v, Raw):
        out += v.data
    else:
        raise TypeError(f"cannot pack {type(v)}")


class Short(Exception):
    """The value is not all there yet."""


class Malformed(Exception):
    pass


_FIXED = {0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q", 0xCA: ">f", 0xCB: ">d"}
_STR = {0xD9: 1, 0xDA: 2, 0xDB: 4}
_BIN = {0xC4: 1, 0xC5: 2, 0xC6: 4}
_EXT = {0xC7: 1, 0xC8: 2, 0xC9: 4}
_ARRAY = {0xDC: 2, 0xDD: 4}
_MAP = {0xDE: 2, 0xDF: 4}


def _key(value):
    """The key as Python can hash it: a map of the wire may have any value as a key."""
    try:
        hash(value)
        return value
    except TypeError:
        return Raw(pack(value))


def unpack_from(data, at):
    """One value of `data` at offset `at` → (value, offset after it). Raises Short when it is cut off."""
    size = len(data)

    def need(n):
        nonlocal at
        if at + n > size:
            raise Short
        start, at = at, at + n
        return start

    def number(n):
        start = need(n)
        return int.from_bytes(data[start:at], "big")

    def text(n):
        start = need(n)
        return bytes(data[start:at]).decode("utf-8", "surrogateescape")

    def sequence(n):
        nonlocal at
        items = []
        for _ in range(n):
            item, at = unpack_from(data, at)
            items.append(item)
        return items

    def mapping(n):
        nonlocal at
        result = {}
        for _ in range(n):
            key, at = unpack_from(data, at)
            value, at = unpack_from(data, at)
            if _key(key) in result:
                raise Malformed(f"the map has two keys {key!r}")
            result[_key(key)] = value
        return result

    b = data[need(1)]
    if b < 0x80:
        return b, at
    if b >= 0xE0:
        return b - 256, at
    if 0xA0 <= b < 0xC0:
        return text(b & 0x1F), at
    if 0x90 <= b < 0xA0:
        v = sequence(b & 0x0F)
    elif b < 0x90:
        v = mapping(b & 0x0F)
    elif b == 0xC0:
        v = None
    elif b in (0xC2, 0xC3):
        v = b == 0xC3
    elif b in _FIXED:
        form = _FIXED[b]
        start = need(struct.calcsize(form))
        (v,) = struct.unpack_from(form, data, start)
    elif b in _STR:
        v = text(number(_STR[b]))
    elif b in _BIN:
        n = number(_BIN[b])
        start = need(n)
        v = bytes(data[start:at])
    elif b in _ARRAY:
        v = sequence(number(_ARRAY[b]))
    elif b in _MAP:
        v = mapping(number(_MAP[b]))
    elif b in _EXT or 0xD4 <= b <= 0xD8:
        n = number(_EXT[b]) if b in _EXT else 1 << (b - 0xD4)
        (code,) = struct.unpack_from(">b", data, need(1))
        start = need(n)
        v = Ext(code, bytes(data[start:at]))
    else:
        raise Malformed(f"byte 0x{b:02x} begins no value")
    return v, at


def unpack(data):
    value, end = unpack_from(data, 0)
    if end != len(data):
        raise Malformed(f"{len(data) - end} bytes after the value")
    return value


class RpcError(Exception):
    """What the daemon answered instead of a result: kind 0 the task failed, 1 the request was bad."""

    def __init__(self, kind, text):
        super().__init__(f"[{kind}] {text}")
        self.kind, self.text = kind, text
        self.code = text.split(":", 1)[0]


class Closed(Exception):
    """The daemon closed the connection."""


class Client:
    def __init__(self, path, timeout=None):
        self.timeout = PATIENCE if timeout is None else timeout
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(path)
        self.buffer, self.at = bytearray(), 0
        self.next_id = 0
        self.replies = {}  # msgid → (error, result), read and not yet asked for
        self.answered = set()
        self.notes = []  # (method, params) in order
        self.fds = []  # received descriptors in order; ours to close

    # ---- bytes ----

    def send_bytes(self, data, fds=()):
        if fds:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
            sent = self.sock.sendmsg([data], rights)
            data = data[sent:]
        if data:
            self.sock.sendall(data)

    def _fill(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer within the time-out")
        self.sock.settimeout(left)
        try:
            data, ancillary, flags, _ = self.sock.recvmsg(1 << 20, socket.CMSG_SPACE(4 * 64), socket.MSG_CMSG_CLOEXEC)
        except socket.timeout:
            raise TimeoutError("no answer within the time-out") from None
        except ConnectionResetError:
            raise Closed from None
        finally:
            self.sock.settimeout(self.timeout)
        for level, kind, raw in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                got = array.array("i")
                got.frombytes(raw[: len(raw) - len(raw) % got.itemsize])
                self.fds.extend(got)
        assert not flags & socket.MSG_CTRUNC, "descriptors were lost"
        if not data:
            raise Closed
        self.buffer += data

    def _readable(self):
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return bool(poll.poll(0))

    def receive(self, timeout=None):
        """The next message, whatever it is."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            grow = 0
            if self.at < len(self.buffer):
                try:
                    message, self.at = unpack_from(self.buffer, self.at)
                    if self.at > 1 << 20 or self.at == len(self.buffer):
                        del self.buffer[: self.at]
                        self.at = 0
                    return message
                except Short:
                    # A large value is not decoded again for each piece that comes.
                    left = len(self.buffer) - self.at
                    grow = left // 2 if left > 1 << 20 else 0
            self._fill(deadline)
            enough = len(self.buffer) + grow
            try:
                while len(self.buffer) < enough and self._readable():
                    self._fill(deadline)
            except Closed:
                pass  # met again above, once what is there has been looked at

    # ---- messages ----

    def send(self, method, params=(), msgid=None, fds=()):
        """Sends a request → its msgid."""
        if msgid is None:
            self.next_id += 1
            msgid = self.next_id
        self.send_bytes(pack([0, msgid, method, list(params)]), fds)
        return msgid

    def notify(self, method, params=()):
        self.send_bytes(pack([2, method, list(params)]))

    def pump(self, timeout=None):
        """Reads one message and files it."""
        message = self.receive(timeout)
        assert isinstance(message, list) and message, f"not a message: {message!r}"
        if message[0] == 1:
            assert len(message) == 4, message
            _, msgid, error, result = message
            assert msgid not in self.answered, f"msgid {msgid} was answered twice"
            self.answered.add(msgid)
            if error is not None:
                assert result is None, message
                assert (
                    isinstance(error, list) and len(error) == 2 and error[0] in (0, 1) and isinstance(error[1], str)
                ), f"odd error {error!r}"
                assert error[1].startswith("E_") and ": " in error[1], f"odd error text {error[1]!r}"
            self.replies[msgid] = (error, result)
        else:
            assert message[0] == 2 and len(message) == 3, f"neither response nor notification: {message!r}"
            self.notes.append((message[1], message[2]))

    def reply(self, msgid, timeout=None):
        """The answer to msgid, waiting for it; raises RpcError."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while msgid not in self.replies:
            self.pump(max(0.0, deadline - time.monotonic()))
        error, result = self.replies.pop(msgid)
        if error is not None:
            raise RpcError(*error)
        return result

    def request(self, method, *params, timeout=None):
        msgid = self.send(method, params)
        result = self.reply(msgid, timeout)
        self.answered.discard(msgid)
        return result

    def forget(self, msgid):
        """Lets a msgid be used again."""
        self.answered.discard(msgid)

    # ---- what tests say most ----

    def call(self, function, *args, timeout=None, **options):
        return self.request("call", function, list(args), options or None, timeout=timeout)

    def start(self, function, *args, **options):
        return self.send("call", [function, list(args), options or None])

    def map(self, function, items, timeout=None, **options):
        return self.request("map", function, items, options or None, timeout=timeout)

    def submit(self, function, *args, **options):
        return self.request("submit", function, list(args), options or None)

    def wait(self, task, timeout_ms=None):
        return self.request("wait", task, timeout_ms) if timeout_ms is not None else self.request("wait", task)

    def failure(self, msgid):
        """The RpcError that msgid must be answered with."""
        try:
            result = self.reply(msgid)
        except RpcError as e:
            return e
        raise AssertionError(f"answered with {result!r}, not with an error")

    def error(self, method, *params):
        """The RpcError that this request must be answered with."""
        return self.failure(self.send(method, params))

    def call_error(self, function, *args, **options):
        return self.error("call", function, list(args), options or None)

    def ended(self, timeout=None):
        """Reads until the daemon closes; → messages that came before."""
        messages = []
        while True:
            try:
                messages.append(self.receive(timeout))
            except Closed:
                return messages

    def close(self):
        for fd in self.fds:
            os.close(fd)
        self.fds.clear()
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
