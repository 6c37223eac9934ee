/* SPDX-License-Identifier: MIT */
/* The bounded ring: order, full and empty, laps, items taken out of the middle, and many threads
 * that put in, take and remove: nothing lost, nothing twice. Also run under TSan. */
#include <pthread.h>

#include "check.h"

#include "loop/ring.h"

#define WRITERS 2
#define READERS 2
#define ITEMS 20000 /* of each writer */

static struct fa__ring ring;
static int things[8];
static size_t tickets[8];

static bool push(int i)
{
    return fa__ring_push(&ring, &things[i], &tickets[i]);
}

static int pop(void)
{
    int *thing = fa__ring_pop(&ring);
    return thing != NULL ? (int)(thing - things) : -1;
}

TEST(first_in_first_out)
{
    CHECK_INT(fa__ring_init(&ring, 4), 0);
    CHECK_INT(pop(), -1);
    for (int lap = 0; lap < 5; lap++) {
        for (int i = 0; i < 3; i++)
            CHECK(push(i));
        CHECK_INT(fa__ring_count(&ring), 3);
        for (int i = 0; i < 3; i++)
            CHECK_INT(pop(), i);
        CHECK_INT(pop(), -1);
    }
    fa__ring_clean_up(&ring);
}

TEST(full_at_its_size)
{
    for (int size = 2; size <= 4; size *= 2) {
        CHECK_INT(fa__ring_init(&ring, (size_t)size), 0);
        for (int i = 0; i < size; i++)
            CHECK(push(i));
        CHECK(!push(size));
        CHECK_INT(pop(), 0);
        CHECK(push(size));
        for (int i = 1; i <= size; i++)
            CHECK_INT(pop(), i);
        fa__ring_clean_up(&ring);
    }
}

TEST(what_was_removed_does_not_come)
{
    CHECK_INT(fa__ring_init(&ring, 4), 0);
    for (int i = 0; i < 4; i++)
        CHECK(push(i));
    CHECK(fa__ring_remove(&ring, tickets[1], &things[1]));
    CHECK(!fa__ring_remove(&ring, tickets[1], &things[1]));
    CHECK_INT(pop(), 0);
    CHECK(!fa__ring_remove(&ring, tickets[0], &things[0])); /* it was taken */
    CHECK(push(4));
    CHECK(!fa__ring_remove(&ring, tickets[0], &things[0])); /* its slot is another's */
    CHECK_INT(pop(), 2);
    CHECK_INT(pop(), 3);
    CHECK_INT(pop(), 4);
    CHECK_INT(pop(), -1);
    fa__ring_clean_up(&ring);
}

TEST(removed_items_make_room_once_they_are_oldest)
{
    CHECK_INT(fa__ring_init(&ring, 2), 0);
    CHECK(push(0) && push(1));
    CHECK(fa__ring_remove(&ring, tickets[1], &things[1]));
    CHECK(!push(2));
    CHECK(fa__ring_remove(&ring, tickets[0], &things[0]));
    CHECK(push(2) && push(3));
    CHECK(!push(4));
    CHECK_INT(pop(), 2);
    CHECK_INT(pop(), 3);
    CHECK_INT(pop(), -1);
    CHECK_INT(fa__ring_count(&ring), 0);
    fa__ring_clean_up(&ring);
}

static void init_once(void)
{
    if (fa__ring_init(&ring, 8) == 0)
        fa__ring_clean_up(&ring);
}

TEST(without_memory)
{
    check_alloc_failures(init_once);
}

struct item {
    size_t ticket;
    int payload; /* written by the writer, read by the reader: TSan watches */
    int seen;    /* by one reader, or by its writer when it was removed */
};

static struct item items[WRITERS][ITEMS];
static atomic_int left;
static atomic_bool broken;

static void *write_items(void *user)
{
    struct item *own = user;
    for (int i = 0; i < ITEMS; i++) {
        own[i].payload = i;
        while (!fa__ring_push(&ring, &own[i], &own[i].ticket))
            sched_yield();
        if (i % 3 == 0 && fa__ring_remove(&ring, own[i].ticket, &own[i])) {
            own[i].seen++;
            atomic_fetch_sub(&left, 1);
        }
    }
    return NULL;
}

static void *read_items(void *user)
{
    (void)user;
    const struct item *last[WRITERS] = {NULL};
    while (atomic_load(&left) > 0) {
        struct item *item = fa__ring_pop(&ring);
        if (item == NULL) {
            sched_yield();
            continue;
        }
        int writer = item >= items[1] ? 1 : 0;
        if (item->payload != item - items[writer] || item <= last[writer])
            atomic_store(&broken, true);
        last[writer] = item;
        item->seen++;
        atomic_fetch_sub(&left, 1);
    }
    return NULL;
}

TEST(many_threads_lose_nothing)
{
    pthread_t threads[WRITERS + READERS];
    CHECK_INT(fa__ring_init(&ring, 16), 0);
    atomic_store(&left, WRITERS * ITEMS);
    for (size_t i = 0; i < WRITERS; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, write_items, items[i]), 0);
    for (size_t i = 0; i < READERS; i++)
        CHECK_INT(pthread_create(&threads[WRITERS + i], NULL, read_items, NULL), 0);
    for (size_t i = 0; i < WRITERS + READERS; i++)
        CHECK_INT(pthread_join(threads[i], NULL), 0);
    CHECK(!atomic_load(&broken));
    for (size_t i = 0; i < WRITERS; i++)
        for (size_t j = 0; j < ITEMS; j++)
            CHECK_INT(items[i][j].seen, 1);
    CHECK(fa__ring_pop(&ring) == NULL);
    fa__ring_clean_up(&ring);
}

int main(void)
{
    RUN(first_in_first_out);
    RUN(full_at_its_size);
    RUN(what_was_removed_does_not_come);
    RUN(removed_items_make_room_once_they_are_oldest);
    RUN(without_memory);
    RUN(many_threads_lose_nothing);
    return check_report();
}
