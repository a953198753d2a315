#!/bin/bash
# The hub as a service: `up`, `status`, `watch` and `events` work with it and without it, before and
# after it was killed; what is done by hand is named at once, and repaired when somebody says so.
source "$(dirname "$0")/lib.sh"

serve() {
  "$muster" serve -f "$file" >>"$work/serve.log" 2>&1 &
  hub=$!
  until_true 60 "a hub listens" listens
}
listens() { grep -qs "process $hub\$" "$state/hub.lock" && [ -S "$state/hub.sock" ]; }
end_hub() {
  kill "$@" $hub
  wait $hub 2>/dev/null || true
  hub=
}
state=$XDG_STATE_HOME/muster/saas
hub='' watcher=''
of_node() { "$muster" status -f "$file" --json | jq -r ".nodes[] | select(.name==\"$1\") | $2"; }
answers() { [ "$(of_node "$1" .answered)" = "$2" ]; }
names() { [ "$(of_node fra '.drift | index("web:apache") != null')" = "$1" ]; }
by_hand() { on fra sh -c "'echo \"# by hand\" >>/etc/apache2/sites-available/muster.conf'"; }
up() { "$muster" up -f "$file" >"$work/up" 2>&1; }
changes() { sed -n 's/.* created, \([0-9]*\) steps\? changed.*/\1/p' "$work/up"; }
must() { "$@" || { cat "$work/up"; die "$*"; }; }
by_itself() { ! on fra grep -q by.hand /etc/apache2/sites-available/muster.conf; }
# A run that goes on until par's agent does.
begin_up() { # until it says so
  on par systemctl kill -s STOP muster-agent
  "$muster" up -f "$file" >"$work/up" 2>&1 &
  run=$!
  until_true 60 "a run waits for par" grep -q "$1" "$work/up"
}
exit_code() { # wanted command…
  local wanted=$1 rc=0
  shift
  "$@" >"$work/up" 2>&1 || rc=$?
  [ $rc -eq "$wanted" ] || { cat "$work/up"; die "exit $rc, not $wanted: $*"; }
}

must up
ok "raised without a hub"

# --- without one: status asks all the same, and changes nothing ---
answers fra true || die "status does not ask: $("$muster" status -f "$file")"
by_hand || die "by_hand"
names true || die "status does not name what differs: $("$muster" status -f "$file")"
! by_itself || die "status has repaired it"
"$muster" status --watch -f "$file" >"$work/looks" 2>&1 & # a hub that only looks is in nobody's way
looks=$!
until_true 60 "status --watch shows it" grep -q web:apache "$work/looks"
must up
kill $looks
wait $looks || die "status --watch: $?"
by_itself || die "up has not repaired it"
ok "without a hub: asked, named, repaired"

# --- with one ---
serve
exit_code 8 "$muster" serve -f "$file"
grep -q "process $hub" "$work/up" || die "the second hub is not told who has it: $(cat "$work/up")"
ok "one hub at a time"
"$muster" events -f "$file" --follow --kind note >"$work/followed" 2>&1 &
watcher=$!
"$muster" watch -f "$file" --json >"$work/watched" 2>&1 &
watcher="$watcher $!"
for _ in 1 2 3; do
  begun=$(date +%s%N)
  must up
  printf 'up on a ready deployment, a hub running: %d ms\n' $((($(date +%s%N) - begun) / 1000000))
  grep -q ' 0 steps changed\|nothing to do\|0 changed' "$work/up" || die "something changed: $(cat "$work/up")"
done
answers par true || die "status"
by_hand
begun=$(date +%s%N)
names true || die "not named: $("$muster" status -f "$file")"
printf 'named by status after %d ms\n' $((($(date +%s%N) - begun) / 1000000))
! by_itself || die "repaired although the file says: report"
must up
by_itself || die "up has not repaired it"
names false || die "it is repaired, and still named"
grep -q 'web:apache.*drifted' "$work/followed" || die "events --follow: $(cat "$work/followed")"
grep -q '"kind":"note".*drifted' "$work/watched" || die "watch: $(tail -n 3 "$work/watched")"
# shellcheck disable=SC2086
kill $watcher # or it is the hub as soon as no other is
ok "with a hub: asked, named, repaired, told"

# --- an agent that does not answer ---
on par systemctl stop muster-agent
exit_code 5 "$muster" up -f "$file"
grep -q 'no answer from par' "$work/up" || die "$(cat "$work/up")"
[ "$(of_node par '"\(.state) \(.answered) \(.db.epoch)"')" = 'degraded false null' ] || die "$("$muster" status -f "$file")"
[ "$(of_node fra .answered)" = true ] || die "fra is not asked any more"
on par systemctl start muster-agent
until_true 60 "par answers again" answers par true
ok "a silent agent is named, the other one is asked"

