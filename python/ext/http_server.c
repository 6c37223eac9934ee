/* SPDX-License-Identifier: MIT */
/* http_server.c - fasterapi._native.HttpServer: an ASGI application on a server of the C
 * library. On the loop's thread, with the GIL.
 *
 *   OPEN -> (close(), the end of its reactor, its own end) CLOSED
 *
 * What belongs to Python stays there (lifespan, signals, log lines): this type owns the C
 * server, the constants of every request and the calls in flight, and tells the Python side
 * through hooks, which are called only where something rare happens. */
#include "asgi.h"
#include "asgi_init.h"
#include "http_server_options.h"

#include <errno.h>

#include <fasterapi/alloc.h>

static struct fa_py_server *server_of(PyObject *self)
{
    return (struct fa_py_server *)(void *)self;
}

void fa_py_server_hook(struct fa_py_server *server, PyObject *hook, PyObject *const *args,
                       size_t nargs)
{
    if (hook == NULL)
        return;
    PyObject *saved = PyErr_Occurred() ? fa_py_take_exception() : NULL;
    PyObject *function = Py_NewRef(hook);
    PyObject *answer = PyObject_Vectorcall(function, args, nargs, NULL);
    Py_DECREF(function);
    Py_XDECREF(answer);
    if (answer == NULL)
        fa_py_reactor_report(server->host, "a hook of the HTTP server failed");
    if (saved != NULL)
        fa_py_restore_exception(saved);
}

/* ---- callbacks of the C server -------------------------------------------------------------- */

static PyObject *text_of(struct fa_span span)
{
    return PyUnicode_DecodeLatin1(span.len > 0 ? span.ptr : "", (Py_ssize_t)span.len, NULL);
}

static PyObject *peer_text(const struct fa_server_event *event)
{
    PyObject *host = text_of(event->client);
    if (host != NULL && event->client_port >= 0)
        Py_SETREF(host, PyUnicode_FromFormat("%U:%d", host, event->client_port));
    return host;
}

static void on_event(const struct fa_server_event *event, void *user)
{
    struct fa_py_server *server = user;
    PyObject *args[] = {
        PyLong_FromLong(event->status),
        PyUnicode_FromString(fa_strerror(event->error)),
        PyUnicode_FromString(fa_limit_name(event->limit)),
        text_of(event->method),
        text_of(event->target),
        peer_text(event),
    };
    bool whole = true;
    for (size_t i = 0; i < FA_ARRAY_LEN(args); i++)
        whole &= args[i] != NULL;
    if (whole)
        fa_py_server_hook(server, server->hook_rejected, args, FA_ARRAY_LEN(args));
    else
        fa_py_reactor_report(server->host, "no memory for a log line");
    for (size_t i = 0; i < FA_ARRAY_LEN(args); i++)
        Py_XDECREF(args[i]);
}

static void on_stopped(struct fa_server *c_server, void *user)
{
    struct fa_py_server *server = user;
    Py_INCREF((PyObject *)server);
    fa_py_server_hook(server, server->hook_stopped, NULL, 0);
    Py_DECREF((PyObject *)server);
}

/* ---- life cycle -------------------------------------------------------------------------------
 */

static void drop_calls(struct fa_py_server *server, bool all)
{
    struct fa_list *link = server->exchanges.next;
    while (link != &server->exchanges) {
        struct fa_py_exchange *ex = FA_CONTAINER_OF(link, struct fa_py_exchange, link);
        link = link->next;
        fa_py_exchange_drop(ex, all);
    }
}

/* Ends the C server, and with it every connection. Calls that run go on without a client. */
static void close_now(struct fa_py_server *server)
{
    struct fa_server *c_server = server->server;
    if (c_server == NULL)
        return;
    PyObject *saved = PyErr_Occurred() ? fa_py_take_exception() : NULL;
    server->server = NULL;
    fa_task_cancel(&server->close_task);
    fa_py_reactor_detach(&server->attachment);
    drop_calls(server, false);
    if (!fa_py_reactor_forked(server->host))
        fa_server_destroy(c_server);
    /* In a forked child the sockets are the parent's too, and its epoll knows them by the
     * shared description: the copy is left to the end of the process. */
    if (saved != NULL)
        fa_py_restore_exception(saved);
    if (server->kept) {
        server->kept = false;
        Py_DECREF((PyObject *)server);
    }
}

