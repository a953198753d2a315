/* SPDX-License-Identifier: Apache-2.0 */
/* Progress on stderr (or stdout for NDJSON): a redrawn picture on a terminal, one line per
 * happening elsewhere, NDJSON on request, or nothing. */
#ifndef MUSTER_CONTROLLER_CLI_UI_H
#define MUSTER_CONTROLLER_CLI_UI_H

#include <stdbool.h>

#include "controller/cli/view.h"

enum ui_mode { UI_AUTO, UI_TTY, UI_PLAIN, UI_JSON, UI_QUIET, UI_MODES };
/* -1 when the name is none of auto, tty, plain, json, quiet. */
int ui_mode_parse(const char *name, enum ui_mode *ret);

struct ui;

/* `fd`: where it goes. `color`: -1 as the terminal and NO_COLOR/FORCE_COLOR say, else 0 or 1. */
struct ui *ui_new(enum ui_mode mode, int fd, int color, const struct spec *s);
void ui_event(struct ui *u, const struct event *ev);
/* What an agent says now; NULL: nothing is known of it now. */
void ui_state(struct ui *u, size_t node, const json_t *state);
/* The same, of an agent that was last heard then: ms since 1970, 0: not known. */
void ui_state_heard(struct ui *u, size_t node, const json_t *state, uint64_t heard);
/* The address at which others reach the node; wide screens have room for it. */
void ui_address(struct ui *u, size_t node, const char *address);
/* Redraws when due; returns the milliseconds until it wants to be called again, -1 for never. */
int ui_tick(struct ui *u);
/* Whether nobody can read any more what it writes: the terminal, or the pipe, is closed. */
bool ui_is_closed(const struct ui *u);
void ui_free(struct ui *u); /* leaves the last picture on the screen */

#endif
