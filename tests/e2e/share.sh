#!/bin/bash
# A directory of the application that both nodes have the same of: uploads, deletes, cuts, losses of
# power and of machines, and a mistake.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"

photos=/media/datadisk-mariadb/muster-app/album/photos
up() { "$muster" up -y -f "$file" --progress plain >"$work/out" 2>&1 || { tail -n 40 "$work/out"; die "$1"; }; }
# As PHP does it, without fsync: COUNT files of SIZE bytes.
upload() { # NODE PREFIX COUNT SIZE
  on "$1" sudo -u www-data sh -c "'for i in \$(seq $3); do head -c $4 /dev/urandom >$photos/$2\$i; done'"
}
digest() { on "$1" sh -c "'cd $photos && find . -type f ! -path ./cache/\* ! -name .syncthing.\* -print0 | sort -z | xargs -0r sha256sum | sha256sum; find . ! -path ./cache\* ! -name .syncthing.\* -printf \"%p %m %u\\n\" | sort | sha256sum'"; }
equal() { [ "$(digest fra)" = "$(digest par)" ]; }
files() { on "$1" find $photos -type f | wc -l; }
said() { on "$1" cat /run/muster-share/status.json | jq -r "$2"; }
connected() { [ "$(said fra '.peers[0].connected')$(said par '.peers[0].connected')" = truetrue ]; }
start() { cloud startVirtualMachine id="$(id_of "vm:$1")" >/dev/null; }
cut_link() { "$vdc" fault link 'Frankfurt (ESX)' 'Paris (ESX)' "$@" >/dev/null; }

sed -i 's/writable: .*/writable: [{path: photos, shared: true, ignore: [cache]}]/' "$file"
up "up"
until_true 30 "the two are connected" connected

# ---- what is written here is there, and belongs to the site
upload fra a 50 100000
until_true 20 "uploads are on both" equal
[ "$(files par)" = 50 ] || die "$(files par) files on par"
[ "$(on par stat -c %U $photos/a1)" = www-data ] || die "they do not belong to the site"
on par sudo -u www-data sh -c "'cd $photos && mkdir -p deep/er && cp a1 deep/er/one && mv a2 deep/two && rm a3 && ln a4 linked && chmod 600 a5 && mkdir cache && cp a1 cache/x'"
until_true 20 "directories, renames, deletes, modes" equal
on fra test -e $photos/cache && die "what is left out of it came over"

# ---- both directions at once
upload fra b 200 20000 &
upload par c 200 20000 &
wait
until_true 60 "400 files, both ways at once" equal
[ "$(said fra .conflicts)" = 0 ] || die "conflicts without cause"

# ---- one is away meanwhile
power_off par
upload fra d 30 50000
on fra rm -f $photos/b1 $photos/b2
start par
until_true 120 "who was away has it all" equal

