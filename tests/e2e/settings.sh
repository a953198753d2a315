#!/bin/bash
# Settings of the database in the file: what can be set is set in the servers that run, the rest at
# their next start, which `status` says; what the server would refuse is refused before it is written.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"

conf=/etc/mysql/mariadb.conf.d/80-muster-galera.cnf
up() { "$muster" up -f "$file" --progress plain >"$work/out" 2>&1 || { tail -n 30 "$work/out"; die "$1"; }; }
value() { sql "$1" "SELECT @@GLOBAL.$2"; }
option() { value "$1" wsrep_provider_options | tr ';' '\n' | sed -n "s/^ *$2 = //p"; }
pid_of() { on "$1" systemctl show -P MainPID mariadb; }
settings() { # the inner part of a map
  sed -i "s|^database: .*|database: {cluster: saas, mount: /media/datadisk-mariadb, settings: {$1}}|" "$file"
}
pending() { "$muster" status -f "$file" | grep "restart pending" || true; }

settings 'max_connections: 77, gcache.size: 64M'
up "up"
for n in fra par; do
  [ "$(value $n max_connections)" = 77 ] || die "$n: max_connections at the first start"
  [ "$(option $n gcache.size)" = 64M ] || die "$n: gcache.size: $(option $n gcache.size)"
done
pids="$(pid_of fra) $(pid_of par)"
ok "the first start has them"

settings 'max_connections: 88, innodb-buffer-pool-size: 99M, innodb_ft_min_token_size: 4, gcache.size: 96M, gcs.fc_limit: 99'
up "up with changed settings"
for n in fra par; do
  [ "$(value $n max_connections)" = 88 ] || die "$n: max_connections"
  [ "$(value $n innodb_buffer_pool_size)" -ge 99000000 ] || die "$n: the buffer pool"
  [ "$(option $n gcs.fc_limit)" = 99 ] || die "$n: gcs.fc_limit"
  [ "$(value $n innodb_ft_min_token_size)" = 3 ] || die "$n: what is read at the start only"
done
[ "$(pid_of fra) $(pid_of par)" = "$pids" ] || die "a database was restarted"
"$muster" up -f "$file" --progress plain >"$work/out" 2>&1
grep -q ' 0 changed' "$work/out" || { cat "$work/out"; die "a further up changes something"; }
[ "$(pending | wc -l)" = 2 ] || die "status: $("$muster" status -f "$file")"
is_ready || die "not ready"
ok "set without a restart; the rest waits:$(pending | head -n 1)"

"$muster" restart -f "$file" --rolling >"$work/out" 2>&1 || { cat "$work/out"; die "restart"; }
for n in fra par; do
  [ "$(value $n innodb_ft_min_token_size) $(option $n gcache.size)" = "4 96M" ] || die "$n: after its restart"
done
up "up after the restart"
[ -z "$(pending)" ] || die "still pending: $(pending)"
ok "after a rolling restart all are as the file says"

# ---- what the server would not start with
pids="$(pid_of fra) $(pid_of par)" before=$(on fra sha256sum $conf)
for wrong in 'innodb_bufferpool_size: 1G' 'innodb_buffer_pool_siz: 1G' 'max_connections: xyz' 'character_set_server: utf9'; do
  settings "$wrong"
  rc=0
  "$muster" up -f "$file" --progress plain >"$work/out" 2>&1 || rc=$?
  [ $rc -eq 5 ] || [ $rc -eq 7 ] || { cat "$work/out"; die "$wrong: exit $rc"; }
  grep -q "database.settings: the server would not start with this: .*${wrong#*: }" "$work/out" ||
    grep -q "database.settings: the server would not start with this: .*${wrong%%:*}" "$work/out" || { cat "$work/out"; die "$wrong"; }
done
[ "$(on fra sha256sum $conf)" = "$before" ] || die "a wrong setting was written"
[ "$(pid_of fra) $(pid_of par)" = "$pids" ] || die "a database was restarted"
settings 'max_connections: 99'
up "up with the mistake repaired"
[ "$(value fra max_connections)" = 99 ] || die "max_connections after the mistake"
ok "a wrong setting is refused before it is written"
