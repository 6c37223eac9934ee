/* SPDX-License-Identifier: MIT */
/* router.h - method and path to handler, through a radix tree with path compression.
 *
 * A pattern is one or more segments, each behind a slash:
 *
 *     users    static: compared byte by byte, nothing is folded or decoded
 *     {id}     parameter: a whole segment of at least one byte, without a slash
 *     *path    wildcard, only as the last segment: the rest of the path, slashes included.
 *              The rest may be empty, the slash in front of it may not be missing: behind
 *              "/files" it matches "/files/" and not "/files"
 *
 * A name is made of letters, digits, "_", "-" and bytes beyond ASCII. The bytes { } * have
 * no escape and are refused elsewhere, and so is text beside a parameter or in front of a
 * wildcard in its segment. A trailing slash is a byte like any other: "/a" and "/a/" are
 * two routes (the second ends in an empty static segment).
 *
 * Where several patterns fit, the first difference from the left decides: a static byte
 * wins over a parameter and a parameter over a wildcard. The matcher backtracks, so
 * "/a/{x}/c" is found beside "/a/b/d"; it enters each node of the tree at most once.
 *
 * Adding publishes a new immutable tree: matchers on other threads see the old tree or the
 * new one, never a mixture, and take no lock. Adding and destroying belong to one thread. */
#ifndef FASTERAPI_ROUTER_H
#define FASTERAPI_ROUTER_H

#include <fasterapi/error.h>
#include <fasterapi/span.h>

#define FA_ROUTER_MAX_PARAMS 32          /* in a pattern, the wildcard included */
#define FA_ROUTER_MAX_METHODS_BYTES 1024 /* all method names of a router, joined by ", " */

struct fa_router;

struct fa_route_param {
    struct fa_span name;  /* lives as long as the router */
    struct fa_span value; /* points into the matched path, not decoded */
};

enum fa_route_result {
    FA_ROUTE_FOUND = 0,
    FA_ROUTE_NOT_FOUND = 1,          /* 404 */
    FA_ROUTE_METHOD_NOT_ALLOWED = 2, /* 405: `allowed` names the methods there are */
};

struct fa_route_match {
    void *handler; /* what fa_router_add was given */
    size_t param_count;
    struct fa_route_param params[FA_ROUTER_MAX_PARAMS]; /* in the order of the pattern */
    struct fa_span allowed; /* "GET, POST"; may point into this structure, so copies of
                               the structure do not carry it */
};

FA_BEGIN_DECLS

/* An empty router. Returns 0 or FA_ENOMEM. */
FA_API int fa_router_new(struct fa_router **out) FA_MUST_CHECK;

/* Frees the router and every tree it published. No matcher may be running. NULL is
 * allowed. */
FA_API void fa_router_destroy(struct fa_router *router);

/* Adds a route; method and pattern are copied. `handler` is only handed back. Methods are
 * case-sensitive tokens (RFC 9110 section 9.1). Returns 0 or, with nothing changed,
 *   FA_EINVAL          `handler` is NULL or the method is not a token,
 *   FA_EROUTE_SYNTAX   the pattern is not one as described above, repeats a name, has more
 *                      than FA_ROUTER_MAX_PARAMS parameters or 128 segments,
 *   FA_EROUTE_CONFLICT this method has a route of this shape (names do not matter),
 *   FA_EOVERFLOW       over 64 different methods or FA_ROUTER_MAX_METHODS_BYTES of them,
 *   FA_ENOMEM. */
FA_API int fa_router_add(struct fa_router *router, struct fa_span method, struct fa_span pattern,
                         void *handler) FA_MUST_CHECK;

/* Finds the route of a path (without its query). Any thread, lock-free, allocates nothing,
 * never reads `path` beyond its end.
 * `match` is filled as the result says: handler, param_count and that many params when
 * FOUND, `allowed` when METHOD_NOT_ALLOWED (the methods of every pattern that fits the
 * path, in the order in which the router first met them), nothing else. A path that has
 * only a route of lower priority for the method is FOUND through that route. */
FA_API enum fa_route_result fa_router_match(const struct fa_router *router, struct fa_span method,
                                            struct fa_span path, struct fa_route_match *match);

FA_END_DECLS

#endif
