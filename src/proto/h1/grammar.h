/* SPDX-License-Identifier: MIT */
/* grammar.h - the character classes of HTTP as constant expressions over a byte value, for
 * the tables that are computed from them. Private to the codec. */
#ifndef FA_PROTO_H1_GRAMMAR_H
#define FA_PROTO_H1_GRAMMAR_H

#define IS_DIGIT(c) ((c) >= '0' && (c) <= '9')
#define IS_ALPHA(c) (((c) >= 'a' && (c) <= 'z') || ((c) >= 'A' && (c) <= 'Z'))
#define IS_ALNUM(c) (IS_DIGIT(c) || IS_ALPHA(c))
#define IS_HEXDIG(c) (IS_DIGIT(c) || ((c) >= 'a' && (c) <= 'f') || ((c) >= 'A' && (c) <= 'F'))

/* Marks shared by tchar and the sub-delims of RFC 3986. */
#define IS_MARK(c)                                                                                 \
    ((c) == '!' || (c) == '$' || (c) == '&' || (c) == '\'' || (c) == '*' || (c) == '+')
#define IS_TOKEN(c)                                                                                \
    (IS_ALNUM(c) || IS_MARK(c) || (c) == '#' || (c) == '%' || (c) == '-' || (c) == '.' ||          \
     (c) == '^' || (c) == '_' || (c) == '`' || (c) == '|' || (c) == '~')
#define IS_VALUE(c) ((c) == '\t' || ((c) >= ' ' && (c) != 0x7f))
/* Wider than the URI grammar: browsers send `"<>\^`{|}` unescaped in paths and queries. */
#define IS_PATH(c) ((c) > ' ' && (c) < 0x7f && (c) != '#' && (c) != '?')
#define IS_REG_NAME(c)                                                                             \
    (IS_ALNUM(c) || IS_MARK(c) || (c) == '-' || (c) == '.' || (c) == '_' || (c) == '~' ||          \
     (c) == '(' || (c) == ')' || (c) == ',' || (c) == ';' || (c) == '=')
#define IS_QUOTED(c) (IS_VALUE(c) && (c) != '"' && (c) != '\\')
#define IS_SCHEME(c) (IS_ALNUM(c) || (c) == '+' || (c) == '-' || (c) == '.')

#endif
