/* SPDX-License-Identifier: MIT */
/* asgi_finish.c - the end of an application's call: what it returned or raised, the 500, the
 * lines in the logs. On the loop's thread, with the GIL, inside the task of the call.
 *
 * The words are uvicorn's. Like there every exception, SystemExit and a cancellation too, is
 * an application that failed: it is logged, and the client gets a 500 or, when the response
 * had begun, a closed connection. Two go on: KeyboardInterrupt, because it is the user's and
 * not the application's, and GeneratorExit, which closes the coroutine itself. */
#include "asgi.h"

static PyObject *scope_of(struct fa_py_exchange *ex)
{
    return ex->scope != NULL ? ex->scope : Py_None;
}

/* ---- the access log ---------------------------------------------------------------------------
 */

/* A value of the scope as a new reference: the scope is the application's, and what follows
 * may run code that changes it. NULL where there is none, or on failure. */
static PyObject *scope_item(struct fa_py_exchange *ex, PyObject *key)
{
    return Py_XNewRef(PyDict_GetItemWithError(ex->scope, key));
}

static bool is_printable(PyObject *text)
{
    for (Py_ssize_t i = 0; i < PyUnicode_GET_LENGTH(text); i++) {
        if (!Py_UNICODE_ISPRINTABLE(PyUnicode_READ_CHAR(text, i)))
            return false;
    }
    return true;
}

/* ascii(text)[1:-1] unless it is printable: what came from a client must not write lines of its
 * own. Steals the reference; NULL stays NULL. */
static PyObject *on_one_line(PyObject *text)
{
    if (text == NULL || FA_LIKELY(is_printable(text)))
        return text;
    PyObject *quoted = PyObject_ASCII(text);
    Py_DECREF(text);
    if (quoted == NULL)
        return NULL;
    PyObject *inner = PyUnicode_Substring(quoted, 1, PyUnicode_GET_LENGTH(quoted) - 1);
    Py_DECREF(quoted);
    return inner;
}

/* "host:port" of the scope's client, which a trusted proxy may have set, from any bytes that its
 * client sent; "" without one. */
static PyObject *client_text(struct fa_py_exchange *ex)
{
    PyObject *client = scope_item(ex, ex->state->str_client);
    PyObject *text = NULL;
    if (client != NULL && PyTuple_Check(client) && PyTuple_GET_SIZE(client) == 2)
        text = on_one_line(PyUnicode_FromFormat("%S:%S", PyTuple_GET_ITEM(client, 0),
                                                PyTuple_GET_ITEM(client, 1)));
    else if (!PyErr_Occurred())
        text = Py_NewRef(ex->state->empty_str);
    Py_XDECREF(client);
    return text;
}

static bool needs_quoting(PyObject *path)
{
    if (!PyUnicode_IS_ASCII(path))
        return true;
    const unsigned char *text = PyUnicode_1BYTE_DATA(path);
    for (Py_ssize_t i = 0; i < PyUnicode_GET_LENGTH(path); i++) {
        unsigned char c = text[i];
        bool safe = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '/' || c == '-' || c == '_' || c == '.' || c == '~';
        if (!safe)
            return true;
    }
    return false;
}

/* "path?query" as a line of the log shows them; `path` and `query` may be NULL. */
static PyObject *join_path(struct fa_py_state *state, PyObject *path, PyObject *query)
{
    if (path == NULL || !PyUnicode_Check(path) || query == NULL || !PyBytes_Check(query))
        return PyErr_Occurred() ? NULL : Py_NewRef(state->empty_str);
    path = needs_quoting(path) ? PyObject_CallOneArg(state->quote, path) : Py_NewRef(path);
    if (path == NULL || PyBytes_GET_SIZE(query) == 0)
        return path;
    PyObject *text =
        PyUnicode_DecodeLatin1(PyBytes_AS_STRING(query), PyBytes_GET_SIZE(query), NULL);
    PyObject *full = text != NULL ? PyUnicode_FromFormat("%U?%U", path, text) : NULL;
    Py_XDECREF(text);
    Py_DECREF(path);
    return full;
}

