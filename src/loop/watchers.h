/* SPDX-License-Identifier: MIT */
/* watchers.h - which watcher belongs to a descriptor number. */
#ifndef FA_LOOP_WATCHERS_H
#define FA_LOOP_WATCHERS_H

#include <fasterapi/reactor.h>

#define FA__WATCHERS_CHUNK 512

struct fa__watcher_slot {
    struct fa_io *io;    /* NULL: not watched */
    uint32_t generation; /* of the registration; a new one with every fa_io_add */
};

/* Two levels, so that a huge descriptor number costs a few pages and slots never move. */
struct fa__watchers {
    struct fa__watcher_slot **chunks;
    size_t chunk_count;
};

/* Unlinks every watcher and frees the table. */
void fa__watchers_clean_up(struct fa__watchers *watchers);

/* For a descriptor that the kernel has just handed out: a watcher that is registered under its
 * number was left behind by a close() without fa_io_remove() and is unregistered. Its fa_io then
 * has no reactor and the descriptor -1, so that whoever owns it cannot reach the new file. On
 * the reactor's thread. */
void fa__watchers_evict(struct fa_reactor *reactor, int fd);

#endif
