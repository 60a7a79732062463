/* SPDX-License-Identifier: Apache-2.0 */
#include "dns_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct dns_rig *pumped; /* by the condition that the loop is turned for */

/* --- the servers ------------------------------------------------------------------------------ */

/* The question's name with dots, its type; false: there is none. */
static bool read_question(const uint8_t *msg, size_t len, char *name, unsigned *type)
{
    size_t i = 12, out = 0;
    while (i < len && msg[i] != 0 && msg[i] < 64 && i + 1 + msg[i] < len) {
        if (out != 0)
            name[out++] = '.';
        memcpy(name + out, msg + i + 1, msg[i]);
        out += msg[i];
        i += 1u + msg[i];
    }
    name[out] = '\0';
    if (i + 5 > len)
        return false;
    *type = (unsigned)msg[i + 1] << 8 | msg[i + 2];
    return true;
}

static bool split_line(const char *line, char *owner, unsigned *ttl, const char **text)
{
    int at = 0;
    if (sscanf(line, "%255s %u %n", owner, ttl, &at) != 2)
        abort();
    *text = line + at;
    return true;
}

/* The records of that name and type, or its alias (then 2), 1: found, 0: no such name, -1: no such
 * record. */
static int put_name(const struct dns_peer *p, struct dns_out *o, char *name, unsigned type)
{
    int found = 0;
    char owner[256];
    for (const char *const *line = p->zone; line != NULL && *line != NULL; line++) {
        const char *text;
        unsigned ttl;
        (void)split_line(*line, owner, &ttl, &text);
        if (!slice_ieq(slice_str(owner), slice_str(name)))
            continue;
        unsigned has = dns_text_type(text);
        if (has == DNS_CNAME) {
            dns_put_text(o, owner, ttl, text);
            (void)snprintf(name, 256, "%.255s", text + 6);
            return 2;
        }
        if (has == type) {
            dns_put_text(o, owner, ttl, text);
            found = 1;
        } else if (found == 0) {
            found = -1;
        }
    }
    return found;
}

static void make_answer(const struct dns_peer *p, struct dns_out *o, uint16_t id, const char *asked,
                        unsigned type)
{
    char name[256];
    int found;
    unsigned steps = 0;
    (void)snprintf(name, sizeof(name), "%.255s", asked);
    dns_begin(o, id, asked, type, 0);
    do
        found = put_name(p, o, name, type);
    while (found == 2 && ++steps < 40);
    if (p->more != NULL)
        p->more(o, asked, type);
    if (o->bytes[7] == 0 && o->bytes[6] == 0 && found == 0)
        o->bytes[3] |= 3; /* NXDOMAIN */
    if (found <= 0 && p->has_soa)
        dns_put_soa(o, "test", 3600, p->soa_minimum);
}

static void spoil(const struct dns_peer *p, struct dns_out *o, bool is_tcp)
{
    switch (p->mood) {
    case DNS_FAILS:
    case DNS_REFUSES:
        o->bytes[3] = (uint8_t)((o->bytes[3] & 0xf0) | (p->mood == DNS_FAILS ? 2 : 5));
        break;
    case DNS_CUTS:
    case DNS_CUTS_ONLY:
    case DNS_CUTS_SILENT:
        if (!is_tcp) {
            o->bytes[2] |= 2;
            o->len = o->len > 100 ? 100 : o->len;
        }
        break;
    case DNS_WRONG_ID: o->bytes[0] ^= 0x55; break;
    case DNS_WRONG_NAME: o->bytes[13] ^= 1; break;
    case DNS_GARBAGE:
        for (size_t i = 2; i < o->len; i++)
            o->bytes[i] = (uint8_t)(i * 37 + 11);
        break;
    case DNS_BROKEN: o->bytes[7] = 9; break;
    case DNS_GOOD:
    case DNS_SILENT: break;
    }
}

/* False: no answer. */
static bool answer(struct dns_peer *p, const uint8_t *msg, size_t len, bool is_tcp,
                   struct dns_out *o)
{
    char name[300];
    unsigned type;
    if (len < 12 || !read_question(msg, len, name, &type))
        return false;
    *(is_tcp ? &p->asked_tcp : &p->asked) += 1;
    if (p->mood == DNS_SILENT || (is_tcp && p->mood == DNS_CUTS_SILENT))
        return false;
    make_answer(p, o, (uint16_t)(msg[0] << 8 | msg[1]), name, type);
    spoil(p, o, is_tcp);
    return true;
}