static void on_reactor_close(struct fa_py_attachment *attachment)
{
    struct fa_py_server *server = FA_CONTAINER_OF(attachment, struct fa_py_server, attachment);
    Py_INCREF((PyObject *)server);
    close_now(server);
    Py_DECREF((PyObject *)server);
}

static void on_fork(struct fa_py_attachment *attachment)
{
    struct fa_py_server *server = FA_CONTAINER_OF(attachment, struct fa_py_server, attachment);
    if (server->server != NULL)
        fa_server_after_fork(server->server);
}

static void close_posted(struct fa_task *task)
{
    on_reactor_close(&FA_CONTAINER_OF(task, struct fa_py_server, close_task)->attachment);
}

static int take_hooks(struct fa_py_server *server, PyObject *hooks)
{
#define TAKE(name)                                                                                 \
    server->hook_##name = PyObject_GetAttrString(hooks, #name);                                    \
    if (server->hook_##name == NULL)                                                               \
        return -1;                                                                                 \
    if (server->hook_##name == Py_None)                                                            \
        Py_CLEAR(server->hook_##name);
    FA_PY_SERVER_HOOKS(TAKE)
#undef TAKE
    return 0;
}

/* The fields of every response; `headers` is a sequence of pairs of bytes. */
static int take_headers(struct fa_py_server *server, PyObject *headers)
{
    server->header_refs = PySequence_Tuple(headers);
    if (server->header_refs == NULL)
        return -1;
    size_t count = (size_t)PyTuple_GET_SIZE(server->header_refs);
    server->headers = fa_calloc(count + 1, sizeof(*server->headers));
    if (server->headers == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        PyObject *name, *value;
        PyObject *pair = PyTuple_GET_ITEM(server->header_refs, (Py_ssize_t)i);
        if (!PyArg_Parse(pair, "(SS):headers", &name, &value))
            return -1;
        server->headers[i] = (struct fa_header){
            fa_span(PyBytes_AS_STRING(name), (size_t)PyBytes_GET_SIZE(name)),
            fa_span(PyBytes_AS_STRING(value), (size_t)PyBytes_GET_SIZE(value)),
        };
    }
    server->header_count = count;
    return 0;
}

struct server_args {
    PyObject *reactor, *app, *context, *hooks, *state, *root_path, *limits, *headers;
    const char *name;
    Py_ssize_t name_len;
    int date, half_close_is_alive;
    unsigned long long max_requests;
};

static int open_server(struct fa_py_server *server, const struct server_args *args)
{
    struct fa_server_options options;
    fa_server_options_init(&options);
    if (fa_py_limits_parse(&options.limits, args->limits) < 0)
        return -1;
    options.callbacks.on_request = fa_py_exchange_on_request;
    options.callbacks.on_event = server->hook_rejected != NULL ? on_event : NULL;
    options.callbacks.on_stopped = on_stopped;
    options.user = server;
    options.server_name = fa_span(args->name, (size_t)args->name_len);
    options.no_date = !args->date;
    options.half_close_is_alive = args->half_close_is_alive != 0;
    struct fa_reactor *reactor = fa_py_reactor_get(server->host);
    if (reactor == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the reactor is closed");
        return -1;
    }
    int err = fa_server_new(&server->server, reactor, &options);
    if (err != 0) {
        (void)fa_py_raise(err, "creating an HTTP server");
        return -1;
    }
    server->attachment.on_close = on_reactor_close;
    server->attachment.on_fork = on_fork;
    fa_py_reactor_attach(server->host, &server->attachment);
    return 0;
}

static int fill_server(struct fa_py_server *server, const struct server_args *args)
{
    struct fa_py_state *state = server->state;
    server->host = (struct fa_py_reactor *)(void *)Py_NewRef(args->reactor);
    server->app = Py_NewRef(args->app);
    server->context = Py_NewRef(args->context);
    if (server->host->loop == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the reactor has no loop");
        return -1;
    }
    server->create_future = PyObject_GetAttr(server->host->loop, state->str_create_future);
    server->requests_left = args->max_requests;
    server->thread = PyThread_get_thread_ident();
    if (server->create_future == NULL || take_hooks(server, args->hooks) < 0 ||
        take_headers(server, args->headers) < 0 ||
        fa_py_scope_parts_init(&server->scope, state, args->root_path, args->state) < 0)
        return -1;
    return open_server(server, args);
}

static PyObject *server_new(PyTypeObject *type, PyObject *positional, PyObject *keywords)
{
    static char *names[] = {"reactor",
                            "app",
                            "context",
                            "hooks",
                            "state",
                            "root_path",
                            "limits",
                            "headers",
                            "name",
                            "date",
                            "half_close_is_alive",
                            "max_requests",
                            NULL};
    struct server_args args = {0};
    struct fa_py_state *state = fa_py_state_of_type(type);
    if (state == NULL ||
        !PyArg_ParseTupleAndKeywords(
            positional, keywords, "O!O$O!OO!UO!Oy#ppK:HttpServer", names, state->reactor_type,
            &args.reactor, &args.app, &PyContext_Type, &args.context, &args.hooks, &PyDict_Type,
            &args.state, &args.root_path, &PyDict_Type, &args.limits, &args.headers, &args.name,
            &args.name_len, &args.date, &args.half_close_is_alive, &args.max_requests))
        return NULL;
    PyObject *self = type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    struct fa_py_server *server = server_of(self);
    server->state = state;
    fa_list_init(&server->exchanges);
    fa_list_init(&server->attachment.link);
    server->close_task.callback = close_posted;
    if (fill_server(server, &args) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return self;
}

static int server_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct fa_py_server *server = server_of(self);
    Py_VISIT(Py_TYPE(self));
    Py_VISIT((PyObject *)server->host);
    Py_VISIT(server->app);
    Py_VISIT(server->context);
    Py_VISIT(server->create_future);
    Py_VISIT(server->header_refs);
#define VISIT_HOOK(name) Py_VISIT(server->hook_##name);
    FA_PY_SERVER_HOOKS(VISIT_HOOK)
#undef VISIT_HOOK
    for (struct fa_list *link = server->exchanges.next; link != &server->exchanges;
         link = link->next) {
        struct fa_py_exchange *ex = FA_CONTAINER_OF(link, struct fa_py_exchange, link);
        for (int i = fa_py_exchange_refs(ex); i > 0; i--)
            Py_VISIT((PyObject *)ex);
    }
    return fa_py_scope_parts_traverse(&server->scope, visit, arg);
}

static void clear_hooks(struct fa_py_server *server)
{
#define CLEAR_HOOK(name) Py_CLEAR(server->hook_##name);
    FA_PY_SERVER_HOOKS(CLEAR_HOOK)
#undef CLEAR_HOOK
}

static int server_clear(PyObject *self)
{
    struct fa_py_server *server = server_of(self);
    drop_calls(server, true);
    clear_hooks(server);
    Py_CLEAR(server->app);
    Py_CLEAR(server->context);
    Py_CLEAR(server->create_future);
    return 0;
}

/* A turn can come here from a callback of this very server, when the collector runs while that
 * writes a line to the log: then the server lives until the callback is over. */
static void server_finalize(PyObject *self)
{
    struct fa_py_server *server = server_of(self);
    if (server->server != NULL && fa_py_reactor_in_turn(server->host)) {
        server->kept = true;
        Py_INCREF(self);
        fa_task_post(fa_py_reactor_get(server->host), &server->close_task, FA_PRIORITY_HIGH);
    } else
        close_now(server);
    /* What ends later finds the Python side of the hooks half torn down. */
    clear_hooks(server_of(self));
}

static void server_dealloc(PyObject *self)
{
    if (PyObject_CallFinalizerFromDealloc(self) < 0)
        return;
    struct fa_py_server *server = server_of(self);
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)server_clear(self);
    fa_py_scope_parts_clear(&server->scope);
    fa_free(server->headers);
    Py_CLEAR(server->header_refs);
    Py_CLEAR(server->host);
    type->tp_free(self);
    Py_DECREF(type);
}

/* ---- methods
 * -------------------------------------------------------------------------------------- */

/* The C server, or NULL and RuntimeError. */
static struct fa_server *open_or_raise(struct fa_py_server *server)
{
    if (server->server == NULL)
        PyErr_SetString(PyExc_RuntimeError, "the server is closed");
    else if (server->thread != PyThread_get_thread_ident())
        PyErr_SetString(PyExc_RuntimeError, "the server belongs to another thread");
    else
        return server->server;
    return NULL;
}

static PyObject *none_or_raise(int err, const char *what)
{
    if (err != 0)
        return fa_py_raise(err, what);
    Py_RETURN_NONE;
}

/* For an address: what is invalid about that is `invalid`, an errno. */
static PyObject *listening_or_raise(int err, int invalid)
{
    if (err != FA_EINVAL)
        return none_or_raise(err, "listening");
    errno = invalid;
    return fa_py_raise(FA_ESYS, "listening");
}

PyDoc_STRVAR(listen_tcp_doc,
             "listen_tcp($self, host, port, reuseport=False)\n--\n\n"
             "Listen on every address of host (None: all IPv4 interfaces). Raises OSError.");

static PyObject *server_listen_tcp(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"host", "port", "reuseport", NULL};
    const char *host;
    unsigned short port;
    int reuseport = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "zH|p:listen_tcp", names, &host, &port,
                                     &reuseport))
        return NULL;
    struct fa_server *c_server = open_or_raise(server_of(self));
    if (c_server == NULL)
        return NULL;
    unsigned flags = reuseport ? FA_LISTEN_REUSEPORT : 0;
    return none_or_raise(fa_server_listen_tcp(c_server, host, port, flags), "listening");
}

