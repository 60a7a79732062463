/* SPDX-License-Identifier: Apache-2.0 */
#include "sip/method.h"

#include "sip/scan.h"

static const struct slice method_texts[SIP_METHOD_COUNT] = {
    [SIP_INVITE] = {"INVITE", 6},   [SIP_ACK] = {"ACK", 3},
    [SIP_BYE] = {"BYE", 3},         [SIP_CANCEL] = {"CANCEL", 6},
    [SIP_OPTIONS] = {"OPTIONS", 7}, [SIP_REGISTER] = {"REGISTER", 8},
    [SIP_PRACK] = {"PRACK", 5},     [SIP_UPDATE] = {"UPDATE", 6},
    [SIP_INFO] = {"INFO", 4},       [SIP_SUBSCRIBE] = {"SUBSCRIBE", 9},
    [SIP_NOTIFY] = {"NOTIFY", 6},   [SIP_REFER] = {"REFER", 5},
    [SIP_MESSAGE] = {"MESSAGE", 7}, [SIP_PUBLISH] = {"PUBLISH", 7},
};

/* First letter and length tell the known methods apart. */
static enum sip_method method_guess(char first, size_t len)
{
    switch (first) {
    case 'I': return len == 6 ? SIP_INVITE : SIP_INFO;
    case 'A': return SIP_ACK;
    case 'B': return SIP_BYE;
    case 'C': return SIP_CANCEL;
    case 'O': return SIP_OPTIONS;
    case 'R': return len == 8 ? SIP_REGISTER : SIP_REFER;
    case 'P': return len == 5 ? SIP_PRACK : SIP_PUBLISH;
    case 'U': return SIP_UPDATE;
    case 'S': return SIP_SUBSCRIBE;
    case 'N': return SIP_NOTIFY;
    case 'M': return SIP_MESSAGE;
    default: return SIP_UNKNOWN;
    }
}

enum sip_method sip_method_of(struct slice text)
{
    if (text.len == 0)
        return SIP_UNKNOWN;
    enum sip_method m = method_guess(text.ptr[0], text.len);
    return slice_eq(text, method_texts[m]) ? m : SIP_UNKNOWN;
}

struct slice sip_method_text(enum sip_method m)
{
    if ((unsigned)m >= SIP_METHOD_COUNT || m == SIP_UNKNOWN)
        return SLICE("");
    return method_texts[m];
}

/* --- header names --------------------------------------------------------------------------- */

/* Perfect hash over first, middle (index length / 2) and last character in lower case and the
 * length. The factor was found by trying odd numbers until no two names share a slot; when a new
 * name does, the compiler says that an initialiser is overridden: try other factors. */
#define NAME_KEY(first, mid, last, len) \
    ((uint32_t)(first) | (uint32_t)(mid) << 8 | (uint32_t)(last) << 16 | (uint32_t)(len) << 24)
#define NAME_SLOT(key) ((uint32_t)((key)*0x8b97ef45u) >> 25)
#define NAME_SLOTS     128

