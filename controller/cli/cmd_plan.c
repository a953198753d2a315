/* SPDX-License-Identifier: Apache-2.0 */
/* plan: what `up` would do, and why. */
#include <stdio.h>

#include "common/cleanup.h"
#include "common/js.h"
#include "common/str.h"
#include "common/text.h"
#include "controller/cli/session.h"

static const char *mark_of(const char *action)
{
    static const struct {
        const char *action;
        const char *mark;
    } marks[] = {{"create", "+"},  {"change", "~"}, {"replace", "-/+"},
                 {"destroy", "-"}, {"left", "="},   {"refused", "!"}};

    for (size_t i = 0; i < ARRAY_LEN(marks); i++)
        if (str_eq(action, marks[i].action))
            return marks[i].mark;
    return NULL;
}

static const char *member(const json_t *e, const char *key)
{
    return js_opt_str(e, key, "");
}

/* Returns how many things `up` would do. */
static unsigned count_changes(const json_t *plan)
{
    unsigned n = 0;

    for (size_t i = 0; i < json_array_size(plan); i++) {
        const char *action = member(json_array_get(plan, i), "action");

        n += mark_of(action) && !str_eq(action, "left");
    }
    return n;
}

static void print_plan(FILE *to, const json_t *plan)
{
    for (size_t i = 0; i < json_array_size(plan); i++) {
        const json_t *e = json_array_get(plan, i);
        const char *mark = mark_of(*member(e, "needs") ? "refused" : member(e, "action"));
        const char *why = member(e, "reason");

        if (mark)
            text_print(to, "  %3s %-21s %s%s%s\n", mark, member(e, "kind"), member(e, "name"),
                       *why ? ": " : "", why);
    }
}

static void print_sum(const struct cli *cli, const json_t *plan, unsigned changes)
{
    static const char *const actions[] = {"create", "change", "replace", "destroy"};
    unsigned counts[ARRAY_LEN(actions)] = {0}, undecided = 0;
    const char *between = "";

    for (size_t i = 0; i < json_array_size(plan); i++)
        for (size_t a = 0; a < ARRAY_LEN(actions); a++)
            counts[a] += str_eq(member(json_array_get(plan, i), "action"), actions[a]);
    for (size_t i = 0; i < json_array_size(plan); i++)
        undecided += *member(json_array_get(plan, i), "needs") ||
                     str_eq(member(json_array_get(plan, i), "action"), "refused");
    if (!changes) {
        text_print(stdout, "nothing to do: all %zu resources are as the file says.\n",
                   json_array_size(plan));
        return;
    }
    for (size_t a = 0; a < ARRAY_LEN(actions); a++)
        if (counts[a]) {
            text_print(stdout, "%s%u to %s", between, counts[a], actions[a]);
            between = ", ";
        }
    if (undecided)
        text_print(stdout, "%s%u for you to decide (!): 'muster up' refuses until then.\n", between,
                   undecided);
    else
        text_print(stdout, ". 'muster up -f %s' does it.\n", cli->file);
}

int cmd_plan(const struct cli *cli, struct err *err)
{
    _cleanup_(cli_session_close) struct cli_session s = {.d.lock_fd = -1};
    struct survey_options o = {.adopt = cli->adopt, .replace = cli->replace};
    _cleanup_json_ json_t *plan = NULL;
    unsigned changes;

    if (cli_session_open(cli, false, true, &o, &s, err) < 0)
        return -1;
    plan = moves_plan(&s.v.resources, &s.d.spec);
    changes = count_changes(plan);
    if (cli->json) {
        _cleanup_json_ json_t *out =
            json_pack("{s:i, s:s, s:i, s:O}", "schema", 1, "deployment", s.d.spec.deployment,
                      "changes", (int)changes, "resources", plan);

        cli_print_json(out, true);
    } else {
        print_plan(stdout, plan);
        print_sum(cli, plan, changes);
    }
    if (changes && cli->detailed_exitcode) {
        err->code = ERR_CHANGES;
        err->msg[0] = '\0';
        return -1;
    }
    return 0;
}
