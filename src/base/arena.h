/* SPDX-License-Identifier: MIT */
/* arena.h - memory that lives as long as one request: bump allocation, freed in one call.
 * One thread. Blocks come from the connection's pool. */
#ifndef FA_BASE_ARENA_H
#define FA_BASE_ARENA_H

#include <fasterapi/buf.h>

struct fa__arena_block;

struct fa__arena {
    struct fa_pool *pool;
    struct fa__arena_block *blocks; /* newest first */
    char *next;
    char *end;
};

/* An empty arena; nothing is allocated yet. `pool` must outlive it. */
void fa__arena_init(struct fa__arena *arena, struct fa_pool *pool);

/* `size` bytes aligned for any type, valid until fa__arena_reset; NULL without memory or
 * when the size overflows. */
void *fa__arena_alloc(struct fa__arena *arena, size_t size) FA_MUST_CHECK;

/* A copy of `data` in the arena; `*out` is it. Returns 0 or FA_ENOMEM. */
int fa__arena_copy(struct fa__arena *arena, struct fa_span data, struct fa_span *out) FA_MUST_CHECK;

/* Gives every block back to the pool; the arena may be used again. */
void fa__arena_reset(struct fa__arena *arena);

#endif
