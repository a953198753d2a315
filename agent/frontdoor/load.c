/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/frontdoor/frontdoor.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"

#define ANSWER_MAX (256 * 1024)
#define ANSWER_WITHIN_S 5
#define CONF_MAX (256 * 1024)
#define COLUMNS_MAX 128

/* Of all, frontends and servers. */
static const char question[] = "show stat -1 5 -1\n";

struct columns {
    char *field[COLUMNS_MAX];
    size_t n;
};

/* Splits a line in place. */
static void split(char *line, struct columns *ret)
{
    ret->n = 0;
    for (char *at = line; at && ret->n < COLUMNS_MAX;) {
        char *comma = strchr(at, ',');

        ret->field[ret->n++] = at;
        if (comma)
            *comma++ = '\0';
        at = comma;
    }
}

static size_t column(const struct columns *names, const char *name)
{
    size_t i = 0;

    while (i < names->n && !str_eq(names->field[i], name))
        i++;
    return i;
}

/* Columns of the answer. */
enum { SERVER, STATUS, CURRENT, QUEUED, ACTIVE, CHECKED, COLUMNS };

struct seen {
    struct frontdoor_load load;
    bool own;               /* the node's own web server is among them */
    unsigned peers, silent; /* of which the last check got no connection */
};

static void take_peer(const struct columns *row, const size_t at[COLUMNS], const char *peer,
                      struct seen *s)
{
    bool serves = str_eq(row->field[at[STATUS]], "UP");

    s->load.others += serves;
    s->load.peer_up = s->load.peer_up || (serves && str_eq(row->field[at[SERVER]], peer));
    s->peers++;
    s->silent +=
        str_eq(row->field[at[STATUS]], "DOWN") &&
        (str_eq(row->field[at[CHECKED]], "L4TOUT") || str_eq(row->field[at[CHECKED]], "L4CON"));
}

static int take(const struct columns *row, const size_t at[COLUMNS], const char *peer,
                struct seen *s, struct err *err)
{
    uint64_t in_flight = 0, waiting = 0;

    for (size_t i = 0; i < COLUMNS; i++)
        if (at[i] >= row->n)
            return err_set(err, ERR_FAILED, "HAProxy says too little of its servers");
    if (str_eq(row->field[at[SERVER]], "FRONTEND")) {
        s->load.closed = s->load.closed || str_eq(row->field[at[STATUS]], "PAUSED");
        return 0;
    }
    if (!str_eq(row->field[at[ACTIVE]], "1")) {
        take_peer(row, at, peer, s);
        return 0;
    }
    if (str_to_u64(row->field[at[CURRENT]], UINT32_MAX, &in_flight) < 0 ||
        str_to_u64(row->field[at[QUEUED]], UINT32_MAX, &waiting) < 0)
        return err_set(err, ERR_FAILED, "HAProxy counts no requests");
    s->own = true;
    /* "UP 1/2" is on its way down, and gets requests still. */
    s->load.own_up = str_starts(row->field[at[STATUS]], "UP");
    s->load.flight = (unsigned)(in_flight + waiting);
    return 0;
}

int frontdoor_load_parse(const char *csv, const char *peer, struct frontdoor_load *ret,
                         struct err *err)
{
    static const char *const wanted[COLUMNS] = {"svname", "status", "scur",
                                                "qcur",   "act",    "check_status"};
    _cleanup_free_ char *text = xstrdup(csv);
    struct seen seen = {0};
    struct columns names, row;
    size_t at[COLUMNS];
    char *save = NULL;
    char *line = strtok_r(text, "\n", &save);

    if (!line || !str_starts(line, "# "))
        return err_set(err, ERR_FAILED, "HAProxy did not say how its servers are");
    split(line + 2, &names);
    for (size_t i = 0; i < COLUMNS; i++)
        at[i] = column(&names, wanted[i]);
    while ((line = strtok_r(NULL, "\n", &save))) {
        split(line, &row);
        if (take(&row, at, peer, &seen, err) < 0)
            return -1;
    }
    if (!seen.own)
        return err_set(err, ERR_FAILED, "HAProxy does not know the node's own web server");
    seen.load.apart = seen.peers && seen.silent == seen.peers;
    *ret = seen.load;
    return 0;
}

/* What the HAProxy behind that socket answers. */
static int ask(const char *socket_path, const char *what, struct strbuf *answer, struct err *err)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const struct timeval tv = {.tv_sec = ANSWER_WITHIN_S};
    char buf[4096];
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return err_errno(err, errno, "socket");
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
    if (!str_copy(to.sun_path, sizeof(to.sun_path), socket_path) ||
        connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0)
        return err_errno(err, errno, "connect to HAProxy at %s", socket_path);
    if (send(fd, what, strlen(what), MSG_NOSIGNAL) != (ssize_t)strlen(what))
        return err_errno(err, errno, "ask HAProxy at %s", socket_path);
    for (ssize_t n; (n = recv(fd, buf, sizeof(buf), 0)) != 0;) {
        if (n < 0)
            return err_errno(err, errno, "HAProxy at %s", socket_path);
        if (answer->len + (size_t)n > ANSWER_MAX)
            return err_set(err, ERR_FAILED, "HAProxy says more than %d bytes", ANSWER_MAX);
        strbuf_add(answer, buf, (size_t)n);
    }
    return 0;
}

int frontdoor_load(const char *socket_path, const char *peer, struct frontdoor_load *ret,
                   struct err *err)
{
    _cleanup_(strbuf_free) struct strbuf answer = {0};

    return ask(socket_path, question, &answer, err) < 0
               ? -1
               : frontdoor_load_parse(strbuf_str(&answer), peer, ret, err);
}

int frontdoor_follow(const char *socket_path, struct err *err)
{
    _cleanup_(strbuf_free) struct strbuf answer = {0};
    struct frontdoor_load l = {0};

    if (frontdoor_load(socket_path, NULL, &l, err) < 0)
        return -1;
    bool shut = !l.own_up && l.apart;
    if (shut == l.closed)
        return 0;
    if (ask(socket_path, shut ? "disable frontend visitors\n" : "enable frontend visitors\n",
            &answer, err) < 0)
        return -1;
    char *said = answer.s ? str_chomp(answer.s) : NULL;
    return !said || !*said ? 0 : err_set(err, ERR_FAILED, "HAProxy: %.200s", said);
}

bool frontdoor_exists(void)
{
    _cleanup_free_ char *text = NULL;
    struct err ignored;

    return fs_read(FRONTDOOR_CONF, CONF_MAX, &text, NULL, &ignored) == 0 &&
           str_starts(text, FRONTDOOR_MARK);
}
