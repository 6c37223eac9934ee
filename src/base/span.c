/* SPDX-License-Identifier: MIT */
/* span.c - the comparisons and conversions of spans that are too long to inline. Pure. */
#include <fasterapi/span.h>

#include <fasterapi/error.h>

static unsigned char lower(char c)
{
    unsigned char u = (unsigned char)c;
    return u >= 'A' && u <= 'Z' ? (unsigned char)(u | 0x20) : u;
}

bool fa_span_eq_nocase(struct fa_span a, struct fa_span b)
{
    if (a.len != b.len)
        return false;
    size_t i = 0;
    while (i < a.len) {
        uint64_t eight_a, eight_b;
        if (a.len - i >= sizeof(eight_a)) { /* most names are spelled alike */
            memcpy(&eight_a, a.ptr + i, sizeof(eight_a));
            memcpy(&eight_b, b.ptr + i, sizeof(eight_b));
            if (eight_a == eight_b) {
                i += sizeof(eight_a);
                continue;
            }
        }
        if (lower(a.ptr[i]) != lower(b.ptr[i]))
            return false;
        i++;
    }
    return true;
}

int fa_span_to_int64(struct fa_span text, int64_t *out)
{
    int64_t value = 0;
    bool overflow = false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return FA_EINVAL; /* whatever the length: "9...9x" is no number */
        overflow = overflow || __builtin_mul_overflow(value, 10, &value) ||
                   __builtin_add_overflow(value, text.ptr[i] - '0', &value);
    }
    if (text.len == 0)
        return FA_EINVAL;
    if (overflow)
        return FA_EOVERFLOW;
    *out = value;
    return 0;
}
