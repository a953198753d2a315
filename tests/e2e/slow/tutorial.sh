#!/bin/bash
# Every command of docs/tutorial.md, in its order, in one shell: each must succeed. The programs are
# those that were built.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/../lib.sh"

f=docs/examples/tutorial.yaml
awk '/^```/ {inside = !inside; next} inside && /^\$ / {print substr($0, 3)}' docs/tutorial.md | grep -v '^\./dev build$' >"$work/commands"
[ "$(wc -l <"$work/commands")" -gt 20 ] || die "the tutorial has no commands"
set -f
while IFS= read -r line <&3; do
  printf '$ %s\n' "$line"
  begun=$SECONDS
  # shellcheck disable=SC2294 # in this shell: later lines use what earlier ones set
  eval "$line" </dev/null || die "$line"
  [ $((SECONDS - begun)) -lt 5 ] || printf '  (%d s)\n' $((SECONDS - begun))
done 3<"$work/commands"
ok "the tutorial, in $SECONDS s"