static void pump_udp(struct dns_peer *p)
{
    static struct dns_out o;
    uint8_t msg[2048];
    union net_sockaddr from;
    socklen_t from_len = sizeof(from);
    ssize_t n;
    while ((n = recvfrom(p->udp, msg, sizeof(msg), MSG_DONTWAIT, &from.sa, &from_len)) > 0) {
        p->ports += p->port != from.in4.sin_port;
        p->port = from.in4.sin_port;
        if (answer(p, msg, (size_t)n, false, &o))
            (void)sendto(p->udp, o.bytes, o.len, 0, &from.sa, from_len);
        from_len = sizeof(from);
    }
}

/* One question for each reading is what c-ares sends here. */
static void pump_conn(struct dns_peer *p, int *fd)
{
    static struct dns_out o;
    uint8_t msg[2048];
    ssize_t n = recv(*fd, msg, sizeof(msg), MSG_DONTWAIT);
    if (n == 0 || (n > 0 && p->mood == DNS_CUTS_ONLY)) {
        close(*fd);
        *fd = -1;
    }
    for (size_t at = 0; *fd >= 0 && n > 0 && at + 2 < (size_t)n;) {
        size_t len = (size_t)(msg[at] << 8 | msg[at + 1]);
        if (at + 2 + len > (size_t)n)
            abort();
        if (answer(p, msg + at + 2, len, true, &o)) {
            uint8_t head[2] = {(uint8_t)(o.len >> 8), (uint8_t)o.len};
            (void)send(*fd, head, 2, MSG_MORE | MSG_NOSIGNAL);
            (void)send(*fd, o.bytes, o.len, MSG_NOSIGNAL);
        }
        at += 2 + len;
    }
}

