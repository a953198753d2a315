#!/bin/bash
# The data disk is gone or damaged when the node boots: the node boots, its agent says which volume and
# what to do, the database is not started, nothing is formatted; when the disk is well again, all is
# back by itself.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"

f=$work/lost.yaml
sed -e 's/^deployment:.*/deployment: lost/' -e '/name: par,/d' "$file" >"$f"
file=$f
mount=/media/datadisk-mariadb

on() { "$muster" ssh -f "$f" fra sudo "$@" 2>/dev/null; }
answers() { on true; }
id_of() { "$muster" show -f "$f" --json | jq -r ".resources[] | select(.resource==\"$1\") | .id"; }
agent_says() { [ "$(on muster-agent status --json | jq -r .phase)" = "$1" ]; }
vm_is() { [ "$(cloud listVirtualMachines id="$vm" | jq -r '.virtualmachine[0].state')" = "$1" ]; }
attached() { [ "$(cloud listVolumes id="$volume" | jq -r '.volume[0].virtualmachineid // ""')" = "$1" ]; }
stop() { cloud stopVirtualMachine id="$vm" >/dev/null && until_true 60 "stopped" vm_is Stopped; }
start() { cloud startVirtualMachine id="$vm" >/dev/null && until_true 60 "the node answers" answers; }
fs_uuid() { on blkid -p -s UUID -o value /dev/sdb1; }
# The agent refused since the machine started, and said all of the words.
refused() { # word…
  local w
  on journalctl -u muster-agent -b --no-pager -o cat | grep -E '(refused|failed) ' >"$work/said" || return 1
  for w in "$@"; do grep -qF -- "$w" "$work/said" || return 1; done
}
nothing_was_done() { # what
  on systemctl is-active mariadb >/dev/null && die "$1: the database runs"
  on findmnt $mount >/dev/null && die "$1: something is mounted"
  on rmdir $mount/lost+found 2>/dev/null && die "$1: a filesystem was made"
  [ -z "$(on ls -A $mount)" ] || die "$1: something was written where the disk belongs"
  ok "$1: the database does not run, nothing is mounted or written"
}
all_is_back() { # what
  until_true 120 "$1: the agent is through" agent_says ready
  [ "$(fs_uuid)" = "$uuid" ] || die "$1: another filesystem"
  [ "$(on cat $mount/keepsake)" = kept ] || die "$1: the file is lost"
  [ "$(on mariadb -N -e "'SELECT COUNT(*) FROM test.kept'")" = 1 ] || die "$1: the row is lost"
  "$muster" up -f "$f" --progress plain >"$work/out" 2>&1 || { tail -n 30 "$work/out"; die "$1: up"; }
  is_ready || die "$1: not ready"
  "$muster" up -f "$f" --progress plain >"$work/out" 2>&1
  grep -q ' 0 changed' "$work/out" || { cat "$work/out"; die "$1: the next up changes something"; }
  ok "$1: the site answers, nothing is lost"
}

"$muster" up -f "$f" --progress plain >"$work/out" 2>&1 || { tail -n 30 "$work/out"; die "up"; }
vm=$(id_of vm:fra) volume=$(id_of volume:fra)
image=/var/lib/muster/vdc/volumes/$volume.img
uuid=$(fs_uuid)
on mariadb -e "'CREATE DATABASE test; CREATE TABLE test.kept (k INT PRIMARY KEY); INSERT INTO test.kept VALUES (1)'" || die "a row"
on sh -c "'echo kept >$mount/keepsake'" || die "a file"
on grep -q "'$mount ext4 .*x-systemd.wanted-by=local-fs.target,x-systemd.device-timeout='" /etc/fstab || die "fstab: $(on cat /etc/fstab)"
on grep nofail /etc/fstab && die "fstab has nofail"
ok "raised"

# ---- gone
stop
cloud detachVolume id="$volume" >/dev/null
until_true 30 "detached" attached ""
start
until_true 60 "the agent says what is missing" refused "$volume" "(R1)" "muster up"
nothing_was_done "without the disk"
rc=0
"$muster" disk -f "$f" fra >"$work/disk" 2>&1 || rc=$?
grep -q "is not attached" "$work/disk" || die "muster disk: exit $rc, $(cat "$work/disk")"
is_ready && die "status says ready: $("$muster" status -f "$f")"
cloud attachVolume id="$volume" virtualmachineid="$vm" >/dev/null
all_is_back "attached again while the node runs"

# ---- damaged: the first superblock is gone, its copies are there
stop
dd if=/dev/zero of="$image" bs=1024 seek=1025 count=1 conv=notrunc status=none
start
rc=0
"$muster" up -f "$f" --progress plain >"$work/out" 2>&1 || rc=$?
[ $rc -eq 7 ] || { cat "$work/out"; die "up on a damaged disk: exit $rc"; }
"$muster" status -f "$f" --json | jq -e --arg v "$volume" '.nodes[0].state == "failed" and (.nodes[0].why | contains($v))' >/dev/null ||
  die "status: $("$muster" status -f "$f")"
ok "up and status: $("$muster" status -f "$f" | tail -n 1 | cut -c1-250)"
nothing_was_done "damaged superblock"
on fsck.ext4 -y /dev/sdb1 >"$work/fsck" || [ $? -eq 1 ] || die "fsck: $(cat "$work/fsck")"
all_is_back "repaired"

# ---- damage that only somebody can decide on; the copy is as new as what was lost, since an older one
# is behind a position that was durable once, and going on with that is an operator's decision, too
stop
cp --sparse=always "$image" "$work/image"
debugfs -w -R 'clri <2>' "$image?offset=1048576" 2>/dev/null
debugfs -w -R 'set_super_value state 2' "$image?offset=1048576" 2>/dev/null
start
until_true 60 "the agent does not decide" refused "$volume" "(R12)" "fsck.ext4"
nothing_was_done "root directory gone"
stop
cp --sparse=always "$work/image" "$image"
start
all_is_back "with a copy of the disk"
