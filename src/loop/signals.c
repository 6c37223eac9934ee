/* SPDX-License-Identifier: MIT */
/* signals.c - signals as ready work, by signalfd. On the reactor's thread; the process-wide
 * list of who delivers which signal is under a mutex, since signals belong to the process.
 *
 * A signal that is delivered here stays blocked in every thread that inherits the mask, so
 * no handler ever runs in the middle of other code. */
#include "loop/signals.h"

#include <errno.h>
#include <pthread.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <fasterapi/alloc.h>

#include "loop/reactor_int.h"

#define BATCH 8

static pthread_mutex_t claims_lock = PTHREAD_MUTEX_INITIALIZER;
static bool claims[NSIG];

/* False when another reactor of the process has it. */
static bool claim(int signum)
{
    pthread_mutex_lock(&claims_lock);
    bool free_before = !claims[signum];
    claims[signum] = true;
    pthread_mutex_unlock(&claims_lock);
    return free_before;
}

static void disclaim(int signum)
{
    pthread_mutex_lock(&claims_lock);
    claims[signum] = false;
    pthread_mutex_unlock(&claims_lock);
}

void fa__signals_init(struct fa__signals *signals)
{
    *signals = (struct fa__signals){.fd = -1};
    sigemptyset(&signals->mask);
}

void fa__signals_close(struct fa__signals *signals)
{
    if (signals->fd >= 0)
        close(signals->fd);
    signals->fd = -1;
}

/* Reads are on a local copy: a callback may remove signals, and the last of them frees
 * nothing before the reactor goes. */
static void on_readable(struct fa_io *io, unsigned events)
{
    struct fa__signals *signals = io->user;
    struct signalfd_siginfo batch[BATCH];
    ssize_t size = read(signals->fd, batch, sizeof(batch));
    if (size <= 0)
        return; /* another thread took it, or a spurious wake-up: level-triggered */
    size_t count = (size_t)size / sizeof(batch[0]);
    for (size_t i = 0; i < count; i++) {
        struct fa__signal signal = signals->by_number[batch[i].ssi_signo];
        if (signal.callback != NULL)
            signal.callback((int)batch[i].ssi_signo, signal.user);
    }
}

/* Opens the signalfd with the first signal, and widens it with the others. */
static int accept_signal(struct fa_reactor *reactor, int signum)
{
    struct fa__signals *signals = &reactor->signals;
    if (signals->by_number == NULL) {
        signals->by_number = fa_calloc(NSIG, sizeof(*signals->by_number));
        if (signals->by_number == NULL)
            return FA_ENOMEM;
    }
    sigset_t mask = signals->mask;
    sigaddset(&mask, signum);
    int fd = signalfd(signals->fd, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return fa_error_from_errno(errno);
    signals->fd = fd;
    if (signals->io.reactor == NULL) {
        signals->io.user = signals;
        int err = fa_io_add(reactor, &signals->io, fd, FA_IO_READ, 0, on_readable);
        if (err < 0) {
            fa__signals_close(signals);
            return err;
        }
    }
    signals->mask = mask;
    return 0;
}

int fa_signal_add(struct fa_reactor *reactor, int signum, fa_signal_fn *callback, void *user)
{
    if (!fa__on_owner(reactor))
        return FA_EWRONGTHREAD;
    if (signum <= 0 || signum >= NSIG || signum == SIGKILL || signum == SIGSTOP || callback == NULL)
        return FA_EINVAL;
    if (!claim(signum))
        return FA_EEXIST;
    sigset_t one;
    sigset_t before;
    sigemptyset(&one);
    sigaddset(&one, signum);
    pthread_sigmask(SIG_BLOCK, &one, &before);
    bool was_blocked = sigismember(&before, signum) == 1;
    int err = accept_signal(reactor, signum);
    if (err < 0) {
        if (!was_blocked)
            pthread_sigmask(SIG_UNBLOCK, &one, NULL);
        disclaim(signum);
        return err;
    }
    reactor->signals.by_number[signum] = (struct fa__signal){callback, user, was_blocked};
    return 0;
}

void fa_signal_remove(struct fa_reactor *reactor, int signum)
{
    struct fa__signals *signals = &reactor->signals;
    FA_ASSERT(fa__on_owner(reactor));
    if (signals->by_number == NULL || signum <= 0 || signum >= NSIG ||
        signals->by_number[signum].callback == NULL)
        return;
    bool was_blocked = signals->by_number[signum].was_blocked;
    signals->by_number[signum] = (struct fa__signal){0};
    sigdelset(&signals->mask, signum);
    /* Narrowing an open signalfd cannot fail. */
    if (signals->fd >= 0)
        (void)signalfd(signals->fd, &signals->mask, 0);
    if (!was_blocked) {
        sigset_t one;
        sigemptyset(&one);
        sigaddset(&one, signum);
        pthread_sigmask(SIG_UNBLOCK, &one, NULL);
    }
    disclaim(signum);
}

void fa__signals_clean_up(struct fa_reactor *reactor)
{
    struct fa__signals *signals = &reactor->signals;
    for (int signum = 1; signals->by_number != NULL && signum < NSIG; signum++)
        fa_signal_remove(reactor, signum);
    fa_io_remove(&signals->io);
    fa__signals_close(signals);
    fa_free(signals->by_number);
    signals->by_number = NULL;
}
