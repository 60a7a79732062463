/* SPDX-License-Identifier: Apache-2.0 */
/* From a URI to addresses: RFC 3263 section 4, as a small state machine that asks one question at a
 * time. Most answers are in the resolver's cache and come inside the call. */
#include "base/alloc.h"
#include "route/route_int.h"

#define SERVICES_MAX 8

enum step { STEP_NAPTR, STEP_SRV, STEP_TARGET, STEP_HOST, STEP_DONE };

/* A name to be asked for, with what has been learnt of it. */
struct place {
    uint8_t transport;
    uint16_t port;
    uint16_t len;
    char name[NET_NAME_MAX];
};

struct route_locate {
    struct route *route;
    struct route_query *q;
    uint64_t query; /* under way in the resolver, 0: none */
    enum step step;
    bool is_inside;  /* a question is being asked: its answer is waited for */
    bool has_answer; /* it has come */
    bool must_be_tls;
    bool is_guess;   /* services were not named by NAPTR */
    bool is_spiral;  /* the URI itself names us: on purpose */
    bool has_srv;    /* there are SRV records */
    bool is_denied;  /* a service is said not to be offered (RFC 2782: target ".") */
    bool is_foreign; /* addresses that no listener of ours leads to */
    bool is_us;      /* addresses that are our own */
    int err;         /* why a question had no answer, 0: each had one */
    struct place host;
    unsigned nservices, service; /* names with SRV records; the one in use */
    unsigned ntargets, target;   /* what that one leads to */
    unsigned n;
    struct slice proof, profile; /* what a TLS peer has to prove, by which rules; in `text` */
    struct flow_dest dests[ROUTE_DESTS_MAX];
    struct place services[SERVICES_MAX];
    struct place targets[ROUTE_DESTS_MAX];
    char text[];
};

/* --- what is found ---------------------------------------------------------------------------- */

static bool has_transport(const struct route *r, enum sip_transport t)
{
    return flows_has(r->deps.flows, t, ADDR_IP4) || flows_has(r->deps.flows, t, ADDR_IP6);
}

/* The name before it is resolved: what DNS says is no proof (RFC 5922 4). */
static uint32_t peer_of(const struct route *r, uint8_t transport, struct slice profile,
                        struct slice host)
{
    return transport == SIP_TLS ? flows_tls_peer(r->deps.flows, profile, host) : 0;
}

/* Names of one machine: what has given no answer there gives none under another name. */
static bool is_known(const struct route_locate *l, const struct flow_dest *d)
{
    for (unsigned i = 0; i < l->n; i++)
        if (l->dests[i].transport == d->transport && addr_eq(&l->dests[i].remote, &d->remote))
            return true;
    return false;
}

static void add_address(struct route_locate *l, const struct place *at, const struct addr *addr)
{
    struct flows *flows = l->route->deps.flows;
    struct flow_dest d = {.remote = *addr, .transport = at->transport};
    d.remote.port = at->port;
    if (l->n == ROUTE_DESTS_MAX || !addr_is_host(addr))
        return;
    if (!flows_has(flows, at->transport, addr->family)) {
        l->is_foreign = true;
    } else if (!l->is_spiral && flows_is_us(flows, &d.remote)) {
        l->is_us = true;
    } else if (!is_known(l, &d)) {
        d.tls_peer = peer_of(l->route, at->transport, l->profile, l->proof);
        l->dests[l->n++] = d;
    }
}

static void say_loop(struct route_locate *l)
{
    EVENT_LOG(EV_HOP_IS_US, LF_SLICE("host", slice_of(l->host.name, l->host.len)));
}

/* Whoever looks after the zone is not told by anybody else. */
static void say_not_found(struct route_locate *l, int err)
{
    EVENT_LOG(EV_HOP_UNKNOWN, LF_SLICE("host", slice_of(l->host.name, l->host.len)),
              LF_ERR("cause", err));
}

static int error_of(struct route_locate *l)
{
    if (l->err == ERR_SHUTDOWN)
        return l->err;
    if (l->is_us) {
        say_loop(l);
        return ERR_LOOP;
    }
    if (l->is_foreign)
        return ERR_NO_ROUTE;
    if (l->err != 0)
        return l->err;
    return l->is_denied && !l->has_srv ? ERR_UNSUPPORTED : ERR_NOT_FOUND;
}

static int told_error(struct route_locate *l)
{
    int err = error_of(l);
    if (err != ERR_SHUTDOWN && err != ERR_LOOP)
        say_not_found(l, err);
    return err;
}

static void finish(struct route_locate *l)
{
    struct route_query *q = l->q;
    q->locate = NULL;
    route_avoid_failed(l->route, l->dests, l->n);
    if (l->n != 0 && l->err != ERR_SHUTDOWN)
        q->fn(q->user, 0, l->dests, l->n);
    else
        q->fn(q->user, told_error(l), NULL, 0);
    mem_free(l);
}

