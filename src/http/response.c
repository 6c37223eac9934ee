/* SPDX-License-Identifier: MIT */
/* response.c - what the application sends: head, body in pieces or at once, end. The
 * reactor's thread only.
 *
 *   (nothing) -> informational* -> start -> write* -> end
 *
 * Everything goes to the connection's output queue; the driver writes it to the socket once
 * per turn. Only when more is queued than the high-water mark a write tries the socket at
 * once, so that "congested" means that the client is slow, not that the turn is long. A
 * failure in the middle of a message leaves no way to go on: the exchange is aborted. */
#include "http/h1_conn.h"

/* A body up to this size travels with its head in one block. */
#define ONE_BLOCK_BODY 16384

/* Room for a chunk-size line and the line end behind the data. */
#define CHUNK_OVERHEAD 24

static int give_up(struct fa_request *req, int err)
{
    req->aborted = true;
    fa__conn_schedule(req->conn);
    return err;
}

/* Something was queued. */
static void queued(struct fa_request *req)
{
    struct fa__conn *conn = req->conn;
    const uint32_t high_water = req->server->limits.write_high_water;
    if (FA_UNLIKELY(fa__conn_output(conn) > high_water)) {
        if (!conn->blocked)
            fa__conn_flush(conn);
        req->want_drain = fa__conn_output(conn) > high_water;
    }
    fa__conn_schedule(conn);
}

/* ---- head ---------------------------------------------------------------------------------------
 */

/* RFC 9112 section 6.3, RFC 9110 sections 8.6, 9.3.6 and 15. */
static void decide_framing(const struct fa_request *req, int status,
                           const struct fa__fields *fields, struct fa__framing *framing)
{
    bool old = req->head.version_minor == 0;
    bool tunnel = status < 300 && req->head.form == FA__H1_AUTHORITY;
    *framing = (struct fa__framing){
        .no_content =
            status == 204 || status == 304 || fa_span_eq(req->head.method, FA_SPAN("HEAD")),
        .drop_length = status == 204 || tunnel,
        .drop_coding = status == 204 || tunnel || old,
    };
    if (fields->says_chunked && !framing->drop_coding) {
        framing->chunked = true;
        framing->drop_length = true;
    } else if (fields->has_length && !framing->drop_length) {
        framing->length = fields->length;
    } else if (old || tunnel) {
        framing->until_close = !framing->no_content;
    } else if (!framing->no_content) {
        framing->chunked = framing->write_chunked = true;
    }
}

/* Whether the connection ends with this response. `final`: the body of the request will not
 * be read any more. */
static bool must_close(const struct fa_request *req, const struct fa__fields *fields, bool final)
{
    const struct fa__conn *conn = req->conn;
    if (!req->keep_alive || fields->says_close || req->server->draining)
        return true;
    if (conn->body.done)
        return false;
    /* RFC 9110 section 10.1.1: a client that still waits for 100 may send the body or not;
     * no telling where its next request would begin. */
    if (req->owes_continue && fa__conn_input(conn).len == 0)
        return true;
    return final && fa__body_to_come(conn) > FA__DISCARD_MAX;
}

static int check_start(const struct fa_request *req, int status, int lowest)
{
    if (req->over || req->aborted)
        return FA_ECLOSED;
    if (req->started)
        return FA_EHTTP_SENT;
    return status < lowest || status > 599 ? FA_EHTTP_STATUS : 0;
}

static void begin(struct fa_request *req, const struct fa__framing *framing)
{
    req->started = true;
    req->keep_alive = !framing->close;
    req->no_content = framing->no_content;
    req->chunked = framing->chunked;
    req->until_close = framing->until_close;
    req->content_left = framing->length;
}

