/* SPDX-License-Identifier: MIT */
/* task_drive.c - fa_py_drive(): the first step of a coroutine from C, and the reference path
 * through loop.create_task(). On the loop's thread, with the GIL.
 *
 * The reference path is taken when the host asks for it (task_impl "asyncio"), when the user
 * installed a task factory (eager ones included), and while a trace or profile function is
 * set: a debugger then sees the frames it knows. */
#include "task_int.h"

#include "init.h"
#include "loop.h"

struct drive {
    struct fa_py_reactor *host;
    PyObject *loop;
    PyObject *coro;
    PyObject *context;
    fa_py_done_fn *on_done;
    PyObject *arg;
    PyObject *task;
    PyObject *previous;  /* the task that was current before */
    uint64_t started_ns; /* only in debug mode */
};

/* ---- the reference path ------------------------------------------------------------------ */

/* The done callback of a stock task. Reports when called, or at the latest when it dies. */
struct done_callback {
    PyObject_HEAD struct fa_py_state *state;
    fa_py_done_fn *on_done; /* NULL once it was called */
    PyObject *arg;
};

static struct done_callback *done_of(PyObject *self)
{
    return (struct done_callback *)(void *)self;
}

static void done_finish(struct done_callback *done, PyObject *result, PyObject *exc)
{
    fa_py_done_fn *on_done = done->on_done;
    done->on_done = NULL;
    if (on_done != NULL)
        on_done(done->arg, result, exc);
}

static void done_report(struct done_callback *done, PyObject *task)
{
    PyObject *result = PyObject_CallMethodNoArgs(task, done->state->str_result);
    if (result != NULL) {
        done_finish(done, result, NULL);
        Py_DECREF(result);
        return;
    }
    PyObject *exc = fa_py_take_exception();
    done_finish(done, NULL, exc);
    Py_DECREF(exc);
}

static PyObject *done_call(PyObject *self, PyObject *args, PyObject *kwargs)
{
    PyObject *task;
    if (!PyArg_ParseTuple(args, "O:done", &task))
        return NULL;
    done_report(done_of(self), task);
    Py_RETURN_NONE;
}

/* There is no tp_clear: what dies with the task tells `on_done`, which needs `arg`. */
static int done_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    if (done_of(self)->on_done != NULL)
        Py_VISIT(done_of(self)->arg);
    return 0;
}

static void done_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    struct done_callback *done = done_of(self);
    PyObject_GC_UnTrack(self);
    if (done->on_done != NULL && done->state->cancelled_error != NULL) {
        PyObject *saved = fa_py_take_exception();
        PyErr_SetString(done->state->cancelled_error,
                        "the task was destroyed while it was pending");
        PyObject *exc = fa_py_take_exception();
        done_finish(done, NULL, exc);
        Py_DECREF(exc);
        if (saved != NULL)
            fa_py_restore_exception(saved);
    }
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot done_slots[] = {
    {Py_tp_call, (void *)done_call},
    {Py_tp_traverse, (void *)done_traverse},
    {Py_tp_dealloc, (void *)done_dealloc},
    {0, NULL},
};

static PyType_Spec done_spec = {
    .name = "fasterapi._native.DoneCallback",
    .basicsize = sizeof(struct done_callback),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = done_slots,
};

/* create_task() inside the context, not with `context=`: a task factory need not know that
 * argument. Without a factory the argument saves the copy that the task would make. */
static PyObject *create_task(struct drive *drive)
{
    struct fa_py_state *state = drive->host->state;
    if (!fa_py_reactor_has_task_factory(drive->host)) {
        PyObject *kwnames = PyTuple_Pack(1, state->str_context);
        if (kwnames == NULL)
            return NULL;
        PyObject *stack[] = {drive->loop, drive->coro, drive->context};
        PyObject *task = PyObject_VectorcallMethod(state->str_create_task, stack, 2, kwnames);
        Py_DECREF(kwnames);
        return task;
    }
    if (PyContext_Enter(drive->context) < 0)
        return NULL;
    PyObject *stack[] = {drive->loop, drive->coro};
    PyObject *task = PyObject_VectorcallMethod(state->str_create_task, stack, 2, NULL);
    PyObject *exc = fa_py_take_exception();
    int err = PyContext_Exit(drive->context);
    if (exc != NULL)
        fa_py_restore_exception(exc);
    if (err < 0)
        Py_CLEAR(task);
    return task;
}

