/* SPDX-License-Identifier: MIT */
/* Combinations: all, any, some; failures, cancellation, futures that go away, order, cost,
 * and a random mixture against a plain count. */
#include <fasterapi/future.h>

#include "check.h"

#define MANY 1000

static struct fa_reactor *reactor;
static struct fa_future f[MANY];
static struct fa_future *list[MANY];
static struct fa_future result;
static struct fa_when when;
static int calls;
static int hooks;
static int drops;

static void begin(size_t count)
{
    CHECK_INT(fa_reactor_new(&reactor, NULL), 0);
    for (size_t i = 0; i < count; i++) {
        fa_future_init(&f[i], reactor);
        list[i] = &f[i];
    }
    fa_future_init(&result, reactor);
    calls = 0;
    hooks = 0;
    drops = 0;
}

static void turn(void)
{
    CHECK(fa_reactor_wait(reactor, 0) >= 0);
    fa_reactor_collect(reactor);
    (void)fa_reactor_dispatch(reactor, 0);
}

static void run_out(void)
{
    while (fa_reactor_has_ready(reactor))
        turn();
}

static void finish(size_t count)
{
    fa_future_clean_up(&result);
    for (size_t i = 0; i < count; i++)
        fa_future_clean_up(&f[i]);
    run_out();
    fa_reactor_destroy(reactor);
}

static void resolve(size_t i)
{
    CHECK(fa_future_resolve(&f[i], fa_value_i64((int64_t)i)));
}

