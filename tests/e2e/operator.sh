#!/bin/bash
# What operators tell the cluster: a node in maintenance, a rolling restart under load, a node that is
# stopped in order, and a member that comes back with what the others went on without.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"

health() { on "$1" curl -s -m 5 -w "'\n%{http_code}'" "http://127.0.0.1:7404$2"; }
health_is() { [ "$(health "$1" "$2" | tail -n 1)" = "$3" ]; }
refused() { # CODE TEXT COMMAND…
  local rc=0
  "${@:3}" >"$work/out" 2>&1 </dev/null || rc=$?
  { [ $rc -eq "$1" ] && grep -qF -- "$2" "$work/out"; } || { cat "$work/out"; die "exit $rc instead of $1 with '$2': ${*:3}"; }
}
cluster() { "$muster" cluster -f "$file" "$@"; }

"$muster" up -f "$file" --progress plain >"$work/out" 2>&1 || { tail -n 40 "$work/out"; die "up"; }
sql fra 'CREATE TABLE album.kept (id INT AUTO_INCREMENT PRIMARY KEY, at TIMESTAMP) ENGINE=InnoDB' || die "CREATE TABLE"
cluster status | grep -E '^  par +primary ' || die "status: $(cluster status)"
cluster explain par | grep -F 'nothing is waited for' || die "explain: $(cluster explain par)"
cluster history | grep -E 'epoch 1  first: (fra|par) starts first' || die "history: $(cluster history)"

# ---- what is typed wrongly does nothing
refused 2 "cluster: status, explain" "$muster" cluster -f "$file" recovr
refused 2 "--from NODE --without NODE" "$muster" cluster -f "$file" recover --from fra
refused 2 "no node 'nobody'" "$muster" cluster -f "$file" hold nobody
refused 2 "name the node" "$muster" cluster -f "$file" hold
refused 7 "there is nothing to release" "$muster" cluster -f "$file" release par --confirm par
refused 7 "nothing to recover" "$muster" cluster -f "$file" recover --from fra --without par --confirm par
refused 2 "on or off" "$muster" maintenance -f "$file" fra over
refused 2 "--rolling" "$muster" restart -f "$file"
ok "what is typed wrongly is refused, and says why"

# ---- maintenance
"$muster" maintenance -f "$file" fra on --because "its disk's exchanged" || die "maintenance on"
until_true 20 "fra is to get no traffic" health_is fra / 503
health fra / | grep -F "its disk's exchanged" || die "the reason: $(health fra /)"
health_is par / 200 || die "par: $(health par /)"
"$muster" status -f "$file" | grep -F "in maintenance: its disk's exchanged" || die "status: $("$muster" status -f "$file")"
refused 7 "no other member is known to serve, and not held" "$muster" maintenance -f "$file" par on
on fra systemctl stop mariadb
until_true 30 "the database of fra stays down" sh -c "'$muster' cluster explain -f '$file' fra | grep -F 'held by an operator (its disk'"
refused 5 "fra: its database is down; in maintenance" "$muster" up -f "$file" --progress plain
refused 7 "no other member is known to serve, and not held" "$muster" restart -f "$file" par
[ "$(on fra systemctl is-active mariadb)" != active ] || die "the database of fra was started"
"$muster" maintenance -f "$file" fra off || die "maintenance off"
until_true 60 "fra serves again" state_is fra primary
until_true 30 "fra is to get traffic" health_is fra / 200
ok "a node was in maintenance, with its database down, and is back"

