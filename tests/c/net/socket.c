/* SPDX-License-Identifier: MIT */
/* Addresses as text, and single reads and sends with their errors. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "check.h"

#include "net/socket.h"

TEST(ipv4_text)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(8000)};
    CHECK_INT(inet_pton(AF_INET, "203.0.113.255", &in.sin_addr), 1);
    struct fa__addr addr;
    fa__addr_set(&addr, (struct sockaddr *)&in, sizeof(in));
    CHECK_SPAN(fa__addr_span(&addr), "203.0.113.255");
    CHECK_INT(addr.port, 8000);
    CHECK_INT(addr.text[addr.len], 0);
}

TEST(ipv6_text)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(65535)};
    struct fa__addr addr;
    CHECK_INT(inet_pton(AF_INET6, "2001:db8::1", &in6.sin6_addr), 1);
    fa__addr_set(&addr, (struct sockaddr *)&in6, sizeof(in6));
    CHECK_SPAN(fa__addr_span(&addr), "2001:db8::1");
    CHECK_INT(addr.port, 65535);
    CHECK_INT(inet_pton(AF_INET6, "::ffff:192.0.2.7", &in6.sin6_addr), 1);
    fa__addr_set(&addr, (struct sockaddr *)&in6, sizeof(in6));
    CHECK_SPAN(fa__addr_span(&addr), "::ffff:192.0.2.7");
    CHECK_INT(inet_pton(AF_INET6, "fe80::1", &in6.sin6_addr), 1);
    in6.sin6_scope_id = if_nametoindex("lo");
    CHECK(in6.sin6_scope_id != 0);
    fa__addr_set(&addr, (struct sockaddr *)&in6, sizeof(in6));
    CHECK_SPAN(fa__addr_span(&addr), "fe80::1%lo");
}

TEST(unix_text)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/run/x.sock"};
    struct fa__addr addr;
    socklen_t offset = offsetof(struct sockaddr_un, sun_path);
    fa__addr_set(&addr, (struct sockaddr *)&un, offset + 12);
    CHECK_SPAN(fa__addr_span(&addr), "/run/x.sock");
    CHECK_INT(addr.port, -1);
    fa__addr_set(&addr, (struct sockaddr *)&un, offset);
    CHECK_SPAN(fa__addr_span(&addr), "");
    memset(un.sun_path, 'p', sizeof(un.sun_path)); /* the longest, without a NUL */
    fa__addr_set(&addr, (struct sockaddr *)&un, sizeof(un));
    CHECK_INT(addr.len, sizeof(un.sun_path));
    un.sun_path[0] = '\0';
    fa__addr_set(&addr, (struct sockaddr *)&un, offset + 3);
    CHECK_SPAN(fa__addr_span(&addr), "@pp");
}

TEST(unknown_family_is_empty)
{
    struct sockaddr sa = {.sa_family = AF_NETLINK};
    struct fa__addr addr;
    fa__addr_set(&addr, &sa, sizeof(sa));
    CHECK_INT(addr.len, 0);
    CHECK_INT(addr.port, -1);
    fa__addr_set(&addr, NULL, 0);
    CHECK_INT(addr.len, 0);
    int fds[2];
    CHECK_INT(pipe(fds), 0);
    CHECK(fa__socket_local(fds[0], &addr) < 0);
    CHECK_INT(addr.port, -1);
    close(fds[0]);
    close(fds[1]);
}

TEST(reads_and_sends)
{
    int ends[2];
    char bytes[8];
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    CHECK_INT(fa__socket_read(ends[0], bytes, sizeof(bytes)), FA_EAGAIN);
    CHECK_INT(fa__socket_send(ends[1], FA_SPAN("hello")), 5);
    CHECK_INT(fa__socket_read(ends[0], bytes, 3), 3);
    CHECK_INT(fa__socket_read(ends[0], bytes, sizeof(bytes)), 2);
    CHECK_INT(fa__socket_error(ends[0]), 0);
    close(ends[1]);
    CHECK_INT(fa__socket_read(ends[0], bytes, sizeof(bytes)), 0);
    CHECK_INT(fa__socket_send(ends[0], FA_SPAN("x")), FA_EPIPE);
    errno = 77;
    fa__socket_close(ends[0]);
    fa__socket_close(-1);
    CHECK_INT(errno, 77);
    CHECK_INT(fa__socket_read(ends[0], bytes, sizeof(bytes)), FA_EINVAL);
    CHECK_INT(fa__socket_error(ends[0]), FA_EINVAL);
}

TEST(a_reset_is_named)
{
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(listening >= 0);
    CHECK_INT(listen(listening, 1), 0);
    struct sockaddr_in in;
    socklen_t len = sizeof(in);
    CHECK_INT(getsockname(listening, (struct sockaddr *)&in, &len), 0);
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(client >= 0);
    CHECK_INT(connect(client, (struct sockaddr *)&in, len), 0);
    int server = accept(listening, NULL, NULL);
    CHECK(server >= 0);
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    CHECK_INT(setsockopt(server, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
    close(server);
    char byte;
    CHECK_INT(fa__socket_read(client, &byte, 1), FA_ECONNRESET);
    close(client);
    close(listening);
}

TEST(making_nonblocking)
{
    int fds[2];
    CHECK_INT(pipe(fds), 0);
    CHECK_INT(fa__socket_make_nonblocking(fds[0]), 0);
    CHECK((fcntl(fds[0], F_GETFL) & O_NONBLOCK) != 0);
    CHECK((fcntl(fds[0], F_GETFD) & FD_CLOEXEC) != 0);
    close(fds[0]);
    close(fds[1]);
    CHECK_INT(fa__socket_make_nonblocking(fds[0]), FA_EINVAL);
}

int main(void)
{
    RUN(ipv4_text);
    RUN(ipv6_text);
    RUN(unix_text);
    RUN(unknown_family_is_empty);
    RUN(reads_and_sends);
    RUN(a_reset_is_named);
    RUN(making_nonblocking);
    return check_report();
}
