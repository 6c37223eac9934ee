/* SPDX-License-Identifier: MIT */
/* head.c - the request head (RFC 9112 sections 2 to 6): request line and field section. Pure
 * codec: no I/O, no clock, no allocation; any thread.
 *
 *   START -> METHOD -> TARGET -> QUERY -> VERSION -> LINE -> NAME -> VALUE -> VALUE_LF -> LINE
 *     START_LF back to START                           LINE -> END_LF -> DONE
 *
 * Each state is one short function over the bytes from parser->pos on. It returns STEP when
 * it left its state, 0 when the bytes ran out (pos remembers how far it looked, so nothing
 * is looked at twice), or an error. Two short cuts take what is whole and ordinary: the usual
 * request line, and field lines through the scanner's `fields`. What they do not like is read
 * again, by the states, once.
 *
 * Limits are positions: the input is cut off where the line or section would exceed its
 * limit, and running out of bytes there is the error. So the answer cannot depend on how
 * the bytes arrived. */
#include "proto/h1/h1.h"

#include "proto/h1/fields.h"
#include "proto/h1/syntax.h"
#include "proto/h1/target.h"

#define STEP 1
#define MAX_LIMIT (UINT32_C(1) << 30)
#define MAX_EMPTY_LINES 4 /* RFC 9112 section 2.2 asks for one */
#define METHOD_MAX_BYTES 64
#define VERSION_BYTES 10  /* "HTTP/1.1" CRLF */
#define FIELD_OVERHEAD 32 /* as HTTP/2 counts (RFC 9113 section 6.5.2) */

enum {
    START,
    START_LF,
    METHOD,
    TARGET,
    QUERY,
    VERSION,
    LINE,
    NAME,
    VALUE,
    VALUE_LF,
    END_LF,
    DONE,
};

/* What one call works on. */
struct run {
    struct fa__h1_parser *parser;
    const struct fa__h1_limits *limits;
    struct fa_header *headers;
    struct fa__h1_window window; /* the input, cut off at the limit that holds now */
    const char *in_end;
    bool cut; /* window.end is that limit */
};

static inline const char *at(const struct run *run, uint32_t offset)
{
    return run->window.base + offset;
}

static inline void move_to(struct run *run, const char *p)
{
    run->parser->pos = (uint32_t)(p - run->window.base);
}

static inline uint32_t clamp(uint32_t limit)
{
    return limit < MAX_LIMIT ? limit : MAX_LIMIT;
}

/* Lets the states see the input up to `limit` bytes and a CRLF behind offset `from`. */
static void set_window(struct run *run, uint32_t from, uint32_t limit)
{
    size_t end = (size_t)from + clamp(limit) + 2;
    size_t have = (size_t)(run->in_end - run->window.base);
    run->cut = end <= have;
    run->window.end = run->window.base + (run->cut ? end : have);
}

/* ---- request line ------------------------------------------------------------------------ */

/* Skips the CRLF that some clients send behind a body (RFC 9112 section 2.2). */
static int step_start(struct run *run)
{
    struct fa__h1_parser *parser = run->parser;
    const char *p = at(run, parser->pos);
    if (p == run->window.end)
        return 0;
    if (*p == '\r') {
        if (parser->empty_lines++ == MAX_EMPTY_LINES)
            return FA_EH1_REQUEST_LINE;
        parser->pos++;
        parser->state = START_LF;
        return STEP;
    }
    parser->seen_any = true;
    parser->line_at = parser->pos;
    parser->state = METHOD;
    return STEP;
}

static int step_start_lf(struct run *run)
{
    struct fa__h1_parser *parser = run->parser;
    const char *p = at(run, parser->pos);
    if (p == run->window.end)
        return 0;
    if (*p != '\n')
        return FA_EH1_REQUEST_LINE;
    parser->pos++;
    set_window(run, parser->pos, run->limits->request_line_bytes);
    parser->state = START;
    return STEP;
}

/* Any token: which methods exist is the application's to say. One longer than any that could
 * be implemented is answered with 501 (RFC 9112 section 3). */
static int step_method(struct run *run)
{
    struct fa__h1_parser *parser = run->parser;
    const char *p = fa__h1_scan->token(at(run, parser->pos), &run->window);
    move_to(run, p);
    parser->method_len = parser->pos - parser->line_at;
    if (parser->method_len > METHOD_MAX_BYTES)
        return FA_EH1_METHOD;
    if (p == run->window.end)
        return 0;
    if (*p != ' ' || parser->method_len == 0)
        return FA_EH1_REQUEST_LINE;
    parser->pos++;
    parser->target_at = parser->pos;
    parser->state = TARGET;
    return STEP;
}

