/* SPDX-License-Identifier: MIT */
/* The executor under stress: two reactors share one with a ring that is too small, and cancel
 * jobs and futures at random; and executors that are shut down while both submit. Each job has
 * exactly one outcome, and runs at most once. Also run under TSan. */
#include <pthread.h>

#include <fasterapi/executor.h>

#include "check.h"

#define LOOPS 2
#define JOBS 48     /* of each loop, at a time */
#define TOTAL 20000 /* of each loop, in all */
#define ROUNDS 100  /* shutdowns */

struct loop {
    struct fa_reactor *reactor;
    struct fa_executor *executor;
    uint64_t random_state;
    struct errand *errands;
    unsigned submitted;
    unsigned finished;
    unsigned refused;
    unsigned ran;
    unsigned cancelled;
    unsigned futures;
    bool closed; /* the executor said so */
    bool broken;
};

struct errand {
    struct fa_job job;
    struct fa_future future;
    struct loop *loop;
    unsigned runs; /* written by a thread: TSan watches */
    bool under_way;
    bool with_future;
};

static uint64_t random_next(struct loop *loop)
{
    loop->random_state ^= loop->random_state << 13;
    loop->random_state ^= loop->random_state >> 7;
    loop->random_state ^= loop->random_state << 17;
    return loop->random_state;
}

static void run_errand(struct fa_job *job)
{
    struct errand *errand = job->user;
    errand->runs++;
    /* Long enough for somebody to come in between, now and then. */
    for (unsigned i = 0; i < errand->runs % 8 * 100 && !fa_job_is_cancelled(job); i++)
        __asm__ volatile("");
    job->value = fa_value_u64(errand->runs);
}

static void on_future(struct fa_future *future, void *user)
{
    struct errand *errand = user;
    struct loop *loop = errand->loop;
    loop->futures++;
    if (fa_future_error(future) == 0 && fa_future_take(future).u64 != errand->runs)
        loop->broken = true;
}

static void on_done(struct fa_job *job)
{
    struct errand *errand = job->user;
    struct loop *loop = errand->loop;
    bool ran = job->error == 0;
    if (!errand->under_way || errand->runs != (ran ? 1 : 0) ||
        (!ran && job->error != FA_ECANCELLED) || !fa_reactor_on_owner(loop->reactor))
        loop->broken = true;
    errand->under_way = false;
    loop->finished++;
    if (ran)
        loop->ran++;
    else
        loop->cancelled++;
}

static void start_errand(struct loop *loop, struct errand *errand)
{
    fa_future_clean_up(&errand->future);
    memset(errand, 0, sizeof(*errand));
    errand->loop = loop;
    errand->job.run = run_errand;
    errand->job.done = on_done;
    errand->job.user = errand;
    if (random_next(loop) % 2 != 0) {
        fa_future_init(&errand->future, loop->reactor);
        errand->job.future = &errand->future;
    }
    int err = fa_executor_submit(loop->executor, loop->reactor, &errand->job);
    errand->under_way = err == 0;
    if (err == 0) {
        loop->submitted++;
        if (errand->job.future != NULL)
            fa_future_on_ready(&errand->future, on_future, errand);
    } else if (err == FA_EAGAIN) {
        loop->refused++;
    } else {
        loop->closed = err == FA_ECLOSED;
        loop->broken = loop->broken || !loop->closed;
    }
}

static void disturb(struct loop *loop)
{
    struct errand *errand = &loop->errands[random_next(loop) % JOBS];
    if (!errand->under_way)
        return;
    if (errand->job.future == NULL || random_next(loop) % 2 != 0)
        fa_job_cancel(&errand->job);
    else if (random_next(loop) % 2 != 0)
        fa_future_cancel(&errand->future);
    else
        fa_future_clean_up(&errand->future);
}

static void turn(struct loop *loop, int64_t timeout_ns)
{
    if (fa_reactor_wait(loop->reactor, timeout_ns) < 0)
        loop->broken = true;
    fa_reactor_collect(loop->reactor);
    (void)fa_reactor_dispatch(loop->reactor, 0);
}

static void *run_loop(void *user)
{
    struct loop *loop = user;
    fa_reactor_adopt(loop->reactor);
    while (loop->submitted < TOTAL && !loop->closed && !loop->broken) {
        for (size_t i = 0; i < JOBS && loop->submitted < TOTAL && !loop->closed; i++) {
            if (!loop->errands[i].under_way)
                start_errand(loop, &loop->errands[i]);
            if (random_next(loop) % 4 == 0)
                disturb(loop);
        }
        turn(loop, loop->finished < loop->submitted ? -1 : 0);
    }
    while (loop->finished < loop->submitted && !loop->broken)
        turn(loop, -1);
    return NULL;
}

