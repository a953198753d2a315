#!/bin/bash
# The main job: from nothing to two sites that share a database, through restarts, and back to
# nothing.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"

file=$PWD/docs/examples/saas.yaml # as the README has it
before=$(host_state)

# A photo that is one: 64 x 48 pixels, made here.
python3 - "$work/photo.png" <<'PY'
import struct, sys, zlib
w, h = 64, 48
raw = b''.join(b'\0' + b''.join(bytes((x * 4 & 255, y * 5 & 255, 128)) for x in range(w)) for y in range(h))
def chunk(kind, data):
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
open(sys.argv[1], 'wb').write(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', w, h, 8, 2, 0, 0, 0))
                              + chunk(b'IDAT', zlib.compress(raw)) + chunk(b'IEND', b''))
PY

"$muster" up -f "$file" --progress plain >"$work/up.out" 2>"$work/up.err" || {
  cat "$work/up.err"
  die "up"
}
[ "$(grep -c 'http://' "$work/up.out")" = 2 ] || die "up prints two URLs: $(cat "$work/up.out")"
ok "up: $(tail -n 1 "$work/up.err")"

fra=$(url_of fra)
par=$(url_of par)
curl -fsS "$fra/" | grep -q 'served by fra' || die "the site of fra"
curl -fsS "$par/" | grep -q 'served by par' || die "the site of par"
for i in $(seq 10); do # listed at once, each time
  id=$(curl -fsS -F "photo=@$work/photo.png" -F "title=Harbour $i" "$fra/api.php" | jq -r .id)
  [ "${#id}" = 32 ] || die "the upload through fra"
  curl -fsS "$par/api.php" | jq -e ".photos[] | select(.id==\"$id\" and .title==\"Harbour $i\" and .site==\"fra\")" >/dev/null ||
    die "par lists the photo uploaded through fra"
done
[ "$(curl -fsS "$par/photo.php?id=$id" | sha256sum)" = "$(sha256sum <"$work/photo.png")" ] || die "the photo's bytes through par"
curl -fsS "$par/photo.php?id=$id&small=1" | head -c 3 | od -An -tx1 | grep -q 'ff d8 ff' || die "a JPEG thumbnail"
ok "a photo uploaded through one site is listed by the other"

"$muster" status -f "$file" --json >"$work/status.json"
jq -e '.schema == 1 and .deployment == "saas" and .state == "ready" and (.nodes | length == 2) and
  all(.nodes[]; .name and .zone and .state == "ready" and .public_ip and .url and
      .db.state == "Synced" and .db.cluster_size == 2)' "$work/status.json" >/dev/null ||
  die "status: $(cat "$work/status.json")"
ok "status --json"

health() { "$muster" ssh -f "$file" "$1" curl -s -w "'\n%{http_code}'" "http://127.0.0.1:7404$2" 2>/dev/null; }
all_good() { # node
  local path
  for path in / /live /ready /read-write; do
    health "$1" $path >"$work/health" || return 1
    [ "$(tail -n 1 "$work/health") $(head -n 1 "$work/health" | jq -c '[.ready, .read_write, .traffic]')" = "200 [true,true,true]" ] || return 1
  done
}
for node in fra par; do until_true 15 "the health of $node" all_good $node; done
health fra /metrics | grep -q '^muster_database_cluster_size 2$' || die "metrics: $(health fra /metrics)"

calls() { wc -l </var/lib/muster/vdc/calls.log; }
n=$(calls)
"$muster" up -f "$file" --progress plain >"$work/again" 2>&1 || die "second up: $(cat "$work/again")"
grep -q ' 0 changed' "$work/again" || die "second up: $(cat "$work/again")"
tail -n +$((n + 1)) /var/lib/muster/vdc/calls.log | jq -r .command | grep -vE '^(list|query)' && die "the second up called the above"
ok "a second up changes nothing"

# --- what somebody changed on a node is named and repaired by one 'up', whatever the store says
on_fra() { "$muster" ssh -f "$file" fra sudo sh -c "'$1'" >"$work/fault" 2>&1 || die "fault: $1: $(cat "$work/fault")"; }
on_fra 'echo "# changed by hand" >>/etc/apache2/sites-available/muster.conf'
on_fra 'chmod 0666 /var/www/html/config.php'
on_fra 'sed -i /datadisk/d /etc/fstab'
# shellcheck disable=SC2016 # it is the node's shell that expands
on_fra 'for f in /etc/php/*/apache2/conf.d/99-muster.ini; do echo memory_limit=1M >$f; done'
on_fra 'systemctl disable --quiet apache2'
on_fra 'mariadb -e "REVOKE DELETE ON album.* FROM album@localhost"'
on_fra 'ip route del 10.10.2.0/24' # last: the cluster misses its members after five seconds
"$muster" up -f "$file" --progress plain >"$work/repaired" 2>&1 || die "up after seven faults: $(cat "$work/repaired")"
for step in route:private mount:data php:settings web:apache sql:album app:album; do
  grep -qE "fra +note +$step +drifted: " "$work/repaired" || die "$step is not named: $(cat "$work/repaired")"
  # rights are the same on all members: whoever is first repairs them
  grep -qE "(fra|par) +changed +$step " "$work/repaired" || die "$step is not repaired: $(cat "$work/repaired")"
