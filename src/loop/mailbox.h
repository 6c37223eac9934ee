/* SPDX-License-Identifier: MIT */
/* mailbox.h - the one way into a reactor from other threads: a lock-free stack of tasks, a
 * request to stop, and the eventfd that ends a wait. */
#ifndef FA_LOOP_MAILBOX_H
#define FA_LOOP_MAILBOX_H

#include <stdatomic.h>

#include <fasterapi/reactor.h>

struct fa__mailbox {
    int fd; /* eventfd */
    atomic_bool stop;
    char padding[64]; /* `newest` is written by every sender: off the owner's cache line */
    _Atomic(struct fa_task *) newest;
};

/* Opens the eventfd. Returns 0, FA_EMFILE, FA_ENOMEM or FA_ESYS. */
int fa__mailbox_init(struct fa__mailbox *mailbox) FA_MUST_CHECK;
void fa__mailbox_clean_up(struct fa__mailbox *mailbox);

/* Any thread. */
void fa__mailbox_send(struct fa__mailbox *mailbox, struct fa_task *task);

/* Any thread, and signal handlers. */
void fa__mailbox_request_stop(struct fa__mailbox *mailbox);

/* Owner: whether a stop was requested since the last call. */
bool fa__mailbox_take_stop(struct fa__mailbox *mailbox);

/* Owner, after the eventfd has fired: everything sent so far, oldest first, linked by
 * mail_next. */
struct fa_task *fa__mailbox_take(struct fa__mailbox *mailbox);

#endif
