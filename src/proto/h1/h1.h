/* SPDX-License-Identifier: MIT */
/* h1.h - HTTP/1.0 and 1.1 message syntax (RFC 9112), pure: bytes in, structure out. No I/O,
 * no clock, no allocation; the caller owns every byte and every struct.
 *
 *   head     fa__h1_parse_head     request line and fields, resumable
 *   body     fa__h1_chunked_decode chunked coding with trailers, resumable
 *   response fa__h1_write_*        status line, fields, chunk framing into a fa_buf
 */
#ifndef FA_PROTO_H1_H
#define FA_PROTO_H1_H

#include <fasterapi/buf.h>
#include <fasterapi/error.h>
#include <fasterapi/header.h>
#include <fasterapi/span.h>

/* ---- request head ------------------------------------------------------------------ */

/* Sizes are clamped to 1 GiB. */
struct fa__h1_limits {
    uint32_t request_line_bytes; /* without its CRLF */
    /* Names + values + 32 per field; the section as sent, padding and line ends included,
     * may not be longer either. */
    uint32_t header_bytes;
    uint32_t header_fields; /* <= capacity of the caller's array */
};

/* How the body is delimited (RFC 9112 section 6.3). "Content-Length: 0" is NO_BODY. */
enum fa__h1_framing { FA__H1_NO_BODY, FA__H1_LENGTH, FA__H1_CHUNKED };

enum fa__h1_form { /* RFC 9112 section 3.2 */
                   FA__H1_ORIGIN,
                   FA__H1_ABSOLUTE,
                   FA__H1_AUTHORITY, /* CONNECT only */
                   FA__H1_ASTERISK,  /* OPTIONS only */
};

/* The parsed head. Spans point into the bytes of the last call (path: a literal "/" where
 * the target has none). */
struct fa__h1_head {
    struct fa_span method;
    struct fa_span target;
    /* "/" when an absolute target has none; "*" for asterisk; empty for authority form */
    struct fa_span path;
    struct fa_span query; /* without '?' */
    /* Of absolute and authority form, else empty. That of an absolute target replaces the
     * value of Host, also in `headers` (RFC 9112 section 3.2.2). */
    struct fa_span authority;
    struct fa_span host;       /* value of Host; for HTTP/1.0 maybe empty */
    struct fa_span upgrade;    /* value of Upgrade when Connection names it, else empty */
    struct fa_header *headers; /* the caller's array */
    size_t header_count;
    int64_t content_length; /* with FA__H1_LENGTH; 0 otherwise */
    enum fa__h1_framing framing;
    enum fa__h1_form form;
    uint8_t version_minor;
    bool keep_alive;      /* what the client wants (RFC 9112 section 9.3) */
    bool expect_continue; /* Expect: 100-continue from an HTTP/1.1 client with a body */
    bool expect_unknown;  /* any other expectation: answer 417 */
    bool trailers_ok;     /* TE: trailers */
};

/* Progress over one head; fa__h1_parser_init before each request. */
struct fa__h1_parser {
    /* read-only */
    bool seen_any; /* a byte of the request line was seen (empty lines before it are not) */
    /* private: offsets from the front of the input, because it may move. Fields are kept
     * as offsets too, in the caller's header array, until the head is complete. */
    uint8_t state;
    uint8_t empty_lines;
    uint8_t form;
    uint8_t version_minor;
    uint16_t flags;
    uint32_t pos;  /* every byte before it was examined */
    uint32_t mark; /* begin of the line or token in progress */
    uint32_t name_len;
    uint32_t line_at, method_len, target_at, target_len;
    uint32_t path_at, path_len, query_at, authority_at, authority_len;
    uint32_t fields_at, field_count, counted_fields, header_bytes;
    uint32_t host_field, upgrade_field;
    int64_t content_length;
};

static inline void fa__h1_parser_init(struct fa__h1_parser *parser)
{
    *parser = (struct fa__h1_parser){0};
}

/* Parses the head at the front of `in`. `in` must begin with the same bytes at every call
 * for one head, but may have moved and grown. `headers` has room for limits->header_fields
 * entries and must keep its content between calls.
 *
 * Returns the number of bytes of the head (including up to four leading empty lines, RFC
 * 9112 section 2.2) once it is complete, 0 when more bytes are needed, or a negative FA_EH1_
 * code as soon as the bytes so far cannot become a valid head (syntax at the byte, the meaning
 * of a field at the end of its line). After an error the connection must close. The result
 * does not depend on how the bytes were cut. Time is linear in the number of new bytes. */
