/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict on every torture message of RFC 4475 and RFC 5118, and the reason for it.
 *
 * Each section has a message of our own in tests/samples/torture (`own`) and one of the RFC
 * (`raw`), and both get the same verdict. ACCEPT: the parser takes it; `look` names what must then
 * be seen in it, which is what a later check decides by. REJECT: answered with `status`. DROP: a
 * response nobody can use. `framing` is the verdict on a byte stream. owns: nothing. thread: one.
 */
#ifndef TEST_SIP_TORTURE_VERDICTS_H
#define TEST_SIP_TORTURE_VERDICTS_H

#include "sip/frame.h"

enum verdict { ACCEPT, REJECT, DROP };

enum look {
    LOOK_NONE,
    LOOK_FOLDED, /* 3 Vias, a loose Route and a Contact with q, all of them read through folds */
    LOOK_UNKNOWN_METHOD,    /* carried through by its text, number of CSeq read */
    LOOK_ESCAPED_AT,        /* user part holds an escaped '@' and one user only */
    LOOK_ESCAPED_NUL,       /* users with NUL octets; two Contacts that differ */
    LOOK_NO_ESCAPE,         /* method and header names are not unescaped */
    LOOK_DISPLAY,           /* From has a display name */
    LOOK_LONG,              /* From tag above 100 octets */
    LOOK_TRAILING,          /* what follows Content-Length is no part of the message */
    LOOK_SEMICOLON_USER,    /* ';' in the user part starts no URI parameter */
    LOOK_TRANSPORTS,        /* 5 Vias, 2 transports unknown to us */
    LOOK_BINARY_BODY,       /* body holds NUL octets and is whole */
    LOOK_REASON_UTF8,       /* reason phrase above 7 bits kept */
    LOOK_REASON_EMPTY,      /* status 100 and no phrase */
    LOOK_CONTACT_MALFORMED, /* Contact is refused by its own parser */
    LOOK_NO_3261_BRANCH,    /* the magic cookie alone identifies nothing */
    LOOK_SCHEME_OTHER,      /* 416 */
    LOOK_HEADER_SCHEMES,    /* To, From and Contact with schemes we do not know */
    LOOK_PROXY_REQUIRE,     /* 420 */
    LOOK_AUTH_SCHEME,       /* credentials are ERR_UNSUPPORTED, not a grammar error */
    LOOK_BROADCAST_VIA,     /* second Via is the broadcast address */
    LOOK_MAX_FORWARDS_0,    /* 483 */
    LOOK_CONTACT_PARAM,     /* parameter of the header, none of the URI */
    LOOK_URI_PARAM,         /* parameter of the URI, none of the header */
    LOOK_CONTACT_HEADERS,   /* Contact URI with headers */
    LOOK_RFC2543,           /* no branch, no From tag, no Max-Forwards, no Content-Length */
    LOOK_IP6_NO_PORT,       /* Request-URI is an IPv6 reference and nothing more */
    LOOK_IP6_PORT,          /* and port 5070 */
    LOOK_IP6_RECEIVED,      /* received is an IPv6 address */
    LOOK_IP6_BODY,          /* addresses of the body are not ours to judge */
    LOOK_VIA_FAMILIES,      /* 3 Vias of both families */
    LOOK_MAPPED,            /* an IPv4-mapped address means the IPv4 address */
};

struct torture_row {
    const char *section;
    const char *raw, *own; /* file names without folder */
    enum verdict verdict;
    unsigned status;
    enum sip_frame_result framing;
    enum look look;
    const char *reason;
};

#define MSG  SIP_FRAME_MESSAGE
#define BAD  SIP_FRAME_BAD
#define MORE SIP_FRAME_MORE

