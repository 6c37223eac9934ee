/* SPDX-License-Identifier: MIT */
/* scan_sse42.c - the scanner for x86 with SSE4.2 (in truth SSSE3: the byte shuffle is all it
 * needs, and beats the string instructions), 16 bytes at a time. Compiled with -msse4.2 and
 * called only where the machine has it (see scan.c). Pure; any thread. */
#include <immintrin.h>

#include "proto/h1/syntax.h"
#include "proto/h1/token_nibbles.h"

#define VEC __m128i
#define VEC_BYTES 16
#define MASK_BITS 1

static inline __m128i vec_load(const char *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static inline uint64_t to_mask(__m128i bytes)
{
    return (uint32_t)_mm_movemask_epi8(bytes);
}

static inline uint64_t not_token(__m128i vec)
{
    const __m128i low_table = _mm_setr_epi8(TOKEN_LOW_TABLE);
    const __m128i high_table = _mm_setr_epi8(TOKEN_HIGH_TABLE);
    /* The shuffle takes the low nibble by itself and gives 0 for a byte above 127. */
    __m128i low = _mm_shuffle_epi8(low_table, vec);
    __m128i nibble = _mm_and_si128(_mm_srli_epi16(vec, 4), _mm_set1_epi8(15));
    __m128i both = _mm_and_si128(low, _mm_shuffle_epi8(high_table, nibble));
    return to_mask(_mm_cmpeq_epi8(both, _mm_setzero_si128()));
}

static inline uint64_t not_value(__m128i vec)
{
    __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(vec, _mm_set1_epi8(0x1f)), vec);
    __m128i tab = _mm_cmpeq_epi8(vec, _mm_set1_epi8('\t'));
    __m128i del = _mm_cmpeq_epi8(vec, _mm_set1_epi8(0x7f));
    return to_mask(_mm_or_si128(_mm_andnot_si128(tab, control), del));
}

static inline uint64_t not_path(__m128i vec)
{
    /* Signed: bytes above 127 are negative. */
    __m128i outside = _mm_cmpgt_epi8(_mm_set1_epi8('!'), vec);
    __m128i del = _mm_cmpeq_epi8(vec, _mm_set1_epi8(0x7f));
    __m128i hash = _mm_cmpeq_epi8(vec, _mm_set1_epi8('#'));
    __m128i question = _mm_cmpeq_epi8(vec, _mm_set1_epi8('?'));
    return to_mask(_mm_or_si128(_mm_or_si128(outside, del), _mm_or_si128(hash, question)));
}

#include "proto/h1/scan_vector.h"

const struct fa__h1_scanner fa__h1_scanner_sse42 = {
    .name = "sse4.2",
    .token = scan_token,
    .value = scan_value,
    .path = scan_path,
    .fields = scan_fields,
};
