/* SPDX-License-Identifier: MIT */
/* executor.h - threads for work that blocks, in front of them a bounded queue, and the way back
 * to the reactor that asked.
 *
 * A job is the caller's storage, like a task of the reactor: nothing is allocated for it.
 *
 *   idle -> waiting -> queued -> running -> over -> (delivered) -> idle
 *              |          |                  ^
 *              +----------+---- cancelled ---+
 *
 * On which thread. A job is submitted on the thread of its reactor; `run` is called on a thread
 * of the executor, and may touch the job and what hangs on it, nothing of a reactor. Everything
 * else comes back: the outcome is delivered on the reactor's thread, as ready work of normal
 * priority. Several reactors may share an executor.
 *
 * The outcome. `run` leaves job->error (0, or negative) and job->value (the detail of the failure
 * if there is one). A job with a future completes it with them. Then `done` is called, and that is
 * the last that the executor does with the job: its storage may be freed or submitted again.
 *
 * How often. Each job that fa_executor_submit() took is delivered exactly once, whatever happens:
 * it ran, it was cancelled before it ran (FA_ECANCELLED), or no thread could be had for it (the
 * error of the attempt). Never inside the call that caused it. Outcomes travel through
 * the reactor's mailbox, so that those that come together cost one wake-up. The reactor must
 * outlive its jobs, and takes their last outcomes in a turn after fa_executor_shutdown().
 *
 * Cancelling. A job that waits or is queued will not run; a running one is told, and may look
 * with fa_job_is_cancelled(): its outcome is what it leaves. Cancelling the future of a job
 * cancels the job; so does cleaning it up. The value of a job whose future is gone is dropped.
 *
 * Back-pressure. The queue is a ring of a fixed size. When it is full, submitting says FA_EAGAIN,
 * or, by option, lets a bounded number of jobs wait behind it in order. A job that was cancelled
 * in the queue keeps its place there until those before it are taken.
 *
 * Threads are started when a job finds none free, up to a maximum, and stay. Where the system
 * refuses one, those that run do the work and another attempt is made later; only an executor
 * without any thread refuses a job for it. All signals are blocked in them but those that a
 * fault raises.
 *
 * There is one queue for all threads, so none has work that another would have to steal. */
#ifndef FASTERAPI_EXECUTOR_H
#define FASTERAPI_EXECUTOR_H

#include <fasterapi/error.h>
#include <fasterapi/future.h>
#include <fasterapi/list.h>
#include <fasterapi/reactor.h>

struct fa_executor;
struct fa_job;

/* ---- life cycle ---------------------------------------------------------------------- */

/* On a thread of the executor: its first act and its last. `index` is below max_threads. */
typedef void fa_executor_thread_fn(unsigned index, void *user);

/* Starts a thread that calls fa_executor_serve(executor, index) and nothing else of the
 * executor. Called wherever a thread is found to be missing: in fa_executor_submit(), and on
 * the executor's threads. Returns 0, or a negative error: then no such call may follow. */
typedef int fa_executor_spawn_fn(struct fa_executor *executor, unsigned index, void *user);

struct fa_executor_options {
    size_t size;          /* sizeof(struct fa_executor_options): the version of this struct */
    unsigned max_threads; /* 0 = 40: what anyio allows, most of them being blocked */
    size_t queue_size;    /* jobs; rounded up to a power of two; 0 = 1024 */
    size_t max_waiting;   /* jobs that may wait behind a full queue; 0: it says FA_EAGAIN */
    uint64_t spin_ns;     /* a thread looks for work this long before it sleeps; 0 = off, and
                             it is off where the process has one CPU. At most one thread in
                             two CPUs spins */
    size_t stack_size;    /* of a thread; 0 = the system's default */
    const char *name;     /* threads are called name-0, name-1, ...; cut to 10 bytes;
                             NULL = "fa-exec" */
    bool numa;            /* place threads by NUMA node: see fa_executor_numa */
    fa_executor_thread_fn *on_start; /* may be NULL */
    fa_executor_thread_fn *on_stop;  /* may be NULL */
    fa_executor_spawn_fn *spawn;     /* NULL: plain threads. With it stack_size and name are the
                                        spawner's affair */
    void *user;                      /* for the three */
};

struct fa_executor_stats {
    uint64_t submitted; /* jobs taken */
    uint64_t refused;   /* FA_EAGAIN */
    uint64_t completed; /* jobs that have run */
    uint64_t cancelled; /* jobs that will not run */
    uint64_t wake_ups;  /* of sleeping threads */
    size_t queued;      /* now, those included that were cancelled there */
    size_t waiting;     /* behind the full queue */
    unsigned running;   /* jobs */
    unsigned threads;
    unsigned sleeping;       /* threads */
    unsigned start_failures; /* threads that the system refused */
    uint64_t spin_ns;        /* in force */
};

enum fa_numa {
    FA_NUMA_OFF = 0,     /* not asked for */
    FA_NUMA_ONE_NODE = 1 /* asked for; the machine has one node, so there is nothing to place */
};

