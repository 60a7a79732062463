/* SPDX-License-Identifier: Apache-2.0 */
/* The application: a SIP server behind the proxy that stays in each call and leads it back through
 * the proxy to its callee. It keeps nothing of a call (RFC 3261 16.11), so that it takes little of
 * the CPU that the measurement needs. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "load.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define COOKIE "z9hG4bK"

bool app_open(struct load *l)
{
    struct app *a = &l->app;
    struct sockaddr_in from = l->opt.app_address;

    net_text(&l->opt.app_address, a->name, sizeof(a->name));
    if (!l->opt.tcp) {
        a->out = net_udp(&l->net, &l->opt.app_address);
        if (a->out)
            a->out->role = NET_APP;
        return a->out;
    }
    from.sin_port = 0;
    a->listener = net_listen(&l->net, &l->opt.app_address);
    a->out = net_connect_from(&l->net, &l->opt.proxy, &from);
    if (!a->listener || !a->out)
        return false;
    a->listener->role = a->out->role = NET_APP;
    return true;
}

static bool next_line(struct str *rest, struct str *line)
{
    const char *eol = memchr(rest->p, '\n', rest->n);
    size_t n = eol ? (size_t)(eol - rest->p) + 1 : rest->n;

    *line = (struct str){rest->p, n};
    rest->p += n;
    rest->n -= n;
    return n > 2;
}

static bool begins(struct str line, const char *name)
{
    size_t n = strlen(name);

    return line.n > n && memcmp(line.p, name, n) == 0;
}

static void send_out(struct load *l, struct endpoint *ep, struct out *o)
{
    if (o->full) {
        l->app.n.dropped++;
        return;
    }
    l->app.n.forwarded++;
    net_commit(&l->net, ep, out_len(o), &l->opt.proxy);
}

/* The callee of an INVITE to sip:u<i>@...: the address of callee i. Without registrations of its
 * own the application has to know that. */
static void put_callee(const struct load *l, struct out *o, struct str uri)
{
    struct sockaddr_in a = l->opt.uas_address;
    char text[32];
    uint64_t i = 0;

    if (uri.n > 5)
        (void)text_uint((struct str){uri.p + 5, uri.n - 5}, LOAD_MAX_CALLS, &i);
    i %= l->opt.uas_ports;
    a.sin_port = htons((uint16_t)(ntohs(a.sin_port) + i));
    net_text(&a, text, sizeof(text));
    out_text(o, "sip:u");
    out_uint(o, i);
    out_text(o, "@");
    out_text(o, text);
    if (l->opt.tcp)
        out_text(o, ";transport=tcp");
}

/* Our Via; its branch follows from that of the request (16.11). */
static void put_via(const struct load *l, struct out *o, const struct sipmsg *m)
{
    struct str branch = sip_param(m->via[0], ";branch=" COOKIE);

    out_text(o, l->opt.tcp ? "Via: SIP/2.0/TCP " : "Via: SIP/2.0/UDP ");
    out_text(o, l->app.name);
    out_text(o, ";branch=" COOKIE "app");
    out_str(o, branch);
    out_text(o, "\r\n");
}

static void put_record_route(const struct load *l, struct out *o)
{
    out_text(o, "Record-Route: <sip:");
    out_text(o, l->app.name);
    out_text(o, l->opt.tcp ? ";transport=tcp;lr>\r\n" : ";lr>\r\n");
}

/* Every line but the first one, which is written already, and that Route which led here. */
static void put_rest(struct load *l, struct out *o, struct str rest)
{
    bool has_popped = false;
    struct str line;

    while (next_line(&rest, &line)) {
        if (!has_popped && begins(line, "Route:") && text_find(line, l->app.name)) {
            has_popped = true;
        } else if (begins(line, "Max-Forwards:")) {
            uint64_t hops = 70;

            (void)text_uint(text_trim((struct str){line.p + 13, line.n - 13}), 255, &hops);
            out_text(o, "Max-Forwards: ");
            out_uint(o, hops ? hops - 1 : 0);
            out_text(o, "\r\n");
        } else {
            out_str(o, line);
        }
    }
    out_str(o, line);
    out_str(o, rest);
}

static void forward_request(struct load *l, const struct sipmsg *m)
{
    char *room = net_reserve(&l->net, l->app.out);
    struct str rest = m->all, first;
    bool begins_call = m->method == SIP_INVITE && !text_find(m->to, ";tag=");
    bool has_own_uri = begins_call || (m->method == SIP_ACK && !text_find(m->all, "\nRoute:"));
    struct out o;

    if (!room)
        return;
    (void)next_line(&rest, &first);
    out_init(&o, room, NET_MESSAGE);
    out_mem(&o, first.p, (size_t)(m->uri.p - first.p));
    if (has_own_uri)
        put_callee(l, &o, m->uri);
    else
        out_str(&o, m->uri);
    out_text(&o, " SIP/2.0\r\n");
    put_via(l, &o, m);
    if (begins_call)
        put_record_route(l, &o);
    put_rest(l, &o, rest);
    send_out(l, l->app.out, &o);
}

/* Our Via is the first one; the response goes to where the request came from. */
static void forward_response(struct load *l, const struct sipmsg *m)
{
    struct endpoint *ep = l->opt.tcp ? l->app.in : l->app.out;
    char *room = ep ? net_reserve(&l->net, ep) : NULL;
    const char *end = m->via[0].p + m->via[0].n;
    struct str rest = {end, (size_t)(m->all.p + m->all.n - end)}, nothing;
    struct out o;

    if (!room || !text_find(m->via[0], l->app.name)) {
        l->app.n.dropped++;
        return;
    }
    (void)next_line(&rest, &nothing);
    out_init(&o, room, NET_MESSAGE);
    out_mem(&o, m->all.p, (size_t)(m->via[0].p - m->all.p));
    out_str(&o, rest);
    send_out(l, ep, &o);
}

/* The proxy asks whether we are there. */
static void answer(struct load *l, struct endpoint *ep, const struct sipmsg *m)
{
    char *room = net_reserve(&l->net, ep);
    struct out o;

    if (!room)
        return;
    out_init(&o, room, NET_MESSAGE);
    out_text(&o, "SIP/2.0 200 OK\r\n");
    for (unsigned i = 0; i < m->via_count; i++) {
        out_str(&o, m->via[i]);
        out_text(&o, "\r\n");
    }
    out_text(&o, "From: ");
    out_str(&o, m->from);
    out_text(&o, "\r\nTo: ");
    out_str(&o, m->to);
    out_text(&o, ";tag=app\r\nCall-ID: ");
    out_str(&o, m->call_id);
    out_text(&o, "\r\nCSeq: ");
    out_str(&o, m->cseq);
    out_text(&o, "\r\nContent-Length: 0\r\n\r\n");
    if (!o.full)
        net_commit(&l->net, ep, out_len(&o), &l->opt.proxy);
    l->app.n.checks++;
}

void app_message(struct load *l, struct endpoint *ep, const struct sipmsg *m)
{
    if (m->status) {
        forward_response(l, m);
        return;
    }
    if (begins(m->all, "OPTIONS ")) {
        answer(l, ep, m);
        return;
    }
    if (ep != l->app.out)
        l->app.in = ep;
    forward_request(l, m);
}
