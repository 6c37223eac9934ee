/* SPDX-License-Identifier: MIT */
/* router_match.c - the search: what fits, what wins, what is captured; and a comparison
 * with a matcher that simply tries every pattern, on random patterns and paths. */
#include "http/router_rig.h"

TEST(static_paths_are_compared_bytewise)
{
    struct fa_router *router = router_new();
    static const char *const patterns[] = {
        "/",
        "/a",
        "/a/",
        "/ab",
        "/abc/def",
        "/abc/dgf",
        "/A",
        "//",
        "/a//b",
        "/a%20b",
        "/\xc3\xa4",
        "/repositories/",
        "/repositories/and/a/prefix/of/over/sixteen/bytes",
        "/repositories/and/a/prefix/of/over/sixteen/bytez",
        "/12345678",
        "/123456789",
    };
    for (size_t i = 0; i < FA_ARRAY_LEN(patterns); i++)
        CHECK_INT(add(router, "GET", patterns[i], (int)i), 0);
    for (size_t i = 0; i < FA_ARRAY_LEN(patterns); i++)
        CHECK_INT(find_get(router, patterns[i]), i);
    static const char *const absent[] = {
        "a",
        "/b",
        "/abc",
        "/abc/",
        "/abc/d",
        "/abc/deg",
        "/abc/def/",
        "///",
        "/a b",
        "/1234567",
        "/1234567890",
        "/repositories",
        "/repositories/and/a/prefix/of/over/sixteen/byte",
        "/repositories/and/a/prefix/oF/over/sixteen/bytes",
    };
    for (size_t i = 0; i < FA_ARRAY_LEN(absent); i++)
        CHECK_INT(find_get(router, absent[i]), -FA_ROUTE_NOT_FOUND);
    fa_router_destroy(router);
}

TEST(zero_bytes_are_not_padding)
{
    struct fa_router *router = router_new();
    CHECK_INT(fa_router_add(router, FA_SPAN("GET"), FA_SPAN("/ab\0"), &handlers[1]), 0);
    struct fa_route_match match;
    CHECK_INT(fa_router_match(router, FA_SPAN("GET"), FA_SPAN("/ab"), &match), FA_ROUTE_NOT_FOUND);
    CHECK_INT(fa_router_match(router, FA_SPAN("GET"), FA_SPAN("/ab\0\0"), &match),
              FA_ROUTE_NOT_FOUND);
    CHECK_INT(fa_router_match(router, FA_SPAN("GET"), FA_SPAN("/ab\0"), &match), FA_ROUTE_FOUND);
    CHECK_INT(fa_router_match(router, FA_SPAN("GET\0"), FA_SPAN("/ab\0"), &match),
              FA_ROUTE_METHOD_NOT_ALLOWED);
    fa_router_destroy(router);
}

TEST(parameters_take_one_segment)
{
    struct fa_router *router = router_new();
    CHECK_INT(add(router, "GET", "/users/{id}", 1), 0);
    CHECK_INT(add(router, "GET", "/users/{id}/posts/{post-id}", 2), 0);
    CHECK_INT(add(router, "GET", "/{a}/{b}/{c}/", 3), 0);
    struct fa_route_match match;
    CHECK_INT(find(router, "GET", "/users/42", &match), 1);
    CHECK_INT(match.param_count, 1);
    CHECK_SPAN(match.params[0].name, "id");
    CHECK_SPAN(match.params[0].value, "42");
    CHECK_INT(find(router, "GET", "/users/a%2Fb/posts/7", &match), 2);
    CHECK_INT(match.param_count, 2);
    CHECK_SPAN(match.params[0].value, "a%2Fb");
    CHECK_SPAN(match.params[1].name, "post-id");
    CHECK_SPAN(match.params[1].value, "7");
    CHECK_INT(find(router, "GET", "/users/4/posts/", &match), 3);
    CHECK_SPAN(match.params[0].value, "users");
    CHECK_SPAN(match.params[2].value, "posts");
    CHECK_INT(find_get(router, "/users/"), -FA_ROUTE_NOT_FOUND);
    CHECK_INT(find_get(router, "/users"), -FA_ROUTE_NOT_FOUND);
    CHECK_INT(find_get(router, "/users/42/"), -FA_ROUTE_NOT_FOUND);
    CHECK_INT(find_get(router, "/users//posts/1"), -FA_ROUTE_NOT_FOUND);
    fa_router_destroy(router);
}

