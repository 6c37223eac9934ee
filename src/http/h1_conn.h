/* SPDX-License-Identifier: MIT */
/* h1_conn.h - one HTTP/1 connection of a server: its states and the functions that its
 * files share.
 *
 *   IDLE ----> HEAD ----> EXCHANGE ----> DISCARD ----> IDLE ...
 *     \          \            | \           |
 *      \          \           |  `-> TAKING | -> (another protocol)
 *       `----------`----------+-------------'
 *                             v
 *                           FLUSH ----> LINGER ----> DEAD
 *
 * The rule that keeps callbacks safe: functions that the application may call only change
 * fields and schedule the connection; user code is run by fa__conn_drive alone, which never
 * nests, and a connection is freed only at its end. */
#ifndef FA_HTTP_H1_CONN_H
#define FA_HTTP_H1_CONN_H

#include <fasterapi/buf.h>
#include <fasterapi/reactor.h>

#include "http/request_int.h"
#include "http/server_int.h"
#include "net/outq.h"
#include "net/socket.h"
#include "proto/h1/h1.h"

enum fa__conn_state {
    FA__CONN_IDLE,     /* between requests: nothing of the next one is here */
    FA__CONN_HEAD,     /* a part of a head is here */
    FA__CONN_EXCHANGE, /* the application has the request */
    FA__CONN_DISCARD,  /* response over; what is left of the request body is thrown away */
    FA__CONN_TAKING,   /* the last bytes go out, then the descriptor is handed over */
    FA__CONN_FLUSH,    /* nothing is read; the last bytes go out */
    FA__CONN_LINGER,   /* our side is shut; input is thrown away until the peer closes */
    FA__CONN_DEAD,     /* the descriptor is closed; freed when the driver returns */
    FA__CONN_STATES,
};

/* The request body on its way through the connection. */
struct fa__body {
    enum fa__h1_framing framing;
    bool done;         /* its last byte was taken from the buffer */
    bool begun;        /* its first byte was */
    uint64_t left;     /* with FA__H1_LENGTH */
    uint64_t received; /* content bytes taken so far */
    struct fa__h1_chunked chunked;
    uint64_t wanted_ns; /* when waiting for it began, later by the time it was paused */
    uint64_t paused_ns; /* when it was paused */
};

struct fa__conn {
    struct fa_io io;
    struct fa_timer timer;
    struct fa_task end_task;  /* drives at the end of the turn: the application did something */
    struct fa_task next_task; /* drives in the next turn: there is more to do */
    struct fa_list link;      /* server->conns */
    struct fa_list held_link; /* server->held: output waits for the end of the turn */
    struct fa_server *server;
    struct fa_request *req; /* HEAD to the end of the exchange, else NULL */

    uint8_t state;
    bool busy;        /* inside fa__conn_drive */
    bool flushing;    /* inside fa__outq_flush */
    bool dirty;       /* the application did something that the driver has not seen */
    bool eof;         /* the peer's side is shut, and everything before was read */
    bool eof_waited;  /* the turn in which that was found has ended */
    bool hup;         /* the same may be true, but input is left unread */
    bool blocked;     /* the socket did not take everything */
    bool stalled;     /* the next request waits until output has gone out */
    bool linger;      /* after FLUSH */
    bool refused;     /* over the connection limit */
    bool timer_fired; /* the drive looks at the deadlines */
    bool last_look;   /* draining: the socket was read once more before closing */
    bool local_known; /* `local` is filled */
    int doom;         /* != 0: FA_E..., the connection must die */
    uint32_t served;  /* requests */
    uint32_t burst;   /* requests begun in the turn that began at burst_turn_ns */
    uint64_t burst_turn_ns;

    struct fa__outq out;
    /* Input. [0, in_pinned) holds the head of the current request, [in_start, in.len) was not
     * taken yet, what lies between was. When a body needs a block of its own, the one with
     * the head moves to head_block. */
    struct fa_buf in;
    size_t in_start;
    size_t in_pinned;
    struct fa_buf head_block;
    struct fa__body body;

    uint64_t since_ns;         /* when `state` was entered */
    uint64_t last_in_ns;       /* when bytes last arrived or became wanted */
    uint64_t read_deadline_ns; /* 0: none */
    uint64_t write_deadline_ns;
    uint64_t discard_left;

    struct fa__addr client;
    struct fa__addr local;
};

/* What a state function says: look again (the state may have changed), or wait. */
enum fa__step { FA__STEP_AGAIN, FA__STEP_WAIT };

static inline struct fa_span fa__conn_input(const struct fa__conn *conn)
{
    return fa_span(conn->in.data + conn->in_start, conn->in.len - conn->in_start);
}

/* Bytes that wait to be sent, those of files included. */
static inline uint64_t fa__conn_output(const struct fa__conn *conn)
{
    return conn->out.queued + conn->out.file_queued;
}

/* Unread body bytes that are worth reading in order to keep the connection, beyond those that
 * are here. */
#define FA__DISCARD_MAX 65536

/* ---- h1_conn.c: life and drive -------------------------------------------------------- */

/* A connection on `fd`, which it owns if and only if 0 is returned. */
int fa__conn_open(struct fa_server *server, int fd, const struct fa__addr *client,
                  bool refused) FA_MUST_CHECK;