/* id, name, its length, first, middle and last character */
#define NAMES(X)                                                     \
    X(VIA, "Via", 3, 'v', 'i', 'a')                                  \
    X(FROM, "From", 4, 'f', 'o', 'm')                                \
    X(TO, "To", 2, 't', 'o', 'o')                                    \
    X(CALL_ID, "Call-ID", 7, 'c', 'l', 'd')                          \
    X(CSEQ, "CSeq", 4, 'c', 'e', 'q')                                \
    X(MAX_FORWARDS, "Max-Forwards", 12, 'm', 'r', 's')               \
    X(CONTENT_LENGTH, "Content-Length", 14, 'c', '-', 'h')           \
    X(CONTACT, "Contact", 7, 'c', 't', 't')                          \
    X(ROUTE, "Route", 5, 'r', 'u', 'e')                              \
    X(RECORD_ROUTE, "Record-Route", 12, 'r', '-', 'e')               \
    X(PATH, "Path", 4, 'p', 't', 'h')                                \
    X(SERVICE_ROUTE, "Service-Route", 13, 's', 'e', 'e')             \
    X(REQUIRE, "Require", 7, 'r', 'u', 'e')                          \
    X(PROXY_REQUIRE, "Proxy-Require", 13, 'p', 'r', 'e')             \
    X(SUPPORTED, "Supported", 9, 's', 'o', 'd')                      \
    X(UNSUPPORTED, "Unsupported", 11, 'u', 'p', 'd')                 \
    X(ALLOW, "Allow", 5, 'a', 'l', 'w')                              \
    X(EXPIRES, "Expires", 7, 'e', 'i', 's')                          \
    X(MIN_EXPIRES, "Min-Expires", 11, 'm', 'x', 's')                 \
    X(AUTHORIZATION, "Authorization", 13, 'a', 'i', 'n')             \
    X(PROXY_AUTHORIZATION, "Proxy-Authorization", 19, 'p', 'h', 'n') \
    X(WWW_AUTHENTICATE, "WWW-Authenticate", 16, 'w', 'e', 'e')       \
    X(PROXY_AUTHENTICATE, "Proxy-Authenticate", 18, 'p', 'h', 'e')   \
    X(RETRY_AFTER, "Retry-After", 11, 'r', '-', 'r')                 \
    X(REASON, "Reason", 6, 'r', 's', 'n')                            \
    X(TIMESTAMP, "Timestamp", 9, 't', 's', 'p')                      \
    X(DATE, "Date", 4, 'd', 't', 'e')                                \
    X(WARNING, "Warning", 7, 'w', 'n', 'g')                          \
    X(CONTENT_TYPE, "Content-Type", 12, 'c', 't', 'e')               \
    X(MAX_BREADTH, "Max-Breadth", 11, 'm', 'r', 'h')                 \
    X(FLOW_TIMER, "Flow-Timer", 10, 'f', 't', 'r')                   \
    X(USER_AGENT, "User-Agent", 10, 'u', 'a', 't')                   \
    X(SERVER, "Server", 6, 's', 'v', 'r')                            \
    X(EVENT, "Event", 5, 'e', 'e', 't')                              \
    X(SUBJECT, "Subject", 7, 's', 'j', 't')                          \
    X(SESSION_EXPIRES, "Session-Expires", 15, 's', '-', 's')         \
    X(MIN_SE, "Min-SE", 6, 'm', '-', 'e')                            \
    X(RACK, "RAck", 4, 'r', 'c', 'k')                                \
    X(REFER_TO, "Refer-To", 8, 'r', 'r', 'o')                        \
    X(X_GENESYS_ROUTE, "X-Genesys-Route", 15, 'x', 'y', 'e')

static const uint8_t name_slots[NAME_SLOTS] = {
#define SLOT(id, text, len, first, mid, last) \
    [NAME_SLOT(NAME_KEY(first, mid, last, len))] = SIP_H_##id,
    NAMES(SLOT)
#undef SLOT
};

struct hdr_name {
    char text[SCAN_NAME_MAX];
    uint8_t len;
};

static const struct hdr_name names[SIP_H_COUNT] = {
#define NAME(id, text, len, first, mid, last) [SIP_H_##id] = {text, len},
    NAMES(NAME)
#undef NAME
};

/* RFC 3261 7.3.3 and 20, RFC 3515 (r), RFC 4028 (x), RFC 6665 (o). */
static const uint8_t compact_names[26] = {
    ['c' - 'a'] = SIP_H_CONTENT_TYPE,
    ['f' - 'a'] = SIP_H_FROM,
    ['i' - 'a'] = SIP_H_CALL_ID,
    ['k' - 'a'] = SIP_H_SUPPORTED,
    ['l' - 'a'] = SIP_H_CONTENT_LENGTH,
    ['m' - 'a'] = SIP_H_CONTACT,
    ['o' - 'a'] = SIP_H_EVENT,
    ['r' - 'a'] = SIP_H_REFER_TO,
    ['s' - 'a'] = SIP_H_SUBJECT,
    ['t' - 'a'] = SIP_H_TO,
    ['v' - 'a'] = SIP_H_VIA,
    ['x' - 'a'] = SIP_H_SESSION_EXPIRES,
};

static inline uint64_t load_word(const void *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof(word));
    return word;
}

/* Bits in which the first `len` (1 to 8) bytes differ, but for the case of letters. 0x20 may differ
 * only where the known name has 0x40 set, so that a CR is never taken for a '-'. */
