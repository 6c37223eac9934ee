/* SPDX-License-Identifier: MIT */
/* router_match.c - the hot path of the router: one path in one immutable tree. Any thread,
 * no allocation, no lock, no recursion.
 *
 * The search goes down along static bytes first, leaves a note at every node that also has
 * a parameter or a wildcard, and comes back to the youngest note when it can go no
 * further. Why that is never exponential: there is exactly one way from the root to a
 * node, and how much of the path each step of it takes is determined by the path (a
 * prefix, or up to the next slash). So a search enters a node at most once, and its work
 * is bounded by the path's length times the number of nodes whose shape the path can
 * have, which the program's routes fix and no client can enlarge. Notes are bounded by the
 * number of slashes in a pattern.
 *
 * Random paths make every branch on a length a misprediction, so prefixes are compared as
 * zero-filled words (see router_tree.h) and short paths are copied into a word first. */
#include "http/router_match.h"

#include <endian.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define ONES UINT64_C(0x0101010101010101)
#define WORD 8       /* bytes that are readable whatever the length of the path is */
#define CHUNK 16     /* bytes that are looked at together for slashes */
#define MAP_BYTES 64 /* of the path, whose slashes a map of bits tells */

struct note {
    const struct fa__route_node *node;
    size_t pos;
    uint32_t params;
    bool wild_only; /* the parameter has been tried as well */
};

/* The path under search, by value so that it stays in registers. */
struct subject {
    const char *bytes; /* the path, or its copy in WORD bytes when it is shorter */
    size_t len;
    size_t last_word; /* offset of the last eight bytes */
};

struct search {
    size_t method_id;
    const char *path; /* where values point */
    struct fa_route_match *match;
    const struct fa__route_leaf *refused; /* the first leaf reached that lacks the method */
    uint64_t methods;                     /* of all such leaves */
    size_t notes;
    struct note note[FA__ROUTER_MAX_SEGMENTS];
};

/* The eight bytes from `pos` on (< len), zero-filled beyond the end, without reading
 * there. */
static inline uint64_t word_at(struct subject s, size_t pos)
{
    size_t from = pos < s.last_word ? pos : s.last_word;
    uint64_t word;
    memcpy(&word, s.bytes + from, sizeof(word));
    /* pos < len keeps the difference below eight, which the analyser cannot see. */
    return le64toh(word) >> (8 * (pos - from)); /* NOLINT(clang-analyzer-core.BitwiseShift) */
}

static inline bool has_prefix(struct subject s, size_t pos, const struct fa__route_node *node)
{
    size_t len = node->prefix_len;
    if (s.len - pos < len)
        return false;
    if ((word_at(s, pos) ^ node->head) << node->cmp_shift != 0)
        return false;
    if (len <= 8)
        return true;
    if (word_at(s, pos + len - 8) != node->back)
        return false;
    if (len <= 16)
        return true;
    uint64_t middle;
    memcpy(&middle, fa__route_prefix(node) + 8, sizeof(middle));
    return word_at(s, pos + 8) == le64toh(middle) &&
           (len <= 24 || memcmp(s.bytes + pos + 16, fa__route_prefix(node) + 16, len - 24) == 0);
}

/* As has_prefix for the only child that a parameter's node can have: it begins with the
 * slash that ended the parameter, and mostly is no longer than that. */
static inline bool has_rest(struct subject s, size_t pos, const struct fa__route_node *child)
{
    return child->prefix_len == 1 || has_prefix(s, pos, child);
}

/* Bit i tells whether byte i of eight bytes is a slash. The test for zero bytes is the
 * exact one, without carries; the multiplication collects their top bits. */
static inline uint64_t word_slashes(const char *bytes)
{
    const uint64_t low = ONES * 0x7f;
    uint64_t word;
    memcpy(&word, bytes, sizeof(word));
    word = le64toh(word) ^ (ONES * '/');
    uint64_t zero = ~(((word & low) + low) | word | low);
    return ((zero >> 7) * UINT64_C(0x0102040810204080)) >> 56;
}

#if defined(__SSE2__)
static inline uint64_t chunk_slashes(const char *bytes)
{
    __m128i chunk = _mm_loadu_si128((const __m128i *)(const void *)bytes);
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(chunk, _mm_set1_epi8('/')));
}
#else
static inline uint64_t chunk_slashes(const char *bytes)
{
    return word_slashes(bytes) | word_slashes(bytes + 8) << 8;
}
#endif

/* The slashes of the first MAP_BYTES bytes. Chunks that would pass the end are moved back
 * and overlap others, which sets the same bits again. */
static inline uint64_t slash_map(struct subject s)
{
    if (s.len < CHUNK)
        return word_slashes(s.bytes) | word_slashes(s.bytes + s.last_word) << s.last_word;
    size_t last = (s.len < MAP_BYTES ? s.len : MAP_BYTES) - CHUNK;
    uint64_t map = 0;
    for (size_t at = 0; at < MAP_BYTES; at += CHUNK) {
        size_t from = at < last ? at : last;
        map |= chunk_slashes(s.bytes + from) << from;
    }
    return map;
}

