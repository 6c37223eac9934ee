/* SPDX-License-Identifier: MIT */
/* request_int.h - the inside of struct fa_request. One object serves one exchange; it is
 * attached to a connection from the first byte of the head to on_done and goes back to its
 * server's free list when the last reference is gone. A late answer holds a reference, so
 * the object it holds cannot have become somebody else's. */
#ifndef FA_HTTP_REQUEST_INT_H
#define FA_HTTP_REQUEST_INT_H

#include <fasterapi/http.h>
#include <fasterapi/list.h>

#include "proto/h1/h1.h"

struct fa__conn;

/* Enough for nearly every client; a head with more fields gets an array of its own. */
#define FA__REQUEST_INLINE_FIELDS 32

struct fa_request {
    struct fa__conn *conn;    /* NULL once over */
    struct fa_server *server; /* NULL once the server is gone */
    struct fa_list link;      /* free list, or the server's orphans */
    uint32_t refs;

    /* the application's side */
    bool paused;
    bool want_drain;
    bool aborted;
    void *user;
    struct fa_request_callbacks callbacks;
    void (*taken)(struct fa_request *req, int fd, struct fa_span received);

    /* the exchange */
    bool parsed;         /* `head` is complete */
    bool begun;          /* on_request was called */
    bool over;           /* every function that can fail returns FA_ECLOSED */
    bool disconnected;   /* the client is gone */
    bool last_delivered; /* on_body(last) was called */
    bool owes_continue;  /* "100 Continue" is expected and was not sent */

    /* the response */
    bool started, ended;
    bool keep_alive;  /* the connection may serve another request */
    bool no_content;  /* HEAD, 204, 304: what is written is dropped */
    bool chunked;     /* framing of what is written, else content_left */
    bool until_close; /* the end of the connection is the end of the body */
    uint64_t content_left;

    struct fa__h1_parser parser;
    struct fa__h1_head head;
    struct fa_header *fields; /* inline_fields or an allocation */
    uint32_t field_capacity;

    /* not reset between exchanges */
    struct fa_header inline_fields[FA__REQUEST_INLINE_FIELDS];
};

/* A request for the next head on `conn`, with one reference; NULL without memory. */
struct fa_request *fa__request_attach(struct fa__conn *conn) FA_MUST_CHECK;

/* Cuts the tie to the connection and drops the server's reference. */
void fa__request_detach(struct fa_request *req);

/* Room for `count` fields; what the array held is lost. Returns 0 or FA_ENOMEM. */
int fa__request_grow_fields(struct fa_request *req, uint32_t count) FA_MUST_CHECK;

/* Frees the objects on the server's free list and forgets the server in its orphans. */
void fa__requests_clean_up(struct fa_server *server);

#endif
