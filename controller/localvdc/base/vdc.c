/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/localvdc/base/vdc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"

void vdc_short(const char *uuid, char ret[9])
{
    snprintf(ret, 9, "%.8s", uuid);
}

void vdc_name(const char *prefix, const char *uuid, char ret[VDC_NAME_MAX])
{
    snprintf(ret, VDC_NAME_MAX, "%.7s%.8s", prefix, uuid);
}

int vdc_self(char *ret, size_t cap, struct err *err)
{
    ssize_t n = readlink("/proc/self/exe", ret, cap - 1);

    if (n < 0)
        return err_errno(err, errno, "read /proc/self/exe");
    ret[n] = '\0';
    /* A program that was replaced while it runs: the new one at the same place is meant. */
    char *gone = strstr(ret, " (deleted)");
    if (gone)
        *gone = '\0';
    return 0;
}

void vdc_now(char ret[32])
{
    time_t now = time(NULL);
    struct tm tm;

    gmtime_r(&now, &tm);
    strftime(ret, 32, VDC_TIME_FORMAT, &tm);
}

void vdc_boot_id(char ret[40])
{
    struct err err = {0};
    _cleanup_free_ char *text = NULL;

    if (fs_read("/proc/sys/kernel/random/boot_id", 64, &text, NULL, &err) < 0)
        text = xstrdup("unknown");
    str_copy(ret, 40, str_chomp(text));
}

const char *vdc_str(const json_t *doc, const char *key)
{
    const char *s = json_string_value(json_object_get(doc, key));

    return s ? s : "";
}

int vdc_open(bool make, struct vdb **ret, struct err *err)
{
    if (make) {
        static const char *const dirs[] = {VDC_DIR,
                                           VDC_DIR "/net",
                                           VDC_DIR "/vms",
                                           VDC_DIR "/volumes",
                                           VDC_DIR "/snapshots",
                                           VDC_DIR "/lock"};

        /* The name server drops its privileges and reads its directory below net. */
        for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
            if (fs_mkdirs(dirs[i], 0711, err) < 0)
                return -1;
        }
    } else if (!fs_exists(VDC_STATE)) {
        return err_set(err, ERR_FAILED,
                       "there is no local cloud on this machine; start one with "
                       "'muster-vdc start'");
    }
    mode_t old = umask(0077);
    int r = vdb_open(VDC_STATE, make, ret, err);
    umask(old);
    return r;
}
