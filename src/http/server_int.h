/* SPDX-License-Identifier: MIT */
/* server_int.h - the inside of struct fa_server and what the connections ask of it. */
#ifndef FA_HTTP_SERVER_INT_H
#define FA_HTTP_SERVER_INT_H

#include <fasterapi/buf.h>
#include <fasterapi/server.h>

#include "net/listener.h"

/* Connections over the limit that are being told so (503) at one time. Past that number the
 * server stops accepting: the answer is a courtesy and may not cost what the limit saves. */
#define FA__REFUSED_MAX 64

/* Request objects kept for reuse; under load as many are in use as there are exchanges. */
#define FA__FREE_REQUESTS_MAX 256

struct fa_server {
    struct fa_reactor *reactor;
    struct fa_limits limits; /* normalised: see fa__limits_normalise */
    struct fa_server_callbacks callbacks;
    void *user;
    bool half_close_is_alive;
    bool draining;
    bool retiring; /* the drain leaves the kernel's queues to other processes */
    bool stopped_called;
    bool accept_paused;

    struct fa__listeners listeners;
    struct fa_list conns;   /* struct fa__conn.link: every connection not yet freed */
    struct fa_list held;    /* struct fa__conn.held_link: output waits for the end of the turn */
    struct fa_list orphans; /* struct fa_request.link: over, but still referenced */
    uint32_t conn_count;    /* length of conns */
    uint32_t refused_count; /* those of them that are over the limit */
    uint32_t in_flight;

    struct fa_pool pool;
    struct fa_buf head;               /* where response heads are composed */
    struct fa_request *free_requests; /* linked by link.next */
    uint32_t free_request_count;

    struct fa_task held_task; /* writes what is held */
    uint64_t held_since_ns;   /* no later than when the first of it was queued */
    struct fa_task
        drain_task; /* closes listeners, looks at idle connections: in a turn of its own */
    struct fa_task stop_task; /* calls on_stopped */
    struct fa_timer grace;

    /* "date: ...\r\nserver: ...\r\n" as it goes on the wire */
    uint64_t date_valid_until_ns;
    size_t date_len, server_len; /* of the two lines; 0 when switched off */
    char *lines;

    uint64_t accepted, requests, rejected, timeouts, keep_alive_expired, bytes_in, bytes_out;
    uint64_t exceeded[FA_LIMIT_COUNT];
    uint64_t logged_ns; /* when a line about a limit was last written; 0 never */
    uint64_t unlogged;  /* events about limits since then */
};

/* 0 becomes the default where "no limit" makes no sense, and the connection limit is derived
 * from RLIMIT_NOFILE where none is given. */
void fa__limits_normalise(struct fa_limits *limits);

/* The limit that `err` is about, or FA_LIMIT_NONE. */
enum fa_limit fa__limit_of_error(int err);

/* Brings the date in `lines` up to date; reads the wall clock once a second at most. */
void fa__server_refresh_date(struct fa_server *server);

/* Counts and reports an answer or a close that the application did not decide; fills in
 * `limit`. */
void fa__server_report(struct fa_server *server, struct fa_server_event *event);

/* A connection was freed: accept again, or stop. */
void fa__server_conn_gone(struct fa_server *server, bool refused);

#endif
