/* SPDX-License-Identifier: MIT */
/* future.h - a value that will be there later, its continuation, and combinations of many.
 *
 * Two sides. The consumer provides the storage, initialises it, says what to do with the
 * outcome, and cleans it up. The producer is handed a pointer, and completes the future once:
 *
 *            fa_future_resolve                     +-> resolved: error 0, a value
 *   pending -------------------- complete (ready) -+-> failed: a negative error, a detail
 *            fa_future_fail, fa_future_cancel      +-> cancelled: failed with FA_ECANCELLED
 *
 * Who completes. The producer, exactly once, and forgets the pointer with that; it may find
 * that it comes too late (the call says so), since consumers cancel. A producer that may be
 * overtaken registers fa_future_on_cancel(): the call of that hook is the last moment at
 * which the pointer is good. A producer without a hook relies on the consumer to keep the
 * storage until the future is complete. Anybody else who wants it over cancels it: only
 * that reaches the producer.
 *
 * On which thread. Everything belongs to the thread of the future's reactor, and every
 * function that completes, continues or takes asserts it. Another thread mails a task
 * (fa_task_mail) whose callback completes the future.
 *
 * When. A continuation never runs inside the call that completes its future: it runs from
 * the reactor, after the callback that completed the future has returned and before the next
 * one, in the order of completion; when nothing is being dispatched, in the next dispatch.
 * A dispatch counts a run of continuations as one callback; after FA_FUTURES_PER_TURN of them
 * the rest waits for the next dispatch, so that a chain that never ends cannot starve the
 * sockets. The one exception: on a future that is complete already a continuation runs at
 * once, inside the call that registers it; unless such calls are nested more than
 * FA_FUTURE_NESTING deep, when it is queued, so that recursion over complete futures cannot
 * exhaust the stack. Cancel hooks run inside the call that cancels or cleans up.
 *
 * How often. One continuation waits at a time, and it runs exactly once; not at all if its
 * future is cleaned up, or fa_future_forget() called, before. Inside a continuation every
 * future, its own included, may be completed, cancelled, cleaned up or freed.
 *
 * Ownership. A value is moved, never copied: into the future by resolve, out of it by
 * fa_future_take() or into the continuation of fa_future_then(). Whoever holds it last
 * owes it fa_value_drop(); a future does that for a value that nobody took, and that a late
 * resolve brought. The reactor must outlive its futures, but for those that are complete
 * and whose continuation has run.
 *
 * A future whose reactor is NULL belongs to nobody's loop: it can be completed and its
 * outcome taken or continued, but not waited for. Where an interface wants a future and the
 * answer is at hand, such a one on the stack is all it takes.
 *
 * Memory. Value and continuation lie in the future, and combinators work in the caller's
 * storage: nothing here allocates, but fa_future_new() for those who ask for it, and the
 * reactor's heap of timers as it grows (fa_future_timeout). */
#ifndef FASTERAPI_FUTURE_H
#define FASTERAPI_FUTURE_H

#include <string.h>

#include <fasterapi/error.h>
#include <fasterapi/list.h>
#include <fasterapi/reactor.h>

struct fa_future;

/* Continuations that one dispatch runs at a stretch. Arbitrary; far more than the requests of
 * a turn need, and 20 us of the library's own time (bench_future). */
#define FA_FUTURES_PER_TURN 1024

/* Continuations on complete futures nested in each other: more than code nests that is not
 * recursive, and at 1 kB a frame a small part of any thread's stack. */
#define FA_FUTURE_NESTING 32

/* ---- values -------------------------------------------------------------------------- */

typedef void fa_value_drop_fn(void *ptr);

/* What a future carries, passed by value: 16 bytes, which the ABIs of x86-64 and aarch64
 * pass in two registers. Everything wider goes behind `ptr`. The way to get rid of it
 * travels along, since who ends up with a value (a late resolve, a loser of fa_when_any) need
 * not know what it is. The error code is not in here but in the future: it is a state, and a
 * failure carries a value as well. */
struct fa_value {
    union {
        void *ptr;
        int64_t i64;
        uint64_t u64;
        double f64;
    };
    fa_value_drop_fn *drop; /* called with `ptr`; NULL: there is nothing to free */
};

static inline struct fa_value fa_value_ptr(void *ptr, fa_value_drop_fn *drop)
{
    struct fa_value value;
    value.ptr = ptr;
    value.drop = drop;
    return value;
}

static inline struct fa_value fa_value_none(void)
{
    return fa_value_ptr(NULL, NULL);
}

static inline struct fa_value fa_value_i64(int64_t number)
{
    struct fa_value value;
    value.i64 = number;
    value.drop = NULL;
    return value;
}

static inline struct fa_value fa_value_u64(uint64_t number)
{
    struct fa_value value;
    value.u64 = number;
    value.drop = NULL;
    return value;
}

static inline struct fa_value fa_value_f64(double number)
{
    struct fa_value value;
    value.f64 = number;
    value.drop = NULL;
    return value;
}

