#!/bin/bash
# What must not work: each ends with its exit code and one clear line, and changes nothing.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"

refused() { # exit-code text command…
  local want=$1 text=$2 rc=0
  shift 2
  "$@" >"$work/out" 2>"$work/err" || rc=$?
  [ "$rc" = "$want" ] || die "$*: exit $rc, expected $want: $(cat "$work/err")"
  grep -qF -- "$text" "$work/err" || die "$*: '$text' is not in: $(cat "$work/err")"
  ok "$(tail -n 1 "$work/err")"
}

refused 2 'no such file' "$muster" up -f "$work/none.yaml"
refused 2 '1 problem; nothing was done' "$muster" up -f tests/bad/same-name-twice.yaml
refused 2 "did you mean 'validate'" "$muster" validat
refused 2 'unknown option' "$muster" status --with-data
refused 1 'has not been raised from here' "$muster" status -f "$file"

# somebody who is not root, and no local cloud
mkdir -m 777 "$work/nobody"
chmod 755 "$work"
refused 4 'sudo muster vdc start' env HOME="$work/nobody" XDG_STATE_HOME="$work/nobody" \
  setpriv --reuid=65534 --regid=65534 --clear-groups "$muster" up -f "$file"

# the agents' ports are taken
python3 -c 'import socket, time
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", 7401)); s.listen(); print("listens", flush=True); time.sleep(600)' >"$work/listener" &
listener=$!
until grep -q listens "$work/listener"; do sleep 0.1; done
refused 1 '7400 to 7402' "$muster" up -f "$file"
kill $listener
jq -r .command /var/lib/muster/vdc/calls.log | grep -vE '^(list|query)' && die "something was created"
ok "nothing was created"

# the file names what the cloud does not have
sed 's/2048-1/2049-1/' "$file" >"$work/offering.yaml"
refused 2 "service offering '2049-1' is not offered" "$muster" up -f "$work/offering.yaml"

# another muster holds the deployment
state=$XDG_STATE_HOME/muster/saas
mkdir -p "$state"
chmod 0700 "$state"
exec 9>"$state/lock"
flock 9
refused 8 'another muster is at work' "$muster" up -f "$file"
exec 9>&-

# keys of nobody
refused 3 'refused the credentials' env CLOUDSTACK_ENDPOINT=http://127.0.0.1:8899/client/api \
  CLOUDSTACK_KEY=wrong CLOUDSTACK_SECRET=wrong "$muster" up -f "$file"
refused 4 'is the endpoint an API address' env CLOUDSTACK_ENDPOINT=http://127.0.0.1:8899/ \
  CLOUDSTACK_KEY=wrong CLOUDSTACK_SECRET=wrong "$muster" up -f "$file"
