/* SPDX-License-Identifier: MIT */
/* Timers: order, punctuality, cancelling and re-arming from callbacks, the heap at random. */
#include <fasterapi/reactor.h>

#include "check.h"

#define MS ((uint64_t)1000000)

static struct fa_reactor *reactor;

static void set_up(void)
{
    CHECK_INT(fa_reactor_new(&reactor, NULL), 0);
}

static void turn(int64_t timeout_ns)
{
    CHECK(fa_reactor_wait(reactor, timeout_ns) >= 0);
    fa_reactor_collect(reactor);
    (void)fa_reactor_dispatch(reactor, 0);
}

struct alarm_clock {
    struct fa_timer timer;
    int fired;
    uint64_t fired_ns;
    struct alarm_clock *cancels;
    struct alarm_clock *arms;
    uint64_t arms_in_ns;
};

static uint64_t last_deadline_ns;
static bool out_of_order;

static void on_fire(struct fa_timer *timer)
{
    struct alarm_clock *clock = timer->user;
    CHECK(timer->reactor == NULL);
    clock->fired++;
    clock->fired_ns = fa_now_ns();
    if (timer->deadline_ns < last_deadline_ns)
        out_of_order = true;
    last_deadline_ns = timer->deadline_ns;
    if (clock->cancels != NULL)
        fa_timer_cancel(&clock->cancels->timer);
    if (clock->arms != NULL)
        CHECK_INT(fa_timer_arm(reactor, &clock->arms->timer,
                               fa_reactor_now_ns(reactor) + clock->arms_in_ns, on_fire),
                  0);
}

static void arm(struct alarm_clock *clock, uint64_t deadline_ns)
{
    clock->timer.user = clock;
    CHECK_INT(fa_timer_arm(reactor, &clock->timer, deadline_ns, on_fire), 0);
}

TEST(never_early_and_not_much_late)
{
    set_up();
    const uint64_t delays_ns[] = {1, 50000, 100000, MS, 3 * MS + 1, 20 * MS};
    for (size_t i = 0; i < FA_ARRAY_LEN(delays_ns); i++) {
        struct alarm_clock clock = {0};
        uint64_t deadline_ns = fa_now_ns() + delays_ns[i];
        arm(&clock, deadline_ns);
        CHECK_INT(fa_reactor_next_deadline_ns(reactor), deadline_ns);
        int turns = 0;
        while (clock.fired == 0) {
            turn(-1);
            turns++;
        }
        CHECK(clock.fired_ns >= deadline_ns);
        CHECK_INT(turns, 1); /* it slept until the deadline, not short of it */
    }
    CHECK(fa_reactor_next_deadline_ns(reactor) == UINT64_MAX);
    fa_reactor_destroy(reactor);
}

TEST(a_wait_without_timers_keeps_its_timeout)
{
    set_up();
    uint64_t start_ns = fa_now_ns();
    CHECK_INT(fa_reactor_wait(reactor, (int64_t)(10 * MS)), 0);
    CHECK(fa_now_ns() - start_ns >= 10 * MS);
    struct alarm_clock far = {0};
    arm(&far, fa_now_ns() + 1000000 * MS);
    start_ns = fa_now_ns();
    CHECK_INT(fa_reactor_wait(reactor, (int64_t)(10 * MS)), 0);
    CHECK(fa_now_ns() - start_ns >= 10 * MS);
    fa_timer_cancel(&far.timer);
    arm(&far, UINT64_MAX - 1); /* farther than a signed number of nanoseconds */
    CHECK_INT(fa_reactor_wait(reactor, (int64_t)MS), 0);
    fa_timer_cancel(&far.timer);
    fa_reactor_destroy(reactor);
}

TEST(due_timers_fire_in_order_of_deadline)
{
    set_up();
    struct alarm_clock clocks[5] = {0};
    const uint64_t deadlines[5] = {30, 10, 50, 20, 40};
    for (int i = 0; i < 5; i++)
        arm(&clocks[i], deadlines[i]);
    last_deadline_ns = 0;
    out_of_order = false;
    turn(-1);
    CHECK(!out_of_order);
    for (int i = 0; i < 5; i++)
        CHECK_INT(clocks[i].fired, 1);
    fa_reactor_destroy(reactor);
}

TEST(cancelled_by_a_timer_of_the_same_batch)
{
    set_up();
    struct alarm_clock first = {0};
    struct alarm_clock second = {0};
    struct alarm_clock later = {0};
    arm(&first, 1);
    arm(&second, 2);
    first.cancels = &second;
    turn(-1);
    CHECK_INT(first.fired, 1);
    CHECK_INT(second.fired, 0);
    arm(&first, 1);
    arm(&later, fa_now_ns() + 1000 * MS);
    first.cancels = &later;
    turn(-1);
    CHECK(fa_reactor_next_deadline_ns(reactor) == UINT64_MAX);
    fa_timer_cancel(&later.timer);
    fa_timer_cancel(&second.timer);
    fa_reactor_destroy(reactor);
}

TEST(re_armed_while_due_fires_once_at_the_new_time)
{
    set_up();
    struct alarm_clock first = {0};
    struct alarm_clock second = {0};
    arm(&first, 1);
    arm(&second, 2);
    first.arms = &second;
    first.arms_in_ns = 5 * MS;
    turn(-1);
    CHECK_INT(second.fired, 0);
    turn(-1);
    CHECK_INT(second.fired, 1);
    fa_reactor_destroy(reactor);
}

