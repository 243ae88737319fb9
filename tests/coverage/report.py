#!/usr/bin/python3
"""Which lines of each folder have the tests reached? Reads the counters of a coverage build with gcov.

    report.py prepare BUILD           forget all counters; let programs of other users write theirs
    report.py save BUILD NAME         keep what has been reached by now as BUILD/coverage-NAME.json
    report.py table BUILD NAME…       the table, a column for each saved state; exit status 1 if a goal is missed
    report.py lines BUILD NAME PATH…  the lines not reached of files, or of all files below folders

A line counts as reached if any program that compiles its file has reached it.
"""
import collections
import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DAEMON = ("base", "config", "core", "lane", "conn", "pool", "task", "object", "rpc", "supervisor", "modules", "worker")
FOLDERS = tuple("daemon/" + name for name in DAEMON) + ("daemon", "proto", "proto/sync", "client/lib", "client/cli")
# Of the folders below daemon/, in percent.
GOALS = {"unit": 85, "e2e": 95}
TITLES = {"unit": "unit and sim", "e2e": "with e2e"}
NAMED = 3  # files, for each folder that misses its goal


def data_files(build, suffix):
    for directory, _, names in os.walk(build):
        for name in names:
            if name.endswith(suffix):
                yield os.path.join(directory, name)


def prepare(build):
    for notes in data_files(build, ".gcno"):
        data = notes.removesuffix(".gcno") + ".gcda"
        # Emptied and not removed: a daemon that runs as another user cannot make files here, but can write to these.
        with open(data, "wb"):
            os.chmod(data, 0o666)


def reached(build):
    """file → {line: whether it was reached}, of the project's own files without tests."""
    found = collections.defaultdict(dict)
    files = [path for path in data_files(build, ".gcda") if os.path.getsize(path) > 0]
    # A file without counters was never run, but its lines count.
    files += [path for path in data_files(build, ".gcno") if not os.path.exists(gcda := path[:-5] + ".gcda") or not os.path.getsize(gcda)]
    for first in range(0, len(files), 50):
        result = subprocess.run(["gcov", "--json-format", "--stdout", *map(os.path.abspath, files[first : first + 50])],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=build, check=False)
        for complaint in result.stderr.splitlines():
            # Counters are damaged if a process is killed while it writes them.
            if "assuming not executed" not in complaint and "not a gcov data file" not in complaint:
                print(f"gcov: {complaint}", file=sys.stderr)
        for text in result.stdout.splitlines():
            document = json.loads(text)
            for entry in document["files"]:
                path = os.path.realpath(os.path.join(document["current_working_directory"], entry["file"]))
                name = os.path.relpath(path, ROOT)
                if os.path.dirname(name) in FOLDERS:
                    lines = found[name]
                    for line in entry["lines"]:
                        number = line["line_number"]
                        lines[number] = lines.get(number, False) or line["count"] > 0
    return found


def saved(build, name):
    with open(os.path.join(build, f"coverage-{name}.json"), encoding="utf-8") as f:
        return json.load(f)


def save(build, name):
    with open(os.path.join(build, f"coverage-{name}.json"), "w", encoding="utf-8") as f:
        json.dump(reached(build), f)


def percent(files):
    total = sum(len(lines) for lines in files)
    return 100 * sum(sum(lines.values()) for lines in files) / total if total else 0


def table(build, names):
    states = [saved(build, name) for name in names]
    missed = []
    print(f"{'folder':20}{'lines':>7}" + "".join(f"{TITLES[name]:>16}" for name in names))
    for folder in FOLDERS:
        row = ""
        for name, state in zip(names, states):
            files = {path: lines for path, lines in state.items() if os.path.dirname(path) == folder}
            value, goal = percent(files.values()), GOALS[name] if folder.startswith("daemon/") else None
            short = goal is not None and value < goal
            row += f"{value:14.1f} %" if not short else f"{value:8.1f} < {goal} %"
            if short:
                missed.append((folder, name, files))
        print(f"{folder:20}{sum(len(lines) for lines in files.values()):7}{row}")
    if not missed:
        print("\nall goals are reached")
        return 0
    print("\nmost lines not reached, where a goal is missed:")
    for folder, name, files in missed:
        counts = sorted(((len(lines) - sum(lines.values()), path) for path, lines in files.items()), reverse=True)
        print(f"  {folder}, {TITLES[name]}: " + ", ".join(f"{os.path.basename(path)} {n}" for n, path in counts[:NAMED] if n > 0))
    return 1


def spans(numbers):
    text, first = [], None
    for number in numbers:
        if first is None:
            first = last = number
        elif number == last + 1:
            last = number
        else:
            text.append((first, last))
            first = last = number
    if first is not None:
        text.append((first, last))
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in text)


def show_lines(build, name, paths):
    for path, lines in sorted(saved(build, name).items()):
        missing = sorted(int(number) for number, hit in lines.items() if not hit)
        if missing and any(path == wanted or path.startswith(wanted.rstrip("/") + "/") for wanted in paths):
            print(f"{path}: {len(missing)} of {len(lines)}: {spans(missing)}")


def main():
    verb, build, *rest = sys.argv[1:]
    build = os.path.abspath(build)
    if verb == "prepare":
        prepare(build)
    elif verb == "save":
        save(build, rest[0])
    elif verb == "table":
        sys.exit(table(build, rest))
    else:
        show_lines(build, rest[0], rest[1:])


if __name__ == "__main__":
    main()
