/* SPDX-License-Identifier: MIT */
/* asgi_exchange.c - fasterapi._native.Exchange: one request and its response, and at the same
 * time the coroutine that runs the application for it. On the loop's thread, with the GIL.
 *
 * Two lives, each of which holds the object:
 *
 *   the client's   on_request -> on_done                        (ex->req)
 *   the call's     NEW -> RUNNING -> ENDED                       (enum fa_py_call_phase)
 *
 * The call starts at once in on_request, unless the request has a body: then it waits for the
 * first bytes, which mostly are there already and are delivered next, so that the application
 * finds them without suspending; when they are not, it starts in the next dispatch.
 *
 * As a coroutine it is what uvicorn's run_asgi() is: the task that drives it makes itself
 * current and enters the request's context, then the first step calls the application and
 * awaits the result. Every end of the call is handled here (asgi_finish.c), inside the task;
 * so the task itself ends well, whatever the application did. */
#include "asgi.h"
#include "asgi_init.h"
#include "coroutine.h"
#include "freelist.h"
#include "task.h"

/* ---- lives ------------------------------------------------------------------------------------
 */

static struct fa_py_exchange *exchange_new(struct fa_py_server *server, struct fa_request *req)
{
    struct fa_py_state *state = server->state;
    PyObject *self =
        fa_py_free_list_take(&state->free_exchanges, (PyTypeObject *)state->exchange_type);
    if (self == NULL)
        return NULL;
    struct fa_py_exchange *ex = fa_py_exchange_of(self);
    size_t head = offsetof(struct fa_py_exchange, state);
    memset((char *)ex + head, 0, sizeof(*ex) - head);
    ex->state = state;
    ex->server = (struct fa_py_server *)(void *)Py_NewRef((PyObject *)server);
    ex->req = req;
    ex->content_length = -1;
    fa_list_init(&ex->waiters);
    fa_list_init(&ex->link);
    PyObject_GC_Track(self);
    return ex;
}

void fa_py_exchange_wake(struct fa_py_exchange *ex)
{
    struct fa_list *link;
    while (FA_UNLIKELY((link = ex->waiters.next) != &ex->waiters))
        fa_py_operation_wake(link);
}

void fa_py_exchange_settle(struct fa_py_exchange *ex)
{
    if (ex->req != NULL || ex->call != FA_PY_CALL_ENDED || ex->server == NULL)
        return;
    struct fa_py_server *server = ex->server;
    fa_py_exchange_wake(ex);
    fa_list_unlink(&ex->link);
    ex->server = NULL;
    Py_CLEAR(ex->scope);
    Py_CLEAR(ex->body);
    if (FA_UNLIKELY(server->idle_wanted) && fa_list_empty(&server->exchanges)) {
        server->idle_wanted = false;
        fa_py_server_hook(server, server->hook_idle, NULL, 0);
    }
    Py_DECREF((PyObject *)server);
}

/* The call ended, one way or another: the server need not hold it any more. */
static void end_call(struct fa_py_exchange *ex)
{
    if (ex->call == FA_PY_CALL_ENDED)
        return;
    ex->call = FA_PY_CALL_ENDED;
    Py_CLEAR(ex->inner);
    ex->server->calls--;
    ex->server->finished++;
    fa_py_exchange_settle(ex);
    Py_DECREF((PyObject *)ex); /* the server's reference to a call */
}

/* ---- callbacks of the C server
 * -------------------------------------------------------------------- */

static void on_drain(struct fa_request *req)
{
    struct fa_py_exchange *ex = fa_request_user(req);
    fa_py_exchange_wake(ex);
}

static void on_disconnect(struct fa_request *req)
{
    struct fa_py_exchange *ex = fa_request_user(req);
    if (ex->response != FA_PY_RESPONSE_COMPLETE)
        ex->disconnected = true;
    fa_py_exchange_wake(ex);
}

static void on_done(struct fa_request *req)
{
    struct fa_py_exchange *ex = fa_request_user(req);
    ex->req = NULL;
    if (ex->response != FA_PY_RESPONSE_COMPLETE)
        ex->disconnected = true;
    fa_py_exchange_wake(ex);
    fa_py_exchange_settle(ex);
    Py_DECREF((PyObject *)ex); /* the reference of the C request */
}

