/* SPDX-License-Identifier: MIT */
/* watchers.c - the table from descriptors to watchers, and the public watcher functions. On
 * the reactor's thread.
 *
 *   idle (reactor NULL) -> registered -> idle
 *
 * A registered watcher with interest 0 is in the table but not in the kernel: epoll would
 * report hang-ups regardless of the interest. An event is delivered only if the slot of its
 * descriptor still holds the generation it was registered with; a watcher that is removed,
 * replaced or changed while events wait loses those that no longer apply.
 *
 * A descriptor that was closed without fa_io_remove() leaves its watcher in the table, and the
 * kernel gives the number away again. Who got the number from the kernel evicts the stale one.
 *
 * Chunks of the table are kept until the reactor goes: descriptor numbers are small and
 * come back. */
#include "loop/watchers.h"

#include <fasterapi/alloc.h>

#include "loop/reactor_int.h"

#define ALL_INTEREST (FA_IO_READ | FA_IO_WRITE | FA_IO_HUP)

static struct fa__watcher_slot *find_slot(const struct fa__watchers *watchers, int fd)
{
    size_t chunk = (size_t)fd / FA__WATCHERS_CHUNK;
    if (fd < 0 || chunk >= watchers->chunk_count || watchers->chunks[chunk] == NULL)
        return NULL;
    return &watchers->chunks[chunk][(size_t)fd % FA__WATCHERS_CHUNK];
}

static int grow(struct fa__watchers *watchers, size_t chunk_count)
{
    struct fa__watcher_slot **grown =
        fa_realloc(watchers->chunks, chunk_count * sizeof(struct fa__watcher_slot *));
    if (grown == NULL)
        return FA_ENOMEM;
    for (size_t i = watchers->chunk_count; i < chunk_count; i++)
        grown[i] = NULL;
    watchers->chunks = grown;
    watchers->chunk_count = chunk_count;
    return 0;
}

/* The slot of `fd`, made if need be; NULL without memory. */
static struct fa__watcher_slot *make_slot(struct fa__watchers *watchers, int fd)
{
    size_t chunk = (size_t)fd / FA__WATCHERS_CHUNK;
    if (chunk >= watchers->chunk_count && grow(watchers, chunk + 1) < 0)
        return NULL;
    if (watchers->chunks[chunk] == NULL) {
        watchers->chunks[chunk] = fa_calloc(FA__WATCHERS_CHUNK, sizeof(struct fa__watcher_slot));
        if (watchers->chunks[chunk] == NULL)
            return NULL;
    }
    return &watchers->chunks[chunk][(size_t)fd % FA__WATCHERS_CHUNK];
}

void fa__watchers_clean_up(struct fa__watchers *watchers)
{
    for (size_t chunk = 0; chunk < watchers->chunk_count; chunk++) {
        struct fa__watcher_slot *slots = watchers->chunks[chunk];
        for (size_t i = 0; slots != NULL && i < FA__WATCHERS_CHUNK; i++) {
            if (slots[i].io != NULL)
                slots[i].io->reactor = NULL;
        }
        fa_free(slots);
    }
    fa_free(watchers->chunks);
    *watchers = (struct fa__watchers){0};
}

int fa_io_add(struct fa_reactor *reactor, struct fa_io *io, int fd, unsigned interest,
              unsigned flags, fa_io_fn *callback)
{
    if (!fa__on_owner(reactor))
        return FA_EWRONGTHREAD;
    if (fd < 0 || callback == NULL || (interest & ~(unsigned)ALL_INTEREST) != 0 ||
        (flags & ~(unsigned)FA_IO_IMMEDIATE) != 0)
        return FA_EINVAL;
    if (io->reactor != NULL)
        return FA_EEXIST;
    struct fa__watcher_slot *slot = make_slot(&reactor->watchers, fd);
    if (slot == NULL)
        return FA_ENOMEM;
    if (slot->io != NULL)
        return FA_EEXIST;
    uint32_t generation = slot->generation + 1;
    if (interest != 0) {
        int err = fa__poller_add(&reactor->poller, fd, generation, interest);
        if (err < 0)
            return err;
    }
    slot->io = io;
    slot->generation = generation;
    io->reactor = reactor;
    io->fd = fd;
    io->interest = interest;
    io->callback = callback;
    io->flags = flags;
    io->pending = 0;
    io->generation = generation;
    io->ready.kind = FA__READY_NONE;
    return 0;
}

static int change_registration(struct fa_io *io, unsigned interest)
{
    struct fa__poller *poller = &io->reactor->poller;
    if (interest == 0) {
        fa__poller_remove(poller, io->fd);
        return 0;
    }
    if (io->interest == 0)
        return fa__poller_add(poller, io->fd, io->generation, interest);
    return fa__poller_modify(poller, io->fd, io->generation, interest);
}

int fa_io_set(struct fa_io *io, unsigned interest)
{
    struct fa_reactor *reactor = io->reactor;
    if (reactor == NULL || (interest & ~(unsigned)ALL_INTEREST) != 0)
        return FA_EINVAL;
    if (!fa__on_owner(reactor))
        return FA_EWRONGTHREAD;
    if (interest == io->interest)
        return 0;
    int err = change_registration(io, interest);
    if (err < 0)
        return err;
    io->interest = interest;
    io->pending &= interest != 0 ? interest | FA_IO_ERROR : 0;
    if (io->pending == 0)
        fa__ready_unlink(reactor, &io->ready);
    return 0;
}

static void unlink_watcher(struct fa__watcher_slot *slot)
{
    struct fa_io *io = slot->io;
    slot->io = NULL;
    fa__ready_unlink(io->reactor, &io->ready);
    io->pending = 0;
    io->reactor = NULL;
}

void fa_io_remove(struct fa_io *io)
{
    struct fa_reactor *reactor = io->reactor;
    if (reactor == NULL)
        return;
    FA_ASSERT(fa__on_owner(reactor));
    struct fa__watcher_slot *slot = find_slot(&reactor->watchers, io->fd);
    FA_ASSERT(slot != NULL && slot->io == io);
    if (io->interest != 0)
        fa__poller_remove(&reactor->poller, io->fd);
    unlink_watcher(slot);
}

/* The kernel dropped its part with the old file, or keeps it for a copy of that file, which
 * EPOLL_CTL_DEL on the number no longer reaches; the generation tells its events apart. */
void fa__watchers_evict(struct fa_reactor *reactor, int fd)
{
    FA_ASSERT(fa__on_owner(reactor));
    struct fa__watcher_slot *slot = find_slot(&reactor->watchers, fd);
    if (FA_LIKELY(slot == NULL || slot->io == NULL))
        return;
    struct fa_io *io = slot->io;
    unlink_watcher(slot);
    io->fd = -1;
}

void fa__watchers_collect(struct fa_reactor *reactor, struct fa__event event)
{
    struct fa__watcher_slot *slot = find_slot(&reactor->watchers, event.fd);
    if (FA_UNLIKELY(slot == NULL || slot->io == NULL || slot->generation != event.generation))
        return;
    struct fa_io *io = slot->io;
    /* A callback of this collect may have silenced it since the kernel reported. */
    unsigned events = io->interest != 0 ? event.events & (io->interest | FA_IO_ERROR) : 0;
    if (FA_UNLIKELY(events == 0))
        return;
    if (io->flags & FA_IO_IMMEDIATE) {
        reactor->stats.io_events++;
        io->callback(io, events);
        return;
    }
    io->pending |= events;
    if (io->ready.kind == FA__READY_NONE)
        fa__ready_push(reactor, &io->ready, FA__READY_IO, FA_PRIORITY_NORMAL);
}