int fa_response_informational(struct fa_request *req, int status, const struct fa_header *headers,
                              size_t count)
{
    struct fa__fields fields;
    static const struct fa__framing framing;
    int err = check_start(req, status, 100);
    if (err < 0)
        return err;
    if (status > 199 || status == 101)
        return FA_EHTTP_STATUS;
    err = fa__fields_scan(headers, count, &fields);
    if (err == 0 && (fields.has_length || fields.says_chunked))
        err = FA_EHTTP_HEADER;
    if (err == 0)
        err = fa__head_compose(req->server, req, status, headers, count, &fields, &framing);
    if (err < 0 || req->head.version_minor == 0)
        return err;
    err = fa__outq_write(&req->conn->out, fa_buf_span(&req->server->head));
    if (err < 0)
        return err;
    if (status == 100)
        req->owes_continue = false;
    queued(req);
    return 0;
}

int fa_response_start(struct fa_request *req, int status, const struct fa_header *headers,
                      size_t count)
{
    struct fa__fields fields;
    struct fa__framing framing;
    int err = check_start(req, status, 200);
    if (err == 0)
        err = fa__fields_scan(headers, count, &fields);
    if (err < 0)
        return err;
    decide_framing(req, status, &fields, &framing);
    framing.close = framing.until_close || must_close(req, &fields, false);
    err = fa__head_compose(req->server, req, status, headers, count, &fields, &framing);
    if (err == 0)
        err = fa__outq_write(&req->conn->out, fa_buf_span(&req->server->head));
    if (err < 0)
        return err;
    begin(req, &framing);
    queued(req);
    return 0;
}

int fa_response_send(struct fa_request *req, int status, const struct fa_header *headers,
                     size_t count, struct fa_span body)
{
    struct fa__fields fields;
    struct fa__framing framing;
    int err = check_start(req, status, 200);
    if (err == 0)
        err = fa__fields_scan(headers, count, &fields);
    if (err < 0)
        return err;
    if (fields.says_chunked)
        return FA_EHTTP_HEADER;
    if (fields.has_length && fields.length != body.len)
        return FA_EHTTP_LENGTH;
    bool added = !fields.has_length && status != 204 && status != 304;
    fields.has_length |= added;
    fields.length = body.len;
    decide_framing(req, status, &fields, &framing);
    framing.write_length = added && !framing.drop_length;
    framing.close = framing.until_close || must_close(req, &fields, true);

    struct fa_server *server = req->server;
    struct fa__outq *out = &req->conn->out;
    err = fa__head_compose(server, req, status, headers, count, &fields, &framing);
    if (err < 0)
        return err;
    bool with_body = !framing.no_content && body.len > 0;
    bool together = with_body && body.len <= ONE_BLOCK_BODY;
    size_t size = server->head.len + (together ? body.len : 0);
    char *into = fa__outq_reserve(out, size);
    if (into == NULL)
        return FA_ENOMEM;
    memcpy(into, server->head.data, server->head.len);
    if (together)
        memcpy(into + server->head.len, body.ptr, body.len);
    fa__outq_commit(out, size);
    begin(req, &framing);
    if (with_body && !together && (err = fa__outq_write(out, body)) < 0)
        return give_up(req, err);
    req->content_left = 0;
    req->ended = true;
    queued(req);
    return 0;
}

/* ---- body
 * ------------------------------------------------------------------------------------------ */

/* Admits `length` more body bytes. Returns 1 when they must be sent, 0 when there is nothing
 * to send, or an error. */
static int admit(struct fa_request *req, uint64_t length)
{
    if (req->over || req->aborted)
        return FA_ECLOSED;
    if (!req->started || req->ended || req->taken != NULL)
        return FA_ESTATE;
    if (length == 0 || req->no_content)
        return 0;
    if (req->chunked || req->until_close)
        return 1;
    if (length > req->content_left)
        return give_up(req, FA_EHTTP_LENGTH);
    req->content_left -= length;
    return 1;
}

/* The line that begins a chunk; a failure behind it aborts. */
static int open_chunk(struct fa_request *req, uint64_t length)
{
    char line[CHUNK_OVERHEAD];
    if (!req->chunked)
        return 0;
    return fa__outq_write(&req->conn->out, fa_span(line, fa__h1_chunk_line(line, length)));
}

