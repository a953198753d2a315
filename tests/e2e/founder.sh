#!/bin/bash
# The founder's machine and disk are destroyed behind the controller's back: the survivor keeps its rows,
# `up` recreates the machine, with an empty disk once the operator wants that, and nothing is founded anywhere, until an operator accepts the loss.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"

"$muster" up -f "$file" --progress plain >"$work/out" 2>&1 || { tail -n 40 "$work/out"; die "up"; }
founder=fra survivor=par
[ "$(sql par 'SELECT node FROM muster.epoch WHERE e=1')" = fra ] || { founder=par survivor=fra; }
sql $survivor 'CREATE TABLE album.kept (i INT AUTO_INCREMENT PRIMARY KEY) SELECT seq AS i FROM album.seq_1_to_10000' || die "rows"
lost=$(id_of "volume:$founder")
destroy_behind $founder
rc=0
"$muster" up -y -f "$file" >"$work/up" 2>&1 || rc=$?
{ [ $rc -eq 7 ] && grep -q "wipe: $lost" "$work/up"; } || { cat "$work/up"; die "exit $rc: a lost data disk is replaced only when the file says so"; }
ok "a lost data disk is not replaced unasked"
sed -i "s/\(name: $founder, .*datadisk: {size: 200G\)/\1, wipe: $lost/" "$file"
grep -q "wipe: $lost" "$file" || die "the file has another form"
"$muster" up -y -f "$file" --progress plain >"$work/up" 2>&1 &
up=$!
waits() { why $survivor | grep -F "waits for the data of $founder" >/dev/null; }
until_true 300 "the survivor says for whom it waits" waits
founder_waits() { [ "$(coordinator $founder)" = stopped ]; }
until_true 60 "the new one does not start" founder_waits
# Longer than the pause before anything is tried again.
end=$((SECONDS + 30))
while [ $SECONDS -lt $end ]; do
  waits || die "it waits no more: $(why $survivor)"
  for n in fra par; do
    on $n journalctl -u muster-agent -b --no-pager -o cat | grep -E 'bootstraps epoch [2-9]' && die "$n bootstraps"
  done
  [ "$(on $founder systemctl is-active mariadb)" = active ] && die "an empty database serves"
done
health() { on $survivor curl -s -o /dev/null -w "'%{http_code}'" "http://127.0.0.1:7404$1"; }
[ "$(health /) $(health /ready) $(health /live)" = "503 503 200" ] || die "health: $(health /) $(health /ready) $(health /live)"
ok "nothing was founded: $(why $survivor)"
on $survivor muster-agent cluster recover --without nobody --confirm nobody && die "accepts the loss of nobody"
on $survivor muster-agent cluster recover --without $survivor --confirm $survivor && die "accepts its own loss"
echo "$founder, please" | on $survivor muster-agent cluster recover --without $founder && die "the name was not typed"
"$muster" cluster status -f "$file" $survivor | grep -E "^\* $survivor +(stopped|non-primary)" || die "cluster status"
"$muster" cluster explain -f "$file" $survivor >"$work/explain" || die "cluster explain"
grep -F "muster cluster recover" "$work/explain" || { cat "$work/explain"; die "explain does not say what can be done"; }
echo $founder | "$muster" cluster recover -f "$file" --from $survivor --without $founder --because "its disk's gone" || die "cluster recover"
served=$SECONDS
wait $up || true # it may have given up meanwhile
"$muster" up -f "$file" --progress plain >"$work/up" 2>&1 || { tail -n 40 "$work/up"; die "up"; }
for n in fra par; do
  until_true 120 "$n is part of the cluster" state_is $n primary
  [ "$(sql $n 'SET wsrep_sync_wait=1; SELECT COUNT(*) FROM album.kept')" = 10000 ] || die "rows are lost on $n"
done
[ "$(sql $survivor 'SELECT CONCAT(node," ",lost) FROM muster.epoch WHERE e=2')" = "$survivor $founder" ] ||
  die "the loss is not on record: $(sql $survivor 'SELECT * FROM muster.epoch')"
on $survivor muster-agent cluster recover --without $founder --confirm $founder && die "accepts it twice"
"$muster" cluster history -f "$file" $founder | grep -F "forced: $survivor starts first" | grep -F "without $founder (its disk's gone)" || die "the history: $("$muster" cluster history -f "$file" $founder)"
ok "an accepted loss ended the waiting, once; both serve all rows after $((SECONDS - served)) s"
