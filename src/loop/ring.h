/* SPDX-License-Identifier: MIT */
/* ring.h - a bounded queue of pointers, many writers, many readers, no lock. What is in it can
 * be taken out of the middle. */
#ifndef FA_LOOP_RING_H
#define FA_LOOP_RING_H

#include <stdatomic.h>

#include <fasterapi/error.h>

struct fa__ring_slot {
    atomic_size_t turn;   /* whose turn it is: see ring.c */
    _Atomic(void *) item; /* NULL: taken out */
};

struct fa__ring {
    struct fa__ring_slot *slots;
    size_t mask;      /* their number less one */
    char padding[64]; /* writers and readers on cache lines of their own */
    atomic_size_t tail;
    char padding_2[64];
    atomic_size_t head;
    char padding_3[64];
};

/* `size` is a power of two and at least 2. Returns 0 or FA_ENOMEM. */
int fa__ring_init(struct fa__ring *ring, size_t size) FA_MUST_CHECK;
void fa__ring_clean_up(struct fa__ring *ring);

/* Any thread. Appends `item`, which is not NULL, and sets `*ticket` before anybody can take it:
 * `ticket` may lie in the item. False: the ring is full, and nothing happened. */
bool fa__ring_push(struct fa__ring *ring, void *item, size_t *ticket) FA_MUST_CHECK;

/* Any thread. The oldest item; NULL: there is none. */
void *fa__ring_pop(struct fa__ring *ring);

/* Any thread, as long as `item` is what the ticket was given for and was not freed. Whether the
 * item was still there: then no pop returns it. Its slot stays in use until it is the oldest. */
bool fa__ring_remove(struct fa__ring *ring, size_t ticket, void *item);

/* Any thread. The slots in use, as of some moment ago. */
size_t fa__ring_count(const struct fa__ring *ring);

#endif