/* The path as urllib.parse.quote() writes it, with the query behind it. */
static PyObject *full_path(struct fa_py_exchange *ex)
{
    PyObject *path = scope_item(ex, ex->state->str_path);
    PyObject *query = scope_item(ex, ex->state->str_query_string);
    PyObject *full = join_path(ex->state, path, query);
    Py_XDECREF(path);
    Py_XDECREF(query);
    return full;
}

static void write_access_line(struct fa_py_exchange *ex, int status)
{
    struct fa_py_state *state = ex->state;
    PyObject *client = client_text(ex);
    PyObject *path = client != NULL ? full_path(ex) : NULL;
    PyObject *number = path != NULL ? PyLong_FromLong(status) : NULL;
    PyObject *method = number != NULL ? scope_item(ex, state->str_method) : NULL;
    PyObject *version = method != NULL ? scope_item(ex, state->str_http_version) : NULL;
    if (version != NULL) {
        PyObject *args[] = {state->access_format, client, method, path, version, number};
        fa_py_server_hook(ex->server, ex->server->hook_access, args, FA_ARRAY_LEN(args));
    }
    Py_XDECREF(client);
    Py_XDECREF(path);
    Py_XDECREF(number);
    Py_XDECREF(method);
    Py_XDECREF(version);
}

void fa_py_access_log(struct fa_py_exchange *ex, int status)
{
    if (FA_LIKELY(ex->server->hook_access == NULL) || ex->scope == NULL)
        return;
    struct fa_py_reactor *host = ex->server->host;
    Py_INCREF((PyObject *)host); /* a handler of the log may close the server */
    write_access_line(ex, status);
    fa_py_reactor_report(host, "writing the access log failed");
    Py_DECREF((PyObject *)host);
}

/* ---- the end of the call
 * -------------------------------------------------------------------------- */

static void report(struct fa_py_exchange *ex, const char *format, PyObject *detail)
{
    struct fa_py_server *server = ex->server;
    PyObject *text = PyUnicode_FromFormat(format, detail);
    if (text == NULL) {
        fa_py_reactor_report(server->host, "writing a log line failed");
        return;
    }
    PyObject *args[] = {text, scope_of(ex)};
    fa_py_server_hook(server, server->hook_report, args, FA_ARRAY_LEN(args));
    Py_DECREF(text);
}

void fa_py_call_returned(struct fa_py_exchange *ex, PyObject *value)
{
    if (value != Py_None) {
        report(ex, "ASGI callable should return None, but returned '%S'.", value);
        if (ex->req != NULL)
            fa_request_abort(ex->req);
        return;
    }
    if (FA_LIKELY(ex->response == FA_PY_RESPONSE_COMPLETE) || ex->disconnected)
        return;
    if (ex->response == FA_PY_RESPONSE_NEW)
        report(ex, "ASGI callable returned without starting response.", NULL);
    else if (!ex->protocol_failed)
        report(ex, "ASGI callable returned without completing response.", NULL);
    fa_py_response_fail(ex);
}

int fa_py_call_raised(struct fa_py_exchange *ex)
{
    PyObject *exc = fa_py_take_exception();
    struct fa_py_server *server = ex->server;
    bool closing = PyErr_GivenExceptionMatches(exc, PyExc_GeneratorExit);
    if (!closing) {
        server->failed++;
        PyObject *args[] = {exc, scope_of(ex), ex->disconnected ? Py_True : Py_False};
        fa_py_server_hook(server, server->hook_call_failed, args, FA_ARRAY_LEN(args));
    }
    /* A client that has its whole answer keeps its connection. */
    if (ex->response != FA_PY_RESPONSE_COMPLETE)
        fa_py_response_fail(ex);
    if (closing || PyErr_GivenExceptionMatches(exc, PyExc_KeyboardInterrupt)) {
        fa_py_restore_exception(exc);
        return -1;
    }
    Py_DECREF(exc);
    return 0;
}
