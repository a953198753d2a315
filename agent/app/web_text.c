/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/app/web.h"
#include "common/ports.h"
#include "common/str.h"

char *web_site_text(const char *root)
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
                   "</VirtualHost>\n",
                   PORT_HTTP, root, root);
}

/* The module of PHP 8 and later is called php_module, that of PHP 7 php7_module. Sections for files
 * outweigh those for directories and what an .htaccess grants. */
char *web_code_text(void)
{
    return xstrdup(
        "# written by muster-agent\n"
        "# Without PHP, code and the passwords in it would be served as text.\n"
        "<IfModule !php_module>\n"
        "    <IfModule !php7_module>\n"
        "        <FilesMatch \"(?i)\\.(php[0-9]?|phps|pht|phtml|phar|inc)$\">\n"
        "            Require all denied\n"
        "        </FilesMatch>\n"
        "    </IfModule>\n"
        "</IfModule>\n"
        "# What was changed in two places, and what has not come whole from another node.\n"
        "<FilesMatch \"(\\.sync-conflict-|^\\.syncthing\\.)\">\n"
        "    Require all denied\n"
        "</FilesMatch>\n");
}
