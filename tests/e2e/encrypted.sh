#!/bin/bash
# What goes between the databases cannot be read, and a process without a certificate of the
# deployment takes no part. A new certificate is read without a restart. A member that dies while it
# joins does not take the Primary with it. Power is lost while a table's definition is changed on all
# members: none trusts its own state, and all serve again.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"

up() { "$muster" up -f "$file" --progress plain >"$work/out" 2>&1 || { tail -n 30 "$work/out"; die "$1"; }; }
status_of() { sql "$1" "SHOW STATUS LIKE \"$2\"" | cut -f2; }
member() { [ "$(status_of "$1" wsrep_cluster_size)" = 2 ] && [ "$(status_of "$1" wsrep_cluster_weight)" = 2 ] && state_is "$1" primary; }
both_serve() { member fra && member par; }
pid_of() { on "$1" systemctl show -P MainPID mariadb; }
listen() { # text…
  python3 tests/e2e/watch_ports.py "$@" >"$work/seen" 2>"$work/listener" &
  listener=$!
  until grep -q ready "$work/listener"; do kill -0 $listener || die "the listener"; done
}
heard() {
  kill $listener
  wait $listener || die "the listener"
  ok "$1: packets by port or text: $(jq -c . "$work/seen")"
}
count_of() { jq -r --arg of "$1" '.[$of]' "$work/seen"; }
datadir=/media/datadisk-mariadb/mysql
# Its server is gone and knows no state: it takes a whole copy.
forget() { on "$1" sh -c "'rm $datadir/grastate.dat; pkill -KILL -x mariadbd'"; }
joins() { [ "$(coordinator "$1")" = joining ]; }
transfers() { on "$1" pgrep -f "'[w]srep_sst_mariabackup'" >/dev/null; }
start() { cloud startVirtualMachine id="$(id_of "vm:$1")" >/dev/null; }

# ---- the first join, which copies with rsync
listen mariadb.sys
up "up"
until_true 30 "both serve, each with its weight" both_serve
heard "the first join"
[ "$(count_of 4444)" -gt 100 ] || die "no copy was seen"
[ "$(count_of mariadb.sys)" = 0 ] || die "an account was read in the copy"

