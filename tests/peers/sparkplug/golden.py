"""Writes tests/data/sparkplug/edge.txt: what the edge node must say, encoded by the protobuf
classes of the `tahu` package instead of ours. One message a line: topic, payload in hex.

The story is the one of `the_bytes_are_those_of_another_encoder` in telemetry.
Usage: golden.py > tests/data/sparkplug/edge.txt
"""

from tahu import sparkplug_b_pb2 as pb

T0 = 1_795_270_445_120
INT32, INT64, DOUBLE, BOOLEAN, STRING = 3, 4, 10, 11, 12


def show(topic, payload):
    print(f"spBv1.0/plant/{topic}", payload.SerializeToString().hex())


def message(at, seq=None):
    payload = pb.Payload()
    payload.timestamp = at
    if seq is not None:
        payload.seq = seq
    return payload


def add(payload, name, at, datatype=None, **value):
    metric = payload.metrics.add()
    metric.name, metric.timestamp = name, at
    if datatype is not None:
        metric.datatype = datatype
    for key, one in value.items():
        setattr(metric, key, one)
    return metric


def prop(metric, key, datatype, **value):
    metric.properties.keys.append(key)
    one = metric.properties.values.add()
    one.type = datatype
    for kind, what in value.items():
        setattr(one, kind, what)


def quality(metric, code, reason):
    prop(metric, "Quality", INT32, int_value=code)
    prop(metric, "Reason", STRING, string_value=reason)


def point(payload, name, at, code, reason, **value):
    metric = add(payload, name, at, DOUBLE, **value)
    quality(metric, code, reason)
    prop(metric, "engUnit", STRING, string_value="%")
    prop(metric, "engLow", DOUBLE, double_value=0.0)
    prop(metric, "engHigh", DOUBLE, double_value=100.0)
    prop(metric, "Description", STRING, string_value="液位")


death = message(T0)
add(death, "bdSeq", T0, INT64, long_value=42)
show("NDEATH/GW-01", death)

node = message(T0 + 7, 0)
add(node, "bdSeq", T0 + 7, INT64, long_value=42)
add(node, "Node Control/Rebirth", T0 + 7, BOOLEAN, boolean_value=False)
add(node, "Properties/Software", T0 + 7, STRING, string_value="fengsui 0")
for name in ("Values superseded", "Scans overrun", "Commands refused"):
    add(node, f"Fengsui/{name}", T0 + 7, INT64, long_value=0)
show("NBIRTH/GW-01", node)

device = message(T0 + 7, 1)
point(device, "P-0", T0 - 5, 192, "good", double_value=61.2)
point(device, "P-1", T0 - 4, 0, "timeout", is_null=True)
point(device, "P-2", T0 + 7, 500, "not_read_yet", is_null=True)
show("DBIRTH/GW-01/TK-0", device)

data = message(T0 + 1_000, 2)
quality(add(data, "P-2", T0 + 300, double_value=-0.5), 500, "near_range")
show("DDATA/GW-01/TK-0", data)
