/* SPDX-License-Identifier: MIT */
/* alloc.c - the allocation functions, their counters and the failures that tests ask for. */
#include "check.h"

#include <pthread.h>
#include <stdlib.h>

TEST(sizes_of_zero_and_overflow)
{
    void *ptr = fa_malloc(0);
    CHECK(ptr != NULL);
    *(char *)ptr = 'x';
    fa_free(ptr);
    ptr = fa_calloc(0, 16);
    CHECK(ptr != NULL);
    ptr = fa_realloc(ptr, 0);
    CHECK(ptr != NULL);
    fa_free(ptr);
    fa_free(NULL);
    CHECK(fa_calloc(SIZE_MAX / 2, 3) == NULL);
    CHECK(fa_malloc((size_t)PTRDIFF_MAX + 1) == NULL);
    CHECK(fa_realloc(NULL, SIZE_MAX) == NULL);
}

TEST(calloc_clears)
{
    unsigned char *bytes = fa_malloc(300);
    CHECK(bytes != NULL);
    memset(bytes, 0xff, 300);
    fa_free(bytes);
    bytes = fa_calloc(100, 3);
    CHECK(bytes != NULL);
    for (int i = 0; i < 300; i++)
        CHECK_INT(bytes[i], 0);
    fa_free(bytes);
}

TEST(realloc_keeps_the_bytes)
{
    char *text = fa_realloc(NULL, 4);
    CHECK(text != NULL);
    memcpy(text, "abc", 4);
    text = fa_realloc(text, 100000);
    CHECK(text != NULL);
    CHECK_SPAN(fa_span_str(text), "abc");
    fa_free(text);
}

TEST(counters_count)
{
    uint64_t count = fa_alloc_count();
    int64_t live = fa_alloc_live();
    void *a = fa_malloc(1);
    void *b = fa_calloc(1, 1);
    CHECK_INT(fa_alloc_live() - live, 2);
    b = fa_realloc(b, 50);
    CHECK_INT(fa_alloc_live() - live, 2);
    CHECK_INT(fa_alloc_count() - count, 3);
    fa_free(a);
    fa_free(b);
    CHECK_INT(fa_alloc_live() - live, 0);
    CHECK_INT(fa_alloc_count() - count, 3);
}

TEST(the_nth_allocation_fails_and_all_later_ones)
{
    fa_alloc_fail_nth(3);
    void *a = fa_malloc(1);
    void *b = fa_malloc(1);
    CHECK(a != NULL && b != NULL);
    CHECK(fa_realloc(a, 20) == NULL); /* and `a` is still there */
    CHECK(fa_malloc(1) == NULL);
    CHECK(fa_calloc(1, 1) == NULL);
    CHECK(fa_realloc(NULL, 1) == NULL);
    fa_free(a);
    fa_alloc_fail_nth(0);
    a = fa_malloc(1);
    CHECK(a != NULL);
    fa_free(a);
    fa_free(b);
    fa_alloc_fail_nth(UINT64_MAX); /* no allocation is that far away */
    a = fa_malloc(1);
    CHECK(a != NULL);
    fa_free(a);
}

static void *count_elsewhere(void *arg)
{
    uint64_t *result = arg;
    result[0] = fa_alloc_count();
    void *ptr = fa_malloc(1);
    result[1] = ptr != NULL;
    fa_free(ptr);
    return NULL;
}

TEST(failures_and_counters_belong_to_the_thread)
{
    uint64_t result[2] = {7, 7};
    pthread_t thread;
    fa_alloc_fail_nth(1);
    CHECK_INT(pthread_create(&thread, NULL, count_elsewhere, result), 0);
    pthread_join(thread, NULL);
    CHECK_INT(result[0], 0);
    CHECK_INT(result[1], 1);
}

static int own_calls;

static void *own_malloc(size_t size)
{
    own_calls++;
    return malloc(size);
}

static void *own_realloc(void *ptr, size_t size)
{
    own_calls += 10;
    return realloc(ptr, size);
}

static void own_free(void *ptr)
{
    own_calls += 100;
    free(ptr);
}

TEST(an_allocator_of_ones_own)
{
    static const struct fa_allocator own = {own_malloc, own_realloc, own_free};
    fa_set_allocator(&own);
    void *ptr = fa_calloc(2, 2);
    ptr = fa_realloc(ptr, 8);
    fa_free(ptr);
    fa_set_allocator(NULL);
    CHECK_INT(own_calls, 111);
    ptr = fa_malloc(1);
    fa_free(ptr);
    CHECK_INT(own_calls, 111);
}

int main(void)
{
    RUN(sizes_of_zero_and_overflow);
    RUN(calloc_clears);
    RUN(realloc_keeps_the_bytes);
    RUN(counters_count);
    RUN(the_nth_allocation_fails_and_all_later_ones);
    RUN(failures_and_counters_belong_to_the_thread);
    RUN(an_allocator_of_ones_own);
    return check_report();
}
