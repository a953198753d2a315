#!/bin/bash
# Backups: made while the sites are used, verified, fetched; refused when they are damaged; a loss of
# power in the middle of one; brought back in place and into a new deployment; on a schedule.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"

mount=/media/datadisk-mariadb
photos=$mount/muster-app/album/photos
up() { "$muster" up -y -f "$file" --progress plain >"$work/out" 2>&1 || { tail -n 40 "$work/out"; die "$1"; }; }
backup() { "$muster" backup "$@" -f "$file"; }
names() { backup list --json | jq -r '.[].backups[].name'; }
newest() { backup list --json | jq -r '[.[].backups[]] | max_by(.at).name'; }
holder() { backup list --json | jq -r ".[] | select(.backups[].name == \"$1\") | .node"; }
# Of all tables that are the site's or the test's, on one node.
sums() { # NODE
  # shellcheck disable=SC2016
  on "$1" sh -c "'for t in \$(mariadb -N -e \"SELECT CONCAT(TABLE_SCHEMA, 0x2e, TABLE_NAME) FROM information_schema.TABLES WHERE TABLE_TYPE = 0x42415345205441424c45 AND TABLE_SCHEMA IN (0x616c62756d, 0x77) ORDER BY 1\"); do mariadb -N -e \"CHECKSUM TABLE \$t EXTENDED\"; done'"
}
digest() { on "$1" sh -c "'cd $photos && find . -type f ! -name .syncthing.\* -print0 | sort -z | xargs -0r sha256sum'"; }
equal() { [ "$(digest fra)" = "$(digest par)" ]; }
codes() { # asks both sites until the file is gone
  local n url
  while [ -e "$work/asking" ]; do
    for n in fra par; do
      url=$(cat "$work/url-$n")
      printf '%s %s\n' "$n" "$(curl -s -o /dev/null -m 10 -w '%{http_code}' "$url/")" >>"$work/codes"
    done
  done
}
begin_asking() {
  for n in fra par; do url_of "$n" >"$work/url-$n"; done
  : >"$work/codes"
  touch "$work/asking"
  codes &
  asking=$!
}
end_asking() {
  rm "$work/asking"
  wait "$asking"
}
refused() { # WHAT, what it must say, COMMAND…: and nothing is changed by it
  local what=$1 said=$2 before code=0
  shift 2
  before=$(sums fra)
  "$@" >"$work/refused" 2>&1 || code=$?
  [ $code -ne 0 ] || die "$what: taken"
  grep -q "$said" "$work/refused" || { cat "$work/refused"; die "$what: not said"; }
  [ "$(sums fra)" = "$before" ] || die "$what: something was changed"
  ok "$what is refused"
}

printf 'backup: {keep: 3}\n' >>"$file"
up "up"

# ---- under load no site becomes unready, and the copy is one moment
sql fra 'CREATE DATABASE w; CREATE TABLE w.w (id BIGINT AUTO_INCREMENT PRIMARY KEY, n VARCHAR(8), s CHAR(36)); CREATE TABLE w.big (i INT PRIMARY KEY, b LONGBLOB)' || die "tables"
for i in 0 1 2 3; do
  sql fra "INSERT INTO w.big SELECT seq + $((i * 2000)), RANDOM_BYTES(1024) FROM w.seq_1_to_2000" || die "rows"
done
on fra sudo -u www-data sh -c "'for i in \$(seq 30); do head -c 50000 /dev/urandom >$photos/u\$i; done'"
until_true 30 "uploads are on both" equal
for n in fra par; do
  on $n sh -c "'touch /run/load; setsid sh -c \"while [ -e /run/load ]; do mariadb -e \\\"INSERT INTO w.w (n, s) VALUES (\\\\\\\"$n\\\\\\\", UUID())\\\"; done\" >/dev/null 2>&1 &'"
done
begin_asking
backup >"$work/backup" 2>&1 || { cat "$work/backup"; die "backup"; }
first=$(newest)
for n in fra par; do on $n rm -f /run/load; done
end_asking
[ "$(grep -vc ' 200$' "$work/codes" || true)" = 0 ] || { sort "$work/codes" | uniq -c; die "a site did not answer while a backup was made"; }
ok "$(wc -l <"$work/codes") requests meanwhile, all answered with 200"
grep -q "$first: .* MB in " "$work/backup" || { cat "$work/backup"; die "what it says at its end"; }
backup list | grep "$first" | grep -q 'never verified' || die "list says that it was verified"
node=$(holder "$first")
[ "$node" = par ] || die "$node made it, and not the last of the file"
[ "$(on "$node" stat -c "'%a %U'" "$mount/muster-backup" "$mount/muster-backup/$first.mbk" | xargs)" = "700 root 600 root" ] || die "who may read it"
on "$node" grep -aq innodb "$mount/muster-backup/$first.mbk" && die "it is not encrypted"
on "$node" mariadb -N -e "'SELECT @@wsrep_desync'" | grep -qx 0 || die "the member does not take part in flow control"
said_never() { "$muster" status -f "$file" | grep 'none was ever verified' >/dev/null; }
until_true 30 "status says that it was never verified" said_never

