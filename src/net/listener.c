/* SPDX-License-Identifier: MIT */
/* listener.c - accepting for one group of listening sockets, and the group's life (see
 * listener.h); how each kind of socket is opened is in listener_open.c. On the reactor's
 * thread.
 *
 *   accepting <-> parked (paused by the owner, or backing off after an error)
 *
 * A parked socket stays registered with an interest in FA_IO_HUP, which a listening socket
 * never reports: going back to FA_IO_READ changes a registration and cannot run out of
 * memory, as making a new one could.
 *
 * Out of descriptors: the reserve descriptor is given up for a moment, the waiting
 * connection is accepted in its place, told so and closed. Left in the kernel's queue it
 * would keep the socket readable (the loop would spin) and its client in the dark. Where
 * even that fails, and after every error that is not the single connection's, the group
 * parks itself and tries again after BACK_OFF_NS. */
#include "net/listener.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fasterapi/alloc.h>
#include <fasterapi/log.h>

#include "loop/watchers.h"
#include "net/listener_int.h"

/* Connections taken per turn and socket: enough to make the turn cheap, few enough that
 * requests are answered in between and other processes on the same socket get their share. */
#define BATCH 16
#define FINISH_MAX 4096 /* no kernel queue is longer by default (net.core.somaxconn) */
#define BACK_OFF_NS ((uint64_t)100000000)
#define LOG_EVERY_NS ((uint64_t)1000000000)
#define PARKED FA_IO_HUP

/* ---- the reserve -------------------------------------------------------------------- */

static bool refill_reserve(struct fa__listeners *group)
{
    if (group->reserve_fd < 0)
        group->reserve_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return group->reserve_fd >= 0;
}

/* ---- parking ------------------------------------------------------------------------ */

static bool is_parked(const struct fa__listeners *group)
{
    return group->paused || group->backing_off;
}

static void apply_interest(struct fa__listeners *group)
{
    unsigned interest = is_parked(group) ? PARKED : FA_IO_READ;
    for (struct fa_list *link = group->open.next; link != &group->open; link = link->next) {
        struct fa__listener *listener = FA_CONTAINER_OF(link, struct fa__listener, link);
        int err = fa_io_set(&listener->io, interest);
        if (err < 0)
            fa_log(FA_LOG_ERROR, "cannot change the watch on a listening socket: %s",
                   fa_strerror(err));
    }
}

static void on_retry(struct fa_timer *timer)
{
    struct fa__listeners *group = timer->user;
    group->backing_off = false;
    refill_reserve(group);
    apply_interest(group);
}

/* Without memory for the timer accepting simply goes on: every turn then meets the error
 * again, which costs time but loses nothing. */
static void back_off(struct fa__listeners *group)
{
    uint64_t deadline_ns = fa_now_ns() + BACK_OFF_NS;
    if (fa_timer_arm(group->reactor, &group->retry, deadline_ns, on_retry) < 0)
        return;
    group->backing_off = true;
    apply_interest(group);
}

static void log_accept_error(struct fa__listeners *group, int sys_errno)
{
    uint64_t now_ns = fa_now_ns();
    if (group->logged_ns != 0 && now_ns - group->logged_ns < LOG_EVERY_NS)
        return;
    group->logged_ns = now_ns;
    fa_log(FA_LOG_WARNING, "accepting a connection failed: %s (errno %d)",
           fa_strerror(fa_error_from_errno(sys_errno)), sys_errno);
}

/* ---- accepting ---------------------------------------------------------------------- */

enum accepted {
    ACCEPTED_ONE,
    ACCEPTED_FAILED, /* one that failed by itself: go on */
    ACCEPTED_NONE,   /* nothing is waiting, or the group is parked */
};

static int accept_one(const struct fa__listener *listener, struct fa__addr *client)
{
    struct sockaddr_storage storage;
    socklen_t len = sizeof(storage);
    int fd =
        accept4(listener->io.fd, (struct sockaddr *)&storage, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0)
        fa__addr_set(client, (struct sockaddr *)&storage, len);
    return fd;
}

static enum accepted refuse_one(struct fa__listeners *group, struct fa__listener *listener)
{
    if (!refill_reserve(group)) {
        back_off(group);
        return ACCEPTED_NONE;
    }
    fa__socket_close(group->reserve_fd);
    group->reserve_fd = -1;
    struct fa__addr client;
    int fd = accept_one(listener, &client);
    if (fd < 0) {
        /* Another thread was quicker to take the descriptor. */
        bool nothing_waits = errno == EAGAIN;
        refill_reserve(group);
        if (!nothing_waits)
            back_off(group);
        return ACCEPTED_NONE;
    }
    if (group->callbacks.on_refuse != NULL)
        group->callbacks.on_refuse(listener, fd, &client, group->user);
    fa__socket_close(fd);
    refill_reserve(group);
    return ACCEPTED_ONE;
}

/* accept(2) also reports errors that belong to the connection, which is gone then, or to
 * the network it came from: the next one may be well. */
static bool concerns_one_connection(int sys_errno)
{
    switch (sys_errno) {
    case EINTR:
    case ECONNABORTED:
    case ECONNRESET:
    case EPROTO:
    case ENOPROTOOPT:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
    case ETIMEDOUT:
    case EPERM: /* a firewall rule */
        return true;
    default:
        return false;
    }
}

