#!/usr/bin/env python3
"""Serves the image by pymodbus or modbus-tk, over TCP or a serial line, until it is ended.

    serve.py pymodbus|modbus-tk|faults tcp PORT | rtu DEVICE

`faults` is pymodbus over TCP that spoils every fourth reply, and the one after every sixth of these,
so that asking again mostly helps and at times does not: in turn by a foreign transaction id, a cut reply,
none at all, a foreign unit, a foreign function. Prints `ready` when it answers."""

import asyncio
import sys
import time

import image

BAUD = 115200


def spoil():
    """Most replies are whole."""
    count = spoils = 0

    def wire(sending, data):
        nonlocal count, spoils
        if not sending:
            return data
        count += 1
        if count % 4 and (count % 24 != 1 or count == 1):
            return data
        spoils += 1
        return (
            bytes([data[0] ^ 255]) + data[1:],
            data[:-1],
            b"",
            data[:6] + bytes([data[6] ^ 1]) + data[7:],
            data[:7] + bytes([data[7] ^ 1]) + data[8:],
        )[spoils % 5]

    return wire


async def pymodbus(way, place, trace):
    from pymodbus.framer import FramerType
    from pymodbus.server import ModbusSerialServer, ModbusTcpServer
    from pymodbus.simulator import DataType, SimData, SimDevice

    def words(function):
        return [SimData(0, values=image.registers(function), datatype=DataType.REGISTERS)]

    def bits(function):
        return [SimData(0, values=image.bits(function), datatype=DataType.BITS)]

    device = SimDevice(1, simdata=(bits("coil"), bits("discrete"), words("holding"), words("input")))
    if way == "tcp":
        server = ModbusTcpServer(device, address=("127.0.0.1", int(place)), trace_packet=trace)
    else:
        server = ModbusSerialServer(
            device, framer=FramerType.RTU, port=place, baudrate=BAUD, trace_packet=trace
        )
    await server.serve_forever(background=True)
    print("ready", flush=True)
    await asyncio.Event().wait()


def modbus_tk(way, place):
    from modbus_tk import defines, modbus_rtu, modbus_tcp

    if way == "tcp":
        server = modbus_tcp.TcpServer(port=int(place), address="127.0.0.1")
    else:
        import serial

        server = modbus_rtu.RtuServer(serial.Serial(place, BAUD))
    server.start()
    slave = server.add_slave(1)
    for name, kind, values in (
        ("coil", defines.COILS, [int(bit) for bit in image.bits("coil")]),
        ("discrete", defines.DISCRETE_INPUTS, [int(bit) for bit in image.bits("discrete")]),
        ("holding", defines.HOLDING_REGISTERS, image.registers("holding")),
        ("input", defines.ANALOG_INPUTS, image.registers("input")),
    ):
        slave.add_block(name, kind, 0, len(values))
        slave.set_values(name, 0, values)
    print("ready", flush=True)
    while True:
        time.sleep(3600)


def main():
    who, way, place = sys.argv[1:4]
    if who == "modbus-tk":
        modbus_tk(way, place)
    else:
        asyncio.run(pymodbus(way, place, spoil() if who == "faults" else None))


main()
