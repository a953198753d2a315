#!/bin/bash
# All machines of a cluster lose their power at once while rows are written, and come back: a Primary
# forms without hands, everybody is Synced, no acknowledged row is lost, and all have the same rows.
# usage: outage.sh [NODES [ROUNDS]]   NODES over three zones
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"

nodes=${1:-6}
rounds=${2:-1}
f=$work/outage.yaml
ledger=$work/ledger
mkdir "$ledger"

zone_of=("Frankfurt (ESX)" "Paris (ESX)" "Amsterdam")
names=()
{
  printf 'deployment: outage\ncloud: local\ndefaults: {template: Debian 12 with servers, offering: 2048-1}\nzones:\n'
  for i in 0 1 2; do
    printf '  - name: %s\n    gateway: {cidr: 10.1.%d.0/24, egress: [all]}\n    private: {cidr: 10.10.%d.0/24, group: Default}\n' \
      "${zone_of[i]}" $((i + 1)) $((i + 1))
  done
  printf 'nodes:\n'
  for ((i = 0; i < nodes; i++)); do
    printf '  - {name: n%d, zone: %s, datadisk: {size: 20G, offering: EBS Protected}, ports: {%d: 22, %d: 80}}\n' \
      $i "${zone_of[i % 3]}" $((52200 + i)) $((8000 + i))
  done
  sed -n '/^database:/,$p' "$file"
} >"$f"
for ((i = 0; i < nodes; i++)); do names+=("n$i"); done

on() { "$muster" ssh -f "$f" "$1" sudo "${@:2}" 2>/dev/null; }
sql() { on "$1" mariadb -N -e "'$2'"; }
answers() { on "$1" true; }
primary() { [ "$(on "$1" muster-agent status --json | jq -r '.coordinator.state + .db.state')" = primarySynced ]; }
any_primary() {
  local n
  for n in "${names[@]}"; do primary "$n" && return 0; done
  return 1
}
all_primary() {
  local n
  for n in "${names[@]}"; do primary "$n" || return 1; done
}

# Writes through one node until it is told to stop; a number is in the ledger once it was acknowledged.
writer() { # node
  on "$1" sh -c "'i=0; while mariadb -e \"INSERT INTO test.w VALUES (\\\"$1\\\", \$((\$(date +%s%N) / 1000)))\"; do i=\$((i+1)); echo \$i; done'" >"$ledger/$1.$round" 2>/dev/null || true
}

"$muster" up -f "$f" --progress plain >"$work/out" 2>&1 || { tail -n 60 "$work/out"; die "up"; }
ok "$nodes nodes are ready"
# Right after the first day, when nothing has had time to reach a disk by itself.
for ((round = 1; round <= rounds; round++)); do
  [ $round -gt 1 ] || sql n0 'CREATE DATABASE test; CREATE TABLE test.w (n VARCHAR(8), i BIGINT, PRIMARY KEY (n, i))' || die "a table"
  writers=()
  for n in "${names[@]}"; do
    writer "$n" &
    writers+=($!)
  done
  wrote() { [ -s "$ledger/n0.$round" ]; }
  until_true 60 "round $round: rows are written" wrote
  offs=()
  for n in "${names[@]}"; do "$vdc" fault vm "$(id_of "vm:$n")" power-off >/dev/null & offs+=($!); done
  wait "${offs[@]}"
  wait "${writers[@]}" || true
  begun=$SECONDS
  for n in "${names[@]}"; do cloud startVirtualMachine id="$(id_of "vm:$n")" >/dev/null; done
  for n in "${names[@]}"; do until_true 120 "$n is up" answers "$n" >/dev/null; done
  up_after=$((SECONDS - begun))
  until_true 240 "round $round: a Primary formed" any_primary
  formed=$((SECONDS - begun))
  until_true 900 "round $round: all are Synced" all_primary # six copies on a busy machine
  acked=$(cat "$ledger"/*.* | wc -l)
  sums=$(for n in "${names[@]}"; do sql "$n" 'SET wsrep_sync_wait=1; SELECT COUNT(*), COALESCE(SUM(CRC32(CONCAT(n, i))), 0) FROM test.w'; done | sort -u)
  [ "$(wc -l <<<"$sums")" = 1 ] || die "the rows differ: $sums"
  [ "$(cut -f1 <<<"$sums")" -ge "$acked" ] || die "$acked rows were acknowledged, $(cut -f1 <<<"$sums") are there"
  [ "$(sql n0 'SELECT COUNT(*) FROM muster.epoch')" = "$(sql n0 'SELECT COUNT(DISTINCT e) FROM muster.epoch')" ] || die "two bootstraps of one epoch"
  printf 'round %d: agents up after %d s, Primary after %d s, all Synced after %d s; %d rows acknowledged, %s there\n' \
    "$round" "$up_after" "$formed" $((SECONDS - begun)) "$acked" "$(cut -f1 <<<"$sums")"
done
"$muster" events -f "$f" 2>/dev/null | grep -c 'Aria' | sed 's/^/events that name Aria: /' || true
