/* SPDX-License-Identifier: Apache-2.0 */
/* Links between zones: what one direction is set to, its defaults, texts and documents; and the
 * scheduling of frames through it. Pure: the caller has the clock and the random numbers. */
#ifndef MUSTER_CONTROLLER_LOCALVDC_NETWORK_LINK_H
#define MUSTER_CONTROLLER_LOCALVDC_NETWORK_LINK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

/* One direction. */
struct link_set {
    uint64_t delay_ns;
    uint64_t rate;     /* bits a second; 0: unlimited */
    uint32_t loss_ppm; /* frames of a million that are lost */
    bool cut;
};

/* What a direction between two zones (by name) has as long as nobody changed it. */
struct link_set link_default(const char *from, const char *to);
/* The document of a changed direction over the default; NULL: the default. */
struct link_set link_from_doc(const char *from, const char *to, const json_t *doc);
json_t *link_to_doc(const char *from, const char *to, const struct link_set *set);

/* "9.09ms", "250us", "1s", at most 10 s. */
int link_parse_time(const char *text, uint64_t *ret_ns, struct err *err);
/* "3gbit", "100mbit", "512kbit", "none". */
int link_parse_rate(const char *text, uint64_t *ret, struct err *err);
/* "0.5", "0.5%". */
int link_parse_loss(const char *text, uint32_t *ret_ppm, struct err *err);
void link_rate_text(uint64_t rate, char ret[24]);

/* The zone whose name begins with `text` in any case, alone or exactly; zones: array of
 * documents. A borrowed reference, or NULL and an error that names the candidates. */
const json_t *link_zone(const json_t *zones, const char *text, struct err *err);

/* --- scheduling --- */
struct lane {
    struct link_set set;
    uint64_t free_at;  /* when the transmitter has sent all that it took */
    uint64_t last_due; /* nothing overtakes */
    uint64_t queued;   /* bytes on their way */
};

/* Takes a frame of `bytes` that came at `now` (ns): when it arrives, or false when it is lost.
 * `random` is any 32 bits. */
bool lane_admit(struct lane *l, uint64_t now, uint64_t bytes, uint32_t random, uint64_t *ret_due);
/* A frame that was admitted has arrived, or was thrown away. */
void lane_done(struct lane *l, uint64_t bytes);
/* Other settings for frames from now on. */
void lane_set(struct lane *l, const struct link_set *set);

#endif