static void count_drop(void *ptr)
{
    (void)ptr;
    drops++;
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

static const struct fa_when_options cancelling = {.size = sizeof(struct fa_when_options),
                                                  .cancel_rest = true};
static const struct fa_when_options skipping = {.size = sizeof(struct fa_when_options),
                                                .skip_failures = true};

/* ---- all ------------------------------------------------------------------------------ */

TEST(all_of_ready_futures_is_ready_at_once)
{
    begin(10);
    for (size_t i = 0; i < 10; i++)
        resolve(i);
    uint64_t before = fa_alloc_count();
    CHECK_INT(fa_when_all(&when, &result, list, 10, NULL), 0);
    CHECK(fa_future_is_ready(&result));
    CHECK_INT(fa_alloc_count(), before);
    CHECK(fa_future_take(&result).ptr == list);
    for (size_t i = 0; i < 10; i++)
        CHECK_INT(fa_future_take(list[i]).i64, i);
    CHECK(!fa_reactor_has_ready(reactor));
    finish(10);
}

TEST(all_of_nothing_is_ready_at_once)
{
    begin(0);
    CHECK_INT(fa_when_all(&when, &result, NULL, 0, NULL), 0);
    CHECK_INT(fa_future_error(&result), 0);
    fa_future_clean_up(&result);
    fa_future_init(&result, reactor);
    CHECK_INT(fa_when_all(&when, &result, NULL, 0, &skipping), 0);
    CHECK_INT(fa_future_error(&result), 0);
    finish(0);
}

TEST(all_waits_for_the_last_and_keeps_the_order)
{
    begin(3);
    resolve(1);
    CHECK_INT(fa_when_all(&when, &result, list, 3, NULL), 0);
    fa_future_on_ready(&result, note, NULL);
    resolve(2);
    run_out();
    CHECK_INT(calls, 0);
    resolve(0);
    run_out();
    CHECK_INT(calls, 1);
    for (size_t i = 0; i < 3; i++) {
        CHECK(list[i] == &f[i]);
        CHECK_INT(fa_future_take(list[i]).i64, i);
    }
    finish(3);
}

TEST(the_first_failure_fails_all)
{
    begin(3);
    CHECK_INT(fa_when_all(&when, &result, list, 3, NULL), 0);
    CHECK(fa_future_fail_with(&f[1], FA_EUSER, fa_value_ptr(&drops, count_drop)));
    CHECK(fa_future_fail(&f[2], FA_ENOENT));
    run_out();
    CHECK_INT(fa_future_error(&result), FA_EUSER);
    CHECK(fa_future_take(&result).ptr == &drops); /* the detail was moved */
    CHECK(!fa_future_is_ready(&f[0]));            /* left alone */
    fa_future_on_ready(&f[0], note, NULL);        /* and free */
    resolve(0);
    run_out();
    CHECK_INT(calls, 1);
    finish(3);
    CHECK_INT(drops, 0);
}

TEST(a_failure_may_cancel_the_rest)
{
    for (int ready_first = 0; ready_first < 2; ready_first++) {
        begin(3);
        fa_future_on_cancel(&f[0], hook, NULL);
        fa_future_on_cancel(&f[2], hook, NULL);
        if (ready_first)
            CHECK(fa_future_fail(&f[1], FA_ENOENT));
        CHECK_INT(fa_when_all(&when, &result, list, 3, &cancelling), 0);
        if (!ready_first)
            CHECK(fa_future_fail(&f[1], FA_ENOENT));
        run_out();
        CHECK_INT(fa_future_error(&result), FA_ENOENT);
        CHECK_INT(hooks, 2);
        CHECK(fa_future_is_cancelled(&f[0]) && fa_future_is_cancelled(&f[2]));
        finish(3);
    }
}

TEST(all_may_wait_for_failures_too)
{
    begin(3);
    CHECK_INT(fa_when_all(&when, &result, list, 3, &skipping), 0);
    CHECK(fa_future_fail(&f[1], FA_ENOENT));
    resolve(0);
    run_out();
    CHECK(!fa_future_is_ready(&result));
    CHECK(fa_future_cancel(&f[2]));
    run_out();
    CHECK_INT(fa_future_error(&result), 0);
    CHECK_INT(fa_future_error(&f[1]), FA_ENOENT);
    finish(3);
}

TEST(cancelling_the_result_cancels_the_pending)
{
    begin(3);
    fa_future_on_cancel(&f[0], hook, NULL);
    fa_future_on_cancel(&f[2], hook, NULL);
    CHECK_INT(fa_when_all(&when, &result, list, 3, NULL), 0);
    resolve(1);
    CHECK(fa_future_cancel(&result));
    memset(&when, 0xa5, sizeof(when));
    CHECK_INT(hooks, 2);
    CHECK_INT(fa_future_take(&f[1]).i64, 1);
    run_out();
    finish(3);
}

TEST(a_result_that_goes_away_leaves_the_futures_alone)
{
    begin(3);
    CHECK_INT(fa_when_some(&when, &result, list, 3, 2, NULL), 0);
    resolve(0);
    run_out();
    resolve(1);
    fa_future_clean_up(&result);
    memset(&when, 0xa5, sizeof(when));
    resolve(2);
    run_out();
    for (size_t i = 0; i < 3; i++)
        CHECK_INT(fa_future_take(&f[i]).i64, i);
    finish(3);
}

TEST(a_future_that_goes_away_counts_as_failed)
{
    for (int way = 0; way < 3; way++) {
        begin(3);
        CHECK_INT(fa_when_all(&when, &result, list, 3, NULL), 0);
        if (way > 0)
            resolve(1);
        if (way > 1)
            run_out(); /* counted */
        fa_future_clean_up(&f[1]);
        memset(&f[1], 0xa5, sizeof(f[1]));
        CHECK(list[1] == NULL);
        CHECK_INT(fa_future_error(&result), FA_EABANDONED);
        fa_future_init(&f[1], reactor);
        finish(3);
    }
}

TEST(even_if_failures_are_skipped)
{
    begin(3);
    CHECK_INT(fa_when_all(&when, &result, list, 3, &skipping), 0);
    resolve(0);
    CHECK(fa_future_fail(&f[1], FA_ENOENT));
    run_out();
    fa_future_clean_up(&f[0]);
    fa_future_clean_up(&f[1]);
    CHECK(!fa_future_is_ready(&result));
    fa_future_clean_up(&f[2]);
    CHECK_INT(fa_future_error(&result), 0);
    finish(3);
}

/* ---- any and some ------------------------------------------------------------------------ */

TEST(any_puts_the_winner_first)
{
    begin(4);
    CHECK_INT(fa_when_any(&when, &result, list, 4, NULL), 0);
    resolve(2);
    resolve(0); /* in the same turn, but later */
    run_out();
    CHECK_INT(fa_future_error(&result), 0);
    CHECK_INT(when.first, 2);
    CHECK(list[0] == &f[2] && list[1] == &f[0] && list[2] == &f[1] && list[3] == &f[3]);
    CHECK_INT(fa_future_take(list[0]).i64, 2);
    CHECK_INT(fa_future_take(list[1]).i64, 0); /* the rest keeps its values */
    fa_future_on_ready(list[2], note, NULL);
    CHECK(!fa_future_is_ready(list[3]));
    finish(4);
}

TEST(any_of_a_ready_one_is_ready_at_once)
{
    begin(3);
    resolve(1);
    CHECK_INT(fa_when_any(&when, &result, list, 3, NULL), 0);
    CHECK_INT(fa_future_error(&result), 0);
    CHECK(list[0] == &f[1]);
    CHECK_INT(when.first, 1);
    finish(3);
}

TEST(some_in_the_order_of_completion)
{
    begin(5);
    resolve(4);
    CHECK_INT(fa_when_some(&when, &result, list, 5, 3, NULL), 0);
    resolve(1);
    run_out();
    CHECK(!fa_future_is_ready(&result));
    resolve(0);
    run_out();
    CHECK_INT(fa_future_error(&result), 0);
    CHECK(list[0] == &f[4] && list[1] == &f[1] && list[2] == &f[0]);
    CHECK(list[3] == &f[2] && list[4] == &f[3]);
    CHECK_INT(when.first, 4);
    finish(5);
}

TEST(none_wanted_is_ready_at_once)
{
    begin(2);
    CHECK_INT(fa_when_some(&when, &result, list, 2, 0, NULL), 0);
    CHECK_INT(fa_future_error(&result), 0);
    CHECK(list[0] == &f[0] && list[1] == &f[1]);
    finish(2);
}

TEST(a_failure_fails_any_unless_skipped)
{
    begin(3);
    CHECK_INT(fa_when_any(&when, &result, list, 3, NULL), 0);
    CHECK(fa_future_fail(&f[1], FA_ENOENT));
    run_out();
    CHECK_INT(fa_future_error(&result), FA_ENOENT);
    finish(3);

    begin(3);
    CHECK_INT(fa_when_any(&when, &result, list, 3, &skipping), 0);
    CHECK(fa_future_fail(&f[1], FA_ENOENT));
    run_out();
    CHECK(!fa_future_is_ready(&result));
    resolve(2);
    run_out();
    CHECK(list[0] == &f[2] && list[1] == &f[0] && list[2] == &f[1]);
    CHECK_INT(fa_future_error(&f[1]), FA_ENOENT);
    finish(3);
}

TEST(too_few_left)
{
    begin(3);
    CHECK_INT(fa_when_some(&when, &result, list, 3, 2, &skipping), 0);
    CHECK(fa_future_fail(&f[0], FA_ENOENT));
    run_out();
    CHECK(!fa_future_is_ready(&result));
    CHECK(fa_future_fail(&f[2], FA_EUSER));
    run_out();
    CHECK_INT(fa_future_error(&result), FA_EUSER);
    CHECK(!fa_future_is_ready(&f[1]));
    finish(3);
}

TEST(losers_may_be_cancelled)
{
    begin(3);
    fa_future_on_cancel(&f[0], hook, NULL);
    fa_future_on_cancel(&f[1], hook, NULL);
    CHECK_INT(fa_when_any(&when, &result, list, 3, &cancelling), 0);
    resolve(2);
    run_out();
    CHECK_INT(hooks, 2);
    CHECK_INT(fa_future_take(list[0]).i64, 2);
    finish(3);
}

TEST(refusals_change_nothing)
{
    begin(2);
    const struct fa_when_options old = {.size = 1};
    CHECK_INT(fa_when_all(&when, &result, list, 2, &old), FA_EINVAL);
    CHECK_INT(fa_when_any(&when, &result, list, 0, NULL), FA_EINVAL);
    CHECK_INT(fa_when_some(&when, &result, list, 2, 3, NULL), FA_EINVAL);
    CHECK_INT(fa_when_some(&when, &result, list, 2, 2, NULL), 0);
    finish(2);
}

/* ---- re-entrancy, depth, cost -------------------------------------------------------------- */

static void free_all(struct fa_future *future, void *user)
{
    (void)future;
    (void)user;
    calls++;
    fa_future_clean_up(&result);
    for (size_t i = 0; i < 3; i++)
        fa_future_clean_up(&f[i]);
    memset(&when, 0xa5, sizeof(when));
}

TEST(hooks_and_continuations_may_free_all)
{
    begin(3);
    CHECK_INT(fa_when_all(&when, &result, list, 3, NULL), 0);
    fa_future_on_ready(&result, free_all, NULL);
    for (size_t i = 0; i < 3; i++)
        resolve(i);
    run_out();
    CHECK_INT(calls, 1);
    finish(3);

    begin(3);
    fa_future_on_cancel(&f[0], free_all, NULL);
    CHECK_INT(fa_when_any(&when, &result, list, 3, &cancelling), 0);
    resolve(2);
    run_out();
    CHECK_INT(calls, 1);
    finish(3);
}

/* Called when f[1] is still to be cancelled: does it at once, through one that waits for it. */
static void cancel_next(struct fa_future *future, void *user)
{
    (void)future;
    (void)user;
    calls++;
    CHECK(!fa_future_is_ready(&f[1]));
    fa_future_follow(&f[2], &f[1]);
    CHECK(fa_future_cancel(&f[2]));
}

TEST(a_hook_may_cancel_what_is_to_be_cancelled)
{
    begin(3);
    fa_future_on_cancel(&f[0], cancel_next, NULL);
    CHECK_INT(fa_when_all(&when, &result, list, 2, NULL), 0);
    CHECK(fa_future_cancel(&result));
    CHECK_INT(calls, 1);
    for (size_t i = 0; i < 3; i++)
        CHECK(fa_future_is_cancelled(&f[i]));
    finish(3);
}

TEST(combinations_of_combinations)
{
    begin(4);
    struct fa_when inner[2];
    struct fa_future halves[2];
    struct fa_future *both[2] = {&halves[0], &halves[1]};
    for (size_t i = 0; i < 2; i++) {
        fa_future_init(&halves[i], reactor);
        CHECK_INT(fa_when_all(&inner[i], &halves[i], &list[2 * i], 2, NULL), 0);
    }
    CHECK_INT(fa_when_all(&when, &result, both, 2, NULL), 0);
    fa_future_on_cancel(&f[3], hook, NULL);
    resolve(0);
    resolve(1);
    run_out();
    CHECK_INT(fa_future_error(&halves[0]), 0);
    CHECK(fa_future_cancel(&result)); /* through the second half */
    CHECK_INT(hooks, 1);
    CHECK(fa_future_is_cancelled(&f[2]));
    CHECK(fa_future_is_cancelled(&halves[1]));
    fa_future_clean_up(&halves[0]);
    fa_future_clean_up(&halves[1]);
    finish(4);
}

TEST(a_thousand_in_one_turn)
{
    begin(MANY);
    uint64_t before = fa_alloc_count();
    CHECK_INT(fa_when_all(&when, &result, list, MANY, NULL), 0);
    for (size_t i = 0; i < MANY; i++)
        resolve(i);
    fa_future_on_ready(&result, note, NULL);
    turn();
    CHECK_INT(calls, 1);
    CHECK_INT(fa_alloc_count(), before);
    finish(MANY);
}

/* ---- at random ------------------------------------------------------------------------------ */

static uint64_t random_state = 88172645463325252u;

static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

#define FEW 8

struct model {
    size_t wanted;
    size_t resolved;
    size_t failed;
    bool skip;
    bool over; /* the result is cancelled or gone */
    int error; /* expected; FA_EAGAIN: pending */
};

static void model_note(struct model *model, int error)
{
    if (model->error != FA_EAGAIN)
        return;
    if (error == 0)
        model->resolved++;
    else
        model->failed++;
    if (model->resolved == model->wanted)
        model->error = 0;
    else if (error < 0 && (!model->skip || FEW - model->failed < model->wanted))
        model->error = error;
}

/* Completes, cancels or abandons one of the futures, or the result; keeps the model. */
static void random_event(struct model *model, int *states)
{
    size_t i = (size_t)(random_next() % FEW);
    uint64_t what = random_next() % 16;
    if (what == 0 && model->error == FA_EAGAIN) {
        run_out();
        CHECK(fa_future_cancel(&result));
        model->error = FA_ECANCELLED;
        model->over = true;
        for (size_t k = 0; k < FEW; k++)
            states[k] = 1;
    } else if (states[i] == 0) {
        states[i] = 1;
        int error = what < 9    ? 0
                    : what < 12 ? FA_ENOENT
                    : what < 14 ? FA_ECANCELLED
                                : FA_EABANDONED;
        if (error == 0)
            resolve(i);
        else if (error == FA_ENOENT)
            CHECK(fa_future_fail(&f[i], error));
        else if (error == FA_ECANCELLED)
            CHECK(fa_future_cancel(&f[i]));
        else {
            run_out(); /* abandoning is seen at once, the others in turn */
            fa_future_clean_up(&f[i]);
        }
        model_note(model, error);
    }
    if (random_next() % 4 == 0)
        run_out();
}

TEST(random_mixtures_end_as_the_model_says)
{
    int ends[4] = {0};
    for (int round = 0; round < 5000; round++) {
        begin(FEW);
        int states[FEW] = {0};
        struct model model = {.error = FA_EAGAIN, .skip = random_next() % 2 != 0};
        model.wanted = (size_t)(1 + random_next() % FEW);
        CHECK_INT(
            fa_when_some(&when, &result, list, FEW, model.wanted, model.skip ? &skipping : NULL),
            0);
        fa_future_on_ready(&result, note, NULL);
        for (int events = 0; events < 40; events++)
            random_event(&model, states);
        run_out();
        CHECK_INT(fa_future_error(&result), model.error);
        CHECK_INT(calls, model.error != FA_EAGAIN);
        for (size_t i = 0; i < model.wanted && model.error == 0; i++)
            CHECK_INT(fa_future_error(list[i]), 0);
        ends[model.error == 0 ? 0 : model.error == FA_EAGAIN ? 1 : model.over ? 2 : 3]++;
        finish(FEW);
    }
    CHECK(ends[0] > 100 && ends[2] > 100 && ends[3] > 100);
}

int main(void)
{
    RUN(all_of_ready_futures_is_ready_at_once);
    RUN(all_of_nothing_is_ready_at_once);
    RUN(all_waits_for_the_last_and_keeps_the_order);
    RUN(the_first_failure_fails_all);
    RUN(a_failure_may_cancel_the_rest);
    RUN(all_may_wait_for_failures_too);
    RUN(cancelling_the_result_cancels_the_pending);
    RUN(a_result_that_goes_away_leaves_the_futures_alone);
    RUN(a_future_that_goes_away_counts_as_failed);
    RUN(even_if_failures_are_skipped);
    RUN(any_puts_the_winner_first);
    RUN(any_of_a_ready_one_is_ready_at_once);
    RUN(some_in_the_order_of_completion);
    RUN(none_wanted_is_ready_at_once);
    RUN(a_failure_fails_any_unless_skipped);
    RUN(too_few_left);
    RUN(losers_may_be_cancelled);
    RUN(refusals_change_nothing);
    RUN(hooks_and_continuations_may_free_all);
    RUN(a_hook_may_cancel_what_is_to_be_cancelled);
    RUN(combinations_of_combinations);
    RUN(a_thousand_in_one_turn);
    RUN(random_mixtures_end_as_the_model_says);
    return check_report();
}
