/* SPDX-License-Identifier: MIT */
/* Futures: states and ownership, when continuations run, chains of any depth, cancellation,
 * threads. What goes away too early is in future_life.c. */
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "future_rig.h"

/* ---- states and ownership ------------------------------------------------------------- */

TEST(states)
{
    begin();
    struct fa_future f;
    fa_future_init(&f, reactor);
    CHECK(!fa_future_is_ready(&f));
    CHECK_INT(fa_future_error(&f), FA_EAGAIN);
    CHECK(fa_future_resolve(&f, fa_value_i64(-7)));
    CHECK(fa_future_is_ready(&f) && !fa_future_is_cancelled(&f));
    CHECK_INT(fa_future_error(&f), 0);
    CHECK_INT(fa_future_peek(&f).i64, -7);
    CHECK_INT(fa_future_take(&f).i64, -7);
    CHECK(fa_future_is_ready(&f));
    fa_future_clean_up(&f);
    fa_future_clean_up(&f);

    fa_future_init(&f, reactor);
    CHECK(fa_future_fail(&f, FA_ENOENT));
    CHECK_INT(fa_future_error(&f), FA_ENOENT);
    fa_future_clean_up(&f);

    fa_future_init(&f, reactor);
    CHECK(fa_future_cancel(&f));
    CHECK(fa_future_is_cancelled(&f));
    CHECK(!fa_future_cancel(&f));
    fa_future_clean_up(&f);

    struct fa_future zeroed = {0};
    fa_future_clean_up(&zeroed);
    tear_down();
}

TEST(values_of_every_kind)
{
    begin();
    struct fa_future f;
    fa_future_init(&f, NULL);
    CHECK(fa_future_resolve(&f, fa_value_u64(UINT64_MAX)));
    CHECK(fa_future_take(&f).u64 == UINT64_MAX);
    fa_future_clean_up(&f);
    fa_future_init(&f, NULL);
    CHECK(fa_future_resolve(&f, fa_value_f64(0.5)));
    CHECK(fa_future_take(&f).f64 == 0.5);
    fa_future_clean_up(&f);
    fa_future_init(&f, NULL);
    CHECK(fa_future_resolve(&f, fa_value_none()));
    CHECK(fa_future_take(&f).ptr == NULL);
    fa_future_clean_up(&f);
    tear_down();
}

TEST(a_value_is_dropped_exactly_once)
{
    begin();
    struct fa_future f;
    fa_future_init(&f, reactor);
    CHECK(fa_future_resolve(&f, counted()));
    CHECK(!fa_future_resolve(&f, counted())); /* late: dropped at once */
    CHECK_INT(drops, 1);
    CHECK(!fa_future_fail_with(&f, FA_EUSER, counted()));
    CHECK_INT(drops, 2);
    fa_future_clean_up(&f); /* not taken */
    CHECK_INT(drops, 3);

    fa_future_init(&f, reactor);
    CHECK(fa_future_resolve(&f, counted()));
    struct fa_value value = fa_future_take(&f);
    fa_future_clean_up(&f);
    CHECK_INT(drops, 3);
    fa_value_drop(value);
    CHECK_INT(drops, 4);

    fa_future_init(&f, reactor);
    CHECK(fa_future_fail_with(&f, FA_EUSER, counted()));
    fa_future_clean_up(&f);
    CHECK_INT(drops, 5);

    fa_future_init(&f, reactor);
    CHECK(fa_future_cancel(&f));
    CHECK(!fa_future_resolve(&f, counted()));
    CHECK_INT(drops, 6);
    fa_future_clean_up(&f);
    tear_down();
}

TEST(new_and_destroy)
{
    begin();
    struct fa_future *f = NULL;
    CHECK_INT(fa_future_new(&f, reactor), 0);
    CHECK(fa_future_resolve(f, counted()));
    fa_future_destroy(f);
    CHECK_INT(drops, 1);
    fa_future_destroy(NULL);
    tear_down();
}

