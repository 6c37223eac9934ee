/* SPDX-License-Identifier: MIT */
/* IMF-fixdate against known instants and, over centuries, against the C library. */
#include <stdlib.h>
#include <time.h>

#include "check.h"
#include "proto/h1/h1.h"

static struct fa_span format(int64_t seconds)
{
    static char out[FA__H1_DATE_LEN];
    fa__h1_format_date(out, seconds);
    return fa_span(out, sizeof(out));
}

TEST(known_instants)
{
    CHECK_SPAN(format(784111777), "Sun, 06 Nov 1994 08:49:37 GMT"); /* the RFC's example */
    CHECK_SPAN(format(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    CHECK_SPAN(format(-1), "Wed, 31 Dec 1969 23:59:59 GMT");
    CHECK_SPAN(format(951782400), "Tue, 29 Feb 2000 00:00:00 GMT");
    CHECK_SPAN(format(951868800), "Wed, 01 Mar 2000 00:00:00 GMT");
    CHECK_SPAN(format(4107542400), "Mon, 01 Mar 2100 00:00:00 GMT");
    CHECK_SPAN(format(2147483648), "Tue, 19 Jan 2038 03:14:08 GMT");
}

TEST(clamped_outside_four_digits)
{
    CHECK_SPAN(format(253402300799), "Fri, 31 Dec 9999 23:59:59 GMT");
    CHECK_SPAN(format(253402300800), "Fri, 31 Dec 9999 23:59:59 GMT");
    CHECK_SPAN(format(INT64_MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
    CHECK_SPAN(format(-62167219200), "Sat, 01 Jan 0000 00:00:00 GMT");
    CHECK_SPAN(format(INT64_MIN), "Sat, 01 Jan 0000 00:00:00 GMT");
}

/* Every day of the years 1600 to 2500, at a wandering time of day. */
TEST(agrees_with_the_c_library)
{
    const int64_t first = -11676096000;
    const int64_t last = 16725225600;
    for (int64_t time = first; time < last; time += 86400 - 11) {
        time_t libc_time = (time_t)time;
        struct tm parts;
        char expected[64];
        CHECK(gmtime_r(&libc_time, &parts) != NULL);
        CHECK_INT(strftime(expected, sizeof(expected), "%a, %d %b %Y %H:%M:%S GMT", &parts),
                  FA__H1_DATE_LEN);
        CHECK_SPAN(format(time), expected);
    }
}

int main(void)
{
    RUN(known_instants);
    RUN(clamped_outside_four_digits);
    RUN(agrees_with_the_c_library);
    return check_report();
}
