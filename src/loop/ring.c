/* SPDX-License-Identifier: MIT */
/* ring.c - the bounded queue of Dmitry Vyukov, with a way out of the middle. Any thread; owns its
 * slots, not the items.
 *
 * Positions count up for ever; position p uses slot p modulo the size n. `turn` of that slot:
 *
 *   p      free, for the writer that gets p off the tail
 *   p + 1  full, for the reader that gets p off the head; it leaves p + n for the next lap
 *
 * A thread that stops in between holds up nobody: others find the ring full, or empty, and it
 * is for the users to look again once that thread has gone on (executor_threads.c).
 *
 * Who gets the item of a full slot is decided on `item` alone: the reader exchanges it for NULL,
 * who removes it compares and swaps. The slot of a removed item is passed over by readers, and
 * by writers that find the ring full.
 *
 * `turn` is stored and loaded sequentially consistent, because the users decide whether to sleep
 * by it: they announce themselves and then look, the others publish and then look for them. */
#include "loop/ring.h"

#include <fasterapi/alloc.h>

int fa__ring_init(struct fa__ring *ring, size_t size)
{
    FA_ASSERT(size >= 2 && (size & (size - 1)) == 0);
    ring->slots = fa_calloc(size, sizeof(*ring->slots));
    if (ring->slots == NULL)
        return FA_ENOMEM;
    for (size_t i = 0; i < size; i++) {
        atomic_init(&ring->slots[i].turn, i);
        atomic_init(&ring->slots[i].item, NULL);
    }
    ring->mask = size - 1;
    atomic_init(&ring->tail, 0);
    atomic_init(&ring->head, 0);
    return 0;
}

void fa__ring_clean_up(struct fa__ring *ring)
{
    fa_free(ring->slots);
    ring->slots = NULL;
}

static struct fa__ring_slot *slot_of(struct fa__ring *ring, size_t position)
{
    return &ring->slots[position & ring->mask];
}

/* How far `turn` is ahead of what is waited for; positions wrap. */
static ssize_t ahead(size_t turn, size_t wanted)
{
    return (ssize_t)(turn - wanted);
}

/* Frees the oldest slot if its item was removed. */
static bool skip_removed(struct fa__ring *ring)
{
    size_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    struct fa__ring_slot *slot = slot_of(ring, head);
    if (atomic_load(&slot->turn) != head + 1 ||
        atomic_load_explicit(&slot->item, memory_order_relaxed) != NULL ||
        !atomic_compare_exchange_strong(&ring->head, &head, head + 1))
        return false;
    atomic_store(&slot->turn, head + ring->mask + 1);
    return true;
}

bool fa__ring_push(struct fa__ring *ring, void *item, size_t *ticket)
{
    size_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    for (;;) {
        ssize_t lead = ahead(atomic_load(&slot_of(ring, tail)->turn), tail);
        if (lead == 0 && atomic_compare_exchange_weak(&ring->tail, &tail, tail + 1))
            break;
        if (lead < 0 && !skip_removed(ring))
            return false;
        if (lead != 0)
            tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    }
    struct fa__ring_slot *slot = slot_of(ring, tail);
    *ticket = tail;
    atomic_store_explicit(&slot->item, item, memory_order_relaxed);
    atomic_store(&slot->turn, tail + 1);
    return true;
}

void *fa__ring_pop(struct fa__ring *ring)
{
    size_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    for (;;) {
        struct fa__ring_slot *slot = slot_of(ring, head);
        ssize_t lead = ahead(atomic_load(&slot->turn), head + 1);
        if (lead < 0)
            return NULL;
        if (lead == 0 && atomic_compare_exchange_weak(&ring->head, &head, head + 1)) {
            void *item = atomic_exchange(&slot->item, NULL);
            atomic_store(&slot->turn, head + ring->mask + 1);
            if (FA_LIKELY(item != NULL))
                return item;
        }
        head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    }
}

bool fa__ring_remove(struct fa__ring *ring, size_t ticket, void *item)
{
    return atomic_compare_exchange_strong(&slot_of(ring, ticket)->item, &item, NULL);
}

size_t fa__ring_count(const struct fa__ring *ring)
{
    /* The head first: it never passes the tail, so the difference cannot wrap. */
    size_t head = atomic_load(&ring->head);
    return atomic_load(&ring->tail) - head;
}
