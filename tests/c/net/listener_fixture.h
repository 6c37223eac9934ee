/* SPDX-License-Identifier: MIT */
/* listener_fixture.h - a group on a reactor of its own that counts what it accepts, and
 * clients for it; for the two test programs about listeners. */
#ifndef FA_TESTS_NET_LISTENER_FIXTURE_H
#define FA_TESTS_NET_LISTENER_FIXTURE_H

#include <netinet/in.h>
#include <sys/un.h>

#include "check.h"

#include "net/listener_int.h"

#define MS ((uint64_t)1000000)

static struct fa_reactor *reactor;
static struct fa__listeners group;
static int accepted;
static int refused;
static int last_fd;
static struct fa__addr last_client;
static struct fa__listener *last_listener;
static void (*in_accept)(void);

static void on_accept(struct fa__listener *listener, int fd, const struct fa__addr *client,
                      void *user)
{
    CHECK(user == &accepted);
    accepted++;
    last_client = *client;
    last_listener = listener;
    if (last_fd >= 0)
        close(last_fd);
    last_fd = fd;
    if (in_accept != NULL)
        in_accept();
}

static void on_refuse(struct fa__listener *listener, int fd, const struct fa__addr *client,
                      void *user)
{
    (void)listener;
    (void)user;
    refused++;
    CHECK_INT(fa__socket_send(fd, FA_SPAN("busy")), 4);
}

static const struct fa__listeners_callbacks callbacks = {
    .on_accept = on_accept,
    .on_refuse = on_refuse,
};

static void set_up(void)
{
    accepted = 0;
    refused = 0;
    last_fd = -1;
    in_accept = NULL;
    CHECK_INT(fa_reactor_new(&reactor, NULL), 0);
    CHECK_INT(fa__listeners_init(&group, reactor, &callbacks, &accepted), 0);
}

static void tear_down(void)
{
    if (last_fd >= 0)
        close(last_fd);
    fa__listeners_clean_up(&group);
    fa_reactor_destroy(reactor);
}

static int turn(int64_t timeout_ns)
{
    int events = fa_reactor_wait(reactor, timeout_ns);
    CHECK(events >= 0);
    fa_reactor_collect(reactor);
    (void)fa_reactor_dispatch(reactor, 0);
    return events;
}

static inline int connect_tcp(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in in = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    CHECK(fd >= 0);
    CHECK_INT(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    return fd;
}

static inline int connect_unix(const char *path)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    CHECK(fd >= 0 && strlen(path) < sizeof(un.sun_path));
    memcpy(un.sun_path, path, strlen(path));
    CHECK_INT(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    return fd;
}

#endif
