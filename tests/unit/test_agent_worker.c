/* SPDX-License-Identifier: Apache-2.0 */
/* What the supervisor makes of a worker's messages: those of a run, and the answers of jobs. The
 * worker is a process that does nothing; what it says comes from the test. */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/supervisor/internal.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"

struct world {
    char dir[32];
    struct supervisor s;
    int said; /* the worker's end */
};

static int setup(void **state)
{
    static struct world w;
    struct err err;
    int pair[2];

    memset(&w, 0, sizeof(w));
    strcpy(w.dir, "/tmp/muster-worker-XXXXXX");
    assert_non_null(mkdtemp(w.dir));
    assert_int_equal(outbox_open(w.dir, &w.s.outbox, &err), 0);
    w.s.net.chan.fd = w.s.watch.db_fd = -1;
    w.s.worker.phase = PHASE_CONVERGING;
    assert_int_equal(pipe(pair), 0);
    w.said = pair[1];
    chan_open(&w.s.worker.chan, pair[0]);
    w.s.worker.pid = fork();
    if (w.s.worker.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nobody behind */
        pause();
        _exit(0);
    }
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    struct err err;

    close(w->said);
    chan_close(&w->s.worker.chan);
    outbox_free(w->s.outbox);
    return fs_remove_tree(w->dir, &err);
}

static void say(struct world *w, const char *line)
{
    _cleanup_free_ char *text = str_fmt("%s\n", line);

    assert_int_equal(write(w->said, text, strlen(text)), strlen(text));
}

/* The worker ends, with `signal` unless the supervisor has killed it. */
static void end(struct world *w, int signal)
{
    pid_t pid = w->s.worker.pid;
    int status;

    if (signal)
        kill(pid, signal);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(sup_worker.died(&w->s, pid, status));
    assert_int_equal(w->s.worker.pid, 0);
}

static bool next_event(struct world *w, struct event *ret)
{
    const char *text = outbox_next(w->s.outbox);
    struct err err;

    if (text)
        assert_int_equal(event_parse(text, strlen(text), ret, &err), 0);
    return text != NULL;
}

#define EVENT(origin, kind, more)                                                                  \
    "{\"ts\":1,\"node\":\"a\",\"origin\":\"" origin "\",\"rev\":\"\",\"seq\":0,\"id\":\"file:f\"," \
    "\"kind\":\"" kind "\",\"ms\":0,\"msg\":\"\"" more "}"
#define RUN_EVENT(event) "{\"m\":\"run-event\",\"v\":1,\"event\":" event "}"
#define DONE EVENT("agent", "done", ",\"changed\":3,\"ok\":9")

static void test_run(void **state)
{
    struct world *w = *state;
    struct event ev;

    say(w, RUN_EVENT(EVENT("agent", "start", "")));
    sup_worker.readable(&w->s, POLLIN);
    assert_string_equal(w->s.worker.step, "file:f");
    say(w, RUN_EVENT(DONE));
    sup_worker.readable(&w->s, POLLIN);
    assert_int_equal(w->s.worker.phase, PHASE_READY);
    assert_int_equal(w->s.worker.changed, 3);
    assert_int_equal(w->s.worker.ok, 9);
    assert_true(next_event(w, &ev) && ev.kind == EVENT_START);
    assert_true(next_event(w, &ev) && ev.kind == EVENT_DONE);
    assert_false(next_event(w, &ev));
    assert_true(w->s.worker.flaw[0] == '\0');
    end(w, SIGKILL);
}

/* A line that is no message of a run: nothing of it and nothing after it is believed, the worker is
 * ended, that is told, and the run begins again. */
static void test_not_understood(void **state)
{
    static const char *const lines[] = {
        "",
        "no JSON",
        "null",
        "[]",
        "{}",
        "{\"m\":\"run-event\",\"v\":1}",
        "{\"m\":\"run-event\",\"v\":2,\"event\":" DONE "}",
        "{\"m\":\"run-event\",\"v\":1,\"event\":" DONE ",\"more\":1}",
        "{\"m\":\"event\",\"v\":1,\"event\":" DONE "}", /* to the net process */
        "{\"m\":\"online\",\"v\":1}",                   /* from it */
        "{\"m\":\"did-plan\",\"v\":1,\"ok\":true,\"why\":\"\"}",
        DONE,
        RUN_EVENT("{}"),
        RUN_EVENT(EVENT("agent", "done", "")),
        RUN_EVENT(EVENT("agent", "done", ",\"changed\":3,\"ok\":\"9\"")),
        RUN_EVENT(EVENT("controller", "done", "")),
        RUN_EVENT(EVENT("agent", "begun", "")),
    };

    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct world *w;
        struct event ev;

        if (i) {
            teardown(state);
            setup(state);
        }
        w = *state;
        say(w, RUN_EVENT(EVENT("agent", "start", "")));
        say(w, lines[i]);
        say(w, RUN_EVENT(DONE));
        sup_worker.readable(&w->s, POLLIN);
        assert_int_equal(w->s.worker.chan.fd, -1);
        assert_int_equal(w->s.worker.phase, PHASE_CONVERGING);
        end(w, 0); /* killed, else this waits for ever */
        assert_int_equal(w->s.worker.phase, PHASE_FAILED);
        assert_true(w->s.worker.wanted);
        assert_int_equal(w->s.worker.failures, 1);
        assert_true(next_event(w, &ev) && ev.kind == EVENT_START);
        assert_true(next_event(w, &ev) && ev.kind == EVENT_ABORTED);
        assert_non_null(strstr(ev.msg, "not understood"));
        assert_false(next_event(w, &ev));
    }
}

