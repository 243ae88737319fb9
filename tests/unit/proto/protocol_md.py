"""The examples in proto/PROTOCOL.md: their notation, their bytes, and whether something matches them.

Used by test_protocol_md.py here (without a daemon) and by tests/e2e/test_protocol_examples.py (with one). Python's own
library only. To get the bytes of a message that is to become an example:

    python3 protocol_md.py '[0, 1, "ping", []]'

PROTOCOL.md's section "How to read the examples" explains the format to its readers; in short, in a ```wire block:

    > HEX  # NOTATION       the client sends
    < HEX  # NOTATION       the daemon sends; consecutive ones may come in any order, those after an empty line later
    >@ HEX                  a sealed memfd with these bytes rides on the next bytes sent
    <@ HEX                  a memfd with these bytes came with the message above
    ! closed                the daemon closes the connection
    # NOTATION              goes on with the notation of the line above

In HEX, ?? is any byte, ** any whole value, $x a whole value that is remembered, … (at the end) any further bytes.
"""
import re
import struct
import sys


class Bad(Exception):
    """An example that cannot be read."""


class Short(Exception):
    """The bytes end inside a value."""


# ---- notation: JSON with types, wildcards and bin ---------------------------------------------------------------------


class Type:
    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return self.name


class Name(Type):
    """$x: any value, the same in every place of a block."""


class Either:
    def __init__(self, choices):
        self.choices = choices

    def __repr__(self):
        return "|".join(map(repr, self.choices))


class Text:
    """A string with … in it: any text may stand there."""

    def __init__(self, text):
        self.text = text
        self.pattern = re.compile(".*".join(map(re.escape, text.split("…"))), re.S)

    def __repr__(self):
        return f'"{self.text}"'


class Open:
    """A list or map that ends with …: list: any number of the last element; map: any further keys."""

    def __init__(self, inner):
        self.inner = inner

    def __repr__(self):
        return f"{self.inner!r}…"


class Ext(tuple):
    """(type, bytes)"""


TYPES = {
    "any": lambda v: True,
    "int": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    "bool": lambda v: isinstance(v, bool),
    "str": lambda v: isinstance(v, str),
    "bin": lambda v: isinstance(v, bytes),
    "map": lambda v: isinstance(v, dict),
    "list": lambda v: isinstance(v, list),
}
WORDS = {"nil": None, "true": True, "false": False}
TOKEN = re.compile(
    r"""\s*(?: (?P<punct>[\[\]{}:,|…]) | (?P<bin>b?)"(?P<text>(?:[^"\\]|\\.)*)" | (?P<number>-?\d+(?P<part>\.\d+)?) |
    (?P<name>\$?[a-z_][a-z_0-9]*) )""",
    re.X,
)


def tokens_of(text):
    at, tokens = 0, []
    text = text.rstrip()
    while at < len(text):
        m = TOKEN.match(text, at)
        if not m:
            raise Bad(f"cannot read the notation at: {text[at:]}")
        tokens.append(m)
        at = m.end()
    return tokens


def parse_notation(text):
    tokens = tokens_of(text)
    value, at = _alternatives(tokens, 0)
    if at != len(tokens):
        raise Bad(f"something follows the notation: {text}")
    return value


def _punct(tokens, at):
    return tokens[at]["punct"] if at < len(tokens) else None


def _alternatives(tokens, at):
    value, at = _value(tokens, at)
    choices = [value]
    while _punct(tokens, at) == "|":
        value, at = _value(tokens, at + 1)
        choices.append(value)
    return (choices[0] if len(choices) == 1 else Either(choices)), at


