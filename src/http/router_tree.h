/* SPDX-License-Identifier: MIT */
/* router_tree.h - the immutable radix tree that router.c publishes, how one is made from
 * another, and what a matcher may read of it.
 *
 * Everything a published tree reaches is never written again, except the `next` links in
 * the block headers: those belong to the writer, and no matcher reads them. */
#ifndef FA_HTTP_ROUTER_TREE_H
#define FA_HTTP_ROUTER_TREE_H

#include <fasterapi/router.h>

/* Bounds on what a program may register; none of them depends on a request. The matcher's
 * stack of untried alternatives has one place per segment. */
#define FA__ROUTER_MAX_SEGMENTS 128
#define FA__ROUTER_MAX_METHODS 64
#define FA__ROUTER_METHOD_SLOTS 256

enum fa__block_state {
    FA__BLOCK_FRESH = 0, /* made by the edit under way, seen by nobody else */
    FA__BLOCK_DROPPED,   /* was fresh, replaced within the same edit */
    FA__BLOCK_PUBLISHED,
};

/* First member of all that an edit allocates. */
struct fa__block {
    struct fa__block *next;
};

/* One method on one pattern. Lives as long as the router. */
struct fa__route {
    struct fa__block block;
    void *handler;
    size_t param_count;
    struct fa_span names[]; /* param_count, their bytes behind them */
};

/* All methods on one shape of pattern, by method id. */
struct fa__route_leaf {
    struct fa__block block;
    uint64_t methods;                 /* bit per method id */
    struct fa_span allowed;           /* "GET, POST" */
    size_t slots;                     /* 1 + the highest id in `methods` */
    const struct fa__route *routes[]; /* NULL where the method is absent; then `allowed` */
};

/* A node stands for the static bytes that lead to it from its parent, or, without any, for
 * a parameter. `head` and `back` are the first and the last eight of those bytes as
 * little-endian numbers; both hold the same, zero-filled, when there are fewer. So up to
 * sixteen bytes are compared in two operations without a branch on their number.
 *
 * A child sits in child[(first byte * hash_mul mod 256) >> hash_shift]; the multiplier is
 * chosen so that no two children collide. Free slots hold fa__route_nowhere, which
 * matches nothing. */
struct fa__route_node {
    struct fa__block block;
    uint64_t head;
    uint64_t back;
    uint32_t prefix_len;
    uint8_t hash_mul;
    uint8_t hash_shift; /* 8 - log2 of the number of slots */
    uint8_t cmp_shift;  /* shifts out the zero-filled bytes: 64 - 8 * min(prefix_len, 8) */
    uint8_t state;      /* enum fa__block_state; the writer's */
    const struct fa__route_leaf *leaf; /* a path may end here */
    const struct fa__route_node *param;
    const struct fa__route_leaf *wild;
    const struct fa__route_node *child[]; /* slots, then the bytes of the prefix */
};

struct fa__route_method {
    uint64_t word; /* fa__method_word of the name */
    struct fa_span name;
};

/* The methods by id. A new one makes a new table; their names live as long as the router. */
struct fa__route_methods {
    struct fa__block block;
    size_t count;
    size_t text_len;                       /* of all names joined by ", " */
    uint8_t slot[FA__ROUTER_METHOD_SLOTS]; /* 1 + id, open addressing; 0 = free */
    struct fa__route_method by_id[FA__ROUTER_MAX_METHODS];
};

/* What is published. */
struct fa__route_tree {
    struct fa__block block;
    const struct fa__route_node *root; /* stands behind the slash every path begins with */
    const struct fa__route_methods *methods;
};

/* What an edit has made and what it makes superfluous. */
struct fa__route_edit {
    struct fa__block *fresh_nodes;
    struct fa__block *fresh_leaves;
    struct fa__block *stale; /* published nodes and leaves that the new tree leaves out */
};

/* A pattern taken apart: static text, then a parameter, and so on. */
struct fa__route_pattern {
    size_t param_count; /* the wildcard included */
    bool has_wild;      /* the last one is a wildcard */
    struct fa_span names[FA_ROUTER_MAX_PARAMS];
    struct fa_span text[FA_ROUTER_MAX_PARAMS + 1]; /* before each parameter, after the last */
};

