/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/http_rules.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

/* --- how often --- */

static struct addr client_of(const struct addr *a)
{
    struct addr who = *a;
    who.port = 0;
    who.scope = 0;
    if (who.family == ADDR_IP6)
        memset(who.ip + 8, 0, 8);
    return who;
}

bool http_limits_take(struct http_limits *l, const struct addr *client, uint64_t now)
{
    struct addr who = client_of(client);
    unsigned at = 0;
    for (unsigned i = 0; i < HTTP_CLIENTS; i++) {
        if (addr_eq(&l->client[i].who, &who)) {
            at = i;
            break;
        }
        if (l->client[i].last < l->client[at].last)
            at = i;
    }
    if (!addr_eq(&l->client[at].who, &who)) {
        l->client[at].who = who;
        l->client[at].milli = HTTP_BURST * 1000;
        l->client[at].last = now;
    }
    uint64_t gone = now > l->client[at].last ? now - l->client[at].last : 0;
    uint64_t milli = l->client[at].milli + (gone > 60000 ? 60000 : gone) * HTTP_RATE;
    if (milli > HTTP_BURST * 1000)
        milli = HTTP_BURST * 1000;
    bool ok = milli >= 1000;
    l->client[at].milli = (uint32_t)(ok ? milli - 1000 : milli);
    l->client[at].last = now;
    return ok;
}

/* --- who --- */

bool http_has_token(struct slice authorization, struct slice token)
{
    unsigned char a[SHA256_DIGEST_LENGTH], b[SHA256_DIGEST_LENGTH];
    struct slice given = SLICE_NONE;
    if (slice_istarts(authorization, SLICE("Bearer ")))
        given = slice_trim(slice_of(authorization.ptr + 7, authorization.len - 7));
    SHA256((const unsigned char *)(given.ptr != NULL ? given.ptr : ""), given.len, a);
    SHA256((const unsigned char *)token.ptr, token.len, b);
    return CRYPTO_memcmp(a, b, sizeof(a)) == 0 && given.len == token.len;
}

/* Without the port. */
static struct slice host_name(struct slice host)
{
    ptrdiff_t end = host.len != 0 && host.ptr[0] == '[' ? slice_chr(host, ']') + 1
                                                        : slice_chr(host, ':');
    uint64_t port;
    if (end <= 0 || (size_t)end == host.len)
        return host;
    struct slice rest = slice_of(host.ptr + end, host.len - (size_t)end);
    if (rest.ptr[0] != ':' || slice_u64(slice_of(rest.ptr + 1, rest.len - 1), 65535, &port) != 0)
        return SLICE_NONE;
    return slice_of(host.ptr, (size_t)end);
}

bool http_is_own_host(struct slice host, struct slice machine)
{
    struct slice name = host_name(host);
    struct addr a;
    if (name.len == 0)
        return false;
    return slice_ieq(name, SLICE("localhost")) || slice_ieq(name, machine) ||
           addr_parse_ip(name, 0, &a) == 0;
}

bool http_is_same_origin(struct slice origin, bool is_tls, struct slice host)
{
    struct slice scheme = is_tls ? SLICE("https://") : SLICE("http://");
    if (!slice_istarts(origin, scheme))
        return false;
    return slice_ieq(slice_of(origin.ptr + scheme.len, origin.len - scheme.len), host);
}

bool http_is_json(struct slice type)
{
    ptrdiff_t end = slice_chr(type, ';');
    if (end >= 0)
        type.len = (size_t)end;
    return slice_ieq(slice_trim(type), SLICE("application/json"));
}

/* --- a flat JSON object (RFC 8259) --- */

struct reading {
    char *at, *end;
};

static void skip_blanks(struct reading *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
        r->at++;
}

