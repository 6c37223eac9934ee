/* SPDX-License-Identifier: MIT */
/* Clients and an application that do whatever the contract allows, in an order that chance
 * decides (the seed is printed, and argv[1] repeats one): pieces of messages, ends and silence on
 * one side; pauses, answers of every kind, aborts and late calls on the other, from outside and
 * from within callbacks. Whatever happens, the promises of http.h hold, and with sanitizers
 * nothing is used after its end. */
#include <sys/mman.h>

#include "rig.h"

enum { CLIENTS = 12, APPS = 4096, STEPS = 30000 };

struct app {
    struct fa_request *req; /* a reference; NULL once given back */
    int bodies, lasts, disconnects, dones;
    bool closed_seen;
};

static struct app apps[APPS];
static int app_count, live[APPS], live_count;
static int clients[CLIENTS];
static int owed, file_fd;
static bool scarce;
static uint64_t state;
static char big[100000];

static uint32_t chance(uint32_t n)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(state >> 33) % n;
}

static void act(struct app *app, int depth);

static void on_release(void *user)
{
    struct app *app = user;
    CHECK(owed > 0);
    owed--;
    if (app->req != NULL && chance(3) == 0)
        act(app, 1);
}

/* ---- what an application may do ---------------------------------------------------------- */

static void act_start(struct fa_request *req)
{
    static const struct fa_header fields[] = {
        {FA_SPAN("content-length"), FA_SPAN("3000")},
        {FA_SPAN("transfer-encoding"), FA_SPAN("chunked")},
        {FA_SPAN("connection"), FA_SPAN("close")},
        {FA_SPAN("x"), FA_SPAN("a\r\nb")},
    };
    static const int statuses[] = {200, 204, 304, 404, 101};
    int err = fa_response_start(req, statuses[chance(5)], fields + chance(4), chance(2));
    CHECK(err <= 0);
}

static void act_borrow(struct app *app)
{
    size_t len = chance(2) ? chance(100) : chance(sizeof(big));
    owed++; /* before: it may be released inside */
    int err = fa_response_write_borrowed(app->req, fa_span(big, len), on_release, app);
    CHECK(err <= 0);
    if (err != 0)
        owed--;
}

static void act_file(struct app *app)
{
    int fd = dup(file_fd);
    int err = fa_response_write_file(app->req, fd, chance(50), 1 + chance(100));
    CHECK(err <= 0);
    if (err != 0)
        close(fd);
}

static void on_taken(struct fa_request *req, int fd, struct fa_span received)
{
    (void)req;
    (void)received;
    close(fd);
}

static void act(struct app *app, int depth)
{
    struct fa_request *req = app->req;
    int err = 0;
    if (req == NULL || depth > 4)
        return;
    switch (chance(16)) {
    case 0:
    case 1:
        fa_request_pause_body(req);
        break;
    case 2:
    case 3:
    case 4:
        fa_request_resume_body(req);
        break;
    case 5:
        err = fa_response_informational(req, 103, NULL, 0);
        break;
    case 6:
    case 7:
        act_start(req);
        break;
    case 8:
        err = fa_response_write(req, fa_span(big, chance(3000)));
        break;
    case 9:
        act_borrow(app);
        break;
    case 10:
        act_file(app);
        break;
    case 11:
    case 12:
        err = fa_response_end(req);
        break;
    case 13:
        err = fa_response_send(req, 200, NULL, 0, fa_span(big, chance(30000)));
        break;
    case 14:
        if (chance(4) == 0)
            fa_request_abort(req);
        break;
    default:
        err = fa_request_take_over(req, NULL, 0, on_taken);
    }
    CHECK(err <= 0);
    if (app->closed_seen || app->dones > 0)
        CHECK(fa_request_closed(req));
}

static void give_back(struct app *app)
{
    struct fa_request *req = app->req;
    app->req = NULL;
    if (req != NULL)
        fa_request_release(req);
}

static void on_body(struct fa_request *req, struct fa_span data, bool last)
{
    struct app *app = fa_request_user(req);
    CHECK_INT(app->lasts, 0);
    CHECK_INT(app->dones, 0);
    app->bodies++;
    app->lasts += last;
    for (size_t i = 0; i < data.len; i++) /* every byte may be read */
        CHECK(data.ptr[i] != '\1');
    act(app, 1);
}

static void on_drain(struct fa_request *req)
{
    struct app *app = fa_request_user(req);
    CHECK_INT(app->dones, 0);
    act(app, 1);
}

static void on_disconnect(struct fa_request *req)
{
    struct app *app = fa_request_user(req);
    CHECK_INT(app->disconnects++, 0);
    CHECK_INT(app->dones, 0);
    app->closed_seen = true;
    CHECK_INT(fa_response_write(req, FA_SPAN("late")), FA_ECLOSED);
    act(app, 1);
}

