/* SPDX-License-Identifier: Apache-2.0 */
/* ui.c on a real pseudo terminal: what it writes makes the last picture, and nothing else, on a
 * screen of any size, also of one that changes; and what it does when nobody reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/js.h"
#include "controller/cli/ui.h"
#include "tests/unit/terminal.h"
#include "tests/unit/view_world.h"

#define BEFORE "$ muster watch"

struct world {
    struct spec spec;
    struct ui *ui;
    struct view view; /* is told the same */
    int master, slave;
    struct terminal terminal;
    struct strbuf sent;
    uint64_t since; /* the newest frame was looked for, ms since 1970 */
};

static void set_size(const struct world *w, unsigned columns, unsigned rows)
{
    const struct winsize ws = {.ws_col = (unsigned short)columns, .ws_row = (unsigned short)rows};

    assert_int_equal(ioctl(w->master, TIOCSWINSZ, &ws), 0);
}

static void read_all(struct world *w)
{
    char buf[4096];
    ssize_t n;

    strbuf_reset(&w->sent);
    while ((n = read(w->master, buf, sizeof(buf))) > 0)
        strbuf_add(&w->sent, buf, (size_t)n);
    terminal_write(&w->terminal, strbuf_str(&w->sent));
}

/* A size of 0 is one that the terminal does not tell; it has 80 columns and 24 lines then. */
static void begin(struct world *w, unsigned columns, unsigned rows, bool reflows)
{
    *w = (struct world){0};
    world_spec(three, 3, 3, true, &w->spec);
    view_init(&w->view, &w->spec);
    assert_int_equal(openpty(&w->master, &w->slave, NULL, NULL, NULL), 0);
    assert_int_equal(fcntl(w->master, F_SETFL, O_NONBLOCK), 0);
    set_size(w, columns, rows);
    terminal_open(&w->terminal, columns ? columns : 80, rows ? rows : 24, reflows);
    assert_true(write(w->slave, BEFORE "\n", strlen(BEFORE) + 1) > 0);
    read_all(w);
    w->ui = ui_new(UI_AUTO, w->slave, -1, &w->spec);
}

static void end(struct world *w)
{
    ui_free(w->ui);
    view_free(&w->view);
    spec_free(&w->spec);
    terminal_close(&w->terminal);
    strbuf_free(&w->sent);
    close(w->slave);
    if (w->master >= 0)
        close(w->master);
}

static void happens(struct world *w, const char *node, enum event_kind kind, const char *id,
                    const char *msg)
{
    struct event e =
        world_event(0, node, str_eq(id, "up") ? NULL : "0123456789abcdef", kind, id, msg);

    e.ts = clock_wall_ms();
    ui_event(w->ui, &e);
    view_event(&w->view, &e);
}

/* The next frame, as soon as it is due. */
static void next_frame(struct world *w)
{
    int due;

    ui_tick(w->ui);
    due = ui_tick(w->ui);
    assert_true(due >= 0);
    poll(NULL, 0, due);
    w->since = clock_wall_ms();
    ui_tick(w->ui);
    read_all(w);
}

static void screen_text(const struct terminal *t, unsigned from, struct strbuf *out)
{
    for (unsigned i = from; i < t->rows; i++) {
        terminal_row_text(t, i, out);
        strbuf_adds(out, "\n");
    }
    while (out->len > 1 && out->s[out->len - 2] == '\n')
        out->s[--out->len] = '\0';
}

/* From the cursor on there is the picture of the moment when it was drawn, and nothing else. */
static void assert_picture(const struct world *w, unsigned columns, unsigned lines)
{
    _cleanup_(strbuf_free) struct strbuf now = {0};
    const struct view_screen screen = {
        .columns = columns > 1 ? columns - 1 : 1, .lines = lines, .ascii = false};
    uint64_t until = clock_wall_ms();

    assert_int_equal(w->terminal.column, 0);
    screen_text(&w->terminal, w->terminal.row, &now);
    for (uint64_t ts = w->since; ts <= until; ts++) {
        _cleanup_(strbuf_free) struct strbuf frame = {0};

        view_render(&w->view, &screen, ts, &frame);
        while (frame.len > 1 && frame.s[frame.len - 2] == '\n')
            frame.s[--frame.len] = '\0';
        if (str_eq(frame.s, now.s))
            return;
        if (ts == until)
            assert_string_equal(now.s, frame.s);
    }
}

