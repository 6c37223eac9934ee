/* SPDX-License-Identifier: MIT */
/* reactor.h - one event loop per thread: descriptors, timers, tasks, a mailbox.
 *
 * A turn has three steps, so that a host that must hold a lock while callbacks run (the
 * Python binding and its GIL) can drop it around the only step that blocks:
 *
 *   wait      sleeps in the kernel until an event, a timer or the mailbox; no callbacks
 *   collect   turns what happened into ready work; runs the callbacks of IMMEDIATE
 *             watchers, which may only enqueue
 *   dispatch  runs ready work: at most `max` callbacks, high priority first
 *
 * fa_reactor_run() loops over the three. Everything belongs to the thread that created
 * the reactor (the owner); the functions that may be called elsewhere say so. Watchers,
 * timers and tasks are the caller's storage: the reactor links them and forgets them. A
 * callback may add, change and remove any watcher, timer or task, its own included, and
 * may free its storage after removing it. */
#ifndef FASTERAPI_REACTOR_H
#define FASTERAPI_REACTOR_H

#include <fasterapi/error.h>
#include <fasterapi/list.h>

struct fa_reactor;
struct fa_io;
struct fa_timer;
struct fa_task;

/* A place in the ready queue, embedded in what can become ready. All of it is private. */
struct fa_ready {
    struct fa_list link;
    uint32_t turn; /* in which it was queued */
    uint8_t kind;  /* what it is embedded in; 0: not queued */
};

/* ---- life cycle ---------------------------------------------------------------- */

struct fa_reactor_options {
    size_t size;         /* sizeof(struct fa_reactor_options): the version of this struct */
    uint64_t spin_ns;    /* poll without sleeping this long before sleeping; 0 = off */
    unsigned max_events; /* events taken from the kernel per wait; 0 = 256 */
};

struct fa_reactor_stats {
    uint64_t polls;      /* waits performed */
    uint64_t io_events;  /* descriptor events delivered */
    uint64_t timers;     /* timers fired */
    uint64_t tasks;      /* tasks run, mailbox included */
    uint64_t mailbox;    /* tasks that came through the mailbox */
    uint64_t lag_ns;     /* collect to the end of dispatch, last turn */
    uint64_t lag_max_ns; /* the longest such time so far */
};

FA_BEGIN_DECLS

/* A reactor owned by the calling thread. `options` may be NULL. Returns 0 and sets
 * `*out`, or FA_ENOMEM, FA_EMFILE, FA_ESYS, FA_EINVAL (unknown size). */
FA_API int fa_reactor_new(struct fa_reactor **out,
                          const struct fa_reactor_options *options) FA_MUST_CHECK;

/* Closes the reactor and frees it. Watchers, timers and tasks still linked are unlinked
 * without a callback; descriptors stay open. Futures must be gone before (see future.h for the
 * exception). Not from inside a callback, nor while another thread may still mail to it. NULL
 * is allowed. */
FA_API void fa_reactor_destroy(struct fa_reactor *reactor);

/* Makes the calling thread the owner. For a reactor that is set up on one thread and then
 * handed to another; the hand-over itself is the caller's to synchronise. */
FA_API void fa_reactor_adopt(struct fa_reactor *reactor);

/* For a child process after fork(): closes the inherited kernel objects without touching
 * the parent's registrations, and makes the calling thread the owner. Only what undoes
 * (fa_io_remove, fa_timer_cancel, fa_task_cancel, fa_signal_remove) and
 * fa_reactor_destroy() may follow. */
FA_API void fa_reactor_after_fork(struct fa_reactor *reactor);

/* Changes options.spin_ns; in force from the next wait on. Owner thread. */
FA_API void fa_reactor_set_spin(struct fa_reactor *reactor, uint64_t spin_ns);

/* Turns until fa_reactor_stop(). Returns 0, FA_EWRONGTHREAD or the error of a wait. */
FA_API int fa_reactor_run(struct fa_reactor *reactor) FA_MUST_CHECK;

/* Ends fa_reactor_run() after the current turn; when it does not run, its next call makes a
 * single turn. Any thread, and signal handlers. */
FA_API void fa_reactor_stop(struct fa_reactor *reactor);

/* ---- one turn by hand ----------------------------------------------------------- */

/* Blocks until something happens, but not past the earliest timer, and not at all while
 * work is ready. timeout_ns: 0 polls, negative waits for ever. Returns the number of
 * events taken from the kernel, or FA_EWRONGTHREAD or FA_ESYS. An interrupting signal is 0 events.
 * Events of an earlier wait that were not collected are kept and reported again. */
FA_API int fa_reactor_wait(struct fa_reactor *reactor, int64_t timeout_ns) FA_MUST_CHECK;

