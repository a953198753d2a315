/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cli/ui.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/js.h"
#include "common/str.h"

#define FRAME_MS 100
#define STILL_MS 30000

/* Of a terminal that does not tell its size; and more than one that does has use for. */
#define COLUMNS 80
#define LINES 24
#define COLUMNS_MAX 400

#define NO_WRAP "\033[?7l"
#define WRAP "\033[?7h"
#define ERASE_LINE "\033[K" /* from the cursor on */
#define ERASE_DOWN "\033[J"

struct ui {
    enum ui_mode mode;
    int fd;
    bool color, ascii;
    bool closed; /* nobody reads: nothing more is written */
    struct view view;
    struct strbuf drawn;       /* the frame on the screen, as view_render made it */
    struct view_screen screen; /* it was made for; no lines: there is none */
    unsigned lines;            /* from its first one, where the cursor is, to below it */
    uint64_t next_frame;
    uint64_t last_line;
};

static const char *const mode_names[UI_MODES] = {
    [UI_AUTO] = "auto", [UI_TTY] = "tty",     [UI_PLAIN] = "plain",
    [UI_JSON] = "json", [UI_QUIET] = "quiet",
};

int ui_mode_parse(const char *name, enum ui_mode *ret)
{
    for (int m = 0; m < UI_MODES; m++)
        if (str_eq(name, mode_names[m])) {
            *ret = (enum ui_mode)m;
            return 0;
        }
    return -1;
}

static bool env_set(const char *name)
{
    const char *v = getenv(name);

    return v && *v;
}

static void write_out(struct ui *u, const char *s, size_t len)
{
    while (len && !u->closed) {
        ssize_t n = write(u->fd, s, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) { /* another program made it non-blocking */
            struct pollfd p = {.fd = u->fd, .events = POLLOUT};

            poll(&p, 1, FRAME_MS);
            continue;
        }
        if (n <= 0) {
            u->closed = true; /* progress is not worth failing for */
            return;
        }
        s += n;
        len -= (size_t)n;
    }
}

/* Whether the terminal takes characters beyond ASCII, as the operator's locale says. */
static bool has_utf8(void)
{
    locale_t l = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
    bool ret = l && str_eq(nl_langinfo_l(CODESET, l), "UTF-8");

    if (l)
        freelocale(l);
    return ret;
}

struct ui *ui_new(enum ui_mode mode, int fd, int color, const struct spec *s)
{
    struct ui *u = xcalloc(1, sizeof(*u));
    const char *term = getenv("TERM");
    bool tty = isatty(fd) && term && *term && !str_eq(term, "dumb");

    u->fd = fd;
    u->mode = mode != UI_AUTO ? mode : tty ? UI_TTY : UI_PLAIN;
    u->color = color >= 0 ? color : env_set("NO_COLOR") ? false : tty || env_set("FORCE_COLOR");
    u->ascii = !has_utf8();
    view_init(&u->view, s);
    u->last_line = clock_mono_ms();
    return u;
}

/* Progress of a step is a line only when nothing was said for a while. */
static bool worth_a_line(const struct event *ev)
{
    return ev->kind != EVENT_PROGRESS && ev->kind != EVENT_OK;
}

void ui_event(struct ui *u, const struct event *ev)
{
    _cleanup_(strbuf_free) struct strbuf line = {0};

    view_event(&u->view, ev);
    if (u->mode == UI_JSON) {
        _cleanup_json_ json_t *j = event_to_json(ev);
        _cleanup_free_ char *text =
            json_dumps(j, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENSURE_ASCII);

        strbuf_addf(&line, "%s\n", text);
        write_out(u, line.s, line.len);
    } else if (u->mode == UI_PLAIN) {
        if (!worth_a_line(ev))
            return;
        view_event_line(ev, false, &line);
        write_out(u, line.s, line.len);
        u->last_line = clock_mono_ms();
    }
}

void ui_state(struct ui *u, size_t node, const json_t *state)
{
    ui_state_heard(u, node, state, json_is_object(state) ? clock_wall_ms() : 0);
}

void ui_state_heard(struct ui *u, size_t node, const json_t *state, uint64_t heard)
{
    view_state(&u->view, node, state, heard);
}

void ui_address(struct ui *u, size_t node, const char *address)
{
    view_address(&u->view, node, address);
}

