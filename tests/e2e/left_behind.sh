#!/bin/bash
# What others left on a node: the state of another machine in a copy of its disk, the notes of a transfer
# that died, a data disk that the kernel made read-only. Nothing is started for it in a loop, the node says
# why it waits, and goes on by itself when the cause is gone.
source "$(dirname "$0")/lib.sh"

"$muster" up -f "$file" --progress plain >"$work/out" 2>&1 || { tail -n 40 "$work/out"; die "up"; }
journal_has() { on "$1" journalctl -u muster-agent --no-pager -o cat | grep -F -- "$2" >/dev/null; }
stopped() { ! on "$1" systemctl is-active mariadb >/dev/null; }
starts() { on "$1" journalctl -u mariadb --no-pager -o cat | grep -c 'Starting mariadb.service' || true; }
data=/media/datadisk-mariadb

# ---- par has fra's state, as a machine from a template made of fra
on fra tar -C / -czf - var/lib/muster-agent etc/muster-agent >"$work/fra.tgz" || die "tar"
on par systemctl stop muster-agent mariadb
on par sh -c "'mkdir -p /root/own && mv /var/lib/muster-agent /root/own/state && cp -a /etc/muster-agent /root/own/etc'"
"$muster" ssh -f "$file" par sudo tar -C / -xzf - <"$work/fra.tgz"
on par systemctl start muster-agent
until_true 20 "the copy is named" journal_has par "is of node 'fra' of deployment 'saas' on another machine"
sleep_free() { [ "$(coordinator fra)" = primary ] && stopped par; }
for _ in $(seq 10); do sleep_free || die "the copy did something: $(coordinator fra)"; done
[ "$(on par systemctl show -P NRestarts muster-agent)" = 0 ] || die "it is restarted in a loop"
ok "the copy does nothing, and fra serves on"
on par systemctl stop muster-agent
on par sh -c "'rm -rf /var/lib/muster-agent && mv /root/own/state /var/lib/muster-agent && cp -a /root/own/etc/. /etc/muster-agent/'"
on par systemctl start muster-agent
until_true 60 "par is itself again" state_is par primary

# ---- a transfer died: its number is another process's now
on par systemctl stop muster-agent mariadb
on par sh -c "'cd $data/mysql && rm -rf ./* && touch sst_in_progress && pidof -s systemd-journald >wsrep_sst.pid && chown mysql: sst_in_progress wsrep_sst.pid'"
before=$(starts par)
on par systemctl start muster-agent
until_true 120 "par has joined by a copy" state_is par primary
[ "$(starts par)" -le $((before + 1)) ] || die "it was started $(($(starts par) - before)) times"
ok "at the first start"

# ---- the kernel made the data disk read-only
# A run of the plan that is under way would mount it again as it should be.
is_through() { [ "$(agent_json par | jq -r .phase)" = ready ]; }
until_true 60 "the plan is through on par" is_through
on par sh -c "'systemctl stop muster-share; for i in \$(seq 50); do systemctl kill -s KILL mariadb; mount -o remount,ro $data && break; sleep 0.1; done'"
says() { why par | grep -F -- "$1" >/dev/null; }
until_true 60 "the disk is named" says "read-only"
before=$(starts par)
[ "$(on par muster-agent check | grep -c 'mount:data.*read-only')" = 1 ] || die "check: $(on par muster-agent check)"
says "read-only" || die "it says now: $(why par)"
[ "$(starts par)" = "$before" ] || die "it is started in a loop"
on par mount -o remount,rw "$data"
until_true 90 "par goes on by itself" state_is par primary
until_true 30 "and fra, whose quorum went with it" state_is fra primary
