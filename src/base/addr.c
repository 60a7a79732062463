/* SPDX-License-Identifier: Apache-2.0 */
#include "base/addr.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/hash.h"

/* Equality is equality of bytes. */
_Static_assert(sizeof(struct addr) == 24, "struct addr has no holes");

static bool is_link_local(const uint8_t ip[16])
{
    return ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80;
}

static void set_ip4(struct addr *a, const void *ip, uint16_t port)
{
    *a = (struct addr){.family = ADDR_IP4, .port = port};
    memcpy(a->ip, ip, 4);
}

static void set_ip6(struct addr *a, const void *ip, uint16_t port, uint32_t scope)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    if (memcmp(ip, mapped, sizeof(mapped)) == 0) {
        set_ip4(a, (const uint8_t *)ip + sizeof(mapped), port);
        return;
    }
    *a = (struct addr){.family = ADDR_IP6, .port = port};
    memcpy(a->ip, ip, sizeof(a->ip));
    if (is_link_local(a->ip))
        a->scope = scope;
}

/* --- reading ------------------------------------------------------------------------------- */

/* Four decimal numbers without leading zeros. */
static bool parse_ip4(struct slice s, uint8_t ip[4])
{
    const char *p = s.ptr, *end = p + s.len;

    for (unsigned i = 0; i < 4; i++) {
        const char *first = p;
        if (!addr_octet(&p, end, &ip[i]) || (p - first > 1 && *first == '0'))
            return false;
        if (i < 3 && (p == end || *p++ != '.'))
            return false;
    }
    return p == end;
}

static bool parse_ip6(struct slice s, uint8_t ip[16])
{
    char text[INET6_ADDRSTRLEN];

    return slice_cstr(s, text, sizeof(text)) && inet_pton(AF_INET6, text, ip) == 1;
}

/* The interface after "%": an index or a name. 0: there is none such. */
static uint32_t parse_scope(struct slice s)
{
    char name[IF_NAMESIZE];
    uint64_t index;

    if (slice_u64(s, UINT32_MAX, &index) == 0)
        return (uint32_t)index;
    return s.len != 0 && slice_cstr(s, name, sizeof(name)) ? if_nametoindex(name) : 0;
}

static int parse_host6(struct slice host, uint16_t port, struct addr *out)
{
    ptrdiff_t percent = slice_chr(host, '%');
    uint32_t scope = 0;
    uint8_t ip[16];

    if (!parse_ip6(percent < 0 ? host : slice_of(host.ptr, (size_t)percent), ip))
        return ERR_PARSE;
    if (percent >= 0) {
        /* Asked only for link-local addresses: a name costs a system call. */
        if (is_link_local(ip))
            scope = parse_scope(slice_of(host.ptr + percent + 1, host.len - (size_t)percent - 1));
        if (scope == 0)
            return ERR_PARSE;
    }
    set_ip6(out, ip, port, scope);
    return 0;
}

int addr_parse_ip(struct slice host, uint16_t port, struct addr *out)
{
    uint8_t ip[4];

    if (host.len >= 2 && host.ptr[0] == '[') {
        if (host.ptr[host.len - 1] != ']')
            return ERR_PARSE;
        return parse_host6(slice_of(host.ptr + 1, host.len - 2), port, out);
    }
    if (parse_ip4(host, ip)) {
        set_ip4(out, ip, port);
        return 0;
    }
    return slice_chr(host, ':') >= 0 ? parse_host6(host, port, out) : ERR_PARSE;
}

int addr_parse(struct slice text, uint16_t default_port, struct addr *out)
{
    bool brackets = text.len > 0 && text.ptr[0] == '[';
    ptrdiff_t end = slice_chr(text, brackets ? ']' : ':');
    uint64_t port = default_port;
    size_t host;

    if (brackets && end < 0)
        return ERR_PARSE;
    host = end < 0 ? text.len : (size_t)end + brackets;
    if (host < text.len) {
        struct slice digits = slice_of(text.ptr + host + 1, text.len - host - 1);
        if (text.ptr[host] != ':' || digits.len > 5 || slice_u64(digits, UINT16_MAX, &port) != 0)
            return ERR_PARSE;
    }
    return addr_parse_ip(slice_of(text.ptr, host), (uint16_t)port, out);
}