# ---- what is replicated, and a copy with mariabackup
secret=row-$RANDOM$RANDOM$RANDOM plain=plain-$RANDOM
address=$(on par hostname -I | tr ' ' '\n' | grep '^10\.10\.') own=$(on fra hostname -I | tr ' ' '\n' | grep '^10\.10\.')
listen "$secret" "$plain"
sql fra "CREATE DATABASE t; CREATE TABLE t.r (k INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(100));
  INSERT INTO t.r (v) SELECT CONCAT(\"$secret-\", seq) FROM t.seq_1_to_30000" || die "rows"
forget par
until_true 30 "par joins" joins par
until_true 90 "both serve" both_serve
on fra bash -c "'echo $plain >/dev/tcp/$address/4567'" || die "nobody listens on $address:4567"
heard "rows and a whole copy"
[ "$(sql par 'SELECT COUNT(*) FROM t.r')" = 30000 ] || die "the rows are not at par"
[ "$(count_of "$plain")" -gt 0 ] || die "the listener did not hear what was sent in clear"
[ "$(count_of 4444)" -gt 100 ] || die "no copy was seen"
[ "$(count_of "$secret")" = 0 ] || die "rows were read on the way"

# ---- a process without the certificate; the second time with one of its own CA
on fra bash -c "'install -d -o mysql /run/foreign && cd /run/foreign && openssl req -x509 -newkey rsa:2048 -nodes \
  -days 9 -subj /CN=fra -keyout key -out cert && chown mysql key cert'" || die "a certificate"
for options in 'socket.ssl=no' 'socket.ssl=yes;socket.ssl_key=/run/foreign/key;socket.ssl_cert=/run/foreign/cert;socket.ssl_ca=/run/foreign/cert'; do
  rc=0
  on fra timeout 60 mariadbd --no-defaults --user=mysql --datadir=/run/foreign --socket=/run/foreign/sock --port=3399 \
    --binlog-format=ROW --wsrep-on --wsrep-provider=/usr/lib/galera/libgalera_smm.so --wsrep-cluster-name=saas \
    --wsrep-cluster-address="gcomm://$address" --wsrep-sst-method=rsync --log-error=/run/foreign/log.err \
    "'--wsrep-provider-options=gmcast.listen_addr=tcp://$own:5567;pc.wait_prim_timeout=PT8S;$options'" || rc=$?
  [ $rc -ne 0 ] || die "a foreign server ran"
  on fra grep -q "'failed to reach primary view\|Failed to open backend\|gcs connect failed\|failed to open gcomm'" /run/foreign/log.err ||
    { on fra tail -n 20 /run/foreign/log.err; die "it ended for another reason"; }
  both_serve || die "the members do not serve both: $(status_of fra wsrep_cluster_size)"
  on fra rm -f /run/foreign/log.err
done
ok "a process without a certificate, or with one of another CA, does not join"
[ "$(on fra stat -c "'%U %G %a'" /etc/mysql/muster-tls/key.pem)" = "root mysql 640" ] || die "the key's mode"
on fra runuser -u www-data -- cat /etc/mysql/muster-tls/key.pem && die "the web server reads the key"

# ---- a new certificate
served_serial() { on fra sh -c "'openssl s_client -connect $address:4567 </dev/null 2>/dev/null | openssl x509 -noout -serial'"; }
old=$(served_serial) pid=$(pid_of par)
[ -n "$old" ] || die "no certificate on $address:4567"
python3 - "$XDG_STATE_HOME"/muster/*/muster.db <<'PY'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
assert db.execute("DELETE FROM meta WHERE key = 'tls:node:par'").rowcount == 1
db.commit()
PY
up "up with a new certificate"
[ "$(served_serial)" != "$old" ] || die "the database serves its old certificate"
[ "$(pid_of par)" = "$pid" ] || die "the database was restarted"
both_serve || die "not both serve with the new certificate"
ok "a new certificate is read without a restart"

# ---- a joiner that dies
probe() { # writes at fra, until the file is gone
  while [ -f "$work/probing" ]; do
    "$muster" ssh -f "$file" fra sudo mariadb -e "'INSERT INTO t.r (v) VALUES (1)'" 2>&1 || echo failed
  done
}
for at in 1 2; do
  forget par
  until_true 60 "par joins, for the $at. time" transfers fra
  : >"$work/probing"
  probe >"$work/probes" &
  power_off par
  gone() { [ "$(status_of fra wsrep_cluster_size)" = 1 ]; }
  until_true 30 "fra goes on alone" gone
  rm "$work/probing"
  wait $!
  [ ! -s "$work/probes" ] || die "writes failed while a joiner died: $(sort "$work/probes" | uniq -c)"
  state_is fra primary || die "fra: $(why fra)"
  start par
  until_true 120 "both serve" both_serve
done
ok "a joiner that dies takes nobody with it"

# ---- a copy for which there is no room
said_at_par() { on par journalctl -u muster-agent -b --no-pager -o cat | grep -qF "$1"; }
"$muster" cluster -f "$file" hold par --because 'a full disk' >/dev/null || die "hold"
on par systemctl stop mariadb
until_true 30 "fra goes on alone" gone
# More than fra keeps of write sets, so that only a whole copy helps.
sql fra "CREATE TABLE t.large (v LONGTEXT); $(printf 'INSERT INTO t.large SELECT REPEAT(UUID(), 250000);%.0s' {1..30})" || die "rows"
on fra rm -f /run/muster-agent/datadir-size # measured again now, not within a minute
knows() { [ "$(agent_json fra | jq '.db.bytes > 550000000 and .db.cached > 1')" = true ]; }
until_true 30 "fra knows how large it is" knows
on par sh -c "'free=\$(df --output=avail -B1 $datadir | tail -n 1); fallocate -l \$((free - 50000000)) $datadir/../ballast'" || die "ballast"
"$muster" cluster -f "$file" resume par >/dev/null || die "resume"
until_true 60 "par begins no copy that does not fit" said_at_par 'no whole copy is begun'
[ -n "$(on par ls $datadir/ibdata1)" ] || die "the data of par was removed for a copy that does not fit"
on par rm $datadir/../ballast
until_true 120 "both serve once there is room" both_serve

# ---- power is lost during a change of a table's definition
distrust() { on "$1" journalctl -u muster-agent -b --no-pager -o cat | grep -qF 'did not trust its state'; }
changed=
for round in 1 2 3 4 5; do
  on fra sh -c "'(while mariadb -e \"ALTER TABLE t.r ENGINE=InnoDB, ALGORITHM=COPY\"; do :; done) >/dev/null 2>&1 &'"
  unsafe() { on par grep -q "'^uuid: *00000000-0000'" $datadir/grastate.dat; }
  until_true 30 "the definition is changed" unsafe
  power_off fra &
  power_off par
  wait $!
  start fra
  start par
  until_true 120 "both serve after the loss of power ($round)" both_serve
  ! { distrust fra || distrust par; } || { changed=$round; break; }
done
[ -n "$changed" ] || die "no loss of power hit a change of a definition on both"
[ "$(sql fra 'CHECKSUM TABLE t.r' | cut -f2)" = "$(sql par 'CHECKSUM TABLE t.r' | cut -f2)" ] || die "the tables differ"
[ "$(sql fra 'SELECT COUNT(*) FROM t.r')" -ge 30000 ] || die "rows are lost"
up "up afterwards"
ok "data that nobody trusts serves again, round $changed"
