/* SPDX-License-Identifier: MIT */
/* uri-host and port: what the grammar of RFC 3986 section 3.2.2 holds and what not. */
#include "check.h"
#include "proto/h1/authority.h"

static bool split(const char *text, struct fa__h1_authority *out)
{
    struct check_guard guard = check_guard_copy(fa_span_str(text));
    bool ok = fa__h1_split_authority(guard.span, out);
    check_guard_free(&guard);
    if (ok) { /* the spans pointed into the guarded copy */
        out->host.ptr = text + (out->host.ptr - guard.span.ptr);
        if (out->has_port)
            out->port.ptr = text + (out->port.ptr - guard.span.ptr);
    }
    return ok;
}

static void check_all(const char *const *texts, size_t count, bool valid)
{
    for (size_t i = 0; i < count; i++) {
        struct fa__h1_authority authority;
        bool judged = split(texts[i], &authority);
        if (judged != valid)
            printf("    \"%s\"\n", texts[i]);
        CHECK_INT(judged, valid);
    }
}

TEST(valid)
{
    static const char *const texts[] = {
        "",
        "a",
        "localhost",
        "example.org",
        "EXAMPLE.org.",
        "a_b-c~d",
        "!$&'()*+,;=",
        "%20%aF",
        "127.0.0.1",
        "999.999.999.999", /* a registered name */
        "a:",
        "a:0",
        "a:65535",
        "a:00080",
        ":80",
        "[::]",
        "[::1]",
        "[1::]",
        "[::1]:80",
        "[1:2:3:4:5:6:7:8]",
        "[1:2:3:4:5:6:7::]",
        "[::2:3:4:5:6:7:8]",
        "[1:2::7:8]",
        "[2001:DB8::fFfF]",
        "[::ffff:1.2.3.4]",
        "[1:2:3:4:5:6:255.255.255.255]",
        "[64:ff9b::0.0.0.0]",
        "[v1.a]",
        "[VF.a:b!]",
        "[v1f.~]:1",
    };
    check_all(texts, FA_ARRAY_LEN(texts), true);
}

TEST(invalid)
{
    static const char *const texts[] = {
        " ",
        "a b",
        "a/b",
        "a?b",
        "a#b",
        "a@b",
        "a\\b",
        "a\"b",
        "a<b>",
        "a^b",
        "a`b",
        "a{b}",
        "a|b",
        "a\tb",
        "\xc3\xa4",
        "a\x7f",
        "%",
        "%2",
        "%2g",
        "%g2",
        "a:b",
        "a:65536",
        "a:99999999999999999999",
        "a:-1",
        "a:+1",
        "a: 80",
        "a:80:90",
        "::1",
        "1:2:3:4:5:6:7:8",
        "[",
        "]",
        "[]",
        "[::1",
        "::1]",
        "[::1]a",
        "[::1]]",
        "[[::1]]",
        "a[::1]",
        "[:]",
        "[:::]",
        "[1:::2]",
        "[1::2::3]",
        "[1:2:3:4:5:6:7]",
        "[1:2:3:4:5:6:7:8:9]",
        "[1:2:3:4:5:6:7:8::]",
        "[::1:2:3:4:5:6:7:8]",
        "[1:2:3:4:5:6:7:]",
        "[:1:2:3:4:5:6:7]",
        "[12345::]",
        "[g::]",
        "[::%25eth0]",
        "[fe80::1%25eth0]",
        "[::1.2.3]",
        "[::1.2.3.4.5]",
        "[::1.2.3.256]",
        "[::1.2.3.04]",
        "[::1.2..4]",
        "[::1.2.3.4:5]",
        "[1.2.3.4]",
        "[1:2:3:4:5:6:7:1.2.3.4]",
        "[v.a]",
        "[v1]",
        "[v1.]",
        "[v1a]",
        "[vg.a]",
        "[v1.a/b]",
        "[localhost]",
    };
    check_all(texts, FA_ARRAY_LEN(texts), false);
}

TEST(parts)
{
    struct fa__h1_authority authority;
    CHECK(split("example.org:8080", &authority));
    CHECK_SPAN(authority.host, "example.org");
    CHECK_SPAN(authority.port, "8080");
    CHECK(authority.has_port);
    CHECK(split("[::1]:", &authority));
    CHECK_SPAN(authority.host, "[::1]");
    CHECK_SPAN(authority.port, "");
    CHECK(authority.has_port);
    CHECK(split("a", &authority));
    CHECK_SPAN(authority.host, "a");
    CHECK(!authority.has_port);
    CHECK(split("", &authority));
    CHECK_INT(authority.host.len, 0);
}

TEST(bytes_with_nul)
{
    struct fa__h1_authority authority;
    CHECK(!fa__h1_split_authority(FA_SPAN("a\0b"), &authority));
    CHECK(!fa__h1_split_authority(FA_SPAN("a:1\0"), &authority));
}

int main(void)
{
    RUN(valid);
    RUN(invalid);
    RUN(parts);
    RUN(bytes_with_nul);
    return check_report();
}
