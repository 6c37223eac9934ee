/* SPDX-License-Identifier: MIT */
/* The read buffer: where a paused body waits, how much of it, and that the head stays where
 * it was. */
#include "rig.h"

#define BIG 4000000

static char data[BIG];

static void pause_at_once(struct fa_request *req, void *user)
{
    rig_wait(req, user);
    fa_request_pause_body(req);
}

/* Sends as much of a body as the server and the kernel take; returns how much. */
static size_t push(size_t limit)
{
    size_t sent = 0;
    struct fa_server_stats before, after;
    do {
        fa_server_get_stats(rig.server, &before);
        while (sent < limit) {
            ssize_t count =
                send(rig.client, data + sent, limit - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (count <= 0)
                break;
            sent += (size_t)count;
        }
        rig_settle();
        fa_server_get_stats(rig.server, &after);
    } while (after.bytes_in != before.bytes_in);
    return sent;
}

TEST(paused_body_is_held_up_to_the_limit)
{
    struct fa_server_stats stats;
    rig_init(pause_at_once);
    rig.options.limits.body_buffer_bytes = 100000;
    rig_up();
    rig_send("POST /here HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n");
    rig_settle();
    size_t sent = push(BIG);
    CHECK(sent < BIG);
    fa_server_get_stats(rig.server, &stats);
    CHECK(stats.bytes_in >= 100000);
    CHECK(stats.bytes_in <= 100000 + 65536);
    CHECK_INT(rig.bodies, 0);
    CHECK_SPAN(fa_request_target(rig.req), "/here");
    CHECK_INT(rig.disconnects, 0);

    fa_request_resume_body(rig.req);
    rig_settle();
    CHECK(rig.body_bytes > 0);
    rig_send_bytes(fa_span(data + sent, BIG - sent));
    rig_settle();
    CHECK_INT(rig.body_bytes, BIG);
    CHECK_INT(rig.lasts, 1);
    CHECK_SPAN(fa_request_target(rig.req), "/here");
    rig_down();
}

static void pause_each_time(struct fa_request *req, struct fa_span piece, bool last)
{
    rig_on_body(req, piece, last);
    fa_request_pause_body(req);
}

static void pause_after_each(struct fa_request *req, void *user)
{
    static const struct fa_request_callbacks callbacks = {.on_body = pause_each_time,
                                                          .on_done = rig_on_done};
    rig_wait(req, user);
    fa_request_set_callbacks(req, &callbacks, NULL);
}

/* One piece per resume; nothing while paused. */
TEST(pause_between_pieces)
{
    rig_init(pause_after_each);
    rig_up();
    TALK("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
         "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n",
         "");
    for (int i = 1; i <= 3; i++) {
        CHECK_INT(rig.bodies, i);
        rig_settle();
        CHECK_INT(rig.bodies, i);
        fa_request_resume_body(rig.req);
        rig_settle();
    }
    CHECK_INT(rig.lasts, 1);
    CHECK_SPAN(fa_span(rig.body, rig.body_bytes), "abc");
    rig_down();
}

/* The buffer is full and the application takes a byte at a time: the socket is read again when
 * half of the buffer is free, not for each piece, which would move all of the rest. */
TEST(small_pieces_do_not_move_the_rest)
{
    enum { CHUNKS = 16000, LIMIT = 16384 };
    struct fa_server_stats stats;
    rig_init(pause_after_each);
    rig.options.limits.body_buffer_bytes = LIMIT;
    rig_up();
    rig_send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (size_t i = 0; i < CHUNKS; i++)
        memcpy(data + 6 * i, "1\r\na\r\n", 6);
    CHECK_INT(send(rig.client, data, (size_t)6 * CHUNKS, MSG_DONTWAIT), 6 * CHUNKS);
    rig_settle();
    fa_server_get_stats(rig.server, &stats);
    uint64_t full = stats.bytes_in;
    int reads = 0;
    while (rig.bodies < CHUNKS) {
        uint64_t before = stats.bytes_in;
        int bodies = rig.bodies;
        fa_request_resume_body(rig.req);
        RIG_UNTIL(rig.bodies > bodies);
        fa_server_get_stats(rig.server, &stats);
        reads += stats.bytes_in != before;
    }
    CHECK(full < (uint64_t)6 * CHUNKS);
    CHECK(stats.bytes_in > full);
    CHECK(reads <= 6 * CHUNKS / (LIMIT / 4));
    rig_down();
}

/* A small paused body leaves the watcher in place: the disconnect behind it is seen. */
TEST(disconnect_is_seen_while_paused)
{
    rig_init(pause_at_once);
    rig_up();
    TALK("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "");
    rig_close_client();
    rig_settle();
    CHECK_INT(rig.disconnects, 1);
    CHECK_INT(rig.dones, 1);
    rig_down();
}

/* The buffer is full and the socket unread: a reset still ends the exchange. */
TEST(reset_is_seen_while_the_socket_waits)
{
    rig_init(pause_at_once);
    rig.options.limits.body_buffer_bytes = 10000;
    rig_up();
    rig_send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n");
    rig_settle();
    push(BIG);
    rig_close_client();
    rig_settle();
    CHECK_INT(rig.disconnects, 1);
    CHECK_INT(rig.dones, 1);
    rig_down();
}

/* A large upload goes through one block. */
TEST(large_upload_in_flat_memory)
{
    rig_init(rig_wait);
    rig_up();
    rig_send("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n");
    rig_settle();
    uint64_t count = fa_alloc_count();
    rig_send_bytes(fa_span(data, BIG));
    rig_settle();
    CHECK_INT(rig.body_bytes, BIG);
    CHECK_INT(rig.lasts, 1);
    CHECK(fa_alloc_count() - count <= 2);
    CHECK_SPAN(fa_request_path(rig.req), "/up");
    rig_down();
}

/* Between requests nothing is held: the same exchange again allocates nothing. */
TEST(no_allocation_per_request)
{
    rig_init(rig_echo_target);
    rig_up();
    TALK("GET / HTTP/1.1\r\nHost: a\r\n\r\n", OK_HEAD(1) "\r\n/");
    uint64_t count = fa_alloc_count();
    for (int i = 0; i < 100; i++)
        TALK("GET / HTTP/1.1\r\nHost: a\r\n\r\n", OK_HEAD(1) "\r\n/");
    CHECK_INT(fa_alloc_count() - count, 0);
    rig_down();
}

int main(void)
{
    RUN(paused_body_is_held_up_to_the_limit);
    RUN(pause_between_pieces);
    RUN(small_pieces_do_not_move_the_rest);
    RUN(disconnect_is_seen_while_paused);
    RUN(reset_is_seen_while_the_socket_waits);
    RUN(large_upload_in_flat_memory);
    RUN(no_allocation_per_request);
    return check_report();
}
