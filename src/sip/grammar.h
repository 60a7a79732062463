/* SPDX-License-Identifier: Apache-2.0 */
/* Private face of the grammar: character classes, white space, quoted strings, hosts.
 *
 * Every function takes a slice and an index into it and gives back the index behind what it read,
 * so that a parser is a straight walk and never looks outside the slice. owns: nothing. borrows:
 * the slices. thread: any; pure. RFC 3261 section 25.1. */
#ifndef SIP_GRAMMAR_H
#define SIP_GRAMMAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* Classes of RFC 3261 25.1; '%' belongs to none but CH_TOKEN, see sip_is_escaped_run. */
enum sip_char_class {
    CH_TOKEN = 1 << 0,
    CH_USER = 1 << 1,     /* unreserved, user-unreserved */
    CH_PASSWORD = 1 << 2, /* unreserved, & = + $ , */
    CH_PARAM = 1 << 3,    /* paramchar without escapes */
    CH_HEADER = 1 << 4,   /* hnv-unreserved, unreserved */
    CH_HEX = 1 << 5,
    CH_DIGIT = 1 << 6,
    CH_ALPHA = 1 << 7,
};

extern const uint8_t sip_char_table[256];

static inline bool sip_is(char c, unsigned classes)
{
    return (sip_char_table[(unsigned char)c] & classes) != 0;
}

static inline bool sip_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Behind the characters of these classes from `i` on. */
static inline size_t sip_run(struct slice s, size_t i, unsigned classes)
{
    while (i < s.len && sip_is(s.ptr[i], classes))
        i++;
    return i;
}

/* The same for classes that hold all letters and digits, '-', '.' and '_': all of the grammar's but
 * CH_HEX, CH_DIGIT and CH_ALPHA. */
size_t sip_word_run(struct slice s, size_t i, unsigned classes);

/* From `from` to `to`; a NULL pointer stays as it is. */
static inline struct slice sip_sub(struct slice s, size_t from, size_t to)
{
    return (struct slice){from != 0 ? s.ptr + from : s.ptr, to - from};
}

/* Behind linear white space: blanks, and line ends that a blank follows (folds). */
size_t sip_skip_lws_there(struct slice s, size_t i);
static inline size_t sip_skip_lws(struct slice s, size_t i)
{
    if (i >= s.len || (unsigned char)s.ptr[i] > ' ')
        return i;
    return sip_skip_lws_there(s, i);
}

/* `i` is at the opening quote. Behind the closing one; 0 when there is none or a character inside
 * is not allowed. Bytes above 0x7f pass whether or not they are UTF-8: old phones send Latin-1. */
size_t sip_quoted_end(struct slice s, size_t i);

/* Behind the characters of the class and well-formed "%HH" from `i` on. */
size_t sip_escaped_run(struct slice s, size_t i, unsigned classes);
/* Is that all of it? True for the empty slice. */
static inline bool sip_is_escaped_run(struct slice s, unsigned classes)
{
    return sip_escaped_run(s, 0, classes) == s.len;
}

/* Value of one hexadecimal digit that was checked before. */
unsigned sip_hex_value(char c);

/* host = hostname / IPv4address / IPv6reference. Behind the host that begins at `i`; 0 when there
 * is none. */
size_t sip_host_end(struct slice s, size_t i);
/* Text of an IPv6 address without brackets. */
bool sip_is_ip6(struct slice s);
/* Four numbers up to 255. */
bool sip_is_ip4(struct slice s);

/* 1 to 65535 at `i`. Behind its digits; 0 when there is none. */
size_t sip_port_end(struct slice s, size_t i, uint16_t *port);

/* One parameter at the front of *rest. 1: read, *rest is at the next ';' or empty; 0: end; -1:
 * malformed. */
int sip_param_step(struct slice *rest, struct slice *name, struct slice *value);
/* sip_name_addr_parse whose parameters are still to be checked by sip_params_check. */
struct sip_name_addr;
int sip_name_addr_split(struct slice value, struct sip_name_addr *out);
/* Is the parameter a generic-param with token name, and token, host or quoted value? */
bool sip_is_generic_param(struct slice name, struct slice value);

#endif