def _value(tokens, at):
    if at >= len(tokens):
        raise Bad("the notation ends too early")
    t = tokens[at]
    if t["text"] is not None:
        text = re.sub(r"\\(.)", r"\1", t["text"])
        return (text.encode() if t["bin"] else Text(text) if "…" in text else text), at + 1
    if t["number"]:
        return (float(t["number"]) if t["part"] else int(t["number"])), at + 1
    if t["name"]:
        name = t["name"]
        if name.startswith("$"):
            return Name(name), at + 1
        if name in WORDS:
            return WORDS[name], at + 1
        if name in TYPES:
            return Type(name), at + 1
        raise Bad(f"no such type: {name}")
    if t["punct"] not in "[{":
        raise Bad(f"did not expect {t['punct']}")

    is_map = t["punct"] == "{"
    close = "}" if is_map else "]"
    inner, is_open = ({} if is_map else []), False
    at += 1
    while _punct(tokens, at) != close:
        if _punct(tokens, at) == "…":
            is_open, at = True, at + 1
        elif is_map:
            key = tokens[at]["name"] if tokens[at]["name"] else tokens[at]["text"]
            if key is None or _punct(tokens, at + 1) != ":":
                raise Bad("a map is {key: value, …}")
            inner[key], at = _alternatives(tokens, at + 2)
        else:
            value, at = _alternatives(tokens, at)
            inner.append(value)
        if _punct(tokens, at) == ",":
            at += 1
        elif _punct(tokens, at) != close:
            raise Bad(f"{close} is missing")
    return (Open(inner) if is_open else inner), at + 1


def matches(shape, value, names, where="it"):
    """Raises AssertionError that says where value is not what shape says. A value of ANY fits everything."""
    if value is ANY:
        return
    if isinstance(shape, Name):
        known = names.setdefault(shape.name, value)
        assert known == value, f"{where} is {value!r}, {shape.name} was {known!r}"
    elif isinstance(shape, Type):
        assert TYPES[shape.name](value), f"{where} is {value!r}, not {shape.name}"
    elif isinstance(shape, Either):
        for choice in shape.choices:
            try:
                return matches(choice, value, names, where)
            except AssertionError:
                pass
        raise AssertionError(f"{where} is {value!r}, not {shape!r}")
    elif isinstance(shape, Text):
        assert isinstance(value, str) and shape.pattern.fullmatch(value), f"{where} is {value!r}, not {shape!r}"
    elif isinstance(shape, Open) and isinstance(shape.inner, list):
        assert isinstance(value, list), f"{where} is {value!r}, not a list"
        assert len(value) >= len(shape.inner) - 1, f"{where} has only {len(value)} elements"
        for i, element in enumerate(value):
            matches(shape.inner[min(i, len(shape.inner) - 1)], element, names, f"{where}[{i}]")
    elif isinstance(shape, list):
        assert isinstance(value, list), f"{where} is {value!r}, not a list"
        assert len(value) == len(shape), f"{where} has {len(value)} elements, not {len(shape)}: {value!r}"
        for i, (inner, element) in enumerate(zip(shape, value)):
            matches(inner, element, names, f"{where}[{i}]")
    elif isinstance(shape, (dict, Open)):
        inner = shape if isinstance(shape, dict) else shape.inner
        assert isinstance(value, dict), f"{where} is {value!r}, not a map"
        for key in inner:
            assert key in value, f"{where} has no key {key!r}: {value!r}"
            matches(inner[key], value[key], names, f"{where}.{key}")
        surplus = [] if isinstance(shape, Open) else [key for key in value if key not in inner]
        assert not surplus, f"{where} has keys that are not documented: {surplus}"
    else:
        assert type(shape) is type(value) and shape == value, f"{where} is {value!r}, not {shape!r}"


# ---- bytes ------------------------------------------------------------------------------------------------------------

ANY = Type("any")


class Span(list):
    """Tokens of HEX: ints, "??", "**", "$x", "…"."""


def parse_hex(text):
    out = Span()
    for word in text.split():
        if word in ("??", "**", "…") or re.fullmatch(r"\$[a-z_0-9]+", word):
            out.append(word)
        elif re.fullmatch(r"(?:[0-9a-f]{2}|\?\?)+", word):
            out.extend("??" if word[i] == "?" else int(word[i : i + 2], 16) for i in range(0, len(word), 2))
        else:
            raise Bad(f"neither hex nor a wildcard: {word}")
    return out


