/* SPDX-License-Identifier: Apache-2.0 */
#include "net/dns.h"

#include <string.h>

#define HEADER_LEN    12
#define RR_FIXED_LEN  10 /* type, class, TTL, length */
#define CLASS_IN      1
#define WIRE_NAME_MAX 255 /* RFC 1035 3.1, the root's length byte counted */
#define LABEL_MAX     63
#define JUMPS_MAX     64 /* compression pointers in one name */
#define ALIASES_MAX   32 /* CNAME records in one answer, of whatever owner */
#define PICKS_MAX     32
#define TTL_LIMIT     0x7fffffffu

_Static_assert(PICKS_MAX >= NET_SRV_MAX && PICKS_MAX >= NET_NAPTR_MAX && PICKS_MAX >= NET_ADDRS_MAX,
               "the best records are picked in one array");

/* Labels with their lengths in front, lower case, without compression. */
struct wire_name {
    size_t len;
    uint8_t bytes[WIRE_NAME_MAX];
};

struct rr {
    size_t owner; /* where its name begins */
    uint16_t type;
    uint32_t ttl;
    size_t data, len;
};

/* A record that is among the best so far; `key` is what it is sorted by. */
struct pick {
    uint32_t key;
    size_t data, len;
};

struct reader {
    const uint8_t *msg;
    size_t len;
    enum dns_type type;
    uint16_t answers, authorities;
    size_t answers_at;
    struct wire_name name; /* what was asked for, then the end of the chain */
    struct dns_answer *out;
    unsigned npicks;
    struct pick picks[PICKS_MAX];
};

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static uint8_t lower(uint8_t c)
{
    return (uint8_t)ascii_lower((char)c);
}

/* The name at *at, which goes behind it. A pointer leads backwards only, and not for ever. */
static int read_name(const struct reader *r, size_t *at, struct wire_name *name)
{
    size_t i = *at, behind = 0, barrier = *at;
    unsigned jumps = 0;
    for (name->len = 0;;) {
        if (i >= r->len)
            return ERR_DNS_BAD;
        uint8_t n = r->msg[i];
        if (n > LABEL_MAX) {
            if ((n & 0xc0) != 0xc0 || i + 2 > r->len || ++jumps > JUMPS_MAX)
                return ERR_DNS_BAD;
            if (behind == 0)
                behind = i + 2;
            i = get16(r->msg + i) & 0x3fffu;
            if (i >= barrier)
                return ERR_DNS_BAD;
            barrier = i;
            continue;
        }
        if (i + 1 + n > r->len || name->len + 1 + n > sizeof(name->bytes))
            return ERR_DNS_BAD;
        name->bytes[name->len++] = n;
        for (unsigned k = 1; k <= n; k++)
            name->bytes[name->len++] = lower(r->msg[i + k]);
        i += 1u + n;
        if (n == 0)
            break;
    }
    *at = behind != 0 ? behind : i;
    return 0;
}

