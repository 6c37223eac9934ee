/* SPDX-License-Identifier: MIT */
/* task.c - fasterapi._native.Task: asyncio's own C Task, initialised as late as possible. On
 * the loop's thread, with the GIL.
 *
 * Most request handlers end in their first step: they never wait. For those an asyncio.Task
 * is only an identity (current_task(), keys of weak dictionaries), and its initialisation
 * (callbacks, a handle, the registry) is the larger part of its price. So the object is made
 * current without it:
 *
 *   BLANK -> LAZY -> (ended, nobody looked) BLANK, used again
 *             |
 *             +-> INIT -> REAL     on the first suspension, on any look at an attribute, and
 *                                  when somebody still refers to it at its end
 *
 * REAL means that asyncio.Task.__init__ ran, with a stand-in for the coroutine (see
 * task_replay.c) that first repeats what the coroutine did meanwhile. From there on CPython's
 * code runs the task: waiting, wake-ups, cancellation, callbacks, the result. Nothing of it
 * is imitated here, and no private structure is read.
 *
 * Every attribute goes through tp_getattro and tp_setattro, awaiting and repr() through slots
 * of their own, so no code ever sees an uninitialised task. While it is not REAL the object
 * is hidden from the garbage collector; it refers to nothing then. Another thread may look at
 * it all the same, through all_tasks(loop); should it be in the middle of INIT when the first
 * step ends, the loop's thread lets it finish. */
#include "task_int.h"

#include <sched.h>

#include "init.h"
#include "loop.h"

/* asyncio.Task, the type that ours extends. */
static PyTypeObject *base_of(PyObject *task)
{
    return Py_TYPE(task)->tp_base;
}

static PyObject *first_weak_reference(PyObject *task)
{
    return *(PyObject **)(void *)((char *)task + Py_TYPE(task)->tp_weaklistoffset);
}

/* asyncio.all_tasks() must find a task in its first step too. Its registry is a set of weak
 * references; a task enters it once, for all the requests that it will serve. Idle it claims
 * to belong to no loop, and all_tasks() passes over it. */
static int enter_registry(PyObject *task)
{
    struct fa_py_task *data = fa_py_task_of(task);
    PyObject *none = PyObject_CallOneArg(data->state->register_task, task);
    Py_XDECREF(none);
    data->registry_ref = first_weak_reference(task);
    return none != NULL ? 0 : -1;
}

PyObject *fa_py_task_take(struct fa_py_reactor *host)
{
    PyObject *task = host->spare_task;
    if (FA_LIKELY(task != NULL)) {
        host->spare_task = NULL;
        return task;
    }
    PyTypeObject *type = (PyTypeObject *)host->state->task_type;
    task = type->tp_alloc(type, 0);
    if (task == NULL)
        return NULL;
    PyObject_GC_UnTrack(task);
    fa_py_task_of(task)->state = host->state;
    if (enter_registry(task) == 0)
        return task;
    Py_DECREF(task);
    return NULL;
}

/* Somebody's weak reference may outlive the request; it must not see the next one. */
static bool has_weak_references(PyObject *task)
{
    PyObject *first = first_weak_reference(task);
    if (first != fa_py_task_of(task)->registry_ref)
        return true;
    return first != NULL && ((PyWeakReference *)(void *)first)->wr_next != NULL;
}

void fa_py_task_recycle(struct fa_py_reactor *host, PyObject *task)
{
    if (FA_LIKELY(host->spare_task == NULL && Py_REFCNT(task) == 1 && !has_weak_references(task)))
        host->spare_task = task;
    else
        Py_DECREF(task);
}

/* Calls asyncio.Task.__init__(task, replay, loop=, context=). */
static int init_base(PyObject *task, PyObject *replay)
{
    struct fa_py_task *data = fa_py_task_of(task);
    struct fa_py_state *state = data->state;
    PyObject *args = PyTuple_Pack(1, replay);
    PyObject *kwargs = PyDict_New();
    int err = -1;
    if (args != NULL && kwargs != NULL &&
        PyDict_SetItem(kwargs, state->str_loop, data->host->loop) == 0 &&
        PyDict_SetItem(kwargs, state->str_context, data->context) == 0) {
        PyObject **before;
        bool captured = fa_py_loop_capture(data->host, &data->step, &before);
        err = base_of(task)->tp_init(task, args, kwargs);
        if (captured)
            fa_py_loop_end_capture(data->host, before);
    }
    Py_XDECREF(args);
    Py_XDECREF(kwargs);
    return err;
}

int fa_py_task_materialise(PyObject *task)
{
    struct fa_py_task *data = fa_py_task_of(task);
    FA_ASSERT(data->phase == FA_PY_TASK_LAZY);
    PyObject *replay = fa_py_replay_new(data->state, data->coro, task);
    if (replay == NULL)
        return -1;
    data->phase = FA_PY_TASK_INIT;
    if (init_base(task, replay) < 0) {
        fa_py_replay_forget_task(replay);
        Py_DECREF(replay);
        Py_CLEAR(data->step);
        data->phase = FA_PY_TASK_LAZY;
        return -1;
    }
    fa_py_replay_immediate(replay, data->step != NULL);
    data->replay = replay;
    Py_INCREF(data->coro);
    data->phase = FA_PY_TASK_REAL;
    PyObject_GC_Track(task);
    return 0;
}

