/* SPDX-License-Identifier: MIT */
/* head_vectors.h - one case of a request head, run in every way the bytes can arrive: whole,
 * one by one, cut at every place, always ending at an inaccessible page and somewhere else
 * in memory at every call. */
#ifndef FA_TESTS_H1_HEAD_VECTORS_H
#define FA_TESTS_H1_HEAD_VECTORS_H

#include "scanners.h"
#include "vectors.h"

#define MAX_FIELDS 256

/* Memory whose last byte is followed by an inaccessible page; prefixes of the input are put
 * at its end in turn. Two of them, so that the input moves from call to call. */
struct arrival {
    struct check_guard guard[2];
    struct fa_span input;
    unsigned turn;
};

static void arrival_init(struct arrival *arrival, struct fa_span input)
{
    arrival->guard[0] = check_guard_copy(input);
    arrival->guard[1] = check_guard_copy(input);
    arrival->input = input;
    arrival->turn = 0;
}

static void arrival_clean_up(struct arrival *arrival)
{
    check_guard_free(&arrival->guard[0]);
    check_guard_free(&arrival->guard[1]);
}

static struct fa_span arrival_prefix(struct arrival *arrival, size_t len)
{
    struct fa_span whole = arrival->guard[arrival->turn++ & 1].span;
    char *at = (char *)(uintptr_t)(whole.ptr + whole.len - len);
    if (len > 0)
        memcpy(at, arrival->input.ptr, len);
    return fa_span(at, len);
}

static const char *const form_names[] = {"origin", "absolute", "authority", "asterisk"};

static bool text_is(struct fa_span text, const char *expected)
{
    return fa_span_eq(text, fa_span_str(expected));
}

static bool framing_is(const struct fa__h1_head *head, struct fa_span text)
{
    if (text_is(text, "none"))
        return head->framing == FA__H1_NO_BODY && head->content_length == 0;
    if (text_is(text, "chunked"))
        return head->framing == FA__H1_CHUNKED && head->content_length == 0;
    int64_t length;
    return fa_span_to_int64(text, &length) == 0 && head->framing == FA__H1_LENGTH &&
           head->content_length == length;
}

static bool number_is(struct fa_span text, size_t value)
{
    int64_t expected;
    return fa_span_to_int64(text, &expected) == 0 && (size_t)expected == value;
}

static bool flag_is(struct fa_span text, bool value)
{
    CHECK(text_is(text, "yes") || text_is(text, "no"));
    return text_is(text, "yes") == value;
}

/* The name ends at the last '|', since '|' is a token byte and values here have none. */
static bool field_is(const struct fa_header *field, struct fa_span text)
{
    const char *bar = memrchr(text.ptr, '|', text.len);
    CHECK(bar != NULL);
    size_t name_len = (size_t)(bar - text.ptr);
    return fa_span_eq(field->name, fa_span(text.ptr, name_len)) &&
           fa_span_eq(field->value, fa_span(bar + 1, text.len - name_len - 1));
}

static bool text_key_is(const struct fa__h1_head *head, const struct vector_key *key, bool *known)
{
    const struct {
        const char *key;
        struct fa_span value;
    } texts[] = {
        {"method", head->method},       {"target", head->target},
        {"path", head->path},           {"query", head->query},
        {"host", head->host},           {"upgrade", head->upgrade},
        {"authority", head->authority}, {"form", fa_span_str(form_names[head->form])},
    };
    for (size_t i = 0; i < FA_ARRAY_LEN(texts); i++) {
        if (strcmp(key->key, texts[i].key) == 0)
            return fa_span_eq(texts[i].value, key->text);
    }
    *known = false;
    return false;
}

