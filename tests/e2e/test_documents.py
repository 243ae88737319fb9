#!/usr/bin/python3
"""Do the console blocks of the documents do what they show?

Each document is one test: a bash session in an empty directory, with a daemon of its own and the build's programs in PATH.
Blocks run from top to bottom and share variables and files. What counts as a block:

    ```console in Markdown, and a literal block in a man page whose first line is a command:
        $ COMMAND       typed into the shell; the lines after it, up to the next $, are what it prints (both outputs)
        … alone         any number of lines; … within a line: any text
    ```c, ```ini and the like whose first line is a comment with a file's name, such as /* first.c */: that file

Numbers may differ in a line that names a pid. A command that ends in & is a daemon: the next one waits until it is ready.
"""
import os
import re
import subprocess

from harness import BUILD, PATIENCE, ROOT, SANITIZED, Skip, main, test

# Which documents, and the least number of commands each must show (a block that is no longer found would not fail).
DOCUMENTS = {
    "README.md": 11,
    "client/README.md": 3,
    "client/cli/mpool.1.scd": 18,
    "daemon/modules/mpool-module.7.scd": 4,
    "daemon/mpoold.conf.5.scd": 1,
}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
FILE = re.compile(r"(?:/\*|#|//) ([\w.-]+\.\w+)(?: \*/)?\n")


def commands_of(body):
    """[(command, what it prints)] of a console block."""
    found = []
    for line in body.splitlines(keepends=True):
        if line.startswith("$ "):
            found.append([line[2:].rstrip("\n"), ""])
        elif found:
            found[-1][1] += line
    return found


def read(path):
    """→ (files, commands) of a document."""
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        text = f.read()
    files, commands = {}, []
    for kind, body in FENCE.findall(text):
        if path.endswith(".scd"):
            body = body.replace("\\\\", "\\")
        named = FILE.match(body)
        if kind == "console" or body.startswith("$ "):
            commands += commands_of(body)
        elif named:
            files[named[1]] = body
    return files, commands


def pattern_of(line):
    """A regular expression for one line of output."""
    parts = [re.escape(part) for part in line.split("…")]
    if "pid" in line:
        parts = [re.sub(r"\d+(\\\.\d+)?", r"[\\d.]+", part) for part in parts]
    return ".*".join(parts)


def matches(shown, printed):
    pattern = "".join("(?:.*\n)*" if line.strip() == "…" else pattern_of(line) + "\n" for line in shown.splitlines())
    return re.fullmatch(pattern, printed) is not None


def script_of(commands):
    lines = ["exec 2>&1"]
    for number, (command, _) in enumerate(commands):
        lines.append(f"echo '<<<{number}>>>'")
        if not command.endswith(" &"):
            lines.append(command)
            continue
        socket = re.search(r"--socket (\S+)", command)[1]
        lines.append(f"{command[:-2]} >daemon.log 2>&1 &")
        lines.append(f"for i in $(seq {int(PATIENCE) * 20}); do mpool --socket {socket} ping >/dev/null && break; sleep 0.05; done 2>/dev/null")
    lines.append("echo '<<<end>>>'; kill $(jobs -p) 2>/dev/null; wait")
    return "\n".join(lines)


def session(d, path):
    if SANITIZED:
        raise Skip("what the blocks compile would lack the sanitizer's runtime")
    files, commands = read(path)
    assert len(commands) >= DOCUMENTS[path], f"only {len(commands)} commands were found in {path}"
    place = os.path.join(d.home, "session")
    os.mkdir(place, 0o700)
    for name, body in files.items():
        with open(os.path.join(place, name), "w", encoding="utf-8") as f:
            f.write(body)
    programs = [os.path.join(BUILD, "client", "cli"), os.path.join(BUILD, "daemon"), "/usr/local/bin", "/usr/bin", "/bin"]
    environment = {
        "PATH": ":".join(programs), "HOME": place, "LC_ALL": "C.UTF-8", "MPOOL_SOCKET": d.path,
        # As if it was installed.
        "PKG_CONFIG_PATH": os.path.join(BUILD, "meson-uninstalled"),
        "C_INCLUDE_PATH": f"{ROOT}/client/include:{ROOT}/daemon/modules/include",
        "LIBRARY_PATH": os.path.join(BUILD, "client", "lib"), "LD_LIBRARY_PATH": os.path.join(BUILD, "client", "lib"),
    }  # fmt: skip
    done = subprocess.run(["bash", "-c", script_of(commands)], capture_output=True, text=True, timeout=PATIENCE * 3, cwd=place,
                          env=environment, stdin=subprocess.DEVNULL)
    printed = dict(re.findall(r"^<<<(\d+)>>>\n(.*?)(?=^<<<)", done.stdout, re.M | re.S))
    wrong = []
    for number, (command, shown) in enumerate(commands):
        got = printed.get(str(number))
        if got is None or not matches(shown, got):
            wrong.append(f"$ {command}\n-- shown:\n{shown}-- printed:\n{got}")
    assert not wrong, f"{path}:\n" + "\n".join(wrong)


def register(path):
    def run(d):
        session(d, path)

    run.__name__ = "the_console_blocks_do_what_they_show_in_" + re.sub(r"\W", "_", path)
    test(workers="2")(run)


@test(daemon=False)
def output_that_differs_from_what_is_shown_is_found(_):
    for shown, printed, good in (
            ("a\n", "a\n", True), ("a\n", "b\n", False), ("a\n", "a\nb\n", False), ("", "", True), ("", "a\n", False),
            ("a\n…\nz\n", "a\nb\nc\nz\n", True), ("a\n…\nz\n", "a\nz\n", True), ("a … z\n", "a b z\n", True),
            ("(pid 7) 0.5 s\n", "(pid 123) 1.25 s\n", True), ("number 7\n", "number 8\n", False), ("a.b\n", "axb\n", False)):
        assert matches(shown, printed) == good, (shown, printed)


for document in DOCUMENTS:
    register(document)

if __name__ == "__main__":
    main()
