/* SPDX-License-Identifier: MIT */
/* reactor.c - life cycle and turn of the reactor (see reactor.h). One owner thread.
 *
 *   between turns -> wait -> (events in the poller) -> collect -> in turn -> dispatch,
 *   or dispatch_one ... end_turn -> between turns
 *
 * The ready queue is one list per priority. Each node carries the number of the turn in
 * which it was queued; a dispatch raises the number and runs only nodes of earlier turns,
 * so what callbacks post waits for the next dispatch, and the kernel is asked in between.
 *
 * The clock is read at collect (timers, now) and at the end of the turn (lag). A wait that
 * may sleep reads it again if there are timers, and the kernel prepares a timer of its own
 * even if an event is there already: together a quarter of a microsecond. So while waits
 * find their events at once, the kernel is first asked without a time limit. */
#include "loop/reactor_int.h"

#include <time.h>

#include <fasterapi/alloc.h>

#define DEFAULT_MAX_EVENTS 256
#define MAX_MAX_EVENTS 65536
#define LOW_EVERY 16  /* dispatch_one: callbacks per one of low priority */
#define BUSY_NS 2000  /* a wait that took less has not slept */
#define SPIN_STEPS 64 /* a fruitless spin is cut down to this part of spin_ns at the least */

uint64_t fa_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- life cycle --------------------------------------------------------------------- */

static int open_kernel_objects(struct fa_reactor *reactor, unsigned max_events)
{
    int err = fa__mailbox_init(&reactor->mailbox);
    if (err < 0)
        return err;
    err = fa__poller_init(&reactor->poller, max_events);
    if (err < 0)
        goto close_mailbox;
    err = fa__poller_add_wakeup(&reactor->poller, reactor->mailbox.fd);
    if (err < 0)
        goto close_poller;
    return 0;
close_poller:
    fa__poller_clean_up(&reactor->poller);
close_mailbox:
    fa__mailbox_clean_up(&reactor->mailbox);
    return err;
}

int fa_reactor_new(struct fa_reactor **out, const struct fa_reactor_options *options)
{
    struct fa_reactor_options chosen = {.size = sizeof(chosen)};
    if (options != NULL) {
        if (options->size != sizeof(chosen) || options->max_events > MAX_MAX_EVENTS)
            return FA_EINVAL;
        chosen = *options;
    }
    if (chosen.max_events == 0)
        chosen.max_events = DEFAULT_MAX_EVENTS;
    struct fa_reactor *reactor = fa_calloc(1, sizeof(*reactor));
    if (reactor == NULL)
        return FA_ENOMEM;
    int err = open_kernel_objects(reactor, chosen.max_events);
    if (err < 0) {
        fa_free(reactor);
        return err;
    }
    for (size_t i = 0; i < FA__PRIORITIES; i++)
        fa_list_init(&reactor->ready[i]);
    fa_list_init(&reactor->turn_end);
    fa__signals_init(&reactor->signals);
    fa__futures_init(&reactor->futures);
    reactor->owner = pthread_self();
    reactor->spin_ns = chosen.spin_ns;
    reactor->spin_next_ns = chosen.spin_ns;
    reactor->now_ns = fa_now_ns();
    *out = reactor;
    return 0;
}

void fa_reactor_set_spin(struct fa_reactor *reactor, uint64_t spin_ns)
{
    reactor->spin_ns = spin_ns;
    reactor->spin_next_ns = spin_ns;
}

static void forget_list(struct fa_list *list)
{
    struct fa_list *link;
    while ((link = fa_list_pop_front(list)) != NULL) {
        struct fa_ready *ready = FA_CONTAINER_OF(link, struct fa_ready, link);
        if (ready->kind == FA__READY_TIMER)
            FA_CONTAINER_OF(ready, struct fa_timer, ready)->reactor = NULL;
        else if (ready->kind != FA__READY_IO)
            FA_CONTAINER_OF(ready, struct fa_task, ready)->reactor = NULL;
        ready->kind = FA__READY_NONE;
    }
}

static void forget_mail(struct fa__mailbox *mailbox)
{
    struct fa_task *task = fa__mailbox_take(mailbox);
    while (task != NULL) {
        struct fa_task *next = task->mail_next;
        task->mail_next = NULL;
        task = next;
    }
}

