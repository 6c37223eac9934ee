/* SPDX-License-Identifier: MIT */
/* router_match.h - finds a path in one tree. */
#ifndef FA_HTTP_ROUTER_MATCH_H
#define FA_HTTP_ROUTER_MATCH_H

#include "http/router_tree.h"

/* As fa_router_match, in a given tree. */
enum fa_route_result fa__route_search(const struct fa__route_tree *tree, struct fa_span method,
                                      struct fa_span path, struct fa_route_match *match);

#endif
