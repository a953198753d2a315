/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/localvdc/machine/hold.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/str.h"
#include "controller/localvdc/base/spawn.h"
#include "controller/localvdc/base/vdc.h"
#include "controller/localvdc/machine/compute.h"

#define HOLD_MAX_MS 60000
#define HELD "held"

/* The process has ended: 0 when it held until it was told to let go. */
static int reap(struct hold *h)
{
    int status = 0;

    close(h->fd);
    while (waitpid(h->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return status;
}

int hold_begin(const char *vm_id, const char *volume_id, struct hold *ret, struct err *err)
{
    struct hold h = {.fd = -1};
    char text[sizeof(err->msg)] = "";

    if (spawn_talking((const char *const[]){"hold", vm_id, volume_id, NULL}, VDC_LOG, &h.pid, &h.fd,
                      err) < 0)
        return -1;
    ssize_t n = recv(h.fd, text, sizeof(text) - 1, 0);
    if (n > 0 && str_eq(text, HELD)) {
        *ret = h;
        return 0;
    }
    reap(&h);
    return err_set(err, ERR_FAILED, "%s",
                   n > 0 ? text : "the process that holds the guest ended, see " VDC_LOG);
}

int hold_end(struct hold *h, struct err *err)
{
    if (reap(h) == 0)
        return 0;
    return err_set(err, ERR_FAILED,
                   "the guest could not be kept from writing for as long as the copy took (at most "
                   "%d s), see " VDC_LOG,
                   HOLD_MAX_MS / 1000);
}

/* Until the other side closes its end. */
static int wait_for_end(int fd, struct err *err)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int n = poll(&p, 1, HOLD_MAX_MS);

    if (n > 0)
        return 0;
    return n == 0 ? err_set(err, ERR_TIMEOUT, "held a guest for %d s", HOLD_MAX_MS / 1000)
                  : err_errno(err, errno, "poll");
}

int hold_run(struct vdb *db, const char *vm_id, const char *volume_id, int fd, struct err *err)
{
    struct held held = {0};
    struct err late = {0};
    _cleanup_json_ json_t *vm = vdb_get(db, "vm", vm_id);
    _cleanup_json_ json_t *volume = vdb_get(db, "volume", volume_id);

    if (!vm || !volume)
        return err_set(err, ERR_FAILED, "hold: no such guest or volume");
    const struct compute_ops *driver = compute_of(vm);
    if (driver->record_only)
        return err_set(err, ERR_FAILED, "hold: guest %s is a record only", vdc_str(vm, "name"));
    int r = driver->hold(vm, volume, &held, err);
    const char *text = r < 0 ? err->msg : HELD;
    if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0 && r == 0)
        r = err_errno(err, errno, "hold: say so");
    if (r == 0)
        r = wait_for_end(fd, err);
    if (driver->let_go(vm, &held, &late) == 0)
        return r;
    *err = late;
    return -1;
}
