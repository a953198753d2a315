#!/bin/bash
# The handler that keeps PHP's sessions in the database (agent/app/sessions.php): PHP's command line as the
# visitors' requests, and a real cluster of two members on loopback, without any machine around them.
set -euo pipefail
cd "$(dirname "$0")/../.."
dir=$(mktemp -d /tmp/muster-sessions-XXXXXX)
request=$PWD/tests/hosts/sessions.php
pids=()
away() {
  local rc=$?
  [ $rc -eq 0 ] || tail -n 30 "$dir"/log "$dir"/*.err 2>/dev/null || true
  if [ ${#pids[@]} -ne 0 ]; then
    kill -9 "${pids[@]}" 2>/dev/null || true
    wait "${pids[@]}" 2>/dev/null || true
  fi
  rm -rf "$dir"
}
trap away EXIT
die() {
  printf 'FAILED: %s\n' "$*"
  exit 1
}
ok() { printf 'ok: %s\n' "$*"; }
until_true() { # SECONDS WHAT COMMAND…
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    [ $SECONDS -lt $end ] || die "not within the time: $what"
    sleep 0.1
  done
}
is() { [ "$2" = "$3" ] || die "$1: '$2', expected '$3'"; }

# ---- two members that begin with the same data
chmod 755 "$dir"
mariadb-install-db --no-defaults --datadir="$dir/fra" --auth-root-authentication-method=normal >"$dir/install.log" 2>&1 ||
  { cat "$dir/install.log"; die "mariadb-install-db"; }
member() { # NAME ADDRESS [--wsrep-new-cluster]
  PATH=$dir:$PATH /usr/sbin/mariadbd --no-defaults --user="$(id -un)" --datadir="$dir/$1" --socket="$dir/$1.sock" --skip-networking \
    --pid-file="$dir/$1.pid" --log-error="$dir/$1.err" --binlog-format=ROW --innodb-autoinc-lock-mode=2 \
    --innodb-flush-log-at-trx-commit=0 --innodb-buffer-pool-size=16M --wsrep-on=ON \
    --wsrep-provider=/usr/lib/galera/libgalera_smm.so --wsrep-cluster-address=gcomm://127.0.0.2,127.0.0.3 \
    --wsrep-node-address="$2" --wsrep-node-name="$1" --wsrep-sst-method=nothing \
    --wsrep-provider-options="gmcast.listen_addr=tcp://$2:4567;ist.recv_addr=$2:4568;gcache.size=8M" ${3:+"$3"} &
  pids+=($!)
}
sql() { mariadb --no-defaults -N -uroot -S "$dir/$1.sock" -e "$2" 2>>"$dir/log"; }
synced() { [ "$(sql "$1" "SHOW STATUS LIKE 'wsrep_local_state_comment'" | cut -f2)" = Synced ]; }
ip addr add 127.0.0.3/8 dev lo 2>/dev/null || true
member fra 127.0.0.2 --wsrep-new-cluster
until_true 60 "fra is a cluster" synced fra
sql fra SHUTDOWN
wait "${pids[0]}"
pids=()
cp -a "$dir/fra" "$dir/par"
# What par lacks comes as write sets; nothing is to be copied.
group=$(sed -n 's/^uuid: *//p' "$dir/par/grastate.dat"):$(sed -n 's/^seqno: *//p' "$dir/par/grastate.dat")
printf '#!/bin/sh\ncase "$*" in\n*joiner*) echo ready 127.0.0.3; echo %s ;;\n*) echo done %s ;;\nesac\n' "$group" "$group" \
  >"$dir/wsrep_sst_nothing"
chmod +x "$dir/wsrep_sst_nothing"
member fra 127.0.0.2 --wsrep-new-cluster
until_true 60 "fra is a cluster again" synced fra
member par 127.0.0.3
until_true 60 "par is in it" synced par

# shellcheck disable=SC2016 # the password has all that is hard to quote
password=$'it\'s a \\ "$x" @user@'
quoted=${password//\\/\\\\}
sql fra "CREATE DATABASE album; CREATE USER album@localhost IDENTIFIED BY '${quoted//\'/\'\'}'; GRANT ALL ON album.* TO album@localhost"
create=$(sed -n '/define SESSIONS_CREATE/,/^$/p' agent/app/sessions.h | sed -n 's/^ *"\(.*\)".*/\1/p' | tr -d '\n')
sql fra "CREATE TABLE album.muster_sessions $create" || { cat "$dir/log"; die "the table: $create"; }
for n in fra par; do
  # As agent/app/sessions.c does it.
  python3 - "$dir/$n" "$password" <<'PY'
import sys
path, password = sys.argv[1:]
quote = lambda s: s.replace("\\", "\\\\").replace("'", "\\'")
text = open("agent/app/sessions.php").read()
for name, value in (("dsn", f"mysql:unix_socket={path}.sock;dbname=album;charset=binary"), ("user", "album"), ("password", password)):
    text = text.replace(f"'@{name}@'", "'" + quote(value) + "'")
open(path + ".php", "w").write(text)
PY
done

options=(-d session.serialize_handler=php)
# One request at a node: the session's name ("-": none yet) and what it does; it prints name and content.
at() { # NODE ID WORD…
  php -d auto_prepend_file="$dir/$1.php" -d session.gc_probability=0 -d error_log="$dir/log" -d log_errors=1 \
    "${options[@]}" "$request" "${@:2}"
}
content() { at "$@" | cut -d' ' -f2-; }
rows() { sql "$1" "SELECT COUNT(*) FROM album.muster_sessions"; }

# ---- a session goes on at the other node
id=$(at fra - count=n | cut -d' ' -f1)
[[ $id =~ ^[a-z0-9]{26,}$ ]] || die "no session: '$id'"
for n in par fra par par fra; do at $n "$id" count=n >/dev/null || die "a request at $n"; done
is "counted over both" "$(content par "$id")" '{"n":6}'
[ "$(sql fra "SELECT COUNT(*) FROM album.muster_sessions WHERE id = UNHEX(SHA2('$id', 256))")" = 1 ] || die "not by its digest"
[ "$(sql fra "SELECT COUNT(*) FROM album.muster_sessions WHERE id LIKE '%$id%' OR data LIKE '%$id%'")" = 0 ] || die "its name is in the table"
ok "a session goes on at the other node"
for _ in $(seq 20); do
  at fra "$id" count=m >/dev/null
  at par "$id" count=m >/dev/null
done
is "what was just written there is read here" "$(content par "$id")" '{"m":40,"n":6}'
ok "forty requests in turn at both nodes"

# ---- a name that nobody gave out
stranger=$(at fra abcdefghijklmnopqrstuvwxyz count=n | cut -d' ' -f1)
[ "$stranger" != abcdefghijklmnopqrstuvwxyz ] || die "a name of the visitor's own was taken"
for bad in "x' OR 1=1" short ../../etc/passwd; do
  [ "$(at fra "$bad" count=n 2>/dev/null | cut -d' ' -f1)" != "$bad" ] || die "taken: $bad"
done
ok "only names that were given out"

# ---- two requests at one node: the second waits for the first
id=$(at fra - count=n | cut -d' ' -f1)
at fra "$id" hold="$dir/held"="$dir/go" count=n >/dev/null &
first=$!
until_true 10 "the first holds it" test -e "$dir/held"
at fra "$id" count=n >/dev/null &
second=$!
waits() { [ "$(sql fra "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'")" = 1 ]; }
until_true 10 "the second waits" waits
touch "$dir/go"
wait $first $second
is "both counted" "$(content fra "$id")" '{"n":3}'
ok "requests at one node follow each other"

# ---- at two nodes at once: neither overwrites what the other one changed
rm -f "$dir/held" "$dir/go"
at fra "$id" set=gone=1 set=same=0 object=o >/dev/null
at fra "$id" hold="$dir/held"="$dir/go" set=fra=1 unset=gone set=same=fra >/dev/null &
first=$!
until_true 10 "fra holds it" test -e "$dir/held"
at par "$id" set=par=1 count=n set=same=par >/dev/null || die "par waits for fra"
touch "$dir/go"
wait $first
is "both are kept" "$(content fra "$id")" '{"fra":"1","n":4,"o":{"a|b\";}":[1.5,true,null,-7],"x":{}},"par":"1","same":"fra"}'
is "and the same at par" "$(content par "$id")" "$(content fra "$id")"
ok "changes at two nodes at once are joined"

# ---- what cannot be joined is said, and the later one counts
for format in php php_serialize; do
  options=(-d "session.serialize_handler=$format")
  rm -f "$dir/held" "$dir/go" "$dir/log"
  id=$(at fra - set=a=1 ref=r=a | cut -d' ' -f1)
  at fra "$id" hold="$dir/held"="$dir/go" set=fra=1 >/dev/null &
  first=$!
  until_true 10 "fra holds it" test -e "$dir/held"
  at par "$id" set=par=1 >/dev/null
  touch "$dir/go"
  wait $first
  is "of $format the later one counts" "$(content par "$id")" '{"a":"1","fra":"1","r":["1"]}'
  grep -q 'the later one counts' "$dir/log" || die "nothing was said"
done
options=(-d session.serialize_handler=php)
ok "what cannot be joined is said"

# ---- ended at one node, and not brought back by a request that is under way at the other one
id=$(at fra - count=n | cut -d' ' -f1)
rm -f "$dir/held" "$dir/go"
at fra "$id" hold="$dir/held"="$dir/go" count=n >/dev/null &
first=$!
until_true 10 "fra holds it" test -e "$dir/held"
before=$(rows par)
at par "$id" destroy >/dev/null
touch "$dir/go"
wait $first
is "it is gone" "$(rows fra)" $((before - 1))
[ "$(at par "$id" count=n | cut -d' ' -f1)" != "$id" ] || die "it came back"
ok "what was ended stays so"

# ---- a new name takes the content along; one that is closed early holds nobody
id=$(at fra - count=n | cut -d' ' -f1)
new=$(at fra "$id" count=n regenerate | cut -d' ' -f1)
[ "$new" != "$id" ] || die "the same name"
is "under the new name" "$(content par "$new")" '{"n":2}'
[ "$(at par "$id" | cut -d' ' -f1)" != "$id" ] || die "the old name is good still"
rm -f "$dir/held" "$dir/go"
at fra "$new" count=n close hold="$dir/held"="$dir/go" >/dev/null &
first=$!
until_true 10 "it is closed" test -e "$dir/held"
is "it holds nobody" "$(content fra "$new" count=n)" '{"n":4}'
touch "$dir/go"
wait $first
ok "new names, early ends"

# ---- what is only read is not written, unless it is long ago
state() { sql fra "SELECT version, touched FROM album.muster_sessions WHERE id = UNHEX(SHA2('$new', 256))"; }
before=$(state)
content par "$new" >/dev/null
is "nothing was written" "$(state)" "$before"
sql fra "UPDATE album.muster_sessions SET touched = touched - 100"
content par "$new" >/dev/null
[ "$(state | cut -f2)" -gt $(($(cut -f2 <<<"$before") - 10)) ] || die "it was not noted as used"
is "and nothing else" "$(state | cut -f1)" "$(cut -f1 <<<"$before")"
sql fra "UPDATE album.muster_sessions SET touched = touched - 100000 WHERE id = UNHEX(SHA2('$new', 256))"
[ "$(at par "$new" | cut -d' ' -f1)" != "$new" ] || die "an old one is good still"
ok "reads are not writes, and old ones are not good"

# ---- sweeping is bounded
sql fra "SET @n = 0; INSERT INTO album.muster_sessions SELECT UNHEX(SHA2(@n := @n + 1, 256)), '', 1, 1 FROM information_schema.collations a, information_schema.collations b LIMIT 1200"
before=$(rows fra)
[ "$before" -ge 1200 ] || die "only $before rows"
sed -i "s/'session.gc_divisor', '100'/'session.gc_divisor', '1'/" "$dir/fra.php"
at fra - >/dev/null
is "five hundred at once" "$(rows fra)" $((before + 1 - 500))
for _ in 1 2 3; do at fra - >/dev/null; done
[ "$(sql par "SELECT COUNT(*) FROM album.muster_sessions WHERE touched = 1")" = 0 ] || die "old ones are left"
ok "old ones go, some at a time"

# ---- a database that goes and comes, and one without a group
id=$(at fra - count=n | cut -d' ' -f1)
rm -f "$dir/held" "$dir/go"
at fra "$id" hold="$dir/held"="$dir/go" count=n >/dev/null &
first=$!
until_true 10 "fra holds it" test -e "$dir/held"
for connection in $(sql fra "SELECT id FROM information_schema.processlist WHERE user = 'album'"); do sql fra "KILL $connection"; done
touch "$dir/go"
wait $first || die "a lost connection"
is "it was written over another one" "$(content par "$id")" '{"n":2}'
sql par "SET GLOBAL wsrep_provider_options = 'pc.ignore_quorum=0'; SET GLOBAL wsrep_cluster_address = 'gcomm://127.0.0.9'" &
refused() { ! at par "$id" count=n >/dev/null 2>&1; }
until_true 30 "a member without a group refuses" refused
is "and the session is what it was" "$(content fra "$id")" '{"n":2}'
ok "lost connections, and a member without a group"
