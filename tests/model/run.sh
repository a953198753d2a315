#!/bin/bash
# Checks tests/model/agreement.pml: two agents whole, three with bounds; each fault of the model must
# lead to an assertion that does not hold. Prints the states of each.
# usage: run.sh [MODEL]
set -euo pipefail
model=$(realpath "${1:-$(dirname "$0")/agreement.pml}")
dir=$(mktemp -d /tmp/muster-model-XXXXXX)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
bad=0

check() { # what is expected, name, definitions for spin…
  local expected=$1 name=$2 out errors states
  shift 2
  spin "$@" -a "$model" >/dev/null
  gcc -O2 -w -DSAFETY -DCOLLAPSE -o pan pan.c
  out=$(./pan -m100000 -w22 || true)
  errors=$(sed -n 's/.*errors: \([0-9]*\).*/\1/p' <<<"$out")
  states=$(sed -n 's/ *\([0-9.e+]*\) states, stored.*/\1/p' <<<"$out")
  if grep -qE 'Search not completed|max search depth too small' <<<"$out" && [ "$errors" = 0 ]; then
    errors=incomplete
  fi
  if [ "$errors" = 0 ]; then
    printf '%-44s %8s states, nothing found\n' "$name" "$states"
  else
    printf '%-44s %8s states, %s\n' "$name" "${states// /}" \
      "$(sed -n 's/^pan:1: \(.*\) (at depth \([0-9]*\)).*/\1, \2 steps/p' <<<"$out")"
  fi
  if [ "$expected" = holds ] && [ "$errors" != 0 ] || [ "$expected" = fails ] && [ "$errors" != 1 ]; then
    printf 'FAILED: %s %s\n' "$name" "$([ "$expected" = holds ] && echo 'does not hold' || echo 'is not found')"
    bad=1
  fi
}

two=(-DN=2 -DEPOCHS=2 -DBALLOTS=3 -DCOMMITS=2 -DCRASHES=2)
check holds 'two agents' "${two[@]}"
check holds 'two agents, three epochs' -DN=2 -DEPOCHS=3 -DBALLOTS=2 -DCOMMITS=2 -DCRASHES=2
three=(-DN=3 -DEPOCHS=2 -DBALLOTS=2 -DCOMMITS=1 -DCRASHES=2)
check holds 'three agents' "${three[@]}"

check fails 'a permit can be used again' "${two[@]}" -DM_PERMIT_AGAIN
check fails 'not the highest position is chosen' "${two[@]}" -DM_NOT_HIGHEST
check fails 'a majority of reports is enough' "${three[@]}" -DM_REPORTS
three=(-DN=3 -DEPOCHS=2 -DBALLOTS=3 -DCOMMITS=1 -DCRASHES=1)
check fails 'a majority accepts' "${three[@]}" -DM_MAJORITY
check fails 'who serves promises' "${three[@]}" -DM_NO_FREEZE
check fails 'a promise is lost with the power' "${three[@]}" -DM_PROMISE_LOST
check fails 'promises stay valid when the gate opens' "${three[@]}" -DM_PROMISES_STAY
exit $bad