/* Runs everything that can be run now: input, callbacks, output. May free `conn`. */
void fa__conn_drive(struct fa__conn *conn);
/* The application did something: drive at the end of the turn, or again if driving now. */
void fa__conn_schedule(struct fa__conn *conn);
/* Dies in the next turn, with the callbacks that are due. */
void fa__conn_doom(struct fa__conn *conn, int err);
/* Dies now. Only where no callback is on the stack: server destruction. */
void fa__conn_destroy(struct fa__conn *conn);
void fa__conn_set_state(struct fa__conn *conn, enum fa__conn_state state);
/* No more input is wanted: FLUSH, then LINGER if `linger`, then the end. */
enum fa__step fa__conn_finish(struct fa__conn *conn, bool linger);
/* Writes what the socket takes; an error dooms the connection. */
void fa__conn_flush(struct fa__conn *conn);
/* Ends a connection that is idle because the server drains. */
void fa__conn_drain(struct fa__conn *conn);

/* The second half of a drive: writes, and does what depends on it. May free `conn`. */
void fa__conn_write_out(struct fa__conn *conn);

/* ---- h1_hold.c: output that waits for the end of the turn -------------------------------- */

/* Whether the output of a drive is left to the end of the turn. */
bool fa__conn_hold(struct fa__conn *conn) FA_MUST_CHECK;
/* Writes all that is held. The callback of server->held_task. */
void fa__conn_release_held(struct fa_task *task);
/* Writes it where the turn has become long. */
void fa__conn_release_old(struct fa_server *server);

/* ---- h1_input.c: the read buffer ------------------------------------------------------ */

/* Reads once; whether bytes arrived. Sets eof or doom where it must. */
bool fa__conn_fill(struct fa__conn *conn);
bool fa__conn_may_read(const struct fa__conn *conn);
/* The head is not needed any more. */
void fa__conn_unpin(struct fa__conn *conn);
/* Gives every block back. */
void fa__conn_release_input(struct fa__conn *conn);
size_t fa__conn_head_capacity(const struct fa_limits *limits);

/* ---- h1_exchange.c, h1_body.c: requests ------------------------------------------------- */

enum fa__step fa__conn_step_head(struct fa__conn *conn);
enum fa__step fa__conn_step_exchange(struct fa__conn *conn);
enum fa__step fa__conn_step_discard(struct fa__conn *conn);
/* The exchange is over: on_disconnect if `disconnected`, on_done, and the request detached. */
void fa__conn_end_exchange(struct fa__conn *conn, bool disconnected);

void fa__body_init(struct fa__body *body, const struct fa__h1_head *head, uint64_t now_ns);
/* Takes body bytes from the buffer. Returns 0 or FA_E...; `*progress` when anything was
 * taken or the body is done. */
int fa__body_take(struct fa__conn *conn, struct fa_span *data, bool *progress) FA_MUST_CHECK;
/* Body bytes that are announced and not here; 0 for a chunked body. */
uint64_t fa__body_to_come(const struct fa__conn *conn);
/* Hands over what is here. */
enum fa__step fa__conn_step_body(struct fa__conn *conn);

/* ---- h1_error.c: answers without the application ----------------------------------------- */

/* Reports, answers if nothing was sent for the current request, and ends the connection
 * after a flush. An exchange in progress is over. */
enum fa__step fa__conn_fail(struct fa__conn *conn, int status, int err);
/* Reports what `conn` did wrong or suffered; status 0: there is no answer. */
void fa__conn_report(struct fa__conn *conn, int status, int err);

/* ---- h1_timeout.c --------------------------------------------------------------------------- */

/* The time that deadlines are counted from: the reactor's, or where that is old because the
 * turn is long or none is under way, the kernel's as of its last tick. A few ns. */
uint64_t fa__conn_now_ns(const struct fa__conn *conn);
/* Recomputes the deadlines and arms the timer where it would fire too late. */
void fa__conn_settle_timer(struct fa__conn *conn);
void fa__conn_on_timer(struct fa_timer *timer);
/* Whether it was accepted a moment ago, so that its first request may be on its way. */
bool fa__conn_is_fresh(const struct fa__conn *conn);
/* Acts on the deadlines that have passed; part of a drive. */
void fa__conn_time_out(struct fa__conn *conn);

/* ---- response_head.c --------------------------------------------------------------------------
 */

/* What the application's fields say about framing. */
struct fa__fields {
    bool has_date, has_server, has_connection, says_close, says_chunked, has_length;
    uint64_t length;
};

/* Returns 0, FA_EHTTP_LENGTH or FA_EHTTP_HEADER (a transfer coding that is not "chunked"). */
int fa__fields_scan(const struct fa_header *headers, size_t count,
                    struct fa__fields *fields) FA_MUST_CHECK;

/* The final framing, decided from the request, the status and the fields. */
struct fa__framing {
    bool close, no_content, chunked, until_close;
    bool write_chunked; /* "transfer-encoding: chunked" must be added */
    bool write_length;  /* "content-length" must be added */
    bool drop_coding;   /* leave out the application's Transfer-Encoding */
    bool drop_length;   /* leave out its Content-Length */
    uint64_t length;
};

/* Composes the head in server->head. Returns 0, FA_EHTTP_HEADER or FA_ENOMEM. */
int fa__head_compose(struct fa_server *server, const struct fa_request *req, int status,
                     const struct fa_header *headers, size_t count, const struct fa__fields *fields,
                     const struct fa__framing *framing) FA_MUST_CHECK;

#endif
