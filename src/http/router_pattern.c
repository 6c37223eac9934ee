/* SPDX-License-Identifier: MIT */
/* router_pattern.c - the grammar of a route's path. Pure: no allocation, spans into the
 * caller's text, any thread.
 *
 *     pattern  = 1*( "/" segment ) ; the last segment may be a wildcard
 *     segment  = *static / "{" name "}"
 *     wildcard = "*" name
 *
 * The three special bytes { } * have no escape and are refused anywhere else, so that a
 * mistyped pattern is an error at start-up and not a route that never matches. */
#include "http/router_tree.h"

/* Letters, digits, "_", "-" and everything beyond ASCII. A converter ("{id:int}") is the
 * caller's to take off: accepting it as a name would hide the mistake. */
static bool is_name_byte(char c)
{
    unsigned char u = (unsigned char)c;
    unsigned char letter = (unsigned char)(u | 0x20);
    return (letter >= 'a' && letter <= 'z') || (u >= '0' && u <= '9') || u == '_' || u == '-' ||
           u >= 0x80;
}

static int add_name(struct fa__route_pattern *out, struct fa_span name)
{
    if (name.len == 0 || out->param_count == FA_ROUTER_MAX_PARAMS)
        return FA_EROUTE_SYNTAX;
    for (size_t i = 0; i < name.len; i++) {
        if (!is_name_byte(name.ptr[i]))
            return FA_EROUTE_SYNTAX;
    }
    for (size_t i = 0; i < out->param_count; i++) {
        if (fa_span_eq(out->names[i], name))
            return FA_EROUTE_SYNTAX;
    }
    out->names[out->param_count++] = name;
    return 0;
}

static int check_static(struct fa_span segment)
{
    for (size_t i = 0; i < segment.len; i++) {
        char c = segment.ptr[i];
        if (c == '{' || c == '}' || c == '*')
            return FA_EROUTE_SYNTAX;
    }
    return 0;
}

/* One segment, from behind its slash to the next one or the end. */
static int add_segment(struct fa__route_pattern *out, struct fa_span segment, bool last)
{
    if (segment.len > 0 && segment.ptr[0] == '*') {
        out->has_wild = true;
        return last ? add_name(out, fa_span(segment.ptr + 1, segment.len - 1)) : FA_EROUTE_SYNTAX;
    }
    if (segment.len >= 2 && segment.ptr[0] == '{' && segment.ptr[segment.len - 1] == '}')
        return add_name(out, fa_span(segment.ptr + 1, segment.len - 2));
    return check_static(segment);
}

int fa__route_parse(struct fa_span pattern, struct fa__route_pattern *out)
{
    out->param_count = 0;
    out->has_wild = false;
    if (pattern.len == 0 || pattern.ptr[0] != '/' || pattern.len > UINT32_MAX)
        return FA_EROUTE_SYNTAX;

    const char *end = pattern.ptr + pattern.len;
    const char *text = pattern.ptr; /* start of the static text not yet handed out */
    const char *at = pattern.ptr;   /* at a slash */
    for (size_t segments = 0; at < end; segments++) {
        if (segments == FA__ROUTER_MAX_SEGMENTS)
            return FA_EROUTE_SYNTAX;
        const char *start = at + 1;
        const char *stop = memchr(start, '/', (size_t)(end - start));
        at = stop != NULL ? stop : end;
        size_t before = out->param_count;
        int err = add_segment(out, fa_span(start, (size_t)(at - start)), stop == NULL);
        if (err < 0)
            return err;
        if (out->param_count > before) {
            out->text[before] = fa_span(text, (size_t)(start - text));
            text = at;
        }
    }
    out->text[out->param_count] = fa_span(text, (size_t)(end - text));
    return 0;
}
