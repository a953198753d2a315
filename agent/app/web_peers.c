/* SPDX-License-Identifier: Apache-2.0 */
/* A file that was written at one site is asked for at another one before it has come there. The
 * site there asks its peers, one after the other: each that lacks the file, too, passes the request
 * on to one that was not asked, and adds its name to the header X-Muster-Seen. So it ends.
 *
 * A peer answers as its own site would, with what a visitor may not see, but runs no code. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "agent/app/internal.h"
#include "agent/app/web.h"
#include "agent/sys/fields.h"
#include "common/cleanup.h"
#include "common/js.h"
#include "common/ports.h"
#include "common/str.h"

#define SEEN "X-Muster-Seen"
#define BALANCER "muster-files-"

/* Seconds: a peer that is down costs one visitor this much, and others nothing for a while. A
 * connection is kept shorter than the peer keeps it. */
#define CONNECT_MAX_S 1
#define ANSWER_MAX_S 5
#define AWAY_S 5
#define KEEP_S 2
#define IDLE_S 1

struct member {
    const char *name, *address;
};

struct directory {
    const char *path;
    const json_t *ignore;
};

static const struct field fields[] = {
    FIELD(web_peers, node, FIELD_NAME),     FIELD(web_peers, address, FIELD_ADDRESS),
    FIELD(web_peers, members, FIELD_ARRAY), FIELD(web_peers, directories, FIELD_ARRAY),
    FIELD(web_peers, certs, FIELD_STR),     FIELD(web_peers, cert, FIELD_STR),
    FIELD(web_peers, key, FIELD_STR),
};
static const struct field member_fields[] = {
    FIELD(member, name, FIELD_NAME),
    FIELD(member, address, FIELD_ADDRESS),
};
static const struct field directory_fields[] = {
    FIELD(directory, path, FIELD_PATH),
    FIELD(directory, ignore, FIELD_STRS),
};

/* In Apache's file and in its expressions it is nothing but a name. */
static bool is_plain(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s <= ' ' || strchr("!#()[]{}\\\"<>\x7f", *s))
            return false;
    return true;
}

static int directory_read(const json_t *j, struct directory *ret, struct err *err)
{
    size_t i;
    json_t *e;

    *ret = (struct directory){0};
    if (fields_read(j, directory_fields, ARRAY_LEN(directory_fields), ret, err) < 0)
        return err_wrap(err, "directories");
    bool plain = is_plain(ret->path);
    json_array_foreach(ret->ignore, i, e) plain = plain && is_plain(json_string_value(e));
    return plain ? 0 : err_set(err, ERR_USAGE, "directories: expected plain paths");
}

int web_peers_read(const json_t *j, struct web_peers *ret, struct err *err)
{
    struct web_peers p = {0};
    struct member m = {0};
    struct directory d;
    size_t i;
    json_t *e;

    if (fields_read(j, fields, ARRAY_LEN(fields), &p, err) < 0)
        return err_wrap(err, "peers");
    if (!json_array_size(p.members) || json_array_size(p.members) > WEB_PEERS_MAX ||
        !json_array_size(p.directories))
        return err_set(err, ERR_USAGE, "peers: expected 1 to %d members and at least one directory",
                       WEB_PEERS_MAX);
    json_array_foreach(p.members, i, e)
    {
        if (fields_read(e, member_fields, ARRAY_LEN(member_fields), &m, err) < 0)
            return err_wrap(err, "peers: members");
    }
    json_array_foreach(p.directories, i, e)
    {
        if (directory_read(e, &d, err) < 0)
            return err_wrap(err, "peers");
    }
    *ret = p;
    return 0;
}

/* --- expressions ------------------------------------------------------------------------------ */

static void add_name(struct strbuf *b, const char *text)
{
    for (; *text; text++) {
        if (strchr(".^$|?*+", *text))
            strbuf_adds(b, "\\");
        strbuf_add(b, text, 1);
    }
}

/* As Syncthing takes it: '*' and '?' stay in one name, "**" does not. */
static void add_pattern(struct strbuf *b, const char *text)
{
    for (; *text; text++)
        if (str_starts(text, "**")) {
            strbuf_adds(b, ".*");
            text++;
        } else if (*text == '*' || *text == '?') {
            strbuf_adds(b, *text == '*' ? "[^/]*" : "[^/]");
        } else {
            add_name(b, (const char[]){*text, '\0'});
        }
}

/* "/photos|/wp-content/uploads" */
static void add_directories(struct strbuf *b, const struct web_peers *p)
{
    struct err ignored;
    struct directory d;
    size_t i;
    json_t *e;

    json_array_foreach(p->directories, i, e)
    {
        directory_read(e, &d, &ignored);
        strbuf_adds(b, i ? "|" : "");
        add_name(b, d.path);
    }
}

/* A condition for each kind of what is not shared, as the site asks (`asks`: it is none of these)
 * and as the peer refuses. */
