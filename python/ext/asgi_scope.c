/* SPDX-License-Identifier: MIT */
/* asgi_scope.c - the scope of a request (ASGI 3.0, HTTP). With the GIL, on the loop's thread.
 *
 * A scope belongs to its application, which may write to it, so each is a dictionary of its
 * own; so are `asgi`, `extensions` and `state`. It starts as a copy of one that holds every
 * key in uvicorn's order, which costs less than inserting them one by one. */
#include "asgi.h"

#include <fasterapi/alloc.h>

#define CLIENT_CACHE FA_ARRAY_LEN(((struct fa_py_scope_parts *)0)->client_addr)

/* ---- the path ---------------------------------------------------------------------------------
 */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char letter = (char)(c | 0x20);
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

/* Percent-decodes into `out`; what is no valid escape stays as it is (as urllib's unquote). */
static size_t unescape(struct fa_span in, char *out)
{
    size_t len = 0;
    for (size_t i = 0; i < in.len; i++) {
        if (in.ptr[i] == '%' && in.len - i > 2) {
            int high = hex_digit(in.ptr[i + 1]);
            int low = hex_digit(in.ptr[i + 2]);
            if (high >= 0 && low >= 0) {
                out[len++] = (char)(high * 16 + low);
                i += 2;
                continue;
            }
        }
        out[len++] = in.ptr[i];
    }
    return len;
}

static PyObject *decode_path(struct fa_span path)
{
    if (FA_LIKELY(path.len == 0 || memchr(path.ptr, '%', path.len) == NULL))
        return PyUnicode_DecodeUTF8(path.ptr, (Py_ssize_t)path.len, "replace");
    char stack[512];
    char *buffer = path.len <= sizeof(stack) ? stack : fa_malloc(path.len);
    if (buffer == NULL)
        return PyErr_NoMemory();
    size_t len = unescape(path, buffer);
    PyObject *text = PyUnicode_DecodeUTF8(buffer, (Py_ssize_t)len, "replace");
    if (buffer != stack)
        fa_free(buffer);
    return text;
}

static int set_stolen(PyObject *dict, PyObject *key, PyObject *value)
{
    if (value == NULL)
        return -1;
    int err = PyDict_SetItem(dict, key, value);
    Py_DECREF(value);
    return err;
}

/* `path` and `raw_path`, both with root_path in front, as uvicorn has it. */
static int set_path(struct fa_py_scope_parts *parts, struct fa_py_state *state, PyObject *scope,
                    struct fa_request *req)
{
    struct fa_span raw = fa_request_path(req);
    PyObject *path = decode_path(raw);
    PyObject *raw_path = PyBytes_FromStringAndSize(raw.ptr, (Py_ssize_t)raw.len);
    if (FA_UNLIKELY(PyBytes_GET_SIZE(parts->root_raw) != 0)) {
        if (path != NULL)
            Py_SETREF(path, PyUnicode_Concat(parts->root_path, path));
        if (raw_path != NULL) {
            PyObject *full = Py_NewRef(parts->root_raw);
            PyBytes_ConcatAndDel(&full, raw_path);
            raw_path = full;
        }
    }
    if (set_stolen(scope, state->str_path, path) < 0) {
        Py_XDECREF(raw_path);
        return -1;
    }
    return set_stolen(scope, state->str_raw_path, raw_path);
}

/* ---- addresses ----------------------------------------------------------------------------------
 */

/* Whether the tuple (host, port) says the same as the span and the number. */
static bool same_address(PyObject *tuple, struct fa_span host, int port)
{
    Py_ssize_t len;
    const char *text = PyUnicode_AsUTF8AndSize(PyTuple_GET_ITEM(tuple, 0), &len);
    if (text == NULL) {
        PyErr_Clear();
        return false;
    }
    PyObject *number = PyTuple_GET_ITEM(tuple, 1);
    if (number == Py_None ? port >= 0 : PyLong_AsLong(number) != port)
        return false;
    return fa_span_eq(host, fa_span(text, (size_t)len));
}

