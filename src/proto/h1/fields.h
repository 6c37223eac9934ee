/* SPDX-License-Identifier: MIT */
/* fields.h - the request fields that the codec itself must understand. Private to the
 * codec. */
#ifndef FA_PROTO_H1_FIELDS_H
#define FA_PROTO_H1_FIELDS_H

#include "proto/h1/h1.h"

/* parser->flags */
enum {
    FA__H1_HAS_HOST = 1,
    FA__H1_HAS_LENGTH = 2,
    FA__H1_HAS_CODING = 4,      /* a Transfer-Encoding field */
    FA__H1_LAST_CHUNKED = 8,    /* ... whose last coding so far is chunked */
    FA__H1_OTHER_CODING = 16,   /* ... one of whose codings is not chunked */
    FA__H1_CLOSE = 32,          /* Connection: close */
    FA__H1_KEEP_ALIVE = 64,     /* Connection: keep-alive */
    FA__H1_WANTS_UPGRADE = 128, /* Connection: upgrade */
    FA__H1_HAS_UPGRADE = 256,   /* an Upgrade field */
    FA__H1_EXPECT_100 = 512,    /* Expect: 100-continue */
    FA__H1_EXPECT_OTHER = 1024, /* any other expectation */
    FA__H1_TE_TRAILERS = 2048,  /* TE: trailers */
};

/* Whether a field with this name can be one of ours, told by length and first letter, so that
 * most fields cost no call. */
static inline bool fa__h1_may_matter(const char *name, size_t len)
{
    static const char first[32] = {
        [2] = 't', [4] = 'h', [6] = 'e', [7] = 'u', [10] = 'c', [14] = 'c', [17] = 't',
    };
    return len < sizeof(first) && (name[0] | 0x20) == first[len];
}

/* Takes field number `index` into account; `field` is as stored by the parser, offsets from
 * `base`. Returns 0 or the negative FA_EH1_ code of what no server may accept. */
int fa__h1_note_field(struct fa__h1_parser *parser, const char *base, const struct fa_header *field,
                      uint32_t index) FA_MUST_CHECK;

/* What only the end of the section can tell: a missing Host, a body whose end nobody can
 * find. Returns 0 or a negative FA_EH1_ code. */
int fa__h1_check_fields(const struct fa__h1_parser *parser) FA_MUST_CHECK;

/* Fills the members of `head` that fields decide: framing, connection, expectation, host and
 * upgrade. head->headers must hold pointers already. */
void fa__h1_apply_fields(const struct fa__h1_parser *parser, struct fa__h1_head *head);

#endif