def head_of(data, at):
    """→ (kind, length of the head, count) of the value at data[at]. data: bytes, or a Span."""
    if at >= len(data):
        raise Short
    byte = data[at]
    if byte <= 0x7F or byte >= 0xE0:
        return "int", 1, byte if byte <= 0x7F else byte - 256
    for least, kind, mask in ((0xA0, "str", 0x1F), (0x90, "array", 0x0F), (0x80, "map", 0x0F)):
        if byte >= least and byte < 0xC0:
            return kind, 1, byte & mask
    if byte in (0xC0, 0xC2, 0xC3):
        return "simple", 1, {0xC0: None, 0xC2: False, 0xC3: True}[byte]
    if byte in (0xCA, 0xCB):
        return "float", 1, 4 if byte == 0xCA else 8
    if 0xCC <= byte <= 0xD3:
        return ("uint" if byte < 0xD0 else "sint"), 1, 1 << (byte & 3)
    if 0xD4 <= byte <= 0xD8:
        return "ext", 1, 1 << (byte - 0xD4)
    sizes = {0xC4: ("bin", 1), 0xC5: ("bin", 2), 0xC6: ("bin", 4), 0xC7: ("ext", 1), 0xC8: ("ext", 2), 0xC9: ("ext", 4),
             0xD9: ("str", 1), 0xDA: ("str", 2), 0xDB: ("str", 4), 0xDC: ("array", 2), 0xDD: ("array", 4),
             0xDE: ("map", 2), 0xDF: ("map", 4)}  # fmt: skip
    if byte not in sizes:
        raise Bad(f"no value begins with {byte:02x}")
    kind, width = sizes[byte]
    count = data[at + 1 : at + 1 + width]
    if len(count) < width:
        raise Short
    return kind, 1 + width, int.from_bytes(bytes(count), "big")


def decode(data, at=0):
    """→ (value, where it ends). In a Span a value with a wildcard in it is ANY."""
    if at < len(data) and isinstance(data[at], str):
        return ANY, at + 1
    kind, head, count = head_of(data, at)
    at += head
    if kind in ("int", "simple"):
        return count, at
    if kind == "array":
        out = []
        for _ in range(count):
            value, at = decode(data, at)
            out.append(value)
        return out, at
    if kind == "map":
        out = {}
        for _ in range(count):
            key, at = decode(data, at)
            value, at = decode(data, at)
            if not isinstance(key, (str, int)) or key in out:
                raise Bad(f"an odd key: {key!r}")
            out[key] = value
        return out, at
    if kind == "ext":
        count += 1
    body = data[at : at + count]
    if len(body) < count:
        raise Short
    at += count
    if any(isinstance(b, str) for b in body):
        return ANY, at
    body = bytes(body)
    if kind == "str":
        return body.decode(), at
    if kind == "bin":
        return body, at
    if kind == "ext":
        return Ext((body[0], body[1:])), at
    if kind == "float":
        return struct.unpack(">f" if count == 4 else ">d", body)[0], at
    return int.from_bytes(body, "big", signed=kind == "sint"), at


def match_bytes(span, data, captured):
    """Raises AssertionError unless data is what span says; fills captured with the bytes of $x."""
    at = 0
    for token in span:
        if token == "…":
            return
        if token == "**" or (isinstance(token, str) and token.startswith("$")):
            try:
                _, end = decode(data, at)
            except Short:
                raise AssertionError(f"the message ends before {token}") from None
            if token != "**":
                known = captured.setdefault(token, data[at:end])
                assert known == data[at:end], f"{token} has changed"
            at = end
            continue
        assert at < len(data), "the message is shorter than the example"
        assert token == "??" or token == data[at], f"byte {at} is {data[at]:02x}, not {token:02x}"
        at += 1
    assert at == len(data), "the message is longer than the example"


def encode_id(number):
    """The bytes of an id that stood somewhere inside a map."""
    assert isinstance(number, int) and 0 <= number < 1 << 53, f"{number!r} is no id"
    for head, width in ((0xCC, 1), (0xCD, 2), (0xCE, 4), (0xCF, 8)):
        if number < 1 << 8 * width:
            return bytes([number]) if number < 0x80 else bytes([head]) + number.to_bytes(width, "big")
    return None


def fill(span, captured):
    """The bytes to send."""
    out = b""
    for token in span:
        if isinstance(token, str):
            assert token in captured, f"{token} cannot be sent: nothing came for it yet"
            out += captured[token]
        else:
            out += bytes([token])
    return out


# ---- blocks -----------------------------------------------------------------------------------------------------------


class Line:
    def __init__(self, number, kind, hex_text, notation):
        self.number, self.kind, self.hex_text, self.notation = number, kind, hex_text, notation
        self.span = parse_hex(hex_text)
        self.shape = None
        self.later = False  # comes after the messages above it

    def finish(self):
        if self.notation.lstrip().startswith("["):
            self.shape = parse_notation(self.notation)


