/* SPDX-License-Identifier: MIT */
/* reactor_int.h - the reactor's own structure, shared by the files of this folder. */
#ifndef FA_LOOP_REACTOR_INT_H
#define FA_LOOP_REACTOR_INT_H

#include <pthread.h>

#include <fasterapi/reactor.h>

#include "loop/futures.h"
#include "loop/mailbox.h"
#include "loop/poller.h"
#include "loop/signals.h"
#include "loop/timers.h"
#include "loop/watchers.h"

enum fa__ready_kind {
    FA__READY_NONE = 0,
    FA__READY_IO,
    FA__READY_TIMER,
    FA__READY_TASK,
    FA__READY_TURN_END, /* a task on the turn-end list */
};

#define FA__PRIORITIES 3

struct fa_reactor {
    pthread_t owner;
    struct fa_list ready[FA__PRIORITIES];
    size_t ready_count;      /* nodes on the three lists */
    struct fa_list turn_end; /* tasks */
    uint32_t turn;           /* what is queued from now on is not run by the dispatch under way */
    bool in_turn;            /* from collect to the end of dispatch */
    bool announced_work;     /* the hook was called since the last turn ... */
    bool announced_deadline; /* ... for each of its two reasons */
    unsigned since_low;      /* callbacks run while one of low priority waited */
    int collectable;         /* events of the last wait that collect has not seen */
    uint64_t now_ns;         /* read at the last collect */
    uint64_t asked_ns;       /* when the last wait that could sleep began; 0: it only polled */
    bool busy;               /* that wait found its events without sleeping */

    struct fa__poller poller;
    struct fa__watchers watchers;
    struct fa__timers timers;
    struct fa__signals signals;
    struct fa__futures futures;

    fa_reactor_wake_fn *hook;
    void *hook_user;
    uint64_t spin_ns;      /* as configured */
    uint64_t spin_next_ns; /* how long the next wait spins */
    struct fa_reactor_stats stats;

    struct fa__mailbox mailbox;
};

static inline bool fa__on_owner(const struct fa_reactor *reactor)
{
    return pthread_equal(reactor->owner, pthread_self()) != 0;
}

/* ---- the wake hook: outside a turn, once for each reason ---------------------------- */

static inline void fa__announce_work(struct fa_reactor *reactor)
{
    if (reactor->in_turn || reactor->announced_work || reactor->hook == NULL)
        return;
    reactor->announced_work = true;
    reactor->hook(reactor->hook_user);
}

static inline void fa__announce_deadline(struct fa_reactor *reactor)
{
    if (reactor->in_turn || reactor->announced_deadline || reactor->hook == NULL)
        return;
    reactor->announced_deadline = true;
    reactor->hook(reactor->hook_user);
}

/* ---- the ready queue ---------------------------------------------------------------- */

static inline void fa__ready_push(struct fa_reactor *reactor, struct fa_ready *ready,
                                  enum fa__ready_kind kind, enum fa_priority priority)
{
    ready->kind = (uint8_t)kind;
    ready->turn = reactor->turn;
    fa_list_push_back(&reactor->ready[priority], &ready->link);
    if (reactor->ready_count++ == 0)
        fa__announce_work(reactor);
}

/* In front of everything, and into the dispatch under way: as if it had been queued before. */
static inline void fa__ready_push_now(struct fa_reactor *reactor, struct fa_ready *ready,
                                      enum fa__ready_kind kind)
{
    ready->kind = (uint8_t)kind;
    ready->turn = reactor->turn - 1;
    fa_list_push_front(&reactor->ready[FA_PRIORITY_HIGH], &ready->link);
    if (reactor->ready_count++ == 0)
        fa__announce_work(reactor);
}

/* Off whichever list it is on; harmless when on none. */
static inline void fa__ready_unlink(struct fa_reactor *reactor, struct fa_ready *ready)
{
    if (ready->kind == FA__READY_NONE)
        return;
    if (ready->kind != FA__READY_TURN_END)
        reactor->ready_count--;
    ready->kind = FA__READY_NONE;
    fa_list_unlink(&ready->link);
}

/* ---- steps of collect --------------------------------------------------------------- */

/* Delivers one event of the poller: to the ready queue, or at once to an IMMEDIATE watcher. */
void fa__watchers_collect(struct fa_reactor *reactor, struct fa__event event);

/* Moves due timers to the ready queue. */
void fa__timers_collect(struct fa_reactor *reactor, uint64_t now_ns);

#endif
