/* SPDX-License-Identifier: MIT */
/* request.c - the request object: what the application can ask, who holds it, and the body's
 * pause. The reactor's thread only.
 *
 *   free list -> attached to a connection -> over -> (orphan while referenced) -> free list
 *
 * The connection's tie is cut at on_done; from then on every accessor answers with nothing.
 * An orphan may outlive its server: then it is freed by its last reference. */
#include "http/h1_conn.h"

#include <fasterapi/alloc.h>
#include <fasterapi/log.h>

/* ---- life ------------------------------------------------------------------------------------ */

struct fa_request *fa__request_attach(struct fa__conn *conn)
{
    struct fa_server *server = conn->server;
    struct fa_request *req = server->free_requests;
    if (req != NULL) {
        server->free_requests = req->link.next != NULL
                                    ? FA_CONTAINER_OF(req->link.next, struct fa_request, link)
                                    : NULL;
        server->free_request_count--;
    } else {
        req = fa_malloc(sizeof(*req));
        if (req == NULL)
            return NULL;
    }
    memset(req, 0, offsetof(struct fa_request, inline_fields));
    fa_list_init(&req->link);
    req->conn = conn;
    req->server = server;
    req->refs = 1;
    req->fields = req->inline_fields;
    req->field_capacity = server->limits.header_fields < FA__REQUEST_INLINE_FIELDS
                              ? server->limits.header_fields
                              : FA__REQUEST_INLINE_FIELDS;
    conn->req = req;
    return req;
}

static void recycle(struct fa_request *req)
{
    struct fa_server *server = req->server;
    if (req->fields != req->inline_fields)
        fa_free(req->fields);
    fa_list_unlink(&req->link);
    if (server == NULL || server->free_request_count >= FA__FREE_REQUESTS_MAX) {
        fa_free(req);
        return;
    }
    req->link.next = server->free_requests != NULL ? &server->free_requests->link : NULL;
    server->free_requests = req;
    server->free_request_count++;
}

void fa__request_detach(struct fa_request *req)
{
    req->conn->req = NULL;
    req->conn = NULL;
    req->over = true;
    if (req->refs > 1) {
        req->head = (struct fa__h1_head){0};
        fa_list_push_back(&req->server->orphans, &req->link);
    }
    fa_request_release(req);
}

int fa__request_grow_fields(struct fa_request *req, uint32_t count)
{
    struct fa_header *fields = fa_malloc((size_t)count * sizeof(*fields));
    if (fields == NULL)
        return FA_ENOMEM;
    if (req->fields != req->inline_fields)
        fa_free(req->fields);
    req->fields = fields;
    req->field_capacity = count;
    return 0;
}

void fa__requests_clean_up(struct fa_server *server)
{
    while (server->free_requests != NULL) {
        struct fa_request *req = server->free_requests;
        server->free_requests = req->link.next != NULL
                                    ? FA_CONTAINER_OF(req->link.next, struct fa_request, link)
                                    : NULL;
        fa_free(req);
    }
    struct fa_list *node;
    while ((node = fa_list_pop_front(&server->orphans)) != NULL)
        FA_CONTAINER_OF(node, struct fa_request, link)->server = NULL;
}

void fa_request_acquire(struct fa_request *req)
{
    req->refs++;
}

void fa_request_release(struct fa_request *req)
{
    FA_ASSERT(req->refs > 0);
    if (--req->refs == 0)
        recycle(req);
}

/* ---- what is known about it --------------------------------------------------------------------
 */

struct fa_span fa_request_method(const struct fa_request *req)
{
    return req->head.method;
}

struct fa_span fa_request_target(const struct fa_request *req)
{
    return req->head.target;
}

struct fa_span fa_request_path(const struct fa_request *req)
{
    return req->head.path;
}

struct fa_span fa_request_query(const struct fa_request *req)
{
    return req->head.query;
}

int fa_request_version_minor(const struct fa_request *req)
{
    return req->head.version_minor;
}

const struct fa_header *fa_request_headers(const struct fa_request *req, size_t *count)
{
    *count = req->head.header_count;
    return req->head.headers;
}

