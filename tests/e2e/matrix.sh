#!/bin/bash
# The kill matrix: the controller is killed before and after its calls of the cloud, every changing
# call goes wrong in every way; see matrix.py. `matrix.sh all` leaves none out.
source "$(dirname "$0")/lib.sh"

sed -e 's/^deployment:.*/deployment: matrix/' -e 's/^cloud:.*/cloud: {local: {compute: simulator}}/' \
  -e '/^database:/,$d' "$file" >"$work/matrix.yaml"
"$vdc" start >/dev/null
/usr/bin/python3 tests/e2e/matrix.py "$muster" "$vdc" build/pkg/muster-agent.deb "$work/matrix.yaml" "$work" \
  "${MATRIX_WORKERS:-3}" "${1:-sample}"
