#!/usr/bin/python3
"""Do the documents name what there is, and miss nothing? Prints TAP.

    documents.py ROOT MPOOL MPOOLD      (the source tree and the two programs)

What is generated from tables (options and verbs of mpool(1), keys of mpoold.conf(5), section 3, mpool-protocol(7)) is right by
its making; here it is checked that nothing else in a document names an option, key, method, error, function, file or variable
that is not there, and that what is written by hand is complete. PROTOCOL.md's tables have a test of their own
(unit/proto/test_protocol_md.py), its examples and the console blocks of all documents are executed (tests/e2e).
"""
import glob
import os
import re
import subprocess
import sys
import traceback

ROOT, MPOOL, MPOOLD = sys.argv[1:4]
README_LINES = 150


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as f:
        return f.read()


def files(*endings):
    """Paths of the sources with one of these endings, tests left out."""
    for top in ("proto", "daemon", "client", "sync"):
        for folder, _, names in os.walk(os.path.join(ROOT, top)):
            for name in sorted(names):
                if name.endswith(endings):
                    yield os.path.relpath(os.path.join(folder, name), ROOT)


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def plain(text):
    """A man page's source without its marks."""
    return re.sub(r"\\(.)", r"\1", text)


DOCUMENTS = ["README.md", *files(".md", ".scd")]
CODE = {path: read(path) for path in files(".c", ".h")}
TEXTS = {path: read(path) if path.endswith(".md") else plain(read(path)) for path in DOCUMENTS}
WHOLE = "\n".join(CODE.values())


def headers():
    paths = glob.glob(os.path.join(ROOT, "client/include/mpool/*.h"))
    return sorted((p for p in paths if not p.endswith("/format.h")), key=lambda p: not p.endswith("client.h"))


def section_3():
    return dict(line.split() for line in output(sys.executable, os.path.join(ROOT, "client/manual.py"), "functions", *headers()).splitlines())


def keys():
    table = read(next(path for path in CODE if path.endswith("config_keys.h")))
    return set(re.findall(r"^ +X\((\w+), CONFIG_", table, re.M))


def nothing(wrong):
    wrong = sorted(set(wrong))
    assert not wrong, "\n".join(wrong)


def the_readme_is_a_landing_page():
    lines = TEXTS["README.md"].splitlines()
    assert len(lines) <= README_LINES, f"README.md has {len(lines)} lines; {README_LINES} are allowed"


def every_public_function_has_its_page_in_section_3_and_no_page_another():
    declared = set()
    for path in headers():
        text = re.sub(r"/\*.*?\*/", "", read(path), flags=re.S)
        declared |= {n for n in re.findall(r"^(?:MPOOL_PUBLIC|static inline)[^;{]*?\b(mpool_\w+)\(", text, re.M) if not n.endswith("_")}
        elements = re.findall(r"^ *X\((\w+), \w+\)", text, re.M)
        declared |= {f"{n}_{e}" for n in re.findall(r"MPOOL_PUBLIC \w+ (mpool_\w+?)_##name\(", text) for e in elements}
    assert set(section_3()) == declared, f"only in pages: {set(section_3()) - declared}; only in headers: {declared - set(section_3())}"
    assert len(declared) > 150, declared


def every_call_of_a_module_is_in_its_manual():
    calls = set(re.findall(r"^MPOOL_INLINE[^;{]*?\b(mpool_\w+)\(", read("daemon/modules/include/mpool/module.h"), re.M))
    calls |= {f"mpool_arg_{name}" for name in re.findall(r"^MPOOL_ARG_\((\w+),", read("daemon/modules/include/mpool/module.h"), re.M)}
    calls = {name for name in calls if not name.endswith("_")}
    named = set(re.findall(r"\b(mpool_\w+)\*\(\)", TEXTS["daemon/modules/mpool-module.7.scd"]))
    assert calls and named == calls, f"missing: {calls - named}; not there: {named - calls}"


