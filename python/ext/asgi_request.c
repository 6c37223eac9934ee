/* SPDX-License-Identifier: MIT */
/* asgi_request.c - the request's side of an exchange: bytes of the body come in from the HTTP
 * server, receive() hands them on. On the loop's thread, with the GIL.
 *
 * Bytes wait in one bytes object of at most BODY_HIGH_WATER plus one piece; then the HTTP
 * server is told to pause, and once its own bound is reached it leaves the socket unread: a
 * slow application slows its client down and costs no memory. */
#include "asgi.h"

#define BODY_HIGH_WATER 65536 /* bytes, as in uvicorn */

static int append_to_shared(struct fa_py_exchange *ex, struct fa_span data)
{
    Py_ssize_t old = PyBytes_GET_SIZE(ex->body);
    PyObject *joined = PyBytes_FromStringAndSize(NULL, old + (Py_ssize_t)data.len);
    if (joined == NULL)
        return -1;
    memcpy(PyBytes_AS_STRING(joined), PyBytes_AS_STRING(ex->body), (size_t)old);
    memcpy(PyBytes_AS_STRING(joined) + old, data.ptr, data.len);
    Py_SETREF(ex->body, joined);
    return 0;
}

/* Appends to ex->body, which nobody else has seen. */
static int append(struct fa_py_exchange *ex, struct fa_span data)
{
    if (ex->body == NULL) {
        ex->body = PyBytes_FromStringAndSize(data.ptr, (Py_ssize_t)data.len);
        return ex->body != NULL ? 0 : -1;
    }
    Py_ssize_t old = PyBytes_GET_SIZE(ex->body);
    /* A single byte is an object that the interpreter shares: it cannot be resized. */
    if (FA_UNLIKELY(old <= 1))
        return append_to_shared(ex, data);
    /* On failure this drops the object and sets ex->body to NULL. */
    if (_PyBytes_Resize(&ex->body, old + (Py_ssize_t)data.len) < 0)
        return -1;
    memcpy(PyBytes_AS_STRING(ex->body) + old, data.ptr, data.len);
    return 0;
}

void fa_py_request_on_body(struct fa_request *req, struct fa_span data, bool last)
{
    struct fa_py_exchange *ex = fa_request_user(req);
    if (ex->response == FA_PY_RESPONSE_COMPLETE || ex->body_complete)
        return;
    if (data.len > 0 && append(ex, data) < 0) {
        /* A body with a hole must not be taken for a whole one. */
        fa_py_reactor_report(ex->server->host, "no memory for a request body");
        fa_request_abort(req);
        return;
    }
    ex->body_complete = last;
    if (!last && ex->body != NULL && PyBytes_GET_SIZE(ex->body) >= BODY_HIGH_WATER) {
        ex->body_paused = true;
        fa_request_pause_body(req);
    }
    fa_py_exchange_wake(ex);
    fa_py_exchange_body_arrived(ex);
}

static PyObject *request_message(struct fa_py_exchange *ex)
{
    struct fa_py_state *state = ex->state;
    PyObject *message = PyDict_Copy(state->http_request);
    if (message == NULL)
        return NULL;
    if (ex->body != NULL && PyDict_SetItem(message, state->str_body, ex->body) < 0)
        goto fail;
    if (!ex->body_complete && PyDict_SetItem(message, state->str_more_body, Py_True) < 0)
        goto fail;
    return message;
fail:
    Py_DECREF(message);
    return NULL;
}

enum fa_py_progress fa_py_request_receive(struct fa_py_exchange *ex, PyObject **result)
{
    bool over = ex->disconnected || ex->response == FA_PY_RESPONSE_COMPLETE;
    if (over) {
        *result = PyDict_Copy(ex->state->http_disconnect);
        return *result != NULL ? FA_PY_READY : FA_PY_FAILED;
    }
    if (ex->body_paused) {
        ex->body_paused = false;
        fa_request_resume_body(ex->req);
    }
    if (ex->body == NULL && (!ex->body_complete || ex->body_delivered))
        return FA_PY_WAIT;
    *result = request_message(ex);
    if (*result == NULL)
        return FA_PY_FAILED;
    ex->body_delivered = ex->body_complete;
    Py_CLEAR(ex->body);
    return FA_PY_READY;
}
