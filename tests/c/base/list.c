/* SPDX-License-Identifier: MIT */
/* list.c - the intrusive list: order, unlinking from anywhere, splicing. */
#include "check.h"

#include <fasterapi/list.h>

struct item {
    int number;
    struct fa_list node;
};

static struct item items[8];
static struct fa_list head;

static void reset(void)
{
    fa_list_init(&head);
    for (int i = 0; i < 8; i++) {
        items[i].number = i;
        fa_list_init(&items[i].node);
    }
}

/* The numbers in order, read both ways: the links must agree. */
static void check_order(const struct fa_list *list, const char *expected)
{
    char forth[16];
    char back[16];
    size_t len = 0;
    for (struct fa_list *at = list->next; at != list && len < 15; at = at->next)
        forth[len++] = (char)('0' + FA_CONTAINER_OF(at, struct item, node)->number);
    size_t back_len = 0;
    for (struct fa_list *at = list->prev; at != list && back_len < 15; at = at->prev)
        back[back_len++] = (char)('0' + FA_CONTAINER_OF(at, struct item, node)->number);
    CHECK_SPAN(fa_span(forth, len), expected);
    CHECK_INT(back_len, len);
    for (size_t i = 0; i < len; i++)
        CHECK_INT(back[i], forth[len - 1 - i]);
}

TEST(empty)
{
    reset();
    CHECK(fa_list_empty(&head));
    CHECK(fa_list_pop_front(&head) == NULL);
    CHECK(!fa_list_linked(&items[0].node));
}

TEST(pushing_and_popping)
{
    reset();
    fa_list_push_back(&head, &items[1].node);
    fa_list_push_back(&head, &items[2].node);
    fa_list_push_front(&head, &items[0].node);
    check_order(&head, "012");
    CHECK(!fa_list_empty(&head));
    CHECK(fa_list_linked(&items[1].node));
    CHECK(fa_list_pop_front(&head) == &items[0].node);
    CHECK(!fa_list_linked(&items[0].node));
    check_order(&head, "12");
    CHECK(fa_list_pop_front(&head) == &items[1].node);
    CHECK(fa_list_pop_front(&head) == &items[2].node);
    CHECK(fa_list_pop_front(&head) == NULL);
}

TEST(unlinking_anywhere_and_twice)
{
    reset();
    for (int i = 0; i < 5; i++)
        fa_list_push_back(&head, &items[i].node);
    fa_list_unlink(&items[2].node);
    check_order(&head, "0134");
    fa_list_unlink(&items[2].node);
    check_order(&head, "0134");
    fa_list_unlink(&items[0].node);
    fa_list_unlink(&items[4].node);
    check_order(&head, "13");
    fa_list_push_back(&head, &items[2].node);
    check_order(&head, "132");
}

TEST(splicing)
{
    struct fa_list other;
    reset();
    fa_list_init(&other);
    fa_list_splice_back(&head, &other);
    CHECK(fa_list_empty(&head));
    fa_list_push_back(&other, &items[0].node);
    fa_list_push_back(&other, &items[1].node);
    fa_list_splice_back(&head, &other);
    CHECK(fa_list_empty(&other));
    check_order(&head, "01");
    fa_list_push_back(&other, &items[2].node);
    fa_list_splice_back(&head, &other);
    check_order(&head, "012");
    fa_list_splice_back(&head, &other);
    check_order(&head, "012");
    fa_list_unlink(&items[2].node);
    check_order(&head, "01");
}

int main(void)
{
    RUN(empty);
    RUN(pushing_and_popping);
    RUN(unlinking_anywhere_and_twice);
    RUN(splicing);
    return check_report();
}