/* ---- when a continuation runs --------------------------------------------------------- */

TEST(a_continuation_waits_for_the_dispatch)
{
    begin();
    struct fa_future f;
    fa_future_init(&f, reactor);
    fa_future_on_ready(&f, note, NULL);
    CHECK(fa_future_resolve(&f, fa_value_i64(3)));
    CHECK_INT(calls, 0);
    CHECK(fa_reactor_has_ready(reactor));
    turn();
    CHECK_INT(calls, 1);
    CHECK_INT(last_number, 3);
    turn();
    CHECK_INT(calls, 1);
    fa_future_clean_up(&f);
    tear_down();
}

TEST(on_a_ready_future_it_runs_at_once)
{
    begin();
    struct fa_future source;
    struct fa_future result;
    fa_future_init(&source, reactor);
    fa_future_init(&result, reactor);
    CHECK(fa_future_resolve(&source, fa_value_i64(1)));
    fa_future_then(&source, &result, add_one, NULL);
    CHECK_INT(calls, 1);
    CHECK_INT(fa_future_peek(&result).i64, 2);
    fa_future_on_ready(&result, note, NULL);
    CHECK_INT(calls, 2);
    fa_future_on_ready(&result, note, NULL); /* the value is still there */
    CHECK_INT(calls, 3);
    CHECK(!fa_reactor_has_ready(reactor));
    fa_future_clean_up(&source);
    fa_future_clean_up(&result);
    tear_down();
}

TEST(without_a_reactor_on_the_stack_only)
{
    begin();
    struct fa_future source;
    struct fa_future middle;
    struct fa_future result;
    fa_future_init(&source, NULL);
    fa_future_init(&middle, NULL);
    fa_future_init(&result, reactor); /* what is complete may come from anywhere */
    CHECK(fa_future_resolve(&source, fa_value_i64(1)));
    fa_future_then(&source, &middle, add_one, NULL);
    fa_future_then(&middle, &result, add_one, NULL);
    CHECK_INT(fa_future_take(&result).i64, 3);
    fa_future_clean_up(&source);
    fa_future_clean_up(&middle);
    fa_future_clean_up(&result);
    tear_down();
}

static char order[16];

static void append(char letter)
{
    size_t len = strlen(order);
    order[len] = letter;
    order[len + 1] = '\0';
}

static void append_done(struct fa_future *future, void *user)
{
    (void)future;
    append(*(const char *)user);
}

static void resolve_in_task(struct fa_task *task)
{
    append('t');
    CHECK(fa_future_resolve(task->user, fa_value_none()));
    append('T');
}

static void append_task(struct fa_task *task)
{
    append(*(const char *)task->user);
}

TEST(it_runs_between_the_callbacks_of_one_dispatch)
{
    begin();
    struct fa_future f;
    struct fa_task first = {.callback = resolve_in_task, .user = &f};
    struct fa_task second = {.callback = append_task, .user = "s"};
    struct fa_task end = {.callback = append_task, .user = "e"};
    order[0] = '\0';
    fa_future_init(&f, reactor);
    fa_future_on_ready(&f, append_done, "c");
    fa_task_post(reactor, &first, FA_PRIORITY_NORMAL);
    fa_task_post(reactor, &second, FA_PRIORITY_NORMAL);
    fa_reactor_at_turn_end(reactor, &end);
    turn();
    CHECK_SPAN(fa_span_str(order), "tTcse");
    fa_future_clean_up(&f);
    tear_down();
}

