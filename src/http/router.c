/* SPDX-License-Identifier: MIT */
/* router.c - owns the routes, publishes the tree that matchers read, and gives old trees
 * back (see router.h for who may call what).
 *
 * Publication is one atomic pointer. An edit copies only the nodes on the way to the new
 * route, so two successive trees share nearly everything, and what the new one leaves out
 * is a handful of blocks. When may those be freed? A matcher announces itself only once,
 * by setting `in_use`, which is never cleared:
 *
 *     matcher: in_use = 1; read the tree         writer: publish the tree; read in_use
 *
 * All four are sequentially consistent, so either the writer sees the mark, or every
 * matcher's read comes after the publication. Before the first match, which is when
 * programs add their routes, the writer therefore frees the old blocks at once. Afterwards
 * it keeps them until the router is destroyed: a few per route added, linear in the
 * routes, and no counter for matchers to share. */
#include "http/router_tree.h"

#include <stdatomic.h>

#include <fasterapi/alloc.h>

#include "http/router_match.h"

struct fa_router {
    _Atomic(struct fa__route_tree *) tree;
    atomic_bool in_use;       /* some matcher has run, or is about to read `tree` */
    struct fa__block *routes; /* all of them */
    struct fa__block *names;  /* of the methods */
    struct fa__block *stale;  /* may still be read */
};

struct method_name {
    struct fa__block block;
    char text[];
};

int fa_router_new(struct fa_router **out)
{
    struct fa_router *router = fa_calloc(1, sizeof(*router));
    struct fa__route_tree *tree = fa_calloc(1, sizeof(*tree));
    struct fa__route_methods *methods = fa_calloc(1, sizeof(*methods));
    struct fa__route_node *root = fa__route_root_new();
    if (router == NULL || tree == NULL || methods == NULL || root == NULL) {
        fa_free(root);
        fa_free(methods);
        fa_free(tree);
        fa_free(router);
        return FA_ENOMEM;
    }
    tree->root = root;
    tree->methods = methods;
    atomic_init(&router->tree, tree);
    atomic_init(&router->in_use, false);
    *out = router;
    return 0;
}

void fa_router_destroy(struct fa_router *router)
{
    if (router == NULL)
        return;
    struct fa__route_tree *tree = atomic_load(&router->tree);
    fa__route_free_nodes(tree->root);
    fa_free((void *)tree->methods);
    fa_free(tree);
    fa__route_free_list(router->stale);
    fa__route_free_list(router->names);
    fa__route_free_list(router->routes);
    fa_free(router);
}

/* RFC 9110 section 9.1: a method is a token. It ends up in an Allow field, so nothing else
 * may get in. */
static bool is_token(struct fa_span method)
{
    for (size_t i = 0; i < method.len; i++) {
        char c = method.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool digit = c >= '0' && c <= '9';
        if (!letter && !digit && (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL))
            return false;
    }
    return method.len > 0;
}

static struct fa__route *route_new(const struct fa__route_pattern *pattern, void *handler)
{
    size_t text_len = 0;
    for (size_t i = 0; i < pattern->param_count; i++)
        text_len += pattern->names[i].len;
    struct fa__route *route =
        fa_malloc(sizeof(*route) + pattern->param_count * sizeof(route->names[0]) + text_len);
    if (route == NULL)
        return NULL;
    route->handler = handler;
    route->param_count = pattern->param_count;
    char *text = (char *)(route->names + pattern->param_count);
    for (size_t i = 0; i < pattern->param_count; i++) {
        struct fa_span name = pattern->names[i];
        memcpy(text, name.ptr, name.len);
        route->names[i] = fa_span(text, name.len);
        text += name.len;
    }
    return route;
}

/* A copy of the table with one method more, whose id is the old count. The name's block is
 * `*name`. Returns 0, FA_EOVERFLOW when the limits of router.h are reached, FA_ENOMEM. */
