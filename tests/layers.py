#!/usr/bin/python3
"""Do the walls stand? Includes point downward only, each header compiles alone, there is no umbrella header.

The layers are one table below. `.c` files count as well as headers. Prints TAP; the check is first tried on small trees
with planted faults, each of which must be found. Knows nothing of meson: compilers' flags come from pkg-config.

    layers.py [ROOT]      (CC chooses the compiler)
"""
import concurrent.futures
import os
import re
import shlex
import subprocess
import sys
import tempfile

# room: what its files may include besides the room itself. A room is the longest matching prefix.
BASE = ("daemon/base", "proto")
CONN = ("daemon/conn", "daemon/config", *BASE)
POOL = ("daemon/pool", "daemon/lane", "daemon/core", *CONN)
TASK = ("daemon/task", *POOL)
OBJECT = ("daemon/object", "daemon/core", "proto/sync", *CONN)
ROOMS = {
    "proto": (),
    "proto/sync": ("proto",),
    "daemon/base": ("proto",),
    "daemon/config": BASE,
    "daemon/lane": BASE,
    "daemon/core": BASE,
    "daemon/conn": CONN[1:],
    "daemon/pool": POOL[1:],
    "daemon/task": TASK[1:],
    "daemon/object": OBJECT[1:],
    "daemon/rpc": (*TASK, *OBJECT),
    "daemon/supervisor": ("daemon/rpc", *TASK, *OBJECT),
    "daemon/modules": (),
    "daemon/worker": ("daemon/lane", *BASE),
    "daemon": ("daemon/supervisor", "daemon/pool", "daemon/worker", "daemon/config", *BASE),
    "client/lib": ("proto", "proto/sync"),
    "client/cli": ("proto",),
    "client/examples": (),
    "client/include": (),
}
# The public headers, by the rooms that may include them; both stand alone.
PUBLIC = {
    "mpool/module.h": ("daemon/worker", "daemon/modules"),
    "mpool/client.h": ("client",),
    "mpool/format.h": ("client/include",),
    "mpool/event.h": ("client/examples",),
    "mpool/process.h": ("client",),
    "mpool/sd-event.h": ("client/examples",),
    "mpool/shared.h": ("client",),
    "mpool/queue.h": ("client",),
}
LOOP = ("daemon/base/loop.h", "daemon/base/deadline.h", "daemon/base/deadline.c", "daemon/conn", "daemon/pool", "daemon/task",
        "daemon/object", "daemon/supervisor")
# Libraries, by the rooms that may know them.
LIBRARIES = {
    r"event2?/|event\.h$": (*LOOP, "client/include/mpool/event.h", "client/examples"),
    r"systemd/": ("daemon/conn/listener.c", "daemon/supervisor", "daemon/main.c", "client/include/mpool/sd-event.h", "client/examples"),
    r"libeconf": ("daemon/config",),
    r"jansson": ("client/cli",),
    r"msgpack": ("proto", "client", "daemon/pool", "daemon/task", "daemon/object", "daemon/rpc", "daemon/worker"),
}
UMBRELLA = 8  # project headers that one header may include
PACKAGES = ("libevent_core", "libsystemd", "libeconf", "jansson", ("msgpack-c", "msgpack"))
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.M)


def sources(root):
    for top in ("proto", "daemon", "client"):
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    yield os.path.relpath(os.path.join(folder, name), root)


def room_of(path):
    best = ""
    for room in ROOMS:
        if path.startswith(room + "/") and len(room) > len(best):
            best = room
    return best


def within(path, rooms):
    return any(path == room or path.startswith(room + "/") for room in rooms)


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as f:
        return f.read()


def code_of(text):
    """The text without its comments."""
    return re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.S)


def edges(root):
    """Every (file, included name, by angle) of the tree."""
    for path in sources(root):
        for quoted, angled in INCLUDE.findall(code_of(read(root, path))):
            yield path, quoted or angled, bool(angled)