static bool same_name(const struct wire_name *a, const struct wire_name *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

/* The record at *at, which goes behind it. */
static int read_rr(const struct reader *r, size_t *at, struct rr *rr, struct wire_name *owner)
{
    rr->owner = *at;
    int rc = read_name(r, at, owner);
    if (rc != 0)
        return rc;
    if (r->len - *at < RR_FIXED_LEN)
        return ERR_DNS_BAD;
    const uint8_t *p = r->msg + *at;
    rr->type = get16(p + 2) == CLASS_IN ? get16(p) : 0;
    rr->ttl = get32(p + 4);
    if (rr->ttl > TTL_LIMIT)
        rr->ttl = 0;
    rr->len = get16(p + 8);
    rr->data = *at + RR_FIXED_LEN;
    if (rr->len > r->len - rr->data)
        return ERR_DNS_BAD;
    *at = rr->data + rr->len;
    return 0;
}

static int read_header(struct reader *r)
{
    if (r->len < HEADER_LEN)
        return ERR_DNS_BAD;
    uint16_t flags = get16(r->msg + 2);
    bool is_answer = (flags & 0x8000) != 0, is_query = (flags & 0x7800) == 0;
    bool is_cut = (flags & 0x0200) != 0;
    if (!is_answer || !is_query || is_cut || get16(r->msg + 4) != 1)
        return ERR_DNS_BAD;
    unsigned rcode = flags & 0x0f;
    if (rcode != 0 && rcode != 3)
        return ERR_DNS_REFUSED;
    r->answers = get16(r->msg + 6);
    r->authorities = get16(r->msg + 8);
    size_t at = HEADER_LEN;
    int rc = read_name(r, &at, &r->name);
    if (rc != 0)
        return rc;
    if (r->len - at < 4 || get16(r->msg + at) != r->type || get16(r->msg + at + 2) != CLASS_IN)
        return ERR_DNS_BAD;
    r->answers_at = at + 4;
    return 0;
}

static void use_ttl(struct reader *r, uint32_t ttl)
{
    if (ttl < r->out->ttl)
        r->out->ttl = ttl;
}

/* Moves r->name along one alias; 1: moved, 0: it has none, < 0: malformed. */
static int follow_one(struct reader *r, const struct rr *aliases, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct wire_name owner, target;
        size_t at = aliases[i].owner;
        if (read_name(r, &at, &owner) != 0 || !same_name(&owner, &r->name))
            continue;
        at = aliases[i].data;
        if (read_name(r, &at, &target) != 0 || at != aliases[i].data + aliases[i].len)
            return ERR_DNS_BAD;
        r->name = target;
        use_ttl(r, aliases[i].ttl);
        return 1;
    }
    return 0;
}

/* Every record of the answer is walked over here, so that a malformed one is found whatever it is.
 * *end: behind the last one. */
static int follow_aliases(struct reader *r, size_t *end)
{
    struct rr aliases[ALIASES_MAX];
    struct wire_name owner;
    unsigned n = 0, steps = 0;
    size_t at = r->answers_at;
    for (unsigned i = 0; i < r->answers; i++) {
        struct rr rr;
        int rc = read_rr(r, &at, &rr, &owner);
        if (rc != 0)
            return rc;
        if (rr.type != DNS_CNAME)
            continue;
        if (n == ALIASES_MAX)
            return ERR_DNS_BAD;
        aliases[n++] = rr;
    }
    *end = at;
    for (;;) {
        int rc = follow_one(r, aliases, n);
        if (rc <= 0)
            return rc;
        if (++steps > DNS_CNAMES_MAX)
            return ERR_DNS_BAD;
    }
}

/* How long "there is none" holds: the SOA's TTL or its last field, whichever is less (RFC 2308 5).
 */
static int read_absence(struct reader *r, size_t at)
{
    uint32_t ttl = 0;
    for (unsigned i = 0; i < r->authorities; i++) {
        struct wire_name owner;
        struct rr rr;
        int rc = read_rr(r, &at, &rr, &owner);
        if (rc != 0)
            return rc;
        if (rr.type != DNS_SOA || rr.len < 22) /* two roots and five numbers */
            continue;
        uint32_t minimum = get32(r->msg + rr.data + rr.len - 4);
        ttl = rr.ttl < minimum ? rr.ttl : minimum;
        break;
    }
    use_ttl(r, ttl);
    return ERR_NOT_FOUND;
}

/* Text of a name whose labels a host name or a service may have; false: it is another one. The root
 * is empty. */
static bool add_name(struct dns_answer *out, const struct wire_name *name, struct slice *text)
{
    char *p = out->text + out->text_len, *begin = p;
    for (size_t i = 0; name->bytes[i] != 0; i += 1u + name->bytes[i]) {
        if (i != 0)
            *p++ = '.';
        for (unsigned k = 1; k <= name->bytes[i]; k++) {
            char c = (char)name->bytes[i + k];
            bool is_fit = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
            if (!is_fit)
                return false;
            *p++ = c;
        }
    }
    *text = slice_of(begin, (size_t)(p - begin));
    out->text_len += text->len;
    return true;
}