static int add_method(const struct fa__route_methods *old, struct fa_span method,
                      struct fa__route_methods **out, struct method_name **name)
{
    if (old->count == FA__ROUTER_MAX_METHODS || method.len > FA_ROUTER_MAX_METHODS_BYTES ||
        old->text_len + 2 + method.len > FA_ROUTER_MAX_METHODS_BYTES)
        return FA_EOVERFLOW;
    struct fa__route_methods *methods = fa_malloc(sizeof(*methods));
    struct method_name *copy = fa_malloc(sizeof(*copy) + method.len);
    if (methods == NULL || copy == NULL) {
        fa_free(copy);
        fa_free(methods);
        return FA_ENOMEM;
    }
    memcpy(copy->text, method.ptr, method.len);
    *methods = *old;
    uint64_t word = fa__method_word(method);
    methods->by_id[methods->count++] = (struct fa__route_method){
        .word = word,
        .name = fa_span(copy->text, method.len),
    };
    methods->text_len += 2 + method.len;
    size_t at = fa__method_slot(word);
    while (methods->slot[at] != 0)
        at = (at + 1) % FA__ROUTER_METHOD_SLOTS;
    methods->slot[at] = (uint8_t)methods->count;
    *out = methods;
    *name = copy;
    return 0;
}

static void push(struct fa__block **list, struct fa__block *block)
{
    block->next = *list;
    *list = block;
}

/* Makes `tree` the one that matchers find, and frees or keeps what it replaces. */
static void publish(struct fa_router *router, struct fa__route_tree *tree, struct fa__block *stale)
{
    atomic_store(&router->tree, tree);
    if (!atomic_load(&router->in_use)) {
        fa__route_free_list(stale);
        return;
    }
    while (stale != NULL) {
        struct fa__block *next = stale->next;
        push(&router->stale, stale);
        stale = next;
    }
}

int fa_router_add(struct fa_router *router, struct fa_span method, struct fa_span path_pattern,
                  void *handler)
{
    if (handler == NULL || !is_token(method))
        return FA_EINVAL;
    struct fa__route_pattern pattern;
    int err = fa__route_parse(path_pattern, &pattern);
    if (err < 0)
        return err;

    struct fa__route_tree *old = atomic_load(&router->tree);
    struct fa__route_methods *new_methods = NULL;
    struct method_name *name = NULL;
    struct fa__route_edit edit = {0};
    struct fa__route *route = NULL;
    struct fa__route_tree *tree = NULL;
    size_t id = fa__method_find(old->methods, method);
    if (id == FA__ROUTER_MAX_METHODS) {
        id = old->methods->count;
        err = add_method(old->methods, method, &new_methods, &name);
        if (err < 0)
            return err;
    }
    err = FA_ENOMEM;
    route = route_new(&pattern, handler);
    tree = fa_malloc(sizeof(*tree));
    if (route == NULL || tree == NULL)
        goto fail;
    tree->root = old->root;
    tree->methods = new_methods != NULL ? new_methods : old->methods;
    err = fa__route_insert(&edit, &tree->root, tree->methods, &pattern, id, route);
    if (err < 0)
        goto fail;

    fa__route_edit_commit(&edit);
    push(&router->routes, &route->block);
    if (name != NULL) {
        push(&router->names, &name->block);
        push(&edit.stale, (struct fa__block *)old->methods);
    }
    push(&edit.stale, &old->block);
    publish(router, tree, edit.stale);
    return 0;

fail:
    fa__route_edit_abort(&edit);
    fa_free(tree);
    fa_free(route);
    fa_free(name);
    fa_free(new_methods);
    return err;
}

enum fa_route_result fa_router_match(const struct fa_router *router, struct fa_span method,
                                     struct fa_span path, struct fa_route_match *match)
{
    /* Written once and only read from then on, so that matchers share the line. */
    if (FA_UNLIKELY(!atomic_load(&router->in_use)))
        atomic_store(&((struct fa_router *)router)->in_use, true);
    return fa__route_search(atomic_load(&router->tree), method, path, match);
}
