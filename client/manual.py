#!/usr/bin/env python3
"""Makes the man pages of section 3 from the public headers, so that a page cannot differ from its header.

    manual.py pages DIRECTORY HEADER... -- PAGE...    writes DIRECTORY/PAGE.3.scd for each page, in scdoc's language
    manual.py links DIRECTORY HEADER...               makes DIRECTORY/FUNCTION.3 lead to the page that describes it
    manual.py functions HEADER...                     prints every public function with its page

A header's first comment is its introduction. Each ruled section (/* ---- title ---- */) of a header becomes a page; a header
without rules becomes one page. A page is named after its first function, or else after its first type. The first header's
introduction and what stands before its first rule become libmpoolclient(3). Fails when the headers do not make exactly
the PAGEs, and when no comment describes a function. Needs Python's own library only.
"""
import os
import re
import sys

OVERVIEW = "libmpoolclient"
RULE = re.compile(r"/\* -{3,} (.+?) -{3,}\s*\*/")
COMMENT = re.compile(r"/\*.*?\*/", re.S)
MACRO = re.compile(r"#(?:[^\n]*\\\n)*[^\n]*")
TRAILING = re.compile(r"\s*/\*(.*?)\*/$", re.S)


class Item:
    """Declarations with the comment that describes them, or a comment that stands alone."""

    def __init__(self, text=""):
        self.text, self.code = text, []

    def functions(self):
        bare = [COMMENT.sub("", code) for code in self.code]
        return [re.search(r"\b(mpool_\w+)\(", code)[1] for code in bare if "(" in code and not code.startswith(("typedef", "struct", "enum"))]

    def types(self):
        bare = [COMMENT.sub("", code) for code in self.code if code.startswith("typedef")]
        return [m[1] for m in (re.search(r"(mpool_\w+)(?:\([^()]*(?:\([^()]*\)[^()]*)*\))?;\s*$", code) for code in bare) if m]


class Section:
    """A page to be."""

    def __init__(self, header, title, introduction=""):
        self.header, self.title, self.introduction = header, title, introduction
        self.items, self.generated = [], []

    def functions(self):
        return [name for item in self.items for name in item.functions()] + self.generated

    def name(self):
        return ([*self.functions(), *(name for item in self.items for name in item.types())] or [None])[0]


# ---- reading a header -------------------------------------------------------------------------------------------------


def pieces(text):
    """Cuts a header into ("comment", text), ("rule", title), ("macro", text), ("code", text) and ("gap", "")."""
    at = 0
    while at < len(text):
        if text[at] == "\n":
            kind, piece, end = "gap", "", at
        elif text[at] == "#":
            end = MACRO.match(text, at).end()
            kind, piece = "macro", text[at:end]
        elif text.startswith("/*", at):
            end = COMMENT.match(text, at).end()
            rule = RULE.fullmatch(text[at:end])
            kind, piece = ("rule", rule[1]) if rule else ("comment", words_of(text[at:end]))
        else:
            end = end_of_code(text, at)
            kind, piece = "code", text[at:end]
        yield kind, piece
        at = end + 1


def words_of(comment):
    """A comment without its marks."""
    lines = comment[2:-2].splitlines()
    return "\n".join([lines[0].strip(), *(re.sub(r"^ ?\* ?", "", line).rstrip() for line in lines[1:])]).strip("\n ")


def end_of_code(text, at):
    """Where the last line of a declaration or an inline function ends."""
    if text.startswith(('extern "C"', "}", "MPOOL_ELEMENT"), at):
        return text.index("\n", at)
    depth = 0
    for m in re.compile(r"/\*.*?\*/|[{}();]", re.S).finditer(text, at):
        depth += {"{": 1, "(": 1, "}": -1, ")": -1}.get(m[0], 0)
        if depth <= 0 and (m[0] == ";" or (m[0] == "}" and text[m.end()] == "\n")):
            break
    return text.index("\n", m.end())


def is_private(code):
    named = re.search(r"\b(mpool_\w+)\(", code)
    return code.startswith(("extern", "}", "MPOOL_ELEMENT")) or (code.startswith("static inline") and named[1].endswith("_"))


def declaration(code):
    """As a user would read it: without our macros and without a body."""
    code = code.replace("MPOOL_PUBLIC ", "")
    return code.partition("\n{")[0].replace("static inline ", "") + ";" if code.startswith("static inline") else code


