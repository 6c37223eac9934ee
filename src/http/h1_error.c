/* SPDX-License-Identifier: MIT */
/* h1_error.c - what the server says without the application: a short text with the status's
 * reason, "connection: close", then a flush and a lingering close, so that the client reads
 * the answer although the server did not read all of the request. Answers of earlier requests
 * are in the output queue before it and are not lost. */
#include "http/h1_conn.h"

void fa__conn_report(struct fa__conn *conn, int status, int err)
{
    struct fa_server_event event = {
        .status = status,
        .error = err,
        .client = fa__addr_span(&conn->client),
        .client_port = conn->client.port,
    };
    if (conn->req != NULL && conn->req->parsed) {
        event.method = conn->req->head.method;
        event.target = conn->req->head.target;
    }
    fa__server_report(conn->server, &event);
}

static int write_answer(struct fa__conn *conn, int status)
{
    static const struct fa_header type = {
        FA_SPAN("content-type"),
        FA_SPAN("text/plain; charset=utf-8"),
    };
    static const struct fa__fields none;
    struct fa_server *server = conn->server;
    struct fa_span text = fa_http_reason(status);
    struct fa__framing framing = {.close = true, .write_length = true, .length = text.len};
    int err = fa__head_compose(server, conn->req, status, &type, 1, &none, &framing);
    if (err < 0)
        return err;
    bool head_only = conn->req != NULL && conn->req->parsed &&
                     fa_span_eq(conn->req->head.method, FA_SPAN("HEAD"));
    if (!head_only)
        err = fa_buf_append(&server->head, text);
    if (err == 0)
        err = fa__outq_write(&conn->out, fa_buf_span(&server->head));
    return err;
}

enum fa__step fa__conn_fail(struct fa__conn *conn, int status, int err)
{
    struct fa_request *req = conn->req;
    bool answer = req == NULL || !req->started;
    if (req != NULL)
        req->over = true; /* the report runs user code, which may not answer any more */
    fa__conn_report(conn, answer ? status : 0, err);
    if (answer) {
        int failed = write_answer(conn, status);
        if (failed < 0)
            conn->doom = failed;
    }
    if (req != NULL && req->begun)
        fa__conn_end_exchange(conn, true);
    else if (req != NULL)
        fa__request_detach(req);
    return fa__conn_finish(conn, true);
}