/* What was on the screen before is there still, when the picture leaves room for it. */
static void assert_before(const struct world *w)
{
    _cleanup_(strbuf_free) struct strbuf text = {0};

    for (unsigned i = 0; i < w->terminal.row; i++)
        terminal_row_text(&w->terminal, i, &text);
    if (w->terminal.row > 0)
        assert_string_equal(text.s, BEFORE);
}

static void some_events(struct world *w)
{
    happens(w, "", EVENT_START, "up", "raising");
    happens(w, "fra", EVENT_PLAN, "plan", "10 steps");
    happens(w, "fra", EVENT_START, "package:all", "12 packages are missing");
    happens(w, "par", EVENT_FAILED, "disk:data", "there is no disk of that volume");
}

static void test_sizes(void **state)
{
    static const struct {
        unsigned columns, rows, seen_columns, seen_rows;
    } cases[] = {
        {80, 24, 80, 24},   {0, 0, 80, 24},        {1, 24, 1, 24},   {2, 24, 2, 24},
        {200, 60, 200, 60}, {80, 1, 80, 1},        {80, 2, 80, 2},   {80, 3, 80, 3},
        {40, 10, 40, 10},   {1000, 100, 400, 100}, {19, 13, 19, 13}, {0, 40, 80, 40},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct world w;

        begin(&w, cases[i].columns, cases[i].rows, false);
        next_frame(&w);
        assert_picture(&w, cases[i].seen_columns, cases[i].seen_rows);
        some_events(&w);
        next_frame(&w);
        assert_picture(&w, cases[i].seen_columns, cases[i].seen_rows);
        happens(&w, "fra", EVENT_CHANGED, "package:all", "done");
        next_frame(&w);
        assert_picture(&w, cases[i].seen_columns, cases[i].seen_rows);
        if (cases[i].rows >= 24 && cases[i].columns >= 80)
            assert_before(&w);
        end(&w);
    }
}

static void resize(bool reflows)
{
    static const unsigned sizes[][2] = {{120, 40}, {40, 40}, {200, 60}, {1, 60},
                                        {80, 60},  {80, 8},  {33, 8},   {80, 24}};
    struct world w;

    begin(&w, 80, 24, reflows);
    some_events(&w);
    next_frame(&w);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        set_size(&w, sizes[i][0], sizes[i][1]);
        terminal_resize(&w.terminal, sizes[i][0], sizes[i][1]);
        next_frame(&w);
        assert_picture(&w, sizes[i][0], sizes[i][1]);
        if (i < 3)
            assert_before(&w);
    }
    end(&w);
}

static void test_resize(void **state)
{
    (void)state;
    resize(false);
    resize(true);
}

/* The window becomes narrower between the look at its size and the picture: lines do not wrap. */
static void test_resize_meanwhile(void **state)
{
    struct world w;

    (void)state;
    begin(&w, 120, 40, false);
    terminal_resize(&w.terminal, 50, 40);
    some_events(&w);
    next_frame(&w);
    assert_false(w.terminal.wrap_off);
    set_size(&w, 50, 40);
    next_frame(&w);
    assert_picture(&w, 50, 40);
    assert_before(&w);
    end(&w);
}

/* At the end the picture stays, and what follows is written below it. */
static void test_end(void **state)
{
    struct world w;
    unsigned row;

    (void)state;
    begin(&w, 80, 24, false);
    some_events(&w);
    next_frame(&w);
    row = w.terminal.row;
    ui_free(TAKE(w.ui));
    read_all(&w);
    assert_int_equal(w.terminal.column, 0);
    for (unsigned i = w.terminal.row; i < 24; i++)
        assert_int_equal(w.terminal.r[i].text[0][0], 0);
    assert_true(w.terminal.row > row);
    w.terminal.row = row;
    assert_picture(&w, 80, 24);
    end(&w);
}

