# SPDX-License-Identifier: Apache-2.0
"""Faults on real nodes while rows are written: nothing that was acknowledged is lost, all members are
the same afterwards, and nobody helps.

chaos.py MUSTER MUSTER-VDC FILE ROUNDS|SECONDSs SEED [FAULT...]

Each round writes to a table of its own over four sessions a node. A row is in the ledger of this
process when the database acknowledged it. After the fault all members must be Synced by themselves;
then each has every row of the ledger, their tables are equal, each epoch was founded once, and
nobody is in quarantine. While members are restarted, reinstalled or replaced one at a time, one of
them is ready at every moment. Every other round all lose their power; its line says how long after the
last agent was up there was a Primary, and all were Synced. The last lines are what was covered.
"""
import json
import os
import random
import re
import subprocess
import sys
import threading
import time

from cs import CloudStack

MUSTER, VDC, FILE, HOW_LONG, SEED = sys.argv[1:6]
SYNCED_WITHIN = 420
SESSIONS = 4
MACHINES = []  # with the arbitrator, which has no data
VOLUMES = "/var/lib/muster/vdc/volumes"
PORTS = {"database": "4567-4568", "agents": "7410"}


class Failure(Exception):
    pass


def run(*args, timeout=60):
    return subprocess.run(args, capture_output=True, text=True, timeout=timeout)


def must(*args, timeout=60):
    r = run(*args, timeout=timeout)
    if r.returncode:
        raise Failure(f"{' '.join(args)}: {r.stderr.strip()[-300:]}")
    return r.stdout


class Node:
    def __init__(self, name, vm, zone):
        self.name, self.vm, self.zone = name, vm, zone
        self.has_data = name != "arb"

    def ssh(self, *words, timeout=30):
        try:
            return run(MUSTER, "ssh", "-f", FILE, self.name, "sudo", *words, timeout=timeout)
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(words, 255, "", "no answer")

    def sql(self, text, timeout=60):
        r = self.ssh("mariadb", "-N", "-e", f"'{text}'", timeout=timeout)
        return r.stdout.strip() if r.returncode == 0 else None

    def answers(self):
        return self.ssh("systemctl", "is-active", "--quiet", "muster-agent", timeout=10).returncode == 0

    def status(self):
        r = self.ssh("muster-agent", "status", "--json", timeout=10)
        try:
            s = json.loads(r.stdout)
        except ValueError:
            return "", "", 0
        return (s.get("coordinator", {}).get("state", ""), s.get("db", {}).get("state", ""),
                s.get("db", {}).get("cluster_size", 0))

    def decides_without(self, other):
        r = self.ssh("muster-agent", "cluster", "status", "--json", timeout=10)
        try:
            return any(m["name"] == other.name and not m["votes"] for m in json.loads(r.stdout)["members"])
        except (ValueError, KeyError):
            return False

    def primary(self):
        return self.status()[:2] == ("primary", "Synced")

    def off(self):
        must(VDC, "fault", "vm", self.vm, "power-off")

    def on(self):
        cloud.startVirtualMachine(id=self.vm, fetch_result=True)

    def shut(self):
        cloud.stopVirtualMachine(id=self.vm, fetch_result=True)

    def pid(self):
        """Of its init, as this machine sees it."""
        for p in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{p}/comm") as f:
                    if f.read().strip() != "systemd":
                        continue
            except OSError:
                continue
            if run("nsenter", "-t", p, "-u", "hostname").stdout.strip().endswith("-" + self.name):
                return p
        raise Failure(f"{self.name} has no process")

    def nft(self, text):
        must("nsenter", "-t", self.pid(), "-n", "nft", text)


