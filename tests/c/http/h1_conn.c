/* SPDX-License-Identifier: MIT */
/* The connection as a whole: back-pressure towards a slow reader, callbacks that do the
 * worst they may, handing the descriptor over, real TCP. */
#include "rig.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>

#define GET(target) "GET " target " HTTP/1.1\r\nHost: a\r\n\r\n"
#define UPGRADE "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n"

static char data[4000000];

static uint32_t connections(void)
{
    struct fa_server_stats stats;
    fa_server_get_stats(rig.server, &stats);
    return stats.connections;
}

/* Turns without the client reading. */
static void turns(int count)
{
    for (int i = 0; i < count; i++)
        rig_turn(0);
}

/* ---- a client that reads slowly ------------------------------------------------------------ */

TEST(drain_after_congestion)
{
    rig_init(rig_wait);
    rig_up();
    rig_send(GET("/"));
    turns(3);
    CHECK_INT(fa_response_start(rig.req, 200, NULL, 0), 0);
    CHECK(!fa_response_congested(rig.req));
    while (!fa_response_congested(rig.req))
        CHECK_INT(fa_response_write(rig.req, fa_span(data, 30000)), 0);
    turns(5);
    CHECK_INT(rig.drains, 0);
    rig_settle();
    CHECK_INT(rig.drains, 1);
    CHECK(!fa_response_congested(rig.req));
    CHECK_INT(fa_response_end(rig.req), 0);
    rig_settle();
    CHECK_INT(rig.drains, 1);
    CHECK_INT(rig.dones, 1);
    rig_down();
}

static size_t to_write;

static void write_more(struct fa_request *req)
{
    rig.drains++;
    while (to_write > 0 && !fa_response_congested(req)) {
        CHECK_INT(fa_response_write(req, fa_span(data, 10000)), 0);
        to_write -= 10000;
    }
    if (to_write == 0)
        CHECK_INT(fa_response_end(req), 0);
}

/* A handler that writes in on_drain only, to the end. */
TEST(stream_driven_by_drain)
{
    static const struct fa_request_callbacks callbacks = {.on_drain = write_more,
                                                          .on_done = rig_on_done};
    static const struct fa_header length = {FA_SPAN("content-length"), FA_SPAN("10000000")};
    rig_init(rig_wait);
    rig_up();
    rig_send(GET("/"));
    turns(2);
    fa_request_set_callbacks(rig.req, &callbacks, NULL);
    CHECK_INT(fa_response_start(rig.req, 200, &length, 1), 0);
    to_write = 10000000;
    write_more(rig.req);
    RIG_UNTIL(rig.dones == 1);
    rig_settle();
    CHECK_INT(rig.got_len, 10000000 + sizeof(OK_HEAD(10000000) "\r\n") - 1);
    CHECK(rig.drains > 2);
    rig_down();
}

/* A client that pipelines without reading gets no more requests answered than the
 * high-water mark covers. */
TEST(pipelining_without_reading_is_bounded)
{
    rig_init(rig_wait);
    rig_up();
    for (int i = 0; i < 100; i++)
        rig_send(GET("/"));
    int answered = 0;
    for (int i = 0; i < 400; i++) {
        rig_turn(0);
        if (rig.requests > answered) {
            CHECK_INT(fa_response_send(rig.req, 200, NULL, 0, fa_span(data, 50000)), 0);
            answered++;
        }
    }
    CHECK(answered > 1);
    CHECK(answered < 50);
    for (int i = 0; i < 1000 && answered < 100; i++) { /* now it reads */
        rig_settle();
        if (rig.requests > answered) {
            CHECK_INT(fa_response_send(rig.req, 200, NULL, 0, fa_span(data, 50000)), 0);
            answered++;
        }
    }
    CHECK_INT(answered, 100);
    CHECK_INT(rig.dones + 1, 100 + (rig.dones == 100));
    rig_down();
}

