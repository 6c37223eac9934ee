/* SPDX-License-Identifier: MIT */
/* executor_threads.c - the threads of an executor: how they start, find work, sleep and end.
 *
 *             called                     a job
 *   sleeping --------> looking (spins) --------> running
 *      ^                |    ^                      |
 *      +----------------+    +----------------------+
 *
 * `idle` counts those that look and those that sleep, in one number; a thread that is being
 * started, or has been called and not woken up yet, looks already. Whoever puts a job into the
 * ring, or takes one out and so stops looking, compares: with more jobs than threads that look it
 * calls a sleeper or starts a thread. So no job is forgotten in the ring: the last thread that
 * stops looking sees it.
 *
 * A burst calls no more threads than it has jobs, nor a lone job any while one looks. Nor do more
 * look than there are CPUs: one that looks waits for nothing else, so that another would come
 * no sooner, and each that takes a job calls the next. (Without this rule a burst of short jobs
 * wakes a thread for each: 20 times the CPU in bench_executor.)
 *
 * To sleep, a thread counts itself among the sleepers and then looks a last time, whereas others
 * publish and then look for sleepers. `calls` holds exactly one count for each sleeper that was
 * called; who finds a job in that last look takes itself off the sleepers, or, if it was called
 * meanwhile, takes the call.
 *
 * The lock guards starts and ends. It is not held while a thread is started: options.spawn may
 * want a lock of its own, such as the GIL, that another user of the executor holds. */
#include "loop/executor_int.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#define RETRY_NS UINT64_C(100000000) /* between attempts to start a thread: costs nothing then */

/* Whose thread this is. */
static _Thread_local struct fa_executor *serving;

/* ---- sleeping and waking ------------------------------------------------------------------- */

static unsigned looking(unsigned idle)
{
    return idle % FA__IDLE_SLEEPING;
}

static unsigned sleeping(unsigned idle)
{
    return idle / FA__IDLE_SLEEPING;
}

/* What a call changes. */
static unsigned called(unsigned idle)
{
    return idle - FA__IDLE_SLEEPING + FA__IDLE_LOOKING;
}

/* Whether no other thread needs to look. `idle` was read before this reads the ring: the other way
 * round a thread that takes its job in between would be missed, and one too many come for it. */
static bool enough_look(struct fa_executor *executor, unsigned idle)
{
    return looking(idle) >= executor->max_looking ||
           looking(idle) >= fa__ring_count(&executor->ring);
}

/* Makes a sleeper look; false: there is none. */
static bool call_sleeper(struct fa_executor *executor)
{
    unsigned idle = atomic_load(&executor->idle);
    do {
        if (sleeping(idle) == 0)
            return false;
    } while (!atomic_compare_exchange_weak(&executor->idle, &idle, called(idle)));
    return true;
}

static void wake_one(struct fa_executor *executor)
{
    atomic_fetch_add_explicit(&executor->wake_ups, 1, memory_order_relaxed);
    sem_post(&executor->calls);
}

/* An error is nobody's: the threads that run will do the work, and summon again. */
static void start_another(struct fa_executor *executor)
{
    if (atomic_load(&executor->threads) == executor->options.max_threads)
        return;
    int err = fa__executor_start_thread(executor);
    (void)err; /* counted */
}

void fa__executor_summon(struct fa_executor *executor)
{
    unsigned idle = atomic_load(&executor->idle);
    while (!enough_look(executor, idle)) {
        if (sleeping(idle) == 0) {
            start_another(executor);
            idle = atomic_load(&executor->idle);
            if (sleeping(idle) == 0)
                return;
        } else if (atomic_compare_exchange_weak(&executor->idle, &idle, called(idle))) {
            wake_one(executor);
            return;
        }
    }
}

/* The slots that are freed belong to those that wait, even if all that was in them had been
 * cancelled. */
static struct fa_job *take(struct fa_executor *executor)
{
    struct fa_job *job;
    bool refilled;
    do {
        job = fa__ring_pop(&executor->ring);
        refilled = fa__executor_refill(executor);
    } while (job == NULL && refilled);
    return job;
}

/* The caller looks before and after. A job that came at the last moment. */
static struct fa_job *sleep_until_called(struct fa_executor *executor)
{
    struct fa_job *job = NULL;
    atomic_fetch_add(&executor->idle, FA__IDLE_SLEEPING - FA__IDLE_LOOKING);
    bool closed = atomic_load(&executor->closed);
    if (!closed)
        job = take(executor);
    bool stay = job == NULL && !closed;
    if (stay || !call_sleeper(executor))
        while (sem_wait(&executor->calls) < 0 && errno == EINTR)
            ;
    return job;
}

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static struct fa_job *spin(struct fa_executor *executor)
{
    struct fa_job *job = NULL;
    if (atomic_fetch_add(&executor->spinning, 1) < executor->max_spinning) {
        uint64_t end_ns = fa_now_ns() + executor->options.spin_ns;
        do {
            relax();
            job = take(executor);
        } while (job == NULL && !atomic_load(&executor->closed) && fa_now_ns() < end_ns);
    }
    atomic_fetch_sub(&executor->spinning, 1);
    return job;
}

