/* SPDX-License-Identifier: Apache-2.0 */
#include "sip/mask.h"

#include "sip/method.h"

#define FILTERED        "CONTENT FILTERED"
#define FILTERED_LENGTH "16"

/* Headers of RFCs whose values tell of the call and not of the customer's data. What is not here is
 * private. User-to-User (RFC 7433) carries data of the application, and is. */
static const char *const known_names[] = {
    "Accept", "Accept-Contact", "Accept-Encoding", "Accept-Language", "Accept-Resource-Priority",
    "Additional-Identity", "Alert-Info", "Allow-Events", "Answer-Mode", "Authentication-Info",
    "Call-Info", "Cellular-Network-Info", "Content-Disposition", "Content-Encoding",
    "Content-Language", "Content-Transfer-Encoding", "Diversion", "DC-Info", "Encryption",
    "Error-Info", "Feature-Caps", "Geolocation", "Geolocation-Error", "Geolocation-Routing", "Hide",
    "History-Info", "Identity", "Identity-Info", "In-Reply-To", "Info-Package", "Join",
    "Max-Breadth", "MIME-Version", "Organization", "Origination-Id", "P-Access-Network-Info",
    "P-Answer-State", "P-Asserted-Identity", "P-Asserted-Service", "P-Associated-URI",
    "P-Called-Party-ID", "P-Charging-Function-Addresses", "P-Charging-Vector", "P-DCS-Redirect",
    "P-Early-Media", "P-Media-Authorization", "P-Preferred-Identity", "P-Preferred-Service",
    "P-Profile-Key", "P-Refused-URI-List", "P-Served-User", "P-User-Database",
    "P-Visited-Network-ID", "Permission-Missing", "Policy-Contact", "Policy-ID", "Priority",
    "Priority-Share", "Priority-Verstat", "Priv-Answer-Mode", "Privacy", "Recv-Info",
    "Refer-Events-At", "Refer-Sub", "Referred-By", "Reject-Contact", "Relayed-Charge",
    "Remote-Party-ID", "Replaces", "Reply-To", "Request-Disposition", "Resource-Priority",
    "Resource-Share", "Response-Key", "Restoration-Info", "RSeq", "Security-Client",
    "Security-Server", "Security-Verify", "Service-Interact-Info", "Session-ID", "SIP-ETag",
    "SIP-If-Match", "Source-Phone", "Subscription-State", "Suppress-If-Match", "Target-Dialog",
    "Trigger-Consent",
    /* compact forms of those that the table of methods does not know */
    "a", "b", "d", "e", "j", "n", "u", "y"};

/* Folds included. */
struct line {
    struct slice all; /* without the end of its last part */
    struct slice end; /* CRLF, or what stands there */
    bool has_cr;      /* a CR that is no line end */
    bool has_fold;
    bool is_odd;   /* whoever takes CR or LF for a line end reads something else */
    bool is_empty; /* the end of the head */
};

struct lines {
    const char *at, *end;
    bool was_odd; /* the line before ended with LF alone */
};

/* Up to the next LF. */
static void take_part(struct lines *s, struct line *l)
{
    const char *lf = memchr(s->at, '\n', (size_t)(s->end - s->at));
    const char *stop = lf != NULL ? lf : s->end;
    bool has_crlf = lf != NULL && lf > s->at && lf[-1] == '\r';
    const char *text_end = has_crlf ? lf - 1 : stop;
    const char *next = lf != NULL ? lf + 1 : s->end;
    if (memchr(s->at, '\r', (size_t)(text_end - s->at)) != NULL)
        l->has_cr = true;
    l->is_odd |= l->has_cr || s->was_odd || (lf != NULL && !has_crlf);
    s->was_odd = lf != NULL && !has_crlf;
    l->is_empty = text_end == l->all.ptr && lf != NULL;
    l->all.len = (size_t)(text_end - l->all.ptr);
    l->end = slice_of(text_end, (size_t)(next - text_end));
    s->at = next;
}

/* The next line of the head with its folds; false behind the last byte. */
static bool next_line(struct lines *s, struct line *l)
{
    if (s->at == s->end)
        return false;
    *l = (struct line){.all = {s->at, 0}};
    take_part(s, l);
    while (!l->is_empty && s->at < s->end && (*s->at == ' ' || *s->at == '\t')) {
        l->has_fold = true;
        take_part(s, l);
    }
    return true;
}

/* --- what a line is --------------------------------------------------------------------------- */

