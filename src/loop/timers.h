/* SPDX-License-Identifier: MIT */
/* timers.h - the armed timers of one reactor, earliest first. */
#ifndef FA_LOOP_TIMERS_H
#define FA_LOOP_TIMERS_H

#include <fasterapi/reactor.h>

struct fa__timer_slot {
    uint64_t deadline_ns; /* a copy, so that sifting reads no timer */
    struct fa_timer *timer;
};

struct fa__timers {
    struct fa__timer_slot *heap;
    size_t count;
    size_t cap;
};

/* Inserts a timer whose deadline_ns is set. Returns 0 or FA_ENOMEM. */
int fa__timers_insert(struct fa__timers *timers, struct fa_timer *timer) FA_MUST_CHECK;

/* Moves a timer of the heap to where its new deadline_ns belongs. */
void fa__timers_update(struct fa__timers *timers, struct fa_timer *timer);

/* Takes a timer of the heap out. */
void fa__timers_remove(struct fa__timers *timers, struct fa_timer *timer);

void fa__timers_clean_up(struct fa__timers *timers);

/* The earliest deadline; UINT64_MAX without timers. */
static inline uint64_t fa__timers_first_ns(const struct fa__timers *timers)
{
    return timers->count != 0 ? timers->heap[0].deadline_ns : UINT64_MAX;
}

#endif
