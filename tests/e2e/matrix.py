# SPDX-License-Identifier: Apache-2.0
"""Kills the controller before and after every call of `up` and of `destroy`, and lets every
changing call go wrong in every way; each time it is run again, and then the account must hold what
an undisturbed run makes: nothing less, nothing twice, nothing left over.

matrix.py MUSTER MUSTER-VDC PACKAGE FILE WORKDIR ACCOUNTS all|sample

Each account is a worker with a deployment of its own; the guests are simulated, all else is real.
"""
import json
import os
import subprocess
import sys
import threading
import time

from cs import CloudStack

MUSTER, VDC, PACKAGE, FILE, WORK, ACCOUNTS, HOW_MUCH = sys.argv[1:8]

LISTS = {
    "networks": ("listNetworks", "network"),
    "vms": ("listVirtualMachines", "virtualmachine"),
    "volumes": ("listVolumes", "volume"),
    "addresses": ("listPublicIpAddresses", "publicipaddress"),
    "forwards": ("listPortForwardingRules", "portforwardingrule"),
    "firewall_rules": ("listFirewallRules", "firewallrule"),
    "egress": ("listEgressFirewallRules", "firewallrule"),
    "keypairs": ("listSSHKeyPairs", "sshkeypair"),
}
NATURAL = {
    "networks": lambda e: (e["displaytext"], e["zonename"]),
    "vms": lambda e: (e["name"], e["zonename"], e["state"], len(e["nic"])),
    "volumes": lambda e: (e["name"], e["size"], e.get("vmname")),
    "addresses": lambda e: e["zonename"],
    "forwards": lambda e: (e["virtualmachinename"], e["publicport"], e["privateport"]),
    "firewall_rules": lambda e: (e["startport"], e["endport"]),
    "egress": lambda e: e["protocol"],
    "keypairs": lambda e: e["name"],
}


class Failure(Exception):
    pass


class Worker(threading.Thread):
    def __init__(self, name, cases):
        super().__init__()
        self.first_name = name
        self.cases = cases
        self.failures = []
        self.use(name)

    def use(self, name):
        """A new account: what another one was left with disturbs nobody."""
        self.account = name
        made = json.loads(self.vdc("account", "add", name, "--json"))
        endpoint = json.loads(self.vdc("status", "--json"))["endpoint"]
        self.cloud = CloudStack(endpoint=endpoint, key=made["api_key"], secret=made["secret_key"])
        self.env = dict(
            os.environ,
            CLOUDSTACK_ENDPOINT=endpoint,
            CLOUDSTACK_KEY=made["api_key"],
            CLOUDSTACK_SECRET=made["secret_key"],
            XDG_STATE_HOME=os.path.join(WORK, name),
        )

    @staticmethod
    def vdc(*args):
        return subprocess.run([VDC, *args], check=True, capture_output=True, text=True).stdout

    def fault(self, *args):
        self.vdc("fault", "call", *args, "--account", self.account)

    def clear(self):
        """Takes back this account's faults; says whether one has fired."""
        fired = False
        for fault in json.loads(self.vdc("fault", "list", "--json")):
            if fault["account"] == self.account:
                fired = fired or fault["fired"] > 0
                self.vdc("fault", "clear", fault["id"])
        return fired

    def muster(self, *args):
        done = subprocess.run(
            [MUSTER, *args, "-f", FILE], env=self.env, capture_output=True, text=True, timeout=180
        )
        return done.returncode, done.stdout + done.stderr

    def up(self):
        return self.muster("up", "--cloud-only", "--agent-package", PACKAGE)

    def destroy(self):
        return self.muster("destroy", "-y", "--with-data")

    def there(self):
        found = {}
        for what, (call, member) in LISTS.items():
            args = {"type": "DATADISK"} if what == "volumes" else {}
            answer = getattr(self.cloud, call)(**args)
            found[what] = sorted(str(NATURAL[what](e)) for e in answer.get(member, []))
        return found

    def must(self, what, result, code=0):
        if result[0] != code:
            raise Failure("%s ended with %d: %s" % (what, result[0], result[1][-1500:]))

    def undisturbed(self):
        """What is there after a run that nothing disturbs, and how many calls such runs make."""
        calls = []
        for run in (self.up, self.destroy):
            # a fault that never fires counts
            self.fault("*", "--nth", "1000000", "--error", "530")
            self.fault("write", "--nth", "1000000", "--error", "530")
            self.must("an undisturbed run", run())
            counts = {
                f["name"]: f["matched"]
                for f in json.loads(self.vdc("fault", "list", "--json"))
                if f["account"] == self.account
            }
            calls.append(counts)
            self.clear()
            if run == self.up:
                whole = self.there()
                self.must("plan", self.muster("plan", "--detailed-exitcode"))
        if any(self.there().values()):
            raise Failure("left over: %s" % self.there())
        return whole, calls

    def expect(self, what, whole):
        found = self.there()
        if found != whole:
            raise Failure("%s: %s" % (what, {k: (whole[k], found[k]) for k in whole if whole[k] != found[k]}))

    def one(self, whole, case):
        verb, name, args, expected = case
        empty = {k: [] for k in whole}
        run, again, end = (self.up, self.up, whole) if verb == "up" else (self.destroy, self.destroy, empty)
        if verb == "destroy":
            self.must("up", self.up())
        self.fault(*args)
        code, text = run()
        fired = self.clear()
        if fired and code not in expected:
            raise Failure("the disturbed run ended with %d: %s" % (code, text[-1500:]))
        if not fired and code != 0:
            raise Failure("ended with %d undisturbed: %s" % (code, text[-1500:]))
        if code != 0:
            # a run of destroy that was complete has nothing to be run again on
            code, text = again()
            if code != 0 and not (verb == "destroy" and "has not been raised" in text):
                raise Failure("the run after it ended with %d: %s" % (code, text[-1500:]))
        self.expect("after the run after it", end)
        if verb == "up":
            self.must("plan", self.muster("plan", "--detailed-exitcode"))
            self.must("destroy", self.destroy())
            self.expect("after destroy", empty)
        return fired

    def run(self):
        try:
            whole, _ = self.undisturbed()
            while True:
                try:
                    case = self.cases.pop()
                except IndexError:
                    return
                try:
                    fired = self.one(whole, case)
                    if not fired:
                        print("  (not reached: %s, %s)" % case[:2])
                except (Failure, subprocess.TimeoutExpired) as e:
                    self.failures.append((case, e))
                    print("FAILED: %s, %s: %s" % (case[0], case[1], e), flush=True)
                    self.use("%s-%d" % (self.first_name, len(self.failures)))
        except Exception as e:  # a worker must not end in silence
            self.failures.append((None, e))
            print("FAILED: %s: %r" % (self.account, e), flush=True)


