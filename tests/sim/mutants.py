#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Faults of the coordinator that the simulation must find.

Each is a table of exact replacements in copies of agent/cluster/*.c, of which a simulation is
built. It must find something within SCHEDULES; a replacement that does not match exactly once
fails, too. HIDDEN are not found alone; a pair is named "ONE + OTHER".

usage: mutants.py SOURCE_DIR [NAME...]
"""
import concurrent.futures
import os
import subprocess
import sys
import tempfile

SCHEDULES = 2000
PARTS = ["agree", "arbitrator", "chain", "choose", "edges", "gate", "look", "need", "operator", "step", "votes"]
SIM = ["sim_cluster", "database", "disk", "faults", "oracle", "world"]
FLAGS = ["-O1", "-std=gnu17", "-D_GNU_SOURCE", "-w"]

# Single faults and guards: (file, what is there, what is put there).
EDITS = {
    "decided by a majority": [
        ("agree", "    p->accepted[m->from] = true;\n    if (!missing(c, p->accepted, now))",
         "    p->accepted[m->from] = true;\n"
         "    if (__builtin_popcount(missing(c, p->accepted, now)) * 2 < (int)c->cfg.n)"),
    ],
    "a majority of reports": [
        ("agree", "    if (!missing(c, p->promised, now))\n        begin_accepting(c, now, out);\n}\n\nstatic void on_acced",
         "    if (__builtin_popcount(missing(c, p->promised, now)) * 2 < (int)c->cfg.n)\n"
         "        begin_accepting(c, now, out);\n}\n\nstatic void on_acced"),
    ],
    "proposes without all": [
        ("need", "    unsigned who, missing = not_ready(c, now, &silent);",
         "    unsigned who, missing = not_ready(c, now, &silent);\n\n"
         "    if (__builtin_popcount(missing) * 2 < (int)c->cfg.n)\n        missing = 0;"),
    ],
    "boots without hearing all": [
        ("gate", "    unsigned waiting = why ? 0 : not_stopped(c, v, now), fresh =",
         "    unsigned waiting = 0, fresh ="),
    ],
    "boots beside one that reads its position": [
        ("gate", "            c->peers[i].hb.state == CLUSTER_RECOVERING_POS ||\n", ""),
    ],
    "promises without freezing": [
        ("agree", "    if (!cluster_ready(c) || cluster_decided_for_me(c) ||",
         "    if (cluster_decided_for_me(c) ||"),
        ("agree", "    if (!cluster_ready(c) || ballot_compare(m->ballot, c->rec.promised) != 0) {",
         "    if (ballot_compare(m->ballot, c->rec.promised) != 0) {"),
        ("agree", "    if (c->state == CLUSTER_QUARANTINE || c->state == CLUSTER_AMNESIAC)\n        return;",
         "    if (!cluster_stopped(c))\n        return;"),
    ],
    "all are always ready": [
        ("agree", "    m.ready = cluster_ready(c);", "    m.ready = true;"),
    ],
    "permit usable again": [
        ("gate", "    c->rec.permit_used = c->rec.epoch;\n    invalidate_promises(c);",
         "    invalidate_promises(c);"),
    ],
    "a later promise keeps no start back": [
        ("gate", "    if (c->rec.promised.round > 0)\n", "    if (0)\n"),
    ],
    "what has served starts again": [
        ("gate", "    if (c->rec.booted >= v->epoch)\n", "    if (0)\n"),
    ],
    "promises stay valid": [
        ("gate", "    c->rec.promised = (struct cluster_ballot){.round = ++c->max_round};\n", ""),
        ("gate", "    memcpy(c->rec.promised.node, c->cfg.names[c->cfg.self], "
                 "sizeof(c->rec.promised.node));\n", ""),
    ],
    "votes while it runs": [
        ("step", "           c->known && !c->running;", "           true;"),
    ],
    "not the highest position": [
        ("choose", "        return r[a].seqno > r[b].seqno;", "        return r[a].seqno < r[b].seqno;"),
    ],
    "promise not saved": [
        ("agree", "        c->rec.promised = m->ballot;\n        cluster_act(out, ACT_SAVE);\n",
         "        c->rec.promised = m->ballot;\n"),
    ],
    "acceptance not saved": [
        ("agree", "        c->rec.accepted = m->value;\n        cluster_act(out, ACT_SAVE);\n",
         "        c->rec.accepted = m->value;\n"),
    ],
    "accepted value not adopted": [
        ("agree", "(p->highest.round == 0 && choose_value(c, &p->value, why) < 0)",
         "(choose_value(c, &p->value, why) < 0)"),
    ],
    "permit not saved": [
        ("gate", "    cluster_act(out, ACT_SAVE); /* durable before exec (I4) */\n", ""),
    ],
    "I8 always yes": [
        ("choose", "    int64_t base;\n\n    if (own->kind == DATADIR_EMPTY && !own->opened) {",
         "    int64_t base;\n\n    return 1;\n    if (own->kind == DATADIR_EMPTY && !own->opened) {"),
    ],
    "I8 without the base": [
        ("choose", "    if (own->seqno > base) {", "    if (0) {"),
    ],
    "boots without looking at the position": [
        ("gate", "    if (p->diverged || (v->base < 0 ? !blank : !same))\n", "    if (0)\n"),
    ],
    "SST_PARTIAL electable": [
        ("choose", "    return (p->kind == DATADIR_OK || p->kind == DATADIR_TAINTED) && !p->diverged;",
         "    return (p->kind == DATADIR_OK || p->kind == DATADIR_TAINTED ||\n"
         "            p->kind == DATADIR_SST_PARTIAL) && !p->diverged;"),
    ],
    "an amnesiac votes with its data": [
        ("step", "    p->last_epoch = c->rec.amnesiac ? 0 : c->rec.last_epoch;",
         "    p->last_epoch = c->rec.amnesiac ? c->rec.epoch : c->rec.last_epoch;"),
    ],
    "the join's epoch not saved": [
        ("gate", "    c->rec.last_epoch = c->rec.epoch; /* whatever becomes of it: this history is what "
                 "it adds to */\n", ""),
    ],
    "the next slot opens before the permit is used": [
        ("need", "    return c->peers[i].hb.permit_used < c->rec.epoch;", "    return false;"),
    ],
    "an incarnation is not compared": [
        ("gate", "    if (strcmp(v->incarnation, c->rec.incarnation) != 0)\n", "    if (0)\n"),
    ],
    "a missing copy is not waited for": [
        ("need", "bool cluster_copy_missing(struct cluster *c, uint64_t now)\n{\n",
         "bool cluster_copy_missing(struct cluster *c, uint64_t now)\n{\n    return false;\n"),
    ],
    "a rest does not count": [
        ("need", "(!is_holder(c, i) && !reports[i].uuid[0])", "!is_holder(c, i)"),
    ],
    "a start that nobody saw does not count": [
        ("need", "    if (!founder)\n        founder = unseen_starter(c);\n", ""),
    ],
    "an old disk's start does not count": [
        ("need", "           old_disk_started(c, i, p);", "           false;"),
    ],
    "data is left behind that is not whole": [
        ("need", "                       char why[CLUSTER_WHY_MAX])\n{\n",
         "                       char why[CLUSTER_WHY_MAX])\n{\n    return false;\n"),
    ],
    "no high-water mark": [
        ("choose", "reports[best].seqno < rec->hw &&", "0 &&"),
    ],
    "joins below a Primary that still counts it": [
        ("gate", "    if (hb->size >= c->cfg.n) {", "    if (0) {"),
    ],
    "a join is never given up": [
        ("gate", "    cluster_act(out, ACT_ABANDON);\n", ""),
    ],
    "without quorum it is not stopped": [
        ("step", "    cluster_act(out, ACT_STOP);\n    cluster_enter(c, CLUSTER_NONPRIM, now, \"stops "
                 "the database, so that all members can decide\");",
         "    cluster_enter(c, CLUSTER_NONPRIM, now, \"stops the database, so that all members can "
         "decide\");"),
    ],
    "excluded without asking the others": [
        ("votes", "    return c->component_known && c->primary && !c->unknown && found == c->rec.holders.n;",
         "    return c->component_known && c->primary && !c->unknown;"),
        ("votes", "        if (!cluster_heard(c, i, now) || hb->state != CLUSTER_PRIMARY ||\n"
                  "            !cluster_names_same(&hb->holders, &c->rec.holders))\n            return false;\n", ""),
    ],
    "excluded while it is a part of the Primary": [
        ("votes", "            without = false;\n", ""),
        ("votes", "bool without = sure && (is_down(c, i) || !cluster_heard(c, i, now));",
         "bool without = sure;"),
        ("votes", "    if (!is_down(c, i))\n        return absent;\n", "    (void)absent;\n"),
        ("votes", "            save = cluster_include(&c->rec.votes, name) || save;\n", ""),
    ],
    "joins without its vote": [
        ("votes", "        raise_to(&c->rec.votes, name, version);\n        c->claimed = true;", "        c->claimed = true;"),
        ("votes", "            waiting |= 1U << i;", "            waiting = 0;"),
        ("votes", "            save = cluster_include(&c->rec.votes, name) || save;\n", ""),
        ("votes", "    bool save = cluster_include(&c->rec.votes, c->cfg.names[c->cfg.self]);", "    bool save = false;"),
    ],
    "joins before its vote is known": [
        ("votes", "            waiting |= 1U << i;", "            waiting = 0;"),
    ],
    "one that is excluded decides alone": [
        ("votes", "           cluster_vote(&c->rec.votes, c->cfg.names[c->cfg.self]) % 2 == 0;", "           true;"),
    ],
    "excluded ones count for nobody": [
        ("votes", "    return i != c->cfg.self && cluster_vote(&c->rec.votes, c->cfg.names[i]) % 2 &&",
         "    return i != c->cfg.self && cluster_vote(&c->rec.votes, c->cfg.names[i]) &&"),
    ],
    "data without a record is chosen": [
        ("choose", "!electable(&r[i]) ||\n            r[i].last_epoch)", "1)"),
    ],
    "an arbitrator never ends": [
        ("arbitrator", "    return founds || down;", "    return false;"),
    ],
    "members that are down do not end an arbitrator": [
        ("arbitrator", "    return founds || down;", "    return founds;"),
    ],
    "an arbitrator outside is not started again": [
        ("arbitrator", "(is_over(c, now) || is_outside_for_long(c, now))", "is_over(c, now)"),
    ],
    "boots beside an arbitrator": [
        ("gate", "    if (!why && cluster_arbitrator_runs(c, now)) {", "    if (0) {"),
    ],
}

