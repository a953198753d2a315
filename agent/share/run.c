/* SPDX-License-Identifier: Apache-2.0 */
/* Syncthing runs as this process's child and neither watches nor looks by itself: it is told what
 * changed when that is on the disk. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/share/durable.h"
#include "agent/share/lost.h"
#include "agent/share/rest.h"
#include "agent/share/share.h"
#include "agent/share/status.h"
#include "agent/share/tree.h"
#include "common/child.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/keys.h"
#include "common/log.h"
#include "common/str.h"

#define SYNCTHING "/usr/bin/syncthing"
#define CONFIG SHARE_RUN "/config"
/* In the state directory, which is this process's own. */
#define INDEX "./index-v0.14.0.db"
#define KNOWN "./known" /* files when it was last looked */
#define CLEAN "./clean" /* it was stopped in order */
#define FIRST "./first" /* there was never an index */
#define LOST "./lost"   /* there was one, and what others deleted since is not sorted out */

#define BATCH_MS 20
#define QUIET_MS 1000 /* after many deletes: who deletes goes on */
#define QUIET_MAX_MS 30000
#define MANY_DELETES 10
#define RETRY_MS 1000
#define START_MS 30000 /* Syncthing opens its index before it answers */
#define START_LOOK_MS 100
#define FULL_MS 3600000 /* what no event told of */
#define LOOK_MS 10000
#define LOOK_SOON_MS 1000
#define SCAN_S 30
#define SCAN_ALL_S 600
#define SCAN_PATHS 100
#define STOP_MS 20000
#define PEM_MAX 16384

static const char held_text[] =
    "more than half of the files are gone here: put them back, or say on this node that it is "
    "meant: muster-agent share --accept-mass-delete";

static const char lost_text[] =
    "Syncthing's index was lost: nothing is told to the others until they have said what they "
    "deleted";

struct service {
    struct share share;
    struct lost lost;
    char api_key[REST_KEY_CHARS + 1];
    struct tree *tree;
    struct changes changes;
    uint64_t changed_at, changed_last; /* 0: nothing waits */
    uint64_t retry_at, full_at, look_at, busy_until;
    uint64_t start_until; /* that it does not answer is no fault before; 0: it has answered */
    int signals;
    pid_t child; /* 0: none */
    bool answers, held, accepted, recount, ends;
    bool is_lost, is_heard; /* LOST; the others have said all that they know */
    char why[256];
    struct share_status status;
};

/* --- start ------------------------------------------------------------------------------------ */

static int put(const char *path, const char *text, mode_t mode, struct err *err)
{
    return fs_write_atomic(path, text, strlen(text), mode, err);
}

static int read_settings(struct service *v, const char *credentials, struct err *err)
{
    _cleanup_free_ char *path = str_fmt("%s/settings.json", credentials), *text = NULL;
    _cleanup_json_ json_t *j = NULL;
    size_t len;

    return fs_read(path, SHARE_SETTINGS_MAX, &text, &len, err) < 0 ||
                   js_parse(text, len, &j, err) < 0 || share_read(j, &v->share, err) < 0
               ? -1
               : 0;
}

static int copy(const char *credentials, const char *name, struct err *err)
{
    _cleanup_free_ char *from = str_fmt("%s/%s", credentials, name);
    _cleanup_free_ char *to = str_fmt(CONFIG "/%s", name);
    char *text = NULL;
    size_t len = 0;
    int r = fs_read(from, PEM_MAX, &text, &len, err) < 0 ? -1 : put(to, text, 0600, err);

    if (text)
        keys_wipe(text, len);
    free(text);
    return r;
}

static int put_config(const struct service *v, struct err *err)
{
    _cleanup_free_ char *text = share_config_text(&v->share, v->api_key, v->is_lost);

    return put(CONFIG "/config.xml", text, 0600, err);
}