bool fa_request_header(const struct fa_request *req, struct fa_span name, struct fa_span *value)
{
    for (size_t i = 0; i < req->head.header_count; i++) {
        const struct fa_header *field = &req->head.headers[i];
        if (field->name.len == name.len && fa_span_eq_nocase(field->name, name)) {
            *value = field->value;
            return true;
        }
    }
    return false;
}

int64_t fa_request_content_length(const struct fa_request *req)
{
    switch (req->head.framing) {
    case FA__H1_LENGTH:
        return req->head.content_length;
    case FA__H1_CHUNKED:
        return FA_BODY_LENGTH_UNKNOWN;
    default:
        return FA_BODY_NONE;
    }
}

struct fa_span fa_request_upgrade(const struct fa_request *req)
{
    return req->head.upgrade;
}

struct fa_span fa_request_client(const struct fa_request *req, int *port)
{
    if (req->conn == NULL) {
        *port = -1;
        return (struct fa_span){0};
    }
    *port = req->conn->client.port;
    return fa__addr_span(&req->conn->client);
}

struct fa_span fa_request_local(const struct fa_request *req, int *port)
{
    struct fa__conn *conn = req->conn;
    if (conn == NULL) {
        *port = -1;
        return (struct fa_span){0};
    }
    if (!conn->local_known) {
        /* A failure leaves an empty text and no port, which is the answer then. */
        int err = conn->io.reactor != NULL ? fa__socket_local(conn->io.fd, &conn->local) : 0;
        conn->local_known = true;
        if (err < 0)
            fa_log(FA_LOG_DEBUG, "no local address: %s", fa_strerror(err));
    }
    *port = conn->local.port;
    return fa__addr_span(&conn->local);
}

/* ---- ownership and state
 * -------------------------------------------------------------------------- */

void fa_request_set_callbacks(struct fa_request *req, const struct fa_request_callbacks *callbacks,
                              void *user)
{
    req->callbacks = *callbacks;
    req->user = user;
}

void *fa_request_user(const struct fa_request *req)
{
    return req->user;
}

bool fa_request_closed(const struct fa_request *req)
{
    return req->over || req->aborted;
}

void fa_request_pause_body(struct fa_request *req)
{
    if (req->over || req->paused)
        return;
    req->paused = true;
    req->conn->body.paused_ns = fa__conn_now_ns(req->conn);
}

void fa_request_resume_body(struct fa_request *req)
{
    if (req->over || !req->paused)
        return;
    req->paused = false;
    struct fa__conn *conn = req->conn;
    uint64_t now_ns = fa__conn_now_ns(conn);
    conn->body.wanted_ns += now_ns - conn->body.paused_ns;
    conn->last_in_ns = now_ns; /* the client's time begins to count again */
    fa__conn_schedule(conn);
}

void fa_request_abort(struct fa_request *req)
{
    if (req->over || req->aborted)
        return;
    if (req->ended) {
        /* The answer is whole; only the connection is given up. */
        req->keep_alive = false;
        return;
    }
    req->aborted = true;
    fa__conn_schedule(req->conn);
}

int fa_request_take_over(struct fa_request *req, const struct fa_header *headers, size_t count,
                         fa_take_over_fn *taken)
{
    if (req->over || req->aborted)
        return FA_ECLOSED;
    struct fa__conn *conn = req->conn;
    if (req->started || !conn->body.done || req->head.upgrade.len == 0)
        return FA_ESTATE;
    struct fa__fields fields;
    static const struct fa__framing framing;
    int err = fa__fields_scan(headers, count, &fields);
    if (err == FA_EHTTP_LENGTH || (err == 0 && (fields.has_length || fields.says_chunked)))
        err = FA_EHTTP_HEADER; /* RFC 9110 section 8.6, RFC 9112 section 6.1 */
    if (err == 0)
        err = fa__head_compose(req->server, req, 101, headers, count, &fields, &framing);
    if (err == 0)
        err = fa__outq_write(&conn->out, fa_buf_span(&req->server->head));
    if (err < 0)
        return err;
    req->started = true;
    req->taken = taken;
    fa__conn_schedule(conn);
    return 0;
}
