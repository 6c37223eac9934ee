/* SPDX-License-Identifier: MIT */
/* loop.c - fasterapi._native.LoopCore: what fasterapi.Loop has in C. It stands in front of
 * asyncio.SelectorEventLoop among the bases of Loop, so its members win. On the loop's
 * thread, with the GIL.
 *
 * It holds, as data descriptors, the attributes of BaseEventLoop that a turn needs; asyncio's
 * Python code goes on using them under their names. It takes note of which selector the loop
 * has: only with ours there is native work in its turn (turn.c). It offers tasks the capture
 * of a callback that call_soon() would have queued. */
#include "loop.h"

#include <structmember.h>

#include "init.h"
#include "reactor_int.h"
#include "selector.h"
#include "turn.h"

struct fa_py_loop *fa_py_loop_of(PyObject *loop)
{
    return (struct fa_py_loop *)(void *)loop;
}

/* ---- capture -------------------------------------------------------------------------------- */

static bool on_loop_thread(const struct fa_py_reactor *host)
{
    return host != NULL && host->reactor != NULL && fa_reactor_on_owner(host->reactor);
}

bool fa_py_loop_capture(struct fa_py_reactor *host, PyObject **slot, PyObject ***before)
{
    struct fa_py_loop *own = host->own_loop;
    if (own == NULL || !own->captures || !on_loop_thread(host))
        return false;
    *before = own->capture;
    own->capture = slot;
    return true;
}

void fa_py_loop_end_capture(struct fa_py_reactor *host, PyObject **before)
{
    if (host->own_loop != NULL)
        host->own_loop->capture = before;
}

PyDoc_STRVAR(call_soon_doc, "call_soon($self, callback, *args, context=None)\n--\n\n"
                            "As asyncio's.");

static PyObject *loop_call_soon(PyObject *self, PyObject *const *args, Py_ssize_t count,
                                PyObject *kwnames)
{
    struct fa_py_loop *loop = fa_py_loop_of(self);
    /* A task names its context. Another thread may be about to make a task, too. */
    if (loop->capture != NULL && count == 1 && kwnames != NULL && on_loop_thread(loop->host)) {
        *loop->capture = Py_NewRef(args[0]);
        loop->capture = NULL;
        Py_RETURN_NONE;
    }
    return fa_py_call_soon(loop, args, count, kwnames);
}

PyDoc_STRVAR(time_doc, "time($self, /)\n--\n\nAs asyncio's: the monotonic clock, in seconds.");

static PyObject *loop_time(PyObject *self, PyObject *unused)
{
    return PyFloat_FromDouble((double)fa_now_ns() / 1e9);
}

/* ---- the selector --------------------------------------------------------------------------- */

/* Whether the class of `self` has `name` as `owner` has it. */
static int inherits_unchanged(PyObject *self, PyObject *owner, PyObject *name)
{
    PyObject *mine = PyObject_GetAttr((PyObject *)Py_TYPE(self), name);
    PyObject *theirs = PyObject_GetAttr(owner, name);
    int same = mine != NULL && theirs != NULL ? mine == theirs : -1;
    Py_XDECREF(mine);
    Py_XDECREF(theirs);
    return same;
}

static void forget_host(struct fa_py_loop *loop)
{
    struct fa_py_reactor *host = loop->host;
    if (host == NULL)
        return;
    loop->host = NULL;
    if (host->own_loop == loop) {
        host->own_loop = NULL;
        host->loop = NULL;
    }
    Py_DECREF(host);
}

static int adopt_host(PyObject *self, struct fa_py_reactor *host)
{
    struct fa_py_loop *loop = fa_py_loop_of(self);
    if (host->loop != NULL && host->loop != self) {
        PyErr_SetString(PyExc_ValueError, "this selector belongs to another event loop");
        return -1;
    }
    int captures = inherits_unchanged(self, loop->state->loop_type, loop->state->str_call_soon);
    int plain =
        inherits_unchanged(self, loop->state->base_selector_loop, loop->state->str__process_events);
    if (captures < 0 || plain < 0)
        return -1;
    loop->captures = captures != 0;
    loop->plain_events = plain != 0;
    loop->host = (struct fa_py_reactor *)(void *)Py_NewRef((PyObject *)host);
    host->own_loop = loop;
    host->loop = self;
    return 0;
}

static int ensure_state(PyObject *self)
{
    struct fa_py_loop *loop = fa_py_loop_of(self);
    if (loop->state == NULL)
        loop->state = fa_py_state_of_type(Py_TYPE(self));
    return loop->state != NULL ? 0 : -1;
}

static PyObject *loop_get_selector(PyObject *self, void *closure)
{
    PyObject *selector = fa_py_loop_of(self)->selector;
    if (selector != NULL)
        return Py_NewRef(selector);
    PyErr_SetString(PyExc_AttributeError, "_selector");
    return NULL;
}