TEST(client_vanishes_while_output_waits)
{
    rig_init(rig_wait);
    rig_up();
    rig_send(GET("/"));
    turns(2);
    CHECK_INT(fa_response_start(rig.req, 200, NULL, 0), 0);
    CHECK_INT(fa_response_write(rig.req, fa_span(data, sizeof(data))), 0);
    turns(2);
    rig_close_client();
    rig_settle();
    CHECK_INT(rig.disconnects, 1);
    CHECK_INT(rig.dones, 1);
    CHECK_INT(connections(), 0);
    rig_down();
}

/* The exchange is over for the application, its bytes still go out. */
TEST(done_comes_before_the_last_byte)
{
    rig_init(rig_wait);
    rig_up();
    rig_send(GET("/"));
    turns(2);
    CHECK_INT(fa_response_send(rig.req, 200, NULL, 0, fa_span(data, sizeof(data))), 0);
    turns(2);
    CHECK_INT(rig.dones, 1);
    rig_settle();
    CHECK_INT(rig.got_len, sizeof(data) + sizeof(OK_HEAD(4000000) "\r\n") - 1);
    rig_down();
}

/* ---- callbacks that do the worst they may ---------------------------------------------------- */

static void abort_in_request(struct fa_request *req, void *user)
{
    rig_wait(req, user);
    fa_request_abort(req);
    fa_request_abort(req);
    CHECK(fa_request_closed(req));
    CHECK_INT(fa_response_send(req, 200, NULL, 0, FA_SPAN("late")), FA_ECLOSED);
}

TEST(abort_before_anything)
{
    rig_init(abort_in_request);
    rig_up();
    TALK(GET("/1") GET("/2"), "");
    CHECK(rig.got_eof);
    CHECK_INT(rig.requests, 1);
    CHECK_INT(rig.dones, 1);
    CHECK_INT(rig.disconnects, 0);
    rig_down();
}

TEST(abort_after_start_sends_what_is_queued)
{
    rig_init(rig_wait);
    rig_up();
    TALK(GET("/"), "");
    CHECK_INT(fa_response_start(rig.req, 200, NULL, 0), 0);
    CHECK_INT(fa_response_write(rig.req, FA_SPAN("part")), 0);
    fa_request_abort(rig.req);
    rig_settle();
    GOT("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n");
    CHECK(rig.got_eof);
    CHECK_INT(rig.dones, 1);
    rig_down();
}

TEST(abort_behind_the_end_gives_up_the_connection_only)
{
    rig_init(rig_wait);
    rig_up();
    TALK(GET("/"), "");
    CHECK_INT(fa_response_send(rig.req, 200, NULL, 0, FA_SPAN("whole")), 0);
    fa_request_abort(rig.req);
    rig_settle();
    GOT(OK_HEAD(5) "\r\nwhole");
    CHECK(rig.got_eof);
    CHECK_INT(rig.dones, 1);
    CHECK_INT(rig.disconnects, 0);
    rig_down();
}

static void close_all_in_request(struct fa_request *req, void *user)
{
    rig_wait(req, user);
    fa_server_close_connections(rig.server);
    CHECK_INT(fa_response_start(req, 200, NULL, 0), 0);
}

TEST(close_connections_inside_a_request)
{
    rig_init(close_all_in_request);
    rig_up();
    rig_send(GET("/1") GET("/2"));
    rig_settle();
    CHECK(rig.got_eof);
    CHECK_INT(rig.requests, 1);
    CHECK_INT(rig.disconnects, 1);
    CHECK_INT(rig.dones, 1);
    CHECK_INT(connections(), 0);
    rig_down();
}

static void everything_in_body(struct fa_request *req, struct fa_span piece, bool last)
{
    rig_on_body(req, piece, last);
    fa_request_pause_body(req);
    fa_request_resume_body(req);
    fa_server_drain(rig.server, 1000);
    CHECK_INT(fa_response_start(req, 200, NULL, 0), 0);
    fa_request_abort(req);
    fa_server_close_connections(rig.server);
}

