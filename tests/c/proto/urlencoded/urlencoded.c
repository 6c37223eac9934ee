/* SPDX-License-Identifier: MIT */
/* urlencoded.c - decoding and pairs, each vector against a guard page and in place.
 * The expected values are what CPython's urllib.parse answers. */
#include "check.h"

#include <stdlib.h>

#include <fasterapi/urlencoded.h>

struct vector {
    struct fa_span in;
    struct fa_span out;
};

/* unquote_to_bytes(in) */
static const struct vector decoded[] = {
    {FA_SPAN(""), FA_SPAN("")},
    {FA_SPAN("a"), FA_SPAN("a")},
    {FA_SPAN("%"), FA_SPAN("%")},
    {FA_SPAN("%%"), FA_SPAN("%%")},
    {FA_SPAN("%4"), FA_SPAN("%4")},
    {FA_SPAN("%41"), FA_SPAN("A")},
    {FA_SPAN("%4g"), FA_SPAN("%4g")},
    {FA_SPAN("%g4"), FA_SPAN("%g4")},
    {FA_SPAN("%41%42"), FA_SPAN("AB")},
    {FA_SPAN("a%20b"), FA_SPAN("a b")},
    {FA_SPAN("a+b"), FA_SPAN("a+b")},
    {FA_SPAN("%2B+"), FA_SPAN("++")},
    {FA_SPAN("%zz%41"), FA_SPAN("%zzA")},
    {FA_SPAN("%%41"), FA_SPAN("%A")},
    {FA_SPAN("%4%41"), FA_SPAN("%4A")},
    {FA_SPAN("100%"), FA_SPAN("100%")},
    {FA_SPAN("%C3%A4"), FA_SPAN("\303\244")},
    {FA_SPAN("%c3%a4"), FA_SPAN("\303\244")},
    {FA_SPAN("%ff"), FA_SPAN("\377")},
    {FA_SPAN("%00"), FA_SPAN("\000")},
    {FA_SPAN("a%2"), FA_SPAN("a%2")},
    {FA_SPAN("%2"), FA_SPAN("%2")},
    {FA_SPAN("abc%2Fdef/ghi"), FA_SPAN("abc/def/ghi")},
    {FA_SPAN("%25%32%35"), FA_SPAN("%25")},
    {FA_SPAN("% 41"), FA_SPAN("% 41")},
    {FA_SPAN("%+1"), FA_SPAN("%+1")},
    {FA_SPAN("%-1"), FA_SPAN("%-1")},
    {FA_SPAN("%0x41"), FA_SPAN("%0x41")},
    {FA_SPAN("\344%41\200"), FA_SPAN("\344A\200")},
};

/* The pairs of parse_qsl(in, keep_blank_values=True), each as "[name|value]". */
static const struct vector pairs[] = {
    {FA_SPAN(""), FA_SPAN("")},
    {FA_SPAN("&"), FA_SPAN("")},
    {FA_SPAN("&&"), FA_SPAN("")},
    {FA_SPAN("a"), FA_SPAN("[a|]")},
    {FA_SPAN("a="), FA_SPAN("[a|]")},
    {FA_SPAN("="), FA_SPAN("[|]")},
    {FA_SPAN("=b"), FA_SPAN("[|b]")},
    {FA_SPAN("a=b"), FA_SPAN("[a|b]")},
    {FA_SPAN("a=b&c=d"), FA_SPAN("[a|b][c|d]")},
    {FA_SPAN("a=b&&c=d&"), FA_SPAN("[a|b][c|d]")},
    {FA_SPAN("a==b"), FA_SPAN("[a|=b]")},
    {FA_SPAN("a=b=c"), FA_SPAN("[a|b=c]")},
    {FA_SPAN("&a=b"), FA_SPAN("[a|b]")},
    {FA_SPAN("a+b=c+d"), FA_SPAN("[a b|c d]")},
    {FA_SPAN("a%20b=%2B%26%3D"), FA_SPAN("[a b|+&=]")},
    {FA_SPAN("a%3Db=c"), FA_SPAN("[a=b|c]")},
    {FA_SPAN("a&b"), FA_SPAN("[a|][b|]")},
    {FA_SPAN("a=b;c=d"), FA_SPAN("[a|b;c=d]")},
    {FA_SPAN("%=%"), FA_SPAN("[%|%]")},
    {FA_SPAN("a=%4"), FA_SPAN("[a|%4]")},
    {FA_SPAN("x=%zz&y=%41"), FA_SPAN("[x|%zz][y|A]")},
    {FA_SPAN("=&="), FA_SPAN("[|][|]")},
    {FA_SPAN("+=+"), FA_SPAN("[ | ]")},
    {FA_SPAN("a=1&a=2&a="), FA_SPAN("[a|1][a|2][a|]")},
    {FA_SPAN("%26=%3D&b"), FA_SPAN("[&|=][b|]")},
    {FA_SPAN("q=caf%C3%A9"), FA_SPAN("[q|caf\303\251]")},
    {FA_SPAN("\077a=b"), FA_SPAN("[\077a|b]")},
    {FA_SPAN("a=b#c"), FA_SPAN("[a|b#c]")},
    {FA_SPAN("a=\011 b"), FA_SPAN("[a|\011 b]")},
};

