/* SPDX-License-Identifier: MIT */
/* router_tree.c - the tree itself: its shape, its tables, its depth, and edits that fail. */
#include "http/router_rig.h"

#include "http/router_tree.h"

/* A tree of its own, without the router around it. */
struct rig {
    const struct fa__route_node *root;
    struct fa__route_methods methods;
    struct fa__route *routes[16];
    size_t count;
};

static void rig_init(struct rig *rig)
{
    *rig = (struct rig){.root = fa__route_root_new()};
    rig->methods.count = 2;
    rig->methods.by_id[0].name = FA_SPAN("GET");
    rig->methods.by_id[1].name = FA_SPAN("POST");
}

static void rig_clean_up(struct rig *rig)
{
    for (size_t i = 0; i < rig->count; i++)
        fa_free(rig->routes[i]);
    if (rig->root != NULL)
        fa__route_free_nodes(rig->root);
}

/* What router.c does with an edit while nobody reads. */
static int insert(struct rig *rig, const char *text, size_t method)
{
    struct fa__route_pattern pattern;
    CHECK_INT(fa__route_parse(fa_span_str(text), &pattern), 0);
    struct fa__route *route = fa_calloc(1, sizeof(*route));
    if (route == NULL)
        return FA_ENOMEM;
    struct fa__route_edit edit = {0};
    const struct fa__route_node *root = rig->root;
    int err = fa__route_insert(&edit, &root, &rig->methods, &pattern, method, route);
    if (err < 0) {
        fa__route_edit_abort(&edit);
        fa_free(route);
        return err;
    }
    fa__route_edit_commit(&edit);
    fa__route_free_list(edit.stale);
    rig->root = root;
    rig->routes[rig->count++] = route;
    return 0;
}

/* Writes a node and all under it as text: prefix, then "$" for a leaf, "{...}" for what is
 * behind a parameter, "*" for a wildcard, children in brackets by first byte. */
static void describe(const struct fa__route_node *node, char *out, size_t size)
{
    size_t len = strlen(out);
    len += (size_t)snprintf(out + len, size - len, "%.*s%s%s", (int)node->prefix_len,
                            fa__route_prefix(node), node->leaf != NULL ? "$" : "",
                            node->wild != NULL ? "*" : "");
    if (node->param != NULL) {
        snprintf(out + len, size - len, "{");
        describe(node->param, out, size);
        len = strlen(out);
        snprintf(out + len, size - len, "}");
    }
    for (int byte = 0; byte < 256; byte++) {
        const struct fa__route_node *child = node->child[fa__route_slot(node, (unsigned char)byte)];
        if (child == &fa__route_nowhere || (unsigned char)fa__route_prefix(child)[0] != byte)
            continue;
        len = strlen(out);
        snprintf(out + len, size - len, "[");
        describe(child, out, size);
        len = strlen(out);
        snprintf(out + len, size - len, "]");
    }
}

static void check_shape(const struct rig *rig, const char *expected)
{
    char shape[512] = "";
    describe(rig->root, shape, sizeof(shape));
    CHECK_SPAN(fa_span_str(shape), expected);
}

TEST(paths_are_compressed)
{
    struct rig rig;
    rig_init(&rig);
    CHECK(rig.root != NULL);
    CHECK_INT(insert(&rig, "/", 0), 0);
    check_shape(&rig, "$");
    CHECK_INT(insert(&rig, "/users", 0), 0);
    check_shape(&rig, "$[users$]");
    CHECK_INT(insert(&rig, "/user", 0), 0);
    check_shape(&rig, "$[user$[s$]]");
    CHECK_INT(insert(&rig, "/use/x", 0), 0);
    check_shape(&rig, "$[use[/x$][r$[s$]]]");
    CHECK_INT(insert(&rig, "/user/{id}", 0), 0);
    check_shape(&rig, "$[use[/x$][r$[/{$}][s$]]]");
    CHECK_INT(insert(&rig, "/user/{name}/a", 1), 0);
    CHECK_INT(insert(&rig, "/user/{name}/b", 1), 0);
    CHECK_INT(insert(&rig, "/user/*rest", 1), 0);
    check_shape(&rig, "$[use[/x$][r$[/*{$[/[a$][b$]]}][s$]]]");
    CHECK_INT(insert(&rig, "/users", 1), 0);
    CHECK_INT(insert(&rig, "/users", 1), FA_EROUTE_CONFLICT);
    check_shape(&rig, "$[use[/x$][r$[/*{$[/[a$][b$]]}][s$]]]");
    rig_clean_up(&rig);
}

TEST(a_failed_edit_leaves_the_tree_as_it_was)
{
    static const char *const more[] = {"/abx/y", "/abc/{p}/d", "/abc/{q}/*r", "/z", "/ab"};
    for (size_t i = 0; i < FA_ARRAY_LEN(more); i++) {
        bool done = false;
        for (uint64_t n = 1; !done; n++) {
            struct rig rig;
            rig_init(&rig);
            CHECK_INT(insert(&rig, "/abc/{x}", 0), 0);
            CHECK_INT(insert(&rig, "/abd", 0), 0);
            int64_t live = fa_alloc_live();
            fa_alloc_fail_nth(n);
            int err = insert(&rig, more[i], 0);
            fa_alloc_fail_nth(0);
            done = err == 0;
            if (!done) {
                CHECK_INT(err, FA_ENOMEM);
                CHECK_INT(fa_alloc_live(), live);
                check_shape(&rig, "[ab[c/{$}][d$]]");
            }
            rig_clean_up(&rig);
        }
    }
}

/* All 256 first bytes (but the special ones) under one node. */
TEST(a_node_may_have_every_child)
{
    struct fa_router *router = router_new();
    char pattern[8] = "/x?tail";
    for (int c = 0; c < 256; c++) {
        if (c == '{' || c == '}' || c == '*')
            continue;
        pattern[2] = (char)c;
        CHECK_INT(fa_router_add(router, FA_SPAN("GET"), fa_span(pattern, 7), &handlers[c]), 0);
    }
    struct fa_route_match match;
    for (int c = 0; c < 256; c++) {
        pattern[2] = (char)c;
        bool special = c == '{' || c == '}' || c == '*';
        CHECK_INT(fa_router_match(router, FA_SPAN("GET"), fa_span(pattern, 7), &match),
                  special ? FA_ROUTE_NOT_FOUND : FA_ROUTE_FOUND);
        if (!special)
            CHECK(match.handler == &handlers[c]);
    }
    fa_router_destroy(router);
}

/* One allocation more or less for each byte of a long chain: no recursion in any step. */
TEST(deep_trees)
{
    struct fa_router *router = router_new();
    static char pattern[2001];
    memset(pattern, 'a', sizeof(pattern) - 1);
    pattern[0] = '/';
    for (size_t len = 2; len < sizeof(pattern); len++)
        CHECK_INT(fa_router_add(router, FA_SPAN("GET"), fa_span(pattern, len), &handlers[len]), 0);
    struct fa_route_match match;
    for (size_t len = 2; len < sizeof(pattern); len += 37) {
        CHECK_INT(fa_router_match(router, FA_SPAN("GET"), fa_span(pattern, len), &match),
                  FA_ROUTE_FOUND);
        CHECK(match.handler == &handlers[len]);
    }
    fa_router_destroy(router);
}

int main(void)
{
    RUN(paths_are_compressed);
    RUN(a_failed_edit_leaves_the_tree_as_it_was);
    RUN(a_node_may_have_every_child);
    RUN(deep_trees);
    return check_report();
}
