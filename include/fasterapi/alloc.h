/* SPDX-License-Identifier: MIT */
/* alloc.h - the one way the library gets memory. Nothing in it calls malloc itself, so
 * that an embedding program can supply its own functions and a test can fail the n-th
 * allocation of a thread. */
#ifndef FASTERAPI_ALLOC_H
#define FASTERAPI_ALLOC_H

#include <fasterapi/compiler.h>

struct fa_allocator {
    void *(*malloc_fn)(size_t size);
    void *(*realloc_fn)(void *ptr, size_t size);
    void (*free_fn)(void *ptr);
};

FA_BEGIN_DECLS

/* Replaces malloc, realloc and free for the whole process. Call it before any other
 * function of the library; `allocator` is copied, NULL restores the C library's. */
FA_API void fa_set_allocator(const struct fa_allocator *allocator);

/* As malloc, calloc and realloc: NULL when there is no memory, the size overflows or
 * exceeds PTRDIFF_MAX. A size of 0 allocates one byte. fa_free(NULL) does nothing. */
FA_API void *fa_malloc(size_t size) FA_MUST_CHECK;
FA_API void *fa_calloc(size_t count, size_t size) FA_MUST_CHECK;
FA_API void *fa_realloc(void *ptr, size_t size) FA_MUST_CHECK;
FA_API void fa_free(void *ptr);

/* For tests, all per thread. fa_alloc_fail_nth(n): the n-th allocation from now on this
 * thread fails (1 = the next), and so does every later one until it is called with 0,
 * as in a process that is out of memory. fa_alloc_count: allocations attempted so far.
 * fa_alloc_live: allocations not yet freed (exact as long as blocks are freed on the
 * thread that took them). */
FA_API void fa_alloc_fail_nth(uint64_t n);
FA_API uint64_t fa_alloc_count(void);
FA_API int64_t fa_alloc_live(void);

FA_END_DECLS

#endif
