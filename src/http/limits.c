/* SPDX-License-Identifier: MIT */
/* limits.c - the two presets of the server's limits, what a 0 means where "none" would make no
 * sense, and which error says that which limit was exceeded. Pure but for RLIMIT_NOFILE. */
#include "http/server_int.h"

#include <sys/resource.h>

/* Descriptors left to the application (database connections, files) and to the reactor. */
#define DESCRIPTOR_RESERVE 128

void fa_limits_default(struct fa_limits *limits)
{
    *limits = (struct fa_limits){
        .header_bytes = 64 * 1024,
        .header_fields = 256,
        .request_line_bytes = 64 * 1024,
        .body_bytes = UINT64_C(1) << 30,
        .body_buffer_bytes = 256 * 1024,
        .write_high_water = 64 * 1024,
        .write_low_water = 16 * 1024,
        .header_timeout_ms = 30000,
        .body_timeout_ms = 30000,
        .keep_alive_ms = 15000,
        .write_timeout_ms = 60000,
        .pipeline_burst = 32,
    };
}

void fa_limits_strict(struct fa_limits *limits)
{
    fa_limits_default(limits);
    limits->header_bytes = 32 * 1024;
    limits->header_fields = 100;
    limits->request_line_bytes = 8 * 1024;
    limits->body_bytes = 1024 * 1024;
    limits->header_timeout_ms = 10000;
    limits->body_timeout_ms = 10000;
    limits->body_min_rate = 256;
    limits->keep_alive_ms = 5000;
    limits->write_timeout_ms = 30000;
    limits->connections = 10240;
    limits->requests_in_flight = 10000;
}

const char *fa_limit_name(enum fa_limit limit)
{
    static const char *const names[FA_LIMIT_COUNT] = {
#define NAME_OF(NAME, name) [FA_LIMIT_##NAME] = #name,
        FA_LIMIT_MAP(NAME_OF)
#undef NAME_OF
    };
    bool known = limit > FA_LIMIT_NONE && limit < FA_LIMIT_COUNT;
    return known ? names[limit] : "";
}

enum fa_limit fa__limit_of_error(int err)
{
    switch (err) {
    case FA_EH1_LINE_TOO_LONG:
        return FA_LIMIT_REQUEST_LINE;
    case FA_EH1_HEADERS_TOO_LARGE:
        return FA_LIMIT_HEADER;
    case FA_EHTTP_BODY_TOO_LARGE:
        return FA_LIMIT_BODY;
    case FA_EHTTP_HEADER_TIMEOUT:
        return FA_LIMIT_HEADER_TIMEOUT;
    case FA_EHTTP_BODY_TIMEOUT:
        return FA_LIMIT_BODY_TIMEOUT;
    case FA_EHTTP_BODY_RATE:
        return FA_LIMIT_BODY_RATE;
    case FA_EHTTP_WRITE_TIMEOUT:
        return FA_LIMIT_WRITE_TIMEOUT;
    case FA_EHTTP_CONNECTIONS:
        return FA_LIMIT_CONNECTIONS;
    case FA_EHTTP_IN_FLIGHT:
        return FA_LIMIT_IN_FLIGHT;
    case FA_EMFILE:
        return FA_LIMIT_DESCRIPTORS;
    default:
        return FA_LIMIT_NONE;
    }
}

static uint32_t connections_possible(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur > UINT32_MAX)
        return UINT32_MAX;
    uint32_t total = (uint32_t)files.rlim_cur;
    uint32_t reserve = total / 4 < DESCRIPTOR_RESERVE ? total / 4 : DESCRIPTOR_RESERVE;
    return total - reserve > 0 ? total - reserve : 1;
}

static void default_if_zero(uint32_t *value, uint32_t preset)
{
    if (*value == 0)
        *value = preset;
}

void fa__limits_normalise(struct fa_limits *limits)
{
    struct fa_limits preset;
    fa_limits_default(&preset);
    default_if_zero(&limits->header_bytes, preset.header_bytes);
    default_if_zero(&limits->header_fields, preset.header_fields);
    default_if_zero(&limits->request_line_bytes, preset.request_line_bytes);
    default_if_zero(&limits->body_buffer_bytes, preset.body_buffer_bytes);
    default_if_zero(&limits->write_high_water, preset.write_high_water);
    default_if_zero(&limits->pipeline_burst, preset.pipeline_burst);
    if (limits->write_low_water == 0 || limits->write_low_water > limits->write_high_water)
        limits->write_low_water = limits->write_high_water / 4 + 1;
    uint32_t possible = connections_possible();
    if (limits->connections == 0 || limits->connections > possible)
        limits->connections = possible;
}