def documents_name_no_public_function_that_is_not_there():
    known = set(section_3()) | set(re.findall(r"\b(mpool_\w+)\(", read("daemon/modules/include/mpool/module.h")))
    known |= {f"mpool_arg_{name}" for name in ("bool", "i64", "u64", "f64")}
    nothing(f"{path}: {name}()" for path, text in TEXTS.items() for name in re.findall(r"\b(mpool_\w+)\*?\(", text) if name not in known)


def documents_name_no_function_or_file_of_the_source_that_is_not_there():
    names = {os.path.basename(path) for path in [*files(""), *glob.glob(os.path.join(ROOT, "*")), *glob.glob(os.path.join(ROOT, "tests", "*"))]}
    wrong = []
    for path, text in TEXTS.items():
        if path.endswith("PROTOCOL.md") or not path.endswith(".md"):
            continue
        text = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
        spans = re.findall(r"`([^`\n]+)`", text)
        if path == "daemon/README.md":
            functions = [m[1] for s in spans for m in [re.fullmatch(r"([a-z_0-9]+)\(\)", s)] if m]
            assert len(functions) > 30, functions
            wrong += [f"{path}: {name}()" for name in functions if not re.search(rf"\b{name}\(", WHOLE)]
        for span in spans:
            if re.fullmatch(r"[\w/.-]+\.(?:c|h|md|py)", span) and os.path.basename(span) not in names:
                wrong.append(f"{path}: {span}")
    nothing(wrong)


def every_link_of_a_document_leads_somewhere():
    wrong = []
    for path, text in TEXTS.items():
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text) if path.endswith(".md") else ():
            if not os.path.exists(os.path.join(ROOT, os.path.dirname(path), target)):
                wrong.append(f"{path}: {target}")
    nothing(wrong)


def every_folder_of_the_daemon_is_in_its_readme():
    rows = set(re.findall(r"^\| `([\w/]+)/` \|", TEXTS["daemon/README.md"], re.M))
    folders = {f"daemon/{name}" for name in os.listdir(os.path.join(ROOT, "daemon")) if os.path.isdir(os.path.join(ROOT, "daemon", name))}
    assert folders <= rows, f"missing: {folders - rows}"
    nothing(f"no such folder: {row}" for row in rows if not os.path.isdir(os.path.join(ROOT, row)))


def documents_name_no_key_of_the_configuration_that_is_not_there():
    known = keys()
    assert len(known) > 40, known
    wrong = []
    for path in ("daemon/mpoold.conf.5.scd", "daemon/mpoold.8.scd", "daemon/modules/mpool-module.7.scd"):
        named = re.findall(r"_((?:max|stop|cancel|stall|allow|result|idle|load|log)_[a-z_]+?)_(?![a-z])", TEXTS[path])
        wrong += [f"{path}: {name}" for name in named if name not in known]
    nothing(wrong)


def what_happens_at_each_limit_is_in_the_manual():
    page = TEXTS["daemon/mpoold.conf.5.scd"]
    part = page[page.index("# AT A LIMIT") :]
    nothing(f"{key} is not there" for key in keys() if key.startswith("max_") and not re.search(rf"_{key}_", part) and key != "max_result_ttl")


def mpoolds_manual_has_its_options_and_no_others():
    options = set(re.findall(r"^  (--[a-z-]+)", output(MPOOLD, "--help"), re.M))
    named = set(re.findall(r"\*(--[a-z-]+)\*", TEXTS["daemon/mpoold.8.scd"]))
    assert options and options <= named, f"missing: {options - named}"
    nothing(f"{name} is not an option" for name in named - options - {"--all"})


