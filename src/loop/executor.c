/* SPDX-License-Identifier: MIT */
/* executor.c - jobs on their way to the threads and back (see executor.h). Owns the ring, the
 * jobs that wait behind it, and the executor itself; the threads are in executor_threads.c.
 *
 *   submit -> ring -> thread -> mailbox of the reactor -> deliver
 *        \-> waiting -^
 *
 * The way in takes no lock: a thread that the kernel stops in the wrong moment must not stop the
 * loop with it. Only what waits behind a full ring is under the lock. The way back is a
 * task mailed to the reactor. The mailbox has what a ring of completions would be built for: an
 * uncontended push of a few nanoseconds, one write to the eventfd for all that come before the
 * reactor looks, the order of each thread; and it is polled already.
 *
 * Two orders keep anything from being forgotten; all accesses in them are sequentially consistent.
 *   A job waits:  its number is raised, then the ring is tried | a slot is freed, then the number
 *                 is read
 *   Closing:      closed is set, then the ring is emptied      | a job is published, then closed
 *                 is read, and the job taken back if it is still there */
#include "loop/executor_int.h"

#include <sched.h>
#include <stdio.h>
#include <time.h>

#include <fasterapi/alloc.h>

#include "loop/numa.h"

#define DEFAULT_THREADS 40
#define DEFAULT_QUEUE 1024
#define DEFAULT_NAME "fa-exec"
/* No reason but that more is a mistake: a number meant for something else. */
#define MAX_THREADS 4096
_Static_assert(MAX_THREADS < FA__IDLE_SLEEPING, "as many looking threads as `idle` can count");
#define MAX_QUEUE ((size_t)1 << 24)

/* ---- life cycle ------------------------------------------------------------------------- */

static int choose(struct fa_executor_options *chosen, const struct fa_executor_options *options)
{
    if (options != NULL) {
        if (options->size != sizeof(*options) || options->max_threads > MAX_THREADS ||
            options->queue_size > MAX_QUEUE)
            return FA_EINVAL;
        *chosen = *options;
    }
    if (chosen->max_threads == 0)
        chosen->max_threads = DEFAULT_THREADS;
    if (chosen->queue_size == 0)
        chosen->queue_size = DEFAULT_QUEUE;
    size_t rounded = 2;
    while (rounded < chosen->queue_size)
        rounded *= 2;
    chosen->queue_size = rounded;
    if (chosen->numa && fa__numa_has_nodes())
        return FA_ENOTSUP;
    return 0;
}

/* CPUs that this process may use. */
static unsigned count_cpus(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) < 0)
        return 1; /* more than fit into the set; the wrong guess costs the spin only */
    return (unsigned)CPU_COUNT(&set);
}

/* A spinning thread on the only CPU keeps the work that it waits for from being submitted. */
static void fit_to_cpus(struct fa_executor *executor)
{
    executor->max_looking = count_cpus();
    executor->max_spinning = executor->max_looking / 2;
    if (executor->max_spinning == 0)
        executor->options.spin_ns = 0;
}

static int init_lock(struct fa_executor *executor)
{
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0)
        return FA_ENOMEM;
    int failed = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    if (failed == 0)
        failed = pthread_cond_init(&executor->changed, &attr);
    pthread_condattr_destroy(&attr);
    if (failed != 0)
        return fa_error_from_errno(failed);
    failed = pthread_mutex_init(&executor->lock, NULL);
    if (failed == 0)
        return 0;
    pthread_cond_destroy(&executor->changed);
    return fa_error_from_errno(failed);
}

static int allocate(struct fa_executor *executor)
{
    unsigned count = executor->options.max_threads;
    executor->slots = fa_calloc(count, sizeof(*executor->slots));
    if (executor->slots == NULL)
        return FA_ENOMEM;
    for (unsigned i = 0; i < count; i++) {
        executor->slots[i].executor = executor;
        executor->slots[i].index = i;
    }
    int err = fa__ring_init(&executor->ring, executor->options.queue_size);
    if (err < 0)
        goto free_slots;
    err = init_lock(executor);
    if (err < 0)
        goto free_ring;
    sem_init(&executor->calls, 0, 0); /* fails only for numbers that it does not know */
    return 0;
free_ring:
    fa__ring_clean_up(&executor->ring);
free_slots:
    fa_free(executor->slots);
    return err;
}

int fa_executor_new(struct fa_executor **out, const struct fa_executor_options *options)
{
    struct fa_executor_options chosen = {.size = sizeof(chosen)};
    int err = choose(&chosen, options);
    if (err < 0)
        return err;
    struct fa_executor *executor = fa_calloc(1, sizeof(*executor));
    if (executor == NULL)
        return FA_ENOMEM;
    executor->options = chosen;
    fit_to_cpus(executor);
    const char *name = chosen.name != NULL ? chosen.name : DEFAULT_NAME;
    (void)snprintf(executor->name, sizeof(executor->name), "%s", name);
    executor->options.name = executor->name;
    fa_list_init(&executor->waiting);
    err = allocate(executor);
    if (err < 0) {
        fa_free(executor);
        return err;
    }
    *out = executor;
    return 0;
}

