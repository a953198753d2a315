#!/bin/bash
# The drawings of docs/galera.md: one failure after another on real nodes in three zones, and what the
# coordinators said meanwhile.
# usage: drawings.sh [NAME…]   only these
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/../lib.sh"

f=$work/drawings.yaml
zone_of=([0]="Frankfurt (ESX)" [1]="Paris (ESX)" [2]="Amsterdam")
raise() { # NODES
  local i
  nodes=("${@}")
  {
    printf 'deployment: drawings\ncloud: local\ndefaults: {template: Debian 12 with servers, offering: 2048-1}\nzones:\n'
    for i in 0 1 2; do
      printf '  - name: %s\n    gateway: {cidr: 10.1.%d.0/24, egress: [all]}\n    private: {cidr: 10.10.%d.0/24, group: Default}\n' \
        "${zone_of[i]}" $((i + 1)) $((i + 1))
    done
    printf 'nodes:\n'
    for ((i = 0; i < $#; i++)); do
      printf '  - {name: %s, zone: %s, datadisk: {size: 20G, offering: EBS Protected}, ports: {%d: 22}}\n' \
        "${nodes[i]}" "${zone_of[i]}" $((52200 + i))
    done
    printf 'database: {cluster: drawings}\n'
  } >"$f"
  "$muster" up -y -f "$f" --progress plain >"$work/out" 2>&1 || { tail -n 40 "$work/out"; die "up"; }
  "$muster" serve -f "$f" >"$work/serve.log" 2>&1 & # it takes what the agents say
}
file=$f
"$vdc" start >/dev/null

did() { # NODE TEXT
  jq -nc --arg n "$1" --arg t "$2" --argjson ts "$(date +%s%3N)" '{ts: $ts, node: $n, text: $t}' >>"$work/said"
}
all_serve() {
  local n
  for n in "${nodes[@]}"; do state_is "$n" primary || return 1; done
}
# The last event of each says that it serves.
told() {
  local n
  "$muster" events -f "$f" --json | jq -s . >"$work/events"
  for n in "${nodes[@]}"; do
    jq -e --arg n "$n" '[.[] | select(.node == $n and .kind == "cluster")] | last | .msg | startswith("primary")' "$work/events" >/dev/null || return 1
  done
}
off() { did "$1" "loses its power"; power_off "$1"; }
back() { did "$1" "is switched on"; cloud startVirtualMachine id="$(id_of "vm:$1")" >/dev/null; }
link() { # one zone, from all others
  local i
  for i in 0 1 2; do
    [ "$i" = "$1" ] || "$vdc" fault link "${zone_of[$1]}" "${zone_of[i]}" "${@:2}" >/dev/null
  done
}
draw() { # NAME COMMAND
  local name=$1
  [ -z "$only" ] || [[ " $only " == *" $name "* ]] || return 0
  : >"$work/said"
  "$2"
  until_true 400 "$name: all serve" all_serve
  until_true 60 "$name: the hub has their last states" told
  jq -c '.[]' "$work/events" >>"$work/said"
  printf -- '--- %s\n' "$name"
  /usr/bin/python3 tests/e2e/slow/drawings.py "${nodes[@]}" <"$work/said"
}
only=$*

power_of_all() {
  local n
  for n in "${nodes[@]}"; do off "$n"; done
  for n in "${nodes[@]}"; do back "$n"; done
}
one_lost() {
  off fra
  until_true 60 "ams serves without fra" serves_without ams 2
  back fra
}
serves_without() { [ "$(sql "$1" 'SHOW STATUS LIKE "wsrep_cluster_size"' | cut -f2)" = "$2" ]; }
zone_cut() {
  did ams "its zone is cut off"
  link 2
  until_true 60 "ams has no quorum" state_is ams non-primary
  did ams "the links are back"
  link 2 --restore
}
copy_dies() {
  did par "has lost its data"
  on par sh -c "'rm -f /media/datadisk-mariadb/mysql/grastate.dat; pkill -KILL -x mariadbd'"
  until_true 60 "par takes a copy" on par pgrep -f "'[w]srep_sst'"
  off par
  back par
}
last_returns_first() {
  local n
  for n in fra par ams; do
    did $n "is shut down"
    cloud stopVirtualMachine id="$(id_of vm:$n)" >/dev/null
    sleep 4
  done
  for n in ams par fra; do back $n; done
}
one_of_two_lost() {
  off par
  until_true 60 "fra has no quorum" state_is fra non-primary
  did fra "cluster recover --without par"
  "$muster" cluster -f "$f" recover --from fra --without par --confirm par --because "the zone is gone" >/dev/null
  until_true 60 "fra serves" state_is fra primary
  back par
}

raise fra par ams
draw power-of-all power_of_all
draw one-lost one_lost
draw zone-cut zone_cut
draw copy-dies copy_dies
draw last-returns-first last_returns_first
if [ -z "$only" ] || [[ " $only " == *" one-of-two-lost "* ]]; then
  "$muster" destroy -y --with-data -f "$f" >/dev/null 2>&1 || die "destroy"
  raise fra par
  draw one-of-two-lost one_of_two_lost
fi