TEST(and_between_those_dispatched_singly)
{
    begin();
    struct fa_future f;
    struct fa_task first = {.callback = resolve_in_task, .user = &f};
    struct fa_task second = {.callback = append_task, .user = "s"};
    order[0] = '\0';
    fa_future_init(&f, reactor);
    fa_future_on_ready(&f, append_done, "c");
    fa_task_post(reactor, &first, FA_PRIORITY_HIGH);
    fa_task_post(reactor, &second, FA_PRIORITY_HIGH);
    CHECK_INT(fa_reactor_wait(reactor, 0), 0);
    fa_reactor_collect(reactor);
    CHECK(fa_reactor_dispatch_one(reactor));
    CHECK_SPAN(fa_span_str(order), "tT");
    CHECK(fa_reactor_dispatch_one(reactor));
    CHECK_SPAN(fa_span_str(order), "tTc");
    CHECK(fa_reactor_dispatch_one(reactor));
    CHECK_SPAN(fa_span_str(order), "tTcs");
    CHECK(!fa_reactor_dispatch_one(reactor));
    fa_reactor_end_turn(reactor);
    fa_future_clean_up(&f);
    tear_down();
}

static int hook_calls;

static void count_hook(void *user)
{
    (void)user;
    hook_calls++;
}

TEST(a_foreign_host_is_woken)
{
    begin();
    hook_calls = 0;
    fa_reactor_set_wake_hook(reactor, count_hook, NULL);
    struct fa_future futures[2];
    for (int i = 0; i < 2; i++) {
        fa_future_init(&futures[i], reactor);
        fa_future_on_ready(&futures[i], note, NULL);
        CHECK(fa_future_resolve(&futures[i], fa_value_none()));
    }
    CHECK_INT(hook_calls, 1);
    CHECK_INT(run_out(), 1);
    CHECK_INT(calls, 2);
    fa_future_clean_up(&futures[0]);
    fa_future_clean_up(&futures[1]);
    tear_down();
}

TEST(forgotten_continuations_do_not_run)
{
    begin();
    struct fa_future f;
    fa_future_init(&f, reactor);
    fa_future_on_ready(&f, never_ready, NULL);
    fa_future_forget(&f);
    fa_future_on_ready(&f, never_ready, NULL);
    CHECK(fa_future_resolve(&f, fa_value_i64(4)));
    fa_future_forget(&f); /* queued already */
    run_out();
    fa_future_on_ready(&f, note, NULL);
    CHECK_INT(last_number, 4);
    fa_future_clean_up(&f);
    tear_down();
}

/* ---- chains --------------------------------------------------------------------------- */

TEST(a_failure_skips_then_and_reaches_the_handler)
{
    begin();
    struct fa_future f[4];
    for (int i = 0; i < 4; i++)
        fa_future_init(&f[i], reactor);
    fa_future_then(&f[0], &f[1], never, NULL);
    fa_future_handle_error(&f[1], &f[2], recover, NULL);
    fa_future_then(&f[2], &f[3], add_one, NULL);
    CHECK(fa_future_fail_with(&f[0], FA_EUSER, counted()));
    CHECK_INT(run_out(), 1);
    CHECK_INT(last_error, FA_EUSER);
    CHECK_INT(drops, 1);
    CHECK_INT(calls, 2);
    CHECK_INT(fa_future_take(&f[3]).i64, 1001);
    for (int i = 0; i < 4; i++)
        fa_future_clean_up(&f[i]);
    tear_down();
}

TEST(a_value_skips_the_handler)
{
    begin();
    struct fa_future f[2];
    fa_future_init(&f[0], reactor);
    fa_future_init(&f[1], reactor);
    fa_future_handle_error(&f[0], &f[1], never_error, NULL);
    CHECK(fa_future_resolve(&f[0], counted()));
    run_out();
    CHECK_INT(fa_future_error(&f[1]), 0);
    CHECK_INT(drops, 0);
    fa_future_clean_up(&f[0]);
    CHECK_INT(drops, 0); /* it was moved */
    fa_future_clean_up(&f[1]);
    CHECK_INT(drops, 1);
    tear_down();
}

static struct fa_future inner;

static void return_inner(struct fa_future *result, struct fa_value value, void *user)
{
    (void)value;
    (void)user;
    fa_future_follow(result, &inner);
}

