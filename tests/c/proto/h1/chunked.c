/* SPDX-License-Identifier: MIT */
/* The chunked coding: tests/data/h1/chunked.txt whole, byte by byte and cut at every place,
 * each piece ending at an inaccessible page. */
#include "vectors.h"

static const char *vector_path;

struct decode {
    struct fa__h1_chunked dec;
    char body[VECTOR_MAX_INPUT];
    size_t body_len;
    size_t used;
};

/* Feeds `piece` until nothing of it is consumed any more. Returns 0 or the error. */
static int feed(struct decode *decode, struct fa_span piece)
{
    size_t used = 0;
    while (used < piece.len && !decode->dec.done) {
        struct fa_span data;
        struct fa_span in = fa_span(piece.ptr + used, piece.len - used);
        ssize_t rc = fa__h1_chunked_decode(&decode->dec, in, &data);
        if (rc < 0)
            return (int)rc;
        CHECK(rc > 0 && (size_t)rc <= in.len);
        CHECK(data.len == 0 || (data.ptr >= in.ptr && data.ptr + data.len <= in.ptr + rc));
        if (data.len > 0)
            memcpy(decode->body + decode->body_len, data.ptr, data.len);
        decode->body_len += data.len;
        used += (size_t)rc;
    }
    decode->used += used;
    return 0;
}

static void check_outcome(const struct vector *vector, struct decode *decode, int err,
                          const char *how, size_t where)
{
    VECTOR_CHECK(vector, vector_wants(vector, decode->dec.done, err), how, where);
    if (err < 0) {
        struct fa_span data;
        CHECK_INT(fa__h1_chunked_decode(&decode->dec, FA_SPAN("0\r\n\r\n"), &data), err);
        return;
    }
    if (vector->has_body)
        VECTOR_CHECK(vector, fa_span_eq(fa_span(decode->body, decode->body_len), vector->body), how,
                     where);
    for (size_t i = 0; i < vector->key_count; i++) {
        CHECK(strcmp(vector->keys[i].key, "rest") == 0);
        int64_t rest;
        CHECK_INT(fa_span_to_int64(vector->keys[i].text, &rest), 0);
        VECTOR_CHECK(vector, (size_t)rest == vector->input.len - decode->used, how, where);
    }
}

static void decode_init(struct decode *decode)
{
    fa__h1_chunked_init(&decode->dec);
    decode->body_len = decode->used = 0;
}

/* Feeds a copy of `in` that ends at the guard page. */
static int feed_guarded(struct decode *decode, const struct check_guard *guard, struct fa_span in)
{
    char *copy = (char *)(uintptr_t)(guard->span.ptr + guard->span.len - in.len);
    if (in.len > 0)
        memcpy(copy, in.ptr, in.len);
    return feed(decode, fa_span(copy, in.len));
}

static void run_body(const struct vector *vector)
{
    static struct decode decode;
    struct fa_span in = vector->input;
    struct check_guard guard = check_guard_copy(in);
    decode_init(&decode);
    int err = 0;
    size_t len = 0;
    while (len < in.len && err == 0)
        err = feed_guarded(&decode, &guard, fa_span(in.ptr + len++, 1));
    check_outcome(vector, &decode, err, "byte by byte", len);
    if (vector->at != 0)
        VECTOR_CHECK(vector, (size_t)vector->at == len, "error after byte", len);
    for (size_t cut = 0; cut <= in.len; cut = vector_next_cut(cut, in.len)) {
        decode_init(&decode);
        err = feed_guarded(&decode, &guard, fa_span(in.ptr, cut));
        if (err == 0)
            err = feed_guarded(&decode, &guard, fa_span(in.ptr + cut, in.len - cut));
        check_outcome(vector, &decode, err, "cut at", cut);
    }
    check_guard_free(&guard);
}

TEST(vectors)
{
    struct vector_job job = {vector_path, run_body};
    vector_run_once(&job);
}

TEST(nothing_is_consumed_of_nothing)
{
    struct fa__h1_chunked dec;
    struct fa_span data;
    fa__h1_chunked_init(&dec);
    CHECK_INT(fa__h1_chunked_decode(&dec, fa_span(NULL, 0), &data), 0);
    CHECK_INT(data.len, 0);
}

/* A body may be long: data pays for its framing without end. */
TEST(overhead_is_paid_for_by_data)
{
    static char data_bytes[100];
    struct fa__h1_chunked dec;
    fa__h1_chunked_init(&dec);
    struct fa_span data;
    struct fa_span line = FA_SPAN(
        "64;signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\n");
    for (int i = 0; i < 10000; i++) {
        CHECK_INT(fa__h1_chunked_decode(&dec, line, &data), line.len);
        CHECK_INT(fa__h1_chunked_decode(&dec, fa_span(data_bytes, 100), &data), 100);
        CHECK_INT(fa__h1_chunked_decode(&dec, FA_SPAN("\r\n"), &data), 2);
    }
    CHECK_INT(fa__h1_chunked_decode(&dec, FA_SPAN("0\r\n\r\n"), &data), 5);
    CHECK(dec.done);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    vector_path = argv[1];
    RUN(vectors);
    RUN(nothing_is_consumed_of_nothing);
    RUN(overhead_is_paid_for_by_data);
    return check_report();
}
