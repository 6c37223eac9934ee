/* SPDX-License-Identifier: MIT */
/* response.c - writes response heads and chunk framing (RFC 9112 sections 4, 5, 7.1) into a
 * growable buffer. No I/O, no clock; the buffer's thread.
 *
 * Nothing that an application supplies reaches the wire unchecked: a line end in a value
 * would let it write a second response (response splitting, RFC 9110 section 5.5). Every
 * function appends all of its bytes or none. */
#include "proto/h1/h1.h"

#include "proto/h1/status.h"
#include "proto/h1/syntax.h"

/* Whether [p, end) is a name or a value; `base` is the first byte before it that may be read. */
static bool is_name(const char *base, const char *p, const char *end)
{
    struct fa__h1_window window = {.base = base, .end = end};
    return p < end && fa__h1_scan->token(p, &window) == end;
}

static bool is_value(const char *base, const char *p, const char *end)
{
    struct fa__h1_window window = {.base = base, .end = end};
    return fa__h1_scan->value(p, &window) == end;
}

int fa__h1_check_field(const struct fa_header *field)
{
    struct fa_span name = field->name;
    struct fa_span value = field->value;
    bool ok = name.len > 0 && is_name(name.ptr, name.ptr, name.ptr + name.len) &&
              (value.len == 0 || is_value(value.ptr, value.ptr, value.ptr + value.len));
    return ok ? 0 : FA_EHTTP_HEADER;
}

static inline char *put(char *out, const void *bytes, size_t len)
{
    memcpy(out, bytes, len);
    return out + len;
}

int fa__h1_write_status(struct fa_buf *out, int status)
{
    if (status < 100 || status > 599)
        return FA_EHTTP_STATUS;
    struct fa_span line = fa__h1_status_line(status);
    if (line.len > 0)
        return fa_buf_append(out, line);
    /* The blank in front of the reason stays when there is none (RFC 9112 section 4). */
    char text[] = "HTTP/1.1 000 \r\n";
    text[9] = (char)('0' + status / 100);
    text[10] = (char)('0' + status / 10 % 10);
    text[11] = (char)('0' + status % 10);
    return fa_buf_append(out, fa_span(text, sizeof(text) - 1));
}

/* The copy is checked, not the original: behind what the buffer holds already the scanners can
 * use whole vectors even for a short name. What fails was never appended. */
int fa__h1_write_field(struct fa_buf *out, const struct fa_header *field)
{
    size_t len;
    if (__builtin_add_overflow(field->name.len, field->value.len, &len) ||
        __builtin_add_overflow(len, 4, &len))
        return FA_EOVERFLOW;
    int err = fa_buf_reserve(out, len);
    if (err < 0)
        return err;
    char *name = out->data + out->len;
    char *name_end = name;
    if (field->name.len > 0)
        name_end = put(name, field->name.ptr, field->name.len);
    char *value = put(name_end, ": ", 2);
    char *value_end = value;
    if (field->value.len > 0)
        value_end = put(value, field->value.ptr, field->value.len);
    if (!is_name(out->data, name, name_end) || !is_value(out->data, value, value_end))
        return FA_EHTTP_HEADER;
    put(value_end, "\r\n", 2);
    out->len += len;
    return 0;
}

#define MAX_DECIMAL 20 /* digits of UINT64_MAX */

int fa__h1_write_content_length(struct fa_buf *out, uint64_t length)
{
    char digits[MAX_DECIMAL];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + length % 10);
        length /= 10;
    } while (length > 0);
    struct fa_header field = {FA_SPAN("content-length"), {digits + at, sizeof(digits) - at}};
    return fa__h1_write_field(out, &field);
}

int fa__h1_write_head_end(struct fa_buf *out)
{
    return fa_buf_append(out, FA_SPAN("\r\n"));
}

size_t fa__h1_chunk_line(char *line, uint64_t length)
{
    unsigned digits = 1;
    while (digits < 16 && length >> (4 * digits) != 0)
        digits++;
    for (unsigned i = 0; i < digits; i++)
        line[i] = "0123456789abcdef"[length >> (4 * (digits - 1 - i)) & 15];
    line[digits] = '\r';
    line[digits + 1] = '\n';
    return digits + 2;
}
