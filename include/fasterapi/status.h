/* SPDX-License-Identifier: MIT */
/* status.h - response status codes as text. */
#ifndef FASTERAPI_STATUS_H
#define FASTERAPI_STATUS_H

#include <fasterapi/span.h>

FA_BEGIN_DECLS

/* The reason phrase of a status code (RFC 9110 section 15), "" when unknown. */
FA_API struct fa_span fa_http_reason(int status);

FA_END_DECLS

#endif