static bool key_is(const struct fa__h1_head *head, size_t rest, const struct vector_key *key,
                   size_t *field)
{
    const char *name = key->key;
    if (strcmp(name, "field") == 0)
        return *field < head->header_count && field_is(&head->headers[(*field)++], key->text);
    if (strcmp(name, "fields") == 0)
        return number_is(key->text, head->header_count);
    if (strcmp(name, "version") == 0)
        return number_is(key->text, head->version_minor);
    if (strcmp(name, "rest") == 0)
        return number_is(key->text, rest);
    if (strcmp(name, "framing") == 0)
        return framing_is(head, key->text);
    if (strcmp(name, "keep-alive") == 0)
        return flag_is(key->text, head->keep_alive);
    if (strcmp(name, "expect-continue") == 0)
        return flag_is(key->text, head->expect_continue);
    if (strcmp(name, "expect-unknown") == 0)
        return flag_is(key->text, head->expect_unknown);
    if (strcmp(name, "trailers") == 0)
        return flag_is(key->text, head->trailers_ok);
    bool known = true;
    bool equal = text_key_is(head, key, &known);
    if (!known)
        check_fail(__FILE__, __LINE__, name);
    return equal;
}

static void check_head(const struct vector *vector, const struct fa__h1_head *head, ssize_t used,
                       const char *how, size_t where)
{
    size_t field = 0;
    for (size_t i = 0; i < vector->key_count; i++) {
        const struct vector_key *key = &vector->keys[i];
        if (key_is(head, vector->input.len - (size_t)used, key, &field))
            continue;
        printf("    key \"%s\" is not \"%.*s\"\n", key->key, (int)key->text.len, key->text.ptr);
        VECTOR_CHECK(vector, false, how, where);
    }
}

struct parse {
    struct fa__h1_parser parser;
    struct fa__h1_head head;
    struct fa_header headers[MAX_FIELDS];
};

/* Parses the first `cut` bytes, then everything. Returns the last result. */
static ssize_t parse_cut(const struct vector *vector, struct arrival *arrival, struct parse *parse,
                         size_t cut)
{
    fa__h1_parser_init(&parse->parser);
    memset(&parse->head, 0x5a, sizeof(parse->head));
    ssize_t rc = fa__h1_parse_head(&parse->parser, arrival_prefix(arrival, cut), &vector->limits,
                                   parse->headers, &parse->head);
    if (rc != 0 || cut == vector->input.len)
        return rc;
    return fa__h1_parse_head(&parse->parser, arrival_prefix(arrival, vector->input.len),
                             &vector->limits, parse->headers, &parse->head);
}

static void run_bytes(const struct vector *vector, struct arrival *arrival, struct parse *parse)
{
    fa__h1_parser_init(&parse->parser);
    ssize_t rc = 0;
    size_t len = 0;
    while (rc == 0 && len < vector->input.len) {
        len++;
        rc = fa__h1_parse_head(&parse->parser, arrival_prefix(arrival, len), &vector->limits,
                               parse->headers, &parse->head);
        /* Nothing is left to be looked at again: that is what keeps the time linear. */
        VECTOR_CHECK(vector, rc != 0 || parse->parser.pos == len, "byte by byte", len);
    }
    VECTOR_CHECK(vector, vector_wants(vector, rc > 0, rc), "byte by byte", len);
    if (rc > 0) {
        VECTOR_CHECK(vector, (size_t)rc == len, "byte by byte", len);
        check_head(vector, &parse->head, rc, "byte by byte", len);
    }
    if (vector->at != 0)
        VECTOR_CHECK(vector, (size_t)vector->at == len, "error after byte", len);
}

static void run_head(const struct vector *vector)
{
    static struct arrival arrival;
    static struct parse parse;
    arrival_init(&arrival, vector->input);
    run_bytes(vector, &arrival, &parse);
    for (size_t cut = 0; cut <= vector->input.len; cut = vector_next_cut(cut, vector->input.len)) {
        ssize_t rc = parse_cut(vector, &arrival, &parse, cut);
        VECTOR_CHECK(vector, vector_wants(vector, rc > 0, rc), "cut at", cut);
        if (rc > 0)
            check_head(vector, &parse.head, rc, "cut at", cut);
    }
    arrival_clean_up(&arrival);
}

/* Every case of the file in every way with every scanner. */
static inline void run_head_vectors(const char *path)
{
    struct vector_job job = {path, run_head};
    for_each_scanner(vector_run_once, &job);
}

#endif
