/* SPDX-License-Identifier: MIT */
/* log.c - formats one line, escapes control characters, hands it to the sink; and the
 * end of a failed assertion. The sink is set before threads start; formatting is on the
 * caller's stack, so any thread may log. */
#include <fasterapi/log.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 1024

static const char *level_name(enum fa_log_level level)
{
    switch (level) {
    case FA_LOG_DEBUG:
        return "DEBUG";
    case FA_LOG_INFO:
        return "INFO";
    case FA_LOG_WARNING:
        return "WARNING";
    case FA_LOG_ERROR:
        return "ERROR";
    }
    return "?";
}

void fa_log_to_stderr(enum fa_log_level level, const char *text, void *user)
{
    (void)user;
    fprintf(stderr, "fasterapi: %s: %s\n", level_name(level), text);
}

static fa_log_fn *sink_fn = fa_log_to_stderr;
static void *sink_user;
static enum fa_log_level threshold = FA_LOG_WARNING;

void fa_log_set_sink(fa_log_fn *sink, void *user)
{
    sink_fn = sink != NULL ? sink : fa_log_to_stderr;
    sink_user = sink != NULL ? user : NULL;
}

void fa_log_set_level(enum fa_log_level level)
{
    threshold = level;
}

bool fa_log_enabled(enum fa_log_level level)
{
    return level >= threshold;
}

static bool is_continuation(unsigned char byte)
{
    return (byte & 0xc0) == 0x80;
}

/* The length of the character at `in` if it is printable UTF-8 beyond ASCII (RFC 3629
 * section 4: no overlong forms, no surrogates, nothing past U+10FFFF), 0 if it is not.
 * U+0080 to U+009F are controls: a terminal takes U+009B for an escape sequence. */
static size_t utf8_length(const unsigned char *in)
{
    unsigned char lead = in[0];
    if (lead < 0xc2 || lead > 0xf4 || !is_continuation(in[1]))
        return 0;
    if (lead < 0xe0)
        return lead == 0xc2 && in[1] < 0xa0 ? 0 : 2;
    if (!is_continuation(in[2]))
        return 0;
    if (lead < 0xf0) {
        bool overlong = lead == 0xe0 && in[1] < 0xa0;
        bool surrogate = lead == 0xed && in[1] >= 0xa0;
        return overlong || surrogate ? 0 : 3;
    }
    if (!is_continuation(in[3]))
        return 0;
    bool overlong = lead == 0xf0 && in[1] < 0x90;
    bool too_big = lead == 0xf4 && in[1] >= 0x90;
    return overlong || too_big ? 0 : 4;
}

/* Copies with control bytes and broken UTF-8 as \xNN; cuts what does not fit. */
static void escape(const char *text, char *out, size_t out_size)
{
    static const char hex[] = "0123456789abcdef";
    const unsigned char *in = (const unsigned char *)text;
    size_t used = 0;
    while (*in != '\0') {
        size_t len = *in >= 0x20 && *in < 0x7f ? 1 : utf8_length(in);
        if (used + (len != 0 ? len : 4) >= out_size)
            break;
        if (len != 0) {
            memcpy(out + used, in, len);
            used += len;
            in += len;
            continue;
        }
        out[used++] = '\\';
        out[used++] = 'x';
        out[used++] = hex[*in >> 4];
        out[used++] = hex[*in & 15];
        in++;
    }
    out[used] = '\0';
}

/* A line that was cut may end within a character, whose bytes would then be escaped as if
 * they were broken: takes them off. */
static void trim_cut_character(char *raw)
{
    size_t len = strlen(raw);
    size_t back = 0;
    while (back < 3 && back < len && is_continuation((unsigned char)raw[len - 1 - back]))
        back++;
    if (back < len && (unsigned char)raw[len - 1 - back] >= 0xc0 &&
        utf8_length((const unsigned char *)raw + len - 1 - back) == 0)
        raw[len - 1 - back] = '\0';
}

void fa_log(enum fa_log_level level, const char *fmt, ...)
{
    if (!fa_log_enabled(level))
        return;
    int saved_errno = errno;
    char raw[LINE_MAX_BYTES];
    char line[LINE_MAX_BYTES];
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(raw, sizeof(raw), fmt, args);
    va_end(args);
    if (len < 0) /* raw is unspecified then; the format itself is better than silence */
        snprintf(raw, sizeof(raw), "cannot format: %s", fmt);
    else if ((size_t)len >= sizeof(raw))
        trim_cut_character(raw);
    escape(raw, line, sizeof(line));
    sink_fn(level, line, sink_user);
    errno = saved_errno;
}

void fa_assert_failed(const char *expr, const char *file, int line)
{
    fprintf(stderr, "fasterapi: assertion failed: %s (%s:%d)\n", expr, file, line);
    abort();
}