class Block:
    def __init__(self, title, number):
        self.title, self.number, self.lines = title, number, []
        self.gap = False


def sections(text):
    """Yields (title of the section, line number, kind of fence, lines) of each fenced block."""
    title, fence, body, start = "", None, [], 0
    for number, line in enumerate(text.splitlines(), 1):
        if fence is None:
            if line.startswith("#"):
                title = line.lstrip("#").strip()
            elif line.startswith("```"):
                fence, body, start = line[3:].strip() or "text", [], number
        elif line.startswith("```"):
            yield title, start, fence, body
            fence = None
        else:
            body.append(line)


def blocks(text):
    """The ```wire blocks of PROTOCOL.md."""
    found = []
    for title, start, fence, body in sections(text):
        if fence != "wire":
            continue
        block = Block(title, start)
        for number, line in enumerate(body, start + 1):
            try:
                _add_line(block, number, line)
            except Bad as e:
                raise Bad(f"line {number}: {e}") from None
        for line in block.lines:
            try:
                line.finish()
            except Bad as e:
                raise Bad(f"line {line.number}: {e}") from None
        found.append(block)
    return found


def _add_line(block, number, line):
    if not line.strip():
        block.gap = True
        return
    if line.startswith("#"):
        if not block.lines:
            raise Bad("a notation without its bytes")
        block.lines[-1].notation += " " + line[1:].strip()
        return
    m = re.fullmatch(r"(>@|<@|>|<|!)\s+(.*?)(?:\s*#\s*(.*))?", line)
    if not m:
        raise Bad(f"what is this: {line}")
    kind, rest, notation = m[1], m[2], m[3] or ""
    if kind == "!" and rest != "closed":
        raise Bad("only `! closed` is known")
    block.lines.append(Line(number, kind, "" if kind == "!" else rest, notation))
    block.lines[-1].later = block.gap
    block.gap = False


# ---- notation to hex, for authors ---------------------------------------------------------------------------------------


def _head(kind, count):
    fixed = {"str": (0xA0, 32), "array": (0x90, 16), "map": (0x80, 16)}
    long_forms = {"str": (0xD9, 0xDA, 0xDB), "bin": (0xC4, 0xC5, 0xC6), "array": (None, 0xDC, 0xDD), "map": (None, 0xDE, 0xDF)}
    if kind in fixed and count < fixed[kind][1]:
        return f"{fixed[kind][0] + count:02x}"
    for byte, width in zip(long_forms[kind], (1, 2, 4)):
        if byte is not None and count < 1 << 8 * width:
            return f"{byte:02x}{count:0{2 * width}x}"
    raise Bad("too long")


def to_hex(shape):
    """HEX of a notation; what the notation leaves open becomes a wildcard."""
    if isinstance(shape, Name):
        return shape.name
    if isinstance(shape, (Type, Either, Text, Open)):
        return "**"
    if shape is None or isinstance(shape, bool):
        return {None: "c0", False: "c2", True: "c3"}[shape]
    if isinstance(shape, int):
        if -32 <= shape < 128:
            return f"{shape & 0xFF:02x}"
        heads = (0xCC, 0xCD, 0xCE, 0xCF) if shape >= 0 else (0xD0, 0xD1, 0xD2, 0xD3)
        for byte, width in zip(heads, (1, 2, 4, 8)):
            if shape < 1 << 8 * width if shape >= 0 else shape >= -(1 << (8 * width - 1)):
                return f"{byte:02x}{shape & ((1 << 8 * width) - 1):0{2 * width}x}"
        raise Bad("an integer beyond 64 bits")
    if isinstance(shape, float):
        return "cb" + struct.pack(">d", shape).hex()
    if isinstance(shape, (str, bytes)):
        body = shape.encode() if isinstance(shape, str) else shape
        return (_head("str" if isinstance(shape, str) else "bin", len(body)) + " " + body.hex()).strip()
    if isinstance(shape, dict):
        return " ".join([_head("map", len(shape))] + [f"{to_hex(k)} {to_hex(v)}" for k, v in shape.items()])
    return " ".join([_head("array", len(shape))] + [to_hex(v) for v in shape])


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print(to_hex(parse_notation(argument)))
