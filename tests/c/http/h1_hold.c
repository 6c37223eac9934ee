/* SPDX-License-Identifier: MIT */
/* Answers wait for the end of their turn, not for the end of a long one, and never behind what
 * a connection that ends has to say. */
#include "rig.h"

#define GET(target) "GET " target " HTTP/1.1\r\nHost: a\r\n\r\n"
#define CLIENTS 4

static int clients[CLIENTS];
static ssize_t waiting[CLIENTS]; /* bytes at each client when the last request was handled */
static int handled;

static ssize_t bytes_at(int client)
{
    char data[40000];
    ssize_t count = recv(client, data, sizeof(data), MSG_DONTWAIT | MSG_PEEK);
    return count < 0 && errno == EAGAIN ? -1 : count;
}

static void look(void)
{
    handled++;
    for (int i = 0; i < CLIENTS; i++)
        waiting[i] = bytes_at(clients[i]);
}

static void answer(struct fa_request *req, void *user)
{
    look();
    rig_echo_target(req, user);
}

/* Clients whose requests wait for one turn. */
static void up(void (*on_request)(struct fa_request *req, void *user), const char *text)
{
    handled = 0;
    rig_init(on_request);
    rig_up_without_client();
    for (int i = 0; i < CLIENTS; i++) {
        rig_connect();
        clients[i] = rig.client;
        rig_send(text);
    }
}

static void down(void)
{
    for (int i = 0; i < CLIENTS; i++)
        close(clients[i]);
    rig.client = -1;
    rig_down();
}

TEST(answers_of_a_turn_leave_together)
{
    up(answer, GET("/"));
    rig_turn(0);
    CHECK_INT(handled, CLIENTS);
    for (int i = 0; i < CLIENTS; i++) {
        CHECK_INT(waiting[i], -1);
        CHECK_INT(bytes_at(clients[i]), sizeof(OK_HEAD(1) "\r\n/") - 1);
    }
    down();
}

/* The second request takes longer than anything is held: what was answered before it leaves
 * behind it, and the clock starts anew. */
static void answer_slowly(struct fa_request *req, void *user)
{
    answer(req, user);
    uint64_t started_ns = fa_now_ns();
    while (handled == 2 && fa_now_ns() - started_ns < 6000000)
        ;
}

TEST(a_long_turn_lets_go)
{
    up(answer_slowly, GET("/"));
    rig_turn(0);
    CHECK_INT(handled, CLIENTS);
    int early = 0;
    for (int i = 0; i < CLIENTS; i++)
        early += waiting[i] > 0;
    CHECK_INT(early, 2);
    for (int i = 0; i < CLIENTS; i++)
        CHECK_INT(bytes_at(clients[i]), sizeof(OK_HEAD(1) "\r\n/") - 1);
    down();
}

static char data[20000];

static void answer_much(struct fa_request *req, void *user)
{
    look();
    rig_wait(req, user);
    CHECK_INT(fa_response_send(req, 200, NULL, 0, fa_span(data, sizeof(data))), 0);
}

TEST(much_is_not_held)
{
    up(answer_much, GET("/"));
    rig_turn(0);
    int early = 0;
    for (int i = 0; i < CLIENTS; i++)
        early += waiting[i] > 0;
    CHECK_INT(early, CLIENTS - 1);
    down();
}

TEST(a_last_answer_is_not_held)
{
    up(answer, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    rig_turn(0);
    int early = 0;
    for (int i = 0; i < CLIENTS; i++)
        early += waiting[i] > 0;
    CHECK_INT(early, CLIENTS - 1);
    down();
}

/* All connections are doomed while their answers are held. */
static void answer_and_close_all(struct fa_request *req, void *user)
{
    answer(req, user);
    if (handled == CLIENTS)
        fa_server_close_connections(rig.server);
}

TEST(connections_closed_while_held)
{
    up(answer_and_close_all, GET("/"));
    rig_turn(0);
    rig_turn(0);
    struct fa_server_stats stats;
    fa_server_get_stats(rig.server, &stats);
    CHECK_INT(stats.connections, 0);
    CHECK_INT(rig.dones, CLIENTS);
    down();
}

/* What would have been sent without holding is sent. */
TEST(server_destroyed_while_held)
{
    up(answer, GET("/"));
    CHECK(fa_reactor_wait(rig.reactor, 0) >= 0);
    fa_reactor_collect(rig.reactor);
    while (fa_reactor_dispatch_one(rig.reactor))
        ;
    CHECK_INT(handled, CLIENTS);
    fa_server_destroy(rig.server);
    rig.server = NULL;
    for (int i = 0; i < CLIENTS; i++)
        CHECK_INT(bytes_at(clients[i]), sizeof(OK_HEAD(1) "\r\n/") - 1);
    down();
}

int main(void)
{
    RUN(answers_of_a_turn_leave_together);
    RUN(a_long_turn_lets_go);
    RUN(much_is_not_held);
    RUN(a_last_answer_is_not_held);
    RUN(connections_closed_while_held);
    RUN(server_destroyed_while_held);
    return check_report();
}