def read(path):
    """→ the sections of a header."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    header, item, sections = os.path.basename(path), None, []
    elements = re.findall(r"^ *X\((\w+), \w+\)", text, re.M)
    for kind, piece in pieces(text):
        if kind == "comment" and not sections:
            sections.append(Section(header, None, piece.partition("\n\n")[2]))
        elif kind == "rule":
            sections.append(Section(header, piece))
            item = None
        elif kind == "comment":
            item = Item(piece)
            sections[-1].items.append(item)
        elif kind == "gap":
            item = None
        elif kind == "macro":
            makers = re.findall(r"MPOOL_PUBLIC \w+ (mpool_\w+?)_##name\(", piece)
            sections[-1].generated += [f"{maker}_{element}" for maker in makers for element in elements]
        elif not is_private(piece):
            if not item:
                item = Item()
                sections[-1].items.append(item)
            item.code.append(declaration(piece))
    return sections


def load(headers):
    """→ (what becomes libmpoolclient(3), the pages). Every function must be described."""
    overview, pages = None, []
    for path in headers:
        first, *others = read(path)
        if not overview:
            overview = first
        elif others and not first.functions():  # its types and words belong to the first page
            others[0].introduction, others[0].items = first.introduction, first.items + others[0].items
        else:
            others.insert(0, first)
        pages += [section for section in others if section.name()]
    for page in pages:
        for item in page.items:
            if item.functions() and not item.text and not all(map(TRAILING.search, item.code)):
                sys.exit(f"manual.py: {page.header}: no comment describes {', '.join(item.functions())}")
    return overview, pages


# ---- writing scdoc ----------------------------------------------------------------------------------------------------


def escape(text):
    text = re.sub(r"([\\_*`#~<>\[\].|+])", r"\\\1", text)
    return re.sub(r"(?<!\w)((?:mpool|sd|event)(?:\\_\w+)+)\(\)", r"*\1*()", text)


def literal(lines):
    return "```\n" + "\n".join(lines).replace("\\", "\\\\") + "\n```\n\n"


def paragraph(lines):
    """What follows an arrow is what a function returns, and begins a paragraph of its own."""
    parts = re.split(r"(?<=[.;:)]) (?=→ )|^(?=→ )", " ".join(lines))
    lead = re.match(r"([A-Z][A-Za-z' ]{2,24})\. ", parts[0])
    if lead:
        parts[0] = parts[0][lead.end() :]
    shown = [escape(part) for part in parts if part]
    return (f"*{escape(lead[1])}.* " if lead else "") + "\n\n".join(shown) + "\n\n"


def prose(text):
    """Paragraphs; what is indented by four blanks is literal."""
    out, lines, is_literal = [], [], False

    def flush():
        while lines and not lines[-1]:
            lines.pop()
        if lines:
            out.append(literal(lines) if is_literal else paragraph(lines))
        lines.clear()

    for line in text.splitlines():
        indented = line.startswith("    ") or (is_literal and not line)
        if indented != is_literal or (not line and not is_literal):
            flush()
        is_literal = indented
        if line or is_literal:
            lines.append(line[4:] if is_literal else line.strip())
    flush()
    return "".join(out)


def described(items):
    out = []
    for item in items:
        names = item.functions() or item.types()
        if names:
            out.append(f"## {escape(', '.join(names))}\n\n")
        remark = TRAILING.search(item.code[0]) if len(item.code) == 1 and not item.text else None
        code = [TRAILING.sub("", item.code[0])] if remark else item.code
        if code:
            out.append(literal("\n".join(code).splitlines()))
        out.append(prose(remark[1].strip() if remark else item.text))
    return "".join(out)


def head(name, names, what, header):
    return (f'{name}(3) "mpool"\n\n# NAME\n\n{escape(", ".join(names))} - {escape(what)}\n\n# SYNOPSIS\n\n*#include <mpool/{header}>*\n\n'
            "# DESCRIPTION\n\n")  # fmt: skip


def page_text(page, pages):
    functions = [name for item in page.items for name in item.functions()] or [page.name()]
    common = next(p for p in pages if p.header == page.header)
    others = ", ".join(f"*{escape(name)}*(3)" for name in [OVERVIEW, *(p.name() for p in pages)] if name != page.name())
    out = [head(page.name(), functions, f"libmpoolclient: {page.title or 'all of <mpool/' + page.header + '>'}", page.header)]
    if page.introduction:
        out.append(prose(page.introduction))
    elif common.introduction:
        out.append(f"*{escape(common.name())}*(3) describes what all functions of _<mpool/{escape(page.header)}>_ have in common.\n\n")
    out.append(f"*{OVERVIEW}*(3) describes linking, return values, ownership, threads and callbacks. What a function returns follows an arrow (→).\n\n")
    return "".join(out) + described(page.items) + f"# SEE ALSO\n\n{others}\n"


def overview_text(overview, pages):
    out = [head(OVERVIEW, [OVERVIEW], "use mpoold from C and C++", overview.header), prose(overview.introduction), "# PAGES\n\n"]
    for page in pages:
        functions = page.functions() or [page.name()]
        short = dict.fromkeys(re.sub(r"_[iuf]\d+$", "_TYPE", name) if name in page.generated else name for name in functions)
        out.append(f"*{escape(page.name())}*(3): {escape(page.title or '<mpool/' + page.header + '>')}\n\t{escape(', '.join(short))}\n\n")
    out += ["# TYPES AND CODES\n\n", described(overview.items), "# SEE ALSO\n\n*mpool*(1), *mpoold*(8), *mpool-module*(7), *mpool-protocol*(7)\n"]
    return "".join(out)


def write_pages(directory, headers, wanted):
    overview, pages = load(headers)
    made = [OVERVIEW, *(page.name() for page in pages)]
    if wanted != made:
        sys.exit(f"manual.py: the headers make the pages {' '.join(made)}; client/meson.build lists {' '.join(wanted)}")
    texts = {OVERVIEW: overview_text(overview, pages), **{page.name(): page_text(page, pages) for page in pages}}
    for name, text in texts.items():
        with open(os.path.join(directory, f"{name}.3.scd"), "w", encoding="utf-8") as f:
            f.write(text)


def main():
    verb, arguments = sys.argv[1], sys.argv[2:]
    if verb == "functions":
        for page in load(arguments)[1]:
            for name in page.functions():
                print(name, page.name())
    elif verb == "links":
        directory = os.environ.get("DESTDIR", "") + arguments[0]
        for page in load(arguments[1:])[1]:
            for name in set(page.functions()) - {page.name()}:
                with open(os.path.join(directory, f"{name}.3"), "w", encoding="utf-8") as f:
                    f.write(f".so man3/{page.name()}.3\n")
    else:
        at = arguments.index("--")
        write_pages(arguments[0], arguments[1:at], arguments[at + 1 :])


if __name__ == "__main__":
    main()
