/* SPDX-License-Identifier: MIT */
/* The response writer: what it writes, what it refuses, and that nothing is half written, not
 * even without memory. */
#include <fasterapi/error.h>

#include "scanners.h"

static struct fa_header field(struct fa_span name, struct fa_span value)
{
    return (struct fa_header){name, value};
}

TEST(whole_head)
{
    struct fa_buf out;
    fa_buf_init(&out, NULL);
    struct fa_header type = field(FA_SPAN("content-type"), FA_SPAN("text/plain; charset=\xff"));
    struct fa_header empty = field(FA_SPAN("x-empty"), fa_span(NULL, 0));
    CHECK_INT(fa__h1_write_status(&out, 200), 0);
    CHECK_INT(fa__h1_write_field(&out, &type), 0);
    CHECK_INT(fa__h1_write_field(&out, &empty), 0);
    CHECK_INT(fa__h1_write_content_length(&out, 0), 0);
    CHECK_INT(fa__h1_write_content_length(&out, UINT64_MAX), 0);
    CHECK_INT(fa__h1_write_head_end(&out), 0);
    CHECK_SPAN(fa_buf_span(&out), "HTTP/1.1 200 OK\r\n"
                                  "content-type: text/plain; charset=\xff\r\n"
                                  "x-empty: \r\n"
                                  "content-length: 0\r\n"
                                  "content-length: 18446744073709551615\r\n"
                                  "\r\n");
    fa_buf_clean_up(&out);
}

TEST(statuses)
{
    struct fa_buf out;
    fa_buf_init(&out, NULL);
    CHECK_INT(fa__h1_write_status(&out, 599), 0);
    CHECK_SPAN(fa_buf_span(&out), "HTTP/1.1 599 \r\n");
    out.len = 0;
    CHECK_INT(fa__h1_write_status(&out, 103), 0);
    CHECK_SPAN(fa_buf_span(&out), "HTTP/1.1 103 Early Hints\r\n");
    out.len = 0;
    CHECK_INT(fa__h1_write_status(&out, 99), FA_EHTTP_STATUS);
    CHECK_INT(fa__h1_write_status(&out, 600), FA_EHTTP_STATUS);
    CHECK_INT(fa__h1_write_status(&out, -200), FA_EHTTP_STATUS);
    CHECK_INT(out.len, 0);
    fa_buf_clean_up(&out);
}

#define MAX_TEXT 70

/* Every byte at every place of a text in front of a guard page, as a name and as a value. */
static void check_text(char *text, size_t len)
{
    struct fa_header as_name = field(fa_span(text, len), FA_SPAN("x"));
    struct fa_header as_value = field(FA_SPAN("x"), fa_span(text, len));
    for (size_t at = 0; at < len; at++) {
        memset(text, 'a', len);
        for (int c = 0; c < 256; c++) {
            text[at] = (char)c;
            bool token = c > 32 && c < 127 && strchr("\"(),/:;<=>?@[\\]{}", c) == NULL;
            bool value = c == '\t' || (c >= ' ' && c != 127);
            CHECK_INT(fa__h1_check_field(&as_name), token ? 0 : FA_EHTTP_HEADER);
            CHECK_INT(fa__h1_check_field(&as_value), value ? 0 : FA_EHTTP_HEADER);
        }
    }
}

static void check_bytes(void *arg)
{
    static const char zeros[MAX_TEXT];
    struct check_guard guard = check_guard_copy(fa_span(zeros, sizeof(zeros)));
    for (size_t len = 1; len <= MAX_TEXT; len++)
        check_text((char *)(uintptr_t)guard.span.ptr + MAX_TEXT - len, len);
    check_guard_free(&guard);
}

TEST(forbidden_bytes)
{
    for_each_scanner(check_bytes, NULL);
}

