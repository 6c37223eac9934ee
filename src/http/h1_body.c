/* SPDX-License-Identifier: MIT */
/* h1_body.c - the request body: from the read buffer to on_body, without a copy.
 *
 * A body that is not wanted (paused) stays in the buffer; h1_input.c stops reading at the
 * limit. "100 Continue" (RFC 9110 section 10.1.1) is sent when the body is wanted, none of it
 * is here and no final response has begun. */
#include "http/h1_conn.h"

#define CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"

void fa__body_init(struct fa__body *body, const struct fa__h1_head *head, uint64_t now_ns)
{
    *body = (struct fa__body){.framing = head->framing, .wanted_ns = now_ns};
    if (head->framing == FA__H1_LENGTH)
        body->left = (uint64_t)head->content_length;
    body->done =
        head->framing == FA__H1_NO_BODY || (head->framing == FA__H1_LENGTH && body->left == 0);
}

int fa__body_take(struct fa__conn *conn, struct fa_span *data, bool *progress)
{
    struct fa__body *body = &conn->body;
    struct fa_span in = fa__conn_input(conn);
    *data = (struct fa_span){0};
    *progress = false;
    if (body->done)
        return 0;
    size_t used = 0;
    if (body->framing == FA__H1_LENGTH) {
        used = in.len < body->left ? in.len : (size_t)body->left;
        *data = fa_span(in.ptr, used);
        body->left -= used;
        body->done = body->left == 0;
    } else if (in.len > 0) {
        ssize_t consumed = fa__h1_chunked_decode(&body->chunked, in, data);
        if (consumed < 0)
            return (int)consumed;
        used = (size_t)consumed;
        body->done = body->chunked.done;
    }
    conn->in_start += used;
    body->received += data->len;
    body->begun |= used > 0;
    *progress = used > 0 || body->done;
    return 0;
}

uint64_t fa__body_to_come(const struct fa__conn *conn)
{
    uint64_t here = fa__conn_input(conn).len;
    if (conn->body.framing != FA__H1_LENGTH || conn->body.left <= here)
        return 0;
    return conn->body.left - here;
}

static enum fa__step want_more(struct fa__conn *conn)
{
    struct fa_request *req = conn->req;
    if (conn->eof) { /* the rest will never come */
        fa__conn_end_exchange(conn, true);
        return fa__conn_finish(conn, false);
    }
    if (req->owes_continue && !req->started) {
        req->owes_continue = false;
        int err = fa__outq_write(&conn->out, FA_SPAN(CONTINUE));
        if (err < 0) {
            conn->doom = err;
            return FA__STEP_WAIT;
        }
    }
    return FA__STEP_WAIT;
}

enum fa__step fa__conn_step_body(struct fa__conn *conn)
{
    struct fa_request *req = conn->req;
    struct fa__body *body = &conn->body;
    const uint64_t limit = conn->server->limits.body_bytes;
    struct fa_span data = {0};
    bool progress = false;
    if (!body->done) {
        int err = fa__body_take(conn, &data, &progress);
        if (err < 0)
            return fa__conn_fail(conn, 400, err);
        /* A chunk that is announced counts as if it were here: no need to wait for it. */
        uint64_t announced = body->framing == FA__H1_CHUNKED ? body->chunked.left : 0;
        if (limit != 0 && (body->received > limit || announced > limit - body->received))
            return fa__conn_fail(conn, 413, FA_EHTTP_BODY_TOO_LARGE);
        if (!progress)
            return want_more(conn);
        if (body->begun)
            req->owes_continue = false; /* the client did not wait for it */
    }
    if (data.len > 0 || body->done) {
        req->last_delivered = body->done;
        if (req->callbacks.on_body != NULL)
            req->callbacks.on_body(req, data, body->done);
    }
    return FA__STEP_AGAIN;
}
