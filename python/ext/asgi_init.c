/* SPDX-License-Identifier: MIT */
/* asgi_init.c - the constants of the ASGI side in the module state, and the order in which
 * its types are made. Runs while the module is imported, and when it goes. */
#include "asgi_init.h"

#include "asgi.h"
#include "freelist.h"

static int intern(PyObject **slot, const char *text)
{
    Py_XSETREF(*slot, PyUnicode_InternFromString(text));
    return *slot != NULL ? 0 : -1;
}

static int intern_constants(struct fa_py_state *state)
{
    if (intern(&state->msg_response_start, "http.response.start") < 0 ||
        intern(&state->msg_response_body, "http.response.body") < 0 ||
        intern(&state->msg_pathsend, "http.response.pathsend") < 0 ||
        intern(&state->msg_early_hint, "http.response.early_hint") < 0 ||
        intern(&state->version_10, "1.0") < 0 || intern(&state->version_11, "1.1") < 0 ||
        intern(&state->scheme_http, "http") < 0 || intern(&state->empty_str, "") < 0)
        return -1;
    /* uvicorn's words: formatters for its access log take the arguments apart. */
    return intern(&state->access_format, "%s - \"%s %s HTTP/%s\" %d");
}

/* GET and POST first: they are looked for in this order. */
static PyObject *make_method_names(void)
{
    static const char *const names[] = {"GET",  "POST",    "PUT",     "DELETE", "PATCH",
                                        "HEAD", "OPTIONS", "CONNECT", "TRACE"};
    PyObject *tuple = PyTuple_New(FA_ARRAY_LEN(names));
    for (size_t i = 0; tuple != NULL && i < FA_ARRAY_LEN(names); i++) {
        PyObject *name = PyUnicode_InternFromString(names[i]);
        if (name == NULL)
            Py_CLEAR(tuple);
        else
            PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, name);
    }
    return tuple;
}

static int make_messages(struct fa_py_state *state)
{
    state->empty_bytes = PyBytes_FromStringAndSize(NULL, 0);
    state->method_names = make_method_names();
    if (state->empty_bytes == NULL || state->method_names == NULL)
        return -1;
    state->http_request =
        Py_BuildValue("{OsOOOO}", state->str_type, "http.request", state->str_body,
                      state->empty_bytes, state->str_more_body, Py_False);
    state->http_disconnect = Py_BuildValue("{Os}", state->str_type, "http.disconnect");
    return state->http_request != NULL && state->http_disconnect != NULL ? 0 : -1;
}

static int make_exception(PyObject *module, PyObject **slot, const char *name, const char *doc,
                          PyObject *base)
{
    *slot = PyErr_NewExceptionWithDoc(name, doc, base, NULL);
    return *slot != NULL ? PyModule_AddType(module, (PyTypeObject *)*slot) : -1;
}

static int make_exceptions(PyObject *module, struct fa_py_state *state)
{
    int err =
        make_exception(module, &state->client_disconnected, "fasterapi._native.ClientDisconnected",
                       "send() was called after the client had gone.", PyExc_OSError);
    if (err < 0)
        return -1;
    return make_exception(module, &state->protocol_error, "fasterapi._native.ProtocolError",
                          "send() was called with what HTTP or ASGI forbids.", PyExc_RuntimeError);
}

int fa_py_init_asgi(PyObject *module, struct fa_py_state *state)
{
    if (intern_constants(state) < 0 || make_messages(state) < 0 ||
        make_exceptions(module, state) < 0 || fa_py_header_table_new(state) < 0 ||
        fa_py_import(&state->quote, "urllib.parse", "quote") < 0)
        return -1;
    if (fa_py_init_operation(module, state) < 0 || fa_py_init_channel(module, state) < 0 ||
        fa_py_init_exchange(module, state) < 0)
        return -1;
    return fa_py_init_http_server(module, state);
}

void fa_py_free_asgi(struct fa_py_state *state)
{
    fa_py_free_list_empty(&state->free_exchanges);
    fa_py_free_list_empty(&state->free_channels);
    fa_py_free_list_empty(&state->free_operations);
    fa_py_header_table_free(state);
}
