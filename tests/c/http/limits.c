/* SPDX-License-Identifier: MIT */
/* The presets, and what a 0 becomes. */
#include <sys/resource.h>

#include "check.h"
#include "http/server_int.h"

TEST(presets)
{
    struct fa_limits wide, tight;
    fa_limits_default(&wide);
    fa_limits_strict(&tight);
    CHECK_INT(wide.header_bytes, 65536);
    CHECK_INT(wide.header_fields, 256);
    CHECK_INT(wide.request_line_bytes, 65536);
    CHECK_INT(wide.body_bytes, 1 << 30);
    CHECK_INT(wide.body_buffer_bytes, 262144);
    CHECK_INT(wide.header_timeout_ms, 30000);
    CHECK_INT(wide.body_timeout_ms, 30000);
    CHECK_INT(wide.keep_alive_ms, 15000);
    CHECK_INT(wide.write_timeout_ms, 60000);
    CHECK_INT(wide.requests_in_flight, 0);
    CHECK_INT(wide.connections, 0);
    CHECK(tight.header_bytes < wide.header_bytes);
    CHECK_INT(tight.request_line_bytes, 8192);
    CHECK_INT(tight.body_bytes, 1 << 20);
    CHECK_INT(tight.requests_in_flight, 10000);
    CHECK_INT(tight.connections, 10240);
    CHECK(tight.body_min_rate > 0);
}

TEST(zero_is_the_default_where_none_makes_no_sense)
{
    struct fa_limits wide, limits = {0};
    fa_limits_default(&wide);
    fa__limits_normalise(&limits);
    CHECK_INT(limits.header_bytes, wide.header_bytes);
    CHECK_INT(limits.header_fields, wide.header_fields);
    CHECK_INT(limits.request_line_bytes, wide.request_line_bytes);
    CHECK_INT(limits.body_buffer_bytes, wide.body_buffer_bytes);
    CHECK_INT(limits.write_high_water, wide.write_high_water);
    CHECK(limits.write_low_water > 0);
    CHECK(limits.write_low_water <= limits.write_high_water);
    CHECK_INT(limits.pipeline_burst, wide.pipeline_burst);
    CHECK_INT(limits.body_bytes, 0);
    CHECK_INT(limits.keep_alive_ms, 0);
}

TEST(connections_follow_the_descriptor_limit)
{
    struct rlimit saved, low;
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &saved), 0);
    low = saved;
    low.rlim_cur = 1000;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &low), 0);
    struct fa_limits limits = {0}, high = {.connections = 5000}, small = {.connections = 10};
    fa__limits_normalise(&limits);
    fa__limits_normalise(&high);
    fa__limits_normalise(&small);
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &saved), 0);
    CHECK(limits.connections < 1000);
    CHECK(limits.connections >= 750);
    CHECK_INT(high.connections, limits.connections);
    CHECK_INT(small.connections, 10);
}

TEST(limits_have_names)
{
    CHECK_SPAN(fa_span_str(fa_limit_name(FA_LIMIT_REQUEST_LINE)), "request_line");
    CHECK_SPAN(fa_span_str(fa_limit_name(FA_LIMIT_DESCRIPTORS)), "descriptors");
    CHECK_SPAN(fa_span_str(fa_limit_name(FA_LIMIT_NONE)), "");
    CHECK_SPAN(fa_span_str(fa_limit_name(FA_LIMIT_COUNT)), "");
}

/* Each limit has one error, so that a log line can name it. */
TEST(each_limit_has_its_error)
{
    int found[FA_LIMIT_COUNT] = {0};
    for (int err = 0; err > -500; err--)
        found[fa__limit_of_error(err)]++;
    for (int limit = FA_LIMIT_NONE + 1; limit < FA_LIMIT_COUNT; limit++)
        CHECK_INT(found[limit], 1);
}

int main(void)
{
    RUN(limits_have_names);
    RUN(each_limit_has_its_error);
    RUN(presets);
    RUN(zero_is_the_default_where_none_makes_no_sense);
    RUN(connections_follow_the_descriptor_limit);
    return check_report();
}
