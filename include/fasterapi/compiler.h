/* SPDX-License-Identifier: MIT */
/* compiler.h - the attributes and assertions every other header uses. */
#ifndef FASTERAPI_COMPILER_H
#define FASTERAPI_COMPILER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Exported from the shared library; everything else has hidden visibility. */
#define FA_API __attribute__((visibility("default")))

/* The result is an error code (or carries one) and may not be dropped. */
#define FA_MUST_CHECK __attribute__((warn_unused_result))

#define FA_PRINTF(fmt_at, args_at) __attribute__((format(printf, fmt_at, args_at)))

#define FA_LIKELY(x) __builtin_expect(!!(x), 1)
#define FA_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* The structure that holds `member` at address `ptr`. */
#define FA_CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))

#define FA_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#ifdef __cplusplus
#define FA_BEGIN_DECLS extern "C" {
#define FA_END_DECLS }
#else
#define FA_BEGIN_DECLS
#define FA_END_DECLS
#endif

FA_BEGIN_DECLS

/* Prints the failed invariant to standard error and aborts. Never returns. */
FA_API void fa_assert_failed(const char *expr, const char *file, int line)
    __attribute__((noreturn));

FA_END_DECLS

/* Invariants of our own code, never conditions that input can bring about: those are
 * errors. Kept in release builds; each costs one predicted branch. */
#define FA_ASSERT(expr) (FA_LIKELY(expr) ? (void)0 : fa_assert_failed(#expr, __FILE__, __LINE__))

#endif
