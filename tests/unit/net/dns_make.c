/* SPDX-License-Identifier: Apache-2.0 */
#include "dns_make.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void dns_put(struct dns_out *o, const void *bytes, size_t len)
{
    if (len > DNS_OUT_MAX - o->len)
        abort();
    memcpy(o->bytes + o->len, bytes, len);
    o->len += len;
}

void dns_put8(struct dns_out *o, unsigned value)
{
    uint8_t b = (uint8_t)value;
    dns_put(o, &b, 1);
}

void dns_put16(struct dns_out *o, unsigned value)
{
    dns_put8(o, value >> 8);
    dns_put8(o, value & 0xff);
}

void dns_put32(struct dns_out *o, uint32_t value)
{
    dns_put16(o, value >> 16);
    dns_put16(o, value & 0xffff);
}

void dns_put_name(struct dns_out *o, const char *name)
{
    while (*name != '\0' && strcmp(name, ".") != 0) {
        size_t len = strcspn(name, ".");
        dns_put8(o, (unsigned)len);
        dns_put(o, name, len);
        name += len;
        name += *name == '.' && name[1] != '\0';
    }
    dns_put8(o, 0);
}

void dns_put_string(struct dns_out *o, const char *text)
{
    size_t len = strcmp(text, "-") == 0 ? 0 : strlen(text);
    dns_put8(o, (unsigned)len);
    dns_put(o, text, len);
}

void dns_begin(struct dns_out *o, uint16_t id, const char *question, unsigned type, unsigned rcode)
{
    o->len = 0;
    dns_put16(o, id);
    dns_put16(o, 0x8180 | rcode);
    dns_put16(o, 1);
    dns_put(o, "\0\0\0\0\0\0", 6);
    dns_put_name(o, question);
    dns_put16(o, type);
    dns_put16(o, 1);
}

static void count(struct dns_out *o, size_t at)
{
    if (++o->bytes[at + 1] == 0)
        o->bytes[at]++;
}

size_t dns_record(struct dns_out *o, bool is_authority, const char *owner, unsigned type,
                  uint32_t ttl)
{
    count(o, is_authority ? 8 : 6);
    dns_put_name(o, owner);
    dns_put16(o, type);
    dns_put16(o, 1);
    dns_put32(o, ttl);
    dns_put16(o, 0);
    return o->len;
}

void dns_end(struct dns_out *o, size_t record)
{
    size_t len = o->len - record;
    o->bytes[record - 2] = (uint8_t)(len >> 8);
    o->bytes[record - 1] = (uint8_t)len;
}

unsigned dns_text_type(const char *text)
{
    static const struct {
        const char *word;
        unsigned type;
    } types[] = {{"A ", DNS_A},
                 {"AAAA ", DNS_AAAA},
                 {"CNAME ", DNS_CNAME},
                 {"SRV ", DNS_SRV},
                 {"NAPTR ", DNS_NAPTR}};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strncmp(text, types[i].word, strlen(types[i].word)) == 0)
            return types[i].type;
    }
    abort();
}

static void put_naptr(struct dns_out *o, const char *text)
{
    unsigned order, preference;
    char flags[256], service[256], replacement[300], regexp[256] = "-";
    if (sscanf(text, "NAPTR %u %u %255s %255s %299s %255s", &order, &preference, flags, service,
               replacement, regexp) < 5)
        abort();
    dns_put16(o, order);
    dns_put16(o, preference);
    dns_put_string(o, flags);
    dns_put_string(o, service);
    dns_put_string(o, regexp);
    dns_put_name(o, replacement);
}

unsigned dns_put_text(struct dns_out *o, const char *owner, uint32_t ttl, const char *text)
{
    unsigned type = dns_text_type(text), a, b, c;
    size_t record = dns_record(o, false, owner, type, ttl);
    char name[300];
    struct addr ip;
    switch (type) {
    case DNS_A:
    case DNS_AAAA:
        if (addr_parse_ip(slice_str(strchr(text, ' ') + 1), 0, &ip) != 0)
            abort();
        dns_put(o, ip.ip, type == DNS_A ? 4 : 16);
        break;
    case DNS_CNAME: dns_put_name(o, text + 6); break;
    case DNS_SRV:
        if (sscanf(text, "SRV %u %u %u %299s", &a, &b, &c, name) != 4)
            abort();
        dns_put16(o, a);
        dns_put16(o, b);
        dns_put16(o, c);
        dns_put_name(o, name);
        break;
    default: put_naptr(o, text); break;
    }
    dns_end(o, record);
    return type;
}

void dns_put_soa(struct dns_out *o, const char *zone, uint32_t ttl, uint32_t minimum)
{
    size_t record = dns_record(o, true, zone, DNS_SOA, ttl);
    dns_put_name(o, "ns.test");
    dns_put_name(o, "admin.test");
    for (unsigned i = 0; i < 4; i++)
        dns_put32(o, 7200 + i);
    dns_put32(o, minimum);
    dns_end(o, record);
}
