/* SPDX-License-Identifier: Apache-2.0 */
/* What systemd is told (sd_notify(3)), when it has started us. */
#ifndef MUSTER_CONTROLLER_SERVE_NOTIFY_H
#define MUSTER_CONTROLLER_SERVE_NOTIFY_H

/* "READY=1", "STATUS=…": lines. Without a NOTIFY_SOCKET nothing happens. */
void notify_send(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