int fa_py_task_renew_cancel(PyObject *task, PyObject *msg)
{
    struct fa_py_state *state = fa_py_task_of(task)->state;
    PyObject *kwnames = PyTuple_Pack(1, state->str_msg);
    if (kwnames == NULL)
        return -1;
    PyObject *args[] = {task, msg};
    PyObject *answer = PyObject_VectorcallMethod(state->str_cancel, args, 1, kwnames);
    Py_DECREF(kwnames);
    if (answer == NULL)
        return -1;
    Py_DECREF(answer);
    answer = PyObject_CallMethodNoArgs(task, state->str_uncancel);
    Py_XDECREF(answer);
    return answer != NULL ? 0 : -1;
}

void fa_py_task_await_init(PyObject *task)
{
    /* volatile: it changes while the GIL is released. */
    volatile enum fa_py_task_phase *phase = &fa_py_task_of(task)->phase;
    while (FA_UNLIKELY(*phase == FA_PY_TASK_INIT)) {
        Py_BEGIN_ALLOW_THREADS(void) sched_yield();
        Py_END_ALLOW_THREADS
    }
}

static int ensure_real(PyObject *task)
{
    return fa_py_task_of(task)->phase == FA_PY_TASK_LAZY ? fa_py_task_materialise(task) : 0;
}

/* ---- slots ------------------------------------------------------------------------------ */

/* What all_tasks() asks of every task, those of other loops and threads included. */
static bool is_answered_lazily(const struct fa_py_state *state, PyObject *name)
{
    return name == state->str___class__ || name == state->str_get_loop || name == state->str_done;
}

static PyObject *task_getattro(PyObject *task, PyObject *name)
{
    struct fa_py_task *data = fa_py_task_of(task);
    if (data->phase == FA_PY_TASK_LAZY && !is_answered_lazily(data->state, name) &&
        fa_py_task_materialise(task) < 0)
        return NULL;
    return PyObject_GenericGetAttr(task, name);
}

static int task_setattro(PyObject *task, PyObject *name, PyObject *value)
{
    return ensure_real(task) < 0 ? -1 : PyObject_GenericSetAttr(task, name, value);
}

static PyObject *task_repr(PyObject *task)
{
    return ensure_real(task) < 0 ? NULL : base_of(task)->tp_repr(task);
}

static PyObject *task_iter(PyObject *task)
{
    return ensure_real(task) < 0 ? NULL : base_of(task)->tp_iter(task);
}

static PyObject *task_await(PyObject *task)
{
    return ensure_real(task) < 0 ? NULL : base_of(task)->tp_as_async->am_await(task);
}

/* Task(coro, loop=...) called by Python code: an ordinary asyncio task of our type. */
static int task_init(PyObject *task, PyObject *args, PyObject *kwargs)
{
    struct fa_py_task *data = fa_py_task_of(task);
    data->state = fa_py_state_of_type(Py_TYPE(task));
    if (data->state == NULL)
        return -1;
    data->phase = FA_PY_TASK_REAL;
    Py_CLEAR(data->coro);
    return base_of(task)->tp_init(task, args, kwargs);
}

static int task_traverse(PyObject *task, visitproc visit, void *arg)
{
    struct fa_py_task *data = fa_py_task_of(task);
    Py_VISIT(data->coro);
    Py_VISIT(data->replay);
    Py_VISIT(data->step);
    PyTypeObject *base = base_of(task);
    /* A base on the heap visits the type itself; the static one of 3.11 does not. */
    if (!PyType_HasFeature(base, Py_TPFLAGS_HEAPTYPE))
        Py_VISIT(Py_TYPE(task));
    return base->tp_traverse(task, visit, arg);
}

static int task_clear(PyObject *task)
{
    struct fa_py_task *data = fa_py_task_of(task);
    if (data->replay != NULL)
        fa_py_replay_forget_task(data->replay);
    Py_CLEAR(data->replay);
    Py_CLEAR(data->coro);
    Py_CLEAR(data->step);
    return base_of(task)->tp_clear(task);
}

/* asyncio would report an exception that nobody fetched; ours was given to the driver. */
static void task_finalize(PyObject *task)
{
    struct fa_py_task *data = fa_py_task_of(task);
    if (data->failed && data->state->str__log_traceback != NULL) {
        PyObject *exc = fa_py_take_exception();
        if (PyObject_GenericSetAttr(task, data->state->str__log_traceback, Py_False) < 0)
            PyErr_Clear();
        if (exc != NULL)
            fa_py_restore_exception(exc);
    }
    base_of(task)->tp_finalize(task);
}

