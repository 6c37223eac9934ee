/* SPDX-License-Identifier: MIT */
/* list.h - intrusive doubly linked circular list. The node lives in the object; a node
 * that is in no list points at itself, so unlinking twice is harmless. */
#ifndef FASTERAPI_LIST_H
#define FASTERAPI_LIST_H

#include <fasterapi/compiler.h>

struct fa_list {
    struct fa_list *prev;
    struct fa_list *next;
};

/* An empty list head, or a node that is in no list. */
static inline void fa_list_init(struct fa_list *node)
{
    node->prev = node;
    node->next = node;
}

static inline bool fa_list_empty(const struct fa_list *head)
{
    return head->next == head;
}

static inline bool fa_list_linked(const struct fa_list *node)
{
    return node->next != node;
}

static inline void fa_list_push_back(struct fa_list *head, struct fa_list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void fa_list_push_front(struct fa_list *head, struct fa_list *node)
{
    fa_list_push_back(head->next, node);
}

static inline void fa_list_unlink(struct fa_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    fa_list_init(node);
}

/* The first node, unlinked; NULL from an empty list. */
static inline struct fa_list *fa_list_pop_front(struct fa_list *head)
{
    struct fa_list *node = head->next;
    if (node == head)
        return NULL;
    fa_list_unlink(node);
    return node;
}

/* Moves every node of `from` behind the last of `to`; `from` is empty afterwards. */
static inline void fa_list_splice_back(struct fa_list *to, struct fa_list *from)
{
    if (fa_list_empty(from))
        return;
    from->next->prev = to->prev;
    from->prev->next = to;
    to->prev->next = from->next;
    to->prev = from->prev;
    fa_list_init(from);
}

#endif
