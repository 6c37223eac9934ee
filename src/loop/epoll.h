/* SPDX-License-Identifier: MIT */
/* epoll.h - the epoll back end of poller.h; included by it and by nothing else. */
#ifndef FA_LOOP_EPOLL_H
#define FA_LOOP_EPOLL_H

#include <sys/epoll.h>

struct fa__poller {
    int fd;
    int max_events;
    bool coarse; /* the kernel has no epoll_pwait2: milliseconds, rounded up */
    struct epoll_event *events;
};

/* Event `index` of the last wait. */
static inline struct fa__event fa__poller_event(const struct fa__poller *poller, int index)
{
    uint64_t data = poller->events[index].data.u64;
    uint32_t raw = poller->events[index].events;
    unsigned events = 0;
    if (raw & EPOLLIN)
        events |= FA_IO_READ;
    if (raw & EPOLLOUT)
        events |= FA_IO_WRITE;
    if (raw & EPOLLRDHUP)
        events |= FA_IO_HUP;
    if (FA_UNLIKELY(raw & (EPOLLERR | EPOLLHUP)))
        events |= FA_IO_ERROR | FA_IO_READ | FA_IO_WRITE;
    return (struct fa__event){(int)(uint32_t)data, (uint32_t)(data >> 32), events};
}

#endif
