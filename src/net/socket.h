/* SPDX-License-Identifier: MIT */
/* socket.h - small operations on sockets: addresses as text, options, reading. Any thread. */
#ifndef FA_NET_SOCKET_H
#define FA_NET_SOCKET_H

#include <sys/socket.h>

#include <fasterapi/error.h>
#include <fasterapi/span.h>

/* Room for a Unix path (108) or an IPv6 literal with its zone, and a NUL. */
#define FA__ADDR_TEXT_BYTES 112

/* An address as the application sees it: "127.0.0.1" and 8000, "::1", "fe80::1%eth0"; for
 * Unix sockets the path (usually empty for a client, abstract names begin with '@') and
 * port -1. IPv4-mapped IPv6 addresses keep their IPv6 form. */
struct fa__addr {
    int32_t port; /* -1 without one */
    uint8_t len;
    char text[FA__ADDR_TEXT_BYTES]; /* NUL-terminated, for logs */
};

static inline struct fa_span fa__addr_span(const struct fa__addr *addr)
{
    return (struct fa_span){addr->text, addr->len};
}

/* The text form of a kernel address; an unknown family gives an empty text and port -1. */
void fa__addr_set(struct fa__addr *addr, const struct sockaddr *sa, socklen_t sa_len);

/* Address of the other and of this end. Returns 0 or FA_E...; on failure the text is empty
 * and the port -1. */
int fa__socket_remote(int fd, struct fa__addr *addr) FA_MUST_CHECK;
int fa__socket_local(int fd, struct fa__addr *addr) FA_MUST_CHECK;

/* Reads once. Returns the bytes read (> 0), 0 at the end of the stream, FA_EAGAIN when there
 * is nothing now, or FA_ECONNRESET, FA_EPIPE, FA_ESYS ...: the connection is dead. An
 * interrupting signal is retried. `size` > 0. */
ssize_t fa__socket_read(int fd, char *into, size_t size) FA_MUST_CHECK;

/* Sends once, without SIGPIPE. Returns the bytes taken (possibly fewer than `data.len`) or
 * as above. For the one-shot answer of a connection that is refused. */
ssize_t fa__socket_send(int fd, struct fa_span data) FA_MUST_CHECK;

/* Non-blocking mode and close-on-exec for a descriptor that came from elsewhere. */
int fa__socket_make_nonblocking(int fd) FA_MUST_CHECK;

/* Sends small segments at once (TCP_NODELAY). Harmless on a socket that is not TCP. */
void fa__socket_no_delay(int fd);

/* The error that a watcher reported with FA_IO_ERROR (SO_ERROR), as FA_E...; 0 when none. */
int fa__socket_error(int fd);

/* Closes a descriptor; an interrupted close is not repeated (Linux has closed it). Negative
 * descriptors are ignored. */
void fa__socket_close(int fd);

/* A descriptor on which every read and write fails, without a signal; negative where there is
 * no room for one. */
int fa__socket_inert(void);

/* Makes the number `fd` mean what `inert` is; closes it where that is negative. */
void fa__socket_replace(int fd, int inert);

#endif
