#!/bin/bash
# HAProxy before every site: another node's web server answers at the address of one whose own is down,
# a node goes into maintenance and back under load without a failed request, all visitors go to one
# node and back, faults are repaired, and without the section Apache has its port again.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"

plain=$work/plain.yaml
cp "$file" "$plain"
sed -i -e 's/^web:/frontdoor: {tls: self-signed}\nweb:/' -e 's/80: 80}/80: 80, 443: 443}/' "$file"
up() { "$muster" up -f "$file" --progress plain >"$work/up" 2>&1; }
up_ok() { up || { tail -n 40 "$work/up"; die "up"; }; }
node() { "$muster" ssh -f "$file" fra sudo sh -c "'$1'" </dev/null; }
# Whose site answers at the address of that node.
site_at() { curl -fsS -m 20 "$(cat "$work/url-$1")/api.php" 2>/dev/null | jq -r .site; }
answers() { [ "$(site_at "$1")" = "$2" ]; }
health_is() { [ "$(on "$1" curl -s -m 5 -o /dev/null -w "%{http_code}" http://127.0.0.1:7404/)" = "$2" ]; }

up_ok
for n in fra par; do url_of $n >"$work/url-$n"; done
for n in fra par; do
  answers $n $n || die "at the address of $n: '$(site_at $n)'"
  on $n ss -Hltn | awk '{print $4}' | grep -qE ':8080$' || die "Apache of $n does not listen at 8080"
  curl -fksS -m 20 "$(sed 's/^http:/https:/' "$work/url-$n")/api.php" | jq -e '.site == "'$n'"' >/dev/null || die "HTTPS of $n"
done
ok "each site answers at its own address, by HTTP and HTTPS"
curl -sS -m 20 -H 'X-Forwarded-For: 192.0.2.99' "$(cat "$work/url-fra")/" >/dev/null || die "a visit"
! on fra grep -F 192.0.2.99 /var/log/apache2/access.log || die "a visitor chose his own address"
! on fra grep -E "'^127\.0\.0\.1 .*curl'" /var/log/apache2/access.log || die "Apache does not see who visits"
ok "Apache sees the address of its visitor"

# ---- load, at the address of fra
load() { # NUMBER
  local i=0 code method
  while [ ! -e "$work/stop" ]; do
    i=$((i + 1)) method=GET
    [ $((i % 4)) -ne 0 ] || method=POST
    code=$(curl -sS -m 60 -o /dev/null -w '%{http_code}' -X $method "$(cat "$work/url-fra")/api.php" 2>>"$work/load-errors") || true
    # A form without a photo is answered by 400.
    case "$method $code" in 'GET 200' | 'POST 400') ;; *) echo "$(date +%T.%N) $method $code" >>"$work/failed" ;; esac
    echo >>"$work/requests-$1"
  done
}
load_begin() {
  rm -f "$work"/stop "$work"/failed "$work"/requests-*
  for n in 1 2 3; do load $n & done
  until_true 60 "requests are answered" sh -c "[ \$(cat '$work'/requests-* 2>/dev/null | wc -l) -gt 20 ]"
}
load_end() { # what
  touch "$work/stop"
  # shellcheck disable=SC2046 # numbers
  wait $(jobs -p)
  [ ! -e "$work/failed" ] || { sort "$work/failed" | head -n 20; tail -n 5 "$work/load-errors"; die "$1: $(wc -l <"$work/failed") of $(cat "$work"/requests-* | wc -l) requests failed"; }
  ok "$1: $(cat "$work"/requests-* | wc -l) requests, none failed"
}

load_begin
"$muster" maintenance -f "$file" fra on --because "a new disk" >"$work/out" || { cat "$work/out"; die "maintenance on"; }
grep -F "drain: nothing is under way" "$work/out" || { cat "$work/out"; die "it did not say how the drain ended"; }
health_is fra 503 || until_true 20 "fra says that it gets no traffic" health_is fra 503
answers fra par || die "fra in maintenance: '$(site_at fra)' at its address"
on fra systemctl stop apache2
answers fra par || die "Apache of fra stopped: '$(site_at fra)' at its address"
on fra systemctl start apache2
"$muster" maintenance -f "$file" fra off || die "maintenance off"
until_true 60 "fra's own site answers again" answers fra fra
load_end "maintenance of fra, on and off"

load_begin
"$muster" failover -f "$file" --to par || die "failover --to par"
health_is fra 404 || die "fra does not drain"
answers fra par || die "after the failover: '$(site_at fra)'"
"$muster" status -f "$file" | grep -F 'its visitors go to other nodes: failover' || die "status: $("$muster" status -f "$file")"
"$muster" failover -f "$file" --back || die "failover --back"
until_true 60 "fra's own site answers again" answers fra fra
load_end "failover to par and back"

