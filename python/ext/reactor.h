/* SPDX-License-Identifier: MIT */
/* reactor.h - the type fasterapi._native.Reactor: a reactor of the C library inside an asyncio
 * loop, either our own Loop (whose turn drives it) or a foreign one (which watches its
 * descriptor). Every C object that lives on a loop holds a reference to one of these.
 *
 * All functions need the GIL and run on the loop's thread. */
#ifndef FASTERAPI_EXT_REACTOR_H
#define FASTERAPI_EXT_REACTOR_H

#include <fasterapi/list.h>
#include <fasterapi/reactor.h>

#include "state.h"

struct fa_py_loop;

/* Something that lives on the reactor and must let go of it before it dies: `on_close` is
 * called once, with the GIL, before the reactor is destroyed (loop.close(), Reactor.close(),
 * or a fork in the child: then fa_py_reactor_forked() is true and no descriptor may be
 * touched). The callback must leave no exception and unlinks nothing: that is done. */
struct fa_py_attachment {
    struct fa_list link;
    void (*on_close)(struct fa_py_attachment *attachment);
    /* In a forked child, at once and wherever it is: gives the parent's descriptors up, and
     * runs no Python code. May be NULL. */
    void (*on_fork)(struct fa_py_attachment *attachment);
};

struct fa_py_reactor {
    PyObject_HEAD
        /* read-only outside reactor.c and turn.c */
        struct fa_py_state *state;
    struct fa_reactor *reactor; /* NULL once closed */
    PyObject *loop;             /* the asyncio loop, NULL once it is gone */
    bool native_tasks;          /* false: task_impl "asyncio", the reference path */
    /* private */
    struct fa_py_loop *own_loop; /* the C part of `loop` when that is ours */
    PyObject *loop_ref;          /* weak reference to a foreign `loop`, clears it */
    PyObject *fatal;             /* KeyboardInterrupt or SystemExit to leave the turn with */
    PyObject *spare_task;        /* a task ready for the next drive */
    struct fa_list attachments;
    struct fa_list reactors_link; /* all reactors of the process, for fork */
    PyObject *deadline_handle;    /* a foreign loop's timer, and when it fires */
    uint64_t deadline_ns;
    bool in_turn;
    bool close_wanted;   /* closed from inside the turn: done at its end */
    bool forked;         /* the kernel objects belong to the parent process */
    bool wake_scheduled; /* a foreign loop will call turn() soon */
    uint32_t spin_us;
    bool foreign_debug; /* a foreign loop's settings, as of its last turn */
    bool foreign_factory;
    bool slow_reported; /* the running native callback was reported as slow already */
};

/* Whether `object` is a Reactor. */
bool fa_py_reactor_check(const struct fa_py_state *state, PyObject *object);

static inline struct fa_reactor *fa_py_reactor_get(const struct fa_py_reactor *host)
{
    return host->reactor;
}

/* Whether this is an inherited reactor in a forked child. */
static inline bool fa_py_reactor_forked(const struct fa_py_reactor *host)
{
    return host->forked;
}

/* Whether a native callback may be on the stack: then nothing that it uses may be destroyed. */
static inline bool fa_py_reactor_in_turn(const struct fa_py_reactor *host)
{
    return host->in_turn;
}

void fa_py_reactor_attach(struct fa_py_reactor *host, struct fa_py_attachment *attachment);
void fa_py_reactor_detach(struct fa_py_attachment *attachment);

/* For the end of every native callback that called Python code: disposes of the exception
 * that is set, if any. KeyboardInterrupt and SystemExit leave the turn (and run_forever()) as
 * they would from any asyncio callback; anything else goes to loop.call_exception_handler()
 * with `message`. Never leaves an exception. */
void fa_py_reactor_report(struct fa_py_reactor *host, const char *message);

/* The same for an exception object; `exc` is borrowed. */
void fa_py_reactor_report_exc(struct fa_py_reactor *host, PyObject *exc, const char *message);

/* Whether the loop runs in debug mode, and whether it has a task factory. */
bool fa_py_reactor_debug(const struct fa_py_reactor *host);
bool fa_py_reactor_has_task_factory(const struct fa_py_reactor *host);

/* In debug mode: logs a step of `coro` that took longer than loop.slow_callback_duration, as
 * asyncio does for its handles. Never leaves an exception. */
void fa_py_reactor_note_slow(struct fa_py_reactor *host, PyObject *coro, uint64_t took_ns);

#endif