static inline uint64_t word_differs(const char *p, const char *known, size_t len)
{
    static const unsigned char ones[16] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    uint64_t k = load_word(known), within = load_word(ones + 8 - len);
    return (load_word(p) ^ k) & ~((k >> 1) & (SCAN_ONES * 0x20)) & within;
}

static inline bool name_matches(const char *p, size_t len, const char *known)
{
    if (len <= 8)
        return word_differs(p, known, len) == 0;
    uint64_t differ = word_differs(p, known, 8);
    if (len <= 16)
        return (differ | word_differs(p + 8, known + 8, len - 8)) == 0;
    differ |= word_differs(p + 8, known + 8, 8);
    return (differ | word_differs(p + 16, known + 16, len - 16)) == 0;
}

enum sip_hdr_id sip_hdr_lookup(const char *p, size_t len)
{
    if (len == 1) {
        unsigned letter = ((unsigned)(unsigned char)*p | 0x20) - 'a';
        return letter < 26 && (*p & 0x40) ? (enum sip_hdr_id)compact_names[letter] : SIP_H_OTHER;
    }
    uint32_t key =
        NAME_KEY((unsigned char)p[0], (unsigned char)p[len / 2], (unsigned char)p[len - 1], len);
    unsigned id = name_slots[NAME_SLOT(key | 0x202020)];
    if (names[id].len != len || !name_matches(p, len, names[id].text))
        return SIP_H_OTHER;
    return (enum sip_hdr_id)id;
}

enum sip_hdr_id sip_hdr_lookup_short(const char *p, size_t len)
{
    char padded[SCAN_NAME_MAX] = {0};
    memcpy(padded, p, len);
    return sip_hdr_lookup(padded, len);
}

enum sip_hdr_id sip_hdr_of(struct slice name)
{
    return scan_hdr_id(name.ptr, name.len, name.ptr + name.len);
}

struct slice sip_hdr_name(enum sip_hdr_id id)
{
    if ((unsigned)id >= SIP_H_COUNT)
        return SLICE("");
    return slice_of(names[id].text, names[id].len);
}

/* --- transports ------------------------------------------------------------------------------ */

static const struct slice transports_via[SIP_TRANSPORT_COUNT] = {
    [SIP_UDP] = {"UDP", 3}, [SIP_TCP] = {"TCP", 3}, [SIP_TLS] = {"TLS", 3},
    [SIP_WS] = {"WS", 2},   [SIP_WSS] = {"WSS", 3},
};

static const struct slice transports_param[SIP_TRANSPORT_COUNT] = {
    [SIP_UDP] = {"udp", 3}, [SIP_TCP] = {"tcp", 3}, [SIP_TLS] = {"tls", 3},
    [SIP_WS] = {"ws", 2},   [SIP_WSS] = {"ws", 2},
};

/* Three letters as one number, without regard to case: only a letter gives the same with 0x20 set.
 */
#define LETTERS(a, b, c) ((unsigned)(a) << 16 | (unsigned)(b) << 8 | (unsigned)(c) | 0x202020)

enum sip_transport sip_transport_of(struct slice text)
{
    const char *p = text.ptr;
    if (text.len == 2)
        return LETTERS(0, (unsigned char)p[0], (unsigned char)p[1]) == LETTERS(0, 'w', 's')
                   ? SIP_WS
                   : SIP_TRANSPORT_NONE;
    if (text.len != 3)
        return SIP_TRANSPORT_NONE;
    switch (LETTERS((unsigned char)p[0], (unsigned char)p[1], (unsigned char)p[2])) {
    case LETTERS('u', 'd', 'p'): return SIP_UDP;
    case LETTERS('t', 'c', 'p'): return SIP_TCP;
    case LETTERS('t', 'l', 's'): return SIP_TLS;
    case LETTERS('w', 's', 's'): return SIP_WSS;
    default: return SIP_TRANSPORT_NONE;
    }
}

struct slice sip_transport_via(enum sip_transport t)
{
    return (unsigned)t < SIP_TRANSPORT_COUNT ? transports_via[t] : SLICE("");
}

struct slice sip_transport_param(enum sip_transport t)
{
    return (unsigned)t < SIP_TRANSPORT_COUNT ? transports_param[t] : SLICE("");
}

uint16_t sip_transport_port(enum sip_transport t)
{
    return t == SIP_TLS || t == SIP_WSS ? 5061 : 5060;
}
