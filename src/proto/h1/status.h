/* SPDX-License-Identifier: MIT */
/* status.h - status lines ready to be sent. Private to the codec. */
#ifndef FA_PROTO_H1_STATUS_H
#define FA_PROTO_H1_STATUS_H

#include <fasterapi/span.h>

/* "HTTP/1.1 200 OK\r\n" for a registered status code, empty for any other. Static. */
struct fa_span fa__h1_status_line(int status);

#endif
