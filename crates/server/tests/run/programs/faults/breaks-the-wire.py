"""Pretends to be a Node worker on its channel, and breaks the protocol in the way that its argument names."""

import json
import os
import socket
import sys
import tempfile
import time

channel = socket.socket(fileno=int(os.environ["NODE_CHANNEL_FD"]))


def say(message):
    channel.sendall(json.dumps(message).encode() + b"\n")


def cluster(act, seq, **fields):
    say({"cmd": "NODE_CLUSTER", "act": act, "seq": seq, **fields})


def garbage():
    channel.sendall(b'{"cmd":"NODE_CLUSTER","act":\n')


def not_text():
    channel.sendall(b"\xff\xfe\x00\n")


def blank_lines():
    channel.sendall(b"\n\n\n")


def endless_line():
    try:
        while True:
            channel.sendall(b"x" * 65536)
    except OSError:
        sys.exit("cut off")


def stray_acknowledgements():
    for _ in range(100):
        say({"cmd": "NODE_HANDLE_ACK"})
        say({"cmd": "NODE_HANDLE_NACK"})


def wrong_acknowledgement():
    say({"cmd": "NODE_CLUSTER", "ack": 4711, "accepted": True, "seq": 1})


def wrong_key():
    cluster("close", 1, key="nobody:1:4:undefined:0")


def wrong_fields():
    cluster("queryServer", 1, index=-1, address=7, port="eighty", addressType=99, fd=-3, backlog="many")


def regular_file():
    with tempfile.TemporaryFile() as file:
        message = {"cmd": "NODE_HANDLE", "type": "net.Native", "msg": {"cmd": "NODE_CLUSTER", "act": "x", "seq": 1}}
        socket.send_fds(channel, [json.dumps(message).encode() + b"\n"], [file.fileno()])


cluster("online", 0)
globals()[sys.argv[1]]()
print("broken", flush=True)
time.sleep(1000)
