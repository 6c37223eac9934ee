/* SPDX-License-Identifier: MIT */
/* chunked.c - decoder of the chunked transfer coding (RFC 9112 section 7.1). Pure codec: no
 * I/O, no clock, no allocation; any thread.
 *
 *   SIZE -> [EXT ...] -> SIZE_LF -> DATA -> DATA_CR -> DATA_LF -> SIZE
 *                        SIZE_LF -> T_LINE -> T_NAME -> T_VALUE -> T_VALUE_LF -> T_LINE
 *                                   T_LINE -> T_END_LF -> done
 *
 * Framing goes byte by byte through one small function per state; data is handed out as runs.
 * Any state may fail; `error` then repeats for ever. Invariant: in DATA, left > 0.
 *
 * Lines, trailers and, so that a body cannot be all framing, the sum of what framing costs
 * beyond what its data pays for are bounded; extensions are checked and ignored (section
 * 7.1.1), trailer fields are checked and dropped (section 7.1.2). */
#include "proto/h1/h1.h"

#include "proto/h1/syntax.h"

#define MAX_SIZE_DIGITS 16
#define MAX_LINE_BYTES 4096
#define MAX_OVERHEAD_BYTES 16384
#define FREE_BYTES_PER_CHUNK 32
#define MAX_TRAILER_BYTES 16384
#define MAX_TRAILER_FIELDS 64

enum {
    SIZE,
    EXT_BLANK, /* BWS in front of ';' */
    EXT_NAME_BEGIN,
    EXT_NAME,
    EXT_NAME_BLANK, /* BWS behind a name: '=' or ';' follows */
    EXT_VALUE_BEGIN,
    EXT_TOKEN,
    EXT_QUOTED,
    EXT_ESCAPED,
    EXT_VALUE_END, /* behind a quoted string */
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    T_LINE,
    T_NAME_BEGUN,
    T_VALUE,
    T_VALUE_LF,
    T_END_LF,
};

/* Each step takes one byte and returns the next state or an error. */