/* Syncthing takes a directory without its marker for one whose disk is not there. It is made only
 * where there is no index: beside one, an empty one would be told to the others as deleted. Who is
 * ended between marker and index begins for the first time again. */
static int put_marker(struct service *v, struct err *err)
{
    _cleanup_free_ char *marker = str_fmt("%s/" SHARE_MARKER, v->share.home);

    if (!fs_exists(INDEX)) {
        bool had_one = fs_exists(marker) || fs_exists(KNOWN);

        if (!fs_exists(FIRST) && put(had_one ? LOST : FIRST, "", 0600, err) < 0)
            return -1;
        if (mkdir(marker, 0755) < 0 && errno != EEXIST)
            return err_errno(err, errno, "make %s", marker);
    }
    if (chown(marker, 0, 0) < 0 && errno != ENOENT) /* this user's number is another one's later */
        return err_errno(err, errno, "%s", marker);
    v->is_lost = fs_exists(LOST);
    if (v->is_lost)
        log_warn("%s", lost_text);
    return 0;
}

static int prepare(struct service *v, const char *credentials, struct err *err)
{
    _cleanup_free_ char *ignore = str_fmt("%s/" SHARE_IGNORE, v->share.home);
    _cleanup_free_ char *ignore_text = share_ignore_text(&v->share);

    keys_token(v->api_key, REST_KEY_CHARS);
    if (fs_mkdirs(v->share.state, 0700, err) < 0 || chdir(v->share.state) < 0)
        return err_errno(err, errno, "enter %s", v->share.state);
    if (fs_mkdirs(CONFIG, 0700, err) < 0 || put_marker(v, err) < 0 || put_config(v, err) < 0 ||
        copy(credentials, "cert.pem", err) < 0 || copy(credentials, "key.pem", err) < 0 ||
        fs_write_atomic_as(ignore, ignore_text, strlen(ignore_text), 0644, 0, 0, err) < 0)
        return -1;
    return fs_sync_filesystem(v->share.home, err);
}

static int start_syncthing(struct service *v, struct err *err)
{
    /* Without STHASHING it measures at each start which code is faster. */
    static const char *const env[] = {"HOME=" SHARE_RUN,
                                      "PATH=/usr/bin:/bin",
                                      "STHASHING=minio",
                                      "STNOUPGRADE=1",
                                      "STNODEFAULTFOLDER=1",
                                      "GOMEMLIMIT=96MiB",
                                      "GOGC=50",
                                      "TZ=UTC",
                                      NULL};
    const struct child_opts opts = {.env = env, .bound = true};
    bool unclean = fs_exists(INDEX) && !fs_exists(CLEAN);
    _cleanup_free_ char *data = str_fmt("--data=%s", v->share.state);
    const char *argv[] = {SYNCTHING,
                          "serve",
                          "--no-browser",
                          "--no-restart",
                          "--no-upgrade",
                          "--logflags=0",
                          "--config=" CONFIG,
                          data,
                          unclean ? "--reset-deltas" : NULL,
                          NULL};

    unlink(SHARE_SOCKET);
    unlink(CLEAN);
    return child_start(argv, &opts, &v->child, err);
}

/* In order: the next start trusts what it remembers of the others. */
static void stop_syncthing(struct service *v)
{
    struct pollfd fd = {.fd = v->signals, .events = POLLIN};
    uint64_t end = clock_mono_ms() + STOP_MS;
    struct signalfd_siginfo si;
    struct err err;

    if (!v->child)
        return;
    kill(v->child, SIGTERM);
    while (waitpid(v->child, NULL, WNOHANG) == 0) {
        if (clock_mono_ms() >= end) {
            log_warn("Syncthing does not end");
            return; /* it is killed with this process */
        }
        poll(&fd, 1, RETRY_MS);
        while (read(v->signals, &si, sizeof(si)) == sizeof(si))
            ;
    }
    v->child = 0;
    if (put(CLEAN, "", 0600, &err) < 0)
        log_warn("%s", err.msg);
}

