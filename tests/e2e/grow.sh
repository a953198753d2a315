#!/bin/bash
# Two nodes join a deployment that serves, and leave it again at once: the others go on meanwhile.
source "$(dirname "$0")/lib.sh"

f=$work/grow.yaml
cp "$file" "$f"
size_is() { # NODE-COUNT: every node says so
  [ "$("$muster" status -f "$f" --json | jq -r '[.nodes[].db.cluster_size] | unique | join(" ")')" = "$1" ]
}
started() { "$muster" ssh -f "$f" "$1" systemctl show -P ActiveEnterTimestampMonotonic mariadb; }

"$muster" up -f "$f" >"$work/out" 2>&1 || { tail -n 40 "$work/out"; die "up"; }
before="$(started fra) $(started par)"
sed -i '/name: par,/a\  - {name: par2, zone: Paris (ESX), datadisk: {size: 20G, offering: EBS Protected}, ports: {52201: 22, 8080: 80}}\
  - {name: fra2, zone: Frankfurt (ESX), datadisk: {size: 20G, offering: EBS Protected}, ports: {52201: 22, 8080: 80}}' "$f"
"$muster" up -f "$f" >"$work/out" 2>&1 || { tail -n 40 "$work/out"; die "up with two more nodes"; }
size_is 4 || die "not four nodes in the cluster"
[ "$before" = "$(started fra) $(started par)" ] || die "a database was restarted"
url=$("$muster" status -f "$f" --json | jq -r '.nodes[] | select(.name=="par2") | .url')
curl -fsS "$url/" >/dev/null ||
  die "the new site does not answer"
ok "two nodes have joined; no database was restarted"
# Half of the members goes: if they did not leave in order, the rest would have no quorum.
sed -i '/name: \(par2\|fra2\),/d' "$f"
"$muster" up -y -f "$f" >"$work/out" 2>&1 || { tail -n 40 "$work/out"; die "up without them"; }
size_is 2 || die "not two nodes in the cluster"
[ "$before" = "$(started fra) $(started par)" ] || die "a database was restarted"
[ "$(data_disks)" = 4 ] || die "the data disk of a node that left is gone"
"$muster" events -f "$f" | grep 'quorum is lost' && die "those who stayed lost their quorum"
ok "they have left in order; their data disks are kept"
