#!/usr/bin/env python3
"""Reads the whole series from replay_server.py over plain sockets, breaking off now and then, and
lets compare.py judge what came: the peers checked against each other, without the product.

    check_replay.py CSV

Run by the Python of .venv/pymodbus; the reader itself needs nothing but sockets.
"""

import json
import math
import random
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import compare
import series
from replay_server import REGISTERS, WINDOW_USUAL

# A reader that is killed has not made its newest rows durable.
FORGOTTEN = 40
LIVES = 12


def whole_read(stream, transaction):
    stream.sendall(struct.pack(">3H2B2H", transaction, 0, 6, 1, 3, 0, REGISTERS))
    reply = b""
    while len(reply) < 9 + 2 * REGISTERS:
        part = stream.recv(4096)
        assert part, "the server closed the connection"
        reply += part
    assert struct.unpack(">3H3B", reply[:9]) == (transaction, 0, 3 + 2 * REGISTERS, 1, 3, 2 * REGISTERS)
    epoch, values = struct.unpack_from(">I", reply, 9)[0], struct.unpack_from(">8f", reply, 29)
    return epoch, values


def live(port, rows_to_read, done_file, durable):
    """One life of a reader: what it read but the newest rows is durable. Returns the reads."""
    read = []
    with socket.create_connection(("127.0.0.1", port), timeout=10) as stream:
        while len(read) < rows_to_read and not done_file.exists():
            read.append(whole_read(stream, len(read) % 65_536))
    durable.extend(read if done_file.exists() else read[:-FORGOTTEN])
    return len(read)


def dump(durable):
    """As the centre would: one row for each point and time, however often it came."""
    cells = {}
    for epoch, values in durable:
        for column, value in zip(series.COLUMNS, values):
            nothing = math.isnan(value)
            cells[series.tag_of(column), epoch * 1000] = {
                "value": None if nothing else compare.shortest(value),
                "quality": "not_a_number" if nothing else "good",
            }
    return [json.dumps({"tag": tag, "te": te, **cell}) for (tag, te), cell in cells.items()]


def main():
    source = sys.argv[1]
    rows = series.read(source, series.COLUMNS)
    chance = random.Random(7)
    with tempfile.TemporaryDirectory() as folder:
        done_file = Path(folder) / "done.json"
        script = str(Path(__file__).with_name("replay_server.py"))
        server = subprocess.Popen(
            [sys.executable, script, "0", source, "--done-file", str(done_file), "--control", "0"],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            where = json.loads(server.stdout.readline())
            durable, reads = [], 0
            for _ in range(LIVES):
                length = chance.randrange(WINDOW_USUAL + 100, len(rows) // LIVES)
                reads += live(where["listening"], length, done_file, durable)
            reads += live(where["listening"], 2 * len(rows), done_file, durable)
            with socket.create_connection(("127.0.0.1", where["control"]), timeout=10) as control:
                control.sendall(b"status\n")
                status = json.loads(control.makefile().readline())
            assert json.loads(done_file.read_text())["done"] and status["done"], status
            assert status["whole_reads"] == reads and status["unread"] == 0, (status, reads)
        finally:
            server.terminate()
            server.wait(timeout=10)
    counts, examples = compare.compare(compare.expected_rows(rows), dump(durable))
    wrong = counts["lost"] + counts["duplicated"] + counts["wrong"] + counts["outside"]
    assert wrong == 0, (counts, examples)
    print(f"replay over sockets: {len(rows)} rows, {LIVES} broken lives, {reads} reads, none lost")


if __name__ == "__main__":
    main()
