/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/apt/apt.h"
#include "common/cleanup.h"
#include "common/str.h"

#define BYTES_MAX 1e15 /* more is no download */

enum rank {
    RANK_NONE,
    RANK_SUMMARY,   /* that it failed */
    RANK_COMPLAINT, /* why */
    RANK_PACKAGE,   /* why, and which package or key */
    RANK_URL,       /* why, and which URL */
};

static void complain(struct apt_output *s, int rank, const char *text)
{
    if (rank <= s->rank)
        return;
    s->rank = rank;
    snprintf(s->error, sizeof(s->error), "%s", text);
    str_chomp(s->error);
}

static void on_error(struct apt_output *s, const char *text)
{
    static const char *const summaries[] = {"Sub-process ", "Unable to fetch some archives",
                                            "Some index files failed to download",
                                            "Unable to correct problems"};

    for (size_t i = 0; i < ARRAY_LEN(summaries); i++)
        if (str_starts(text, summaries[i])) {
            complain(s, RANK_SUMMARY, text);
            return;
        }
    complain(s, str_starts(text, "Failed to fetch ") ? RANK_URL : RANK_COMPLAINT, text);
}

/* "31.2 MB", "1,024 kB", "812 B" */
static double bytes_of(const char *text)
{
    static const struct {
        const char *unit;
        double factor;
    } units[] = {{"B", 1}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}};
    char number[32] = "", unit[4] = "";
    double value = 0;
    size_t k = 0;

    for (; *text && k < sizeof(number) - 1 && strchr("0123456789.,", *text); text++)
        if (*text != ',')
            number[k++] = *text;
    if (sscanf(number, "%lf", &value) != 1 || sscanf(text, " %3[kMGB]", unit) != 1)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (strcmp(unit, units[i].unit) == 0)
            return value * units[i].factor < BYTES_MAX ? value * units[i].factor : 0;
    return 0;
}

/* The fields of "pmstatus:PACKAGE:PERCENT:TEXT"; a package's name may carry ":amd64". */
struct status {
    char name[96];
    double percent;
    const char *text;
};

static bool status_read(const char *from, struct status *ret)
{
    for (const char *at = strchr(from, ':'); at; at = strchr(at + 1, ':')) {
        char *end = NULL;

        if (at[1] < '0' || at[1] > '9')
            continue;
        ret->percent = strtod(at + 1, &end);
        if (*end != ':' || !(ret->percent >= 0 && ret->percent <= 100))
            continue;
        snprintf(ret->name, sizeof(ret->name), "%.*s", (int)(at - from), from);
        ret->text = end + 1;
        return true;
    }
    return false;
}

static void on_download(struct apt_output *s, const struct status *st)
{
    const char *file = strstr(st->text, "file ");

    s->count = (struct event_count){0};
    if (s->bytes >= 1)
        s->count = (struct event_count){EVENT_BYTES, (uint64_t)(s->bytes * st->percent / 100),
                                        (uint64_t)s->bytes};
    int n = snprintf(s->doing, sizeof(s->doing), "download %.0f %%", st->percent);
    if (s->bytes > 0)
        n += snprintf(s->doing + n, sizeof(s->doing) - (size_t)n, ", %.1f of %.1f MB",
                      s->bytes * st->percent / 1e8, s->bytes / 1e6);
    snprintf(s->doing + n, sizeof(s->doing) - (size_t)n, ": %.100s", file ? file : st->text);
}

static void on_install(struct apt_output *s, const struct status *st)
{
    if (str_starts(st->text, "Unpacking ") && s->unpacked < s->packages)
        s->unpacked++;
    if (str_starts(st->text, "Installed ") && s->configured < s->packages)
        s->configured++;
    s->count = (struct event_count){0};
    if (s->packages)
        s->count = (struct event_count){EVENT_PACKAGES, s->configured, s->packages};
    int n = snprintf(s->doing, sizeof(s->doing), "install %.0f %%", st->percent);
    if (s->packages)
        n += snprintf(s->doing + n, sizeof(s->doing) - (size_t)n,
                      ", %u unpacked and %u configured of %u packages", s->unpacked, s->configured,
                      s->packages);
    snprintf(s->doing + n, sizeof(s->doing) - (size_t)n, ": %.100s", st->text);
}

bool apt_output_line(struct apt_output *s, const char *line)
{
    unsigned upgraded, added;
    struct status st = {.text = ""};

    if (str_starts(line, "dlstatus:") && status_read(line + 9, &st)) {
        on_download(s, &st);
        return true;
    }
    if (str_starts(line, "pmstatus:") && status_read(line + 9, &st)) {
        on_install(s, &st);
        return true;
    }
    if (str_starts(line, "pmerror:") && status_read(line + 8, &st)) {
        char text[sizeof(s->error)];

        snprintf(text, sizeof(text), "package %s: %.200s", st.name, st.text);
        complain(s, RANK_PACKAGE, text);
    } else if (str_starts(line, "E: ")) {
        on_error(s, line + 3);
    } else if (str_starts(line, "W: GPG error: ")) {
        complain(s, RANK_PACKAGE, line + 3);
    } else if (str_starts(line, "dpkg: error")) {
        complain(s, RANK_COMPLAINT, line);
    } else if (sscanf(line, "%u upgraded, %u newly installed", &upgraded, &added) == 2) {
        s->packages = upgraded + added;
        s->unpacked = s->configured = 0;
    } else if (str_starts(line, "Need to get ")) {
        s->bytes = bytes_of(line + strlen("Need to get "));
    }
    return false;
}

const char *apt_output_advice(const char *error)
{
    static const struct {
        const char *part, *advice;
    } table[] = {
        {"is not valid yet", "; is this machine's clock right? Type: date"},
        {"is expired", "; is this machine's clock right? Type: date"},
        {"not yet valid", "; is this machine's clock right? Type: date"},
        {"No space left", "; free some space (type: df -h), then it goes on"},
        {"enough free space", "; free some space (type: df -h), then it goes on"},
        {"Read-only file system", "; see why it became so (type: dmesg), then it goes on"},
        {"NO_PUBKEY", "; the key in the plan is not the one that signs this repository"},
        {"BADSIG", "; what the repository serves is not what its key signed: do not trust it"},
        {"Unable to locate package", "; is the name right, and its repository in the plan?"},
        {"Failed to fetch", "; see that the mirror answers, then it goes on"},
    };

    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (strstr(error, table[i].part))
            return table[i].advice;
    return "";
}
