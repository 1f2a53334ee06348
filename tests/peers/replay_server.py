#!/usr/bin/env python3
"""A third-party Modbus TCP server (pymodbus) that plays a series row by row and loses none.

    .venv/pymodbus/bin/python replay_server.py PORT CSV [--rate ROWS_PER_S | --speed X]
        [--window K] [--done-file FILE] [--control PORT [--hold]] [--shift SECONDS]

Holding registers, unit 1 (function 3; function 4 answers the same):
  0-1    the row's time, u32, seconds since 1970, high word first
  2-9    zero
  10-25  the eight columns as f32, high word first, NaN for an empty cell
A request that covers 0-25 is a *whole read*: it gets one row, time and values together. Smaller
requests get the row of the last whole read and move nothing.

Which row a whole read gets:
- The next row comes only after the current one was read whole, so a reader that stays away misses
  nothing. With --rate (or --speed, 1 = one row a minute as recorded) not sooner than that.
- A reader that was killed may have read rows that it had not yet made durable. So the first whole
  read of a new TCP connection gets the row K (--window, default 64) before the first unread one,
  never before row 0, and from there the rows come again in order. What was durable arrives twice
  and is dropped by its identity (point, time). A life shorter than K rows gets no further than the
  one before: choose K above what the reader holds in memory, and below what it reads in a life.
- --hold: the row changes only when the control connection says `next`, and only if it was read;
  there is no window then.

After the last row it serves the last row for ever. --done-file is written, as one JSON object, when
one connection has read the last row and then K times more: everything is durable by then.

PORT 0 takes a free port. One JSON line on stdout says where it listens. The control connection
takes lines: `status` answers one JSON object, `next` (with --hold) moves on and answers the same.
"""

import argparse
import asyncio
import contextvars
import itertools
import json
import os
import struct
import time
from pathlib import Path

import series

TIME_AT, VALUES_AT, REGISTERS = 0, 10, 26
WINDOW_USUAL = 64
RECORDED_ROWS_PER_S = 1 / 60


def words_of(row):
    """The 26 registers of a row."""
    epoch, values = row
    floats = [float("nan") if value is None else value for value in values]
    gap = [0] * (VALUES_AT - TIME_AT - 2)
    return [
        *struct.unpack(">2H", struct.pack(">I", epoch)),
        *gap,
        *struct.unpack(f">{2 * len(floats)}H", struct.pack(f">{len(floats)}f", *floats)),
    ]


class Replay:
    """Which row a whole read gets. Knows connections by number; reads no clock."""

    def __init__(self, rows, window=WINDOW_USUAL, period_s=0.0, hold=False):
        self.rows = rows
        self.window = 0 if hold else window
        self.period_s = period_s
        self.hold = hold
        self.position = 0
        self.unread = 0  # the first row that nobody has read whole
        self.due = float("-inf")
        self.connections = set()
        self.reads = 0
        self.tail = {}  # whole reads of the last row, by connection

    @property
    def last(self):
        return len(self.rows) - 1

    def whole_read(self, connection, now):
        """The number of the row that this read gets."""
        if connection not in self.connections:
            self.connections.add(connection)
            if not self.hold:
                self.position = min(max(0, self.unread - self.window), self.last)
                self.due = now + self.period_s
        elif not self.hold and self.position < self.unread and self.due <= now:
            self._move(now)
        self.unread = max(self.unread, self.position + 1)
        self.reads += 1
        if self.position == self.last:
            self.tail[connection] = self.tail.get(connection, 0) + 1
        return self.position

    def release(self, now):
        """--hold: the driver lets the next row come, if this one was read."""
        if self.position < self.unread:
            self._move(now)

    def _move(self, now):
        self.position = min(self.position + 1, self.last)
        self.due = now + self.period_s

    def done(self):
        # The read that first showed the last row, and K more of the same reader.
        return any(self.window < count for count in self.tail.values())

    def status(self):
        return {
            "rows": len(self.rows),
            "position": self.position,
            "time": self.rows[self.position][0],
            "unread": len(self.rows) - self.unread,
            "whole_reads": self.reads,
            "connections": len(self.connections),
            "done": self.done(),
        }