void dns_rig_pump(struct dns_rig *d)
{
    for (unsigned i = 0; i < d->npeers; i++) {
        struct dns_peer *p = &d->peers[i];
        if (p->udp < 0)
            continue;
        pump_udp(p);
        for (unsigned k = 0; k < DNS_PEER_TCP; k++) {
            if (p->conns[k] < 0)
                p->conns[k] = accept4(p->tcp, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (p->conns[k] >= 0)
                pump_conn(p, &p->conns[k]);
        }
    }
}

static int bind_to(struct addr *a, int type)
{
    union net_sockaddr sa;
    int fd = net_socket(AF_INET, type);
    if (fd < 0)
        return -1;
    size_t len = addr_to_sockaddr(a, &sa.sa);
    if (bind(fd, &sa.sa, (socklen_t)len) != 0 || (type == SOCK_STREAM && listen(fd, 8) != 0)) {
        close(fd);
        return -1;
    }
    if (net_sock_local(fd, a) != 0)
        abort();
    return fd;
}

/* One port by UDP and TCP. */
static void peer_open(struct dns_peer *p)
{
    p->tcp = -1;
    for (unsigned i = 0; i < 20 && p->tcp < 0; i++) {
        p->addr = loopback("127.0.0.1");
        p->udp = bind_to(&p->addr, SOCK_DGRAM);
        assert_true(p->udp >= 0);
        p->tcp = bind_to(&p->addr, SOCK_STREAM);
        if (p->tcp < 0)
            close(p->udp);
    }
    assert_true(p->tcp >= 0);
    for (unsigned k = 0; k < DNS_PEER_TCP; k++)
        p->conns[k] = -1;
}

/* --- the rig ---------------------------------------------------------------------------------- */

void dns_rig_start(struct dns_rig *d, unsigned n, const char *const *zone)
{
    memset(d, 0, sizeof(*d));
    turn_start(&d->t);
    d->npeers = n;
    for (unsigned i = 0; i < n; i++) {
        peer_open(&d->peers[i]);
        d->peers[i].zone = zone;
        d->peers[i].has_soa = true;
        d->peers[i].soa_minimum = 60;
        d->servers[i] = d->peers[i].addr;
    }
    d->conf = (struct net_resolver_conf){.servers = d->servers,
                                         .nservers = n,
                                         .timeout_ms = 150,
                                         .tries = 2,
                                         .max_stale_ms = 3600000};
    assert_int_equal(net_resolver_new(d->t.loop, &d->conf, &d->t.counters, &d->r), 0);
    dns_set_files(d->r, "/nonexistent/resolv.conf", "/nonexistent/hosts");
}

void dns_rig_stop(struct dns_rig *d)
{
    net_resolver_free(&d->r);
    turn_stop(&d->t);
    for (unsigned i = 0; i < d->npeers; i++) {
        struct dns_peer *p = &d->peers[i];
        if (p->udp >= 0)
            close(p->udp);
        if (p->tcp >= 0)
            close(p->tcp);
        for (unsigned k = 0; k < DNS_PEER_TCP; k++) {
            if (p->conns[k] >= 0)
                close(p->conns[k]);
        }
    }
}

static bool pump_until(void)
{
    dns_rig_pump(pumped);
    return pumped->until();
}

void dns_rig_until(struct dns_rig *d, bool (*until)(void))
{
    pumped = d;
    d->until = until;
    turn_until(&d->t, pump_until);
}

static uint64_t idle_until;

static bool is_idle_over(void)
{
    return net_now(pumped->t.loop) >= idle_until;
}

void dns_rig_idle(struct dns_rig *d, unsigned ms)
{
    idle_until = net_now(d->t.loop) + ms;
    dns_rig_until(d, is_idle_over);
}

unsigned dns_rig_asked(const struct dns_rig *d)
{
    unsigned n = 0;
    for (unsigned i = 0; i < d->npeers; i++)
        n += d->peers[i].asked + d->peers[i].asked_tcp;
    return n;
}

uint64_t dns_rig_count(const struct dns_rig *d, enum counter id)
{
    return counter_get(&d->t.counters, id);
}

/* --- what is heard ---------------------------------------------------------------------------- */

static struct slice keep(struct dns_heard *h, struct slice s)
{
    char *to = h->text + h->text_len;
    if (s.len > sizeof(h->text) - h->text_len)
        abort();
    if (s.len != 0)
        memcpy(to, s.ptr, s.len);
    h->text_len += s.len;
    return slice_of(to, s.len);
}

static void hear(struct dns_heard *h, int err, unsigned n)
{
    h->calls++;
    h->err = err;
    h->n = n;
    h->text_len = 0;
    assert_true((err == 0) == (n > 0) && err <= 0);
}

void dns_on_host(void *heard, int err, const struct addr *addrs, unsigned n)
{
    struct dns_heard *h = heard;
    hear(h, err, n);
    for (unsigned i = 0; i < n; i++) {
        h->addrs[i] = addrs[i];
        assert_int_equal(addrs[i].port, 0);
    }
}

void dns_on_srv(void *heard, int err, const struct net_srv *records, unsigned n)
{
    struct dns_heard *h = heard;
    hear(h, err, n);
    for (unsigned i = 0; i < n; i++) {
        h->srvs[i] = records[i];
        h->srvs[i].target = keep(h, records[i].target);
    }
}

void dns_on_naptr(void *heard, int err, const struct net_naptr *records, unsigned n)
{
    struct dns_heard *h = heard;
    hear(h, err, n);
    for (unsigned i = 0; i < n; i++) {
        h->naptrs[i] = records[i];
        h->naptrs[i].flags = keep(h, records[i].flags);
        h->naptrs[i].service = keep(h, records[i].service);
        h->naptrs[i].replacement = keep(h, records[i].replacement);
    }
}

static struct dns_heard *waiting_for;

static bool is_heard(void)
{
    return waiting_for->calls != 0;
}

static bool wait_heard(struct dns_rig *d, struct dns_heard *h, int rc)
{
    waiting_for = h;
    assert_int_equal(h->calls, rc);
    if (rc == 0)
        dns_rig_until(d, is_heard);
    assert_int_equal(h->calls, 1);
    return rc == 1;
}

bool dns_ask_host(struct dns_rig *d, const char *name, struct dns_heard *h)
{
    h->calls = 0;
    return wait_heard(d, h, net_resolve(d->r, slice_str(name), dns_on_host, h, NULL));
}

bool dns_ask_srv(struct dns_rig *d, const char *name, struct dns_heard *h)
{
    h->calls = 0;
    return wait_heard(d, h, net_resolve_srv(d->r, slice_str(name), dns_on_srv, h, NULL));
}

bool dns_ask_naptr(struct dns_rig *d, const char *name, struct dns_heard *h)
{
    h->calls = 0;
    return wait_heard(d, h, net_resolve_naptr(d->r, slice_str(name), dns_on_naptr, h, NULL));
}

bool dns_heard_ip(const struct dns_heard *h, const char *ip)
{
    struct addr want;
    assert_int_equal(addr_parse_ip(slice_str(ip), 0, &want), 0);
    return h->err == 0 && addr_eq(&h->addrs[0], &want);
}