static void free_memory(struct fa_executor *executor)
{
    fa__ring_clean_up(&executor->ring);
    fa_free(executor->slots);
    fa_free(executor);
}

void fa_executor_destroy(struct fa_executor *executor)
{
    if (executor == NULL)
        return;
    const struct fa_executor_shutdown_options options = {
        .size = sizeof(options),
        .cancel_queued = true,
    };
    int err = fa_executor_shutdown(executor, &options, NULL);
    FA_ASSERT(err == 0); /* not from one of its threads */
    sem_destroy(&executor->calls);
    pthread_mutex_destroy(&executor->lock);
    pthread_cond_destroy(&executor->changed);
    free_memory(executor);
}

void fa_executor_after_fork(struct fa_executor *executor)
{
    free_memory(executor); /* the lock may be one that a thread of the parent holds */
}

void fa_executor_get_stats(struct fa_executor *executor, struct fa_executor_stats *out)
{
    *out = (struct fa_executor_stats){
        .submitted = atomic_load(&executor->submitted),
        .refused = atomic_load(&executor->refused),
        .completed = atomic_load(&executor->completed),
        .cancelled = atomic_load(&executor->cancelled),
        .wake_ups = atomic_load(&executor->wake_ups),
        .queued = fa__ring_count(&executor->ring),
        .waiting = atomic_load(&executor->n_waiting),
        .running = atomic_load(&executor->running),
        .threads = atomic_load(&executor->threads),
        .sleeping = atomic_load(&executor->idle) / FA__IDLE_SLEEPING,
        .start_failures = atomic_load(&executor->start_failures),
        .spin_ns = executor->options.spin_ns,
    };
}

enum fa_numa fa_executor_numa(const struct fa_executor *executor)
{
    return executor->options.numa ? FA_NUMA_ONE_NODE : FA_NUMA_OFF;
}

/* ---- the outcome -------------------------------------------------------------------------- */

static void settle_future(struct fa_job *job)
{
    struct fa_future *future = job->future;
    struct fa_value value = job->value;
    job->future = NULL;
    job->value = fa_value_none();
    if (job->error == 0)
        fa_future_resolve(future, value);
    else
        fa_future_fail_with(future, job->error, value);
}

static void drop_value(struct fa_job *job)
{
    struct fa_value value = job->value;
    job->value = fa_value_none();
    fa_value_drop(value);
}

/* On the reactor's thread: the job is over. */
static void deliver(struct fa_task *task)
{
    struct fa_job *job = FA_CONTAINER_OF(task, struct fa_job, task);
    fa_job_fn *done = job->done;
    job->executor = NULL;
    if (job->future != NULL)
        settle_future(job);
    else if (job->given_up || done == NULL)
        drop_value(job);
    if (done != NULL)
        done(job);
}

static void end_unrun(struct fa_executor *executor, struct fa_job *job, int error)
{
    job->error = error;
    atomic_fetch_add(&executor->cancelled, 1);
    fa_task_mail(job->reactor, &job->task);
}

void fa__executor_end_queued(struct fa_executor *executor, int error)
{
    struct fa_job *job;
    struct fa_list *link;
    /* What waits first: it would move up into the ring. */
    pthread_mutex_lock(&executor->lock);
    while ((link = fa_list_pop_front(&executor->waiting)) != NULL) {
        atomic_fetch_sub(&executor->n_waiting, 1);
        end_unrun(executor, FA_CONTAINER_OF(link, struct fa_job, link), error);
    }
    pthread_mutex_unlock(&executor->lock);
    while ((job = fa__ring_pop(&executor->ring)) != NULL)
        end_unrun(executor, job, error);
}

/* ---- in -------------------------------------------------------------------------------------- */

/* Under the lock. A job that is in the ring may be gone at once: its link is undone before. */
static bool move_up(struct fa_executor *executor)
{
    struct fa_list *link;
    bool moved = false;
    while ((link = fa_list_pop_front(&executor->waiting)) != NULL) {
        struct fa_job *job = FA_CONTAINER_OF(link, struct fa_job, link);
        if (!fa__ring_push(&executor->ring, job, &job->ticket)) {
            fa_list_push_front(&executor->waiting, link);
            break;
        }
        atomic_fetch_sub(&executor->n_waiting, 1);
        moved = true;
    }
    return moved;
}

bool fa__executor_refill(struct fa_executor *executor)
{
    if (FA_LIKELY(atomic_load(&executor->n_waiting) == 0))
        return false;
    pthread_mutex_lock(&executor->lock);
    bool moved = move_up(executor);
    pthread_mutex_unlock(&executor->lock);
    return moved;
}

