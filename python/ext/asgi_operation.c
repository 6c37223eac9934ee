/* SPDX-License-Identifier: MIT */
/* asgi_operation.c - fasterapi._native.Operation: what receive() and send(message) return. On
 * the loop's thread, with the GIL.
 *
 * It behaves as the coroutine that uvicorn returns here: nothing happens until it is awaited
 * (or wrapped in a task), it can be awaited once, one that never was is warned about. Unlike
 * a coroutine it costs no frame, and it suspends only where it must:
 *
 *   NEW -> DONE                      what was asked for could be done at once
 *   NEW -> WAITING -> DONE           on a future of the loop, which the exchange completes when
 *                                    there is something new; then it looks again
 *   NEW -> DEFERRED -> DONE          on a future that somebody else completes (opening a file)
 *
 * While it waits its link is in exchange->waiters, which owns nothing: an operation that dies
 * takes itself out. */
#include "asgi.h"
#include "asgi_init.h"
#include "coroutine.h"
#include "freelist.h"

enum operation_phase { NEW = 0, WAITING, DEFERRED, DONE };

struct operation {
    PyObject_HEAD struct fa_py_state *state;
    struct fa_py_exchange *ex;
    PyObject *message; /* NULL: this is a receive() */
    PyObject *future;  /* while it waits */
    PyObject *waiter;  /* the future's iterator */
    struct fa_list link;
    enum operation_phase phase;
    bool is_send;
    bool running; /* a step is on the stack: what it uses stays until it is over */
};

static struct operation *operation_of(PyObject *object)
{
    return (struct operation *)(void *)object;
}

PyObject *fa_py_operation_new(struct fa_py_exchange *ex, PyObject *message)
{
    struct fa_py_state *state = ex->state;
    PyObject *self =
        fa_py_free_list_take(&state->free_operations, (PyTypeObject *)state->operation_type);
    if (self == NULL)
        return NULL;
    struct operation *op = operation_of(self);
    op->state = state;
    op->ex = (struct fa_py_exchange *)(void *)Py_NewRef((PyObject *)ex);
    op->message = Py_XNewRef(message);
    op->future = NULL;
    op->waiter = NULL;
    fa_list_init(&op->link);
    op->phase = NEW;
    op->is_send = message != NULL;
    op->running = false;
    PyObject_GC_Track(self);
    return self;
}

static void stop_waiting(struct operation *op)
{
    fa_list_unlink(&op->link);
    Py_CLEAR(op->waiter);
    Py_CLEAR(op->future);
}

static void finish(struct operation *op)
{
    op->phase = DONE;
    stop_waiting(op);
    Py_CLEAR(op->message);
}

void fa_py_operation_wake(struct fa_list *link)
{
    struct operation *op = FA_CONTAINER_OF(link, struct operation, link);
    fa_list_unlink(link);
    if (op->future == NULL)
        return;
    /* The future may be cancelled already: then its waiter learns of that instead. */
    PyObject *future = Py_NewRef(op->future);
    PyObject *answer = PyObject_CallMethodNoArgs(future, op->state->str_done);
    if (answer == Py_False)
        Py_SETREF(answer, PyObject_CallMethodOneArg(future, op->state->str_set_result, Py_None));
    if (answer == NULL)
        fa_py_reactor_report(op->ex->server->host, "waking an ASGI operation failed");
    Py_XDECREF(answer);
    Py_DECREF(future);
}

/* ---- steps -------------------------------------------------------------------------------- */

static PySendResult resume(struct operation *op, PyObject *value, PyObject **result);

/* Begins to wait on `future` (stolen). */
static PySendResult begin_wait(struct operation *op, enum operation_phase phase, PyObject *future,
                               PyObject **result)
{
    if (future == NULL)
        return PYGEN_ERROR;
    op->future = future;
    op->waiter = fa_py_coroutine_iterator(future);
    if (op->waiter == NULL)
        return PYGEN_ERROR;
    op->phase = phase;
    if (phase == WAITING)
        fa_list_push_back(&op->ex->waiters, &op->link);
    PySendResult outcome = PyIter_Send(op->waiter, Py_None, result);
    return outcome == PYGEN_RETURN ? resume(op, *result, result) : outcome;
}