static void add_not_shared(struct strbuf *b, const struct web_peers *p, bool asks)
{
    const char *no = asks ? "!" : "", *also = asks ? "" : " [OR]";
    struct err ignored;
    struct directory d;
    size_t i, k;
    json_t *e, *pattern;

    /* Names that begin with '.', what is no name of a file, and code. */
    strbuf_addf(b, "    RewriteCond %%{REQUEST_URI} %s^(?:", no);
    add_directories(b, p);
    strbuf_addf(b, ")/(?:.*/)?\\.%s\n", also);
    strbuf_addf(b, "    RewriteCond %%{REQUEST_URI} %s[?\\x00-\\x1f\\x7f]|/$|\\.sync-conflict-%s\n",
                no, also);
    strbuf_addf(b,
                "    RewriteCond %%{REQUEST_URI} "
                "\"%s(?i)\\.(?:php[0-9]?|phps|pht|phtml|phar|inc)(?:/|$)\"%s\n",
                no, also);
    json_array_foreach(p->directories, i, e)
    {
        directory_read(e, &d, &ignored);
        json_array_foreach(d.ignore, k, pattern)
        {
            strbuf_addf(b, "    RewriteCond %%{REQUEST_URI} %s^", no);
            add_name(b, d.path);
            strbuf_adds(b, "/");
            add_pattern(b, json_string_value(pattern));
            strbuf_addf(b, "(?:/|$)%s\n", also);
        }
    }
}

/* --- asking ----------------------------------------------------------------------------------- */

/* To the first of the members who was not asked. */
static void add_asking(struct strbuf *b, const char *root, const struct web_peers *p, bool site)
{
    size_t i;
    json_t *m;

    json_array_foreach(p->members, i, m)
    {
        const char *name = js_opt_str(m, "name", "");

        if (site && i)
            return; /* a visitor's request was at nobody */
        if (site) {
            strbuf_adds(b, "    RewriteCond %{REQUEST_METHOD} ^(?:GET|HEAD)$\n");
            add_not_shared(b, p, true);
            strbuf_addf(b, "    RewriteCond %s%%{REQUEST_URI} !-d\n", root);
        }
        strbuf_addf(b, "    RewriteCond %s%%{REQUEST_URI} !-f\n", root);
        if (!site) {
            strbuf_adds(b, "    RewriteCond %{HTTP:" SEEN "} !(?:^|[,\\ ])");
            add_name(b, name);
            strbuf_adds(b, "(?:,|$)\n");
        }
        strbuf_adds(b, "    RewriteRule ^(?:");
        add_directories(b, p);
        strbuf_addf(b, ")/ balancer://" BALANCER "%zu%%{REQUEST_URI} [P,NS,E=muster_asks:1]\n", i);
    }
}

void web_peers_rules(struct strbuf *b, const char *root, const struct web_peers *p)
{
    strbuf_addf(b,
                "    RequestHeader unset " SEEN " early\n"
                "    RequestHeader set " SEEN " %s env=muster_asks\n"
                "    RewriteEngine On\n"
                "    # A file that is not here yet.\n",
                p->node);
    add_asking(b, root, p, true);
}

/* --- giving ----------------------------------------------------------------------------------- */

/* One that loads mod_ssl by a2enmod would make the server listen at 443. */
static void add_modules(struct strbuf *b)
{
    static const char *const modules[][2] = {
        {"headers", "headers"},
        {"proxy", "proxy"},
        {"proxy_http", "proxy_http"},
        {"slotmem_shm", "slotmem_shm"},
        {"proxy_balancer", "proxy_balancer"},
        {"lbmethod_byrequests", "lbmethod_byrequests"},
        {"remoteip", "remoteip"},
        {"ssl", "ssl"},
    };

    for (size_t i = 0; i < ARRAY_LEN(modules); i++)
        strbuf_addf(b,
                    "<IfModule !%s_module>\n"
                    "    LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n"
                    "</IfModule>\n",
                    modules[i][0], modules[i][0], modules[i][1]);
}

/* Each begins with one of the members, goes on with those after it while that is down, and ends
 * with this node itself, which says that the file is not there. */