TEST(parameters_of_any_length_and_place)
{
    struct fa_router *router = router_new();
    CHECK_INT(add(router, "GET", "/{a}/{b}/x", 1), 0);
    char path[400];
    for (size_t a = 1; a < 140; a++) {
        for (size_t b = 1; b < 140; b += 3) {
            int len = snprintf(path, sizeof(path), "/%0*d/%0*d/x", (int)a, 0, (int)b, 0);
            struct fa_route_match match;
            struct fa_span span = fa_span(path, (size_t)len);
            CHECK_INT(fa_router_match(router, FA_SPAN("GET"), span, &match), FA_ROUTE_FOUND);
            CHECK_INT(match.params[0].value.len, a);
            CHECK_INT(match.params[1].value.len, b);
            CHECK(match.params[1].value.ptr == path + 2 + a);
        }
    }
    fa_router_destroy(router);
}

TEST(wildcards_take_the_rest)
{
    struct fa_router *router = router_new();
    CHECK_INT(add(router, "GET", "/files/*path", 1), 0);
    CHECK_INT(add(router, "GET", "/{user}/raw/*rest", 2), 0);
    struct fa_route_match match;
    CHECK_INT(find(router, "GET", "/files/a/b//c/", &match), 1);
    CHECK_INT(match.param_count, 1);
    CHECK_SPAN(match.params[0].name, "path");
    CHECK_SPAN(match.params[0].value, "a/b//c/");
    CHECK_INT(find(router, "GET", "/files/", &match), 1);
    CHECK_SPAN(match.params[0].value, "");
    CHECK_INT(find(router, "GET", "/me/raw/x/y", &match), 2);
    CHECK_SPAN(match.params[0].value, "me");
    CHECK_SPAN(match.params[1].value, "x/y");
    CHECK_INT(find(router, "GET", "/me/raw/", &match), 2);
    CHECK_SPAN(match.params[1].value, "");
    CHECK_INT(find_get(router, "/files"), -FA_ROUTE_NOT_FOUND);
    CHECK_INT(find_get(router, "/me/raw"), -FA_ROUTE_NOT_FOUND);
    fa_router_destroy(router);
}

TEST(static_before_parameter_before_wildcard)
{
    struct fa_router *router = router_new();
    CHECK_INT(add(router, "GET", "/*all", 0), 0);
    CHECK_INT(add(router, "GET", "/a/{x}/c", 1), 0);
    CHECK_INT(add(router, "GET", "/a/b/d", 2), 0);
    CHECK_INT(add(router, "GET", "/a/*rest", 3), 0);
    CHECK_INT(add(router, "GET", "/a/", 4), 0);
    CHECK_INT(add(router, "GET", "/a/{x}", 5), 0);
    CHECK_INT(add(router, "GET", "/a/bc", 6), 0);
    CHECK_INT(find_get(router, "/a/b/d"), 2);
    CHECK_INT(find_get(router, "/a/b/c"), 1);
    CHECK_INT(find_get(router, "/a/b/e"), 3);
    CHECK_INT(find_get(router, "/a/b"), 5);
    CHECK_INT(find_get(router, "/a/bc"), 6);
    CHECK_INT(find_get(router, "/a/bcd"), 5);
    CHECK_INT(find_get(router, "/a/"), 4);
    CHECK_INT(find_get(router, "/a//"), 3);
    CHECK_INT(find_get(router, "/a"), 0);
    CHECK_INT(find_get(router, "/"), 0);
    struct fa_route_match match;
    CHECK_INT(find(router, "GET", "/a/b/e", &match), 3);
    CHECK_INT(match.param_count, 1);
    CHECK_SPAN(match.params[0].value, "b/e");
    fa_router_destroy(router);
}

/* Every segment of the longest pattern allowed leaves a note. */
TEST(segments_are_limited)
{
    char pattern[1024];
    struct fa_router *router = router_new();
    size_t len = 0;
    for (int i = 0; i < 128; i++) {
        snprintf(pattern + len, sizeof(pattern) - len, "/*w");
        CHECK_INT(add(router, "GET", pattern, i), 0);
        len += (size_t)snprintf(pattern + len, sizeof(pattern) - len, "/s");
    }
    CHECK_INT(add(router, "GET", pattern, 200), 0);
    CHECK_INT(find_get(router, pattern), 200);
    struct fa_route_match match;
    CHECK_INT(find(router, "POST", pattern, &match), -FA_ROUTE_METHOD_NOT_ALLOWED);
    snprintf(pattern + len, sizeof(pattern) - len, "x");
    CHECK_INT(find_get(router, pattern), 127);
    snprintf(pattern + len, sizeof(pattern) - len, "/s");
    CHECK_INT(add(router, "GET", pattern, 201), FA_EROUTE_SYNTAX);
    CHECK_INT(find_get(router, pattern), 127);
    fa_router_destroy(router);
}

/* --- against the matcher that tries every pattern ------------------------------------- */

static uint64_t seed;

static uint32_t next_random(uint32_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed >> 33) % below;
}

struct rule {
    char pattern[600];
    const char *method;
    size_t method_order;
};

static const char *const methods[] = {"GET", "POST", "DELETE", "PROPPATCH"};

