/* SPDX-License-Identifier: MIT */
/* loop.h - the C part of fasterapi.Loop, and what tasks and the turn need of it. */
#ifndef FASTERAPI_EXT_LOOP_H
#define FASTERAPI_EXT_LOOP_H

#include "reactor.h"

/* The base class that fasterapi.Loop puts in front of asyncio.SelectorEventLoop. Its data
 * descriptors take over the attributes that asyncio's Python code reads and writes in each
 * turn, so both sides always see the same values. Each may be NULL: not set yet, or deleted. */
struct fa_py_loop {
    PyObject_HEAD PyObject *ready;   /* _ready: a deque of handles */
    PyObject *scheduled;             /* _scheduled: a heap of timer handles */
    PyObject *stopping;              /* _stopping */
    PyObject *closed;                /* _closed */
    PyObject *debug;                 /* _debug */
    PyObject *timer_cancelled_count; /* _timer_cancelled_count */
    PyObject *clock_resolution;      /* _clock_resolution, seconds */
    PyObject *task_factory;          /* _task_factory */
    PyObject *selector;              /* _selector */
    /* private */
    struct fa_py_state *state;
    struct fa_py_reactor *host; /* of `selector` when that is ours, else NULL */
    PyObject **capture;         /* where the next call_soon() of the loop's thread puts its
                                   callback instead */
    bool captures;              /* no subclass overrides call_soon() */
    bool plain_events;          /* no subclass overrides _process_events() */
};

struct fa_py_loop *fa_py_loop_of(PyObject *loop);

/* While asyncio.Task.__init__ runs: puts the first callback that it gives to call_soon() into
 * `*slot` instead of the ready queue. Returns whether it will, and then sets what
 * fa_py_loop_end_capture wants back. Not where a subclass has its own call_soon(), and not off
 * the loop's thread, where a task may become real too: whatever the loop's thread queues
 * meanwhile is no step of that task. */
bool fa_py_loop_capture(struct fa_py_reactor *host, PyObject **slot, PyObject ***before);
void fa_py_loop_end_capture(struct fa_py_reactor *host, PyObject **before);

#endif
