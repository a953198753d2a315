# SPDX-License-Identifier: Apache-2.0
"""Visitors of a site with several addresses, before, during and after a fault.

failover.py ADDRESS=A-SECOND...   stops when it is told so: a line on its input

So many visitors a second come to each address, whatever becomes of those before them. A visitor tries
the other addresses when nobody takes the connection at its own within a second, as browsers do with
the addresses of one name; of four, three read the database and one writes a row of its own. A request
that was sent and not answered well has failed: it is not sent again. Prints one JSON object:
requests, failed and with what, by address the longest time without a good answer (s) and the slowest
good answer (s), and the rows that were acknowledged.
"""
import http.client
import json
import socket
import sys
import threading
import time

ANSWER_S = 30
AVOID_S = 10  # an address that did not take a connection is not the first one for so long


class Address:
    def __init__(self, name, rate):
        self.name, self.rate, self.sent = name, float(rate), 0
        self.good, self.slowest = [time.monotonic()], 0


avoid = {}
failed, acked, ended = [], [], False


def connect(home):
    now = time.monotonic()
    for a in sorted(addresses, key=lambda a: (avoid.get((home, a.name), 0) > now, a.name != home)):
        try:
            s = socket.create_connection((a.name, 80), timeout=1)
            s.settimeout(ANSWER_S)
            c = http.client.HTTPConnection(a.name)
            c.sock = s
            return c
        except OSError:
            avoid[home, a.name] = time.monotonic() + AVOID_S
    return None


def visit(home, number):
    row = f"{home.name}-{number}" if number % 4 == 0 else None
    begun = time.monotonic()
    c = connect(home.name)
    if c is None:
        failed.append("no address takes a connection")
        return
    try:
        if row:
            c.request("POST", f"/write.php?row={row}")
        else:
            c.request("GET", "/read.php")
        a = c.getresponse()
        body = a.read()
        if a.status != 200 or not body:
            failed.append(f"{'POST' if row else 'GET'}: {a.status}")
            return
        if row:
            acked.append(row)
        home.good.append(time.monotonic())
        home.slowest = max(home.slowest, home.good[-1] - begun)
    except (OSError, http.client.HTTPException) as e:
        failed.append(f"{'POST' if row else 'GET'}: {type(e).__name__}")
    finally:
        c.close()


def door(a):
    due = time.monotonic()
    while not ended:
        a.sent += 1
        threading.Thread(target=visit, args=(a, a.sent), daemon=True).start()
        due += 1 / a.rate
        time.sleep(max(0, due - time.monotonic()))


def longest_gap(times):
    at = sorted(times)
    return max(b - a for a, b in zip(at, at[1:]))


addresses = [Address(*a.split("=")) for a in sys.argv[1:]]
doors = [threading.Thread(target=door, args=(a,)) for a in addresses]
for d in doors:
    d.start()
sys.stdin.readline()
ended = True
for d in doors:
    d.join()
end = time.monotonic()
for t in threading.enumerate():
    if t is not threading.current_thread():
        t.join(ANSWER_S + 5)
print(json.dumps({
    "requests": sum(a.sent for a in addresses),
    "failed": len(failed),
    "why": sorted(set(failed)),
    "gaps": {a.name: round(longest_gap(a.good + [end]), 2) for a in addresses},
    "slowest": {a.name: round(a.slowest, 2) for a in addresses},
    "acked": acked,
}))
