/* SPDX-License-Identifier: MIT */
/* future.c - the future and its chains (see future.h). On the reactor's thread; owns nothing
 * but the queue of continuations that hangs on the reactor.
 *
 *   NONE -> PENDING -> READY -> (callback, if there is one) -> TAKEN -> NONE
 *              |          ^
 *              +-- DUE ---+   its source was cleaned up: the step runs from the queue
 *
 * A chain is a list in both directions: `source` up, `callback_user` down (then flagged
 * INTERNAL). Either end may go first, so each can be cut from both sides.
 *
 * Nothing recurses over a chain. Completion goes down through the queue, one future at a
 * time; cancellation goes up through a list of doomed futures. Both use `link`: a future that
 * waits to be cancelled is pending, one in the queue is not (but for DUE, which leaves the
 * queue first). */
#include "loop/future_int.h"

#include <fasterapi/alloc.h>

#include "loop/reactor_int.h"

/* ---- the queue ------------------------------------------------------------------------- */

static void run(struct fa_future *future);

/* The task that runs the queue goes to the front, into the dispatch under way. What is left
 * when its share is used up waits as any task does. */
static void drain(struct fa_task *task)
{
    struct fa__futures *futures = FA_CONTAINER_OF(task, struct fa__futures, drain);
    struct fa_reactor *reactor = FA_CONTAINER_OF(futures, struct fa_reactor, futures);
    for (unsigned left = FA_FUTURES_PER_TURN; left > 0; left--) {
        struct fa_list *link = fa_list_pop_front(&futures->queue);
        if (link == NULL)
            break;
        struct fa_future *future = FA_CONTAINER_OF(link, struct fa_future, link);
        future->flags &= (uint8_t)~FA__FUTURE_LINKED;
        run(future);
    }
    fa__ready_unlink(reactor, &task->ready); /* posted again by what was queued meanwhile */
    if (!fa_list_empty(&futures->queue))
        fa_task_post(reactor, task, FA_PRIORITY_HIGH);
}

void fa__futures_init(struct fa__futures *futures)
{
    fa_list_init(&futures->queue);
    futures->drain.callback = drain;
}

void fa__futures_clean_up(struct fa__futures *futures)
{
    struct fa_list *link;
    while ((link = fa_list_pop_front(&futures->queue)) != NULL)
        FA_CONTAINER_OF(link, struct fa_future, link)->flags &= (uint8_t)~FA__FUTURE_LINKED;
}

static void enqueue(struct fa_future *future)
{
    struct fa_reactor *reactor = future->reactor;
    FA_ASSERT(reactor != NULL);
    struct fa__futures *futures = &reactor->futures;
    future->flags |= FA__FUTURE_LINKED;
    fa_list_push_back(&futures->queue, &future->link);
    if (futures->drain.ready.kind == FA__READY_NONE) {
        futures->drain.reactor = reactor;
        fa__ready_push_now(reactor, &futures->drain.ready, FA__READY_TASK);
    }
}

void fa__future_unlink(struct fa_future *future)
{
    if ((future->flags & FA__FUTURE_LINKED) == 0)
        return;
    future->flags &= (uint8_t)~FA__FUTURE_LINKED;
    fa_list_unlink(&future->link);
}

/* ---- the steps ------------------------------------------------------------------------- */

static bool on_owner(const struct fa_future *future)
{
    return future->reactor == NULL || fa__on_owner(future->reactor);
}

void fa__future_assert_open(const struct fa_future *future)
{
    FA_ASSERT(on_owner(future));
    FA_ASSERT(future->state == FA_FUTURE_PENDING && future->input == FA__INPUT_NONE);
}

void fa__future_settle(struct fa_future *future, int error, struct fa_value value)
{
    future->state = FA_FUTURE_READY;
    future->error = error;
    future->value = value;
    if (future->callback != NULL)
        enqueue(future);
}

struct fa_value fa__future_move(struct fa_future *future)
{
    future->state = FA_FUTURE_TAKEN;
    struct fa_value value = future->value;
    future->value = fa_value_none();
    return value;
}

void fa__future_attach(struct fa_future *future, fa_future_fn *callback, void *user)
{
    FA_ASSERT(on_owner(future));
    FA_ASSERT(future->state == FA_FUTURE_READY ||
              (future->state == FA_FUTURE_PENDING && future->reactor != NULL));
    FA_ASSERT(future->callback == NULL);
    future->callback = callback;
    future->callback_user = user;
    future->flags |= FA__FUTURE_INTERNAL;
}

/* Clears the continuation and calls it, which may free the future: not touched after. */
static inline void call(struct fa_future *future)
{
    fa_future_fn *callback = future->callback;
    future->callback = NULL;
    future->flags &= (uint8_t)~FA__FUTURE_INTERNAL;
    callback(future, future->callback_user);
}

