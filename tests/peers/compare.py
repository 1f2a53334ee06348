#!/usr/bin/env python3
"""Compares what the centre holds with what the instrument showed: lost, duplicated, wrong.

    compare.py DUMP.jsonl CSV [--shift SECONDS] [--json]
    compare.py --selftest

A line of the dump is {"tag":"CH4.SE","te":1652054460000,"value":1.798,"quality":"good"}. Expected
is one row for every cell of the CSV: a number as good, equal to the shortest decimal of its single
float (the register carries no more); an empty cell as value null, quality not_a_number.

- lost: a cell without a row        - duplicated: rows beyond the first for one cell
- wrong: a row that says something else than its cell, or a value where there is no cell
- outside: rows without a value at times that the CSV does not have (a timeout while the server was
  away): facts about the link, listed and not counted as errors.

Exit status 0 when nothing is lost, duplicated or wrong, else 1.
"""

import argparse
import json
import struct
import sys

import series

EXAMPLES_MAX = 10


def shortest(value):
    """The shortest decimal that names the same single float."""
    packed = struct.pack(">f", value)
    for digits in range(1, 10):
        text = f"{value:.{digits}g}"
        if struct.pack(">f", float(text)) == packed:
            return float(text)
    raise AssertionError(f"nine digits name every single float, not {value}")


def expected_rows(rows):
    """{(tag, te in ms): (value, quality)} of every cell."""
    expected = {}
    for time, values in rows:
        for column, value in zip(series.COLUMNS, values):
            reading = (None, "not_a_number") if value is None else (shortest(value), "good")
            expected[series.tag_of(column), time * 1000] = reading
    return expected


def compare(expected, lines):
    counts = dict.fromkeys(("expected", "rows", "lost", "duplicated", "wrong", "outside"), 0)
    examples = []

    def note(kind, text):
        counts[kind] += 1
        if len(examples) < EXAMPLES_MAX:
            examples.append(f"{kind}: {text}")

    seen = set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        counts["rows"] += 1
        try:
            row = json.loads(line)
            key = (row["tag"], row["te"])
            reading = (row["value"], row["quality"])
        except (ValueError, KeyError, TypeError) as error:
            note("wrong", f"line {number} cannot be read: {error!r}")
            continue
        if key not in expected:
            outside = row["value"] is None and row["quality"] != "good"
            note("outside" if outside else "wrong", f"line {number}: {line.strip()}, no such cell")
            continue
        if key in seen:
            note("duplicated", f"line {number}: {line.strip()}")
        elif reading != expected[key]:
            note("wrong", f"line {number}: {line.strip()}, the cell is {expected[key]}")
        seen.add(key)
    for tag, te in expected.keys() - seen:
        note("lost", f"{tag} at {series.rfc3339(te // 1000)}")
    counts["expected"] = len(expected)
    return counts, examples


def selftest():
    rows = [(60, [1.798, None, 5.0, 0.1, 1e-3, 129.25, 2.0, 3.0]), (120, [2.0] * 8)]
    expected = expected_rows(rows)

    def line(tag, te, value, quality):
        return json.dumps({"tag": tag, "te": te, "value": value, "quality": quality})

    right = [line(*key, *reading) for key, reading in expected.items()]

    def check(story, lines, **wanted):
        counts, examples = compare(expected, lines)
        got = {name: counts[name] for name in ("lost", "duplicated", "wrong", "outside")}
        assert got == dict(got, **wanted) and sum(got.values()) == sum(wanted.values()), (
            f"{story}: {got}, not {wanted}; {examples}"
        )

    check("all is well", right)
    check("a row is missing", right[1:], lost=1)
    check("a row is there twice", right + right[:1], duplicated=1)
    check("another value", [line("CH4.E", 60_000, 1.799, "good"), *right[1:]], wrong=1)
    check("a double's tail", [line("CH4.E", 60_000, 1.7979999780654907, "good"), *right[1:]], wrong=1)
    check("a zero for nothing", [right[0], line("CH4.N", 60_000, 0.0, "good"), *right[2:]], wrong=1)
    check("another reason", [right[0], line("CH4.N", 60_000, None, "timeout"), *right[2:]], wrong=1)
    check("a time nobody had", [*right, line("CH4.E", 61_000, 2.0, "good")], wrong=1)
    check("a timeout between rows", [*right, line("CH4.E", 61_000, None, "timeout")], outside=1)
    check("half a line", [*right, '{"tag":"CH4.E","te":'], wrong=1)
    assert shortest(struct.unpack(">f", struct.pack(">f", 61.2))[0]) == 61.2
    print("compare: every kind of mistake is found")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dump", nargs="?", help="JSON lines, - for standard input")
    parser.add_argument("csv", nargs="?")
    parser.add_argument("--shift", type=int, default=0, help="seconds added to every time of the CSV")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--selftest", action="store_true")
    asked = parser.parse_args()
    if asked.selftest:
        return selftest()
    if asked.csv is None:
        parser.error("DUMP and CSV are needed")
    expected = expected_rows(series.read(asked.csv, series.COLUMNS, shift=asked.shift))
    if asked.dump == "-":
        counts, examples = compare(expected, sys.stdin)
    else:
        with open(asked.dump, encoding="utf-8") as lines:
            counts, examples = compare(expected, lines)
    if asked.json:
        print(json.dumps({**counts, "examples": examples}, ensure_ascii=False))
    else:
        print("  ".join(f"{name} {count}" for name, count in counts.items()))
        print("\n".join(examples), file=sys.stderr)
    return 1 if counts["lost"] or counts["duplicated"] or counts["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
