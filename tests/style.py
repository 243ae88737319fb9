#!/usr/bin/python3
"""Which sentences have a habit that daemon/README.md, "Style of the text", tells to avoid?

    style.py [ROOT]            fails where a document has one, or the sources have more than LIMIT
    style.py [ROOT] --list     shows those of the sources, too

Documents are *.md and *.scd; of *.c and *.h comments and strings are read. Only what a pattern can catch is caught. LIMIT falls
with each folder that is mended, and never rises: lower it to what is printed.
"""
import os
import re
import sys

LIMIT = 25
HABITS = {
    "1: a sentence about somebody without a noun": r"(?:^|[.;:] )[Ww]ho [^.?:]*[a-z)]\.(?= |$)",
    "2: events are reported, notified or returned, not told": r"\b(?:death|end|exit code|status|change|size|number|loss)s? (?:is|are|was|were) told\b|\btells? of\b",
    "3: not a, not no": r"(?<![Tt]here )\b(?:is|are|was|were) no (?!longer\b|more than\b|less\b|such\b)[a-z]+",
    "4: acquired, timed out, no longer holds": r"\b(?:is|are|was|were|be|been) (?:not )?had\b(?! to)|\b(?:it|them) no more\b",
    "6: an old word": r"\b(?:for ever|anew|altogether|seldom|by and by|in their time)\b",
    "8: ended, expired, timed out": r"\bcomes? to (?:its|an|their) end\b|\b(?:the|its|their) time is over\b|\bin vain\b",
    "9: should or must": r"\b(?:it|that|this|one|they) (?:is|are) to (?:be|go|wait|run|come|see|do|have|take|hold|know)\b",
}
TEXT_OF_CODE = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:[^\"\\\n]|\\.)*\"", re.S)
SKIPPED = re.compile(r"^\| \d+ [^\n]*|^    [^\n]*|^```.*?^```", re.M | re.S)


def sources(root, endings):
    for top in ("proto", "daemon", "client", "systemd", "tests", ""):
        folder = os.path.join(root, top)
        walk = os.walk(folder) if top else [(folder, [], os.listdir(folder))]
        for place, _, names in walk:
            for name in sorted(names):
                if name.endswith(endings):
                    yield os.path.relpath(os.path.join(place, name), root)


def found_in(root, path):
    """(line, habit, words) of each finding. A sentence may go on in the next line."""
    with open(os.path.join(root, path), encoding="utf-8") as f:
        text = f.read()
    if path.endswith((".c", ".h")):
        parts = [(m.start(), m[0]) for m in TEXT_OF_CODE.finditer(text)]
    else:
        parts = [(0, SKIPPED.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text))]
    for start, part in parts:
        # Marks of comments and line ends are blanks of the same length, so that places stay.
        flat = re.sub(r"\n( \* ?| *)", lambda m: " " + " " * len(m[1]), part) if path.endswith((".c", ".h")) else part
        flat = re.sub(r"^/\*", "  ", flat) if path.endswith((".c", ".h")) else flat
        for habit, pattern in HABITS.items():
            for m in re.finditer(pattern, flat, re.M):
                yield text.count("\n", 0, start + m.start()) + 1, habit, " ".join(m[0].split())


def main():
    arguments = [a for a in sys.argv[1:] if a != "--list"]
    root = arguments[0] if arguments else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    wrong, counted = 0, 0
    for path in sources(root, (".md", ".scd")):
        for line, habit, words in found_in(root, path):
            print(f"{path}:{line}: {habit}: {words[:90]}")
            wrong += 1
    for path in sources(root, (".c", ".h")):
        if path.startswith("tests/"):
            continue
        for line, habit, words in found_in(root, path):
            counted += 1
            if "--list" in sys.argv:
                print(f"{path}:{line}: {habit}: {words[:90]}")
    print(f"style: {wrong} in documents, {counted} in sources ({LIMIT} are allowed)")
    sys.exit(1 if wrong or counted > LIMIT else 0)


if __name__ == "__main__":
    main()