TEST(a_continuation_may_return_a_future)
{
    for (int ready_first = 0; ready_first < 2; ready_first++) {
        begin();
        struct fa_future source;
        struct fa_future result;
        fa_future_init(&source, reactor);
        fa_future_init(&result, reactor);
        fa_future_init(&inner, reactor);
        fa_future_then(&source, &result, return_inner, NULL);
        fa_future_on_ready(&result, note, NULL);
        if (ready_first)
            CHECK(fa_future_resolve(&inner, fa_value_i64(9)));
        CHECK(fa_future_resolve(&source, fa_value_none()));
        run_out();
        CHECK_INT(calls, ready_first);
        if (!ready_first)
            CHECK(fa_future_resolve(&inner, fa_value_i64(9)));
        run_out();
        CHECK_INT(calls, 1);
        CHECK_INT(last_number, 9);
        fa_future_clean_up(&source);
        fa_future_clean_up(&result);
        fa_future_clean_up(&inner);
        tear_down();
    }
}

static struct fa_future *make_chain(void)
{
    struct fa_future *chain = fa_calloc(DEEP, sizeof(*chain));
    CHECK(chain != NULL);
    for (size_t i = 0; i < DEEP; i++)
        fa_future_init(&chain[i], reactor);
    for (size_t i = 1; i < DEEP; i++)
        fa_future_then(&chain[i - 1], &chain[i], add_one, NULL);
    return chain;
}

static void free_chain(struct fa_future *chain)
{
    for (size_t i = 0; i < DEEP; i++)
        fa_future_clean_up(&chain[i]);
    fa_free(chain);
}

TEST(a_deep_chain_resolves_in_bounded_turns)
{
    begin();
    struct fa_future *chain = make_chain();
    CHECK(fa_future_resolve(&chain[0], fa_value_i64(0)));
    CHECK_INT(run_out(), (DEEP - 1 + FA_FUTURES_PER_TURN - 1) / FA_FUTURES_PER_TURN);
    CHECK_INT(fa_future_take(&chain[DEEP - 1]).i64, DEEP - 1);
    free_chain(chain);
    tear_down();
}

TEST(a_deep_chain_of_futures_that_follow)
{
    begin();
    struct fa_future *chain = fa_calloc(DEEP, sizeof(*chain));
    CHECK(chain != NULL);
    for (size_t i = 0; i < DEEP; i++)
        fa_future_init(&chain[i], reactor);
    for (size_t i = 1; i < DEEP; i++)
        fa_future_follow(&chain[i], &chain[i - 1]);
    CHECK(fa_future_fail_with(&chain[0], FA_EUSER, counted()));
    run_out();
    CHECK_INT(fa_future_error(&chain[DEEP - 1]), FA_EUSER);
    free_chain(chain);
    CHECK_INT(drops, 1);
    tear_down();
}

static void cancelled_hook(struct fa_future *future, void *user)
{
    CHECK(fa_future_is_ready(future));
    CHECK(!fa_future_resolve(future, counted()));
    (*(int *)user)++;
}

TEST(a_deep_chain_is_cancelled_from_its_end)
{
    begin();
    struct fa_future *chain = make_chain();
    int hooks = 0;
    fa_future_on_cancel(&chain[0], cancelled_hook, &hooks);
    CHECK(fa_future_cancel(&chain[DEEP - 1]));
    CHECK_INT(hooks, 1);
    CHECK_INT(drops, 1);
    for (size_t i = 0; i < DEEP; i++)
        CHECK(fa_future_is_cancelled(&chain[i]));
    CHECK_INT(run_out(), 0);
    CHECK_INT(calls, 0);
    free_chain(chain);
    tear_down();
}

static unsigned deepest;
static unsigned depth;
static struct fa_future *ladder;

/* Recursion over complete futures: each continuation waits for the next. */
static void climb(struct fa_future *future, void *user)
{
    size_t at = (size_t)(future - ladder);
    (void)user;
    calls++;
    if (++depth > deepest)
        deepest = depth;
    if (at + 1 < DEEP)
        fa_future_on_ready(&ladder[at + 1], climb, NULL);
    depth--;
}