/* ---- working --------------------------------------------------------------------------------- */

/* The caller looks, and does not afterwards. NULL: closed, and nothing is left. A ring that looks
 * empty may hold jobs behind a place that its writer has not filled yet; that writer summons once
 * it has, but when it finds the executor closed it takes its job back and goes. */
static struct fa_job *next_job(struct fa_executor *executor)
{
    struct fa_job *job;
    for (;;) {
        bool closed = atomic_load(&executor->closed);
        job = take(executor);
        if (job == NULL && !closed && executor->options.spin_ns != 0)
            job = spin(executor);
        if (job == NULL && !closed)
            job = sleep_until_called(executor);
        if (job != NULL || (closed && fa__ring_count(&executor->ring) == 0))
            break;
        if (closed)
            sched_yield();
    }
    atomic_fetch_sub(&executor->idle, FA__IDLE_LOOKING);
    if (job != NULL)
        fa__executor_summon(executor);
    return job;
}

/* Looks again before the outcome is sent: what the reactor submits in answer finds a thread. */
static void run_job(struct fa_executor *executor, struct fa_job *job)
{
    struct fa_reactor *reactor = job->reactor;
    atomic_fetch_add_explicit(&executor->running, 1, memory_order_relaxed);
    job->run(job);
    atomic_fetch_sub_explicit(&executor->running, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&executor->completed, 1, memory_order_relaxed);
    atomic_fetch_add(&executor->idle, FA__IDLE_LOOKING);
    fa_task_mail(reactor, &job->task);
}

static void leave(struct fa_executor *executor)
{
    pthread_mutex_lock(&executor->lock);
    atomic_fetch_sub(&executor->threads, 1);
    pthread_cond_broadcast(&executor->changed);
    pthread_mutex_unlock(&executor->lock);
}

void fa_executor_serve(struct fa_executor *executor, unsigned index)
{
    const struct fa_executor_options *options = &executor->options;
    struct fa_job *job;
    FA_ASSERT(serving == NULL && index < options->max_threads);
    serving = executor;
    if (options->on_start != NULL)
        options->on_start(index, options->user);
    while ((job = next_job(executor)) != NULL)
        run_job(executor, job);
    if (options->on_stop != NULL)
        options->on_stop(index, options->user);
    serving = NULL;
    leave(executor);
}

/* ---- starting -------------------------------------------------------------------------------- */

static void *thread_main(void *user)
{
    struct fa__executor_thread *slot = user;
    char name[FA__EXECUTOR_NAME_SIZE + 12]; /* the index has four digits, the compiler thinks ten */
    (void)snprintf(name, sizeof(name), "%s-%u", slot->executor->name, slot->index);
    (void)pthread_setname_np(pthread_self(), name); /* for people only */
    fa_executor_serve(slot->executor, slot->index);
    return NULL;
}

/* Signals are for the threads that have always taken them; those of a fault hit the thread at
 * fault, and blocked they would kill the process past its handlers. */
static void signals_for_others(sigset_t *set)
{
    static const int of_faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    sigfillset(set);
    for (size_t i = 0; i < FA_ARRAY_LEN(of_faults); i++)
        sigdelset(set, of_faults[i]);
}