struct fa_executor_shutdown_options {
    size_t size;          /* sizeof(struct fa_executor_shutdown_options): the version */
    bool cancel_queued;   /* what waits or is queued does not run any more */
    bool cancel_running;  /* fa_job_is_cancelled() says so to every job */
    uint64_t deadline_ns; /* on fa_now_ns()'s clock; 0: none */
};

/* What a shutdown left behind. */
struct fa_executor_left {
    size_t queued;    /* jobs, waiting ones included */
    unsigned running; /* jobs */
    unsigned threads;
};

FA_BEGIN_DECLS

/* An executor without threads yet. `options` may be NULL. Returns 0 and sets `*out`, or
 * FA_ENOMEM, FA_EINVAL (unknown size, a number out of range), FA_ENOTSUP (`numa` on a machine
 * with several nodes), FA_ESYS. */
FA_API int fa_executor_new(struct fa_executor **out,
                           const struct fa_executor_options *options) FA_MUST_CHECK;

/* Takes no more jobs (FA_ECLOSED), lets the threads do what is left, and joins them. `options`
 * and `left` may be NULL; `*left` is zero after success. Outcomes are in the mailboxes of their
 * reactors then. Any thread but the executor's own, also several times.
 * Returns 0, FA_ETIMEDOUT (at the deadline threads were busy: `*left` says with how much; they
 * go on, and another call may follow), FA_EINVAL (size) or FA_EWRONGTHREAD (a thread of the
 * executor). */
FA_API int fa_executor_shutdown(struct fa_executor *executor,
                                const struct fa_executor_shutdown_options *options,
                                struct fa_executor_left *left) FA_MUST_CHECK;

/* Shuts down, cancelling what is queued and waiting for what runs for as long as it takes, and
 * frees the executor. Nobody may be inside another call of it, and jobs whose outcome has not
 * been delivered may not be cancelled any more (nor their futures). NULL is allowed. */
FA_API void fa_executor_destroy(struct fa_executor *executor);

/* For a child process after fork(), which has none of the threads: frees the executor. Its jobs
 * get no outcome, and must not be cancelled. */
FA_API void fa_executor_after_fork(struct fa_executor *executor);

/* Makes the calling thread, which options.spawn has started, thread `index` of the executor
 * until the shutdown. */
FA_API void fa_executor_serve(struct fa_executor *executor, unsigned index);

/* Copies the counters; those of the moment are a snapshot of no single moment. Any thread. */
FA_API void fa_executor_get_stats(struct fa_executor *executor, struct fa_executor_stats *out);

/* What became of options.numa. Any thread. */
FA_API enum fa_numa fa_executor_numa(const struct fa_executor *executor);

FA_END_DECLS

/* ---- jobs ------------------------------------------------------------------------------ */

typedef void fa_job_fn(struct fa_job *job);

/* Zero it before the first use. */
struct fa_job {
    /* public, set before it is submitted */
    fa_job_fn *run;           /* on a thread of the executor */
    fa_job_fn *done;          /* on the reactor's thread: the storage is yours; may be NULL */
    struct fa_future *future; /* pending, of the same reactor, without a producer; may be NULL,
                                 and is in `done`, and in `run` belongs to the other thread */
    void *user;
    /* public, set by `run`; 0 and none before */
    struct fa_value value; /* moved into the future; without one `done` owns it, and if that is
                              NULL too it is dropped */
    int error;
    /* private */
    bool waited;       /* was submitted to the queue behind the ring */
    bool given_up;     /* its future has gone */
    uint8_t cancelled; /* written by the reactor's thread, read by all: atomic */
    /* read-only */
    struct fa_executor *executor; /* NULL while not under way */
    struct fa_reactor *reactor;
    /* private */
    struct fa_task task;
    struct fa_list link; /* among those that wait */
    size_t ticket;       /* its place in the ring */
};

FA_BEGIN_DECLS

/* Hands the job over; it must not be under way. On the thread of `reactor`. Takes no lock, and
 * allocates nothing, unless it starts a thread or has the job wait behind the queue. Returns 0, or
 * FA_EAGAIN (the queue is full, or there is no thread and the system refuses one), FA_ECLOSED,
 * FA_EWRONGTHREAD, FA_ENOMEM or the error of options.spawn: then nothing happened. */
FA_API int fa_executor_submit(struct fa_executor *executor, struct fa_reactor *reactor,
                              struct fa_job *job) FA_MUST_CHECK;

/* Keeps the job from running, or tells it if it runs. Returns whether it was the first: then
 * the outcome is FA_ECANCELLED, delivered as any other. Harmless when it is not under way or
 * was cancelled before. The reactor's thread. */
FA_API bool fa_job_cancel(struct fa_job *job);

/* Whether somebody wants it to stop. In `run`. */
FA_API bool fa_job_is_cancelled(const struct fa_job *job);

FA_END_DECLS

#endif
