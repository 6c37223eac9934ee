/* SPDX-License-Identifier: MIT */
/* h1_conn.c - the life of an HTTP/1 connection and the one place that drives it.
 *
 * Everything runs on the reactor's thread. A connection is driven when its descriptor is
 * ready, when a deadline passed, at the end of a turn in which the application did something
 * (end_task), and in the next turn when there was too much for this one (next_task). A drive
 * runs the state functions until they wait, then writes once, so that the answers of a
 * pipelined burst leave in one system call; what a readable descriptor led to is written at the
 * end of the turn, together with that of other connections.
 *
 * Functions of <fasterapi/http.h> called by the application change fields and schedule; so
 * inside a drive the connection cannot vanish, whatever a callback does. What must die is
 * doomed, and the next look at it ends it. */
#include "http/h1_conn.h"

#include <fasterapi/alloc.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static void drive_when_ready(struct fa_io *io, unsigned events);

void fa__conn_set_state(struct fa__conn *conn, enum fa__conn_state state)
{
    conn->state = (uint8_t)state;
    conn->since_ns = fa__conn_now_ns(conn);
}

static void on_end_task(struct fa_task *task)
{
    fa__conn_drive(FA_CONTAINER_OF(task, struct fa__conn, end_task));
}

static void on_next_task(struct fa_task *task)
{
    fa__conn_drive(FA_CONTAINER_OF(task, struct fa__conn, next_task));
}

void fa__conn_schedule(struct fa__conn *conn)
{
    conn->dirty = true;
    if (!conn->busy)
        fa_reactor_at_turn_end(conn->server->reactor, &conn->end_task);
}

void fa__conn_doom(struct fa__conn *conn, int err)
{
    if (conn->doom == 0)
        conn->doom = err;
    fa_task_post(conn->server->reactor, &conn->next_task, FA_PRIORITY_NORMAL);
}

int fa__conn_open(struct fa_server *server, int fd, const struct fa__addr *client, bool refused)
{
    struct fa__conn *conn = fa_calloc(1, sizeof(*conn));
    if (conn == NULL)
        return FA_ENOMEM;
    conn->server = server;
    conn->refused = refused;
    conn->client = *client;
    conn->end_task.callback = on_end_task;
    conn->next_task.callback = on_next_task;
    fa__outq_init(&conn->out, &server->pool);
    fa_buf_init(&conn->in, &server->pool);
    fa_buf_init(&conn->head_block, &server->pool);
    fa_list_init(&conn->held_link);
    fa__conn_set_state(conn, FA__CONN_IDLE);

    int err = fa_io_add(server->reactor, &conn->io, fd, FA_IO_READ, 0, drive_when_ready);
    if (err < 0) {
        fa_free(conn);
        return err;
    }
    fa_list_push_back(&server->conns, &conn->link);
    server->conn_count++;
    server->refused_count += refused;
    fa__conn_settle_timer(conn);
    if (conn->refused)
        fa__conn_schedule(conn); /* told so by the drive: the report runs user code */
    return 0;
}

/* ---- the end ---------------------------------------------------------------------------- */

/* Closes the descriptor and forgets everything that could call back. The release functions
 * of borrowed output run here: the request must know that it is over. */
static void shut(struct fa__conn *conn)
{
    fa_timer_cancel(&conn->timer);
    fa_task_cancel(&conn->end_task);
    fa_task_cancel(&conn->next_task);
    fa_list_unlink(&conn->held_link);
    int fd = conn->io.fd;
    if (conn->io.reactor != NULL) {
        fa_io_remove(&conn->io);
        fa__socket_close(fd);
    }
    fa__conn_set_state(conn, FA__CONN_DEAD);
    fa__outq_clean_up(&conn->out);
}

static void die(struct fa__conn *conn)
{
    bool exchange = conn->req != NULL && conn->req->begun;
    if (conn->req != NULL && !exchange && conn->req->parser.seen_any)
        fa__conn_report(conn, 0, conn->doom);
    if (conn->req != NULL) {
        conn->req->over = true;
        conn->req->disconnected = true;
    }
    if (fa_list_linked(&conn->held_link))
        fa__conn_flush(conn); /* was sent already, but for the end of the turn */
    shut(conn);
    if (exchange)
        fa__conn_end_exchange(conn, true);
    else if (conn->req != NULL)
        fa__request_detach(conn->req);
}