/* 0 before it was ever noted; -1: it cannot be read, which is not the same. */
static int known(uint64_t *ret, struct err *err)
{
    _cleanup_free_ char *text = NULL;

    *ret = 0;
    if (fs_read(KNOWN, 32, &text, NULL, err) < 0)
        return errno == ENOENT ? 0 : -1;
    return str_to_u64(str_chomp(text), UINT64_MAX, ret) < 0
               ? err_set(err, ERR_FAILED,
                         "'known' in the state directory is no number; remove it when no files "
                         "are missing here")
               : 0;
}

/* 1: so many are gone that nothing is told; 0: not so; -1: it could not be seen, which is told
 * neither. */
static int too_few(struct service *v, uint64_t before)
{
    int64_t there = share_count(&v->share, &v->status.conflicts);

    if (there < 0) {
        snprintf(v->why, sizeof(v->why), "the files in %s cannot be counted", v->share.home);
        return -1;
    }
    return share_mass_delete(before, (uint64_t)there);
}

static int open_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* --- telling Syncthing ------------------------------------------------------------------------ */

static int scan(struct service *v, size_t from, size_t to, struct err *err)
{
    _cleanup_(strbuf_free) struct strbuf path = {0};

    strbuf_adds(&path, "/rest/db/scan?folder=");
    rest_quote(&path, v->share.app);
    for (size_t i = from; i < to; i++) {
        strbuf_adds(&path, "&sub=");
        rest_quote(&path, v->changes.path[i]);
    }
    return rest_call(v->api_key, "POST", strbuf_str(&path), from == to ? SCAN_ALL_S : SCAN_S, NULL,
                     err);
}

static int tell(struct service *v, struct err *err)
{
    const struct changes *c = &v->changes;

    if (durable_make(v->share.home, c, err) < 0)
        return -1;
    if (c->all)
        return scan(v, 0, 0, err);
    for (size_t i = 0; i < c->n; i += SCAN_PATHS)
        if (scan(v, i, i + SCAN_PATHS < c->n ? i + SCAN_PATHS : c->n, err) < 0)
            return -1;
    return 0;
}

static bool many_deletes(const struct changes *c)
{
    return c->all || c->deleted >= MANY_DELETES || (c->deleted && c->whole);
}

static uint64_t tell_at(const struct service *v)
{
    uint64_t at = v->changed_at + BATCH_MS;

    if (!v->changed_at || !v->answers || v->held || v->is_lost)
        return UINT64_MAX;
    if (many_deletes(&v->changes) && !v->accepted) {
        at = v->changed_last + QUIET_MS;
        if (at > v->changed_at + QUIET_MAX_MS)
            at = v->changed_at + QUIET_MAX_MS;
    }
    return at > v->retry_at ? at : v->retry_at;
}

static void all_changed(struct service *v, uint64_t now)
{
    v->changes.all = true;
    v->changed_at = v->changed_at ? v->changed_at : now;
}

static void tell_tick(struct service *v, uint64_t now)
{
    struct err err = {0};
    int few = 0;

    if (now < tell_at(v))
        return;
    if (many_deletes(&v->changes) && !v->accepted)
        few = too_few(v, v->status.files);
    if (few > 0)
        log_warn("%s", held_text);
    v->held = few > 0;
    v->look_at = v->held ? 0 : v->look_at;
    if (few || tell(v, &err) < 0) {
        if (!few)
            snprintf(v->why, sizeof(v->why), "%.250s", err.msg);
        v->retry_at = now + RETRY_MS;
        return;
    }
    v->why[0] = '\0';
    v->accepted = false;
    changes_clear(&v->changes);
    v->changed_at = 0;
    v->busy_until = now + LOOK_MS;
    v->look_at = now + LOOK_SOON_MS < v->look_at ? now + LOOK_SOON_MS : v->look_at;
}

/* --- looking ---------------------------------------------------------------------------------- */