/* --- writing ------------------------------------------------------------------------------- */

static void write_ip4(struct buf *b, const uint8_t ip[4])
{
    char text[16], *p = text;

    for (unsigned i = 0; i < 4; i++) {
        unsigned v = ip[i];
        if (v > 99)
            *p++ = (char)('0' + v / 100);
        if (v > 9)
            *p++ = (char)('0' + v / 10 % 10);
        *p++ = (char)('0' + v % 10);
        *p++ = '.';
    }
    buf_add(b, text, (size_t)(p - text) - 1);
}

/* The longest run of two or more zero groups, the first of equal ones (RFC 5952 section 4.2). */
static unsigned zero_run(const uint16_t group[8], unsigned *length)
{
    unsigned best = 8;

    *length = 1;
    for (unsigned i = 0; i < 8; i++) {
        unsigned n = 0;
        while (i + n < 8 && group[i + n] == 0)
            n++;
        if (n > *length) {
            best = i;
            *length = n;
        }
    }
    return best;
}

static void write_ip6(struct buf *b, const uint8_t ip[16])
{
    uint16_t group[8];
    unsigned run, length;

    for (unsigned i = 0; i < 8; i++)
        group[i] = (uint16_t)(ip[2 * i] << 8 | ip[2 * i + 1]);
    run = zero_run(group, &length);
    for (unsigned i = 0; i < 8;) {
        if (i == run) {
            buf_lit(b, "::");
            i += length;
            continue;
        }
        if (i > 0 && i != run + length)
            buf_char(b, ':');
        buf_hex(b, group[i], 1u + (group[i] > 0xf) + (group[i] > 0xff) + (group[i] > 0xfff));
        i++;
    }
}

void addr_put_ip(struct buf *b, const struct addr *a, bool brackets)
{
    if (a->family == ADDR_IP4) {
        write_ip4(b, a->ip);
        return;
    }
    if (a->family != ADDR_IP6) {
        buf_char(b, '-');
        return;
    }
    if (brackets)
        buf_char(b, '[');
    write_ip6(b, a->ip);
    if (a->scope != 0) {
        buf_char(b, '%');
        buf_u64(b, a->scope);
    }
    if (brackets)
        buf_char(b, ']');
}

const char *addr_write(const struct addr *a, char *text)
{
    struct buf b;

    buf_init(&b, text, ADDR_TEXT_MAX);
    addr_put_ip(&b, a, true);
    if (a->family != ADDR_NONE) {
        buf_char(&b, ':');
        buf_u64(&b, a->port);
    }
    buf_char(&b, '\0');
    return text;
}

const char *addr_write_ip(const struct addr *a, bool brackets, char *text)
{
    struct buf b;

    buf_init(&b, text, ADDR_TEXT_MAX);
    addr_put_ip(&b, a, brackets);
    buf_char(&b, '\0');
    return text;
}

/* --- sockets ------------------------------------------------------------------------------- */

size_t addr_to_sockaddr(const struct addr *a, struct sockaddr *sa)
{
    struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(a->port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(a->port)};

    if (a->family == ADDR_IP4) {
        memcpy(&in4.sin_addr, a->ip, 4);
        memcpy(sa, &in4, sizeof(in4));
        return sizeof(in4);
    }
    if (a->family == ADDR_IP6) {
        in6.sin6_scope_id = a->scope;
        memcpy(&in6.sin6_addr, a->ip, 16);
        memcpy(sa, &in6, sizeof(in6));
        return sizeof(in6);
    }
    sa->sa_family = AF_UNSPEC;
    return 0;
}