static void task_dealloc(PyObject *task)
{
    /* 3.11's base leaves this to subclasses; where the base does it too, it is done once. */
    if (PyObject_CallFinalizerFromDealloc(task) < 0)
        return;
    PyTypeObject *type = Py_TYPE(task);
    PyTypeObject *base = base_of(task);
    struct fa_py_task *data = fa_py_task_of(task);
    PyObject_GC_UnTrack(task);
    if (data->replay != NULL)
        fa_py_replay_forget_task(data->replay);
    Py_CLEAR(data->replay);
    Py_CLEAR(data->coro);
    Py_CLEAR(data->step);
    base->tp_dealloc(task);
    if (!PyType_HasFeature(base, Py_TPFLAGS_HEAPTYPE))
        Py_DECREF(type);
}

/* ---- members ---------------------------------------------------------------------------- */

/* asyncio.Task's own method. */
static PyObject *call_base(PyObject *task, const char *name)
{
    PyObject *method = PyObject_GetAttrString((PyObject *)base_of(task), name);
    if (method == NULL)
        return NULL;
    PyObject *answer = PyObject_CallOneArg(method, task);
    Py_DECREF(method);
    return answer;
}

static PyObject *task_get__coro(PyObject *task, void *closure)
{
    PyObject *coro = fa_py_task_of(task)->coro;
    return coro != NULL ? Py_NewRef(coro) : call_base(task, "get_coro");
}

PyDoc_STRVAR(get_loop_doc, "get_loop($self, /)\n--\n\nThe loop that the task runs on.");

static PyObject *task_get_loop(PyObject *task, PyObject *unused)
{
    struct fa_py_task *data = fa_py_task_of(task);
    if (data->phase == FA_PY_TASK_REAL)
        return call_base(task, "get_loop");
    bool has_loop = data->host != NULL && data->host->loop != NULL;
    return Py_NewRef(has_loop ? data->host->loop : Py_None);
}

PyDoc_STRVAR(done_doc, "done($self, /)\n--\n\nWhether the task has ended.");

static PyObject *task_done(PyObject *task, PyObject *unused)
{
    if (fa_py_task_of(task)->phase == FA_PY_TASK_REAL)
        return call_base(task, "done");
    Py_RETURN_FALSE;
}

PyDoc_STRVAR(get_coro_doc, "get_coro($self, /)\n--\n\nThe coroutine that the task runs.");

static PyObject *task_get_coro(PyObject *task, PyObject *unused)
{
    return task_get__coro(task, NULL);
}

static PyMethodDef task_methods[] = {
    {"get_coro", task_get_coro, METH_NOARGS, get_coro_doc},
    {"get_loop", task_get_loop, METH_NOARGS, get_loop_doc},
    {"done", task_done, METH_NOARGS, done_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef task_getset[] = {
    {"_coro", task_get__coro, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(task_doc,
             "An asyncio.Task as the reactor runs it. Not made by hand: asyncio.current_task() "
             "returns it.");

static PyType_Slot task_slots[] = {
    {Py_tp_doc, (void *)task_doc},           {Py_tp_init, (void *)task_init},
    {Py_tp_getattro, (void *)task_getattro}, {Py_tp_setattro, (void *)task_setattro},
    {Py_tp_repr, (void *)task_repr},         {Py_tp_iter, (void *)task_iter},
    {Py_am_await, (void *)task_await},       {Py_tp_traverse, (void *)task_traverse},
    {Py_tp_clear, (void *)task_clear},       {Py_tp_finalize, (void *)task_finalize},
    {Py_tp_dealloc, (void *)task_dealloc},   {Py_tp_methods, (void *)task_methods},
    {Py_tp_getset, (void *)task_getset},     {0, NULL},
};

static int add_task_type(PyObject *module, struct fa_py_state *state)
{
    PyTypeObject *base = (PyTypeObject *)state->asyncio_task;
    if (!PyType_Check(base) || base->tp_init == NULL || base->tp_as_async == NULL ||
        base->tp_traverse == NULL || base->tp_weaklistoffset == 0) {
        PyErr_SetString(PyExc_ImportError, "fasterapi needs the C implementation of asyncio.Task");
        return -1;
    }
    size_t align = _Alignof(struct fa_py_task);
    size_t size = ((size_t)base->tp_basicsize + align - 1) / align * align;
    PyType_Spec spec = {
        .name = "fasterapi._native.Task",
        .basicsize = (int)(size + sizeof(struct fa_py_task)),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
        .slots = task_slots,
    };
    return fa_py_add_type(module, &state->task_type, &spec, state->asyncio_task, true);
}

int fa_py_init_task(PyObject *module, struct fa_py_state *state)
{
    if (fa_py_import(&state->asyncio_task, "_asyncio", "Task") < 0 ||
        fa_py_import(&state->register_task, "asyncio.tasks", "_register_task") < 0 ||
        fa_py_import(&state->cancelled_error, "asyncio.exceptions", "CancelledError") < 0 ||
        fa_py_import(&state->is_coroutine, "asyncio.coroutines", "iscoroutine") < 0)
        return -1;
    if (add_task_type(module, state) < 0 || fa_py_init_replay(module, state) < 0 ||
        fa_py_init_current(state) < 0)
        return -1;
    return fa_py_init_drive(module, state);
}
