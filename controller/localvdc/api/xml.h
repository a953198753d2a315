/* SPDX-License-Identifier: Apache-2.0 */
/* JSON answers as CloudStack writes them in XML. Pure. */
#ifndef MUSTER_CONTROLLER_LOCALVDC_API_XML_H
#define MUSTER_CONTROLLER_LOCALVDC_API_XML_H

#include <jansson.h>

#include "common/str.h"

/* A document whose root has the name; members become elements, an array one element for each of its
 * items. Characters that XML 1.0 does not have become '?'. */
void xml_write(const char *root, const json_t *object, struct strbuf *out);

#endif
