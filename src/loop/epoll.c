/* SPDX-License-Identifier: MIT */
/* epoll.c - the epoll back end (see poller.h). On the reactor's thread.
 *
 * Everything is level-triggered but the wake-up descriptor: that one is edge-triggered, so
 * that a wake-up costs no read; its counter could overflow only after 2^64 - 2 wake-ups.
 * The event data is the generation above the descriptor.
 *
 * epoll_pwait2 takes nanoseconds. A kernel before 5.11, or a seccomp filter, refuses it;
 * then epoll_wait serves, in milliseconds rounded up so that a timer never finds itself
 * awake before its deadline. */
#include "loop/poller.h"

#include <errno.h>
#include <limits.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fasterapi/alloc.h>

#define NS_PER_S 1000000000
#define NS_PER_MS 1000000

int fa__poller_init(struct fa__poller *poller, unsigned max_events)
{
    *poller = (struct fa__poller){.fd = -1, .max_events = (int)max_events};
    poller->events = fa_calloc(max_events, sizeof(*poller->events));
    if (poller->events == NULL)
        return FA_ENOMEM;
    poller->fd = epoll_create1(EPOLL_CLOEXEC);
    if (poller->fd < 0) {
        int err = fa_error_from_errno(errno);
        fa__poller_clean_up(poller);
        return err;
    }
    return 0;
}

void fa__poller_close(struct fa__poller *poller)
{
    if (poller->fd >= 0)
        close(poller->fd);
    poller->fd = -1;
}

void fa__poller_clean_up(struct fa__poller *poller)
{
    fa__poller_close(poller);
    fa_free(poller->events);
    poller->events = NULL;
}

static int control(struct fa__poller *poller, int operation, int fd, uint32_t generation,
                   uint32_t events)
{
    struct epoll_event event = {
        .events = events,
        .data.u64 = (uint64_t)generation << 32 | (uint32_t)fd,
    };
    if (epoll_ctl(poller->fd, operation, fd, &event) == 0)
        return 0;
    /* EPERM is how epoll says that a file is always ready, not a matter of permission;
     * ENOSPC is a memory limit (max_user_watches). */
    if (errno == EPERM)
        return FA_ENOTSUP;
    return errno == ENOSPC ? FA_ENOMEM : fa_error_from_errno(errno);
}

static uint32_t to_epoll(unsigned interest)
{
    return (interest & FA_IO_READ ? (uint32_t)EPOLLIN : 0) |
           (interest & FA_IO_WRITE ? (uint32_t)EPOLLOUT : 0) |
           (interest & FA_IO_HUP ? (uint32_t)EPOLLRDHUP : 0);
}

int fa__poller_add_wakeup(struct fa__poller *poller, int fd)
{
    struct epoll_event event = {
        .events = EPOLLIN | EPOLLET,
        .data.u64 = (uint32_t)FA__POLLER_WAKEUP_FD,
    };
    if (epoll_ctl(poller->fd, EPOLL_CTL_ADD, fd, &event) < 0)
        return errno == ENOSPC ? FA_ENOMEM : fa_error_from_errno(errno);
    return 0;
}

int fa__poller_add(struct fa__poller *poller, int fd, uint32_t generation, unsigned interest)
{
    return control(poller, EPOLL_CTL_ADD, fd, generation, to_epoll(interest));
}

int fa__poller_modify(struct fa__poller *poller, int fd, uint32_t generation, unsigned interest)
{
    return control(poller, EPOLL_CTL_MOD, fd, generation, to_epoll(interest));
}

void fa__poller_remove(struct fa__poller *poller, int fd)
{
    int saved_errno = errno;
    if (poller->fd >= 0)
        epoll_ctl(poller->fd, EPOLL_CTL_DEL, fd, NULL);
    errno = saved_errno;
}

static int wait_ms(struct fa__poller *poller, int64_t timeout_ns)
{
    int timeout_ms = -1;
    if (timeout_ns >= 0) {
        int64_t ms = timeout_ns / NS_PER_MS + (timeout_ns % NS_PER_MS != 0);
        timeout_ms = ms > INT_MAX ? INT_MAX : (int)ms;
    }
    return epoll_wait(poller->fd, poller->events, poller->max_events, timeout_ms);
}

/* The C library's wrapper is younger than the system call, hence syscall(). */
static int wait_ns(struct fa__poller *poller, int64_t timeout_ns)
{
#ifdef SYS_epoll_pwait2
    struct timespec timeout = {
        .tv_sec = timeout_ns / NS_PER_S,
        .tv_nsec = timeout_ns % NS_PER_S,
    };
    return (int)syscall(SYS_epoll_pwait2, poller->fd, poller->events, poller->max_events, &timeout,
                        NULL, (size_t)0);
#else
    errno = ENOSYS;
    return -1;
#endif
}

int fa__poller_wait(struct fa__poller *poller, int64_t timeout_ns)
{
    int count;
    if (timeout_ns <= 0 || poller->coarse) {
        count = wait_ms(poller, timeout_ns);
    } else {
        count = wait_ns(poller, timeout_ns);
        if (FA_UNLIKELY(count < 0 && (errno == ENOSYS || errno == EPERM))) {
            poller->coarse = true;
            count = wait_ms(poller, timeout_ns);
        }
    }
    if (FA_LIKELY(count >= 0))
        return count;
    return errno == EINTR ? 0 : FA_ESYS;
}
