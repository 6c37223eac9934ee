/* SPDX-License-Identifier: MIT */
/* executor_jobs.h - what the tests of the executor share: a reactor, jobs that count, jobs that
 * stand still until they are let go. */
#ifndef FA_TESTS_EXECUTOR_JOBS_H
#define FA_TESTS_EXECUTOR_JOBS_H

#include <pthread.h>
#include <semaphore.h>

#include <fasterapi/executor.h>

#include "check.h"

static struct fa_reactor *reactor;
static struct fa_executor *executor;
static int done_count;
static int last_error;

/* A job and where it is. */
struct work {
    struct fa_job job;
    int runs;    /* written by the thread, read after `done` */
    int done;    /* outcomes */
    sem_t began; /* of one that stands still */
    sem_t leave;
    bool told; /* it saw that it was cancelled */
};

static inline void on_done(struct fa_job *job)
{
    struct work *work = job->user;
    work->done++;
    done_count++;
    last_error = job->error;
    if (!fa_reactor_on_owner(reactor) || job->future != NULL || job->executor != NULL)
        check_fail(__FILE__, __LINE__, "done in the wrong place");
}

static inline void run_once(struct fa_job *job)
{
    struct work *work = job->user;
    work->runs++;
    job->value = fa_value_i64(work->runs);
}

static inline void stand_still(struct fa_job *job)
{
    struct work *work = job->user;
    work->runs++;
    sem_post(&work->began);
    while (sem_wait(&work->leave) < 0)
        ;
    work->told = fa_job_is_cancelled(job);
}

static inline void prepare_work(struct work *work, fa_job_fn *run)
{
    memset(work, 0, sizeof(*work));
    work->job.run = run;
    work->job.done = on_done;
    work->job.user = work;
    sem_init(&work->began, 0, 0);
    sem_init(&work->leave, 0, 0);
}

static inline int submit(struct work *work)
{
    return fa_executor_submit(executor, reactor, &work->job);
}

static inline void start(struct work *work, fa_job_fn *run)
{
    prepare_work(work, run);
    CHECK_INT(submit(work), 0);
}

/* Has a thread run into the job. */
static inline void block_thread(struct work *work)
{
    start(work, stand_still);
    CHECK_INT(sem_wait(&work->began), 0);
}

static inline void turn(int64_t timeout_ns)
{
    CHECK(fa_reactor_wait(reactor, timeout_ns) >= 0);
    fa_reactor_collect(reactor);
    (void)fa_reactor_dispatch(reactor, 0);
}

/* Until `count` outcomes in all have been delivered. */
static inline void turn_until(int count)
{
    while (done_count < count)
        turn(-1);
    CHECK_INT(done_count, count);
}

static inline struct fa_executor_stats stats(void)
{
    struct fa_executor_stats out;
    fa_executor_get_stats(executor, &out);
    return out;
}

static inline void begin(struct fa_executor_options options)
{
    options.size = sizeof(options);
    done_count = 0;
    last_error = 0;
    CHECK_INT(fa_reactor_new(&reactor, NULL), 0);
    CHECK_INT(fa_executor_new(&executor, &options), 0);
}

static inline void end(void)
{
    CHECK_INT(fa_executor_shutdown(executor, NULL, NULL), 0);
    int before = done_count;
    turn(0);
    CHECK_INT(done_count, before);
    fa_executor_destroy(executor);
    fa_reactor_destroy(reactor);
}

#define BEGIN(...) begin((struct fa_executor_options){__VA_ARGS__})

#endif