class Writer(threading.Thread):
    """One session; what it wrote and was told so."""

    def __init__(self, node, number, table):
        super().__init__(daemon=True)
        self.node, self.key, self.table = node, f"{node.name}-{number}", table
        self.acked, self.ended, self.process = [], False, None

    def run(self):
        i = 0
        while not self.ended:
            self.process = subprocess.Popen(
                [MUSTER, "ssh", "-f", FILE, self.node.name, "sudo", "mariadb", "-n", "-N"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            try:
                while not self.ended:
                    i += 1
                    self.process.stdin.write(
                        f"INSERT INTO {self.table} VALUES ('{self.key}', {i}); SELECT {i};\n")
                    self.process.stdin.flush()
                    if self.process.stdout.readline().strip() != str(i):
                        break
                    self.acked.append((self.key, str(i)))
                    time.sleep(0.02)
            except OSError:
                pass
            self.process.kill()
            self.process.wait()
            time.sleep(0.5)

    def end(self):
        self.ended = True
        if self.process:
            self.process.kill()


class Prober(threading.Thread):
    """What the health endpoint of a node says, five times a second."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.node, self.ready, self.ended, self.process = node, [], False, None

    def run(self):
        while not self.ended:
            self.process = subprocess.Popen(
                [MUSTER, "ssh", "-f", FILE, self.node.name,
                 "while :; do curl -s -o /dev/null -m 1 -w '%{http_code}\\n' "
                 "http://127.0.0.1:7404/ready || echo 0; sleep 0.2; done"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            for line in self.process.stdout:
                if line.strip() == "200":
                    self.ready.append(time.monotonic())
            self.process.wait()
            time.sleep(0.3)

    def end(self):
        self.ended = True
        if self.process:
            self.process.kill()


def longest_gap(probers, begun, ended):
    """So long no node said that it is ready."""
    at = sorted(t for p in probers for t in p.ready if begun <= t <= ended)
    return max(b - a for a, b in zip([begun] + at, at + [ended]))


def until(seconds, what, condition):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failure(f"not within {seconds} s: {what}")
        time.sleep(0.3)


def links(pairs, *options):
    for a, b in pairs:
        must(VDC, "fault", "link", a, b, *options)


# --- the faults: each ends with what it took away given back. `nodes`: those with data ---------------

def power_of_all(nodes, rng):
    order = rng.sample(MACHINES, len(MACHINES))
    threads = [threading.Thread(target=n.off) for n in MACHINES]
    if rng.random() < 0.3:  # one after another
        for n in order:
            n.off()
            time.sleep(rng.random() * 3)
    else:
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    for n in rng.sample(MACHINES, len(MACHINES)):
        n.on()
        time.sleep(rng.choice([0, 0, 1, 8]))


def power_of_one(nodes, rng):
    n = rng.choice(MACHINES)
    n.off()
    time.sleep(rng.uniform(0, 20))
    n.on()


def database_killed(nodes, rng):
    for n in rng.sample(nodes, rng.randint(1, len(nodes))):
        n.ssh("pkill", "-KILL", "-x", "mariadbd")
        time.sleep(rng.choice([0, 0, 2]))


def agents_killed(nodes, rng):
    """And the databases, so that there is something to agree on."""
    for n in rng.sample(nodes, rng.randint(1, len(nodes))):
        n.ssh("pkill", "-KILL", "-x", "mariadbd")
    for _ in range(rng.randint(1, 6)):
        time.sleep(rng.random() * 2)
        rng.choice(MACHINES).ssh("pkill", "-KILL", "-f", "'muster-agent( |-net|$)'")


def zone_cut(nodes, rng):
    zone = rng.choice(MACHINES).zone
    pairs = [(zone, z) for z in sorted({n.zone for n in MACHINES} - {zone})]
    one_way = ["--one-way"] if rng.random() < 0.3 else []
    links(pairs, *one_way)
    time.sleep(rng.choice([3, 10, 10, 30]))
    links(pairs, "--restore")


def long_cut(nodes, rng):
    """Ten minutes: whoever was cut off is excluded meanwhile."""
    zone = rng.choice(MACHINES).zone
    pairs = [(zone, z) for z in sorted({n.zone for n in MACHINES} - {zone})]
    links(pairs)
    time.sleep(600)
    links(pairs, "--restore")


def partial_heal(nodes, rng):
    """Every zone is alone; then two of them meet, and later the third."""
    zones = rng.sample(sorted({n.zone for n in MACHINES}), 3)
    pairs = [(zones[0], zones[1]), (zones[0], zones[2]), (zones[1], zones[2])]
    links(pairs)
    time.sleep(rng.choice([10, 30, 90]))
    for pair in pairs:
        links([pair], "--restore")
        time.sleep(rng.choice([0, 5, 30]))


def machine_frozen(nodes, rng):
    """It does nothing for a while, and then believes that no time has passed."""
    n = rng.choice(MACHINES)
    must(VDC, "fault", "vm", n.vm, "pause")
    time.sleep(rng.choice([3, 10, 40]))
    must(VDC, "fault", "vm", n.vm, "resume")


def snapshot_restored(nodes, rng):
    """A disk is as it was some time ago. The others go on meanwhile, or all lose their power."""
    n = rng.choice(nodes)
    disk = f"{VOLUMES}/{shown()['volume:' + n.name]}.img"
    n.off()
    must("cp", "--sparse=always", disk, disk + ".then", timeout=300)
    n.on()
    until(SYNCED_WITHIN, "all are Synced", lambda: all_synced(nodes))
    time.sleep(rng.uniform(1, 5))
    everybody = rng.random() < 0.5
    for m in nodes if everybody else [n]:
        m.off()
    must("cp", "--sparse=always", disk + ".then", disk, timeout=300)
    os.remove(disk + ".then")
    for m in rng.sample(nodes, len(nodes)):
        if everybody or m is n:
            m.on()


def port_cut(nodes, rng):
    n, ports = rng.choice(MACHINES), PORTS[rng.choice(list(PORTS))]
    n.nft("add table ip chaos; add chain ip chaos in { type filter hook input priority 0; };"
          "add chain ip chaos out { type filter hook output priority 0; };"
          f"add rule ip chaos in tcp dport {ports} drop; add rule ip chaos in tcp sport {ports} drop;"
          f"add rule ip chaos out tcp dport {ports} drop; add rule ip chaos out tcp sport {ports} drop")
    time.sleep(rng.choice([3, 10, 30]))
    n.nft("delete table ip chaos")


def copies_die(nodes, rng):
    """The same member, five times."""
    n = rng.choice(nodes)
    for _ in range(5):
        copy_dies(nodes, rng, n)
        until(180, f"the agent of {n.name} is up", n.answers)


def copy_dies(nodes, rng, n=None):
    """A member that takes a whole copy loses its power, or its donor does."""
    n = n or rng.choice(nodes)
    n.ssh("sh", "-c", "'rm -f /media/datadisk-mariadb/mysql/grastate.dat; pkill -KILL -x mariadbd'")
    until(60, f"{n.name} takes a copy", lambda: n.ssh("pgrep", "-f", "'[w]srep_sst'").returncode == 0)
    time.sleep(rng.uniform(0, 6))
    if rng.random() < 0.5:
        n.off()
        n.on()
        return
    for other in nodes:
        if other is not n and other.ssh("pgrep", "-f", "'[w]srep_sst'").returncode == 0:
            other.off()
            other.on()


def orderly_stop(nodes, rng):
    """All are stopped, one after another, and only the last one comes back at first."""
    order = rng.sample(nodes, len(nodes))
    for i, n in enumerate(order):
        n.shut()
        if i < len(nodes) - 1:
            until(30, f"{order[-1].name} has {n.name} excluded", lambda: order[-1].decides_without(n))
    order[-1].on()
    until(180, f"{order[-1].name} serves alone", order[-1].primary)
    for n in order[:-1]:
        n.on()


def founder_killed(nodes, rng):
    """All lose their power; whoever is told to start loses its agent, or its power, at that moment."""
    for n in nodes:
        n.off()
    for n in nodes:
        n.on()
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for n in nodes:
            state = n.status()[0]
            if state in ("boot-permit", "bootstrapping"):
                if rng.random() < 0.5:
                    n.off()
                    n.on()
                else:
                    n.ssh("pkill", "-KILL", "-f", "'muster-agent'")
                return
            if state == "primary":
                return


def rolling_restart(nodes, rng):
    r = subprocess.Popen([MUSTER, "restart", "-f", FILE, "--rolling"], stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
    killed = rng.random() < 0.5
    if killed:
        time.sleep(rng.uniform(1, 10))
        n = rng.choice(nodes)
        n.off()
        n.on()
    try:
        r.wait(300)
    except subprocess.TimeoutExpired:
        r.kill()
        raise Failure("the rolling restart does not end")
    return killed  # of three, one that stops and one that is lost are too many for a quorum


def packages_reinstalled(nodes, rng):
    for n in rng.sample(nodes, len(nodes)):
        r = n.ssh("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-y", "install", "--reinstall",
                  "mariadb-server", "galera-4", timeout=300)
        if r.returncode:
            raise Failure(f"apt-get at {n.name}: {r.stderr[-300:]}")
        until(180, f"{n.name} serves", n.primary)


def machine_replaced(nodes, rng):
    """Its VM is lost, its disk is not; `up` makes another one."""
    n = rng.choice(nodes)
    n.off()
    cloud.destroyVirtualMachine(id=n.vm, expunge=True, fetch_result=True)
    until(60, "the machine is gone", lambda: not cloud.listVirtualMachines(id=n.vm))
    raise_again(nodes)
    return len(MACHINES) < 3  # what is left of two has no quorum


def disk_replaced(nodes, rng):
    """Its VM and its disk are lost; the file says that the volume may be replaced."""
    n = rng.choice(nodes)
    volume = shown()["volume:" + n.name]
    n.off()
    cloud.destroyVirtualMachine(id=n.vm, expunge=True, fetch_result=True)
    until(60, "the machine is gone", lambda: not cloud.listVirtualMachines(id=n.vm))
    if cloud.listVolumes(id=volume)["volume"][0].get("virtualmachineid"):
        cloud.detachVolume(id=volume, fetch_result=True)
    cloud.deleteVolume(id=volume)
    with open(FILE) as f:
        text = re.sub(", wipe: [0-9a-f-]*", "", f.read())
    with open(FILE, "w") as f:
        f.write(re.sub(f"(name: {n.name}, .*size: 20G)", rf"\1, wipe: {volume}", text))
    raise_again(nodes)


def members_change(nodes, rng):
    """Members are added to the file, and taken out again."""
    for n in (len(nodes) + 1, 5, len(nodes)):
        with open(FILE) as f:
            lines = f.read().splitlines()
        at = [i for i, line in enumerate(lines) if re.match(r"#?  - \{name: n\d", line)]
        for i, line in enumerate(at):
            lines[line] = ("" if i < n else "#") + lines[line].lstrip("#")
        with open(FILE, "w") as f:
            f.write("\n".join(lines) + "\n")
        raise_again(nodes)
        size = n + len(MACHINES) - len(nodes)
        until(SYNCED_WITHIN, f"{n} members", lambda: all(n.status() == ("primary", "Synced", size) for n in nodes))


def raise_again(nodes):
    must(MUSTER, "up", "-y", "-f", FILE, timeout=600)
    ids = shown()
    for n in MACHINES:
        n.vm = ids["vm:" + n.name]


FAULTS = [packages_reinstalled, machine_replaced, disk_replaced, members_change, power_of_one,
          database_killed, agents_killed, zone_cut, port_cut, partial_heal, machine_frozen,
          snapshot_restored, copy_dies, copies_die, orderly_stop, founder_killed, rolling_restart]
# The others serve meanwhile; a loss that Galera notices after 5 s is not of these.
ONE_AT_A_TIME = [packages_reinstalled, machine_replaced, disk_replaced, members_change, rolling_restart]
GAP_S = 3  # probes are a second apart at most, and come over ssh


# --- a round ----------------------------------------------------------------------------------------

def check(nodes, table, writers):
    acked = {row for w in writers for row in w.acked}
    sums = set()
    for n in nodes:
        n.sql("SET SESSION wsrep_sync_wait=1; SELECT 1")
        rows = n.sql(f"SET SESSION wsrep_sync_wait=1; SELECT k, i FROM {table}")
        if rows is None:
            raise Failure(f"{n.name} cannot be asked for its rows")
        missing = acked - {tuple(line.split("\t")) for line in rows.splitlines()}
        if missing:
            raise Failure(f"{len(missing)} acknowledged rows are not at {n.name}: {sorted(missing)[:5]}")
        sums.add(n.sql(f"CHECKSUM TABLE {table}"))
        epochs = n.sql("SELECT COUNT(*) - COUNT(DISTINCT e) FROM muster.epoch")
        if epochs != "0":
            raise Failure(f"{n.name}: an epoch was founded twice ({epochs})")
    if len(sums) != 1:
        raise Failure(f"the tables differ: {sums}")
    return len(acked)


def all_synced(nodes):
    return all(n.status() == ("primary", "Synced", len(MACHINES)) for n in nodes)


def one_round(number, nodes, fault, rng):
    table = f"chaos.r{number}"
    if nodes[0].sql(f"CREATE TABLE {table} (k VARCHAR(20), i INT, PRIMARY KEY (k, i))") is None:
        raise Failure("a table cannot be made")
    writers = [Writer(n, s, table) for n in nodes for s in range(SESSIONS)]
    for w in writers:
        w.start()
    until(60, "every session writes", lambda: all(w.acked for w in writers))
    probers = [Prober(n) for n in nodes] if fault in ONE_AT_A_TIME else []
    for p in probers:
        p.start()
    until(30, "every node is ready", lambda: all(p.ready for p in probers))
    begun = time.monotonic()
    time.sleep(rng.uniform(0, 3))
    two_at_once = fault(nodes, rng)
    for n in MACHINES:
        until(180, f"the agent of {n.name} is up", n.answers)
    up = time.monotonic()
    until(SYNCED_WITHIN, "a Primary", lambda: any(n.primary() for n in nodes))
    primary = time.monotonic() - up
    until(SYNCED_WITHIN, "all are Synced", lambda: all_synced(nodes))
    synced = time.monotonic() - up
    gap = longest_gap(probers, begun, time.monotonic()) if probers else 0
    for x in writers + probers:
        x.end()
    for x in writers + probers:
        x.join(30)
    if gap > GAP_S and not two_at_once:
        raise Failure(f"no node was ready for {gap:.1f} s")
    rows = check(nodes, table, writers)
    nodes[0].sql(f"DROP TABLE {table}")
    print(f"round {number} {fault.__name__}: Primary {primary:.1f} s, all Synced {synced:.1f} s after "
          f"the last agent; {rows} rows acknowledged, all there"
          + (f"; no node ready for {gap:.1f} s at most" if probers else ""), flush=True)
    return primary, synced, rows


def shown():
    s = json.loads(must(MUSTER, "show", "-f", FILE, "--json", timeout=120))
    return {r["resource"]: r["id"] for r in s["resources"]}


def quantile(values, q):
    return sorted(values)[min(len(values) - 1, int(q * len(values)))]


def summary(done):
    for name in sorted({name for name, *_ in done}):
        of = [(p, s) for n, p, s, _ in done if n == name]
        text = [f"{quantile([v[k] for v in of], q):.0f}" for k in (0, 1) for q in (0.5, 0.95, 1)]
        print(f"| {name.replace('_', ' ')} | {len(of)} | {' / '.join(text[:3])} | {' / '.join(text[3:])} |")
    print(f"{len(done)} rounds, {sum(r for *_, r in done)} rows acknowledged, none lost")


def access():
    s = json.loads(must(VDC, "status", "--json"))
    return CloudStack(endpoint=s["endpoint"], key=s["api_key"], secret=s["secret_key"])


def main():
    rng = random.Random(int(SEED))
    state = json.loads(must(MUSTER, "status", "-f", FILE, "--json", timeout=120))
    ids = shown()
    MACHINES.extend(Node(n["name"], ids["vm:" + n["name"]], n["zone"]) for n in state["nodes"])
    nodes = [n for n in MACHINES if n.has_data]
    # Of two without an arbitrator a lost disk is an operator's matter; two zones heal at once.
    faults = [f for f in FAULTS if f not in (disk_replaced, partial_heal) or len(MACHINES) > 2]
    chosen = [f for f in [power_of_all, long_cut] + FAULTS if f.__name__ in sys.argv[6:]]
    end = time.monotonic() + float(HOW_LONG[:-1]) if HOW_LONG.endswith("s") else None
    nodes[0].sql("CREATE DATABASE IF NOT EXISTS chaos")
    done, number = [], 0
    try:
        while time.monotonic() < end if end else number < int(HOW_LONG):
            number += 1
            fault = rng.choice(chosen) if chosen else power_of_all if number % 2 else rng.choice(faults)
            print(f"round {number} (seed {SEED}): {fault.__name__}", flush=True)
            done.append((fault.__name__, *one_round(number, nodes, fault, rng)))
    except Failure as e:
        print(f"FAILED: round {number} of seed {SEED}: {e}", flush=True)
        for n in MACHINES:
            print(n.name, n.status(), n.ssh("muster-agent", "cluster", "explain").stdout, flush=True)
        sys.exit(1)
    finally:
        if done:
            summary(done)


cloud = access()
main()
