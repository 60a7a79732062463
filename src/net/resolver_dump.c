/* SPDX-License-Identifier: Apache-2.0 */
/* What the resolver knows, as rows. */
#include "base/buf.h"
#include "base/field.h"
#include "net/resolver_int.h"

#define LINE_MAX_LEN 4096

static void put_host(struct buf *b, const struct dns_name *n)
{
    char text[ADDR_TEXT_MAX];
    const char *sep = "";
    for (unsigned family = 0; family < 2; family++) {
        const struct dns_set *s = n->known.sets[family];
        for (unsigned i = 0; s != NULL && i < s->n; i++) {
            buf_str(b, sep);
            buf_str(b, addr_write_ip(&dns_set_addrs(s)[i], false, text));
            sep = ", ";
        }
    }
}

static void put_records(struct buf *b, const struct dns_name *n)
{
    const struct dns_set *s = n->known.sets[0];
    if (n->kind == DNS_KIND_HOST) {
        put_host(b, n);
        return;
    }
    for (unsigned i = 0; i < s->n; i++) {
        buf_str(b, i == 0 ? "" : ", ");
        if (n->kind == DNS_KIND_SRV) {
            const struct net_srv *v = &dns_set_srvs(s)[i];
            buf_printf(b, "%u %u %u %.*s", v->priority, v->weight, v->port, SLICE_ARG(v->target));
        } else {
            const struct net_naptr *v = &dns_set_naptrs(s)[i];
            buf_printf(b, "%u %u %.*s %.*s %.*s", v->order, v->preference, SLICE_ARG(v->flags),
                       SLICE_ARG(v->service), SLICE_ARG(v->replacement));
        }
    }
}

static const char *kind_text(enum dns_kind kind)
{
    switch (kind) {
    case DNS_KIND_HOST: return "host";
    case DNS_KIND_SRV: return "srv";
    case DNS_KIND_NAPTR: return "naptr";
    }
    return "";
}

static const char *name_state(const struct dns_name *n, uint64_t now)
{
    if (n->known.is_known)
        return now < n->known.until ? "fresh" : "expired";
    return n->pending != 0 ? "asked" : "unknown";
}

static struct slice answer_text(const struct dns_name *n, char *room, size_t cap)
{
    struct buf b;
    buf_init(&b, room, cap);
    if (!n->known.is_known)
        return SLICE_NONE;
    if (n->known.err != 0)
        return n->known.err == ERR_NOT_FOUND ? SLICE("none") : SLICE("not offered");
    put_records(&b, n);
    return buf_get(&b);
}

static void row_name(const struct row_sink *sink, const struct dns_name *n, uint64_t now)
{
    char text[LINE_MAX_LEN], why[64];
    bool is_fresh = n->known.is_known && now < n->known.until;
    bool is_old = n->known.is_known && !is_fresh;
    ROW(sink, "resolver_name", LF_SLICE("name", slice_of(n->text, n->len)),
        LF_STR("type", kind_text(n->kind)),
        LF_SLICE("answer", answer_text(n, text, sizeof(text) - 1)),
        LF_INT("ttl_s", is_fresh ? (n->known.until - now + 999) / 1000 : 0),
        LF_STR("state", name_state(n, now)),
        LF_INT("expired_s", is_old ? (now - n->known.until) / 1000 : 0),
        LF_BOOL("asked", n->pending != 0), LF_INT("failures", n->failures),
        LF_STR("last_error", n->failure != 0 ? err_text(n->failure, why, sizeof(why)) : ""),
        LF_INT("hits", n->hits));
}

void net_resolver_rows(struct net_resolver *r, const struct row_sink *sink)
{
    uint64_t now = net_now(r->loop);
    for (unsigned i = 0; i < r->nservers; i++) {
        const struct dns_server *s = r->servers[i];
        bool is_avoided = s->fails != 0 && now < s->avoid_until;
        ROW(sink, "resolver_server", LF_ADDR("address", &s->addr),
            LF_STR("state", s->fails == 0 ? "in-use" : "silent"), LF_INT("questions", s->questions),
            LF_INT("failures", s->fails),
            LF_INT("avoided_ms", is_avoided ? s->avoid_until - now : 0));
    }
    LIST_EACH(it, &r->lru)
    row_name(sink, container_of(it, struct dns_name, lru), now);
}
