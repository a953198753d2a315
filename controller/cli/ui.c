/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cli/ui.h"

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

struct ui {
    enum ui_mode mode;
    int fd;
    bool color;
    struct view view;
    struct strbuf drawn; /* the last frame */
    unsigned lines;      /* of the last frame */
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
    while (len) {
        ssize_t n = write(u->fd, s, len);

        if (n <= 0)
            return; /* nobody reads: progress is not worth failing for */
        s += n;
        len -= (size_t)n;
    }
}

struct ui *ui_new(enum ui_mode mode, int fd, int color, const struct spec *s)
{
    struct ui *u = xcalloc(1, sizeof(*u));
    const char *term = getenv("TERM");
    bool tty = isatty(fd) && term && !str_eq(term, "dumb");

    u->fd = fd;
    u->mode = mode != UI_AUTO ? mode : tty ? UI_TTY : UI_PLAIN;
    u->color = color >= 0 ? color : env_set("NO_COLOR") ? false : tty || env_set("FORCE_COLOR");
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
    view_state(&u->view, node, state);
}

static void erase(struct ui *u)
{
    char up[32];

    if (!u->lines)
        return;
    snprintf(up, sizeof(up), "\033[%uA\r\033[J", u->lines);
    write_out(u, up, strlen(up));
    u->lines = 0;
}

static void draw(struct ui *u)
{
    _cleanup_(strbuf_free) struct strbuf frame = {0};
    struct winsize ws = {0};
    unsigned columns = 80;

    if (ioctl(u->fd, TIOCGWINSZ, &ws) == 0 && ws.ws_col)
        columns = ws.ws_col;
    view_render(&u->view, columns, u->color, clock_wall_ms(), &frame);
    if (u->lines && str_eq(strbuf_str(&u->drawn), strbuf_str(&frame)))
        return;
    erase(u);
    for (size_t i = 0; i < frame.len; i++)
        u->lines += frame.s[i] == '\n';
    write_out(u, frame.s, frame.len);
    strbuf_reset(&u->drawn);
    strbuf_add(&u->drawn, frame.s, frame.len);
}

int ui_tick(struct ui *u)
{
    uint64_t now = clock_mono_ms();

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
    view_free(&u->view);
    strbuf_free(&u->drawn);
    free(u);
}
