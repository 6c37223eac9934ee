/* SPDX-License-Identifier: MIT */
/* alloc.c - the process's allocation functions and, per thread, the counters that tests
 * read and the failure they ask for. The functions are set before threads start and only
 * read afterwards; the counters are thread-local, so nothing here is shared. */
#include <fasterapi/alloc.h>

#include <stdlib.h>
#include <string.h>

static struct fa_allocator current = {malloc, realloc, free};

static __thread uint64_t attempts;
static __thread int64_t live;
static __thread uint64_t fail_at; /* value of `attempts` from which all fail; 0 = never */

void fa_set_allocator(const struct fa_allocator *allocator)
{
    if (allocator == NULL)
        current = (struct fa_allocator){malloc, realloc, free};
    else
        current = *allocator;
}

/* No object may be larger than PTRDIFF_MAX; an embedding program's functions need not know. */
static bool must_fail(size_t size)
{
    attempts++;
    return FA_UNLIKELY((fail_at != 0 && attempts >= fail_at) || size > PTRDIFF_MAX);
}

void *fa_malloc(size_t size)
{
    if (must_fail(size))
        return NULL;
    void *ptr = current.malloc_fn(size != 0 ? size : 1);
    if (ptr != NULL)
        live++;
    return ptr;
}

void *fa_calloc(size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        return NULL;
    void *ptr = fa_malloc(total);
    if (ptr != NULL)
        memset(ptr, 0, total);
    return ptr;
}

void *fa_realloc(void *ptr, size_t size)
{
    if (ptr == NULL)
        return fa_malloc(size);
    if (must_fail(size))
        return NULL;
    return current.realloc_fn(ptr, size != 0 ? size : 1);
}

void fa_free(void *ptr)
{
    if (ptr == NULL)
        return;
    live--;
    current.free_fn(ptr);
}

void fa_alloc_fail_nth(uint64_t n)
{
    if (n == 0)
        fail_at = 0;
    else if (__builtin_add_overflow(attempts, n, &fail_at))
        fail_at = UINT64_MAX; /* never reached */
}

uint64_t fa_alloc_count(void)
{
    return attempts;
}

int64_t fa_alloc_live(void)
{
    return live;
}
