"""How are figures kept, compared and shown?

A measure hands in rows (one side's figures, with its ratio to mpool's) and goals (a figure, what it should be, and
whether it is). Ratios are taken within each round, whose sides ran right after one another; shown is the median with
the least and the greatest. Knows nothing of what is measured.
"""
import json
import statistics
import sys


def duration(ns):
    for factor, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if ns >= factor:
            return f"{ns / factor:.3g} {unit}" if ns < 1000 * factor else f"{ns / factor:,.0f} {unit}"
    return f"{ns:.0f} ns"


def rate(per_second):
    for factor, letter in ((1e6, "M"), (1e3, "k")):
        if per_second >= factor:
            return f"{per_second / factor:.3g} {letter}/s"
    return f"{per_second:.3g}/s"


def size(count):
    for factor, unit in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if abs(count) >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count:.0f} B"


def bandwidth(bytes_per_second):
    return f"{bytes_per_second / 1e9:.2f} GB/s"


def plain(number):
    return f"{number:,.3g}" if abs(number) < 1000 else f"{number:,.0f}"


class Spread:
    """The median of several values, with the least and the greatest."""

    def __init__(self, values):
        self.values = list(values)
        self.median, self.least, self.most = statistics.median(self.values), min(self.values), max(self.values)

    def json(self):
        return {"median": self.median, "min": self.least, "max": self.most}


class Report:
    def __init__(self, as_json, rounds, facts):
        self.as_json, self.rounds, self.facts = as_json, rounds, facts
        self.measures = []
        if not as_json:
            for key, value in facts.items():
                print(f"{key:<22}{value}")

    # ---- handing in ----

    def begin(self, name, title):
        self.measures.append({"name": name, "title": title, "rows": [], "goals": [], "notes": []})
        self.progress(title)

    def row(self, what, side, ratio=None, **figures):
        """figures: name=(Spread, how it is shown)."""
        self.measures[-1]["rows"].append({"what": what, "side": side, "ratio": ratio, "figures": figures})

    def goal(self, what, value, show, most=None, least=None):
        """What should be; most or least says on which side of it the figure should lie."""
        reached = value <= most if most is not None else value >= least
        self.measures[-1]["goals"].append({"what": what, "value": value, "shown": show(value), "most": most, "least": least,
                                           "bound": ("≤ " if least is None else "≥ ") + show(most if least is None else least),
                                           "reached": reached})

    def note(self, text):
        self.measures[-1]["notes"].append(text)

    def progress(self, text):
        """A line that is overwritten, on a terminal alone."""
        if sys.stderr.isatty():
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    # ---- showing ----

    def end(self):
        """Prints the last measure."""
        self.progress("")
        if self.as_json:
            return
        m = self.measures[-1]
        print(f"\n{m['name']}: {m['title']}")
        last = None
        for row in m["rows"]:
            figures = "  ".join(f"{name} {show(spread.median):>9}" for name, (spread, show) in row["figures"].items())
            ratio = row["ratio"]
            beside = f"   {plain(ratio.median)}× ({plain(ratio.least)}..{plain(ratio.most)})" if ratio else ""
            what = row["what"] if row["what"] != last else ""
            last = row["what"]
            print(f"  {what:<29}{row['side']:<20}{figures}{beside}".rstrip())
        for goal in m["goals"]:
            print(f"  {'reached' if goal['reached'] else 'MISSED ':<9}{goal['what']}: {goal['shown']} ({goal['bound']})")
        for note in m["notes"]:
            print(f"  {note}")
        sys.stdout.flush()

    def finish(self):
        goals = [goal for m in self.measures for goal in m["goals"]]
        if not self.as_json:
            if goals:
                print(f"\n{sum(g['reached'] for g in goals)} of {len(goals)} goals reached")
            return
        for m in self.measures:
            for row in m["rows"]:
                row["figures"] = {name: spread.json() for name, (spread, _) in row["figures"].items()}
                row["ratio"] = row["ratio"] and row["ratio"].json()
        print(json.dumps({"rounds": self.rounds, "facts": self.facts, "measures": self.measures}, ensure_ascii=False, indent=1))