static void everything_at_once(struct fa_request *req, void *user)
{
    static const struct fa_request_callbacks callbacks = {
        .on_body = everything_in_body,
        .on_disconnect = rig_on_disconnect,
        .on_done = rig_on_done,
    };
    rig_wait(req, user);
    fa_request_set_callbacks(req, &callbacks, NULL);
}

TEST(everything_inside_a_body_callback)
{
    rig_init(everything_at_once);
    rig_up();
    rig_send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    rig_settle();
    CHECK_INT(rig.bodies, 1);
    CHECK_INT(rig.dones, 1);
    CHECK_INT(rig.stopped, 1);
    CHECK_INT(connections(), 0);
    rig_down();
}

static void late_calls(struct fa_request *req)
{
    rig.dones++;
    CHECK_INT(fa_response_start(req, 200, NULL, 0), FA_ECLOSED);
    CHECK_INT(fa_response_write(req, FA_SPAN("x")), FA_ECLOSED);
    CHECK_INT(fa_response_end(req), FA_ECLOSED);
    CHECK_INT(fa_response_informational(req, 103, NULL, 0), FA_ECLOSED);
    CHECK_INT(fa_request_take_over(req, NULL, 0, NULL), FA_ECLOSED);
    CHECK(!fa_response_congested(req));
    fa_request_pause_body(req);
    fa_request_resume_body(req);
    fa_request_abort(req);
}

static void calls_when_done(struct fa_request *req, void *user)
{
    static const struct fa_request_callbacks callbacks = {.on_done = late_calls};
    rig_echo_target(req, user);
    fa_request_set_callbacks(req, &callbacks, NULL);
}

TEST(every_call_inside_on_done)
{
    rig_init(calls_when_done);
    rig_up();
    TALK(GET("/1") GET("/2"), OK_HEAD(2) "\r\n/1" OK_HEAD(2) "\r\n/2");
    CHECK_INT(rig.dones, 2);
    rig_down();
}

static int released;

static void release_and_close(void *user)
{
    struct fa_request *req = user;
    released++;
    fa_server_close_connections(rig.server);
    fa_request_abort(req);
}

TEST(close_inside_a_release)
{
    rig_init(rig_wait);
    rig_up();
    rig_send(GET("/"));
    turns(2);
    released = 0;
    fa_request_acquire(rig.req);
    CHECK_INT(fa_response_start(rig.req, 200, NULL, 0), 0);
    CHECK_INT(fa_response_write_borrowed(rig.req, fa_span(data, 60000), release_and_close, rig.req),
              0);
    rig_settle();
    CHECK_INT(released, 1);
    CHECK_INT(rig.dones, 1);
    CHECK_INT(connections(), 0);
    fa_request_release(rig.req);
    rig_down();
}

/* What was lent is given back when the client vanishes. */
TEST(borrowed_output_is_released_on_loss)
{
    rig_init(rig_wait);
    rig_up();
    rig_send(GET("/"));
    turns(2);
    released = 0;
    CHECK_INT(fa_response_start(rig.req, 200, NULL, 0), 0);
    fa_request_acquire(rig.req);
    CHECK_INT(fa_response_write_borrowed(rig.req, fa_span(data, sizeof(data)), release_and_close,
                                         rig.req),
              0);
    turns(2);
    CHECK_INT(released, 0);
    rig_close_client();
    rig_settle();
    CHECK_INT(released, 1);
    CHECK_INT(rig.disconnects, 1);
    fa_request_release(rig.req);
    rig_down();
}

/* The server goes while a request is held and output is lent. */
TEST(server_destroyed_in_mid_exchange)
{
    rig_init(rig_wait);
    rig_up();
    rig_send(GET("/"));
    turns(2);
    struct fa_request *req = rig.req;
    fa_request_acquire(req);
    CHECK_INT(fa_response_start(req, 200, NULL, 0), 0);
    fa_server_destroy(rig.server);
    rig.server = NULL;
    CHECK_INT(rig.disconnects, 1);
    CHECK_INT(rig.dones, 1);
    CHECK_INT(fa_response_write(req, FA_SPAN("late")), FA_ECLOSED);
    CHECK(fa_request_closed(req));
    CHECK_INT(fa_request_method(req).len, 0);
    fa_request_release(req);
    rig_down();
}

