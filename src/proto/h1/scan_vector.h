/* SPDX-License-Identifier: MIT */
/* scan_vector.h - the scans over vectors, whatever their width: included once by each of the
 * files that know an instruction set, which define before
 *
 *   VEC, VEC_BYTES           the vector and its size
 *   MASK_BITS                bits that a mask has for each byte
 *   vec_load(p)              VEC_BYTES bytes from p, unaligned
 *   not_token, not_value, not_path (vec)
 *                            masks of the bytes outside the class
 *
 * No byte outside the window is read: near its end the last VEC_BYTES bytes of it are loaded
 * and the mask is shifted, which needs a window of at least that size; smaller ones go byte
 * by byte. */
#ifndef FA_PROTO_H1_SCAN_VECTOR_H
#define FA_PROTO_H1_SCAN_VECTOR_H

#include "proto/h1/syntax.h"

typedef uint64_t (*mask_fn)(VEC vec);

#define FORCE_INLINE static inline __attribute__((always_inline))

FORCE_INLINE size_t mask_first(uint64_t mask)
{
    return (size_t)__builtin_ctzll(mask) / MASK_BITS;
}

/* The vector that covers `p`, and how many of its bytes lie before `p`. False when the window
 * is too small for any vector. Requires p < window->end. */
FORCE_INLINE bool load_at(const char *p, const struct fa__h1_window *window, VEC *vec,
                          unsigned *before)
{
    size_t left = (size_t)(window->end - p);
    if (FA_LIKELY(left >= VEC_BYTES)) {
        *vec = vec_load(p);
        *before = 0;
        return true;
    }
    if (FA_UNLIKELY((size_t)(window->end - window->base) < VEC_BYTES))
        return false;
    *vec = vec_load(window->end - VEC_BYTES);
    *before = (unsigned)(VEC_BYTES - left);
    return true;
}

/* The first byte from `p` on outside the class, whose mask function and class bit are given. */
FORCE_INLINE const char *find(const char *p, const struct fa__h1_window *window, mask_fn outside,
                              unsigned class_bit)
{
    while (p < window->end) {
        VEC vec;
        unsigned before;
        if (!load_at(p, window, &vec, &before)) {
            while (p < window->end && fa__h1_is(*p, class_bit))
                p++;
            return p;
        }
        uint64_t mask = outside(vec) >> (before * MASK_BITS);
        if (mask != 0)
            return p + mask_first(mask);
        p += VEC_BYTES - before;
    }
    return window->end;
}

static const char *scan_token(const char *p, const struct fa__h1_window *window)
{
    return find(p, window, not_token, FA__H1_TOKEN);
}

static const char *scan_value(const char *p, const struct fa__h1_window *window)
{
    return find(p, window, not_value, FA__H1_VALUE);
}

static const char *scan_path(const char *p, const struct fa__h1_window *window)
{
    return find(p, window, not_path, FA__H1_PATH);
}

/* One line that begins at `p`, of which `vec` holds the first VEC_BYTES - before bytes behind
 * `before` others. Most names, and many whole lines, fit into it: both ends come out of one
 * load. Returns the begin of the next line, NULL when this one is not whole and well-formed. */
FORCE_INLINE const char *take_line(const char *p, const struct fa__h1_window *window, VEC vec,
                                   unsigned before, struct fa_header *header)
{
    const char *behind = p + (VEC_BYTES - before);
    uint64_t name_stop = not_token(vec) >> (before * MASK_BITS);
    uint64_t line_stop = not_value(vec) >> (before * MASK_BITS);
    const char *colon;
    if (FA_LIKELY(name_stop != 0)) {
        colon = p + mask_first(name_stop);
    } else {
        colon = find(behind, window, not_token, FA__H1_TOKEN);
        if (colon == window->end)
            return NULL;
    }
    if (*colon != ':' || colon == p)
        return NULL;
    const char *line_end =
        line_stop != 0 ? p + mask_first(line_stop)
                       : find(colon > behind ? colon : behind, window, not_value, FA__H1_VALUE);
    if (window->end - line_end < 2 || !fa__h1_is_crlf(line_end))
        return NULL;
    fa__h1_store_field(header, window->base, p, colon, line_end);
    return line_end + 2;
}

static const char *scan_fields(const char *p, const struct fa__h1_window *window,
                               struct fa_header *headers, size_t room, size_t *count)
{
    size_t n = 0;
    const char *next = p;
    while (n < room && window->end - p >= VEC_BYTES) {
        next = take_line(p, window, vec_load(p), 0, &headers[n]);
        if (next == NULL)
            break;
        p = next;
        n++;
    }
    /* The last lines, of less than a vector together. */
    VEC vec;
    unsigned before;
    while (next != NULL && n < room && p < window->end && *p != '\r' &&
           load_at(p, window, &vec, &before)) {
        next = take_line(p, window, vec, before, &headers[n]);
        if (next == NULL)
            break;
        p = next;
        n++;
    }
    *count = n;
    return p;
}

#endif