/* Does what the operation is for, as far as it goes. */
static PySendResult attempt(struct operation *op, PyObject **result)
{
    PyObject *value = NULL;
    if (op->ex->server != NULL && op->ex->server->thread != PyThread_get_thread_ident()) {
        PyErr_SetString(PyExc_RuntimeError, "the request belongs to another thread's event loop");
        return PYGEN_ERROR;
    }
    enum fa_py_progress progress = op->is_send ? fa_py_response_send(op->ex, op->message, &value)
                                               : fa_py_request_receive(op->ex, &value);
    switch (progress) {
    case FA_PY_READY:
        *result = value;
        return PYGEN_RETURN;
    case FA_PY_WAIT:
        return begin_wait(op, WAITING, PyObject_CallNoArgs(op->ex->server->create_future), result);
    case FA_PY_DEFERRED:
        return begin_wait(op, DEFERRED, value, result);
    case FA_PY_FAILED:
    default:
        return PYGEN_ERROR;
    }
}

/* The future is complete with `value` (stolen). */
static PySendResult resume(struct operation *op, PyObject *value, PyObject **result)
{
    /* asyncio takes a result for a success, whatever the outcome beside it says. */
    *result = NULL;
    stop_waiting(op);
    if (op->phase == WAITING) {
        Py_DECREF(value);
        return attempt(op, result);
    }
    int err = fa_py_response_file(op->ex, value);
    Py_DECREF(value);
    if (err < 0)
        return PYGEN_ERROR;
    *result = Py_NewRef(Py_None);
    return PYGEN_RETURN;
}

/* A message is read with its own code, which may come back here. */
static int check_not_running(const struct operation *op)
{
    if (FA_LIKELY(!op->running))
        return 0;
    PyErr_SetString(PyExc_ValueError, "coroutine already executing");
    return -1;
}

static PySendResult operation_step(struct operation *op, PyObject *arg, PyObject **result)
{
    PySendResult outcome;
    *result = NULL;
    if (check_not_running(op) < 0)
        return PYGEN_ERROR;
    if (op->phase == NEW && arg != Py_None) {
        PyErr_SetString(PyExc_TypeError, "can't send non-None value to a just-started coroutine");
        return PYGEN_ERROR;
    }
    if (op->phase == DONE) {
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
        return PYGEN_ERROR;
    }
    op->running = true;
    if (op->phase == NEW) {
        outcome = attempt(op, result);
    } else {
        outcome = PyIter_Send(op->waiter, arg, result);
        if (outcome == PYGEN_RETURN)
            outcome = resume(op, *result, result);
    }
    op->running = false;
    if (outcome != PYGEN_NEXT)
        finish(op);
    return outcome;
}

static PySendResult operation_am_send(PyObject *self, PyObject *arg, PyObject **result)
{
    return operation_step(operation_of(self), arg, result);
}

static PyObject *operation_next(PyObject *self)
{
    PyObject *value;
    PySendResult outcome = operation_step(operation_of(self), Py_None, &value);
    return fa_py_coroutine_next_answer(outcome, value);
}

static PyObject *operation_send(PyObject *self, PyObject *arg)
{
    PyObject *value;
    PySendResult outcome = operation_step(operation_of(self), arg, &value);
    return fa_py_coroutine_answer(outcome, value);
}

static PyObject *operation_throw(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    struct operation *op = operation_of(self);
    if (check_not_running(op) < 0)
        return NULL;
    if (op->waiter == NULL) {
        finish(op);
        fa_py_coroutine_raise(args, nargs);
        return NULL;
    }
    PyObject *method = PyObject_GetAttr(op->waiter, op->state->str_throw);
    PyObject *value = NULL;
    if (method != NULL) {
        value = PyObject_Vectorcall(method, args, (size_t)nargs, NULL);
        Py_DECREF(method);
    }
    if (value == NULL)
        finish(op);
    return value;
}

