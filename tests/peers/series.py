"""Reads a series from CSV, plain or gzip: one time column, other columns numbers, empty = missing.

Shares nothing with the product, so that it cannot share its mistakes.
"""

import csv
import gzip
from datetime import datetime, timezone
from pathlib import Path

TIME = "time_utc"
PREFIX = "CH4_ppm_"
# The order of the registers of replay_server.py and of the points of site/points.csv.
COLUMNS = [PREFIX + place for place in ("E", "N", "NE", "NW", "S", "SE", "SW", "W")]


def tag_of(column):
    """CH4_ppm_SE is CH4.SE on the screens."""
    return "CH4." + column.removeprefix(PREFIX)


def epoch_of(text):
    """Seconds since 1970 of an RFC 3339 time."""
    time = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if time.tzinfo is None:
        time = time.replace(tzinfo=timezone.utc)
    return int(time.timestamp())


def rfc3339(epoch):
    """The other way, in UTC."""
    text = datetime.fromtimestamp(epoch, timezone.utc).isoformat()
    return text.replace("+00:00", "Z")


def read(path, columns, time=TIME, shift=0):
    """[(epoch seconds + shift, [number or None, one for each column]), …], in order of time."""
    path = Path(path)
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
        lines = csv.DictReader(file)
        missing = [name for name in [time, *columns] if name not in (lines.fieldnames or [])]
        if missing:
            raise SystemExit(f"{path}: no column {missing}; there are {lines.fieldnames}")
        rows = [
            (
                epoch_of(line[time]) + shift,
                [float(line[column]) if line[column].strip() else None for column in columns],
            )
            for line in lines
        ]
    for (before, _), (after, _) in zip(rows, rows[1:]):
        if after <= before:
            raise SystemExit(f"{path}: time does not rise after {rfc3339(before)}")
    return rows
