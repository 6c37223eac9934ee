/* SPDX-License-Identifier: MIT */
/* span.c - comparison and conversion of borrowed bytes. */
#include "check.h"

#include <fasterapi/error.h>

TEST(making_spans)
{
    CHECK_INT(FA_SPAN("abc").len, 3);
    CHECK_INT(FA_SPAN("").len, 0);
    CHECK_INT(FA_SPAN("a\0b").len, 3);
    CHECK_INT(fa_span_str("abc").len, 3);
    char bytes[2] = {'x', 'y'};
    CHECK(fa_span(bytes, 2).ptr == bytes);
}

TEST(equality)
{
    CHECK(fa_span_eq(FA_SPAN("abc"), FA_SPAN("abc")));
    CHECK(!fa_span_eq(FA_SPAN("abc"), FA_SPAN("abd")));
    CHECK(!fa_span_eq(FA_SPAN("abc"), FA_SPAN("ab")));
    CHECK(!fa_span_eq(FA_SPAN("abc"), FA_SPAN("ABC")));
    CHECK(!fa_span_eq(FA_SPAN("a\0b"), FA_SPAN("a\0c")));
    CHECK(fa_span_eq(fa_span(NULL, 0), FA_SPAN("")));
}

TEST(equality_without_case_folds_ascii_letters_only)
{
    CHECK(fa_span_eq_nocase(fa_span(NULL, 0), FA_SPAN("")));
    CHECK(fa_span_eq_nocase(FA_SPAN("Content-Length"), FA_SPAN("cONTENT-lENGTH")));
    CHECK(!fa_span_eq_nocase(FA_SPAN("abc"), FA_SPAN("ab")));
    for (int a = 0; a < 256; a++) {
        for (int b = 0; b < 256; b++) {
            char x = (char)a;
            char y = (char)b;
            bool pair = (a ^ b) == 0x20 && (a | 0x20) >= 'a' && (a | 0x20) <= 'z';
            CHECK_INT(fa_span_eq_nocase(fa_span(&x, 1), fa_span(&y, 1)), a == b || pair);
        }
    }
}

static int convert(const char *text, int64_t *out)
{
    struct check_guard guard = check_guard_copy(fa_span_str(text));
    int err = fa_span_to_int64(guard.span, out);
    check_guard_free(&guard);
    return err;
}

TEST(numbers)
{
    int64_t value = -7;
    static const char *const bad[] = {
        "",
        "-1",
        "+1",
        " 1",
        "1 ",
        "1_0",
        "0x1",
        "1.0",
        "a",
        "/",
        ":",
        "99999999999999999999999999x",
        "9223372036854775808 ",
    };
    for (size_t i = 0; i < FA_ARRAY_LEN(bad); i++)
        CHECK_INT(convert(bad[i], &value), FA_EINVAL);
    CHECK_INT(fa_span_to_int64(fa_span(NULL, 0), &value), FA_EINVAL);
    CHECK_INT(fa_span_to_int64(FA_SPAN("1\0"), &value), FA_EINVAL);
    static const char *const big[] = {
        "9223372036854775808",
        "9999999999999999999",
        "18446744073709551617",
        "100000000000000000000000000000000000000000000000000",
    };
    for (size_t i = 0; i < FA_ARRAY_LEN(big); i++)
        CHECK_INT(convert(big[i], &value), FA_EOVERFLOW);
    CHECK_INT(value, -7);
    CHECK_INT(convert("0", &value), 0);
    CHECK_INT(value, 0);
    CHECK_INT(convert("9223372036854775807", &value), 0);
    CHECK_INT(value, INT64_MAX);
    CHECK_INT(convert("0000000000000000000000000000000042", &value), 0);
    CHECK_INT(value, 42);
}

int main(void)
{
    RUN(making_spans);
    RUN(equality);
    RUN(equality_without_case_folds_ascii_letters_only);
    RUN(numbers);
    return check_report();
}
