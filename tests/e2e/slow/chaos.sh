#!/bin/bash
# One fault after another on real nodes in three zones, 9 ms apart, while rows are written; see
# chaos.py. `chaos.sh 600s` goes on for ten minutes; the seed is printed. NODES `2+1`: two and an
# arbitrator. Lines of nodes that may be added are in the file as comments.
# usage: chaos.sh [ROUNDS|SECONDSs [SEED [NODES [FAULT…]]]]
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/../lib.sh"

rounds=${1:-12} seed=${2:-$RANDOM} nodes=${3:-3}
arbitrator=${nodes#"${nodes%+1}"} nodes=${nodes%+1}
f=$work/chaos.yaml
zone_of=("Frankfurt (ESX)" "Paris (ESX)" "Amsterdam")
{
  printf 'deployment: chaos\ncloud: local\ndefaults: {template: Debian 12 with servers, offering: 2048-1}\nzones:\n'
  for i in 0 1 2; do
    printf '  - name: %s\n    gateway: {cidr: 10.1.%d.0/24, egress: [all]}\n    private: {cidr: 10.10.%d.0/24, group: Default}\n' \
      "${zone_of[i]}" $((i + 1)) $((i + 1))
  done
  printf 'nodes:\n'
  for ((i = 0; i < 5; i++)); do
    [ $i -lt "$nodes" ] || printf '#'
    printf '  - {name: n%d, zone: %s, datadisk: {size: 20G, offering: EBS Protected}, ports: {%d: 22}}\n' \
      $i "${zone_of[i % 3]}" $((52200 + i))
  done
  [ -z "$arbitrator" ] ||
    printf '  - {name: arb, zone: Amsterdam, role: arbitrator, template: Debian 12, ports: {52209: 22}}\n'
  printf 'database: {cluster: chaos}\n'
} >"$f"

"$muster" up -f "$f" --progress plain >"$work/out" 2>&1 || { tail -n 40 "$work/out"; die "up"; }
for pair in '0 1' '0 2' '1 2'; do
  read -r a b <<<"$pair"
  "$vdc" link "${zone_of[a]}" "${zone_of[b]}" --rtt 9ms >/dev/null || die "the link"
done
ok "$nodes nodes${arbitrator:+ and an arbitrator} are ready"
/usr/bin/python3 tests/e2e/slow/chaos.py "$muster" "$vdc" "$f" "$rounds" "$seed" "${@:4}" || die "seed $seed"