static void keep_known(const struct service *v)
{
    char text[32];
    struct err err;
    uint64_t noted;

    if (known(&noted, &err) == 0 && noted == v->status.files)
        return;
    snprintf(text, sizeof(text), "%llu\n", (unsigned long long)v->status.files);
    if (put(KNOWN, text, 0600, &err) < 0)
        log_warn("%s", err.msg);
}

/* Files that came back end it, and so does who says that it is meant. */
static void held_tick(struct service *v, uint64_t now)
{
    uint64_t before = v->status.files;
    struct err err;

    if (!v->accepted && ((!v->child && known(&before, &err) < 0) || too_few(v, before) != 0))
        return;
    v->held = false;
    all_changed(v, now);
    if (!v->child && start_syncthing(v, &err) < 0) {
        log_warn("%s", err.msg);
        v->ends = true;
    }
}

/* A shared directory was removed and made again. */
static void watch_again(struct service *v, uint64_t now)
{
    struct err err;
    struct tree *fresh = tree_open(&v->share, &err);

    if (!fresh) {
        log_warn("%s", err.msg);
        return;
    }
    tree_free(v->tree);
    v->tree = fresh;
    all_changed(v, now);
}

static void lost_end(struct service *v, uint64_t now, struct err *err)
{
    log_warn(
        "%llu files that others had deleted went to %s/trash; this node sends, too, from now on",
        (unsigned long long)v->lost.aside, v->share.state);
    stop_syncthing(v);
    if (v->child) { /* systemd begins again */
        v->ends = true;
        return;
    }
    int64_t there = share_count(&v->share, &v->status.conflicts);
    v->status.files = there < 0 ? 0 : (uint64_t)there;
    keep_known(v); /* what went is no mistake of somebody here */
    if (fs_sync_filesystem(v->share.home, err) < 0 || unlink(LOST) < 0 ||
        fs_sync_parent(LOST, err) < 0)
        return;
    v->is_lost = v->is_heard = v->answers = false;
    lost_free(&v->lost);
    v->start_until = now + START_MS;
    all_changed(v, now);
    v->ends = put_config(v, err) < 0 || start_syncthing(v, err) < 0;
}

/* A page of the list at a time: signals are heard between them. */
static void lost_tick(struct service *v, uint64_t now)
{
    struct err err = {0};
    int r;

    if (!v->is_heard) {
        r = lost_ask(&v->share, v->api_key, &v->lost, now, &err);
        v->is_heard = r > 0;
    } else {
        r = lost_sort(&v->share, v->api_key, &v->lost, &err);
        if (r == 0)
            lost_end(v, now, &err);
    }
    if (err.msg[0])
        log_warn("%s", err.msg);
}

static void look(struct service *v, uint64_t now)
{
    _cleanup_json_ json_t *out = NULL;
    struct err err;

    if (!tree_whole(v->tree))
        watch_again(v, now);
    if (v->held)
        held_tick(v, now);
    if (v->recount)
        share_count(&v->share, &v->status.conflicts);
    v->recount = false;
    v->status.held = v->held ? held_text : NULL;
    v->status.why = v->is_lost ? lost_text : v->why[0] ? v->why : NULL;
    bool answered = share_status_take(&v->share, v->api_key, v->child != 0, &v->status, &out) == 0;
    v->answers = answered;
    if (answered)
        keep_known(v);
    if (answered && fs_exists(FIRST))
        unlink(FIRST);
    if (answered || v->held)
        v->start_until = 0;
    if (answered && v->is_lost)
        lost_tick(v, now);
    if (now < v->start_until) {
        v->look_at = now + START_LOOK_MS;
        return;
    }
    _cleanup_free_ char *text = js_text(out);
    if (put(PATH_SHARE_STATUS, text, 0644, &err) < 0)
        log_warn("%s", err.msg);
    bool busy = v->is_lost || !answered || !tree_whole(v->tree) || v->status.needs || v->held ||
                now < v->busy_until;
    v->look_at = now + (v->is_heard ? 0 : busy ? LOOK_SOON_MS : LOOK_MS);
}

