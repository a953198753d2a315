/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/galera/grastate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/str.h"

int grastate_parse(const char *text, struct grastate *ret, struct err *err)
{
    struct grastate g = {.seqno = -2};
    _cleanup_free_ char *copy = xstrdup(text);
    char *save = NULL;
    bool has_safe = false;

    for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char value[64];
        long long n;

        if (sscanf(line, "uuid: %63s", value) == 1) {
            if (!uuid_valid(value) || !uuid_read(value, g.uuid))
                return err_set(err, ERR_FAILED, "grastate.dat: uuid is malformed");
        } else if (sscanf(line, "seqno: %lld", &n) == 1) {
            g.seqno = n;
        } else if (sscanf(line, "safe_to_bootstrap: %lld", &n) == 1) {
            has_safe = true;
            g.safe = n == 1;
        }
    }
    if (!g.uuid[0] || g.seqno < -1 || !has_safe)
        return err_set(err, ERR_FAILED, "grastate.dat is incomplete");
    *ret = g;
    return 0;
}

char *grastate_text(const char *uuid)
{
    return str_fmt("# GALERA saved state\nversion: 2.1\nuuid:    %s\nseqno:   -1\n"
                   "safe_to_bootstrap: 1\n",
                   uuid);
}

bool grastate_recovered(const char *line, char ret_uuid[UUID_SIZE], int64_t *ret_seqno)
{
    static const char mark[] = "WSREP: Recovered position:";
    const char *at = strstr(line, mark);
    char *end = NULL;

    if (!at)
        return false;
    at += sizeof(mark) - 1;
    while (*at == ' ')
        at++;
    if (!uuid_read(at, ret_uuid) || at[UUID_SIZE - 1] != ':')
        return false;
    *ret_seqno = strtoll(at + UUID_SIZE, &end, 10);
    return end != at + UUID_SIZE && (*end == '\0' || *end == ',' || *end == '\n');
}

void grastate_recovery_line(struct grastate_recovery *r, const char *line)
{
    const char *error = strstr(line, "[ERROR]");

    if (grastate_recovered(line, r->uuid, &r->seqno))
        r->lines++;
    r->innodb = r->innodb || strstr(line, "InnoDB: ");
    if (!error)
        return;
    if (!r->first[0])
        str_copy(r->first, sizeof(r->first), error);
    if (strstr(error, "prepared transaction") && strstr(error, "Found"))
        r->prepared = true;
    if (strstr(error, "Aria") || strstr(error, "aria"))
        r->aria = true;
}
