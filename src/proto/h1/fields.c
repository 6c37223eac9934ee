/* SPDX-License-Identifier: MIT */
/* fields.c - Host, Content-Length, Transfer-Encoding, Connection, Upgrade, Expect and TE of
 * a request (see fields.h): what they mean for the message's framing and connection. Pure;
 * any thread.
 *
 * note_field runs once per field, in order, as soon as the line is complete, and keeps what
 * it learned in the parser's flags; check_fields runs once behind the last field. Anything
 * that two implementations might read differently is refused, because a proxy in front of
 * us may be the other one (RFC 9112 section 11.2). */
#include "proto/h1/fields.h"

#include "proto/h1/authority.h"
#include "proto/h1/syntax.h"

/* ---- names ---------------------------------------------------------------------------- */

static inline uint64_t load_8(const char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof(word));
    return word;
}

static inline uint32_t load_4(const char *p)
{
    uint32_t word;
    memcpy(&word, p, sizeof(word));
    return word;
}

static inline uint16_t load_2(const char *p)
{
    uint16_t word;
    memcpy(&word, p, sizeof(word));
    return word;
}

#define FOLD UINT64_C(0x2020202020202020)

/* Whether the `len` bytes at `p` are `lower` but for case; len is constant, `lower` letters,
 * digits and '-' only: setting bit 5 folds letters and maps nothing else onto these but
 * control bytes, which no field holds. The last word overlaps the one before. */
static inline __attribute__((always_inline)) bool same_name(const char *p, const char *lower,
                                                            size_t len)
{
    if (len == 2)
        return ((load_2(p) | (uint16_t)FOLD) ^ load_2(lower)) == 0;
    if (len < 8)
        return (((load_4(p) | (uint32_t)FOLD) ^ load_4(lower)) |
                ((load_4(p + len - 4) | (uint32_t)FOLD) ^ load_4(lower + len - 4))) == 0;
    uint64_t diff = (load_8(p + len - 8) | FOLD) ^ load_8(lower + len - 8);
    for (size_t i = 0; i + 8 < len; i += 8)
        diff |= (load_8(p + i) | FOLD) ^ load_8(lower + i);
    return diff == 0;
}

#define IS_NAME(p, literal) same_name((p), literal, sizeof(literal) - 1)
#define IS_WORD(text, literal) ((text).len == sizeof(literal) - 1 && IS_NAME((text).ptr, literal))

/* ---- lists ------------------------------------------------------------------------------ */

/* Cuts the next member off `rest`, blanks trimmed, empty members skipped (RFC 9110 section
 * 5.6.1.2). Quoted strings are not treated specially: no member that is looked for has one,
 * and a piece of one can only be taken for an unknown member. */
static bool next_member(struct fa_span *rest, struct fa_span *member)
{
    while (rest->len > 0) {
        const char *comma = memchr(rest->ptr, ',', rest->len);
        size_t len = comma != NULL ? (size_t)(comma - rest->ptr) : rest->len;
        size_t used = comma != NULL ? len + 1 : len;
        *member = fa__h1_trim(fa_span(rest->ptr, len));
        *rest = fa_span(rest->ptr + used, rest->len - used);
        if (member->len > 0)
            return true;
    }
    return false;
}

/* ---- one field each ---------------------------------------------------------------------- */

/* One Host (RFC 9112 section 3.2), which may be empty only where the target names the
 * authority itself: an http URI with an empty host is invalid (RFC 9110 section 4.2.1). */
static int note_host(struct fa__h1_parser *parser, struct fa_span value, uint32_t index)
{
    struct fa__h1_authority authority;
    if ((parser->flags & FA__H1_HAS_HOST) != 0 || !fa__h1_split_authority(value, &authority))
        return FA_EH1_HOST;
    bool needed = parser->form == FA__H1_ORIGIN || parser->form == FA__H1_ASTERISK;
    if (authority.host.len == 0 && needed && parser->version_minor > 0)
        return FA_EH1_HOST;
    parser->flags |= FA__H1_HAS_HOST;
    parser->host_field = index;
    return 0;
}

/* One value only: even equal copies betray a confused sender (RFC 9112 section 6.3). */
static int note_length(struct fa__h1_parser *parser, struct fa_span value)
{
    if ((parser->flags & FA__H1_HAS_LENGTH) != 0 ||
        fa_span_to_int64(value, &parser->content_length) < 0)
        return FA_EH1_LENGTH;
    parser->flags |= FA__H1_HAS_LENGTH;
    return (parser->flags & FA__H1_HAS_CODING) != 0 ? FA_EH1_CODING : 0;
}

/* RFC 9112 section 6.1: no transfer codings in HTTP/1.0, none beside Content-Length; chunked
 * is the last of them and applied once. */
static int note_coding(struct fa__h1_parser *parser, struct fa_span value)
{
    if (parser->version_minor == 0 || (parser->flags & FA__H1_HAS_LENGTH) != 0)
        return FA_EH1_CODING;
    parser->flags |= FA__H1_HAS_CODING;
    struct fa_span coding;
    while (next_member(&value, &coding)) {
        if ((parser->flags & FA__H1_LAST_CHUNKED) != 0 || !fa__h1_is(coding.ptr[0], FA__H1_TOKEN))
            return FA_EH1_CODING;
        bool chunked = IS_WORD(coding, "chunked");
        parser->flags |= chunked ? FA__H1_LAST_CHUNKED : FA__H1_OTHER_CODING;
    }
    return 0;
}