static struct loop loops[LOOPS];

static void begin(struct fa_executor *executor, uint64_t seed)
{
    for (size_t i = 0; i < LOOPS; i++) {
        loops[i] = (struct loop){.executor = executor, .random_state = seed + i};
        loops[i].errands = fa_calloc(JOBS, sizeof(struct errand));
        CHECK(loops[i].errands != NULL);
        CHECK_INT(fa_reactor_new(&loops[i].reactor, NULL), 0);
    }
}

static void finish(void)
{
    for (size_t i = 0; i < LOOPS; i++) {
        CHECK(!loops[i].broken);
        CHECK_INT(loops[i].finished, loops[i].submitted);
        fa_reactor_adopt(loops[i].reactor);
        for (size_t j = 0; j < JOBS; j++)
            fa_future_clean_up(&loops[i].errands[j].future);
        fa_free(loops[i].errands);
        fa_reactor_destroy(loops[i].reactor);
    }
}

static void share(uint64_t spin_ns)
{
    pthread_t threads[LOOPS];
    struct fa_executor *executor = NULL;
    struct fa_executor_options options = {
        .size = sizeof(options),
        .max_threads = 4,
        .queue_size = 8,
        .max_waiting = 4,
        .spin_ns = spin_ns,
    };
    CHECK_INT(fa_executor_new(&executor, &options), 0);
    begin(executor, 88172645463325252u);
    for (size_t i = 0; i < LOOPS; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, run_loop, &loops[i]), 0);
    for (size_t i = 0; i < LOOPS; i++)
        CHECK_INT(pthread_join(threads[i], NULL), 0);
    unsigned refused = loops[0].refused + loops[1].refused;
    unsigned cancelled = loops[0].cancelled + loops[1].cancelled;
    unsigned ran = loops[0].ran + loops[1].ran;
    struct fa_executor_stats stats;
    CHECK_INT(fa_executor_shutdown(executor, NULL, NULL), 0);
    fa_executor_get_stats(executor, &stats);
    CHECK_INT(stats.submitted, LOOPS * TOTAL);
    CHECK_INT(stats.completed, ran);
    CHECK_INT(stats.cancelled, cancelled);
    CHECK_INT(stats.refused, refused);
    CHECK_INT(stats.queued + stats.waiting + stats.running + stats.threads, 0);
    CHECK(ran > TOTAL / 100);
    CHECK(cancelled > TOTAL / 1000);
    CHECK(refused > 0);
    finish();
    fa_executor_destroy(executor);
}

TEST(two_reactors_share_one)
{
    share(0);
}

TEST(and_with_threads_that_spin)
{
    share(5000);
}

static void close_while_busy(unsigned round)
{
    pthread_t threads[LOOPS];
    struct fa_executor *executor = NULL;
    struct fa_executor_options options = {
        .size = sizeof(options),
        .max_threads = 1 + round % 3,
        .queue_size = 8,
        .max_waiting = round % 2 != 0 ? 8 : 0,
    };
    struct fa_executor_shutdown_options shut = {
        .size = sizeof(shut),
        .cancel_queued = round % 4 < 2,
        .cancel_running = round % 8 < 4,
    };
    CHECK_INT(fa_executor_new(&executor, &options), 0);
    begin(executor, 1234567 + round * LOOPS);
    for (size_t i = 0; i < LOOPS; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, run_loop, &loops[i]), 0);
    struct fa_executor_stats stats;
    do { /* somewhere in the middle: by work done, not by time */
        sched_yield();
        fa_executor_get_stats(executor, &stats);
    } while (stats.completed < round * 5);
    CHECK_INT(fa_executor_shutdown(executor, &shut, NULL), 0);
    for (size_t i = 0; i < LOOPS; i++)
        CHECK_INT(pthread_join(threads[i], NULL), 0);
    finish();
    fa_executor_destroy(executor);
}

TEST(shut_down_while_others_submit)
{
    for (unsigned round = 0; round < ROUNDS; round++)
        close_while_busy(round);
}

int main(void)
{
    RUN(two_reactors_share_one);
    RUN(and_with_threads_that_spin);
    RUN(shut_down_while_others_submit);
    return check_report();
}
