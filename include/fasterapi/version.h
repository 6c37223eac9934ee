/* SPDX-License-Identifier: MIT */
/* version.h - what this build is and what is compiled into it. */
#ifndef FASTERAPI_VERSION_H
#define FASTERAPI_VERSION_H

#include <fasterapi/compiler.h>

FA_BEGIN_DECLS

/* "MAJOR.MINOR.PATCH" of the library that runs, static. */
FA_API const char *fa_version(void);

/* The features compiled in, in one static line: "epoll h1 simd=avx2,sse4.2 ...". */
FA_API const char *fa_features(void);

FA_END_DECLS

#endif