ssize_t fa__h1_parse_head(struct fa__h1_parser *parser, struct fa_span in,
                          const struct fa__h1_limits *limits, struct fa_header *headers,
                          struct fa__h1_head *head) FA_MUST_CHECK;

/* The HTTP status that answers a parse error: 400, 414, 431, 501, 505. */
int fa__h1_error_status(int err);

/* The name of the scanner chosen at run time: "avx2", "sse4.2", "neon" or "scalar". */
const char *fa__h1_simd_name(void);
/* Chooses the best scanner of this machine, or the named one (tests). Returns 0 or
 * FA_ENOTSUP. Thread-safe only before parsers run; the library calls it once by itself. */
int fa__h1_simd_select(const char *name) FA_MUST_CHECK;

/* ---- chunked body ----------------------------------------------------------------------- */

struct fa__h1_chunked {
    /* read-only */
    bool done;
    /* private */
    uint8_t state;
    uint8_t size_digits;
    uint16_t trailer_count;
    uint32_t line_bytes; /* of the chunk line or trailer section so far */
    uint32_t overhead;   /* framing bytes beyond what the data paid for */
    int error;           /* a failed decoder repeats it */
    uint64_t left;       /* bytes left of the current chunk */
};

static inline void fa__h1_chunked_init(struct fa__h1_chunked *dec)
{
    *dec = (struct fa__h1_chunked){0};
}

/* Decodes from `in`. Sets `*data` to the next run of body bytes (a span into `in`, maybe
 * empty) and returns the number of bytes of `in` consumed, data included; `dec->done` is set
 * once the last trailer line was consumed (bytes behind belong to the next request). Call
 * it again while it consumes something. Returns FA_EH1_CHUNK or FA_EH1_TRAILER on bad
 * syntax or when a bound is crossed: 4 KiB a chunk line, 16 KiB of framing beyond 32 bytes
 * a chunk and one per byte of data, 16 KiB and 64 fields of trailers. Trailer fields are
 * checked and dropped. */
ssize_t fa__h1_chunked_decode(struct fa__h1_chunked *dec, struct fa_span in,
                              struct fa_span *data) FA_MUST_CHECK;

/* ---- response ---------------------------------------------------------------------------- */

/* Checks one response field: name is a token (RFC 9110 section 5.1), value has no CR, LF,
 * NUL (section 5.5) or other control byte but HTAB. Returns 0 or FA_EHTTP_HEADER. */
int fa__h1_check_field(const struct fa_header *field) FA_MUST_CHECK;

/* Appends "HTTP/1.1 200 OK\r\n". The version is always 1.1 (RFC 9110 section 2.5), the reason
 * fa_http_reason(). Returns 0, FA_EHTTP_STATUS (outside 100..599) or FA_ENOMEM. */
int fa__h1_write_status(struct fa_buf *out, int status) FA_MUST_CHECK;

/* Checks and appends "name: value\r\n". Returns 0, FA_EHTTP_HEADER, FA_ENOMEM or FA_EOVERFLOW;
 * on failure nothing was appended. */
int fa__h1_write_field(struct fa_buf *out, const struct fa_header *field) FA_MUST_CHECK;

/* Appends "content-length: N\r\n". */
int fa__h1_write_content_length(struct fa_buf *out, uint64_t length) FA_MUST_CHECK;

/* Appends "\r\n". */
int fa__h1_write_head_end(struct fa_buf *out) FA_MUST_CHECK;

/* The chunk-size line for `length` > 0 bytes: "1a\r\n" into `line` (at least 20 bytes);
 * returns its length. The chunk's data and "\r\n" follow. */
size_t fa__h1_chunk_line(char *line, uint64_t length);

/* ---- dates --------------------------------------------------------------------------------- */

#define FA__H1_DATE_LEN 29

/* Writes "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 section 5.6.7) for a time in seconds since
 * 1970 into out[29]. Years outside 0..9999 do not fit the form: times there are clamped. */
void fa__h1_format_date(char out[FA__H1_DATE_LEN], int64_t unix_seconds);

#endif