static int create_thread(struct fa__executor_thread *slot)
{
    sigset_t blocked;
    sigset_t before;
    pthread_attr_t attr;
    size_t stack_size = slot->executor->options.stack_size;
    if (pthread_attr_init(&attr) != 0)
        return FA_ENOMEM;
    int failed = stack_size != 0 ? pthread_attr_setstacksize(&attr, stack_size) : 0;
    if (failed == 0) {
        signals_for_others(&blocked);
        pthread_sigmask(SIG_SETMASK, &blocked, &before);
        failed = pthread_create(&slot->id, &attr, thread_main, slot);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    pthread_attr_destroy(&attr);
    return failed != 0 ? fa_error_from_errno(failed) : 0;
}

/* Whether another thread may be started; the one that is asked for may have come meanwhile. */
static bool may_start(struct fa_executor *executor)
{
    unsigned threads = atomic_load(&executor->threads);
    if (threads == 0)
        return true;
    if (executor->retry_ns != 0 && fa_now_ns() < executor->retry_ns)
        return false;
    unsigned idle = atomic_load(&executor->idle);
    return threads < executor->options.max_threads && sleeping(idle) == 0 &&
           !enough_look(executor, idle);
}

/* A slot for a thread, which counts from here on as one that looks. */
static int reserve(struct fa_executor *executor, struct fa__executor_thread **out)
{
    int err = 0;
    unsigned at = 0;
    pthread_mutex_lock(&executor->lock);
    if (atomic_load(&executor->closed)) {
        err = FA_ECLOSED;
    } else if (!may_start(executor)) {
        err = FA_EAGAIN;
    } else {
        while (executor->slots[at].used)
            at++;
        executor->slots[at].used = true;
        executor->starting++;
        atomic_fetch_add(&executor->threads, 1);
        atomic_fetch_add(&executor->idle, FA__IDLE_LOOKING);
    }
    pthread_mutex_unlock(&executor->lock);
    *out = &executor->slots[at];
    return err;
}

/* Others may have relied on the thread that did not come. */
static void give_up(struct fa_executor *executor, int err)
{
    atomic_fetch_add(&executor->start_failures, 1);
    atomic_fetch_sub(&executor->idle, FA__IDLE_LOOKING);
    if (atomic_load(&executor->threads) == 0)
        fa__executor_end_queued(executor, err);
    else
        fa__executor_summon(executor);
}

int fa__executor_start_thread(struct fa_executor *executor)
{
    struct fa__executor_thread *slot;
    int err = reserve(executor, &slot);
    if (err < 0)
        return err;
    const struct fa_executor_options *options = &executor->options;
    bool foreign = options->spawn != NULL;
    err = foreign ? options->spawn(executor, slot->index, options->user) : create_thread(slot);
    pthread_mutex_lock(&executor->lock);
    slot->joinable = err == 0 && !foreign;
    executor->retry_ns = 0;
    if (err < 0) {
        slot->used = false;
        atomic_fetch_sub(&executor->threads, 1);
        executor->retry_ns = fa_now_ns() + RETRY_NS;
    }
    executor->starting--;
    pthread_cond_broadcast(&executor->changed);
    pthread_mutex_unlock(&executor->lock);
    if (err < 0)
        give_up(executor, err);
    return err;
}

/* ---- the end -----------------------------------------------------------------------------------
 */

static void close_queue(struct fa_executor *executor)
{
    pthread_mutex_lock(&executor->lock);
    atomic_store(&executor->closed, true);
    pthread_mutex_unlock(&executor->lock);
}

/* Closed, so that only submitters who were faster have to be waited for: see next_job. */
static void cancel_queued(struct fa_executor *executor)
{
    fa__executor_end_queued(executor, FA_ECANCELLED);
    while (fa__ring_count(&executor->ring) != 0) {
        sched_yield();
        fa__executor_end_queued(executor, FA_ECANCELLED);
    }
}

/* Until all have gone, and the slots of all that have started are filled in. */
static int wait_for_threads(struct fa_executor *executor, uint64_t deadline_ns)
{
    struct timespec deadline = {
        .tv_sec = (time_t)(deadline_ns / 1000000000),
        .tv_nsec = (long)(deadline_ns % 1000000000),
    };
    int failed = 0;
    pthread_mutex_lock(&executor->lock);
    while (failed == 0 && (atomic_load(&executor->threads) != 0 || executor->starting != 0)) {
        if (deadline_ns == 0)
            failed = pthread_cond_wait(&executor->changed, &executor->lock);
        else
            failed = pthread_cond_timedwait(&executor->changed, &executor->lock, &deadline);
    }
    pthread_mutex_unlock(&executor->lock);
    return failed != 0 ? FA_ETIMEDOUT : 0;
}

/* They have left the executor, so this takes no time. */
static void join_threads(struct fa_executor *executor)
{
    for (unsigned i = 0; i < executor->options.max_threads; i++) {
        struct fa__executor_thread *slot = &executor->slots[i];
        pthread_mutex_lock(&executor->lock);
        bool join = slot->joinable;
        slot->joinable = false;
        pthread_mutex_unlock(&executor->lock);
        if (join)
            pthread_join(slot->id, NULL);
    }
}

int fa_executor_shutdown(struct fa_executor *executor,
                         const struct fa_executor_shutdown_options *options,
                         struct fa_executor_left *left)
{
    struct fa_executor_shutdown_options chosen = {.size = sizeof(chosen)};
    if (options != NULL && options->size != sizeof(*options))
        return FA_EINVAL;
    if (options != NULL)
        chosen = *options;
    if (serving == executor)
        return FA_EWRONGTHREAD;
    close_queue(executor);
    if (chosen.cancel_running)
        atomic_store(&executor->cancel_running, true);
    if (chosen.cancel_queued)
        cancel_queued(executor);
    while (call_sleeper(executor))
        wake_one(executor);
    int err = wait_for_threads(executor, chosen.deadline_ns);
    if (err == 0)
        join_threads(executor);
    if (left != NULL)
        *left = (struct fa_executor_left){
            .queued = fa__ring_count(&executor->ring) + atomic_load(&executor->n_waiting),
            .running = atomic_load(&executor->running),
            .threads = atomic_load(&executor->threads),
        };
    return err;
}
