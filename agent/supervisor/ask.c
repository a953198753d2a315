/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/supervisor/ask.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "agent/cluster/cluster.h"
#include "agent/ipc/paths.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/proc.h"
#include "common/str.h"
#include "common/text.h"

#define ANSWER_WITHIN_MS 15000
#define ANSWER_AGAIN_MS 50
#define ANSWER_MAX 65536

/* One that comes late is not taken for the answer to the next question. */
static int wait_answer(uint64_t id, json_t **ret, struct err *err)
{
    uint64_t begun = clock_mono_ms();

    while (clock_mono_ms() - begun < ANSWER_WITHIN_MS) {
        _cleanup_free_ char *text = NULL;
        struct err ignored;
        size_t len = 0;

        if (fs_read(PATH_ANSWER, ANSWER_MAX, &text, &len, &ignored) == 0) {
            if (js_parse(text, len, ret, err) < 0)
                return -1;
            if (js_opt_u64(*ret, "id", 0) == id)
                return 0;
            json_decref(*ret);
            *ret = NULL;
        }
        clock_pause_ms(ANSWER_AGAIN_MS);
    }
    unlink(PATH_ASK);
    return err_set(err, ERR_FAILED,
                   "the agent did not answer; 'muster-agent status' says what it does");
}

/* One at a time: question and answer have one place each. */
static int lock(struct err *err)
{
    int fd = open(PATH_ASK_LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return err_errno(err, errno, "%s", PATH_ASK_LOCK);
    if (flock(fd, LOCK_EX) == 0)
        return fd;
    int saved = errno;
    close(fd);
    return err_errno(err, saved, "lock %s", PATH_ASK_LOCK);
}

int ask(const char *what, const char *node, const char *because, bool keep, json_t **ret_view,
        struct err *err)
{
    uint64_t id = clock_mono_ms();
    _cleanup_json_ json_t *request =
        json_pack("{s:I, s:s, s:s, s:s, s:b}", "id", (json_int_t)id, "what", what, "node", node,
                  "because", because, "keep", keep);
    _cleanup_json_ json_t *answer = NULL;

    if (geteuid() != 0)
        return err_set(err, ERR_USAGE, "this needs root");
    if (!request)
        return err_set(err, ERR_USAGE, "names and reasons are UTF-8 text");
    if (!fs_exists(GALERA_READY))
        return err_set(err, ERR_FAILED,
                       "this node has no database cluster, or its plan has not come so far; "
                       "'muster-agent status' says what it does");
    _cleanup_free_ char *text = js_text(request);
    _cleanup_close_ int fd = lock(err);
    if (fd < 0)
        return -1;
    unlink(PATH_ANSWER);
    if (fs_write_atomic(PATH_ASK, text, strlen(text), 0600, err) < 0 ||
        proc_call(PROC_ARGV(SYSTEMCTL, "kill", "--kill-who=main", "--signal=USR1", "muster-agent"),
                  err) < 0 ||
        wait_answer(id, &answer, err) < 0)
        return -1;
    if (!json_is_true(json_object_get(answer, "ok")))
        return err_set(err, ERR_SAFETY, "not accepted: %s", js_opt_str(answer, "why", "?"));
    const char *why = js_opt_str(answer, "why", "");
    if (*why)
        text_print(stdout, "accepted: %s\n", why);
    if (ret_view)
        *ret_view = json_incref(json_object_get(answer, "view"));
    return 0;
}

int ask_others_serve(struct err *err)
{
    _cleanup_json_ json_t *view = NULL;
    const json_t *m;
    size_t i;

    if (ask("look", "", "", false, &view, err) < 0)
        return -1;
    json_array_foreach(json_object_get(view, "members"), i, m)
    {
        if (!json_is_true(json_object_get(m, "self")) &&
            json_is_true(json_object_get(m, "heard")) &&
            str_eq(js_opt_str(m, "state", ""), "primary") && !*js_opt_str(m, "held", ""))
            return 0;
    }
    return err_set(
        err, ERR_SAFETY,
        "no other member is known to serve, and not held: without this node the database would be "
        "away; --allow-outage does it all the same");
}

static int option_text(int argc, char **argv, int *i, const char **ret, struct err *err)
{
    if (*i + 1 >= argc)
        return err_set(err, ERR_USAGE, "%s needs a text", argv[*i]);
    *ret = argv[++*i];
    if (strlen(*ret) >= CLUSTER_BECAUSE)
        return err_set(err, ERR_USAGE, "%s: at most %d bytes", argv[*i - 1], CLUSTER_BECAUSE - 1);
    return 0;
}

int ask_options(int argc, char **argv, unsigned allowed, struct ask_options *ret, struct err *err)
{
    *ret = (struct ask_options){0};
    const struct {
        const char *name;
        enum ask_option bit;
        bool *flag;
        const char **text;
    } options[] = {
        {"--json", ASK_JSON, &ret->json, NULL},
        {"--because", ASK_BECAUSE, NULL, &ret->because},
        {"--without", ASK_WITHOUT, NULL, &ret->without},
        {"--confirm", ASK_CONFIRM, NULL, &ret->confirm},
        {"--to", ASK_TO, NULL, &ret->to},
        {"--keep", ASK_KEEP, &ret->keep, NULL},
        {"--allow-outage", ASK_ALLOW_OUTAGE, &ret->allow_outage, NULL},
    };

    for (int i = 1; i < argc; i++) {
        size_t k = 0;

        if (argv[i][0] != '-') {
            if (ret->n_words == 2)
                return err_set(err, ERR_USAGE, "'%s' is one word too many", argv[i]);
            ret->words[ret->n_words++] = argv[i];
            continue;
        }
        while (k < ARRAY_LEN(options) &&
               !(str_eq(options[k].name, argv[i]) && allowed & options[k].bit))
            k++;
        if (k == ARRAY_LEN(options))
            return err_set(err, ERR_USAGE, "option '%s' is not understood", argv[i]);
        if (options[k].flag)
            *options[k].flag = true;
        else if (option_text(argc, argv, &i, options[k].text, err) < 0)
            return -1;
    }
    return 0;
}
