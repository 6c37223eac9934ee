/* SPDX-License-Identifier: MIT */
/* listener_int.h - one listening socket, shared by listener.c and listener_open.c. */
#ifndef FA_NET_LISTENER_INT_H
#define FA_NET_LISTENER_INT_H

#include "net/listener.h"

struct fa__listener {
    struct fa_list link; /* in its group */
    struct fa__listeners *group;
    struct fa_io io;
    int fd;
    bool wildcard;
    struct fa__addr addr;
    /* A Unix socket file that we made: */
    char *path; /* absolute, NULL for everything else */
    dev_t path_dev;
    ino_t path_ino;
    pid_t owner_pid;
};

/* A listener around a bound and listening descriptor, in no group yet. The descriptor is
 * taken over if and only if the result is not NULL (no memory). */
struct fa__listener *fa__listener_new(int fd) FA_MUST_CHECK;

/* Closes the socket, removes its file, frees the listener. */
void fa__listener_destroy(struct fa__listener *listener);

/* Puts it into the group and watches it; on failure it stays the caller's. */
int fa__listeners_attach(struct fa__listeners *group, struct fa__listener *listener) FA_MUST_CHECK;

void fa__listener_on_readable(struct fa_io *io, unsigned events);

#endif