def check_edges(root):
    wrong = []
    for path, name, angled in edges(root):
        room = room_of(path)
        if not room:
            wrong.append(f"{path}: lies in no room that the table knows")
        elif name in PUBLIC:
            if not within(path, PUBLIC[name]):
                wrong.append(f"{path}: <{name}> is not for this room")
        elif name.startswith("mpool/"):
            wrong.append(f"{path}: <{name}> is no public header")
        elif os.path.exists(os.path.join(root, name)) or not angled:
            if angled:
                wrong.append(f"{path}: <{name}> is one of ours and wants quotes")
            if ".." in name.split("/") or not os.path.exists(os.path.join(root, name)):
                wrong.append(f'{path}: "{name}" is not root-relative, or is not there')
            elif name.endswith(".c"):
                wrong.append(f'{path}: "{name}" is no header')
            elif room_of(name) != room and room_of(name) not in ROOMS[room]:
                wrong.append(f'{path}: "{name}" is not below {room}')
        else:
            for pattern, rooms in LIBRARIES.items():
                if re.match(pattern, name) and not within(path, rooms):
                    wrong.append(f"{path}: <{name}> is known to {', '.join(rooms)} alone")
    return wrong


def check_cycles(root):
    graph = {}
    for path, name, _ in edges(root):
        if path.endswith(".h") and name.endswith(".h") and os.path.exists(os.path.join(root, name)):
            graph.setdefault(path, []).append(name)
    wrong, state = [], {}

    def visit(path, trail):
        state[path] = 1
        for name in graph.get(path, ()):
            if state.get(name) == 1:
                wrong.append(" → ".join([*trail, path, name]))
            elif name not in state:
                visit(name, [*trail, path])
        state[path] = 2

    for path in list(graph):
        if path not in state:
            visit(path, [])
    return wrong


def check_umbrellas(root):
    counts, wrong = {}, []
    for path, name, angled in edges(root):
        if path.endswith(".h") and (not angled or name in PUBLIC):
            counts[path] = counts.get(path, 0) + 1
    for path, count in counts.items():
        rest = re.sub(r"^[ \t]*#.*$", "", code_of(read(root, path)), flags=re.M)
        if count > UMBRELLA:
            wrong.append(f"{path}: includes {count} of our headers; {UMBRELLA} are allowed")
        elif not rest.strip():
            wrong.append(f"{path}: only includes others")
    return wrong


def library_flags():
    flags = []
    for package in PACKAGES:
        for name in (package,) if isinstance(package, str) else package:
            found = subprocess.run(["pkg-config", "--cflags", name], capture_output=True, text=True)
            if found.returncode == 0:
                flags += shlex.split(found.stdout)
                break
    return flags


def compiles_alone(root, path, flags):
    cc = shlex.split(os.environ.get("CC", "cc"))
    command = [*cc, "-std=gnu17", "-D_GNU_SOURCE", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-I", root,
               "-I", os.path.join(root, "daemon/modules/include"), "-I", os.path.join(root, "client/include"), *flags,
               "-xc", "-"]
    # Twice: a guard that is missing shows.
    done = subprocess.run(command, input=f'#include "{path}"\n#include "{path}"\n', capture_output=True, text=True, cwd=root)
    return None if done.returncode == 0 else f"{path}: {done.stderr.strip()}"


def check_alone(root):
    flags = library_flags()
    headers = [p for p in sources(root) if p.endswith(".h")]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return [w for w in pool.map(lambda p: compiles_alone(root, p, flags), headers) if w]


# What may pack a str by itself: the one place that makes it valid UTF-8, and the one that refuses what is not.
STR_PACKERS = ("proto/buf.c", "daemon/worker/reply.c")


def check_strings(root):
    return [f"{path}: packs a str itself: wire_pack_str() makes it valid UTF-8" for path in sources(root)
            if not path.startswith("client/") and path not in STR_PACKERS and "msgpack_pack_str" in code_of(read(root, path))]


LITERAL = re.compile(r"""\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])+'""")
DECLARED = re.compile(r"(?:^|\n)(?!\s*(?:typedef|static|return)\b)[A-Za-z_][\w \t*]*?[ *](\w+)\([^;{}]*\)[^;{}]*;")


