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
  printf '%-44s %10s states, %s\n' "$name" "$states" \
    "$([ "$errors" = 0 ] && echo 'nothing found' || sed -n 's/^pan:1: \(.*\) (at depth \([0-9]*\)).*/\1, \2 steps/p' <<<"$out")"
  if [ "$expected" = holds ] && [ "$errors" != 0 ] || [ "$expected" = fails ] && [ "$errors" != 1 ]; then
    printf 'FAILED: %s %s\n' "$name" "$([ "$expected" = holds ] && echo 'does not hold' || echo 'is not found')"
    bad=1
  fi
}

