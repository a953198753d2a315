/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs say that a step runs, kept on the node (PATH_OUTPUT): a line is
 * "TIME STEP TEXT", with the command and its end as lines of their own. */
#ifndef MUSTER_AGENT_SYS_OUTPUT_H
#define MUSTER_AGENT_SYS_OUTPUT_H

/* From here on it is kept. A file that has grown becomes PATH_OUTPUT_OLD, in place of the one
 * before it. Where none can be opened nothing is kept, and the work goes on. */
void output_open(void);
/* Whose output follows; NULL: of none. */
void output_step(const char *id);

#endif
