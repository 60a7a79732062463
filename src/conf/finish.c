/* SPDX-License-Identifier: Apache-2.0 */
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conf/conf_int.h"

static bool has_ipv6(void)
{
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* All interfaces; IPv6 only where the kernel has it. */
static void listen_everywhere(struct reader *r)
{
    struct conf *c = r->conf;
    c->flow.listen = arena_zalloc(&c->arena, 2 * sizeof(*c->flow.listen));
    if (c->flow.listen == NULL)
        return;
    c->flow.listen[0].family = ADDR_IP4;
    c->flow.listen[1].family = ADDR_IP6;
    c->flow.nlisten = has_ipv6() ? 2 : 1;
}

static void finish_listen(struct reader *r)
{
    struct conf *c = r->conf;
    c->flow.no_plain = c->route.sip_port == 0;
    c->route.tls_port = c->flow.tls_port;
    if (c->flow.no_plain && c->flow.tls_port == 0)
        conf_error(r, "sip-port = 0: there is nothing left to listen on");
    if (!c->flow.no_plain && c->flow.tls_port == c->route.sip_port)
        conf_error(r, "sip-port-tls = %u: is sip-port already", c->flow.tls_port);
    if (c->flow.nlisten == 0)
        listen_everywhere(r);
    for (unsigned i = 0; i < c->flow.nlisten; i++) {
        c->flow.listen[i].port = c->route.sip_port;
        for (unsigned k = 0; k < i; k++) {
            char text[ADDR_TEXT_MAX];
            if (addr_eq_ip(&c->flow.listen[i], &c->flow.listen[k]))
                conf_error(r, "sip-address: %s is named twice",
                           addr_write_ip(&c->flow.listen[i], false, text));
        }
    }
}

static void add_name(struct reader *r, const char *name)
{
    struct route_conf *route = &r->conf->route;
    for (unsigned i = 0; i < route->nown_names; i++)
        if (slice_ieq(route->own_names[i], slice_str(name)))
            return;
    char *text = conf_str(r, slice_str(name));
    if (text != NULL)
        route->own_names[route->nown_names++] = slice_str(text);
}

/* The host's name and, where the system knows it without asking the network, its full name. */
static void finish_names(struct reader *r)
{
    struct conf *c = r->conf;
    char name[256] = "";
    c->route.own_names = arena_zalloc(&c->arena, 4 * sizeof(*c->route.own_names));
    if (c->route.own_names == NULL)
        return;
    add_name(r, "localhost");
    if (gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0')
        return;
    add_name(r, name);
    c->proxy.host_name = slice_str(conf_str(r, slice_str(name)));
}

static void finish_workers(struct conf *c)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (c->workers == 0)
        c->workers = cores < 1 ? 1 : cores > 64 ? 64 : (unsigned)cores;
}

/* What follows from T1 and T4 where it was not set (RFC 3261 table 4). */
static void finish_timers(struct txn_conf *t)
{
    uint32_t all = 64 * t->t1;
    t->timer_b = t->timer_b != 0 ? t->timer_b : all;
    t->timer_f = t->timer_f != 0 ? t->timer_f : all;
    t->timer_h = t->timer_h != 0 ? t->timer_h : all;
    t->timer_j = t->timer_j != 0 ? t->timer_j : all;
    t->timer_i = t->timer_k = t->t4;
    t->timer_l = t->timer_m = all; /* RFC 6026 */
}

/* RFC 4320 4.1: T1, 2 T1, 4 T1… until the interval has reached T2. */
static uint32_t late_trying(const struct txn_conf *t)
{
    uint32_t sum = 0;
    for (uint32_t interval = t->t1; interval < t->t2; interval *= 2)
        sum += interval;
    return sum != 0 ? sum : t->t1;
}

static void finish_registrar(struct reader *r)
{
    struct registrar_conf *g = &r->conf->registrar;
    g->authenticate = r->conf->authenticate != CONF_AUTH_NONE;
    r->conf->proxy.open_to = g->open_to;
    r->conf->proxy.nopen_to = g->nopen_to;
    g->relay_from = r->conf->route.relay_from;
    g->nrelay_from = r->conf->route.nrelay_from;
    if (g->min_expires > g->max_expires)
        conf_error(r, "registrar-min-expires = %u: above registrar-max-expires = %u",
                   g->min_expires, g->max_expires);
    else if (g->default_expires > g->max_expires)
        g->default_expires = g->max_expires;
    else if (g->default_expires < g->min_expires)
        g->default_expires = g->min_expires;
}

/* What the files hold is looked at by conf_open_tls. */
static void finish_tls(struct reader *r)
{
    const struct conf *c = r->conf;
    if (c->flow.tls_port != 0 && c->tls.certificate == NULL) {
        conf_at(r, SECTION_SIPPROXY, 0, "sip-port-tls");
        conf_error(r, "sip-port-tls = %u: needs tls-certificate", c->flow.tls_port);
    }
    if (c->tls.private_key != NULL && c->tls.certificate == NULL) {
        conf_at(r, SECTION_SIPPROXY, 0, "tls-private-key");
        conf_error(r, "tls-private-key = %s: needs tls-certificate", c->tls.private_key);
    }
    r->line = 0;
}

static void finish_dn_tls(struct reader *r, struct dn_conf *dn)
{
    const struct dn_tls_conf *tls = &dn->tls;
    dn->has_tls = tls->certificate != NULL || tls->private_key != NULL || tls->ca != NULL ||
                  tls->verify_server >= 0 || tls->verify_client >= 0 || tls->min_version >= 0;
    if (tls->private_key != NULL && tls->certificate == NULL)
        conf_error(r, "[dn %s]: tls-private-key = %s: needs tls-certificate", dn->name,
                   tls->private_key);
    if (conf_lacks_tls(r->conf, dn->contact))
        conf_error(r, "[dn %s]: contact = %s: needs sip-port-tls", dn->name, dn->contact);
    for (unsigned i = 0; i < dn->ncontact_backup; i++)
        if (conf_lacks_tls(r->conf, dn->contact_backup[i]))
            conf_error(r, "[dn %s]: contact-backup = %s: needs sip-port-tls", dn->name,
                       dn->contact_backup[i]);
}

/* A number of ours may stand for another one of ours; a trunk leads away. */
static void finish_trunk(struct reader *r, const struct dn_conf *dn)
{
    bool is_trunk = dn->type == DN_TRUNK || dn->type == DN_TRUNK_GROUP;
    if (dn->ncontact_backup != 0 && dn->contact == NULL)
        conf_error(r, "[dn %s]: contact-backup = %s: needs contact", dn->name,
                   dn->contact_backup[0]);
    if (dn->prefix != NULL && !is_trunk)
        conf_error(r, "[dn %s]: prefix = %s: needs type = trunk or trunk-group", dn->name,
                   dn->prefix);
    if (!is_trunk)
        return;
    if (dn->contact != NULL && conf_is_loop(r->conf, dn->contact))
        conf_error(r, "[dn %s]: contact = %s: " CONF_LOOP_TEXT, dn->name, dn->contact);
    for (unsigned i = 0; i < dn->ncontact_backup; i++)
        if (conf_is_loop(r->conf, dn->contact_backup[i]))
            conf_error(r, "[dn %s]: contact-backup = %s: " CONF_LOOP_TEXT, dn->name,
                       dn->contact_backup[i]);
    r->conf->route.has_trunks = r->conf->route.has_trunks || dn->prefix != NULL;
}

static void finish_dns(struct reader *r)
{
    r->conf->dns = conf_item(r, SECTION_DN, 0);
    r->conf->ndns = r->items[SECTION_DN].n;
    for (unsigned i = 0; i < r->conf->ndns; i++) {
        struct dn_conf *dn = &r->conf->dns[i];
        r->line = r->items[SECTION_DN].at[i];
        finish_dn_tls(r, dn);
        finish_trunk(r, dn);
        if (dn->password != NULL && dn->password_ha1 != NULL)
            conf_error(r, "[dn %s]: password and password-ha1 exclude each other", dn->name);
    }
    r->line = 0;
}

/* Until the connection that may have lost it is found dead, and the kernel looks; not longer than
 * its sender waits. */
static uint32_t keep_time(const struct conf *c)
{
    uint32_t most = 64 * c->txn.t1, ms = c->flow.unacked_timeout_ms;
    ms = ms != 0 && ms < most ? ms + 800 : most;
    return ms > TXN_KEEP_MS ? ms : TXN_KEEP_MS;
}

static bool is_letter_or_digit(char c)
{
    return (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z');
}

/* User parts, without a scheme or a host: "tel:112" would be nobody's. */
static void finish_emergency(struct reader *r)
{
    const struct proxy_conf *c = &r->conf->proxy;
    conf_at(r, SECTION_SIPPROXY, 0, "emergency-numbers");
    for (unsigned i = 0; i < c->nemergency_numbers; i++) {
        struct slice number = c->emergency_numbers[i];
        bool says_something = false, is_user = true;
        for (size_t k = 0; k < number.len; k++) {
            char ch = number.ptr[k];
            says_something = says_something || is_letter_or_digit(ch);
            is_user = is_user && (is_letter_or_digit(ch) || strchr("+*#-.()_", ch) != NULL);
        }
        if (!says_something || !is_user)
            conf_error(r,
                       "emergency-numbers = %.*s: not allowed; allowed: numbers, or user names, "
                       "without scheme and host",
                       SLICE_ARG(number));
    }
    r->line = 0;
}

static void finish_resolver(struct reader *r)
{
    conf_at(r, SECTION_SIPPROXY, 0, "dns-servers");
    if (r->conf->resolver.nservers > NET_DNS_SERVERS_MAX)
        conf_error(r, "dns-servers: %u of them; allowed: at most %d", r->conf->resolver.nservers,
                   NET_DNS_SERVERS_MAX);
    r->line = 0;
}

void conf_finish(struct reader *r)
{
    struct conf *c = r->conf;
    finish_listen(r);
    finish_names(r);
    conf_finish_listeners(r);
    finish_workers(c);
    finish_timers(&c->txn);
    finish_registrar(r);
    finish_tls(r);
    finish_resolver(r);
    finish_emergency(r);
    conf_finish_admin(r);
    conf_finish_neighbours(r);
    finish_dns(r);
    c->txn.recover = c->flow.sockopt.keep_alive;
    c->txn.keep_ms = keep_time(c);
    c->proxy.late_trying_ms = late_trying(&c->txn);
    c->proxy.reopens = c->flow.sockopt.keep_alive;
    c->proxy.authenticate_all = c->authenticate == CONF_AUTH_ALL;
    c->proxy.max_breadth = 60; /* RFC 5393 5.3.3.1 */
    c->proxy.max_targets = 32;
}
