#!/bin/bash
# One node loses its power at random moments, with everything that it had not synced: in its first run,
# in the run after a boot, in a run of a changed plan. It converges by itself, with the controller there
# or away, and has lost nothing.
# usage: power.sh [POWER-OFFS [SEED]]   a run that printed its seed can be repeated with it
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"

wanted=${1:-4}
seed=${2:-$((SRANDOM % 32768))}
RANDOM=$seed
f=$work/power.yaml
mount=/media/datadisk-mariadb
offs=0
up= # process of `muster up`, or empty

# When in the first run: a line of the events, and for how many ms after it at most.
first_run=(
  'fra +plan .*:400'
  'package:all +(reading|download):2500'
  'package:all +install .* [0-9]+ unpacked and 0 configured:5000'
  'package:all +install .* [1-9][0-9] configured:6000'
  'start +disk:data:500'
  'start +mount:data:200'
  'start +datadir:3000'
  'start +galera:4000'
  'start +(php|web|sql):600'
  'start +app:1500'
)

on() { "$muster" ssh -f "$f" fra sudo "$@" 2>/dev/null; }
answers() { on true; }
vm_is() { [ "$(cloud listVirtualMachines id="$vm" | jq -r '.virtualmachine[0].state')" = "$1" ]; }
agent_is_ready() { [ "$(on muster-agent status --json | jq -r .phase)" = ready ]; }
events() { "$muster" events -f "$f" 2>/dev/null; }
id_of() { "$muster" show -f "$f" --json | jq -r ".resources[] | select(.resource==\"$1\") | .id"; }
random_ms() { sleep "$(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))"; }

raise() {
  "$muster" up -f "$f" --progress plain >"$work/up" 2>&1 &
  up=$!
}
# `up`, when it is there, has seen it through, and so has the agent since its last start.
converged() {
  if [ -n "$up" ]; then
    wait "$up" || { tail -n 40 "$work/up"; die "up, seed $seed"; }
    up=
  fi
  until_true 180 "the agent is through" agent_is_ready
}
# Half of the times the controller goes away, too.
maybe_alone() {
  [ $((RANDOM % 2)) -eq 1 ] || return 0
  kill -9 "$up" 2>/dev/null || true
  wait "$up" 2>/dev/null || true
  up=
}
# power_off WHAT MOST-MS: after some time, all that is not synced is lost; then it is started again.
power_off() {
  ms=$((RANDOM * 32768 + RANDOM)) ms=$((ms % $2))
  random_ms
  "$vdc" fault vm "$vm" power-off >/dev/null
  offs=$((offs + 1))
  ok "power-off $offs, $ms ms after $1; last heard: $(events | tail -n 1 | cut -c1-100)"
  cloud startVirtualMachine id="$vm" >/dev/null
  until_true 60 "started" vm_is Running
}
# Waits for a line of events that was not there before; false when `up` ended without it.
wait_for() { # pattern
  local end=$((SECONDS + 300))
  until events | tail -n "+$((seen + 1))" | grep -E -- "$1" >/dev/null; do
    kill -0 "$up" 2>/dev/null || return 1
    [ $SECONDS -lt $end ] || { tail -n 40 "$work/up"; die "never came: $1, seed $seed"; }
    sleep 0.02
  done
}
power_off_at() { # pattern:most-ms
  wait_for "${1%:*}" || return 0 # that was done before the last power-off
  power_off "'${1%:*}'" "${1##*:}"
  seen=$(events | wc -l)
}
remember() {
  rows=$((rows + 1))
  on mariadb -e "'INSERT INTO test.kept VALUES ($rows)'" || die "cannot write a row"
}
nothing_is_lost() {
  [ "$(on mariadb -N -e "'SELECT COUNT(*) FROM test.kept'")" = "$rows" ] || die "rows are lost: $rows were written, seed $seed"
  [ "$(on cat $mount/keepsake)" = kept ] || die "the file on the data disk is lost, seed $seed"
  [ "$(on dumpe2fs -h /dev/sdb1 | grep -E 'UUID|created')" = "$made" ] || die "the filesystem was made again, seed $seed"
  [ -z "$(on dpkg --audit)" ] || die "dpkg --audit: $(on dpkg --audit), seed $seed"
}

life() {
  rows=0 seen=0 vm=
  sed -e 's/^deployment:.*/deployment: power/' -e '/name: par,/d' "$bare" >"$f"
  rm -rf "$work/state"
  raise
  local end=$((SECONDS + 300))
  until vm=$(id_of vm:fra 2>/dev/null) && [ -n "$vm" ]; do
    { kill -0 "$up" 2>/dev/null && [ $SECONDS -lt $end ]; } || { tail -n 40 "$work/up"; die "no machine, seed $seed"; }
    sleep 0.2
  done
  power_off_at "${first_run[$point]}"
  later=$((point + 1 + RANDOM % ${#first_run[@]}))
  point=$(((point + 3) % ${#first_run[@]}))
  if [ "$later" -lt ${#first_run[@]} ]; then
    power_off_at "${first_run[$later]}"
  else
    maybe_alone
    power_off "its start" 9000
  fi
  [ -n "$up" ] || raise # the application comes from the controller
  converged
  on mariadb -e "'CREATE DATABASE test; CREATE TABLE test.kept (k INT PRIMARY KEY)'" || die "cannot write a table"
  on sh -c "'echo kept >$mount/keepsake && sync $mount/keepsake'" || die "cannot write a file"
  made=$(on dumpe2fs -h /dev/sdb1 | grep -E 'UUID|created')
  remember
  seen=$(events | wc -l)
  sed -i 's/memory_limit: [0-9]*M/memory_limit: 200M/' "$f"
  raise
  wait_for 'fra +plan ' || { cat "$work/up"; die "up ended before the changed plan, seed $seed"; }
  maybe_alone
  power_off "the changed plan" 500 # its run is short
  power_off "its start" 7000
  converged
  nothing_is_lost
  raise
  converged
  on php -r "'exit(ini_get(\"memory_limit\") == \"200M\" ? 0 : 1);'" || die "the changed plan, seed $seed"
  raise
  converged
  grep -q ' 0 changed' "$work/up" || { cat "$work/up"; die "the next up changes something, seed $seed"; }
  nothing_is_lost
  curl -fsS "$("$muster" status -f "$f" --json | jq -r '.nodes[0].url')/" | grep -q 'served by fra' || die "the site, seed $seed"
  ok "nothing is lost"
  "$muster" destroy -f "$f" -y --with-data >/dev/null 2>&1 || die "destroy"
}

printf 'seed %s\n' "$seed"
point=$((RANDOM % ${#first_run[@]}))
while [ $offs -lt "$wanted" ]; do
  life
done