static bool is_token_char(char c)
{
    return (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') ||
           (c != '\0' && strchr("-.!%*_+`'~", c) != NULL);
}

/* The name, and in *value where what follows the colon and its blanks begins. Empty: none. */
static struct slice name_of(const struct line *l, size_t *value)
{
    const char *p = l->all.ptr;
    size_t n = 0, at, max = l->all.len;
    while (n < max && is_token_char(p[n]))
        n++;
    for (at = n; at < max && (p[at] == ' ' || p[at] == '\t');)
        at++;
    if (n == 0 || at == max || p[at] != ':')
        return slice_of(p, 0);
    for (at++; at < max && (p[at] == ' ' || p[at] == '\t');)
        at++;
    *value = at;
    return slice_of(p, n);
}

static bool is_credentials(enum sip_hdr_id id)
{
    return id == SIP_H_AUTHORIZATION || id == SIP_H_PROXY_AUTHORIZATION;
}

static bool is_challenge(enum sip_hdr_id id, struct slice name)
{
    return id == SIP_H_WWW_AUTHENTICATE || id == SIP_H_PROXY_AUTHENTICATE ||
           slice_ieq(name, SLICE("Authentication-Info"));
}

static bool may_show(const struct sip_mask_conf *conf, struct slice name)
{
    enum sip_hdr_id id = sip_hdr_of(name);
    if (is_credentials(id) || (conf->is_log && is_challenge(id, name)))
        return false;
    if (!conf->is_on)
        return true;
    if (id != SIP_H_OTHER && id != SIP_H_X_GENESYS_ROUTE)
        return true;
    for (unsigned i = 0; i < conf->nunmask; i++) {
        if (slice_ieq(conf->unmask[i], name))
            return true;
    }
    for (size_t i = 0; i < sizeof(known_names) / sizeof(known_names[0]); i++) {
        if (slice_ieq(slice_str(known_names[i]), name))
            return true;
    }
    return false;
}

/* --- the body --------------------------------------------------------------------------------- */

struct head {
    struct slice body;
    bool is_odd;     /* so that where the body begins depends on who reads */
    bool is_encoded; /* Content-Encoding */
    unsigned ntypes, nlengths;
    struct slice type;
    uint64_t length; /* of one Content-Length that is a number; else UINT64_MAX */
};

static void look_at_header(struct head *h, const struct line *l)
{
    size_t at = 0;
    struct slice name = name_of(l, &at);
    struct slice value = slice_of(l->all.ptr + at, l->all.len - at);
    enum sip_hdr_id id = sip_hdr_of(name);
    if (id == SIP_H_CONTENT_TYPE) {
        h->ntypes++;
        h->type = value;
    } else if (id == SIP_H_CONTENT_LENGTH) {
        uint64_t length;
        bool is_number = slice_u64(slice_trim(value), UINT32_MAX, &length) == 0;
        h->length = h->nlengths++ == 0 && is_number ? length : UINT64_MAX;
    } else if (slice_ieq(name, SLICE("Content-Encoding")) || slice_ieq(name, SLICE("e"))) {
        h->is_encoded = true;
    }
}

static void look_at_head(struct slice message, struct head *h)
{
    struct lines s = {message.ptr, message.ptr + message.len, false};
    struct line l;
    *h = (struct head){.length = UINT64_MAX};
    bool is_first = true;
    while (next_line(&s, &l)) {
        h->is_odd |= l.is_odd;
        if (l.is_empty && !is_first)
            break;
        if (l.is_empty)
            continue;
        if (!is_first)
            look_at_header(h, &l);
        is_first = false;
    }
    h->body = slice_of(s.at, (size_t)(s.end - s.at));
}

/* Is the body shown, its length given? */
static bool may_show_body(const struct sip_mask_conf *conf, const struct head *h)
{
    if (!conf->is_on)
        return !h->is_odd;
    if (h->is_odd || h->is_encoded || h->ntypes != 1 || h->nlengths > 1)
        return false;
    if (h->nlengths == 1 && h->length < h->body.len)
        return false;
    ptrdiff_t semicolon = slice_chr(h->type, ';');
    struct slice type = slice_of(h->type.ptr, semicolon >= 0 ? (size_t)semicolon : h->type.len);
    type = slice_trim(type);
    if (slice_ieq(type, SLICE("application/sdp")))
        return true;
    if (!slice_ieq(type, SLICE("application/vnd.radisys.msml+xml")))
        return false;
    for (size_t i = 0; i + sizeof("gvp:param") - 1 <= h->body.len; i++) {
        if (slice_istarts(slice_of(h->body.ptr + i, h->body.len - i), SLICE("gvp:param")))
            return false;
    }
    return true;
}

/* --- writing ---------------------------------------------------------------------------------- */

/* As much as there is room for. */
static void put(struct buf *out, const void *ptr, size_t len)
{
    size_t room = out->cap - out->len;
    buf_add(out, ptr, len < room ? len : room);
    out->overflow |= len > room;
}

static void put_slice(struct buf *out, struct slice s)
{
    put(out, s.ptr, s.len);
}

static bool ends_user(char c)
{
    return c == '@' || c == '<' || c == '>' || c == '"' || (unsigned char)c <= ' ';
}

/* Behind "sip:" or "sips:" at p, up to and with the '@' or what shows that there is no user. */
static const char *put_user(struct buf *out, const char *p, const char *end)
{
    const char *stop = p;
    while (stop < end && !ends_user(*stop))
        stop++;
    const char *colon = memchr(p, ':', (size_t)(stop - p));
    if (stop == end || *stop != '@' || colon == NULL || colon + 1 == stop) {
        put(out, p, (size_t)(stop - p));
        return stop;
    }
    put(out, p, (size_t)(colon + 1 - p));
    put(out, "*", 1);
    return stop;
}

/* A value that is shown, but for passwords in it (RFC 3261 19.1.1). */
static void put_shown(struct buf *out, struct slice s)
{
    const char *p = s.ptr, *end = s.ptr + s.len, *done = p;
    while ((p = memchr(p, ':', (size_t)(end - p))) != NULL) {
        size_t before = (size_t)(p - s.ptr);
        bool is_uri = (before >= 3 && slice_ieq_bytes(p - 3, "sip", 3)) ||
                      (before >= 4 && slice_ieq_bytes(p - 4, "sips", 4));
        p++;
        if (!is_uri)
            continue;
        put(out, done, (size_t)(p - done));
        done = p = put_user(out, p, end);
    }
    put(out, done, (size_t)(end - done));
}

static void put_start(const struct sip_mask_conf *conf, const struct line *l, struct buf *out)
{
    struct slice s = l->all;
    bool is_sip = slice_starts(s, SLICE("SIP/2.0 ")) ||
                  (s.len > 8 && memcmp(s.ptr + s.len - 8, " SIP/2.0", 8) == 0);
    if ((is_sip || !conf->is_on) && !l->has_cr && !l->has_fold)
        put_shown(out, s);
    else
        put(out, "*", 1);
    put_slice(out, l->end);
}

/* A line that is no header: no name, or blanks in it. */
static bool shows_nameless(const struct sip_mask_conf *conf, const struct line *l)
{
    return !conf->is_on && !l->has_fold && slice_chr(l->all, ':') < 0;
}

static void put_header(const struct sip_mask_conf *conf, const struct head *h, bool shows_body,
                       const struct line *l, struct buf *out)
{
    size_t at = 0;
    struct slice name = name_of(l, &at);
    struct slice value = slice_of(l->all.ptr + at, l->all.len - at);
    bool is_length = sip_hdr_of(name) == SIP_H_CONTENT_LENGTH && h->length != UINT64_MAX;
    if (name.len != 0 && !l->is_odd && is_length && !shows_body && h->body.len != 0) {
        put(out, l->all.ptr, at);
        put_slice(out, SLICE(FILTERED_LENGTH));
    } else if (!l->is_odd && (name.len != 0 ? may_show(conf, name) : shows_nameless(conf, l))) {
        put_shown(out, l->all);
    } else {
        put(out, l->all.ptr, at);
        if (name.len == 0 || slice_trim(value).len != 0)
            put(out, "*", 1);
    }
    put_slice(out, l->end);
}

void sip_mask(const struct sip_mask_conf *conf, struct slice message, struct buf *out)
{
    if (!conf->is_on && !conf->is_log) {
        put_slice(out, message);
        return;
    }
    struct lines s = {message.ptr, message.ptr + message.len, false};
    struct head h;
    struct line l;
    if (message.len == 0)
        return;
    look_at_head(message, &h);
    bool shows_body = may_show_body(conf, &h);
    bool is_first = true;
    while (s.at < h.body.ptr && next_line(&s, &l)) {
        if (l.is_empty)
            put_slice(out, l.end);
        else if (is_first)
            put_start(conf, &l, out);
        else
            put_header(conf, &h, shows_body, &l, out);
        is_first &= l.is_empty;
    }
    if (shows_body)
        put_slice(out, h.body);
    else if (h.body.len != 0)
        put_slice(out, SLICE(FILTERED));
}