static const struct fa_request_callbacks request_callbacks = {
    .on_body = fa_py_request_on_body,
    .on_drain = on_drain,
    .on_disconnect = on_disconnect,
    .on_done = on_done,
};

/* ---- start
 * ------------------------------------------------------------------------------------------ */

static void task_done(PyObject *arg, PyObject *result, PyObject *exc)
{
    struct fa_py_exchange *ex = fa_py_exchange_of(arg);
    if (ex->call != FA_PY_CALL_ENDED) {
        /* The task went away without a last step of ours: its loop was closed. */
        fa_py_response_fail(ex);
        end_call(ex);
    }
    Py_DECREF((PyObject *)ex);
}

static void start_call(struct fa_py_exchange *ex)
{
    struct fa_py_reactor *host =
        (struct fa_py_reactor *)(void *)Py_NewRef((PyObject *)ex->server->host);
    PyObject *context = PyContext_Copy(ex->server->context);
    PyObject *self = Py_NewRef((PyObject *)ex);
    if (context == NULL || fa_py_drive(host, self, context, task_done, self) < 0) {
        fa_py_reactor_report(host, "an ASGI call could not be started");
        task_done(self, NULL, NULL);
    }
    Py_XDECREF(context);
    Py_DECREF((PyObject *)host);
}

static void start_posted(struct fa_task *task)
{
    struct fa_py_exchange *ex = FA_CONTAINER_OF(task, struct fa_py_exchange, start);
    ex->start.callback = NULL;
    start_call(ex);
}

void fa_py_exchange_body_arrived(struct fa_py_exchange *ex)
{
    if (FA_LIKELY(ex->start.callback == NULL))
        return;
    ex->start.callback = NULL;
    fa_task_cancel(&ex->start);
    start_call(ex);
}

void fa_py_exchange_drop(struct fa_py_exchange *ex, bool all)
{
    bool waits = ex->call == FA_PY_CALL_NEW && ex->start.callback != NULL;
    if (waits)
        fa_task_cancel(&ex->start);
    if (waits || all)
        end_call(ex);
}

static void begin(struct fa_py_exchange *ex, struct fa_request *req, bool expect)
{
    struct fa_py_server *server = ex->server;
    server->calls++;
    fa_list_push_back(&server->exchanges, &ex->link);
    Py_INCREF((PyObject *)ex); /* the call's; the first reference is the C request's */
    ex->head = fa_span_eq(fa_request_method(req), FA_SPAN("HEAD"));
    ex->body_complete = fa_request_content_length(req) == FA_BODY_NONE;
    fa_request_set_callbacks(req, &request_callbacks, ex);
    if (FA_LIKELY(ex->body_complete)) {
        start_call(ex);
    } else if (expect) {
        /* The client waits for leave to send its body, which the first receive() gives. */
        ex->body_paused = true;
        fa_request_pause_body(req);
        start_call(ex);
    } else {
        ex->start.callback = start_posted;
        fa_task_post(server->host->reactor, &ex->start, FA_PRIORITY_NORMAL);
    }
}

static void refuse(struct fa_request *req, int status, struct fa_span text)
{
    static const struct fa_header fields[] = {
        {{"content-type", 12}, {"text/plain; charset=utf-8", 25}},
        {{"connection", 10}, {"close", 5}},
    };
    if (fa_response_send(req, status, fields, FA_ARRAY_LEN(fields), text) != 0)
        fa_request_abort(req);
}

static void notice_once(struct fa_py_server *server, bool *noticed, const char *sentence)
{
    if (*noticed)
        return;
    *noticed = true;
    PyObject *text = PyUnicode_FromString(sentence);
    if (text != NULL)
        fa_py_server_hook(server, server->hook_notice, &text, 1);
    else
        fa_py_reactor_report(server->host, "no memory for a log line");
    Py_XDECREF(text);
}

