/* SPDX-License-Identifier: Apache-2.0 */
/* What an installation was at when the power went. dpkg syncs the files that it unpacks and its own
 * status, but neither configuration files nor what the packages' scripts write: after a loss of
 * power those may be empty although the package counts as installed. So the packages that were
 * there before are written down first, and after such a boot all later ones are forgotten, to be
 * installed again. */
#ifndef MUSTER_AGENT_APT_JOURNAL_H
#define MUSTER_AGENT_APT_JOURNAL_H

#include <stdbool.h>

#include "common/err.h"

/* An installation began and was not ended. */
bool apt_journal_open(void);
/* The same, and the machine was started since: what it wrote may be lost. */
bool apt_journal_lost(void);
/* Before an installation. One that is open stays as it is. */
int apt_journal_begin(struct err *err);
/* When it was lost: dpkg is as it was at the beginning, and the later packages' configuration files
 * are gone, since one that is there counts as edited by somebody. */
int apt_journal_roll_back(struct err *err);
/* It was, and is not ended yet: files that a package's scripts made may be there and empty. */
bool apt_journal_rolled_back(void);
/* apt is through, with success or without: to the disk with all that it did. */
int apt_journal_done(struct err *err);

#endif
