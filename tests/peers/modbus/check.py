#!/usr/bin/env python3
"""Servers that nobody here made, read by `fengsui-gateway read` and by mbpoll: both see the same.

    check.py GATEWAY LIBMODBUS_SERVER

pymodbus, modbus-tk and libmodbus serve one image over TCP and over a serial line (a pair of
pseudo-terminals of socat). Every type in every order, bits, a block longer than one request, an
address that is not there, and a server that spoils its replies. Exit 1 on the first difference."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import image

HERE = Path(__file__).resolve().parent
READY_S = 20
SITE = """[site]
enterprise = "第三方仪表"
gateway = "GW-PEER"
points = "points.csv"
limits = "limits.csv"
[[installation]]
name = "试验台"
kind = "tank_farm"
{line}
[[device]]
name = "peer"
unit = 1
timeout_ms = 1000
max_registers = 125
{link}
"""
COLUMNS = "tag,name,installation,equipment,signal,unit,low,high,device,function,address,type,order,scale,offset,period_ms,sentinels"
LIMITS = "tag,kind,limit\n,OFFLINE,60\n"


def fail(text):
    print(f"✕ {text}", file=sys.stderr)
    sys.exit(1)


def write_site(folder, way, place, extra=()):
    """A site of every point of the image and `extra` rows."""
    if way == "tcp":
        line, link = "", f'kind = "modbus-tcp"\nhost = "127.0.0.1"\nport = {place}'
    else:
        line = f'[[bus]]\nname = "line"\nkind = "modbus-rtu"\npath = "{place}"\nbaud = 115200\nparity = "none"'
        link = 'kind = "modbus-rtu"\nbus = "line"'
    rows = [
        f"{tag},{tag},试验台,,other,,-1e19,1e19,peer,{function},{at},{kind},{order},1,0,1000,"
        for tag, function, at, kind, order, _, _ in [*image.layout(), *extra]
    ]
    (folder / "site.toml").write_text(SITE.format(line=line, link=link))
    (folder / "points.csv").write_text("\n".join([COLUMNS, COLUMNS, *rows]) + "\n")
    (folder / "limits.csv").write_text(LIMITS)
    return folder / "site.toml"


@contextlib.contextmanager
def program(command, stdin=""):
    """A program that has said `ready`, ended by its id."""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE
    ) as child:
        try:
            child.stdin.write(stdin)
            child.stdin.close()
            if child.stdout.readline().strip() != "ready":
                fail(f"{command}: did not start")
            yield child
        finally:
            child.kill()


@contextlib.contextmanager
def line(folder):
    """Two ends of a serial line."""
    ends = [folder / "a", folder / "b"]
    command = ["socat", *(f"pty,raw,echo=0,link={end}" for end in ends)]
    with subprocess.Popen(command) as child:
        try:
            until(lambda: all(end.exists() for end in ends), "the ends of the line")
            yield tuple(str(end) for end in ends)
        finally:
            child.kill()


def until(true, what):
    deadline = time.monotonic() + READY_S
    while not true():
        if time.monotonic() > deadline:
            fail(f"waited {READY_S} s for {what}")
        time.sleep(0.02)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def server(who, way, place, libmodbus):
    if who == "libmodbus":
        tables = [("coil", image.bits("coil")), ("discrete", image.bits("discrete"))]
        tables += [(name, image.registers(name)) for name in ("holding", "input")]
        text = "".join(
            f"{name} {len(values)}\n" + " ".join(str(int(v)) for v in values) + "\n"
            for name, values in tables
        )
        return program([libmodbus, way, place], text)
    return program([sys.executable, str(HERE / "serve.py"), who, way, place])


def read(gateway, site):
    """What our reader says, by tag."""
    done = subprocess.run(
        [gateway, "read", "--config", site, "--json"], capture_output=True, text=True, timeout=60
    )
    if not done.stdout:
        fail(f"read: exit {done.returncode}: {done.stderr}")
    return {point["tag"]: point for point in json.loads(done.stdout)["points"]}


def mbpoll(way, place, kind, first, count, *more):
    """What mbpoll prints, by address."""
    to = ["-m", "tcp", "-p", place, "127.0.0.1"] if way == "tcp" else None
    to = to or ["-m", "rtu", "-b", "115200", "-P", "none", place]
    command = ["mbpoll", *to[:-1], "-a", "1", "-0", "-r", str(first), "-c", str(count), "-t", kind]
    command += ["-1", "-q", *more, to[-1]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    found = {}
    for text in done.stdout.splitlines():
        if text.startswith("["):
            address, value = text.split("]:")
            found[int(address[1:])] = value.split()[0]
    if len(found) != count:
        fail(f"mbpoll: {' '.join(command)}: {done.stdout}{done.stderr}")
    return found


def compare(who, way, place, ours):
    """Every value, every register and bit, twice: against the image and against mbpoll."""
    theirs = {}
    for function, kind, size in (("holding", "4:hex", image.SIZE), ("input", "3:hex", image.RAMP_AT)):
        table = {}
        for first in range(0, size, 100):
            table |= mbpoll(way, place, kind, first, min(100, size - first))
        theirs[function] = {at: int(value, 16) for at, value in table.items()}
    for function, kind in (("coil", "0"), ("discrete", "1")):
        theirs[function] = mbpoll(way, place, kind, 0, len(image.BITS))
    for tag, function, at, kind, order, value, held in image.layout():
        got = ours[tag]
        if got["quality"] != "good" or got["value"] != value:
            fail(f"{who} {way} {tag}: {got}, {value} is served")
        if held is None:
            if int(theirs[function][at]) != value:
                fail(f"{who} {way} {tag}: mbpoll reads {theirs[function][at]}")
            continue
        seen = [theirs[function][at + i] for i in range(len(held))]
        if seen != held or [int(word, 16) for word in got["raw"]] != seen:
            fail(f"{who} {way} {tag}: ours {got['raw']}, mbpoll {seen}, served {held}")
    for tag, function, at, kind, order, value, _ in image.layout():
        if function != "holding" or order not in ("ABCD", "CDAB"):
            continue
        big = ["-B"] if order == "ABCD" else []
        if kind in ("f32", "i32"):
            shown = mbpoll(way, place, "4:float" if kind == "f32" else "4:int", at, 1, *big)[at]
            if abs(float(shown) - ours[tag]["value"]) > 1e-5:
                fail(f"{who} {way} {tag}: mbpoll shows {shown}, ours {ours[tag]['value']}")


def refusals(gateway, folder, who, way, place):
    """An address that is not there costs its own point alone."""
    missing = [("nowhere", "holding", 60_000, "u16", "ABCD", None, None)]
    ours = read(gateway, write_site(folder, way, place, missing))
    if ours["nowhere"]["quality"] != "bad" or ours["nowhere"]["reason"] != "illegal_address":
        fail(f"{who} {way}: an address that is not there reads as {ours['nowhere']}")
    for tag, *_, value, _ in image.layout():
        if ours[tag]["value"] != value:
            fail(f"{who} {way}: {tag} suffers from its neighbour: {ours[tag]}")


def spoilt(gateway, folder, libmodbus):
    """Whatever a server spoils, no wrong value comes out."""
    place = str(free_port())
    good = bad = 0
    with server("faults", "tcp", place, libmodbus):
        site = write_site(folder, "tcp", place)
        for _ in range(12):
            ours = read(gateway, site)
            for tag, *_, value, _ in image.layout():
                if ours[tag]["quality"] == "bad":
                    bad += 1
                    if ours[tag]["value"] is not None:
                        fail(f"a bad point has a number: {ours[tag]}")
                elif ours[tag]["value"] == value:
                    good += 1
                else:
                    fail(f"a spoilt reply became a value: {ours[tag]}, {value} is served")
    if not (good and bad):
        fail(f"spoilt replies: {good} good, {bad} bad; both must occur")
    print(f"spoilt replies: {good} right, {bad} bad with a reason, 0 wrong")


def main():
    gateway, libmodbus = (str(Path(path).resolve()) for path in sys.argv[1:3])
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    points = sum(1 for _ in image.layout())
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for who in ("pymodbus", "modbus-tk", "libmodbus"):
            place = str(free_port())
            with server(who, "tcp", place, libmodbus):
                compare(who, "tcp", place, read(gateway, write_site(folder, "tcp", place)))
                refusals(gateway, folder, who, "tcp", place)
            print(f"{who} tcp: {points} points as mbpoll reads them")
            with line(folder) as (far, near), server(who, "rtu", far, libmodbus):
                compare(who, "rtu", near, read(gateway, write_site(folder, "rtu", near)))
                refusals(gateway, folder, who, "rtu", near)
            print(f"{who} rtu: {points} points as mbpoll reads them")
        spoilt(gateway, folder, libmodbus)


main()