TEST(a_timer_may_re_arm_itself)
{
    set_up();
    struct alarm_clock clock = {0};
    clock.arms = &clock;
    clock.arms_in_ns = 0;
    arm(&clock, 0);
    for (int i = 1; i <= 5; i++) {
        turn(-1);
        CHECK_INT(clock.fired, i); /* once per turn, even if due again at once */
    }
    fa_timer_cancel(&clock.timer);
    CHECK(clock.timer.reactor == NULL);
    fa_reactor_destroy(reactor);
}

static void free_own_timer(struct fa_timer *timer)
{
    (*(int *)timer->user)++;
    fa_free(timer);
}

TEST(a_callback_may_free_its_timer)
{
    set_up();
    int fired = 0;
    for (int i = 0; i < 20; i++) {
        struct fa_timer *timer = fa_calloc(1, sizeof(*timer));
        CHECK(timer != NULL);
        timer->user = &fired;
        CHECK_INT(fa_timer_arm(reactor, timer, (uint64_t)i, free_own_timer), 0);
    }
    turn(-1);
    CHECK_INT(fired, 20);
    fa_reactor_destroy(reactor);
}

TEST(two_reactors_do_not_share_a_timer)
{
    set_up();
    struct fa_reactor *other = NULL;
    CHECK_INT(fa_reactor_new(&other, NULL), 0);
    struct alarm_clock clock = {0};
    arm(&clock, 5);
    CHECK_INT(fa_timer_arm(other, &clock.timer, 5, on_fire), FA_EINVAL);
    fa_reactor_destroy(other);
    fa_reactor_destroy(reactor);
}

/* ---- the heap against a plain array ------------------------------------------------- */

#define CROWD 500

static uint64_t random_state = 88172645463325252u;

static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static uint64_t earliest(const struct alarm_clock *crowd)
{
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < CROWD; i++) {
        if (crowd[i].timer.reactor != NULL && crowd[i].timer.deadline_ns < least)
            least = crowd[i].timer.deadline_ns;
    }
    return least;
}

TEST(random_arming_and_cancelling)
{
    set_up();
    static struct alarm_clock crowd[CROWD];
    memset(crowd, 0, sizeof(crowd));
    for (int round = 0; round < 20000; round++) {
        struct alarm_clock *clock = &crowd[random_next() % CROWD];
        if (random_next() % 3 == 0)
            fa_timer_cancel(&clock->timer);
        else
            arm(clock, random_next() % 1000 + 1);
        if (round % 16 == 0)
            CHECK(fa_reactor_next_deadline_ns(reactor) == earliest(crowd));
    }
    int armed = 0;
    for (size_t i = 0; i < CROWD; i++)
        armed += crowd[i].timer.reactor != NULL;
    last_deadline_ns = 0;
    out_of_order = false;
    turn(-1);
    int fired = 0;
    for (size_t i = 0; i < CROWD; i++)
        fired += crowd[i].fired;
    CHECK_INT(fired, armed);
    CHECK(!out_of_order);
    fa_reactor_destroy(reactor);
}

static void arm_many(void)
{
    struct fa_reactor *r = NULL;
    struct fa_timer timers[40] = {0};
    if (fa_reactor_new(&r, NULL) < 0)
        return;
    for (uint64_t i = 0; i < FA_ARRAY_LEN(timers); i++) {
        int err = fa_timer_arm(r, &timers[i], 1000 - i, on_fire);
        CHECK(err == 0 || err == FA_ENOMEM);
        CHECK((timers[i].reactor == r) == (err == 0));
    }
    /* What is armed can be re-armed without memory. */
    fa_alloc_fail_nth(1);
    for (uint64_t i = 0; i < FA_ARRAY_LEN(timers); i++) {
        if (timers[i].reactor != NULL)
            CHECK_INT(fa_timer_arm(r, &timers[i], 2000 + i, on_fire), 0);
    }
    fa_reactor_destroy(r);
}

TEST(arming_survives_allocation_failure)
{
    for (uint64_t n = 1; n < 12; n++) {
        int64_t live = fa_alloc_live();
        fa_alloc_fail_nth(n);
        arm_many();
        fa_alloc_fail_nth(0);
        CHECK_INT(fa_alloc_live(), live);
    }
}

TEST(a_due_timer_that_cannot_be_re_armed_still_fires)
{
    set_up();
    struct alarm_clock due = {0};
    struct alarm_clock crowd[16] = {0};
    arm(&due, 1);
    CHECK_INT(fa_reactor_wait(reactor, 0), 0);
    fa_reactor_collect(reactor); /* due leaves the heap, which has room for 16 */
    for (size_t i = 0; i < FA_ARRAY_LEN(crowd); i++)
        arm(&crowd[i], UINT64_MAX - 1);
    fa_alloc_fail_nth(1);
    CHECK_INT(fa_timer_arm(reactor, &due.timer, 99, on_fire), FA_ENOMEM);
    fa_alloc_fail_nth(0);
    CHECK_INT(due.timer.deadline_ns, 1);
    (void)fa_reactor_dispatch(reactor, 0);
    CHECK_INT(due.fired, 1);
    fa_reactor_destroy(reactor);
}

int main(void)
{
    RUN(never_early_and_not_much_late);
    RUN(a_wait_without_timers_keeps_its_timeout);
    RUN(due_timers_fire_in_order_of_deadline);
    RUN(cancelled_by_a_timer_of_the_same_batch);
    RUN(re_armed_while_due_fires_once_at_the_new_time);
    RUN(a_timer_may_re_arm_itself);
    RUN(a_callback_may_free_its_timer);
    RUN(two_reactors_do_not_share_a_timer);
    RUN(random_arming_and_cancelling);
    RUN(arming_survives_allocation_failure);
    RUN(a_due_timer_that_cannot_be_re_armed_still_fires);
    return check_report();
}
