/* SPDX-License-Identifier: MIT */
/* header.h - one field of a message's header section, as the codecs and the server pass it. */
#ifndef FASTERAPI_HEADER_H
#define FASTERAPI_HEADER_H

#include <fasterapi/span.h>

struct fa_header {
    struct fa_span name;
    struct fa_span value;
};

#endif
