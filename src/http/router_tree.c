/* SPDX-License-Identifier: MIT */
/* router_tree.c - makes a new immutable tree from an old one by copying the nodes on the
 * way to the change (see router_tree.h). The writer's thread only; matchers read what
 * router.c has published.
 *
 *     FRESH -> PUBLISHED -> on the stale list, then freed by router.c
 *     FRESH -> DROPPED (replaced by a wider copy within the same edit), freed at commit
 *
 * An edit allocates one node for each node on the way, so adding n routes costs O(n) times
 * the depth, in time and in memory, and not a whole tree each. A failed edit frees what it
 * made and has touched nothing else. */
#include "http/router_tree.h"

#include <fasterapi/alloc.h>

const struct fa__route_node fa__route_nowhere = {
    .prefix_len = UINT32_MAX, /* longer than any rest of a path */
    .hash_shift = 8,
    .state = FA__BLOCK_PUBLISHED,
};

static void push(struct fa__block **list, struct fa__block *block)
{
    block->next = *list;
    *list = block;
}

static uint64_t load_word(const char *bytes, size_t len)
{
    uint64_t word = 0;
    for (size_t i = 0; i < len && i < 8; i++)
        word |= (uint64_t)(unsigned char)bytes[i] << (8 * i);
    return word;
}

/* The multiplier that sends `count` different bytes to different slots of a table of
 * 256 >> shift, 0 if there is none. */
static uint8_t find_multiplier(const unsigned char *bytes, size_t count, unsigned shift)
{
    for (unsigned mul = 1; mul < 256; mul += 2) {
        bool used[256] = {false};
        size_t placed = 0;
        while (placed < count) {
            size_t slot = (size_t)(unsigned char)(bytes[placed] * mul) >> shift;
            if (used[slot])
                break;
            used[slot] = true;
            placed++;
        }
        if (placed == count)
            return (uint8_t)mul;
    }
    return 0;
}

/* The smallest table for these bytes. Ends at the latest with 256 slots, where any odd
 * multiplier is a permutation. */
static void choose_table(const unsigned char *bytes, size_t count, uint8_t *mul, uint8_t *shift)
{
    unsigned width = 8;
    while (((size_t)256 >> width) < count)
        width--;
    for (;; width--) {
        uint8_t found = find_multiplier(bytes, count, width);
        if (found != 0) {
            *mul = found;
            *shift = (uint8_t)width;
            return;
        }
    }
}

/* A fresh node with these static bytes and an empty table of its own for `count` first
 * bytes of children. */
static struct fa__route_node *node_new(struct fa__route_edit *edit, struct fa_span prefix,
                                       const unsigned char *bytes, size_t count)
{
    uint8_t mul;
    uint8_t shift;
    choose_table(bytes, count, &mul, &shift);
    size_t slots = (size_t)256 >> shift;
    struct fa__route_node *node =
        fa_malloc(sizeof(*node) + slots * sizeof(node->child[0]) + prefix.len);
    if (node == NULL)
        return NULL;
    size_t word_len = prefix.len < 8 ? prefix.len : 8;
    *node = (struct fa__route_node){
        .head = load_word(prefix.ptr, prefix.len),
        .back = load_word(prefix.ptr + (prefix.len - word_len), word_len),
        .prefix_len = (uint32_t)prefix.len,
        .hash_mul = mul,
        .hash_shift = shift,
        .cmp_shift = (uint8_t)(prefix.len == 0 ? 0 : 64 - 8 * word_len),
        .state = FA__BLOCK_FRESH,
    };
    for (size_t i = 0; i < slots; i++)
        node->child[i] = &fa__route_nowhere;
    if (prefix.len > 0)
        memcpy((char *)(node->child + slots), prefix.ptr, prefix.len);
    push(&edit->fresh_nodes, &node->block);
    return node;
}

static unsigned char first_byte(const struct fa__route_node *node)
{
    return (unsigned char)fa__route_prefix(node)[0];
}

static void place_child(struct fa__route_node *node, const struct fa__route_node *child)
{
    node->child[fa__route_slot(node, first_byte(child))] = child;
}

/* The child whose bytes begin with `byte`, or NULL. */
static const struct fa__route_node *child_of(const struct fa__route_node *node, unsigned char byte)
{
    const struct fa__route_node *child = node->child[fa__route_slot(node, byte)];
    return child != &fa__route_nowhere && first_byte(child) == byte ? child : NULL;
}

/* A copy of `node` with other static bytes and, where `extra` is not NULL, that child in
 * addition. */
