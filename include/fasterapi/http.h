/* SPDX-License-Identifier: MIT */
/* http.h - one exchange: a request that came in and the response that goes out.
 *
 * A request belongs to the reactor thread of its server. The server holds one reference
 * from on_request to on_done; a handler that answers later takes its own with
 * fa_request_acquire(). After on_done the object is dead but valid: every function that
 * can fail returns FA_ECLOSED, so that a late answer can never reach another client.
 *
 * Calls of one exchange, all on the owner thread, never from inside a function of this
 * header (only `release` of fa_response_write_borrowed may run there):
 *
 *   on_request                     the head is complete
 *   on_body*                       body bytes, which die when it returns; `last` exactly
 *                                  once, unless the exchange is over before; not while
 *                                  paused; a request without a body gets one call with
 *                                  an empty span and last = true
 *   on_drain*                      output fell below the low-water mark after it had been
 *                                  above the high-water mark (fa_response_congested)
 *   on_disconnect                  at most once: the client is gone (or half-closed), or
 *                                  the server gave the connection up, before the
 *                                  response was complete; writes fail from now on
 *   on_done                        exactly once: the response is complete (handed to the
 *                                  kernel or queued) or the connection is dead
 *
 * Every callback but on_request may be NULL. Callbacks may call anything here. */
#ifndef FASTERAPI_HTTP_H
#define FASTERAPI_HTTP_H

#include <fasterapi/error.h>
#include <fasterapi/header.h>
#include <fasterapi/span.h>
#include <fasterapi/status.h>

struct fa_request;
struct fa_server;

struct fa_request_callbacks {
    void (*on_body)(struct fa_request *req, struct fa_span data, bool last);
    void (*on_drain)(struct fa_request *req);
    void (*on_disconnect)(struct fa_request *req);
    void (*on_done)(struct fa_request *req);
};

/* What is known about the body when the head is complete. */
enum { FA_BODY_NONE = 0, FA_BODY_LENGTH_UNKNOWN = -1 };

FA_BEGIN_DECLS

/* ---- the request: spans live until on_done ------------------------------------------- */

/* As it was sent, "GET": methods are case-sensitive (RFC 9110 section 9.1). Never empty. */
FA_API struct fa_span fa_request_method(const struct fa_request *req);
/* The request target as sent: "/a%20b?x=1", "http://host/a", "*", "host:443" (CONNECT). */
FA_API struct fa_span fa_request_target(const struct fa_request *req);
/* The path part of the target, still percent-encoded; "*" for OPTIONS *. */
FA_API struct fa_span fa_request_path(const struct fa_request *req);
/* What follows the first '?' of the target; empty without one. */
FA_API struct fa_span fa_request_query(const struct fa_request *req);
/* 0 for HTTP/1.0, 1 for HTTP/1.1. */
FA_API int fa_request_version_minor(const struct fa_request *req);
/* Every field in the order received, names as sent, values without outer blanks; the value of
 * Host is the authority of the target where that is absolute (RFC 9112 section 3.2.2). */
FA_API const struct fa_header *fa_request_headers(const struct fa_request *req, size_t *count);
/* The first field of that name (ASCII case ignored); false when there is none. */
FA_API bool fa_request_header(const struct fa_request *req, struct fa_span name,
                              struct fa_span *value);
/* Content-Length, 0 without a body, FA_BODY_LENGTH_UNKNOWN for chunked. */
FA_API int64_t fa_request_content_length(const struct fa_request *req);
/* The target asked for an upgrade (Connection: upgrade); its protocol, else empty. */
FA_API struct fa_span fa_request_upgrade(const struct fa_request *req);

/* Peer and local address as text: "127.0.0.1", port; for Unix sockets the peer's path
 * (usually empty) or the listener's path, and port -1. Spans live until on_done. */
FA_API struct fa_span fa_request_client(const struct fa_request *req, int *port);
FA_API struct fa_span fa_request_local(const struct fa_request *req, int *port);

/* ---- ownership ------------------------------------------------------------------------- */

/* `callbacks` is copied. Call it in on_request: what happened before is not repeated. */
FA_API void fa_request_set_callbacks(struct fa_request *req,
                                     const struct fa_request_callbacks *callbacks, void *user);
/* What fa_request_set_callbacks was given; NULL before. Valid as long as `req` is. */
FA_API void *fa_request_user(const struct fa_request *req);
/* Adds and drops a reference, on the reactor's thread. Whoever drops the last one frees the
 * request; until then every function may be called, after on_done to no effect. */
FA_API void fa_request_acquire(struct fa_request *req);
FA_API void fa_request_release(struct fa_request *req);
/* The client is gone, or the exchange is over. */
FA_API bool fa_request_closed(const struct fa_request *req);

/* ---- the request body -------------------------------------------------------------------- */

/* Stops on_body; the server buffers up to its limit and then leaves the socket unread.
 * May be called in on_request, before any body byte is delivered. */
FA_API void fa_request_pause_body(struct fa_request *req);
/* Lets on_body go on; delivery starts after this call returns, in a later callback. It
 * also answers "Expect: 100-continue", once, as does anything that is not a pause. */
