/* SPDX-License-Identifier: MIT */
/* log.h - one sink for what the library has to say. The default writes warnings and
 * errors to standard error; an embedding program installs its own. */
#ifndef FASTERAPI_LOG_H
#define FASTERAPI_LOG_H

#include <fasterapi/compiler.h>

enum fa_log_level { FA_LOG_DEBUG = 10, FA_LOG_INFO = 20, FA_LOG_WARNING = 30, FA_LOG_ERROR = 40 };

/* `text` is one line without its newline and always UTF-8: control characters (log
 * injection) and bytes that are not UTF-8 are escaped as \xNN. It is NUL-terminated and
 * dies when the function returns. May be called on any thread that uses the library. */
typedef void fa_log_fn(enum fa_log_level level, const char *text, void *user);

FA_BEGIN_DECLS

/* Installs the process's sink; NULL restores the default. Call before threads start. */
FA_API void fa_log_set_sink(fa_log_fn *sink, void *user);

/* The default sink: "fasterapi: WARNING: text" and a newline, on standard error. For a sink that
 * cannot do what it should. `user` is ignored. */
FA_API void fa_log_to_stderr(enum fa_log_level level, const char *text, void *user);

/* Messages below `level` are dropped before they are formatted. Default FA_LOG_WARNING.
 * Call before threads start. */
FA_API void fa_log_set_level(enum fa_log_level level);
/* Whether a message of `level` would reach the sink: where composing one costs something. Any
 * thread. */
FA_API bool fa_log_enabled(enum fa_log_level level);

/* Formats one line of at most 1 KiB (longer ones are cut, never within a character) and
 * hands it to the sink. Leaves errno as it was. */
FA_API void fa_log(enum fa_log_level level, const char *fmt, ...) FA_PRINTF(2, 3);

FA_END_DECLS

#endif
