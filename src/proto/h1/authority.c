/* SPDX-License-Identifier: MIT */
/* authority.c - the grammar of "uri-host [ ":" port ]" (RFC 9110 section 7.2, RFC 3986
 * section 3.2.2), for Host and for request targets. Pure; any thread.
 *
 * Stricter than the grammar in one place: a port above 65535 cannot be meant by anybody and
 * is refused. Zone identifiers (RFC 6874) never leave the machine that uses them and are
 * refused as well. */
#include "proto/h1/authority.h"

#include "proto/h1/syntax.h"

static bool valid_port(const char *p, const char *end)
{
    uint32_t value = 0;
    for (; p < end; p++) {
        uint32_t digit = (uint32_t)(unsigned char)*p - '0';
        value = value * 10 + digit;
        if (digit > 9 || value > 65535)
            return false;
    }
    return true;
}

/* dec-octet "." dec-octet "." dec-octet "." dec-octet, and nothing behind it. */
static bool valid_ipv4(struct fa_span text)
{
    const char *p = text.ptr;
    const char *end = p + text.len;
    for (int octet = 0; octet < 4; octet++) {
        if (octet > 0 && (p == end || *p++ != '.'))
            return false;
        const char *begin = p;
        unsigned value = 0;
        while (p < end && p - begin < 3 && fa__h1_is(*p, FA__H1_DIGIT))
            value = value * 10 + (unsigned)(*p++ - '0');
        if (p == begin || value > 255 || (p - begin > 1 && *begin == '0'))
            return false;
    }
    return p == end;
}

/* h16 groups with at most one "::"; the last two may be an IPv4 address. */
static bool valid_ipv6(struct fa_span text)
{
    const char *p = text.ptr;
    const char *end = p + text.len;
    int groups = 0;
    bool compressed = false;
    if (text.len >= 2 && p[0] == ':' && p[1] == ':') {
        compressed = true;
        p += 2;
    }
    while (p < end) {
        const char *begin = p;
        while (p < end && p - begin < 4 && fa__h1_is(*p, FA__H1_HEXDIG))
            p++;
        if (p == begin || groups == 8)
            return false;
        if (p < end && *p == '.') {
            if (groups > 6 || !valid_ipv4(fa_span(begin, (size_t)(end - begin))))
                return false;
            groups += 2;
            break;
        }
        groups++;
        if (p == end)
            break;
        if (*p++ != ':' || p == end)
            return false;
        if (*p == ':') {
            if (compressed)
                return false;
            compressed = true;
            p++;
        }
    }
    /* "::" stands for at least one group. */
    return compressed ? groups < 8 : groups == 8;
}

/* "v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" ) */
static bool valid_ipvfuture(struct fa_span text)
{
    size_t i = 1;
    while (i < text.len && fa__h1_is(text.ptr[i], FA__H1_HEXDIG))
        i++;
    if (i == 1 || i + 1 >= text.len || text.ptr[i] != '.')
        return false;
    for (i++; i < text.len; i++) {
        if (!fa__h1_is(text.ptr[i], FA__H1_REG_NAME) && text.ptr[i] != ':')
            return false;
    }
    return true;
}

/* The length of the IP literal at the front of `text`, brackets included, or 0. */
static size_t ip_literal(struct fa_span text)
{
    const char *close = memchr(text.ptr, ']', text.len);
    if (close == NULL || close == text.ptr + 1)
        return 0;
    struct fa_span inner = fa_span(text.ptr + 1, (size_t)(close - text.ptr) - 1);
    bool future = (inner.ptr[0] | 0x20) == 'v';
    if (future ? !valid_ipvfuture(inner) : !valid_ipv6(inner))
        return 0;
    return inner.len + 2;
}

/* The length of the longest reg-name at the front of `text`. */
static size_t reg_name(struct fa_span text)
{
    const char *p = text.ptr;
    const char *end = p + text.len;
    for (;;) {
        while (p < end && fa__h1_is(*p, FA__H1_REG_NAME))
            p++;
        if (end - p < 3 || p[0] != '%' || !fa__h1_is(p[1], FA__H1_HEXDIG) ||
            !fa__h1_is(p[2], FA__H1_HEXDIG))
            return (size_t)(p - text.ptr);
        p += 3;
    }
}

bool fa__h1_split_authority(struct fa_span text, struct fa__h1_authority *out)
{
    size_t len = 0;
    if (text.len > 0 && text.ptr[0] == '[') {
        len = ip_literal(text);
        if (len == 0)
            return false;
    } else {
        len = reg_name(text);
    }
    *out = (struct fa__h1_authority){.host = {text.ptr, len}};
    if (len == text.len)
        return true;
    if (text.ptr[len] != ':')
        return false;
    out->has_port = true;
    out->port = fa_span(text.ptr + len + 1, text.len - len - 1);
    return valid_port(out->port.ptr, out->port.ptr + out->port.len);
}