def outer_code(text):
    """What stands outside of all braces: declarations without bodies and members."""
    parts, depth = [], 0
    for part in re.split(r"([{}])", re.sub(r"^[ \t]*#.*$", "", text.replace("\\\n", " "), flags=re.M)):
        if part == "{":
            depth += 1
        elif part == "}":
            depth -= 1
            parts.append(";")
        elif depth == 0:
            parts.append(part)
    return "".join(parts)


def check_callers(root):
    """Every function that a header declares is called from another file than the one that defines it."""
    code = {}
    for top in ("proto", "daemon", "client", "tests", "systemd"):
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in names:
                if name.endswith((".c", ".h")):
                    path = os.path.relpath(os.path.join(folder, name), root)
                    code[path] = LITERAL.sub('""', code_of(read(root, path)))
    words = {path: set(re.findall(r"\w+", text)) for path, text in code.items()}
    wrong = []
    for path, text in code.items():
        if not path.endswith(".h") or path.startswith("tests/") or "/include/" in path:
            continue
        for name in DECLARED.findall(outer_code(text)):
            defined = re.compile(r"\n[A-Za-z_][\w \t*]*[ *]" + name + r"\([^;]*?\)\s*\{")
            inline = len(re.findall(rf"\b{name}\b", text)) > 1
            if not inline and not any(name in words[other] and not other.endswith(".h") and not defined.search(code[other])
                                      for other in code):
                wrong.append(f"{path}: {name}() is called from no other file")
    return wrong


def check_names(root):
    """No two files of the daemon have one name: a message that names worker.c is not ambiguous."""
    seen, wrong = {}, []
    for path in sources(root):
        if path.startswith("daemon/"):
            other = seen.setdefault(os.path.basename(path), path)
            if other != path:
                wrong.append(f"{path}: has the name of {other}")
    return wrong


CHECKS = (
    ("includes_point_downward_only", check_edges),
    ("headers_include_one_another_in_no_circle", check_cycles),
    ("there_is_no_umbrella_header", check_umbrellas),
    ("each_header_compiles_alone", check_alone),
    ("there_is_one_way_to_a_str_on_the_wire", check_strings),
    ("every_declared_function_is_called_from_another_file", check_callers),
    ("each_file_of_the_daemon_has_a_name_of_its_own", check_names),
)

