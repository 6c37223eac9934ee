/* SPDX-License-Identifier: MIT */
/* fuzz_h1_chunked.c - the chunked decoder. The first byte of an input seeds the cuts; the rest,
 * the body, is decoded whole, in random pieces and, where short, byte by byte. All must agree in
 * result, bytes consumed and data; every call must consume something, and data must lie in what it
 * consumed. A body that was accepted, written as one chunk, decodes to the same data. */
#include <stdlib.h>

#include <fasterapi/compiler.h>

#include "proto/h1/h1.h"

#define MAX_INPUT 16384

#define REQUIRE(expr)                                                                              \
    do {                                                                                           \
        if (!(expr))                                                                               \
            fa_assert_failed(#expr, __FILE__, __LINE__);                                           \
    } while (0)

struct decode {
    struct fa__h1_chunked dec;
    int err;
    size_t used;
    size_t len;
    char data[MAX_INPUT];
};

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 16;
}

/* One piece, from a heap block of its exact size. */
static void feed(struct decode *decode, struct fa_span piece)
{
    char *copy = malloc(piece.len);
    REQUIRE(copy != NULL);
    memcpy(copy, piece.ptr, piece.len);
    struct fa_span rest = fa_span(copy, piece.len);
    while (rest.len > 0 && !decode->dec.done && decode->err == 0) {
        struct fa_span data;
        ssize_t rc = fa__h1_chunked_decode(&decode->dec, rest, &data);
        if (rc < 0) {
            decode->err = (int)rc;
            REQUIRE(fa__h1_chunked_decode(&decode->dec, rest, &data) == rc);
            break;
        }
        REQUIRE(rc > 0 && (size_t)rc <= rest.len);
        REQUIRE(data.ptr >= rest.ptr && data.ptr + data.len <= rest.ptr + rc);
        memcpy(decode->data + decode->len, data.ptr, data.len);
        decode->len += data.len;
        decode->used += (size_t)rc;
        rest = fa_span(rest.ptr + rc, rest.len - (size_t)rc);
    }
    free(copy);
}

/* Pieces of 1 to `step` bytes; 0: all at once. */
static void decode_pieces(struct decode *decode, struct fa_span in, uint32_t step, uint32_t seed)
{
    memset(decode, 0, sizeof(*decode));
    fa__h1_chunked_init(&decode->dec);
    while (in.len > 0 && decode->err == 0 && !decode->dec.done) {
        size_t want = step == 0 ? in.len : 1 + next_random(&seed) % step;
        size_t len = want < in.len ? want : in.len;
        feed(decode, fa_span(in.ptr, len));
        in = fa_span(in.ptr + len, in.len - len);
    }
}

static void compare(const struct decode *a, const struct decode *b)
{
    REQUIRE(a->err == b->err && a->dec.done == b->dec.done);
    REQUIRE(a->len == b->len && memcmp(a->data, b->data, a->len) == 0);
    REQUIRE(a->err != 0 || a->used == b->used);
}

static void check_round_trip(const struct decode *decode)
{
    static char wire[MAX_INPUT + 64];
    static struct decode again;
    size_t len = 0;
    if (decode->len > 0) {
        len = fa__h1_chunk_line(wire, decode->len);
        memcpy(wire + len, decode->data, decode->len);
        len += decode->len;
        memcpy(wire + len, "\r\n", 2);
        len += 2;
    }
    memcpy(wire + len, "0\r\n\r\n", 5);
    decode_pieces(&again, fa_span(wire, len + 5), 0, 0);
    REQUIRE(again.dec.done && again.len == decode->len);
    REQUIRE(memcmp(again.data, decode->data, decode->len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct decode reference;
    static struct decode other;
    if (size == 0 || size > MAX_INPUT)
        return 0;
    struct fa_span input = fa_span(data + 1, size - 1);
    decode_pieces(&reference, input, 0, 0);
    if (reference.dec.done)
        check_round_trip(&reference);
    decode_pieces(&other, input, size <= 1024 ? 40 : 400, data[0]);
    compare(&reference, &other);
    if (size <= 1024) {
        decode_pieces(&other, input, 1, 0);
        compare(&reference, &other);
    }
    return 0;
}