static void conn_free(struct fa__conn *conn)
{
    struct fa_server *server = conn->server;
    bool refused = conn->refused;
    FA_ASSERT(conn->state == FA__CONN_DEAD && conn->req == NULL);
    /* The callbacks that ran since may have posted them again. */
    fa_task_cancel(&conn->end_task);
    fa_task_cancel(&conn->next_task);
    fa__conn_release_input(conn);
    fa_list_unlink(&conn->link);
    fa_free(conn);
    fa__server_conn_gone(server, refused);
}

void fa__conn_destroy(struct fa__conn *conn)
{
    FA_ASSERT(!conn->busy);
    conn->busy = true;
    die(conn);
    conn_free(conn);
}

enum fa__step fa__conn_finish(struct fa__conn *conn, bool linger)
{
    conn->linger = linger && !conn->eof;
    fa__conn_release_input(conn);
    fa__conn_set_state(conn, FA__CONN_FLUSH);
    return FA__STEP_AGAIN;
}

/* RFC 9112 section 9.6: closing with input unread makes the kernel send a reset, which can
 * destroy the response on its way. So the writing side is shut first and input is thrown
 * away until the peer has closed too. A peer that asked for the close and sent nothing
 * behind its request needs no such care. */
static bool must_linger(const struct fa__conn *conn)
{
    int unread = 0;
    if (conn->eof)
        return false;
    return conn->linger || (ioctl(conn->io.fd, FIONREAD, &unread) == 0 && unread > 0);
}

static enum fa__step step_flush(struct fa__conn *conn)
{
    if (!fa__outq_empty(&conn->out))
        return FA__STEP_WAIT;
    if (!must_linger(conn) || shutdown(conn->io.fd, SHUT_WR) != 0) {
        shut(conn);
        return FA__STEP_WAIT;
    }
    fa__conn_set_state(conn, FA__CONN_LINGER);
    return FA__STEP_AGAIN;
}

static enum fa__step step_linger(struct fa__conn *conn)
{
    conn->in_start = conn->in.len;
    if (conn->eof)
        shut(conn);
    return FA__STEP_WAIT;
}

/* ---- taking over ---------------------------------------------------------------------------- */

static enum fa__step step_taking(struct fa__conn *conn)
{
    if (!fa__outq_empty(&conn->out))
        return FA__STEP_WAIT;
    struct fa_request *req = conn->req;
    int fd = conn->io.fd;
    fa_io_remove(&conn->io);
    shut(conn);
    req->taken(req, fd, fa__conn_input(conn));
    fa__conn_end_exchange(conn, false);
    return FA__STEP_WAIT;
}

/* ---- driving -------------------------------------------------------------------------------- */

static enum fa__step step_dead(struct fa__conn *conn)
{
    (void)conn;
    return FA__STEP_WAIT;
}

typedef enum fa__step step_fn(struct fa__conn *conn);

static step_fn *const steps[FA__CONN_STATES] = {
    [FA__CONN_IDLE] = fa__conn_step_head,
    [FA__CONN_HEAD] = fa__conn_step_head,
    [FA__CONN_EXCHANGE] = fa__conn_step_exchange,
    [FA__CONN_DISCARD] = fa__conn_step_discard,
    [FA__CONN_TAKING] = step_taking,
    [FA__CONN_FLUSH] = step_flush,
    [FA__CONN_LINGER] = step_linger,
    [FA__CONN_DEAD] = step_dead,
};

static void run_steps(struct fa__conn *conn)
{
    enum fa__step step;
    do {
        if (FA_UNLIKELY(conn->doom != 0) && conn->state != FA__CONN_DEAD)
            die(conn);
        step = steps[conn->state](conn);
    } while (step == FA__STEP_AGAIN || (conn->doom != 0 && conn->state != FA__CONN_DEAD));
}

void fa__conn_flush(struct fa__conn *conn)
{
    if (fa__outq_empty(&conn->out) || conn->flushing || conn->state == FA__CONN_DEAD)
        return;
    struct fa_server *server = conn->server;
    uint64_t before = conn->out.sent;
    conn->flushing = true;
    int err = fa__outq_flush(&conn->out, conn->io.fd);
    conn->flushing = false;
    uint64_t progress = conn->out.sent - before;
    server->bytes_out += progress;
    if (FA_LIKELY(err == 0)) {
        conn->blocked = false;
        conn->write_deadline_ns = 0;
        return;
    }
    if (err != FA_EAGAIN) {
        fa__conn_doom(conn, err);
        return;
    }
    if ((!conn->blocked || progress > 0) && server->limits.write_timeout_ms != 0)
        conn->write_deadline_ns =
            fa__conn_now_ns(conn) + server->limits.write_timeout_ms * UINT64_C(1000000);
    conn->blocked = true;
}

