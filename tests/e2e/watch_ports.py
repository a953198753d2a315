#!/usr/bin/env python3
"""Counts what crosses any interface of this network namespace until it is ended: packets of the
database's ports, and packets that have one of the given texts. Prints {"PORT or TEXT": packets}."""
import json
import signal
import socket
import struct
import sys

PORTS = (4444, 4567, 4568)
texts = [text.encode() for text in sys.argv[1:]]
found = {str(port): 0 for port in PORTS} | {text: 0 for text in sys.argv[1:]}


ending = False


def end(*_):
    global ending
    ending = True


signal.signal(signal.SIGTERM, end)
sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))
sniffer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
print("ready", file=sys.stderr, flush=True)
sniffer.settimeout(0.2)
while True:
    try:
        packet = sniffer.recv(1 << 17)
    except TimeoutError:
        if ending:  # and all that had come is counted
            break
        continue
    if len(packet) < 54 or packet[12:14] != b"\x08\x00" or packet[23] != 6:
        continue
    at = 14 + 4 * (packet[14] & 15)
    for port in struct.unpack_from("!HH", packet, at):
        if port in PORTS:
            found[str(port)] += 1
    for text in texts:
        if text in packet:
            found[text.decode()] += 1
print(json.dumps(found))