/* Gets rid of a value. A drop function may use any future but the one it was in. */
static inline void fa_value_drop(struct fa_value value)
{
    if (value.drop != NULL)
        value.drop(value.ptr);
}

/* ---- the future ------------------------------------------------------------------------ */

enum fa_future_state {
    FA_FUTURE_NONE = 0, /* not initialised, or cleaned up */
    FA_FUTURE_PENDING = 1,
    FA_FUTURE_READY = 2, /* complete, the outcome is in it */
    FA_FUTURE_TAKEN = 3, /* complete, the value was moved out; the error still tells which */
};

/* The future is complete. */
typedef void fa_future_fn(struct fa_future *future, void *user);

/* Makes `result` of a value, which it owns from here on: completes `result`, now or later,
 * or hands it on to whoever will, or lets it follow another future. */
typedef void fa_future_then_fn(struct fa_future *result, struct fa_value value, void *user);

/* The same for a failure: `error` is negative, `detail` what fa_future_fail_with() gave. */
typedef void fa_future_error_fn(struct fa_future *result, int error, struct fa_value detail,
                                void *user);

/* The consumer gave up; the future is complete or about to be freed. Called at most once and
 * never after completion. Stop the work, forget the pointer. */
typedef void fa_future_cancel_fn(struct fa_future *future, void *user);

/* Storage of the caller; 88 bytes. */
struct fa_future {
    /* read-only */
    struct fa_reactor *reactor; /* may be NULL */
    /* private */
    struct fa_value value; /* or the detail of the failure */
    int error;             /* 0 or negative */
    uint8_t state;         /* enum fa_future_state */
    uint8_t flags;
    uint8_t input; /* what completes it, if anything is registered */
    union {
        fa_future_then_fn *on_value;
        fa_future_error_fn *on_error;
        fa_future_cancel_fn *on_cancel;
        void (*release)(void *user, struct fa_list *doomed);
    };
    void *input_user;
    struct fa_future *source; /* whose outcome it waits for */
    fa_future_fn *callback;   /* the continuation */
    void *callback_user;
    struct fa_list link; /* in the reactor's queue, among others */
};

/* Makes pending what is storage. `reactor` may be NULL: see the top. */
static inline void fa_future_init(struct fa_future *future, struct fa_reactor *reactor)
{
    memset(future, 0, sizeof(*future));
    future->reactor = reactor;
    future->state = FA_FUTURE_PENDING;
}

/* Whether it is complete. */
static inline bool fa_future_is_ready(const struct fa_future *future)
{
    return future->state >= FA_FUTURE_READY;
}

/* 0 if resolved, the negative error if failed, FA_EAGAIN while pending. */
static inline int fa_future_error(const struct fa_future *future)
{
    return fa_future_is_ready(future) ? future->error : FA_EAGAIN;
}

/* Whether it was cancelled. */
static inline bool fa_future_is_cancelled(const struct fa_future *future)
{
    return fa_future_error(future) == FA_ECANCELLED;
}

FA_BEGIN_DECLS

/* Ends the life of a future; its storage is the caller's again. Drops a value that was not
 * taken. A continuation that has not run is dropped with it, uncalled; but what was derived
 * from the future here is told: it gets the outcome if there is one, and else fails with
 * FA_EABANDONED. The source of a pending future is left alone, the cancel hook of a
 * pending one called. Harmless on zeroed storage and when repeated. */
FA_API void fa_future_clean_up(struct fa_future *future);

/* A future on the heap, pending. Returns 0 and sets `*out`, or FA_ENOMEM. */
FA_API int fa_future_new(struct fa_future **out, struct fa_reactor *reactor) FA_MUST_CHECK;

/* Cleans up and frees what fa_future_new() made; its continuation may do it. NULL is
 * allowed. */
FA_API void fa_future_destroy(struct fa_future *future);

/* ---- the producer's side --------------------------------------------------------------- */

/* Completes the future with a value, whose ownership passes in any case. Returns whether it
 * was this call that did: false if it was complete already, and then the value is dropped. */
FA_API bool fa_future_resolve(struct fa_future *future, struct fa_value value);

/* Completes the future with an error (negative), fa_future_fail_with() with a detail, such as
 * an exception object, whose ownership passes. Returns as fa_future_resolve(). */
FA_API bool fa_future_fail(struct fa_future *future, int error);
FA_API bool fa_future_fail_with(struct fa_future *future, int error, struct fa_value detail);

/* Says how to stop the work. The future must have no other producer registered here. On a
 * complete future nothing happens. */
FA_API void fa_future_on_cancel(struct fa_future *future, fa_future_cancel_fn *hook, void *user);

/* Flattening: `future` (pending, no producer registered) becomes what `inner` becomes, at
 * once if that is complete. The outcome is moved; cancelling `future` cancels `inner`. A
 * continuation that has an inner future calls this on its result; one that can choose hands
 * its result on instead, and saves a future. */
FA_API void fa_future_follow(struct fa_future *future, struct fa_future *inner);

/* ---- the consumer's side --------------------------------------------------------------- */

