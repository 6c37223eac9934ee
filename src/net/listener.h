/* SPDX-License-Identifier: MIT */
/* listener.h - the listening sockets of one server: opening them, accepting from them in
 * bounded batches, surviving every way in which accept fails, and closing them.
 *
 * All of a group's sockets share the callbacks, the pause and one reserve descriptor. The
 * group belongs to its reactor's thread. */
#ifndef FA_NET_LISTENER_H
#define FA_NET_LISTENER_H

#include <fasterapi/reactor.h>

#include "net/socket.h"

struct fa__listener;

struct fa__listeners_callbacks {
    /* Required. A connection: non-blocking, close-on-exec, TCP_NODELAY where it is TCP. The
     * descriptor is the callee's from here on. `listener` is where it came from, for
     * fa__listener_addr. May pause, resume or close the group, but not clean it up. */
    void (*on_accept)(struct fa__listener *listener, int fd, const struct fa__addr *client,
                      void *user);
    /* May be NULL. The process has run out of descriptors and this connection was accepted
     * on the reserve: answer it with one fa__socket_send if at all. The listener closes `fd`
     * when the callback returns. */
    void (*on_refuse)(struct fa__listener *listener, int fd, const struct fa__addr *client,
                      void *user);
};

struct fa__listeners {
    /* private */
    struct fa_reactor *reactor;
    struct fa__listeners_callbacks callbacks;
    void *user;
    struct fa_list open;          /* struct fa__listener */
    struct fa__listener *current; /* whose batch is being accepted; NULL outside, or closed */
    int reserve_fd;               /* -1 while spent */
    bool paused;                  /* by the owner */
    bool backing_off;             /* after an accept error, until `retry` fires */
    struct fa_timer retry;
    uint64_t logged_ns; /* when an accept error was last logged */
};

enum {
    FA__LISTEN_REUSEPORT = 1, /* SO_REUSEPORT on TCP */
};

/* An empty group. Opens the reserve descriptor. Returns 0, FA_EMFILE or FA_ESYS. */
int fa__listeners_init(struct fa__listeners *group, struct fa_reactor *reactor,
                       const struct fa__listeners_callbacks *callbacks, void *user) FA_MUST_CHECK;

/* Closes everything. The storage is the caller's again. Not from inside a callback. */
void fa__listeners_clean_up(struct fa__listeners *group);

/* Listens on every address of `host` (a name, an IPv4 or IPv6 literal, NULL for all IPv4
 * interfaces); IPv6 sockets take IPv6 only. Port 0: the system chooses, the same port for
 * every address. All or nothing, except that addresses which this machine does not have
 * ("localhost" is ::1 too where IPv6 is off) are left out while one remains. Resolving a name
 * blocks. Returns 0, FA_ERESOLVE, FA_EADDRINUSE, FA_EADDRNOTAVAIL, FA_EACCES, FA_EMFILE, FA_ENOMEM,
 * FA_ESYS. */
int fa__listeners_add_tcp(struct fa__listeners *group, const char *host, uint16_t port,
                          unsigned flags) FA_MUST_CHECK;

/* Listens on a Unix socket at `path`, mode 0666. A socket file that nobody answers on is
 * replaced. "@name" is an abstract name. At close the file is removed if it is still the one
 * made here, by the process that made it. Returns 0, FA_EADDRINUSE (somebody answers),
 * FA_EEXIST (something else than a socket is there), FA_EINVAL (empty or too long),
 * FA_EACCES, FA_ENOENT (no such folder), FA_EMFILE, FA_ENOMEM, FA_ESYS. */
int fa__listeners_add_unix(struct fa__listeners *group, const char *path) FA_MUST_CHECK;

/* Takes over an inherited, listening stream socket of any of these families, if and only if
 * 0 is returned; makes it non-blocking and close-on-exec. A Unix path is not removed at
 * close. Returns 0, FA_EINVAL (not a listening stream socket), FA_EEXIST, FA_ENOMEM, FA_ESYS. */
int fa__listeners_add_fd(struct fa__listeners *group, int fd) FA_MUST_CHECK;

/* Stops and restarts accepting; connections wait in the kernel's queue meanwhile. New
 * listeners of a paused group start paused. */
void fa__listeners_pause(struct fa__listeners *group);
void fa__listeners_resume(struct fa__listeners *group);

/* Closes every listening socket and removes our Unix socket files. The group stays usable. */
void fa__listeners_close(struct fa__listeners *group);

/* The same, but first accepts the connections that wait in the kernel's queues (at most 4096
 * of each socket): closing a socket would reset them, and a request with each. Not from inside
 * a callback of the group. */
void fa__listeners_finish(struct fa__listeners *group);

/* In a forked child: fa__socket_replace() for every socket. */
void fa__listeners_after_fork(struct fa__listeners *group, int inert);

/* How many sockets listen. */
size_t fa__listeners_count(const struct fa__listeners *group);

/* The port of the first TCP listener, 0 when there is none. */
uint16_t fa__listeners_port(const struct fa__listeners *group);

/* Where it listens: the bound address with its real port, or the path. Lives as long as the
 * listener: copy it per connection, or ask fa__socket_local for wildcard addresses. */
const struct fa__addr *fa__listener_addr(const struct fa__listener *listener);

/* Whether the bound address is a wildcard, so that a connection's own local address has to
 * be asked of the kernel. */
bool fa__listener_is_wildcard(const struct fa__listener *listener);

#endif