static struct fa__route_node *node_copy(struct fa__route_edit *edit,
                                        const struct fa__route_node *node, struct fa_span prefix,
                                        const struct fa__route_node *extra)
{
    unsigned char bytes[256];
    size_t count = 0;
    size_t slots = fa__route_slots(node);
    for (size_t i = 0; i < slots; i++) {
        if (node->child[i] != &fa__route_nowhere)
            bytes[count++] = first_byte(node->child[i]);
    }
    if (extra != NULL)
        bytes[count++] = first_byte(extra);
    struct fa__route_node *copy = node_new(edit, prefix, bytes, count);
    if (copy == NULL)
        return NULL;
    copy->leaf = node->leaf;
    copy->param = node->param;
    copy->wild = node->wild;
    for (size_t i = 0; i < slots; i++) {
        if (node->child[i] != &fa__route_nowhere)
            place_child(copy, node->child[i]);
    }
    if (extra != NULL)
        place_child(copy, extra);
    return copy;
}

static struct fa_span prefix_of(const struct fa__route_node *node)
{
    return fa_span(fa__route_prefix(node), node->prefix_len);
}

/* The tree under construction no longer uses `old`. It stays readable until the edit ends. */
static void supersede(struct fa__route_edit *edit, const struct fa__route_node *old)
{
    struct fa__route_node *node = (struct fa__route_node *)old;
    if (node->state == FA__BLOCK_FRESH)
        node->state = FA__BLOCK_DROPPED; /* and stays on its list until the commit */
    else
        push(&edit->stale, &node->block);
}

/* Makes `*slot` a node this edit may write; NULL without memory. */
static struct fa__route_node *own(struct fa__route_edit *edit, const struct fa__route_node **slot)
{
    const struct fa__route_node *old = *slot;
    if (old->state == FA__BLOCK_FRESH)
        return (struct fa__route_node *)old;
    struct fa__route_node *copy = node_copy(edit, old, prefix_of(old), NULL);
    if (copy == NULL)
        return NULL;
    supersede(edit, old);
    *slot = copy;
    return copy;
}

/* Puts a new child for all of `text` under the node in `*slot`; returns the child's slot. */
static const struct fa__route_node **
add_child(struct fa__route_edit *edit, const struct fa__route_node **slot, struct fa_span text)
{
    struct fa__route_node *child = node_new(edit, text, NULL, 0);
    if (child == NULL)
        return NULL;
    const struct fa__route_node *old = *slot;
    struct fa__route_node *wider = node_copy(edit, old, prefix_of(old), child);
    if (wider == NULL)
        return NULL;
    supersede(edit, old);
    *slot = wider;
    return &wider->child[fa__route_slot(wider, first_byte(child))];
}

static size_t common_length(struct fa_span a, struct fa_span b)
{
    size_t len = 0;
    while (len < a.len && len < b.len && a.ptr[len] == b.ptr[len])
        len++;
    return len;
}

/* Cuts the node in `*slot` in two behind `len` of its bytes. */
static int split(struct fa__route_edit *edit, const struct fa__route_node **slot, size_t len)
{
    const struct fa__route_node *old = *slot;
    struct fa_span whole = prefix_of(old);
    struct fa__route_node *lower =
        node_copy(edit, old, fa_span(whole.ptr + len, whole.len - len), NULL);
    if (lower == NULL)
        return FA_ENOMEM;
    unsigned char byte = first_byte(lower);
    struct fa__route_node *upper = node_new(edit, fa_span(whole.ptr, len), &byte, 1);
    if (upper == NULL)
        return FA_ENOMEM;
    place_child(upper, lower);
    supersede(edit, old);
    *slot = upper;
    return 0;
}

/* Goes down from the node in `*slot` along static text, making what is missing. Returns
 * the slot of the node where the text ends; NULL without memory. Every node on the way
 * belongs to the edit afterwards. */
static const struct fa__route_node **walk(struct fa__route_edit *edit,
                                          const struct fa__route_node **slot, struct fa_span text)
{
    while (text.len > 0) {
        const struct fa__route_node *child = child_of(*slot, (unsigned char)text.ptr[0]);
        if (child == NULL)
            return add_child(edit, slot, text);
        struct fa__route_node *node = own(edit, slot);
        if (node == NULL)
            return NULL;
        slot = &node->child[fa__route_slot(node, first_byte(child))];
        size_t common = common_length(prefix_of(child), text);
        if (common < child->prefix_len && split(edit, slot, common) < 0)
            return NULL;
        text = fa_span(text.ptr + common, text.len - common);
    }
    return own(edit, slot) != NULL ? slot : NULL;
}

struct fa_span fa__route_allowed(char *out, const struct fa__route_methods *methods, uint64_t set)
{
    size_t len = 0;
    for (size_t id = 0; id < methods->count; id++) {
        if ((set >> id & 1) == 0)
            continue;
        if (len > 0) {
            memcpy(out + len, ", ", 2);
            len += 2;
        }
        memcpy(out + len, methods->by_id[id].name.ptr, methods->by_id[id].name.len);
        len += methods->by_id[id].name.len;
    }
    return fa_span(out, len);
}

