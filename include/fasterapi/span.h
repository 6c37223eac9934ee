/* SPDX-License-Identifier: MIT */
/* span.h - borrowed bytes: pointer and length, passed by value. A span never owns and
 * is never NUL-terminated; it dies with whatever it points into. */
#ifndef FASTERAPI_SPAN_H
#define FASTERAPI_SPAN_H

#include <string.h>

#include <fasterapi/compiler.h>

struct fa_span {
    const char *ptr; /* may be NULL when len is 0 */
    size_t len;      /* bytes */
};

/* A span over a string literal. */
#define FA_SPAN(literal) ((struct fa_span){"" literal, sizeof(literal) - 1})

static inline struct fa_span fa_span(const void *ptr, size_t len)
{
    return (struct fa_span){(const char *)ptr, len};
}

/* A span over a NUL-terminated string, the NUL excluded. */
static inline struct fa_span fa_span_str(const char *str)
{
    return (struct fa_span){str, strlen(str)};
}

static inline bool fa_span_eq(struct fa_span a, struct fa_span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

FA_BEGIN_DECLS

/* Equality with ASCII letters folded (header names, RFC 9110 section 5.1). */
FA_API bool fa_span_eq_nocase(struct fa_span a, struct fa_span b);

/* Reads decimal digits and nothing else into `out`. Returns 0, or FA_EINVAL for
 * an empty span or any other byte, or FA_EOVERFLOW for digits past INT64_MAX; `out` is
 * written on success only. */
FA_API int fa_span_to_int64(struct fa_span text, int64_t *out) FA_MUST_CHECK;

FA_END_DECLS

#endif
