/* SPDX-License-Identifier: MIT */
/* The fields that the server adds, where it puts them, and the Date. */
#include "rig.h"

#include <time.h>

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

static const struct fa_header *fields;
static size_t field_count;

static void answer(struct fa_request *req, void *user)
{
    rig_wait(req, user);
    CHECK_INT(fa_response_start(req, 200, fields, field_count), 0);
    CHECK_INT(fa_response_end(req), 0);
}

static void up(const struct fa_header *given, size_t count)
{
    fields = given;
    field_count = count;
    rig_init(answer);
    rig.options.no_date = false;
    rig.options.server_name = FA_SPAN("rig/1");
    rig_up();
}

/* uvicorn's order: date, server, what the application gave, connection, coding. */
TEST(order)
{
    static const struct fa_header given[] = {
        {FA_SPAN("X-First"), FA_SPAN("1")},
        {FA_SPAN("x-second"), FA_SPAN("2")},
        {FA_SPAN("X-First"), FA_SPAN("")},
    };
    char date[64], expected[512];
    up(given, 3);
    rig_send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    rig_settle();
    CHECK(rig.got_len > 60);
    CHECK_INT(sscanf(rig.got, "HTTP/1.1 200 OK\r\ndate: %63[^\r]", date), 1);
    snprintf(expected, sizeof(expected),
             "HTTP/1.1 200 OK\r\ndate: %s\r\nserver: rig/1\r\nX-First: 1\r\nx-second: 2\r\n"
             "X-First: \r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
             date);
    GOT(expected);
    rig_down();
}

TEST(date_is_now)
{
    struct tm parsed = {0};
    up(NULL, 0);
    time_t before = time(NULL);
    rig_send(GET);
    rig_settle();
    rig_read();
    rig.got[rig.got_len - 1] = '\0';
    const char *date = strstr(rig.got, "date: ");
    CHECK(date != NULL);
    CHECK(strptime(date, "date: %a, %d %b %Y %H:%M:%S GMT\r\n", &parsed) != NULL);
    time_t sent = timegm(&parsed);
    CHECK(sent >= before - 1);
    CHECK(sent <= time(NULL));
    rig_down();
}

TEST(given_fields_are_not_doubled)
{
    static const struct fa_header given[] = {
        {FA_SPAN("Date"), FA_SPAN("today")},
        {FA_SPAN("SERVER"), FA_SPAN("mine")},
        {FA_SPAN("content-length"), FA_SPAN("0")},
    };
    up(given, 3);
    TALK(GET, "HTTP/1.1 200 OK\r\nDate: today\r\nSERVER: mine\r\ncontent-length: 0\r\n\r\n");
    rig_down();
}

TEST(neither_date_nor_server)
{
    up(NULL, 0);
    rig_down();
    rig_init(answer);
    rig_up();
    TALK(GET, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n");
    rig_down();
}

TEST(server_name_is_checked)
{
    struct fa_reactor *reactor;
    struct fa_server *server;
    rig_init(answer);
    CHECK_INT(fa_reactor_new(&reactor, NULL), 0);
    rig.options.server_name = FA_SPAN("a\r\nb");
    CHECK_INT(fa_server_new(&server, reactor, &rig.options), FA_EINVAL);
    CHECK(server == NULL);
    fa_reactor_destroy(reactor);
}

int main(void)
{
    RUN(order);
    RUN(date_is_now);
    RUN(given_fields_are_not_doubled);
    RUN(neither_date_nor_server);
    RUN(server_name_is_checked);
    return check_report();
}
