/* SPDX-License-Identifier: MIT */
/* The executor's jobs: there and back, outcomes, back-pressure, cancelling in every state, how
 * many threads there are and what they are like, options, memory. */
#include <signal.h>

#include "executor_jobs.h"

static int drops;

static void count_drop(void *ptr)
{
    (void)ptr;
    drops++;
}

static void bring_value(struct fa_job *job)
{
    struct work *work = job->user;
    work->runs++;
    job->value = fa_value_ptr(&drops, count_drop);
}

static void fail(struct fa_job *job)
{
    bring_value(job);
    job->error = FA_EUSER;
}

/* ---- there and back --------------------------------------------------------------------- */

static pthread_t ran_on;

static void note_thread(struct fa_job *job)
{
    ran_on = pthread_self();
    run_once(job);
}

TEST(a_job_runs_elsewhere_and_comes_back)
{
    struct work work;
    BEGIN(0);
    start(&work, note_thread);
    CHECK_INT(work.done, 0);
    turn_until(1);
    CHECK_INT(work.runs, 1);
    CHECK_INT(work.done, 1);
    CHECK_INT(work.job.value.i64, 1);
    CHECK(!pthread_equal(ran_on, pthread_self()));
    CHECK_INT(submit(&work), 0); /* again */
    turn_until(2);
    CHECK_INT(work.runs, 2);
    CHECK_INT(stats().submitted, 2);
    CHECK_INT(stats().completed, 2);
    CHECK_INT(stats().running, 0);
    CHECK_INT(stats().queued, 0);
    end();
}

TEST(it_completes_a_future)
{
    struct work work;
    struct fa_future future;
    BEGIN(0);
    fa_future_init(&future, reactor);
    prepare_work(&work, run_once);
    work.job.future = &future;
    CHECK_INT(submit(&work), 0);
    turn_until(1);
    CHECK_INT(fa_future_error(&future), 0);
    CHECK_INT(fa_future_take(&future).i64, 1);
    fa_future_clean_up(&future);
    end();
}

TEST(or_fails_it)
{
    struct work work;
    struct fa_future future;
    BEGIN(0);
    drops = 0;
    fa_future_init(&future, reactor);
    prepare_work(&work, fail);
    work.job.future = &future;
    CHECK_INT(submit(&work), 0);
    turn_until(1);
    CHECK_INT(last_error, FA_EUSER);
    CHECK_INT(fa_future_error(&future), FA_EUSER);
    CHECK(fa_future_peek(&future).ptr == &drops);
    CHECK_INT(drops, 0);
    fa_future_clean_up(&future);
    CHECK_INT(drops, 1);
    end();
}

TEST(a_value_that_nobody_wants_is_dropped)
{
    struct work wanted;
    struct work work;
    BEGIN(.max_threads = 1);
    drops = 0;
    prepare_work(&work, bring_value);
    work.job.done = NULL;
    CHECK_INT(submit(&work), 0);
    start(&wanted, bring_value); /* behind it, and owned by `done` */
    turn_until(1);
    CHECK_INT(drops, 1);
    CHECK(wanted.job.value.ptr == &drops);
    end();
}

static void *submit_elsewhere(void *user)
{
    return fa_executor_submit(executor, reactor, user) == FA_EWRONGTHREAD ? user : NULL;
}

TEST(only_on_the_thread_of_the_reactor)
{
    struct work work;
    pthread_t thread;
    void *result = NULL;
    BEGIN(0);
    prepare_work(&work, run_once);
    CHECK_INT(pthread_create(&thread, NULL, submit_elsewhere, &work.job), 0);
    CHECK_INT(pthread_join(thread, &result), 0);
    CHECK(result == &work.job);
    CHECK_INT(stats().threads, 0);
    end();
}

/* ---- back-pressure ------------------------------------------------------------------------ */

static char order[32];

/* One thread stands still in the first; then the queue is filled. */
static void fill(struct work *blocker, struct work *works, int count)
{
    block_thread(blocker);
    for (int i = 0; i < count; i++)
        start(&works[i], run_once);
}

TEST(a_full_queue_says_so)
{
    struct work blocker;
    struct work works[3];
    struct fa_future future;
    BEGIN(.max_threads = 1, .queue_size = 2);
    fill(&blocker, works, 2);
    CHECK_INT(stats().queued, 2);
    CHECK_INT(stats().running, 1);
    fa_future_init(&future, reactor);
    prepare_work(&works[2], run_once);
    works[2].job.future = &future;
    CHECK_INT(submit(&works[2]), FA_EAGAIN);
    CHECK_INT(stats().refused, 1);
    sem_post(&blocker.leave);
    turn_until(3);
    CHECK(!fa_future_is_ready(&future)); /* and was not touched */
    CHECK_INT(submit(&works[2]), 0);
    turn_until(4);
    CHECK_INT(fa_future_take(&future).i64, 1);
    fa_future_clean_up(&future);
    end();
}

