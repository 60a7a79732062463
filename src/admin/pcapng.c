/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/pcapng.h"

#include "base/alloc.h"
#include "base/buf.h"

#define STREAMS     1024u  /* directions of connections whose sequence numbers are known */
#define SEGMENT_MAX 32768u /* bytes of a message in one TCP segment */
#define HEADERS_MAX 60u    /* IPv6 and TCP */
#define DATA_MAX    65000u /* bytes in a UDP packet; IPv4 has room for 65,507 */
#define COMMENT_MAX 1000u

enum block { BLOCK_SECTION = 0x0a0d0d0a, BLOCK_INTERFACE = 1, BLOCK_PACKET = 6 };
enum option { OPTION_END = 0, OPTION_COMMENT = 1, OPTION_FLAGS = 2, OPTION_APPLICATION = 4 };
#define INTERFACE_NAME  2
#define INTERFACE_TSRES 9
#define LINK_RAW        101 /* begins with the IP header */
#define IP_TCP          6
#define IP_UDP          17

/* One direction of a connection. */
struct stream {
    struct addr from, to;
    uint32_t next; /* sequence number of its next byte */
};

struct pcapng {
    struct pcapng_sink sink;
    unsigned oldest; /* overwritten next */
    struct stream streams[STREAMS];
};

static uint32_t padded(size_t len)
{
    return ((uint32_t)len + 3) & ~(uint32_t)3;
}

/* --- blocks: in the byte order of this machine, which the section's first field tells -----------
 */

static void put(struct pcapng *p, const void *bytes, size_t len)
{
    if (len != 0)
        p->sink.put(p->sink.user, bytes, len);
}

static void put_u32(struct pcapng *p, uint32_t value)
{
    put(p, &value, sizeof(value));
}

static void put_u16(struct pcapng *p, uint16_t value)
{
    put(p, &value, sizeof(value));
}

static void put_padded(struct pcapng *p, const void *bytes, size_t len)
{
    static const char zeros[4];
    put(p, bytes, len);
    put(p, zeros, padded(len) - len);
}

static void put_option(struct pcapng *p, unsigned code, const void *bytes, size_t len)
{
    put_u16(p, (uint16_t)code);
    put_u16(p, (uint16_t)len);
    put_padded(p, bytes, len);
}

static uint32_t option_size(size_t len)
{
    return 4 + padded(len);
}

static void put_section(struct pcapng *p)
{
    static const char name[] = "Holdfast";
    uint32_t size = 28 + option_size(sizeof(name) - 1) + 4;
    put_u32(p, BLOCK_SECTION);
    put_u32(p, size);
    put_u32(p, 0x1a2b3c4d); /* byte order */
    put_u16(p, 1);          /* version 1.0 */
    put_u16(p, 0);
    put_u32(p, UINT32_MAX); /* length of the section: not known */
    put_u32(p, UINT32_MAX);
    put_option(p, OPTION_APPLICATION, name, sizeof(name) - 1);
    put_u32(p, OPTION_END);
    put_u32(p, size);
}

static void put_interface(struct pcapng *p)
{
    static const char name[] = "sip";
    static const uint8_t microseconds = 6;
    uint32_t size = 20 + option_size(sizeof(name) - 1) + option_size(1) + 4;
    put_u32(p, BLOCK_INTERFACE);
    put_u32(p, size);
    put_u16(p, LINK_RAW);
    put_u16(p, 0);
    put_u32(p, 0); /* no limit of length */
    put_option(p, INTERFACE_NAME, name, sizeof(name) - 1);
    put_option(p, INTERFACE_TSRES, &microseconds, 1);
    put_u32(p, OPTION_END);
    put_u32(p, size);
}