static void check_bytes(int line, struct fa_span in, struct fa_span actual, struct fa_span expected)
{
    if (fa_span_eq(actual, expected))
        return;
    printf("    input: %.*s\n", (int)in.len, in.ptr);
    check_span(__FILE__, line, "output", actual, expected);
}

TEST(percent_decoding_is_pythons)
{
    for (size_t i = 0; i < FA_ARRAY_LEN(decoded); i++) {
        struct fa_span in = decoded[i].in;
        struct check_guard guard = check_guard_copy(in);
        char out[64];
        memset(out, '#', sizeof(out));
        size_t len = fa_percent_decode(guard.span, out);
        check_bytes(__LINE__, in, fa_span(out, len), decoded[i].out);
        CHECK(out[in.len] == '#');
        char *place = guard.map + (guard.span.ptr - guard.map);
        len = fa_percent_decode(guard.span, place);
        check_bytes(__LINE__, in, fa_span(place, len), decoded[i].out);
        check_guard_free(&guard);
    }
}

TEST(every_escape_decodes)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    for (int high = 0; high < 256; high++) {
        for (int low = 0; low < 256; low++) {
            char in[3] = {'%', (char)high, (char)low};
            char out[3];
            const char *h = high != 0 ? strchr(digits, high) : NULL;
            const char *l = low != 0 ? strchr(digits, low) : NULL;
            size_t len = fa_percent_decode(fa_span(in, 3), out);
            if (high == '%' || low == '%')
                continue; /* among the vectors */
            CHECK_INT(len, h != NULL && l != NULL ? 1 : 3);
            if (h == NULL || l == NULL)
                CHECK(memcmp(in, out, 3) == 0);
            else
                CHECK_INT((unsigned char)out[0],
                          strtol((char[]){(char)high, (char)low, 0}, NULL, 16));
        }
    }
}

TEST(an_empty_span_may_be_null)
{
    char out[1];
    CHECK_INT(fa_percent_decode(fa_span(NULL, 0), out), 0);
    CHECK_INT(fa_form_decode(fa_span(NULL, 0), out), 0);
    struct fa_form_iter iter;
    struct fa_form_pair pair;
    fa_form_init(&iter, fa_span(NULL, 0));
    CHECK(!fa_form_next(&iter, &pair));
    CHECK(!fa_form_next(&iter, &pair));
}

/* Decodes one half of a pair at `out`; checks the promise of `encoded`. */
static size_t put_half(char *out, struct fa_span half, bool encoded)
{
    size_t len = fa_form_decode(half, out);
    if (!encoded)
        CHECK(fa_span_eq(half, fa_span(out, len)));
    else
        CHECK(memchr(half.ptr, '%', half.len) != NULL || memchr(half.ptr, '+', half.len) != NULL);
    return len;
}

TEST(pairs_are_pythons)
{
    for (size_t i = 0; i < FA_ARRAY_LEN(pairs); i++) {
        struct check_guard guard = check_guard_copy(pairs[i].in);
        struct fa_form_iter iter;
        struct fa_form_pair pair;
        char out[128];
        size_t len = 0;
        fa_form_init(&iter, guard.span);
        while (fa_form_next(&iter, &pair)) {
            out[len++] = '[';
            len += put_half(out + len, pair.name, pair.name_encoded);
            out[len++] = '|';
            len += put_half(out + len, pair.value, pair.value_encoded);
            out[len++] = ']';
        }
        check_bytes(__LINE__, pairs[i].in, fa_span(out, len), pairs[i].out);
        CHECK(!fa_form_next(&iter, &pair));
        check_guard_free(&guard);
    }
}

/* A whole body decoded where it lies: later pairs are untouched by earlier decoding. */
TEST(decoding_in_place_keeps_the_rest)
{
    char body[] = "a%41=b+%42&c%43=d%44&e=%zz+";
    static const char *const expected[] = {"aA", "b B", "cC", "dD", "e", "%zz "};
    struct fa_form_iter iter;
    struct fa_form_pair pair;
    size_t at = 0;
    fa_form_init(&iter, fa_span_str(body));
    while (fa_form_next(&iter, &pair)) {
        char *name = body + (pair.name.ptr - body);
        char *value = body + (pair.value.ptr - body);
        CHECK_SPAN(fa_span(name, fa_form_decode(pair.name, name)), expected[at]);
        CHECK_SPAN(fa_span(value, fa_form_decode(pair.value, value)), expected[at + 1]);
        at += 2;
    }
    CHECK_INT(at, FA_ARRAY_LEN(expected));
}

int main(void)
{
    RUN(percent_decoding_is_pythons);
    RUN(every_escape_decodes);
    RUN(an_empty_span_may_be_null);
    RUN(pairs_are_pythons);
    RUN(decoding_in_place_keeps_the_rest);
    return check_report();
}