/* Replaces the leaf in `*place` (NULL: none yet) by one that has the route too. */
static int add_route(struct fa__route_edit *edit, const struct fa__route_leaf **place,
                     const struct fa__route_methods *methods, size_t method_id,
                     const struct fa__route *route)
{
    const struct fa__route_leaf *old = *place;
    uint64_t set = old != NULL ? old->methods : 0;
    if ((set >> method_id & 1) != 0)
        return FA_EROUTE_CONFLICT;
    set |= (uint64_t)1 << method_id;
    size_t slots = old != NULL && old->slots > method_id ? old->slots : method_id + 1;
    size_t text_len = 0;
    for (size_t id = 0; id < methods->count; id++)
        text_len += (set >> id & 1) != 0 ? methods->by_id[id].name.len + 2 : 0;
    struct fa__route_leaf *leaf =
        fa_calloc(1, sizeof(*leaf) + slots * sizeof(leaf->routes[0]) + text_len);
    if (leaf == NULL)
        return FA_ENOMEM;
    leaf->methods = set;
    leaf->slots = slots;
    if (old != NULL)
        memcpy(leaf->routes, old->routes, old->slots * sizeof(leaf->routes[0]));
    leaf->routes[method_id] = route;
    leaf->allowed = fa__route_allowed((char *)(leaf->routes + slots), methods, set);
    push(&edit->fresh_leaves, &leaf->block);
    if (old != NULL)
        push(&edit->stale, (struct fa__block *)old);
    *place = leaf;
    return 0;
}

struct fa__route_node *fa__route_root_new(void)
{
    struct fa__route_edit edit = {0};
    struct fa__route_node *root = node_new(&edit, FA_SPAN(""), NULL, 0);
    if (root != NULL)
        fa__route_edit_commit(&edit);
    return root;
}

int fa__route_insert(struct fa__route_edit *edit, const struct fa__route_node **root,
                     const struct fa__route_methods *methods,
                     const struct fa__route_pattern *pattern, size_t method_id,
                     const struct fa__route *route)
{
    const struct fa__route_node **slot = root;
    size_t params = pattern->param_count - (pattern->has_wild ? 1 : 0);
    for (size_t i = 0; i <= params; i++) {
        struct fa_span text = pattern->text[i];
        if (i == 0) /* the root stands behind the first slash */
            text = fa_span(text.ptr + 1, text.len - 1);
        slot = walk(edit, slot, text);
        if (slot == NULL)
            return FA_ENOMEM;
        if (i == params)
            break;
        struct fa__route_node *node = (struct fa__route_node *)*slot;
        if (node->param == NULL) {
            node->param = node_new(edit, FA_SPAN(""), NULL, 0);
            if (node->param == NULL)
                return FA_ENOMEM;
        }
        slot = &node->param;
    }
    struct fa__route_node *node = (struct fa__route_node *)*slot;
    return add_route(edit, pattern->has_wild ? &node->wild : &node->leaf, methods, method_id,
                     route);
}

void fa__route_edit_commit(struct fa__route_edit *edit)
{
    struct fa__block *next;
    for (struct fa__block *block = edit->fresh_nodes; block != NULL; block = next) {
        struct fa__route_node *node = FA_CONTAINER_OF(block, struct fa__route_node, block);
        next = block->next;
        if (node->state == FA__BLOCK_DROPPED)
            fa_free(node);
        else
            node->state = FA__BLOCK_PUBLISHED;
    }
    edit->fresh_nodes = NULL;
    edit->fresh_leaves = NULL;
}

void fa__route_edit_abort(struct fa__route_edit *edit)
{
    fa__route_free_list(edit->fresh_nodes);
    fa__route_free_list(edit->fresh_leaves);
    *edit = (struct fa__route_edit){0};
}

/* The block is the first member of everything it heads, so its address is what was
 * allocated. */
void fa__route_free_list(struct fa__block *list)
{
    while (list != NULL) {
        struct fa__block *next = list->next;
        fa_free(list);
        list = next;
    }
}

/* A work list through `next` instead of recursion: a chain of nodes can be as long as the
 * longest pattern. */
void fa__route_free_nodes(const struct fa__route_node *root)
{
    struct fa__block *work = NULL;
    push(&work, &((struct fa__route_node *)root)->block);
    while (work != NULL) {
        struct fa__route_node *node = FA_CONTAINER_OF(work, struct fa__route_node, block);
        work = work->next;
        for (size_t i = 0; i < fa__route_slots(node); i++) {
            if (node->child[i] != &fa__route_nowhere)
                push(&work, &((struct fa__route_node *)node->child[i])->block);
        }
        if (node->param != NULL)
            push(&work, &((struct fa__route_node *)node->param)->block);
        fa_free((void *)node->leaf);
        fa_free((void *)node->wild);
        fa_free(node);
    }
}
