/* SPDX-License-Identifier: MIT */
/* router_pattern.c - the grammar of patterns and its limits. */
#include "check.h"

#include "http/router_tree.h"

/* Parses at a guard page; the spans are moved to `text`. */
static int parse(const char *text, struct fa__route_pattern *out)
{
    struct check_guard guard = check_guard_copy(fa_span_str(text));
    int err = fa__route_parse(guard.span, out);
    for (size_t i = 0; err == 0 && i < out->param_count; i++)
        out->names[i].ptr = text + (out->names[i].ptr - guard.span.ptr);
    size_t texts = err == 0 ? out->param_count + (out->has_wild ? 0 : 1) : 0;
    for (size_t i = 0; i < texts; i++)
        out->text[i].ptr = text + (out->text[i].ptr - guard.span.ptr);
    check_guard_free(&guard);
    return err;
}

TEST(patterns_come_apart)
{
    struct fa__route_pattern p;
    CHECK_INT(parse("/", &p), 0);
    CHECK_INT(p.param_count, 0);
    CHECK_SPAN(p.text[0], "/");
    CHECK_INT(parse("/a//b/", &p), 0);
    CHECK_INT(p.param_count, 0);
    CHECK_SPAN(p.text[0], "/a//b/");
    CHECK_INT(parse("/{x}", &p), 0);
    CHECK_INT(p.param_count, 1);
    CHECK_SPAN(p.text[0], "/");
    CHECK_SPAN(p.names[0], "x");
    CHECK_SPAN(p.text[1], "");
    CHECK_INT(parse("/a/{x}/{y_2}/b/{z}/", &p), 0);
    CHECK_INT(p.param_count, 3);
    CHECK(!p.has_wild);
    CHECK_SPAN(p.text[0], "/a/");
    CHECK_SPAN(p.text[1], "/");
    CHECK_SPAN(p.text[2], "/b/");
    CHECK_SPAN(p.text[3], "/");
    CHECK_SPAN(p.names[1], "y_2");
    CHECK_INT(parse("/a/{x}/b/*rest", &p), 0);
    CHECK_INT(p.param_count, 2);
    CHECK(p.has_wild);
    CHECK_SPAN(p.text[1], "/b/");
    CHECK_SPAN(p.names[1], "rest");
}

TEST(malformed_patterns_are_refused)
{
    static const char *const bad[] = {
        "",       "a",      "a/b",    "{x}",    "*",         "/{",        "/}",      "/{}",
        "/{x",    "/x}",    "/a{x}",  "/{x}a",  "/{x}{y}",   "/{x}/{x}",  "/{x}/*x", "/*",
        "/*a/",   "/*a/b",  "/a*",    "/a*b",   "/**",       "/*{x}",     "/{*x}",   "/{x:int}",
        "/{a b}", "/{x/y}", "/{{x}}", "/{x.y}", "/a/{x}/b{", "/{x}/*y/z",
    };
    struct fa__route_pattern p;
    for (size_t i = 0; i < FA_ARRAY_LEN(bad); i++) {
        if (parse(bad[i], &p) != FA_EROUTE_SYNTAX)
            check_fail(__FILE__, __LINE__, bad[i]);
    }
    CHECK_INT(fa__route_parse(fa_span(NULL, 0), &p), FA_EROUTE_SYNTAX);
    static const char *const good[] = {"/{_}", "/{x-1}/b", "/{\xc3\xa4}/c", "/a.b~c", "/a:b/{x}"};
    for (size_t i = 0; i < FA_ARRAY_LEN(good); i++)
        CHECK_INT(parse(good[i], &p), 0);
}

TEST(parameters_are_limited)
{
    char text[4096];
    size_t len = 0;
    struct fa__route_pattern p;
    for (int i = 0; i < FA_ROUTER_MAX_PARAMS; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "/{p%d}", i);
    CHECK_INT(parse(text, &p), 0);
    CHECK_INT(p.param_count, FA_ROUTER_MAX_PARAMS);
    CHECK_SPAN(p.names[31], "p31");
    snprintf(text + len, sizeof(text) - len, "/*more");
    CHECK_INT(parse(text, &p), FA_EROUTE_SYNTAX);
    snprintf(text + len, sizeof(text) - len, "/{more}");
    CHECK_INT(parse(text, &p), FA_EROUTE_SYNTAX);
    snprintf(text + len, sizeof(text) - len, "/static/");
    CHECK_INT(parse(text, &p), 0);
}

TEST(segments_are_limited)
{
    char text[FA__ROUTER_MAX_SEGMENTS + 2];
    struct fa__route_pattern p;
    memset(text, '/', sizeof(text));
    text[FA__ROUTER_MAX_SEGMENTS] = '\0';
    CHECK_INT(parse(text, &p), 0);
    text[FA__ROUTER_MAX_SEGMENTS] = '/';
    text[FA__ROUTER_MAX_SEGMENTS + 1] = '\0';
    CHECK_INT(parse(text, &p), FA_EROUTE_SYNTAX);
}

int main(void)
{
    RUN(patterns_come_apart);
    RUN(malformed_patterns_are_refused);
    RUN(parameters_are_limited);
    RUN(segments_are_limited);
    return check_report();
}
