#!/bin/bash
# Two members with data and an arbitrator in a third zone. Whichever one of the three loses its power,
# the others go on; both members may stop in order, or lose their power, and they found the cluster
# again without an arbitrator that is a Primary for itself in their way.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"

status_of() { sql "$1" "SHOW STATUS LIKE \"$2\"" | cut -f2; }
sized() { [ "$(status_of "$1" wsrep_cluster_size)" = "$2" ]; }
whole() { sized fra 3 && sized par 3 && is_ready; }
start() { cloud startVirtualMachine id="$(id_of "vm:$1")" >/dev/null; }
garbd() { on ams systemctl is-active --quiet muster-arbitrator; }
arbitrates() { state_is ams arbitrating && garbd; }
no_garbd() { ! garbd; }
epoch() { sql "$1" 'SELECT MAX(e) FROM muster.epoch'; }

up() { "$muster" up -y -f "$file" --progress plain >"$work/out" 2>&1 || { tail -n 40 "$work/out"; die "$1"; }; }
started() { for n in fra par; do on $n systemctl show -P ActiveEnterTimestampMonotonic mariadb; done; }

# ---- it is added to two that serve
up "up"
begun=$(started)
cp "$file" "$work/without"
sed -i -e '/^nodes:/i\  - name: Amsterdam\n    gateway: {cidr: 10.1.3.0/24, egress: [all]}\n    private: {cidr: 10.10.3.0/24, group: Default}' \
  -e '/name: par,/a\  - {name: ams, zone: Amsterdam, role: arbitrator, template: Debian 12, ports: {52200: 22}}' "$file"
up "up with an arbitrator"
until_true 30 "the group has two members and the arbitrator" whole
arbitrates || die "the arbitrator: $(coordinator ams): $(why ams)"
[ "$(started)" = "$begun" ] || die "a database was restarted"
up "a further up"
grep -q ' 0 changed' "$work/out" || { cat "$work/out"; die "a further up changes something"; }
[ -z "$(on ams pgrep -x mariadbd)" ] || die "the arbitrator runs a database"
[ "$(on fra mariadb -N -e "'SELECT COUNT(*) FROM mysql.wsrep_cluster_members'")" = 3 ] || die "the group's own list"
"$muster" status -f "$file" | tail -n 12
sql fra 'CREATE TABLE album.kept (i INT AUTO_INCREMENT PRIMARY KEY) SELECT seq AS i FROM album.seq_1_to_1000' || die "rows"

# ---- one of the three is lost: writes fail for no longer than the group's own time
writes() { # node seconds: a write every 100 ms; the longest pause in ms
  local last now worst=0 end=$((SECONDS + $2))
  last=$(date +%s%3N)
  while [ $SECONDS -lt $end ]; do
    if on "$1" timeout 20 mariadb -e "'INSERT INTO album.kept VALUES ()'"; then
      now=$(date +%s%3N)
      [ $((now - last)) -le $worst ] || worst=$((now - last))
      last=$now
    fi
  done
  echo $worst
}
for lost in par fra ams; do
  other=fra
  [ $lost = par ] || other=par
  writes $other 20 >"$work/pause" &
  writer=$!
  power_off $lost
  wait $writer
  sized $other 2 || die "$lost is lost, and $other sees $(status_of $other wsrep_cluster_size) members"
  state_is $other primary || die "$other: $(why $other)"
  ok "without $lost: $other serves; the longest pause of writes: $(cat "$work/pause") ms"
  start $lost
  until_true 120 "$lost is back" whole
done
[ "$(epoch fra)" = 1 ] || die "another epoch was founded: $(epoch fra)"

# ---- both members stop in order: what is left is a Primary of an arbitrator alone
"$muster" maintenance -f "$file" fra on --allow-outage >/dev/null || die "maintenance"
on fra systemctl stop mariadb
until_true 30 "par serves on" sized par 2
"$muster" maintenance -f "$file" par on --allow-outage >/dev/null || die "maintenance"
on par systemctl stop mariadb
until_true 30 "nobody serves, and the arbitrator has left" no_garbd
for n in fra par; do "$muster" maintenance -f "$file" $n off >/dev/null || die "maintenance off"; done
until_true 120 "all are back" whole
[ "$(epoch fra)" = 2 ] || die "epoch $(epoch fra)"

# ---- the arbitrator's agent is silent meanwhile: it must not stay in the way for ever
on ams systemctl kill -s STOP muster-agent
for n in fra par; do on $n systemctl stop mariadb & done
wait
serve() { state_is fra primary && state_is par primary && sql fra 'INSERT INTO album.kept VALUES ()'; }
until_true 120 "they serve again" serve
on ams systemctl kill -s CONT muster-agent
until_true 120 "all are back" whole

# ---- power of all three
for n in fra par ams; do power_off $n & done
wait
for n in ams fra par; do start $n; done
until_true 180 "all are back after the loss of power of all" whole
[ "$(sql fra 'CHECKSUM TABLE album.kept' | cut -f2)" = "$(sql par 'CHECKSUM TABLE album.kept' | cut -f2)" ] || die "the tables differ"
for n in fra par; do
  [ "$(sql $n 'SELECT COUNT(*) FROM muster.epoch')" = "$(sql $n 'SELECT COUNT(DISTINCT e) FROM muster.epoch')" ] || die "two bootstraps of one epoch"
done
ok "$(sql fra 'SELECT COUNT(*) FROM album.kept') rows; epoch $(epoch fra)"

# ---- it leaves the file: two are left, and none of them is restarted
begun=$(started)
cp "$work/without" "$file"
up "up without the arbitrator"
two() { sized fra 2 && sized par 2 && is_ready; }
until_true 60 "the group has two members" two
[ "$(started)" = "$begun" ] || die "a database was restarted"
ok "added and taken away without a restart"
