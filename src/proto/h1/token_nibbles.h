/* SPDX-License-Identifier: MIT */
/* token_nibbles.h - tchar as two 16-byte tables, for instructions that look bytes up in a
 * vector: byte c is a tchar if and only if
 * LOW[c & 15] & HIGH[c >> 4] is not 0. Bit h of LOW[l] stands for the byte h << 4 | l. */
#ifndef FA_PROTO_H1_TOKEN_NIBBLES_H
#define FA_PROTO_H1_TOKEN_NIBBLES_H

#include "proto/h1/grammar.h"

#define NIBBLE_BIT(high, low) (IS_TOKEN((high) << 4 | (low)) ? 1 << (high) : 0)
#define NIBBLE_LOW(low)                                                                            \
    (char)(NIBBLE_BIT(2, low) | NIBBLE_BIT(3, low) | NIBBLE_BIT(4, low) | NIBBLE_BIT(5, low) |     \
           NIBBLE_BIT(6, low) | NIBBLE_BIT(7, low))

#define TOKEN_LOW_TABLE                                                                            \
    NIBBLE_LOW(0), NIBBLE_LOW(1), NIBBLE_LOW(2), NIBBLE_LOW(3), NIBBLE_LOW(4), NIBBLE_LOW(5),      \
        NIBBLE_LOW(6), NIBBLE_LOW(7), NIBBLE_LOW(8), NIBBLE_LOW(9), NIBBLE_LOW(10),                \
        NIBBLE_LOW(11), NIBBLE_LOW(12), NIBBLE_LOW(13), NIBBLE_LOW(14), NIBBLE_LOW(15)
#define TOKEN_HIGH_TABLE                                                                           \
    1, 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 5, 1 << 6, (char)(1 << 7), 0, 0, 0, 0, 0, 0, 0, 0

#endif