int addr_from_sockaddr(const struct sockaddr *sa, struct addr *out)
{
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;

    if (sa->sa_family == AF_INET) {
        memcpy(&in4, sa, sizeof(in4));
        set_ip4(out, &in4.sin_addr, ntohs(in4.sin_port));
        return 0;
    }
    if (sa->sa_family == AF_INET6) {
        memcpy(&in6, sa, sizeof(in6));
        set_ip6(out, &in6.sin6_addr, ntohs(in6.sin6_port), in6.sin6_scope_id);
        return 0;
    }
    return ERR_UNSUPPORTED;
}

/* --- comparing ----------------------------------------------------------------------------- */

bool addr_eq(const struct addr *a, const struct addr *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

bool addr_eq_ip(const struct addr *a, const struct addr *b)
{
    return a->family == b->family && a->scope == b->scope && memcmp(a->ip, b->ip, 16) == 0;
}

bool addr_is_any(const struct addr *a)
{
    static const uint8_t zero[16];
    return a->family != ADDR_NONE && memcmp(a->ip, zero, sizeof(zero)) == 0;
}

bool addr_is_host(const struct addr *a)
{
    static const uint8_t all[4] = {255, 255, 255, 255};
    if (addr_is_any(a))
        return false;
    if (a->family == ADDR_IP6)
        return a->ip[0] != 0xff;
    return (a->ip[0] & 0xf0) != 0xe0 && memcmp(a->ip, all, 4) != 0;
}

bool addr_is_loopback(const struct addr *a)
{
    static const uint8_t one[16] = {[15] = 1};

    if (a->family == ADDR_IP4)
        return a->ip[0] == 127;
    return a->family == ADDR_IP6 && memcmp(a->ip, one, sizeof(one)) == 0;
}

uint64_t addr_hash(const struct addr *a)
{
    uint64_t word[3];

    memcpy(word, a, sizeof(word));
    return hash_mix(word[0] ^ hash_mix(word[1] ^ hash_mix(word[2] + 0x9e3779b97f4a7c15ULL)));
}

/* --- networks ------------------------------------------------------------------------------ */

static unsigned family_bits(const struct addr *a)
{
    return a->family == ADDR_IP4 ? 32 : 128;
}

int addr_net_parse(struct slice text, struct addr_net *out)
{
    ptrdiff_t slash = slice_chr(text, '/');
    struct slice host = slash < 0 ? text : slice_of(text.ptr, (size_t)slash);
    uint64_t bits = 128;
    unsigned max;
    struct addr a;
    int err;

    if (addr_parse_ip(host, 0, &a) != 0)
        return ERR_PARSE;
    max = slice_chr(host, ':') >= 0 ? 128 : 32;
    bits = max;
    if (slash >= 0) {
        err = slice_u64(slice_of(text.ptr + slash + 1, text.len - (size_t)slash - 1), max, &bits);
        if (err != 0)
            return err;
    }
    /* "::ffff:10.0.0.0/104" has become 10.0.0.0. */
    if (bits < max - family_bits(&a))
        return ERR_RANGE;
    bits -= max - family_bits(&a);
    for (unsigned i = (unsigned)bits; i < family_bits(&a); i++)
        a.ip[i / 8] &= (uint8_t) ~(0x80u >> i % 8);
    *out = (struct addr_net){a, (uint8_t)bits};
    return 0;
}

bool addr_net_has(const struct addr_net *net, const struct addr *a)
{
    unsigned bytes = net->bits / 8;
    unsigned mask = 0xff00u >> net->bits % 8 & 0xff;

    if (a->family != net->base.family || a->family == ADDR_NONE)
        return false;
    if (net->base.scope != 0 && net->base.scope != a->scope)
        return false;
    if (memcmp(a->ip, net->base.ip, bytes) != 0)
        return false;
    return mask == 0 || (a->ip[bytes] & mask) == net->base.ip[bytes];
}

bool addr_nets_have(const struct addr_net *nets, size_t n, const struct addr *a)
{
    for (size_t i = 0; i < n; i++) {
        if (addr_net_has(&nets[i], a))
            return true;
    }
    return false;
}