done
grep -qE ' [1-9][0-9]* steps changed' "$work/repaired" || die "what was changed: $(tail -n 3 "$work/repaired")"
"$muster" up -f "$file" --progress plain >"$work/again" 2>&1 || die "up after the repair: $(cat "$work/again")"
grep -q ' 0 changed' "$work/again" || die "up after the repair: $(cat "$work/again")"
ok "one up names and repairs what was changed by hand"
"$muster" status -f "$file" --json | jq -e 'all(.nodes[]; .age_s < 60 and .last_known == null or .age_s >= 30)' >/dev/null ||
  die "the age of each state: $("$muster" status -f "$file" --json)"

"$muster" ssh -f "$file" fra sudo muster-agent apply --check /var/lib/muster-agent/plan.json >"$work/check" ||
  die "dry run on the node: $(cat "$work/check")"
ok "a dry run of the plan on the node finds nothing to change"

"$muster" watch -f "$file" --json >"$work/watched" &
watcher=$!
shows_all() { [ "$(wc -l <"$work/watched")" = "$("$muster" events -f "$file" --json | wc -l)" ]; }
until_true 30 "watch started late shows every event" shows_all
kill $watcher
wait $watcher || die "watch: $?"

for node in fra par; do
  "$muster" ssh -f "$file" $node findmnt -n -o SOURCE,FSTYPE /media/datadisk-mariadb | grep -q '/dev/sdb1.*ext4' || die "$node: the data disk is mounted"
  "$muster" ssh -f "$file" $node sudo mariadb -N -e "'SELECT @@datadir'" | grep -q '^/media/datadisk-mariadb/mysql' || die "$node: the data is on it"
  # what is left of the one-time key in cloud-init's files is zeros
  "$muster" ssh -f "$file" $node "sudo grep -raoE 'bootstrap_secret[^0-9a-f]{1,6}[0-9a-f]*[1-9a-f]' /etc/muster-agent /var/lib/cloud /run/cloud-init" >"$work/left" && die "$node: the one-time key is still there: $(cat "$work/left")"
done
ok "data disks, data directory, one-time keys gone"

# --- refusals
rc=0
CLOUDSTACK_ENDPOINT=$("$vdc" status --json | jq -r .endpoint) CLOUDSTACK_KEY=wrong CLOUDSTACK_SECRET=wrong \
  "$muster" up -f "$file" 2>"$work/err" || rc=$?
[ $rc = 3 ] || die "a wrong API key exits 3, not $rc: $(cat "$work/err")"
ok "wrong key: $(cat "$work/err")"

# --- restarts
declare -A booted
restarted() { # node
  local now
  now=$(booted_at "$1") && [ -n "$now" ] && [ "$now" != "${booted[$1]}" ]
}
# What the node itself shows, with no muster at work: its disk, its way to the others, its database in
# the cluster, its site, and an agent that finds all in sync.
serves() { # node
  "$muster" ssh -f "$file" "$1" "findmnt /media/datadisk-mariadb && ip route get ${private[$1]} | grep -q 'dev eth1' &&
    sudo mariadb -N -e 'SHOW STATUS LIKE \"wsrep_cluster_size\"' | grep -qw 2 && curl -fsS http://127.0.0.1/ | grep -q 'served by $1' &&
    sudo muster-agent check" >"$work/serves" 2>&1
}
restart() { # nodes…
  local n
  for n in "$@"; do booted[$n]=$(booted_at "$n"); done
  for n in "$@"; do "$muster" ssh -f "$file" "$n" sudo systemctl reboot || true; done
  for n in "$@"; do until_true 120 "$n has restarted" restarted "$n"; done
  for n in "$@"; do until_true 120 "$n serves again by itself" serves "$n"; done
  until_true 180 "ready after the restart of $*" is_ready
  curl -fsS "$(url_of par)/api.php" | jq -e ".photos[] | select(.id==\"$id\")" >/dev/null || die "the photo survived"
}
declare -A private # the address of the other node on the private network
for node in fra par; do
  private[$node]=$("$muster" status -f "$file" --json | jq -r ".nodes[] | select(.name != \"$node\") | .private_ip")
done
restart fra
restart fra par

"$muster" up -f "$file" --progress plain >"$work/out" 2>&1 || die "up after the restarts: $(cat "$work/out")"

# --- down and up again: the data disks stay, and so does what is on them
"$muster" destroy -f "$file" -y >"$work/out" 2>&1 || die "destroy: $(cat "$work/out")"
grep -q '2 data disks kept' "$work/out" || die "destroy keeps the data disks: $(cat "$work/out")"
[ "$(data_disks)" = 2 ] || die "data disks: $(data_disks), expected 2"
"$muster" up -f "$file" --progress plain >"$work/out" 2>&1 || die "up on the old data disks: $(tail -n 30 "$work/out")"
[ "$(data_disks)" = 2 ] || die "data disks after up: $(data_disks), expected 2"
curl -fsS "$(url_of par)/api.php" | jq -e ".photos[] | select(.id==\"$id\")" >/dev/null || die "the photo is not there any more"
ok "destroyed and raised again on the same data disks: the photo is there"

# --- and away
"$muster" destroy -f "$file" -y --with-data >"$work/out" 2>&1 || die "destroy: $(cat "$work/out")"
[ "$(count listVirtualMachines virtualmachine)" = 0 ] || die "a VM is left"
[ "$(count listVolumes volume)" = 0 ] || die "a volume is left"
[ "$(count listNetworks network)" = 0 ] || die "a network is left"
ok "destroy leaves nothing at the cloud"
host_ids
"$vdc" destroy -y >/dev/null
after=$(host_state)
[ "$before" = "$after" ] || {
  diff <(printf '%s\n' "$before") <(printf '%s\n' "$after") || true
  die "the host is not as before"
}
ok "the host is as before"