/* (host, port), or (path, None) for a Unix socket. */
static PyObject *address_new(struct fa_span host, int port)
{
    PyObject *text = PyUnicode_DecodeUTF8(host.ptr, (Py_ssize_t)host.len, "surrogateescape");
    PyObject *number = port >= 0 ? PyLong_FromLong(port) : Py_NewRef(Py_None);
    PyObject *tuple = text != NULL && number != NULL ? PyTuple_Pack(2, text, number) : NULL;
    Py_XDECREF(text);
    Py_XDECREF(number);
    return tuple;
}

/* The tuple in `*cached` where it fits, else a new one, which is then kept there. */
static PyObject *cached_address(PyObject **cached, struct fa_span host, int port)
{
    if (*cached != NULL && same_address(*cached, host, port))
        return Py_NewRef(*cached);
    PyObject *tuple = address_new(host, port);
    if (tuple != NULL)
        Py_XSETREF(*cached, Py_NewRef(tuple));
    return tuple;
}

/* Nearly every connection came to the same address: the base has it. */
static int note_server(struct fa_py_scope_parts *parts, struct fa_py_state *state,
                       struct fa_request *req)
{
    int port;
    struct fa_span host = fa_request_local(req, &port);
    if (FA_LIKELY(parts->server_addr != NULL && same_address(parts->server_addr, host, port)))
        return 0;
    return set_stolen(parts->scope_base, state->str_server,
                      cached_address(&parts->server_addr, host, port));
}

static int set_client(struct fa_py_scope_parts *parts, struct fa_py_state *state, PyObject *scope,
                      struct fa_request *req)
{
    int port;
    struct fa_span host = fa_request_client(req, &port);
    if (port < 0) /* a Unix socket: the peer has no address; the base says None */
        return 0;
    PyObject **cached = &parts->client_addr[(size_t)port % CLIENT_CACHE];
    return set_stolen(scope, state->str_client, cached_address(cached, host, port));
}

/* ---- the rest
 * ------------------------------------------------------------------------------------- */

static PyObject *method_name(struct fa_py_state *state, struct fa_span method)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(state->method_names); i++) {
        PyObject *name = PyTuple_GET_ITEM(state->method_names, i);
        if ((size_t)PyUnicode_GET_LENGTH(name) == method.len &&
            memcmp(PyUnicode_1BYTE_DATA(name), method.ptr, method.len) == 0)
            return Py_NewRef(name);
    }
    return PyUnicode_DecodeLatin1(method.ptr, (Py_ssize_t)method.len, NULL);
}

static PyObject *make_extensions(struct fa_py_state *state, PyObject **options)
{
    for (size_t i = 0; i < FA_PY_EXTENSIONS; i++) {
        Py_XSETREF(options[i], PyDict_New());
        if (options[i] == NULL)
            return NULL;
    }
    return Py_BuildValue("{OOOO}", state->msg_pathsend, options[0], state->msg_early_hint,
                         options[1]);
}

/* The options of the extensions are empty dicts, which nobody has a reason to write to; should
 * somebody do so, the next request gets new ones. */
static PyObject *copy_extensions(struct fa_py_scope_parts *parts, struct fa_py_state *state)
{
    PyObject **options = parts->extension_options;
    if (FA_UNLIKELY(PyDict_GET_SIZE(options[0]) + PyDict_GET_SIZE(options[1]) > 0)) {
        PyObject *fresh = make_extensions(state, options);
        if (fresh == NULL)
            return NULL;
        Py_SETREF(parts->extensions, fresh);
    }
    return PyDict_Copy(parts->extensions);
}

static int set_copies(struct fa_py_scope_parts *parts, struct fa_py_state *state, PyObject *scope)
{
    if (set_stolen(scope, state->str_asgi, PyDict_Copy(parts->asgi_base)) < 0 ||
        set_stolen(scope, state->str_extensions, copy_extensions(parts, state)) < 0)
        return -1;
    return set_stolen(scope, state->str_state, PyDict_Copy(parts->state));
}

