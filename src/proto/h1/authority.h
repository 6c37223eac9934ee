/* SPDX-License-Identifier: MIT */
/* authority.h - the syntax of Host and of the authority in a request target. Private to
 * the codec. */
#ifndef FA_PROTO_H1_AUTHORITY_H
#define FA_PROTO_H1_AUTHORITY_H

#include <fasterapi/span.h>

struct fa__h1_authority {
    struct fa_span host; /* brackets of an IP literal included */
    struct fa_span port; /* digits, maybe none */
    bool has_port;       /* there was a ':' */
};

/* Splits `text` by "uri-host [ ":" port ]" (RFC 9110 section 7.2, RFC 3986 section 3.2.2):
 * a registered name (maybe empty), an IPv4 address or an IP literal in brackets; a port is
 * digits of a value up to 65535, or nothing. User information is not part of it. Returns
 * false when the text is anything else; `out` is then undefined. Pure. */
bool fa__h1_split_authority(struct fa_span text, struct fa__h1_authority *out);

#endif