void fa_reactor_destroy(struct fa_reactor *reactor)
{
    if (reactor == NULL)
        return;
    fa_reactor_adopt(reactor); /* the last user may be another thread than the first */
    fa__signals_clean_up(reactor);
    for (size_t i = 0; i < FA__PRIORITIES; i++)
        forget_list(&reactor->ready[i]);
    forget_list(&reactor->turn_end);
    forget_mail(&reactor->mailbox);
    fa__futures_clean_up(&reactor->futures);
    fa__timers_clean_up(&reactor->timers);
    fa__watchers_clean_up(&reactor->watchers);
    fa__poller_clean_up(&reactor->poller);
    fa__mailbox_clean_up(&reactor->mailbox);
    fa_free(reactor);
}

void fa_reactor_adopt(struct fa_reactor *reactor)
{
    reactor->owner = pthread_self();
}

void fa_reactor_after_fork(struct fa_reactor *reactor)
{
    fa_reactor_adopt(reactor);
    fa__poller_close(&reactor->poller);
    fa__mailbox_clean_up(&reactor->mailbox);
    fa__signals_close(&reactor->signals);
    reactor->collectable = 0;
}

/* ---- wait --------------------------------------------------------------------------- */

/* How long a wait may take, by the work, the timers and the caller. `*now_ns` is the clock
 * where it had to be read, else 0. */
static int64_t sleep_limit_ns(const struct fa_reactor *reactor, int64_t timeout_ns,
                              uint64_t *now_ns)
{
    if (timeout_ns == 0 || fa_reactor_has_ready(reactor))
        return 0;
    uint64_t first_ns = fa__timers_first_ns(&reactor->timers);
    if (first_ns == UINT64_MAX)
        return timeout_ns;
    *now_ns = fa_now_ns();
    if (first_ns <= *now_ns)
        return 0;
    uint64_t left_ns = first_ns - *now_ns;
    if (left_ns > INT64_MAX)
        left_ns = INT64_MAX;
    if (timeout_ns < 0 || left_ns < (uint64_t)timeout_ns)
        return (int64_t)left_ns;
    return timeout_ns;
}

/* Polls without sleeping, then sleeps for what is left. A spin that finds nothing halves
 * the next one: an idle reactor costs next to nothing. A sleep that turned out shorter than
 * a full spin restores it. */
static int spin_then_sleep(struct fa_reactor *reactor, int64_t limit_ns, uint64_t now_ns)
{
    uint64_t start_ns = now_ns != 0 ? now_ns : fa_now_ns();
    uint64_t spin_ns = reactor->spin_next_ns;
    if (limit_ns >= 0 && spin_ns > (uint64_t)limit_ns)
        spin_ns = (uint64_t)limit_ns;
    uint64_t passed_ns;
    do {
        int count = fa__poller_wait(&reactor->poller, 0);
        if (count != 0)
            return count;
        passed_ns = fa_now_ns() - start_ns;
    } while (passed_ns < spin_ns);
    if (limit_ns >= 0) {
        if (passed_ns >= (uint64_t)limit_ns)
            return 0;
        limit_ns -= (int64_t)passed_ns;
    }
    int count = fa__poller_wait(&reactor->poller, limit_ns);
    uint64_t slept_ns = fa_now_ns() - start_ns - passed_ns;
    if (slept_ns < reactor->spin_ns)
        reactor->spin_next_ns = reactor->spin_ns;
    else if (reactor->spin_next_ns > reactor->spin_ns / SPIN_STEPS)
        reactor->spin_next_ns /= 2;
    return count;
}

static int wait_with_limit(struct fa_reactor *reactor, int64_t timeout_ns)
{
    reactor->busy = false;
    uint64_t now_ns = 0;
    int64_t limit_ns = sleep_limit_ns(reactor, timeout_ns, &now_ns);
    reactor->asked_ns = now_ns;
    if (FA_UNLIKELY(reactor->spin_ns != 0 && limit_ns != 0))
        return spin_then_sleep(reactor, limit_ns, now_ns);
    return fa__poller_wait(&reactor->poller, limit_ns);
}

int fa_reactor_wait(struct fa_reactor *reactor, int64_t timeout_ns)
{
    if (FA_UNLIKELY(!fa__on_owner(reactor)))
        return FA_EWRONGTHREAD;
    /* Asking again would overwrite them, and a wake-up is reported only once. */
    if (FA_UNLIKELY(reactor->collectable != 0))
        return reactor->collectable;
    int count = reactor->busy && timeout_ns != 0 ? fa__poller_wait(&reactor->poller, 0) : 0;
    if (count == 0)
        count = wait_with_limit(reactor, timeout_ns);
    reactor->stats.polls++;
    if (FA_LIKELY(count > 0))
        reactor->collectable = count;
    return count;
}

