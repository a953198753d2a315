/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cli/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/str.h"
#include "common/text.h"

void cli_session_close(struct cli_session *s)
{
    survey_free(&s->v);
    access_close(&s->reach);
    free(s->public_key);
    free(s->private_key);
    deployment_close(&s->d);
}

int cli_session_open(const struct cli *cli, bool lock, bool start_local, struct survey_options *o,
                     struct cli_session *ret, struct err *err)
{
    _cleanup_(strbuf_free) struct strbuf missing = {0};
    struct cli_session *s = ret;
    int rc;

    if (cli_read(cli, &s->d, err) < 0 || deployment_open(&s->d, true, err) < 0 ||
        (lock && deployment_lock(&s->d, err) < 0))
        return -1;
    if (!o->destroy && deployment_ssh_key(&s->d, &s->public_key, &s->private_key, err) < 0)
        return -1;
    o->public_key = s->public_key;
    if (access_open(&s->d.spec, start_local, &s->reach, err) < 0)
        return -1;
    rc = survey_run(&s->reach, s->d.store, &s->d.spec, o, &s->v, &missing, err);
    text_print(stderr, "%s", strbuf_str(&missing));
    return rc;
}

bool cli_confirmed(const struct cli *cli, const char *question)
{
    char answer[16] = "";

    if (cli->yes)
        return true;
    if (!isatty(0))
        return false;
    text_print(stderr, "%s Type yes: ", question);
    return fgets(answer, sizeof(answer), stdin) && str_eq(str_chomp(answer), "yes");
}