/* What is cut anywhere is not believed either. */
static void test_cut(void **state)
{
    static const char whole[] = RUN_EVENT(DONE);

    for (size_t len = 1; len < sizeof(whole) - 1; len++) {
        _cleanup_free_ char *line = str_fmt("%.*s", (int)len, whole);
        struct world *w = *state;

        say(w, line);
        sup_worker.readable(&w->s, POLLIN);
        end(w, 0);
        assert_int_equal(w->s.worker.phase, PHASE_FAILED);
        assert_int_equal(w->s.worker.changed, 0);
        teardown(state);
        setup(state);
    }
    end(*state, SIGKILL);
}

/* A worker that ends without having said that the plan did has not converged it, whatever its exit
 * code is. */
static void test_silent_end(void **state)
{
    struct world *w = *state;
    pid_t pid = w->s.worker.pid;
    struct event ev;

    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_true(sup_worker.died(&w->s, pid, 0 /* it says that it ended well */));
    assert_int_equal(w->s.worker.phase, PHASE_FAILED);
    assert_true(w->s.worker.wanted);
    assert_true(next_event(w, &ev) && ev.kind == EVENT_ABORTED);
}

/* What a job leaves is an answer to its question, or none. */
static void test_answers(void **state)
{
    static const struct {
        enum ipc_msg asked;
        const char *text;
        bool taken;
    } cases[] = {
        {IPC_JOB_PLAN, "{\"m\":\"did-plan\",\"v\":1,\"ok\":true,\"why\":\"\"}\n", true},
        {IPC_JOB_PLAN, "{\"m\":\"did-plan\",\"v\":2,\"ok\":true,\"why\":\"\"}\n", false},
        {IPC_JOB_PLAN, "{\"m\":\"did-plan\",\"v\":1,\"ok\":1,\"why\":\"\"}\n", false},
        {IPC_JOB_PLAN, "{\"m\":\"did-plan\",\"v\":1,\"ok\":true", false},
        {IPC_JOB_PLAN, "{\"ok\":true,\"why\":\"\"}\n", false},
        {IPC_JOB_PLAN, "", false},
        {IPC_JOB_PLAN, "{\"m\":\"did-drift\",\"v\":1,\"drift\":[]}\n", false},
        {IPC_JOB_DRIFT, "{\"m\":\"did-drift\",\"v\":1,\"drift\":[]}\n", true},
        {IPC_JOB_DRIFT, "{\"m\":\"did-drift\",\"v\":1,\"drift\":[\"x\"]}\n", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct job j = {.asked = cases[i].asked, .pid = 1, .answer = memfd_create("answer", 0)};
        _cleanup_json_ json_t *answer = NULL;

        assert_int_equal(write(j.answer, cases[i].text, strlen(cases[i].text)),
                         strlen(cases[i].text));
        answer = sup_job_end(&j);
        assert_int_equal(answer != NULL, cases[i].taken);
        assert_int_equal(j.pid, 0);
    }
    end(*state, SIGKILL);
}

/* The coordinator's state comes from the unprivileged process: one that is none ends that. */
static void test_coordinator(void **state)
{
    struct world *w = *state;
    _cleanup_json_ json_t *bad = json_pack("{s:s, s:b}", "state", "mighty", "stable", 1);
    int status;

    w->s.net.pid = fork();
    if (w->s.net.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pause();
        _exit(0);
    }
    sup_cluster_message(&w->s, IPC_COORDINATOR, bad);
    assert_int_equal(waitpid(w->s.net.pid, &status, 0), w->s.net.pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_null(sup_cluster_status(&w->s));
    assert_int_equal(sup_cluster_at(&w->s), CLUSTER_UNCONF);
    end(w, SIGKILL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_run, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_understood, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_silent_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_coordinator, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