/* ---- collect ------------------------------------------------------------------------ */

static void collect_mail(struct fa_reactor *reactor)
{
    struct fa_task *task = fa__mailbox_take(&reactor->mailbox);
    while (task != NULL) {
        struct fa_task *next = task->mail_next;
        task->mail_next = NULL;
        task->reactor = reactor;
        reactor->stats.mailbox++;
        fa__ready_push(reactor, &task->ready, FA__READY_TASK, FA_PRIORITY_NORMAL);
        task = next;
    }
}

void fa_reactor_collect(struct fa_reactor *reactor)
{
    FA_ASSERT(fa__on_owner(reactor));
    reactor->in_turn = true;
    reactor->announced_work = false;
    reactor->announced_deadline = false;
    reactor->now_ns = fa_now_ns();
    int count = reactor->collectable;
    reactor->collectable = 0;
    if (reactor->asked_ns != 0)
        reactor->busy = count > 0 && reactor->now_ns - reactor->asked_ns < BUSY_NS;
    reactor->asked_ns = 0;
    for (int i = 0; i < count; i++) {
        struct fa__event event = fa__poller_event(&reactor->poller, i);
        if (FA_UNLIKELY(event.fd == FA__POLLER_WAKEUP_FD))
            collect_mail(reactor);
        else
            fa__watchers_collect(reactor, event);
    }
    fa__timers_collect(reactor, reactor->now_ns);
    reactor->turn++;
}

/* ---- dispatch ----------------------------------------------------------------------- */

/* The first node of `priority` that was queued before this turn's number was raised. */
static struct fa_ready *peek(const struct fa_reactor *reactor, enum fa_priority priority)
{
    const struct fa_list *head = &reactor->ready[priority];
    if (fa_list_empty(head))
        return NULL;
    struct fa_ready *ready = FA_CONTAINER_OF(head->next, struct fa_ready, link);
    return ready->turn != reactor->turn ? ready : NULL;
}

/* The next node to run; one of low priority first if `low_first`. NULL when none is left. */
static struct fa_ready *next_ready(struct fa_reactor *reactor, bool low_first)
{
    struct fa_ready *low = peek(reactor, FA_PRIORITY_LOW);
    if (FA_UNLIKELY(low != NULL)) {
        reactor->since_low++;
        if (low_first)
            goto run_low;
    }
    struct fa_ready *ready = peek(reactor, FA_PRIORITY_HIGH);
    if (ready == NULL)
        ready = peek(reactor, FA_PRIORITY_NORMAL);
    if (ready != NULL)
        return ready;
run_low:
    reactor->since_low = 0;
    return low;
}

/* Every structure is left consistent before the callback, and not touched after it: the
 * callback may free what it was called for. */
static void run_ready(struct fa_reactor *reactor, struct fa_ready *ready)
{
    enum fa__ready_kind kind = ready->kind;
    fa__ready_unlink(reactor, ready);
    if (kind == FA__READY_IO) {
        struct fa_io *io = FA_CONTAINER_OF(ready, struct fa_io, ready);
        unsigned events = io->pending;
        io->pending = 0;
        reactor->stats.io_events++;
        io->callback(io, events);
    } else if (kind == FA__READY_TIMER) {
        struct fa_timer *timer = FA_CONTAINER_OF(ready, struct fa_timer, ready);
        timer->reactor = NULL;
        reactor->stats.timers++;
        timer->callback(timer);
    } else {
        struct fa_task *task = FA_CONTAINER_OF(ready, struct fa_task, ready);
        task->reactor = NULL;
        reactor->stats.tasks++;
        task->callback(task);
    }
}

bool fa_reactor_dispatch_one(struct fa_reactor *reactor)
{
    FA_ASSERT(fa__on_owner(reactor));
    struct fa_ready *ready = next_ready(reactor, reactor->since_low >= LOW_EVERY - 1);
    if (ready == NULL)
        return false;
    run_ready(reactor, ready);
    return true;
}

size_t fa_reactor_dispatch(struct fa_reactor *reactor, size_t max)
{
    FA_ASSERT(fa__on_owner(reactor));
    reactor->in_turn = true;
    reactor->turn++;
    size_t budget = max != 0 ? max : SIZE_MAX;
    /* The last callback of a bounded dispatch is of low priority if none was before. A
     * dispatch of one callback has only last ones: there low priority runs every other time. */
    bool low_ran = max == 1 && reactor->since_low == 0;
    for (; budget > 0; budget--) {
        struct fa_ready *ready = next_ready(reactor, budget == 1 && !low_ran);
        if (ready == NULL)
            break;
        low_ran = low_ran || (reactor->since_low == 0 && max != 1);
        run_ready(reactor, ready);
    }
    fa_reactor_end_turn(reactor);
    return reactor->ready_count;
}