# A sound little tree, and what is planted in it: (name, file, text, the check that must find it)
SOUND = {
    "proto/a.h": "#pragma once\nint a(void);\n",
    "daemon/core/heart.h": '#pragma once\n#include "proto/a.h"\nint heart(void);\n',
    "daemon/core/heart.c": '#include "daemon/core/heart.h"\n/* #include "daemon/supervisor/top.h" is only talk */\n',
    "daemon/supervisor/top.h": "#pragma once\nstruct top;\n",
    "daemon/supervisor/top.c": '#include <event2/event.h>\n#include "daemon/core/heart.h"\n',
    "proto/sync/s.h": "#pragma once\nint s(void);\n",
    "daemon/conn/c.h": "#pragma once\nint c(void);\n",
    "daemon/task/t.h": "#pragma once\nint t(void);\n",
    "daemon/task/t.c": '#include "daemon/conn/c.h"\n#include "daemon/task/t.h"\n',
    "daemon/rpc/r.h": "#pragma once\nint r(void);\n",
    "daemon/rpc/r.c": '#include "daemon/rpc/r.h"\n#include "daemon/task/t.h"\n',
    "client/lib/io.c": '#include "proto/a.h"\n',
    "tests/b.c": "int main(void) { return a() + heart() + s() + c() + t() + r(); }\n",
}
PLANTS = (
    ("an upward edge in a header", "daemon/core/b.h", '#pragma once\n#include "daemon/supervisor/top.h"\n', check_edges),
    ("an upward edge in a .c file", "daemon/core/b.c", '#include "daemon/supervisor/top.h"\n', check_edges),
    ("an upward edge with blanks", "proto/b.c", '  #  include  "daemon/core/heart.h"\n', check_edges),
    ("an edge between strangers", "daemon/lane/b.c", '#include "daemon/core/heart.h"\n', check_edges),
    ("a task in a connection", "daemon/conn/b.c", '#include "daemon/task/t.h"\n', check_edges),
    ("a task in a pool", "daemon/pool/b.c", '#include "daemon/task/t.h"\n', check_edges),
    ("a request in a task", "daemon/task/b.c", '#include "daemon/rpc/r.h"\n', check_edges),
    ("a task in an object", "daemon/object/b.c", '#include "daemon/task/t.h"\n', check_edges),
    ("a request in an object", "daemon/object/b.h", '#pragma once\n#include "daemon/rpc/r.h"\nint b(void);\n', check_edges),
    ("the wiring in a request", "daemon/rpc/b.c", '#include "daemon/supervisor/top.h"\n', check_edges),
    ("a connection in the configuration", "daemon/config/b.c", '#include "daemon/conn/c.h"\n', check_edges),
    ("a page in the wire", "proto/b.c", '#include "proto/sync/s.h"\n', check_edges),
    ("the client in the daemon", "client/lib/b.c", '#include "daemon/core/heart.h"\n', check_edges),
    ("our header in angles", "daemon/supervisor/b.c", "#include <daemon/core/heart.h>\n", check_edges),
    ("a relative path", "daemon/core/b.c", '#include "../supervisor/top.h"\n', check_edges),
    ("a name without its room", "daemon/core/b.c", '#include "heart.h"\n', check_edges),
    ("an included .c file", "daemon/core/b.c", '#include "daemon/core/heart.c"\n', check_edges),
    ("libevent in the heart", "daemon/core/b.c", "#include <event2/event.h>\n", check_edges),
    ("a module's header in the supervisor", "daemon/supervisor/b.c", "#include <mpool/module.h>\n", check_edges),
    ("a folder that nobody knows", "client/other/b.c", '#include "proto/a.h"\n', check_edges),
    ("a circle", "proto/a.h", '#pragma once\n#include "proto/c.h"\nint a(void);\n', check_cycles),
    ("a header that only includes", "daemon/core/b.h", '#pragma once\n#include "proto/a.h"\n', check_umbrellas),
    ("a header that leans on its includer", "daemon/core/b.h", "#pragma once\nuint8_t b(void);\n", check_alone),
    ("a str that nobody has looked at", "daemon/supervisor/b.c", "void b(void) { msgpack_pack_str_body(0, 0, 0); }\n", check_strings),
    ("a function that nobody calls", "daemon/core/b.h", "#pragma once\nint b(void);\n", check_callers),
    ("two files of one name", "daemon/lane/heart.h", "#pragma once\nint c(void);\n", check_names),
    ("a header without a guard", "daemon/core/b.h", "struct b { int c; };\n", check_alone),
)


def plant(extra):
    tree = tempfile.TemporaryDirectory(prefix="mpool-layers-")
    for path, text in {**SOUND, **extra}.items():
        full = os.path.join(tree.name, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as f:
            f.write(text)
    return tree


def main():
    root = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), ".."))
    number, failed = 0, 0
    print(f"1..{len(CHECKS) + len(PLANTS) + 1}")

    def point(name, wrong):
        nonlocal number, failed
        number += 1
        failed += bool(wrong)
        print(f"{'not ok' if wrong else 'ok'} {number} - {name}")
        for line in "\n".join(wrong).splitlines():
            print(f"#   {line}")

    with plant({}) as tree:
        point("a_sound_tree_passes", [w for _, check in CHECKS for w in check(tree)])
    for name, path, text, check in PLANTS:
        extra = {path: text}
        if check is check_cycles:
            extra["proto/c.h"] = '#pragma once\n#include "proto/a.h"\nint c(void);\n'
        with plant(extra) as tree:
            point(f"{name.replace(' ', '_')}_is_found", [] if check(tree) else ["it was not"])
    for name, check in CHECKS:
        point(name, check(root))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