# Not found alone within these schedules: another guard hides them, or they need a schedule that is
# rare. They stay here to be joined with that guard.
HIDDEN = [
    "proposes without all", "boots without hearing all", "all are always ready",
    "boots beside one that reads its position",
    "a later promise keeps no start back", "promises stay valid", "promise not saved",
    "acceptance not saved", "accepted value not adopted", "an amnesiac votes with its data",
    "the next slot opens before the permit is used", "an incarnation is not compared",
    "a rest does not count", "a start that nobody saw does not count",
    "an old disk's start does not count", "data is left behind that is not whole",
    "no high-water mark", "data without a record is chosen",
    "decided by a majority", "joins below a Primary that still counts it",
    "excluded without asking the others", "joins before its vote is known",
    "one that is excluded decides alone", "boots without looking at the position",
    "members that are down do not end an arbitrator", "boots beside an arbitrator",
    "an arbitrator outside is not started again",
]

# What must be found, alone or as a pair with what hides it.
PAIRS = [["members that are down do not end an arbitrator", "boots beside an arbitrator"]]
MUTANTS = [[name] for name in EDITS if name not in HIDDEN] + PAIRS


def build(sources, work, names):
    changed = {}
    for name in names:
        for part, old, new in EDITS[name]:
            text = changed.get(part)
            if text is None:
                with open(f"{sources}/agent/cluster/{part}.c", encoding="utf-8") as f:
                    text = f.read()
            if text.count(old) != 1:
                sys.exit(f"mutants.py: '{name}': what it replaces is {text.count(old)} times in "
                         f"agent/cluster/{part}.c, not once; the table must follow the code")
            changed[part] = text.replace(old, new)
    objects = [f"{work}/{part}.o" for part in PARTS + SIM if part not in changed]
    tag = "-".join(str(list(EDITS).index(n)) for n in names)
    for part, text in changed.items():
        copy = f"{work}/{part}-{tag}.c"
        with open(copy, "w", encoding="utf-8") as f:
            f.write(text)
        objects.append(f"{work}/{part}-{tag}.o")
        subprocess.run(["cc", *FLAGS, f"-I{sources}", "-c", copy, "-o", objects[-1]], check=True)
    program = f"{work}/sim-{tag}"
    subprocess.run(["cc", *objects, "-o", program], check=True)
    return program