static void run_turn_end_tasks(struct fa_reactor *reactor)
{
    struct fa_list batch;
    fa_list_init(&batch);
    fa_list_splice_back(&batch, &reactor->turn_end);
    while (!fa_list_empty(&batch)) {
        struct fa_ready *ready = FA_CONTAINER_OF(batch.next, struct fa_ready, link);
        run_ready(reactor, ready);
    }
}

void fa_reactor_end_turn(struct fa_reactor *reactor)
{
    FA_ASSERT(fa__on_owner(reactor));
    if (!fa_list_empty(&reactor->turn_end))
        run_turn_end_tasks(reactor);
    reactor->in_turn = false;
    struct fa_reactor_stats *stats = &reactor->stats;
    stats->lag_ns = fa_now_ns() - reactor->now_ns;
    if (stats->lag_ns > stats->lag_max_ns)
        stats->lag_max_ns = stats->lag_ns;
}

int fa_reactor_run(struct fa_reactor *reactor)
{
    if (!fa__on_owner(reactor))
        return FA_EWRONGTHREAD;
    /* The wake-up of a stop may have been consumed by a turn made by hand before. */
    bool stopping = fa__mailbox_take_stop(&reactor->mailbox);
    do {
        int count = fa_reactor_wait(reactor, stopping ? 0 : -1);
        if (count < 0)
            return count;
        fa_reactor_collect(reactor);
        fa_reactor_dispatch(reactor, 0);
    } while (!stopping && !fa__mailbox_take_stop(&reactor->mailbox));
    return 0;
}

void fa_reactor_stop(struct fa_reactor *reactor)
{
    fa__mailbox_request_stop(&reactor->mailbox);
}

/* ---- tasks -------------------------------------------------------------------------- */

void fa_task_post(struct fa_reactor *reactor, struct fa_task *task, enum fa_priority priority)
{
    FA_ASSERT(fa__on_owner(reactor));
    if (task->ready.kind != FA__READY_NONE)
        return;
    task->reactor = reactor;
    fa__ready_push(reactor, &task->ready, FA__READY_TASK, priority);
}

void fa_task_cancel(struct fa_task *task)
{
    if (task->ready.kind == FA__READY_NONE)
        return;
    struct fa_reactor *reactor = task->reactor;
    FA_ASSERT(fa__on_owner(reactor));
    fa__ready_unlink(reactor, &task->ready);
    task->reactor = NULL;
}

void fa_task_mail(struct fa_reactor *reactor, struct fa_task *task)
{
    FA_ASSERT(task->ready.kind == FA__READY_NONE);
    fa__mailbox_send(&reactor->mailbox, task);
}

void fa_reactor_at_turn_end(struct fa_reactor *reactor, struct fa_task *task)
{
    FA_ASSERT(fa__on_owner(reactor));
    if (task->ready.kind != FA__READY_NONE)
        return;
    bool was_empty = fa_list_empty(&reactor->turn_end);
    task->reactor = reactor;
    task->ready.kind = FA__READY_TURN_END;
    fa_list_push_back(&reactor->turn_end, &task->ready.link);
    if (was_empty)
        fa__announce_work(reactor);
}

/* ---- looking on --------------------------------------------------------------------- */

bool fa_reactor_has_ready(const struct fa_reactor *reactor)
{
    return reactor->ready_count != 0 || !fa_list_empty(&reactor->turn_end);
}

uint64_t fa_reactor_next_deadline_ns(const struct fa_reactor *reactor)
{
    return fa__timers_first_ns(&reactor->timers);
}

uint64_t fa_reactor_now_ns(const struct fa_reactor *reactor)
{
    return reactor->now_ns;
}

int fa_reactor_fd(const struct fa_reactor *reactor)
{
    return reactor->poller.fd;
}

void fa_reactor_set_wake_hook(struct fa_reactor *reactor, fa_reactor_wake_fn *hook, void *user)
{
    FA_ASSERT(fa__on_owner(reactor));
    reactor->hook = hook;
    reactor->hook_user = user;
}

void fa_reactor_get_stats(const struct fa_reactor *reactor, struct fa_reactor_stats *out)
{
    *out = reactor->stats;
}

bool fa_reactor_on_owner(const struct fa_reactor *reactor)
{
    return fa__on_owner(reactor);
}