static enum accepted after_error(struct fa__listeners *group, struct fa__listener *listener,
                                 int sys_errno)
{
    if (sys_errno == EAGAIN || sys_errno == EWOULDBLOCK)
        return ACCEPTED_NONE;
    if (concerns_one_connection(sys_errno))
        return ACCEPTED_FAILED;
    log_accept_error(group, sys_errno);
    if (sys_errno == EMFILE || sys_errno == ENFILE)
        return refuse_one(group, listener);
    back_off(group);
    return ACCEPTED_NONE;
}

static enum accepted take_one(struct fa__listeners *group, struct fa__listener *listener)
{
    struct fa__addr client;
    int fd = accept_one(listener, &client);
    if (FA_UNLIKELY(fd < 0))
        return after_error(group, listener, errno);
    fa__watchers_evict(group->reactor, fd);
    group->callbacks.on_accept(listener, fd, &client, group->user);
    return ACCEPTED_ONE;
}

void fa__listener_on_readable(struct fa_io *io, unsigned events)
{
    (void)events;
    struct fa__listener *listener = io->user;
    struct fa__listeners *group = listener->group;
    group->current = listener;
    int failures = 0;
    for (int i = 0; i < BATCH; i++) {
        enum accepted result = take_one(group, listener);
        failures += result == ACCEPTED_FAILED;
        /* A callback may have closed the socket, or paused the group. */
        if (result == ACCEPTED_NONE || group->current != listener || is_parked(group))
            break;
    }
    group->current = NULL;
    /* Not bad luck any more: a security module refuses, say, and takes nothing off the queue. */
    if (failures == BATCH) {
        log_accept_error(group, errno);
        back_off(group);
    }
}

/* ---- the group ---------------------------------------------------------------------- */

int fa__listeners_init(struct fa__listeners *group, struct fa_reactor *reactor,
                       const struct fa__listeners_callbacks *callbacks, void *user)
{
    *group = (struct fa__listeners){
        .reactor = reactor,
        .callbacks = *callbacks,
        .user = user,
        .reserve_fd = -1,
    };
    fa_list_init(&group->open);
    group->retry.user = group;
    return refill_reserve(group) ? 0 : fa_error_from_errno(errno);
}

int fa__listeners_attach(struct fa__listeners *group, struct fa__listener *listener)
{
    listener->group = group;
    listener->io.user = listener;
    int err = fa_io_add(group->reactor, &listener->io, listener->fd,
                        is_parked(group) ? PARKED : FA_IO_READ, 0, fa__listener_on_readable);
    if (err == 0)
        fa_list_push_back(&group->open, &listener->link);
    return err;
}

/* Only the file that we made, and only in the process that made it: a forked child or a
 * successor on the same path must keep theirs. */
static void remove_socket_file(const struct fa__listener *listener)
{
    if (listener->path == NULL || listener->owner_pid != getpid())
        return;
    struct stat status;
    if (lstat(listener->path, &status) == 0 && S_ISSOCK(status.st_mode) &&
        status.st_dev == listener->path_dev && status.st_ino == listener->path_ino)
        unlink(listener->path);
}

void fa__listener_destroy(struct fa__listener *listener)
{
    if (listener->group != NULL && listener->group->current == listener)
        listener->group->current = NULL;
    fa_list_unlink(&listener->link);
    fa_io_remove(&listener->io);
    remove_socket_file(listener);
    fa__socket_close(listener->fd);
    fa_free(listener->path);
    fa_free(listener);
}

void fa__listeners_close(struct fa__listeners *group)
{
    while (!fa_list_empty(&group->open))
        fa__listener_destroy(FA_CONTAINER_OF(group->open.next, struct fa__listener, link));
}

void fa__listeners_finish(struct fa__listeners *group)
{
    FA_ASSERT(group->current == NULL);
    while (!fa_list_empty(&group->open)) {
        struct fa__listener *listener =
            FA_CONTAINER_OF(group->open.next, struct fa__listener, link);
        group->current = listener;
        for (int i = 0; i < FINISH_MAX && group->current == listener && !is_parked(group); i++) {
            if (take_one(group, listener) == ACCEPTED_NONE)
                break;
        }
        if (group->current == listener)
            fa__listener_destroy(listener);
    }
    group->current = NULL;
}

void fa__listeners_clean_up(struct fa__listeners *group)
{
    FA_ASSERT(group->current == NULL);
    fa__listeners_close(group);
    fa_timer_cancel(&group->retry);
    fa__socket_close(group->reserve_fd);
    group->reserve_fd = -1;
}

void fa__listeners_after_fork(struct fa__listeners *group, int inert)
{
    for (struct fa_list *link = group->open.next; link != &group->open; link = link->next)
        fa__socket_replace(FA_CONTAINER_OF(link, struct fa__listener, link)->fd, inert);
}

void fa__listeners_pause(struct fa__listeners *group)
{
    group->paused = true;
    apply_interest(group);
}

void fa__listeners_resume(struct fa__listeners *group)
{
    group->paused = false;
    apply_interest(group);
}

size_t fa__listeners_count(const struct fa__listeners *group)
{
    size_t count = 0;
    for (const struct fa_list *link = group->open.next; link != &group->open; link = link->next)
        count++;
    return count;
}

uint16_t fa__listeners_port(const struct fa__listeners *group)
{
    for (struct fa_list *link = group->open.next; link != &group->open; link = link->next) {
        const struct fa__listener *listener = FA_CONTAINER_OF(link, struct fa__listener, link);
        if (listener->addr.port > 0)
            return (uint16_t)listener->addr.port;
    }
    return 0;
}

const struct fa__addr *fa__listener_addr(const struct fa__listener *listener)
{
    return &listener->addr;
}

bool fa__listener_is_wildcard(const struct fa__listener *listener)
{
    return listener->wildcard;
}
