/* SPDX-License-Identifier: MIT */
/* Futures with a time limit: who is first, what is cancelled, what may go away. */
#include <fasterapi/future.h>

#include "check.h"

#define MS ((uint64_t)1000000)
#define FAR (UINT64_MAX - 1)

static struct fa_reactor *reactor;
static struct fa_future source;
static struct fa_future result;
static struct fa_timeout limit;
static int hooks;
static int calls;

static void begin(void)
{
    CHECK_INT(fa_reactor_new(&reactor, NULL), 0);
    fa_future_init(&source, reactor);
    fa_future_init(&result, reactor);
    hooks = 0;
    calls = 0;
}

static void turn(int64_t timeout_ns)
{
    CHECK(fa_reactor_wait(reactor, timeout_ns) >= 0);
    fa_reactor_collect(reactor);
    (void)fa_reactor_dispatch(reactor, 0);
}

static void finish(void)
{
    fa_future_clean_up(&result);
    fa_future_clean_up(&source);
    CHECK(fa_reactor_next_deadline_ns(reactor) == UINT64_MAX); /* no timer stays */
    while (fa_reactor_has_ready(reactor)) /* a queue that has been emptied, at most */
        turn(0);
    fa_reactor_destroy(reactor);
}

static void note(struct fa_future *future, void *user)
{
    (void)future;
    (void)user;
    calls++;
}

static void hook(struct fa_future *future, void *user)
{
    (void)future;
    (void)user;
    hooks++;
}

TEST(the_source_is_in_time)
{
    begin();
    uint64_t deadline_ns = fa_now_ns() + 60000 * MS;
    CHECK_INT(fa_future_timeout(&source, &result, &limit, deadline_ns, NULL), 0);
    CHECK_INT(fa_reactor_next_deadline_ns(reactor), deadline_ns);
    CHECK(fa_future_resolve(&source, fa_value_i64(5)));
    CHECK(!fa_future_is_ready(&result));
    turn(0);
    CHECK_INT(fa_future_take(&result).i64, 5);
    finish();
}

TEST(a_source_that_is_ready_needs_no_timer)
{
    begin();
    uint64_t before = fa_alloc_count();
    CHECK(fa_future_fail(&source, FA_ENOENT));
    CHECK_INT(fa_future_timeout(&source, &result, &limit, 0, NULL), 0);
    CHECK_INT(fa_future_error(&result), FA_ENOENT);
    CHECK_INT(fa_alloc_count(), before);
    finish();
}

TEST(the_time_is_up)
{
    begin();
    uint64_t deadline_ns = fa_now_ns() + 2 * MS;
    fa_future_on_cancel(&source, hook, NULL);
    fa_future_on_ready(&result, note, NULL);
    CHECK_INT(fa_future_timeout(&source, &result, &limit, deadline_ns, NULL), 0);
    while (calls == 0)
        turn(-1);
    CHECK(fa_now_ns() >= deadline_ns);
    CHECK_INT(fa_future_error(&result), FA_ETIMEDOUT);
    CHECK(fa_future_is_cancelled(&source));
    CHECK_INT(hooks, 1);
    CHECK_INT(calls, 1);
    finish();
}

TEST(the_source_may_be_kept)
{
    begin();
    const struct fa_timeout_options options = {.size = sizeof(options), .keep_source = true};
    CHECK_INT(fa_future_timeout(&source, &result, &limit, 1, &options), 0);
    turn(-1);
    CHECK_INT(fa_future_error(&result), FA_ETIMEDOUT);
    CHECK(!fa_future_is_ready(&source));
    fa_future_on_ready(&source, note, NULL); /* free to be waited for again */
    CHECK(fa_future_resolve(&source, fa_value_none()));
    turn(0);
    CHECK_INT(calls, 1);
    finish();
}

static void resolve_source(struct fa_task *task)
{
    (void)task;
    CHECK(fa_future_resolve(&source, fa_value_i64(1)));
}

