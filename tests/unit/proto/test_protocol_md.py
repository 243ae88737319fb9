#!/usr/bin/python3
"""Is proto/PROTOCOL.md true to the tables in C, and do the bytes of its examples say what stands beside them?

    python3 test_protocol_md.py PROTO_TABLES PROTOCOL_MD     (the program proto-tables, the document)
"""
import re
import subprocess
import sys
import traceback

sys.dont_write_bytecode = True
import protocol_md as md  # noqa: E402

TABLES, PATH = sys.argv[1:3]
with open(PATH, encoding="utf-8") as f:
    TEXT = f.read()


def table(kind):
    return subprocess.run([TABLES, kind], check=True, capture_output=True, text=True).stdout


def names(kind):
    """The first column, bare."""
    return re.findall(r"^\| \[?`(\w+)`", table(kind), re.M)


def check_table(kind):
    m = re.search(rf"<!-- table: {kind} -->\n\n(.*?)\n<!-- end of table -->", TEXT, re.S)
    assert m, f"the document has no table of {kind}"
    assert m[1] == table(kind), f"the table of {kind} is not what `proto-tables {kind}` prints"


def the_table_of_methods_is_that_of_the_source():
    check_table("methods")


def the_table_of_errors_is_that_of_the_source():
    check_table("errors")


def the_table_of_states_is_that_of_the_source():
    check_table("states")


def every_method_has_its_section_and_an_example():
    headings = re.findall(r"^### (.+)$", TEXT, re.M)
    assert headings == names("methods"), f"sections {headings}, methods {names('methods')}"
    sent = {}
    for block in md.blocks(TEXT):
        for line in block.lines:
            if line.kind == ">" and isinstance(line.shape, list):
                sent.setdefault(block.title, set()).add(line.shape[-2])
    for name in headings:
        assert name in sent.get(name, ()), f"the section of {name} has no example that sends it"
        assert re.search(rf"^### {name}\n\n`{name}\(", TEXT, re.M), f"the section of {name} does not begin with its signature"


def the_signature_of_every_method_has_the_parameters_of_the_table():
    params = dict(re.findall(r"^\| \[`(\w+)`\]\(.*?\) \| (.*?) \|", table("methods"), re.M))
    assert set(params) == set(names("methods")), params
    for name, wanted in params.items():
        wanted = "" if wanted == "none" else re.sub(r" or [^,]*", "", wanted)
        shown = re.search(rf"^### {name}\n\n`{name}\((.*?)\)`", TEXT, re.M)[1]
        assert shown == wanted, f"{name}({shown}) in its section, {name}({wanted}) in the table"


def every_error_that_is_named_exists():
    known = set(names("errors")) | {"E_NAME"}
    named = set(re.findall(r"\bE_[A-Z_]+\b", TEXT))
    assert named <= known, f"no such errors: {named - known}"


def every_state_that_an_example_shows_exists():
    shown = set(re.findall(r"[{ ]state: \"(\w+)\"", TEXT)) - {"dreaming", "starting"}
    assert shown and shown <= set(names("states")), shown


def the_bytes_of_every_example_are_what_stands_beside_them():
    messages = 0
    for block in md.blocks(TEXT):
        for line in block.lines:
            if line.kind not in "<>" or line.shape is None:
                continue
            value, end = md.decode(line.span)
            assert end == len(line.span), f"line {line.number}: bytes are left over"
            try:
                md.matches(line.shape, value, {})
            except AssertionError as e:
                raise AssertionError(f"line {line.number}: {e}") from None
            messages += 1
    assert messages > 100, f"only {messages} messages were found"


def every_line_that_is_sent_has_its_meaning():
    for block in md.blocks(TEXT):
        for line in block.lines:
            assert line.kind not in "<>" or line.notation, f"line {line.number} says nothing"


def every_link_inside_the_document_leads_somewhere():
    headings = re.findall(r"^#+ (.+)$", TEXT, re.M)
    anchors = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
    links = set(re.findall(r"\]\(#([^)]+)\)", TEXT))
    assert links <= anchors, f"lead nowhere: {links - anchors}"


def a_message_that_is_not_what_an_example_says_is_caught():
    good = md.parse_notation('[1, 1, nil, {id: $id, state: "done", n: int|nil, list: [int, …], …}]')
    value = [1, 1, None, {"id": 5, "state": "done", "n": None, "list": [1, 2], "more": True}]
    md.matches(good, value, {})
    for path, wrong in (("id", 6), ("state", "failed"), ("n", "x"), ("n", True), ("list", [1, "x"]), ("list", 1)):
        bad = [1, 1, None, dict(value[3], **{path: wrong})]
        try:
            md.matches(good, bad, {"$id": 5})
        except AssertionError:
            continue
        raise RuntimeError(f"{path} = {wrong!r} passed")
    for notation, other in (("{a: int}", {"a": 1, "b": 2}), ("[1]", [True]), ("1", 1.0), ('"E_X: …"', "E_Y: z"), ("bin", "x")):
        try:
            md.matches(md.parse_notation(notation), other, {})
        except AssertionError:
            continue
        raise RuntimeError(f"{other!r} passed for {notation}")


def bytes_that_are_not_what_an_example_says_are_caught():
    span = md.parse_hex("94 01 ?? c0 ** $x 05")
    captured = {}
    md.match_bytes(span, bytes.fromhex("940107c0a3616263cd010205"), captured)
    assert captured == {"$x": bytes.fromhex("cd0102")}
    for wrong in ("940107c0a3616263cd010206", "940107c0a3616263cd0102", "940107c0a3616263cd01020505", "950107c0c0c005",
                  "940107c0a36162", ""):  # fmt: skip
        try:
            md.match_bytes(span, bytes.fromhex(wrong), {})
        except AssertionError:
            continue
        raise RuntimeError(f"{wrong} passed")


def what_the_notation_packs_is_what_it_decodes_to():
    for text in ('[0, 1, "x", []]', "[-1, -33, 127, 128, 65535, 65536, 4294967296, -2147483649]", '{a: b"x", b: [nil, true]}', "1.5"):
        shape = md.parse_notation(text)
        value, _ = md.decode(md.parse_hex(md.to_hex(shape)))
        md.matches(shape, value, {})


TESTS = [value for value in list(globals().values()) if getattr(value, "__module__", "") == __name__ and callable(value)
         and value.__name__ not in ("table", "names", "check_table")]  # fmt: skip

failed = 0
print(f"1..{len(TESTS)}")
for number, test in enumerate(TESTS, 1):
    try:
        test()
        print(f"ok {number} - {test.__name__}")
    except Exception:
        failed += 1
        print(f"not ok {number} - {test.__name__}")
        print("".join(f"# {line}\n" for line in traceback.format_exc().splitlines()), end="")
sys.exit(1 if failed else 0)