/* Moves the events of the last wait, due timers and mailbox tasks to the ready queue, in
 * this order: events as the kernel reported them, timers by deadline. Begins the turn. */
FA_API void fa_reactor_collect(struct fa_reactor *reactor);

/* Runs at most `max` of the callbacks that were ready at the call (0: all of them) and then
 * the turn-end tasks, which ends the turn. The continuations of futures (future.h) that they
 * complete run in between. Returns how many callbacks are ready now: left over, or posted
 * meanwhile. */
FA_API size_t fa_reactor_dispatch(struct fa_reactor *reactor, size_t max);

/* Runs one of the callbacks that were ready at the end of the last collect, without the
 * turn-end tasks; false when none is left. For a host that must look around after each, and
 * then calls fa_reactor_end_turn. One in 16 is of low priority while any such waits. */
FA_API bool fa_reactor_dispatch_one(struct fa_reactor *reactor);

/* Runs the turn-end tasks (see fa_reactor_at_turn_end) and ends the turn. */
FA_API void fa_reactor_end_turn(struct fa_reactor *reactor);

/* Whether a dispatch would run anything (turn-end tasks included). */
FA_API bool fa_reactor_has_ready(const struct fa_reactor *reactor);

/* The deadline of the earliest timer on fa_now_ns()'s clock; UINT64_MAX without timers. */
FA_API uint64_t fa_reactor_next_deadline_ns(const struct fa_reactor *reactor);

/* The monotonic clock, nanoseconds, read now. Any thread. */
FA_API uint64_t fa_now_ns(void);

/* The clock as read at the last collect: free, and precise enough for timeouts. */
FA_API uint64_t fa_reactor_now_ns(const struct fa_reactor *reactor);

/* A descriptor that is readable when a turn with timeout 0 would find an event: lets a
 * foreign loop host the reactor with a single watcher. Stays owned by the reactor; -1 after
 * fork. Timers and ready work do not make it readable: see fa_reactor_set_wake_hook and
 * fa_reactor_next_deadline_ns. */
FA_API int fa_reactor_fd(const struct fa_reactor *reactor);

/* `hook` is called on the owner thread when, outside a turn (between the end of a
 * dispatch and the next collect), the ready queue or the turn-end list stops being empty,
 * or the earliest deadline becomes earlier: the host must then arrange a turn (with timeout
 * 0, after which it reads the next deadline afresh). Once between two turns at most for
 * each of the two. Work left over or posted inside the turn is not announced: ask
 * fa_reactor_has_ready after it. NULL removes it. */
typedef void fa_reactor_wake_fn(void *user);
FA_API void fa_reactor_set_wake_hook(struct fa_reactor *reactor, fa_reactor_wake_fn *hook,
                                     void *user);

/* Copies the counters, all since fa_reactor_new. The owner's thread. */
FA_API void fa_reactor_get_stats(const struct fa_reactor *reactor, struct fa_reactor_stats *out);

/* True on the thread that owns the reactor. Any thread. */
FA_API bool fa_reactor_on_owner(const struct fa_reactor *reactor);

FA_END_DECLS

/* ---- descriptors ----------------------------------------------------------------- */

enum {
    FA_IO_READ = 1,  /* readable, or end of stream */
    FA_IO_WRITE = 2, /* writable */
    FA_IO_HUP = 4,   /* the peer closed its writing side; interest must name it */
    FA_IO_ERROR = 8, /* error or full hang-up; always reported, and then READ and WRITE are
                        set too as far as the interest names them */
};

enum {
    FA_IO_IMMEDIATE = 1, /* the callback runs inside collect and may only enqueue */
};

typedef void fa_io_fn(struct fa_io *io, unsigned events);

/* A watched descriptor; level-triggered. Zero it before the first use. */
struct fa_io {
    /* public */
    void *user;
    /* read-only */
    struct fa_reactor *reactor; /* NULL while not registered */
    int fd;                     /* -1 once it was found closed while registered */
    unsigned interest;          /* FA_IO_READ | FA_IO_WRITE | FA_IO_HUP */
    /* private */
    fa_io_fn *callback;
    unsigned flags;
    unsigned pending; /* events collected and not yet delivered */
    uint32_t generation;
    struct fa_ready ready;
};

FA_BEGIN_DECLS

/* Watches `fd` (owned by the caller, non-blocking). One watcher per descriptor and
 * reactor. Returns 0, FA_EEXIST, FA_EINVAL, FA_ENOMEM, FA_ENOTSUP (a regular file),
 * FA_EWRONGTHREAD or FA_ESYS. */
FA_API int fa_io_add(struct fa_reactor *reactor, struct fa_io *io, int fd, unsigned interest,
                     unsigned flags, fa_io_fn *callback) FA_MUST_CHECK;