# ---- verified
backup verify "$first" >"$work/verify" 2>&1 || { cat "$work/verify"; die "verify"; }
grep -q "can be restored: [0-9]* tables" "$work/verify" || { cat "$work/verify"; die "what verify says"; }
backup list | grep "$first" | grep -q ' verified ' || die "list does not say that it was verified"
on "$node" sh -c "'ls -d $mount/muster-backup-scratch $mount/muster-backup/.work'" && die "something is left of the verification"
backup verify "$first" >/dev/null 2>&1 || die "the second verification differs from the first"
said_verified() { "$muster" status -f "$file" | grep 'one was verified' >/dev/null; }
until_true 30 "status says so" said_verified
on "$node" curl -s http://127.0.0.1:7404/metrics | grep '^muster_backup_verified_seconds ' >/dev/null || die "no metric"

# ---- on this machine, whole; and nothing that is not whole is taken
backup fetch "$first" -o "$work/whole.mbk" || die "fetch"
[ "$(sha256sum <"$work/whole.mbk" | cut -d' ' -f1)" = "$(backup list --json | jq -r ".[].backups[] | select(.name == \"$first\").sha256")" ] || die "its SHA-256"
backup key >"$work/key"
grep -qE '^muster-backup-key:[0-9a-f]{64}$' "$work/key" || die "the key"
restore() { "$muster" restore "$@" -y -f "$file"; }
size=$(stat -c %s "$work/whole.mbk")
head -c $((size - 1)) "$work/whole.mbk" >"$work/cut.mbk"
cp "$work/whole.mbk" "$work/flipped.mbk"
printf '\377\376' | dd of="$work/flipped.mbk" bs=1 seek=$((size / 2)) conv=notrunc status=none
printf 'muster-backup-key:%064d\n' 0 >"$work/otherkey"
printf 'MUSTERBK\2\0\0\0' >"$work/format.mbk"
tail -c +13 "$work/whole.mbk" >>"$work/format.mbk"
refused "a file without its last byte" 'was cut off' restore "$work/cut.mbk"
refused "a file with a changed byte" 'is damaged' restore "$work/flipped.mbk"
refused "another key" 'another key' restore "$work/whole.mbk" --key "$work/otherkey"
refused "another format" 'format 2' restore "$work/format.mbk"
refused "a file of something else" 'no backup' restore "$file"
refused "a restore without consent" 'was not typed' sh -c "'$muster' restore '$first' -f '$file' </dev/null"
for n in fra par; do
  [ "$(curl -s -o /dev/null -w '%{http_code}' "$(url_of $n)/")" = 200 ] || die "the site of $n is still closed"
done

# ---- power is lost in the middle of one
for i in 4 5 6 7 8 9; do
  sql fra "INSERT INTO w.big SELECT seq + $((i * 2000)), CONCAT(RANDOM_BYTES(1024), REPEAT(RANDOM_BYTES(1024), 15)) FROM w.seq_1_to_2000" || die "rows"
done
backup --node par >"$work/cutoff" 2>&1 &
begun() { [ -n "$(on par sh -c "'find $mount/muster-backup -name .\*.part -size +100k'")" ]; }
until_true 60 "a backup is half done" begun
on par systemctl kill -s STOP muster-backup # so that it does not end before
power_off par
wait $! || true
cloud startVirtualMachine id="$(id_of vm:par)" >/dev/null
primary() { state_is par primary; }
until_true 180 "par is back" primary
nothing_left() { [ -z "$(on par sh -c "'find $mount/muster-backup -name .\*.part; ls -d $mount/muster-backup/.work 2>/dev/null'")" ]; }
until_true 60 "nothing is left of it" nothing_left
[ "$(names)" = "$first" ] || die "the list has $(names)"
until_true 120 "both are ready" is_ready

# ---- the worker is killed: the member takes part in flow control again, and no program is left
backup --node par >"$work/killed" 2>&1 &
until_true 60 "another is half done" begun
on par systemctl kill -s STOP muster-backup
on par systemctl kill -s KILL --kill-who=main muster-backup
wait $! && die "a backup that was killed ended well"
until_true 60 "nothing is left of that" nothing_left
[ "$(on par pgrep -c mariadb-backup || true)" = 0 ] || die "mariabackup is still there"
on par mariadb -N -e "'SELECT @@wsrep_desync'" | grep -qx 0 || die "par does not take part in flow control"
said_failed() { "$muster" status -f "$file" | grep 'its last backup, verification or restore failed' >/dev/null; }
until_true 30 "status says that it failed" said_failed

# ---- brought back in place, on both nodes
backup --node fra >"$work/backup" 2>&1 || { cat "$work/backup"; die "backup by fra"; }
good=$(newest)
before=$(sums fra) files=$(digest fra)
sql fra 'DROP TABLE w.big; DELETE FROM w.w WHERE id > 5; DROP TABLE album.photo; CREATE DATABASE later; CREATE TABLE later.t (i INT PRIMARY KEY)' || die "damage"
on fra rm -f "$photos/u1" "$photos/u2" "$photos/u3"
on par sudo -u www-data sh -c "'echo new >$photos/after'"
until_true 30 "the damage is on both" equal
begin_asking
restore "$good" >"$work/restore" 2>&1 || { cat "$work/restore"; die "restore"; }
end_asking
for words in '^restored: .*w' 'left as they are: later'; do
  grep -q "$words" "$work/restore" || { cat "$work/restore"; die "what restore says"; }
done
grep -q ' 503$' "$work/codes" || die "no site was closed meanwhile"
# A table of the site's is missing at first; from when it is closed on, it is that or whole.
other=$(awk '$2 == 503 {closed[$1] = 1} closed[$1] && $2 != 503 && $2 != 200' "$work/codes" | wc -l)
[ "$other" = 0 ] || { sort "$work/codes" | uniq -c; die "a site answered something else"; }
for n in fra par; do
  [ "$(sums $n)" = "$before" ] || { diff <(echo "$before") <(sums $n); die "$n: tables differ from the backup"; }
done
ok "every table on both nodes has the checksum that it had"
until_true 60 "the same files on both" equal
diff <(echo "$files") <(digest fra | grep -v ' ./after$') || die "files differ from the backup"
digest par | grep ' ./after$' >/dev/null || die "an upload of later is lost"
[ "$(on par stat -c %U "$photos/u1")" = www-data ] || die "whose they are"
[ "$(sql par 'SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = "later"')" = 1 ] || die "a database of later is lost"
until_true 60 "both sites are ready" is_ready

# ---- keep: the newest three, and the one that was verified
for i in 1 2 3; do backup --node par >/dev/null 2>&1 || die "backup $i"; done
[ "$(backup list --node par --json | jq '.[0].backups | length')" = 4 ] || die "keep: $(backup list --node par)"
names | grep -x "$first" >/dev/null || die "the only one that was verified is gone"

# ---- on a schedule: one a period, and taken elsewhere
for n in fra par; do
  on $n sh -c "'printf \"#!/bin/sh\\ncat >/var/tmp/put-\\\$MUSTER_BACKUP\\n\" >/usr/local/bin/put-backup; chmod 755 /usr/local/bin/put-backup'"
done
sed -i 's|^backup: .*|backup: {every: 2m, keep: 9, put: /usr/local/bin/put-backup}|' "$file"
up "up with a schedule"
periods() { sql fra 'SELECT COUNT(*) FROM muster.backup WHERE state = "done"'; }
two_periods() { [ "$(periods)" -ge 2 ]; }
until_true 400 "two periods have theirs" two_periods
sed -i 's|^backup: .*|backup: {keep: 9}|' "$file"
up "up without a schedule"
none_at_work() {
  local n
  for n in fra par; do on $n systemctl is-active -q muster-backup && return 1; done
  return 0
}
until_true 120 "none is at work" none_at_work
put=$(for n in fra par; do on $n sh -c "'ls /var/tmp | grep ^put-'"; done | wc -l)
[ "$put" = "$(periods)" ] || die "$put were taken elsewhere in $(periods) periods"
ok "$put scheduled backups in $put periods, each taken elsewhere"

# ---- into a new deployment
"$muster" backup fetch "$good" -o "$work/good.mbk" -f "$file" || die "fetch"
backup key >"$work/key"
"$muster" destroy -y --with-data -f "$file" >"$work/out" 2>&1 || { tail -n 20 "$work/out"; die "destroy"; }
sed -i 's/^deployment: .*/deployment: second/' "$file"
up "up of another deployment"
refused "a file of another deployment without its key" 'its key is needed' restore "$work/good.mbk"
restore "$work/good.mbk" --key "$work/key" >"$work/restore" 2>&1 || { cat "$work/restore"; die "restore into another deployment"; }
for n in fra par; do
  [ "$(sums $n)" = "$before" ] || { diff <(echo "$before") <(sums $n); die "$n: tables differ from the backup"; }
done
until_true 60 "the same files on both" equal
diff <(echo "$files") <(digest par) || die "files differ from the backup"
until_true 60 "both sites are ready" is_ready
ok "the new deployment has what the other one had"