/* The target is complete at `p`, which is the byte behind it. */
static int end_target(struct run *run, const char *p)
{
    struct fa__h1_parser *parser = run->parser;
    parser->target_len = (uint32_t)(p - at(run, parser->target_at));
    if (*p != ' ') /* with a line end it is HTTP/0.9 */
        return *p == '\r' ? FA_EH1_REQUEST_LINE : FA_EH1_TARGET;
    int err = fa__h1_split_target(parser, run->window.base);
    if (err < 0)
        return err;
    parser->pos++;
    parser->mark = parser->pos;
    parser->state = VERSION;
    return STEP;
}

static int step_target(struct run *run)
{
    struct fa__h1_parser *parser = run->parser;
    const char *p = at(run, parser->pos);
    const char *end = run->window.end;
    if (p < end && parser->pos == parser->target_at && *p != '/' && !fa__h1_target_may_begin(*p))
        return FA_EH1_TARGET;
    p = fa__h1_scan->path(p, &run->window);
    move_to(run, p);
    if (p == end)
        return 0;
    if (*p != '?')
        return end_target(run, p);
    parser->pos++;
    parser->query_at = parser->pos;
    parser->state = QUERY;
    return STEP;
}

/* As the path, but '?' is an ordinary byte. */
static const char *skip_query(const char *p, const struct fa__h1_window *window)
{
    for (;;) {
        p = fa__h1_scan->path(p, window);
        if (p == window->end || *p != '?')
            return p;
        p++;
    }
}

static int step_query(struct run *run)
{
    const char *p = skip_query(at(run, run->parser->pos), &run->window);
    move_to(run, p);
    return p == run->window.end ? 0 : end_target(run, p);
}

/* One byte of "HTTP/1.1" CRLF or "HTTP/1.0" CRLF, `i` bytes behind its begin. */
static int check_version_byte(char c, uint32_t i)
{
    static const char expected[] = "HTTP/1.?\r\n";
    if (i == 7)
        return c == '0' || c == '1'         ? 0
               : fa__h1_is(c, FA__H1_DIGIT) ? FA_EH1_VERSION
                                            : FA_EH1_REQUEST_LINE;
    if (c == expected[i])
        return 0;
    return i == 5 && fa__h1_is(c, FA__H1_DIGIT) ? FA_EH1_VERSION : FA_EH1_REQUEST_LINE;
}

/* The fields begin at `p`. */
static void begin_fields(struct run *run, const char *p, uint8_t version_minor)
{
    struct fa__h1_parser *parser = run->parser;
    move_to(run, p);
    parser->version_minor = version_minor;
    parser->fields_at = parser->pos;
    parser->state = LINE;
    set_window(run, parser->fields_at, run->limits->header_bytes);
}

static int step_version(struct run *run)
{
    struct fa__h1_parser *parser = run->parser;
    const char *begin = at(run, parser->mark);
    const char *p = at(run, parser->pos);
    for (; p < run->window.end && p - begin < VERSION_BYTES; p++) {
        int err = check_version_byte(*p, (uint32_t)(p - begin));
        if (err < 0)
            return err;
    }
    move_to(run, p);
    if (p - begin < VERSION_BYTES)
        return 0;
    begin_fields(run, p, (uint8_t)(begin[VERSION_BYTES - 3] - '0'));
    return STEP;
}

/* The usual request line, all of it there, in one go. Changes nothing and returns false where
 * the line is anything else: the states then find out what. */
static bool take_usual_line(struct run *run)
{
    const char *begin = run->window.base;
    const char *end = run->window.end;
    if (end - begin < (ptrdiff_t)sizeof("GET / HTTP/1.1\r\n") - 1)
        return false;
    const char *space = begin + 3;
    if (memcmp(begin, "GET ", 4) != 0)
        space = fa__h1_scan->token(begin, &run->window);
    size_t method_len = (size_t)(space - begin);
    if (end - space < 2 || space[0] != ' ' || space[1] != '/' || method_len == 0 ||
        method_len > METHOD_MAX_BYTES || (method_len == 7 && memcmp(begin, "CONNECT", 7) == 0))
        return false;
    const char *path = space + 1;
    const char *path_end = fa__h1_scan->path(path, &run->window);
    const char *target_end = path_end;
    if (target_end < end && *target_end == '?')
        target_end = skip_query(target_end, &run->window);
    if (end - target_end < 11 || memcmp(target_end, " HTTP/1.1\r\n", 11) != 0)
        return false;
    struct fa__h1_parser *parser = run->parser;
    parser->seen_any = true;
    parser->method_len = (uint32_t)method_len;
    parser->target_at = parser->path_at = (uint32_t)(path - begin);
    parser->path_len = (uint32_t)(path_end - path);
    parser->target_len = (uint32_t)(target_end - path);
    parser->query_at = target_end != path_end ? (uint32_t)(path_end + 1 - begin) : 0;
    parser->form = FA__H1_ORIGIN;
    begin_fields(run, target_end + 11, 1);
    return true;
}

