/* SPDX-License-Identifier: Apache-2.0 */
/* What the resolver knows, for people; and how they make it forget. */
#include "base/buf.h"
#include "base/field.h"
#include "net/resolver_int.h"

#define LINE_MAX_LEN 4096

static void put_host(struct buf *b, const struct dns_name *n)
{
    char text[ADDR_TEXT_MAX];
    const char *sep = " ";
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
        buf_str(b, i == 0 ? " " : ", ");
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

static void put_age(struct buf *b, const struct dns_name *n, uint64_t now)
{
    if (n->known.is_known && now < n->known.until)
        buf_printf(b, "; %llu s left", (unsigned long long)(n->known.until - now + 999) / 1000);
    else if (n->known.is_known)
        buf_printf(b, "; expired %llu s ago", (unsigned long long)(now - n->known.until) / 1000);
    if (n->pending != 0)
        buf_str(b, "; asked now");
    if (n->failure != 0) {
        char text[64];
        buf_printf(b, "; %u failed in a row: %s", n->failures,
                   err_text(n->failure, text, sizeof(text)));
    }
    buf_printf(b, "; %llu hits", (unsigned long long)n->hits);
}

static void dump_name(const struct dns_name *n, uint64_t now, struct buf *b)
{
    static const char *const kinds[] = {
        [DNS_KIND_HOST] = "host", [DNS_KIND_SRV] = "srv", [DNS_KIND_NAPTR] = "naptr"};
    buf_printf(b, "%s %.*s:", kinds[n->kind], SLICE_ARG(slice_of(n->text, n->len)));
    if (!n->known.is_known)
        buf_str(b, " not known");
    else if (n->known.err == ERR_NOT_FOUND)
        buf_str(b, " none");
    else if (n->known.err != 0)
        buf_str(b, " not offered");
    else
        put_records(b, n);
    put_age(b, n, now);
}

static void dump_servers(const struct net_resolver *r, uint64_t now,
                         void (*line)(void *user, const char *text), void *user)
{
    char text[ADDR_TEXT_MAX + 96], addr[ADDR_TEXT_MAX];
    for (unsigned i = 0; i < r->nservers; i++) {
        const struct dns_server *s = r->servers[i];
        struct buf b;
        buf_init(&b, text, sizeof(text) - 1);
        buf_printf(&b, "server %s:", addr_write(&s->addr, addr));
        if (s->fails == 0)
            buf_str(&b, " in use");
        else
            buf_printf(&b, " silent, %u tries in a row", s->fails);
        if (s->fails != 0 && now < s->avoid_until)
            buf_printf(&b, ", tried last for %llu ms", (unsigned long long)(s->avoid_until - now));
        text[b.len] = '\0';
        line(user, text);
    }
}

/* --- rows ---------------------------------------------------------------------------------- */

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
    return b.len != 0 ? slice_of(room + 1, b.len - 1) : SLICE_NONE;
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

void net_resolver_dump(struct net_resolver *r, void (*line)(void *user, const char *text),
                       void *user)
{
    char text[LINE_MAX_LEN];
    uint64_t now = net_now(r->loop);
    dump_servers(r, now, line, user);
    LIST_EACH(it, &r->lru)
    {
        struct buf b;
        buf_init(&b, text, sizeof(text) - 1);
        dump_name(container_of(it, struct dns_name, lru), now, &b);
        text[b.len] = '\0';
        line(user, text);
    }
}