static bool take(struct reading *r, char c)
{
    skip_blanks(r);
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

static bool take_hex4(struct reading *r, unsigned *out)
{
    *out = 0;
    if (r->end - r->at < 4)
        return false;
    for (unsigned i = 0; i < 4; i++) {
        char c = ascii_lower(*r->at++);
        bool is_digit = c >= '0' && c <= '9', is_letter = c >= 'a' && c <= 'f';
        if (!is_digit && !is_letter)
            return false;
        *out = *out * 16 + (unsigned)(is_digit ? c - '0' : c - 'a' + 10);
    }
    return true;
}

/* As UTF-8; never longer than the escape that it was written as. */
static char *put_utf8(char *to, unsigned c)
{
    if (c < 0x80) {
        *to++ = (char)c;
        return to;
    }
    if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
    } else if (c < 0x10000) {
        *to++ = (char)(0xe0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
    } else {
        *to++ = (char)(0xf0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 0x3f));
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
    }
    *to++ = (char)(0x80 | (c & 0x3f));
    return to;
}

static bool take_unicode(struct reading *r, char **to)
{
    unsigned c, low;
    if (!take_hex4(r, &c) || (c >= 0xdc00 && c <= 0xdfff))
        return false;
    if (c >= 0xd800 && c <= 0xdbff) {
        if (r->end - r->at < 6 || r->at[0] != '\\' || r->at[1] != 'u')
            return false;
        r->at += 2;
        if (!take_hex4(r, &low) || low < 0xdc00 || low > 0xdfff)
            return false;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    *to = put_utf8(*to, c);
    return true;
}

static bool take_escape(struct reading *r, char **to)
{
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    if (r->at == r->end)
        return false;
    char c = *r->at++;
    if (c == 'u')
        return take_unicode(r, to);
    ptrdiff_t i = slice_chr(slice_of(from, sizeof(from) - 1), c);
    if (i < 0)
        return false;
    *(*to)++ = into[i];
    return true;
}

/* Unescaped in its own place. */
static bool take_string(struct reading *r, struct slice *out)
{
    if (!take(r, '"'))
        return false;
    char *start = r->at, *to = r->at;
    while (r->at < r->end && *r->at != '"') {
        unsigned char c = (unsigned char)*r->at++;
        if (c < 0x20)
            return false;
        if (c != '\\')
            *to++ = (char)c;
        else if (!take_escape(r, &to))
            return false;
    }
    *out = slice_of(start, (size_t)(to - start));
    return r->at++ < r->end;
}

static bool is_number(struct slice s)
{
    size_t i = s.len != 0 && s.ptr[0] == '-';
    size_t first = i;
    while (i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9')
        i++;
    return i == s.len && i > first && (s.ptr[first] != '0' || i == first + 1);
}

static bool take_value(struct reading *r, struct slice *out)
{
    skip_blanks(r);
    if (r->at < r->end && *r->at == '"')
        return take_string(r, out);
    char *start = r->at;
    while (r->at<r->end && * r->at> ' ' && *r->at != ',' && *r->at != '}')
        r->at++;
    *out = slice_of(start, (size_t)(r->at - start));
    return slice_eq(*out, SLICE("true")) || slice_eq(*out, SLICE("false")) || is_number(*out);
}

int http_parse_object(char *text, size_t len, struct http_member members[HTTP_MEMBERS_MAX])
{
    struct reading r = {text, text + len};
    unsigned n = 0;
    bool ok = take(&r, '{'), is_empty = ok && take(&r, '}');
    while (ok && !is_empty) {
        struct http_member m;
        ok = n < HTTP_MEMBERS_MAX && take_string(&r, &m.name) && take(&r, ':') &&
             take_value(&r, &m.value);
        for (unsigned i = 0; ok && i < n; i++)
            ok = !slice_eq(members[i].name, m.name);
        if (!ok)
            break;
        members[n++] = m;
        if (!take(&r, ',')) {
            ok = take(&r, '}');
            break;
        }
    }
    skip_blanks(&r);
    return ok && r.at == r.end ? (int)n : -1;
}
