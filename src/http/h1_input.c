/* SPDX-License-Identifier: MIT */
/* h1_input.c - the read buffer of a connection: where bytes land, how long they stay.
 *
 * A connection owns a block only while input is in it or an exchange is under way; between
 * requests it goes back to the server's pool. The head of the current request stays where it
 * was parsed until the exchange is over. Body bytes are read into the space behind it, again
 * and again, and a body too big for that gets a block of its own (the one with the head is
 * kept aside). While the application has paused the body, blocks grow up to the server's
 * limit, and then the socket is left alone.
 *
 * Invariant: in_pinned <= in_start <= in.len <= in.cap. */
#include "http/h1_conn.h"

#define READ_BLOCK 8192  /* nearly every request fits; a pipelined burst mostly does */
#define BODY_BLOCK 65536 /* the largest pooled block: fewer calls for uploads */
#define MIN_SPACE 1024   /* reading into less is not worth the call */

/* No head within the limits can be longer: the parser bounds the section as sent by
 * header_bytes, and allows a few empty lines in front. */
size_t fa__conn_head_capacity(const struct fa_limits *limits)
{
    return (size_t)limits->request_line_bytes + limits->header_bytes + 64;
}

void fa__conn_unpin(struct fa__conn *conn)
{
    conn->in_pinned = 0;
    if (conn->head_block.cap != 0)
        fa_buf_clean_up(&conn->head_block);
}

void fa__conn_release_input(struct fa__conn *conn)
{
    fa__conn_unpin(conn);
    if (conn->in.cap != 0)
        fa_buf_clean_up(&conn->in);
    conn->in_start = 0;
}

static bool body_wanted(const struct fa__conn *conn)
{
    return conn->state == FA__CONN_EXCHANGE && !conn->body.done;
}

/* Whether more of a paused body is read. Once the block has grown to the limit what is left of
 * it has to move to make room: that waits until half of the block is free, so that a body
 * taken in small pieces is not copied for each of them. */
static bool paused_body_fits(const struct fa__conn *conn)
{
    size_t held = conn->in.len - conn->in_start;
    size_t limit = conn->server->limits.body_buffer_bytes;
    if (held >= limit)
        return false;
    return held == 0 || conn->in.len < conn->in.cap || conn->in.cap < limit || held <= limit / 2;
}

bool fa__conn_may_read(const struct fa__conn *conn)
{
    if (conn->eof)
        return false;
    switch ((enum fa__conn_state)conn->state) {
    case FA__CONN_IDLE:
    case FA__CONN_HEAD:
        /* Whole requests may wait for their turn (pipeline_burst): no more than one head. */
        return !conn->stalled &&
               conn->in.len - conn->in_start < fa__conn_head_capacity(&conn->server->limits);
    case FA__CONN_EXCHANGE:
        if (!conn->body.done)
            return !conn->req->paused || paused_body_fits(conn);
        /* Requests behind the current one, as many as fit into the block. */
        return conn->in.len < conn->in.cap ||
               (conn->in_start == conn->in.len && conn->in_pinned < conn->in.cap);
    case FA__CONN_DISCARD:
    case FA__CONN_LINGER:
        return true;
    default:
        return false;
    }
}

/* Moves what was not taken yet to a fresh block of `size` bytes. */
static int fresh_block(struct fa__conn *conn, size_t size)
{
    struct fa_buf next;
    fa_buf_init(&next, conn->in.pool);
    int err = fa_buf_reserve(&next, size);
    if (err == 0)
        err = fa_buf_append(&next, fa__conn_input(conn));
    if (err < 0) {
        fa_buf_clean_up(&next);
        return err;
    }
    if (conn->in_pinned > 0)
        conn->head_block = conn->in;
    else
        fa_buf_clean_up(&conn->in);
    conn->in = next;
    conn->in_start = conn->in_pinned = 0;
    return 0;
}

static int room_for_body(struct fa__conn *conn)
{
    size_t held = conn->in.len - conn->in_start;
    size_t space = conn->in.cap - conn->in.len;
    if (held > 0) { /* paused: use what there is, then double up to the limit */
        size_t limit = conn->server->limits.body_buffer_bytes;
        size_t size = conn->in.cap * 2 > BODY_BLOCK ? conn->in.cap * 2 : BODY_BLOCK;
        if (space > 0)
            return 0;
        if (size > limit)
            size = limit > held ? limit : held + MIN_SPACE;
        return fresh_block(conn, size);
    }
    size_t wanted = BODY_BLOCK;
    if (conn->body.framing == FA__H1_LENGTH && conn->body.left < BODY_BLOCK)
        wanted = (size_t)conn->body.left;
    if (space >= wanted || conn->in.cap >= BODY_BLOCK)
        return 0;
    return fresh_block(conn, BODY_BLOCK);
}

static int room_for_head(struct fa__conn *conn)
{
    if (conn->in.cap - conn->in.len >= MIN_SPACE)
        return 0;
    if (conn->in_pinned == 0 && conn->in_start > 0) {
        fa_buf_consume(&conn->in, conn->in_start);
        conn->in_start = 0;
        if (conn->in.cap - conn->in.len >= MIN_SPACE)
            return 0;
    }
    return fa_buf_reserve(&conn->in, MIN_SPACE);
}

static int make_room(struct fa__conn *conn)
{
    if (conn->in_start == conn->in.len)
        conn->in.len = conn->in_start = conn->in_pinned;
    if (conn->in.cap == 0)
        return fa_buf_reserve(&conn->in, READ_BLOCK);
    if (body_wanted(conn))
        return room_for_body(conn);
    if (conn->state == FA__CONN_IDLE || conn->state == FA__CONN_HEAD)
        return room_for_head(conn);
    return 0;
}

bool fa__conn_fill(struct fa__conn *conn)
{
    if (!fa__conn_may_read(conn))
        return false;
    int err = make_room(conn);
    if (err < 0) {
        conn->doom = err;
        return false;
    }
    struct fa_buf *in = &conn->in;
    if (in->cap == in->len)
        return false;
    ssize_t count = fa__socket_read(conn->io.fd, in->data + in->len, in->cap - in->len);
    if (FA_LIKELY(count > 0)) {
        in->len += (size_t)count;
        conn->server->bytes_in += (uint64_t)count;
        if (body_wanted(conn))
            conn->last_in_ns = fa__conn_now_ns(conn);
        return true;
    }
    if (count == 0)
        conn->eof = true;
    else if (count != FA_EAGAIN)
        conn->doom = (int)count;
    return false;
}