/* What has not changed is not written again; and a picture is one write, without erasing first. */
static void test_no_flicker(void **state)
{
    struct world w;

    (void)state;
    begin(&w, 80, 24, false);
    next_frame(&w); /* no event yet: no time goes by in it */
    ui_tick(w.ui);
    next_frame(&w);
    assert_int_equal(w.sent.len, 0);
    some_events(&w);
    next_frame(&w);
    assert_non_null(w.sent.s);
    assert_true(strstr(w.sent.s, "\033[J") > strstr(w.sent.s, "saas"));
    end(&w);
}

static void test_closed(void **state)
{
    struct world w;
    int p[2];

    (void)state;
    begin(&w, 80, 24, false);
    some_events(&w);
    next_frame(&w);
    close(w.master);
    w.master = -1;
    happens(&w, "fra", EVENT_CHANGED, "package:all", "done");
    while (!ui_is_closed(w.ui))
        poll(NULL, 0, ui_tick(w.ui));
    assert_int_equal(ui_tick(w.ui), -1);
    happens(&w, "fra", EVENT_DONE, "plan", "10 changed, 0 ok");
    ui_free(w.ui);

    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    w.ui = ui_new(UI_AUTO, p[1], -1, &w.spec);
    happens(&w, "fra", EVENT_PLAN, "plan", "10 steps");
    assert_false(ui_is_closed(w.ui));
    close(p[0]);
    happens(&w, "fra", EVENT_PLAN, "plan", "10 steps");
    assert_true(ui_is_closed(w.ui));
    close(p[1]);
    end(&w);
}

/* Ctrl-S: whoever draws goes on with its work; Ctrl-Q brings the newest picture. */
static void test_stopped(void **state)
{
    struct world w;

    (void)state;
    begin(&w, 80, 24, false);
    next_frame(&w);
    assert_int_equal(tcflow(w.slave, TCOOFF), 0);
    some_events(&w);
    next_frame(&w);
    assert_int_equal(w.sent.len, 0);
    assert_false(ui_is_closed(w.ui));
    assert_int_equal(tcflow(w.slave, TCOON), 0);
    next_frame(&w);
    assert_picture(&w, 80, 24);
    end(&w);
}

/* What the environment says of the terminal. */
static void test_environment(void **state)
{
    struct world w;

    (void)state;
    setenv("LC_ALL", "C", 1);
    begin(&w, 80, 24, false);
    some_events(&w);
    next_frame(&w);
    for (const char *c = w.sent.s; *c; c++)
        assert_true((unsigned char)*c < 0x80);
    assert_non_null(strstr(w.sent.s, "x par"));
    assert_int_equal(w.terminal.colors, 0);
    end(&w);
    setenv("LC_ALL", "C.UTF-8", 1);

    unsetenv("NO_COLOR");
    begin(&w, 80, 24, false);
    some_events(&w);
    next_frame(&w);
    assert_true(w.terminal.colors > 0);
    end(&w);
    setenv("NO_COLOR", "1", 1);

    for (int i = 0; i < 2; i++) {
        if (i)
            unsetenv("TERM");
        else
            setenv("TERM", "dumb", 1);
        begin(&w, 80, 24, false);
        some_events(&w);
        ui_tick(w.ui);
        read_all(&w);
        assert_null(strchr(w.sent.s, '\033'));
        assert_non_null(strstr(w.sent.s,
                               "par      failed   disk:data            there is no disk of "
                               "that volume\r\n"));
        end(&w);
    }
    setenv("TERM", "xterm", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_resize),
        cmocka_unit_test(test_resize_meanwhile),
        cmocka_unit_test(test_end),
        cmocka_unit_test(test_no_flicker),
        cmocka_unit_test(test_closed),
        cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_environment),
    };

    setenv("TZ", "UTC", 1);
    tzset();
    setenv("TERM", "xterm", 1);
    setenv("LC_ALL", "C.UTF-8", 1);
    setenv("NO_COLOR", "1", 1);
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
