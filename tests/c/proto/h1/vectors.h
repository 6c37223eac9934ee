/* SPDX-License-Identifier: MIT */
/* vectors.h - reads the vector files of tests/data/h1 (their README tells the format) one
 * case at a time and runs a body for each. */
#ifndef FA_TESTS_H1_VECTORS_H
#define FA_TESTS_H1_VECTORS_H

#include <stdlib.h>

#include <fasterapi/error.h>

#include "check.h"
#include "proto/h1/h1.h"

#define VECTOR_MAX_INPUT 65536
#define VECTOR_MAX_KEYS 64

struct vector_key {
    const char *key;
    struct fa_span text; /* unescaped */
};

struct vector {
    const char *name;
    int line;
    struct fa_span input;
    struct fa_span body;
    bool has_body;
    struct fa__h1_limits limits;
    const char *want;                        /* "ok", "more" or "400 FA_..." */
    int64_t at;                              /* 0: not given */
    struct vector_key keys[VECTOR_MAX_KEYS]; /* everything else, in order */
    size_t key_count;
};

/* All text of one case lives in these; a case is valid until the next is read. */
struct vector_file {
    FILE *file;
    int line;
    char input[VECTOR_MAX_INPUT];
    size_t input_len;
    char body[VECTOR_MAX_INPUT];
    size_t body_len;
    char text[VECTOR_MAX_INPUT];
    size_t text_len;
};

static int vector_hex(char c)
{
    const char *digits = "0123456789abcdef";
    const char *at = strchr(digits, c);
    if (at == NULL || c == '\0')
        check_fail(__FILE__, __LINE__, "bad \\x escape in a vector file");
    return (int)(at - digits);
}

/* Appends the unescaped text behind `from`; returns where it begins. */
static char *vector_unescape(const char *from, char *to, size_t *len)
{
    char *begin = to + *len;
    char *out = begin;
    for (; *from != '\0'; from++) {
        CHECK(out < to + VECTOR_MAX_INPUT - 1);
        if (*from != '\\') {
            *out++ = *from;
            continue;
        }
        switch (*++from) {
        case 'r':
            *out++ = '\r';
            break;
        case 'n':
            *out++ = '\n';
            break;
        case 't':
            *out++ = '\t';
            break;
        case '0':
            *out++ = '\0';
            break;
        case '\\':
            *out++ = '\\';
            break;
        case 'x':
            *out++ = (char)(vector_hex(from[1]) * 16 + vector_hex(from[2]));
            from += 2;
            break;
        default:
            check_fail(__FILE__, __LINE__, "unknown escape in a vector file");
        }
    }
    *len = (size_t)(out - to);
    return begin;
}

/* "send*12" is "send" twelve times. */
static long vector_repeat(char *key)
{
    char *star = strchr(key, '*');
    if (star == NULL)
        return 1;
    *star = '\0';
    return strtol(star + 1, NULL, 10);
}

static char *vector_keep(struct vector_file *file, const char *text)
{
    size_t len = strlen(text) + 1;
    CHECK(file->text_len + len <= sizeof(file->text));
    char *copy = memcpy(file->text + file->text_len, text, len);
    file->text_len += len;
    return copy;
}

static void vector_take(struct vector_file *file, struct vector *vector, char *key, char *text)
{
    long times = vector_repeat(key);
    CHECK(times > 0);
    if (strcmp(key, "send") == 0) {
        while (times-- > 0)
            vector_unescape(text, file->input, &file->input_len);
    } else if (strcmp(key, "body") == 0) {
        vector->has_body = true;
        while (times-- > 0)
            vector_unescape(text, file->body, &file->body_len);
    } else if (strcmp(key, "case") == 0) {
        vector->name = vector_keep(file, text);
        vector->line = file->line;
    } else if (strcmp(key, "want") == 0) {
        vector->want = vector_keep(file, text);
    } else if (strcmp(key, "at") == 0) {
        vector->at = strtol(text, NULL, 10);
    } else if (strcmp(key, "limits") == 0) {
        CHECK_INT(sscanf(text, "%u %u %u", &vector->limits.request_line_bytes,
                         &vector->limits.header_bytes, &vector->limits.header_fields),
                  3);
    } else {
        CHECK(vector->key_count < VECTOR_MAX_KEYS);
        struct vector_key *slot = &vector->keys[vector->key_count++];
        slot->key = vector_keep(file, key);
        size_t before = file->text_len;
        char *begin = vector_unescape(text, file->text, &file->text_len);
        slot->text = fa_span(begin, file->text_len - before);
    }
}

/* The next case; false at the end of the file. */
static bool vector_next(struct vector_file *file, struct vector *vector)
{
    static char line[16384];
    *vector = (struct vector){.limits = {65536, 65536, 256}};
    file->input_len = file->body_len = file->text_len = 0;
    while (fgets(line, sizeof(line), file->file) != NULL) {
        file->line++;
        size_t len = strlen(line);
        CHECK(len > 0 && line[len - 1] == '\n');
        line[len - 1] = '\0';
        if (line[0] == '\0' && vector->name != NULL)
            break;
        if (line[0] == '\0' || line[0] == '#')
            continue;
        char *colon = strchr(line, ':');
        CHECK(colon != NULL);
        *colon = '\0';
        vector_take(file, vector, line, colon[1] == ' ' ? colon + 2 : colon + 1);
    }
    vector->input = fa_span(file->input, file->input_len);
    vector->body = fa_span(file->body, file->body_len);
    if (vector->name == NULL)
        return false;
    CHECK(vector->want != NULL);
    return true;
}

/* Whether the outcome `rc` is what the vector wants. */
static bool vector_wants(const struct vector *vector, bool done, ssize_t rc)
{
    if (rc < 0) {
        char text[80];
        snprintf(text, sizeof(text), "%d %s", fa__h1_error_status((int)rc), fa_error_name((int)rc));
        return strcmp(text, vector->want) == 0;
    }
    return strcmp(vector->want, done ? "ok" : "more") == 0;
}

/* The next place to cut an input of `len` bytes behind `cut`: every one, but where thousands
 * of equal bytes only serve to cross a limit, every 61st. */
static inline size_t vector_next_cut(size_t cut, size_t len)
{
    return cut + (len > 8192 && cut > 64 && cut + 64 < len ? 61 : 1);
}

/* What is run on every case of a file. */
struct vector_job {
    const char *path;
    void (*body)(const struct vector *vector);
};

static void vector_run_once(void *arg)
{
    static struct vector_file file;
    static struct vector vector;
    const struct vector_job *job = arg;
    int cases = 0;
    file = (struct vector_file){.file = fopen(job->path, "r")};
    if (file.file == NULL)
        check_fail(__FILE__, __LINE__, job->path);
    while (vector_next(&file, &vector)) {
        cases++;
        job->body(&vector);
    }
    fclose(file.file);
    CHECK(cases > 0);
    printf("     %d cases\n", cases);
}

/* Names the case before the check that follows ends the test. */
#define VECTOR_CHECK(vector, expr, how, where)                                                     \
    do {                                                                                           \
        if (!(expr)) {                                                                             \
            printf("    case \"%s\" (line %d), scanner %s, %s %zu\n", (vector)->name,              \
                   (vector)->line, fa__h1_simd_name(), (how), (size_t)(where));                    \
            check_fail(__FILE__, __LINE__, #expr);                                                 \
        }                                                                                          \
    } while (0)

#endif
