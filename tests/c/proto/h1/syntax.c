/* SPDX-License-Identifier: MIT */
/* The class table against the RFCs' own lists of characters, written out here. */
#include "check.h"
#include "proto/h1/syntax.h"

#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* The class holds the bytes of `members` and, if `high`, those above 127; no other. */
static void check_class(unsigned class_bit, const char *members, bool high)
{
    for (int c = 0; c < 256; c++) {
        bool expected = (c != 0 && c < 128 && strchr(members, c) != NULL) || (high && c > 127);
        if (fa__h1_is((char)c, class_bit) != expected)
            printf("    byte %d of class %u\n", c, class_bit);
        CHECK_INT(fa__h1_is((char)c, class_bit), expected);
    }
}

TEST(classes)
{
    check_class(FA__H1_TOKEN, "!#$%&'*+-.^_`|~" DIGITS LETTERS, false);
    check_class(FA__H1_VALUE, "\t !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~" DIGITS LETTERS, true);
    check_class(FA__H1_PATH, "!\"$%&'()*+,-./:;<=>@[\\]^_`{|}~" DIGITS LETTERS, false);
    check_class(FA__H1_REG_NAME, "-._~!$&'()*+,;=" DIGITS LETTERS, false);
    check_class(FA__H1_HEXDIG, DIGITS "abcdefABCDEF", false);
    check_class(FA__H1_QUOTED, "\t !#$%&'()*+,-./:;<=>?@[]^_`{|}~" DIGITS LETTERS, true);
    check_class(FA__H1_SCHEME, "+-." DIGITS LETTERS, false);
    check_class(FA__H1_DIGIT, DIGITS, false);
}

TEST(trim)
{
    CHECK_SPAN(fa__h1_trim(FA_SPAN(" \t a b\t ")), "a b");
    CHECK_SPAN(fa__h1_trim(FA_SPAN("a")), "a");
    CHECK_INT(fa__h1_trim(FA_SPAN(" \t ")).len, 0);
    CHECK_INT(fa__h1_trim(fa_span(NULL, 0)).len, 0);
}

int main(void)
{
    RUN(classes);
    RUN(trim);
    return check_report();
}