PyDoc_STRVAR(listen_unix_doc, "listen_unix($self, path, /)\n--\n\n"
                              "Listen on a Unix socket, replacing a stale one. Raises OSError.");

static PyObject *server_listen_unix(PyObject *self, PyObject *path)
{
    struct fa_server *c_server = open_or_raise(server_of(self));
    PyObject *bytes;
    if (c_server == NULL || !PyUnicode_FSConverter(path, &bytes))
        return NULL;
    int err = fa_server_listen_unix(c_server, PyBytes_AS_STRING(bytes));
    bool empty = PyBytes_GET_SIZE(bytes) == 0;
    Py_DECREF(bytes);
    return listening_or_raise(err, empty ? EINVAL : ENAMETOOLONG);
}

PyDoc_STRVAR(listen_fd_doc, "listen_fd($self, fd, /)\n--\n\n"
                            "Serve a listening socket; takes the descriptor over. Raises OSError.");

static PyObject *server_listen_fd(PyObject *self, PyObject *arg)
{
    struct fa_server *c_server = open_or_raise(server_of(self));
    int fd = c_server != NULL ? PyObject_AsFileDescriptor(arg) : -1;
    if (fd < 0)
        return NULL;
    return listening_or_raise(fa_server_listen_fd(c_server, fd), EINVAL);
}