TEST(recursion_over_ready_futures_is_bounded)
{
    begin();
    deepest = 0;
    depth = 0;
    ladder = fa_calloc(DEEP, sizeof(*ladder));
    CHECK(ladder != NULL);
    for (size_t i = 0; i < DEEP; i++) {
        fa_future_init(&ladder[i], reactor);
        CHECK(fa_future_resolve(&ladder[i], fa_value_none()));
    }
    fa_future_on_ready(&ladder[0], climb, NULL);
    CHECK_INT(calls, FA_FUTURE_NESTING);
    run_out();
    CHECK_INT(calls, DEEP);
    CHECK_INT(deepest, FA_FUTURE_NESTING + 1);
    free_chain(ladder);
    tear_down();
}

/* ---- cancellation ---------------------------------------------------------------------- */

TEST(a_cancelled_source_cancels_what_depends_on_it)
{
    begin();
    struct fa_future f[3];
    int hooks = 0;
    for (int i = 0; i < 3; i++)
        fa_future_init(&f[i], reactor);
    fa_future_on_cancel(&f[0], cancelled_hook, &hooks);
    fa_future_then(&f[0], &f[1], never, NULL);
    fa_future_handle_error(&f[1], &f[2], recover, NULL);
    CHECK(fa_future_cancel(&f[0]));
    CHECK_INT(hooks, 1);
    run_out();
    CHECK(fa_future_is_cancelled(&f[1]));
    CHECK_INT(last_error, FA_ECANCELLED);
    CHECK_INT(fa_future_error(&f[2]), 0);
    for (int i = 0; i < 3; i++)
        fa_future_clean_up(&f[i]);
    CHECK_INT(hooks, 1);
    tear_down();
}

TEST(the_hook_is_not_called_after_completion)
{
    begin();
    struct fa_future f;
    int hooks = 0;
    fa_future_init(&f, reactor);
    fa_future_on_cancel(&f, cancelled_hook, &hooks);
    CHECK(fa_future_resolve(&f, fa_value_none()));
    CHECK(!fa_future_cancel(&f));
    fa_future_on_cancel(&f, cancelled_hook, &hooks);
    fa_future_clean_up(&f);
    CHECK_INT(hooks, 0);
    fa_future_init(&f, reactor);
    fa_future_on_cancel(&f, cancelled_hook, &hooks);
    fa_future_clean_up(&f); /* pending: the producer must hear of it */
    CHECK_INT(hooks, 1);
    tear_down();
}

TEST(cancelling_the_result_reaches_an_inner_future)
{
    begin();
    struct fa_future source;
    struct fa_future result;
    int hooks = 0;
    fa_future_init(&source, reactor);
    fa_future_init(&result, reactor);
    fa_future_init(&inner, reactor);
    fa_future_on_cancel(&inner, cancelled_hook, &hooks);
    fa_future_then(&source, &result, return_inner, NULL);
    fa_future_on_ready(&result, note, NULL);
    CHECK(fa_future_resolve(&source, fa_value_none()));
    run_out();
    CHECK(fa_future_cancel(&result));
    CHECK_INT(hooks, 1);
    CHECK_INT(calls, 0);
    run_out();
    CHECK_INT(calls, 1);
    CHECK_INT(last_error, FA_ECANCELLED);
    fa_future_clean_up(&source);
    fa_future_clean_up(&result);
    fa_future_clean_up(&inner);
    tear_down();
}

/* A hook that cleans up everything the cancellation has still to reach. */
static struct fa_future doomed[3];

static void clean_up_all(struct fa_future *future, void *user)
{
    (void)future;
    (void)user;
    calls++;
    for (int i = 0; i < 3; i++)
        fa_future_clean_up(&doomed[i]);
}