static void on_done(struct fa_request *req)
{
    struct app *app = fa_request_user(req);
    CHECK_INT(app->dones++, 0);
    CHECK(fa_request_method(req).len > 0);
    act(app, 1);
    if (chance(2))
        give_back(app);
}

static void on_request(struct fa_request *req, void *user)
{
    static const struct fa_request_callbacks callbacks = {on_body, on_drain, on_disconnect,
                                                          on_done};
    (void)user;
    CHECK(app_count < APPS);
    struct app *app = &apps[app_count];
    live[live_count++] = app_count++;
    app->req = req;
    fa_request_acquire(req);
    fa_request_set_callbacks(req, &callbacks, app);
    for (uint32_t i = chance(4); i > 0; i--)
        act(app, 1);
    if (app_count % 3 == 0 && app->req != NULL)
        CHECK(fa_response_send(app->req, 200, NULL, 0, FA_SPAN("quick")) <= 0);
}

/* ---- what a client may do ------------------------------------------------------------------ */

static const char *const pieces[] = {
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    "5\r\nhello\r\n",
    "0\r\n\r\n",
    "1000\r\n",
    "GET / HT",
    "\r\n",
    "\r\n\r\n",
    "x: y\r\n",
};

static void client_speaks(int fd)
{
    const char *text = pieces[chance(chance(4) ? 9 : FA_ARRAY_LEN(pieces))];
    size_t len = chance(10) ? strlen(text) : chance((uint32_t)strlen(text));
    ssize_t sent = chance(60) ? send(fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL)
                              : send(fd, big, chance(30000), MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)sent; /* the server may have closed */
}

static void client_acts(int *fd)
{
    char bytes[8192];
    if (*fd < 0) {
        int pair[2];
        CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
        *fd = pair[0];
        if (fa_server_adopt(rig.server, pair[1]) != 0)
            close(pair[1]);
        return;
    }
    switch (chance(24)) {
    case 0:
        close(*fd);
        *fd = -1;
        break;
    case 1:
        shutdown(*fd, SHUT_WR);
        break;
    default:
        if (chance(2))
            client_speaks(*fd);
        else
            while (recv(*fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0 && chance(8))
                ;
    }
}

/* ---- the run --------------------------------------------------------------------------------- */

/* Now and then there is no memory for a while. */
static void one_step(void)
{
    if (scarce && chance(20) == 0)
        fa_alloc_fail_nth(chance(3) ? 1 + chance(5) : 0);
    client_acts(&clients[chance(CLIENTS)]);
    if (live_count > 0) {
        int at = (int)chance((uint32_t)live_count);
        struct app *app = &apps[live[at]];
        act(app, 1);
        if (app->dones > 0 && chance(4) == 0) {
            give_back(app);
            live[at] = live[--live_count];
        }
    }
    if (chance(2))
        rig_turn(0);
    if (chance(2000) == 0)
        fa_server_close_connections(rig.server);
}

static void run(bool half_close_is_alive)
{
    memset(apps, 0, sizeof(apps));
    app_count = live_count = 0;
    rig_init(on_request);
    rig.options.half_close_is_alive = half_close_is_alive;
    rig.options.limits.body_buffer_bytes = 8192;
    rig.options.limits.header_timeout_ms = 3;
    rig.options.limits.body_timeout_ms = 3;
    rig.options.limits.keep_alive_ms = 5;
    rig.options.limits.write_timeout_ms = 5;
    rig.options.limits.write_high_water = 16384;
    rig.options.limits.write_low_water = 4096;
    rig.options.limits.pipeline_burst = 2;
    rig_up_without_client();
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = -1;
    for (int i = 0; i < STEPS && app_count < APPS - 200; i++)
        one_step();
    fa_alloc_fail_nth(0);
    fa_server_drain(rig.server, 20);
    RIG_UNTIL(rig.stopped == 1);
    CHECK(app_count > 100);
    CHECK_INT(owed, 0);
    for (int i = 0; i < app_count; i++) {
        CHECK_INT(apps[i].dones, 1);
        CHECK(apps[i].disconnects <= 1);
    }
    rig_down();
    for (int i = 0; i < app_count; i++)
        give_back(&apps[i]); /* after their server */
    for (int i = 0; i < CLIENTS; i++) {
        if (clients[i] >= 0)
            close(clients[i]);
    }
}

TEST(promises_hold)
{
    run(false);
}

TEST(promises_hold_with_half_closed_clients)
{
    run(true);
}

TEST(promises_hold_without_memory)
{
    scarce = true;
    run(false);
    scarce = false;
}

int main(int argc, char **argv)
{
    state = argc > 1 ? strtoull(argv[1], NULL, 10) : fa_now_ns();
    printf("seed %llu\n", (unsigned long long)state);
    file_fd = memfd_create("fa-test", MFD_CLOEXEC);
    CHECK_INT(write(file_fd, big, 120), 120);
    RUN(promises_hold);
    RUN(promises_hold_with_half_closed_clients);
    RUN(promises_hold_without_memory);
    close(file_fd);
    return check_report();
}