/* `length`: what the packet had on the wire. */
static void put_packet(struct pcapng *p, const struct pcapng_packet *m, struct slice headers,
                       struct slice data, size_t length)
{
    static const char zeros[4];
    size_t kept = headers.len + data.len;
    size_t comment = m->comment.len < COMMENT_MAX ? m->comment.len : COMMENT_MAX;
    uint32_t flags = m->is_out ? 2 : 1;
    while (comment < m->comment.len && comment != 0 &&
           ((unsigned char)m->comment.ptr[comment] & 0xc0) == 0x80)
        comment--; /* no character is cut in two */
    uint32_t size = 32 + padded(kept) + option_size(sizeof(flags)) + 4 +
                    (comment != 0 ? option_size(comment) : 0);
    put_u32(p, BLOCK_PACKET);
    put_u32(p, size);
    put_u32(p, 0); /* interface */
    put_u32(p, (uint32_t)(m->time_us >> 32));
    put_u32(p, (uint32_t)m->time_us);
    put_u32(p, (uint32_t)kept);
    put_u32(p, (uint32_t)(headers.len + length));
    put(p, headers.ptr, headers.len);
    put(p, data.ptr, data.len);
    put(p, zeros, padded(kept) - kept);
    put_option(p, OPTION_FLAGS, &flags, sizeof(flags));
    if (comment != 0)
        put_option(p, OPTION_COMMENT, m->comment.ptr, comment);
    put_u32(p, OPTION_END);
    put_u32(p, size);
}

/* --- headers of IP and above: network byte order ------------------------------------------------
 */

static void add_u16(struct buf *b, size_t value)
{
    const char two[2] = {(char)(value >> 8), (char)value};
    buf_add(b, two, sizeof(two));
}

static void add_u32(struct buf *b, uint32_t value)
{
    add_u16(b, value >> 16);
    add_u16(b, value & 0xffff);
}

/* RFC 1071. `s` is taken to begin at an even place. */
static uint64_t sum_of(struct slice s, uint64_t sum)
{
    size_t i;
    for (i = 0; i + 1 < s.len; i += 2)
        sum += (uint64_t)((unsigned)(unsigned char)s.ptr[i] << 8 | (unsigned char)s.ptr[i + 1]);
    if (i < s.len)
        sum += (uint64_t)((unsigned)(unsigned char)s.ptr[i] << 8);
    return sum;
}

static void set_checksum(char *at, uint64_t sum, bool is_udp)
{
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    uint16_t value = (uint16_t)~sum;
    if (value == 0 && is_udp)
        value = 0xffff; /* 0 says that there is none (RFC 768) */
    at[0] = (char)(value >> 8);
    at[1] = (char)value;
}

static void add_ip(struct buf *b, const struct addr *from, const struct addr *to, unsigned protocol,
                   size_t len)
{
    if (to->family == ADDR_IP6) { /* RFC 8200 section 3 */
        add_u32(b, 6u << 28);
        add_u16(b, len);
        buf_char(b, (char)protocol);
        buf_char(b, 64); /* hop limit */
        buf_add(b, from->ip, 16);
        buf_add(b, to->ip, 16);
        return;
    }
    size_t begin = b->len; /* RFC 791 section 3.1 */
    add_u16(b, 0x4500);
    add_u16(b, 20 + len);
    add_u32(b, 0x4000); /* no fragments */
    buf_char(b, 64);    /* time to live */
    buf_char(b, (char)protocol);
    add_u16(b, 0);
    buf_add(b, from->ip, 4);
    buf_add(b, to->ip, 4);
    set_checksum(b->ptr + begin + 10, sum_of(slice_of(b->ptr + begin, 20), 0), false);
}

/* The sum over addresses, protocol and length that belongs to that of UDP and TCP. */
static uint64_t pseudo_sum(const struct addr *from, const struct addr *to, unsigned protocol,
                           size_t len)
{
    size_t n = to->family == ADDR_IP6 ? 16 : 4;
    uint64_t sum = sum_of(slice_of((const char *)from->ip, n), protocol + len);
    return sum_of(slice_of((const char *)to->ip, n), sum);
}

/* --- messages -----------------------------------------------------------------------------------
 */