static int wait_in_line(struct fa_executor *executor, struct fa_job *job)
{
    int err = 0;
    pthread_mutex_lock(&executor->lock);
    if (atomic_load(&executor->closed)) {
        err = FA_ECLOSED;
    } else if (atomic_load(&executor->n_waiting) >= executor->options.max_waiting) {
        err = FA_EAGAIN;
    } else {
        job->waited = true;
        fa_list_push_back(&executor->waiting, &job->link);
        atomic_fetch_add(&executor->n_waiting, 1);
        move_up(executor);
    }
    pthread_mutex_unlock(&executor->lock);
    return err;
}

static int enqueue(struct fa_executor *executor, struct fa_job *job)
{
    /* Nobody overtakes those that wait. */
    if (atomic_load(&executor->n_waiting) == 0 &&
        fa__ring_push(&executor->ring, job, &job->ticket)) {
        bool late =
            atomic_load(&executor->closed) && fa__ring_remove(&executor->ring, job->ticket, job);
        return late ? FA_ECLOSED : 0;
    }
    return executor->options.max_waiting != 0 ? wait_in_line(executor, job) : FA_EAGAIN;
}

static void on_future_cancelled(struct fa_future *future, void *user)
{
    struct fa_job *job = user;
    (void)future;
    job->future = NULL;
    job->given_up = true;
    fa_job_cancel(job);
}

static void prepare(struct fa_executor *executor, struct fa_reactor *reactor, struct fa_job *job)
{
    job->value = fa_value_none();
    job->error = 0;
    job->executor = executor;
    job->reactor = reactor;
    job->task = (struct fa_task){.callback = deliver};
    fa_list_init(&job->link);
    job->waited = false;
    job->given_up = false;
    job->cancelled = 0;
}

/* The first thread is started before its job is taken, so that the error is the caller's. Another
 * submitter may have got it in between. */
static int ensure_thread(struct fa_executor *executor)
{
    if (FA_LIKELY(atomic_load(&executor->threads) != 0))
        return 0;
    int err = fa__executor_start_thread(executor);
    return atomic_load(&executor->threads) != 0 ? 0 : err;
}

int fa_executor_submit(struct fa_executor *executor, struct fa_reactor *reactor, struct fa_job *job)
{
    FA_ASSERT(job->executor == NULL && job->run != NULL);
    if (!fa_reactor_on_owner(reactor))
        return FA_EWRONGTHREAD;
    if (atomic_load(&executor->closed))
        return FA_ECLOSED;
    int err = ensure_thread(executor);
    if (FA_LIKELY(err == 0)) {
        prepare(executor, reactor, job);
        err = enqueue(executor, job);
    }
    if (FA_UNLIKELY(err < 0)) {
        job->executor = NULL;
        if (err == FA_EAGAIN)
            atomic_fetch_add(&executor->refused, 1);
        return err;
    }
    /* It may run by now, but its outcome waits for this thread. */
    if (job->future != NULL)
        fa_future_on_cancel(job->future, on_future_cancelled, job);
    atomic_fetch_add_explicit(&executor->submitted, 1, memory_order_relaxed);
    fa__executor_summon(executor);
    return 0;
}

/* ---- cancelling --------------------------------------------------------------------------------
 */

/* Whether the job was found where it waits, or in the ring. Who moved it from here to there wrote
 * the ticket under the lock. */
static bool take_back(struct fa_executor *executor, struct fa_job *job)
{
    bool waiting = false;
    if (job->waited) {
        pthread_mutex_lock(&executor->lock);
        waiting = fa_list_linked(&job->link);
        if (waiting) {
            fa_list_unlink(&job->link);
            atomic_fetch_sub(&executor->n_waiting, 1);
        }
        pthread_mutex_unlock(&executor->lock);
    }
    return waiting || fa__ring_remove(&executor->ring, job->ticket, job);
}

bool fa_job_cancel(struct fa_job *job)
{
    struct fa_executor *executor = job->executor;
    if (executor == NULL || job->cancelled != 0)
        return false;
    FA_ASSERT(fa_reactor_on_owner(job->reactor));
    /* Not an _Atomic in the header, which C++ reads as well. */
    __atomic_store_n(&job->cancelled, 1, __ATOMIC_RELAXED);
    if (!take_back(executor, job))
        return false;
    job->error = FA_ECANCELLED;
    atomic_fetch_add(&executor->cancelled, 1);
    fa_task_post(job->reactor, &job->task, FA_PRIORITY_NORMAL);
    return true;
}

bool fa_job_is_cancelled(const struct fa_job *job)
{
    return __atomic_load_n(&job->cancelled, __ATOMIC_RELAXED) != 0 ||
           atomic_load_explicit(&job->executor->cancel_running, memory_order_relaxed);
}
