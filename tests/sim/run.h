/* SPDX-License-Identifier: Apache-2.0 */
/* Simulation: where a run ends that found something. */
#ifndef MUSTER_TESTS_SIM_RUN_H
#define MUSTER_TESTS_SIM_RUN_H

#include <setjmp.h>
#include <stdint.h>

struct failure {
    jmp_buf back;
    char what[256];
    uint64_t at;
};
extern struct failure failure;

#endif
