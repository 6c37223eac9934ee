/* SPDX-License-Identifier: MIT */
/* mailbox.c - many senders, one receiver, no lock. All atomics of the loop are here.
 *
 * Senders push onto a stack with compare-and-swap; the receiver takes the whole stack with
 * one exchange and turns it round, so a node is never popped singly and the ABA problem
 * does not arise. Who pushes onto the empty stack begins a batch and writes the eventfd;
 * later senders of the batch ride along. No wake-up is lost: the receiver exchanges after
 * the eventfd has fired, so what it does not see was pushed onto an empty stack, and its
 * sender writes the eventfd again.
 *
 * The release of the push and the acquire of the exchange order everything that a sender
 * wrote before it sent (a later push in the same stack continues its release sequence). */
#include "loop/mailbox.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

int fa__mailbox_init(struct fa__mailbox *mailbox)
{
    atomic_init(&mailbox->newest, NULL);
    atomic_init(&mailbox->stop, false);
    mailbox->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return mailbox->fd < 0 ? fa_error_from_errno(errno) : 0;
}

void fa__mailbox_clean_up(struct fa__mailbox *mailbox)
{
    if (mailbox->fd >= 0)
        close(mailbox->fd);
    mailbox->fd = -1;
}

/* Async-signal-safe. EAGAIN would mean a full counter, which wakes just as well. */
static void wake(struct fa__mailbox *mailbox)
{
    int saved_errno = errno;
    uint64_t one = 1;
    while (write(mailbox->fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
    errno = saved_errno;
}

void fa__mailbox_send(struct fa__mailbox *mailbox, struct fa_task *task)
{
    struct fa_task *older = atomic_load_explicit(&mailbox->newest, memory_order_relaxed);
    do {
        task->mail_next = older;
    } while (!atomic_compare_exchange_weak_explicit(&mailbox->newest, &older, task,
                                                    memory_order_release, memory_order_relaxed));
    if (older == NULL)
        wake(mailbox);
}

void fa__mailbox_request_stop(struct fa__mailbox *mailbox)
{
    atomic_store_explicit(&mailbox->stop, true, memory_order_release);
    wake(mailbox);
}

bool fa__mailbox_take_stop(struct fa__mailbox *mailbox)
{
    if (FA_LIKELY(!atomic_load_explicit(&mailbox->stop, memory_order_relaxed)))
        return false;
    return atomic_exchange_explicit(&mailbox->stop, false, memory_order_acquire);
}

struct fa_task *fa__mailbox_take(struct fa__mailbox *mailbox)
{
    struct fa_task *newest = atomic_exchange_explicit(&mailbox->newest, NULL, memory_order_acquire);
    struct fa_task *oldest = NULL;
    while (newest != NULL) {
        struct fa_task *older = newest->mail_next;
        newest->mail_next = oldest;
        oldest = newest;
        newest = older;
    }
    return oldest;
}
