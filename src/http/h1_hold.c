/* SPDX-License-Identifier: MIT */
/* h1_hold.c - output that waits for the end of the turn. The reactor's thread only.
 *
 *   (nothing queued) -> held -> written at the end of the turn, or before: behind the first request
 *   of the turn that ends HOLD_NS or more after that, or when the connection is driven again
 *
 * A write to a client that sleeps wakes it, and that costs the writer more than the write does
 * (measured on a virtual machine with two EPYC cores, 64 clients and 40 us of handler: a third of
 * all CPU). So the answers of one turn leave together at its end, when one wake-up mostly serves
 * all of them. */
#include "http/h1_conn.h"

/* How long in a long turn: as long as CPython lets a thread keep the interpreter, so that it is
 * lost among what any program that runs beside Python meets. */
#define HOLD_NS UINT64_C(5000000)

/* How much for each connection. Behind more than this the wake-up no longer counts. */
#define HOLD_BYTES 16384

/* Not where the socket is what the connection waits for, and not where it is about to end. */
static bool may_hold(const struct fa__conn *conn)
{
    return (conn->state == FA__CONN_IDLE || conn->state == FA__CONN_EXCHANGE) && !conn->blocked &&
           conn->doom == 0 && !fa__outq_empty(&conn->out) && fa__conn_output(conn) <= HOLD_BYTES;
}

bool fa__conn_hold(struct fa__conn *conn)
{
    struct fa_server *server = conn->server;
    if (!may_hold(conn))
        return false;
    if (fa_list_linked(&conn->held_link))
        return true;
    if (fa_list_empty(&server->held)) {
        /* Later than the beginning of a turn that has written some before its end. */
        uint64_t turn_ns = fa_reactor_now_ns(server->reactor);
        if (server->held_since_ns < turn_ns)
            server->held_since_ns = turn_ns;
        fa_reactor_at_turn_end(server->reactor, &server->held_task);
    }
    fa_list_push_back(&server->held, &conn->held_link);
    return true;
}

/* Writing runs user code, which may end any connection: that takes itself off the list. None is
 * added meanwhile, since only input leads to that. */
static void release(struct fa_server *server)
{
    struct fa_list *node;
    while ((node = fa_list_pop_front(&server->held)) != NULL)
        fa__conn_write_out(FA_CONTAINER_OF(node, struct fa__conn, held_link));
}

void fa__conn_release_held(struct fa_task *task)
{
    release(FA_CONTAINER_OF(task, struct fa_server, held_task));
}

void fa__conn_release_old(struct fa_server *server)
{
    if (fa_list_empty(&server->held))
        return;
    uint64_t now_ns = fa_now_ns();
    if (now_ns - server->held_since_ns < HOLD_NS)
        return;
    release(server);
    server->held_since_ns = now_ns;
}
