#!/bin/bash
# Ordinary acts after which the agents cannot ask the database as root: nothing is stopped, both sites
# answer, an event names what is wrong. And tables of MyISAM, which would be on one node only.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"

started() { on "$1" systemctl show -P ActiveEnterTimestampMonotonic mariadb; }
site() { curl -s -o /dev/null -m 10 -w '%{http_code}' "$(url_of "$1")/"; }
journal_has() { on "$1" journalctl -u muster-agent --no-pager -o cat | grep -F -- "$2" >/dev/null; }

sites=here
# Both serve, and have served since before, for this long.
unharmed() { # seconds what
  local end=$((SECONDS + $1)) n
  while [ $SECONDS -lt $end ]; do
    for n in fra par; do
      [ "$(on $n systemctl is-active mariadb)" = active ] || die "$2: the database of $n was stopped"
      state_is $n primary || die "$2: the coordinator of $n is $(coordinator $n): $(why $n)"
      [ "$sites" = away ] || [ "$(site $n)" = 200 ] || die "$2: the site of $n answers $(site $n)"
    done
    sleep 2
  done
  [ "$before" = "$(started fra) $(started par)" ] || die "$2: a database was restarted"
  ok "$2: both databases served for $1 s, the sites were $sites"
}

"$muster" up -f "$file" --progress plain >"$work/out" 2>&1 || { tail -n 40 "$work/out"; die "up"; }
before="$(started fra) $(started par)"

# ---- tables of MyISAM become InnoDB, with their rows on both
sql fra 'CREATE TABLE album.m (i INT PRIMARY KEY) ENGINE=MyISAM; INSERT INTO album.m VALUES (1)' ||
  die "a table of MyISAM is refused"
sql par 'CREATE DATABASE other; CREATE TABLE other.m (i INT, t TEXT, FULLTEXT(t)) ENGINE=Aria; INSERT INTO other.m VALUES (1, "a"), (2, "b")' ||
  die "a table of Aria is refused"
engine_is() { # NODE SCHEMA ENGINE
  [ "$(sql "$1" "SELECT ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA=\"$2\" AND TABLE_NAME=\"m\"")" = "$3" ]
}
for n in fra par; do
  until_true 30 "album.m is InnoDB on $n" engine_is $n album InnoDB
  until_true 30 "other.m is InnoDB on $n" engine_is $n other InnoDB
done
sql fra 'INSERT INTO album.m VALUES (2)'
for n in fra par; do
  [ "$(sql $n 'SET wsrep_sync_wait=1; SELECT COUNT(*) FROM album.m')$(sql $n 'SELECT COUNT(*) FROM other.m')" = 22 ] ||
    die "rows are missing on $n"
done
ok "MyISAM and Aria became InnoDB on both nodes, with all rows"

# ---- root gets a password
sql fra 'ALTER USER root@localhost IDENTIFIED BY "x"' || die "ALTER USER"
sql par 'SELECT 1' && die "root still works without its password"
unharmed 75 "root has a password"
journal_has fra "error 1045" || die "no event about error 1045"
on fra mariadb -px -e "'ALTER USER root@localhost IDENTIFIED VIA unix_socket'" || die "put root back"
until_true 30 "root can ask again" journal_has fra "root can ask the database again"

# ---- all connections are used, and the agents' own account is gone as well: nobody can be asked
fill() { # NODE: more sessions than there may be, as root
  on "$1" sh -c "'mariadb -e \"SET GLOBAL max_connections=10\"; for i in \$(seq 12); do setsid mariadb -e \"SELECT SLEEP(100)\" >/dev/null 2>&1 & done'"
}
fill fra
fill par
sites=away # an application has no connection left either
unharmed 45 "all connections are used"
journal_has fra "error 1040" || die "no event about error 1040"
for n in fra par; do on $n pkill -f "'SELECT SLEEP'" || true; done
until_true 60 "root works on fra" sql fra 'SET GLOBAL max_connections=151'
until_true 60 "root works on par" sql par 'SET GLOBAL max_connections=151'
sites=here
sql fra 'DROP USER "muster-fra"@"127.0.0.1", "muster-par"@"127.0.0.1"; ALTER USER root@localhost IDENTIFIED BY "x"' || die "DROP USER"
unharmed 75 "neither root nor the agents' account may look"
journal_has fra "cannot be asked" || die "no event that it is unknown"
health() { on fra curl -s -o /dev/null -w "'%{http_code}'" "http://127.0.0.1:7404$1"; }
# not known to be ready, and no reason to take it out of traffic
[ "$(health /ready) $(health /)" = "503 200" ] || die "health: $(health /ready) $(health /)"
on fra mariadb -px -e "'ALTER USER root@localhost IDENTIFIED VIA unix_socket'" || die "put root back"
until_true 60 "it is known again" sh -c "'$muster' ssh -f '$file' fra sudo muster-agent status --json 2>/dev/null | jq -e '.db.state == \"Synced\"' >/dev/null"
"$muster" up -f "$file" --progress plain >"$work/out" 2>&1 || { tail -n 40 "$work/out"; die "up"; }
[ "$(sql fra 'SELECT COUNT(*) FROM mysql.user WHERE user LIKE "muster-%"')" -ge 1 ] || die "the agents' account was not made again"
