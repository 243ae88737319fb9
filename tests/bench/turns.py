"""What every measure is given: sides, turns among them, and the report.

Turns: in each round every side is asked once, one right after the other, and the order turns with the rounds, so that
whatever else the machine does hits all alike.
"""
import os

import report
import sides


class Bench:
    def __init__(self, rep, rounds, share=1.0):
        self.report, self.rounds, self.share = rep, rounds, share
        self.cpus = len(os.sched_getaffinity(0))
        self._sides = {}

    def count(self, n, least=20):
        return max(least, int(n * self.share))

    # ---- sides ----

    def side(self, name):
        """A side by its name, started once; None, with a note, if it is not installed."""
        if name not in self._sides:
            try:
                self._sides[name] = sides.start(name)
            except sides.Missing as missing:
                self.report.note(f"left out: {missing}")
                return None
        return self._sides[name]

    def adopt(self, name, side):
        """A side that a measure has made for itself; close() ends it."""
        self._sides[name] = side
        return side

    def close(self):
        for side in self._sides.values():
            side.close()
        self._sides.clear()

    # ---- turns ----

    def turns(self, asked):
        """asked: [(side's name, verb, count, depth)] → {name: [Answer, one a round]}, without those that are missing."""
        present = [(name, self.side(name), *rest) for name, *rest in asked]
        present = [row for row in present if row[1]]
        answers = {row[0]: [] for row in present}
        for name, side, verb, count, depth in present:
            side.ask(verb, max(1, self.count(count) // 10), depth)
        for turn in range(self.rounds):
            first = turn % len(present)
            for name, side, verb, count, depth in present[first:] + present[:first]:
                self.report.progress(f"{self.report.measures[-1]['title']}: round {turn + 1} of {self.rounds}, {name}")
                answers[name].append(side.ask(verb, self.count(count), depth))
        return answers

    def times(self, what, answers, base="mpool"):
        """Rows of single tasks timed; the ratio says how many times longer a side takes than mpool."""
        for name, rounds in answers.items():
            spread = {key: (report.Spread(getattr(a, key) for a in rounds), report.duration) for key in ("p50", "p99", "p999")}
            spread["rate"] = (report.Spread(a.rate for a in rounds), report.rate)
            self.report.row(what, name, self.ratio(answers, name, "p50", base) if name != base else None, **spread)

    def rates(self, what, answers, base="mpool"):
        """Rows of throughput; the ratio says how many times more mpool does."""
        for name, rounds in answers.items():
            ratio = self.ratio(answers, base, "rate", name) if name != base else None
            self.report.row(what, name, ratio, rate=(report.Spread(a.rate for a in rounds), report.rate))

    @staticmethod
    def ratio(answers, above, key, below):
        """The Spread of above / below, round by round."""
        return report.Spread(getattr(a, key) / getattr(b, key) for a, b in zip(answers[above], answers[below]))
