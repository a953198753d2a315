/* SPDX-License-Identifier: Apache-2.0 */
/* destroy: takes a deployment, or one node of it, down. */
#include <stdio.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"
#include "common/text.h"
#include "controller/cli/session.h"
#include "controller/cloud/snapshots.h"
#include "controller/cloud/teardown.h"

static void print_line(const char *line)
{
    text_print(stderr, "%s\n", line);
}

/* They are nobody's resources: destroy leaves them, and says so. */
static size_t tell_snapshots(struct cli_session *s)
{
    const struct snapshots all = {&s->reach, s->d.store, &s->v.resources, NULL};
    _cleanup_json_ json_t *ours = NULL;
    struct err err = {0};
    size_t n;

    if (s->d.spec.cloud == CLOUD_NONE)
        return 0;
    if (snapshots_list(&all, &ours, &err) < 0) {
        text_print(stderr, "whether snapshots remain is not known: %s\n", err.msg);
        return 1;
    }
    n = json_array_size(ours);
    if (n > 0)
        text_print(stderr,
                   "%zu snapshot%s of data disks remain%s: 'muster snapshot list' names, 'muster "
                   "snapshot delete ID' deletes them\n",
                   n, n == 1 ? "" : "s", n == 1 ? "s" : "");
    return n;
}

int cmd_destroy(const struct cli *cli, struct err *err)
{
    _cleanup_(cli_session_close) struct cli_session s = {.d.lock_fd = -1};
    _cleanup_(strbuf_free) struct strbuf gone = {0};
    _cleanup_(strbuf_free) struct strbuf left = {0};
    struct survey_options o = {.destroy = true, .node = cli->node, .with_data = cli->with_data};
    struct teardown_result r = {0};

    /* without a journal, too: what is ours carries our tags */
    if (cli_session_open(cli, true, false, &o, &s, err) < 0)
        return -1;
    teardown_preview(&s.v, &s.d.spec, &gone, &left);
    if (gone.len && !cli->yes)
        text_print(stderr, "This will be destroyed:\n%s", strbuf_str(&gone));
    if (left.len)
        text_print(stderr, "This stays:\n%s", strbuf_str(&left));
    if (gone.len && !cli_confirmed(cli, "Destroy this?"))
        return err_set(err, ERR_SAFETY, "not confirmed; nothing was destroyed (-y does not ask)");
    if (teardown_run(&s.reach, s.d.store, &s.d.spec, &s.v, print_line, &r, err) < 0)
        return -1;
    text_print(stderr, "%s is down: %u destroyed, %u data disk%s kept\n",
               cli->node ? cli->node : s.d.spec.deployment, r.destroyed, r.data_disks,
               r.data_disks == 1 ? "" : "s");
    size_t snapshots = tell_snapshots(&s);
    if (cli->node)
        return 0;
    if (r.data_disks == 0 && snapshots == 0) { /* nothing refers to the state any more */
        store_close(TAKE(s.d.store));
        return fs_remove_tree(s.d.state, err);
    }
    return store_set(s.d.store, "state", "destroyed", err);
}