# ---- power is lost right after the other one has them: none is empty anywhere
upload fra e 50 200000
until_true 20 "50 uploads are on par" equal
power_off fra
start fra
until_true 120 "fra is back" connected
until_true 60 "the same on both" equal
for n in fra par; do
  [ "$(on $n find $photos -type f -empty ! -path "*/cache/*" | wc -l)" = 0 ] || die "$n has empty files"
  [ "$(on $n sh -c "'ls $photos/e* | wc -l'")" = 50 ] || die "$n lacks uploads"
done

# ---- changed in two places while they do not hear each other: both are kept, and said
cut_link
on fra sudo -u www-data sh -c "'echo fra >$photos/same'"
on par sudo -u www-data sh -c "'echo par >$photos/same'"
sleep 1 # of different times
cut_link --restore
both_kept() { [ "$(on fra sh -c "'cat $photos/same*' | sort | xargs")" = "fra par" ] && equal; }
until_true 90 "both versions are kept" both_kept
counted() { [ "$(said fra .conflicts)" = 1 ] && "$muster" status -f "$file" | grep -q '1 changed in two places'; }
until_true 30 "status says so" counted
# shellcheck disable=SC2016
code=$(curl -s -o /dev/null -w '%{http_code}' "$(url_of fra)/photos/$(on fra sh -c "'cd $photos && ls | grep sync-conflict'")")
[ "$code" = 403 ] || die "a conflict's copy is served: $code"
on fra sh -c "'rm $photos/*sync-conflict*'"
until_true 30 "the copy of the conflict is gone on both" equal

# ---- a file that is not here yet is asked for at the other node, while nothing is carried over
# A run of the plan after its start would start it again.
fra_settled() { [ "$(agent_json fra | jq -r .phase)" = ready ]; }
until_true 120 "no run of fra's plan is under way" fra_settled
on fra systemctl stop muster-share
upload fra direct 3 100000
on fra sudo -u www-data sh -c "'mkdir -p $photos/cache $photos/closed; cp $photos/direct1 $photos/cache/c; cp $photos/direct1 $photos/closed/x; echo Require all denied >$photos/closed/.htaccess; echo \"<?php echo 6 * 7;\" >$photos/code.php'"
page() { curl -s -m 20 "${@:2}" "$(url_of par)/photos/$1"; }
status_of() { page "$1" -o /dev/null -w '%{http_code}' "${@:2}"; }
for i in 1 2 3; do
  [ "$(page direct$i | sha256sum | cut -d' ' -f1)" = "$(on fra sha256sum $photos/direct$i | cut -d' ' -f1)" ] || die "direct$i at par"
done
on par test -e $photos/direct1 && die "it was carried over"
[ "$(page direct1 -r 10-19 | wc -c)" = 10 ] || die "a part of it"
[ "$(status_of direct1 -I)" = 200 ] || die "HEAD"
for name in none cache/c closed/.htaccess code.php .htaccess; do
  case $(status_of $name) in 403 | 404) ;; *) die "$name: $(status_of $name)" ;; esac
done
[ "$(status_of closed/x)" = 403 ] || die "what .htaccess closes: $(status_of closed/x)"
[ "$(status_of direct1 -H 'X-Muster-Seen: fra, par')" = 200 ] || die "what a visitor says of who was asked"
address=$(on fra cat /etc/muster-agent/share/settings.json | jq -r '.members[] | select(.name == "par") | .address')
[ "$(on fra curl -sk -o /dev/null -w "%{http_code}" "https://$address:7406/photos/a1")" = 000 ] || die "without a certificate"
ok "files are given by the node that has them"
power_off fra
gone() { [ "$(status_of direct1)" = 404 ]; }
until_true 30 "with fra off it is not there" gone
start fra
until_true 120 "fra is back" connected
until_true 60 "and it came over" equal
on fra rm -rf $photos/closed $photos/code.php

# ---- Syncthing's index is lost while the other node deletes
on fra systemctl stop muster-share
on par sh -c "'rm -f $photos/b1? $photos/b2?'"
upload fra only 2 1000
on fra rm -r /media/datadisk-mariadb/muster-app/.muster-share/index-v0.14.0.db
on fra systemctl start muster-share
sorted() { [ "$(said fra '.why // ""')" = "" ] && connected && equal; }
until_true 120 "the same on both again" sorted
[ "$(on par sh -c "'ls $photos | grep -cE ^b[12].$'")" = 0 ] || die "deleted files came back"
[ "$(on par sh -c "'ls $photos/only1 $photos/only2 | wc -l'")" = 2 ] || die "par lacks what only fra had"
[ "$(on fra sh -c "'find /media/datadisk-mariadb/muster-app/.muster-share/trash -name b1? | wc -l'")" = 10 ] || die "fra kept nothing of it"
ok "with a new index, deleted files stay deleted"

# ---- a mistake: more than half are gone
before=$(files par)
on fra sh -c "'rm -f $photos/[a-d]*'" || true
on fra sh -c "'find $photos -name "[bc]*" -type f -delete'"
held() { [ "$(said fra '.held // ""')" ]; }
until_true 30 "the deletes wait for consent" held
[ "$(files par)" = "$before" ] || die "par has $(files par) of $before files"
held_said() { "$muster" status -f "$file" | grep -q 'accept-mass-delete'; }
until_true 20 "status says how to consent" held_said
on fra systemctl restart muster-share
until_true 30 "also after a restart" held
[ "$(files par)" = "$before" ] || die "par has $(files par) of $before files"
on fra muster-agent share --accept-mass-delete || die "accept"
until_true 60 "they are gone on both, since that was meant" equal
[ "$(files par)" -lt "$before" ] || die "nothing was deleted"
[ "$(on par find /media/datadisk-mariadb/muster-app/.muster-share/trash/ -type f | wc -l)" -ge 100 ] || die "par kept nothing of what was deleted"

# ---- a node whose machine is lost comes back with its disk, and gets what came meanwhile
vm=$(id_of vm:par)
power_off par
cloud destroyVirtualMachine id="$vm" expunge=true >/dev/null
until_true 60 "the machine of par is gone" vm_gone "$vm"
upload fra f 20 20000
up "up after the loss of par"
until_true 120 "the new par has all files" equal

# ---- what keeps it going is looked at, and repaired
on fra systemctl disable --now muster-share
on par sh -c "'echo {} >/etc/muster-agent/share/settings.json'"
for n in fra par; do
  on $n muster-agent check >"$work/check" && die "$n: check finds nothing"
  grep -q 'share:album' "$work/check" || { cat "$work/check"; die "$n: check does not name it"; }
done
up "up repairs it"
until_true 30 "connected again" connected

# ---- nothing is shared any more: the service is gone, the files are not
n=$(files fra)
sed -i 's/writable: .*/writable: [photos]/' "$file"
up "up without shared directories"
for n1 in fra par; do
  on $n1 test ! -e /etc/systemd/system/muster-share.service || die "the service is still on $n1"
done
[ "$(files fra)" = "$n" ] || die "files are lost"
ok "not shared any more, and all files are there"
