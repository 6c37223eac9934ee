/* SPDX-License-Identifier: MIT */
/* h1_timeout.c - the deadlines of a connection, on one lazy timer.
 *
 * A drive stores deadlines; the timer stays armed as it was unless it would fire too late.
 * When it fires early it arms itself again. So a busy connection costs no timer operation per
 * request, only one now and then.
 *
 *   IDLE      keep_alive_ms since the last exchange (or the accept); FRESH_MS since the accept
 *             where the server drains
 *   HEAD      header_timeout_ms since its first byte
 *   EXCHANGE  body_timeout_ms since the last byte, and body_min_rate, while the body is wanted
 *   DISCARD   body_timeout_ms in all
 *   LINGER    LINGER_MS in all
 *   any       write_timeout_ms since output last moved, while some is blocked */
#include "http/h1_conn.h"

#include <fasterapi/log.h>
#include <time.h>

/* RFC 9112 section 9.6 names no time; long enough for a client to read the answer. */
#define LINGER_MS 5000
#define LINGER_DRAINING_MS 500

/* Time a body may take before its rate is judged, where body_timeout_ms does not say. */
#define RATE_GRACE_MS 10000

/* How long a connection may take to its first request where the server drains: a round trip and
 * the client's own delay. Closing at once would lose a request that is on its way. */
#define FRESH_MS 250

#define NS_PER_MS UINT64_C(1000000)

uint64_t fa__conn_now_ns(const struct fa__conn *conn)
{
    struct timespec tick;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &tick);
    uint64_t tick_ns = (uint64_t)tick.tv_sec * 1000 * NS_PER_MS + (uint64_t)tick.tv_nsec;
    uint64_t turn_ns = fa_reactor_now_ns(conn->server->reactor);
    return tick_ns > turn_ns ? tick_ns : turn_ns;
}

static uint64_t after_ms(uint64_t from_ns, uint32_t ms)
{
    return ms != 0 ? from_ns + ms * NS_PER_MS : 0;
}

/* The earlier of two deadlines, 0 being none. */
static uint64_t earlier(uint64_t a, uint64_t b)
{
    if (a == 0 || b == 0)
        return a + b;
    return a < b ? a : b;
}

static uint64_t body_idle_deadline(const struct fa__conn *conn)
{
    uint64_t wanted_ns = conn->body.wanted_ns;
    uint64_t last_ns = conn->last_in_ns > wanted_ns ? conn->last_in_ns : wanted_ns;
    return after_ms(last_ns, conn->server->limits.body_timeout_ms);
}

/* The minimum rate is an allowance of time: a grace, and one second more for every
 * body_min_rate bytes that came. */
static uint64_t body_rate_deadline(const struct fa__conn *conn)
{
    const struct fa_limits *limits = &conn->server->limits;
    const struct fa__body *body = &conn->body;
    if (limits->body_min_rate == 0)
        return 0;
    uint32_t grace_ms = limits->body_timeout_ms != 0 ? limits->body_timeout_ms : RATE_GRACE_MS;
    uint64_t earned_s = body->received / limits->body_min_rate;
    return after_ms(body->wanted_ns, grace_ms) + earned_s * 1000 * NS_PER_MS;
}

static uint64_t body_deadline(const struct fa__conn *conn)
{
    if (conn->body.done || conn->req->paused)
        return 0;
    return earlier(body_idle_deadline(conn), body_rate_deadline(conn));
}

static uint64_t read_deadline(const struct fa__conn *conn)
{
    const struct fa_server *server = conn->server;
    switch ((enum fa__conn_state)conn->state) {
    case FA__CONN_IDLE:
        if (server->draining && conn->served == 0)
            return after_ms(conn->since_ns, FRESH_MS);
        return after_ms(conn->since_ns, server->limits.keep_alive_ms);
    case FA__CONN_HEAD:
        return after_ms(conn->since_ns, server->limits.header_timeout_ms);
    case FA__CONN_EXCHANGE:
        return body_deadline(conn);
    case FA__CONN_DISCARD:
        return after_ms(conn->since_ns, server->limits.body_timeout_ms);
    case FA__CONN_LINGER:
        return after_ms(conn->since_ns, server->draining ? LINGER_DRAINING_MS : LINGER_MS);
    default:
        return 0;
    }
}

