/* SPDX-License-Identifier: MIT */
/* h1_exchange.c - from bytes to a request, and from its end to the next one.
 *
 * IDLE and HEAD parse; a complete head begins the exchange and calls on_request. The next
 * request of the same connection is looked at only when the exchange before it is over, so
 * answers cannot overtake each other and garbage behind a request cannot harm its answer.
 * At most pipeline_burst requests are begun in one turn; then others have theirs.
 *
 * The end of the input stream counts only when everything before it was handled: the client
 * that sends a request and shuts its side gets an answer that is given at once. After that it
 * is a disconnect at the end of that turn, as under uvicorn, unless the server was told
 * otherwise. */
#include "http/h1_conn.h"

static enum fa__step idle(struct fa__conn *conn)
{
    fa__conn_release_input(conn);
    if (conn->state != FA__CONN_IDLE)
        fa__conn_set_state(conn, FA__CONN_IDLE);
    if (conn->eof)
        return fa__conn_finish(conn, false);
    if (conn->server->draining) {
        if (!conn->last_look) {
            conn->last_look = true;
            fa__conn_fill(conn);
            return FA__STEP_AGAIN;
        }
        if (!fa__conn_is_fresh(conn))
            return fa__conn_finish(conn, false);
    }
    return FA__STEP_WAIT;
}

/* Bytes that are not a complete head yet. */
static enum fa__step incomplete(struct fa__conn *conn)
{
    /* Empty lines between requests (RFC 9112 section 2.2) begin none. */
    if (!conn->req->parser.seen_any && conn->in.data[conn->in.len - 1] == '\n') {
        fa__request_detach(conn->req);
        conn->in_start = conn->in.len;
        return idle(conn);
    }
    if (conn->state == FA__CONN_IDLE)
        fa__conn_set_state(conn, FA__CONN_HEAD);
    if (conn->eof) {
        if (conn->req->parser.seen_any)
            fa__conn_report(conn, 0, FA_EPIPE);
        fa__request_detach(conn->req);
        return fa__conn_finish(conn, false);
    }
    if (conn->in.len - conn->in_start >= fa__conn_head_capacity(&conn->server->limits))
        return fa__conn_fail(conn, 431, FA_EH1_HEADERS_TOO_LARGE);
    return FA__STEP_WAIT;
}

static enum fa__step bad_head(struct fa__conn *conn, int err)
{
    struct fa_request *req = conn->req;
    if (err == FA_EH1_HEADERS_TOO_LARGE &&
        req->field_capacity < conn->server->limits.header_fields) {
        /* Perhaps only our array was too short: once more from the start with room for all
         * that the limit allows. */
        err = fa__request_grow_fields(req, conn->server->limits.header_fields);
        if (err < 0) {
            conn->doom = err;
            return FA__STEP_WAIT;
        }
        fa__h1_parser_init(&req->parser);
        return FA__STEP_AGAIN;
    }
    return fa__conn_fail(conn, fa__h1_error_status(err), err);
}

/* Whether the server answers this head by itself; then the status, else 0. */
static int refuse_head(struct fa__conn *conn, int *err)
{
    const struct fa_server *server = conn->server;
    const struct fa__h1_head *head = &conn->req->head;
    if (head->framing == FA__H1_LENGTH && server->limits.body_bytes != 0 &&
        (uint64_t)head->content_length > server->limits.body_bytes) {
        *err = FA_EHTTP_BODY_TOO_LARGE;
        return 413;
    }
    if (head->expect_unknown) {
        *err = FA_EINVAL;
        return 417;
    }
    if (server->limits.requests_in_flight != 0 &&
        server->in_flight >= server->limits.requests_in_flight) {
        *err = FA_EHTTP_IN_FLIGHT;
        return 503;
    }
    return 0;
}

static enum fa__step begin(struct fa__conn *conn)
{
    struct fa_server *server = conn->server;
    struct fa_request *req = conn->req;
    int err = 0;
    conn->served++;
    conn->burst++;
    req->keep_alive = req->head.keep_alive && !server->draining &&
                      (server->limits.requests_per_connection == 0 ||
                       conn->served < server->limits.requests_per_connection);
    int status = refuse_head(conn, &err);
    if (FA_UNLIKELY(status != 0))
        return fa__conn_fail(conn, status, err);
    fa__conn_set_state(conn, FA__CONN_EXCHANGE);
    fa__body_init(&conn->body, &req->head, conn->since_ns);
    req->owes_continue = req->head.expect_continue && !conn->body.done;
    req->begun = true;
    server->requests++;
    server->in_flight++;
    server->callbacks.on_request(req, server->user);
    return FA__STEP_AGAIN;
}