TEST(an_outcome_in_the_same_turn_wins)
{
    begin();
    struct fa_task task = {.callback = resolve_source};
    CHECK_INT(fa_future_timeout(&source, &result, &limit, 1, NULL), 0);
    fa_task_post(reactor, &task, FA_PRIORITY_HIGH); /* runs before the timer that is due */
    turn(-1);
    CHECK_INT(fa_future_error(&result), 0);
    finish();

    /* And where the turn's share of continuations was used up before its own. */
    begin();
    static struct fa_future crowd[FA_FUTURES_PER_TURN];
    for (size_t i = 0; i < FA_ARRAY_LEN(crowd); i++) {
        fa_future_init(&crowd[i], reactor);
        fa_future_on_ready(&crowd[i], note, NULL);
        CHECK(fa_future_resolve(&crowd[i], fa_value_none()));
    }
    CHECK_INT(fa_future_timeout(&source, &result, &limit, 1, NULL), 0);
    CHECK(fa_future_resolve(&source, fa_value_i64(1)));
    turn(-1);
    CHECK_INT(calls, FA_FUTURES_PER_TURN);
    CHECK(limit.timer.reactor == NULL); /* it has fired */
    CHECK(!fa_future_is_ready(&result));
    turn(-1);
    CHECK_INT(fa_future_error(&result), 0);
    for (size_t i = 0; i < FA_ARRAY_LEN(crowd); i++)
        fa_future_clean_up(&crowd[i]);
    finish();
}

TEST(cancelling_the_result_cancels_source_and_timer)
{
    begin();
    fa_future_on_cancel(&source, hook, NULL);
    CHECK_INT(fa_future_timeout(&source, &result, &limit, FAR, NULL), 0);
    CHECK(fa_future_cancel(&result));
    CHECK_INT(hooks, 1);
    CHECK(fa_future_is_cancelled(&source));
    CHECK(fa_reactor_next_deadline_ns(reactor) == UINT64_MAX);
    finish();
}

TEST(either_may_go_away)
{
    begin();
    CHECK_INT(fa_future_timeout(&source, &result, &limit, FAR, NULL), 0);
    fa_future_clean_up(&source);
    CHECK_INT(fa_future_error(&result), FA_EABANDONED);
    finish();

    begin();
    CHECK_INT(fa_future_timeout(&source, &result, &limit, FAR, NULL), 0);
    CHECK(fa_future_resolve(&source, fa_value_i64(3)));
    fa_future_clean_up(&source); /* complete, on its way */
    CHECK_INT(fa_future_take(&result).i64, 3);
    finish();

    begin();
    CHECK_INT(fa_future_timeout(&source, &result, &limit, FAR, NULL), 0);
    fa_future_clean_up(&result);
    memset(&limit, 0xa5, sizeof(limit));
    CHECK(fa_future_resolve(&source, fa_value_i64(3)));
    turn(0);
    CHECK_INT(fa_future_take(&source).i64, 3);
    finish();
}

static void free_all(struct fa_future *future, void *user)
{
    (void)future;
    (void)user;
    hooks++;
    fa_future_clean_up(&result);
    memset(&limit, 0xa5, sizeof(limit));
}

TEST(a_hook_may_free_all_when_the_time_is_up)
{
    begin();
    fa_future_on_cancel(&source, free_all, NULL);
    fa_future_on_ready(&result, note, NULL);
    CHECK_INT(fa_future_timeout(&source, &result, &limit, 1, NULL), 0);
    turn(-1);
    CHECK_INT(hooks, 1);
    CHECK_INT(calls, 0);
    finish();
}

TEST(refusals_change_nothing)
{
    begin();
    const struct fa_timeout_options options = {.size = 1};
    CHECK_INT(fa_future_timeout(&source, &result, &limit, FAR, &options), FA_EINVAL);
    fa_alloc_fail_nth(1);
    CHECK_INT(fa_future_timeout(&source, &result, &limit, FAR, NULL), FA_ENOMEM);
    fa_alloc_fail_nth(0);
    CHECK_INT(fa_future_timeout(&source, &result, &limit, FAR, NULL), 0);
    finish();
}

static void allocating_case(void)
{
    struct fa_reactor *r = NULL;
    struct fa_future f[2];
    struct fa_timeout t;
    if (fa_reactor_new(&r, NULL) < 0)
        return;
    fa_future_init(&f[0], r);
    fa_future_init(&f[1], r);
    int err = fa_future_timeout(&f[0], &f[1], &t, FAR, NULL);
    CHECK(err == 0 || err == FA_ENOMEM);
    CHECK(!fa_future_is_ready(&f[1]));
    fa_future_clean_up(&f[1]);
    fa_future_clean_up(&f[0]);
    fa_reactor_destroy(r);
}

TEST(allocation_failures_are_survived)
{
    check_alloc_failures(allocating_case);
}

int main(void)
{
    RUN(the_source_is_in_time);
    RUN(a_source_that_is_ready_needs_no_timer);
    RUN(the_time_is_up);
    RUN(the_source_may_be_kept);
    RUN(an_outcome_in_the_same_turn_wins);
    RUN(cancelling_the_result_cancels_source_and_timer);
    RUN(either_may_go_away);
    RUN(a_hook_may_free_all_when_the_time_is_up);
    RUN(refusals_change_nothing);
    RUN(allocation_failures_are_survived);
    return check_report();
}
