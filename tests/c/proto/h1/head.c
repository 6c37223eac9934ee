/* SPDX-License-Identifier: MIT */
/* The request head as a whole: tests/data/h1/request_line.txt in every arrival, the default
 * limits, and time that is linear however the bytes are cut. */
#include "head_vectors.h"

static const char *vector_path;

TEST(vectors)
{
    run_head_vectors(vector_path);
}

TEST(error_statuses)
{
    CHECK_INT(fa__h1_error_status(FA_EH1_LINE_TOO_LONG), 414);
    CHECK_INT(fa__h1_error_status(FA_EH1_HEADERS_TOO_LARGE), 431);
    CHECK_INT(fa__h1_error_status(FA_EH1_CODING_UNKNOWN), 501);
    CHECK_INT(fa__h1_error_status(FA_EH1_METHOD), 501);
    CHECK_INT(fa__h1_error_status(FA_EH1_VERSION), 505);
    CHECK_INT(fa__h1_error_status(FA_EH1_HOST), 400);
    CHECK_INT(fa__h1_error_status(FA_EH1_BAD), 400);
}

TEST(limits_above_the_clamp)
{
    static struct parse parse;
    const struct fa__h1_limits limits = {UINT32_MAX, UINT32_MAX, 2};
    struct fa_span in = FA_SPAN("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    fa__h1_parser_init(&parse.parser);
    CHECK_INT(fa__h1_parse_head(&parse.parser, in, &limits, parse.headers, &parse.head), in.len);
}

TEST(no_room_for_fields)
{
    static struct parse parse;
    const struct fa__h1_limits limits = {100, 100, 0};
    struct fa_span in = FA_SPAN("GET / HTTP/1.0\r\n\r\n");
    fa__h1_parser_init(&parse.parser);
    CHECK_INT(fa__h1_parse_head(&parse.parser, in, &limits, parse.headers, &parse.head), in.len);
    in = FA_SPAN("GET / HTTP/1.0\r\na: b\r\n\r\n");
    fa__h1_parser_init(&parse.parser);
    CHECK_INT(fa__h1_parse_head(&parse.parser, in, &limits, parse.headers, &parse.head),
              FA_EH1_HEADERS_TOO_LARGE);
}

TEST(seen_any)
{
    static struct parse parse;
    const struct fa__h1_limits limits = {100, 100, 1};
    fa__h1_parser_init(&parse.parser);
    CHECK_INT(
        fa__h1_parse_head(&parse.parser, fa_span(NULL, 0), &limits, parse.headers, &parse.head), 0);
    CHECK_INT(
        fa__h1_parse_head(&parse.parser, FA_SPAN("\r\n\r"), &limits, parse.headers, &parse.head),
        0);
    CHECK(!parse.parser.seen_any);
    CHECK_INT(
        fa__h1_parse_head(&parse.parser, FA_SPAN("\r\n\r\nG"), &limits, parse.headers, &parse.head),
        0);
    CHECK(parse.parser.seen_any);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    vector_path = argv[1];
    RUN(vectors);
    RUN(error_statuses);
    RUN(limits_above_the_clamp);
    RUN(no_room_for_fields);
    RUN(seen_any);
    return check_report();
}
