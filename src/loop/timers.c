/* SPDX-License-Identifier: MIT */
/* timers.c - deadlines in a 4-ary heap, and the public timer functions. On the reactor's
 * thread.
 *
 * Four children per node halve the depth of a binary heap and keep the children of a node
 * within 64 bytes: cheaper where most timers are armed and cancelled without firing, as
 * timeouts are. Each timer knows its index, so cancelling is a sift and not a search.
 *
 *   idle (reactor NULL) -> in the heap -> on the ready queue (due) -> idle, then called
 *
 * Invariant: for every i, heap[i].timer->heap_index == i and heap[i].deadline_ns is not
 * less than its parent's. */
#include "loop/timers.h"

#include <fasterapi/alloc.h>

#include "loop/reactor_int.h"

#define ARITY 4
#define FIRST_CAP 16

static void place(struct fa__timers *timers, size_t index, struct fa__timer_slot slot)
{
    timers->heap[index] = slot;
    slot.timer->heap_index = index;
}

static void sift_up(struct fa__timers *timers, size_t index, struct fa__timer_slot slot)
{
    while (index > 0) {
        size_t parent = (index - 1) / ARITY;
        if (timers->heap[parent].deadline_ns <= slot.deadline_ns)
            break;
        place(timers, index, timers->heap[parent]);
        index = parent;
    }
    place(timers, index, slot);
}

static void sift_down(struct fa__timers *timers, size_t index, struct fa__timer_slot slot)
{
    for (;;) {
        size_t child = index * ARITY + 1;
        if (child >= timers->count)
            break;
        size_t end = child + ARITY < timers->count ? child + ARITY : timers->count;
        size_t least = child;
        for (child++; child < end; child++) {
            if (timers->heap[child].deadline_ns < timers->heap[least].deadline_ns)
                least = child;
        }
        if (timers->heap[least].deadline_ns >= slot.deadline_ns)
            break;
        place(timers, index, timers->heap[least]);
        index = least;
    }
    place(timers, index, slot);
}

/* Puts `slot` where it belongs when `index` is free. */
static void settle(struct fa__timers *timers, size_t index, struct fa__timer_slot slot)
{
    if (index > 0 && slot.deadline_ns < timers->heap[(index - 1) / ARITY].deadline_ns)
        sift_up(timers, index, slot);
    else
        sift_down(timers, index, slot);
}

int fa__timers_insert(struct fa__timers *timers, struct fa_timer *timer)
{
    if (timers->count == timers->cap) {
        size_t cap = timers->cap != 0 ? timers->cap * 2 : FIRST_CAP;
        size_t bytes;
        if (__builtin_mul_overflow(cap, sizeof(*timers->heap), &bytes))
            return FA_ENOMEM;
        struct fa__timer_slot *grown = fa_realloc(timers->heap, bytes);
        if (grown == NULL)
            return FA_ENOMEM;
        timers->heap = grown;
        timers->cap = cap;
    }
    struct fa__timer_slot slot = {timer->deadline_ns, timer};
    sift_up(timers, timers->count++, slot);
    return 0;
}

void fa__timers_update(struct fa__timers *timers, struct fa_timer *timer)
{
    FA_ASSERT(timers->heap[timer->heap_index].timer == timer);
    struct fa__timer_slot slot = {timer->deadline_ns, timer};
    settle(timers, timer->heap_index, slot);
}

void fa__timers_remove(struct fa__timers *timers, struct fa_timer *timer)
{
    size_t index = timer->heap_index;
    FA_ASSERT(index < timers->count && timers->heap[index].timer == timer);
    timers->count--;
    if (index != timers->count)
        settle(timers, index, timers->heap[timers->count]);
}

void fa__timers_clean_up(struct fa__timers *timers)
{
    for (size_t i = 0; i < timers->count; i++)
        timers->heap[i].timer->reactor = NULL;
    fa_free(timers->heap);
    *timers = (struct fa__timers){0};
}

int fa_timer_arm(struct fa_reactor *reactor, struct fa_timer *timer, uint64_t deadline_ns,
                 fa_timer_fn *callback)
{
    if (FA_UNLIKELY(!fa__on_owner(reactor)))
        return FA_EWRONGTHREAD;
    if (FA_UNLIKELY(timer->reactor != NULL && timer->reactor != reactor))
        return FA_EINVAL;
    uint64_t first_ns = fa__timers_first_ns(&reactor->timers);
    bool in_heap = timer->reactor != NULL && timer->ready.kind == 0;
    uint64_t old_deadline_ns = timer->deadline_ns;
    timer->deadline_ns = deadline_ns;
    if (in_heap) {
        fa__timers_update(&reactor->timers, timer);
    } else if (fa__timers_insert(&reactor->timers, timer) < 0) {
        timer->deadline_ns = old_deadline_ns;
        return FA_ENOMEM;
    }
    fa__ready_unlink(reactor, &timer->ready);
    timer->reactor = reactor;
    timer->callback = callback;
    if (deadline_ns < first_ns)
        fa__announce_deadline(reactor);
    return 0;
}

void fa_timer_cancel(struct fa_timer *timer)
{
    struct fa_reactor *reactor = timer->reactor;
    if (reactor == NULL)
        return;
    FA_ASSERT(fa__on_owner(reactor));
    if (timer->ready.kind != 0)
        fa__ready_unlink(reactor, &timer->ready);
    else
        fa__timers_remove(&reactor->timers, timer);
    timer->reactor = NULL;
}

/* Due timers leave the heap for the ready queue, earliest first. */
void fa__timers_collect(struct fa_reactor *reactor, uint64_t now_ns)
{
    while (fa__timers_first_ns(&reactor->timers) <= now_ns) {
        struct fa_timer *timer = reactor->timers.heap[0].timer;
        fa__timers_remove(&reactor->timers, timer);
        fa__ready_push(reactor, &timer->ready, FA__READY_TIMER, FA_PRIORITY_NORMAL);
    }
}
