/* SPDX-License-Identifier: MIT */
/* scan.c - which scanner the parsers use (see syntax.h). Chosen once when the library is
 * loaded, before any thread of ours exists; a test may choose again while no parser runs.
 *
 * Each vector scanner is a file of its own, compiled with the flags of its instruction
 * set; nothing else in the library may use those instructions, and no scanner is called
 * before the machine was asked whether it has them. */
#include "proto/h1/h1.h"
#include "proto/h1/syntax.h"

const struct fa__h1_scanner *fa__h1_scan = &fa__h1_scanner_scalar;

static bool have_scalar(void)
{
    return true;
}

#if defined(__x86_64__) || defined(__i386__)
static bool have_sse42(void)
{
    return __builtin_cpu_supports("sse4.2") != 0;
}

static bool have_avx2(void)
{
    return __builtin_cpu_supports("avx2") != 0; /* asks for the system's support, too */
}
#endif

/* Best first. */
static const struct candidate {
    const struct fa__h1_scanner *scanner;
    bool (*available)(void);
} candidates[] = {
#if defined(__x86_64__) || defined(__i386__)
    {&fa__h1_scanner_avx2, have_avx2},
    {&fa__h1_scanner_sse42, have_sse42},
#elif defined(__aarch64__)
    {&fa__h1_scanner_neon, have_scalar}, /* part of the base instruction set */
#endif
    {&fa__h1_scanner_scalar, have_scalar},
};

const char *fa__h1_simd_name(void)
{
    return fa__h1_scan->name;
}

int fa__h1_simd_select(const char *name)
{
    for (size_t i = 0; i < FA_ARRAY_LEN(candidates); i++) {
        if (name != NULL && strcmp(name, candidates[i].scanner->name) != 0)
            continue;
        if (!candidates[i].available())
            continue;
        fa__h1_scan = candidates[i].scanner;
        return 0;
    }
    return FA_ENOTSUP;
}

__attribute__((constructor)) static void select_at_load(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_cpu_init();
#endif
    /* Cannot fail: the scalar scanner is always there. */
    FA_ASSERT(fa__h1_simd_select(NULL) == 0);
}