PyDoc_STRVAR(drain_doc, "drain($self, /, grace_ms=0, *, leave_queue=False)\n--\n\n"
                        "Stop accepting and finish what is in flight; then hooks.stopped() is\n"
                        "called. After grace_ms what is left is closed; 0 waits for ever. With\n"
                        "leave_queue connections that wait to be accepted are left to the other\n"
                        "processes on the listening socket.");

static PyObject *server_drain(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"grace_ms", "leave_queue", NULL};
    unsigned int grace_ms = 0;
    int leave_queue = 0;
    struct fa_server *c_server = open_or_raise(server_of(self));
    if (c_server == NULL ||
        !PyArg_ParseTupleAndKeywords(args, kwargs, "|I$p:drain", names, &grace_ms, &leave_queue))
        return NULL;
    if (leave_queue)
        fa_server_retire(c_server, grace_ms);
    else
        fa_server_drain(c_server, grace_ms);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(close_connections_doc,
             "close_connections($self, /)\n--\n\nClose every connection at once.");

static PyObject *server_close_connections(PyObject *self, PyObject *unused)
{
    struct fa_server *c_server = open_or_raise(server_of(self));
    if (c_server == NULL)
        return NULL;
    fa_server_close_connections(c_server);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(close_doc,
             "close($self, /)\n--\n\n"
             "Close everything; calls that run go on without a client. Inside the first\n"
             "step of a call, or another callback of the server, it happens when that\n"
             "is over; in a call that asyncio resumed, at once.");

static PyObject *server_close(PyObject *self, PyObject *unused)
{
    struct fa_py_server *server = server_of(self);
    if (server->server == NULL)
        Py_RETURN_NONE;
    if (open_or_raise(server) == NULL)
        return NULL;
    if (fa_py_reactor_in_turn(server->host))
        fa_task_post(fa_py_reactor_get(server->host), &server->close_task, FA_PRIORITY_HIGH);
    else
        close_now(server);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(limits_doc,
             "limits($self, /)\n--\n\nThe limits in force, by the names of struct fa_limits.");

static PyObject *server_limits(PyObject *self, PyObject *unused)
{
    struct fa_server *c_server = open_or_raise(server_of(self));
    if (c_server == NULL)
        return NULL;
    struct fa_limits limits;
    fa_server_get_limits(c_server, &limits);
    return fa_py_limits_dict(&limits);
}

PyDoc_STRVAR(stats_doc, "stats($self, /)\n--\n\nThe counters of the server, by name.");

static int add_count(PyObject *dict, const char *name, uint64_t value)
{
    PyObject *number = PyLong_FromUnsignedLongLong(value);
    int err = number != NULL ? PyDict_SetItemString(dict, name, number) : -1;
    Py_XDECREF(number);
    return err;
}

static PyObject *server_stats(PyObject *self, PyObject *unused)
{
    struct fa_py_server *server = server_of(self);
    struct fa_server_stats stats = {0};
    if (server->server != NULL)
        fa_server_get_stats(server->server, &stats);
    PyObject *dict = fa_py_stats_dict(&stats);
    if (dict != NULL && (add_count(dict, "calls", server->calls) < 0 ||
                         add_count(dict, "calls_finished", server->finished) < 0 ||
                         add_count(dict, "calls_failed", server->failed) < 0))
        Py_CLEAR(dict);
    return dict;
}

static PyObject *server_get_port(PyObject *self, void *unused)
{
    struct fa_server *c_server = server_of(self)->server;
    return PyLong_FromLong(c_server != NULL ? fa_server_port(c_server) : 0);
}

static PyObject *server_get_closed(PyObject *self, void *unused)
{
    return PyBool_FromLong(server_of(self)->server == NULL);
}

/* Who reads that there is something in flight may wait for its end. A server is idle many
 * thousand times a second, so the hook is called only for them. */
static bool note_idle(struct fa_py_server *server)
{
    bool idle = fa_list_empty(&server->exchanges);
    if (!idle)
        server->idle_wanted = true;
    return idle;
}

static PyObject *server_get_calls(PyObject *self, void *unused)
{
    (void)note_idle(server_of(self));
    return PyLong_FromUnsignedLong(server_of(self)->calls);
}

static PyObject *server_get_idle(PyObject *self, void *unused)
{
    return PyBool_FromLong(note_idle(server_of(self)));
}

/* ---- the type
 * ---------------------------------------------------------------------------------------- */

static PyMethodDef server_methods[] = {
    {"listen_tcp", (PyCFunction)(void (*)(void))server_listen_tcp, METH_VARARGS | METH_KEYWORDS,
     listen_tcp_doc},
    {"listen_unix", server_listen_unix, METH_O, listen_unix_doc},
    {"listen_fd", server_listen_fd, METH_O, listen_fd_doc},
    {"drain", (PyCFunction)(void (*)(void))server_drain, METH_VARARGS | METH_KEYWORDS, drain_doc},
    {"close_connections", server_close_connections, METH_NOARGS, close_connections_doc},
    {"close", server_close, METH_NOARGS, close_doc},
    {"limits", server_limits, METH_NOARGS, limits_doc},
    {"stats", server_stats, METH_NOARGS, stats_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef server_getset[] = {
    {"port", server_get_port, NULL, "The port of the first TCP listener, or 0.", NULL},
    {"closed", server_get_closed, NULL, "Whether close() was called.", NULL},
    {"calls", server_get_calls, NULL,
     "Calls of the application that have not ended. Not 0: hooks.idle() follows.", NULL},
    {"idle", server_get_idle, NULL,
     "No call runs and no exchange is in flight. False: hooks.idle() follows.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot server_slots[] = {
    {Py_tp_new, (void *)server_new},
    {Py_tp_dealloc, (void *)server_dealloc},
    {Py_tp_finalize, (void *)server_finalize},
    {Py_tp_traverse, (void *)server_traverse},
    {Py_tp_clear, (void *)server_clear},
    {Py_tp_methods, server_methods},
    {Py_tp_getset, server_getset},
    {Py_tp_doc, (void *)"An ASGI application on a C server. Private: use fasterapi.Server."},
    {0, NULL},
};

static PyType_Spec server_spec = {
    .name = "fasterapi._native.HttpServer",
    .basicsize = sizeof(struct fa_py_server),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = server_slots,
};

int fa_py_init_http_server(PyObject *module, struct fa_py_state *state)
{
    return fa_py_add_type(module, &state->http_server_type, &server_spec, NULL, true);
}
