/* SPDX-License-Identifier: MIT */
/* router_rig.h - what the tests of the router share: handlers that are told apart by their
 * address, and matches of paths that end at a guard page. */
#ifndef FA_TESTS_HTTP_ROUTER_RIG_H
#define FA_TESTS_HTTP_ROUTER_RIG_H

#include "check.h"

#include <fasterapi/router.h>

static int handlers[4096]; /* routes are told apart by their address */

static inline struct fa_router *router_new(void)
{
    struct fa_router *router;
    CHECK_INT(fa_router_new(&router), 0);
    return router;
}

static inline int add(struct fa_router *router, const char *method, const char *pattern,
                      int handler)
{
    return fa_router_add(router, fa_span_str(method), fa_span_str(pattern), &handlers[handler]);
}

/* The handler's number, or minus the result. */
static inline int find(const struct fa_router *router, const char *method, const char *path,
                       struct fa_route_match *match)
{
    struct check_guard guard = check_guard_copy(fa_span_str(path));
    enum fa_route_result result = fa_router_match(router, fa_span_str(method), guard.span, match);
    if (result == FA_ROUTE_FOUND) {
        for (size_t i = 0; i < match->param_count; i++)
            match->params[i].value.ptr = path + (match->params[i].value.ptr - guard.span.ptr);
    }
    check_guard_free(&guard);
    return result == FA_ROUTE_FOUND ? (int)((int *)match->handler - handlers) : -(int)result;
}

static inline int find_get(const struct fa_router *router, const char *path)
{
    struct fa_route_match match;
    return find(router, "GET", path, &match);
}

#endif