/* Gives the outcome of its source to `result`, which waits for nothing any more. */
static void step(struct fa_future *result, int error, struct fa_value value)
{
    uint8_t input = result->input;
    result->input = FA__INPUT_NONE;
    if (input == FA__INPUT_THEN && error == 0)
        result->on_value(result, value, result->input_user);
    else if (input == FA__INPUT_ERROR && error != 0)
        result->on_error(result, error, value, result->input_user);
    else
        fa__future_settle(result, error, value);
}

/* From the queue. */
static void run(struct fa_future *future)
{
    if (FA_LIKELY((future->flags & FA__FUTURE_DUE) == 0)) {
        call(future);
        return;
    }
    future->flags &= (uint8_t)~FA__FUTURE_DUE;
    struct fa_value value = future->value;
    future->value = fa_value_none();
    step(future, future->error, value);
}

/* The continuation of a source. If the source is being cleaned up its outcome moves over, and
 * the step waits in the queue: user code must not run inside that call. */
static void on_source(struct fa_future *source, void *user)
{
    struct fa_future *result = user;
    bool dying = (source->flags & FA__FUTURE_DYING) != 0;
    int error = source->error;
    result->source = NULL;
    struct fa_value value = fa__future_move(source);
    if (FA_LIKELY(!dying)) {
        step(result, error, value);
        return;
    }
    result->error = error;
    result->value = value;
    result->flags |= FA__FUTURE_DUE;
    enqueue(result);
}

/* A continuation on a complete future runs at once, if the stack allows. */
static void run_if_ready(struct fa_future *future)
{
    if (future->state != FA_FUTURE_READY)
        return;
    struct fa_reactor *reactor = future->reactor;
    if (reactor == NULL) {
        call(future);
    } else if (reactor->futures.nesting >= FA_FUTURE_NESTING) {
        enqueue(future);
    } else {
        reactor->futures.nesting++;
        call(future);
        reactor->futures.nesting--;
    }
}

/* ---- cutting chains --------------------------------------------------------------------- */

static void doom(struct fa_future *future, struct fa_list *doomed)
{
    if ((future->flags & FA__FUTURE_DUE) != 0)
        fa__future_unlink(future); /* from the queue */
    if ((future->flags & FA__FUTURE_LINKED) != 0)
        return; /* on such a list already */
    future->flags |= FA__FUTURE_LINKED;
    fa_list_push_back(doomed, &future->link);
}

void fa__future_detach(struct fa_future *future, struct fa_list *doomed)
{
    future->callback = NULL;
    future->flags &= (uint8_t)~(FA__FUTURE_INTERNAL | FA__FUTURE_COUNTED);
    if (future->state != FA_FUTURE_PENDING)
        fa__future_unlink(future);
    else if (doomed != NULL)
        doom(future, doomed);
}

/* Lets go of whatever would have completed a pending future, which is on no list after it.
 * Runs no user code but the drop of a value that was on its way. */
static void release_input(struct fa_future *future, struct fa_list *doomed)
{
    uint8_t input = future->input;
    future->input = FA__INPUT_NONE;
    fa__future_unlink(future);
    if (input == FA__INPUT_RELEASE) {
        future->release(future->input_user, doomed);
    } else if (future->source != NULL) {
        struct fa_future *source = future->source;
        future->source = NULL;
        fa__future_detach(source, doomed);
    } else if ((future->flags & FA__FUTURE_DUE) != 0) {
        future->flags &= (uint8_t)~FA__FUTURE_DUE;
        struct fa_value value = future->value;
        future->value = fa_value_none();
        fa_value_drop(value);
    }
}

/* A hook may clean up or complete any future, those on the list included: they leave it. */
void fa__futures_cancel(struct fa_list *doomed)
{
    struct fa_list *link;
    while ((link = fa_list_pop_front(doomed)) != NULL) {
        struct fa_future *future = FA_CONTAINER_OF(link, struct fa_future, link);
        bool hooked = future->input == FA__INPUT_HOOK;
        fa_future_cancel_fn *hook = hooked ? future->on_cancel : NULL;
        void *user = future->input_user;
        future->flags &= (uint8_t)~FA__FUTURE_LINKED;
        release_input(future, doomed);
        fa__future_settle(future, FA_ECANCELLED, fa_value_none());
        if (hooked)
            hook(future, user);
    }
}

/* ---- life ------------------------------------------------------------------------------- */

/* A pending future that is going away counts as failed from here on. */
static void abandon(struct fa_future *future)
{
    bool hooked = future->input == FA__INPUT_HOOK;
    release_input(future, NULL);
    future->state = FA_FUTURE_READY;
    future->error = FA_EABANDONED;
    if (hooked)
        future->on_cancel(future, future->input_user);
}

