/* SPDX-License-Identifier: MIT */
/* bench_executor.c - what it takes to have a job done on another thread.
 *
 *     bench_executor [--json] [--rounds N]
 *
 * Each line is the median of the rounds (11 unless told), per job, wall clock and CPU of the
 * whole process; with the wake-ups of sleeping threads, the turns of the reactor, and the
 * allocations that the timed jobs made, which must be none. The job does nothing.
 *
 *   hop            one at a time: submit, run, outcome delivered on the reactor
 *   hop, spin      the same, where a thread (and in the second line the reactor too) looks for
 *                  20 us before it sleeps
 *   64 at once     submitted together, then waited for; on 1, 4 and 40 threads
 *   64, work       jobs of 20 us of CPU, on 1 and 2 threads; where 2 are as many as the CPUs
 *                  half the time is the limit
 *   overflow       64 at once through a ring of 16: the rest waits behind it
 *   cancel         64 queued behind a thread that is busy, all cancelled
 *   mail           for comparison: two reactors on two threads hand a task to and fro; what
 *                  a hop costs without ring and executor, both ways by mailbox
 *
 * What the defaults rest on (two EPYC cores that others used as well; CPU per job):
 *
 *   spin_ns 0      a hop takes 4.9 us without, 7.0 where the threads spin, 31 where the loop does
 *                  too: what spins keeps the CPU from what it waits for, unless one is idle
 *   max_threads 40 0.4 to 0.5 us instead of 0.3 with one thread: threads that are not needed
 *                  cost little, those that are missing stop everything behind a blocked job
 *   max_waiting 0  0.5 us through a ring of 16, 0.4 through one that is large enough: it is
 *                  no dearer, but who submits shall hear that it is too much
 *   queue_size     1024 places are 16 kB, and more than a loop submits in a turn */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <fasterapi/alloc.h>
#include <fasterapi/executor.h>

#define MAX_ROUNDS 101
#define BATCH 64
#define SPIN_NS 20000
#define WORK_NS 20000

static struct fa_reactor *reactor;
static struct fa_executor *executor;
static struct fa_job jobs[BATCH];
static uint64_t delivered;
static uint64_t submitted;

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "bench_executor: %s failed\n", what);
    exit(1);
}

static void turn(void)
{
    must(fa_reactor_wait(reactor, -1) >= 0, "fa_reactor_wait");
    fa_reactor_collect(reactor);
    (void)fa_reactor_dispatch(reactor, 0);
}

static void run_nothing(struct fa_job *job)
{
    (void)job;
}

static uint64_t clock_ns(clockid_t id)
{
    struct timespec now;
    must(clock_gettime(id, &now) == 0, "clock_gettime");
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void run_work(struct fa_job *job)
{
    (void)job;
    uint64_t end_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) + WORK_NS;
    while (clock_ns(CLOCK_THREAD_CPUTIME_ID) < end_ns)
        ;
}

static void on_done(struct fa_job *job)
{
    (void)job;
    delivered++;
}

static void submit(struct fa_job *job, fa_job_fn *run)
{
    job->run = run;
    job->done = on_done;
    must(fa_executor_submit(executor, reactor, job) == 0, "fa_executor_submit");
    submitted++;
}

/* ---- the cases: each does `count` jobs --------------------------------------------------------
 */

static void hop(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        submit(&jobs[0], run_nothing);
        while (delivered < submitted)
            turn();
    }
}

static void run_batches(uint64_t count, fa_job_fn *run)
{
    for (uint64_t done = 0; done < count; done += BATCH) {
        for (size_t i = 0; i < BATCH; i++)
            submit(&jobs[i], run);
        while (delivered < submitted)
            turn();
    }
}

static void at_once(uint64_t count)
{
    run_batches(count, run_nothing);
}

static void at_once_work(uint64_t count)
{
    run_batches(count, run_work);
}

static sem_t busy;
static sem_t leave;

static void run_blocked(struct fa_job *job)
{
    (void)job;
    sem_post(&busy);
    while (sem_wait(&leave) < 0)
        ;
}