def selftest():
    def play(replay, connection, count, now=0.0):
        return [replay.whole_read(connection, now) for _ in range(count)]

    rows = [(60 * n, [float(n)] * 8) for n in range(10)]

    replay = Replay(rows, window=3)
    assert play(replay, 1, 4) == [0, 1, 2, 3], "each row comes once"
    assert play(replay, 2, 3) == [1, 2, 3], "a new reader gets three rows again"
    assert play(replay, 3, 2) == [1, 2], "a short life moves nothing, and loses nothing"
    assert play(replay, 4, 12) == [1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9] and replay.done()

    replay = Replay(rows, window=3)
    play(replay, 1, 12)
    assert not replay.done(), "the last row and two more reads: the tail may not be durable"
    assert play(replay, 2, 5) == [7, 8, 9, 9, 9] and not replay.done(), "counted by connection"
    play(replay, 2, 1)
    assert replay.done()

    replay = Replay(rows, window=0)
    assert play(replay, 1, 2) == [0, 1] and play(replay, 2, 2) == [2, 3], "no window: just go on"

    replay = Replay(rows, window=0, period_s=1.0)
    assert [replay.whole_read(1, now) for now in (0.0, 0.5, 1.0, 1.2, 5.0)] == [0, 0, 1, 1, 2]

    replay = Replay(rows, hold=True)
    replay.release(0.0)
    assert play(replay, 1, 2) + play(replay, 2, 1) == [0, 0, 0], "held"
    replay.release(0.0)
    assert play(replay, 2, 1) + play(replay, 3, 1) == [1, 1]

    words = words_of((0x12345678, [61.2] + [None] * 7))
    assert len(words) == REGISTERS and words[:3] == [0x1234, 0x5678, 0]
    assert words[10:14] == [0x4274, 0xCCCD, 0x7FC0, 0]
    print("replay: no row is skipped, and each is offered again until it must be durable")


def write_done(path, status):
    """Whole or not at all: the driver may look at any moment."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(status) + "\n", encoding="utf-8")
    os.replace(part, path)


class Station:
    """The Modbus and the control side around one Replay."""

    def __init__(self, replay, done_file):
        self.replay = replay
        self.done_file = done_file
        self.reader = contextvars.ContextVar("reader")

    async def read(self, function, start, address, count, registers, values):
        """pymodbus calls this before it answers; what it leaves in `registers` is the answer.

        No await in here: the reply holds one row.
        """
        if values is not None:
            return None
        if (address, count) == (0, REGISTERS):
            position = self.replay.whole_read(self.reader.get(), time.monotonic())
            registers[0:REGISTERS] = words_of(self.replay.rows[position])
            if self.done_file and self.replay.done():
                write_done(self.done_file, self.replay.status())
                self.done_file = None
        return None

    async def listen(self, port):
        from pymodbus.server import ModbusTcpServer
        from pymodbus.server.requesthandler import ServerRequestHandler
        from pymodbus.simulator import DataType, SimData, SimDevice

        station, numbers = self, itertools.count(1)

        class Reader(ServerRequestHandler):
            """Tells the station which connection asks."""

            def __init__(self, server):
                super().__init__(server, None, None, None)
                self.number = next(numbers)

            async def handle_request(self):
                station.reader.set(self.number)
                await super().handle_request()

        class Server(ModbusTcpServer):
            def callback_new_connection(self):
                return Reader(self)

        first = words_of(self.replay.rows[0])
        blocks = [SimData(0, values=first, datatype=DataType.UINT16, readonly=True)]
        server = Server(SimDevice(1, blocks, action=self.read), address=("127.0.0.1", port))
        await server.serve_forever(background=True)
        return server, server.transport.sockets[0].getsockname()[1]

    async def control(self, lines, answers):
        while line := await lines.readline():
            word = line.decode("ascii", "replace").strip()
            if word == "next" and self.replay.hold:
                self.replay.release(time.monotonic())
            elif word != "status":
                answers.write(b'{"error": "say status, or next with --hold"}\n')
                continue
            answers.write(json.dumps(self.replay.status()).encode() + b"\n")
            await answers.drain()
        answers.close()


async def serve(asked):
    rows = series.read(asked.csv, series.COLUMNS, shift=asked.shift)
    rate = asked.rate or asked.speed * RECORDED_ROWS_PER_S
    replay = Replay(rows, asked.window, 1 / rate if rate else 0.0, asked.hold)
    station = Station(replay, asked.done_file)
    server, port = await station.listen(asked.port)
    where = {"listening": port, "rows": len(rows)}
    if asked.control is not None:
        control = await asyncio.start_server(station.control, "127.0.0.1", asked.control)
        where["control"] = control.sockets[0].getsockname()[1]
    print(json.dumps(where), flush=True)
    await server.serving


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("port", type=int, nargs="?", help="0 = a free port")
    parser.add_argument("csv", nargs="?")
    parser.add_argument("--rate", type=float, default=0.0, help="rows a second at most; 0 = as read")
    parser.add_argument("--speed", type=float, default=0.0, help="1 = as recorded, a row a minute")
    parser.add_argument("--window", type=int, default=WINDOW_USUAL, help="rows offered again")
    parser.add_argument("--done-file", type=Path)
    parser.add_argument("--control", type=int, help="port of the control connection; 0 = free")
    parser.add_argument("--hold", action="store_true", help="rows wait for `next`")
    parser.add_argument("--shift", type=int, default=0, help="seconds added to every time")
    parser.add_argument("--selftest", action="store_true")
    asked = parser.parse_args()
    if asked.selftest:
        return selftest()
    if asked.csv is None:
        parser.error("PORT and CSV are needed")
    if asked.hold and asked.control is None:
        parser.error("--hold needs --control")
    if min(asked.rate, asked.speed, asked.window) < 0:
        parser.error("--rate, --speed and --window are not negative")
    asyncio.run(serve(asked))


if __name__ == "__main__":
    main()
