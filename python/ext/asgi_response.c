/* SPDX-License-Identifier: MIT */
/* asgi_response.c - the response's side of an exchange: what send(message) does. On the
 * loop's thread, with the GIL.
 *
 *   NEW -(start)-> STARTED -(last body)-> COMPLETE          (enum fa_py_response_phase)
 *                     `----(pathsend)-> FILE -(opened)-> COMPLETE
 *
 * As under uvicorn a message waits before it is handled while the client is slow, so that an
 * application that awaits its send() calls holds one message in memory. Unlike there, a
 * message to a client that is gone raises ClientDisconnected, an OSError (ASGI spec_version
 * 2.4). What breaks the protocol raises ProtocolError, a RuntimeError with uvicorn's words,
 * is logged once and closes the connection if it is too late for a proper answer. */
#include "asgi.h"

#include <unistd.h>

#include "asgi_fields.h"

#define BORROW_MIN 16384 /* bytes: larger bodies are sent from the bytes object itself */

/* ---- errors ------------------------------------------------------------------------------- */

int fa_py_raise_disconnected(struct fa_py_exchange *ex)
{
    PyErr_SetString(ex->state->client_disconnected, "the client is gone");
    return -1;
}

int fa_py_protocol_error(struct fa_py_exchange *ex, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    PyObject *sentence = PyUnicode_FromFormatV(format, args);
    va_end(args);
    if (sentence == NULL)
        return -1;
    if (!ex->protocol_failed && ex->server != NULL) {
        ex->protocol_failed = true;
        PyObject *hook_args[] = {sentence, ex->scope != NULL ? ex->scope : Py_None};
        fa_py_server_hook(ex->server, ex->server->hook_report, hook_args, 2);
    }
    if (ex->req != NULL && ex->response != FA_PY_RESPONSE_NEW)
        fa_request_abort(ex->req);
    PyErr_SetObject(ex->state->protocol_error, sentence);
    Py_DECREF(sentence);
    return -1;
}

/* Raises what a failed response function means; always -1. */
static int response_error(struct fa_py_exchange *ex, int err)
{
    switch (err) {
    case FA_ECLOSED:
        ex->disconnected = true;
        return fa_py_raise_disconnected(ex);
    case FA_ENOMEM:
        PyErr_NoMemory();
        return -1;
    case FA_EHTTP_STATUS:
        return fa_py_protocol_error(ex, "Invalid HTTP status code.");
    default:
        return fa_py_protocol_error(ex, "Cannot send the response: %s.", fa_strerror(err));
    }
}

/* For behind anything that ran the application's code (a mapping's look-ups, __bool__ and
 * __buffer__ of a value, an iterator of headers): it may have used this very exchange, or
 * closed the server. Raises unless the response is where it was. */
static int check_phase(struct fa_py_exchange *ex, enum fa_py_response_phase phase)
{
    if (FA_UNLIKELY(ex->disconnected || ex->req == NULL))
        return fa_py_raise_disconnected(ex);
    if (FA_UNLIKELY(ex->response != phase))
        return fa_py_protocol_error(ex, "The response went on while a message was read.");
    return 0;
}

/* ---- messages ------------------------------------------------------------------------------- */

/* A new reference to message[key]; NULL without an exception where there is none. */
static PyObject *message_get(PyObject *message, PyObject *key)
{
    if (FA_LIKELY(PyDict_CheckExact(message)))
        return Py_XNewRef(PyDict_GetItemWithError(message, key));
    PyObject *value = PyObject_GetItem(message, key);
    if (value == NULL && PyErr_ExceptionMatches(PyExc_KeyError))
        PyErr_Clear();
    return value;
}

static PyObject *message_require(PyObject *message, PyObject *key)
{
    PyObject *value = message_get(message, key);
    if (value == NULL && !PyErr_Occurred())
        PyErr_SetObject(PyExc_KeyError, key);
    return value;
}

/* Whether two strings are equal; `name` is one of ours, one byte a character. */
static bool is_name(PyObject *type, PyObject *name)
{
    if (type == name)
        return true;
    return PyUnicode_Check(type) && PyUnicode_GET_LENGTH(type) == PyUnicode_GET_LENGTH(name) &&
           PyUnicode_KIND(type) == PyUnicode_1BYTE_KIND &&
           memcmp(PyUnicode_1BYTE_DATA(type), PyUnicode_1BYTE_DATA(name),
                  (size_t)PyUnicode_GET_LENGTH(name)) == 0;
}

/* ---- http.response.start ----------------------------------------------------------------------
 */