static struct work line[8];

static void append_index(struct fa_job *job)
{
    struct work *work = job->user;
    size_t len = strlen(order);
    order[len] = (char)('a' + (work - line));
    order[len + 1] = '\0';
}

TEST(or_lets_a_few_wait_in_order)
{
    struct work blocker;
    BEGIN(.max_threads = 1, .queue_size = 2, .max_waiting = 5);
    order[0] = '\0';
    block_thread(&blocker);
    for (int i = 0; i < 7; i++)
        start(&line[i], append_index);
    CHECK_INT(stats().queued, 2);
    CHECK_INT(stats().waiting, 5);
    prepare_work(&line[7], append_index);
    CHECK_INT(submit(&line[7]), FA_EAGAIN);
    sem_post(&blocker.leave);
    turn_until(8);
    CHECK_SPAN(fa_span_str(order), "abcdefg");
    CHECK_INT(stats().waiting, 0);
    end();
}

/* ---- cancelling ----------------------------------------------------------------------------- */

TEST(a_queued_job_is_cancelled)
{
    struct work blocker;
    struct work works[2];
    BEGIN(.max_threads = 1);
    fill(&blocker, works, 2);
    CHECK(fa_job_cancel(&works[0].job));
    CHECK(!fa_job_cancel(&works[0].job));
    CHECK_INT(works[0].done, 0); /* not inside the call */
    turn_until(1);
    CHECK_INT(works[0].done, 1);
    CHECK_INT(works[0].runs, 0);
    CHECK_INT(last_error, FA_ECANCELLED);
    CHECK_INT(stats().cancelled, 1);
    CHECK(!fa_job_cancel(&works[0].job));
    start(&works[0], run_once); /* while its old place in the ring is still there */
    sem_post(&blocker.leave);
    turn_until(4);
    CHECK_INT(works[0].runs, 1);
    CHECK_INT(works[1].runs, 1);
    end();
}

TEST(a_waiting_job_is_cancelled)
{
    struct work blocker;
    struct work works[4];
    BEGIN(.max_threads = 1, .queue_size = 2, .max_waiting = 2);
    fill(&blocker, works, 4);
    CHECK(fa_job_cancel(&works[2].job));
    CHECK_INT(stats().waiting, 1);
    turn_until(1);
    CHECK_INT(last_error, FA_ECANCELLED);
    sem_post(&blocker.leave);
    turn_until(5);
    CHECK_INT(works[2].runs, 0);
    CHECK_INT(works[3].runs, 1);
    end();
}

TEST(a_running_job_is_told)
{
    struct work work;
    BEGIN(0);
    block_thread(&work);
    CHECK(!fa_job_is_cancelled(&work.job));
    CHECK(!fa_job_cancel(&work.job));
    sem_post(&work.leave);
    turn_until(1);
    CHECK(work.told);
    CHECK_INT(last_error, 0); /* what it left */
    CHECK_INT(stats().cancelled, 0);
    end();
}

TEST(those_behind_cancelled_jobs_are_not_forgotten)
{
    struct work blocker;
    struct work works[4];
    BEGIN(.max_threads = 1, .queue_size = 2, .max_waiting = 2);
    fill(&blocker, works, 4);
    CHECK(fa_job_cancel(&works[0].job)); /* all that is in the ring */
    CHECK(fa_job_cancel(&works[1].job));
    sem_post(&blocker.leave);
    turn_until(5);
    CHECK_INT(works[2].runs, 1);
    CHECK_INT(works[3].runs, 1);
    end();
}

TEST(cancelled_jobs_make_room)
{
    struct work blocker;
    struct work works[4];
    BEGIN(.max_threads = 1, .queue_size = 2);
    fill(&blocker, works, 2);
    CHECK(fa_job_cancel(&works[0].job));
    CHECK(fa_job_cancel(&works[1].job));
    start(&works[2], run_once);
    start(&works[3], run_once);
    sem_post(&blocker.leave);
    turn_until(5);
    end();
}

TEST(cancelling_the_future_cancels_the_job)
{
    struct work blocker;
    struct work work;
    struct fa_future future;
    BEGIN(.max_threads = 1);
    block_thread(&blocker);
    fa_future_init(&future, reactor);
    prepare_work(&work, run_once);
    work.job.future = &future;
    CHECK_INT(submit(&work), 0);
    CHECK(fa_future_cancel(&future));
    fa_future_clean_up(&future);
    turn_until(1);
    CHECK_INT(work.runs, 0);
    CHECK_INT(last_error, FA_ECANCELLED);
    sem_post(&blocker.leave);
    turn_until(2);
    end();
}