bool fa__conn_is_fresh(const struct fa__conn *conn)
{
    return conn->served == 0 && fa__conn_now_ns(conn) < after_ms(conn->since_ns, FRESH_MS);
}

void fa__conn_settle_timer(struct fa__conn *conn)
{
    /* A stalled connection waits for the peer to read: only the write deadline counts. */
    conn->read_deadline_ns = conn->stalled ? 0 : read_deadline(conn);
    uint64_t due_ns = earlier(conn->read_deadline_ns, conn->write_deadline_ns);
    if (due_ns == 0 || (conn->timer.reactor != NULL && conn->timer.deadline_ns <= due_ns))
        return;
    int err = fa_timer_arm(conn->server->reactor, &conn->timer, due_ns, fa__conn_on_timer);
    if (err < 0)
        fa__conn_doom(conn, err);
}

/* After a long stall of the loop a timer may come before the event that it waits against: more
 * are ready than one wait reports. So each looks at the socket once more before it gives up. */

static void write_timed_out(struct fa__conn *conn)
{
    uint64_t before = conn->out.sent;
    fa__conn_flush(conn);
    if (conn->out.sent != before || conn->doom != 0)
        return;
    conn->server->timeouts++;
    fa__conn_report(conn, 0, FA_EHTTP_WRITE_TIMEOUT);
    /* A head that waits behind the output has had its report with that. */
    if (conn->req != NULL && !conn->req->begun)
        fa__request_detach(conn->req);
    conn->doom = FA_ETIMEDOUT;
}

static void keep_alive_expired(struct fa__conn *conn)
{
    struct fa_span client = fa__addr_span(&conn->client);
    conn->server->timeouts++;
    conn->server->keep_alive_expired++;
    fa_log(FA_LOG_DEBUG, "%.*s:%d: closed, idle for the keep-alive time", (int)client.len,
           client.ptr, conn->client.port);
    (void)fa__conn_finish(conn, false);
}

static int body_overdue(const struct fa__conn *conn)
{
    uint64_t idle_ns = body_idle_deadline(conn);
    bool idle = idle_ns != 0 && idle_ns <= conn->read_deadline_ns;
    return idle ? FA_EHTTP_BODY_TIMEOUT : FA_EHTTP_BODY_RATE;
}

static void read_timed_out(struct fa__conn *conn)
{
    switch ((enum fa__conn_state)conn->state) {
    case FA__CONN_IDLE:
        if (!fa__outq_empty(&conn->out)) { /* busy with answers, not idle */
            fa__conn_set_state(conn, FA__CONN_IDLE);
            return;
        }
        /* The request that crosses with our close would be lost. */
        if (fa__conn_fill(conn) || conn->doom != 0)
            return;
        if (conn->server->draining)
            (void)fa__conn_finish(conn, false);
        else
            keep_alive_expired(conn);
        return;
    case FA__CONN_HEAD:
        if (fa__conn_fill(conn) || conn->doom != 0)
            return;
        conn->server->timeouts++;
        (void)fa__conn_fail(conn, 408, FA_EHTTP_HEADER_TIMEOUT);
        return;
    case FA__CONN_EXCHANGE:
        if (fa__conn_fill(conn) || conn->doom != 0)
            return;
        conn->server->timeouts++;
        (void)fa__conn_fail(conn, 408, body_overdue(conn));
        return;
    case FA__CONN_DISCARD:
        conn->server->timeouts++;
        fa__conn_report(conn, 0, FA_EHTTP_BODY_TIMEOUT);
        (void)fa__conn_finish(conn, true);
        return;
    default: /* LINGER: the answer was sent, and the peer does not close: that is its right */
        conn->doom = FA_ETIMEDOUT;
    }
}

void fa__conn_time_out(struct fa__conn *conn)
{
    uint64_t now_ns = fa_reactor_now_ns(conn->server->reactor);
    conn->timer_fired = false;
    if (conn->write_deadline_ns != 0 && conn->write_deadline_ns <= now_ns)
        write_timed_out(conn);
    else if (conn->read_deadline_ns != 0 && conn->read_deadline_ns <= now_ns)
        read_timed_out(conn);
}

void fa__conn_on_timer(struct fa_timer *timer)
{
    struct fa__conn *conn = FA_CONTAINER_OF(timer, struct fa__conn, timer);
    conn->timer_fired = true;
    fa__conn_drive(conn);
}