# --- the hub is killed, in the middle of a run, too ---
end_hub -KILL
must up
ok "up without the killed hub"
serve
until_true 60 "it has all agents again" answers fra true
by_hand
begin_up 'fra .* done '
end_hub -KILL
on par systemctl kill -s CONT muster-agent
wait $run || { cat "$work/up"; die "up after its hub was killed"; }
by_itself || die "not repaired by the run whose hub was killed"
ok "up goes on when its hub is killed"
serve
begin_up 'asks every node'
kill -KILL $run
wait $run 2>/dev/null || true
on par systemctl kill -s CONT muster-agent
must up
ok "up was killed, the hub goes on"

# --- the file changes ---
sed -i 's/memory_limit: [0-9]*M/memory_limit: 200M/' "$file"
grep -q 200M "$file" || die "the example has no memory_limit any more"
must up
on fra grep -rq 'memory_limit *= *200M' /etc/php || die "the changed file did not get through the hub"
answers fra true || die "status after the change"
ok "the hub begins again with the changed file"

# --- it repairs by itself when the file says so, but nothing of the database ---
echo 'drift: repair' >>"$file"
must up
by_hand
on fra systemctl reload muster-agent
until_true 60 "repaired by itself" by_itself
on fra sh -c "'echo \"# by hand\" >>/etc/mysql/mariadb.conf.d/80-muster-galera.cnf; systemctl reload muster-agent'"
galera_differs() { [ "$(of_node fra '.drift | map(select(startswith("galera:"))) | length')" = 1 ]; }
until_true 60 "the database's file is named" galera_differs
until_true 60 "fra answers" answers fra true
galera_differs || die "the database's configuration was repaired by itself"
must up
! galera_differs || die "up has not repaired it"
ok "drift: repair"

# --- watch as the hub, then a service that waits for its turn ---
end_hub
"$muster" watch -f "$file" --json >"$work/watched" 2>&1 &
watcher=$!
is_hub() { grep -qs "muster watch, process $watcher" "$state/hub.lock" && [ -S "$state/hub.sock" ]; }
until_true 60 "watch is the hub" is_hub
must up
answers fra true || die "status through watch"
"$muster" serve -f "$file" >>"$work/serve.log" 2>&1 &
hub=$!
kill $watcher
wait $watcher || die "watch: $?"
until_true 60 "the service takes over" listens
answers fra true || die "status"
ok "watch is the hub while no other is"

# --- the unit as it is installed, under systemd: on par, as on a machine that the hub has moved to ---
root=$work/root etc=$work/root/etc/muster/saas
DESTDIR=$root cmake --install build/release --prefix /usr/local --component controller >/dev/null
# The libraries that par lacks; of those it has it keeps its own.
ldd "$muster" | awk '/=> \// {print $3}' | sort >"$work/libraries"
on par sh -c "'cat >/tmp/libraries; while read -r f; do test -e \$f || echo \$f; done </tmp/libraries'" <"$work/libraries" |
  while read -r f; do install -D -m 644 "$f" "$root/usr/local/lib/${f##*/}"; done
mkdir -p "$etc" "$root/root/.local/state/muster"
cp -a "$state" "$root/root/.local/state/muster/"
rm -f "$root"/root/.local/state/muster/saas/{hub.sock,hub.lock,lock}
cp -a docs/examples/album "$etc/"
sed 's|archive: {path: [^}]*}|archive: {path: album}|' "$file" >"$etc/muster.yaml"
tar -C "$root" -czf "$work/root.tgz" --owner=0 --group=0 .
on par tar -C / -xzf - <"$work/root.tgz" || die "unpack on par"
on par sh -c "'ldconfig; systemctl daemon-reload; systemctl start muster@saas'" || die "the unit: $(on par journalctl -u muster@saas --no-pager)"
unit() { on par systemctl show -P "$1" muster@saas; }
unit_says() { unit StatusText | grep -q "saas: [0-9] of 2 nodes speak"; }
[ "$(unit ActiveState)" = active ] || die "ready was not told: $(unit ActiveState)"
until_true 30 "the unit's status" unit_says
asks() { # it says that nobody answers, and fails
  on par sh -c "'cd /etc/muster/saas && muster status -f muster.yaml --json'" >"$work/asked" || true
  jq -e '.nodes | length == 2' "$work/asked" >/dev/null 2>&1
}
until_true 30 "muster status asks the unit's hub" asks
pid=$(unit MainPID)
on par kill -9 "$pid"
again() { [ "$(unit ActiveState)" = active ] && [ "$(unit MainPID)" != "$pid" ]; }
until_true 30 "killed, it is started again" again
on par systemctl stop muster@saas
[ "$(unit Result) $(unit ExecMainStatus)" = "success 0" ] || die "stop: $(unit Result) $(unit ExecMainStatus)"
ok "the unit under systemd"

"$muster" destroy -y --with-data -f "$file" >"$work/down" 2>&1 || { cat "$work/down"; die "destroy"; }
kill -0 $hub || die "the hub ended with the deployment"
end_hub
ok "destroyed below a running hub"
exit_code 1 timeout 20 "$muster" status -f "$file"
