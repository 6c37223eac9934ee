/* SPDX-License-Identifier: MIT */
/* buf.c - the block pool and growable buffers, with a pool and without. */
#include "check.h"

#include <fasterapi/buf.h>
#include <fasterapi/error.h>

TEST(pool_sizes)
{
    struct fa_pool pool;
    fa_pool_init(&pool, 2);
    static const size_t want[] = {0, 1, 1024, 1025, 2048, 40000, 65536, 65537, 100000};
    static const size_t have[] = {1024, 1024, 1024, 2048, 2048, 65536, 65536, 65537, 100000};
    for (size_t i = 0; i < FA_ARRAY_LEN(want); i++) {
        size_t size;
        char *block = fa_pool_acquire(&pool, want[i], &size);
        CHECK(block != NULL);
        CHECK_INT(size, have[i]);
        memset(block, 'x', size);
        fa_pool_release(&pool, block, size);
    }
    fa_pool_release(&pool, NULL, 0);
    fa_pool_clean_up(&pool);
    fa_pool_clean_up(&pool);
}

TEST(pool_recycles_the_newest_block_and_is_bounded)
{
    struct fa_pool pool;
    fa_pool_init(&pool, 2);
    int64_t live = fa_alloc_live();
    size_t size;
    void *blocks[4];
    for (int i = 0; i < 4; i++) {
        blocks[i] = fa_pool_acquire(&pool, 4096, &size);
        CHECK(blocks[i] != NULL);
    }
    for (int i = 0; i < 4; i++)
        fa_pool_release(&pool, blocks[i], size);
    CHECK_INT(fa_alloc_live() - live, 2);
    uint64_t count = fa_alloc_count();
    CHECK(fa_pool_acquire(&pool, 4000, &size) == blocks[1]);
    CHECK(fa_pool_acquire(&pool, 4000, &size) == blocks[0]);
    CHECK_INT(fa_alloc_count() - count, 0);
    fa_pool_release(&pool, blocks[0], size);
    fa_pool_release(&pool, blocks[1], size);
    fa_pool_clean_up(&pool);
    CHECK_INT(fa_alloc_live() - live, 0);
}

static void append_and_compare(struct fa_pool *pool)
{
    static char expected[200000];
    struct fa_buf buf;
    size_t len = 0;
    fa_buf_init(&buf, pool);
    CHECK_INT(fa_buf_append(&buf, fa_span(NULL, 0)), 0);
    CHECK(buf.data == NULL && buf.cap == 0);
    uint64_t count = fa_alloc_count();
    for (size_t i = 0; len + i < sizeof(expected); i++) {
        memset(expected + len, (int)('a' + i % 26), i);
        CHECK_INT(fa_buf_append(&buf, fa_span(expected + len, i)), 0);
        len += i;
        CHECK(buf.cap >= buf.len);
    }
    CHECK_INT(buf.len, len);
    CHECK(memcmp(buf.data, expected, len) == 0);
    CHECK(fa_alloc_count() - count < 24); /* growth doubles */
    CHECK_INT(fa_buf_span(&buf).len, len);
    fa_buf_clean_up(&buf);
    CHECK(buf.data == NULL && buf.len == 0 && buf.cap == 0 && buf.pool == pool);
    fa_buf_clean_up(&buf);
}

TEST(buffers_grow)
{
    struct fa_pool pool;
    fa_pool_init(&pool, 4);
    append_and_compare(&pool);
    append_and_compare(NULL);
    fa_pool_clean_up(&pool);
}

TEST(reserve_makes_room)
{
    struct fa_buf buf;
    fa_buf_init(&buf, NULL);
    CHECK_INT(fa_buf_reserve(&buf, 0), 0);
    CHECK_INT(fa_buf_reserve(&buf, 100), 0);
    CHECK(buf.cap >= 100 && buf.len == 0);
    memset(buf.data, 'x', 100);
    buf.len = 100;
    char *data = buf.data;
    CHECK_INT(fa_buf_reserve(&buf, buf.cap - 100), 0);
    CHECK(buf.data == data);
    CHECK_INT(fa_buf_reserve(&buf, SIZE_MAX), FA_EOVERFLOW);
    CHECK_INT(fa_buf_reserve(&buf, SIZE_MAX / 2), FA_EOVERFLOW);
    CHECK_INT(buf.len, 100);
    fa_buf_clean_up(&buf);
}

TEST(consume_drops_the_front)
{
    struct fa_buf buf;
    fa_buf_init(&buf, NULL);
    CHECK_INT(fa_buf_append(&buf, FA_SPAN("hello world")), 0);
    fa_buf_consume(&buf, 0);
    CHECK_SPAN(fa_buf_span(&buf), "hello world");
    fa_buf_consume(&buf, 6);
    CHECK_SPAN(fa_buf_span(&buf), "world");
    fa_buf_consume(&buf, 5);
    CHECK_INT(buf.len, 0);
    fa_buf_consume(&buf, 0);
    fa_buf_clean_up(&buf);
    fa_buf_consume(&buf, 0);
}

static void append_under_failure(void)
{
    struct fa_pool pool;
    fa_pool_init(&pool, 1);
    for (int pooled = 0; pooled < 2; pooled++) {
        struct fa_buf buf;
        fa_buf_init(&buf, pooled != 0 ? &pool : NULL);
        size_t expected = 0;
        for (int i = 0; i < 3000; i++) {
            struct fa_buf before = buf;
            int err = fa_buf_append(&buf, FA_SPAN("0123456789012345678901234567890123456789"));
            CHECK(err == 0 || err == FA_ENOMEM);
            expected += err == 0 ? 40 : 0;
            if (err < 0)
                CHECK(memcmp(&before, &buf, sizeof(buf)) == 0);
        }
        CHECK_INT(buf.len, expected);
        for (size_t i = 0; i < buf.len; i++)
            CHECK_INT(buf.data[i], '0' + (int)(i % 10));
        fa_buf_clean_up(&buf);
    }
    fa_pool_clean_up(&pool);
}

TEST(every_allocation_may_fail)
{
    check_alloc_failures(append_under_failure);
}

int main(void)
{
    RUN(pool_sizes);
    RUN(pool_recycles_the_newest_block_and_is_bounded);
    RUN(buffers_grow);
    RUN(reserve_makes_room);
    RUN(consume_drops_the_front);
    RUN(every_allocation_may_fail);
    return check_report();
}
