/* SPDX-License-Identifier: MIT */
/* executor_int.h - the executor's own structure, shared by its files. */
#ifndef FA_LOOP_EXECUTOR_INT_H
#define FA_LOOP_EXECUTOR_INT_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include <fasterapi/executor.h>

#include "loop/ring.h"

/* Linux takes 16 bytes, with the NUL; the hyphen and four digits come behind. */
#define FA__EXECUTOR_NAME_SIZE 11

/* What a thread counts for in `idle`. In one number, because a thread between two would be missed,
 * and another started for it. */
#define FA__IDLE_LOOKING 1u
#define FA__IDLE_SLEEPING 0x10000u

struct fa__executor_thread {
    struct fa_executor *executor;
    pthread_t id;
    unsigned index;
    bool used;     /* under the lock, as is what follows */
    bool joinable; /* `id` is set and nobody has joined it */
};

struct fa_executor {
    /* constant */
    struct fa_executor_options options;
    char name[FA__EXECUTOR_NAME_SIZE];
    unsigned max_looking;              /* the CPUs */
    unsigned max_spinning;             /* half of them */
    struct fa__executor_thread *slots; /* max_threads of them */

    struct fa__ring ring;

    atomic_uint idle;     /* threads without a job: see FA__IDLE_LOOKING */
    atomic_uint spinning; /* of those that look */
    sem_t calls;          /* one for each thread that was called and has not woken up yet */

    atomic_bool closed;
    atomic_bool cancel_running;
    atomic_uint threads; /* changed under the lock */

    char padding[64]; /* what every job counts, off the line that submitting reads */
    atomic_uint running;
    atomic_ullong completed;
    atomic_ullong cancelled;
    atomic_ullong submitted;
    atomic_ullong refused;
    atomic_ullong wake_ups;
    atomic_uint start_failures;

    pthread_mutex_t lock;
    pthread_cond_t changed;  /* a thread has gone, or a start is over */
    struct fa_list waiting;  /* jobs behind the full ring, under the lock */
    atomic_size_t n_waiting; /* their number; changed under the lock */
    unsigned starting;       /* starts under way, under the lock */
    uint64_t retry_ns;       /* no other start before; under the lock; 0: none has failed */
};

/* ---- executor.c: jobs -------------------------------------------------------------------- */

/* Moves waiting jobs into the ring, as far as they fit. Returns whether any did. */
bool fa__executor_refill(struct fa_executor *executor);

/* Ends everything that waits or is queued with `error`, unrun. */
void fa__executor_end_queued(struct fa_executor *executor, int error);

/* ---- executor_threads.c ------------------------------------------------------------------- */

/* Sees to it that as many threads look for work as jobs are queued, or as there are CPUs: wakes
 * one, or starts one. */
void fa__executor_summon(struct fa_executor *executor);

/* Starts a thread. Returns 0, FA_EAGAIN (enough are there, or an attempt has just failed),
 * FA_ECLOSED, or why the system refused. */
int fa__executor_start_thread(struct fa_executor *executor) FA_MUST_CHECK;

#endif
