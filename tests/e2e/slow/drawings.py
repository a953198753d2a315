# SPDX-License-Identifier: Apache-2.0
"""One column a node, downwards in time: what the coordinators said of their states.

drawings.py NODE... <LINES: {"ts": ms, "node": NODE, "text": TEXT} of what the test did, and events of
`muster events --json`, in any order; time counts from the first line that the test wrote.
"""
import json
import sys
import textwrap

NODES = sys.argv[1:]
WIDTH = (100 - 8) // len(NODES) - 2


def lines():
    for line in sys.stdin:
        e = json.loads(line)
        if "text" in e:
            yield e["ts"], e["node"], [f"** {e['text']} **"]
        elif e.get("kind") == "cluster" and e.get("node") in NODES:
            state, _, why = e["msg"].partition(": ")
            yield e["ts"], e["node"], [state] + textwrap.wrap(why, WIDTH)


def main():
    said = sorted(lines(), key=lambda e: e[0])
    begun = min(ts for ts, _, text in said if text[0].startswith("**"))
    print("     s  " + "".join(f"{n:<{WIDTH + 2}}" for n in NODES).rstrip())
    for ts, node, text in said:
        if ts < begun:
            continue
        at = f"{(ts - begun) / 1000:6.1f}  "
        for part in text:
            columns = [f"{part[:WIDTH]:<{WIDTH}}" if n == node else "|".ljust(WIDTH) for n in NODES]
            print((at + "  ".join(columns)).rstrip())
            at = " " * 8


main()