TEST(refused_fields_leave_nothing)
{
    struct fa_buf out;
    fa_buf_init(&out, NULL);
    CHECK_INT(fa__h1_write_head_end(&out), 0);
    const struct fa_header fields[] = {
        field(FA_SPAN(""), FA_SPAN("x")),    field(FA_SPAN("a b"), FA_SPAN("x")),
        field(FA_SPAN("a:"), FA_SPAN("x")),  field(FA_SPAN("a"), FA_SPAN("x\r\nset-cookie: y")),
        field(FA_SPAN("a"), FA_SPAN("x\n")), field(FA_SPAN("a"), FA_SPAN("\rx")),
        field(FA_SPAN("a"), FA_SPAN("x\0")),
    };
    for (size_t i = 0; i < FA_ARRAY_LEN(fields); i++) {
        CHECK_INT(fa__h1_write_field(&out, &fields[i]), FA_EHTTP_HEADER);
        CHECK_SPAN(fa_buf_span(&out), "\r\n");
    }
    fa_buf_clean_up(&out);
}

/* Writes a head until memory runs out; what is there then is whole lines. */
static void write_head(void)
{
    static char long_value[3000];
    memset(long_value, 'v', sizeof(long_value));
    struct fa_pool pool;
    struct fa_buf out;
    fa_pool_init(&pool, 1);
    fa_buf_init(&out, &pool);
    struct fa_header large = field(FA_SPAN("a"), fa_span(long_value, sizeof(long_value)));
    size_t whole = 0;
    int err = fa__h1_write_status(&out, 404);
    if (err == 0) {
        whole = out.len;
        err = fa__h1_write_field(&out, &large);
    }
    if (err == 0) {
        whole = out.len;
        err = fa__h1_write_content_length(&out, 10);
    }
    if (err == 0) {
        whole = out.len;
        for (int i = 0; err == 0 && i < 3; i++)
            err = fa__h1_write_field(&out, &large);
    }
    CHECK(err == 0 || err == FA_ENOMEM);
    CHECK(out.len >= whole);
    CHECK(out.len == 0 || memcmp(out.data + out.len - 2, "\r\n", 2) == 0);
    fa_buf_clean_up(&out);
    fa_pool_clean_up(&pool);
}

TEST(without_memory)
{
    check_alloc_failures(write_head);
}

TEST(chunk_lines)
{
    const struct {
        uint64_t length;
        const char *line;
    } lines[] = {
        {1, "1\r\n"},
        {15, "f\r\n"},
        {16, "10\r\n"},
        {0x1a, "1a\r\n"},
        {65536, "10000\r\n"},
        {UINT64_C(0xfedcba987654321), "fedcba987654321\r\n"},
        {UINT64_MAX, "ffffffffffffffff\r\n"},
    };
    for (size_t i = 0; i < FA_ARRAY_LEN(lines); i++) {
        char line[20];
        size_t len = fa__h1_chunk_line(line, lines[i].length);
        CHECK_SPAN(fa_span(line, len), lines[i].line);
    }
}

/* What we write our own decoder reads. */
TEST(chunks_round_trip)
{
    char wire[64];
    size_t len = fa__h1_chunk_line(wire, 26);
    memcpy(wire + len, "abcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n", 33);
    len += 33;
    struct fa__h1_chunked dec;
    fa__h1_chunked_init(&dec);
    struct fa_span data;
    ssize_t used = fa__h1_chunked_decode(&dec, fa_span(wire, len), &data);
    CHECK(used > 0);
    CHECK_SPAN(data, "abcdefghijklmnopqrstuvwxyz");
    struct fa_span rest = fa_span(wire + used, len - (size_t)used);
    CHECK_INT(fa__h1_chunked_decode(&dec, rest, &data), rest.len);
    CHECK(dec.done);
}

int main(void)
{
    RUN(whole_head);
    RUN(statuses);
    RUN(forbidden_bytes);
    RUN(refused_fields_leave_nothing);
    RUN(without_memory);
    RUN(chunk_lines);
    RUN(chunks_round_trip);
    return check_report();
}