/* Whether an upgrade was answered here. Any protocol but WebSocket is ignored, as HTTP lets a
 * server do (RFC 9110 section 7.8), and as uvicorn does. */
static bool answer_upgrade(struct fa_py_server *server, struct fa_request *req)
{
    struct fa_span upgrade = fa_request_upgrade(req);
    if (FA_LIKELY(upgrade.len == 0))
        return false;
    if (!fa_span_eq_nocase(upgrade, FA_SPAN("websocket"))) {
        notice_once(server, &server->upgrade_noticed, "Unsupported upgrade request.");
        return false;
    }
    notice_once(
        server, &server->websocket_noticed,
        "A WebSocket was asked for: it is answered with 501, WebSocket is not built in yet.");
    refuse(req, 501, FA_SPAN("Not Implemented"));
    return true;
}

static void handle_request(struct fa_py_server *server, struct fa_request *req)
{
    if (FA_UNLIKELY(answer_upgrade(server, req)))
        return;
    struct fa_py_header_notes notes = {0};
    PyObject *scope = fa_py_scope_build(server, req, &notes);
    if (scope != NULL && FA_UNLIKELY(notes.forwarded) && server->hook_forwarded != NULL)
        fa_py_server_hook(server, server->hook_forwarded, &scope, 1);
    struct fa_py_exchange *ex = scope != NULL ? exchange_new(server, req) : NULL;
    if (ex == NULL) {
        Py_XDECREF(scope);
        fa_py_reactor_report(server->host, "no memory for an ASGI request");
        refuse(req, 500, FA_SPAN("Internal Server Error"));
        return;
    }
    ex->scope = scope;
    begin(ex, req, notes.expect);
}

void fa_py_exchange_on_request(struct fa_request *req, void *user)
{
    struct fa_py_server *server = user;
    Py_INCREF((PyObject *)server);
    handle_request(server, req);
    if (FA_UNLIKELY(server->requests_left != 0 && --server->requests_left == 0))
        fa_py_server_hook(server, server->hook_limit, NULL, 0);
    Py_DECREF((PyObject *)server);
}

/* ---- the coroutine
 * ------------------------------------------------------------------------------------ */

