/* SPDX-License-Identifier: MIT */
/* error.h - every error the library returns: 0 is success, errors are negative, one
 * X-macro list holds them all (name, value, sentence). Ranges tell the layer:
 * base -1..-99, loop -100..-199, net -200..-299, proto/h1 -300..-399, http -400..-499.
 * HTTP status codes and other wire-level codes are never mixed with these. */
#ifndef FASTERAPI_ERROR_H
#define FASTERAPI_ERROR_H

#include <fasterapi/compiler.h>

#define FA_ERROR_MAP(X)                                                                            \
    X(ENOMEM, -1, "out of memory")                                                                 \
    X(EINVAL, -2, "invalid argument")                                                              \
    X(EOVERFLOW, -3, "a size limit was exceeded")                                                  \
    X(EAGAIN, -4, "try again later")                                                               \
    X(ECLOSED, -5, "the object is closed")                                                         \
    X(EEXIST, -6, "it exists already")                                                             \
    X(ENOENT, -7, "no such object")                                                                \
    X(ESTATE, -8, "not allowed in this state")                                                     \
    X(EWRONGTHREAD, -9, "called from a thread that does not own the object")                       \
    X(ENOTSUP, -10, "not supported by this build or system")                                       \
    X(ESYS, -11, "the operating system reported an error")                                         \
    X(ETIMEDOUT, -12, "the time limit has passed")                                                 \
    X(ECANCELLED, -100, "the operation was cancelled")                                             \
    X(EABANDONED, -101, "what was to be waited for has gone away")                                 \
    X(EUSER, -102, "an error of the program's own, which its detail describes")                    \
    X(EACCES, -200, "permission denied")                                                           \
    X(EADDRINUSE, -201, "the address is already in use")                                           \
    X(EADDRNOTAVAIL, -202, "the address is not available on this machine")                         \
    X(ERESOLVE, -203, "the host name cannot be resolved")                                          \
    X(ECONNRESET, -204, "the connection was reset by the peer")                                    \
    X(EPIPE, -205, "the peer closed the connection")                                               \
    X(EMFILE, -206, "no file descriptors are left")                                                \
    X(ETRUNCATED, -207, "a file ended before the part that was to be sent")                        \
    X(EH1_BAD, -300, "malformed HTTP/1 message")                                                   \
    X(EH1_REQUEST_LINE, -301, "malformed request line")                                            \
    X(EH1_TARGET, -302, "malformed request target")                                                \
    X(EH1_VERSION, -303, "unsupported HTTP version")                                               \
    X(EH1_FIELD, -304, "malformed header field")                                                   \
    X(EH1_HOST, -305, "missing, repeated or malformed Host")                                       \
    X(EH1_LENGTH, -306, "malformed or conflicting Content-Length")                                 \
    X(EH1_CODING, -307, "malformed or conflicting Transfer-Encoding")                              \
    X(EH1_CODING_UNKNOWN, -308, "unknown transfer coding")                                         \
    X(EH1_CHUNK, -309, "malformed chunked body")                                                   \
    X(EH1_LINE_TOO_LONG, -310, "request line too long")                                            \
    X(EH1_HEADERS_TOO_LARGE, -311, "header section too large")                                     \
    X(EH1_TRAILER, -312, "malformed or forbidden trailer field")                                   \
    X(EH1_METHOD, -313, "method too long")                                                         \
    X(EHTTP_HEADER, -400, "a response header holds bytes that HTTP forbids")                       \
    X(EHTTP_LENGTH, -401, "the body does not match the announced Content-Length")                  \
    X(EHTTP_SENT, -402, "the response has already been sent")                                      \
    X(EHTTP_STATUS, -403, "invalid response status")                                               \
    X(EHTTP_BODY_TOO_LARGE, -404, "request body too large")                                        \
    X(EHTTP_HEADER_TIMEOUT, -405, "the header section was not complete within the time limit")     \
    X(EHTTP_BODY_TIMEOUT, -406, "no byte of the request body came within the time limit")          \
    X(EHTTP_BODY_RATE, -407, "the request body came below the minimum rate")                       \
    X(EHTTP_WRITE_TIMEOUT, -408, "the client took no byte of its answer within the time limit")    \
    X(EHTTP_CONNECTIONS, -409, "the limit on connections is reached")                              \
    X(EHTTP_IN_FLIGHT, -410, "the limit on requests in flight is reached")                         \
    X(EROUTE_SYNTAX, -450, "malformed route path")                                                 \
    X(EROUTE_CONFLICT, -451, "a route with this method and path exists already")

enum fa_error {
    FA_OK = 0,
#define FA__ERROR_ENUM(name, value, text) FA_##name = (value),
    FA_ERROR_MAP(FA__ERROR_ENUM)
#undef FA__ERROR_ENUM
};

FA_BEGIN_DECLS

/* The sentence for an error code, "unknown error" for a value outside the list.
 * The string is static. */
FA_API const char *fa_strerror(int err);

/* The name as written in C ("FA_ENOMEM"), "FA_?" for a value outside the list. */
FA_API const char *fa_error_name(int err);

/* Translates an errno value: the nearest member of the list, FA_ESYS where there is
 * none; never 0. `sys_errno` is what <errno.h> names, positive. */
FA_API int fa_error_from_errno(int sys_errno);

FA_END_DECLS

#endif