/* Moves the value (after a failure: the detail) out of a complete future. Once. */
FA_API struct fa_value fa_future_take(struct fa_future *future);

/* Looks at it without taking it. */
FA_API struct fa_value fa_future_peek(const struct fa_future *future);

/* Registers the continuation: called with the complete future, whatever its outcome. */
FA_API void fa_future_on_ready(struct fa_future *future, fa_future_fn *callback, void *user);

/* Takes back what fa_future_on_ready() registered, if it was not called yet. */
FA_API void fa_future_forget(struct fa_future *future);

/* `result` (initialised, pending, no producer registered, on the same reactor unless
 * `source` is complete) becomes what `callback` makes of the value of `source`. A failure
 * skips the callback and passes on to `result`. Cancelling `result` cancels `source`. */
FA_API void fa_future_then(struct fa_future *source, struct fa_future *result,
                           fa_future_then_fn *callback, void *user);

/* The same for failures, cancellation included; a value skips the callback and passes on. */
FA_API void fa_future_handle_error(struct fa_future *source, struct fa_future *result,
                                   fa_future_error_fn *callback, void *user);

/* Completes a pending future with FA_ECANCELLED, and those that it is made of: all the way
 * up, where the cancel hooks are called. Returns whether it was pending. */
FA_API bool fa_future_cancel(struct fa_future *future);

FA_END_DECLS

/* ---- a time limit ------------------------------------------------------------------------ */

struct fa_timeout_options {
    size_t size;      /* sizeof(struct fa_timeout_options): the version of this struct */
    bool keep_source; /* leave the source running when the time is up */
};

/* Storage for one; it must live until the result is complete or cleaned up. All private. */
struct fa_timeout {
    struct fa_timer timer;
    struct fa_future *source;
    struct fa_future *result;
    bool keep_source;
};

FA_BEGIN_DECLS

/* `result` (initialised, pending, no producer registered) becomes what `source` becomes, or
 * fails with FA_ETIMEDOUT at deadline_ns on fa_now_ns()'s clock, and then `source` is
 * cancelled. An outcome that is there in time wins even when the timer is seen first.
 * Cancelling `result` cancels `source`. `options` may be NULL. Returns 0, or FA_ENOMEM or
 * FA_EINVAL (size of the options): then nothing happened. */
FA_API int fa_future_timeout(struct fa_future *source, struct fa_future *result,
                             struct fa_timeout *timeout, uint64_t deadline_ns,
                             const struct fa_timeout_options *options) FA_MUST_CHECK;

FA_END_DECLS

/* ---- many -------------------------------------------------------------------------------- */

struct fa_when_options {
    size_t size;        /* sizeof(struct fa_when_options): the version of this struct */
    bool cancel_rest;   /* cancel what is pending when the result completes */
    bool skip_failures; /* a failure does not fail the result: fa_when_all waits for every
                           one and then resolves, fa_when_any and fa_when_some fail only when
                           too few are left, with the last error */
};

/* Storage for one combination; it must live until the result is complete or cleaned up. */
struct fa_when {
    /* read-only */
    struct fa_future **futures;
    size_t count;
    size_t first; /* fa_when_any, fa_when_some: where futures[0] was before */
    /* private */
    struct fa_future *result;
    struct fa_list winners; /* in the order of completion */
    size_t wanted;
    size_t resolved;
    size_t failed;
    bool in_place; /* fa_when_all: the array keeps its order */
    bool settle;   /* wait for all, failed or not */
    struct fa_when_options options;
};

FA_BEGIN_DECLS

/* `result` (initialised, pending, no producer registered) completes when all, one, or `wanted`
 * of the `count` futures are resolved, in linear time; at once if they are already. Its
 * value is the array as `ptr`, without a drop function; the values stay in the futures,
 * to be taken from there. The first failure fails the result, error and detail moved.
 * Until then nobody else may wait for the futures; no future may be named twice. The
 * array stays the caller's and must live as long as `when`.
 *
 * fa_when_any and fa_when_some put those that won at the front of the array, in the order of
 * completion; the rest follows in its old order, uncancelled (but see the options) and free to
 * be waited for again. Cancelling the result cancels all that are pending. A future that is
 * cleaned up while it is waited for counts as failed with FA_EABANDONED; its place in the
 * array becomes NULL.
 *
 * Return 0, or FA_EINVAL (size of the options, more wanted than there are): then nothing
 * happened. `options` may be NULL. */
FA_API int fa_when_all(struct fa_when *when, struct fa_future *result, struct fa_future **futures,
                       size_t count, const struct fa_when_options *options) FA_MUST_CHECK;
FA_API int fa_when_any(struct fa_when *when, struct fa_future *result, struct fa_future **futures,
                       size_t count, const struct fa_when_options *options) FA_MUST_CHECK;
FA_API int fa_when_some(struct fa_when *when, struct fa_future *result, struct fa_future **futures,
                        size_t count, size_t wanted,
                        const struct fa_when_options *options) FA_MUST_CHECK;

FA_END_DECLS

#endif
