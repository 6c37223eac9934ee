/* SPDX-License-Identifier: MIT */
/* Futures that go away at any moment, and memory: nothing leaks, nothing is told twice. */
#include "future_rig.h"

/* ---- futures that go away --------------------------------------------------------------- */

TEST(what_depends_on_an_abandoned_future_is_told)
{
    begin();
    struct fa_future f[3];
    for (int i = 0; i < 3; i++)
        fa_future_init(&f[i], reactor);
    fa_future_then(&f[0], &f[1], never, NULL);
    fa_future_handle_error(&f[1], &f[2], recover, NULL);
    fa_future_clean_up(&f[0]);
    memset(&f[0], 0xa5, sizeof(f[0]));
    CHECK_INT(calls, 0); /* never inside the call that caused it */
    CHECK_INT(run_out(), 1);
    CHECK_INT(last_error, FA_EABANDONED);
    CHECK_INT(fa_future_take(&f[2]).i64, 1000);
    fa_future_clean_up(&f[1]);
    fa_future_clean_up(&f[2]);
    tear_down();
}

TEST(an_outcome_survives_its_future)
{
    begin();
    struct fa_future f[2];
    fa_future_init(&f[0], reactor);
    fa_future_init(&f[1], reactor);
    fa_future_then(&f[0], &f[1], add_one, NULL);
    CHECK(fa_future_resolve(&f[0], fa_value_i64(41)));
    fa_future_clean_up(&f[0]);
    memset(&f[0], 0xa5, sizeof(f[0]));
    CHECK_INT(calls, 0);
    run_out();
    CHECK_INT(fa_future_take(&f[1]).i64, 42);
    fa_future_clean_up(&f[1]);
    tear_down();
}

/* A result that holds the outcome of a source that is gone meets each end before its turn. */
TEST(an_outcome_on_its_way_is_dropped_with_its_result)
{
    for (int way = 0; way < 4; way++) {
        begin();
        struct fa_future f[3];
        for (int i = 0; i < 3; i++)
            fa_future_init(&f[i], reactor);
        fa_future_then(&f[0], &f[1], never, NULL);
        fa_future_then(&f[1], &f[2], never, NULL);
        CHECK(fa_future_resolve(&f[0], counted()));
        fa_future_clean_up(&f[0]);
        CHECK_INT(drops, 0);
        if (way == 0)
            CHECK(fa_future_cancel(&f[1]));
        else if (way == 1)
            CHECK(fa_future_cancel(&f[2]));
        else if (way == 2)
            CHECK(fa_future_fail(&f[1], FA_ENOENT));
        else
            fa_future_clean_up(&f[1]);
        CHECK_INT(drops, 1);
        run_out();
        CHECK(fa_future_error(&f[2]) < 0 && fa_future_is_ready(&f[2]));
        fa_future_clean_up(&f[1]);
        fa_future_clean_up(&f[2]);
        CHECK_INT(drops, 1);
        tear_down();
    }
}

TEST(a_result_that_goes_away_leaves_its_source_alone)
{
    begin();
    struct fa_future f[2];
    fa_future_init(&f[0], reactor);
    fa_future_init(&f[1], reactor);
    fa_future_then(&f[0], &f[1], never, NULL);
    fa_future_clean_up(&f[1]);
    memset(&f[1], 0xa5, sizeof(f[1]));
    CHECK(fa_future_resolve(&f[0], fa_value_i64(5)));
    CHECK_INT(run_out(), 0);
    CHECK_INT(fa_future_take(&f[0]).i64, 5);
    fa_future_clean_up(&f[0]);

    /* And when the continuation was queued already. */
    fa_future_init(&f[0], reactor);
    fa_future_init(&f[1], reactor);
    fa_future_then(&f[0], &f[1], never, NULL);
    CHECK(fa_future_resolve(&f[0], fa_value_i64(5)));
    fa_future_clean_up(&f[1]);
    run_out();
    CHECK_INT(fa_future_take(&f[0]).i64, 5);
    fa_future_clean_up(&f[0]);
    tear_down();
}

TEST(a_result_may_be_completed_from_elsewhere)
{
    begin();
    struct fa_future f[2];
    fa_future_init(&f[0], reactor);
    fa_future_init(&f[1], reactor);
    fa_future_then(&f[0], &f[1], never, NULL);
    CHECK(fa_future_resolve(&f[1], fa_value_i64(6)));
    CHECK(!fa_future_is_ready(&f[0]));
    CHECK(fa_future_resolve(&f[0], fa_value_i64(7)));
    CHECK_INT(run_out(), 0);
    fa_future_clean_up(&f[0]);
    fa_future_clean_up(&f[1]);
    tear_down();
}

static void destroy_own(struct fa_future *future, void *user)
{
    (void)user;
    calls++;
    fa_future_destroy(future);
}

struct pair {
    struct fa_future source;
    struct fa_future result;
};

static void free_pair(struct fa_future *result, struct fa_value value, void *user)
{
    struct pair *pair = user;
    CHECK(&pair->result == result);
    fa_value_drop(value);
    fa_future_clean_up(&pair->source);
    fa_future_clean_up(&pair->result);
    fa_free(pair);
    calls++;
}

