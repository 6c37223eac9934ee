/* SPDX-License-Identifier: MIT */
/* fuzz_h1_head.c - the request head parser. The first byte of an input chooses the limits and
 * where the rest, the head, is cut; the head is then parsed whole and in random pieces by
 * every scanner of the machine and, where short, byte by byte. All must agree in result and in
 * every span, spans must lie in the input, and no byte may be left unexamined. Every piece is a
 * heap block of its exact size, so that the sanitizer sees one byte too far. */
#include <stdlib.h>

#include <fasterapi/compiler.h>

#include "proto/h1/h1.h"

#define MAX_FIELDS 256
#define MAX_INPUT 8192

#define REQUIRE(expr)                                                                              \
    do {                                                                                           \
        if (!(expr))                                                                               \
            fa_assert_failed(#expr, __FILE__, __LINE__);                                           \
    } while (0)

static const struct fa__h1_limits limit_sets[] = {
    {65536, 65536, MAX_FIELDS},
    {64, 256, 4},
    {16, 40, 1},
    {0, 0, 0},
};

struct parse {
    ssize_t rc;
    char *bytes; /* the last piece */
    struct fa__h1_head head;
    struct fa_header headers[MAX_FIELDS];
};

static char *copy_of(struct fa_span bytes)
{
    char *copy = malloc(bytes.len > 0 ? bytes.len : 1);
    REQUIRE(copy != NULL);
    if (bytes.len > 0)
        memcpy(copy, bytes.ptr, bytes.len);
    return copy;
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 16;
}

/* Parses pieces that grow by 1 to `step` bytes at a time; 0: all at once. */
static void parse_pieces(struct parse *parse, struct fa_span input,
                         const struct fa__h1_limits *limits, uint32_t step, uint32_t seed)
{
    struct fa__h1_parser parser;
    fa__h1_parser_init(&parser);
    memset(parse, 0, sizeof(*parse));
    size_t len = 0;
    do {
        size_t grown = step == 0 ? input.len : len + 1 + next_random(&seed) % step;
        len = grown < input.len ? grown : input.len;
        free(parse->bytes);
        parse->bytes = copy_of(fa_span(input.ptr, len));
        parse->rc = fa__h1_parse_head(&parser, fa_span(parse->bytes, len), limits, parse->headers,
                                      &parse->head);
        REQUIRE(parse->rc <= (ssize_t)len);
        REQUIRE(parse->rc != 0 || parser.pos == len);
    } while (parse->rc == 0 && len < input.len);
}

/* Both spans are the same piece of their inputs, or the same constant. */
static void require_same(const struct parse *a, struct fa_span in_a, const struct parse *b,
                         struct fa_span in_b)
{
    REQUIRE(in_a.len == in_b.len);
    if (in_a.len == 0)
        return;
    REQUIRE(memcmp(in_a.ptr, in_b.ptr, in_a.len) == 0);
    ptrdiff_t at = in_a.ptr - a->bytes;
    bool inside = at >= 0 && at + (ptrdiff_t)in_a.len <= a->rc;
    REQUIRE(inside ? in_b.ptr - b->bytes == at : in_a.ptr == in_b.ptr && in_a.len == 1);
}

static void compare_heads(const struct parse *a, const struct parse *b)
{
    const struct fa__h1_head *x = &a->head;
    const struct fa__h1_head *y = &b->head;
    require_same(a, x->method, b, y->method);
    require_same(a, x->target, b, y->target);
    require_same(a, x->path, b, y->path);
    require_same(a, x->query, b, y->query);
    require_same(a, x->authority, b, y->authority);
    require_same(a, x->host, b, y->host);
    require_same(a, x->upgrade, b, y->upgrade);
    REQUIRE(x->header_count == y->header_count && x->content_length == y->content_length);
    REQUIRE(x->framing == y->framing && x->form == y->form);
    REQUIRE(x->version_minor == y->version_minor && x->keep_alive == y->keep_alive);
    REQUIRE(x->expect_continue == y->expect_continue && x->expect_unknown == y->expect_unknown);
    REQUIRE(x->trailers_ok == y->trailers_ok);
    for (size_t i = 0; i < x->header_count; i++) {
        require_same(a, x->headers[i].name, b, y->headers[i].name);
        require_same(a, x->headers[i].value, b, y->headers[i].value);
    }
}

/* What holds for every head that is accepted. */
static void check_head(const struct parse *parse, const struct fa__h1_limits *limits)
{
    const struct fa__h1_head *head = &parse->head;
    REQUIRE(head->header_count <= limits->header_fields);
    REQUIRE(head->method.len > 0 && head->target.len > 0 && head->version_minor <= 1);
    REQUIRE((head->framing == FA__H1_LENGTH) == (head->content_length > 0));
    REQUIRE(head->framing != FA__H1_CHUNKED || head->version_minor == 1);
    REQUIRE(!head->expect_continue || head->framing != FA__H1_NO_BODY);
    REQUIRE(memcmp(parse->bytes + parse->rc - 2, "\r\n", 2) == 0);
    size_t bytes = 0;
    for (size_t i = 0; i < head->header_count; i++) {
        REQUIRE(head->headers[i].name.len > 0);
        bytes += head->headers[i].name.len + 32;
        /* An absolute target's authority stands for Host, and was counted with its line. */
        if (head->headers[i].value.ptr != head->authority.ptr)
            bytes += head->headers[i].value.len;
    }
    REQUIRE(bytes <= limits->header_bytes);
}

static void compare(const struct parse *reference, struct parse *other)
{
    REQUIRE(reference->rc == other->rc);
    if (reference->rc > 0)
        compare_heads(reference, other);
    free(other->bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const scanners[] = {"scalar", "sse4.2", "avx2", "neon"};
    static struct parse reference;
    static struct parse other;
    if (size == 0 || size > MAX_INPUT)
        return 0;
    const struct fa__h1_limits *limits = &limit_sets[data[0] % FA_ARRAY_LEN(limit_sets)];
    struct fa_span input = fa_span(data + 1, size - 1);
    REQUIRE(fa__h1_simd_select("scalar") == 0);
    parse_pieces(&reference, input, limits, 0, 0);
    if (reference.rc > 0)
        check_head(&reference, limits);
    for (size_t i = 0; i < FA_ARRAY_LEN(scanners); i++) {
        if (fa__h1_simd_select(scanners[i]) < 0)
            continue;
        parse_pieces(&other, input, limits, 0, 0);
        compare(&reference, &other);
        parse_pieces(&other, input, limits, size <= 1024 ? 40 : 800, data[0]);
        compare(&reference, &other);
    }
    if (size <= 1024) {
        parse_pieces(&other, input, limits, 1, 0);
        compare(&reference, &other);
    }
    free(reference.bytes);
    return 0;
}
