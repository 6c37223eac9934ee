/* SPDX-License-Identifier: MIT */
/* target.c - the four forms of a request target (RFC 9112 section 3.2): origin "/a?b",
 * absolute "http://host/a?b", authority "host:port" with CONNECT only, asterisk "*" with
 * OPTIONS only. Pure; any thread.
 *
 * The bytes of path and query are not held to the URI grammar: browsers send some that it
 * excludes, and a '%' that begins no escape is the application's to judge. The scanner has
 * refused controls, blanks, '#' and everything outside ASCII before we are called. */
#include "proto/h1/target.h"

#include "proto/h1/authority.h"
#include "proto/h1/syntax.h"

static uint32_t target_end(const struct fa__h1_parser *parser)
{
    return parser->target_at + parser->target_len;
}

static struct fa_span method_of(const struct fa__h1_parser *parser, const char *base)
{
    return fa_span(base + parser->line_at, parser->method_len);
}

/* Path and query begin at offset `at`; the path ends at the '?' or with the target. */
static void set_path(struct fa__h1_parser *parser, uint32_t at)
{
    uint32_t end = parser->query_at != 0 ? parser->query_at - 1 : target_end(parser);
    parser->path_at = at;
    parser->path_len = end - at;
}

/* Host and port without user information: RFC 9110 section 4.2.4 treats that as an attack. The
 * host may not be empty (section 4.2.1; RFC 9112 section 3.2.3 for CONNECT). */
static int set_authority(struct fa__h1_parser *parser, const char *base, uint32_t at, uint32_t len)
{
    struct fa__h1_authority authority;
    if (!fa__h1_split_authority(fa_span(base + at, len), &authority) || authority.host.len == 0)
        return FA_EH1_TARGET;
    if (parser->form == FA__H1_AUTHORITY && authority.port.len == 0)
        return FA_EH1_TARGET;
    parser->authority_at = at;
    parser->authority_len = len;
    return 0;
}

static int split_authority_form(struct fa__h1_parser *parser, const char *base)
{
    parser->form = FA__H1_AUTHORITY;
    return set_authority(parser, base, parser->target_at, parser->target_len);
}

/* "http://" or "https://": an origin server has no resources under other schemes. Returns
 * the length, 0 when the target begins otherwise. */
static uint32_t scheme_len(struct fa_span target)
{
    static const struct fa_span schemes[] = {{"http://", 7}, {"https://", 8}};
    for (size_t i = 0; i < FA_ARRAY_LEN(schemes); i++) {
        size_t len = schemes[i].len;
        if (target.len >= len && fa_span_eq_nocase(fa_span(target.ptr, len), schemes[i]))
            return (uint32_t)len;
    }
    return 0;
}

static int split_absolute_form(struct fa__h1_parser *parser, const char *base)
{
    uint32_t scheme = scheme_len(fa_span(base + parser->target_at, parser->target_len));
    if (scheme == 0)
        return FA_EH1_TARGET;
    parser->form = FA__H1_ABSOLUTE;
    uint32_t at = parser->target_at + scheme;
    uint32_t end = parser->query_at != 0 ? parser->query_at - 1 : target_end(parser);
    const char *slash = memchr(base + at, '/', end - at);
    uint32_t path_at = slash != NULL ? (uint32_t)(slash - base) : end;
    set_path(parser, path_at);
    return set_authority(parser, base, at, path_at - at);
}

static int split_asterisk_form(struct fa__h1_parser *parser, const char *base)
{
    struct fa_span method = method_of(parser, base);
    /* The preface of HTTP/2 (RFC 9113 section 3.4), which no HTTP/1 request begins with. */
    if (fa_span_eq(method, FA_SPAN("PRI")))
        return FA_EH1_VERSION;
    if (parser->target_len != 1 || !fa_span_eq(method, FA_SPAN("OPTIONS")))
        return FA_EH1_TARGET;
    parser->form = FA__H1_ASTERISK;
    set_path(parser, parser->target_at);
    return 0;
}

bool fa__h1_target_may_begin(char first)
{
    return first == '/' || first == '*' || first == '[' || fa__h1_is(first, FA__H1_REG_NAME) ||
           first == '%';
}

int fa__h1_split_target(struct fa__h1_parser *parser, const char *base)
{
    if (fa_span_eq(method_of(parser, base), FA_SPAN("CONNECT")))
        return split_authority_form(parser, base);
    switch (base[parser->target_at]) {
    case '/':
        parser->form = FA__H1_ORIGIN;
        set_path(parser, parser->target_at);
        return 0;
    case '*':
        return split_asterisk_form(parser, base);
    default:
        return split_absolute_form(parser, base);
    }
}
