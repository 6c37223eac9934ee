/* SPDX-License-Identifier: MIT */
/* poller.h - what the reactor asks of a kernel interface. One back end is compiled in; it
 * provides `struct fa__poller` and the functions below in files of its own (epoll.h and
 * epoll.c), so that another can stand beside it.
 *
 * A registration carries a generation, and so does each event: the kernel may report a
 * descriptor that was closed, or whose number means another file by now (a child process
 * that holds a copy keeps the old registration alive), and only the reactor can tell. */
#ifndef FA_LOOP_POLLER_H
#define FA_LOOP_POLLER_H

#include <fasterapi/reactor.h>

#define FA__POLLER_WAKEUP_FD (-1) /* in an event: the descriptor of fa__poller_add_wakeup */

struct fa__event {
    int fd;
    uint32_t generation;
    unsigned events; /* FA_IO_... */
};

#include "loop/epoll.h"

/* Returns 0, FA_ENOMEM, FA_EMFILE or FA_ESYS. */
int fa__poller_init(struct fa__poller *poller, unsigned max_events) FA_MUST_CHECK;

/* Closes the kernel object; registrations that a forked parent shares are not touched. */
void fa__poller_clean_up(struct fa__poller *poller);

/* Closes the kernel object only: the functions below then do nothing or fail. */
void fa__poller_close(struct fa__poller *poller);

/* Reports `fd`, an eventfd, once each time it is written; it need not be read. */
int fa__poller_add_wakeup(struct fa__poller *poller, int fd) FA_MUST_CHECK;

/* Level-triggered registration; `interest` is not 0. Return 0, FA_EEXIST, FA_EINVAL,
 * FA_ENOMEM, FA_ENOTSUP or FA_ESYS. */
int fa__poller_add(struct fa__poller *poller, int fd, uint32_t generation,
                   unsigned interest) FA_MUST_CHECK;
int fa__poller_modify(struct fa__poller *poller, int fd, uint32_t generation,
                      unsigned interest) FA_MUST_CHECK;

/* A descriptor that is closed already is ignored. */
void fa__poller_remove(struct fa__poller *poller, int fd);

/* Sleeps at most timeout_ns (negative: for ever; never less than asked when nothing
 * happens). Returns the number of events, readable with fa__poller_event until the next
 * wait, or FA_ESYS; an interrupting signal is 0. */
int fa__poller_wait(struct fa__poller *poller, int64_t timeout_ns) FA_MUST_CHECK;

#endif
