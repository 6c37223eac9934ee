/* SPDX-License-Identifier: MIT */
/* Every scanner of this machine against the scalar one, and that against the grammar: single
 * stop bytes at every place of windows of every small size, and random field sections. All
 * windows end at an inaccessible page. */
#include <fasterapi/error.h>

#include "proto/h1/syntax.h"
#include "scanners.h"

#define WINDOW 100

static const char *(*scan_of(const struct fa__h1_scanner *scanner,
                             unsigned class_bit))(const char *, const struct fa__h1_window *)
{
    return class_bit == FA__H1_TOKEN   ? scanner->token
           : class_bit == FA__H1_VALUE ? scanner->value
                                       : scanner->path;
}

/* A window of `len` bytes 'a' in front of the guard page. */
static struct fa__h1_window window_of(const struct check_guard *guard, size_t len)
{
    const char *end = guard->span.ptr + guard->span.len;
    memset((char *)(uintptr_t)(end - len), 'a', len);
    return (struct fa__h1_window){.base = end - len, .end = end};
}

static void check_every_byte(const struct check_guard *guard, unsigned class_bit, size_t len,
                             size_t at)
{
    struct fa__h1_window window = window_of(guard, len);
    char *place = (char *)(uintptr_t)(window.base + at);
    for (int c = 0; c < 256; c++) {
        *place = (char)c;
        const char *expected = fa__h1_is((char)c, class_bit) ? window.end : place;
        for (size_t from = at > 3 ? at - 3 : 0; from <= at; from++)
            CHECK(scan_of(fa__h1_scan, class_bit)(window.base + from, &window) == expected);
        CHECK(scan_of(fa__h1_scan, class_bit)(window.base, &window) == expected);
    }
}

static void check_scans(void *arg)
{
    static const unsigned classes[] = {FA__H1_TOKEN, FA__H1_VALUE, FA__H1_PATH};
    static const char zeros[WINDOW];
    struct check_guard guard = check_guard_copy(fa_span(zeros, sizeof(zeros)));
    for (size_t i = 0; i < FA_ARRAY_LEN(classes); i++) {
        for (size_t len = 0; len <= WINDOW; len++) {
            struct fa__h1_window window = window_of(&guard, len);
            CHECK(scan_of(fa__h1_scan, classes[i])(window.end, &window) == window.end);
            for (size_t at = 0; at < len; at++)
                check_every_byte(&guard, classes[i], len, at);
        }
    }
    check_guard_free(&guard);
}

TEST(single_bytes)
{
    for_each_scanner(check_scans, NULL);
}

/* ---- field sections -------------------------------------------------------------------- */

#define MAX_SECTION 400
#define MAX_LINES 8

static uint64_t random_state;

static uint32_t next_random(uint32_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 11) % below;
}

/* Well-formed lines of random lengths, with a wrong byte now and then. */
static size_t random_section(char *out)
{
    size_t len = 0;
    while (len < MAX_SECTION - 140 && next_random(6) != 0) {
        for (uint32_t n = next_random(40) + 1; n > 0; n--)
            out[len++] = "abc-XYZ"[next_random(7)];
        out[len++] = ':';
        for (uint32_t n = next_random(80); n > 0; n--)
            out[len++] = "ab  \t:\xff"[next_random(7)];
        out[len++] = '\r';
        out[len++] = '\n';
    }
    if (len > 0 && next_random(3) == 0)
        out[next_random((uint32_t)len)] = "\r\n \t:\0\x7f\xff"[next_random(8)];
    return len > 0 && next_random(3) == 0 ? next_random((uint32_t)len) : len;
}

static bool same_offsets(const struct fa_header *a, const struct fa_header *b)
{
    return a->name.ptr == b->name.ptr && a->name.len == b->name.len &&
           a->value.ptr == b->value.ptr && a->value.len == b->value.len;
}

static void check_sections(void *arg)
{
    random_state = 0x9e3779b97f4a7c15;
    char section[MAX_SECTION];
    for (int round = 0; round < 20000; round++) {
        size_t len = random_section(section);
        struct check_guard guard = check_guard_copy(fa_span(section, len));
        struct fa__h1_window window = {guard.span.ptr, guard.span.ptr + len};
        struct fa_header expected[MAX_LINES];
        struct fa_header headers[MAX_LINES];
        size_t room = next_random(MAX_LINES + 1);
        size_t expected_count;
        size_t count;
        const char *stop =
            fa__h1_scanner_scalar.fields(window.base, &window, expected, room, &expected_count);
        const char *at = fa__h1_scan->fields(window.base, &window, headers, room, &count);
        /* A vector scanner may leave lines to the caller where the window is too small for
         * a vector, but never read one differently. */
        CHECK(count <= expected_count && (count == expected_count || len < 32));
        CHECK(count < expected_count || at == stop);
        for (size_t i = 0; i < count; i++)
            CHECK(same_offsets(&headers[i], &expected[i]));
        check_guard_free(&guard);
    }
}

TEST(field_sections)
{
    for_each_scanner(check_sections, NULL);
}

TEST(selection)
{
    CHECK_INT(fa__h1_simd_select("scalar"), 0);
    CHECK(strcmp(fa__h1_simd_name(), "scalar") == 0);
    CHECK_INT(fa__h1_simd_select("no such scanner"), FA_ENOTSUP);
    CHECK(strcmp(fa__h1_simd_name(), "scalar") == 0);
    CHECK_INT(fa__h1_simd_select(NULL), 0);
    CHECK(strcmp(fa__h1_simd_name(), "scalar") != 0);
}

int main(void)
{
    RUN(single_bytes);
    RUN(field_sections);
    RUN(selection);
    return check_report();
}