/* ---- taking over
 * --------------------------------------------------------------------------------- */

static int taken_fd;
static char taken_bytes[32];

static void keep_fd(struct fa_request *req, int fd, struct fa_span received)
{
    CHECK(fa_request_closed(req) || req == rig.req);
    taken_fd = fd;
    CHECK(received.len < sizeof(taken_bytes));
    memcpy(taken_bytes, received.ptr, received.len);
    taken_bytes[received.len] = '\0';
}

static const struct fa_header chat[] = {
    {FA_SPAN("connection"), FA_SPAN("upgrade")},
    {FA_SPAN("upgrade"), FA_SPAN("chat")},
};

static void take_over(struct fa_request *req, void *user)
{
    rig_wait(req, user);
    CHECK_SPAN(fa_request_upgrade(req), "chat");
    CHECK_INT(fa_request_take_over(req, chat, 2, keep_fd), 0);
    CHECK_INT(fa_request_take_over(req, chat, 2, keep_fd), FA_ESTATE);
    CHECK_INT(fa_response_start(req, 200, NULL, 0), FA_EHTTP_SENT);
    CHECK_INT(fa_response_write(req, FA_SPAN("no")), FA_ESTATE);
}

TEST(take_over_hands_out_the_descriptor)
{
    rig_init(take_over);
    rig_up();
    taken_fd = -1;
    TALK(UPGRADE "early bytes",
         "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: chat\r\n\r\n");
    CHECK(taken_fd >= 0);
    CHECK_SPAN(fa_span_str(taken_bytes), "early bytes");
    CHECK_INT(rig.dones, 1);
    CHECK_INT(rig.disconnects, 0);
    CHECK_INT(connections(), 0);
    CHECK_INT(write(taken_fd, "chat!", 5), 5);
    rig_settle();
    GOT("chat!");
    CHECK(!rig.got_eof);
    close(taken_fd);
    rig_down();
}

/* A 101 has no body, so no field may describe one. */
static void take_with_framing(struct fa_request *req, void *user)
{
    static const struct fa_header length = {FA_SPAN("content-length"), FA_SPAN("0")};
    static const struct fa_header coding = {FA_SPAN("transfer-encoding"), FA_SPAN("chunked")};
    rig_wait(req, user);
    CHECK_INT(fa_request_take_over(req, &length, 1, keep_fd), FA_EHTTP_HEADER);
    CHECK_INT(fa_request_take_over(req, &coding, 1, keep_fd), FA_EHTTP_HEADER);
    CHECK_INT(fa_response_send(req, 501, NULL, 0, FA_SPAN("no")), 0);
}

TEST(take_over_refuses_framing_fields)
{
    rig_init(take_with_framing);
    rig_up();
    TALK(UPGRADE, "HTTP/1.1 501 Not Implemented\r\ncontent-length: 2\r\n\r\nno");
    rig_down();
}

static void take_too_early(struct fa_request *req, void *user)
{
    rig_wait(req, user);
    CHECK_INT(fa_request_take_over(req, chat, 2, keep_fd), FA_ESTATE);
    CHECK_INT(fa_response_send(req, 501, NULL, 0, FA_SPAN("no")), 0);
}

TEST(take_over_needs_an_upgrade_without_a_body)
{
    rig_init(take_too_early);
    rig_up();
    TALK(GET("/"), "HTTP/1.1 501 Not Implemented\r\ncontent-length: 2\r\n\r\nno");
    TALK("POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: chat\r\n"
         "Content-Length: 3\r\n\r\n",
         "HTTP/1.1 501 Not Implemented\r\ncontent-length: 2\r\n\r\nno");
    rig_down();
}

/* ---- anything, in any order
 * ----------------------------------------------------------------------- */

enum { HELD = 8 };

static uint64_t dice_state;

static unsigned dice(unsigned sides)
{
    dice_state = dice_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(dice_state >> 33) % sides;
}