static PyObject *operation_close(PyObject *self, PyObject *unused)
{
    if (check_not_running(operation_of(self)) < 0)
        return NULL;
    finish(operation_of(self));
    Py_RETURN_NONE;
}

/* `await`: once. A second one while the first waits would take its future away. */
static PyObject *operation_await(PyObject *self)
{
    struct operation *op = operation_of(self);
    if (FA_LIKELY(op->phase == NEW || op->phase == DONE))
        return Py_NewRef(self);
    PyErr_SetString(PyExc_RuntimeError, "coroutine is being awaited already");
    return NULL;
}

/* ---- the object ------------------------------------------------------------------------------ */

static int operation_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct operation *op = operation_of(self);
    Py_VISIT(Py_TYPE(self));
    Py_VISIT((PyObject *)op->ex);
    Py_VISIT(op->message);
    Py_VISIT(op->future);
    Py_VISIT(op->waiter);
    return 0;
}

static int operation_clear(PyObject *self)
{
    finish(operation_of(self));
    return 0;
}

static void warn_never_awaited(bool is_send)
{
    PyObject *exc = fa_py_take_exception();
    const char *name = is_send ? "Exchange.send" : "Exchange.receive";
    if (PyErr_WarnFormat(PyExc_RuntimeWarning, 1, "coroutine '%s' was never awaited", name) < 0)
        PyErr_WriteUnraisable(NULL);
    if (exc != NULL)
        fa_py_restore_exception(exc);
}

static void operation_dealloc(PyObject *self)
{
    struct operation *op = operation_of(self);
    PyObject_GC_UnTrack(self);
    if (FA_UNLIKELY(op->phase == NEW))
        warn_never_awaited(op->is_send);
    finish(op);
    Py_CLEAR(op->ex);
    fa_py_free_list_give(&op->state->free_operations, self);
}

static PyObject *operation_name(PyObject *self, void *unused)
{
    return PyUnicode_FromString(operation_of(self)->is_send ? "send" : "receive");
}

static PyObject *operation_qualname(PyObject *self, void *unused)
{
    return PyUnicode_FromString(operation_of(self)->is_send ? "Exchange.send" : "Exchange.receive");
}

static PyObject *operation_cr_await(PyObject *self, void *unused)
{
    struct operation *op = operation_of(self);
    return Py_NewRef(op->waiter != NULL ? op->waiter : Py_None);
}

static PyMethodDef operation_methods[] = {
    {"send", operation_send, METH_O, NULL},
    {"throw", (PyCFunction)(void (*)(void))operation_throw, METH_FASTCALL, NULL},
    {"close", operation_close, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef operation_getset[] = {
    {"__name__", operation_name, NULL, NULL, NULL},
    {"__qualname__", operation_qualname, NULL, NULL, NULL},
    {"cr_await", operation_cr_await, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot operation_slots[] = {
    {Py_tp_dealloc, (void *)operation_dealloc},
    {Py_tp_traverse, (void *)operation_traverse},
    {Py_tp_clear, (void *)operation_clear},
    {Py_tp_iternext, (void *)operation_next},
    {Py_am_await, (void *)operation_await},
    {Py_am_send, (void *)operation_am_send},
    {Py_tp_methods, operation_methods},
    {Py_tp_getset, operation_getset},
    {Py_tp_doc, (void *)"What receive() and send() of an ASGI request return: await it once."},
    {0, NULL},
};

static PyType_Spec operation_spec = {
    .name = "fasterapi._native.Operation",
    .basicsize = sizeof(struct operation),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = operation_slots,
};

int fa_py_init_operation(PyObject *module, struct fa_py_state *state)
{
    return fa_py_add_type(module, &state->operation_type, &operation_spec, NULL, true);
}
