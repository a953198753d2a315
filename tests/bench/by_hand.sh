#!/bin/bash
# What a careful engineer would type on one of the two nodes of docs/examples/saas.yaml, tuned: one
# apt transaction that starts nothing, the disk beside it, the web beside the database's join. The
# end is the same as the agent's. Run as root on the guest; prints when it began and ended, in
# milliseconds since 1970.
# usage: by_hand.sh NODE ADDRESS PEER_NODE PEER_ADDRESS FIRST_NODE PASSWORD ALBUM.tar
set -euo pipefail
node=$1 address=$2 peer=$3 peer_address=$4 first=$5 password=$6 album=$7
begin=$(date +%s%3N)
export DEBIAN_FRONTEND=noninteractive
mnt=/media/datadisk-mariadb

say() { printf '%6.1f s  %s\n' "$(($(date +%s%3N) - begin))e-3" "$*" >&2; }

disk() {
  local disk=/dev/sdb numbers
  printf 'label: gpt\nname=data\n' | sfdisk -q --no-reread --no-tell-kernel $disk
  partx -a $disk 2>/dev/null || true
  numbers=$(cat "/sys/dev/block/$(stat -c %Hr:%Lr $disk)"/*1/dev)
  [ -b ${disk}1 ] || mknod ${disk}1 b "${numbers%:*}" "${numbers#*:}"
  mkfs.ext4 -q -F ${disk}1
  mkdir -p $mnt
  echo "UUID=$(blkid -p -o value -s UUID ${disk}1) $mnt ext4 defaults,noatime 0 2" >>/etc/fstab
  mount -o noatime ${disk}1 $mnt
}

packages() {
  printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
  chmod 755 /usr/sbin/policy-rc.d
  apt-get -qq -y --no-install-recommends -oDpkg::Use-Pty=0 install mariadb-server mariadb-backup galera-4 socat rsync \
    apache2 libapache2-mod-php php-cli php-mysql php-gd php-curl php-mbstring >/dev/null 2>&1 ||
    { apt-get -qq update && apt-get -qq -y --no-install-recommends -oDpkg::Use-Pty=0 install mariadb-server mariadb-backup \
      galera-4 socat rsync apache2 libapache2-mod-php php-cli php-mysql php-gd php-curl php-mbstring >/dev/null; }
  rm /usr/sbin/policy-rc.d
}

database_files() {
  cp -a /var/lib/mysql $mnt/mysql
  sync -f $mnt
  cat >/etc/mysql/mariadb.conf.d/80-galera.cnf <<EOF
[mysqld]
datadir = $mnt/mysql
bind_address = 0.0.0.0
binlog_format = ROW
innodb_autoinc_lock_mode = 2
wsrep_on = ON
wsrep_provider = /usr/lib/galera/libgalera_smm.so
wsrep_cluster_name = saas
wsrep_cluster_address = gcomm://$address,$peer_address
wsrep_node_name = $node
wsrep_node_address = $address
wsrep_sst_method = mariabackup
wsrep_sst_auth = mysql:
EOF
  mkdir -p /etc/systemd/system/mariadb.service.d
  printf '[Unit]\nRequiresMountsFor=%s\n[Service]\nTimeoutStartSec=infinity\n' $mnt >/etc/systemd/system/mariadb.service.d/data.conf
  systemctl daemon-reload
}

database() {
  if [ "$node" = "$first" ]; then
    galera_new_cluster
    mariadb <<EOF
CREATE DATABASE album CHARACTER SET utf8mb4;
CREATE USER album@localhost IDENTIFIED BY '$password';
GRANT ALL ON album.* TO album@localhost;
EOF
  else
    until timeout 1 bash -c ": </dev/tcp/$peer_address/4567" 2>/dev/null; do sleep 0.1; done
    systemctl set-environment MYSQLD_OPTS=--wsrep-sst-method=rsync # no rest of ten seconds
    systemctl start mariadb
    systemctl unset-environment MYSQLD_OPTS
  fi
  until [ "$(mariadb -N -e "SHOW STATUS LIKE 'wsrep_local_state_comment'" 2>/dev/null | cut -f2)" = Synced ]; do sleep 0.1; done
}

web() {
  local ini
  for ini in /etc/php/*/{apache2,cli}/conf.d; do
    printf 'upload_max_filesize = 32M\npost_max_size = 34M\nmemory_limit = 256M\n' >"$ini/99-local.ini"
  done
  cat >/etc/apache2/sites-available/local.conf <<'EOF'
<VirtualHost *:80>
    DocumentRoot /var/www/html
    <Directory /var/www/html>
        AllowOverride All
        Require all granted
    </Directory>
</VirtualHost>
EOF
  a2enmod -q rewrite
  a2dissite -q 000-default
  a2ensite -q local
  rm -f /var/www/html/index.html
  tar -C /var/www/html --no-same-owner -xf "$album"
  mkdir -p /var/www/html/photos
  chown www-data: /var/www/html/photos
  cat >/var/www/html/config.php <<EOF
<?php
return ['dsn' => 'mysql:host=localhost;dbname=album;charset=utf8mb4', 'user' => 'album', 'password' => '$password', 'site' => '$node'];
EOF
  chgrp www-data /var/www/html/config.php
  chmod 640 /var/www/html/config.php
  systemctl restart apache2
}

disk &
disk=$!
packages
say packages
wait $disk
database_files
say 'files of the database'
web &
web=$!
database
say 'database'
wait $web
[ "$node" != "$first" ] || runuser -u www-data -- php /var/www/html/install.php >/dev/null
until curl -fsm 2 "http://localhost/" | grep -q "served by $node"; do sleep 0.1; done
say "site; the other node is $peer"
echo "$begin $(date +%s%3N)"
