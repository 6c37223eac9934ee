/* SPDX-License-Identifier: MIT */
/* urlencoded.h - percent-encoded text (RFC 3986 section 2.1) and
 * application/x-www-form-urlencoded pairs, as in a query or a form body.
 *
 * The answers are those of Python's urllib.parse, whatever the input: `unquote_to_bytes`
 * for fa_percent_decode, and `parse_qsl(..., keep_blank_values=True)` for the pairs. A "%"
 * without two hexadecimal digits behind it stands for itself, so nothing is ever an error.
 * Everything works on bytes. Python's `str` results come out of the decoded bytes of an
 * ASCII input by decoding them as UTF-8 with errors="replace". Bytes of 0x80 and above in
 * the input itself pass through unchanged.
 *
 * Pure: no allocation, no state but the caller's, any thread, linear time. */
#ifndef FASTERAPI_URLENCODED_H
#define FASTERAPI_URLENCODED_H

#include <fasterapi/span.h>

/* Walks the pairs of a text that must outlive it. */
struct fa_form_iter {
    struct fa_span rest; /* private */
};

/* A pair as it stands in the text, still encoded. */
struct fa_form_pair {
    struct fa_span name;
    struct fa_span value; /* empty without a "=" */
    bool name_encoded;    /* holds a "%" or a "+"; otherwise it is decoded as it stands */
    bool value_encoded;
};

FA_BEGIN_DECLS

/* Decodes %XX (a path). Writes at most text.len bytes to `out`, which may be the text
 * itself; returns how many. "+" stands for itself. */
FA_API size_t fa_percent_decode(struct fa_span text, char *out);

/* The same with "+" as a space: a name or value of a pair. */
FA_API size_t fa_form_decode(struct fa_span text, char *out);

/* Starts at the first pair of `text`: a query without its "?", or a form's body. */
FA_API void fa_form_init(struct fa_form_iter *iter, struct fa_span text);

/* The next pair; false when there is none. Pairs are separated by "&" alone and empty ones
 * are passed over; the first "=" ends the name. A pair is never longer than the text, but
 * there may be half as many pairs as bytes: who stores them limits their number. */
FA_API bool fa_form_next(struct fa_form_iter *iter, struct fa_form_pair *pair) FA_MUST_CHECK;

FA_END_DECLS

#endif
