/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of DNS servers, read as each type that is asked for. The first byte says whether the
 * question's type is written into the message, so that inputs get beyond it; the rest is the
 * message. */
#include "net/dns.h"

#include "check.h"

/* Host and service names: what may stand in them, and no empty label. */
static void check_name(struct slice s, struct slice text)
{
    size_t label = 0;
    CHECK(s.len > 0 && s.len < NET_NAME_MAX && is_inside(s, text));
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool is_fit = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
        CHECK(c == '.' ? label > 0 : is_fit && label < 63);
        label = c == '.' ? 0 : label + 1;
    }
    CHECK(label > 0);
}

static void check_word(struct slice s, struct slice text, size_t max)
{
    CHECK(s.len <= max && is_inside(s, text));
    for (size_t i = 0; i < s.len; i++)
        CHECK(s.ptr[i] > ' ' && s.ptr[i] <= '~');
}

static void check_addrs(const struct dns_answer *a)
{
    CHECK(a->n <= NET_ADDRS_MAX);
    for (unsigned i = 0; i < a->n; i++) {
        CHECK(a->addrs[i].family == ADDR_IP4 || a->addrs[i].family == ADDR_IP6);
        CHECK(a->addrs[i].port == 0 && !addr_is_any(&a->addrs[i]));
    }
}

static void check_srvs(const struct dns_answer *a, struct slice text)
{
    CHECK(a->n <= NET_SRV_MAX);
    for (unsigned i = 0; i < a->n; i++) {
        CHECK(i == 0 || a->srvs[i - 1].priority <= a->srvs[i].priority);
        CHECK(a->srvs[i].port != 0);
        check_name(a->srvs[i].target, text);
    }
}

static void check_naptrs(const struct dns_answer *a, struct slice text)
{
    CHECK(a->n <= NET_NAPTR_MAX);
    for (unsigned i = 0; i < a->n; i++) {
        const struct net_naptr *n = &a->naptrs[i];
        CHECK(i == 0 || n[-1].order < n->order ||
              (n[-1].order == n->order && n[-1].preference <= n->preference));
        check_word(n->flags, text, DNS_FLAGS_MAX);
        check_word(n->service, text, DNS_SERVICE_MAX);
        CHECK(slice_istarts(n->service, SLICE("SIP")));
        check_name(n->replacement, text);
    }
}

/* Where the type of the question stands; 0: the message has none. */
static size_t type_at(const uint8_t *msg, size_t len)
{
    size_t i = 12;
    while (i < len && msg[i] != 0 && msg[i] < 64)
        i += 1u + msg[i];
    return i + 3 <= len && msg[i] == 0 ? i + 1 : 0;
}

static void check_type(uint8_t *msg, size_t len, enum dns_type type, bool is_set)
{
    static struct dns_answer a;
    size_t at = is_set ? type_at(msg, len) : 0;
    if (at != 0) {
        msg[at] = 0;
        msg[at + 1] = (uint8_t)type;
    }
    int rc = dns_answer_parse(msg, len, type, &a);
    CHECK(rc == 0 || rc == ERR_NOT_FOUND || rc == ERR_DNS_REFUSED || rc == ERR_DNS_BAD);
    CHECK(a.ttl <= 0x7fffffff && a.text_len <= sizeof(a.text));
    if (rc != 0)
        return;
    struct slice text = slice_of(a.text, a.text_len);
    if (type == DNS_SRV)
        check_srvs(&a, text);
    else if (type == DNS_NAPTR)
        check_naptrs(&a, text);
    else
        check_addrs(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum dns_type types[] = {DNS_A, DNS_AAAA, DNS_SRV, DNS_NAPTR};
    if (size == 0)
        return 0;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        uint8_t *msg = (uint8_t *)exact_copy(data + 1, size - 1);
        check_type(msg, size - 1, types[i], (data[0] & 1) != 0);
        free(msg);
    }
    return 0;
}