/* --- the loop --------------------------------------------------------------------------------- */

static void on_signals(struct service *v)
{
    struct signalfd_siginfo si;

    while (read(v->signals, &si, sizeof(si)) == sizeof(si)) {
        if (si.ssi_signo == SIGTERM || si.ssi_signo == SIGINT)
            v->ends = true;
        if (si.ssi_signo == SIGUSR1 && v->held) {
            v->accepted = true;
            v->look_at = 0;
        }
    }
    if (v->child && waitpid(v->child, NULL, WNOHANG) == v->child) {
        v->child = 0;
        log_warn("Syncthing has ended");
        v->ends = true;
    }
}

static int on_changes(struct service *v, uint64_t now)
{
    size_t before = v->changes.n, deleted = v->changes.deleted;
    struct err err;

    if (tree_read(v->tree, &v->changes, &err) < 0) {
        log_warn("%s", err.msg);
        return -1; /* the next process looks at all */
    }
    if (v->changes.n == before && v->changes.deleted == deleted && !v->changes.all)
        return 0;
    for (size_t i = before; i < v->changes.n; i++)
        v->recount = v->recount || strstr(v->changes.path[i], SHARE_CONFLICT);
    v->changed_at = v->changed_at ? v->changed_at : now;
    v->changed_last = now;
    return 0;
}

static int wait_ms(const struct service *v, uint64_t now)
{
    uint64_t due = tell_at(v);

    due = v->look_at < due ? v->look_at : due;
    due = v->full_at < due ? v->full_at : due;
    return due <= now ? 0 : due - now > LOOK_MS ? LOOK_MS : (int)(due - now);
}

static int loop(struct service *v)
{
    while (!v->ends) {
        struct pollfd fds[] = {{.fd = v->signals, .events = POLLIN},
                               {.fd = tree_fd(v->tree), .events = POLLIN}};

        poll(fds, ARRAY_LEN(fds), wait_ms(v, clock_mono_ms()));
        uint64_t now = clock_mono_ms();
        on_signals(v);
        if (on_changes(v, now) < 0)
            return -1;
        if (now >= v->full_at) {
            all_changed(v, now);
            v->full_at = now + FULL_MS;
        }
        if (now >= v->look_at)
            look(v, now);
        tell_tick(v, now);
    }
    return v->child ? 0 : -1;
}

static int begin(struct service *v, const char *credentials, struct err *err)
{
    if (read_settings(v, credentials, err) < 0)
        return err_wrap(err, "settings");
    v->signals = open_signals();
    if (v->signals < 0)
        return err_errno(err, errno, "signals");
    v->tree = tree_open(&v->share, err);
    if (!v->tree || prepare(v, credentials, err) < 0)
        return -1;
    uint64_t before;
    if (known(&before, err) < 0)
        return -1;
    int few = too_few(v, before);
    if (few < 0)
        return err_set(err, ERR_FAILED, "%s", v->why);
    v->held = few > 0;
    if (v->held)
        log_warn("%s", held_text);
    v->full_at = clock_mono_ms() + FULL_MS;
    v->start_until = clock_mono_ms() + START_MS;
    return v->held ? 0 : start_syncthing(v, err);
}

int share_run(const char *credentials)
{
    struct service v = {0};
    struct err err = {0};
    int r = begin(&v, credentials, &err);

    if (r < 0)
        log_warn("%s", err.msg);
    else
        r = loop(&v);
    stop_syncthing(&v);
    changes_clear(&v.changes);
    tree_free(v.tree);
    lost_free(&v.lost);
    share_free(&v.share);
    keys_wipe(v.api_key, sizeof(v.api_key));
    return r < 0 ? ERR_FAILED : 0;
}
