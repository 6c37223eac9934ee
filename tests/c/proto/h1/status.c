/* SPDX-License-Identifier: MIT */
/* Reason phrases and whole status lines. */
#include "check.h"
#include "proto/h1/status.h"

#include <fasterapi/http.h>

TEST(reasons)
{
    CHECK_SPAN(fa_http_reason(100), "Continue");
    CHECK_SPAN(fa_http_reason(200), "OK");
    CHECK_SPAN(fa_http_reason(404), "Not Found");
    CHECK_SPAN(fa_http_reason(511), "Network Authentication Required");
    CHECK_INT(fa_http_reason(299).len, 0);
    CHECK_INT(fa_http_reason(0).len, 0);
    CHECK_INT(fa_http_reason(-1).len, 0);
    CHECK_INT(fa_http_reason(1000).len, 0);
}

/* Each line is its version, code, reason and CRLF, and nothing is there twice or missing. */
TEST(lines)
{
    int known = 0;
    for (int status = -10; status < 1200; status++) {
        struct fa_span line = fa__h1_status_line(status);
        if (line.len == 0)
            continue;
        known++;
        struct fa_span reason = fa_http_reason(status);
        char expected[80];
        snprintf(expected, sizeof(expected), "HTTP/1.1 %d %.*s\r\n", status, (int)reason.len,
                 reason.ptr);
        CHECK(reason.len > 0);
        CHECK_SPAN(line, expected);
    }
    CHECK_INT(known, 62);
}

int main(void)
{
    RUN(reasons);
    RUN(lines);
    return check_report();
}
