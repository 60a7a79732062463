/* SPDX-License-Identifier: Apache-2.0 */
/* Who may ask what over HTTP: rules without a socket or a clock.
 *
 * owns: nothing. thread: any; struct http_limits: one at a time. RFC 6750 section 2.1, RFC 6454
 * section 6, RFC 6585 section 4. */
#ifndef ADMIN_HTTP_RULES_H
#define ADMIN_HTTP_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/slice.h"

/* Requests per client: RATE each second, BURST at once. IPv6 clients count by their /64. */
#define HTTP_RATE    50u
#define HTTP_BURST   100u
#define HTTP_CLIENTS 256u /* that are remembered; the one that was quiet longest is forgotten */

struct http_limits {
    struct {
        struct addr who;
        uint64_t last;  /* ms */
        uint32_t milli; /* thousandths of requests that it has left */
    } client[HTTP_CLIENTS];
};

/* One more request of that client; false: it has to wait a second. */
bool http_limits_take(struct http_limits *l, const struct addr *client, uint64_t now_ms);

/* "Bearer TOKEN"; takes the same time whatever is wrong with a token. */
bool http_has_token(struct slice authorization, struct slice token);

/* Where no token protects: a page of somebody else's name, which its DNS server makes point at this
 * machine, has that name in Host. Right are addresses, localhost, and the name of this machine. */
bool http_is_own_host(struct slice host, struct slice machine);

/* A page's Origin is right when it is the server itself, as its Host says. */
bool http_is_same_origin(struct slice origin, bool is_tls, struct slice host);

/* application/json, with or without parameters: what no form and no simple request of a foreign
 * page can send. */
bool http_is_json(struct slice content_type);

/* A member of a flat JSON object: strings as they are, numbers, true and false as written. */
#define HTTP_MEMBERS_MAX 8u
struct http_member {
    struct slice name, value;
};
/* Parses {"name":"text","n":5,"yes":true} in place: `text` is written to. The number of members;
 * -1: it is no such object, has too many members, or one twice. */
int http_parse_object(char *text, size_t len, struct http_member members[HTTP_MEMBERS_MAX]);

#endif