static int add_done_callback(struct drive *drive, PyObject *task, PyObject *done)
{
    struct fa_py_state *state = drive->host->state;
    PyObject *kwnames = PyTuple_Pack(1, state->str_context);
    if (kwnames == NULL)
        return -1;
    PyObject *stack[] = {task, done, drive->context};
    PyObject *none = PyObject_VectorcallMethod(state->str_add_done_callback, stack, 2, kwnames);
    Py_DECREF(kwnames);
    Py_XDECREF(none);
    return none != NULL ? 0 : -1;
}

/* An eager factory may have ended the task already; then there is nothing to wait for. */
static int is_done(struct fa_py_state *state, PyObject *task)
{
    PyObject *answer = PyObject_CallMethodNoArgs(task, state->str_done);
    if (answer == NULL)
        return -1;
    int done = PyObject_IsTrue(answer);
    Py_DECREF(answer);
    return done;
}

static void close_coroutine(struct drive *drive)
{
    PyObject *saved = fa_py_take_exception();
    PyObject *none = PyObject_CallMethodNoArgs(drive->coro, drive->host->state->str_close);
    Py_XDECREF(none);
    if (none == NULL)
        PyErr_WriteUnraisable(drive->coro);
    if (saved != NULL)
        fa_py_restore_exception(saved);
}

static int drive_by_asyncio(struct drive *drive)
{
    struct fa_py_state *state = drive->host->state;
    PyTypeObject *type = (PyTypeObject *)state->done_type;
    PyObject *done = type->tp_alloc(type, 0);
    if (done == NULL) {
        close_coroutine(drive);
        return -1;
    }
    done_of(done)->state = state;
    PyObject *task = create_task(drive);
    if (task == NULL) {
        close_coroutine(drive);
        Py_DECREF(done);
        return -1;
    }
    /* From here on the coroutine belongs to a task: failures are the end of that task. */
    done_of(done)->on_done = drive->on_done;
    done_of(done)->arg = drive->arg;
    int ended = is_done(state, task);
    if (ended > 0)
        done_report(done_of(done), task);
    else if (ended < 0 || add_done_callback(drive, task, done) < 0) {
        PyObject *exc = fa_py_take_exception();
        done_finish(done_of(done), NULL, exc);
        Py_DECREF(exc);
    }
    Py_DECREF(task);
    Py_DECREF(done);
    return 0;
}

static bool wants_asyncio(const struct fa_py_reactor *host)
{
    if (!host->native_tasks || fa_py_reactor_has_task_factory(host))
        return true;
    PyThreadState *thread = PyThreadState_Get();
    return thread->c_tracefunc != NULL || thread->c_profilefunc != NULL;
}

/* ---- our path ---------------------------------------------------------------------------- */

static struct fa_py_outcome first_step(struct drive *drive)
{
    struct fa_py_outcome outcome = {FA_PY_NOTHING, NULL};
    switch (PyIter_Send(drive->coro, Py_None, &outcome.value)) {
    case PYGEN_NEXT:
        outcome.kind = FA_PY_YIELDED;
        return outcome;
    case PYGEN_RETURN:
        outcome.kind = FA_PY_RETURNED;
        return outcome;
    default:
        return fa_py_outcome_raised();
    }
}

/* No task is current afterwards: asyncio's first step of this one insists on that. */
static void leave_task(struct drive *drive)
{
    if (fa_py_current_leave(drive->host->state, drive->loop, drive->task, NULL) < 0)
        fa_py_reactor_report(drive->host, "the current task was changed by somebody else");
}

/* The task inside of which this one was driven goes on. */
static void restore_previous(struct drive *drive)
{
    if (FA_LIKELY(drive->previous == NULL))
        return;
    PyObject *none = NULL;
    if (fa_py_current_enter(drive->host->state, drive->loop, drive->previous, &none) < 0)
        fa_py_reactor_report(drive->host, "the current task was changed by somebody else");
    Py_XDECREF(none);
    Py_CLEAR(drive->previous);
}

static void leave_context(struct drive *drive)
{
    if (PyContext_Exit(drive->context) < 0)
        fa_py_reactor_report(drive->host, "a coroutine left another context entered");
}

static void forget_first_step(struct fa_py_task *data)
{
    data->host = NULL;
    data->context = NULL;
}

