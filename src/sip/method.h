/* SPDX-License-Identifier: Apache-2.0 */
/* Methods, header names, status codes and transports as tables.
 *
 * owns: nothing. thread: any; pure. RFC 3261 sections 7.3.3, 20, 21; RFC 3262, 3311, 3428, 3515,
 * 3903, 6665. */
#ifndef SIP_METHOD_H
#define SIP_METHOD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum sip_method {
    SIP_UNKNOWN = 0, /* carried through by its text */
    SIP_INVITE,
    SIP_ACK,
    SIP_BYE,
    SIP_CANCEL,
    SIP_OPTIONS,
    SIP_REGISTER,
    SIP_PRACK,
    SIP_UPDATE,
    SIP_INFO,
    SIP_SUBSCRIBE,
    SIP_NOTIFY,
    SIP_REFER,
    SIP_MESSAGE,
    SIP_PUBLISH,
    SIP_METHOD_COUNT
};

/* Case-sensitive (RFC 3261 7.1). */
enum sip_method sip_method_of(struct slice text);
/* "INVITE"; "" for SIP_UNKNOWN. */
struct slice sip_method_text(enum sip_method m);

/* Headers we read or write; everything else is SIP_H_OTHER and passes untouched. */
enum sip_hdr_id {
    SIP_H_OTHER = 0,
    SIP_H_VIA,
    SIP_H_FROM,
    SIP_H_TO,
    SIP_H_CALL_ID,
    SIP_H_CSEQ,
    SIP_H_MAX_FORWARDS,
    SIP_H_CONTENT_LENGTH,
    SIP_H_CONTACT,
    SIP_H_ROUTE,
    SIP_H_RECORD_ROUTE,
    SIP_H_PATH,
    SIP_H_SERVICE_ROUTE,
    SIP_H_REQUIRE,
    SIP_H_PROXY_REQUIRE,
    SIP_H_SUPPORTED,
    SIP_H_UNSUPPORTED,
    SIP_H_ALLOW,
    SIP_H_EXPIRES,
    SIP_H_MIN_EXPIRES,
    SIP_H_AUTHORIZATION,
    SIP_H_PROXY_AUTHORIZATION,
    SIP_H_WWW_AUTHENTICATE,
    SIP_H_PROXY_AUTHENTICATE,
    SIP_H_RETRY_AFTER,
    SIP_H_REASON,
    SIP_H_TIMESTAMP,
    SIP_H_DATE,
    SIP_H_WARNING,
    SIP_H_CONTENT_TYPE,
    SIP_H_MAX_BREADTH,
    SIP_H_FLOW_TIMER,
    SIP_H_USER_AGENT,
    SIP_H_SERVER,
    SIP_H_EVENT,
    SIP_H_SUBJECT,
    SIP_H_SESSION_EXPIRES,
    SIP_H_MIN_SE,
    SIP_H_RACK,
    SIP_H_REFER_TO,
    SIP_H_X_GENESYS_ROUTE,
    SIP_H_COUNT
};

/* Long or compact form, without regard to case; found by a perfect hash and then compared. */
enum sip_hdr_id sip_hdr_of(struct slice name);
/* "Call-ID"; "" for SIP_H_OTHER. */
struct slice sip_hdr_name(enum sip_hdr_id id);

/* Default reason phrase ("Ringing"); a phrase of the class for unknown codes ("Client Failure"). */
struct slice sip_reason_text(unsigned status);

enum sip_transport {
    SIP_UDP = 0,
    SIP_TCP,
    SIP_TLS,
    SIP_WS,
    SIP_WSS,
    SIP_TRANSPORT_COUNT,
    SIP_TRANSPORT_NONE = 0xff
};

/* "udp", "TCP"… without regard to case (Via or the transport parameter); SIP_TRANSPORT_NONE when
 * unknown. */
enum sip_transport sip_transport_of(struct slice text);
struct slice sip_transport_via(enum sip_transport t);   /* "TCP" */
struct slice sip_transport_param(enum sip_transport t); /* "tcp"; WS and WSS both "ws" */
static inline bool sip_transport_is_reliable(enum sip_transport t)
{
    return t != SIP_UDP;
}
/* 5060, or 5061 for TLS and WSS (WS 80, WSS 443 per RFC 7118 are for Via without a port). */
uint16_t sip_transport_port(enum sip_transport t);

#endif