/* --- what stands in a record ------------------------------------------------------------------ */

static int put_addr(struct reader *r, const struct pick *pick)
{
    bool is_ip4 = r->type == DNS_A;
    size_t len = is_ip4 ? 4 : 16;
    if (pick->len != len)
        return ERR_DNS_BAD;
    struct addr *a = &r->out->addrs[r->out->n];
    *a = (struct addr){.family = is_ip4 ? ADDR_IP4 : ADDR_IP6};
    memcpy(a->ip, r->msg + pick->data, len);
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (!is_ip4 && memcmp(a->ip, mapped, sizeof(mapped)) == 0) {
        uint8_t ip4[4];
        memcpy(ip4, a->ip + 12, 4);
        *a = (struct addr){.family = ADDR_IP4};
        memcpy(a->ip, ip4, 4);
    }
    if (!addr_is_any(a))
        r->out->n++;
    return 0;
}

static int put_srv(struct reader *r, const struct pick *pick)
{
    struct dns_answer *out = r->out;
    const uint8_t *p = r->msg + pick->data;
    struct net_srv s = {.priority = get16(p), .weight = get16(p + 2), .port = get16(p + 4)};
    struct wire_name target;
    size_t at = pick->data + 6;
    int rc = read_name(r, &at, &target);
    if (rc != 0 || at != pick->data + pick->len)
        return ERR_DNS_BAD;
    if (target.len == 1)
        out->is_denied = true;
    else if (s.port != 0 && add_name(out, &target, &s.target))
        out->srvs[out->n++] = s;
    return 0;
}

/* A character-string at *at, inside `end`; NULL: it is not whole. */
static bool read_string(const struct reader *r, size_t *at, size_t end, struct slice *out)
{
    if (*at >= end || (size_t)r->msg[*at] > end - *at - 1)
        return false;
    *out = slice_of((const char *)r->msg + *at + 1, r->msg[*at]);
    *at += 1 + out->len;
    return true;
}

static bool add_word(struct dns_answer *out, struct slice *word, size_t max)
{
    if (word->len > max)
        return false;
    for (size_t i = 0; i < word->len; i++) {
        if (word->ptr[i] <= ' ' || word->ptr[i] > '~')
            return false;
    }
    char *copy = out->text + out->text_len;
    if (word->len != 0)
        memcpy(copy, word->ptr, word->len);
    *word = slice_of(copy, word->len);
    out->text_len += word->len;
    return true;
}

/* Fields of a NAPTR record; its name is read where it is put. */
struct naptr_fields {
    struct slice flags, service, regexp;
    size_t replacement;
};

static bool read_naptr(const struct reader *r, size_t data, size_t len, struct naptr_fields *f)
{
    size_t at = data + 4, end = data + len;
    bool is_whole = read_string(r, &at, end, &f->flags) && read_string(r, &at, end, &f->service) &&
                    read_string(r, &at, end, &f->regexp);
    f->replacement = at;
    return is_whole && at < end;
}

/* RFC 3263 4.1: SIP's service, and a replacement, not a regular expression. */
static bool is_sip_naptr(const struct naptr_fields *f)
{
    bool is_sip = slice_istarts(f->service, SLICE("SIP+")) ||
                  slice_istarts(f->service, SLICE("SIPS+"));
    return is_sip && f->regexp.len == 0;
}

