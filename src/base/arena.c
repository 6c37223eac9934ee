/* SPDX-License-Identifier: MIT */
/* arena.c - see arena.h. A block is a header followed by its bytes; the newest block
 * serves, and one that a request does not fit in is simply left behind. */
#include "base/arena.h"

#include <fasterapi/error.h>

#define ALIGN _Alignof(max_align_t)
#define BLOCK_BYTES ((size_t)4096)

struct fa__arena_block {
    struct fa__arena_block *older;
    size_t size; /* of the whole block, as the pool reported it */
};

#define HEADER_BYTES ((sizeof(struct fa__arena_block) + ALIGN - 1) / ALIGN * ALIGN)

void fa__arena_init(struct fa__arena *arena, struct fa_pool *pool)
{
    *arena = (struct fa__arena){.pool = pool};
}

static int add_block(struct fa__arena *arena, size_t payload)
{
    size_t want;
    if (__builtin_add_overflow(payload, HEADER_BYTES, &want))
        return FA_ENOMEM;
    if (want < BLOCK_BYTES)
        want = BLOCK_BYTES;
    size_t size;
    struct fa__arena_block *block = fa_pool_acquire(arena->pool, want, &size);
    if (block == NULL)
        return FA_ENOMEM;
    block->older = arena->blocks;
    block->size = size;
    arena->blocks = block;
    arena->next = (char *)block + HEADER_BYTES;
    arena->end = (char *)block + size;
    return 0;
}

void *fa__arena_alloc(struct fa__arena *arena, size_t size)
{
    size_t rounded;
    if (__builtin_add_overflow(size, ALIGN - 1, &rounded))
        return NULL;
    rounded = rounded / ALIGN * ALIGN;
    if (rounded == 0)
        rounded = ALIGN;
    if ((size_t)(arena->end - arena->next) < rounded && add_block(arena, rounded) < 0)
        return NULL;
    void *ptr = arena->next;
    arena->next += rounded;
    return ptr;
}

int fa__arena_copy(struct fa__arena *arena, struct fa_span data, struct fa_span *out)
{
    char *copy = fa__arena_alloc(arena, data.len);
    if (copy == NULL)
        return FA_ENOMEM;
    if (data.len > 0)
        memcpy(copy, data.ptr, data.len);
    *out = fa_span(copy, data.len);
    return 0;
}

void fa__arena_reset(struct fa__arena *arena)
{
    while (arena->blocks != NULL) {
        struct fa__arena_block *block = arena->blocks;
        arena->blocks = block->older;
        fa_pool_release(arena->pool, block, block->size);
    }
    arena->next = NULL;
    arena->end = NULL;
}
