/* SPDX-License-Identifier: MIT */
/* task_replay.c - the coroutine that asyncio.Task believes it runs. On the loop's thread, with
 * the GIL.
 *
 * When a task becomes real its coroutine is already under way. So asyncio gets this stand-in,
 * whose first send() answers with what the coroutine has done meanwhile (yielded a future,
 * returned, raised) and which afterwards passes everything on. It also is where the end of the
 * coroutine is seen first, and reported: one turn of the loop and one callback earlier than
 * through add_done_callback().
 *
 * A request to cancel that came before that first send() arrives as a throw() instead of it.
 * asyncio would have acted on it when the coroutine's step ended, so:
 *   the coroutine yielded    it goes on waiting, and what it waits for is cancelled
 *   the coroutine returned   the task ends cancelled
 *   the coroutine raised     its exception wins */
#include "task_int.h"

struct fa_py_replay {
    PyObject_HEAD struct fa_py_state *state;
    PyObject *coro;
    PyObject *task;           /* borrowed; NULL once it is gone */
    PyObject *cancel_message; /* of a request that came before the first send() */
    struct fa_py_outcome pending;
    fa_py_done_fn *on_done; /* NULL once it was called */
    PyObject *arg;          /* owned until then */
    bool immediate;
};

static struct fa_py_replay *replay_of(PyObject *self)
{
    return (struct fa_py_replay *)(void *)self;
}

PyObject *fa_py_replay_new(struct fa_py_state *state, PyObject *coro, PyObject *task)
{
    PyTypeObject *type = (PyTypeObject *)state->replay_type;
    PyObject *self = type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    struct fa_py_replay *replay = replay_of(self);
    replay->state = state;
    replay->coro = Py_NewRef(coro);
    replay->task = task;
    return self;
}

void fa_py_replay_on_done(PyObject *self, fa_py_done_fn *on_done, PyObject *arg)
{
    replay_of(self)->on_done = on_done;
    replay_of(self)->arg = arg;
}

void fa_py_replay_set(PyObject *self, struct fa_py_outcome *outcome)
{
    replay_of(self)->pending = *outcome;
    *outcome = (struct fa_py_outcome){FA_PY_NOTHING, NULL};
}

void fa_py_replay_immediate(PyObject *self, bool immediate)
{
    replay_of(self)->immediate = immediate;
}

PyObject *fa_py_replay_take_cancel(PyObject *self)
{
    PyObject *message = replay_of(self)->cancel_message;
    replay_of(self)->cancel_message = NULL;
    return message;
}

void fa_py_replay_forget_task(PyObject *self)
{
    replay_of(self)->task = NULL;
}

struct fa_py_outcome fa_py_outcome_raised(void)
{
    return (struct fa_py_outcome){FA_PY_RAISED, fa_py_take_exception()};
}

/* Tells the driver about the end; no exception may be set. */
static void finish(struct fa_py_replay *replay, PyObject *result, PyObject *exc)
{
    fa_py_done_fn *on_done = replay->on_done;
    replay->on_done = NULL;
    if (exc != NULL && replay->task != NULL && on_done != NULL)
        fa_py_task_of(replay->task)->failed = true;
    if (on_done != NULL)
        on_done(replay->arg, result, exc);
}

/* The same for the exception that is set, which stays set. */
static void finish_raised(struct fa_py_replay *replay)
{
    PyObject *exc = fa_py_take_exception();
    finish(replay, NULL, exc);
    fa_py_restore_exception(exc);
}

static struct fa_py_outcome take_pending(struct fa_py_replay *replay)
{
    struct fa_py_outcome outcome = replay->pending;
    replay->pending = (struct fa_py_outcome){FA_PY_NOTHING, NULL};
    return outcome;
}

/* ---- send ------------------------------------------------------------------------------- */

static PySendResult send_pending(struct fa_py_replay *replay, PyObject **result)
{
    struct fa_py_outcome outcome = take_pending(replay);
    if (outcome.kind == FA_PY_RAISED) {
        finish(replay, NULL, outcome.value);
        fa_py_restore_exception(outcome.value);
        *result = NULL;
        return PYGEN_ERROR;
    }
    *result = outcome.value;
    if (outcome.kind == FA_PY_YIELDED)
        return PYGEN_NEXT;
    finish(replay, outcome.value, NULL);
    return PYGEN_RETURN;
}