/* ---- fields ---------------------------------------------------------------------------------- */

static int note_field(struct run *run, uint32_t index)
{
    const struct fa_header *field = &run->headers[index];
    if (!fa__h1_may_matter(at(run, (uint32_t)(uintptr_t)field->name.ptr), field->name.len))
        return 0;
    return fa__h1_note_field(run->parser, run->window.base, field, index);
}

/* Interprets the stored fields up to `count` and holds them against the limit, in order. */
static int count_fields(struct run *run, uint32_t count, uint32_t limit)
{
    struct fa__h1_parser *parser = run->parser;
    for (; parser->counted_fields < count; parser->counted_fields++) {
        const struct fa_header *field = &run->headers[parser->counted_fields];
        parser->header_bytes += (uint32_t)(field->name.len + field->value.len) + FIELD_OVERHEAD;
        if (parser->header_bytes > limit)
            return FA_EH1_HEADERS_TOO_LARGE;
        if (parser->counted_fields < parser->field_count)
            continue; /* interpreted before, when counting was not needed yet */
        int err = note_field(run, parser->field_count++);
        if (err < 0)
            return err;
    }
    return STEP;
}

/* The fields up to `count` are stored and end at parser->pos. */
static int note_fields(struct run *run, uint32_t count)
{
    struct fa__h1_parser *parser = run->parser;
    uint32_t limit = clamp(run->limits->header_bytes);
    uint64_t at_most = parser->pos - parser->fields_at + (uint64_t)count * FIELD_OVERHEAD;
    if (FA_UNLIKELY(at_most > limit))
        return count_fields(run, count, limit);
    while (parser->field_count < count) {
        int err = note_field(run, parser->field_count++);
        if (err < 0)
            return err;
    }
    return STEP;
}

/* At the begin of a line: takes the lines that are whole, leaves the next to the states. */
static int step_line(struct run *run)
{
    struct fa__h1_parser *parser = run->parser;
    size_t count;
    const char *p =
        fa__h1_scan->fields(at(run, parser->pos), &run->window, run->headers + parser->field_count,
                            run->limits->header_fields - parser->field_count, &count);
    move_to(run, p);
    int err = note_fields(run, parser->field_count + (uint32_t)count);
    if (err < 0)
        return err;
    if (p == run->window.end)
        return 0;
    if (*p == '\r') {
        parser->pos++;
        parser->state = END_LF;
        return STEP;
    }
    if (parser->field_count == run->limits->header_fields)
        return FA_EH1_HEADERS_TOO_LARGE;
    parser->mark = parser->pos;
    parser->state = NAME;
    return STEP;
}

/* A token and directly its colon; a blank before either is what folding and smuggling look
 * like (RFC 9112 sections 5.1, 5.2). */
static int step_name(struct run *run)
{
    struct fa__h1_parser *parser = run->parser;
    const char *p = fa__h1_scan->token(at(run, parser->pos), &run->window);
    move_to(run, p);
    if (p == run->window.end)
        return 0;
    parser->name_len = parser->pos - parser->mark;
    if (*p != ':' || parser->name_len == 0)
        return FA_EH1_FIELD;
    parser->pos++;
    parser->state = VALUE;
    return STEP;
}

static int step_value(struct run *run)
{
    const char *p = fa__h1_scan->value(at(run, run->parser->pos), &run->window);
    move_to(run, p);
    if (p == run->window.end)
        return 0;
    if (*p != '\r')
        return FA_EH1_FIELD;
    run->parser->pos++;
    run->parser->state = VALUE_LF;
    return STEP;
}