/* Output has fallen below the low-water mark after the application was told to wait. */
static void tell_drained(struct fa__conn *conn)
{
    struct fa_request *req = conn->req;
    if (!req->want_drain || fa__conn_output(conn) >= conn->server->limits.write_low_water ||
        req->over || req->ended || req->aborted)
        return;
    req->want_drain = false;
    if (req->callbacks.on_drain != NULL)
        req->callbacks.on_drain(req);
}

static unsigned wanted_interest(const struct fa__conn *conn)
{
    unsigned interest = conn->blocked ? FA_IO_WRITE : 0;
    if (fa__conn_may_read(conn))
        return interest | FA_IO_READ;
    /* Input waits unread, but a reset should be seen. Once the end of the stream is known
     * to be in there, watching for it would fire without end. */
    if (conn->state == FA__CONN_EXCHANGE && !conn->eof && !conn->hup)
        interest |= FA_IO_HUP;
    return interest;
}

/* After a drive: what to wait for. */
static void settle(struct fa__conn *conn)
{
    if (conn->dirty || conn->doom != 0 ||
        (conn->stalled && fa__conn_output(conn) <= conn->server->limits.write_high_water))
        fa_task_post(conn->server->reactor, &conn->next_task, FA_PRIORITY_NORMAL);
    unsigned interest = wanted_interest(conn);
    if (FA_UNLIKELY(interest != conn->io.interest)) {
        int err = fa_io_set(&conn->io, interest);
        if (err < 0)
            fa__conn_doom(conn, err);
    }
    fa__conn_settle_timer(conn);
}

void fa__conn_write_out(struct fa__conn *conn)
{
    conn->busy = true;
    fa_list_unlink(&conn->held_link);
    fa__conn_flush(conn);
    if (conn->state == FA__CONN_FLUSH || conn->state == FA__CONN_TAKING || conn->doom != 0)
        run_steps(conn);
    if (conn->state == FA__CONN_EXCHANGE)
        tell_drained(conn);
    conn->busy = false;
    if (conn->state == FA__CONN_DEAD)
        conn_free(conn);
    else
        settle(conn);
}

static void drive(struct fa__conn *conn, bool may_wait)
{
    if (conn->busy)
        return;
    conn->busy = true;
    uint64_t turn_ns = fa_reactor_now_ns(conn->server->reactor);
    if (conn->burst_turn_ns != turn_ns) {
        conn->burst_turn_ns = turn_ns;
        conn->burst = 0;
    }
    if (FA_UNLIKELY(conn->timer_fired))
        fa__conn_time_out(conn);
    run_steps(conn);
    conn->dirty = false; /* seen; what is done from here on is left to the next turn */
    if (may_wait && fa__conn_hold(conn)) {
        conn->busy = false;
        settle(conn);
    } else
        fa__conn_write_out(conn);
}

void fa__conn_drive(struct fa__conn *conn)
{
    drive(conn, false);
}

static void drive_when_ready(struct fa_io *io, unsigned events)
{
    struct fa__conn *conn = FA_CONTAINER_OF(io, struct fa__conn, io);
    if (conn->busy)
        return;
    bool arrived = false;
    if (events & FA_IO_READ)
        arrived = fa__conn_fill(conn);
    else if (events & FA_IO_HUP)
        conn->hup = true;
    /* A full hang-up. What arrived before it still counts, and comes first. */
    if (FA_UNLIKELY(events & FA_IO_ERROR) && !arrived && conn->doom == 0) {
        int err = fa__socket_error(io->fd);
        conn->doom = err != 0 ? err : FA_ECONNRESET;
    }
    struct fa_server *server = conn->server;
    drive(conn, true);
    fa__conn_release_old(server);
}

/* The request that crosses with our close would be lost to its client: read once more, and
 * answer it if it is there. */
void fa__conn_drain(struct fa__conn *conn)
{
    if (conn->state == FA__CONN_IDLE || conn->state == FA__CONN_LINGER)
        fa__conn_drive(conn);
}
