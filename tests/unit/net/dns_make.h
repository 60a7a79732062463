/* SPDX-License-Identifier: Apache-2.0 */
/* DNS messages written record by record, right or wrong.
 *
 * owns: nothing. thread: the test's. */
#ifndef TESTS_NET_DNS_MAKE_H
#define TESTS_NET_DNS_MAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/dns.h"

#define DNS_OUT_MAX 65535

struct dns_out {
    size_t len;
    uint8_t bytes[DNS_OUT_MAX];
};

/* An answer (QR, RD, RA) of that rcode to one question. */
void dns_begin(struct dns_out *o, uint16_t id, const char *question, unsigned type, unsigned rcode);
void dns_put8(struct dns_out *o, unsigned value);
void dns_put16(struct dns_out *o, unsigned value);
void dns_put32(struct dns_out *o, uint32_t value);
void dns_put(struct dns_out *o, const void *bytes, size_t len);
/* Without compression; "" and "." are the root. */
void dns_put_name(struct dns_out *o, const char *name);
void dns_put_string(struct dns_out *o, const char *text);

/* Begins a record, counted as one of the answer or the authority section; returns what dns_end
 * needs. */
size_t dns_record(struct dns_out *o, bool is_authority, const char *owner, unsigned type,
                  uint32_t ttl);
void dns_end(struct dns_out *o, size_t record);
/* "A 192.0.2.1", "AAAA 2001:db8::1", "CNAME target", "SRV 10 60 5060 target",
 * "NAPTR 10 20 s SIP+D2U replacement" ("-": empty), with one regexp behind it if there is a sixth
 * word; as an answer. Aborts on anything else. Returns the type. */
unsigned dns_put_text(struct dns_out *o, const char *owner, uint32_t ttl, const char *text);
void dns_put_soa(struct dns_out *o, const char *zone, uint32_t ttl, uint32_t minimum);
/* Type of such a text. */
unsigned dns_text_type(const char *text);

#endif
