/* SPDX-License-Identifier: MIT */
/* scan_scalar.c - the scanner for any machine: one byte at a time through the class table.
 * It is also the reference that the vector scanners are tested against. Pure; any thread.
 */
#include "proto/h1/syntax.h"

static inline const char *skip(const char *p, const char *end, unsigned classes)
{
    while (p < end && fa__h1_is(*p, classes))
        p++;
    return p;
}

static const char *scan_token(const char *p, const struct fa__h1_window *window)
{
    return skip(p, window->end, FA__H1_TOKEN);
}

static const char *scan_value(const char *p, const struct fa__h1_window *window)
{
    return skip(p, window->end, FA__H1_VALUE);
}

static const char *scan_path(const char *p, const struct fa__h1_window *window)
{
    return skip(p, window->end, FA__H1_PATH);
}

static const char *scan_fields(const char *p, const struct fa__h1_window *window,
                               struct fa_header *headers, size_t room, size_t *count)
{
    const char *end = window->end;
    size_t n = 0;
    for (; n < room; n++) {
        const char *colon = skip(p, end, FA__H1_TOKEN);
        if (colon == end || *colon != ':' || colon == p)
            break;
        const char *line_end = skip(colon + 1, end, FA__H1_VALUE);
        if (end - line_end < 2 || !fa__h1_is_crlf(line_end))
            break;
        fa__h1_store_field(&headers[n], window->base, p, colon, line_end);
        p = line_end + 2;
    }
    *count = n;
    return p;
}

const struct fa__h1_scanner fa__h1_scanner_scalar = {
    .name = "scalar",
    .token = scan_token,
    .value = scan_value,
    .path = scan_path,
    .fields = scan_fields,
};
