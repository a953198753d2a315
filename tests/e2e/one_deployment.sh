#!/bin/bash
# Several tests in turn on one local cloud and one deployment, which the first raises: each begins with
# an `up` of the example, that repairs what the one before it left. Ends at the first that fails.
# usage: one_deployment.sh TEST…
set -euo pipefail
cd "$(dirname "$0")"

MTEST_SHARED=$(mktemp -d /tmp/muster-shared-XXXXXX)
export MTEST_SHARED
trap '../../build/bin/muster-vdc destroy -y >/dev/null 2>&1 || true; rm -rf "$MTEST_SHARED"' EXIT
for t in "$@"; do
  begin=$SECONDS
  "./$t.sh" || { printf 'FAILED: %s\n' "$t"; exit 1; }
  printf 'ok: %s, %d s\n' "$t" $((SECONDS - begin))
done
