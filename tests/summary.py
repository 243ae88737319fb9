#!/usr/bin/python3
"""What came of a test run? Reads the log that `meson test` leaves, shows the failures, counts every single test.

    summary.py TESTLOG.json [--also 'ok NAME' | --also 'not ok NAME']…

Programs that print TAP count by their points, others count as one. A TAP program that ends badly without a failed point
(crash, time-out, fewer points than planned) counts one failure. The last line is `N passed, N failed`, with the skipped
ones after it; the exit status is 1 if anything failed.
"""
import argparse
import json
import re
import sys

POINT = re.compile(r"^(not )?ok\b *(\d*)[ -]*([^#]*?) *(?:# *(?:(skip|todo)\w*[: ]*)?(.*))?$", re.I)
PLAN = re.compile(r"^1\.\.(\d+)")


class Totals:
    def __init__(self):
        self.passed = self.failed = 0
        self.skipped = []
        self.failures = []  # (program, [names of failed points], output tail)


def tail(text, lines):
    kept = text.rstrip().splitlines()[-lines:]
    return "\n".join("    " + line for line in kept)


def around(stdout, name, lines=60):
    """A failed point with the diagnostics that follow it."""
    found, taking = [], False
    for line in stdout.splitlines():
        point = POINT.match(line)
        if point:
            taking = bool(point.group(1)) and point.group(3).strip() == name
        if taking:
            found.append("    " + line)
    if len(found) > lines:
        found = found[: lines // 3] + [f"    … {len(found) - lines} lines …"] + found[-(lines - lines // 3) :]
    return "\n".join(found)


def judge(entry, totals):
    name, stdout, stderr = entry["name"], entry.get("stdout") or "", entry.get("stderr") or ""
    result = entry["result"]
    points = [POINT.match(line) for line in stdout.splitlines()]
    points = [p for p in points if p]
    plan = next((int(m.group(1)) for m in map(PLAN.match, stdout.splitlines()) if m), None)
    if plan is None and not points:
        if result in ("OK", "EXPECTEDFAIL"):
            totals.passed += 1
        elif result == "SKIP":
            totals.skipped.append((name, ""))
        else:
            totals.failed += 1
            totals.failures.append((name, [result.lower()], tail(stdout, 30) + "\n" + tail(stderr, 30)))
        return
    bad, details = [], []
    if plan == 0:
        totals.skipped.append((name, ""))
    for p in points:
        what = p.group(3).strip()
        if (p.group(4) or "").lower() == "skip":
            totals.skipped.append((f"{name}: {what}", p.group(5) or ""))
        elif p.group(1):
            totals.failed += 1
            bad.append(what)
            details.append(around(stdout, what))
        else:
            totals.passed += 1
    if plan is not None and len(points) < plan:
        bad.append(f"{plan - len(points)} of {plan} tests did not run")
        totals.failed += plan - len(points)
    if not bad and result not in ("OK", "SKIP", "EXPECTEDFAIL"):
        bad.append(result.lower())
        totals.failed += 1
        details.append(tail(stdout, 20))
    if bad:
        totals.failures.append((name, bad, "\n".join(details) + ("\n" + tail(stderr, 30) if stderr.strip() else "")))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log")
    parser.add_argument("--also", action="append", default=[])
    options = parser.parse_args()
    totals = Totals()
    try:
        with open(options.log, encoding="utf-8") as f:
            for line in f:
                judge(json.loads(line), totals)
    except FileNotFoundError:
        totals.failed += 1
        totals.failures.append(("meson test", ["left no log"], ""))
    for also in options.also:
        if also.startswith("not ok "):
            totals.failed += 1
            totals.failures.append((also[7:], ["failed"], ""))
        else:
            totals.passed += 1
    sys.stdout.reconfigure(errors="backslashreplace")
    for name, reason in totals.skipped:
        print(f"skipped: {name}{': ' + reason if reason else ''}")
    for name, bad, details in totals.failures:
        print(f"\nFAILED {name}: {', '.join(bad)}")
        if details.strip():
            print(details.rstrip())
    if totals.failures:
        print()
    skipped = f", {len(totals.skipped)} skipped" if totals.skipped else ""
    print(f"{totals.passed} passed, {totals.failed} failed{skipped}")
    sys.exit(1 if totals.failed else 0)


if __name__ == "__main__":
    main()