TEST(a_cancel_hook_may_free_the_chain)
{
    begin();
    for (int i = 0; i < 3; i++)
        fa_future_init(&doomed[i], reactor);
    fa_future_on_cancel(&doomed[0], clean_up_all, NULL);
    fa_future_then(&doomed[0], &doomed[1], never, NULL);
    fa_future_then(&doomed[1], &doomed[2], never, NULL);
    CHECK(fa_future_cancel(&doomed[2]));
    CHECK_INT(calls, 1);
    memset(doomed, 0xa5, sizeof(doomed));
    CHECK_INT(run_out(), 0);
    tear_down();
}

/* ---- threads --------------------------------------------------------------------------- */

static void *resolve_elsewhere(void *user)
{
    (void)fa_future_resolve(user, fa_value_none());
    return NULL;
}

TEST(another_thread_is_refused)
{
    begin();
    struct fa_future f;
    fa_future_init(&f, reactor);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        pthread_t thread;
        signal(SIGABRT, SIG_DFL);
        fclose(stderr);
        if (pthread_create(&thread, NULL, resolve_elsewhere, &f) == 0)
            pthread_join(thread, NULL);
        _exit(0);
    }
    int status = 0;
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    fa_future_clean_up(&f);
    tear_down();
}

#define MAILS 1000

struct mail {
    struct fa_task task;
    struct fa_future future;
    int64_t number;
};

static void deliver(struct fa_task *task)
{
    struct mail *mail = task->user;
    (void)fa_future_resolve(&mail->future, fa_value_i64(mail->number));
}

static void *work(void *user)
{
    struct mail *mails = user;
    for (int i = 0; i < MAILS; i++) {
        mails[i].number = i;
        fa_task_mail(reactor, &mails[i].task);
    }
    return NULL;
}

static int64_t total;

static void sum_up(struct fa_future *future, void *user)
{
    (void)user;
    total += fa_future_take(future).i64;
    if (++calls == MAILS)
        fa_reactor_stop(reactor);
}

TEST(another_thread_mails_its_results)
{
    begin();
    total = 0;
    struct mail *mails = fa_calloc(MAILS, sizeof(*mails));
    CHECK(mails != NULL);
    for (int i = 0; i < MAILS; i++) {
        mails[i].task = (struct fa_task){.callback = deliver, .user = &mails[i]};
        fa_future_init(&mails[i].future, reactor);
        fa_future_on_ready(&mails[i].future, sum_up, NULL);
    }
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, work, mails), 0);
    CHECK_INT(fa_reactor_run(reactor), 0);
    CHECK_INT(pthread_join(thread, NULL), 0);
    CHECK_INT(total, (int64_t)MAILS * (MAILS - 1) / 2);
    for (int i = 0; i < MAILS; i++)
        fa_future_clean_up(&mails[i].future);
    fa_free(mails);
    tear_down();
}

int main(void)
{
    RUN(states);
    RUN(values_of_every_kind);
    RUN(a_value_is_dropped_exactly_once);
    RUN(new_and_destroy);
    RUN(a_continuation_waits_for_the_dispatch);
    RUN(on_a_ready_future_it_runs_at_once);
    RUN(without_a_reactor_on_the_stack_only);
    RUN(it_runs_between_the_callbacks_of_one_dispatch);
    RUN(and_between_those_dispatched_singly);
    RUN(a_foreign_host_is_woken);
    RUN(forgotten_continuations_do_not_run);
    RUN(a_failure_skips_then_and_reaches_the_handler);
    RUN(a_value_skips_the_handler);
    RUN(a_continuation_may_return_a_future);
    RUN(a_deep_chain_resolves_in_bounded_turns);
    RUN(a_deep_chain_of_futures_that_follow);
    RUN(a_deep_chain_is_cancelled_from_its_end);
    RUN(recursion_over_ready_futures_is_bounded);
    RUN(a_cancelled_source_cancels_what_depends_on_it);
    RUN(the_hook_is_not_called_after_completion);
    RUN(cancelling_the_result_reaches_an_inner_future);
    RUN(a_cancel_hook_may_free_the_chain);
    RUN(another_thread_is_refused);
    RUN(another_thread_mails_its_results);
    return check_report();
}
