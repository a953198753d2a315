#!/bin/bash
# The states in docs/galera.md are those of the table that ships: edges.sh SIM_CLUSTER GALERA.MD
set -euo pipefail
diff <("$1" --edges) <(sed -n '/^<!-- sim_cluster --edges -->$/,/^<!-- end -->$/p' "$2" | grep -v '^<!--\|^```')
