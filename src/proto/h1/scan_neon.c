/* SPDX-License-Identifier: MIT */
/* scan_neon.c - the scanner for 64-bit ARM, whose base instruction set includes the vectors, 16
 * bytes at a time. Pure; any thread.
 *
 * NEON has no instruction that gathers one bit of each byte; narrowing shifts give four bits
 * of each in a 64-bit word, which serves as well. */
#include <arm_neon.h>

#include "proto/h1/syntax.h"
#include "proto/h1/token_nibbles.h"

#define VEC uint8x16_t
#define VEC_BYTES 16
#define MASK_BITS 4

static inline uint8x16_t vec_load(const char *p)
{
    return vld1q_u8((const uint8_t *)p);
}

static inline uint64_t to_mask(uint8x16_t bytes)
{
    uint8x8_t narrow = vshrn_n_u16(vreinterpretq_u16_u8(bytes), 4);
    return vget_lane_u64(vreinterpret_u64_u8(narrow), 0);
}

static inline uint64_t not_token(uint8x16_t vec)
{
    static const uint8_t low_table[16] = {TOKEN_LOW_TABLE};
    static const uint8_t high_table[16] = {TOKEN_HIGH_TABLE};
    uint8x16_t low = vqtbl1q_u8(vld1q_u8(low_table), vandq_u8(vec, vdupq_n_u8(15)));
    uint8x16_t high = vqtbl1q_u8(vld1q_u8(high_table), vshrq_n_u8(vec, 4));
    return to_mask(vceqzq_u8(vandq_u8(low, high)));
}

static inline uint64_t not_value(uint8x16_t vec)
{
    uint8x16_t control = vcltq_u8(vec, vdupq_n_u8(' '));
    uint8x16_t tab = vceqq_u8(vec, vdupq_n_u8('\t'));
    uint8x16_t del = vceqq_u8(vec, vdupq_n_u8(0x7f));
    return to_mask(vorrq_u8(vbicq_u8(control, tab), del));
}

static inline uint64_t not_path(uint8x16_t vec)
{
    uint8x16_t below = vcleq_u8(vec, vdupq_n_u8(' '));
    uint8x16_t above = vcgeq_u8(vec, vdupq_n_u8(0x7f));
    uint8x16_t hash = vceqq_u8(vec, vdupq_n_u8('#'));
    uint8x16_t question = vceqq_u8(vec, vdupq_n_u8('?'));
    return to_mask(vorrq_u8(vorrq_u8(below, above), vorrq_u8(hash, question)));
}

#include "proto/h1/scan_vector.h"

const struct fa__h1_scanner fa__h1_scanner_neon = {
    .name = "neon",
    .token = scan_token,
    .value = scan_value,
    .path = scan_path,
    .fields = scan_fields,
};
