#!/bin/bash
# Applications as they are: WordPress and MediaWiki from Debian's packages, by their example files, on two
# sites, in a browser.
# usage: apps.sh [APPLICATION…]   wordpress mediawiki
source "$(dirname "$0")/../lib.sh"

applications=("$@")
[ $# -gt 0 ] || applications=(wordpress mediawiki)
declare -A packages=(
  [wordpress]='wordpress wordpress-theme-twentytwentythree libjs-cropper libjs-underscore php-getid3'
  [mediawiki]='mediawiki mediawiki-classes'
)

# The application's directory, beside its file.
fetch() { # application
  local deb
  mkdir "$work/debs" "$work/root"
  # shellcheck disable=SC2086 # a list
  (cd "$work/debs" && apt-get -qq -o APT::Sandbox::User=root download ${packages[$1]})
  for deb in "$work"/debs/*.deb; do dpkg -x "$deb" "$work/root"; done
  /usr/bin/python3 tests/e2e/slow/apps_unpack.py "$work/root" "usr/share/$1" "$work/$1"
  # What an administrator would write, and Debian's own in its place.
  rm -rf "$work/debs" "$work/root" "$work/$1"/{wp-config.php,.htaccess,LocalSettings.php}
}

apt-get -qq update
for application in "${applications[@]}"; do
  fetch "$application"
  f=$work/$application.yaml
  sed 's/template: Debian 12/& with servers/' "docs/examples/$application.yaml" >"$f"
  "$muster" up -f "$f" >"$work/up" 2>&1 || { tail -n 60 "$work/up"; die "up"; }
  ok "$application: $(grep 'is ready' "$work/up")"
  fra=$("$muster" status -f "$f" --json | jq -r '.nodes[0].url')
  par=$("$muster" status -f "$f" --json | jq -r '.nodes[1].url')
  password=$("$muster" secret -f "$f" admin)
  timeout 600 /usr/bin/python3 tests/e2e/slow/apps.py "$application" "$fra" "$par" "$password" || die "$application"
  "$muster" up -f "$f" >"$work/up" 2>&1 || { cat "$work/up"; die "up"; }
  grep -q 'nothing to create, 0 changed' "$work/up" || { cat "$work/up"; die "the application's own work counts as a difference"; }
  ok "$application: a further run changes nothing"
  "$muster" destroy -y --with-data -f "$f" >"$work/down" 2>&1 || { cat "$work/down"; die "destroy"; }
  rm -rf "${work:?}/$application"
done