static struct stream *stream_of(struct pcapng *p, const struct addr *from, const struct addr *to)
{
    for (unsigned i = 0; i < STREAMS; i++) {
        struct stream *s = &p->streams[i];
        if (s->to.family != ADDR_NONE && addr_eq(&s->from, from) && addr_eq(&s->to, to))
            return s;
    }
    struct stream *s = &p->streams[p->oldest];
    p->oldest = (p->oldest + 1) % STREAMS;
    *s = (struct stream){*from, *to, 1};
    return s;
}

static void put_udp(struct pcapng *p, const struct pcapng_packet *m, const struct addr *from,
                    const struct addr *to)
{
    char room[HEADERS_MAX];
    struct buf b;
    struct slice data = m->bytes;
    size_t length = m->length > data.len ? m->length : data.len;
    if (data.len > DATA_MAX)
        data.len = DATA_MAX;
    size_t len = 8 + (length < DATA_MAX ? length : DATA_MAX);
    buf_init(&b, room, sizeof(room));
    add_ip(&b, from, to, IP_UDP, len);
    size_t begin = b.len; /* RFC 768 */
    add_u16(&b, from->port);
    add_u16(&b, to->port);
    add_u16(&b, len);
    add_u16(&b, 0);
    uint64_t sum = sum_of(slice_of(room + begin, 8), pseudo_sum(from, to, IP_UDP, len));
    set_checksum(room + begin + 6, sum_of(data, sum), true);
    put_packet(p, m, buf_get(&b), data, len - 8);
}

/* Bytes that are missing where a message was cut count, so that what follows is in its place. */
static void put_tcp(struct pcapng *p, const struct pcapng_packet *m, const struct addr *from,
                    const struct addr *to)
{
    char room[HEADERS_MAX];
    struct buf b;
    struct slice rest = m->bytes;
    struct stream *mine = stream_of(p, from, to);
    uint32_t other = stream_of(p, to, from)->next;
    do {
        struct slice data = slice_of(rest.ptr, rest.len < SEGMENT_MAX ? rest.len : SEGMENT_MAX);
        size_t len = 20 + data.len;
        buf_init(&b, room, sizeof(room));
        add_ip(&b, from, to, IP_TCP, len);
        size_t begin = b.len; /* RFC 9293 section 3.1 */
        add_u16(&b, from->port);
        add_u16(&b, to->port);
        add_u32(&b, mine->next);
        add_u32(&b, other);
        add_u16(&b, 0x5018); /* no options; PSH, ACK */
        add_u16(&b, 65535);  /* window */
        add_u32(&b, 0);
        uint64_t sum = sum_of(slice_of(room + begin, 20), pseudo_sum(from, to, IP_TCP, len));
        set_checksum(room + begin + 16, sum_of(data, sum), false);
        put_packet(p, m, buf_get(&b), data, data.len);
        mine->next += (uint32_t)data.len;
        rest = slice_of(rest.ptr + data.len, rest.len - data.len);
    } while (rest.len != 0);
    if (m->length > m->bytes.len)
        mine->next += (uint32_t)(m->length - m->bytes.len);
}

void pcapng_packet(struct pcapng *p, const struct pcapng_packet *m)
{
    struct addr local = m->local;
    if (m->remote.family == ADDR_NONE)
        return;
    if (local.family != m->remote.family)
        local = (struct addr){.family = m->remote.family, .port = m->local.port};
    const struct addr *from = m->is_out ? &local : &m->remote;
    const struct addr *to = m->is_out ? &m->remote : &local;
    if (m->is_stream)
        put_tcp(p, m, from, to);
    else
        put_udp(p, m, from, to);
}

int pcapng_new(const struct pcapng_sink *sink, struct pcapng **out)
{
    struct pcapng *p = mem_zalloc(sizeof(*p));
    *out = p;
    if (p == NULL)
        return ERR_NOMEM;
    p->sink = *sink;
    put_section(p);
    put_interface(p);
    return 0;
}

void pcapng_free(struct pcapng **pcapng)
{
    mem_free(*pcapng);
    *pcapng = NULL;
}
