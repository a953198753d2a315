/* SPDX-License-Identifier: Apache-2.0 */
/* What an installation was at when the power went. dpkg syncs what it unpacks, but neither
 * configuration files nor what the packages' scripts write: after a loss of power those may be
 * empty although the package counts as installed. So the packages that were there before are
 * written down first, and after such a boot all later ones are installed once more. */
#ifndef MUSTER_AGENT_APT_JOURNAL_H
#define MUSTER_AGENT_APT_JOURNAL_H

#include <stdbool.h>

#include "common/err.h"
#include "common/str.h"

/* An installation began and was not ended. */
bool apt_journal_open(void);
/* The same, and the machine was started since: what it wrote may be lost. */
bool apt_journal_lost(void);
/* Before an installation. One that is open stays as it is. */
int apt_journal_begin(struct err *err);
/* What came since the beginning, "name name:arch …". */
int apt_journal_new(struct strbuf *ret, struct err *err);
/* What was lost is there again: another kill needs no more than to go on. */
int apt_journal_mended(struct err *err);
/* All is installed: to the disk with it. */
int apt_journal_done(struct err *err);

#endif
