/* SPDX-License-Identifier: Apache-2.0 */
/* URIs, parameters and name-addr: RFC 3261 sections 19.1, 20.10, 25.1; RFC 3966 (tel); RFC 5118
 * (IPv6).
 *
 * Everything is a slice into the input; nothing is unescaped in place.
 * owns: nothing. borrows: the parsed bytes. thread: any; pure. */
#ifndef SIP_URI_H
#define SIP_URI_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "sip/method.h"

/* Parameters: ";a=b;c;d=\"x\"" as one slice, with or without the leading ';'.
 * Finds a name without regard to case; *value is the raw value (quotes kept), empty when there is
 * none (value may be NULL). */
bool sip_param_find(struct slice params, struct slice name, struct slice *value);
/* Next parameter; advances *rest. False at the end or at what is no parameter. */
bool sip_param_next(struct slice *rest, struct slice *name, struct slice *value);
/* ERR_PARSE when `params` is not *( SEMI generic-param ), folds and blanks allowed. */
int sip_params_check(struct slice params) WARN_UNUSED;

enum sip_scheme { SIP_SCHEME_OTHER, SIP_SCHEME_SIP, SIP_SCHEME_SIPS, SIP_SCHEME_TEL };

struct sip_uri {
    enum sip_scheme scheme;
    struct slice text;        /* the whole */
    struct slice scheme_text; /* "sip" */
    struct slice user;        /* raw, escapes kept; tel: the number; empty: none */
    struct slice password;
    struct slice host;    /* brackets of an IPv6 reference kept; empty for other schemes */
    struct slice params;  /* without the leading ';' */
    struct slice headers; /* without the leading '?' */
    uint16_t port;        /* 0: none */
    bool has_user;        /* "sip:@host" is an error, so has_user means user.len > 0 */
    bool lr;
    uint8_t transport;           /* enum sip_transport; NONE: no parameter or an unknown one */
    struct slice transport_text; /* value of the transport parameter */
    struct slice maddr;
};

/* Strict for sip, sips and tel; of other schemes only the scheme's syntax is looked at.
 * 0 or ERR_PARSE. */
int sip_uri_parse(struct slice text, struct sip_uri *out) WARN_UNUSED;
/* RFC 3261 19.1.4. */
bool sip_uri_eq(const struct sip_uri *a, const struct sip_uri *b);
/* User part unescaped into dst; 0 or ERR_FULL. The result may contain any byte but is not
 * terminated. */
int sip_unescape(struct slice s, struct buf *dst) WARN_UNUSED;

struct sip_name_addr {
    struct slice display; /* raw, quotes kept */
    struct slice uri;     /* without brackets */
    struct slice params;  /* header parameters, without the leading ';' */
    bool brackets;
    bool star; /* "*" of Contact */
};

/* One element of From, To, Contact, Route, Record-Route, Path… 0 or ERR_PARSE. The URI is not
 * parsed. */
int sip_name_addr_parse(struct slice value, struct sip_name_addr *out) WARN_UNUSED;

/* qvalue times 1000 (0 to 1000); ERR_PARSE. */
int sip_q_parse(struct slice text, unsigned *out) WARN_UNUSED;

/* One element of Via: RFC 3261 20.42, RFC 3581, RFC 5923. */
struct sip_via {
    struct slice text; /* the element */
    struct slice transport_text;
    uint8_t transport; /* enum sip_transport */
    bool has_rport;    /* with or without a value */
    bool has_alias;
    bool has_oc;         /* `oc` with a value (RFC 7339 4.1); sip/oc.h reads it */
    uint16_t port;       /* sent-by, 0: none */
    uint16_t rport;      /* value, 0: none */
    struct slice host;   /* sent-by, brackets kept */
    struct slice params; /* without the leading ';' */
    struct slice branch;
    struct slice received;
    struct slice maddr;
    struct slice rport_text; /* the parameter with its value; empty: none, or more than one */
};

int sip_via_parse(struct slice value, struct sip_via *out) WARN_UNUSED;

/* Splits a header value at commas outside quotes, comments and angle brackets; advances *rest;
 * elements are trimmed. False at the end. Empty elements are skipped. */
bool sip_list_next(struct slice *rest, struct slice *element);

#endif
