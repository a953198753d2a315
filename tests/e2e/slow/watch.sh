#!/bin/bash
# `muster watch`, left running in terminals of three sizes over what happens to a deployment: a fault on
# a node, a node's power, the link between the zones, and the recovery from each.
# usage: watch.sh [DIRECTORY]   where the screens are kept
source "$(dirname "$0")/../lib.sh"

shots=${1:-$work/shots}
mkdir -p "$shots"
# The first line of each of the three screens says TEXT, and the rest WHAT.
shot() { # NAME
  echo "shot $1" >&"${watch[1]}"
  read -r -t 20 -u "${watch[0]}" _ || die "watch ended: $(cat "$work/watch.err")"
}
shows() { # NAME TEXT [WHAT]
  shot "$1"
  [ "$(grep -A 1 '^--- ' "$shots/$1.txt" | grep -cF -- "$2")" = 3 ] || return 1
  [ -z "${3:-}" ] || [ "$(grep -cF -- "$3" "$shots/$1.txt")" -ge 3 ]
}
seen() { # SECONDS NAME TEXT [WHAT]
  local end=$((SECONDS + $1))
  until shows "${@:2}"; do
    [ $SECONDS -lt $end ] || { cat "$shots/$2.txt"; die "$2: the screens do not show '$3' and '${4:-}'"; }
    sleep 1
  done
  ok "$2: all three screens show it"
}

"$muster" up -f "$file" --progress plain >"$work/out" 2>&1 || { tail -n 40 "$work/out"; die "up"; }
coproc watch { exec /usr/bin/python3 tests/e2e/slow/watch.py "$muster" "$file" "$shots" 2>"$work/watch.err"; }
seen 30 ready 'saas  ready' 'database Synced'

on fra sh -c "'echo // >>/var/www/html/config.php'"
seen 60 drift 'saas  degraded' 'app:album'
"$muster" up -f "$file" --progress plain >"$work/out" 2>&1 || { tail -n 40 "$work/out"; die "up repairs"; }
seen 60 repaired 'saas  ready'

power_off par
seen 90 power-off 'saas  degraded' 'last heard'
cloud startVirtualMachine id="$(id_of vm:par)" >/dev/null || die "startVirtualMachine"
seen 180 recovered 'saas  ready' 'par'

"$vdc" link fra par --cut >/dev/null 2>&1 || die "the link cannot be cut"
seen 90 link-cut 'saas  degraded' 'without quorum'
"$vdc" link fra par --restore >/dev/null 2>&1 || die "the link cannot be restored"
seen 180 healed 'saas  ready'
