/* SPDX-License-Identifier: MIT */
/* asgi_channel.c - fasterapi._native.Receive and .Send: the two callables that an ASGI
 * application gets. On the loop's thread, with the GIL.
 *
 * Each is a name for one exchange and has no state of its own. A call answers an Operation
 * (asgi_operation.c) and does nothing else: as with uvicorn's coroutines the work is done
 * when that is awaited. They may be kept and called for ever; an exchange that is over
 * answers http.disconnect or raises. */
#include <Python.h>
#include <structmember.h>

#include "asgi.h"
#include "asgi_init.h"
#include "freelist.h"

struct channel {
    PyObject_HEAD vectorcallfunc call;
    struct fa_py_exchange *ex;
};

static struct channel *channel_of(PyObject *object)
{
    return (struct channel *)(void *)object;
}

static PyObject *receive_call(PyObject *self, PyObject *const *args, size_t nargsf,
                              PyObject *kwnames)
{
    if (PyVectorcall_NARGS(nargsf) != 0 || kwnames != NULL) {
        PyErr_SetString(PyExc_TypeError, "receive() takes no arguments");
        return NULL;
    }
    return fa_py_operation_new(channel_of(self)->ex, NULL);
}

static bool only_message(PyObject *kwnames)
{
    return PyTuple_GET_SIZE(kwnames) == 1 &&
           PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, 0), "message") == 0;
}

static PyObject *send_call(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Py_ssize_t nargs = PyVectorcall_NARGS(nargsf);
    if (FA_LIKELY(nargs == 1 && kwnames == NULL) ||
        (nargs == 0 && kwnames != NULL && only_message(kwnames)))
        return fa_py_operation_new(channel_of(self)->ex, args[0]);
    PyErr_SetString(PyExc_TypeError, "send() takes one argument: the message");
    return NULL;
}

static PyObject *channel_new(struct fa_py_exchange *ex, PyObject *type, vectorcallfunc call)
{
    PyObject *self = fa_py_free_list_take(&ex->state->free_channels, (PyTypeObject *)type);
    if (self == NULL)
        return NULL;
    channel_of(self)->call = call;
    channel_of(self)->ex = (struct fa_py_exchange *)(void *)Py_NewRef((PyObject *)ex);
    PyObject_GC_Track(self);
    return self;
}

PyObject *fa_py_receive_new(struct fa_py_exchange *ex)
{
    return channel_new(ex, ex->state->receive_type, receive_call);
}

PyObject *fa_py_send_new(struct fa_py_exchange *ex)
{
    return channel_new(ex, ex->state->send_type, send_call);
}

static int channel_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT((PyObject *)channel_of(self)->ex);
    return 0;
}

/* There is no tp_clear: the members are set for good, so that a call never meets half an
 * object; the cycle is broken in the exchange. */
static void channel_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    struct fa_py_state *state = channel_of(self)->ex->state;
    Py_CLEAR(channel_of(self)->ex);
    fa_py_free_list_give(&state->free_channels, self);
}

static PyObject *channel_name(PyObject *self, void *name)
{
    return PyUnicode_FromString((const char *)name);
}

static char name_receive[] = "receive", qualname_receive[] = "Exchange.receive";
static char name_send[] = "send", qualname_send[] = "Exchange.send";

static PyGetSetDef receive_getset[] = {
    {"__name__", channel_name, NULL, NULL, name_receive},
    {"__qualname__", channel_name, NULL, NULL, qualname_receive},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyGetSetDef send_getset[] = {
    {"__name__", channel_name, NULL, NULL, name_send},
    {"__qualname__", channel_name, NULL, NULL, qualname_send},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef channel_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(struct channel, call), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

#define CHANNEL_FLAGS                                                                              \
    (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |                        \
     Py_TPFLAGS_DISALLOW_INSTANTIATION)

static PyType_Slot receive_slots[] = {
    {Py_tp_dealloc, (void *)channel_dealloc},
    {Py_tp_traverse, (void *)channel_traverse},
    {Py_tp_call, (void *)PyVectorcall_Call},
    {Py_tp_members, channel_members},
    {Py_tp_getset, receive_getset},
    {Py_tp_doc, (void *)"Awaits the next message of an ASGI request."},
    {0, NULL},
};

static PyType_Slot send_slots[] = {
    {Py_tp_dealloc, (void *)channel_dealloc},
    {Py_tp_traverse, (void *)channel_traverse},
    {Py_tp_call, (void *)PyVectorcall_Call},
    {Py_tp_members, channel_members},
    {Py_tp_getset, send_getset},
    {Py_tp_doc, (void *)"Sends a message of an ASGI response."},
    {0, NULL},
};

static PyType_Spec receive_spec = {
    .name = "fasterapi._native.Receive",
    .basicsize = sizeof(struct channel),
    .flags = CHANNEL_FLAGS,
    .slots = receive_slots,
};

static PyType_Spec send_spec = {
    .name = "fasterapi._native.Send",
    .basicsize = sizeof(struct channel),
    .flags = CHANNEL_FLAGS,
    .slots = send_slots,
};

/* `*value` of the module, or NULL where it has no such name; -1 and raised on failure. */
static int import_optional(PyObject **value, const char *module_name, const char *name)
{
    if (fa_py_import(value, module_name, name) == 0)
        return 0;
    if (!PyErr_ExceptionMatches(PyExc_AttributeError))
        return -1;
    PyErr_Clear();
    return 0;
}

/* Makes both iscoroutinefunction() true for the type's objects, as they are for the methods
 * that uvicorn hands out: inspect's from Python 3.12 on, asyncio's as long as it has its own. */
static int mark(PyObject *type)
{
    PyObject *inspect_mark = NULL, *asyncio_mark = NULL, *answer = NULL;
    int err = import_optional(&inspect_mark, "inspect", "markcoroutinefunction");
    if (err == 0)
        err = import_optional(&asyncio_mark, "asyncio.coroutines", "_is_coroutine");
    if (err == 0 && inspect_mark != NULL) {
        answer = PyObject_CallOneArg(inspect_mark, type);
        err = answer != NULL ? 0 : -1;
    }
    if (err == 0 && asyncio_mark != NULL)
        err = PyObject_SetAttrString(type, "_is_coroutine", asyncio_mark);
    Py_XDECREF(answer);
    Py_XDECREF(inspect_mark);
    Py_XDECREF(asyncio_mark);
    return err;
}

int fa_py_init_channel(PyObject *module, struct fa_py_state *state)
{
    if (fa_py_add_type(module, &state->receive_type, &receive_spec, NULL, true) < 0 ||
        fa_py_add_type(module, &state->send_type, &send_spec, NULL, true) < 0)
        return -1;
    return mark(state->receive_type) < 0 || mark(state->send_type) < 0 ? -1 : 0;
}
