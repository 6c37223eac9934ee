/* SPDX-License-Identifier: MIT */
/* arena.c - bump allocation: alignment, blocks of every size, overflow, reuse. */
#include "check.h"

#include "base/arena.h"

#include <fasterapi/error.h>

TEST(memory_is_aligned_and_distinct)
{
    struct fa_pool pool;
    struct fa__arena arena;
    fa_pool_init(&pool, 4);
    fa__arena_init(&arena, &pool);
    static unsigned char *blocks[400];
    for (size_t i = 0; i < FA_ARRAY_LEN(blocks); i++) {
        blocks[i] = fa__arena_alloc(&arena, i);
        CHECK(blocks[i] != NULL);
        CHECK_INT((uintptr_t)blocks[i] % _Alignof(max_align_t), 0);
        memset(blocks[i], (int)(i & 0xff), i);
    }
    for (size_t i = 0; i < FA_ARRAY_LEN(blocks); i++) {
        for (size_t j = 0; j < i; j++)
            CHECK_INT(blocks[i][j], i & 0xff);
    }
    CHECK(blocks[0] != blocks[1]);
    fa__arena_reset(&arena);
    fa__arena_reset(&arena);
    fa_pool_clean_up(&pool);
}

TEST(large_and_impossible_sizes)
{
    struct fa_pool pool;
    struct fa__arena arena;
    fa_pool_init(&pool, 4);
    fa__arena_init(&arena, &pool);
    static const size_t sizes[] = {4000, 4096, 65000, 65536, 70000, 1 << 20};
    for (size_t i = 0; i < FA_ARRAY_LEN(sizes); i++) {
        char *block = fa__arena_alloc(&arena, sizes[i]);
        CHECK(block != NULL);
        memset(block, 'x', sizes[i]);
    }
    for (size_t less = 0; less < 40; less++)
        CHECK(fa__arena_alloc(&arena, SIZE_MAX - less) == NULL);
    CHECK(fa__arena_alloc(&arena, 8) != NULL);
    fa__arena_reset(&arena);
    fa_pool_clean_up(&pool);
}

TEST(copies)
{
    struct fa_pool pool;
    struct fa__arena arena;
    fa_pool_init(&pool, 4);
    fa__arena_init(&arena, &pool);
    struct fa_span a;
    struct fa_span b;
    char text[] = "hello";
    CHECK_INT(fa__arena_copy(&arena, fa_span_str(text), &a), 0);
    text[0] = 'j';
    CHECK_SPAN(a, "hello");
    CHECK_INT(fa__arena_copy(&arena, fa_span(NULL, 0), &b), 0);
    CHECK_INT(b.len, 0);
    fa__arena_reset(&arena);
    fa_pool_clean_up(&pool);
}

TEST(a_reset_arena_takes_its_blocks_from_the_pool)
{
    struct fa_pool pool;
    struct fa__arena arena;
    fa_pool_init(&pool, 4);
    fa__arena_init(&arena, &pool);
    CHECK(fa__arena_alloc(&arena, 3000) != NULL);
    CHECK(fa__arena_alloc(&arena, 3000) != NULL);
    fa__arena_reset(&arena);
    uint64_t count = fa_alloc_count();
    CHECK(fa__arena_alloc(&arena, 3000) != NULL);
    CHECK(fa__arena_alloc(&arena, 3000) != NULL);
    CHECK_INT(fa_alloc_count() - count, 0);
    fa__arena_reset(&arena);
    fa_pool_clean_up(&pool);
}

static void fill_under_failure(void)
{
    struct fa_pool pool;
    struct fa__arena arena;
    fa_pool_init(&pool, 1);
    fa__arena_init(&arena, &pool);
    for (size_t size = 1; size < 200000; size *= 3) {
        char *block = fa__arena_alloc(&arena, size);
        if (block != NULL)
            memset(block, 'x', size);
        struct fa_span copy = FA_SPAN("untouched");
        int err = fa__arena_copy(&arena, FA_SPAN("0123456789"), &copy);
        CHECK(err == 0 || err == FA_ENOMEM);
        CHECK_SPAN(copy, err == 0 ? "0123456789" : "untouched");
    }
    fa__arena_reset(&arena);
    fa_pool_clean_up(&pool);
}

TEST(every_allocation_may_fail)
{
    check_alloc_failures(fill_under_failure);
}

int main(void)
{
    RUN(memory_is_aligned_and_distinct);
    RUN(large_and_impossible_sizes);
    RUN(copies);
    RUN(a_reset_arena_takes_its_blocks_from_the_pool);
    RUN(every_allocation_may_fail);
    return check_report();
}