/* --- what is asked next ----------------------------------------------------------------------- */

static bool put_name(struct place *p, const char *prefix, struct slice name)
{
    struct buf b;
    buf_init(&b, p->name, sizeof(p->name) - 1); /* RFC 1035 2.3.4: 255 bytes */
    buf_str(&b, prefix);
    buf_slice(&b, name);
    p->len = (uint16_t)b.len;
    return !b.overflow;
}

static void add_service(struct route_locate *l, enum sip_transport t, const char *prefix,
                        struct slice name)
{
    if (l->nservices == SERVICES_MAX || !has_transport(l->route, t) ||
        (l->must_be_tls && t != SIP_TLS))
        return;
    struct place *p = &l->services[l->nservices];
    p->transport = (uint8_t)t;
    l->nservices += put_name(p, prefix, name);
}

/* RFC 3263 4.1: without NAPTR one question for each transport that we have; "_sips._tls" is asked
 * for as well, since some zones have it. */
static void guess_services(struct route_locate *l, bool is_any, enum sip_transport t)
{
    struct slice host = slice_of(l->host.name, l->host.len);
    l->is_guess = is_any;
    if (is_any || t == SIP_UDP)
        add_service(l, SIP_UDP, "_sip._udp.", host);
    if (is_any || t == SIP_TCP)
        add_service(l, SIP_TCP, "_sip._tcp.", host);
    if (is_any || t == SIP_TLS) {
        add_service(l, SIP_TLS, "_sips._tcp.", host);
        add_service(l, SIP_TLS, "_sips._tls.", host);
    }
}

/* The next service, or without any SRV record the host itself (RFC 3263 4.2). */
static void to_service(struct route_locate *l, unsigned service)
{
    bool is_enough = l->n == ROUTE_DESTS_MAX;
    l->service = service;
    l->step = STEP_SRV;
    if (service < l->nservices && !is_enough) {
        /* Nobody has asked for TLS, and there is another way. */
        bool is_needless = l->is_guess && l->has_srv && !l->must_be_tls &&
                           l->services[service].transport == SIP_TLS;
        if (!is_needless)
            return;
    }
    l->step = l->has_srv || l->is_denied ? STEP_DONE : STEP_HOST;
}

static void to_target(struct route_locate *l, unsigned target)
{
    l->target = target;
    l->step = STEP_TARGET;
    if (target == l->ntargets || l->n == ROUTE_DESTS_MAX)
        to_service(l, l->service + 1);
}

/* --- answers ---------------------------------------------------------------------------------- */

static bool run(struct route_locate *l);

static void begin_answer(struct route_locate *l, int err)
{
    l->query = 0;
    l->has_answer = true;
    if (err != 0 && err != ERR_NOT_FOUND && err != ERR_UNSUPPORTED)
        l->err = err;
    if (err == ERR_SHUTDOWN)
        l->step = STEP_DONE;
}

static void end_answer(struct route_locate *l)
{
    if (!l->is_inside)
        (void)run(l);
}

static enum sip_transport transport_of(struct slice service)
{
    if (slice_ieq(service, SLICE("SIP+D2U")))
        return SIP_UDP;
    if (slice_ieq(service, SLICE("SIP+D2T")))
        return SIP_TCP;
    return slice_ieq(service, SLICE("SIPS+D2T")) ? SIP_TLS : SIP_TRANSPORT_NONE;
}

static void on_naptr(void *user, int err, const struct net_naptr *records, unsigned n)
{
    struct route_locate *l = user;
    begin_answer(l, err);
    for (unsigned i = 0; err == 0 && i < n; i++) {
        enum sip_transport t = transport_of(records[i].service);
        if (t != SIP_TRANSPORT_NONE && slice_ieq(records[i].flags, SLICE("s")))
            add_service(l, t, "", route_without_dot(records[i].replacement));
    }
    if (l->nservices != 0) {
        l->host.transport = l->services[0].transport;
        l->host.port = sip_transport_port(l->host.transport);
    } else {
        guess_services(l, true, SIP_TRANSPORT_NONE);
    }
    if (l->step != STEP_DONE)
        to_service(l, 0);
    end_answer(l);
}

static void on_srv(void *user, int err, const struct net_srv *records, unsigned n)
{
    struct route_locate *l = user;
    const struct place *service = &l->services[l->service];
    begin_answer(l, err);
    l->ntargets = 0;
    l->is_denied = l->is_denied || err == ERR_UNSUPPORTED;
    for (unsigned i = 0; err == 0 && i < n && l->ntargets < ROUTE_DESTS_MAX; i++) {
        struct place *p = &l->targets[l->ntargets];
        l->has_srv = true;
        p->transport = service->transport;
        p->port = records[i].port != 0 ? records[i].port : sip_transport_port(p->transport);
        l->ntargets += put_name(p, "", route_without_dot(records[i].target));
    }
    if (l->step != STEP_DONE)
        to_target(l, 0);
    end_answer(l);
}

