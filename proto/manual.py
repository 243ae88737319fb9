#!/usr/bin/env python3
"""Fills the tables of PROTOCOL.md into the source of mpool-protocol(7).

    manual.py mpool-protocol.7.scd PROTOCOL.md DOCDIR > page.scd

PROTOCOL.md's tables are compared with those of the C source by the tests, so the page has what the daemon has.
"""
import re
import sys


def rows(text, kind):
    """The cells of a table's rows, without marks."""
    table = re.search(rf"<!-- table: {kind} -->\n\n(.*?)\n<!-- end of table -->", text, re.S)[1]
    for line in table.splitlines()[2:]:
        cells = [cell.strip().replace("\0", "|") for cell in line.replace("\\|", "\0").strip("|").split("|")]
        yield [re.sub(r"\[?`(\w+)`(?:\]\(.*?\))?", r"\1", cell) for cell in cells]


def escape(text):
    return re.sub(r"([\\_*`#~<>\[\].|+])", r"\\\1", text)


def entry(name, note, words):
    return f"*{escape(name)}*{escape(note)}\n\t{escape(words)}\n\n"


def methods(text):
    for name, params, result, who, words in rows(text, "methods"):
        owner = {"owner": " Owner only.", "admin": " Administrators only."}.get(who, "")
        yield entry(name, f"({'' if params == 'none' else params}) → {result}", words + owner)


def errors(text):
    for name, kind, retryable, words in rows(text, "errors"):
        yield entry(name, f" (class {kind}{', retryable' if retryable == 'yes' else ''})", words)


def states(text):
    for name, final, words in rows(text, "states"):
        yield entry(name, " (final)" if final == "yes" else "", words)


def main():
    source, document, docdir = sys.argv[1:]
    with open(document, encoding="utf-8") as f:
        text = f.read()
    makers = {"@METHODS@\n": methods, "@ERRORS@\n": errors, "@STATES@\n": states}
    with open(source, encoding="utf-8") as f:
        for line in f:
            if line in makers:
                sys.stdout.write("".join(makers[line](text)))
            else:
                sys.stdout.write(line.replace("@DOCDIR@", docdir))


if __name__ == "__main__":
    main()