/* clang-format off */
static const struct torture_row torture_rows[] = {
    /* RFC 4475 3.1.1: valid messages */
    {"4475 3.1.1.1", "wsinv.dat", "4475-3.1.1.01-folds-and-compact-forms.sip", ACCEPT, 0, MSG, LOOK_FOLDED,
     "folds, compact forms, case and blanks are all within the grammar"},
    {"4475 3.1.1.2", "intmeth.dat", "4475-3.1.1.02-all-allowed-characters.sip", ACCEPT, 0, MSG,
     LOOK_UNKNOWN_METHOD, "every character is allowed where it stands"},
    {"4475 3.1.1.3", "esc01.dat", "4475-3.1.1.03-percent-escapes.sip", ACCEPT, 0, MSG, LOOK_ESCAPED_AT,
     "an escaped '@' is part of the user"},
    {"4475 3.1.1.4", "escnull.dat", "4475-3.1.1.04-escaped-nul.sip", ACCEPT, 0, MSG, LOOK_ESCAPED_NUL,
     "an escaped NUL is a character like any other and ends nothing"},
    {"4475 3.1.1.5", "esc02.dat", "4475-3.1.1.05-percent-is-no-escape.sip", ACCEPT, 0, MSG, LOOK_NO_ESCAPE,
     "'%' escapes in URIs only: neither method nor header name nor branch"},
    {"4475 3.1.1.6", "lwsdisp.dat", "4475-3.1.1.06-no-blank-before-bracket.sip", ACCEPT, 0, MSG, LOOK_DISPLAY,
     "a token may touch the bracket"},
    {"4475 3.1.1.7", "longreq.dat", "4475-3.1.1.07-long-values.sip", ACCEPT, 0, MSG, LOOK_LONG,
     "no element has a limit below the limit of the message"},
    {"4475 3.1.1.8", "dblreq.dat", "4475-3.1.1.08-bytes-behind-the-body.sip", ACCEPT, 0, MSG, LOOK_TRAILING,
     "RFC 3261 18.3: octets behind the body of a datagram are discarded"},
    {"4475 3.1.1.9", "semiuri.dat", "4475-3.1.1.09-semicolon-in-user.sip", ACCEPT, 0, MSG,
     LOOK_SEMICOLON_USER, "';' before '@' belongs to the user"},
    {"4475 3.1.1.10", "transports.dat", "4475-3.1.1.10-transports.sip", ACCEPT, 0, MSG, LOOK_TRANSPORTS,
     "unknown transports of other hops are carried"},
    {"4475 3.1.1.11", "mpart01.dat", "4475-3.1.1.11-binary-multipart.sip", ACCEPT, 0, MSG, LOOK_BINARY_BODY,
     "a body is octets"},
    {"4475 3.1.1.12", "unreason.dat", "4475-3.1.1.12-unusual-reason.sip", ACCEPT, 0, MSG, LOOK_REASON_UTF8,
     "a reason phrase is any text"},
    {"4475 3.1.1.13", "noreason.dat", "4475-3.1.1.13-empty-reason.sip", ACCEPT, 0, MSG, LOOK_REASON_EMPTY,
     "and may be empty"},

    /* RFC 4475 3.1.2: invalid messages */
    {"4475 3.1.2.1", "badinv01.dat", "4475-3.1.2.01-separators-too-many.sip", REJECT, 400, MSG, LOOK_NONE,
     "empty parameters in the topmost Via"},
    {"4475 3.1.2.2", "clerr.dat", "4475-3.1.2.02-content-length-too-large.sip", REJECT, 400, MORE, LOOK_NONE,
     "datagram shorter than its Content-Length; a stream waits for the rest"},
    {"4475 3.1.2.3", "ncl.dat", "4475-3.1.2.03-content-length-negative.sip", REJECT, 400, BAD, LOOK_NONE,
     "a length has digits only; a stream cannot go on"},
    {"4475 3.1.2.4", "scalar02.dat", "4475-3.1.2.04-request-numbers-too-large.sip", REJECT, 400, MSG,
     LOOK_NONE, "CSeq and Max-Forwards out of range"},
    {"4475 3.1.2.5", "scalarlg.dat", "4475-3.1.2.05-response-numbers-too-large.sip", DROP, 0, MSG, LOOK_NONE,
     "CSeq out of range matches no request"},
    {"4475 3.1.2.6", "quotbal.dat", "4475-3.1.2.06-quote-not-closed.sip", REJECT, 400, MSG, LOOK_NONE,
     "the display name swallows the URI"},
    {"4475 3.1.2.7", "ltgtruri.dat", "4475-3.1.2.07-brackets-around-request-uri.sip", REJECT, 400, MSG,
     LOOK_NONE, "a Request-URI has no brackets; taking them off would change what others signed"},
    {"4475 3.1.2.8", "lwsruri.dat", "4475-3.1.2.08-blank-in-request-uri.sip", REJECT, 400, MSG, LOOK_NONE,
     "a blank ends the Request-URI"},
    {"4475 3.1.2.9", "lwsstart.dat", "4475-3.1.2.09-blanks-in-request-line.sip", REJECT, 400, MSG, LOOK_NONE,
     "single blanks separate the parts; the RFC allows to refuse"},
    {"4475 3.1.2.10", "trws.dat", "4475-3.1.2.10-blanks-behind-request-line.sip", REJECT, 400, MSG, LOOK_NONE,
     "as before"},
    {"4475 3.1.2.11", "escruri.dat", "4475-3.1.2.11-headers-in-request-uri.sip", REJECT, 400, MSG, LOOK_NONE,
     "RFC 3261 19.1.1: no headers in a Request-URI; they must not be forwarded"},
    {"4475 3.1.2.12", "baddate.dat", "4475-3.1.2.12-date-with-other-zone.sip", ACCEPT, 0, MSG, LOOK_NONE,
     "Date matters to nothing a proxy does: the RFC advises against refusing"},
    {"4475 3.1.2.13", "regbadct.dat", "4475-3.1.2.13-uri-needs-brackets.sip", ACCEPT, 0, MSG,
     LOOK_CONTACT_MALFORMED, "the registrar answers 400; a proxy carries Contact unread"},
    {"4475 3.1.2.14", "badaspec.dat", "4475-3.1.2.14-blanks-in-brackets.sip", REJECT, 400, MSG, LOOK_NONE,
     "blanks inside addr-spec; forwarding them would spread the error"},
    {"4475 3.1.2.15", "baddn.dat", "4475-3.1.2.15-display-name-needs-quotes.sip", REJECT, 400, MSG, LOOK_NONE,
     "no token: must be quoted, and a proxy may not mend it"},
    {"4475 3.1.2.16", "badvers.dat", "4475-3.1.2.16-other-version.sip", REJECT, 505, MSG, LOOK_NONE,
     "well-formed version that is not ours"},
    {"4475 3.1.2.17", "mismatch01.dat", "4475-3.1.2.17-cseq-of-another-method.sip", REJECT, 400, MSG,
     LOOK_NONE, "CSeq must repeat the method"},
    {"4475 3.1.2.18", "mismatch02.dat", "4475-3.1.2.18-cseq-of-another-method-unknown.sip", REJECT, 501, MSG,
     LOOK_NONE, "of a method we do not know we cannot tell: 501 is preferred to 400"},
    {"4475 3.1.2.19", "bigcode.dat", "4475-3.1.2.19-status-too-large.sip", DROP, 0, MSG, LOOK_NONE,
     "a status has three digits"},

    /* RFC 4475 3.2: transaction layer */
    {"4475 3.2.1", "badbranch.dat", "4475-3.2.1-branch-is-the-cookie-alone.sip", ACCEPT, 0, MSG,
     LOOK_NO_3261_BRANCH, "matched as RFC 2543 does, by the whole of its identifying headers"},

    /* RFC 4475 3.3: application layer */
    {"4475 3.3.1", "insuf.dat", "4475-3.3.01-required-headers-missing.sip", REJECT, 400, MSG, LOOK_NONE,
     "From, To and Call-ID are missing"},
    {"4475 3.3.2", "unkscm.dat", "4475-3.3.02-scheme-unknown.sip", ACCEPT, 0, MSG, LOOK_SCHEME_OTHER,
     "validation answers 416"},
    {"4475 3.3.3", "novelsc.dat", "4475-3.3.03-scheme-of-another-protocol.sip", ACCEPT, 0, MSG,
     LOOK_SCHEME_OTHER, "validation answers 416"},
    {"4475 3.3.4", "unksm2.dat", "4475-3.3.04-schemes-in-headers.sip", ACCEPT, 0, MSG, LOOK_HEADER_SCHEMES,
     "the registrar decides about the address of record"},
    {"4475 3.3.5", "bext01.dat", "4475-3.3.05-extensions-required.sip", ACCEPT, 0, MSG, LOOK_PROXY_REQUIRE,
     "validation answers 420 with Unsupported"},
    {"4475 3.3.6", "invut.dat", "4475-3.3.06-body-of-unknown-type.sip", ACCEPT, 0, MSG, LOOK_NONE,
     "415 is for the called phone"},
    {"4475 3.3.7", "regaut01.dat", "4475-3.3.07-authorization-scheme-unknown.sip", ACCEPT, 0, MSG,
     LOOK_AUTH_SCHEME, "credentials of another scheme are as none: the registrar challenges"},
    {"4475 3.3.8", "multi01.dat", "4475-3.3.08-single-headers-twice.sip", REJECT, 400, MSG, LOOK_NONE,
     "two values where one identifies the request"},
    {"4475 3.3.9", "mcl01.dat", "4475-3.3.09-two-content-lengths.sip", REJECT, 400, BAD, LOOK_NONE,
     "nobody knows where the message ends"},
    {"4475 3.3.10", "bcast.dat", "4475-3.3.10-broadcast-via.sip", ACCEPT, 0, MSG, LOOK_BROADCAST_VIA,
     "grammar has nothing against it; forwarding must not send there"},
    {"4475 3.3.11", "zeromf.dat", "4475-3.3.11-no-hops-left.sip", ACCEPT, 0, MSG, LOOK_MAX_FORWARDS_0,
     "a proxy answers 483, the addressed server answers the OPTIONS"},
    {"4475 3.3.12", "cparam01.dat", "4475-3.3.12-contact-parameter-of-the-header.sip", ACCEPT, 0, MSG,
     LOOK_CONTACT_PARAM, "without brackets it belongs to the header"},
    {"4475 3.3.13", "cparam02.dat", "4475-3.3.13-contact-parameter-of-the-uri.sip", ACCEPT, 0, MSG,
     LOOK_URI_PARAM, "within brackets it belongs to the URI"},
    {"4475 3.3.14", "regescrt.dat", "4475-3.3.14-contact-with-headers.sip", ACCEPT, 0, MSG,
     LOOK_CONTACT_HEADERS, "headers of a Contact URI are kept with it"},
    {"4475 3.3.15", "sdp01.dat", "4475-3.3.15-accept-of-nothing-known.sip", ACCEPT, 0, MSG, LOOK_NONE,
     "406 is for the called phone"},

    /* RFC 4475 3.4: backward compatibility */
    {"4475 3.4.1", "inv2543.dat", "4475-3.4.1-rfc2543.sip", ACCEPT, 0, BAD, LOOK_RFC2543,
     "RFC 2543 had none of these; a stream needs Content-Length all the same"},

    /* RFC 5118: IPv6 */
    {"5118 4.1", "ipv6-good", "5118-4.01-reference.sip", ACCEPT, 0, MSG, LOOK_IP6_NO_PORT,
     "an IPv6 reference"},
    {"5118 4.2", "ipv6-bad", "5118-4.02-address-without-brackets.sip", REJECT, 400, MSG, LOOK_NONE,
     "an IPv6 address needs brackets"},
    {"5118 4.3", "port-ambiguous", "5118-4.03-port-inside-the-brackets.sip", ACCEPT, 0, MSG,
     LOOK_IP6_NO_PORT, "what is within the brackets is address"},
    {"5118 4.4", "port-unambiguous", "5118-4.04-port-behind-the-brackets.sip", ACCEPT, 0, MSG, LOOK_IP6_PORT,
     "what is behind them is port"},
    {"5118 4.5", "via-received-param-with-delim", "5118-4.05-received-with-brackets.sip", ACCEPT, 0, MSG,
     LOOK_IP6_RECEIVED, "not of the grammar, but sent: both forms are taken"},
    {"5118 4.5", "via-received-param-no-delim", "5118-4.05-received-without-brackets.sip", ACCEPT, 0, MSG,
     LOOK_IP6_RECEIVED, "the form of the grammar"},
    {"5118 4.6", "ipv6-in-sdp", "5118-4.06-addresses-in-sdp.sip", ACCEPT, 0, MSG, LOOK_IP6_BODY,
     "bodies are carried"},
    {"5118 4.7", "mult-ip-in-header", "5118-4.07-both-families-in-vias.sip", ACCEPT, 0, MSG,
     LOOK_VIA_FAMILIES, "each hop has its own family"},
    {"5118 4.8", "mult-ip-in-sdp", "5118-4.08-both-families-in-sdp.sip", ACCEPT, 0, MSG, LOOK_IP6_BODY,
     "bodies are carried"},
    {"5118 4.9", "ipv4-mapped-ipv6", "5118-4.09-mapped-addresses.sip", ACCEPT, 0, MSG, LOOK_MAPPED,
     "a valid IPv6 address"},
    {"5118 4.10", "ipv6-bug-abnf-3-colons", "5118-4.10-three-colons.sip", ACCEPT, 0, MSG, LOOK_IP6_NO_PORT,
     "the grammar of RFC 3261 allows the third colon: both must be tolerated"},
    {"5118 4.10", "ipv6-correct-abnf-2-colons", "5118-4.10-two-colons.sip", ACCEPT, 0, MSG, LOOK_IP6_NO_PORT,
     "the correct form"},
};
/* clang-format on */

#define TORTURE_ROWS (sizeof(torture_rows) / sizeof(torture_rows[0]))

#endif
