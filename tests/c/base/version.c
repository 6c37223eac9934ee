/* SPDX-License-Identifier: MIT */
/* version.c - the version and the feature line. */
#include "check.h"

#include <fasterapi/version.h>

TEST(version_is_the_build_s)
{
    CHECK_SPAN(fa_span_str(fa_version()), FA_VERSION);
}

TEST(features_name_what_is_always_in)
{
    struct fa_span line = fa_span_str(fa_features());
    CHECK(strncmp(line.ptr, "epoll h1 simd=", sizeof("epoll h1 simd=") - 1) == 0);
#if defined(__x86_64__)
    CHECK(strstr(line.ptr, "avx2") != NULL);
#endif
}

int main(void)
{
    RUN(version_is_the_build_s);
    RUN(features_name_what_is_always_in);
    return check_report();
}
