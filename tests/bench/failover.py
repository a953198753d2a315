# SPDX-License-Identifier: Apache-2.0
"""Visitors of a site with several addresses, before, during and after a fault.

failover.py ADDRESS=HOW-MANY...   stops when it is told so: a line on its input

Each visitor belongs to an address, tries the others when nobody takes the connection there within a
second, as browsers do with the addresses of one name, and asks again at once when it has its answer:
three requests that read the database, then one that writes a row of its own. One that was sent and
not answered well has failed; a visitor does not send it again. Prints one JSON object: requests,
failed, by address the longest time without a good answer (s), and the rows that were acknowledged.
"""
import http.client
import json
import socket
import sys
import threading
import time

PAUSE_S = 0.05
ANSWER_S = 30
AVOID_S = 10  # an address that did not answer is not the first one for so long


class Visitor(threading.Thread):
    def __init__(self, number, home, addresses):
        super().__init__(daemon=True)
        self.number, self.home = number, home
        self.addresses = [home] + [a for a in addresses if a != home]
        self.avoid = {a: 0 for a in addresses}
        self.good, self.failed, self.acked, self.requests = [time.monotonic()], [], [], 0

    def connect(self):
        now = time.monotonic()
        for address in sorted(self.addresses, key=lambda a: self.avoid[a] > now):
            try:
                s = socket.create_connection((address, 80), timeout=1)
                s.settimeout(ANSWER_S)
                c = http.client.HTTPConnection(address)
                c.sock = s
                return c
            except OSError:
                self.avoid[address] = time.monotonic() + AVOID_S
        return None

    def request(self, i):
        row = f"{self.number}-{i}" if i % 4 == 0 else None
        c = self.connect()
        if c is None:
            return "no address takes a connection"
        try:
            if row:
                c.request("POST", f"/write.php?row={row}")
            else:
                c.request("GET", "/read.php")
            a = c.getresponse()
            body = a.read()
            if a.status != 200 or not body:
                return f"{'POST' if row else 'GET'}: {a.status}"
            if row:
                self.acked.append(row)
            return None
        except (OSError, http.client.HTTPException) as e:
            return f"{'POST' if row else 'GET'}: {type(e).__name__}"
        finally:
            c.close()

    def run(self):
        while not ended:
            self.requests += 1
            why = self.request(self.requests)
            if why:
                self.failed.append((time.time(), why))
            else:
                self.good.append(time.monotonic())
            time.sleep(PAUSE_S)
        self.good.append(time.monotonic())


def longest_gap(visitors):
    at = sorted(t for v in visitors for t in v.good)
    return max(b - a for a, b in zip(at, at[1:]))


ended = False
homes = [a.split("=") for a in sys.argv[1:]]
visitors = []
for home, n in homes:
    visitors += [Visitor(len(visitors) + k, home, [h for h, _ in homes]) for k in range(int(n))]
for v in visitors:
    v.start()
sys.stdin.readline()
ended = True
for v in visitors:
    v.join(ANSWER_S + 5)
why = [f for v in visitors for f in v.failed]
print(json.dumps({
    "requests": sum(v.requests for v in visitors),
    "failed": len(why),
    "why": sorted({w for _, w in why}),
    "gaps": {h: round(longest_gap([v for v in visitors if v.home == h]), 2) for h, _ in homes},
    "acked": [r for v in visitors for r in v.acked],
}))
