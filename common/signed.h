/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that the controller signs for its agents: exactly these bytes, and for one purpose. */
#ifndef MUSTER_SIGNED_H
#define MUSTER_SIGNED_H

#include "keys.h"

#define SIGNED_PLAN "muster plan" /* purposes; a roster is signed without one */

void signed_make(const struct sign_pair *own, const char *purpose, const char *text,
                 char ret[SIGN_HEX_SIZE]);
/* Whether `sig` (hex) is that key's signature of the text for that purpose. */
bool signed_holds(const uint8_t pub[KEY_SIZE], const char *purpose, const char *text,
                  const char *sig);

#endif
