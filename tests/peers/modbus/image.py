"""What every server of this folder serves: one image, encoded by Python's struct alone.

Unit 1. Holding and input registers hold every type in every order; coils and discrete inputs a
pattern. `points()` is the same as rows of a point sheet."""

import struct

ORDERS = ("ABCD", "CDAB", "BADC", "DCBA")
# type, struct code, values that only a right decoder gives back
TYPES = (
    ("u16", "H", 40000),
    ("i16", "h", -12345),
    ("u32", "I", 3_000_000_007),
    ("i32", "i", -2_000_000_011),
    ("u64", "Q", 2**53 - 1),
    ("i64", "q", -(2**53) + 1),
    ("f32", "f", 61.3),
    ("f64", "d", -0.1234567890123),
)
# A block longer than one request may ask for.
RAMP_AT, RAMP = 200, 260
BITS = [bit in (0, 2, 3, 7, 8, 13, 21) for bit in range(24)]
SIZE = RAMP_AT + RAMP


def words(code, value, order):
    """The registers of a value: A is the highest byte."""
    data = struct.pack(">" + code, value)
    pairs = [data[i : i + 2] for i in range(0, len(data), 2)]
    if order in ("CDAB", "DCBA"):
        pairs.reverse()
    if order in ("BADC", "DCBA"):
        pairs = [pair[::-1] for pair in pairs]
    return [int.from_bytes(pair, "big") for pair in pairs]


def layout():
    """(tag, function, address, type, order, value, registers) of each point."""
    at = 0
    for kind, code, value in TYPES:
        for order in ORDERS:
            held = words(code, value, order)
            for function in ("holding", "input"):
                yield (f"{kind}.{order}.{function}", function, at, kind, order, value, held)
            at += len(held)
    assert at <= RAMP_AT
    for i in range(RAMP):
        yield (f"ramp.{i}", "holding", RAMP_AT + i, "u16", "ABCD", (i * 257) % 65536, [(i * 257) % 65536])
    for i, bit in enumerate(BITS):
        yield (f"coil.{i}", "coil", i, "bool", "ABCD", int(bit), None)
        yield (f"discrete.{i}", "discrete", i, "bool", "ABCD", int(not bit), None)


def registers(function):
    """The whole table of registers."""
    table = [0] * SIZE
    for _, of, at, _, _, _, held in layout():
        if of == function and held:
            table[at : at + len(held)] = held
    return table


def bits(function):
    """The whole table of bits."""
    return [bit if function == "coil" else not bit for bit in BITS]
