/* SPDX-License-Identifier: MIT */
/* syntax.h - the character classes of HTTP and the scanners over them. Private to the
 * codec. */
#ifndef FA_PROTO_H1_SYNTAX_H
#define FA_PROTO_H1_SYNTAX_H

#include <fasterapi/header.h>
#include <fasterapi/span.h>

/* ---- character classes -------------------------------------------------------------- */

enum fa__h1_class {
    FA__H1_TOKEN = 1,    /* tchar (RFC 9110 section 5.6.2) */
    FA__H1_VALUE = 2,    /* HTAB, SP, VCHAR, obs-text (RFC 9110 section 5.5) */
    FA__H1_PATH = 4,     /* visible ASCII but '#' and '?' */
    FA__H1_REG_NAME = 8, /* unreserved, sub-delims (RFC 3986 section 3.2.2), without '%' */
    FA__H1_HEXDIG = 16,  /* either case */
    FA__H1_QUOTED = 32,  /* qdtext (RFC 9110 section 5.6.4) */
    FA__H1_SCHEME = 64,  /* ALPHA, DIGIT, "+-." (RFC 3986 section 3.1) */
    FA__H1_DIGIT = 128,
};

extern const uint8_t fa__h1_classes[256];

static inline bool fa__h1_is(char c, unsigned classes)
{
    return (fa__h1_classes[(unsigned char)c] & classes) != 0;
}

static inline bool fa__h1_is_blank(char c) /* OWS (RFC 9110 section 5.6.3) */
{
    return c == ' ' || c == '\t';
}

/* The span without blanks at either end. */
static inline struct fa_span fa__h1_trim(struct fa_span text)
{
    while (text.len > 0 && fa__h1_is_blank(text.ptr[text.len - 1]))
        text.len--;
    while (text.len > 0 && fa__h1_is_blank(text.ptr[0])) {
        text.ptr++;
        text.len--;
    }
    return text;
}

/* ---- scanners ----------------------------------------------------------------------- */

/* The bytes a scanner may read: [base, end). `base` lets it read a whole vector that ends
 * at `end` where too few bytes are left to begin one. */
struct fa__h1_window {
    const char *base;
    const char *end;
};

/* One implementation of the scans that the parsers spend their time in. Each scan returns
 * the first byte at or after `p` that is not of its class, or window->end. */
struct fa__h1_scanner {
    const char *name;
    const char *(*token)(const char *p, const struct fa__h1_window *window);
    const char *(*value)(const char *p, const struct fa__h1_window *window);
    const char *(*path)(const char *p, const struct fa__h1_window *window);
    /* Reads whole, well-formed field lines from `p` on into at most `room` headers, their
     * pointers holding offsets from window->base. Stops in front of the first line that is
     * cut off, malformed or empty, stores how many there were and returns its begin. */
    const char *(*fields)(const char *p, const struct fa__h1_window *window,
                          struct fa_header *headers, size_t room, size_t *count);
};

extern const struct fa__h1_scanner fa__h1_scanner_scalar;
extern const struct fa__h1_scanner fa__h1_scanner_sse42;
extern const struct fa__h1_scanner fa__h1_scanner_avx2;
extern const struct fa__h1_scanner fa__h1_scanner_neon;

/* The chosen one; never NULL. */
extern const struct fa__h1_scanner *fa__h1_scan;

static inline bool fa__h1_is_crlf(const char *p)
{
    return memcmp(p, "\r\n", 2) == 0;
}

/* What `fields` stores for one line: begin of the name, its colon, the line's CR. Anything above
 * a space needs no trimming, which is nearly everything behind the one space that nearly
 * everybody sends. */
static inline void fa__h1_store_field(struct fa_header *header, const char *base, const char *name,
                                      const char *colon, const char *line_end)
{
    const char *value = colon + 1;
    if (*value == ' ')
        value++;
    if ((unsigned char)*value <= ' ') {
        while (value < line_end && fa__h1_is_blank(*value))
            value++;
    }
    if ((unsigned char)line_end[-1] <= ' ') {
        while (line_end > value && fa__h1_is_blank(line_end[-1]))
            line_end--;
    }
    header->name.ptr = (const char *)(uintptr_t)(name - base);
    header->name.len = (size_t)(colon - name);
    header->value.ptr = (const char *)(uintptr_t)(value - base);
    header->value.len = (size_t)(line_end - value);
}

#endif