/* Replaces the interest; 0 keeps the registration silent (errors are then not reported
 * either). Pending events outside the new interest are dropped. Returns 0, or FA_EINVAL (not
 * registered, or unknown bits), FA_ENOMEM, FA_EWRONGTHREAD or FA_ESYS: then nothing
 * changed. */
FA_API int fa_io_set(struct fa_io *io, unsigned interest) FA_MUST_CHECK;

/* Stops watching; the callback is not called again, not even for events already
 * collected. Call it before close(): a closed descriptor that a child process still
 * holds would go on firing. One that was closed first, and whose number a server's new
 * connection has got since, is unregistered already. Harmless when not registered. */
FA_API void fa_io_remove(struct fa_io *io);

FA_END_DECLS

/* ---- timers ----------------------------------------------------------------------- */

typedef void fa_timer_fn(struct fa_timer *timer);

/* One deadline. Zero it before the first use. */
struct fa_timer {
    /* public */
    void *user;
    /* read-only */
    uint64_t deadline_ns;       /* on fa_now_ns()'s clock */
    struct fa_reactor *reactor; /* NULL while not armed */
    /* private */
    fa_timer_fn *callback;
    size_t heap_index;
    struct fa_ready ready;
};

FA_BEGIN_DECLS

/* Arms, or re-arms, the timer; it fires once at or after deadline_ns. Timers with one and
 * the same deadline fire in any order. O(log n). Returns 0, or FA_ENOMEM, FA_EINVAL (armed on
 * another reactor), FA_EWRONGTHREAD: then a timer that was armed stays armed as it was. */
FA_API int fa_timer_arm(struct fa_reactor *reactor, struct fa_timer *timer, uint64_t deadline_ns,
                        fa_timer_fn *callback) FA_MUST_CHECK;

/* Disarms, also when due and not yet delivered. Harmless when not armed. */
FA_API void fa_timer_cancel(struct fa_timer *timer);

FA_END_DECLS

/* ---- tasks and the mailbox ---------------------------------------------------------- */

typedef void fa_task_fn(struct fa_task *task);

enum fa_priority { FA_PRIORITY_HIGH = 0, FA_PRIORITY_NORMAL = 1, FA_PRIORITY_LOW = 2 };

/* A unit of work. Zero it before the first use, set `callback`. */
struct fa_task {
    /* public */
    fa_task_fn *callback;
    void *user;
    /* private */
    struct fa_reactor *reactor; /* where it is queued */
    struct fa_ready ready;
    struct fa_task *mail_next;
};

FA_BEGIN_DECLS

/* Queues the task for the next dispatch (not the one under way). First in, first out
 * within a priority; I/O events and timers run as FA_PRIORITY_NORMAL; low priority runs
 * when nothing else is ready, but at least one per dispatch. A task that is queued
 * already stays where it is. Never fails, allocates nothing. */
FA_API void fa_task_post(struct fa_reactor *reactor, struct fa_task *task,
                         enum fa_priority priority);

/* Takes a posted or turn-end task back; harmless when it is not queued. A mailed task can be
 * taken back only once it has been collected. */
FA_API void fa_task_cancel(struct fa_task *task);

/* The one way across threads: hands the task to `reactor`, which runs it on its own
 * thread with FA_PRIORITY_NORMAL, in the order of the calls. Any thread; lock-free,
 * allocates nothing; wakes the reactor once per batch. The task belongs to the reactor
 * until its callback runs, and must not be queued or in flight. */
FA_API void fa_task_mail(struct fa_reactor *reactor, struct fa_task *task);

/* Runs `task` once at the end of the current turn, or of the next one when called
 * between turns or by a turn-end task: after the ready work, before the next wait. A task
 * that is already waiting stays. Where output is flushed. */
FA_API void fa_reactor_at_turn_end(struct fa_reactor *reactor, struct fa_task *task);

FA_END_DECLS

/* ---- signals (C programs; a Python host has its own) -------------------------------- */

typedef void fa_signal_fn(int signum, void *user);

FA_BEGIN_DECLS

/* Blocks `signum` in the calling thread and delivers it as ready work on this reactor.
 * At most one reactor per signal and process; call it before threads start, so that they
 * inherit the mask. Occurrences that arrive together are one call. Returns 0, FA_EINVAL,
 * FA_EEXIST, FA_EMFILE, FA_ENOMEM, FA_EWRONGTHREAD, FA_ESYS. */
FA_API int fa_signal_add(struct fa_reactor *reactor, int signum, fa_signal_fn *callback,
                         void *user) FA_MUST_CHECK;

/* Stops delivery and unblocks the signal in the calling thread, unless it was blocked before
 * fa_signal_add. One that is pending at that moment takes its usual course. Harmless when not
 * added here. */
FA_API void fa_signal_remove(struct fa_reactor *reactor, int signum);

FA_END_DECLS

#endif