static PySendResult replay_am_send(PyObject *self, PyObject *value, PyObject **result)
{
    struct fa_py_replay *replay = replay_of(self);
    if (replay->pending.kind != FA_PY_NOTHING)
        return send_pending(replay, result);
    PySendResult status = PyIter_Send(replay->coro, value, result);
    if (status == PYGEN_RETURN)
        finish(replay, *result, NULL);
    else if (status == PYGEN_ERROR)
        finish_raised(replay);
    return status;
}

static PyObject *raise_stop_iteration(PyObject *value)
{
    /* Called, not set with a value: a tuple or an exception must stay one argument. */
    PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, value);
    if (stop != NULL)
        fa_py_restore_exception(stop);
    return NULL;
}

static PyObject *replay_send(PyObject *self, PyObject *value)
{
    PyObject *result = NULL;
    PySendResult status = replay_am_send(self, value, &result);
    if (status != PYGEN_RETURN)
        return result;
    (void)raise_stop_iteration(result);
    Py_DECREF(result);
    return NULL;
}

static PyObject *replay_iternext(PyObject *self)
{
    return replay_send(self, Py_None);
}

/* ---- throw ------------------------------------------------------------------------------ */

/* After coro.throw() failed: StopIteration is a return. The exception stays set. */
static void finish_thrown(struct fa_py_replay *replay)
{
    if (!PyErr_ExceptionMatches(PyExc_StopIteration)) {
        finish_raised(replay);
        return;
    }
    PyObject *stop = fa_py_take_exception();
    PyObject *value = PyObject_GetAttr(stop, replay->state->str_value);
    if (value != NULL) {
        finish(replay, value, NULL);
        Py_DECREF(value);
    } else {
        PyErr_Clear();
        finish(replay, Py_None, NULL);
    }
    fa_py_restore_exception(stop);
}

static PyObject *throw_on(struct fa_py_replay *replay, PyObject *const *args, size_t count)
{
    PyObject *stack[4] = {replay->coro};
    for (size_t i = 0; i < count; i++)
        stack[i + 1] = args[i];
    PyObject *result = PyObject_VectorcallMethod(replay->state->str_throw, stack, count + 1, NULL);
    if (result == NULL)
        finish_thrown(replay);
    return result;
}

/* The message of a CancelledError as cancel(msg=) had it; None without one. */
static PyObject *message_of(struct fa_py_replay *replay, PyObject *cancelled)
{
    PyObject *args = PyObject_GetAttr(cancelled, replay->state->str_args);
    if (args == NULL)
        return NULL;
    bool has_one = PyTuple_Check(args) && PyTuple_GET_SIZE(args) > 0;
    PyObject *message = Py_NewRef(has_one ? PyTuple_GET_ITEM(args, 0) : Py_None);
    Py_DECREF(args);
    return message;
}

/* Cancels what the coroutine waits for. 1 if that took the request, 0 if not (it is done, or
 * not a future), -1 and raised. */
static int cancel_waited(struct fa_py_replay *replay, PyObject *waited, PyObject *cancelled)
{
    if (waited == Py_None)
        return 0;
    PyObject *message = message_of(replay, cancelled);
    if (message == NULL)
        return -1;
    PyObject *stack[] = {waited, message};
    PyObject *answer = PyObject_VectorcallMethod(replay->state->str_cancel, stack, 2, NULL);
    Py_DECREF(message);
    if (answer == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError))
            return -1;
        PyErr_Clear();
        return 0;
    }
    int taken = PyObject_IsTrue(answer);
    Py_DECREF(answer);
    return taken;
}

static PyObject *throw_at_yielded(struct fa_py_replay *replay, PyObject *waited,
                                  PyObject *const *args, size_t count)
{
    if (replay->immediate) {
        Py_XSETREF(replay->cancel_message, message_of(replay, args[0]));
        if (replay->cancel_message != NULL)
            return waited;
        Py_DECREF(waited);
        return NULL;
    }
    int taken = cancel_waited(replay, waited, args[0]);
    if (taken > 0)
        return waited;
    Py_DECREF(waited);
    if (taken < 0)
        return NULL;
    return throw_on(replay, args, count);
}