/* Ended in the first step, and nobody holds the task: it never existed. */
static void finish_unseen(struct drive *drive, struct fa_py_outcome *outcome)
{
    struct fa_py_task *data = fa_py_task_of(drive->task);
    data->phase = FA_PY_TASK_BLANK;
    data->coro = NULL;
    forget_first_step(data);
    fa_py_task_recycle(drive->host, drive->task);
    if (outcome->kind == FA_PY_RETURNED) {
        drive->on_done(drive->arg, outcome->value, NULL);
        Py_DECREF(outcome->value);
        return;
    }
    drive->on_done(drive->arg, NULL, outcome->value);
    if (PyErr_GivenExceptionMatches(outcome->value, PyExc_KeyboardInterrupt) ||
        PyErr_GivenExceptionMatches(outcome->value, PyExc_SystemExit))
        fa_py_reactor_report_exc(drive->host, outcome->value, "a coroutine was interrupted");
    Py_DECREF(outcome->value);
}

/* No task can be made of a coroutine that waits already: it ends here, with the reason. */
static void finish_failed(struct drive *drive, struct fa_py_outcome *outcome)
{
    struct fa_py_task *data = fa_py_task_of(drive->task);
    PyObject *exc = fa_py_take_exception();
    if (outcome->kind == FA_PY_YIELDED)
        close_coroutine(drive);
    leave_context(drive);
    data->phase = FA_PY_TASK_BLANK;
    data->coro = NULL;
    forget_first_step(data);
    Py_DECREF(drive->task);
    if (outcome->kind == FA_PY_RETURNED)
        drive->on_done(drive->arg, outcome->value, NULL);
    else
        drive->on_done(drive->arg, NULL, outcome->kind == FA_PY_RAISED ? outcome->value : exc);
    Py_DECREF(outcome->value);
    Py_DECREF(exc);
}

/* asyncio's first step: it takes note of what the coroutine did, and of a request to cancel
 * that the coroutine made in its own first step. */
static void step_real(struct drive *drive)
{
    struct fa_py_task *data = fa_py_task_of(drive->task);
    PyObject *step = data->step;
    data->step = NULL;
    if (step == NULL)
        return;
    PyObject *none = PyObject_CallNoArgs(step);
    Py_DECREF(step);
    PyObject *message = fa_py_replay_take_cancel(data->replay);
    if (none != NULL && message != NULL && fa_py_task_renew_cancel(drive->task, message) < 0)
        Py_CLEAR(none);
    Py_XDECREF(message);
    if (none == NULL)
        fa_py_reactor_report(drive->host, "a step of a task failed");
    Py_XDECREF(none);
}

/* asyncio's step makes the task current itself: here it is not, any more. */
static void go_on_real(struct drive *drive, struct fa_py_outcome *outcome)
{
    struct fa_py_task *data = fa_py_task_of(drive->task);
    if (data->phase == FA_PY_TASK_LAZY && fa_py_task_materialise(drive->task) < 0) {
        finish_failed(drive, outcome);
        return;
    }
    forget_first_step(data);
    fa_py_replay_on_done(data->replay, drive->on_done, drive->arg);
    fa_py_replay_set(data->replay, outcome);
    step_real(drive);
    leave_context(drive);
    Py_DECREF(drive->task);
}

static int enter(struct drive *drive)
{
    struct fa_py_reactor *host = drive->host;
    drive->task = fa_py_task_take(host);
    if (drive->task == NULL)
        return -1;
    if (fa_py_current_enter(host->state, drive->loop, drive->task, &drive->previous) < 0) {
        fa_py_task_recycle(host, drive->task);
        return -1;
    }
    if (PyContext_Enter(drive->context) < 0) {
        leave_task(drive);
        restore_previous(drive);
        fa_py_task_recycle(host, drive->task);
        return -1;
    }
    return 0;
}

static int drive_by_us(struct drive *drive)
{
    if (enter(drive) < 0) {
        close_coroutine(drive);
        return -1;
    }
    struct fa_py_task *data = fa_py_task_of(drive->task);
    data->phase = FA_PY_TASK_LAZY;
    data->coro = drive->coro;
    data->host = drive->host;
    data->context = drive->context;
    struct fa_py_outcome outcome = first_step(drive);
    fa_py_task_await_init(drive->task);
    leave_task(drive);
    bool seen = data->phase != FA_PY_TASK_LAZY || Py_REFCNT(drive->task) > 1;
    if (FA_LIKELY(!seen && outcome.kind != FA_PY_YIELDED)) {
        leave_context(drive);
        finish_unseen(drive, &outcome);
    } else
        go_on_real(drive, &outcome);
    restore_previous(drive);
    return 0;
}