# ---- all databases restart one after another: one of them takes writes at any time
started() { on "$1" systemctl show -P ActiveEnterTimestampMonotonic mariadb; }
before="$(started fra) $(started par)"
(while [ ! -e "$work/stop" ]; do
  sql fra 'INSERT INTO album.kept VALUES ()' || sql par 'INSERT INTO album.kept VALUES ()' || echo "neither takes a write" >>"$work/lost"
  echo >>"$work/written"
done) 2>/dev/null &
writer=$!
"$muster" restart -f "$file" --rolling || die "restart --rolling"
touch "$work/stop"
wait $writer
[ ! -e "$work/lost" ] || die "$(sort "$work/lost" | uniq -c)"
after="$(started fra) $(started par)"
{ [ "${before% *}" != "${after% *}" ] && [ "${before#* }" != "${after#* }" ]; } || die "a database was not restarted"
until_true 30 "both have all rows" sh -c "'$muster' ssh -f '$file' par sudo mariadb -N -e \"'SET SESSION wsrep_sync_wait=1; SELECT COUNT(*) FROM album.kept'\" 2>/dev/null | grep -qx $(wc -l <"$work/written")"
ok "rolling restart: $(wc -l <"$work/written") writes meanwhile, all taken"

# ---- par is stopped in order: fra may recover without it, and does
no_vote() { cluster status fra | grep -E '^  par .*no vote'; }
votes() { cluster status fra | grep -E '^  par +primary ' | grep -v 'no vote'; }
cloud stopVirtualMachine id="$(id_of vm:par)" >/dev/null || die "stopVirtualMachine"
until_true 30 "par has no vote" no_vote
sql fra 'INSERT INTO album.kept VALUES ()' || die "fra takes no writes"
power_off fra
cloud startVirtualMachine id="$(id_of vm:fra)" >/dev/null || die "startVirtualMachine"
until_true 120 "fra serves again, alone" state_is fra primary
cloud startVirtualMachine id="$(id_of vm:par)" >/dev/null || die "startVirtualMachine"
until_true 120 "par serves again" state_is par primary
until_true 20 "par has its vote again" votes

# ---- par goes on alone by hand, is lost, fra is told to serve without it, and par comes back
power_off fra
until_true 60 "par has no quorum" state_is par non-primary
sql par 'SET GLOBAL wsrep_provider_options="pc.bootstrap=1"' || die "pc.bootstrap"
until_true 30 "par takes writes by hand" sql par 'INSERT INTO album.kept VALUES (),(),()'
power_off par
cloud startVirtualMachine id="$(id_of vm:fra)" >/dev/null || die "startVirtualMachine"
waits() { cluster explain fra 2>/dev/null | grep -F 'muster cluster recover --from fra --without par'; }
until_true 120 "fra waits for par, and says what can be done" waits
refused 7 "the name was not typed" "$muster" cluster -f "$file" recover --from fra --without par
echo par | cluster recover --from fra --without par --because "the zone is gone" || die "recover"
told=$SECONDS
until_true 60 "fra serves" state_is fra primary
ok "served $((SECONDS - told)) s after recover was typed"
kept=$(sql fra 'SELECT COUNT(*) FROM album.kept')
cloud startVirtualMachine id="$(id_of vm:par)" >/dev/null || die "startVirtualMachine"
until_true 120 "par is in quarantine" state_is par quarantine
cluster explain par | tee "$work/explain"
grep -qE 'only here: +[0-9]+\.\.[0-9]+' "$work/explain" || die "explain does not say what only par has"
[ "$(sql fra 'SELECT COUNT(*) FROM album.kept')" = "$kept" ] || die "rows of fra"
refused 7 "the name was not typed" "$muster" cluster -f "$file" release par
echo par | cluster release par --because "three rows are written again by hand" || die "release"
until_true 180 "par is part of the cluster" state_is par primary
until_true 30 "par has the rows of fra" sh -c "[ \"\$('$muster' ssh -f '$file' par sudo mariadb -N -e \"'SELECT COUNT(*) FROM album.kept'\" 2>/dev/null)\" = $kept ]"
on par sh -c "'ls -d /media/*/mysql.kept-*'" || die "the old data is gone"
cluster history par | grep -F 'forced: fra starts first' | grep -F 'without par (the zone is gone)' || die "history: $(cluster history par)"
cluster history par | grep -F 'an operator: release par (three rows' || die "history: $(cluster history par)"
"$muster" up -f "$file" --progress plain >"$work/out" 2>&1 || { tail -n 40 "$work/out"; die "up"; }
ok "a member that was ahead was kept apart, explained, released, and has a copy; its own data is kept"
