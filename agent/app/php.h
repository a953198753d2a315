/* SPDX-License-Identifier: Apache-2.0 */
/* PHP's modules, of the packages that the plan names, as Debian enables them: a link in conf.d for
 * the web server and one for the command line. */
#ifndef MUSTER_AGENT_APP_PHP_H
#define MUSTER_AGENT_APP_PHP_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

#define WEB_SERVICE "apache2"

/* The first that is not enabled, as "gd (apache2)". `resources`: of the plan. */
bool php_modules_off(const json_t *resources, char *ret, size_t cap);
/* One of the web server's was enabled after `loaded` (svc.h): a literal, or NULL. */
const char *php_modules_newer(const json_t *resources, int64_t loaded);
/* Enables those that are not, and notes it for the web server when it reads one of them. */
int php_modules_enable(const json_t *resources, struct err *err);

#endif
