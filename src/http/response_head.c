/* SPDX-License-Identifier: MIT */
/* response_head.c - the head of a response: which fields the application gave, which are
 * added, in uvicorn's order: date, server, the application's as given, connection,
 * transfer-encoding. Composed in the server's scratch buffer, so that a field that HTTP
 * forbids leaves the connection's output untouched. No I/O. */
#include "http/h1_conn.h"

#define IS_NAME(span, literal) fa_span_eq_nocase((span), FA_SPAN(literal))

static struct fa_span trim(struct fa_span text)
{
    while (text.len > 0 && (*text.ptr == ' ' || *text.ptr == '\t')) {
        text.ptr++;
        text.len--;
    }
    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
        text.len--;
    return text;
}

/* Whether a comma-separated list names `token` (RFC 9110 section 5.6.1). */
static bool list_has(struct fa_span list, struct fa_span token)
{
    while (list.len > 0) {
        const char *comma = memchr(list.ptr, ',', list.len);
        size_t len = comma != NULL ? (size_t)(comma - list.ptr) : list.len;
        if (fa_span_eq_nocase(trim(fa_span(list.ptr, len)), token))
            return true;
        size_t skip = comma != NULL ? len + 1 : len;
        list.ptr += skip;
        list.len -= skip;
    }
    return false;
}

static int scan_length(struct fa_span value, struct fa__fields *fields)
{
    int64_t length;
    if (fields->has_length || fa_span_to_int64(trim(value), &length) < 0)
        return FA_EHTTP_LENGTH;
    fields->has_length = true;
    fields->length = (uint64_t)length;
    return 0;
}

int fa__fields_scan(const struct fa_header *headers, size_t count, struct fa__fields *fields)
{
    *fields = (struct fa__fields){0};
    for (size_t i = 0; i < count; i++) {
        struct fa_span name = headers[i].name, value = headers[i].value;
        switch (name.len) {
        case 4:
            fields->has_date |= IS_NAME(name, "date");
            break;
        case 6:
            fields->has_server |= IS_NAME(name, "server");
            break;
        case 10:
            if (IS_NAME(name, "connection")) {
                fields->has_connection = true;
                fields->says_close |= list_has(value, FA_SPAN("close"));
            }
            break;
        case 14:
            if (IS_NAME(name, "content-length")) {
                int err = scan_length(value, fields);
                if (err < 0)
                    return err;
            }
            break;
        case 17:
            if (IS_NAME(name, "transfer-encoding")) {
                /* Another coding would be ours to apply, and a list of fields could hide
                 * one. */
                if (fields->says_chunked || !fa_span_eq_nocase(trim(value), FA_SPAN("chunked")))
                    return FA_EHTTP_HEADER;
                fields->says_chunked = true;
            }
            break;
        default:
            break;
        }
    }
    return 0;
}

static int write_fields(struct fa_buf *out, const struct fa_header *headers, size_t count,
                        const struct fa__framing *framing)
{
    for (size_t i = 0; i < count; i++) {
        if ((framing->drop_coding && IS_NAME(headers[i].name, "transfer-encoding")) ||
            (framing->drop_length && IS_NAME(headers[i].name, "content-length")))
            continue;
        int err = fa__h1_write_field(out, &headers[i]);
        if (err < 0)
            return err;
    }
    return 0;
}

/* "connection" where the client could not know (RFC 9112 section 9.3): a close it did not
 * hear of, and for HTTP/1.0 that the connection stays. */
static int write_connection(struct fa_buf *out, const struct fa_request *req,
                            const struct fa__fields *fields, const struct fa__framing *framing)
{
    if (framing->close)
        return fields->says_close ? 0 : fa_buf_append(out, FA_SPAN("connection: close\r\n"));
    if (req == NULL || req->head.version_minor != 0 || fields->has_connection)
        return 0;
    return fa_buf_append(out, FA_SPAN("connection: keep-alive\r\n"));
}

/* The date and the server's name, as far as the application gave none. */
static int write_lines(struct fa_buf *out, struct fa_server *server,
                       const struct fa__fields *fields)
{
    size_t from = fields->has_date ? server->date_len : 0;
    size_t to = server->date_len + (fields->has_server ? 0 : server->server_len);
    if (from == 0 && server->date_len != 0)
        fa__server_refresh_date(server);
    return fa_buf_append(out, fa_span(server->lines + from, to - from));
}

int fa__head_compose(struct fa_server *server, const struct fa_request *req, int status,
                     const struct fa_header *headers, size_t count, const struct fa__fields *fields,
                     const struct fa__framing *framing)
{
    struct fa_buf *out = &server->head;
    out->len = 0;
    int err = fa__h1_write_status(out, status);
    if (err == 0 && status >= 200)
        err = write_lines(out, server, fields);
    if (err == 0)
        err = write_fields(out, headers, count, framing);
    if (err == 0 && framing->write_length)
        err = fa__h1_write_content_length(out, framing->length);
    if (err == 0 && status >= 200)
        err = write_connection(out, req, fields, framing);
    if (err == 0 && framing->write_chunked)
        err = fa_buf_append(out, FA_SPAN("transfer-encoding: chunked\r\n"));
    if (err == 0)
        err = fa__h1_write_head_end(out);
    return err;
}
