#!/usr/bin/env python3
"""The occurrences of a high or low alarm over a series, by the operator's rules and nothing else.

    oracle.py CSV --column CH4_ppm_SE --kind hi --limit 5 --deadband 1 --on 0 --off 0 --json
    oracle.py CSV --selftest

Rules: hi is on at value >= limit and off at value < limit - deadband, lo mirrored; between the two
the last side is kept. Delays run in the time of the samples, on the output of the deadband. A delay
that ends when a sample comes has ended before that sample is looked at. A missing cell neither
raises nor clears; a running delay stops at the first missing cell and goes on at the next value.
An occurrence is [on, off), off = null while it lasts. After the last sample no time passes.

Decimals are compared as decimals (limit 5, deadband 0.1 means 4.9), not as sums of binary floats.
"""

import argparse
import json
import sys
from decimal import Decimal

import series


class Condition:
    """One alarm condition: deadband first, delays on its output."""

    def __init__(self, kind, limit, deadband, on, off):
        self.sign = 1 if kind == "hi" else -1
        self.limit = Decimal(str(limit)) * self.sign
        self.clear = self.limit - Decimal(str(deadband))
        self.delay = {True: on, False: off}
        self.beyond = False  # output of the deadband
        self.active = False  # output of the delays
        self.deadline = None  # when the delays follow the deadband
        self.missing_since = None
        self.occurrences = []

    def sample(self, time, value):
        if self.missing_since is None and self.deadline is not None and self.deadline <= time:
            self._turn(self.deadline)
        if value is None:
            if self.missing_since is None:
                self.missing_since = time
            return
        if self.missing_since is not None:
            if self.deadline is not None:
                self.deadline += time - self.missing_since
            self.missing_since = None
            if self.deadline is not None and self.deadline <= time:
                self._turn(self.deadline)
        value = Decimal(str(value)) * self.sign
        if value >= self.limit:
            self.beyond = True
        elif value < self.clear:
            self.beyond = False
        if self.beyond == self.active:
            self.deadline = None
        elif self.delay[self.beyond] == 0:
            self._turn(time)
        elif self.deadline is None:
            self.deadline = time + self.delay[self.beyond]

    def _turn(self, time):
        self.active = not self.active
        self.deadline = None
        if self.active:
            self.occurrences.append([time, None])
        else:
            self.occurrences[-1][1] = time


def occurrences(samples, kind, limit, deadband=0, on=0, off=0):
    """[[on, off or None], …] over [(time, value or None), …]."""
    condition = Condition(kind, limit, deadband, on, off)
    for time, value in samples:
        condition.sample(time, value)
    return condition.occurrences


def selftest(path):
    # Sensor, then the count without and with a deadband of 1 ppm, as measured by hand.
    counted = {
        "E": (90, 90), "N": (17, 13), "NE": (85, 80), "NW": (90, 89),
        "S": (39, 39), "SE": (132, 119), "SW": (39, 38), "W": (116, 111),
    }  # fmt: skip
    for place, wanted in counted.items():
        rows = series.read(path, [series.PREFIX + place])
        samples = [(time, value) for time, [value] in rows]
        got = tuple(len(occurrences(samples, "hi", 5, deadband)) for deadband in (0, 1))
        assert got == wanted, f"{place}: {got}, counted by hand: {wanted}"

    stories = [
        # what happens, samples, arguments, occurrences
        ("the limit itself alarms", [(0, 70), (10, 80), (20, 79.9)], ("hi", 80), [[10, 20]]),
        ("the edge of the band does not clear",
         [(0, 70), (10, 81), (30, 75), (40, 74.9)], ("hi", 80, 5), [[10, 40]]),
        ("low is mirrored", [(0, 30), (10, 20), (20, 22), (30, 22.1)], ("lo", 20, 2), [[10, 30]]),
        ("a decimal band is exact", [(0, 5), (1, 4.9), (2, 4.89)], ("hi", 5, 0.1), [[0, 2]]),
        ("one second too short", [(10, 85), (24, 79), (40, 70)], ("hi", 80, 0, 15), []),
        ("the delay wins a tie", [(10, 85), (25, 79)], ("hi", 80, 0, 15), [[25, 25]]),
        ("an off-delay bridges a dip",
         [(10, 85), (20, 70), (45, 85), (60, 70), (95, 70)], ("hi", 80, 0, 0, 30), [[10, 90]]),
        ("missing cells freeze a delay",
         [(10, 85), (20, None), (50, 86), (59, 86), (60, 86)], ("hi", 80, 0, 20), [[60, None]]),
        ("missing cells do not clear",
         [(10, 85), (20, None), (30, None), (40, 70)], ("hi", 80), [[10, 40]]),
    ]  # fmt: skip
    for story, samples, arguments, wanted in stories:
        got = occurrences(samples, *arguments)
        assert got == wanted, f"{story}: {got}, not {wanted}"
    print(f"oracle: {len(counted)} sensors and {len(stories)} stories as counted by hand")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("csv")
    parser.add_argument("--column")
    parser.add_argument("--time", default=series.TIME)
    parser.add_argument("--kind", choices=["hi", "lo"], default="hi")
    parser.add_argument("--limit", type=Decimal)
    parser.add_argument("--deadband", type=Decimal, default=Decimal(0))
    parser.add_argument("--on", type=int, default=0, help="on-delay, s")
    parser.add_argument("--off", type=int, default=0, help="off-delay, s")
    parser.add_argument("--shift", type=int, default=0, help="seconds added to every time")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--selftest", action="store_true")
    asked = parser.parse_args()
    if asked.selftest:
        return selftest(asked.csv)
    if asked.column is None or asked.limit is None:
        parser.error("--column and --limit are needed")
    rows = series.read(asked.csv, [asked.column], asked.time, asked.shift)
    samples = [(time, value) for time, [value] in rows]
    found = occurrences(samples, asked.kind, asked.limit, asked.deadband, asked.on, asked.off)
    named = [{"on": series.rfc3339(on), "off": off and series.rfc3339(off)} for on, off in found]
    if asked.json:
        values = sum(value is not None for _, value in samples)
        counts = {"count": len(found), "samples": values, "missing": len(samples) - values}
        json.dump({"occurrences": named, **counts}, sys.stdout)
        print()
    else:
        for occurrence in named:
            print(occurrence["on"], occurrence["off"] or "open")
        print(f"{len(found)} occurrences", file=sys.stderr)


if __name__ == "__main__":
    main()
