/* SPDX-License-Identifier: MIT */
/* scan_avx2.c - the scanner for x86 with AVX2, 32 bytes at a time. Compiled with -mavx2 and
 * called only where the machine has it (see scan.c). Pure; any thread. */
#include <immintrin.h>

#include "proto/h1/syntax.h"
#include "proto/h1/token_nibbles.h"

#define VEC __m256i
#define VEC_BYTES 32
#define MASK_BITS 1

static inline __m256i vec_load(const char *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

static inline uint64_t to_mask(__m256i bytes)
{
    return (uint32_t)_mm256_movemask_epi8(bytes);
}

static inline uint64_t not_token(__m256i vec)
{
    const __m256i low_table = _mm256_setr_epi8(TOKEN_LOW_TABLE, TOKEN_LOW_TABLE);
    const __m256i high_table = _mm256_setr_epi8(TOKEN_HIGH_TABLE, TOKEN_HIGH_TABLE);
    /* The shuffle takes the low nibble by itself and gives 0 for a byte above 127. */
    __m256i low = _mm256_shuffle_epi8(low_table, vec);
    __m256i nibble = _mm256_and_si256(_mm256_srli_epi16(vec, 4), _mm256_set1_epi8(15));
    __m256i both = _mm256_and_si256(low, _mm256_shuffle_epi8(high_table, nibble));
    return to_mask(_mm256_cmpeq_epi8(both, _mm256_setzero_si256()));
}

static inline uint64_t not_value(__m256i vec)
{
    __m256i control = _mm256_cmpeq_epi8(_mm256_min_epu8(vec, _mm256_set1_epi8(0x1f)), vec);
    __m256i tab = _mm256_cmpeq_epi8(vec, _mm256_set1_epi8('\t'));
    __m256i del = _mm256_cmpeq_epi8(vec, _mm256_set1_epi8(0x7f));
    return to_mask(_mm256_or_si256(_mm256_andnot_si256(tab, control), del));
}

static inline uint64_t not_path(__m256i vec)
{
    /* Signed: bytes above 127 are negative. */
    __m256i outside = _mm256_cmpgt_epi8(_mm256_set1_epi8('!'), vec);
    __m256i del = _mm256_cmpeq_epi8(vec, _mm256_set1_epi8(0x7f));
    __m256i hash = _mm256_cmpeq_epi8(vec, _mm256_set1_epi8('#'));
    __m256i question = _mm256_cmpeq_epi8(vec, _mm256_set1_epi8('?'));
    return to_mask(_mm256_or_si256(_mm256_or_si256(outside, del), _mm256_or_si256(hash, question)));
}

#include "proto/h1/scan_vector.h"

const struct fa__h1_scanner fa__h1_scanner_avx2 = {
    .name = "avx2",
    .token = scan_token,
    .value = scan_value,
    .path = scan_path,
    .fields = scan_fields,
};
