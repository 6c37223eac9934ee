/* SPDX-License-Identifier: MIT */
/* future_when.c - one future out of many (see future.h). On the reactor's thread; its state
 * lies in the caller's struct fa_when.
 *
 *   open: every future of the array has on_child as its continuation; the outcome of those
 *         that are COUNTED has been seen, and those that won are on `winners`, by link
 *   closed: none of them points here any more, the result is complete or gone
 *
 * A future gets its continuation back after it was counted, so that its cleaning up is noticed
 * until the end. One pass over the array opens, one closes: linear whatever happens. */
#include "loop/future_int.h"

static void on_child(struct fa_future *child, void *user);

static bool waits_for(const struct fa_when *when, const struct fa_future *child)
{
    return child != NULL && child->callback == on_child && child->callback_user == when;
}

/* ---- closing ----------------------------------------------------------------------------- */

/* The winners to the front of the array. */
static void sort_winners(struct fa_when *when)
{
    size_t at = when->count;
    size_t first = 0;
    struct fa_list *head = when->winners.next;
    for (size_t i = when->count; i > 0; i--) {
        struct fa_future *child = when->futures[i - 1];
        bool won = child != NULL && (child->flags & FA__FUTURE_COUNTED) != 0 && child->error == 0;
        if (!won)
            when->futures[--at] = child;
        else if (&child->link == head)
            first = i - 1;
    }
    when->first = first;
    at = 0;
    for (struct fa_list *link = head; link != &when->winners; link = link->next)
        when->futures[at++] = FA_CONTAINER_OF(link, struct fa_future, link);
}

/* Lets go of every future; pending ones go to `doomed` unless that is NULL. */
static void release(void *user, struct fa_list *doomed)
{
    struct fa_when *when = user;
    for (size_t i = 0; i < when->count; i++) {
        struct fa_future *child = when->futures[i];
        if (waits_for(when, child))
            fa__future_detach(child, doomed);
    }
}

/* Closes and completes the result. Cancel hooks come last: they may free all of it. */
static void finish(struct fa_when *when, int error, struct fa_value value)
{
    struct fa_future *result = when->result;
    struct fa_list doomed;
    fa_list_init(&doomed);
    release(when, when->options.cancel_rest ? &doomed : NULL);
    result->input = FA__INPUT_NONE;
    fa__future_settle(result, error, value);
    fa__futures_cancel(&doomed);
}

static void finish_well(struct fa_when *when)
{
    if (!when->in_place)
        sort_winners(when);
    finish(when, 0, fa_value_ptr(when->futures, NULL));
}

/* ---- counting ---------------------------------------------------------------------------- */

static bool is_complete(const struct fa_when *when)
{
    if (when->settle)
        return when->resolved + when->failed == when->count;
    return when->resolved == when->wanted;
}

/* Whether a failure that has been counted decides the outcome. */
static bool is_lost(const struct fa_when *when)
{
    if (when->settle)
        return false;
    return !when->options.skip_failures || when->count - when->failed < when->wanted;
}

/* Counts a future that is complete. Returns false when that closed the combination. */
static bool count_child(struct fa_when *when, struct fa_future *child)
{
    child->flags |= FA__FUTURE_COUNTED;
    if (child->error == 0) {
        when->resolved++;
        if (!when->in_place) {
            child->flags |= FA__FUTURE_LINKED;
            fa_list_push_back(&when->winners, &child->link);
        }
    } else {
        when->failed++;
        if (is_lost(when)) {
            finish(when, child->error, fa__future_move(child));
            return false;
        }
    }
    if (!is_complete(when))
        return true;
    finish_well(when);
    return false;
}

/* A future of the array is being cleaned up: what it had, or would have had, is lost. */
static void lose_child(struct fa_when *when, struct fa_future *child)
{
    for (size_t i = 0; i < when->count; i++) {
        if (when->futures[i] == child)
            when->futures[i] = NULL;
    }
    bool counted = (child->flags & FA__FUTURE_COUNTED) != 0;
    if (counted && child->error < 0)
        return;
    if (counted)
        when->resolved--;
    when->failed++;
    int error = child->error < 0 ? child->error : FA_EABANDONED;
    if (is_lost(when))
        finish(when, error, child->error < 0 ? fa__future_move(child) : fa_value_none());
    else if (is_complete(when))
        finish_well(when);
}

static void on_child(struct fa_future *child, void *user)
{
    struct fa_when *when = user;
    if ((child->flags & FA__FUTURE_DYING) != 0) {
        lose_child(when, child);
        return;
    }
    fa__future_attach(child, on_child, when);
    (void)count_child(when, child);
}

/* ---- opening ----------------------------------------------------------------------------- */

static void open_all(struct fa_when *when)
{
    for (size_t i = 0; i < when->count; i++) {
        struct fa_future *child = when->futures[i];
        FA_ASSERT(child != when->result);
        FA_ASSERT(child->reactor == when->result->reactor || fa_future_is_ready(child));
        fa__future_attach(child, on_child, when);
    }
    /* In a pass of its own: the first of these may close it and let go of every one. */
    for (size_t i = 0; i < when->count; i++) {
        struct fa_future *child = when->futures[i];
        if (fa_future_is_ready(child) && !count_child(when, child))
            return;
    }
}

static int start(struct fa_when *when, struct fa_future *result,
                 const struct fa_when_options *options)
{
    if (options != NULL && options->size != sizeof(*options))
        return FA_EINVAL;
    if (when->wanted > when->count)
        return FA_EINVAL;
    fa__future_assert_open(result);
    if (options != NULL)
        when->options = *options;
    when->settle = when->in_place && when->options.skip_failures;
    when->result = result;
    fa_list_init(&when->winners);
    result->input = FA__INPUT_RELEASE;
    result->release = release;
    result->input_user = when;
    if (is_complete(when))
        finish_well(when);
    else
        open_all(when);
    return 0;
}

int fa_when_all(struct fa_when *when, struct fa_future *result, struct fa_future **futures,
                size_t count, const struct fa_when_options *options)
{
    *when = (struct fa_when){.futures = futures, .count = count, .wanted = count, .in_place = true};
    return start(when, result, options);
}

int fa_when_any(struct fa_when *when, struct fa_future *result, struct fa_future **futures,
                size_t count, const struct fa_when_options *options)
{
    return fa_when_some(when, result, futures, count, 1, options);
}

int fa_when_some(struct fa_when *when, struct fa_future *result, struct fa_future **futures,
                 size_t count, size_t wanted, const struct fa_when_options *options)
{
    *when = (struct fa_when){.futures = futures, .count = count, .wanted = wanted};
    return start(when, result, options);
}