FA_API void fa_request_resume_body(struct fa_request *req);

/* ---- the response ------------------------------------------------------------------------ */

/* An interim response (100 to 199, not 101), before fa_response_start; not sent to
 * HTTP/1.0 clients (then 0 is returned all the same). Returns as fa_response_start;
 * framing fields are FA_EHTTP_HEADER. */
FA_API int fa_response_informational(struct fa_request *req, int status,
                                     const struct fa_header *headers, size_t count) FA_MUST_CHECK;

/* Begins the final response. Headers are copied. "date" and "server" are put in front
 * unless given or switched off. The framing follows what the handler says: with
 * Content-Length in `headers` exactly that many bytes must follow; with
 * "Transfer-Encoding: chunked", or with neither, HTTP/1.1 gets chunked and HTTP/1.0 the
 * end of the connection; of both, chunked wins where the client knows it. HEAD, 204 and 304
 * carry no body: what is written is dropped and not counted. "Connection: close" is
 * honoured. After the application's fields "connection" and "transfer-encoding" are added
 * where they are needed. Returns 0, FA_EHTTP_STATUS (outside 200..599), FA_EHTTP_HEADER (CR,
 * LF, NUL, a malformed name, or a transfer coding other than chunked), FA_EHTTP_LENGTH
 * (malformed or repeated Content-Length), FA_EHTTP_SENT, FA_ECLOSED, FA_ENOMEM: then nothing
 * was sent and another response may be. */
FA_API int fa_response_start(struct fa_request *req, int status, const struct fa_header *headers,
                             size_t count) FA_MUST_CHECK;

/* Body bytes, copied. Returns 0, FA_EHTTP_LENGTH (more than announced: nothing of `data`
 * was taken and the connection will close), FA_ESTATE (before start, after end),
 * FA_ECLOSED, FA_ENOMEM (as fa_request_abort: part of a message cannot be taken back). */
FA_API int fa_response_write(struct fa_request *req, struct fa_span data) FA_MUST_CHECK;

/* The same without a copy: `data` stays valid until `release(user)` is called, which
 * happens exactly once if and only if 0 is returned, on the owner thread: possibly before
 * this function returns, inside a later response function of the exchange, or after on_done.
 * `release` may be NULL for bytes that live for ever. */
FA_API int fa_response_write_borrowed(struct fa_request *req, struct fa_span data,
                                      void (*release)(void *user), void *user) FA_MUST_CHECK;

/* `length` bytes of the open file `fd` from `offset`, by sendfile. The server takes the
 * descriptor over if and only if 0 is returned. A file that ends early closes the
 * connection. Returns as fa_response_write, or FA_EINVAL (a negative argument, or the end is
 * past INT64_MAX: nothing happened). */
FA_API int fa_response_write_file(struct fa_request *req, int fd, int64_t offset,
                                  int64_t length) FA_MUST_CHECK;

/* Completes the response. Returns 0, FA_EHTTP_LENGTH (fewer bytes than announced: the
 * connection closes), FA_ESTATE, FA_ECLOSED. on_done follows later, not inside. */
FA_API int fa_response_end(struct fa_request *req) FA_MUST_CHECK;

/* Start, Content-Length, body and end in one call. `headers` without Transfer-Encoding; a
 * Content-Length in it must be that of `body`. Returns as the four. */
FA_API int fa_response_send(struct fa_request *req, int status, const struct fa_header *headers,
                            size_t count, struct fa_span body) FA_MUST_CHECK;

/* Whether more output is queued than the high-water mark (64 KiB by default): wait for
 * on_drain before writing more. Writing on is allowed and unbounded. */
FA_API bool fa_response_congested(const struct fa_request *req);

/* Whether fa_response_start was called, and whether fa_response_end was. */
FA_API bool fa_response_started(const struct fa_request *req);
FA_API bool fa_response_ended(const struct fa_request *req);

/* Gives up: what is queued is sent, then the connection closes. For a handler that
 * failed after start; behind fa_response_end the answer stays whole. on_done follows,
 * without on_disconnect. Harmless when over. */
FA_API void fa_request_abort(struct fa_request *req);

/* Leaves HTTP for the protocol of fa_request_upgrade: sends "101 Switching Protocols" with
 * `headers`, which hold Connection and Upgrade (RFC 9110 section 7.8), and when everything
 * before and with it is in the kernel calls `taken` once. There `fd` becomes the
 * callee's, no longer watched by the reactor; `received` is what the client has sent behind
 * the request and dies when `taken` returns. on_done follows, and the connection counts for the
 * server no more. When the client is lost before, on_disconnect and on_done are called
 * instead. Returns 0, FA_ESTATE (no upgrade asked for, a response begun, or a body not
 * yet read), FA_EHTTP_HEADER (framing fields too), FA_ECLOSED, FA_ENOMEM. */
typedef void fa_take_over_fn(struct fa_request *req, int fd, struct fa_span received);
FA_API int fa_request_take_over(struct fa_request *req, const struct fa_header *headers,
                                size_t count, fa_take_over_fn *taken) FA_MUST_CHECK;

FA_END_DECLS

#endif