static void stand_still_with_value(struct fa_job *job)
{
    stand_still(job);
    job->value = fa_value_ptr(&drops, count_drop);
}

TEST(a_future_may_go_before_its_job)
{
    for (int with_done = 0; with_done < 2; with_done++) {
        struct work work;
        struct fa_future future;
        BEGIN(0);
        drops = 0;
        fa_future_init(&future, reactor);
        prepare_work(&work, stand_still_with_value);
        work.job.future = &future;
        if (!with_done)
            work.job.done = NULL;
        CHECK_INT(submit(&work), 0);
        CHECK_INT(sem_wait(&work.began), 0);
        fa_future_clean_up(&future);
        memset(&future, 0xff, sizeof(future));
        sem_post(&work.leave);
        while (drops == 0)
            turn(-1);
        CHECK(work.told);
        CHECK_INT(drops, 1);
        CHECK_INT(work.done, with_done);
        CHECK(work.job.value.ptr == NULL); /* `done` was not left with it */
        end();
    }
}

/* ---- threads -----------------------------------------------------------------------------------
 */

TEST(one_at_a_time_needs_one_thread)
{
    struct work work;
    BEGIN(.max_threads = 8);
    CHECK_INT(stats().threads, 0);
    for (int i = 1; i <= 200; i++) {
        start(&work, run_once);
        turn_until(i);
    }
    CHECK_INT(stats().threads, 1);
    end();
}

TEST(blocked_jobs_get_threads_up_to_the_maximum)
{
    struct work works[3];
    struct work late;
    BEGIN(.max_threads = 3);
    for (int i = 0; i < 3; i++)
        block_thread(&works[i]);
    start(&late, run_once);
    CHECK_INT(stats().threads, 3);
    CHECK_INT(stats().queued, 1);
    for (int i = 0; i < 3; i++)
        sem_post(&works[i].leave);
    turn_until(4);
    CHECK_INT(stats().threads, 3);
    end();
}

#define BURST 8 /* more than look for work at a time */

TEST(a_burst_of_blocking_jobs_gets_a_thread_each)
{
    struct work works[BURST];
    BEGIN(.max_threads = 2 * BURST);
    for (int round = 1; round <= 50; round++) {
        for (int i = 0; i < BURST; i++)
            start(&works[i], stand_still);
        for (int i = 0; i < BURST; i++) /* all at once, or this waits for ever */
            CHECK_INT(sem_wait(&works[i].began), 0);
        for (int i = 0; i < BURST; i++)
            sem_post(&works[i].leave);
        turn_until(BURST * round);
    }
    CHECK_INT(stats().threads, BURST); /* the sleeping ones were woken, none was added */
    end();
}

static char thread_name[16];
static sigset_t thread_mask;

static void note_name(struct fa_job *job)
{
    (void)job;
    pthread_getname_np(pthread_self(), thread_name, sizeof(thread_name));
    pthread_sigmask(SIG_BLOCK, NULL, &thread_mask);
}

TEST(threads_have_names_and_no_signals)
{
    const char *names[] = {NULL, "pool", "abcdefghijklmnop"};
    const char *wanted[] = {"fa-exec-0", "pool-0", "abcdefghij-0"};
    for (size_t i = 0; i < FA_ARRAY_LEN(names); i++) {
        struct work work;
        BEGIN(.name = names[i]);
        start(&work, note_name);
        turn_until(1);
        CHECK_SPAN(fa_span_str(thread_name), wanted[i]);
        CHECK(sigismember(&thread_mask, SIGTERM) == 1);
        CHECK(sigismember(&thread_mask, SIGSEGV) == 0);
        end();
    }
    sigset_t own;
    pthread_sigmask(SIG_BLOCK, NULL, &own);
    CHECK(sigismember(&own, SIGTERM) == 0);
}

static int started[4];
static int stopped[4];
static int user_data;

static void on_start(unsigned index, void *user)
{
    if (user == &user_data)
        started[index]++;
}

static void on_stop(unsigned index, void *user)
{
    if (user == &user_data)
        stopped[index]++;
}

TEST(hooks_frame_each_thread)
{
    struct work works[2];
    memset(started, 0, sizeof(started));
    memset(stopped, 0, sizeof(stopped));
    BEGIN(.max_threads = 4, .on_start = on_start, .on_stop = on_stop, .user = &user_data);
    block_thread(&works[0]);
    block_thread(&works[1]);
    sem_post(&works[0].leave);
    sem_post(&works[1].leave);
    turn_until(2);
    end();
    for (int i = 0; i < 4; i++) {
        CHECK_INT(started[i], i < 2);
        CHECK_INT(stopped[i], i < 2);
    }
}

static void spin_option(uint64_t spin_ns)
{
    struct work works[16];
    BEGIN(.max_threads = 4, .spin_ns = spin_ns);
    for (int round = 1; round <= 50; round++) {
        for (int i = 0; i < 16; i++)
            start(&works[i], run_once);
        turn_until(16 * round);
    }
    CHECK_INT(stats().completed, 800);
    end();
}