def kills(verb, counts, sample):
    """SIGKILL before and after every call; a sample: before or after every changing call, some of
    the reads."""
    which = [("write", n) for n in range(1, counts["write"] + 1)]
    every = range(1, counts["*"] + 1)
    if sample:
        which += [("*", n) for n in every if n % 40 == 1]
    else:
        which = [("*", n) for n in every]
    for call, n in which:
        for when in ("before", "after"):
            if sample and n % 2 == (when == "before"):
                continue
            yield (
                verb,
                "killed %s call %d of %s" % (when, n, call),
                [call, "--nth", str(n), "--when", when, "--kill-client"],
                (-9,),
            )


def mishaps(verb, writes, sample):
    """Every changing call goes wrong once."""
    ways = [
        ("answer lost after the effect", ["--when", "after", "--lose"], (0,)),
        ("HTTP 500 before", ["--when", "before", "--http", "500"], (0,)),
        ("HTTP 500 after the effect", ["--when", "after", "--http", "500"], (0,)),
        ("HTTP 429", ["--when", "before", "--http", "429", "--retry-after", "1"], (0,)),
        ("reset before", ["--when", "before", "--reset"], (0,)),
        ("reset after the effect", ["--when", "after", "--reset"], (0,)),
        ("busy", ["--when", "before", "--error", "536"], (0,)),
        ("job fails", ["--fail-job"], (0, 4)),
        ("refused", ["--when", "before", "--error", "530"], (0, 4)),
    ]
    i = 0
    for n in range(1, writes + 1):
        for what, action, expected in ways:
            i += 1
            if sample and (n * 7 + i) % 17:
                continue
            yield (verb, "%s, changing call %d" % (what, n), ["write", "--nth", str(n)] + action, expected)


def main():
    began = time.time()
    first = Worker("matrix0", [])
    whole, (up, destroy) = first.undisturbed()
    print("up: %d calls, %d of them changing; destroy: %d, %d" % (up["*"], up["write"], destroy["*"], destroy["write"]))
    sample = HOW_MUCH != "all"
    cases = []
    for verb, counts in (("up", up), ("destroy", destroy)):
        cases += list(kills(verb, counts, sample))
        cases += list(mishaps(verb, counts["write"], sample))
    total = len(cases)
    only = os.environ.get("MATRIX_ONLY")
    if only:
        cases = [c for c in cases if only in c[1]]
        total = len(cases)
    print("%d cases" % total, flush=True)
    cases.reverse()
    workers = [Worker("matrix%d" % i, cases) for i in range(1, int(ACCOUNTS) + 1)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    failures = [f for w in workers for f in w.failures]
    print("%d cases, %d failed, %d s" % (total, len(failures), time.time() - began))
    sys.exit(1 if failures else 0)


main()
