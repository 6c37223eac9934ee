/* SPDX-License-Identifier: MIT */
/* target.h - the four forms of a request target. Private to the codec. */
#ifndef FA_PROTO_H1_TARGET_H
#define FA_PROTO_H1_TARGET_H

#include "proto/h1/h1.h"

/* Whether a target may begin with `first`, so that garbage is refused at its first byte. */
bool fa__h1_target_may_begin(char first);

/* Tells the form of the complete target that the parser has delimited (target_at, target_len,
 * query_at; its bytes are checked) and sets form, path and authority. Returns 0,
 * FA_EH1_TARGET, or FA_EH1_VERSION for the preface of HTTP/2. */
int fa__h1_split_target(struct fa__h1_parser *parser, const char *base) FA_MUST_CHECK;

#endif