static void on_address(void *user, int err, const struct addr *addrs, unsigned n)
{
    struct route_locate *l = user;
    bool is_target = l->step == STEP_TARGET;
    const struct place *at = is_target ? &l->targets[l->target] : &l->host;
    begin_answer(l, err);
    for (unsigned i = 0; err == 0 && i < n; i++)
        add_address(l, at, &addrs[i]);
    if (l->step != STEP_DONE && is_target)
        to_target(l, l->target + 1);
    else
        l->step = STEP_DONE;
    end_answer(l);
}

/* --- questions -------------------------------------------------------------------------------- */

static void ask(struct route_locate *l)
{
    struct net_resolver *resolver = l->route->deps.resolver;
    const struct place *p = &l->host;
    if (l->step == STEP_SRV)
        p = &l->services[l->service];
    else if (l->step == STEP_TARGET)
        p = &l->targets[l->target];
    struct slice name = slice_of(p->name, p->len);
    if (l->step == STEP_NAPTR)
        (void)net_resolve_naptr(resolver, name, on_naptr, l, &l->query);
    else if (l->step == STEP_SRV)
        (void)net_resolve_srv(resolver, name, on_srv, l, &l->query);
    else
        (void)net_resolve(resolver, name, on_address, l, &l->query);
}

/* Asks until an answer has to be waited for, or all is known. True: all is, and has been given. */
static bool run(struct route_locate *l)
{
    while (l->step != STEP_DONE) {
        l->has_answer = false;
        l->is_inside = true;
        ask(l);
        l->is_inside = false;
        if (!l->has_answer)
            return false;
    }
    finish(l);
    return true;
}

/* RFC 6761 6.3: no server is asked about it. */
static bool is_this_machine(struct slice host)
{
    return slice_ieq(host, SLICE("localhost"));
}

/* RFC 3263 4.2: an address is used as it is. */
static void give_address(const struct route_wanted *w, struct route_query *q, struct addr *a)
{
    struct route *r = q->route;
    struct flow_dest d = {.remote = *a, .transport = w->transport};
    if (!addr_is_host(a) || !flows_has(r->deps.flows, w->transport, a->family)) {
        q->fn(q->user, ERR_NO_ROUTE, NULL, 0);
        return;
    }
    d.tls_peer = peer_of(r, w->transport, w->profile, w->uri->host);
    if (w->names_source && w->uri->port != 0)
        d.flow = flows_from(r->deps.flows, (enum sip_transport)w->transport, a);
    q->fn(q->user, 0, &d, 1);
}

static struct slice put_text(char **at, struct slice s)
{
    char *start = *at;
    if (s.len != 0)
        memcpy(start, s.ptr, s.len);
    *at += s.len;
    return slice_of(start, s.len);
}

static struct route_locate *locate_new(const struct route_wanted *w, struct route_query *q)
{
    struct route_locate *l = mem_alloc(sizeof(*l) + w->uri->host.len + w->profile.len);
    if (l == NULL)
        return NULL;
    memset(l, 0, offsetof(struct route_locate, dests));
    char *at = l->text;
    l->proof = put_text(&at, w->uri->host);
    l->profile = put_text(&at, w->profile);
    l->route = q->route;
    l->q = q;
    l->must_be_tls = w->must_be_tls;
    l->is_spiral = route_is_ours(q->route, w->uri);
    return l;
}

int route_locate(const struct route_wanted *w, struct route_query *q)
{
    const struct sip_uri *uri = w->uri;
    uint16_t port = uri->port != 0 ? uri->port : sip_transport_port(w->transport);
    struct slice host = uri->maddr.len != 0 ? uri->maddr : uri->host;
    struct addr a;
    if (addr_parse_ip(host, port, &a) == 0) {
        give_address(w, q, &a);
        return 1;
    }
    struct route_locate *l = locate_new(w, q);
    int err = l == NULL ? ERR_NOMEM : 0;
    if (err == 0 && !put_name(&l->host, "", route_without_dot(host)))
        err = ERR_NOT_FOUND; /* longer than a name can be */
    if (err != 0) {
        mem_free(l);
        q->fn(q->user, err, NULL, 0);
        return 1;
    }
    l->host.transport = w->transport;
    l->host.port = port;
    if (uri->port != 0 || is_this_machine(route_without_dot(host))) {
        l->step = STEP_HOST;
    } else if (w->has_transport) {
        guess_services(l, false, w->transport);
        to_service(l, 0);
    } else {
        l->step = STEP_NAPTR;
    }
    q->locate = l;
    return run(l); /* neither `q` nor `l` is there any more once the answer has been given */
}

void route_resolve_cancel(struct route_query *q)
{
    struct route_locate *l = q->locate;
    if (l == NULL)
        return;
    if (l->query != 0)
        net_resolve_cancel(l->route->deps.resolver, l->query);
    mem_free(l);
    q->locate = NULL;
}
