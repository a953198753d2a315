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

/* The site. `proxies` (addresses; NULL: none): it is behind a front door, and these say who a
 * visitor is; `site`: how visitors call it then, may be "". The caller frees these texts. */
char *web_site_text(const char *root, const char *site, const json_t *proxies);
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
