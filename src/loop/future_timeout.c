/* SPDX-License-Identifier: MIT */
/* future_timeout.c - a future with a time limit (see future.h). On the reactor's thread; its
 * state lies in the caller's struct fa_timeout.
 *
 *   waiting, timer armed -> the source was first, or the time was, or the result is gone
 *
 * Each of the three ends the other two, so none of the pointers outlives the wait. */
#include "loop/future_int.h"

/* The result needs nothing any more. */
static void release(void *user, struct fa_list *doomed)
{
    struct fa_timeout *timeout = user;
    fa_timer_cancel(&timeout->timer);
    fa__future_detach(timeout->source, doomed);
}

static void finish(struct fa_timeout *timeout, int error, struct fa_value value)
{
    struct fa_future *result = timeout->result;
    result->input = FA__INPUT_NONE;
    fa__future_settle(result, error, value);
}

static void on_source(struct fa_future *source, void *user)
{
    struct fa_timeout *timeout = user;
    fa_timer_cancel(&timeout->timer);
    finish(timeout, source->error, fa__future_move(source));
}

static void on_timer(struct fa_timer *timer)
{
    struct fa_timeout *timeout = FA_CONTAINER_OF(timer, struct fa_timeout, timer);
    /* Complete, and its continuation queued: the outcome was in time. */
    if (fa_future_is_ready(timeout->source))
        return;
    struct fa_list doomed;
    fa_list_init(&doomed);
    fa__future_detach(timeout->source, timeout->keep_source ? NULL : &doomed);
    finish(timeout, FA_ETIMEDOUT, fa_value_none());
    fa__futures_cancel(&doomed); /* hooks may free all of it */
}

int fa_future_timeout(struct fa_future *source, struct fa_future *result,
                      struct fa_timeout *timeout, uint64_t deadline_ns,
                      const struct fa_timeout_options *options)
{
    if (options != NULL && options->size != sizeof(*options))
        return FA_EINVAL;
    fa__future_assert_open(result);
    FA_ASSERT(source != result);
    if (fa_future_is_ready(source)) {
        fa_future_follow(result, source);
        return 0;
    }
    FA_ASSERT(source->reactor == result->reactor && source->reactor != NULL);
    *timeout = (struct fa_timeout){
        .source = source,
        .result = result,
        .keep_source = options != NULL && options->keep_source,
    };
    int err = fa_timer_arm(source->reactor, &timeout->timer, deadline_ns, on_timer);
    if (err < 0)
        return err;
    result->input = FA__INPUT_RELEASE;
    result->release = release;
    result->input_user = timeout;
    fa__future_attach(source, on_source, timeout);
    return 0;
}