/* A coroutine, or an object that answers send() in C as one does. */
static bool is_sendable(PyObject *coro)
{
    const PyAsyncMethods *methods = Py_TYPE(coro)->tp_as_async;
    return methods != NULL && methods->am_send != NULL && !PyGen_CheckExact(coro);
}

static int check_coroutine(struct drive *drive)
{
    if (FA_LIKELY(is_sendable(drive->coro)))
        return 0;
    PyObject *answer = PyObject_CallOneArg(drive->host->state->is_coroutine, drive->coro);
    if (answer == NULL)
        return -1;
    int yes = PyObject_IsTrue(answer);
    Py_DECREF(answer);
    if (yes == 0)
        PyErr_Format(PyExc_TypeError, "a coroutine was expected, got %R", drive->coro);
    return yes > 0 ? 0 : -1;
}

static int check_arguments(struct drive *drive)
{
    if (check_coroutine(drive) < 0)
        return -1; /* nothing that could be closed */
    if (FA_LIKELY(drive->loop != NULL && drive->host->reactor != NULL))
        return 0;
    PyErr_SetString(PyExc_RuntimeError, "the loop of this reactor is closed");
    close_coroutine(drive);
    return -1;
}

int fa_py_drive(struct fa_py_reactor *host, PyObject *coro, PyObject *context,
                fa_py_done_fn *on_done, PyObject *arg)
{
    struct drive drive = {
        .host = host,
        .loop = host->loop,
        .coro = coro,
        .context = context,
        .on_done = on_done,
        .arg = arg,
    };
    if (check_arguments(&drive) < 0)
        return -1;
    if (FA_UNLIKELY(wants_asyncio(host)))
        return drive_by_asyncio(&drive);
    if (FA_LIKELY(!fa_py_reactor_debug(host)))
        return drive_by_us(&drive);
    uint64_t started_ns = fa_now_ns();
    Py_INCREF(coro);
    int err = drive_by_us(&drive);
    fa_py_reactor_note_slow(host, coro, fa_now_ns() - started_ns);
    Py_DECREF(coro);
    return err;
}

/* ---- for Python ---------------------------------------------------------------------------- */

static void call_back(PyObject *callback, PyObject *result, PyObject *exc)
{
    PyObject *args[] = {result != NULL ? result : Py_None, exc != NULL ? exc : Py_None};
    PyObject *none = PyObject_Vectorcall(callback, args, 2, NULL);
    if (none == NULL)
        PyErr_WriteUnraisable(callback);
    Py_XDECREF(none);
    Py_DECREF(callback);
}

PyDoc_STRVAR(drive_doc,
             "drive(reactor, coro, context, callback, /)\n--\n\n"
             "Run a coroutine as a task of the reactor's loop, its first step at once.\n\n"
             "callback(result, exception) is called exactly once, when it ends: one of the two "
             "is None, a cancelled coroutine ends with a CancelledError.");

static PyObject *module_drive(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    struct fa_py_state *state = fa_py_state_of_module(module);
    if (count != 4)
        return PyErr_Format(PyExc_TypeError, "drive() takes 4 arguments, got %zd", count);
    if (!fa_py_reactor_check(state, args[0]))
        return PyErr_Format(PyExc_TypeError, "a Reactor was expected, got %R", args[0]);
    if (!PyContext_CheckExact(args[2]))
        return PyErr_Format(PyExc_TypeError, "a Context was expected, got %R", args[2]);
    struct fa_py_reactor *host = (struct fa_py_reactor *)(void *)args[0];
    if (fa_py_drive(host, args[1], args[2], call_back, Py_NewRef(args[3])) == 0)
        Py_RETURN_NONE;
    Py_DECREF(args[3]);
    return NULL;
}

static PyMethodDef drive_functions[] = {
    {"drive", (PyCFunction)(void (*)(void))module_drive, METH_FASTCALL, drive_doc},
    {NULL, NULL, 0, NULL},
};

int fa_py_init_drive(PyObject *module, struct fa_py_state *state)
{
    if (PyModule_AddFunctions(module, drive_functions) < 0)
        return -1;
    return fa_py_add_type(module, &state->done_type, &done_spec, NULL, false);
}