static int hex_value(char c)
{
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

static int end_size(const struct fa__h1_chunked *dec, char c, int state)
{
    if (c == '\r')
        return SIZE_LF;
    if (c == ';')
        return EXT_NAME_BEGIN;
    if (fa__h1_is_blank(c))
        return state;
    return FA_EH1_CHUNK;
}

static int step_size(struct fa__h1_chunked *dec, char c)
{
    if (!fa__h1_is(c, FA__H1_HEXDIG))
        return dec->size_digits > 0 ? end_size(dec, c, EXT_BLANK) : FA_EH1_CHUNK;
    if (dec->size_digits == MAX_SIZE_DIGITS)
        return FA_EH1_CHUNK;
    /* 16 digits fill the 64 bits exactly: no overflow is possible. */
    dec->size_digits++;
    dec->left = dec->left << 4 | (uint64_t)hex_value(c);
    return SIZE;
}

/* chunk-ext = *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )
 * long-function: one line per state of one small grammar */
static int step_extension(const struct fa__h1_chunked *dec, char c)
{
    bool token = fa__h1_is(c, FA__H1_TOKEN);
    bool blank = fa__h1_is_blank(c);
    switch (dec->state) {
    case EXT_BLANK:
        return blank ? EXT_BLANK : c == ';' ? EXT_NAME_BEGIN : FA_EH1_CHUNK;
    case EXT_NAME_BEGIN:
        return blank ? EXT_NAME_BEGIN : token ? EXT_NAME : FA_EH1_CHUNK;
    case EXT_NAME:
        return token ? EXT_NAME : c == '=' ? EXT_VALUE_BEGIN : end_size(dec, c, EXT_NAME_BLANK);
    case EXT_NAME_BLANK:
        return blank      ? EXT_NAME_BLANK
               : c == '=' ? EXT_VALUE_BEGIN
               : c == ';' ? EXT_NAME_BEGIN
                          : FA_EH1_CHUNK;
    case EXT_VALUE_BEGIN:
        return blank ? EXT_VALUE_BEGIN : token ? EXT_TOKEN : c == '"' ? EXT_QUOTED : FA_EH1_CHUNK;
    case EXT_TOKEN:
        return token ? EXT_TOKEN : end_size(dec, c, EXT_BLANK);
    case EXT_QUOTED:
        return c == '"'                      ? EXT_VALUE_END
               : c == '\\'                   ? EXT_ESCAPED
               : fa__h1_is(c, FA__H1_QUOTED) ? EXT_QUOTED
                                             : FA_EH1_CHUNK;
    case EXT_ESCAPED:
        return fa__h1_is(c, FA__H1_VALUE) ? EXT_QUOTED : FA_EH1_CHUNK;
    default:
        return end_size(dec, c, EXT_BLANK);
    }
}

/* The size line is complete. What it cost is charged, what its data is worth forgiven. */
static int end_size_line(struct fa__h1_chunked *dec)
{
    uint32_t cost = dec->overhead + dec->line_bytes;
    uint64_t paid = dec->left < MAX_OVERHEAD_BYTES ? dec->left : MAX_OVERHEAD_BYTES;
    paid += FREE_BYTES_PER_CHUNK;
    dec->overhead = cost > paid ? cost - (uint32_t)paid : 0;
    if (dec->overhead > MAX_OVERHEAD_BYTES)
        return FA_EH1_CHUNK;
    dec->line_bytes = 0;
    dec->size_digits = 0;
    return dec->left > 0 ? DATA : T_LINE;
}

static int step_trailer(struct fa__h1_chunked *dec, char c)
{
    switch (dec->state) {
    case T_LINE:
        if (c == '\r')
            return T_END_LF;
        if (dec->trailer_count++ == MAX_TRAILER_FIELDS)
            return FA_EH1_TRAILER;
        return fa__h1_is(c, FA__H1_TOKEN) ? T_NAME_BEGUN : FA_EH1_TRAILER;
    case T_NAME_BEGUN:
        return c == ':' ? T_VALUE : fa__h1_is(c, FA__H1_TOKEN) ? T_NAME_BEGUN : FA_EH1_TRAILER;
    case T_VALUE:
        return c == '\r' ? T_VALUE_LF : fa__h1_is(c, FA__H1_VALUE) ? T_VALUE : FA_EH1_TRAILER;
    case T_VALUE_LF:
        return c == '\n' ? T_LINE : FA_EH1_TRAILER;
    default:
        if (c != '\n')
            return FA_EH1_TRAILER;
        dec->done = true;
        return T_END_LF;
    }
}

static int step(struct fa__h1_chunked *dec, char c)
{
    if (dec->state >= T_LINE) {
        if (++dec->line_bytes > MAX_TRAILER_BYTES)
            return FA_EH1_TRAILER;
        return step_trailer(dec, c);
    }
    switch (dec->state) {
    case DATA_CR:
        return c == '\r' ? DATA_LF : FA_EH1_CHUNK;
    case DATA_LF:
        return c == '\n' ? SIZE : FA_EH1_CHUNK;
    default:
        break;
    }
    if (++dec->line_bytes > MAX_LINE_BYTES)
        return FA_EH1_CHUNK;
    if (dec->state == SIZE)
        return step_size(dec, c);
    if (dec->state == SIZE_LF)
        return c == '\n' ? end_size_line(dec) : FA_EH1_CHUNK;
    return step_extension(dec, c);
}

ssize_t fa__h1_chunked_decode(struct fa__h1_chunked *dec, struct fa_span in, struct fa_span *data)
{
    *data = fa_span(in.ptr, 0);
    if (dec->error < 0)
        return dec->error;
    if (in.len == 0)
        return 0;
    size_t used = 0;
    while (used < in.len && !dec->done && dec->state != DATA) {
        int next = step(dec, in.ptr[used++]);
        if (next < 0) {
            dec->error = next;
            return next;
        }
        dec->state = (uint8_t)next;
    }
    if (dec->state == DATA) {
        size_t have = in.len - used;
        size_t len = dec->left < have ? (size_t)dec->left : have;
        *data = fa_span(in.ptr + used, len);
        used += len;
        dec->left -= len;
        if (dec->left == 0)
            dec->state = DATA_CR;
    }
    return (ssize_t)used;
}
