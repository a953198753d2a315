/* SPDX-License-Identifier: Apache-2.0 */
/* The outbox: nothing is lost before it is acknowledged, no number is used twice, not even when
 * the file ends in the middle of a line. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/supervisor/outbox.h"
#include "common/fs.h"
#include "common/str.h"

static char dir[64];

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/test-outbox-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    struct err err;

    (void)state;
    return fs_remove_tree(dir, &err);
}

static struct outbox *must_open(void)
{
    struct outbox *o = NULL;
    struct err err = {0};

    if (outbox_open(dir, &o, &err) < 0)
        fail_msg("%s", err.msg);
    return o;
}

static uint64_t add(struct outbox *o)
{
    struct event ev = {.ts = 1, .node = "n"};
    struct err err;

    event_fill(&ev, EVENT_NOTE, "x", "hello");
    assert_int_equal(outbox_add(o, &ev, &err), 0);
    return ev.seq;
}

static void test_order_and_ack(void **state)
{
    (void)state;
    struct outbox *o = must_open();

    for (uint64_t i = 1; i <= 100; i++)
        assert_int_equal(add(o), i);
    unsigned n = 0;
    while (outbox_next(o))
        n++;
    assert_int_equal(n, OUTBOX_WINDOW); /* no more are under way at once */
    outbox_ack(o, 10);
    while (outbox_next(o))
        n++;
    assert_int_equal(n, OUTBOX_WINDOW + 10);
    outbox_rewind(o);
    const char *first = outbox_next(o);
    assert_non_null(strstr(first, "\"seq\":11"));
    outbox_free(o);
}

static void test_survives(void **state)
{
    (void)state;
    struct outbox *o = must_open();
    uint64_t last = 0;

    for (int i = 0; i < 5; i++)
        last = add(o);
    outbox_ack(o, 2);
    outbox_free(o);
    /* A crash in the middle of a write. */
    char path[128];
    snprintf(path, sizeof(path), "%s/events", dir);
    FILE *f = fopen(path, "a");
    assert_non_null(f);
    fputs("{\"ts\":1,\"node\":\"n", f);
    fclose(f);
    o = must_open();
    assert_true(outbox_count(o) >= 3);
    assert_true(add(o) > last);
    outbox_free(o);
}

static uint64_t seq_of(const char *text)
{
    struct event ev;
    struct err err;

    assert_int_equal(event_parse(text, strlen(text), &ev, &err), 0);
    return ev.seq;
}

/* The disk takes a part of a line, and after a while more again: nothing is glued to the part, and
 * what could not be written then is written with the next event. */
static void test_full_disk(void **state)
{
    struct rlimit before, full;
    struct stat st;
    struct event ev = {.ts = 1, .node = "n"};
    struct err err;
    char path[128];

    (void)state;
    struct outbox *o = must_open();
    add(o);
    snprintf(path, sizeof(path), "%s/events", dir);
    assert_int_equal(stat(path, &st), 0);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    full = before;
    full.rlim_cur = (rlim_t)st.st_size + 10;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
    event_fill(&ev, EVENT_NOTE, "x", "hello");
    int first = outbox_add(o, &ev, &err), second = outbox_add(o, &ev, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(first, -1);
    assert_int_equal(second, -1);
    assert_int_equal(add(o), 4);
    outbox_free(o);
    o = must_open();
    assert_int_equal(outbox_count(o), 4);
    for (uint64_t i = 1; i <= 4; i++)
        assert_int_equal(seq_of(outbox_next(o)), i);
    outbox_free(o);
}

static void test_no_number_twice(void **state)
{
    (void)state;
    uint64_t last = 0;

    for (int i = 0; i < 5; i++) {
        struct outbox *o = must_open();
        uint64_t seq = add(o);

        assert_true(seq > last);
        last = seq;
        outbox_ack(o, seq); /* the log is empty now; only the reservation remembers */
        outbox_free(o);
    }
}

static void test_bounded(void **state)
{
    (void)state;
    struct outbox *o = must_open();

    for (int i = 0; i < OUTBOX_MAX + 50; i++)
        add(o);
    assert_int_equal(outbox_count(o), OUTBOX_MAX);
    assert_non_null(strstr(outbox_next(o), "\"seq\":51"));
    outbox_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order_and_ack, setup, teardown),
        cmocka_unit_test_setup_teardown(test_survives, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_number_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bounded, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
