/* SPDX-License-Identifier: MIT */
/* buf.h - owned, growable bytes, and the pool that recycles their storage.
 *
 * A pool belongs to one thread. It keeps up to a bounded number of freed blocks in each
 * of its size classes (powers of two from 1 KiB to 64 KiB) so that a connection that
 * wakes up finds a warm block; larger blocks go straight to the allocator. */
#ifndef FASTERAPI_BUF_H
#define FASTERAPI_BUF_H

#include <fasterapi/span.h>

#define FA_POOL_CLASSES 7 /* 1, 2, 4, 8, 16, 32, 64 KiB */

struct fa_pool {
    /* private */
    void *free_list[FA_POOL_CLASSES];
    unsigned free_count[FA_POOL_CLASSES];
    unsigned max_per_class;
};

struct fa_buf {
    /* read-only */
    char *data; /* NULL while cap is 0 */
    size_t len; /* bytes in use */
    size_t cap; /* bytes owned */
    /* private */
    struct fa_pool *pool; /* NULL: plain allocations */
};

FA_BEGIN_DECLS

/* Empty pool that keeps at most `max_per_class` free blocks of each size. */
FA_API void fa_pool_init(struct fa_pool *pool, unsigned max_per_class);
FA_API void fa_pool_clean_up(struct fa_pool *pool);

/* A block of at least `min_size` bytes, its true size in `*size`; NULL without memory. */
FA_API void *fa_pool_acquire(struct fa_pool *pool, size_t min_size, size_t *size) FA_MUST_CHECK;

/* Takes back a block of the `size` that fa_pool_acquire reported. NULL is allowed. */
FA_API void fa_pool_release(struct fa_pool *pool, void *block, size_t size);

/* An empty buffer; nothing is allocated yet. `pool` (may be NULL) must outlive it. */
FA_API void fa_buf_init(struct fa_buf *buf, struct fa_pool *pool);

/* Gives the storage back; the buffer is empty and may be used again. */
FA_API void fa_buf_clean_up(struct fa_buf *buf);

/* Room for `extra` more bytes behind `len`. Returns 0, FA_ENOMEM or FA_EOVERFLOW; on
 * failure the buffer is unchanged. Growth doubles, so appending is linear overall. */
FA_API int fa_buf_reserve(struct fa_buf *buf, size_t extra) FA_MUST_CHECK;

/* Appends a copy of `data`, which may not lie in the buffer itself. Returns 0, FA_ENOMEM or
 * FA_EOVERFLOW; on failure nothing changed. */
FA_API int fa_buf_append(struct fa_buf *buf, struct fa_span data) FA_MUST_CHECK;

/* Drops `count` bytes from the front (count <= len) and moves the rest down. */
FA_API void fa_buf_consume(struct fa_buf *buf, size_t count);

FA_END_DECLS

static inline struct fa_span fa_buf_span(const struct fa_buf *buf)
{
    return (struct fa_span){buf->data, buf->len};
}

#endif
