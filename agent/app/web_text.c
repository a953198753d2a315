/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/app/web.h"

#include <string.h>

#include "agent/app/internal.h"
#include "common/ports.h"
#include "common/str.h"

/* Apache makes addresses of its own (of a directory without its last '/') from scheme and port of
 * ServerName, and PHP's SERVER_PORT is that port: visitors come by another one than Apache has. */
static void add_server_name(struct strbuf *b, const char *site)
{
    bool tls = str_starts(site, "https://");
    const char *host = strstr(site, "://");
    int n;

    host = host ? host + strlen("://") : "localhost";
    n = (int)strcspn(host, "/");
    strbuf_addf(b, "    ServerName %s://%.*s", tls ? "https" : "http", n, host);
    if (!memchr(host, ':', (size_t)n))
        strbuf_addf(b, ":%d", tls ? PORT_HTTPS : PORT_HTTP);
    strbuf_adds(b, "\n");
}

static void add_proxies(struct strbuf *b, const json_t *proxies)
{
    size_t i;
    json_t *p;

    strbuf_adds(b, "    RemoteIPHeader X-Forwarded-For\n    RemoteIPInternalProxy");
    json_array_foreach(proxies, i, p) strbuf_addf(b, " %s", json_string_value(p));
    strbuf_adds(b, "\n    SetEnvIf X-Forwarded-Proto ^https$ HTTPS=on\n");
}

char *web_site_text(const char *root, const char *site, const json_t *proxies,
                    const struct web_peers *peers)
{
    struct strbuf b = {0};

    strbuf_addf(&b,
                WEB_MARK "<VirtualHost *:%d>\n"
                         "    DocumentRoot %s\n",
                proxies ? PORT_SITE : PORT_HTTP, root);
    if (proxies) {
        add_server_name(&b, site);
        add_proxies(&b, proxies);
    }
    if (peers)
        web_peers_rules(&b, root, peers);
    strbuf_addf(&b,
                "    ErrorLog ${APACHE_LOG_DIR}/error.log\n"
                "    CustomLog ${APACHE_LOG_DIR}/access.log combined\n"
                "    <Directory %s>\n"
                "        Options FollowSymLinks\n"
                "        AllowOverride All\n"
                "        Require all granted\n"
                "    </Directory>\n"
                "</VirtualHost>\n",
                root);
    return b.s;
}

char *web_ports_text(bool behind)
{
    return behind ? str_fmt(WEB_MARK "Listen %d\n", PORT_SITE)
                  : str_fmt(WEB_MARK "Listen %d\n"
                                     "<IfModule ssl_module>\n"
                                     "    Listen %d\n"
                                     "</IfModule>\n",
                            PORT_HTTP, PORT_HTTPS);
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
        "        <FilesMatch \"(?i)" WEB_CODE "\">\n"
        "            Require all denied\n"
        "        </FilesMatch>\n"
        "    </IfModule>\n"
        "</IfModule>\n"
        "# What was changed in two places, and what has not come whole from another node.\n"
        "<FilesMatch \"(\\.sync-conflict-|^\\.syncthing\\.)\">\n"
        "    Require all denied\n"
        "</FilesMatch>\n");
}
