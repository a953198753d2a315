/* SPDX-License-Identifier: Apache-2.0 */
/* `muster-agent maintenance`: this node gets no traffic, and the coordinator leaves its database
 * alone, until it is over. Behind a front door it finishes first what it has. The reason is kept in
 * a file, over restarts. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/frontdoor/frontdoor.h"
#include "agent/ipc/cmd.h"
#include "agent/ipc/paths.h"
#include "agent/supervisor/ask.h"
#include "agent/supervisor/drain.h"
#include "agent/supervisor/internal.h"
#include "agent/supervisor/verbs.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/str.h"

json_t *sup_reason(const char *path)
{
    _cleanup_free_ char *text = NULL;
    struct err ignored;
    size_t len = 0;

    if (!fs_exists(path))
        return NULL;
    /* It is there, and cannot be read: it is in force all the same. */
    if (fs_read(path, 4096, &text, &len, &ignored) < 0 || len == 0)
        return json_string("no reason given");
    return js_string(text);
}

json_t *sup_maintenance(void)
{
    json_t *why = sup_reason(PATH_MAINTENANCE);

    return why ? why : sup_reason(PATH_CLOSED);
}

static int begin(const struct ask_options *o, struct err *err)
{
    const char *because = o->because ? o->because : "no reason given";
    bool cluster = fs_exists(GALERA_READY), door = frontdoor_exists();

    if (!o->allow_outage &&
        ((cluster && ask_others_serve(err) < 0) || (door && drain_allowed(NULL, err) < 0)))
        return -1;
    if ((door && drain_begin(PATH_DRAIN_NOW, because, err) < 0) ||
        fs_write_atomic(PATH_MAINTENANCE, because, strlen(because), 0600, err) < 0 ||
        drain_end(PATH_DRAIN_NOW, err) < 0)
        return -1;
    if (cluster && ask("hold", "", because, false, NULL, err) < 0)
        return err_wrap(err, "it gets no traffic, but its database is not held");
    puts("maintenance: the health endpoint answers 503; the agent leaves the database alone");
    return 0;
}

static int end(struct err *err)
{
    if (fs_exists(GALERA_READY) && ask("resume", "", "", false, NULL, err) < 0)
        return err_wrap(err, "still in maintenance");
    if (fs_unlink(PATH_MAINTENANCE, err) < 0 ||
        drain_end(PATH_DRAIN_NOW, err) < 0) /* of a beginning that was interrupted */
        return -1;
    puts("maintenance is over");
    return 0;
}

int cmd_maintenance(int argc, char **argv)
{
    struct err err = {0};
    struct ask_options o;
    int r = ask_options(argc, argv, ASK_BECAUSE | ASK_ALLOW_OUTAGE, &o, &err);

    if (r == 0 &&
        (o.n_words > 1 || (o.n_words && !str_eq(o.words[0], "on") && !str_eq(o.words[0], "off"))))
        return cmd_usage("maintenance", "maintenance: on or off");
    if (r == 0 && o.n_words == 0) {
        _cleanup_json_ json_t *why = sup_maintenance();

        if (why)
            printf("in maintenance: %s\n", json_string_value(why));
        else
            puts("not in maintenance");
        return 0;
    }
    if (r == 0)
        r = str_eq(o.words[0], "on") ? begin(&o, &err) : end(&err);
    return r < 0 ? cmd_fail(&err) : 0;
}
