/* SPDX-License-Identifier: MIT */
/* urlencoded.c - see urlencoded.h. Pure; any thread.
 *
 * Decoding never makes text longer, and writes behind where it reads, so it works in
 * place. Most names and values hold nothing to decode: the pair says so, and the caller
 * need not copy them at all. */
#include <fasterapi/urlencoded.h>

/* The value of a hexadecimal digit, 16 or more for any other byte. */
static unsigned hex_value(char c)
{
    unsigned char u = (unsigned char)c;
    if (u >= '0' && u <= '9')
        return (unsigned)u - '0';
    unsigned letter = ((unsigned)u | 0x20) - 'a';
    return letter < 6 ? letter + 10 : 16;
}

size_t fa_percent_decode(struct fa_span text, char *out)
{
    size_t written = 0;
    size_t at = 0;
    while (at < text.len) {
        const char *mark = memchr(text.ptr + at, '%', text.len - at);
        size_t plain = mark != NULL ? (size_t)(mark - text.ptr) - at : text.len - at;
        memmove(out + written, text.ptr + at, plain);
        written += plain;
        at += plain;
        if (at == text.len)
            break;
        unsigned high = text.len - at > 2 ? hex_value(text.ptr[at + 1]) : 16;
        unsigned low = text.len - at > 2 ? hex_value(text.ptr[at + 2]) : 16;
        if (high < 16 && low < 16) {
            out[written++] = (char)(unsigned char)(high << 4 | low);
            at += 3;
        } else {
            out[written++] = '%';
            at++;
        }
    }
    return written;
}

size_t fa_form_decode(struct fa_span text, char *out)
{
    /* Before the percents, as Python does: %2B is a plus sign. */
    for (size_t i = 0; i < text.len; i++)
        out[i] = text.ptr[i] == '+' ? ' ' : text.ptr[i];
    return fa_percent_decode(fa_span(out, text.len), out);
}

void fa_form_init(struct fa_form_iter *iter, struct fa_span text)
{
    iter->rest = text;
}

/* Moves what stands before the first `separator` to `before` and drops the separator;
 * without one that is everything. */
static void cut(struct fa_span *text, char separator, struct fa_span *before)
{
    const char *found = text->len > 0 ? memchr(text->ptr, separator, text->len) : NULL;
    *before = *text;
    if (found == NULL) {
        *text = fa_span(NULL, 0);
        return;
    }
    before->len = (size_t)(found - text->ptr);
    *text = fa_span(found + 1, text->len - before->len - 1);
}

static bool is_encoded(struct fa_span text)
{
    return text.len > 0 &&
           (memchr(text.ptr, '%', text.len) != NULL || memchr(text.ptr, '+', text.len) != NULL);
}

bool fa_form_next(struct fa_form_iter *iter, struct fa_form_pair *pair)
{
    while (iter->rest.len > 0) {
        struct fa_span value;
        cut(&iter->rest, '&', &value);
        if (value.len == 0)
            continue;
        cut(&value, '=', &pair->name);
        pair->value = value;
        pair->name_encoded = is_encoded(pair->name);
        pair->value_encoded = is_encoded(value);
        return true;
    }
    return false;
}
