#!/bin/bash
# Crashes and whole copies while both nodes are written to: transactions that InnoDB finds prepared are
# the server's own business, a log of Aria that ends too early holds nobody, and a donor's site serves.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"

ledger=$work/ledger
mkdir "$ledger"
begun_at=

both_primary() { state_is fra primary && state_is par primary; }
# A number is in the ledger once its row was acknowledged.
writer() { # NODE
  on "$1" sh -c "'i=0; while mariadb -e \"INSERT INTO w.acked VALUES (\\\"$1\\\", \$((\$(date +%s%N) / 1000)))\"; do i=\$((i+1)); echo \$i; done'" >>"$ledger/$1" 2>/dev/null || true
}
load() { # NODE: sixteen sessions that write as fast as they can
  on "$1" sh -c "'for k in \$(seq 16); do setsid sh -c \"yes \\\"INSERT INTO w.w (s) VALUES (UUID());\\\" | mariadb --force\" >/dev/null 2>&1 & done'"
}
many_rows() { [ "$(sql fra 'SELECT COUNT(*) FROM w.w')" -gt 3000 ]; }
crash() {
  load fra
  load par
  writer fra &
  writer par &
  until_true 120 "rows are written on both" sh -c "[ -s '$ledger/fra' ] && [ -s '$ledger/par' ]"
  until_true 120 "thousands of rows" many_rows
  power_off fra &
  power_off par &
  wait
}
start_both() {
  local n
  begun_at=$SECONDS
  for n in fra par; do cloud startVirtualMachine id="$(id_of vm:$n)" >/dev/null; done
  for n in fra par; do until_true 120 "$n is up" on $n true; done
}
back() { # what
  local acked there n
  until_true 300 "$1: both are Primary" both_primary
  printf '%s: both Primary %d s after the power came back\n' "$1" $((SECONDS - begun_at))
  acked=$(cat "$ledger"/* | wc -l)
  for n in fra par; do
    there=$(sql $n 'SET wsrep_sync_wait=1; SELECT COUNT(*) FROM w.acked')
    [ "$there" -ge "$acked" ] || die "$1: $acked rows were acknowledged, $there are on $n"
  done
  ok "$1: $acked rows acknowledged, $there there"
}
journals() { for n in fra par; do on $n journalctl -u muster-agent --no-pager -o cat; done; }

"$muster" up -f "$file" --progress plain >"$work/out" 2>&1 || { tail -n 40 "$work/out"; die "up"; }
sql fra 'CREATE DATABASE w; CREATE TABLE w.w (id BIGINT AUTO_INCREMENT PRIMARY KEY, s CHAR(36)); CREATE TABLE w.acked (n VARCHAR(8), i BIGINT, PRIMARY KEY (n, i))' || die "tables"

# ---- both crash under load, three times
for round in 1 2 3; do
  crash
  start_both
  back "crash $round"
done
journals | grep -iE 'operator must decide|prepared transaction' && die "an operator was asked"
on fra journalctl -u mariadb -u muster-agent --no-pager -o cat | grep -c 'prepared transaction' | sed 's/^/lines about prepared transactions: /' || true

# ---- a log of Aria that ends after its first page, on both: the server loops over it for ever
tear() { # NODE: on its data disk, while its machine is off
  local image mnt=$work/mnt
  image=/var/lib/muster/vdc/volumes/$(id_of "volume:$1").img
  mkdir -p "$mnt"
  mount -o loop,offset=1MiB "$image" "$mnt" || die "mount $image"
  truncate -s 8192 "$mnt/mysql/aria_log.00000001" || die "no log of Aria on $1"
  umount "$mnt"
}
crash
tear fra
tear par
start_both
back "a short log of Aria"
for n in fra par; do
  on $n journalctl -u muster-agent -b --no-pager -o cat | grep -F 'said nothing for' >/dev/null || die "$n: the log was not torn"
done

# ---- a node gets a whole copy: the donor's site and its database serve all the time
sql fra 'CREATE TABLE w.big (i INT PRIMARY KEY, b LONGBLOB) SELECT seq AS i, RANDOM_BYTES(1024) AS b FROM w.seq_1_to_1' || die "a table"
for ((i = 0; i < 12; i++)); do
  sql fra "INSERT INTO w.big SELECT seq + $((i * 2000 + 1)), REPEAT(MD5(RAND()), 320) FROM w.seq_1_to_2000" || die "rows"
done
on par systemctl stop muster-agent mariadb || die "stop par"
on par rm /media/datadisk-mariadb/mysql/ibdata1 || die "no data on par"
on par systemctl start muster-agent || die "start par"
donor=0 end=$((SECONDS + 300))
: >"$work/codes"
until state_is par primary; do
  [ $SECONDS -lt $end ] || die "par did not join: $(why par)"
  code=$(curl -s -o /dev/null -m 10 -w '%{http_code}' "$(url_of fra)/")
  echo "$code" >>"$work/codes"
  [ "$code" = 200 ] || die "the donor's site answers $code"
  case $(sql fra 'SHOW STATUS LIKE "wsrep_local_state_comment"') in *Donor*) donor=$((donor + 1)) ;; esac
done
[ $donor -gt 0 ] || die "fra was never seen as a donor"
[ "$(sql par 'SELECT COUNT(*) FROM w.big')" = 24001 ] || die "rows are missing on par"
ok "the donor answered 200 all of $(wc -l <"$work/codes") times, $donor of them while it copied"