static unsigned connection_flag(struct fa_span option)
{
    return IS_WORD(option, "keep-alive") ? FA__H1_KEEP_ALIVE
           : IS_WORD(option, "close")    ? FA__H1_CLOSE
           : IS_WORD(option, "upgrade")  ? FA__H1_WANTS_UPGRADE
                                         : 0;
}

static void note_connection(struct fa__h1_parser *parser, struct fa_span value)
{
    unsigned flag = connection_flag(value); /* mostly one option is the whole value */
    struct fa_span option;
    while (flag == 0 && next_member(&value, &option))
        parser->flags |= (uint16_t)connection_flag(option);
    parser->flags |= (uint16_t)flag;
}

static void note_upgrade(struct fa__h1_parser *parser, uint32_t index)
{
    if ((parser->flags & FA__H1_HAS_UPGRADE) == 0)
        parser->upgrade_field = index;
    parser->flags |= FA__H1_HAS_UPGRADE;
}

static void note_expect(struct fa__h1_parser *parser, struct fa_span value)
{
    struct fa_span member;
    while (next_member(&value, &member)) {
        bool known = IS_WORD(member, "100-continue");
        parser->flags |= known ? FA__H1_EXPECT_100 : FA__H1_EXPECT_OTHER;
    }
}

static void note_te(struct fa__h1_parser *parser, struct fa_span value)
{
    struct fa_span member;
    while (next_member(&value, &member)) {
        if (IS_WORD(member, "trailers"))
            parser->flags |= FA__H1_TE_TRAILERS;
    }
}

int fa__h1_note_field(struct fa__h1_parser *parser, const char *base, const struct fa_header *field,
                      uint32_t index)
{
    const char *name = base + (uintptr_t)field->name.ptr;
    struct fa_span value = fa_span(base + (uintptr_t)field->value.ptr, field->value.len);
    switch (field->name.len) {
    case 2:
        if (IS_NAME(name, "te"))
            note_te(parser, value);
        return 0;
    case 4:
        return IS_NAME(name, "host") ? note_host(parser, value, index) : 0;
    case 6:
        if (IS_NAME(name, "expect"))
            note_expect(parser, value);
        return 0;
    case 7:
        if (IS_NAME(name, "upgrade"))
            note_upgrade(parser, index);
        return 0;
    case 10:
        if (IS_NAME(name, "connection"))
            note_connection(parser, value);
        return 0;
    case 14:
        return IS_NAME(name, "content-length") ? note_length(parser, value) : 0;
    case 17:
        return IS_NAME(name, "transfer-encoding") ? note_coding(parser, value) : 0;
    default:
        return 0;
    }
}

/* ---- the whole section ------------------------------------------------------------------- */

int fa__h1_check_fields(const struct fa__h1_parser *parser)
{
    unsigned flags = parser->flags;
    if ((flags & FA__H1_HAS_HOST) == 0 && parser->version_minor > 0)
        return FA_EH1_HOST; /* RFC 9112 section 3.2 */
    if ((flags & FA__H1_HAS_CODING) == 0)
        return 0;
    /* The length is unknowable unless chunked is the last coding (RFC 9112 section 6.3). */
    if ((flags & FA__H1_LAST_CHUNKED) == 0)
        return FA_EH1_CODING;
    return (flags & FA__H1_OTHER_CODING) != 0 ? FA_EH1_CODING_UNKNOWN : 0;
}

void fa__h1_apply_fields(const struct fa__h1_parser *parser, struct fa__h1_head *head)
{
    unsigned flags = parser->flags;
    bool http_11 = parser->version_minor > 0;
    head->content_length = parser->content_length;
    head->framing = (flags & FA__H1_LAST_CHUNKED) != 0 ? FA__H1_CHUNKED
                    : parser->content_length > 0       ? FA__H1_LENGTH
                                                       : FA__H1_NO_BODY;
    head->keep_alive = (flags & FA__H1_CLOSE) == 0 && (http_11 || (flags & FA__H1_KEEP_ALIVE) != 0);
    /* HTTP/1.0 knows no expectations, upgrades (RFC 9110 sections 10.1.1, 7.8) or trailers. */
    head->expect_continue =
        http_11 && (flags & FA__H1_EXPECT_100) != 0 && head->framing != FA__H1_NO_BODY;
    head->expect_unknown = http_11 && (flags & FA__H1_EXPECT_OTHER) != 0;
    head->trailers_ok = http_11 && (flags & FA__H1_TE_TRAILERS) != 0;
    bool upgrade = (flags & FA__H1_WANTS_UPGRADE) != 0 && (flags & FA__H1_HAS_UPGRADE) != 0;
    head->upgrade =
        http_11 && upgrade ? head->headers[parser->upgrade_field].value : fa_span("", 0);
    /* An absolute target replaces Host (RFC 9112 section 3.2.2). A proxy in front of us may
     * have chosen by the one: nobody behind us may go by the other. */
    if ((flags & FA__H1_HAS_HOST) != 0 && head->form == FA__H1_ABSOLUTE)
        head->headers[parser->host_field].value = head->authority;
    head->host =
        (flags & FA__H1_HAS_HOST) != 0 ? head->headers[parser->host_field].value : fa_span("", 0);
}
