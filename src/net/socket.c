/* SPDX-License-Identifier: MIT */
/* socket.c - addresses as text, single reads and sends, options (see socket.h). Keeps no
 * state; any thread. */
#include "net/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <unistd.h>

_Static_assert(FA__ADDR_TEXT_BYTES > sizeof(((struct sockaddr_un *)0)->sun_path),
               "a Unix path fits");
_Static_assert(FA__ADDR_TEXT_BYTES > INET6_ADDRSTRLEN + 1 + IF_NAMESIZE, "IPv6 with a zone fits");

static void set_text(struct fa__addr *addr, const char *text, size_t len)
{
    memcpy(addr->text, text, len);
    addr->text[len] = '\0';
    addr->len = (uint8_t)len;
}

static void set_inet6(struct fa__addr *addr, const struct sockaddr_in6 *in6)
{
    if (inet_ntop(AF_INET6, &in6->sin6_addr, addr->text, INET6_ADDRSTRLEN) == NULL)
        addr->text[0] = '\0';
    size_t len = strlen(addr->text);
    char zone[IF_NAMESIZE];
    if (in6->sin6_scope_id != 0 && if_indextoname(in6->sin6_scope_id, zone) != NULL) {
        addr->text[len++] = '%';
        size_t zone_len = strlen(zone);
        memcpy(addr->text + len, zone, zone_len + 1);
        len += zone_len;
    }
    addr->len = (uint8_t)len;
    addr->port = ntohs(in6->sin6_port);
}

/* The kernel counts a NUL at the end of a path or leaves it out; an abstract name starts
 * with one. Unnamed sockets (clients, as a rule) have no path at all. */
static void set_unix(struct fa__addr *addr, const struct sockaddr_un *un, socklen_t len)
{
    size_t offset = offsetof(struct sockaddr_un, sun_path);
    if (len <= offset)
        return;
    size_t path_len = len - offset;
    if (path_len > sizeof(un->sun_path))
        path_len = sizeof(un->sun_path);
    if (un->sun_path[0] != '\0') {
        set_text(addr, un->sun_path, strnlen(un->sun_path, path_len));
        return;
    }
    set_text(addr, un->sun_path, path_len);
    addr->text[0] = '@';
}

void fa__addr_set(struct fa__addr *addr, const struct sockaddr *sa, socklen_t sa_len)
{
    addr->port = -1;
    addr->len = 0;
    addr->text[0] = '\0';
    if (sa_len < sizeof(sa->sa_family))
        return;
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;
        if (inet_ntop(AF_INET, &in->sin_addr, addr->text, INET_ADDRSTRLEN) == NULL)
            addr->text[0] = '\0';
        addr->len = (uint8_t)strlen(addr->text);
        addr->port = ntohs(in->sin_port);
    } else if (sa->sa_family == AF_INET6) {
        set_inet6(addr, (const struct sockaddr_in6 *)(const void *)sa);
    } else if (sa->sa_family == AF_UNIX) {
        set_unix(addr, (const struct sockaddr_un *)(const void *)sa, sa_len);
    }
}

typedef int name_fn(int fd, struct sockaddr *restrict sa, socklen_t *restrict len);

static int ask_name(int fd, struct fa__addr *addr, name_fn *ask)
{
    struct sockaddr_storage storage;
    socklen_t len = sizeof(storage);
    if (ask(fd, (struct sockaddr *)&storage, &len) < 0) {
        int err = fa_error_from_errno(errno);
        fa__addr_set(addr, NULL, 0);
        return err;
    }
    fa__addr_set(addr, (struct sockaddr *)&storage, len);
    return 0;
}

int fa__socket_remote(int fd, struct fa__addr *addr)
{
    return ask_name(fd, addr, getpeername);
}

int fa__socket_local(int fd, struct fa__addr *addr)
{
    return ask_name(fd, addr, getsockname);
}

ssize_t fa__socket_read(int fd, char *into, size_t size)
{
    for (;;) {
        ssize_t count = recv(fd, into, size, MSG_DONTWAIT);
        if (FA_LIKELY(count >= 0))
            return count;
        if (errno != EINTR)
            return fa_error_from_errno(errno);
    }
}

ssize_t fa__socket_send(int fd, struct fa_span data)
{
    for (;;) {
        ssize_t count = send(fd, data.ptr, data.len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count >= 0)
            return count;
        if (errno != EINTR)
            return fa_error_from_errno(errno);
    }
}

int fa__socket_make_nonblocking(int fd)
{
    int status = fcntl(fd, F_GETFL);
    int descriptor = fcntl(fd, F_GETFD);
    if (status < 0 || descriptor < 0 || fcntl(fd, F_SETFL, status | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, descriptor | FD_CLOEXEC) < 0)
        return fa_error_from_errno(errno);
    return 0;
}

void fa__socket_no_delay(int fd)
{
    int on = 1;
    /* Without it answers may come later, but they come. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

int fa__socket_error(int fd)
{
    int sys_errno = 0;
    socklen_t len = sizeof(sys_errno);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &sys_errno, &len) < 0)
        sys_errno = errno;
    return sys_errno != 0 ? fa_error_from_errno(sys_errno) : 0;
}

void fa__socket_close(int fd)
{
    int saved_errno = errno;
    if (fd >= 0)
        close(fd);
    errno = saved_errno;
}

int fa__socket_inert(void)
{
    return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

void fa__socket_replace(int fd, int inert)
{
    if (inert < 0 || dup3(inert, fd, O_CLOEXEC) < 0)
        fa__socket_close(fd);
}
