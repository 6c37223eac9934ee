/* SPDX-License-Identifier: MIT */
/* buf.c - pooled blocks and growable buffers (see buf.h). One thread per pool.
 *
 * A free block holds the pointer to the next free block of its class in its first bytes.
 * Last in, first out: the block handed out is the one most likely still in the cache. */
#include <fasterapi/buf.h>

#include <fasterapi/alloc.h>
#include <fasterapi/error.h>

#define MIN_CLASS_SHIFT 10 /* 1 KiB */

/* The class whose blocks hold `size` bytes, FA_POOL_CLASSES when none does. */
static unsigned class_of(size_t size)
{
    unsigned index = 0;
    while (index < FA_POOL_CLASSES && ((size_t)1 << (MIN_CLASS_SHIFT + index)) < size)
        index++;
    return index;
}

void fa_pool_init(struct fa_pool *pool, unsigned max_per_class)
{
    *pool = (struct fa_pool){.max_per_class = max_per_class};
}

void fa_pool_clean_up(struct fa_pool *pool)
{
    for (unsigned i = 0; i < FA_POOL_CLASSES; i++) {
        while (pool->free_list[i] != NULL) {
            void *block = pool->free_list[i];
            memcpy(&pool->free_list[i], block, sizeof(void *));
            fa_free(block);
        }
        pool->free_count[i] = 0;
    }
}

void *fa_pool_acquire(struct fa_pool *pool, size_t min_size, size_t *size)
{
    unsigned index = class_of(min_size);
    if (index == FA_POOL_CLASSES) {
        *size = min_size;
        return fa_malloc(min_size);
    }
    *size = (size_t)1 << (MIN_CLASS_SHIFT + index);
    void *block = pool->free_list[index];
    if (block == NULL)
        return fa_malloc(*size);
    memcpy(&pool->free_list[index], block, sizeof(void *));
    pool->free_count[index]--;
    return block;
}

void fa_pool_release(struct fa_pool *pool, void *block, size_t size)
{
    if (block == NULL)
        return;
    unsigned index = class_of(size);
    if (index == FA_POOL_CLASSES || pool->free_count[index] >= pool->max_per_class) {
        fa_free(block);
        return;
    }
    memcpy(block, &pool->free_list[index], sizeof(void *));
    pool->free_list[index] = block;
    pool->free_count[index]++;
}

void fa_buf_init(struct fa_buf *buf, struct fa_pool *pool)
{
    *buf = (struct fa_buf){.pool = pool};
}

static void give_back(struct fa_buf *buf)
{
    if (buf->pool != NULL)
        fa_pool_release(buf->pool, buf->data, buf->cap);
    else
        fa_free(buf->data);
}

void fa_buf_clean_up(struct fa_buf *buf)
{
    give_back(buf);
    fa_buf_init(buf, buf->pool);
}

int fa_buf_reserve(struct fa_buf *buf, size_t extra)
{
    size_t need;
    if (__builtin_add_overflow(buf->len, extra, &need) || need > SIZE_MAX / 2)
        return FA_EOVERFLOW;
    if (need <= buf->cap)
        return 0;
    size_t want = buf->cap * 2 > need ? buf->cap * 2 : need;
    if (buf->pool == NULL) {
        char *grown = fa_realloc(buf->data, want);
        if (grown == NULL)
            return FA_ENOMEM;
        buf->data = grown;
        buf->cap = want;
        return 0;
    }
    size_t size;
    char *block = fa_pool_acquire(buf->pool, want, &size);
    if (block == NULL)
        return FA_ENOMEM;
    if (buf->len > 0)
        memcpy(block, buf->data, buf->len);
    give_back(buf);
    buf->data = block;
    buf->cap = size;
    return 0;
}

int fa_buf_append(struct fa_buf *buf, struct fa_span data)
{
    int err = fa_buf_reserve(buf, data.len);
    if (err < 0)
        return err;
    if (data.len > 0)
        memcpy(buf->data + buf->len, data.ptr, data.len);
    buf->len += data.len;
    return 0;
}

void fa_buf_consume(struct fa_buf *buf, size_t count)
{
    FA_ASSERT(count <= buf->len);
    buf->len -= count;
    if (buf->len > 0)
        memmove(buf->data, buf->data + count, buf->len);
}
