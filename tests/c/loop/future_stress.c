/* SPDX-License-Identifier: MIT */
/* Futures under stress: jobs that two other threads complete, with chains, combinations and
 * time limits on top, cancelled and cleaned up at random. Every result arrives exactly once,
 * every value is dropped exactly once, nothing stays. */
#include <fasterapi/future.h>

#include <pthread.h>

#include "check.h"

#define WORKERS 2
#define JOBS 64     /* at a time */
#define TOTAL 20000 /* in all */
#define US ((uint64_t)1000)

static struct fa_reactor *reactor;
static struct fa_reactor *workers[WORKERS];

static uint64_t random_state = 88172645463325252u;

static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* What the two threads hand to and fro; `out` outlives every mail. */
struct errand {
    struct fa_task task;
    struct job *job;
    struct fa_future *out; /* NULL: nobody waits any more */
    bool fails;
    bool under_way;
};

struct job {
    struct errand errands[2];
    struct fa_future asked[2];
    struct fa_future mapped[2];
    struct fa_future *list[2];
    struct fa_when when;
    struct fa_future combined;
    struct fa_timeout limit;
    struct fa_future limited;
    int results; /* must become 1 */
    bool over;
};

static struct job jobs[JOBS];
static unsigned started;
static unsigned finished;
static unsigned made;
static unsigned dropped;
static unsigned ends[3]; /* resolved, failed, cancelled */
static bool broken;

static void start_job(struct job *job);

static void on_drop(void *ptr)
{
    dropped++;
    fa_free(ptr);
}

static struct fa_value make_value(void)
{
    void *ptr = fa_malloc(1);
    CHECK(ptr != NULL);
    made++;
    return fa_value_ptr(ptr, on_drop);
}

/* ---- the other threads ----------------------------------------------------------------- */

static void bring_back(struct fa_task *task);

static void work(struct fa_task *task)
{
    task->callback = bring_back;
    fa_task_mail(reactor, task);
}

static void *run_worker(void *user)
{
    struct fa_reactor *own = user;
    fa_reactor_adopt(own);
    if (fa_reactor_run(own) < 0)
        broken = true;
    return NULL;
}

/* ---- on the loop ----------------------------------------------------------------------- */

static void reuse_if_idle(struct job *job)
{
    if (!job->over || job->errands[0].under_way || job->errands[1].under_way)
        return;
    broken = broken || job->results != 1;
    finished++;
    if (finished == TOTAL)
        fa_reactor_stop(reactor);
    else if (started < TOTAL)
        start_job(job);
}

static void clean_up_job(struct job *job)
{
    /* Any order must do. */
    bool forwards = random_next() % 2 != 0;
    struct fa_future *all[] = {&job->asked[0],  &job->asked[1], &job->mapped[0],
                               &job->mapped[1], &job->combined, &job->limited};
    for (size_t i = 0; i < FA_ARRAY_LEN(all); i++)
        fa_future_clean_up(all[forwards ? i : FA_ARRAY_LEN(all) - 1 - i]);
    job->over = true;
}

static void bring_back(struct fa_task *task)
{
    struct errand *errand = task->user;
    errand->under_way = false;
    if (errand->out != NULL && errand->fails)
        fa_future_fail_with(errand->out, FA_EUSER, make_value());
    else if (errand->out != NULL)
        fa_future_resolve(errand->out, make_value());
    errand->out = NULL;
    reuse_if_idle(errand->job);
}

static void on_cancel(struct fa_future *future, void *user)
{
    struct errand *errand = user;
    broken = broken || errand->out != future;
    errand->out = NULL;
}

static void map(struct fa_future *result, struct fa_value value, void *user)
{
    struct job *job = user;
    if (random_next() % 16 == 0)
        fa_future_cancel(&job->limited);
    fa_value_drop(value);
    if (random_next() % 8 == 0)
        fa_future_fail(result, FA_ENOENT);
    else
        fa_future_resolve(result, make_value());
}

static void on_result(struct fa_future *future, void *user)
{
    struct job *job = user;
    int error = fa_future_error(future);
    job->results++;
    ends[error == 0 ? 0 : error == FA_ECANCELLED ? 2 : 1]++;
    clean_up_job(job); /* frees the future that this is the continuation of */
    reuse_if_idle(job);
}

static void start_errand(struct job *job, size_t i)
{
    struct errand *errand = &job->errands[i];
    *errand = (struct errand){
        .task = {.callback = work, .user = errand},
        .job = job,
        .out = &job->asked[i],
        .fails = random_next() % 8 == 0,
        .under_way = true,
    };
    fa_future_on_cancel(&job->asked[i], on_cancel, errand);
    fa_task_mail(workers[i % WORKERS], &errand->task);
}

static void start_job(struct job *job)
{
    const struct fa_when_options options = {
        .size = sizeof(options),
        .cancel_rest = random_next() % 2 != 0,
        .skip_failures = random_next() % 2 != 0,
    };
    memset(job, 0, sizeof(*job));
    started++;
    for (size_t i = 0; i < 2; i++) {
        fa_future_init(&job->asked[i], reactor);
        fa_future_init(&job->mapped[i], reactor);
        job->list[i] = &job->mapped[i];
        start_errand(job, i);
        fa_future_then(&job->asked[i], &job->mapped[i], map, job);
    }
    fa_future_init(&job->combined, reactor);
    fa_future_init(&job->limited, reactor);
    CHECK_INT(
        fa_when_some(&job->when, &job->combined, job->list, 2, 1 + random_next() % 2, &options), 0);
    CHECK_INT(fa_future_timeout(&job->combined, &job->limited, &job->limit,
                                fa_reactor_now_ns(reactor) + (20 + random_next() % 400) * US, NULL),
              0);
    fa_future_on_ready(&job->limited, on_result, job);
    if (random_next() % 16 == 0)
        fa_future_cancel(&job->asked[random_next() % 2]);
}

TEST(random_jobs_between_threads)
{
    pthread_t threads[WORKERS];
    CHECK_INT(fa_reactor_new(&reactor, NULL), 0);
    for (size_t i = 0; i < WORKERS; i++) {
        CHECK_INT(fa_reactor_new(&workers[i], NULL), 0);
        CHECK_INT(pthread_create(&threads[i], NULL, run_worker, workers[i]), 0);
    }
    for (size_t i = 0; i < JOBS; i++)
        start_job(&jobs[i]);
    CHECK_INT(fa_reactor_run(reactor), 0);
    for (size_t i = 0; i < WORKERS; i++) {
        fa_reactor_stop(workers[i]);
        CHECK_INT(pthread_join(threads[i], NULL), 0);
        fa_reactor_destroy(workers[i]);
    }
    CHECK(!broken);
    CHECK_INT(finished, TOTAL);
    CHECK_INT(dropped, made);
    CHECK(fa_reactor_next_deadline_ns(reactor) == UINT64_MAX);
    for (size_t i = 0; i < FA_ARRAY_LEN(ends); i++)
        CHECK(ends[i] > TOTAL / 100);
    fa_reactor_destroy(reactor);
}

int main(void)
{
    RUN(random_jobs_between_threads);
    return check_report();
}