void fa_future_clean_up(struct fa_future *future)
{
    bool pending = future->state == FA_FUTURE_PENDING;
    if (future->state == FA_FUTURE_NONE)
        return;
    FA_ASSERT((!pending && future->callback == NULL) || on_owner(future));
    if (pending)
        abandon(future);
    fa__future_unlink(future);
    future->flags |= FA__FUTURE_DYING;
    if (future->callback != NULL && (future->flags & FA__FUTURE_INTERNAL) != 0)
        call(future);
    struct fa_value value = fa__future_move(future);
    future->callback = NULL;
    future->state = FA_FUTURE_NONE;
    fa_value_drop(value);
}

int fa_future_new(struct fa_future **out, struct fa_reactor *reactor)
{
    struct fa_future *future = fa_malloc(sizeof(*future));
    if (future == NULL)
        return FA_ENOMEM;
    fa_future_init(future, reactor);
    *out = future;
    return 0;
}

void fa_future_destroy(struct fa_future *future)
{
    if (future == NULL)
        return;
    fa_future_clean_up(future);
    fa_free(future);
}

/* ---- the producer's side ------------------------------------------------------------------ */

static bool complete(struct fa_future *future, int error, struct fa_value value)
{
    FA_ASSERT(on_owner(future));
    if (FA_UNLIKELY(future->state != FA_FUTURE_PENDING)) {
        FA_ASSERT(future->state != FA_FUTURE_NONE);
        fa_value_drop(value);
        return false;
    }
    if (FA_UNLIKELY(future->input != FA__INPUT_NONE || (future->flags & FA__FUTURE_LINKED) != 0))
        release_input(future, NULL);
    fa__future_settle(future, error, value);
    return true;
}

bool fa_future_resolve(struct fa_future *future, struct fa_value value)
{
    return complete(future, 0, value);
}

bool fa_future_fail(struct fa_future *future, int error)
{
    return fa_future_fail_with(future, error, fa_value_none());
}

bool fa_future_fail_with(struct fa_future *future, int error, struct fa_value detail)
{
    FA_ASSERT(error < 0);
    return complete(future, error, detail);
}

void fa_future_on_cancel(struct fa_future *future, fa_future_cancel_fn *hook, void *user)
{
    FA_ASSERT(on_owner(future));
    if (fa_future_is_ready(future))
        return;
    fa__future_assert_open(future);
    future->input = FA__INPUT_HOOK;
    future->on_cancel = hook;
    future->input_user = user;
}

/* ---- the consumer's side ------------------------------------------------------------------ */

struct fa_value fa_future_take(struct fa_future *future)
{
    FA_ASSERT(on_owner(future));
    FA_ASSERT(future->state == FA_FUTURE_READY);
    /* What is on its way to a continuation is not there for the taking. */
    FA_ASSERT((future->flags & (FA__FUTURE_INTERNAL | FA__FUTURE_COUNTED)) != FA__FUTURE_INTERNAL);
    return fa__future_move(future);
}

struct fa_value fa_future_peek(const struct fa_future *future)
{
    FA_ASSERT(on_owner(future));
    FA_ASSERT(future->state == FA_FUTURE_READY);
    return future->value;
}

void fa_future_on_ready(struct fa_future *future, fa_future_fn *callback, void *user)
{
    fa__future_attach(future, callback, user);
    future->flags &= (uint8_t)~FA__FUTURE_INTERNAL;
    run_if_ready(future);
}

void fa_future_forget(struct fa_future *future)
{
    FA_ASSERT(on_owner(future));
    if (future->callback != NULL && (future->flags & FA__FUTURE_INTERNAL) == 0)
        fa__future_detach(future, NULL);
}

/* `result`, whose on_value or on_error is set, waits for `source`. */
static void connect(struct fa_future *source, struct fa_future *result, enum fa__future_input input)
{
    FA_ASSERT(source != result);
    FA_ASSERT(source->reactor == result->reactor || fa_future_is_ready(source));
    result->input = (uint8_t)input;
    result->source = source;
    fa__future_attach(source, on_source, result);
    run_if_ready(source);
}

void fa_future_follow(struct fa_future *future, struct fa_future *inner)
{
    fa__future_assert_open(future);
    connect(inner, future, FA__INPUT_FOLLOW);
}

void fa_future_then(struct fa_future *source, struct fa_future *result, fa_future_then_fn *callback,
                    void *user)
{
    fa__future_assert_open(result);
    result->on_value = callback;
    result->input_user = user;
    connect(source, result, FA__INPUT_THEN);
}

void fa_future_handle_error(struct fa_future *source, struct fa_future *result,
                            fa_future_error_fn *callback, void *user)
{
    fa__future_assert_open(result);
    result->on_error = callback;
    result->input_user = user;
    connect(source, result, FA__INPUT_ERROR);
}

bool fa_future_cancel(struct fa_future *future)
{
    FA_ASSERT(on_owner(future));
    if (future->state != FA_FUTURE_PENDING)
        return false;
    struct fa_list doomed;
    fa_list_init(&doomed);
    fa__future_unlink(future); /* from the list of a cancellation that is under way */
    doom(future, &doomed);
    fa__futures_cancel(&doomed);
    return true;
}