def judge(sources, work, names):
    """What the simulation said; None: nothing was found."""
    r = subprocess.run([build(sources, work, names), "--first", "1", str(SCHEDULES)], text=True,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if r.returncode == 0:
        return None
    lines = [line for line in (r.stdout + r.stderr).splitlines() if line.startswith("seed ")]
    said = r.stderr.strip().splitlines() or [f"it ended with {r.returncode}"]
    return lines[0] if lines else said[-1][:150]


def main():
    sources = os.path.abspath(sys.argv[1])
    wanted = [name.split(" + ") for name in sys.argv[2:]] or MUTANTS
    survivors = 0
    with tempfile.TemporaryDirectory() as work:
        for directory, parts in (("agent/cluster", PARTS), ("tests/sim", SIM)):
            for part in parts:
                subprocess.run(["cc", *FLAGS, f"-I{sources}", "-c", f"{sources}/{directory}/{part}.c",
                                "-o", f"{work}/{part}.o"], check=True)
        with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
            said = pool.map(lambda m: judge(sources, work, m), wanted)
            for names, what in zip(wanted, said):
                survivors += what is None
                print(f"{'found   ' if what else 'SURVIVED'}  {' + '.join(names)}: {what or '-'}",
                      flush=True)
    print(f"{len(wanted)} mutants, {survivors} not found within {SCHEDULES} schedules")
    return survivors != 0


if __name__ == "__main__":
    sys.exit(main())
