/* SPDX-License-Identifier: Apache-2.0 */
/* An IP address with port, and networks of them.
 *
 * IPv4-mapped IPv6 addresses are turned into IPv4 wherever an address is made, so that equal means
 * equal. owns: nothing. thread: any; values only. */
#ifndef BASE_ADDR_H
#define BASE_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

struct sockaddr;

enum addr_family { ADDR_NONE = 0, ADDR_IP4 = 4, ADDR_IP6 = 6 };

struct addr {
    uint8_t family; /* enum addr_family */
    uint8_t pad;    /* always 0 */
    uint16_t port;  /* host byte order */
    uint32_t scope; /* IPv6 interface index of link-local addresses, else 0 */
    uint8_t ip[16]; /* network byte order; IPv4 in the first 4, the rest 0 */
};

/* Value of the decimal digit at p; more than 9 when there is none. */
static inline unsigned addr_digit(const char *p, const char *end)
{
    return p < end ? (unsigned)(unsigned char)*p - '0' : 10;
}

/* One to three digits at *p that are a number up to 255: one of the four of an IPv4 address. Moves
 * *p behind them; false when there is none. */
static inline bool addr_octet(const char **p, const char *end, uint8_t *out)
{
    const char *at = *p;
    unsigned value = addr_digit(at++, end), digit;
    if (value > 9)
        return false;
    for (unsigned n = 1; n < 3 && (digit = addr_digit(at, end)) <= 9; n++, at++)
        value = value * 10 + digit;
    *p = at;
    *out = (uint8_t)value;
    return value <= 255;
}

#define ADDR_TEXT_MAX 64 /* "[ffff:…%scope]:65535" with NUL */

/* Numeric host without port: "10.0.0.1", "2001:db8::1", "[2001:db8::1]". Port is set to `port`.
 * A link-local IPv6 address may name its interface: "fe80::1%eth0", "fe80::1%2". 0 or ERR_PARSE. */
int addr_parse_ip(struct slice host, uint16_t port, struct addr *out) WARN_UNUSED;
/* "10.0.0.1:5060", "[::1]:5060"; "10.0.0.1", "[::1]" (then `default_port`). IPv6 needs its brackets
 * here, since "::1:5060" is an address. 0 or ERR_PARSE. */
int addr_parse(struct slice text, uint16_t default_port, struct addr *out) WARN_UNUSED;

/* Text terminated by NUL in `buf` (ADDR_TEXT_MAX bytes); returns buf.
 * addr_write: "10.0.0.1:5060", "[::1]:5060". addr_write_ip: without port, `brackets` for IPv6.
 * IPv6 is written as RFC 5952 wants it; an address of no family as "-". */
const char *addr_write(const struct addr *a, char *buf);
const char *addr_write_ip(const struct addr *a, bool brackets, char *buf);
/* The same behind what `b` holds, without NUL. */
struct buf;
void addr_put_ip(struct buf *b, const struct addr *a, bool brackets);

/* Returns the length in bytes, 0 for ADDR_NONE; `sa` has room for at least 28 bytes (sockaddr_in6).
 */
size_t addr_to_sockaddr(const struct addr *a, struct sockaddr *sa);
/* 0 or ERR_UNSUPPORTED (another family). `sa` is as long as its family says. */
int addr_from_sockaddr(const struct sockaddr *sa, struct addr *out) WARN_UNUSED;

bool addr_eq(const struct addr *a, const struct addr *b);    /* address and port */
bool addr_eq_ip(const struct addr *a, const struct addr *b); /* address alone */
bool addr_is_any(const struct addr *a);                      /* 0.0.0.0 or :: */
bool addr_is_loopback(const struct addr *a);
/* May somebody be there? Not 0.0.0.0 and ::, multicast, or 255.255.255.255. */
bool addr_is_host(const struct addr *a);
uint64_t addr_hash(const struct addr *a); /* address and port; not keyed */

/* A network: address with the number of leading bits that count. */
struct addr_net {
    struct addr base;
    uint8_t bits;
};

/* "10.0.0.0/8", "::1", "192.168.1.7". 0, ERR_PARSE, ERR_RANGE (bits). Bits of the host part may be
 * set; they are cleared. */
int addr_net_parse(struct slice text, struct addr_net *out) WARN_UNUSED;
bool addr_net_has(const struct addr_net *net, const struct addr *a);

/* Is `a` in one of `n` networks? */
bool addr_nets_have(const struct addr_net *nets, size_t n, const struct addr *a);

#endif
