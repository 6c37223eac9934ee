/* SPDX-License-Identifier: MIT */
/* fuzz_router.c - patterns and paths from the input, one to a line: a line that begins with
 * "+" adds a route, any other is matched. The first byte of what follows chooses the
 * method. A match must agree with its pattern: the values, put into the pattern in place of
 * the names, spell the path. A route that was added is found by its own pattern read as a
 * path, or by one of higher priority. */
#include <stdlib.h>

#include <fasterapi/router.h>

#define MAX_ROUTES 64

struct rule {
    struct fa_span pattern;
};

static const struct fa_span methods[4] = {
    {"GET", 3}, {"POST", 4}, {"M-SEARCH", 8}, {"VERSION-CONTROL", 15}};

static void require(bool condition)
{
    if (!condition)
        abort();
}

static struct fa_span take(struct fa_span *from, size_t len)
{
    struct fa_span head = fa_span(from->ptr, len);
    require(len <= from->len);
    *from = fa_span(from->ptr + len, from->len - len);
    return head;
}

/* Eats the path with the pattern, segment by segment. */
static void check_match(struct fa_span pattern, struct fa_span path,
                        const struct fa_route_match *match)
{
    size_t index = 0;
    while (pattern.len > 0) {
        char first = pattern.ptr[0];
        if (first != '{' && first != '*') {
            require(take(&pattern, 1).ptr[0] == take(&path, 1).ptr[0]);
            continue;
        }
        require(index < match->param_count);
        struct fa_route_param param = match->params[index++];
        take(&pattern, 1);
        require(fa_span_eq(take(&pattern, param.name.len), param.name));
        require(param.value.ptr == path.ptr);
        take(&path, param.value.len);
        if (first == '{') {
            require(take(&pattern, 1).ptr[0] == '}');
            require(param.value.len > 0 && memchr(param.value.ptr, '/', param.value.len) == NULL);
        }
    }
    require(path.len == 0 && index == match->param_count);
}

static void check_path(const struct fa_router *router, struct fa_span method, struct fa_span path,
                       bool must_find)
{
    struct fa_route_match match;
    switch (fa_router_match(router, method, path, &match)) {
    case FA_ROUTE_FOUND:
        check_match(((const struct rule *)match.handler)->pattern, path, &match);
        break;
    case FA_ROUTE_METHOD_NOT_ALLOWED:
        require(match.allowed.len >= 3 && !must_find);
        require(memmem(match.allowed.ptr, match.allowed.len, method.ptr, method.len) == NULL);
        break;
    case FA_ROUTE_NOT_FOUND:
        require(!must_find);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rule rules[MAX_ROUTES];
    size_t count = 0;
    struct fa_router *router;
    struct fa_span rest = fa_span(data, size);
    if (fa_router_new(&router) < 0)
        return 0;
    while (rest.len > 0) {
        const char *end = memchr(rest.ptr, '\n', rest.len);
        size_t len = end != NULL ? (size_t)(end - rest.ptr) : rest.len;
        struct fa_span line = take(&rest, len);
        if (end != NULL)
            take(&rest, 1);
        bool adds = line.len > 0 && line.ptr[0] == '+';
        if (adds)
            take(&line, 1);
        if (line.len == 0)
            continue;
        struct fa_span method = methods[take(&line, 1).ptr[0] & 3];
        if (!adds) {
            check_path(router, method, line, false);
        } else if (count < MAX_ROUTES) {
            rules[count].pattern = line;
            if (fa_router_add(router, method, line, &rules[count]) == 0) {
                count++;
                check_path(router, method, line, true);
            }
        }
    }
    fa_router_destroy(router);
    return 0;
}
