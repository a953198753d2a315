/* SPDX-License-Identifier: Apache-2.0 */
/* Programs of an operator that are told what happens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/event_hooks.h"
#include "common/fs.h"
#include "common/str.h"

#define WAIT_MS 20000

struct world {
    char base[32];
    char *directory, *told;
    struct hooks *hooks;
};

static int setup(void **state)
{
    static struct world w;
    struct err err;

    strcpy(w.base, "/tmp/muster-hooks-XXXXXX");
    assert_non_null(mkdtemp(w.base));
    w.directory = str_fmt("%s/hooks.d", w.base);
    w.told = str_fmt("%s/told", w.base);
    assert_int_equal(fs_mkdirs(w.directory, 0755, &err), 0);
    w.hooks = hooks_new(w.directory);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    struct err err;

    hooks_free(w->hooks);
    free(w->directory);
    free(w->told);
    return fs_remove_tree(w->base, &err);
}

/* A program that adds what `text` expands to to the file of what was told. */
static void put(const struct world *w, const char *name, mode_t mode, const char *text)
{
    _cleanup_free_ char *path = str_fmt("%s/%s", w->directory, name);
    _cleanup_free_ char *program = str_fmt("#!/bin/sh\necho \"%s\" >>%s\n", text, w->told);
    struct err err;

    assert_int_equal(fs_write_atomic(path, program, strlen(program), mode, &err), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void happens(const struct world *w, enum event_kind kind, const char *msg)
{
    struct event ev = {.ts = 1700000000123, .node = "fra"};

    event_fill(&ev, kind, "web:apache", "%s", msg);
    hooks_event(w->hooks, "saas", &ev);
}

static char *told(const struct world *w)
{
    uint64_t end = clock_mono_ms() + WAIT_MS;
    char *text = NULL;
    struct err err;

    do {
        hooks_run(w->hooks);
        clock_pause_ms(2);
    } while (hooks_due(w->hooks) != UINT64_MAX && clock_mono_ms() < end);
    return fs_read(w->told, 4096, &text, NULL, &err) < 0 ? xstrdup("") : text;
}

/* In the order of events and names, with the environment and nothing of ours. */
static void test_told(void **state)
{
    struct world *w = *state;
    _cleanup_free_ char *text = NULL;

    setenv("MUSTER_SECRET_OF_OURS", "x", 1);
    put(w, "20-second", 0755, "second $MUSTER_STEP $MUSTER_SECRET_OF_OURS.");
    put(w, "10-first", 0755,
        "$MUSTER_DEPLOYMENT $MUSTER_NODE $MUSTER_KIND $MUSTER_MESSAGE $MUSTER_TIME");
    happens(w, EVENT_FAILED, "it's \"full\"; $(reboot)");
    happens(w, EVENT_PROGRESS, "of no interest");
    happens(w, EVENT_DONE, "");
    text = told(w);
    assert_string_equal(text, "saas fra failed it's \"full\"; $(reboot) 1700000000123\n"
                              "second web:apache .\n"
                              "saas fra done  1700000000123\n"
                              "second web:apache .\n");
}

static void test_not_run(void **state)
{
    struct world *w = *state;
    _cleanup_free_ char *text = NULL, *link = str_fmt("%s/directory", w->directory);

    put(w, "10-writable-by-all", 0777, "no");
    put(w, "20-writable-by-a-group", 0775, "no");
    put(w, "30-not-executable", 0644, "no");
    put(w, "40-old.dpkg-old", 0755, "no");
    put(w, ".hidden", 0755, "no");
    put(w, "50-good", 0700, "good");
    assert_int_equal(mkdir(link, 0755), 0);
    happens(w, EVENT_NOTE, "x");
    text = told(w);
    assert_string_equal(text, "good\n");
}

/* Without a directory nothing is kept; one that others may write is not looked into. */
static void test_directory(void **state)
{
    struct world *w = *state;
    struct hooks *none = hooks_new("/nonexistent/hooks.d");
    struct event ev = {0};
    _cleanup_free_ char *text = NULL;

    event_fill(&ev, EVENT_DONE, "x:y", "%s", "");
    hooks_event(none, "d", &ev);
    assert_true(hooks_due(none) == UINT64_MAX);
    hooks_free(none);
    put(w, "10-first", 0755, "no");
    assert_int_equal(chmod(w->directory, 0777), 0);
    happens(w, EVENT_DONE, "x");
    text = told(w);
    assert_string_equal(text, "");
}

/* One that fails, one that cannot be started, and somebody else who takes how they ended. */
static void test_bad_ends(void **state)
{
    struct world *w = *state;
    _cleanup_free_ char *text = NULL;
    _cleanup_free_ char *path = str_fmt("%s/05-no-program", w->directory);
    struct err err;

    assert_int_equal(fs_write_atomic(path, "#!/nonexistent\n", 15, 0755, &err), 0);
    put(w, "10-fails", 0755, "fails\"; exit 3; echo \"");
    put(w, "20-second", 0755, "second");
    happens(w, EVENT_DONE, "");
    for (uint64_t end = clock_mono_ms() + WAIT_MS;
         hooks_due(w->hooks) != UINT64_MAX && clock_mono_ms() < end;) {
        hooks_run(w->hooks);
        waitpid(-1, NULL, 0);
    }
    text = told(w);
    assert_string_equal(text, "second\n"); /* the one after it is run all the same */
}

/* More than there is room for: the newest and the one under way are kept; and the end of all. */
static void test_many(void **state)
{
    struct world *w = *state;
    _cleanup_free_ char *text = NULL;

    put(w, "10-first", 0755, "$MUSTER_MESSAGE");
    for (int i = 0; i < 100; i++) {
        char msg[8];

        snprintf(msg, sizeof(msg), "%d", i);
        happens(w, EVENT_DONE, msg);
    }
    text = told(w);
    assert_true(str_starts(text, "0\n37\n38\n"));
    assert_true(str_ends(text, "98\n99\n"));
    put(w, "20-endless", 0755, "\"; exec sleep 1000; echo \"");
    happens(w, EVENT_DONE, "last");
    hooks_run(w->hooks); /* teardown ends it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_run, setup, teardown),
        cmocka_unit_test_setup_teardown(test_directory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
