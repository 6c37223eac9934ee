/* SPDX-License-Identifier: MIT */
/* task_int.h - shared by task.c, task_replay.c, task_current.c and task_drive.c. */
#ifndef FASTERAPI_EXT_TASK_INT_H
#define FASTERAPI_EXT_TASK_INT_H

#include "task.h"

enum fa_py_task_phase {
    FA_PY_TASK_BLANK = 0, /* nothing is initialised; nobody but us knows the object */
    FA_PY_TASK_LAZY,      /* in its first step; still nothing of asyncio.Task initialised */
    FA_PY_TASK_INIT,      /* inside asyncio.Task.__init__ */
    FA_PY_TASK_REAL,      /* a normal asyncio task from here on */
};

/* What our Task adds behind the fields of asyncio.Task, whose size only the running
 * interpreter knows. */
struct fa_py_task {
    struct fa_py_state *state;
    PyObject *coro;             /* what get_coro() answers; borrowed until the task is REAL;
                                   NULL: as asyncio.Task answers */
    PyObject *replay;           /* the stand-in that asyncio.Task steps; NULL while LAZY */
    struct fa_py_reactor *host; /* borrowed, only during the first step */
    PyObject *context;          /* borrowed, only during the first step */
    PyObject *step;             /* asyncio's first step, captured instead of scheduled */
    enum fa_py_task_phase phase;
    PyObject *registry_ref; /* asyncio's weak reference; borrowed, only compared */
    bool failed;            /* ended with an exception that the driver was told about */
};

static inline struct fa_py_task *fa_py_task_of(PyObject *task)
{
    /* The type cannot be subclassed, so its size is this object's. */
    char *end = (char *)task + Py_TYPE(task)->tp_basicsize;
    return (struct fa_py_task *)(void *)(end - sizeof(struct fa_py_task));
}

/* A BLANK task, from the reactor's spare or new. NULL and raised on failure. */
PyObject *fa_py_task_take(struct fa_py_reactor *host);

/* Gives a BLANK task back; steals the reference. */
void fa_py_task_recycle(struct fa_py_reactor *host, PyObject *task);

/* Turns a LAZY task into a REAL one that is registered with asyncio and whose first step is
 * either in `step` or scheduled with the loop. 0, or -1 and raised: then it is LAZY still. */
int fa_py_task_materialise(PyObject *task);

/* Waits until no other thread is initialising the task. Releases the GIL if one is. */
void fa_py_task_await_init(PyObject *task);

/* asyncio.Task's own cancel(msg) and uncancel(), one after the other: leaves the request to
 * cancel behind and the count as it was. 0, or -1 and raised. */
int fa_py_task_renew_cancel(PyObject *task, PyObject *msg);

/* Makes `task` the current one of `loop`; `*previous` gets what was current (owned, may be
 * NULL). fa_py_current_leave puts it back and takes over that reference; it may be called
 * with an exception set, which stays. 0, or -1 and raised. */
int fa_py_current_enter(struct fa_py_state *state, PyObject *loop, PyObject *task,
                        PyObject **previous);
int fa_py_current_leave(struct fa_py_state *state, PyObject *loop, PyObject *task,
                        PyObject *previous);

/* ---- the replay: the coroutine that asyncio.Task believes it runs ---------------------- */

struct fa_py_replay;

/* How a step of the coroutine ended. `value` is owned: what was yielded, the result, or the
 * exception object. */
struct fa_py_outcome {
    enum { FA_PY_NOTHING = 0, FA_PY_YIELDED, FA_PY_RETURNED, FA_PY_RAISED } kind;
    PyObject *value;
};

/* A replay of `coro` for `task` (borrowed: the task owns the replay). */
PyObject *fa_py_replay_new(struct fa_py_state *state, PyObject *coro, PyObject *task);

/* Whom to tell about the end; from now on that happens exactly once, at the latest when the
 * replay dies. */
void fa_py_replay_on_done(PyObject *replay, fa_py_done_fn *on_done, PyObject *arg);

/* What the first send() answers instead of stepping the coroutine. Steals outcome->value. */
void fa_py_replay_set(PyObject *replay, struct fa_py_outcome *outcome);

/* `immediate`: asyncio's first step follows at once, so a cancellation that it delivers was
 * asked for in the coroutine's own first step. It must then reach what the coroutine waits
 * for after asyncio has begun to wait: fa_py_replay_take_cancel() returns the message of the
 * request (new reference, may be None) after that step, or NULL when there was none. */
void fa_py_replay_immediate(PyObject *replay, bool immediate);
PyObject *fa_py_replay_take_cancel(PyObject *replay);

/* Forgets the task, which is about to die. */
void fa_py_replay_forget_task(PyObject *replay);

/* Takes the current exception as an outcome. */
struct fa_py_outcome fa_py_outcome_raised(void);

int fa_py_init_replay(PyObject *module, struct fa_py_state *state);
int fa_py_init_current(struct fa_py_state *state);
int fa_py_init_drive(PyObject *module, struct fa_py_state *state);

#endif
