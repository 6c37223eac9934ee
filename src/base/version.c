/* SPDX-License-Identifier: MIT */
/* version.c - what this build is. The vector code is chosen at run time among what the
 * architecture allows, so the architecture alone says what is compiled in. Pure; any
 * thread. */
#include <fasterapi/version.h>

#if defined(__x86_64__)
#define SIMD_FEATURES "simd=avx2,sse4.2"
#elif defined(__aarch64__)
#define SIMD_FEATURES "simd=neon"
#else
#define SIMD_FEATURES "simd=none"
#endif

const char *fa_version(void)
{
    return FA_VERSION;
}

const char *fa_features(void)
{
    return "epoll h1 " SIMD_FEATURES;
}
