/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/keys.h"
#include "common/log.h"
#include "controller/localvdc/cmd.h"

static const struct {
    const char *verb;
    int (*run)(int argc, char **argv, struct err *err);
    const char *args; /* NULL: not for people */
    const char *help;
} verbs[] = {
    {"start", vdc_cmd_start, "[--no-wait] [--allow HOST]... [--job-latency MS]",
     "run the cloud in the background"},
    {"stop", vdc_cmd_stop, "", "end the API; guests and their routers go on"},
    {"status", vdc_cmd_status, "[--json]", "say what runs; as root with the API's keys (--json)"},
    {"logs", vdc_cmd_logs, "[--calls|--template]",
     "print the log, the calls, the template's build"},
    {"link", vdc_cmd_link, "[list [--json]]", "show the links between zones"},
    {"link", vdc_cmd_link, "ZONE ZONE [OPTIONS]",
     "change one: --rtt 9ms --rate 3gbit|none --loss PERCENT --cut --one-way --restore"},
    {"destroy", vdc_cmd_destroy, "[-y] [--purge]",
     "remove everything from this machine; the template's cache only with --purge"},
    {"account", vdc_cmd_account, "add NAME|list|remove NAME",
     "further accounts with keys of their own"},
    {"fault", vdc_cmd_fault, "KIND ...", "break something on purpose; 'fault help' lists what"},
    {"serve", vdc_cmd_serve, "", "run the cloud in the foreground"},
    {"job", vdc_cmd_job, NULL, NULL},
    {"hold", vdc_cmd_hold, NULL, NULL},
    {"metadata", vdc_cmd_metadata, NULL, NULL},
    {"relay", vdc_cmd_relay, NULL, NULL},
    {"hook", vdc_cmd_hook, NULL, NULL},
};

static void usage(FILE *to)
{
    fputs("usage: muster-vdc VERB [OPTIONS]\n\n"
          "A small CloudStack on this machine: API, virtual routers, guests.\n\n",
          to);
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        if (verbs[i].args)
            fprintf(to, "  %-8s %-50s %s\n", verbs[i].verb, verbs[i].args, verbs[i].help);
    }
    fprintf(to, "  %-8s %-50s %s\n  %-8s %-50s %s\n", "help", "", "this text", "version", "",
            "the version");
}

int main(int argc, char **argv)
{
    struct err err = {0};
    const char *verb = argc > 1 ? argv[1] : "";

    log_open("muster-vdc");
    if (!strcmp(verb, "help") || !strcmp(verb, "--help") || !strcmp(verb, "-h")) {
        usage(stdout);
        return 0;
    }
    if (!strcmp(verb, "version") || !strcmp(verb, "--version")) {
        puts("muster-vdc " MUSTER_VERSION);
        return 0;
    }
    if (keys_init(&err) < 0) {
        fprintf(stderr, "muster-vdc: %s\n", err.msg);
        return err.code;
    }
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        if (strcmp(verb, verbs[i].verb) != 0)
            continue;
        if (verbs[i].run(argc - 1, argv + 1, &err) == 0)
            return 0;
        fprintf(stderr, "muster-vdc: %s\n", err.msg);
        return err.code ? err.code : ERR_FAILED;
    }
    if (*verb)
        fprintf(stderr, "muster-vdc: there is no verb '%s'\n", verb);
    usage(stderr);
    return ERR_USAGE;
}
