#!/bin/bash
# A node's keys are revoked: its agent is refused and the other one stays ready; with a new one-time
# key it is trusted again, and `up` repairs. And what root alone reaches from a node.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"

hub=''
of_node() { "$muster" status -f "$file" --json | jq -r ".nodes[] | select(.name==\"$1\") | $2"; }
answers() { [ "$(of_node "$1" .answered)" = "$2" ]; }
up() { "$muster" up -y -f "$file" --progress plain >"$work/out" 2>&1 || { tail -n 30 "$work/out"; die "$1"; }; }

up "up"
"$muster" serve -f "$file" >"$work/serve.log" 2>&1 &
hub=$!
until_true 60 "the hub has both" answers fra true
metadata=$(on fra sh -c "'ip -4 route show default'" | awk '{print $3; exit}')
on fra sh -c "'curl -fsS -m 5 http://$metadata/latest/user-data >/dev/null || curl -fsS -m 5 http://$metadata/latest/meta-data/ >/dev/null'" ||
  die "root does not reach the metadata"
"$muster" ssh -f "$file" fra "sudo -u www-data curl -sS -m 5 -o /dev/null http://$metadata/latest/meta-data/" >/dev/null 2>&1 &&
  die "www-data reaches the metadata"
ok "the metadata is root's alone"

"$muster" revoke -y fra -f "$file" >"$work/revoked" 2>&1 || { cat "$work/revoked"; die "revoke"; }
until_true 60 "fra is refused" answers fra false
for _ in 1 2 3 4 5; do
  answers par true || die "par does not answer"
  [ "$(of_node par .db.state)" = Synced ] || die "the database of par: $(of_node par .db.state)"
done
ok "its keys count for nothing, and par serves on: $(head -n 1 "$work/revoked")"
"$muster" enrol reset -y fra -f "$file" >"$work/reset" 2>&1 || { cat "$work/reset"; die "enrol reset"; }
up "up after the reset"
until_true 60 "fra answers again" answers fra true
until_true 60 "both are ready" is_ready
ok "fra is trusted again"
kill $hub
wait $hub || die "serve: $?"
