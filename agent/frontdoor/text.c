/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/frontdoor/frontdoor.h"
#include "common/ports.h"
#include "common/str.h"

#define BACKEND "sites"

/* A connection to a web server ends with its answer: a process of Apache that waits for the next
 * request of the same client serves nobody, and one that ends while it waits costs a request. */
static const char head[] =
    FRONTDOOR_MARK "global\n"
                   "    log stdout format raw daemon notice\n"
                   "    chroot /var/lib/haproxy\n"
                   "    stats socket " FRONTDOOR_SOCKET
                   " user root group root mode 600 level admin expose-fd listeners\n"
                   "    user haproxy\n"
                   "    group haproxy\n"
                   "    master-worker\n"
                   "    hard-stop-after 60s\n"
                   "    maxconn 4096\n"
                   "    ssl-default-bind-options ssl-min-ver TLSv1.2\n"
                   "\n"
                   "defaults\n"
                   "    mode http\n"
                   "    log global\n"
                   "    option dontlognull\n"
                   "    option http-server-close\n"
                   "    retries 3\n"
                   "    option redispatch 1\n"
                   "    retry-on conn-failure empty-response response-timeout 503\n"
                   "    timeout connect 1s\n"
                   "    timeout client 120s\n"
                   "    timeout server 120s\n"
                   "    timeout check 2s\n"
                   "    timeout http-request 15s\n"
                   "    timeout http-keep-alive 15s\n"
                   "\n"
                   "frontend visitors\n";

static const char rules[] =
    "    # A request that may have been executed is never sent again, unless it changes nothing.\n"
    "    http-request disable-l7-retry unless { method GET HEAD OPTIONS }\n"
    "    http-request set-header X-Forwarded-For %[src]\n";

/* The agent says what the node can do, some seconds after a web server died. HAProxy sees by itself
 * that nobody takes its connections, and stays away that long: it would use up the retries of
 * requests otherwise. 404 is a conditional pass: no new requests. (option httpchk has that, too,
 * as disable-on-404, but no connection to another port before.) */
static const char backend[] =
    "    default_backend " BACKEND "\n"
    "\n"
    "backend " BACKEND "\n"
    "    balance first\n"
    "    option tcp-check\n"
    "    tcp-check connect\n"
    "    tcp-check connect port " PORT_TEXT(
        PORT_HEALTH) "\n"
                     "    tcp-check send \"GET / HTTP/1.0\\r\\n\\r\\n\"\n"
                     "    tcp-check expect rstring \"^HTTP/1.[01] (200|404) \"\n"
                     "    tcp-check expect rstring \"^HTTP/1.[01] 200 \" error-status L7OKC\n"
                     "    option allbackups\n"
                     "    default-server check inter 1s fastinter 300ms fall 2 rise 2 observe "
                     "layer7 error-limit 3"
                     " on-error mark-down\n";

char *frontdoor_text(const struct frontdoor *f, const char *pem)
{
    struct strbuf b = {0};

    strbuf_adds(&b, head);
    strbuf_addf(&b, "    bind :%d\n", PORT_HTTP);
    if (pem)
        strbuf_addf(&b, "    bind :%d ssl crt %s alpn h2,http/1.1\n", PORT_HTTPS, pem);
    strbuf_adds(&b, rules);
    if (pem)
        strbuf_adds(&b, "    http-request set-header X-Forwarded-Proto https if { ssl_fc }\n"
                        "    http-request set-header X-Forwarded-Proto http unless { ssl_fc }\n");
    strbuf_adds(&b, backend);
    strbuf_addf(&b, "    server %s 127.0.0.1:%d\n", f->node, PORT_SITE);
    for (size_t i = 0; i < f->n_peers; i++)
        strbuf_addf(&b, "    server %s %s:%d backup\n", f->peers[i].name, f->peers[i].address,
                    PORT_SITE);
    return b.s;
}