def documents_show_no_option_or_verb_of_mpool_that_is_not_there():
    verbs = re.findall(r"^  ([a-z]+) {2,}\S", output(MPOOL, "--help"), re.M)
    options = {verb: set(re.findall(r"(?:^| )(--?[a-zA-Z0-9][a-z-]*)", output(MPOOL, verb, "--help"), re.M)) for verb in verbs}
    assert len(verbs) > 20, verbs
    wrong = []
    for path, text in TEXTS.items():
        for line in re.findall(r"(?:^\$ |\*|`)mpool ([^\n`*]+)", text, re.M):
            words = line.split()
            if not re.fullmatch("[a-z]+", words[0]):
                continue
            if words[0] not in verbs:
                wrong.append(f"{path}: mpool {words[0]}")
                continue
            mine = words[: words.index("--")] if "--" in words else words
            wrong += [f"{path}: mpool {words[0]} {w}" for w in mine if re.fullmatch("--[a-z-]+", w) and w not in options[words[0]]]
    nothing(wrong)


def every_variable_of_the_environment_is_in_a_manual():
    """Those that a program of ours reads or sets for a task."""
    read_by = {}
    for path, text in CODE.items():
        for name in re.findall(r'getenv\("([A-Z_]+)"\)', text) + re.findall(r'"(MPOOL_[A-Z]+)(?:=%s)?"', text):
            read_by.setdefault(name, path)
    assert "MPOOL_SOCKET" in read_by, read_by
    manuals = "\n".join(text for path, text in TEXTS.items() if path.endswith(".scd"))
    # What everybody has: PATH and TERM. The pid that systemd gave us is part of its protocols.
    nothing(f"{name} ({path}) is in no manual" for name, path in read_by.items()
            if not re.search(rf"\b{name}\b", manuals) and name not in ("PATH", "TERM", "SYSTEMD_EXEC_PID"))
    named = {name for path in ("client/cli/mpool.1.scd", "daemon/mpoold.8.scd") for name in re.findall(r"\*(MPOOL[A-Z_]*)\*", TEXTS[path])}
    nothing(f"{name} is read by nobody" for name in named if not re.search(rf'"{name}[="]', WHOLE))


def documents_name_no_error_that_is_not_there():
    known = set(re.findall(r"\bX\((?:E_)?([A-Z_]+), ", "\n".join(t for p, t in CODE.items() if p.startswith("proto/"))))
    known |= {"NAME"}
    wrong = [f"{path}: E_{name}" for path, text in TEXTS.items() for name in re.findall(r"\bE_([A-Z_]+)\b", text) if name not in known]
    assert "LOST" in known, known
    nothing(wrong)


def the_protocol_has_every_option_and_result_of_exec_run():
    source = read("daemon/modules/exec.c")
    options = set(re.findall(r'"(\w+)"', re.search(r"names\[\] = \{([^}]*)\};\s*size_t known", source)[1]))
    results = {"stdout", "stderr"} | set(re.findall(r'(?:key\(task, |reply_number_or_nil\(task, )"(\w+)"', source))
    text = TEXTS["proto/PROTOCOL.md"]
    part = text[text.index("\n## Commands") :]
    part = part[: part.index("\n## ", 4)]
    named = set(re.findall(r"^\| `(\w+)`(?:, `\w+`)* \|", part, re.M)) | set(re.findall(r"^\| (?:`\w+`, )+`(\w+)` \|", part, re.M))
    assert named == options | results, f"missing: {(options | results) - named}; not there: {named - options - results}"


TESTS = [value for value in list(globals().values()) if getattr(value, "__module__", "") == __name__ and callable(value)
         and value.__name__ not in ("read", "files", "output", "plain", "headers", "section_3", "keys", "nothing")]  # fmt: skip

failed = 0
print(f"1..{len(TESTS)}")
for number, test in enumerate(TESTS, 1):
    try:
        test()
        print(f"ok {number} - {test.__name__}")
    except Exception as e:
        failed += 1
        print(f"not ok {number} - {test.__name__}")
        why = str(e) if isinstance(e, AssertionError) else traceback.format_exc()
        print(re.sub(r"^", "# ", why.rstrip(), flags=re.M))
sys.exit(1 if failed else 0)
