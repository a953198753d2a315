#!/bin/bash
# A page that counts in $_SESSION, and knows nothing of us, on three nodes behind front doors: the count goes
# on at whichever node, over a failover, and over the loss of power of one of the nodes.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"

mkdir "$work/counter"
cat >"$work/counter/index.php" <<'PHP'
<?php
session_start();
$_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;
echo json_encode(['site' => require __DIR__ . '/node.php', 'n' => $_SESSION['n'], 'id' => session_id()]);
PHP
echo fine >"$work/counter/ok.html"
zone_of=("Frankfurt (ESX)" "Paris (ESX)" "Amsterdam")
file=$work/sessions.yaml
{
  printf 'deployment: sessions\ncloud: local\ndefaults: {template: Debian 12 with servers, offering: 2048-1}\nzones:\n'
  for i in 0 1 2; do
    printf '  - name: %s\n    gateway: {cidr: 10.1.%d.0/24, egress: [all]}\n    private: {cidr: 10.10.%d.0/24, group: Default}\n' \
      "${zone_of[i]}" $((i + 1)) $((i + 1))
  done
  printf 'nodes:\n'
  i=0
  for n in fra par ams; do
    printf '  - {name: %s, zone: %s, datadisk: {size: 20G, offering: EBS Protected}, ports: {52200: 22, 80: 80}}\n' $n "${zone_of[i]}"
    i=$((i + 1))
  done
  # shellcheck disable=SC2016 # the node's name is muster's to put in
  printf '%s\n' 'database: {cluster: sessions, mount: /media/datadisk-mariadb, filesystem: ext4}' 'web: {php: [mysql, cli]}' \
    'frontdoor: {}' 'app:' '  name: counter' "  archive: {path: $work/counter}" '  sessions: database' \
    '  health: {path: /ok.html, expect: fine}' '  config:' '    - {path: node.php, content: "<?php return '\''${node}'\'';"}'
} >"$file"
up() { "$muster" up -y -f "$file" --progress plain >"$work/out" 2>&1 || { tail -n 40 "$work/out"; die "$1"; }; }

up "up"
for n in fra par ams; do url_of $n >"$work/url-$n"; done
sid=
# A visit at that node's address; what the page said is in $said.
visit() { # NODE
  said=$(curl -fsS -m 30 -H "Cookie: PHPSESSID=$sid" "$(cat "$work/url-$1")/" 2>"$work/curl") || return 1
  n=$(jq -r .n <<<"$said")
}
must() { # NODE COUNT
  visit "$1" || die "a visit at $1: $(cat "$work/curl")"
  [ "$n" = "$2" ] || die "at $1: $said, expected $2"
}

visit fra || die "the first visit"
sid=$(jq -r .id <<<"$said")
must fra 2
i=2
for node in par ams fra par par ams ams fra par ams fra fra par ams; do
  i=$((i + 1))
  must $node $i
  [ "$(jq -r .site <<<"$said")" = $node ] || die "at $node: $said"
done
[ "$(jq -r .id <<<"$said")" = "$sid" ] || die "another session: $said"
ok "the count goes on at all nodes"
sid=abcdefghijklmnopqrstuvwxyz
visit par || die "a visit"
[ "$(jq -r .id <<<"$said")" != "$sid" ] || die "a name of the visitor's own was taken"
ok "only names that were given out"

sid=
visit par || die "a visit"
sid=$(jq -r .id <<<"$said")
i=$n
"$muster" failover -f "$file" --to par || die "failover --to par"
for _ in 1 2 3; do
  i=$((i + 1))
  must fra $i
  [ "$(jq -r .site <<<"$said")" != fra ] || die "fra answers: $said"
done
"$muster" failover -f "$file" --back || die "failover --back"
at_home() { visit fra && i=$((i + 1)) && [ "$(jq -r .site <<<"$said")" = fra ]; }
until_true 60 "fra answers for itself again" at_home
[ "$n" = "$i" ] || die "after the failover: $said, expected $i"
ok "the count goes on over a failover and back"

# What was acknowledged is not lost; a visit whose answer did not come may count.
power_off fra
after() { visit par && [ "$n" -gt "$i" ]; }
until_true 60 "the count goes on without fra" after
[ "$n" -le $((i + 60)) ] || die "the count jumped: $said"
i=$n
for node in ams par ams; do
  i=$((i + 1))
  must $node $i
done
cloud startVirtualMachine id="$(id_of vm:fra)" >/dev/null
until_true 180 "ready again" is_ready
until_true 60 "fra answers for itself again" at_home
[ "$n" = "$i" ] || die "after the loss of power: $said, expected $i"
ok "the count goes on over a loss of power and back"

# ---- faults of it, and no handler any more
on ams sh -c "'echo >/etc/apache2/muster/sessions.php'"
on ams muster-agent check >"$work/check" && die "check finds nothing"
grep -q 'sessions:counter' "$work/check" || { cat "$work/check"; die "check does not name it"; }
up "up repairs it"
i=$((i + 1))
must ams $i
sed -i '/sessions: database/d' "$file"
up "up without the key"
on ams sh -c "'ls /etc/apache2/conf-enabled/muster-sessions.conf /etc/apache2/muster/sessions.php'" && die "the handler is still there"
visit ams || die "a visit without the handler"
[ "$n" = 1 ] || die "still in the database: $said"
ok "and without the key sessions are PHP's own"
