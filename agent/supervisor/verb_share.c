/* SPDX-License-Identifier: Apache-2.0 */
/* `muster-agent share`: what the shared directories say of themselves, and the consent to deletes
 * that wait for it. */
#include <stdio.h>
#include <string.h>

#include "agent/ipc/cmd.h"
#include "agent/ipc/paths.h"
#include "agent/supervisor/verbs.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/proc.h"
#include "common/text.h"

#define SAID_MAX (64 * 1024)

static void print(const json_t *said)
{
    const char *held = js_opt_str(said, "held", ""), *why = js_opt_str(said, "why", "");
    size_t i;
    json_t *p;

    printf("%llu files, %llu to come or to go, %llu changed in two places\n",
           (unsigned long long)js_opt_u64(said, "files", 0),
           (unsigned long long)js_opt_u64(said, "needs", 0),
           (unsigned long long)js_opt_u64(said, "conflicts", 0));
    json_array_foreach(json_object_get(said, "peers"), i, p)
        text_print(stdout, "%s: %s, %llu on the way to it\n", js_opt_str(p, "name", "?"),
                   js_opt_bool(p, "connected", false) ? "connected" : "not connected",
                   (unsigned long long)js_opt_u64(p, "needs", 0));
    if (*held)
        text_print(stdout, "nothing is told to the others: %s\n", held);
    if (*why)
        text_print(stdout, "%s\n", why);
}

int cmd_share(int argc, char **argv)
{
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *said = NULL;
    struct err err = {0};
    size_t len;

    if (argc > 2 || (argc == 2 && strcmp(argv[1], "--accept-mass-delete") != 0 &&
                     strcmp(argv[1], "--json") != 0))
        return cmd_usage("share", "option not understood");
    if (fs_read(PATH_SHARE_STATUS, SAID_MAX, &text, &len, &err) < 0 ||
        js_parse(text, len, &said, &err) < 0) {
        err_set(&err, ERR_FAILED,
                "no directories are shared here, or their service does not run (systemctl status "
                "muster-share)");
        return cmd_fail(&err);
    }
    if (argc == 1)
        print(said);
    else if (strcmp(argv[1], "--json") == 0)
        puts(text);
    else if (!*js_opt_str(said, "held", ""))
        puts("no deletes wait for consent");
    else if (proc_call(PROC_ARGV(SYSTEMCTL, "kill", "--kill-who=main", "-s", "USR1",
                                 "muster-share.service"),
                       &err) < 0)
        return cmd_fail(&err);
    else
        puts("the others are told that these files are gone; for 30 days they keep them in "
             ".muster-share/trash beside the application's directories");
    return 0;
}
