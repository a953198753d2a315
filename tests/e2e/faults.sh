#!/bin/bash
# Single faults on what the agent wrote or set, one at a time, on a node of a ready deployment. Each must
# be named by the agent's check, be repaired by one `up` that names it, and be gone for the check after
# it; and no database is restarted for it, nor a web server whose configuration was not touched.
# usage: faults.sh [NAME…]   only these
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"

# NAME STEP KIND COMMAND: a command on the node fra, as root. KIND: "web" when the repair may restart the
# web server, "hurry" when the cluster would notice within seconds (the node's own check is passed over
# then), "-" otherwise.
faults() {
  cat <<'TABLE'
route-gone           route:private  hurry ip route del 10.10.2.0/24
route-other          route:private  hurry ip route replace 10.10.2.0/24 via 10.10.1.7 dev eth1
route-file-gone      route:private  -     rm /etc/network/interfaces.d/60-muster-eth1
route-file-text      route:private  -     sed -i s/10.10.2.0/10.10.3.0/ /etc/network/interfaces.d/60-muster-eth1
package-removed      package:all    web   apt-get -qq remove -y php-gd php8.2-gd >/dev/null
package-broken       package:all    -     sed -i "/^Package: rsync$/,/^$/s/^Status: .*/Status: install ok half-configured/" /var/lib/dpkg/status
fstab-gone           mount:data     -     sed -i /datadisk/d /etc/fstab
fstab-options        mount:data     -     sed -i s/noatime/atime/ /etc/fstab
fstab-twice          mount:data     -     echo "/dev/sdz1 /media/datadisk-mariadb ext4 defaults 0 0" >>/etc/fstab
mount-options        mount:data     -     mount -o remount,strictatime /media/datadisk-mariadb
mount-noexec         mount:data     -     mount -o remount,noexec,nosuid,nodev,noatime /media/datadisk-mariadb
mount-top-mode       mount:data     -     chmod 0700 /media/datadisk-mariadb
mount-marker         mount:data     -     rm /media/datadisk-mariadb/.muster-volume
datadir-conf         datadir:mariadb -    rm /etc/mysql/mariadb.conf.d/70-muster-datadir.cnf
datadir-conf-text    datadir:mariadb -    echo "datadir = /tmp" >>/etc/mysql/mariadb.conf.d/70-muster-datadir.cnf
datadir-unit         datadir:mariadb -    rm /etc/systemd/system/mariadb.service.d/50-muster-datadir.conf
datadir-owner        datadir:mariadb -    chown root:root /media/datadisk-mariadb/mysql
datadir-mode         datadir:mariadb -    chmod 0777 /media/datadisk-mariadb/mysql
galera-conf          galera:saas    -     rm /etc/mysql/mariadb.conf.d/80-muster-galera.cnf
galera-conf-text     galera:saas    -     echo "innodb_flush_log_at_trx_commit = 0" >>/etc/mysql/mariadb.conf.d/80-muster-galera.cnf
galera-conf-mode     galera:saas    -     chmod 0666 /etc/mysql/mariadb.conf.d/80-muster-galera.cnf
galera-gate          galera:saas    -     rm /etc/systemd/system/mariadb.service.d/60-muster.conf
galera-gate-loaded   galera:saas    -     f=/etc/systemd/system/mariadb.service.d/60-muster.conf; cp -p $f /root/f; sed -i /ConditionPathExists/d $f; systemctl daemon-reload; cat /root/f >$f; touch -d "1 minute ago" $f
galera-at-boot       galera:saas    -     ln -s /lib/systemd/system/mariadb.service /etc/systemd/system/multi-user.target.wants/mariadb.service
galera-masked        galera:saas    -     systemctl -q mask mariadb
galera-flush         galera:saas    -     mariadb -e "SET GLOBAL innodb_flush_log_at_trx_commit = 0"
galera-threads       galera:saas    -     mariadb -e "SET GLOBAL wsrep_slave_threads = 1"
galera-retry         galera:saas    -     mariadb -e "SET GLOBAL wsrep_retry_autocommit = 0"
galera-engine        galera:saas    -     mariadb -e "SET GLOBAL default_storage_engine = MyISAM"
galera-provider      galera:saas    -     mariadb -e "SET GLOBAL wsrep_provider_options = \"gcs.fc_limit=16\""
php-value            php:settings   web   for f in /etc/php/*/apache2/conf.d/99-muster.ini; do echo memory_limit=1M >$f; done
php-gone             php:settings   web   rm /etc/php/8.2/apache2/conf.d/99-muster.ini
php-cli-gone         php:settings   -     rm /etc/php/8.2/cli/conf.d/99-muster.ini
php-mode             php:settings   web   chmod 0000 /etc/php/8.2/apache2/conf.d/99-muster.ini
php-loaded           php:settings   web   f=/etc/php/8.2/apache2/conf.d/99-muster.ini; cp -p $f /root/f; echo memory_limit=64M >>$f; systemctl reload apache2; sleep 1; cp -p /root/f $f
php-extension        php:settings   web   phpdismod -s apache2 gd
web-site-text        web:apache     web   echo "# changed by hand" >>/etc/apache2/sites-available/muster.conf
web-site-off         web:apache     web   a2dissite -q muster >/dev/null
web-site-link        web:apache     web   touch /root/other.conf; ln -sfn /root/other.conf /etc/apache2/sites-enabled/muster.conf
web-site-loaded      web:apache     web   f=/etc/apache2/sites-available/muster.conf; cp -p $f /root/f; sed -i "s|</VirtualHost>|Redirect 403 /\n&|" $f; systemctl reload apache2; sleep 1; cp -p /root/f $f
web-default-on       web:apache     web   a2ensite -q 000-default >/dev/null
web-module-link      web:apache     web   touch /root/rewrite.load; ln -sfn /root/rewrite.load /etc/apache2/mods-enabled/rewrite.load
web-module-off       web:apache     web   a2dismod -q -f rewrite >/dev/null
web-php-off          web:apache     web   a2dismod -q php8.2 >/dev/null; systemctl restart apache2
web-php-not-loaded   web:apache     web   a2dismod -q php8.2 >/dev/null; systemctl restart apache2; a2enmod -q php8.2 >/dev/null
web-code-conf        web:apache     web   rm /etc/apache2/conf-available/muster-code.conf
web-code-off         web:apache     web   a2disconf -q muster-code >/dev/null
web-peers-conf       web:apache     web   echo "# changed by hand" >>/etc/apache2/conf-available/muster-peers.conf
web-peers-off        web:apache     web   rm /etc/apache2/conf-enabled/muster-peers.conf
web-peers-key-mode   web:apache     web   chmod 0644 /etc/apache2/muster/node.pem
web-peers-certs      web:apache     web   echo >>/etc/apache2/muster/members.pem
web-not-at-boot      web:apache     web   systemctl -q disable apache2
web-unwanted         web:apache     web   rm /etc/systemd/system/multi-user.target.wants/apache2.service
web-stopped          web:apache     web   systemctl stop apache2
web-masked           web:apache     web   systemctl -q mask apache2
sessions-code        sessions:album -     echo "// changed" >>/etc/apache2/muster/sessions.php
sessions-code-mode   sessions:album -     chmod 0644 /etc/apache2/muster/sessions.php
sessions-conf        sessions:album web   rm /etc/apache2/conf-available/muster-sessions.conf
sessions-off         sessions:album web   a2disconf -q muster-sessions >/dev/null
sessions-table       sessions:album -     mariadb -e "DROP TABLE album.muster_sessions"
sql-user             sql:album      -     mariadb -e "DROP USER album@localhost"
sql-password         sql:album      -     mariadb -e "ALTER USER album@localhost IDENTIFIED BY \"other\""
sql-rights           sql:album      -     mariadb -e "REVOKE TRIGGER ON album.* FROM album@localhost"
sql-locked           sql:album      -     mariadb -e "ALTER USER album@localhost ACCOUNT LOCK"
sql-expired          sql:album      -     mariadb -e "ALTER USER album@localhost PASSWORD EXPIRE"
sql-tls              sql:album      -     mariadb -e "ALTER USER album@localhost REQUIRE SSL"
own-account-gone     synced:saas    -     mariadb -e "DROP USER \"muster-fra\"@127.0.0.1"
own-account-rights   synced:saas    -     mariadb -e "REVOKE ALL PRIVILEGES ON muster.* FROM \"muster-fra\"@127.0.0.1"
own-account-file     synced:saas    -     rm /var/lib/muster-agent/database.login
app-conf-mode        app:album      -     chmod 0666 /var/www/html/config.php
app-conf-owner       app:album      -     chown www-data:www-data /var/www/html/config.php
app-conf-text        app:album      -     echo "// changed" >>/var/www/html/config.php
app-conf-gone        app:album      -     rm /var/www/html/config.php
app-file-gone        app:album      -     rm /var/www/html/index.php
app-file-text        app:album      -     echo "<?php // changed" >>/var/www/html/api.php
app-file-same-size   app:album      -     sed -i s/album/ALBUM/ /var/www/html/index.php
app-file-mode        app:album      -     chmod 0000 /var/www/html/index.php
app-file-owner       app:album      -     chown www-data:www-data /var/www/html/index.php
app-file-link        app:album      -     ln -sf /etc/passwd /var/www/html/index.php
app-directory-mode   app:album      -     chmod 0700 $(readlink -f /var/www/html)
app-writable-owner   app:album      -     chown root:root /media/datadisk-mariadb/muster-app/album/photos
app-writable-mode    app:album      -     chmod 0500 /media/datadisk-mariadb/muster-app/album/photos
app-writable-link    app:album      -     rm /var/www/html/photos; mkdir /var/www/html/photos
app-writable-gone    app:album      -     rm /var/www/html/photos
app-home-mode        app:album      -     chmod 0700 /media/datadisk-mariadb/muster-app
app-releases-mode    app:album      -     chmod 0700 /var/www/html.d
app-directory-gone   app:album      -     rm -r /media/datadisk-mariadb/muster-app/album/photos
app-manifest-gone    app:album      -     rm /var/www/html.d/*.manifest
app-manifest-torn    app:album      -     truncate -s 20 /var/www/html.d/*.manifest
app-root-link        app:album      -     ln -sfn /tmp /var/www/html
app-release-gone     app:album      -     rm -rf $(readlink -f /var/www/html)
share-settings       share:album    -     echo "{}" >/etc/muster-agent/share/settings.json
share-settings-mode  share:album    -     chmod 0644 /etc/muster-agent/share/key.pem
share-unit           share:album    -     sed -i /InaccessiblePaths/d /etc/systemd/system/muster-share.service
share-stopped        share:album    -     systemctl stop muster-share
share-unwanted       share:album    -     systemctl -q disable muster-share
share-masked         share:album    -     rm /etc/systemd/system/muster-share.service; systemctl -q mask --now muster-share
backup-mode          backup         -     chmod 0755 /media/datadisk-mariadb/muster-backup
backup-gone          backup         -     rmdir /media/datadisk-mariadb/muster-backup
agent-masked         agent          -     ln -s /dev/null /etc/systemd/system/muster-agent.service
agent-unwanted       agent          -     rm /etc/systemd/system/multi-user.target.wants/muster-agent.service
agent-plan-mode      agent          -     chmod 0644 /var/lib/muster-agent/plan.json
agent-not-at-boot    agent          -     systemctl -q disable muster-agent
TABLE
}

# What keeps the agent from seeing: NAME STEP UNDO -- COMMAND. The step is unknown then, neither in sync
# nor different, and nothing is changed for it.
blinds() {
  cat <<'TABLE'
blind-root       sql:album       mariadb -px -e "ALTER USER root@localhost IDENTIFIED VIA unix_socket" -- mariadb -e "ALTER USER root@localhost IDENTIFIED BY \"x\""
blind-systemd    datadir:mariadb chmod 0755 /usr/bin/systemctl -- chmod 0 /usr/bin/systemctl
blind-manifest   app:album       m=$(echo /var/www/html.d/*.manifest); rmdir $m; mv /root/m $m -- m=$(echo /var/www/html.d/*.manifest); mv $m /root/m; mkdir $m
TABLE
}

printf 'backup: {}\n' >>"$file"
up() { "$muster" up -f "$file" --progress plain >"$work/up" 2>&1; }
node() { "$muster" ssh -f "$file" fra sudo sh -c "'$1'" </dev/null; }
# When the node's servers began to run.
servers() { node 'systemctl show -P ExecMainStartTimestampMonotonic mariadb apache2' | xargs; }
differs() {
  ! node 'muster-agent check' >"$work/check" 2>&1 && grep -qE "(^| )$1( |:|$)" "$work/check"
}

sed -i 's/^app:$/&\n  sessions: database/' "$file"
up || { tail -n 40 "$work/up"; die "up"; }
# Whether something of the cluster moves still: only then is a fault the only change.
until_true 60 "ready" is_ready
failures=0
complain() {
  printf 'FAILED: %s: %s\n' "$name" "$*"
  bad=1
}

n=0
while read -r name step kind command <&3; do
  [ $# -eq 0 ] || [[ " $* " == *" $name "* ]] || continue
  n=$((n + 1)) bad=0
  before=$(servers)
  node "$command" >"$work/fault" 2>&1 || { complain "the fault: $(cat "$work/fault")"; failures=$((failures + 1)); continue; }
  [ "$kind" = hurry ] || differs "$step" || complain "the check does not name $step: $(tail -n 3 "$work/check")"
  up || complain "up: $(tail -n 3 "$work/up")"
  grep -qE "(fra|par) +changed +$step " "$work/up" || complain "up does not repair $step: $(tail -n 2 "$work/up")"
  node 'muster-agent check' >"$work/check" 2>&1 || complain "after the repair: $(grep -v 'in sync' "$work/check" | tail -n 3)"
  after=$(servers)
  [ "${before% *}" = "${after% *}" ] || complain "the database was restarted"
  [ "$kind" = web ] || [ "${before#* }" = "${after#* }" ] || complain "the web server was restarted"
  [ $bad -eq 0 ] && ok "$name"
  failures=$((failures + bad))
done 3< <(faults)
while read -r name step rest <&3; do
  [ $# -eq 0 ] || [[ " $* " == *" $name "* ]] || continue
  n=$((n + 1)) bad=0
  before=$(servers)
  node "${rest#* -- }" >"$work/fault" 2>&1 || complain "the fault: $(cat "$work/fault")"
  node 'muster-agent check' >"$work/check" 2>&1 || true
  grep -qE " $step +unknown: " "$work/check" || complain "not unknown: $(grep " $step " "$work/check")"
  node "${rest%% -- *}" >"$work/fault" 2>&1 || complain "its undoing: $(cat "$work/fault")"
  up || complain "up: $(tail -n 3 "$work/up")"
  ! grep -qE "(fra|par) +changed " "$work/up" || complain "something was changed: $(grep changed "$work/up" | head -n 2)"
  node 'muster-agent check' >"$work/check" 2>&1 || complain "after it: $(grep -v 'in sync' "$work/check" | tail -n 3)"
  [ "$before" = "$(servers)" ] || complain "a server was restarted"
  [ $bad -eq 0 ] && ok "$name"
  failures=$((failures + bad))
done 3< <(blinds)

# A server that could not remove its log when it ended, as one does whose directory is another's then.
torn_log() {
  local log=/media/datadisk-mariadb/mysql/tc.log
  node "systemctl stop muster-agent mariadb; printf A >$log; chown mysql: $log; systemctl start muster-agent"
  until_true 60 "a node with a torn tc.log is back" node 'systemctl -q is-active mariadb'
  until_true 60 "and takes part" state_is fra primary
  node 'ls /media/datadisk-mariadb/.muster-agent/tc-log-*' >/dev/null || die "it was not kept"
  up || die "up: $(tail -n 3 "$work/up")"
  "$muster" events -f "$file" >"$work/events" || die "events"
  grep -q "the torn tc.log of the database was moved" "$work/events" || die "no event says so"
  ok "torn-log"
}
if [ $# -eq 0 ] || [[ " $* " == *" torn-log "* ]]; then torn_log; fi
[ $failures -eq 0 ] || die "$failures of $n faults"
ok "$n faults: named, and repaired by one up each"