static int fill(struct fa_py_server *server, PyObject *scope, struct fa_request *req,
                struct fa_py_header_notes *notes)
{
    struct fa_py_state *state = server->state;
    struct fa_span method = fa_request_method(req);
    struct fa_span query = fa_request_query(req);
    if (set_copies(&server->scope, state, scope) < 0 ||
        set_client(&server->scope, state, scope, req) < 0 ||
        set_stolen(scope, state->str_headers, fa_py_headers_build(state, req, notes)) < 0 ||
        set_path(&server->scope, state, scope, req) < 0)
        return -1;
    if (!fa_span_eq(method, FA_SPAN("GET")) &&
        set_stolen(scope, state->str_method, method_name(state, method)) < 0)
        return -1;
    if (query.len > 0 &&
        set_stolen(scope, state->str_query_string,
                   PyBytes_FromStringAndSize(query.ptr, (Py_ssize_t)query.len)) < 0)
        return -1;
    if (fa_request_version_minor(req) == 0)
        return PyDict_SetItem(scope, state->str_http_version, state->version_10);
    return 0;
}

PyObject *fa_py_scope_build(struct fa_py_server *server, struct fa_request *req,
                            struct fa_py_header_notes *notes)
{
    if (note_server(&server->scope, server->state, req) < 0)
        return NULL;
    PyObject *scope = PyDict_Copy(server->scope.scope_base);
    if (scope == NULL || fill(server, scope, req, notes) < 0) {
        Py_XDECREF(scope);
        return NULL;
    }
    return scope;
}

/* ---- the parts
 * -------------------------------------------------------------------------------------- */

/* Every key, in uvicorn's order; what a request changes is None here, or its usual value
 * (the first of the method names is GET). */
static PyObject *make_base(struct fa_py_scope_parts *parts, struct fa_py_state *state)
{
    return Py_BuildValue(
        "{OOOOOOOOOOOOOOOOOOOOOOOOOOOO}", state->str_type, state->scheme_http, state->str_asgi,
        Py_None, state->str_http_version, state->version_11, state->str_server, Py_None,
        state->str_client, Py_None, state->str_scheme, state->scheme_http, state->str_root_path,
        parts->root_path, state->str_headers, Py_None, state->str_state, Py_None, state->str_method,
        PyTuple_GET_ITEM(state->method_names, 0), state->str_path, Py_None, state->str_raw_path,
        Py_None, state->str_query_string, state->empty_bytes, state->str_extensions, Py_None);
}

int fa_py_scope_parts_init(struct fa_py_scope_parts *parts, struct fa_py_state *state,
                           PyObject *root_path, PyObject *app_state)
{
    parts->root_path = Py_NewRef(root_path);
    parts->root_raw = PyUnicode_AsASCIIString(root_path);
    parts->state = Py_NewRef(app_state);
    parts->asgi_base = Py_BuildValue("{ssss}", "version", "3.0", "spec_version", "2.4");
    parts->extensions = make_extensions(state, parts->extension_options);
    if (parts->root_raw == NULL || parts->asgi_base == NULL || parts->extensions == NULL)
        return -1;
    parts->scope_base = make_base(parts, state);
    return parts->scope_base != NULL ? 0 : -1;
}

int fa_py_scope_parts_traverse(struct fa_py_scope_parts *parts, visitproc visit, void *arg)
{
    Py_VISIT(parts->scope_base);
    Py_VISIT(parts->asgi_base);
    Py_VISIT(parts->extensions);
    for (size_t i = 0; i < FA_PY_EXTENSIONS; i++)
        Py_VISIT(parts->extension_options[i]);
    Py_VISIT(parts->state);
    Py_VISIT(parts->root_path);
    Py_VISIT(parts->root_raw);
    Py_VISIT(parts->server_addr);
    for (size_t i = 0; i < CLIENT_CACHE; i++)
        Py_VISIT(parts->client_addr[i]);
    return 0;
}

void fa_py_scope_parts_clear(struct fa_py_scope_parts *parts)
{
    Py_CLEAR(parts->scope_base);
    Py_CLEAR(parts->asgi_base);
    Py_CLEAR(parts->extensions);
    for (size_t i = 0; i < FA_PY_EXTENSIONS; i++)
        Py_CLEAR(parts->extension_options[i]);
    Py_CLEAR(parts->state);
    Py_CLEAR(parts->root_path);
    Py_CLEAR(parts->root_raw);
    Py_CLEAR(parts->server_addr);
    for (size_t i = 0; i < CLIENT_CACHE; i++)
        Py_CLEAR(parts->client_addr[i]);
}
