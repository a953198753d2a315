/* SPDX-License-Identifier: Apache-2.0 */
/* What the step `web` gives to Apache, and whether PHP works in it. */
#ifndef MUSTER_AGENT_APP_WEB_H
#define MUSTER_AGENT_APP_WEB_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

#define WEB_ETC "/etc/apache2"

#define WEB_MARK "# written by muster-agent\n" /* its files begin so */

#define WEB_PEERS_MAX 8
#define WEB_PEERS_PEM WEB_ETC "/muster/node.pem"      /* certificate and key */
#define WEB_PEERS_CERTS WEB_ETC "/muster/members.pem" /* of all nodes */

/* Who has the same directories, and is asked for a file of these that is not here (yet). */
struct web_peers {
    const char *node, *address;
    const json_t *members;          /* of {name, address}, in the order in which they are asked */
    const json_t *directories;      /* of {path, ignore}; path: as in an address of the site */
    const char *certs, *cert, *key; /* PEM; the key may be a reference to a secret */
};

/* Everything in it is borrowed. */
int web_peers_read(const json_t *j, struct web_peers *ret, struct err *err);
/* For the whole server: how peers are asked, and what is given to them, at a port of its own. The
 * caller frees. */
char *web_peers_text(const char *root, const struct web_peers *p);

/* The site. `proxies` (addresses; NULL: none): it is behind a front door, and these say who a
 * visitor is; `site`: how visitors call it then, may be ""; `peers`: NULL, none are asked. The
 * caller frees these texts. */
char *web_site_text(const char *root, const char *site, const json_t *proxies,
                    const struct web_peers *peers);
/* The ports: behind a front door, or where visitors come. */
char *web_ports_text(bool behind);
/* For the whole server: no code is served where PHP would not run it. */
char *web_code_text(void);

/* What keeps PHP from being active by the files below `etc` (WEB_ETC), or NULL. */
const char *web_php_missing(const char *etc);
/* Whether its module was enabled after `loaded` (svc.h): what, or NULL. */
const char *web_php_newer(int64_t loaded);
/* Enables it, with the MPM that it needs. The server must be restarted then. */
int web_php_enable(struct err *err);

#endif