TEST(spinning_before_sleeping)
{
    spin_option(0);
    spin_option(20000);
    spin_option(UINT64_C(3600000000000)); /* shutting down ends it */
}

TEST(on_one_cpu_it_is_off)
{
    cpu_set_t before;
    cpu_set_t one;
    CPU_ZERO(&one);
    CHECK_INT(sched_getaffinity(0, sizeof(before), &before), 0);
    for (size_t cpu = 0; CPU_COUNT(&one) == 0; cpu++)
        if (CPU_ISSET(cpu, &before))
            CPU_SET(cpu, &one);
    CHECK_INT(sched_setaffinity(0, sizeof(one), &one), 0);
    BEGIN(.spin_ns = 1000);
    CHECK_INT(sched_setaffinity(0, sizeof(before), &before), 0);
    CHECK_INT(stats().spin_ns, 0);
    end();
}

/* ---- options and memory ------------------------------------------------------------------------
 */

TEST(options_are_checked)
{
    struct fa_executor *out = NULL;
    struct fa_executor_options options = {.size = sizeof(options) - 1};
    CHECK_INT(fa_executor_new(&out, &options), FA_EINVAL);
    options = (struct fa_executor_options){.size = sizeof(options), .max_threads = 5000};
    CHECK_INT(fa_executor_new(&out, &options), FA_EINVAL);
    options = (struct fa_executor_options){.size = sizeof(options), .queue_size = SIZE_MAX};
    CHECK_INT(fa_executor_new(&out, &options), FA_EINVAL);
    CHECK(out == NULL);
    fa_executor_destroy(NULL);
    CHECK_INT(fa_executor_new(&out, NULL), 0);
    struct fa_executor_shutdown_options shut = {.size = 1};
    CHECK_INT(fa_executor_shutdown(out, &shut, NULL), FA_EINVAL);
    CHECK_INT(fa_executor_numa(out), FA_NUMA_OFF);
    fa_executor_destroy(out);
}

TEST(numa_is_honest)
{
    struct fa_executor *out = NULL;
    struct fa_executor_options options = {.size = sizeof(options), .numa = true};
    int err = fa_executor_new(&out, &options);
    if (err == 0)
        CHECK_INT(fa_executor_numa(out), FA_NUMA_ONE_NODE);
    else
        CHECK_INT(err, FA_ENOTSUP);
    fa_executor_destroy(out);
}

static void one_job(void)
{
    struct work work;
    struct fa_executor *out = NULL;
    if (fa_executor_new(&out, NULL) < 0)
        return;
    executor = out;
    prepare_work(&work, run_once);
    done_count = 0;
    CHECK_INT(submit(&work), 0); /* allocates nothing that can fail here */
    turn_until(1);
    fa_executor_destroy(out);
}

TEST(without_memory)
{
    CHECK_INT(fa_reactor_new(&reactor, NULL), 0);
    check_alloc_failures(one_job);
    fa_reactor_destroy(reactor);
}

TEST(a_job_allocates_nothing)
{
    struct work work;
    BEGIN(0);
    start(&work, run_once);
    turn_until(1);
    uint64_t before = fa_alloc_count();
    for (int i = 2; i < 100; i++) {
        start(&work, run_once);
        turn_until(i);
    }
    CHECK_INT(fa_alloc_count(), before);
    end();
}

int main(void)
{
    RUN(a_job_runs_elsewhere_and_comes_back);
    RUN(it_completes_a_future);
    RUN(or_fails_it);
    RUN(a_value_that_nobody_wants_is_dropped);
    RUN(only_on_the_thread_of_the_reactor);
    RUN(a_full_queue_says_so);
    RUN(or_lets_a_few_wait_in_order);
    RUN(a_queued_job_is_cancelled);
    RUN(a_waiting_job_is_cancelled);
    RUN(a_running_job_is_told);
    RUN(those_behind_cancelled_jobs_are_not_forgotten);
    RUN(cancelled_jobs_make_room);
    RUN(cancelling_the_future_cancels_the_job);
    RUN(a_future_may_go_before_its_job);
    RUN(one_at_a_time_needs_one_thread);
    RUN(blocked_jobs_get_threads_up_to_the_maximum);
    RUN(a_burst_of_blocking_jobs_gets_a_thread_each);
    RUN(threads_have_names_and_no_signals);
    RUN(hooks_frame_each_thread);
    RUN(spinning_before_sleeping);
    RUN(on_one_cpu_it_is_off);
    RUN(options_are_checked);
    RUN(numa_is_honest);
    RUN(without_memory);
    RUN(a_job_allocates_nothing);
    return check_report();
}
