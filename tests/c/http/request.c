/* SPDX-License-Identifier: MIT */
/* What a handler can ask of a request, and who holds it how long. */
#include "rig.h"

TEST(accessors)
{
    size_t count;
    struct fa_span value;
    int port;
    rig_init(rig_wait);
    rig_up();
    TALK("POST http://h:1/a%20b?x=1&y HTTP/1.1\r\nHost: h:1\r\nX-One:  a \r\nx-one: b\r\n"
         "Content-Length: 0\r\n\r\n",
         "");
    CHECK_SPAN(fa_request_method(rig.req), "POST");
    CHECK_SPAN(fa_request_target(rig.req), "http://h:1/a%20b?x=1&y");
    CHECK_SPAN(fa_request_path(rig.req), "/a%20b");
    CHECK_SPAN(fa_request_query(rig.req), "x=1&y");
    CHECK_INT(fa_request_version_minor(rig.req), 1);
    const struct fa_header *fields = fa_request_headers(rig.req, &count);
    CHECK_INT(count, 4);
    CHECK_SPAN(fields[1].name, "X-One");
    CHECK_SPAN(fields[1].value, "a");
    CHECK(fa_request_header(rig.req, FA_SPAN("x-oNe"), &value));
    CHECK_SPAN(value, "a");
    CHECK(!fa_request_header(rig.req, FA_SPAN("x-two"), &value));
    CHECK_INT(fa_request_upgrade(rig.req).len, 0);
    CHECK_SPAN(fa_request_client(rig.req, &port), "");
    CHECK_INT(port, -1);
    CHECK_SPAN(fa_request_local(rig.req, &port), "");
    CHECK_INT(port, -1);
    CHECK(fa_request_user(rig.req) == NULL);
    CHECK(!fa_request_closed(rig.req));
    rig_down();
}

/* A late answer reaches nobody: not the next request of the connection, not another one. */
TEST(late_answer)
{
    rig_init(rig_wait);
    rig_up();
    TALK("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n", "");
    struct fa_request *first = rig.req;
    fa_request_acquire(first);
    CHECK_INT(fa_response_send(first, 200, NULL, 0, FA_SPAN("1")), 0);
    rig_settle();
    GOT(OK_HEAD(1) "\r\n1");
    TALK("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n", "");
    CHECK(rig.req != first);
    CHECK(fa_request_closed(first));
    CHECK_INT(fa_response_send(first, 200, NULL, 0, FA_SPAN("late")), FA_ECLOSED);
    CHECK_INT(fa_request_method(first).len, 0);
    int port;
    CHECK_INT(fa_request_client(first, &port).len, 0);
    CHECK_INT(port, -1);
    fa_request_abort(first);
    fa_request_release(first);
    rig_settle();
    GOT("");
    CHECK_INT(fa_response_send(rig.req, 200, NULL, 0, FA_SPAN("2")), 0);
    rig_settle();
    GOT(OK_HEAD(1) "\r\n2");
    rig_down();
}

/* Objects are used again once nobody holds them. */
TEST(reuse)
{
    rig_init(rig_wait);
    rig_up();
    struct fa_request *first = NULL;
    for (int i = 0; i < 10; i++) {
        TALK("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "");
        if (first == NULL)
            first = rig.req;
        CHECK(rig.req == first);
        CHECK(!fa_response_started(rig.req));
        CHECK_INT(fa_response_send(rig.req, 200, NULL, 0, FA_SPAN("x")), 0);
        CHECK(fa_response_started(rig.req));
        CHECK(fa_response_ended(rig.req));
        rig_settle();
        rig_forget();
    }
    rig_down();
}

TEST(orphans_outlive_their_server)
{
    struct fa_request *held[3];
    rig_init(rig_wait);
    rig_up();
    for (int i = 0; i < 3; i++) {
        TALK("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "");
        held[i] = rig.req;
        fa_request_acquire(held[i]);
        CHECK_INT(fa_response_send(held[i], 200, NULL, 0, FA_SPAN("x")), 0);
        rig_settle();
        rig_forget();
    }
    fa_request_release(held[1]);
    fa_server_destroy(rig.server);
    rig.server = NULL;
    CHECK_INT(fa_response_send(held[0], 200, NULL, 0, FA_SPAN("x")), FA_ECLOSED);
    fa_request_release(held[0]);
    fa_request_release(held[2]);
    rig_down();
}

int main(void)
{
    RUN(accessors);
    RUN(late_answer);
    RUN(reuse);
    RUN(orphans_outlive_their_server);
    return check_report();
}
