/* SPDX-License-Identifier: MIT */
/* outq.h - the output of one connection: copied bytes, borrowed spans and file ranges in
 * order, written with as few system calls as possible. Belongs to the reactor's thread.
 *
 * Appending never touches the socket; fa__outq_flush does, typically once per turn of the
 * loop and connection. An append that fails changes nothing. */
#ifndef FA_NET_OUTQ_H
#define FA_NET_OUTQ_H

#include <fasterapi/buf.h>
#include <fasterapi/error.h>

struct fa__outq_seg;

/* Called exactly once for each borrowed span that was accepted: when its last byte is in
 * the kernel, when the queue is cleaned up, or at once when the span was short enough to be
 * copied. Flush and clean_up call it as the last thing they do, when they are through with
 * the queue: the callback may do anything with it, even free it. */
typedef void fa__outq_release_fn(void *user);

struct fa__outq {
    /* read-only */
    size_t queued;        /* bytes held in memory: copied and borrowed */
    uint64_t file_queued; /* bytes of file ranges still to send */
    uint64_t sent;        /* bytes the kernel has taken since init; rises with progress */
    /* private */
    struct fa_pool *pool;
    struct fa__outq_seg *first;
    struct fa__outq_seg *last;
    struct fa__outq_seg *reserved; /* between reserve and commit, when it needed a new one */
};

/* An empty queue; nothing is allocated before the first append, nor kept when the queue has
 * run empty. `pool` must outlive it. */
void fa__outq_init(struct fa__outq *q, struct fa_pool *pool);

/* Drops what is queued, with every release called and every file closed. The queue is empty
 * before the first of them is called, and may be used again. */
void fa__outq_clean_up(struct fa__outq *q);

static inline bool fa__outq_empty(const struct fa__outq *q)
{
    return q->first == NULL;
}

/* Appends a copy. Returns 0 or FA_ENOMEM. */
int fa__outq_write(struct fa__outq *q, struct fa_span data) FA_MUST_CHECK;

/* `size` contiguous bytes at the end of the queue for the caller to fill, before any other
 * call on the queue; NULL without memory. Then fa__outq_commit says how many were used
 * (<= size, 0 allowed). For response heads. */
char *fa__outq_reserve(struct fa__outq *q, size_t size) FA_MUST_CHECK;
void fa__outq_commit(struct fa__outq *q, size_t used);

/* Appends without a copy: `data` must stay valid until `release(user)`; `release` may be
 * NULL for static bytes. Spans under FA__OUTQ_COPY_BYTES are copied and released before
 * this returns. Returns 0, or FA_ENOMEM: then `release` is not called. */
#define FA__OUTQ_COPY_BYTES 2048
int fa__outq_borrow(struct fa__outq *q, struct fa_span data, fa__outq_release_fn *release,
                    void *user) FA_MUST_CHECK;

/* Appends `length` bytes of the open file from `offset`; the queue owns and closes `file_fd`
 * if and only if 0 is returned. Returns 0, FA_EINVAL (negative offset or length), FA_ENOMEM. */
int fa__outq_file(struct fa__outq *q, int file_fd, int64_t offset, int64_t length) FA_MUST_CHECK;

/* Writes to the non-blocking stream socket: one sendmsg of at most 64 pieces for a run of
 * memory, one sendfile for a file range; a handful of calls at the most, so that one
 * connection cannot hold the loop. Never raises SIGPIPE. Returns
 *   0               everything is in the kernel
 *   FA_EAGAIN       something is left: flush again when the socket is writable (it may be
 *                   already: a level-triggered watcher then fires in the next turn)
 *   FA_ETRUNCATED   a file ended before its range did: the message cannot be completed
 *   FA_EPIPE, FA_ECONNRESET, FA_ENOMEM, FA_ESYS ...   the connection is dead
 * After an error other than FA_EAGAIN nothing more can be sent; clean up. */
int fa__outq_flush(struct fa__outq *q, int fd) FA_MUST_CHECK;

#endif
