/* SPDX-License-Identifier: Apache-2.0 */
/* Records of names, and how they are given out. */
#include "base/alloc.h"
#include "net/resolver_int.h"

/* --- sets ------------------------------------------------------------------------------------- */

static struct slice moved(struct slice text, const char *from, const char *to)
{
    return slice_of(text.len != 0 ? to + (text.ptr - from) : to, text.len);
}

/* The texts of the records, which were at `from`, are at `to` now. */
static void aim(struct dns_set *s, enum dns_kind kind, const char *from, const char *to)
{
    for (unsigned i = 0; i < s->n && kind == DNS_KIND_SRV; i++) {
        struct net_srv *srv = (struct net_srv *)(void *)s->records + i;
        srv->target = moved(srv->target, from, to);
    }
    for (unsigned i = 0; i < s->n && kind == DNS_KIND_NAPTR; i++) {
        struct net_naptr *naptr = (struct net_naptr *)(void *)s->records + i;
        naptr->flags = moved(naptr->flags, from, to);
        naptr->service = moved(naptr->service, from, to);
        naptr->replacement = moved(naptr->replacement, from, to);
    }
}

static struct dns_set *set_alloc(unsigned n, size_t size)
{
    struct dns_set *s = mem_alloc(sizeof(*s) + size);
    if (s == NULL)
        return NULL;
    s->holds = 1;
    s->n = n;
    s->size = size;
    return s;
}

struct dns_set *dns_set_new(const struct dns_answer *a, enum dns_type type)
{
    size_t each = type == DNS_SRV     ? sizeof(a->srvs[0])
                  : type == DNS_NAPTR ? sizeof(a->naptrs[0])
                                      : sizeof(a->addrs[0]);
    size_t records = a->n * each;
    struct dns_set *s = set_alloc(a->n, records + a->text_len);
    if (s == NULL)
        return NULL;
    memcpy(s->records, a->addrs, records);
    if (a->text_len != 0)
        memcpy(s->records + records, a->text, a->text_len);
    aim(s,
        type == DNS_SRV     ? DNS_KIND_SRV
        : type == DNS_NAPTR ? DNS_KIND_NAPTR
                            : DNS_KIND_HOST,
        a->text, s->records + records);
    return s;
}

struct dns_set *dns_set_copy(const struct dns_set *from, enum dns_kind kind)
{
    struct dns_set *s = set_alloc(from->n, from->size);
    if (s == NULL)
        return NULL;
    memcpy(s->records, from->records, from->size);
    aim(s, kind, from->records, s->records);
    return s;
}

void dns_known_drop(struct dns_known *k)
{
    dns_set_drop(k->sets[0]);
    dns_set_drop(k->sets[1]);
    *k = (struct dns_known){0};
}

struct dns_set *dns_set_hold(struct dns_set *s)
{
    if (s != NULL)
        s->holds++;
    return s;
}

void dns_set_drop(struct dns_set *s)
{
    if (s != NULL && --s->holds == 0)
        mem_free(s);
}

/* --- answers ---------------------------------------------------------------------------------- */

static bool has_route(struct net_resolver *r, const struct addr *a)
{
    struct addr source;
    return net_source_for(r->loop, a, &source) == 0;
}

/* IPv6 first where there is a route, then one of each family in turn (RFC 6724 6, RFC 8305 4), so
 * that a family that does not work costs one try. */
static unsigned order_addrs(struct net_resolver *r, const struct dns_view *v, struct addr *out)
{
    const struct dns_set *four = v->sets[0], *six = v->sets[1];
    unsigned n4 = four != NULL ? four->n : 0, n6 = six != NULL ? six->n : 0;
    bool take_six = n6 != 0 && (n4 == 0 || has_route(r, dns_set_addrs(six)));
    unsigned n = 0, i4 = 0, i6 = 0;
    if (!take_six && n6 != 0) { /* without a route IPv6 is the last thing to try */
        while (i4 < n4 && n < NET_ADDRS_MAX)
            out[n++] = dns_set_addrs(four)[i4++];
        take_six = true;
    }
    while (n < NET_ADDRS_MAX && (i4 < n4 || i6 < n6)) {
        if ((take_six && i6 < n6) || i4 == n4)
            out[n++] = dns_set_addrs(six)[i6++];
        else
            out[n++] = dns_set_addrs(four)[i4++];
        take_six = !take_six;
    }
    return n;
}

void dns_view_give(struct net_resolver *r, const struct dns_view *v, union dns_fn fn, void *user)
{
    struct addr addrs[NET_ADDRS_MAX];
    struct net_srv srvs[NET_SRV_MAX];
    const struct dns_set *set = v->sets[0];
    unsigned n = 0;
    switch (v->kind) {
    case DNS_KIND_HOST:
        if (v->err == 0)
            n = order_addrs(r, v, addrs);
        fn.host(user, v->err, n != 0 ? addrs : NULL, n);
        break;
    case DNS_KIND_SRV:
        if (v->err == 0) {
            n = set->n;
            memcpy(srvs, dns_set_srvs(set), n * sizeof(srvs[0]));
            dns_srv_draw(&r->rng, srvs, n);
        }
        fn.srv(user, v->err, n != 0 ? srvs : NULL, n);
        break;
    case DNS_KIND_NAPTR:
        if (v->err == 0)
            n = set->n;
        fn.naptr(user, v->err, n != 0 ? dns_set_naptrs(set) : NULL, n);
        break;
    }
}