bool ui_is_closed(const struct ui *u)
{
    return u->closed;
}

static struct view_screen look_at_screen(const struct ui *u)
{
    struct view_screen s = {
        .columns = COLUMNS, .lines = LINES, .color = u->color, .ascii = u->ascii};
    struct winsize ws = {0};

    if (ioctl(u->fd, TIOCGWINSZ, &ws) == 0 && ws.ws_col)
        s.columns = ws.ws_col < COLUMNS_MAX ? ws.ws_col : COLUMNS_MAX;
    if (ws.ws_row)
        s.lines = ws.ws_row;
    /* The last column stays free: behind it some terminals begin a new line, others do not. */
    if (s.columns > 1)
        s.columns--;
    return s;
}

/* Lines do not wrap while it is drawn (the window may be made smaller meanwhile), and each is
 * written over the old one and cleared behind its end, so that nothing flickers. Then the cursor
 * goes back to the first line: wherever a terminal that changes its size moves the old lines to,
 * it takes the cursor along, and the next frame begins there. */
static void show(struct ui *u, const struct strbuf *frame, const struct view_screen *screen)
{
    _cleanup_(strbuf_free) struct strbuf out = {0};
    bool over = u->drawn.len && screen->columns == u->screen.columns && screen->columns > 1;

    strbuf_addf(&out, "\r%s%s", NO_WRAP, over ? "" : ERASE_DOWN);
    u->lines = 0;
    for (size_t from = 0, len; from < frame->len; from += len + 1) {
        len = strcspn(frame->s + from, "\n");
        strbuf_add(&out, frame->s + from, len);
        strbuf_adds(&out, over ? ERASE_LINE : "");
        if (screen->lines == 1)
            break; /* it would scroll away */
        strbuf_adds(&out, "\n");
        u->lines++;
    }
    strbuf_addf(&out, "%s%s\r", over ? ERASE_DOWN : "", WRAP);
    if (u->lines)
        strbuf_addf(&out, "\033[%uA", u->lines);
    write_out(u, out.s, out.len);
    u->screen = *screen;
    strbuf_reset(&u->drawn);
    strbuf_add(&u->drawn, frame->s, frame->len);
}

/* A terminal that was stopped (Ctrl-S) takes nothing now: who draws has other things to do. */
static bool takes_output(struct ui *u)
{
    struct pollfd p = {.fd = u->fd, .events = POLLOUT};

    if (poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR | POLLNVAL))
        u->closed = true;
    return !u->closed && p.revents & POLLOUT;
}

static void draw(struct ui *u)
{
    _cleanup_(strbuf_free) struct strbuf frame = {0};
    struct view_screen screen;

    if (!takes_output(u))
        return;
    screen = look_at_screen(u);
    view_render(&u->view, &screen, clock_wall_ms(), &frame);
    if (u->drawn.len && screen.columns == u->screen.columns && screen.lines == u->screen.lines &&
        str_eq(strbuf_str(&u->drawn), strbuf_str(&frame)))
        return;
    show(u, &frame, &screen);
}

int ui_tick(struct ui *u)
{
    uint64_t now = clock_mono_ms();

    if (u->closed)
        return -1;
    if (u->mode == UI_TTY) {
        if (now >= u->next_frame) {
            draw(u);
            u->next_frame = now + FRAME_MS;
        }
        return (int)(u->next_frame - now);
    }
    if (u->mode == UI_PLAIN && u->view.started && now - u->last_line >= STILL_MS) {
        _cleanup_(strbuf_free) struct strbuf line = {0};

        view_still(&u->view, clock_wall_ms(), &line);
        strbuf_adds(&line, "\n");
        write_out(u, line.s, line.len);
        u->last_line = now;
    }
    return u->mode == UI_PLAIN ? 1000 : -1;
}

void ui_free(struct ui *u)
{
    if (!u)
        return;
    if (u->mode == UI_TTY)
        draw(u);
    if (u->drawn.len) {
        _cleanup_free_ char *down = u->lines ? str_fmt("\033[%uB\r", u->lines) : xstrdup("\n");

        write_out(u, down, strlen(down));
    }
    view_free(&u->view);
    strbuf_free(&u->drawn);
    free(u);
}