static void cancel(uint64_t count)
{
    struct fa_job blocker = {0};
    submit(&blocker, run_blocked);
    while (sem_wait(&busy) < 0)
        ;
    for (uint64_t done = 0; done < count; done += BATCH) {
        for (size_t i = 0; i < BATCH; i++)
            submit(&jobs[i], run_nothing);
        for (size_t i = 0; i < BATCH; i++)
            must(fa_job_cancel(&jobs[i]), "fa_job_cancel");
        while (delivered + 1 < submitted)
            turn();
    }
    sem_post(&leave);
    while (delivered < submitted)
        turn();
}

/* ---- two reactors ------------------------------------------------------------------------------
 */

static struct fa_reactor *other;
static bool ball_is_back;

static void catch_ball(struct fa_task *task)
{
    (void)task;
    ball_is_back = true;
}

static void return_ball(struct fa_task *task)
{
    task->callback = catch_ball;
    fa_task_mail(reactor, task);
}

static void *run_other(void *user)
{
    fa_reactor_adopt(user);
    must(fa_reactor_run(user) == 0, "fa_reactor_run");
    return NULL;
}

static void mail(uint64_t count)
{
    pthread_t thread;
    struct fa_task ball = {0};
    must(fa_reactor_new(&other, NULL) == 0, "fa_reactor_new");
    must(pthread_create(&thread, NULL, run_other, other) == 0, "pthread_create");
    for (uint64_t i = 0; i < count; i++) {
        ball.callback = return_ball;
        ball_is_back = false;
        fa_task_mail(other, &ball);
        while (!ball_is_back)
            turn();
    }
    fa_reactor_stop(other);
    must(pthread_join(thread, NULL) == 0, "pthread_join");
    fa_reactor_destroy(other);
}

/* ---- measuring ---------------------------------------------------------------------------------
 */

struct bench {
    const char *name;
    void (*body)(uint64_t count);
    uint64_t count; /* jobs in a round */
    size_t queue_size;
    uint64_t spin_ns;
    uint64_t reactor_spin_ns;
    unsigned threads;
    bool allocates; /* what is timed makes a reactor */
};

static const struct bench benches[] = {
    {"hop", hop, 5000, 0, 0, 0, 40, false},
    {"hop, threads spin", hop, 5000, 0, SPIN_NS, 0, 40, false},
    {"hop, threads and loop spin", hop, 5000, 0, SPIN_NS, SPIN_NS, 40, false},
    {"mail, no executor", mail, 5000, 0, 0, 0, 1, true},
    {"64 at once, 1 thread", at_once, 64000, 0, 0, 0, 1, false},
    {"64 at once, 4 threads", at_once, 64000, 0, 0, 0, 4, false},
    {"64 at once, 40 threads", at_once, 64000, 0, 0, 0, 40, false},
    {"64 at once, 40 thr., spin", at_once, 64000, 0, SPIN_NS, 0, 40, false},
    {"64 of 20 us, 1 thread", at_once_work, 1280, 0, 0, 0, 1, false},
    {"64 of 20 us, 2 threads", at_once_work, 1280, 0, 0, 0, 2, false},
    {"64 of 20 us, 2 thr., spin", at_once_work, 1280, 0, SPIN_NS, 0, 2, false},
    {"overflow, 64 by a ring of 16", at_once, 64000, 16, 0, 0, 4, false},
    {"cancel, 64 queued", cancel, 64000, 0, 0, 0, 1, false},
};

struct figures {
    double wall_ns[MAX_ROUNDS];
    double cpu_ns[MAX_ROUNDS];
    double wake_ups;
    double turns;
    uint64_t allocations;
};

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof(values[0]), by_value);
    return values[count / 2];
}