static int start_status(struct fa_py_exchange *ex, PyObject *message, int *status)
{
    PyObject *number = message_require(message, ex->state->str_status);
    if (number == NULL)
        return -1;
    long value = PyLong_AsLong(number);
    Py_DECREF(number);
    if (value == -1 && PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_OverflowError))
            return -1;
        PyErr_Clear();
    }
    if (value < 200 || value > 599)
        return fa_py_protocol_error(ex, "Invalid HTTP status code.");
    *status = (int)value;
    return 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct fa_span trim(struct fa_span text)
{
    while (text.len > 0 && is_blank(text.ptr[0]))
        text = fa_span(text.ptr + 1, text.len - 1);
    while (text.len > 0 && is_blank(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

/* What the framing rules need of the application's fields. */
static int note_content_length(struct fa_py_exchange *ex, const struct fa_header *fields,
                               size_t count)
{
    ex->content_length = -1;
    for (size_t i = 0; i < count; i++) {
        if (fields[i].name.len != 14 ||
            !fa_span_eq_nocase(fields[i].name, FA_SPAN("content-length")))
            continue;
        if (fa_span_to_int64(trim(fields[i].value), &ex->content_length) != 0)
            return fa_py_protocol_error(ex, "Invalid Content-Length header.");
    }
    return 0;
}

static int start_fields(struct fa_py_exchange *ex, int status, struct fa_py_fields *fields)
{
    if (note_content_length(ex, fields->items, fields->count) < 0)
        return -1;
    int err = fa_response_start(ex->req, status, fields->items, fields->count);
    if (FA_LIKELY(err == 0)) {
        ex->response = FA_PY_RESPONSE_STARTED;
        ex->status = status;
        return 0;
    }
    if (err == FA_EHTTP_HEADER)
        return fa_py_protocol_error(ex, "Invalid HTTP header %s.",
                                    fa_py_fields_bad_name(fields) ? "name" : "value");
    if (err == FA_EHTTP_LENGTH)
        return fa_py_protocol_error(ex, "Invalid Content-Length header.");
    return response_error(ex, err);
}

static int send_start(struct fa_py_exchange *ex, PyObject *message)
{
    int status = 0;
    if (start_status(ex, message, &status) < 0)
        return -1;
    PyObject *headers = message_get(message, ex->state->str_headers);
    if (headers == NULL && PyErr_Occurred())
        return -1;
    if (check_phase(ex, FA_PY_RESPONSE_NEW) < 0) {
        Py_XDECREF(headers);
        return -1;
    }
    struct fa_py_fields fields;
    fa_py_fields_init(&fields);
    int err = fa_py_fields_add_spans(&fields, ex->server->headers, ex->server->header_count);
    if (err == 0 && headers != NULL)
        err = fa_py_fields_add(&fields, headers);
    Py_XDECREF(headers);
    if (err == 0)
        err = check_phase(ex, FA_PY_RESPONSE_NEW);
    if (err == 0)
        err = start_fields(ex, status, &fields);
    fa_py_fields_clean_up(&fields);
    if (err == 0)
        fa_py_access_log(ex, status);
    return err;
}

/* ---- http.response.body
 * ---------------------------------------------------------------------------- */

static void release_bytes(void *bytes)
{
    Py_DECREF((PyObject *)bytes);
}

static int write_span(struct fa_py_exchange *ex, PyObject *bytes, struct fa_span data)
{
    if (bytes == NULL || data.len < BORROW_MIN)
        return fa_response_write(ex->req, data);
    int err = fa_response_write_borrowed(ex->req, data, release_bytes, Py_NewRef(bytes));
    if (err != 0)
        Py_DECREF(bytes);
    return err;
}

/* Whether the response may carry `len` more bytes; uvicorn's rules and words. */
static int check_length(struct fa_py_exchange *ex, size_t len)
{
    bool bodyless = ex->status == 204 || ex->status == 304;
    int64_t limit = ex->content_length;
    if (limit < 0) {
        if (FA_LIKELY(!bodyless))
            return 0;
        limit = 0;
    }
    if (len > (uint64_t)(limit - ex->body_sent))
        return fa_py_protocol_error(ex, "Response content longer than Content-Length");
    return 0;
}

/* Writes a body; `bytes` is the object that owns it where that cannot change, else NULL. */
static int write_body(struct fa_py_exchange *ex, PyObject *bytes, struct fa_span data)
{
    if (ex->head || data.len == 0)
        return 0;
    if (check_length(ex, data.len) < 0)
        return -1;
    int err = write_span(ex, bytes, data);
    if (err != 0)
        return response_error(ex, err);
    ex->body_sent += (int64_t)data.len;
    return 0;
}

static struct fa_span bytes_span(PyObject *bytes)
{
    return fa_span(PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
}

static int send_buffer(struct fa_py_exchange *ex, PyObject *body)
{
    if (body == Py_None) /* falsy, which is how uvicorn takes it */
        return 0;
    Py_buffer view;
    if (PyObject_GetBuffer(body, &view, PyBUF_SIMPLE) < 0) {
        if (PyErr_ExceptionMatches(PyExc_TypeError) || PyErr_ExceptionMatches(PyExc_BufferError)) {
            PyErr_Clear();
            PyErr_Format(PyExc_TypeError, "the body of a response must be bytes, not %.100s",
                         Py_TYPE(body)->tp_name);
        }
        return -1;
    }
    int err = check_phase(ex, FA_PY_RESPONSE_STARTED);
    if (err == 0)
        err = write_body(ex, NULL, fa_span(view.buf, (size_t)view.len));
    PyBuffer_Release(&view);
    return err == 0 ? check_phase(ex, FA_PY_RESPONSE_STARTED) : err;
}

static int complete(struct fa_py_exchange *ex)
{
    bool counted = ex->content_length >= 0 && !ex->head && ex->status != 304;
    if (counted && ex->body_sent != ex->content_length)
        return fa_py_protocol_error(ex, "Response content shorter than Content-Length");
    int err = fa_response_end(ex->req);
    if (err != 0)
        return response_error(ex, err);
    ex->response = FA_PY_RESPONSE_COMPLETE;
    Py_CLEAR(ex->body);
    fa_py_exchange_wake(ex);
    return 0;
}

static int truth(PyObject *value)
{
    return value == Py_False || value == NULL ? 0 : value == Py_True ? 1 : PyObject_IsTrue(value);
}

static int send_body(struct fa_py_exchange *ex, PyObject *message)
{
    PyObject *more = message_get(message, ex->state->str_more_body);
    int more_body = more == NULL && PyErr_Occurred() ? -1 : truth(more);
    Py_XDECREF(more);
    PyObject *body = more_body < 0 ? NULL : message_get(message, ex->state->str_body);
    if (body == NULL && PyErr_Occurred())
        return -1;
    int err = check_phase(ex, FA_PY_RESPONSE_STARTED);
    if (err == 0 && body != NULL)
        err = PyBytes_CheckExact(body) ? write_body(ex, body, bytes_span(body))
                                       : send_buffer(ex, body);
    Py_XDECREF(body);
    return err == 0 && !more_body ? complete(ex) : err;
}

/* ---- http.response.pathsend
 * ------------------------------------------------------------------------- */

/* Opening may block on the disk: the Python side does it on a thread. */
static enum fa_py_progress send_path(struct fa_py_exchange *ex, PyObject *message,
                                     PyObject **result)
{
    PyObject *path = message_require(message, ex->state->str_path);
    if (path == NULL || check_phase(ex, FA_PY_RESPONSE_STARTED) < 0) {
        Py_XDECREF(path);
        return FA_PY_FAILED;
    }
    *result = PyObject_CallOneArg(ex->server->hook_open_file, path);
    Py_DECREF(path);
    if (*result == NULL)
        return FA_PY_FAILED;
    if (check_phase(ex, FA_PY_RESPONSE_STARTED) < 0) {
        Py_CLEAR(*result);
        return FA_PY_FAILED;
    }
    ex->response = FA_PY_RESPONSE_FILE;
    return FA_PY_DEFERRED;
}

static int file_size(struct fa_py_state *state, PyObject *opened, int64_t *size)
{
    PyObject *number = PyObject_GetAttr(opened, state->str_size);
    if (number == NULL)
        return -1;
    *size = PyLong_AsLongLong(number);
    Py_DECREF(number);
    return *size < 0 ? -1 : 0;
}

/* Takes the descriptor out of `opened`: it is the caller's then. */
static int file_descriptor(struct fa_py_state *state, PyObject *opened)
{
    PyObject *number = PyObject_CallMethodNoArgs(opened, state->str_take);
    if (number == NULL)
        return -1;
    long fd = PyLong_AsLong(number);
    Py_DECREF(number);
    return (int)fd;
}

int fa_py_response_file(struct fa_py_exchange *ex, PyObject *opened)
{
    int64_t length;
    if (ex->disconnected || ex->response != FA_PY_RESPONSE_FILE)
        return fa_py_raise_disconnected(ex);
    if (file_size(ex->state, opened, &length) < 0)
        return -1;
    /* A file that grew since its length was announced is sent as announced. */
    if (ex->content_length >= 0 && length > ex->content_length - ex->body_sent)
        length = ex->content_length - ex->body_sent;
    if (!ex->head && length > 0) {
        if (check_length(ex, (size_t)length) < 0)
            return -1;
        int fd = file_descriptor(ex->state, opened);
        if (fd < 0)
            return -1;
        int err = fa_response_write_file(ex->req, fd, 0, length);
        if (err != 0) {
            (void)close(fd);
            return response_error(ex, err);
        }
        ex->body_sent += length;
    }
    return complete(ex);
}

/* ---- http.response.early_hint
 * ------------------------------------------------------------------------ */

static int send_early_hint(struct fa_py_exchange *ex, PyObject *message)
{
    /* Behind the head of the response there is no place for an interim one; the specification
     * lets a server ignore the message. */
    if (ex->response != FA_PY_RESPONSE_NEW)
        return 0;
    PyObject *links = message_get(message, ex->state->str_links);
    if (links == NULL)
        return PyErr_Occurred() ? -1 : 0;
    struct fa_py_fields fields;
    fa_py_fields_init(&fields);
    int err = fa_py_fields_add_links(&fields, links);
    Py_DECREF(links);
    if (err == 0)
        err = check_phase(ex, FA_PY_RESPONSE_NEW);
    if (err == 0 && fields.count > 0) {
        err = fa_response_informational(ex->req, 103, fields.items, fields.count);
        if (err == FA_EHTTP_HEADER)
            err = fa_py_protocol_error(ex, "Invalid HTTP header value.");
        else if (err != 0)
            err = response_error(ex, err);
    }
    fa_py_fields_clean_up(&fields);
    return err;
}

/* ---- send()
 * ------------------------------------------------------------------------------------------- */

static int unexpected(struct fa_py_exchange *ex, PyObject *type)
{
    switch (ex->response) {
    case FA_PY_RESPONSE_NEW:
        return fa_py_protocol_error(
            ex, "Expected ASGI message 'http.response.start', but got '%S'.", type);
    case FA_PY_RESPONSE_STARTED:
        return fa_py_protocol_error(ex, "Expected ASGI message 'http.response.body', but got '%S'.",
                                    type);
    case FA_PY_RESPONSE_FILE:
        return fa_py_protocol_error(
            ex, "Unexpected ASGI message '%S' sent, after 'http.response.pathsend'.", type);
    case FA_PY_RESPONSE_COMPLETE:
    default:
        return fa_py_protocol_error(
            ex, "Unexpected ASGI message '%S' sent, after response already completed.", type);
    }
}

static enum fa_py_progress handle(struct fa_py_exchange *ex, PyObject *type, PyObject *message,
                                  PyObject **result)
{
    struct fa_py_state *state = ex->state;
    int err;
    if (ex->response == FA_PY_RESPONSE_STARTED && is_name(type, state->msg_response_body))
        err = send_body(ex, message);
    else if (ex->response == FA_PY_RESPONSE_NEW && is_name(type, state->msg_response_start))
        err = send_start(ex, message);
    else if (ex->response == FA_PY_RESPONSE_STARTED && is_name(type, state->msg_pathsend))
        return send_path(ex, message, result);
    else if (ex->response <= FA_PY_RESPONSE_STARTED && is_name(type, state->msg_early_hint))
        err = send_early_hint(ex, message);
    else
        err = unexpected(ex, type);
    if (err < 0)
        return FA_PY_FAILED;
    *result = Py_NewRef(Py_None);
    return FA_PY_READY;
}

enum fa_py_progress fa_py_response_send(struct fa_py_exchange *ex, PyObject *message,
                                        PyObject **result)
{
    if (ex->response != FA_PY_RESPONSE_COMPLETE) {
        if (FA_UNLIKELY(ex->disconnected)) {
            fa_py_raise_disconnected(ex);
            return FA_PY_FAILED;
        }
        if (FA_UNLIKELY(fa_response_congested(ex->req)))
            return FA_PY_WAIT;
    }
    PyObject *type = message_require(message, ex->state->str_type);
    if (type == NULL)
        return FA_PY_FAILED;
    enum fa_py_progress progress = handle(ex, type, message, result);
    Py_DECREF(type);
    return progress;
}

/* ---- failures
 * ------------------------------------------------------------------------------------------- */

void fa_py_response_fail(struct fa_py_exchange *ex)
{
    static const struct fa_header fields[] = {
        {{"content-type", 12}, {"text/plain; charset=utf-8", 25}},
        {{"connection", 10}, {"close", 5}},
    };
    if (ex->req == NULL || ex->disconnected)
        return;
    if (ex->response != FA_PY_RESPONSE_NEW ||
        fa_response_send(ex->req, 500, fields, FA_ARRAY_LEN(fields),
                         FA_SPAN("Internal Server Error")) != 0) {
        fa_request_abort(ex->req);
        return;
    }
    ex->response = FA_PY_RESPONSE_COMPLETE;
    Py_CLEAR(ex->body);
    fa_py_access_log(ex, 500);
    fa_py_exchange_wake(ex);
}