TEST(a_continuation_may_free_everything)
{
    for (int ready_first = 0; ready_first < 2; ready_first++) {
        begin();
        struct fa_future *f = NULL;
        struct pair *pair = fa_malloc(sizeof(*pair));
        CHECK(pair != NULL);
        CHECK_INT(fa_future_new(&f, reactor), 0);
        fa_future_init(&pair->source, reactor);
        fa_future_init(&pair->result, reactor);
        if (ready_first) {
            CHECK(fa_future_resolve(f, fa_value_none()));
            CHECK(fa_future_resolve(&pair->source, counted()));
        }
        fa_future_on_ready(f, destroy_own, NULL);
        fa_future_then(&pair->source, &pair->result, free_pair, pair);
        if (!ready_first) {
            CHECK(fa_future_resolve(f, fa_value_none()));
            CHECK(fa_future_resolve(&pair->source, counted()));
        }
        run_out();
        CHECK_INT(calls, 2);
        CHECK_INT(drops, 1);
        tear_down();
    }
}

static void clean_up_next(struct fa_future *future, void *user)
{
    (void)future;
    calls++;
    fa_future_clean_up(user);
}

TEST(a_continuation_may_clean_up_one_that_is_queued)
{
    begin();
    struct fa_future f[3];
    for (int i = 0; i < 3; i++)
        fa_future_init(&f[i], reactor);
    fa_future_on_ready(&f[0], clean_up_next, &f[1]);
    fa_future_on_ready(&f[1], never_ready, NULL);
    fa_future_on_ready(&f[2], note, NULL);
    for (int i = 0; i < 3; i++)
        CHECK(fa_future_resolve(&f[i], fa_value_none()));
    run_out();
    CHECK_INT(calls, 2);
    fa_future_clean_up(&f[0]);
    fa_future_clean_up(&f[2]);
    tear_down();
}

static void turn_inside(struct fa_future *future, void *user)
{
    (void)future;
    calls++;
    CHECK(fa_future_resolve(user, fa_value_i64(8)));
    turn();
    CHECK_INT(last_number, 8);
}

TEST(a_turn_inside_a_continuation_runs_others)
{
    begin();
    struct fa_future f[2];
    fa_future_init(&f[0], reactor);
    fa_future_init(&f[1], reactor);
    fa_future_on_ready(&f[0], turn_inside, &f[1]);
    fa_future_on_ready(&f[1], note, NULL);
    CHECK(fa_future_resolve(&f[0], fa_value_none()));
    run_out();
    CHECK_INT(calls, 2);
    fa_future_clean_up(&f[0]);
    fa_future_clean_up(&f[1]);
    tear_down();
}

/* ---- memory ---------------------------------------------------------------------------- */

TEST(the_common_path_does_not_allocate)
{
    begin();
    struct fa_future f[4];
    uint64_t before = fa_alloc_count();
    for (int i = 0; i < 4; i++)
        fa_future_init(&f[i], reactor);
    fa_future_then(&f[0], &f[1], add_one, NULL);
    fa_future_then(&f[1], &f[2], add_one, NULL);
    fa_future_handle_error(&f[2], &f[3], never_error, NULL);
    fa_future_on_ready(&f[3], note, NULL);
    CHECK(fa_future_resolve(&f[0], fa_value_i64(0)));
    run_out();
    CHECK_INT(last_number, 2);
    for (int i = 0; i < 4; i++)
        fa_future_clean_up(&f[i]);
    CHECK_INT(fa_alloc_count(), before);
    tear_down();
}

static void allocating_case(void)
{
    struct fa_reactor *r = NULL;
    struct fa_future *f = NULL;
    struct fa_future result;
    if (fa_reactor_new(&r, NULL) < 0)
        return;
    fa_future_init(&result, r);
    int err = fa_future_new(&f, r);
    CHECK(err == 0 || (err == FA_ENOMEM && f == NULL));
    if (err == 0) {
        fa_future_then(f, &result, add_one, NULL);
        CHECK(fa_future_resolve(f, fa_value_i64(1)));
        fa_future_destroy(f);
    }
    fa_future_clean_up(&result);
    fa_reactor_destroy(r);
}

TEST(allocation_failures_are_survived)
{
    check_alloc_failures(allocating_case);
}

TEST(a_reactor_may_end_with_continuations_queued)
{
    begin();
    struct fa_future *f = fa_malloc(sizeof(*f));
    CHECK(f != NULL);
    fa_future_init(f, reactor);
    fa_future_on_ready(f, never_ready, NULL);
    CHECK(fa_future_resolve(f, fa_value_none()));
    fa_reactor_destroy(reactor);
    fa_free(f);
}

int main(void)
{
    RUN(what_depends_on_an_abandoned_future_is_told);
    RUN(an_outcome_survives_its_future);
    RUN(an_outcome_on_its_way_is_dropped_with_its_result);
    RUN(a_result_that_goes_away_leaves_its_source_alone);
    RUN(a_result_may_be_completed_from_elsewhere);
    RUN(a_continuation_may_free_everything);
    RUN(a_continuation_may_clean_up_one_that_is_queued);
    RUN(a_turn_inside_a_continuation_runs_others);
    RUN(the_common_path_does_not_allocate);
    RUN(allocation_failures_are_survived);
    RUN(a_reactor_may_end_with_continuations_queued);
    return check_report();
}