static PyObject *throw_at_end(struct fa_py_replay *replay, struct fa_py_outcome *outcome,
                              PyObject *cancelled)
{
    PyObject *exc = outcome->value;
    if (outcome->kind == FA_PY_RETURNED) {
        Py_DECREF(outcome->value);
        exc = Py_NewRef(cancelled);
    }
    finish(replay, NULL, exc);
    fa_py_restore_exception(exc);
    return NULL;
}

static PyObject *replay_throw(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    struct fa_py_replay *replay = replay_of(self);
    if (count < 1 || count > 3)
        return PyErr_Format(PyExc_TypeError, "throw() takes 1 to 3 arguments, got %zd", count);
    if (replay->pending.kind == FA_PY_NOTHING || !PyExceptionInstance_Check(args[0]))
        return throw_on(replay, args, (size_t)count);
    struct fa_py_outcome outcome = take_pending(replay);
    if (outcome.kind == FA_PY_YIELDED)
        return throw_at_yielded(replay, outcome.value, args, (size_t)count);
    return throw_at_end(replay, &outcome, args[0]);
}

/* ---- the rest --------------------------------------------------------------------------- */

static PyObject *replay_close(PyObject *self, PyObject *unused)
{
    struct fa_py_replay *replay = replay_of(self);
    return PyObject_CallMethodNoArgs(replay->coro, replay->state->str_close);
}

static PyObject *replay_await(PyObject *self)
{
    return Py_NewRef(self);
}

static int replay_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct fa_py_replay *replay = replay_of(self);
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(replay->coro);
    Py_VISIT(replay->cancel_message);
    Py_VISIT(replay->pending.value);
    if (replay->on_done != NULL)
        Py_VISIT(replay->arg);
    return 0;
}

static int replay_clear(PyObject *self)
{
    struct fa_py_replay *replay = replay_of(self);
    Py_CLEAR(replay->coro);
    Py_CLEAR(replay->cancel_message);
    replay->pending.kind = FA_PY_NOTHING;
    Py_CLEAR(replay->pending.value);
    return 0;
}

/* The task went away before its coroutine ended: the loop was closed, or everybody forgot
 * it. What the coroutine does in its finally blocks comes first. */
static void finish_abandoned(struct fa_py_replay *replay)
{
    if (replay->on_done == NULL)
        return;
    PyObject *saved = fa_py_take_exception();
    Py_CLEAR(replay->coro);
    PyObject *text = PyUnicode_FromString("the task was destroyed while it was pending");
    PyObject *type = replay->state->cancelled_error;
    PyObject *exc = NULL;
    if (text != NULL && type != NULL)
        exc = PyObject_CallOneArg(type, text);
    Py_XDECREF(text);
    if (exc == NULL) {
        if (!PyErr_Occurred())
            (void)PyErr_NoMemory();
        exc = fa_py_take_exception();
    }
    finish(replay, NULL, exc);
    Py_DECREF(exc);
    if (saved != NULL)
        fa_py_restore_exception(saved);
}

static void replay_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    finish_abandoned(replay_of(self));
    (void)replay_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef replay_methods[] = {
    {"send", replay_send, METH_O, NULL},
    {"throw", (PyCFunction)(void (*)(void))replay_throw, METH_FASTCALL, NULL},
    {"close", replay_close, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(replay_doc, "What asyncio sees as the coroutine of a task that began without it.");

static PyType_Slot replay_slots[] = {
    {Py_tp_doc, (void *)replay_doc},           {Py_am_send, (void *)replay_am_send},
    {Py_am_await, (void *)replay_await},       {Py_tp_iter, (void *)PyObject_SelfIter},
    {Py_tp_iternext, (void *)replay_iternext}, {Py_tp_traverse, (void *)replay_traverse},
    {Py_tp_clear, (void *)replay_clear},       {Py_tp_dealloc, (void *)replay_dealloc},
    {Py_tp_methods, (void *)replay_methods},   {0, NULL},
};

static PyType_Spec replay_spec = {
    .name = "fasterapi._native.Replay",
    .basicsize = sizeof(struct fa_py_replay),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = replay_slots,
};

int fa_py_init_replay(PyObject *module, struct fa_py_state *state)
{
    return fa_py_add_type(module, &state->replay_type, &replay_spec, NULL, false);
}