static struct fa_request *held[HELD];

/* One thing that an application may do, sensible or not. */
static void act(struct fa_request *req)
{
    int err = 0;
    switch (dice(14)) {
    case 0:
        fa_request_pause_body(req);
        break;
    case 1:
        fa_request_resume_body(req);
        break;
    case 2:
        err = fa_response_start(req, 200, NULL, 0);
        break;
    case 3:
        err = fa_response_write(req, fa_span(data, dice(100000)));
        break;
    case 4:
        err = fa_response_write_borrowed(req, fa_span(data, dice(100000)), NULL, NULL);
        break;
    case 5:
    case 6:
        err = fa_response_end(req);
        break;
    case 7:
    case 8:
    case 9:
        err = fa_response_send(req, 200, NULL, 0, fa_span(data, dice(2000)));
        break;
    case 10:
        err = fa_response_informational(req, 103, NULL, 0);
        break;
    case 11:
        if (dice(10) == 0)
            fa_request_abort(req);
        break;
    case 12:
        if (dice(50) == 0)
            fa_server_close_connections(rig.server);
        break;
    default:
        break;
    }
    CHECK(err <= 0);
}

static void act_on_body(struct fa_request *req, struct fa_span piece, bool last)
{
    rig_on_body(req, piece, last);
    act(req);
}

static void act_on_drain(struct fa_request *req)
{
    act(req);
}

static void act_on_disconnect(struct fa_request *req)
{
    rig_on_disconnect(req);
    act(req);
}

static void act_on_done(struct fa_request *req)
{
    rig_on_done(req);
    act(req);
}

static void act_on_request(struct fa_request *req, void *user)
{
    static const struct fa_request_callbacks callbacks = {act_on_body, act_on_drain,
                                                          act_on_disconnect, act_on_done};
    rig_wait(req, user);
    fa_request_set_callbacks(req, &callbacks, NULL);
    unsigned slot = dice(HELD * 2);
    if (slot < HELD) {
        if (held[slot] != NULL)
            fa_request_release(held[slot]);
        fa_request_acquire(req);
        held[slot] = req;
    }
    for (unsigned i = dice(4); i > 0; i--)
        act(req);
}