static int put_naptr(struct reader *r, const struct pick *pick)
{
    struct dns_answer *out = r->out;
    const uint8_t *p = r->msg + pick->data;
    struct net_naptr n = {.order = get16(p), .preference = get16(p + 2)};
    struct naptr_fields f;
    struct wire_name replacement;
    if (!read_naptr(r, pick->data, pick->len, &f))
        return ERR_DNS_BAD;
    size_t at = f.replacement, before = out->text_len;
    if (read_name(r, &at, &replacement) != 0 || at != pick->data + pick->len)
        return ERR_DNS_BAD;
    n.flags = f.flags;
    n.service = f.service;
    if (replacement.len > 1 && add_word(out, &n.flags, DNS_FLAGS_MAX) &&
        add_word(out, &n.service, DNS_SERVICE_MAX) && add_name(out, &replacement, &n.replacement))
        out->naptrs[out->n++] = n;
    else
        out->text_len = before;
    return 0;
}

/* --- which records ---------------------------------------------------------------------------- */

/* Kept sorted, the earlier one first among equals; the last one goes when there is no room. */
static void add_pick(struct reader *r, const struct pick *pick, unsigned max)
{
    unsigned i = r->npicks;
    if (i == max) {
        r->out->left++;
        if (r->picks[--i].key <= pick->key)
            return;
    } else {
        r->npicks++;
    }
    for (; i > 0 && r->picks[i - 1].key > pick->key; i--)
        r->picks[i] = r->picks[i - 1];
    r->picks[i] = *pick;
}

static int pick_one(struct reader *r, const struct rr *rr)
{
    const uint8_t *p = r->msg + rr->data;
    struct pick pick = {0, rr->data, rr->len};
    struct naptr_fields f;
    switch (r->type) {
    case DNS_A:
    case DNS_AAAA: add_pick(r, &pick, NET_ADDRS_MAX); return 0;
    case DNS_SRV:
        if (rr->len < 7)
            return ERR_DNS_BAD;
        pick.key = get16(p);
        add_pick(r, &pick, NET_SRV_MAX);
        return 0;
    case DNS_NAPTR:
        if (rr->len < 8 || !read_naptr(r, rr->data, rr->len, &f))
            return ERR_DNS_BAD;
        pick.key = get32(p);
        if (is_sip_naptr(&f))
            add_pick(r, &pick, NET_NAPTR_MAX);
        return 0;
    case DNS_CNAME:
    case DNS_SOA: break;
    }
    return ERR_DNS_BAD;
}

/* 1: there are records, of SIP or not; 0: none; < 0. */
static int pick_records(struct reader *r)
{
    size_t at = r->answers_at;
    int found = 0;
    for (unsigned i = 0; i < r->answers; i++) {
        struct wire_name owner;
        struct rr rr;
        int rc = read_rr(r, &at, &rr, &owner);
        if (rc == 0 && (rr.type != r->type || !same_name(&owner, &r->name)))
            continue;
        if (rc == 0)
            rc = pick_one(r, &rr);
        if (rc != 0)
            return rc;
        use_ttl(r, rr.ttl);
        found = 1;
    }
    return found;
}

static int put_records(struct reader *r)
{
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < r->npicks; i++) {
        if (r->type == DNS_SRV)
            rc = put_srv(r, &r->picks[i]);
        else if (r->type == DNS_NAPTR)
            rc = put_naptr(r, &r->picks[i]);
        else
            rc = put_addr(r, &r->picks[i]);
    }
    return rc;
}

int dns_answer_parse(const uint8_t *msg, size_t len, enum dns_type type, struct dns_answer *out)
{
    struct reader r = {.msg = msg, .len = len, .type = type, .out = out};
    size_t end = 0;
    out->ttl = TTL_LIMIT;
    out->n = out->left = 0;
    out->is_denied = false;
    out->text_len = 0;
    int rc = read_header(&r);
    if (rc == 0)
        rc = follow_aliases(&r, &end);
    if (rc != 0)
        return rc;
    rc = pick_records(&r);
    if (rc < 0)
        return rc;
    return rc == 0 ? read_absence(&r, end) : put_records(&r);
}
