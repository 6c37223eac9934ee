/* SPDX-License-Identifier: MIT */
/* signals.h - the signals that one reactor delivers. */
#ifndef FA_LOOP_SIGNALS_H
#define FA_LOOP_SIGNALS_H

#include <signal.h>

#include <fasterapi/reactor.h>

struct fa__signal {
    fa_signal_fn *callback; /* NULL: not delivered here */
    void *user;
    bool was_blocked; /* before fa_signal_add */
};

struct fa__signals {
    int fd; /* signalfd, -1 before the first signal */
    struct fa_io io;
    struct fa__signal *by_number; /* NSIG of them, allocated with the first */
    sigset_t mask;
};

void fa__signals_init(struct fa__signals *signals);

/* Removes every signal of the reactor. */
void fa__signals_clean_up(struct fa_reactor *reactor);

/* In a forked child: closes the descriptor. */
void fa__signals_close(struct fa__signals *signals);

#endif