static void add_balancers(struct strbuf *b, const struct web_peers *p)
{
    size_t i, k;
    json_t *m;

    for (i = 0; i < json_array_size(p->members); i++) {
        strbuf_addf(b, "<Proxy \"balancer://" BALANCER "%zu\">\n", i);
        json_array_foreach(p->members, k, m)
        {
            if (k >= i)
                strbuf_addf(b,
                            "    BalancerMember https://%s:%d lbset=%zu connectiontimeout=%d "
                            "timeout=%d retry=%d ttl=%d\n",
                            js_opt_str(m, "address", ""), PORT_FILES, k, CONNECT_MAX_S,
                            ANSWER_MAX_S, AWAY_S, IDLE_S);
        }
        strbuf_addf(b,
                    "    BalancerMember https://%s:%d lbset=%d status=+H retry=0\n"
                    "    ProxySet lbmethod=byrequests failontimeout=On\n"
                    "    ProxyErrorOverride On\n"
                    "    SSLProxyEngine On\n"
                    "    SSLProxyProtocol -all +TLSv1.2 +TLSv1.3\n"
                    "    SSLProxyVerify require\n"
                    "    SSLProxyCheckPeerName Off\n" /* it has no name but its certificate */
                    "    SSLProxyCheckPeerCN Off\n"
                    "    SSLProxyCACertificateFile " WEB_PEERS_CERTS "\n"
                    "    SSLProxyMachineCertificateFile " WEB_PEERS_PEM "\n"
                    "</Proxy>\n",
                    p->address, PORT_FILES, WEB_PEERS_MAX);
    }
}

static void add_host(struct strbuf *b, const char *root, const struct web_peers *p)
{
    size_t i;
    json_t *m, *d;

    strbuf_addf(b,
                "Listen 0.0.0.0:%d\n"
                "<VirtualHost *:%d>\n"
                "    ServerName %s\n"
                "    DocumentRoot %s\n"
                "    ErrorLog ${APACHE_LOG_DIR}/error.log\n"
                "    SSLEngine On\n"
                "    SSLProtocol -all +TLSv1.2 +TLSv1.3\n"
                "    SSLCertificateFile " WEB_PEERS_PEM "\n"
                "    SSLCACertificateFile " WEB_PEERS_CERTS "\n"
                "    SSLVerifyClient require\n"
                "    SSLVerifyDepth 1\n"
                "    KeepAliveTimeout %d\n"
                "    DirectorySlash Off\n"
                "    DirectoryIndex disabled\n"
                "    RemoteIPHeader X-Forwarded-For\n"
                "    RemoteIPInternalProxy %s",
                PORT_FILES, PORT_FILES, p->node, root, KEEP_S, p->address);
    json_array_foreach(p->members, i, m) strbuf_addf(b, " %s", js_opt_str(m, "address", ""));
    strbuf_addf(b,
                "\n    RequestHeader append " SEEN " %s env=muster_asks\n"
                "    RewriteEngine On\n"
                "    # Files of shared directories, over the private network, and nothing else.\n"
                "    RewriteCond %%{REQUEST_METHOD} !^(?:GET|HEAD)$ [OR]\n"
                "    RewriteCond %%{SERVER_ADDR} !=%s [OR]\n",
                p->node, p->address);
    add_not_shared(b, p, false);
    strbuf_adds(b, "    RewriteCond %{REQUEST_URI} !^(?:");
    add_directories(b, p);
    strbuf_addf(b,
                ")/ [OR]\n"
                "    RewriteCond %s%%{REQUEST_URI} -l\n"
                "    RewriteRule ^ - [R=404,L]\n"
                "    # Who was asked before is not asked again.\n"
                "    RewriteCond %s%%{REQUEST_URI} !-f\n"
                "    RewriteCond %%{HTTP:" SEEN "} (?:^|[,\\ ])",
                root, root);
    add_name(b, p->node);
    strbuf_adds(b, "(?:,|$)\n"
                   "    RewriteRule ^ - [R=404,L]\n");
    add_asking(b, root, p, false);
    strbuf_addf(b,
                "    RewriteCond %s%%{REQUEST_URI} !-f\n"
                "    RewriteRule ^ - [R=404,L]\n"
                "    <IfModule php_module>\n"
                "        php_admin_flag engine off\n"
                "    </IfModule>\n"
                "    <IfModule php7_module>\n"
                "        php_admin_flag engine off\n"
                "    </IfModule>\n"
                "    <Directory %s>\n"
                "        Options FollowSymLinks\n"
                "        AllowOverride AuthConfig FileInfo Limit Nonfatal=Override\n"
                "        Require all granted\n"
                "    </Directory>\n",
                root, root);
    json_array_foreach(p->directories, i, d) strbuf_addf(b,
                                                         "    <Directory %s%s>\n"
                                                         "        Options SymLinksIfOwnerMatch\n"
                                                         "    </Directory>\n",
                                                         root, js_opt_str(d, "path", ""));
    strbuf_adds(b, "    <FilesMatch \"(?i)" WEB_CODE "\">\n"
                   "        Require all denied\n"
                   "    </FilesMatch>\n"
                   "    <Location />\n"
                   "        SetHandler default-handler\n"
                   "    </Location>\n"
                   "</VirtualHost>\n");
}

char *web_peers_text(const char *root, const struct web_peers *p)
{
    struct strbuf b = {0};

    strbuf_adds(&b, WEB_MARK);
    add_modules(&b);
    add_balancers(&b, p);
    add_host(&b, root, p);
    return b.s;
}