# ---- what cannot be done is refused
on par systemctl stop apache2
until_true 30 "par's address is answered by fra" answers par fra
sees_none() { node 'echo "show stat sites 4 -1" | socat - /run/haproxy/admin.sock | grep -q "^sites,par,.*,DOWN,"'; }
until_true 30 "the front door of fra sees it, too" sees_none
rc=0
"$muster" maintenance -f "$file" fra on >"$work/out" 2>&1 || rc=$?
{ [ $rc -eq 7 ] && grep -qF "no other node is known to serve" "$work/out"; } || { cat "$work/out"; die "maintenance on: exit $rc"; }
rc=0
"$muster" failover -f "$file" --to par >"$work/out" 2>&1 || rc=$?
{ [ $rc -eq 7 ] && grep -qF "par is not known to serve" "$work/out"; } || { cat "$work/out"; die "failover: exit $rc"; }
answers fra fra || die "fra does not serve"
on par systemctl start apache2
until_true 60 "par's own site answers again" answers par par
ok "no node is taken out that is the last one"

# ---- Apache of fra dies
node 'systemctl kill -s KILL apache2; systemctl stop apache2' >/dev/null 2>&1 || true
until_true 30 "par answers at the address of fra" answers fra par
up_ok
until_true 60 "fra's own site answers again" answers fra fra

# ---- single faults: named, repaired by one up
faults() {
  cat <<'TABLE'
text      echo "# changed" >>/etc/haproxy/haproxy.cfg
gone      rm /etc/haproxy/haproxy.cfg
key-mode  chmod 0644 /etc/haproxy/muster.pem
disabled  systemctl -q disable haproxy
stopped   systemctl stop haproxy
masked    systemctl -q mask haproxy
broken    echo "nonsense" >/etc/haproxy/haproxy.cfg; systemctl stop haproxy
TABLE
}
while read -r name command <&3; do
  before=$(node 'systemctl show -P ExecMainStartTimestampMonotonic mariadb apache2')
  node "$command" >"$work/fault" 2>&1 || { cat "$work/fault"; die "$name: the fault"; }
  ! node 'muster-agent check' >"$work/check" 2>&1 || die "$name: the check finds nothing"
  grep -qE '(^| )frontdoor:haproxy( |:|$)' "$work/check" || { cat "$work/check"; die "$name: the check does not name the step"; }
  up_ok
  grep -qE 'fra +changed +frontdoor:haproxy ' "$work/up" || { cat "$work/up"; die "$name: up does not repair it"; }
  node 'muster-agent check' >"$work/check" 2>&1 || { cat "$work/check"; die "$name: after the repair"; }
  [ "$before" = "$(node 'systemctl show -P ExecMainStartTimestampMonotonic mariadb apache2')" ] || die "$name: a server was restarted"
  ok "fault: $name"
done 3< <(faults)
node 'apt-get -qq remove -y haproxy' >/dev/null 2>&1 || die "apt-get remove"
up_ok
answers fra fra || die "after the package came back: '$(site_at fra)'"
ok "fault: the package was removed"

# ---- a configuration that HAProxy does not take does not replace the one at work
sed 's/tls: self-signed/tls: {certificate: site.pem, key: site.key}/' "$file" >"$work/given.yaml"
(cd "$work" && openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=given.example -keyout site.key -out site.pem 2>/dev/null)
openssl genrsa -out "$work/other.key" 2048 2>/dev/null
sed 's/site.key/other.key/' "$work/given.yaml" >"$work/wrong.yaml"
rc=0
"$muster" validate -f "$work/wrong.yaml" >"$work/out" 2>&1 || rc=$?
{ [ $rc -eq 2 ] && grep -qF "it is not the key of the certificate" "$work/out"; } || { cat "$work/out"; die "validate: exit $rc"; }
file=$work/given.yaml
up_ok
curl -kvsS -m 20 "$(sed 's/^http:/https:/' "$work/url-fra")/" 2>&1 >/dev/null | grep -F 'CN=given.example' || die "the given certificate is not shown"
ok "a given certificate is shown"

# ---- without the section
file=$plain
up_ok
answers fra fra || die "without a front door: '$(site_at fra)'"
[ "$(on fra systemctl is-active haproxy)" != active ] || die "HAProxy runs still"
! on fra test -e /etc/haproxy/muster.pem || die "the key is there still"
up_ok
grep -qF 'nothing to create, 0 changed' "$work/up" || { tail -n 5 "$work/up"; die "the second up changes something"; }
ok "without the section Apache is back at port 80"