static int close_chunk(struct fa_request *req)
{
    return req->chunked ? fa__outq_write(&req->conn->out, FA_SPAN("\r\n")) : 0;
}

static int write_chunk(struct fa__outq *out, struct fa_span data)
{
    char *into = fa__outq_reserve(out, data.len + CHUNK_OVERHEAD);
    if (into == NULL)
        return FA_ENOMEM;
    size_t at = fa__h1_chunk_line(into, data.len);
    memcpy(into + at, data.ptr, data.len);
    at += data.len;
    into[at++] = '\r';
    into[at++] = '\n';
    fa__outq_commit(out, at);
    return 0;
}

/* Queues a copy of what was admitted. */
static int copy(struct fa_request *req, struct fa_span data)
{
    struct fa__outq *out = &req->conn->out;
    int err = req->chunked ? write_chunk(out, data) : fa__outq_write(out, data);
    if (err < 0)
        return give_up(req, err);
    queued(req);
    return 0;
}

int fa_response_write(struct fa_request *req, struct fa_span data)
{
    int err = admit(req, data.len);
    return err <= 0 ? err : copy(req, data);
}

/* Queues what was admitted, too long for fa__outq_borrow to copy and release it at once: that
 * would run the application between the data and the end of its chunk. */
static int borrow(struct fa_request *req, struct fa_span data, void (*release)(void *user),
                  void *user)
{
    int err = open_chunk(req, data.len);
    if (err == 0)
        err = fa__outq_borrow(&req->conn->out, data, release, user);
    if (err < 0)
        return give_up(req, err);
    if (close_chunk(req) < 0)
        (void)give_up(req, FA_ENOMEM); /* the data was taken: that is what counts here */
    else
        queued(req);
    return 0;
}

int fa_response_write_borrowed(struct fa_request *req, struct fa_span data,
                               void (*release)(void *user), void *user)
{
    int err = admit(req, data.len);
    if (err < 0)
        return err;
    if (err > 0 && data.len >= FA__OUTQ_COPY_BYTES)
        return borrow(req, data, release, user);
    if (err > 0 && (err = copy(req, data)) < 0)
        return err;
    /* Last: it may write the next piece, or end the response. */
    if (release != NULL)
        release(user);
    return 0;
}

int fa_response_write_file(struct fa_request *req, int fd, int64_t offset, int64_t length)
{
    int64_t end;
    if (fd < 0 || offset < 0 || length < 0 || __builtin_add_overflow(offset, length, &end))
        return FA_EINVAL;
    int err = admit(req, (uint64_t)length);
    if (err < 0)
        return err;
    if (err == 0) {
        fa__socket_close(fd);
        return 0;
    }
    err = open_chunk(req, (uint64_t)length);
    if (err == 0)
        err = fa__outq_file(&req->conn->out, fd, offset, length);
    if (err < 0)
        return give_up(req, err);
    if (close_chunk(req) < 0)
        (void)give_up(req, FA_ENOMEM);
    else
        queued(req);
    return 0;
}

int fa_response_end(struct fa_request *req)
{
    if (req->over || req->aborted)
        return FA_ECLOSED;
    if (!req->started || req->ended || req->taken != NULL)
        return FA_ESTATE;
    if (!req->no_content && !req->chunked && req->content_left > 0)
        return give_up(req, FA_EHTTP_LENGTH);
    if (req->chunked && !req->no_content) {
        int err = fa__outq_write(&req->conn->out, FA_SPAN("0\r\n\r\n"));
        if (err < 0)
            return give_up(req, err);
    }
    req->ended = true;
    queued(req);
    return 0;
}

bool fa_response_congested(const struct fa_request *req)
{
    return !req->over && fa__conn_output(req->conn) > req->server->limits.write_high_water;
}

bool fa_response_started(const struct fa_request *req)
{
    return req->started;
}

bool fa_response_ended(const struct fa_request *req)
{
    return req->ended;
}
