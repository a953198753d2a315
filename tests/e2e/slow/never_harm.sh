#!/bin/bash
# Ten minutes under load, eight writers a site, in which one thing after another keeps the agents from
# asking their databases: nothing is stopped or started because of it, what can serve serves on, the
# health endpoints say what is so, an event names the cause, and it is repaired as an operator would.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/../lib.sh"

nodes='fra par'
started() { on "$1" systemctl show -P ActiveEnterTimestampMonotonic mariadb; }
restarts() { on "$1" systemctl show -P NRestarts mariadb; }
health() { on "$1" curl -s -o /dev/null -m 5 -w "'%{http_code}'" "http://127.0.0.1:7404$2"; }
journal_has() { on "$1" journalctl -u muster-agent --no-pager -o cat | grep -F -- "$2" >/dev/null; }
health_is() { [ "$(health "$1" "$2")" = "$3" ]; }
as_root() { on "$1" mariadb -N -e "'$2'"; }
with_password() { on "$1" mariadb -px -N -e "'$2'"; }
works() { [ "$(as_root "$1" 'SELECT 1')" = 1 ]; }
seen() { [ "$(agent_json "$1" | jq -r '.db.state + (.db.unknown // "") + (.db.login // "")')" = Synced ]; }

# Their sessions stay open: what is refused to new ones is not refused to them.
write_on() { # NODE
  on "$1" sh -c "'for w in 1 2 3 4 5 6 7 8; do
    (while echo \"INSERT INTO album.load_$1 VALUES (DEFAULT, \$w);\"; do sleep 0.1; done | exec mariadb -n) \
      >/dev/null 2>&1 </dev/null & done'"
}
rows() { on "$1" mariadb --socket="${sock:-/run/mysqld/mysqld.sock}" -N -e "'SET SESSION wsrep_sync_wait=0; SELECT (SELECT COUNT(*) FROM album.load_fra) + (SELECT COUNT(*) FROM album.load_par)'"; }

# Nothing is stopped, started or taken out of the cluster for so long.
unharmed() { # SECONDS WHAT
  local end=$((SECONDS + $1)) n
  while [ $SECONDS -lt $end ]; do
    for n in $nodes; do
      [ "$(on "$n" systemctl is-active mariadb)" = active ] || die "$2: the database of $n was stopped"
      state_is "$n" primary || die "$2: the coordinator of $n is $(coordinator "$n"): $(why "$n")"
      health_is "$n" /live 200 || die "$2: $n is not live"
    done
    sleep 2
  done
  [ "$begun" = "$(for n in $nodes; do started "$n"; restarts "$n"; done)" ] || die "$2: a database was restarted"
  ok "$2: both databases served on for $1 s"
}
# As before: known, ready, and the writers have gone on.
repaired() { # WHAT
  local n now
  for n in $nodes; do
    until_true 60 "$1: $n is asked again" seen "$n"
    until_true 60 "$1: $n is ready" health_is "$n" /ready 200
  done
  now=$(rows fra)
  [ "$now" -gt "$written" ] || die "$1: nothing was written meanwhile: $written, $now rows"
  written=$now
}

"$muster" up -f "$file" --progress plain >"$work/out" 2>&1 || { tail -n 40 "$work/out"; die "up"; }
for n in $nodes; do as_root fra "CREATE TABLE album.load_$n (id BIGINT AUTO_INCREMENT PRIMARY KEY, w INT)" || die "CREATE TABLE"; done
for n in $nodes; do write_on "$n"; done
begun=$(for n in $nodes; do started "$n"; restarts "$n"; done)
written=0 from=$SECONDS
repaired "eight writers a site"

# ---- root gets a password
as_root fra 'ALTER USER root@localhost IDENTIFIED BY "x"' || die "ALTER USER"
unharmed 100 "root has a password"
for n in $nodes; do
  journal_has "$n" "error 1045" || die "no event on $n names error 1045"
  health_is "$n" /ready 200 || die "$n serves, and is not ready: $(health "$n" /ready)" # its own account sees it
done
with_password fra 'ALTER USER root@localhost IDENTIFIED VIA unix_socket' || die "put root back"
repaired "root has its socket again"

# ---- all connections are used, on one, then on both
fill() { # NODE: more sessions than there may be
  on "$1" sh -c "'mariadb -e \"SET GLOBAL max_connections=12\"; for i in \$(seq 12); do setsid mariadb -e \"SELECT SLEEP(200)\" >/dev/null 2>&1 & done'"
}
fill fra
unharmed 90 "all connections are used on one"
journal_has fra "error 1040" || die "no event on fra names error 1040"
health_is fra /read-write 200 || die "the database takes writes, and is not said to: $(health fra /read-write)"
health_is par /ready 200 || die "par is not ready: $(health par /ready)"
fill par
unharmed 90 "all connections are used on both"
journal_has par "error 1040" || die "no event on par names error 1040"
for n in $nodes; do
  on "$n" pkill -f "'SELECT SLEEP'" || true
  until_true 60 "root works on $n" works "$n"
  as_root "$n" 'SET GLOBAL max_connections=151'
done
repaired "connections are free again"

# ---- the accounts of another server are restored here: root with its password, nobody that we made
cat >"$work/dump.sql" <<'SQL'
SET SESSION wsrep_on=OFF;
USE mysql;
CREATE TABLE kept LIKE global_priv;
INSERT INTO kept SELECT * FROM global_priv;
DELETE FROM global_priv WHERE User <> 'mariadb.sys';
INSERT INTO global_priv VALUES ('localhost', 'root', JSON_OBJECT('access', 18446744073709551615, 'plugin', 'mysql_native_password', 'authentication_string', PASSWORD('x')));
FLUSH PRIVILEGES;
SQL
for n in $nodes; do "$muster" ssh -f "$file" "$n" sudo mariadb <"$work/dump.sql" || die "restore the accounts on $n"; done
unharmed 100 "the accounts of another server are here"
for n in $nodes; do
  journal_has "$n" "cannot be asked" || die "no event on $n says that it cannot be asked"
  health_is "$n" /ready 503 || die "$n is said to be ready, and nobody can look"
done
for n in $nodes; do
  with_password "$n" 'SET SESSION wsrep_on=OFF; USE mysql; DELETE FROM global_priv; INSERT INTO global_priv SELECT * FROM kept; DROP TABLE kept; FLUSH PRIVILEGES' || die "give $n its accounts back"
done
repaired "the accounts are ours again"

# ---- nobody but root may use the socket's directory
for n in $nodes; do on "$n" chmod 0700 /run/mysqld; on "$n" chown root:root /run/mysqld; done
unharmed 60 "the socket's directory is closed"
for n in $nodes; do
  health_is "$n" /read-write 200 || die "the database of $n serves: $(health "$n" /read-write)"
  health_is "$n" / 503 || die "the site of $n has no database, and is to get traffic"
done
for n in $nodes; do on "$n" chown mysql:root /run/mysqld; on "$n" chmod 0755 /run/mysqld; done
repaired "the socket's directory is open"

# ---- SHOW STATUS takes 30 seconds, whichever way it is asked for
cat >"$work/slow.py" <<'PY'
# Passes bytes between a client and the database; what the database says after the log-in is late.
import os, socket, sys, threading, time
real = sys.argv[1]
def carry(a, b, late):
    n = 0
    while (data := a.recv(65536)):
        n += 1
        if late and n > 2:
            time.sleep(30)
        b.sendall(data)
    for s in (a, b):
        try: s.shutdown(socket.SHUT_RDWR)
        except OSError: pass
def serve(server):
    while True:
        client, _ = server.accept()
        db = socket.socket(socket.AF_UNIX)
        db.connect(real)
        threading.Thread(target=carry, args=(client, db, False), daemon=True).start()
        threading.Thread(target=carry, args=(db, client, True), daemon=True).start()
local = socket.socket(socket.AF_UNIX)
local.bind("/run/mysqld/mysqld.sock")
os.chmod("/run/mysqld/mysqld.sock", 0o777)
local.listen(64)
tcp = socket.socket()
tcp.bind(("127.0.0.1", 3399))
tcp.listen(64)
threading.Thread(target=serve, args=(tcp,), daemon=True).start()
serve(local)
PY
for n in $nodes; do
  on "$n" apt-get install -qqy nftables >"$work/apt" || { cat "$work/apt"; die "nftables on $n"; }
  "$muster" ssh -f "$file" "$n" sudo sh -c "'cat >/root/slow.py'" <"$work/slow.py" || die "the slow way"
  on "$n" mv /run/mysqld/mysqld.sock /run/mysqld/real.sock
  on "$n" sh -c "'setsid python3 /root/slow.py /run/mysqld/real.sock >/root/slow.log 2>&1 &'"
  on "$n" sh -c "'nft add table ip slow; nft add chain ip slow out { type nat hook output priority -100 \\; }; nft add rule ip slow out ip daddr 127.0.0.1 tcp dport 3307 redirect to :3399'" ||
    die "the agents' own way on $n"
done
sock=/run/mysqld/real.sock
unharmed 120 "SHOW STATUS takes 30 s"
for n in $nodes; do
  journal_has "$n" "cannot be asked" || die "no event on $n says that it cannot be asked"
  health_is "$n" /ready 503 || die "$n is said to be ready, and nobody can look"
done
for n in $nodes; do
  on "$n" nft delete table ip slow
  on "$n" pkill -f slow.py
  on "$n" rm -f /run/mysqld/mysqld.sock
  on "$n" mv /run/mysqld/real.sock /run/mysqld/mysqld.sock
done
unset sock
repaired "SHOW STATUS answers at once"

"$muster" up -f "$file" --progress plain >"$work/out" 2>&1 || { tail -n 40 "$work/out"; die "up"; }
for n in $nodes; do on "$n" pkill -x mariadb || true; done
same_rows() { [ "$(rows fra)" = "$(rows par)" ]; }
until_true 30 "both have the same rows" same_rows
[ "$begun" = "$(for n in $nodes; do started "$n"; restarts "$n"; done)" ] || die "a database was restarted"
ok "$((SECONDS - from)) s under load, no database was stopped or restarted; $written rows were written"