/* Calls the application; afterwards ex->inner is what to drive. */
static int call_application(struct fa_py_exchange *ex)
{
    PyObject *receive = fa_py_receive_new(ex);
    PyObject *send = receive != NULL ? fa_py_send_new(ex) : NULL;
    PyObject *awaitable = NULL;
    if (send != NULL) {
        PyObject *args[] = {NULL, ex->scope, receive, send};
        awaitable = PyObject_Vectorcall(ex->server->app, args + 1,
                                        3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    }
    Py_XDECREF(receive);
    Py_XDECREF(send);
    if (awaitable == NULL)
        return -1;
    ex->inner = fa_py_coroutine_iterator(awaitable);
    Py_DECREF(awaitable);
    return ex->inner != NULL ? 0 : -1;
}

/* The end of the call. What the application returned is in `value` (stolen), NULL when it
 * raised. */
static PySendResult conclude(struct fa_py_exchange *ex, PyObject *value, PyObject **result)
{
    Py_CLEAR(ex->inner);
    int err = 0;
    if (value != NULL)
        fa_py_call_returned(ex, value);
    else
        err = fa_py_call_raised(ex);
    Py_XDECREF(value);
    end_call(ex);
    if (err < 0)
        return PYGEN_ERROR;
    *result = Py_NewRef(Py_None);
    return PYGEN_RETURN;
}

static int check_steppable(struct fa_py_exchange *ex, PyObject *arg)
{
    if (ex->stepping)
        PyErr_SetString(PyExc_ValueError, "coroutine already executing");
    else if (ex->call == FA_PY_CALL_ENDED)
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
    else if (ex->call == FA_PY_CALL_NEW && arg != Py_None)
        PyErr_SetString(PyExc_TypeError, "can't send non-None value to a just-started coroutine");
    else
        return 0;
    return -1;
}

static PySendResult exchange_step(PyObject *self, PyObject *arg, PyObject **result)
{
    struct fa_py_exchange *ex = fa_py_exchange_of(self);
    PyObject *value = NULL;
    *result = NULL;
    if (check_steppable(ex, arg) < 0)
        return PYGEN_ERROR;
    Py_INCREF(self);
    ex->stepping = true;
    PySendResult outcome = PYGEN_ERROR;
    if (ex->call == FA_PY_CALL_RUNNING || call_application(ex) == 0) {
        ex->call = FA_PY_CALL_RUNNING;
        outcome = PyIter_Send(ex->inner, arg, &value);
    }
    if (outcome == PYGEN_NEXT)
        *result = value;
    else
        outcome = conclude(ex, outcome == PYGEN_RETURN ? value : NULL, result);
    ex->stepping = false;
    Py_DECREF(self);
    return outcome;
}

static PyObject *exchange_next(PyObject *self)
{
    PyObject *value;
    PySendResult outcome = exchange_step(self, Py_None, &value);
    return fa_py_coroutine_next_answer(outcome, value);
}

static PyObject *exchange_send(PyObject *self, PyObject *arg)
{
    PyObject *value;
    PySendResult outcome = exchange_step(self, arg, &value);
    return fa_py_coroutine_answer(outcome, value);
}

/* Throws into what the application awaits; the same three outcomes as a step. */
static PySendResult throw_inner(struct fa_py_exchange *ex, PyObject *const *args, Py_ssize_t nargs,
                                PyObject **value)
{
    PyObject *method = ex->inner != NULL ? PyObject_GetAttr(ex->inner, ex->state->str_throw) : NULL;
    if (method == NULL) {
        /* Not started yet, or an iterator that cannot be thrown into: as `await` does it. */
        PyErr_Clear();
        fa_py_coroutine_raise(args, nargs);
        return PYGEN_ERROR;
    }
    *value = PyObject_Vectorcall(method, args, (size_t)nargs, NULL);
    Py_DECREF(method);
    if (*value != NULL)
        return PYGEN_NEXT;
    if (!PyErr_ExceptionMatches(PyExc_StopIteration))
        return PYGEN_ERROR;
    PyObject *stop = fa_py_take_exception();
    *value = PyObject_GetAttr(stop, ex->state->str_value);
    Py_DECREF(stop);
    return *value != NULL ? PYGEN_RETURN : PYGEN_ERROR;
}

static PyObject *exchange_throw(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    struct fa_py_exchange *ex = fa_py_exchange_of(self);
    PyObject *value = NULL;
    if (check_steppable(ex, Py_None) < 0)
        return NULL;
    Py_INCREF(self);
    ex->stepping = true;
    PySendResult outcome = throw_inner(ex, args, nargs, &value);
    if (outcome != PYGEN_NEXT)
        outcome = conclude(ex, outcome == PYGEN_RETURN ? value : NULL, &value);
    ex->stepping = false;
    PyObject *answer = fa_py_coroutine_answer(outcome, value);
    Py_DECREF(self);
    return answer;
}

static PyObject *exchange_close(PyObject *self, PyObject *unused)
{
    struct fa_py_exchange *ex = fa_py_exchange_of(self);
    if (ex->call == FA_PY_CALL_ENDED || ex->stepping)
        Py_RETURN_NONE;
    PyObject *answer = exchange_throw(self, &PyExc_GeneratorExit, 1);
    if (answer != NULL) {
        Py_DECREF(answer);
        PyErr_SetString(PyExc_RuntimeError, "coroutine ignored GeneratorExit");
        return NULL;
    }
    if (!PyErr_ExceptionMatches(PyExc_GeneratorExit) &&
        !PyErr_ExceptionMatches(PyExc_StopIteration))
        return NULL;
    PyErr_Clear();
    Py_RETURN_NONE;
}

/* ---- the object
 * ------------------------------------------------------------------------------------------ */

static int exchange_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct fa_py_exchange *ex = fa_py_exchange_of(self);
    Py_VISIT(Py_TYPE(self));
    Py_VISIT((PyObject *)ex->server);
    Py_VISIT(ex->scope);
    Py_VISIT(ex->inner);
    Py_VISIT(ex->body);
    return 0;
}

