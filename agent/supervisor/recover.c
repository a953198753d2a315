/* SPDX-License-Identifier: Apache-2.0 */
/* `muster-agent cluster-recover`: an operator accepts that a member's data is lost, so that the
 * others need not wait for it. The running agent judges, decides and records it. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/ipc/cmd.h"
#include "agent/ipc/paths.h"
#include "agent/supervisor/verbs.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/proc.h"

#define ANSWER_WITHIN_MS 15000

static int answer(json_t **ret, struct err *err)
{
    uint64_t begun = clock_mono_ms();

    while (clock_mono_ms() - begun < ANSWER_WITHIN_MS) {
        _cleanup_free_ char *text = NULL;
        struct err ignored;
        size_t len = 0;

        if (fs_read(PATH_RECOVERED, 4096, &text, &len, &ignored) == 0)
            return js_parse(text, len, ret, err);
        clock_pause_ms(100);
    }
    unlink(PATH_RECOVER);
    return err_set(err, ERR_FAILED,
                   "the agent did not answer; 'muster-agent status' says what it "
                   "does");
}

int cmd_recover(int argc, char **argv)
{
    struct err err = {0};
    _cleanup_json_ json_t *got = NULL;

    if (argc != 3 || strcmp(argv[1], "--i-accept-the-loss-of") != 0)
        return cmd_usage("cluster-recover",
                         "cluster-recover: say whose data is lost: --i-accept-the-loss-of NODE");
    if (geteuid() != 0) {
        err_set(&err, ERR_USAGE, "cluster-recover needs root");
        return cmd_fail(&err);
    }
    json_t *request = json_pack("{s:s}", "lost", argv[2]);
    if (!request) {
        err_set(&err, ERR_USAGE, "that is not the name of a member");
        return cmd_fail(&err);
    }
    _cleanup_free_ char *text = js_text(request);
    json_decref(request);
    unlink(PATH_RECOVERED);
    if (fs_write_atomic(PATH_RECOVER, text, strlen(text), 0600, &err) < 0 ||
        proc_call(PROC_ARGV(SYSTEMCTL, "kill", "--kill-who=main", "--signal=HUP", "muster-agent"),
                  &err) < 0 ||
        answer(&got, &err) < 0)
        return cmd_fail(&err);
    if (!json_is_true(json_object_get(got, "ok"))) {
        err_set(&err, ERR_SAFETY, "not accepted: %s", js_opt_str(got, "why", "?"));
        return cmd_fail(&err);
    }
    printf("accepted: %s\n'muster-agent status' shows what follows\n", js_opt_str(got, "why", ""));
    return 0;
}