/* Splits off the next segment: `*at` is at a slash and moves to the next one or the end. */
static struct fa_span next_segment(const char **at)
{
    const char *start = *at + 1;
    const char *stop = strchr(start, '/');
    *at = stop != NULL ? stop : start + strlen(start);
    return fa_span(start, (size_t)(*at - start));
}

/* Whether the pattern fits; then `kinds` is one letter per segment, smaller is better. */
static bool rule_fits(const char *pattern, const char *path, char *kinds)
{
    if (*path != '/')
        return false;
    while (*pattern != '\0' && *path != '\0') {
        struct fa_span want = next_segment(&pattern);
        struct fa_span have = next_segment(&path);
        if (want.len > 0 && want.ptr[0] == '*') {
            *kinds++ = 'c';
            *kinds = '\0';
            return true;
        }
        bool param = want.len > 0 && want.ptr[0] == '{';
        if (param ? have.len == 0 : !fa_span_eq(want, have))
            return false;
        *kinds++ = param ? 'b' : 'a';
    }
    *kinds = '\0';
    return *pattern == '\0' && *path == '\0';
}

struct verdict {
    int best; /* index of the rule, -1 */
    char allowed[64];
    bool any;
};

static void try_every_rule(const struct rule *rules, int count, const char *method,
                           const char *path, struct verdict *out)
{
    char best_kinds[300] = "~";
    bool has[FA_ARRAY_LEN(methods)] = {false};
    size_t order[FA_ARRAY_LEN(methods)] = {0};
    *out = (struct verdict){.best = -1};
    for (int i = 0; i < count; i++) {
        char kinds[300];
        if (!rule_fits(rules[i].pattern, path, kinds))
            continue;
        out->any = true;
        for (size_t m = 0; m < FA_ARRAY_LEN(methods); m++) {
            if (methods[m] == rules[i].method) {
                has[m] = true;
                order[m] = rules[i].method_order;
            }
        }
        if (strcmp(rules[i].method, method) == 0 && strcmp(kinds, best_kinds) < 0) {
            out->best = i;
            memcpy(best_kinds, kinds, sizeof(best_kinds));
        }
    }
    for (size_t rank = 0; rank < FA_ARRAY_LEN(methods); rank++) {
        for (size_t m = 0; m < FA_ARRAY_LEN(methods); m++) {
            if (!has[m] || order[m] != rank)
                continue;
            size_t len = strlen(out->allowed);
            snprintf(out->allowed + len, sizeof(out->allowed) - len, "%s%s", len > 0 ? ", " : "",
                     methods[m]);
        }
    }
}

static const char *const words[] = {
    "a",
    "b",
    "ab",
    "abc",
    "abcd",
    "",
    "abcdefgh",
    "abcdefghi",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaac",
    "a-very-long-segment-that-does-not-fit-into-the-first-sixty-four-bytes-of-a-path",
};

static void random_pattern(char *out, size_t size)
{
    uint32_t segments = 1 + next_random(6);
    size_t len = 0;
    for (uint32_t i = 0; i < segments; i++) {
        uint32_t kind = next_random(10);
        if (kind < 3)
            len += (size_t)snprintf(out + len, size - len, "/{p%" PRIu32 "}", i);
        else if (kind == 3 && i + 1 == segments)
            len += (size_t)snprintf(out + len, size - len, "/*rest");
        else
            len += (size_t)snprintf(out + len, size - len, "/%s",
                                    words[next_random(FA_ARRAY_LEN(words))]);
    }
}

/* Mostly a variation of one of the rules, so that many paths match. */
static void random_path(char *out, size_t size, const struct rule *rule)
{
    const char *at = rule->pattern;
    size_t len = 0;
    while (*at != '\0') {
        struct fa_span segment = next_segment(&at);
        bool keep = segment.len == 0 || (segment.ptr[0] != '{' && segment.ptr[0] != '*');
        if (keep && next_random(12) != 0)
            len += (size_t)snprintf(out + len, size - len, "/%.*s", (int)segment.len, segment.ptr);
        else
            len += (size_t)snprintf(out + len, size - len, "/%s",
                                    words[next_random(FA_ARRAY_LEN(words))]);
    }
    if (next_random(8) == 0)
        len +=
            (size_t)snprintf(out + len, size - len, "/%s", words[next_random(FA_ARRAY_LEN(words))]);
    if (next_random(16) == 0 && len > 0)
        out[next_random((uint32_t)len)] = 'a';
}

