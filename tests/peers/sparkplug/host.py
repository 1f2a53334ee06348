"""A Sparkplug host that nobody here wrote the decoder of: it hears everything and prints it.

Every message becomes one line of JSON on stdout, decoded by the protobuf classes of the `tahu`
package. Lines on stdin are what the host says:

    rebirth GROUP NODE           NCMD Node Control/Rebirth = true, without a payload timestamp
    write GROUP NODE DEVICE NAME DCMD NAME = 1.0
    state HOST true|false MS     STATE, retained

Usage: host.py PORT
"""

import json
import sys

import paho.mqtt.client as mqtt
from tahu import sparkplug_b_pb2 as pb


def say(line):
    print(json.dumps(line, ensure_ascii=False), flush=True)


def value(holder):
    kind = holder.WhichOneof("value")
    return None if kind is None else getattr(holder, kind)


def field(message, name):
    return getattr(message, name) if message.HasField(name) else None


def metric(m):
    keys, values = m.properties.keys, m.properties.values
    if len(keys) != len(values):
        raise ValueError(f"{m.name}: {len(keys)} keys, {len(values)} values")
    return {
        "name": field(m, "name"),
        "alias": field(m, "alias"),
        "timestamp": field(m, "timestamp"),
        "datatype": field(m, "datatype"),
        "is_null": field(m, "is_null"),
        "kind": m.WhichOneof("value"),
        "value": value(m),
        "properties": {k: {"type": field(v, "type"), "value": value(v)} for k, v in zip(keys, values)},
    }


def heard(_client, _data, message):
    line = {"topic": message.topic, "qos": message.qos, "retain": bool(message.retain)}
    if not message.topic.startswith("spBv1.0/STATE/") and "CMD/" not in message.topic:
        payload = pb.Payload()
        payload.ParseFromString(message.payload)
        line["timestamp"] = field(payload, "timestamp")
        line["seq"] = field(payload, "seq")
        line["metrics"] = [metric(m) for m in payload.metrics]
    say(line)


def command(name, datatype, **value):
    payload = pb.Payload()
    m = payload.metrics.add()
    m.name, m.datatype = name, datatype
    for key, one in value.items():
        setattr(m, key, one)
    return payload.SerializeToString()


def main():
    client = mqtt.Client(client_id="host", clean_session=True)
    client.on_message = heard
    client.on_connect = lambda c, *_: c.subscribe("spBv1.0/#", qos=1)
    client.on_subscribe = lambda *_: say({"topic": "ready"})
    client.connect("127.0.0.1", int(sys.argv[1]), keepalive=60)
    client.loop_start()
    for line in sys.stdin:
        verb, *rest = line.split()
        if verb == "rebirth":
            group, node = rest
            payload = command("Node Control/Rebirth", 11, boolean_value=True)
            client.publish(f"spBv1.0/{group}/NCMD/{node}", payload, qos=0)
        elif verb == "write":
            group, node, device, name = rest
            payload = command(name, 10, double_value=1.0)
            client.publish(f"spBv1.0/{group}/DCMD/{node}/{device}", payload, qos=0)
        elif verb == "state":
            host, online, at = rest
            payload = json.dumps({"online": online == "true", "timestamp": int(at)})
            client.publish(f"spBv1.0/STATE/{host}", payload, qos=1, retain=True)
        else:
            raise SystemExit(f"unknown: {line!r}")


main()