extern const struct fa__route_node fa__route_nowhere;

static inline size_t fa__route_slots(const struct fa__route_node *node)
{
    return (size_t)256 >> node->hash_shift;
}

static inline size_t fa__route_slot(const struct fa__route_node *node, unsigned char byte)
{
    return (size_t)(unsigned char)(byte * node->hash_mul) >> node->hash_shift;
}

static inline const char *fa__route_prefix(const struct fa__route_node *node)
{
    return (const char *)(node->child + fa__route_slots(node));
}

static inline uint64_t fa__method_pair(struct fa_span method, size_t at)
{
    return (uint64_t)(unsigned char)method.ptr[at] | (uint64_t)(unsigned char)method.ptr[at + 1]
                                                         << 8;
}

/* Up to eight bytes of a method that is not empty, and of a longer one four at either end:
 * pairs that overlap when there are fewer than eight. Together with the length that is
 * unambiguous up to eight bytes, and it needs no branch on the length. */
static inline uint64_t fa__method_word(struct fa_span method)
{
    if (FA_UNLIKELY(method.len == 1))
        return (unsigned char)method.ptr[0];
    size_t last = method.len - 2;
    return fa__method_pair(method, 0) | fa__method_pair(method, last < 2 ? last : 2) << 16 |
           fa__method_pair(method, last < 2 ? 0 : last - 2) << 32 |
           fa__method_pair(method, last) << 48;
}

static inline size_t fa__method_slot(uint64_t word)
{
    return (size_t)((word * UINT64_C(0x9e3779b97f4a7c15)) >> 56);
}

/* The id of a method, FA__ROUTER_MAX_METHODS for one that no route has. */
static inline size_t fa__method_find(const struct fa__route_methods *methods, struct fa_span method)
{
    if (method.len == 0)
        return FA__ROUTER_MAX_METHODS;
    uint64_t word = fa__method_word(method);
    for (size_t at = fa__method_slot(word); methods->slot[at] != 0;
         at = (at + 1) % FA__ROUTER_METHOD_SLOTS) {
        size_t id = methods->slot[at] - (size_t)1;
        const struct fa__route_method *known = &methods->by_id[id];
        if (known->word == word && known->name.len == method.len &&
            (method.len <= 8 || memcmp(known->name.ptr, method.ptr, method.len) == 0))
            return id;
    }
    return FA__ROUTER_MAX_METHODS;
}

/* Takes a pattern apart; the spans point into it. Returns 0 or FA_EROUTE_SYNTAX. */
int fa__route_parse(struct fa_span pattern, struct fa__route_pattern *out) FA_MUST_CHECK;

/* A root without routes, or NULL. */
struct fa__route_node *fa__route_root_new(void) FA_MUST_CHECK;

/* Makes the tree that has `route` as well, sharing with the tree under `*root` all that
 * stays the same, and puts its root into `*root`. Returns 0, FA_EROUTE_CONFLICT or
 * FA_ENOMEM; whatever it returns, `edit` has to be committed or aborted. */
int fa__route_insert(struct fa__route_edit *edit, const struct fa__route_node **root,
                     const struct fa__route_methods *methods,
                     const struct fa__route_pattern *pattern, size_t method_id,
                     const struct fa__route *route) FA_MUST_CHECK;

/* Writes the names of a set of methods, joined by ", ", into `out`; the table's `text_len`
 * bytes are enough for any set. */
struct fa_span fa__route_allowed(char *out, const struct fa__route_methods *methods, uint64_t set);

/* Ends an edit: what it made is kept, and the caller takes over `edit->stale`. */
void fa__route_edit_commit(struct fa__route_edit *edit);

/* Ends an edit: what it made is freed, the old tree is as it was. */
void fa__route_edit_abort(struct fa__route_edit *edit);

/* Frees a list linked by `next`. */
void fa__route_free_list(struct fa__block *list);

/* Frees all nodes and leaves of a tree that nobody reads any more (not its routes). */
void fa__route_free_nodes(const struct fa__route_node *root);

#endif
