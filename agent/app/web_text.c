/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "agent/app/web.h"
#include "agent/ipc/paths.h"
#include "common/ports.h"
#include "common/str.h"

char *web_site_text(const char *root, const char *health, const char *page)
{
    return str_fmt("# written by muster-agent\n"
                   "<VirtualHost *:%d>\n"
                   "    DocumentRoot %s\n"
                   "    ErrorLog ${APACHE_LOG_DIR}/error.log\n"
                   "    CustomLog ${APACHE_LOG_DIR}/access.log combined\n"
                   "    <Directory %s>\n"
                   "        Options FollowSymLinks\n"
                   "        AllowOverride All\n"
                   "        Require all granted\n"
                   "    </Directory>\n"
                   "    Alias %s %s\n"
                   "    <Directory %.*s>\n"
                   "        AllowOverride None\n"
                   "        Require all granted\n"
                   "    </Directory>\n"
                   "</VirtualHost>\n",
                   PORT_HTTP, root, root, health, page, (int)(strrchr(page, '/') - page), page);
}

/* The module of PHP 8 and later is called php_module, that of PHP 7 php7_module. Sections for files
 * outweigh those for directories and what an .htaccess grants. */
char *web_code_text(void)
{
    return xstrdup("# written by muster-agent\n"
                   "# Without PHP, code and the passwords in it would be served as text.\n"
                   "<IfModule !php_module>\n"
                   "    <IfModule !php7_module>\n"
                   "        <FilesMatch \"(?i)\\.(php[0-9]?|phps|pht|phtml|phar|inc)$\">\n"
                   "            Require all denied\n"
                   "        </FilesMatch>\n"
                   "    </IfModule>\n"
                   "</IfModule>\n");
}

/* A donor serves on while mariabackup copies; rsync keeps all writes waiting until it is done.
 * Which one it is, the joining node says: here it is seen only by the program that runs. */
static const char with_db[] =
    "mysqli_report(MYSQLI_REPORT_OFF);\n"
    "$m = @new mysqli('localhost', 'www-data');\n"
    "$s = [];\n"
    "if (!$m->connect_errno && ($r = $m->query(\"SHOW GLOBAL STATUS LIKE 'wsrep_%'\"))) \n"
    "    while ($row = $r->fetch_row()) $s[$row[0]] = $row[1];\n"
    "function donor_writes() {\n"
    "    $runs = [];\n"
    "    foreach (glob('/proc/[0-9]*/comm') ?: [] as $f)\n"
    "        $runs[trim((string)@file_get_contents($f))] = true;\n"
    "    return (isset($runs['mariadbd']) || isset($runs['mysqld']))\n"
    "        && !isset($runs['wsrep_sst_rsync']);\n"
    "}\n"
    "$db = $s['wsrep_local_state_comment'] ?? ($m->connect_errno == 2002 ? 'Stopped' : "
    "'Unknown');\n"
    "$size = (int)($s['wsrep_cluster_size'] ?? 0);\n"
    "$ok = ($s['wsrep_cluster_status'] ?? '') === 'Primary' && ($s['wsrep_ready'] ?? '') === 'ON'\n"
    "    && ($db === 'Synced' || ($db === 'Donor/Desynced' && donor_writes()));\n";

char *web_health_text(const char *node, bool db)
{
    struct strbuf b = {0};

    strbuf_adds(&b, "<?php /* written by muster-agent */\n");
    strbuf_adds(&b, db ? with_db : "$db = null; $size = 0; $ok = true;\n");
    strbuf_adds(&b, "$agent = json_decode(@file_get_contents('" PATH_STATUS "') ?: '{}', true);\n");
    strbuf_addf(&b,
                "http_response_code($ok ? 200 : 503);\n"
                "header('Content-Type: application/json');\n"
                "header('Cache-Control: no-store');\n"
                "echo json_encode(['node' => '%s', 'db' => $db, 'cluster_size' => $size,\n"
                "    'drift' => $agent['drift'] ?? []]), \"\\n\";\n",
                node);
    return b.s;
}
