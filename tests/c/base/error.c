/* SPDX-License-Identifier: MIT */
/* error.c - the list is consistent, and errno finds its way into it. */
#include "check.h"

#include <errno.h>

#include <fasterapi/error.h>

struct entry {
    const char *name;
    int value;
    const char *text;
};

static const struct entry entries[] = {
#define ENTRY(name, value, text) {"FA_" #name, value, text},
    FA_ERROR_MAP(ENTRY)
#undef ENTRY
};

TEST(names_and_sentences)
{
    CHECK_SPAN(fa_span_str(fa_strerror(0)), "success");
    CHECK_SPAN(fa_span_str(fa_error_name(0)), "FA_OK");
    for (size_t i = 0; i < FA_ARRAY_LEN(entries); i++) {
        CHECK_SPAN(fa_span_str(fa_error_name(entries[i].value)), entries[i].name);
        CHECK_SPAN(fa_span_str(fa_strerror(entries[i].value)), entries[i].text);
    }
    static const int unknown[] = {1, -9999, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < FA_ARRAY_LEN(unknown); i++) {
        CHECK_SPAN(fa_span_str(fa_error_name(unknown[i])), "FA_?");
        CHECK_SPAN(fa_span_str(fa_strerror(unknown[i])), "unknown error");
    }
}

TEST(values_are_negative_unique_and_in_a_layer_s_range)
{
    for (size_t i = 0; i < FA_ARRAY_LEN(entries); i++) {
        int value = entries[i].value;
        CHECK(value < 0 && value > -500);
        CHECK(value <= -100 || value >= -99);
        for (size_t j = 0; j < i; j++) {
            CHECK(entries[j].value != value);
            CHECK(strcmp(entries[j].text, entries[i].text) != 0);
        }
    }
}

TEST(errno_is_translated)
{
    static const struct {
        int sys;
        int err;
    } known[] = {
        {ENOMEM, FA_ENOMEM},
        {ENOBUFS, FA_ENOMEM},
        {EINVAL, FA_EINVAL},
        {EBADF, FA_EINVAL},
        {EAGAIN, FA_EAGAIN},
        {EWOULDBLOCK, FA_EAGAIN},
        {EEXIST, FA_EEXIST},
        {ENOENT, FA_ENOENT},
        {EACCES, FA_EACCES},
        {EPERM, FA_EACCES},
        {EADDRINUSE, FA_EADDRINUSE},
        {EADDRNOTAVAIL, FA_EADDRNOTAVAIL},
        {ECONNRESET, FA_ECONNRESET},
        {ECONNABORTED, FA_ECONNRESET},
        {EPIPE, FA_EPIPE},
        {ETIMEDOUT, FA_ETIMEDOUT},
        {ECANCELED, FA_ECANCELLED},
        {EMFILE, FA_EMFILE},
        {ENFILE, FA_EMFILE},
        {EOPNOTSUPP, FA_ENOTSUP},
        {ENOSYS, FA_ENOTSUP},
        {EAFNOSUPPORT, FA_ENOTSUP},
        {EPROTONOSUPPORT, FA_ENOTSUP},
        {EIO, FA_ESYS},
        {0, FA_ESYS},
        {99999, FA_ESYS},
    };
    for (size_t i = 0; i < FA_ARRAY_LEN(known); i++)
        CHECK_INT(fa_error_from_errno(known[i].sys), known[i].err);
    for (int sys = -5; sys < 300; sys++)
        CHECK(fa_error_from_errno(sys) < 0);
}

int main(void)
{
    RUN(names_and_sentences);
    RUN(values_are_negative_unique_and_in_a_layer_s_range);
    RUN(errno_is_translated);
    return check_report();
}
