/* SPDX-License-Identifier: Apache-2.0 */
/* `muster-agent cluster`: what this node's coordinator knows, and what an operator tells it. Works
 * with the controller away. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/ipc/cmd.h"
#include "agent/ipc/helper.h"
#include "agent/ipc/paths.h"
#include "agent/supervisor/ask.h"
#include "agent/supervisor/verbs.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/proc.h"
#include "common/str.h"
#include "common/text.h"

#define HISTORY_READ_MAX (4 * 1024 * 1024)
#define AGAIN_MS 500
#define RESTART_SILENT_MS 60000 /* the coordinator takes the stopped database up within this */

/* --- looking ------------------------------------------------------------------------------------
 */

static void print_member(const json_t *m)
{
    const json_t *p = json_object_get(m, "position"), *heard = json_object_get(m, "heard_ms");
    char age[CLOCK_AGE_MAX] = "never", position[64] = "?";
    uint64_t now = clock_wall_ms();

    if (json_is_integer(heard))
        clock_age(now - js_opt_u64(m, "heard_ms", 0), now, age);
    if (*js_opt_str(p, "uuid", ""))
        snprintf(position, sizeof(position), "%.8s:%lld (%.12s)", js_opt_str(p, "uuid", ""),
                 (long long)json_integer_value(json_object_get(p, "seqno")),
                 js_opt_str(p, "read", ""));
    else if (p)
        snprintf(position, sizeof(position), "none (%.12s)", js_opt_str(p, "read", ""));
    text_print(stdout, "%s %-12s %-16s %5llu  %-34s %-12s %s%s\n",
               json_is_true(json_object_get(m, "self")) ? "*" : " ", js_opt_str(m, "name", ""),
               js_opt_str(m, "state", ""), (unsigned long long)js_opt_u64(m, "epoch", 0), position,
               json_is_true(json_object_get(m, "self")) ? "-" : age,
               js_opt_bool(m, "votes", true) ? "" : "no vote ",
               *js_opt_str(m, "held", "") ? "held" : "");
}

static void print_members(const json_t *view)
{
    const json_t *m;
    size_t i;

    printf("  %-12s %-16s %5s  %-34s %-12s\n", "member", "state", "epoch", "position", "heard");
    json_array_foreach(json_object_get(view, "members"), i, m) print_member(m);
}

static int look(const struct ask_options *o, bool explain, struct err *err)
{
    _cleanup_json_ json_t *view = NULL;

    if (ask("look", "", "", false, &view, err) < 0)
        return -1;
    if (o->json) {
        _cleanup_free_ char *text = json_dumps(view, JSON_INDENT(2) | JSON_ENSURE_ASCII);

        puts(text);
        return 0;
    }
    if (!explain) {
        text_print(stdout, "%s is %s: %s\n", js_opt_str(view, "node", ""),
                   js_opt_str(view, "state", ""), js_opt_str(view, "why", ""));
        print_members(view);
        return 0;
    }
    text_print(stdout, "%s", js_opt_str(view, "explain", ""));
    return 0;
}

static void print_entry(const json_t *e)
{
    const char *kind = js_opt_str(e, "kind", ""), *because = js_opt_str(e, "because", ""),
               *uuid = js_opt_str(e, "uuid", ""), *without = js_opt_str(e, "without", "");
    time_t at = (time_t)(js_opt_u64(e, "at", 0) / 1000);
    char date[32] = "";
    struct tm tm;

    if (localtime_r(&at, &tm))
        strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
    if (json_object_get(e, "epoch"))
        text_print(stdout, "%s  epoch %llu  %s: %s starts first, from %.8s:%lld", date,
                   (unsigned long long)js_opt_u64(e, "epoch", 0), kind, js_opt_str(e, "node", ""),
                   *uuid ? uuid : "nothing",
                   (long long)json_integer_value(json_object_get(e, "seqno")));
    else
        text_print(stdout, "%s  an operator: %s %s", date, kind, js_opt_str(e, "node", ""));
    if (*without)
        text_print(stdout, ", without %s", without);
    if (*because)
        text_print(stdout, " (%s)", because);
    putchar('\n');
}

static int history(const struct ask_options *o, struct err *err)
{
    static const char *const files[] = {PATH_HISTORY ".1", PATH_HISTORY};

    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        _cleanup_free_ char *text = NULL;
        char *save = NULL;

        if (!fs_exists(files[i]))
            continue;
        if (fs_read(files[i], HISTORY_READ_MAX, &text, NULL, err) < 0)
            return -1;
        for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
            _cleanup_json_ json_t *e = NULL;
            struct err ignored;

            if (o->json)
                puts(line);
            else if (js_parse(line, strlen(line), &e, &ignored) == 0)
                print_entry(e);
        }
    }
    return 0;
}

/* --- telling ------------------------------------------------------------------------------------
 */

/* The name is typed, or was given beside the verb. */
static int confirm(const struct ask_options *o, const char *name, struct err *err)
{
    char line[128] = "";

    if (o->confirm && str_eq(o->confirm, name))
        return 0;
    if (o->confirm)
        return err_set(err, ERR_USAGE, "--confirm names '%s', and this is about '%s'", o->confirm,
                       name);
    printf("Type the name of the node that is given up, to go on: ");
    fflush(stdout);
    if (fgets(line, sizeof(line), stdin))
        line[strcspn(line, "\r\n")] = '\0';
    return str_eq(line, name) ? 0
                              : err_set(err, ERR_SAFETY,
                                        "nothing was done: the name was not typed (--confirm %s "
                                        "does it without asking)",
                                        name);
}