static int loop_set_selector(PyObject *self, PyObject *value, void *closure)
{
    struct fa_py_loop *loop = fa_py_loop_of(self);
    if (ensure_state(self) < 0)
        return -1;
    forget_host(loop);
    Py_XSETREF(loop->selector, Py_XNewRef(value));
    if (value != NULL && fa_py_selector_check(loop->state, value))
        return adopt_host(self, fa_py_selector_of(value)->host);
    return 0;
}

PyDoc_STRVAR(reactor_doc, "The native reactor that this loop waits with; None without one "
                          "(another selector, or closed).");

static PyObject *loop_get_reactor(PyObject *self, void *closure)
{
    struct fa_py_loop *loop = fa_py_loop_of(self);
    return Py_NewRef(loop->host != NULL ? (PyObject *)loop->host : Py_None);
}

/* ---- the type ------------------------------------------------------------------------------- */

static int loop_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct fa_py_loop *loop = fa_py_loop_of(self);
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(loop->ready);
    Py_VISIT(loop->scheduled);
    Py_VISIT(loop->stopping);
    Py_VISIT(loop->closed);
    Py_VISIT(loop->debug);
    Py_VISIT(loop->timer_cancelled_count);
    Py_VISIT(loop->clock_resolution);
    Py_VISIT(loop->task_factory);
    Py_VISIT(loop->selector);
    Py_VISIT(loop->host);
    return 0;
}

static int loop_clear(PyObject *self)
{
    struct fa_py_loop *loop = fa_py_loop_of(self);
    forget_host(loop);
    Py_CLEAR(loop->ready);
    Py_CLEAR(loop->scheduled);
    Py_CLEAR(loop->stopping);
    Py_CLEAR(loop->closed);
    Py_CLEAR(loop->debug);
    Py_CLEAR(loop->timer_cancelled_count);
    Py_CLEAR(loop->clock_resolution);
    Py_CLEAR(loop->task_factory);
    Py_CLEAR(loop->selector);
    return 0;
}

static void loop_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)loop_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef loop_methods[] = {
    {"_run_once", fa_py_loop_run_once, METH_NOARGS, NULL},
    {"call_soon", (PyCFunction)(void (*)(void))loop_call_soon, METH_FASTCALL | METH_KEYWORDS,
     call_soon_doc},
    {"time", loop_time, METH_NOARGS, time_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef loop_members[] = {
    {"_ready", T_OBJECT_EX, offsetof(struct fa_py_loop, ready), 0, NULL},
    {"_scheduled", T_OBJECT_EX, offsetof(struct fa_py_loop, scheduled), 0, NULL},
    {"_stopping", T_OBJECT_EX, offsetof(struct fa_py_loop, stopping), 0, NULL},
    {"_closed", T_OBJECT_EX, offsetof(struct fa_py_loop, closed), 0, NULL},
    {"_debug", T_OBJECT_EX, offsetof(struct fa_py_loop, debug), 0, NULL},
    {"_timer_cancelled_count", T_OBJECT_EX, offsetof(struct fa_py_loop, timer_cancelled_count), 0,
     NULL},
    {"_clock_resolution", T_OBJECT_EX, offsetof(struct fa_py_loop, clock_resolution), 0, NULL},
    {"_task_factory", T_OBJECT_EX, offsetof(struct fa_py_loop, task_factory), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef loop_getset[] = {
    {"_selector", loop_get_selector, loop_set_selector, NULL, NULL},
    {"reactor", loop_get_reactor, NULL, reactor_doc, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(loop_doc, "The C part of fasterapi.Loop.");

static PyType_Slot loop_slots[] = {
    {Py_tp_doc, (void *)loop_doc},         {Py_tp_traverse, (void *)loop_traverse},
    {Py_tp_clear, (void *)loop_clear},     {Py_tp_dealloc, (void *)loop_dealloc},
    {Py_tp_methods, (void *)loop_methods}, {Py_tp_members, (void *)loop_members},
    {Py_tp_getset, (void *)loop_getset},   {0, NULL},
};

static PyType_Spec loop_spec = {
    .name = "fasterapi._native.LoopCore",
    .basicsize = sizeof(struct fa_py_loop),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = loop_slots,
};

int fa_py_init_loop(PyObject *module, struct fa_py_state *state)
{
    if (fa_py_import(&state->base_selector_loop, "asyncio.selector_events",
                     "BaseSelectorEventLoop") < 0 ||
        fa_py_init_turn(state) < 0)
        return -1;
    return fa_py_add_type(module, &state->loop_type, &loop_spec, NULL, true);
}