static int step_value_lf(struct run *run)
{
    struct fa__h1_parser *parser = run->parser;
    const char *p = at(run, parser->pos);
    if (p == run->window.end)
        return 0;
    if (*p != '\n')
        return FA_EH1_FIELD;
    const char *name = at(run, parser->mark);
    fa__h1_store_field(&run->headers[parser->field_count], run->window.base, name,
                       name + parser->name_len, p - 1);
    parser->pos++;
    parser->state = LINE;
    return note_fields(run, parser->field_count + 1);
}

static int step_end_lf(struct run *run)
{
    struct fa__h1_parser *parser = run->parser;
    const char *p = at(run, parser->pos);
    if (p == run->window.end)
        return 0;
    if (*p != '\n')
        return FA_EH1_FIELD;
    int err = fa__h1_check_fields(parser);
    if (err < 0)
        return err;
    parser->pos++;
    parser->state = DONE;
    return STEP;
}

/* ---- the whole --------------------------------------------------------------------------------
 */

static struct fa_span span_at(const struct run *run, uint32_t offset, uint32_t len)
{
    return fa_span(at(run, offset), len);
}

/* Turns the offsets into spans over this call's input. */
static void fill_head(const struct run *run, struct fa__h1_head *head)
{
    const struct fa__h1_parser *parser = run->parser;
    const char *base = run->window.base;
    for (uint32_t i = 0; i < parser->field_count; i++) {
        struct fa_header *field = &run->headers[i];
        field->name.ptr = base + (uintptr_t)field->name.ptr;
        field->value.ptr = base + (uintptr_t)field->value.ptr;
    }
    uint32_t target_end = parser->target_at + parser->target_len;
    *head = (struct fa__h1_head){
        .method = span_at(run, parser->line_at, parser->method_len),
        .target = span_at(run, parser->target_at, parser->target_len),
        .path = span_at(run, parser->path_at, parser->path_len),
        .query = fa_span("", 0),
        .authority = span_at(run, parser->authority_at, parser->authority_len),
        .headers = run->headers,
        .header_count = parser->field_count,
        .form = parser->form,
        .version_minor = parser->version_minor,
    };
    if (parser->query_at != 0)
        head->query = span_at(run, parser->query_at, target_end - parser->query_at);
    if (parser->form == FA__H1_ABSOLUTE && head->path.len == 0)
        head->path = FA_SPAN("/");
    fa__h1_apply_fields(parser, head);
}

static int step(struct run *run)
{
    switch (run->parser->state) {
    case START:
        return step_start(run);
    case START_LF:
        return step_start_lf(run);
    case METHOD:
        return step_method(run);
    case TARGET:
        return step_target(run);
    case QUERY:
        return step_query(run);
    case VERSION:
        return step_version(run);
    case LINE:
        return step_line(run);
    case NAME:
        return step_name(run);
    case VALUE:
        return step_value(run);
    case VALUE_LF:
        return step_value_lf(run);
    default:
        return step_end_lf(run);
    }
}

ssize_t fa__h1_parse_head(struct fa__h1_parser *parser, struct fa_span in,
                          const struct fa__h1_limits *limits, struct fa_header *headers,
                          struct fa__h1_head *head)
{
    FA_ASSERT(parser->state != DONE && parser->pos <= in.len);
    if (in.len == 0)
        return 0;
    struct run run = {
        .parser = parser,
        .limits = limits,
        .headers = headers,
        .window = {.base = in.ptr, .end = in.ptr},
        .in_end = in.ptr + in.len,
    };
    if (parser->state < LINE)
        set_window(&run, parser->state < METHOD ? parser->pos : parser->line_at,
                   limits->request_line_bytes);
    else
        set_window(&run, parser->fields_at, limits->header_bytes);
    if (parser->pos == 0 && parser->state == START)
        take_usual_line(&run);
    int rc;
    do {
        rc = step(&run);
    } while (rc == STEP && parser->state != DONE);
    if (rc < 0)
        return rc;
    if (parser->state == DONE) {
        fill_head(&run, head);
        return (ssize_t)parser->pos;
    }
    if (run.cut)
        return parser->state < LINE ? FA_EH1_LINE_TOO_LONG : FA_EH1_HEADERS_TOO_LARGE;
    return 0;
}

int fa__h1_error_status(int err)
{
    switch (err) {
    case FA_EH1_LINE_TOO_LONG:
        return 414;
    case FA_EH1_HEADERS_TOO_LARGE:
        return 431;
    case FA_EH1_CODING_UNKNOWN:
    case FA_EH1_METHOD:
        return 501;
    case FA_EH1_VERSION:
        return 505;
    default:
        return 400;
    }
}