/* The offset of the next slash from `pos` on, or the length. */
static inline size_t segment_end(struct subject s, uint64_t slashes, size_t pos)
{
    if (FA_LIKELY(pos < MAP_BYTES)) {
        uint64_t rest = slashes >> pos;
        if (FA_LIKELY(rest != 0))
            return pos + (size_t)__builtin_ctzll(rest);
        if (FA_LIKELY(s.len <= MAP_BYTES))
            return s.len;
    }
    const char *slash = memchr(s.bytes + pos, '/', s.len - pos);
    return slash != NULL ? (size_t)(slash - s.bytes) : s.len;
}

static inline bool has_choice(const struct fa__route_node *node)
{
    return ((uintptr_t)node->param | (uintptr_t)node->wild) != 0;
}

static inline void leave_note(struct search *s, const struct fa__route_node *node, size_t pos,
                              size_t params, bool wild_only)
{
    s->note[s->notes++] = (struct note){node, pos, (uint32_t)params, wild_only};
}

static inline void capture(struct search *s, size_t index, size_t from, size_t to)
{
    s->match->params[index].value = fa_span(s->path + from, to - from);
}

/* The path ends at a leaf. False when the leaf lacks the method, which is remembered. */
static inline bool arrive(struct search *s, const struct fa__route_leaf *leaf)
{
    const struct fa__route *route = s->method_id < leaf->slots ? leaf->routes[s->method_id] : NULL;
    if (FA_UNLIKELY(route == NULL)) {
        if (s->refused == NULL)
            s->refused = leaf;
        s->methods |= leaf->methods;
        return false;
    }
    s->match->handler = route->handler;
    s->match->param_count = route->param_count;
    for (size_t i = 0; i < route->param_count; i++)
        s->match->params[i].name = route->names[i];
    return true;
}

static bool walk(struct search *s, struct subject path, const struct fa__route_node *node)
{
    size_t pos = 1; /* the root stands behind the first slash */
    size_t params = 0;
    bool wild_only = false;
    uint64_t slashes = 0; /* a path begins with one, so 0 is: not yet asked */
    for (;;) {
        while (pos < path.len) {
            const struct fa__route_node *child =
                node->child[fa__route_slot(node, (unsigned char)path.bytes[pos])];
            if (!has_prefix(path, pos, child))
                break;
            if (FA_UNLIKELY(has_choice(node)))
                leave_note(s, node, pos, params, false);
            pos += child->prefix_len;
            node = child;
        }
        if (pos == path.len && node->leaf != NULL && arrive(s, node->leaf))
            return true;
        for (;;) {
            if (!wild_only && node->param != NULL) {
                slashes = slashes != 0 ? slashes : slash_map(path);
                size_t end = segment_end(path, slashes, pos);
                if (end > pos) {
                    if (node->wild != NULL)
                        leave_note(s, node, pos, params, true);
                    capture(s, params++, pos, end);
                    node = node->param;
                    pos = end;
                    if (pos < path.len && has_rest(path, pos, node->child[0])) {
                        node = node->child[0];
                        pos += node->prefix_len;
                    }
                    break;
                }
            }
            if (node->wild != NULL) {
                capture(s, params, pos, path.len);
                if (arrive(s, node->wild))
                    return true;
            }
            if (s->notes == 0)
                return false;
            const struct note *note = &s->note[--s->notes];
            node = note->node;
            pos = note->pos;
            params = note->params;
            wild_only = note->wild_only;
        }
        wild_only = false;
    }
}

/* Never inlined: link-time optimisation would put it into its callers, where it took 33 ns for a
 * static path instead of 19 (gcc 12, an EPYC core). */
__attribute__((noinline)) enum fa_route_result fa__route_search(const struct fa__route_tree *tree,
                                                                struct fa_span method,
                                                                struct fa_span path,
                                                                struct fa_route_match *match)
{
    char short_path[WORD] = {0};
    struct subject subject = {path.ptr, path.len, path.len - WORD};
    if (FA_UNLIKELY(path.len < WORD)) {
        for (size_t i = 0; i < path.len; i++)
            short_path[i] = path.ptr[i];
        subject.bytes = short_path;
        subject.last_word = 0;
    }
    struct search s;
    s.method_id = fa__method_find(tree->methods, method);
    s.path = path.ptr;
    s.match = match;
    s.refused = NULL;
    s.methods = 0;
    s.notes = 0;
    if (path.len > 0 && path.ptr[0] == '/' && walk(&s, subject, tree->root))
        return FA_ROUTE_FOUND;
    if (s.refused == NULL)
        return FA_ROUTE_NOT_FOUND;
    /* Several leaves: their union has no text of its own, so it is written where the
     * parameters would be. */
    match->allowed = s.refused->allowed;
    if (s.methods != s.refused->methods)
        match->allowed = fa__route_allowed((char *)match->params, tree->methods, s.methods);
    return FA_ROUTE_METHOD_NOT_ALLOWED;
}
