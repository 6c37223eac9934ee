/* SPDX-License-Identifier: MIT */
/* syntax.c - the table of character classes (see syntax.h). Constant data, any thread.
 *
 * Each entry is computed from the grammar by the preprocessor, so that the table can be
 * read against the RFCs and no generated numbers need to be trusted. */
#include "proto/h1/syntax.h"

#include "proto/h1/grammar.h"

#define CLASS(c)                                                                                   \
    ((IS_TOKEN(c) ? FA__H1_TOKEN : 0) | (IS_VALUE(c) ? FA__H1_VALUE : 0) |                         \
     (IS_PATH(c) ? FA__H1_PATH : 0) | (IS_REG_NAME(c) ? FA__H1_REG_NAME : 0) |                     \
     (IS_HEXDIG(c) ? FA__H1_HEXDIG : 0) | (IS_QUOTED(c) ? FA__H1_QUOTED : 0) |                     \
     (IS_SCHEME(c) ? FA__H1_SCHEME : 0) | (IS_DIGIT(c) ? FA__H1_DIGIT : 0))
#define CLASS_4(c) CLASS(c), CLASS((c) + 1), CLASS((c) + 2), CLASS((c) + 3)
#define CLASS_16(c) CLASS_4(c), CLASS_4((c) + 4), CLASS_4((c) + 8), CLASS_4((c) + 12)
#define CLASS_64(c) CLASS_16(c), CLASS_16((c) + 16), CLASS_16((c) + 32), CLASS_16((c) + 48)

const uint8_t fa__h1_classes[256] = {CLASS_64(0), CLASS_64(64), CLASS_64(128), CLASS_64(192)};
