/* SPDX-License-Identifier: MIT */
/* futures.h - the queue of continuations of one reactor. */
#ifndef FA_LOOP_FUTURES_H
#define FA_LOOP_FUTURES_H

#include <fasterapi/reactor.h>

struct fa__futures {
    struct fa_list queue; /* of struct fa_future, by link */
    struct fa_task drain; /* queued while there is something to run */
    unsigned nesting;     /* continuations on complete futures under way */
};

void fa__futures_init(struct fa__futures *futures);

/* Forgets what is queued. */
void fa__futures_clean_up(struct fa__futures *futures);

#endif