/* There is no tp_clear: only a running call is part of cycles, and those go through its
 * coroutine, which the collector closes, and through the server, which lets go of it. */
static void exchange_dealloc(PyObject *self)
{
    struct fa_py_exchange *ex = fa_py_exchange_of(self);
    struct fa_py_state *state = ex->state;
    PyObject_GC_UnTrack(self);
    Py_CLEAR(ex->inner);
    Py_CLEAR(ex->scope);
    Py_CLEAR(ex->body);
    Py_CLEAR(ex->server);
    fa_py_free_list_give(&state->free_exchanges, self);
}

static PyObject *exchange_name(PyObject *self, void *name)
{
    return PyUnicode_FromString((const char *)name);
}

/* cr_frame and its like, for tracebacks and repr() of the task: those of the application. */
static PyObject *exchange_inner_attr(PyObject *self, void *name)
{
    struct fa_py_exchange *ex = fa_py_exchange_of(self);
    PyObject *value = ex->inner != NULL ? PyObject_GetAttrString(ex->inner, name) : NULL;
    if (value != NULL || (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_AttributeError)))
        return value;
    PyErr_Clear();
    Py_RETURN_NONE;
}

static PyObject *exchange_cr_running(PyObject *self, void *unused)
{
    return PyBool_FromLong(fa_py_exchange_of(self)->stepping);
}

static PyObject *exchange_get_scope(PyObject *self, void *unused)
{
    PyObject *scope = fa_py_exchange_of(self)->scope;
    return Py_NewRef(scope != NULL ? scope : Py_None);
}

static PyObject *exchange_get_server(PyObject *self, void *unused)
{
    PyObject *server = (PyObject *)fa_py_exchange_of(self)->server;
    return Py_NewRef(server != NULL ? server : Py_None);
}

static char name_run[] = "run_asgi", qualname_run[] = "Exchange.run_asgi";
static char attr_frame[] = "cr_frame", attr_code[] = "cr_code";

static PyMethodDef exchange_methods[] = {
    {"send", exchange_send, METH_O, NULL},
    {"throw", (PyCFunction)(void (*)(void))exchange_throw, METH_FASTCALL, NULL},
    {"close", exchange_close, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyObject *exchange_cr_await(PyObject *self, void *unused)
{
    PyObject *inner = fa_py_exchange_of(self)->inner;
    return Py_NewRef(inner != NULL ? inner : Py_None);
}

static PyGetSetDef exchange_getset[] = {
    {"__name__", exchange_name, NULL, NULL, name_run},
    {"__qualname__", exchange_name, NULL, NULL, qualname_run},
    {"cr_frame", exchange_inner_attr, NULL, NULL, attr_frame},
    {"cr_code", exchange_inner_attr, NULL, NULL, attr_code},
    {"cr_running", exchange_cr_running, NULL, NULL, NULL},
    {"cr_await", exchange_cr_await, NULL, NULL, NULL},
    {"server", exchange_get_server, NULL, "The HttpServer until the exchange is over.", NULL},
    {"scope", exchange_get_scope, NULL, "The request's scope while the call runs.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot exchange_slots[] = {
    {Py_tp_dealloc, (void *)exchange_dealloc},
    {Py_tp_traverse, (void *)exchange_traverse},
    {Py_tp_iternext, (void *)exchange_next},
    {Py_am_await, (void *)PyObject_SelfIter},
    {Py_am_send, (void *)exchange_step},
    {Py_tp_methods, exchange_methods},
    {Py_tp_getset, exchange_getset},
    {Py_tp_doc, (void *)"The coroutine that runs an ASGI application for one request."},
    {0, NULL},
};

static PyType_Spec exchange_spec = {
    .name = "fasterapi._native.Exchange",
    .basicsize = sizeof(struct fa_py_exchange),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = exchange_slots,
};

int fa_py_init_exchange(PyObject *module, struct fa_py_state *state)
{
    return fa_py_add_type(module, &state->exchange_type, &exchange_spec, NULL, true);
}
