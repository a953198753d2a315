#!/bin/bash
# The network test: two nodes with a round trip of 9 ms between them. What `muster nettest` says is
# compared with ping and iperf3 by hand in the same run; and when it refuses, what it says of a node
# that does not answer, and that no port stays open.
# Beside other tests the figures are those of a busy machine; alone, `nettest.sh 2` holds them to 2 %.
# usage: nettest.sh [PERCENT]
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"

hub=''
percent=${1:-60} seconds=4
[ "$percent" -gt 10 ] || seconds=20
nettest() { "$muster" nettest -f "$file" "$@"; }
exit_code() { # wanted command…
  local wanted=$1 rc=0
  shift
  "$@" >"$work/out" 2>"$work/err" || rc=$?
  [ $rc -eq "$wanted" ] || { cat "$work/out" "$work/err"; die "exit $rc, not $wanted: $*"; }
}
private_of() { "$muster" status -f "$file" --json | jq -r ".nodes[] | select(.name==\"$1\") | .private_ip"; }
figure() { jq -r ".pairs[] | select(.from==\"$1\" and .to==\"$2\") | .$3" "$work/nettest.json"; }
within() { # WHAT GOT WANTED PERCENT
  printf '%s: nettest %s, by hand %s\n' "$1" "$2" "$3"
  awk -v a="$2" -v b="$3" -v p="$4" 'BEGIN { d = a - b; exit !(b > 0 && (d < 0 ? -d : d) <= b * p / 100) }' ||
    die "$1 differs by more than $4 %"
}
ping_by_hand() { # FROM ADDRESS: average in ms
  on "$1" ping -n -q -i 0.1 -c $((seconds * 10)) "$2" | sed -n 's|^rtt .* = [^/]*/\([^/]*\)/.*|\1|p'
}
iperf_by_hand() { # FROM TO ADDRESS: bits per second
  local server
  on "$2" timeout $((seconds + 30)) iperf3 -s -1 -B "$3" -p 5201 >/dev/null &
  server=$!
  until on "$2" ss -Hltn "'sport = :5201'" | grep -q .; do sleep 0.2; done
  on "$1" iperf3 -c "$3" -p 5201 -t $seconds -P 10 -i 0 -J | jq -r .end.sum_received.bits_per_second
  wait $server
}
closed() { # NODE
  local open
  open=$(on "$1" ss -Hltn "'sport = :7411'") || die "ss on $1"
  [ -z "$open" ] || die "7411 stays open on $1: $open"
}
state_of() { "$muster" status -f "$file" --json | jq -r ".nodes[] | select(.name==\"$1\") | .db.state"; }
db_is() { [ "$(state_of "$1")" = "$2" ]; }
listens() { grep -qs "process $hub\$" "$XDG_STATE_HOME/muster/saas/hub.lock" && [ -S "$XDG_STATE_HOME/muster/saas/hub.sock" ]; }

"$muster" up -f "$file" >"$work/up" 2>&1 || { cat "$work/up"; die "up"; }
"$vdc" link fra par --rtt 9ms --rate 200mbit >/dev/null
fra=$(private_of fra) par=$(private_of par)
ok "raised, 9 ms and 200 Mbit/s between the nodes"

# --- figures, and the same by hand ---
exit_code 0 nettest --json --seconds $seconds
cp "$work/out" "$work/nettest.json"
jq -e '.complete and (.pairs | length) == 2 and .tutorial.avg_ms == 9.09' "$work/nettest.json" >/dev/null ||
  die "$(cat "$work/nettest.json")"
[ "$(figure fra par private.latency.sent)" = $((seconds * 10)) ] || die "pings: $(cat "$work/nettest.json")"
within "fra > par, ms" "$(figure fra par private.latency.avg_ms)" "$(ping_by_hand fra "$par")" "$percent"
within "par > fra, ms" "$(figure par fra private.latency.avg_ms)" "$(ping_by_hand par "$fra")" "$percent"
within "fra > par, bit/s" "$(figure fra par private.throughput.bits_per_second)" "$(iperf_by_hand fra par "$par")" "$percent"
within "par > fra, bit/s" "$(figure par fra private.throughput.bits_per_second)" "$(iperf_by_hand par fra "$fra")" "$percent"
closed fra
closed par
ok "as by hand, and no port stays open"

# --- the matrix, the public side, a hub that runs ---
LC_ALL=C exit_code 0 nettest --public --seconds 2
cat "$work/out"
awk 'length > 80 { exit 1 }' "$work/out" || die "wider than 80 columns"
grep -A4 'public throughput' "$work/out" | grep -q 'not reachable' || die "the public side"
"$muster" serve -f "$file" >"$work/serve.log" 2>&1 &
hub=$!
until_true 60 "a hub listens" listens
exit_code 0 nettest --json --seconds 1 fra par
jq -e .complete "$work/out" >/dev/null || die "through the hub: $(cat "$work/out")"
exit_code 2 nettest ham
exit_code 2 nettest --seconds 61
ok "matrix, public side, through a hub"

# --- never during a state transfer ---
sql par 'SET GLOBAL wsrep_desync = ON' || die "wsrep_desync"
until_true 60 "par is a donor" db_is par Donor/Desynced
exit_code 7 nettest --seconds 1
grep -q 'par: its database gives its data' "$work/err" || die "$(cat "$work/err")"
sql par 'SET GLOBAL wsrep_desync = OFF' || die "wsrep_desync"
until_true 60 "par is synced" db_is par Synced
exit_code 0 nettest --seconds 1
ok "refused while a member gives its data away"

# --- what is not known is said ---
kill $hub
wait $hub 2>/dev/null || true
hub=
on par systemctl stop muster-agent
exit_code 7 nettest --seconds 1
grep -q 'no answer from par' "$work/err" || die "$(cat "$work/err")"
exit_code 5 nettest --json --seconds 1 --force
jq -e '(.complete | not) and ([.pairs[].private.latency.why] | all(. == "no answer from par"))' "$work/out" >/dev/null ||
  die "$(cat "$work/out")"
on par systemctl start muster-agent
ok "a silent agent is named"