static void set_up(const struct bench *bench)
{
    struct fa_reactor_options loop_options = {
        .size = sizeof(loop_options),
        .spin_ns = bench->reactor_spin_ns,
    };
    struct fa_executor_options options = {
        .size = sizeof(options),
        .max_threads = bench->threads,
        .queue_size = bench->queue_size,
        .max_waiting = BATCH,
        .spin_ns = bench->spin_ns,
    };
    must(fa_reactor_new(&reactor, &loop_options) == 0, "fa_reactor_new");
    must(fa_executor_new(&executor, &options) == 0, "fa_executor_new");
    memset(jobs, 0, sizeof(jobs));
    delivered = 0;
    submitted = 0;
}

static void tear_down(void)
{
    must(fa_executor_shutdown(executor, NULL, NULL) == 0, "fa_executor_shutdown");
    fa_executor_destroy(executor);
    fa_reactor_destroy(reactor);
}

static void measure(const struct bench *bench, size_t rounds, struct figures *out)
{
    struct fa_executor_stats before;
    struct fa_executor_stats after;
    struct fa_reactor_stats loop_before;
    struct fa_reactor_stats loop_after;
    bench->body(bench->count / 10 + 1); /* starts the threads */
    double all = (double)bench->count * (double)rounds;
    fa_executor_get_stats(executor, &before);
    fa_reactor_get_stats(reactor, &loop_before);
    uint64_t allocations = fa_alloc_count();
    for (size_t i = 0; i < rounds; i++) {
        uint64_t cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
        uint64_t wall_ns = clock_ns(CLOCK_MONOTONIC);
        bench->body(bench->count);
        out->wall_ns[i] = (double)(clock_ns(CLOCK_MONOTONIC) - wall_ns) / (double)bench->count;
        out->cpu_ns[i] =
            (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns) / (double)bench->count;
    }
    out->allocations = fa_alloc_count() - allocations;
    fa_executor_get_stats(executor, &after);
    fa_reactor_get_stats(reactor, &loop_after);
    out->wake_ups = (double)(after.wake_ups - before.wake_ups) / all;
    out->turns = (double)(loop_after.polls - loop_before.polls) / all;
}

static int run_bench(const struct bench *bench, size_t rounds, bool json, bool first)
{
    struct figures figures;
    set_up(bench);
    measure(bench, rounds, &figures);
    tear_down();
    double wall_ns = median(figures.wall_ns, rounds);
    double cpu_ns = median(figures.cpu_ns, rounds);
    if (json)
        printf("%s{\"name\":\"%s\",\"wall_ns\":%.1f,\"cpu_ns\":%.1f,\"wake_ups\":%.3f,"
               "\"turns\":%.3f,\"allocations\":%llu}",
               first ? "" : ",", bench->name, wall_ns, cpu_ns, figures.wake_ups, figures.turns,
               (unsigned long long)figures.allocations);
    else
        printf("%-28s %9.0f ns  (CPU %9.0f)  %5.2f wake-ups  %5.2f turns  %llu allocations\n",
               bench->name, wall_ns, cpu_ns, figures.wake_ups, figures.turns,
               (unsigned long long)figures.allocations);
    fflush(stdout);
    return figures.allocations == 0 || bench->allocates ? 0 : -1;
}

static int run(size_t rounds, bool json)
{
    int failed = 0;
    if (json)
        printf("{\"rounds\":%zu,\"job_bytes\":%zu,\"cases\":[", rounds, sizeof(struct fa_job));
    for (size_t i = 0; i < FA_ARRAY_LEN(benches); i++)
        failed |= run_bench(&benches[i], rounds, json, i == 0) < 0;
    if (json)
        printf("]}\n");
    return failed;
}

int main(int argc, char **argv)
{
    size_t rounds = 11;
    bool json = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            json = true;
        else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
            rounds = (size_t)strtoul(argv[++i], NULL, 10);
        else
            rounds = 0;
    }
    if (rounds < 1 || rounds > MAX_ROUNDS) {
        fprintf(stderr, "usage: bench_executor [--json] [--rounds N: 1 to %d]\n", MAX_ROUNDS);
        return 2;
    }
    sem_init(&busy, 0, 0);
    sem_init(&leave, 0, 0);
    return run(rounds, json);
}