static int recover(const struct ask_options *o, struct err *err)
{
    _cleanup_json_ json_t *view = NULL;

    if (!o->without)
        return err_set(err, ERR_USAGE, "recover: say whose data is given up: --without NODE");
    if (ask("look", "", "", false, &view, err) < 0)
        return -1;
    print_members(view);
    text_print(stdout, "%s", js_opt_str(view, "explain", ""));
    printf(
        "What only %s has is lost; when it returns with more than the others have, it is put into "
        "quarantine.\n",
        o->without);
    if (confirm(o, o->without, err) < 0)
        return -1;
    return ask("recover", o->without, o->because ? o->because : "", false, NULL, err);
}

static int release(const struct ask_options *o, struct err *err)
{
    _cleanup_json_ json_t *view = NULL;
    char path[4096];

    if (o->n_words != 2)
        return err_set(err, ERR_USAGE, "release: name the node: cluster release NODE");
    if (ask("look", "", "", false, &view, err) < 0)
        return -1;
    const char *self = js_opt_str(view, "node", ""), *state = js_opt_str(view, "state", "");
    if (!str_eq(self, o->words[1]))
        return err_set(err, ERR_USAGE, "this node is %s; type it on %s", self, o->words[1]);
    if (!str_eq(state, "quarantine") && !str_eq(state, "halt"))
        return err_set(err, ERR_SAFETY, "%s is %s: there is nothing to release", self, state);
    if (json_is_true(json_object_get(view, "running")))
        return err_set(err, ERR_SAFETY,
                       "the database of %s runs; stop it first: systemctl stop mariadb", self);
    text_print(stdout, "%s", js_opt_str(view, "explain", ""));
    if (o->keep)
        return ask("release", self, o->because ? o->because : "", true, NULL, err);
    if (confirm(o, self, err) < 0)
        return -1;
    helper_path(HELPER_WORKER, path, sizeof(path));
    if (proc_call(PROC_ARGV(path, "aside"), err) < 0)
        return err_wrap(err, "the data was not moved aside");
    return ask("release", self, o->because ? o->because : "", false, NULL, err);
}

/* The database ends, and the coordinator starts it again as a member that joins. */
static int restart(const struct ask_options *o, struct err *err)
{
    uint64_t begun, since;
    char last[64] = "";

    if (!o->allow_outage && ask_others_serve(err) < 0)
        return -1;
    if (proc_call(PROC_ARGV(SYSTEMCTL, "stop", "mariadb"), err) < 0)
        return -1;
    puts("stopped; the agent starts it again");
    begun = since = clock_mono_ms();
    for (;;) {
        _cleanup_json_ json_t *view = NULL;

        if (ask("look", "", "", false, &view, err) < 0)
            return -1;
        const char *state = js_opt_str(view, "state", "");
        if (!str_eq(state, last)) {
            str_copy(last, sizeof(last), state);
            since = clock_mono_ms();
            text_print(stdout, "%s: %s\n", state, js_opt_str(view, "why", ""));
            fflush(stdout);
        }
        /* Primary since a moment after the stop: before, the agent had not noticed it yet. */
        if (str_eq(state, "primary") && json_is_true(json_object_get(view, "running")) &&
            js_opt_u64(view, "since_ms", UINT64_MAX) < clock_mono_ms() - begun)
            return 0;
        /* A transfer takes as long as it takes; whatever else stands still is not waited for. */
        if (!str_eq(state, "joining") && clock_mono_ms() - since > RESTART_SILENT_MS)
            return err_set(err, ERR_TIMEOUT, "it is %s for a minute: %s", state,
                           js_opt_str(view, "why", ""));
        clock_pause_ms(AGAIN_MS);
    }
}

static int hold(const struct ask_options *o, struct err *err)
{
    return ask(o->words[0], "", o->because ? o->because : "", false, NULL, err);
}

static int status(const struct ask_options *o, struct err *err)
{
    return look(o, false, err);
}

static int explain(const struct ask_options *o, struct err *err)
{
    return look(o, true, err);
}

int cmd_cluster(int argc, char **argv)
{
    static const struct {
        const char *name;
        int words;
        unsigned allowed;
        int (*run)(const struct ask_options *o, struct err *err);
    } verbs[] = {
        {"status", 1, ASK_JSON, status},
        {"explain", 1, ASK_JSON, explain},
        {"history", 1, ASK_JSON, history},
        {"recover", 1, ASK_BECAUSE | ASK_WITHOUT | ASK_CONFIRM, recover},
        {"hold", 1, ASK_BECAUSE, hold},
        {"resume", 1, ASK_BECAUSE, hold},
        {"release", 2, ASK_BECAUSE | ASK_CONFIRM | ASK_KEEP, release},
        {"restart", 1, ASK_ALLOW_OUTAGE, restart},
    };
    struct err err = {0};
    struct ask_options o;
    size_t i = 0;

    while (argc > 1 && i < ARRAY_LEN(verbs) && !str_eq(verbs[i].name, argv[1]))
        i++;
    if (argc < 2 || i == ARRAY_LEN(verbs))
        return cmd_usage("cluster", "cluster: status, explain, history, recover, hold, resume, "
                                    "release or restart");
    if (ask_options(argc, argv, verbs[i].allowed, &o, &err) == 0 && o.n_words > verbs[i].words)
        err_set(&err, ERR_USAGE, "'%s' is one word too many", o.words[verbs[i].words]);
    if (err.msg[0] || verbs[i].run(&o, &err) < 0)
        return cmd_fail(&err);
    return 0;
}
