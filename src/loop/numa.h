/* SPDX-License-Identifier: MIT */
/* numa.h - whether memory is nearer to some CPUs than to others. */
#ifndef FA_LOOP_NUMA_H
#define FA_LOOP_NUMA_H

#include <fasterapi/span.h>

/* Whether the machine has more than one node that is online. A kernel that does not say is taken
 * for one without NUMA. Reads a file of /sys. */
bool fa__numa_has_nodes(void);

/* The same of the text of that file: "0" is one node, "0-1" and "0,2" are two. */
bool fa__numa_names_several(struct fa_span online);

#endif
