/* SPDX-License-Identifier: MIT */
/* fuzz_urlencoded.c - any text decodes, in place as well as into a buffer, and its pairs
 * cover it: joined again by their separators they are the text without its empty pairs. */
#include <stdlib.h>

#include <fasterapi/urlencoded.h>

static void require(bool condition)
{
    if (!condition)
        abort();
}

typedef size_t decode_fn(struct fa_span text, char *out);

/* Both ways give the same; returns the length. */
static size_t check_decode(decode_fn *decode, struct fa_span text)
{
    char *out = malloc(text.len + 1);
    char *place = malloc(text.len + 1);
    require(out != NULL && place != NULL);
    if (text.len > 0)
        memcpy(place, text.ptr, text.len);
    out[text.len] = '#';
    size_t len = decode(text, out);
    require(len <= text.len && out[text.len] == '#');
    require(decode(fa_span(place, text.len), place) == len);
    require(memcmp(out, place, len) == 0);
    /* Without an escape, the length stays. */
    if (text.len > 0 && memchr(text.ptr, '%', text.len) == NULL)
        require(len == text.len);
    free(out);
    free(place);
    return len;
}

static void check_half(struct fa_span half, bool encoded)
{
    bool marks = half.len > 0 && (memchr(half.ptr, '%', half.len) != NULL ||
                                  memchr(half.ptr, '+', half.len) != NULL);
    require(encoded == marks);
    check_decode(fa_form_decode, half);
}

static void check_pairs(struct fa_span text)
{
    struct fa_form_iter iter;
    struct fa_form_pair pair;
    size_t at = 0;
    fa_form_init(&iter, text);
    while (fa_form_next(&iter, &pair)) {
        while (text.ptr[at] == '&')
            at++;
        require(pair.name.ptr == text.ptr + at);
        require(pair.name.len == 0 || memchr(pair.name.ptr, '=', pair.name.len) == NULL);
        at += pair.name.len;
        if (at < text.len && text.ptr[at] == '=') {
            at++;
            require(pair.value.len == 0 || pair.value.ptr == text.ptr + at);
        } else {
            require(pair.value.len == 0);
        }
        at += pair.value.len;
        require(at == text.len || text.ptr[at] == '&');
        check_half(pair.name, pair.name_encoded);
        check_half(pair.value, pair.value_encoded);
    }
    for (; at < text.len; at++)
        require(text.ptr[at] == '&');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* A copy of its own size, so that reading past the end is seen. */
    char *copy = malloc(size > 0 ? size : 1);
    require(copy != NULL);
    if (size > 0)
        memcpy(copy, data, size);
    check_decode(fa_percent_decode, fa_span(copy, size));
    check_pairs(fa_span(copy, size));
    free(copy);
    return 0;
}
