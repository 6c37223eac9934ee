/* SPDX-License-Identifier: MIT */
/* error.c - names and sentences of the error list, and the way from errno into it.
 * Pure; any thread. */
#include <fasterapi/error.h>

#include <errno.h>

const char *fa_strerror(int err)
{
    switch (err) {
    case FA_OK:
        return "success";
#define CASE(name, value, text)                                                                    \
    case FA_##name:                                                                                \
        return text;
        FA_ERROR_MAP(CASE)
#undef CASE
    default:
        return "unknown error";
    }
}

const char *fa_error_name(int err)
{
    switch (err) {
    case FA_OK:
        return "FA_OK";
#define CASE(name, value, text)                                                                    \
    case FA_##name:                                                                                \
        return "FA_" #name;
        FA_ERROR_MAP(CASE)
#undef CASE
    default:
        return "FA_?";
    }
}

/* long-function: one label per errno value, a table written as a switch */
int fa_error_from_errno(int sys_errno)
{
    switch (sys_errno) {
    case ENOMEM:
    case ENOBUFS:
        return FA_ENOMEM;
    case EINVAL:
    case EBADF:
        return FA_EINVAL;
    case EAGAIN:
#if EWOULDBLOCK != EAGAIN
    case EWOULDBLOCK:
#endif
        return FA_EAGAIN;
    case EEXIST:
        return FA_EEXIST;
    case ENOENT:
        return FA_ENOENT;
    case EACCES:
    case EPERM:
        return FA_EACCES;
    case EADDRINUSE:
        return FA_EADDRINUSE;
    case EADDRNOTAVAIL:
        return FA_EADDRNOTAVAIL;
    case ECONNRESET:
    case ECONNABORTED:
        return FA_ECONNRESET;
    case EPIPE:
        return FA_EPIPE;
    case EMFILE:
    case ENFILE:
        return FA_EMFILE;
    case ETIMEDOUT:
        return FA_ETIMEDOUT;
    case ECANCELED:
        return FA_ECANCELLED;
    case EOPNOTSUPP:
    case ENOSYS:
    case EAFNOSUPPORT:
    case EPROTONOSUPPORT:
        return FA_ENOTSUP;
    default:
        return FA_ESYS;
    }
}
