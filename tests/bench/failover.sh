#!/bin/bash
# What visitors notice of a planned switch and of each kind of failure, behind the front doors of all
# sites: failed requests, the longest time without a good answer at the address of the node that it
# happens to, and rows that were written twice or lost. See failover.py for what a visitor is.
# usage: failover.sh [NODES [NAME…]]   3 without an argument; 2+1: two and an arbitrator
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/../e2e/lib.sh"

nodes=${1:-3} only=("${@:2}")
zone_of=("Frankfurt (ESX)" "Paris (ESX)" "Amsterdam")
names=(fra par ams)
[ "$nodes" = 3 ] || names=(fra par)

cp -r docs/examples/album "$work/album"
cat >"$work/album/read.php" <<'PHP'
<?php
require __DIR__ . '/lib.php';
echo db()->query('SELECT COUNT(*) FROM photo')->fetchColumn(), ' ', config()['site'];
PHP
cat >"$work/album/write.php" <<'PHP'
<?php
require __DIR__ . '/lib.php';
db()->prepare('INSERT INTO written (token) VALUES (?)')->execute([$_GET['row']]);
echo 'written';
PHP
{
  sed -n '1,/^zones:/p' "$file"
  for i in 0 1 2; do
    printf '  - name: %s\n    gateway: {cidr: 10.1.%d.0/24, egress: [all]}\n    private: {cidr: 10.10.%d.0/24, group: Default}\n' \
      "${zone_of[i]}" $((i + 1)) $((i + 1))
  done
  printf 'nodes:\n'
  for i in "${!names[@]}"; do
    printf '  - {name: %s, zone: %s, datadisk: {size: 20G, offering: EBS Protected}, ports: {52200: 22, 80: 80}}\n' "${names[i]}" "${zone_of[i]}"
  done
  [ "$nodes" = 3 ] || printf '  - {name: arb, zone: Amsterdam, role: arbitrator, template: Debian 12, ports: {52200: 22}}\n'
  printf 'frontdoor: {}\n'
  sed -n '/^database:/,$p' "$file" | sed -e "s|path: $PWD/docs/examples/album|path: $work/album|" -e 's/^  writable: .*/  writable: [photos]/'
} >"$work/failover.yaml"
f=$work/failover.yaml file=$work/failover.yaml
cluster() { "$muster" cluster -f "$f" "$@"; }

"$muster" up -f "$f" --progress plain >"$work/out" 2>&1 || { tail -n 40 "$work/out"; die "up"; }
for pair in '0 1' '0 2' '1 2'; do
  read -r a b <<<"$pair"
  "$vdc" link "${zone_of[a]}" "${zone_of[b]}" --rtt 9ms >/dev/null || die "the link"
done
sql fra 'CREATE TABLE album.written (n BIGINT AUTO_INCREMENT PRIMARY KEY, token VARCHAR(40) NOT NULL)' || die "a table"
declare -A address
for n in "${names[@]}"; do address[$n]=$("$muster" status -f "$f" --json | jq -r ".nodes[] | select(.name==\"$n\") | .public_ip"); done
serves() { curl -fsS -m 5 "http://${address[$1]}/read.php" 2>/dev/null | grep -qw "$1"; }
all_serve() {
  local n
  for n in "${names[@]}"; do serves "$n" && state_is "$n" primary || return 1; done
}

visitors() { # thirty a second at each address
  local n all=()
  for n in "${names[@]}"; do all+=("${address[$n]}=30"); done
  rm -f "$work/end"
  mkfifo "$work/end"
  /usr/bin/python3 tests/bench/failover.py "${all[@]}" <"$work/end" >"$work/load" &
  load=$!
  exec 9>"$work/end"
}
# NAME NODE FAULT REPAIR: the fault after five seconds, twenty more, then the repair.
measure() {
  local name=$1 node=$2 rows
  [ ${#only[@]} -eq 0 ] || [[ " ${only[*]} " == *" $name "* ]] || return 0
  until_true 300 "all serve" all_serve >&2
  sql fra 'DELETE FROM album.written' || die "DELETE"
  visitors
  sleep 5
  "$3" "$node" >"$work/fault" 2>&1 || { cat "$work/fault"; die "$name"; }
  sleep 20
  echo >&9
  exec 9>&-
  wait $load || die "the visitors of $name"
  "$4" "$node" >"$work/fault" 2>&1 || { cat "$work/fault"; die "repair of $name"; }
  until_true 300 "all serve again" all_serve >&2
  rows=$(sql fra 'SET SESSION wsrep_sync_wait=1; SELECT token FROM album.written')
  printf '%s\n' "$rows" | sort >"$work/rows"
  jq -r '.acked[]' "$work/load" | sort >"$work/acked"
  printf '| %s | %s | %s | %s | %s | %s | %s | %s | %s |\n' "$name" "$(jq .requests "$work/load")" "$(jq .failed "$work/load")" \
    "$(jq ".gaps[\"${address[$node]}\"]" "$work/load")" "$(jq '[.gaps[]] | max' "$work/load")" "$(jq '[.slowest[]] | max' "$work/load")" \
    "$(uniq -d "$work/rows" | wc -l)" "$(comm -13 "$work/rows" "$work/acked" | wc -l)" "$(jq -r '.why | join(", ")' "$work/load")"
}

nothing() { :; }
switch_away() { "$muster" failover -f "$f" --to par; }
switch_back() { "$muster" failover -f "$f" --back; }
maintenance_on() { "$muster" maintenance -f "$f" "$1" on; }
maintenance_off() { "$muster" maintenance -f "$f" "$1" off; }
web_killed() { on "$1" sh -c "'pkill -KILL apache2; systemctl stop apache2'"; }
web_back() { on "$1" systemctl start apache2; }
php_hung() { on "$1" pkill -STOP apache2; }
php_goes_on() { on "$1" pkill -CONT apache2; }
database_killed() { on "$1" pkill -KILL -x mariadbd; }
power_lost() { power_off "$1"; }
power_back() { cloud startVirtualMachine id="$(id_of "vm:$1")"; }
zone_of_node() {
  local i
  for i in "${!names[@]}"; do [ "${names[i]}" != "$1" ] || printf '%s' "$i"; done
}
zone() { # NODE OPTIONS…: the links of its zone
  local i z
  z=$(zone_of_node "$1")
  for i in 0 1 2; do
    [ "$i" = "$z" ] || "$vdc" fault link "${zone_of[z]}" "${zone_of[i]}" "${@:2}"
  done
}
zone_cut() { zone "$1"; }
zone_cut_one_way() { zone "$1" --one-way; }
zone_back() { zone "$1" --restore; }

printf '| %s | requests | failed | no good answer there (s) | anywhere (s) | slowest (s) | written twice | lost | failed with |\n|---|---|---|---|---|---|---|---|---|\n' "$nodes nodes"
measure planned-switch fra switch_away switch_back
measure maintenance fra maintenance_on maintenance_off
measure web-killed fra web_killed web_back
measure php-hung fra php_hung php_goes_on
measure database-killed fra database_killed nothing
measure power-lost fra power_lost power_back
measure zone-cut fra zone_cut zone_back
measure zone-cut-one-way fra zone_cut_one_way zone_back
