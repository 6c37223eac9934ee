/* SPDX-License-Identifier: MIT */
/* scanners.h - runs a body with every scanner that this machine has. */
#ifndef FA_TESTS_H1_SCANNERS_H
#define FA_TESTS_H1_SCANNERS_H

#include "check.h"
#include "proto/h1/h1.h"

static inline void for_each_scanner(void (*body)(void *arg), void *arg)
{
    static const char *const names[] = {"scalar", "sse4.2", "avx2", "neon"};
    int run = 0;
    for (size_t i = 0; i < FA_ARRAY_LEN(names); i++) {
        if (fa__h1_simd_select(names[i]) < 0)
            continue;
        run++;
        printf("     %s\n", fa__h1_simd_name());
        body(arg);
    }
    CHECK_INT(fa__h1_simd_select(NULL), 0);
    /* Every machine we build for has one scanner of vectors at least. */
    CHECK(run > 1);
}

#endif