enum fa__step fa__conn_step_head(struct fa__conn *conn)
{
    struct fa_server *server = conn->server;
    struct fa_span in = fa__conn_input(conn);
    conn->stalled = false;
    if (FA_UNLIKELY(conn->refused))
        return fa__conn_fail(conn, 503, FA_EHTTP_CONNECTIONS);
    if (in.len == 0)
        return idle(conn);
    if (fa__conn_output(conn) > server->limits.write_high_water) {
        conn->stalled = true; /* a client that does not read its answers gets no more */
        return FA__STEP_WAIT;
    }
    if (conn->burst >= server->limits.pipeline_burst) {
        fa_task_post(server->reactor, &conn->next_task, FA_PRIORITY_NORMAL);
        return FA__STEP_WAIT;
    }
    if (conn->req == NULL && fa__request_attach(conn) == NULL) {
        conn->doom = FA_ENOMEM;
        return FA__STEP_WAIT;
    }
    struct fa_request *req = conn->req;
    struct fa__h1_limits limits = {
        .request_line_bytes = server->limits.request_line_bytes,
        .header_bytes = server->limits.header_bytes,
        .header_fields = req->field_capacity,
    };
    ssize_t used = fa__h1_parse_head(&req->parser, in, &limits, req->fields, &req->head);
    if (used == 0)
        return incomplete(conn);
    if (used < 0)
        return bad_head(conn, (int)used);
    conn->in_start += (size_t)used;
    conn->in_pinned = conn->in_start;
    req->parsed = true;
    return begin(conn);
}

/* ---- the exchange ------------------------------------------------------------------------------
 */

void fa__conn_end_exchange(struct fa__conn *conn, bool disconnected)
{
    struct fa_request *req = conn->req;
    req->over = true;
    req->disconnected |= disconnected;
    conn->server->in_flight--;
    if (disconnected && !req->ended && !req->aborted && req->callbacks.on_disconnect != NULL)
        req->callbacks.on_disconnect(req);
    if (req->callbacks.on_done != NULL)
        req->callbacks.on_done(req);
    fa__request_detach(req);
    fa__conn_unpin(conn);
}

/* Whether input waits that can be a request: empty lines between requests are none. */
static bool request_waits(const struct fa__conn *conn)
{
    struct fa_span in = fa__conn_input(conn);
    for (size_t i = 0; i < in.len; i++) {
        if (in.ptr[i] != '\r' && in.ptr[i] != '\n')
            return true;
    }
    return false;
}

/* The stream has ended while the application works. */
static enum fa__step ended_stream(struct fa__conn *conn)
{
    /* A body that is not done is paused here: what is missing shows when it is wanted again. */
    if (conn->server->half_close_is_alive || (conn->body.done && request_waits(conn)))
        return FA__STEP_WAIT;
    if (!conn->eof_waited) {
        /* Work that became ready in the same turn may still complete the response. */
        conn->eof_waited = true;
        fa_reactor_at_turn_end(conn->server->reactor, &conn->end_task);
        return FA__STEP_WAIT;
    }
    fa__conn_end_exchange(conn, true);
    return fa__conn_finish(conn, false);
}

/* The response is over but the request body is not: read what little is left, so that the
 * connection can go on, or give the connection up (RFC 9112 section 9.3). */
static enum fa__step unread_body(struct fa__conn *conn, bool owes_continue)
{
    if (owes_continue || fa__body_to_come(conn) > FA__DISCARD_MAX)
        return fa__conn_finish(conn, true);
    fa__conn_set_state(conn, FA__CONN_DISCARD);
    conn->discard_left = fa__conn_input(conn).len + FA__DISCARD_MAX;
    return FA__STEP_AGAIN;
}

static enum fa__step finish_exchange(struct fa__conn *conn)
{
    struct fa_request *req = conn->req;
    bool keep_alive = req->keep_alive && !req->aborted;
    bool owes_continue = req->owes_continue && conn->in_start == conn->in.len;
    /* The client has announced that it will send nothing more, and did not. */
    bool quiet = !req->head.keep_alive && conn->body.done && conn->in_start == conn->in.len;
    fa__conn_end_exchange(conn, false);
    if (!keep_alive)
        return fa__conn_finish(conn, !quiet);
    if (!conn->body.done)
        return unread_body(conn, owes_continue);
    fa__conn_set_state(conn, FA__CONN_IDLE);
    return FA__STEP_AGAIN;
}

enum fa__step fa__conn_step_exchange(struct fa__conn *conn)
{
    struct fa_request *req = conn->req;
    if (req->ended || req->aborted)
        return finish_exchange(conn);
    if (req->taken != NULL) {
        fa__conn_set_state(conn, FA__CONN_TAKING);
        return FA__STEP_AGAIN;
    }
    if (!req->paused && !req->last_delivered)
        return fa__conn_step_body(conn);
    if (conn->eof)
        return ended_stream(conn);
    return FA__STEP_WAIT;
}

enum fa__step fa__conn_step_discard(struct fa__conn *conn)
{
    struct fa_span data;
    bool progress;
    int err = fa__body_take(conn, &data, &progress);
    if (err < 0 || data.len > conn->discard_left)
        return fa__conn_finish(conn, true);
    conn->discard_left -= data.len;
    if (conn->body.done) {
        fa__conn_set_state(conn, FA__CONN_IDLE);
        return FA__STEP_AGAIN;
    }
    if (progress)
        return FA__STEP_AGAIN;
    if (conn->eof)
        return fa__conn_finish(conn, false);
    return FA__STEP_WAIT;
}
