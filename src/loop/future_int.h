/* SPDX-License-Identifier: MIT */
/* future_int.h - what the files of the future share: the steps that no continuation sees. */
#ifndef FA_LOOP_FUTURE_INT_H
#define FA_LOOP_FUTURE_INT_H

#include <fasterapi/future.h>

enum {
    FA__FUTURE_LINKED = 1,   /* `link` is on a list */
    FA__FUTURE_INTERNAL = 2, /* `callback` is the library's own: runs no user code that ... */
    FA__FUTURE_DYING = 4,    /* ... it may run from here, since clean_up is under way */
    FA__FUTURE_DUE = 8,      /* pending, and holds the outcome of the source it had */
    FA__FUTURE_COUNTED = 16, /* its fa_when has seen the outcome */
};

/* What completes a pending future. */
enum fa__future_input {
    FA__INPUT_NONE = 0, /* whoever has the pointer */
    FA__INPUT_HOOK,     /* the same, and on_cancel is to be called */
    FA__INPUT_THEN,     /* on_value, when `source` is complete */
    FA__INPUT_ERROR,    /* on_error */
    FA__INPUT_FOLLOW,   /* the outcome of `source` itself */
    FA__INPUT_RELEASE,  /* a combinator: release(input_user, doomed) lets go of its sources,
                           and puts them on `doomed` for cancelling if that is not NULL */
};

/* Asserts the thread, and that `future` is pending and nothing is registered to complete it. */
void fa__future_assert_open(const struct fa_future *future);

/* Completes a pending future that has no input any more; queues its continuation. */
void fa__future_settle(struct fa_future *future, int error, struct fa_value value);

/* The value of a complete future, moved. */
struct fa_value fa__future_move(struct fa_future *future);

/* Registers a continuation of the library; on a complete future it is due at once, and the
 * caller runs it. */
void fa__future_attach(struct fa_future *future, fa_future_fn *callback, void *user);

/* Takes the continuation back, whatever it is, and puts a pending future on `doomed`, unless
 * that is NULL. */
void fa__future_detach(struct fa_future *future, struct fa_list *doomed);

/* Off the list it is on, if any. */
void fa__future_unlink(struct fa_future *future);

/* Cancels the futures on the list, and their sources. Cancel hooks run in here. */
void fa__futures_cancel(struct fa_list *doomed);

#endif
