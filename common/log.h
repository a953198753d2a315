/* SPDX-License-Identifier: Apache-2.0 */
/* The log of a long-running program: one line on stderr (the journal's, under systemd). Only
 * program edges and their loops log; library code reports through struct err. */
#ifndef MUSTER_LOG_H
#define MUSTER_LOG_H

void log_open(const char *program); /* the name that each line starts with */
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