static void client_acts(void)
{
    static const char get[] = GET("/");
    static const char pipeline[] = GET("/a") GET("/b") GET("/c");
    static const char *const pieces[] = {
        get,
        pipeline,
        "GET /cut HTTP/1.1\r\nHost: a\r\n",
        "\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "5\r\nhello\r\n",
        "0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        "hello",
        "garbage\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
    };
    unsigned what = dice(20);
    struct fa_span piece =
        what < FA_ARRAY_LEN(pieces) ? fa_span_str(pieces[what]) : fa_span(data, dice(50000));
    if (what < 17)
        (void)!send(rig.client, piece.ptr, piece.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    else if (what == 17)
        rig_read();
    else if (what == 18 && dice(8) == 0)
        shutdown(rig.client, SHUT_WR);
    else if (what == 19 && dice(8) == 0)
        rig_close_client();
}

static void one_random_run(uint64_t seed)
{
    dice_state = seed;
    rig_init(act_on_request);
    rig.options.half_close_is_alive = dice(2) == 0;
    rig.options.limits.pipeline_burst = 1 + dice(4);
    rig.options.limits.body_buffer_bytes = 1000 + dice(100000);
    rig_up_without_client();
    for (int i = 0; i < 200; i++) {
        if (rig.client < 0 || rig.got_eof) {
            if (rig.client >= 0)
                rig_close_client();
            rig.got_eof = false;
            rig_connect();
        }
        client_acts();
        struct fa_request *req = held[dice(HELD)];
        if (req != NULL)
            act(req);
        if (dice(10) == 0)
            fa_alloc_fail_nth(1 + dice(10));
        if (dice(3) != 0)
            rig_turn(0);
        fa_alloc_fail_nth(0);
        rig_forget();
    }
    rig_down();
    CHECK_INT(rig.dones, rig.requests);
    CHECK(rig.disconnects <= rig.dones);
    for (int i = 0; i < HELD; i++) {
        if (held[i] != NULL)
            fa_request_release(held[i]);
        held[i] = NULL;
    }
}

/* Clients and handlers that follow no plan: each exchange still ends exactly once, and no
 * memory is lost. */
TEST(random_behaviour)
{
    for (uint64_t seed = 1; seed <= 300; seed++)
        one_random_run(seed);
}

/* ---- what ends without an error
 * ------------------------------------------------------------------- */

/* A file that is shorter than promised cannot be made up for: the connection ends. */
TEST(truncated_file_closes)
{
    char path[] = "/tmp/fa-test-XXXXXX";
    rig_init(rig_wait);
    rig_up();
    TALK(GET("/"), "");
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    unlink(path);
    CHECK_INT(write(fd, "short", 5), 5);
    static const struct fa_header length = {FA_SPAN("content-length"), FA_SPAN("10")};
    CHECK_INT(fa_response_start(rig.req, 200, &length, 1), 0);
    CHECK_INT(fa_response_write_file(rig.req, fd, 0, 10), 0);
    CHECK_INT(fa_response_end(rig.req), 0);
    rig_settle();
    CHECK(rig.got_eof);
    CHECK(!rig_got_contains("short\r\n"));
    CHECK_INT(rig.dones, 1);
    rig_down();
}

static int tcp_connect(uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK_INT(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

TEST(tcp_request_and_reset)
{
    rig_init(rig_wait);
    rig_up_without_client();
    CHECK_INT(fa_server_listen_tcp(rig.server, "127.0.0.1", 0, 0), 0);
    rig.client = tcp_connect(fa_server_port(rig.server));
    rig_send(GET("/"));
    RIG_UNTIL(rig.requests == 1);
    int port;
    CHECK_SPAN(fa_request_client(rig.req, &port), "127.0.0.1");
    CHECK(port > 0);
    CHECK_SPAN(fa_request_local(rig.req, &port), "127.0.0.1");
    CHECK_INT(port, fa_server_port(rig.server));
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    setsockopt(rig.client, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    rig_close_client();
    RIG_UNTIL(rig.dones == 1);
    CHECK_INT(rig.disconnects, 1);
    CHECK_INT(connections(), 0);
    rig_down();
}

/* RFC 9112 section 9.6, where it can go wrong: on TCP, with bytes unread at the close. */
TEST(tcp_answer_survives_unread_input)
{
    rig_init(rig_echo_target);
    rig_up_without_client();
    CHECK_INT(fa_server_listen_tcp(rig.server, "127.0.0.1", 0, 0), 0);
    rig.client = tcp_connect(fa_server_port(rig.server));
    rig_send("GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    rig_send_bytes(fa_span(data, 30000));
    RIG_UNTIL(rig.got_eof);
    GOT(OK_HEAD(2) "connection: close\r\n\r\n/1");
    rig_down();
}

int main(void)
{
    RUN(drain_after_congestion);
    RUN(stream_driven_by_drain);
    RUN(pipelining_without_reading_is_bounded);
    RUN(client_vanishes_while_output_waits);
    RUN(done_comes_before_the_last_byte);
    RUN(abort_before_anything);
    RUN(abort_after_start_sends_what_is_queued);
    RUN(abort_behind_the_end_gives_up_the_connection_only);
    RUN(close_connections_inside_a_request);
    RUN(everything_inside_a_body_callback);
    RUN(every_call_inside_on_done);
    RUN(close_inside_a_release);
    RUN(borrowed_output_is_released_on_loss);
    RUN(server_destroyed_in_mid_exchange);
    RUN(take_over_hands_out_the_descriptor);
    RUN(take_over_refuses_framing_fields);
    RUN(take_over_needs_an_upgrade_without_a_body);
    RUN(random_behaviour);
    RUN(truncated_file_closes);
    RUN(tcp_request_and_reset);
    RUN(tcp_answer_survives_unread_input);
    return check_report();
}
