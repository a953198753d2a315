/* SPDX-License-Identifier: Apache-2.0 */
/* `muster-agent drain`: this node's visitors go to other nodes. The reason is kept in a file. */
#include "agent/supervisor/drain.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/frontdoor/frontdoor.h"
#include "agent/ipc/cmd.h"
#include "agent/ipc/paths.h"
#include "agent/supervisor/ask.h"
#include "agent/supervisor/internal.h"
#include "agent/supervisor/verbs.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/proc.h"
#include "common/str.h"

#define DRAIN_MAX_MS 30000
#define DRAIN_LOOK_MS 100
#define PEER_MAX_MS 10000 /* it may have been given back a moment ago */

json_t *sup_drain(void)
{
    json_t *why = sup_reason(PATH_DRAIN);

    return why ? why : sup_reason(PATH_DRAIN_NOW);
}

void drain_tell_agent(void)
{
    struct err ignored; /* an agent that does not run reads the files when it starts */

    proc_call(PROC_ARGV(SYSTEMCTL, "kill", "--kill-who=main", "--signal=USR1", "muster-agent"),
              &ignored);
}

int drain_allowed(const char *peer, struct err *err)
{
    uint64_t begun = clock_mono_ms();
    struct frontdoor_load l;

    for (;;) {
        if (frontdoor_load(FRONTDOOR_SOCKET, peer, &l, err) < 0) {
            err->code = ERR_SAFETY;
            return err_wrap(err, "whether another node takes the visitors cannot be seen");
        }
        if (peer ? l.peer_up : l.others > 0)
            return 0;
        if (!peer || clock_mono_ms() - begun > PEER_MAX_MS)
            break;
        clock_pause_ms(DRAIN_LOOK_MS);
    }
    return err_set(err, ERR_SAFETY,
                   "%s %s known to serve: the visitors of this node would get nothing; "
                   "--allow-outage does it all the same",
                   peer ? peer : "no other node", peer ? "is not" : "is");
}

static void wait_for_none(void)
{
    uint64_t begun = clock_mono_ms();
    struct frontdoor_load l;
    struct err err = {0};

    for (;;) {
        if (frontdoor_load(FRONTDOOR_SOCKET, NULL, &l, &err) < 0) {
            printf("drain: what is under way cannot be seen (%s)\n", err.msg);
            return;
        }
        if (!l.own_up && l.flight == 0) {
            puts("drain: nothing is under way to this node's web server");
            return;
        }
        if (clock_mono_ms() - begun > DRAIN_MAX_MS)
            break;
        clock_pause_ms(DRAIN_LOOK_MS);
    }
    printf("drain: after %d s %u request%s under way%s\n", DRAIN_MAX_MS / 1000, l.flight,
           l.flight == 1 ? " is" : "s are",
           l.own_up ? ", and the front door still gives new ones to this node" : "");
}

int drain_begin(const char *path, const char *because, struct err *err)
{
    if (fs_write_atomic(path, because, strlen(because), 0600, err) < 0)
        return -1;
    drain_tell_agent();
    wait_for_none();
    return 0;
}

int drain_end(const char *path, struct err *err)
{
    if (fs_unlink(path, err) < 0)
        return -1;
    drain_tell_agent();
    return 0;
}

static int on(const struct ask_options *o, struct err *err)
{
    if (!frontdoor_exists())
        return err_set(err, ERR_USAGE,
                       "this node has no front door; the section frontdoor of the file makes one");
    if (!o->allow_outage && drain_allowed(o->to, err) < 0)
        return -1;
    return drain_begin(PATH_DRAIN, o->because ? o->because : "no reason given", err);
}

static int off(struct err *err)
{
    if (drain_end(PATH_DRAIN, err) < 0)
        return -1;
    puts("this node takes visitors again");
    return 0;
}

int cmd_drain(int argc, char **argv)
{
    struct err err = {0};
    struct ask_options o;
    int r = ask_options(argc, argv, ASK_BECAUSE | ASK_ALLOW_OUTAGE | ASK_TO, &o, &err);

    if (r == 0 &&
        (o.n_words > 1 || (o.n_words && !str_eq(o.words[0], "on") && !str_eq(o.words[0], "off"))))
        return cmd_usage("drain", "drain: on or off");
    if (r == 0 && o.n_words == 0) {
        _cleanup_json_ json_t *why = sup_drain();

        if (why)
            printf("drains: %s\n", json_string_value(why));
        else
            puts("does not drain");
        return 0;
    }
    if (r == 0)
        r = str_eq(o.words[0], "on") ? on(&o, &err) : off(&err);
    return r < 0 ? cmd_fail(&err) : 0;
}