/* The values together with the static text must spell the path again. */
static void check_values(const struct rule *rule, const struct fa_route_match *match,
                         const char *path)
{
    char spelt[1200];
    size_t len = 0;
    size_t index = 0;
    for (const char *at = rule->pattern; *at != '\0';) {
        struct fa_span segment = next_segment(&at);
        if (segment.len > 0 && (segment.ptr[0] == '{' || segment.ptr[0] == '*')) {
            struct fa_span name = match->params[index].name;
            CHECK(strncmp(segment.ptr + 1, name.ptr, name.len) == 0);
            segment = match->params[index++].value;
        }
        len += (size_t)snprintf(spelt + len, sizeof(spelt) - len, "/%.*s", (int)segment.len,
                                segment.ptr);
    }
    CHECK_INT(match->param_count, index);
    CHECK_SPAN(fa_span(spelt, len), path);
}

static void compare_one(const struct fa_router *router, const struct rule *rules, int count)
{
    char path[1024];
    random_path(path, sizeof(path), &rules[next_random((uint32_t)count)]);
    const char *method = methods[next_random(FA_ARRAY_LEN(methods))];
    struct verdict verdict;
    struct fa_route_match match;
    try_every_rule(rules, count, method, path, &verdict);
    int found = find(router, method, path, &match);
    int expected = verdict.best;
    if (expected < 0)
        expected = verdict.any ? -FA_ROUTE_METHOD_NOT_ALLOWED : -FA_ROUTE_NOT_FOUND;
    if (found != expected) {
        printf("    %s %s: %d instead of %d\n", method, path, found, expected);
        for (int i = 0; i < count; i++)
            printf("    %d: %s %s\n", i, rules[i].method, rules[i].pattern);
        CHECK_INT(found, expected);
    }
    if (found >= 0)
        check_values(&rules[found], &match, path);
    else if (found == -FA_ROUTE_METHOD_NOT_ALLOWED)
        CHECK_SPAN(match.allowed, verdict.allowed);
}

TEST(agrees_with_trying_every_pattern)
{
    static struct rule rules[48];
    int compared = 0;
    for (seed = 1; seed < 2000;) {
        uint64_t next_seed = seed + 1;
        struct fa_router *router = router_new();
        int count = 0;
        size_t orders = 0;
        int wanted = 1 + (int)next_random(FA_ARRAY_LEN(rules));
        for (int tries = 0; tries < wanted; tries++) {
            struct rule *rule = &rules[count];
            random_pattern(rule->pattern, sizeof(rule->pattern));
            rule->method = methods[next_random(FA_ARRAY_LEN(methods))];
            int err = add(router, rule->method, rule->pattern, count);
            CHECK(err == 0 || err == FA_EROUTE_CONFLICT);
            if (err < 0)
                continue;
            rule->method_order = orders;
            for (int i = 0; i < count; i++) {
                if (rules[i].method == rule->method)
                    rule->method_order = rules[i].method_order;
            }
            orders += rule->method_order == orders;
            count++;
            if (next_random(4) == 0)
                compare_one(router, rules, count);
        }
        for (int i = 0; i < 40; i++, compared++)
            compare_one(router, rules, count);
        fa_router_destroy(router);
        seed = next_seed;
    }
    CHECK(compared > 70000);
}

/* 2^k patterns that differ only in which segments are parameters, and paths that fail at
 * the last byte: the search may look at each node once (4096 patterns end in as many
 * nodes), so a path of any length costs no more than a pass over the tree. */
TEST(backtracking_is_bounded_by_the_tree)
{
    struct fa_router *router = router_new();
    for (int bits = 0; bits < 4096; bits++) {
        char pattern[256];
        size_t len = 0;
        for (int i = 0; i < 12; i++) {
            if ((bits >> i & 1) != 0)
                len += (size_t)snprintf(pattern + len, sizeof(pattern) - len, "/{p%d}", i);
            else
                len += (size_t)snprintf(pattern + len, sizeof(pattern) - len, "/a");
        }
        CHECK_INT(add(router, "GET", pattern, bits), 0);
    }
    CHECK_INT(find_get(router, "/a/a/a/a/a/a/a/a/a/a/a/a"), 0);
    CHECK_INT(find_get(router, "/b/b/b/b/b/b/b/b/b/b/b/b"), 4095);
    CHECK_INT(find_get(router, "/b/a/a/a/a/a/a/a/a/a/a/b"), 2049);
    for (int i = 0; i < 100; i++)
        CHECK_INT(find_get(router, "/a/a/a/a/a/a/a/a/a/a/a/a/a"), -FA_ROUTE_NOT_FOUND);
    fa_router_destroy(router);
}

int main(void)
{
    RUN(static_paths_are_compared_bytewise);
    RUN(zero_bytes_are_not_padding);
    RUN(parameters_take_one_segment);
    RUN(parameters_of_any_length_and_place);
    RUN(wildcards_take_the_rest);
    RUN(static_before_parameter_before_wildcard);
    RUN(segments_are_limited);
    RUN(agrees_with_trying_every_pattern);
    RUN(backtracking_is_bounded_by_the_tree);
    return check_report();
}
