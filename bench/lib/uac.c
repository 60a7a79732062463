/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "load.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char sdp[] = "v=0\r\n"
                          "o=- 3904 3904 IN IP4 127.0.0.1\r\n"
                          "s=-\r\n"
                          "c=IN IP4 127.0.0.1\r\n"
                          "t=0 0\r\n"
                          "m=audio 40000 RTP/AVP 0 8 101\r\n"
                          "a=rtpmap:0 PCMU/8000\r\n"
                          "a=rtpmap:8 PCMA/8000\r\n"
                          "a=rtpmap:101 telephone-event/8000\r\n"
                          "a=fmtp:101 0-15\r\n"
                          "a=sendrecv\r\n";

bool uac_open(struct load *l)
{
    const struct load_options *opt = &l->opt;
    struct uac *u = &l->uac;

    u->calls = calloc(opt->calls, sizeof(*u->calls));
    u->ep = calloc(opt->connections, sizeof(*u->ep));
    if (!u->calls || !u->ep) {
        fprintf(stderr, "no memory for %llu calls\n", (unsigned long long)opt->calls);
        return false;
    }
    for (unsigned i = 0; i < opt->connections; i++) {
        struct sockaddr_in local = opt->uac_address;

        if (local.sin_port)
            local.sin_port = htons((uint16_t)(ntohs(local.sin_port) + i));
        u->ep[i] = opt->tcp ? net_connect(&l->net, &opt->proxy) : net_udp(&l->net, &local);
        if (!u->ep[i])
            return false;
        u->ep[i]->role = NET_UAC;
        u->ep[i]->index = i;
    }
    return true;
}

void uac_close(struct load *l)
{
    for (uint64_t i = 0; l->uac.calls && i < l->opt.calls; i++)
        free(l->uac.calls[i].dialog);
    free(l->uac.calls);
    free(l->uac.ep);
}

static struct endpoint *endpoint_of(const struct load *l, uint64_t number)
{
    return l->uac.ep[number % l->opt.connections];
}

static void put_address(struct out *o, const struct sockaddr_in *a)
{
    char text[32];

    net_text(a, text, sizeof(text));
    out_text(o, text);
}

/* Request-URI of call `number`: a registered user, or the address of a callee. */
static void put_target(const struct load *l, struct out *o, uint64_t number)
{
    const struct load_options *opt = &l->opt;
    struct sockaddr_in a = opt->uas_address;

    out_text(o, "sip:u");
    if (opt->users || opt->app) {
        out_uint(o, number % (opt->users ? opt->users : opt->uas_ports));
        out_text(o, "@");
        out_text(o, opt->domain);
    } else {
        unsigned i = (unsigned)(number % opt->uas_ports);

        out_uint(o, i);
        out_text(o, "@");
        a.sin_port = htons((uint16_t)(ntohs(a.sin_port) + i));
        put_address(o, &a);
    }
    if (opt->tcp)
        out_text(o, ";transport=tcp");
}

static void put_via(const struct load *l, struct out *o, uint64_t number, const char *suffix)
{
    out_text(o, l->opt.tcp ? "Via: SIP/2.0/TCP " : "Via: SIP/2.0/UDP ");
    put_address(o, &endpoint_of(l, number)->local);
    out_text(o, ";branch=z9hG4bK");
    out_uint(o, l->run);
    out_text(o, "x");
    out_uint(o, number);
    out_text(o, suffix);
    out_text(o, l->opt.oc ? ";rport;oc;oc-algo=\"loss\"\r\n" : ";rport\r\n");
}

static void put_common(const struct load *l, struct out *o, uint64_t number)
{
    out_text(o, "Max-Forwards: 70\r\nFrom: \"Caller ");
    out_uint(o, number);
    out_text(o, "\" <sip:caller@127.0.0.1>;tag=c");
    out_uint(o, number);
    out_text(o, "\r\nCall-ID: ");
    out_uint(o, l->run);
    out_text(o, "-");
    out_uint(o, number);
    out_text(o, "@bench.invalid\r\n");
}

static bool send_out(struct load *l, struct endpoint *ep, struct out *o,
                     const struct sockaddr_in *to)
{
    if (o->full)
        return false;
    net_commit(&l->net, ep, out_len(o), to);
    return true;
}

static bool send_invite(struct load *l, uint64_t number)
{
    struct endpoint *ep = endpoint_of(l, number);
    char *room = net_reserve(&l->net, ep);
    struct out o;

    if (!room)
        return false;
    out_init(&o, room, NET_MESSAGE);
    out_text(&o, "INVITE ");
    put_target(l, &o, number);
    out_text(&o, " SIP/2.0\r\n");
    put_via(l, &o, number, "i");
    put_common(l, &o, number);
    out_text(&o, "To: <");
    put_target(l, &o, number);
    out_text(&o, ">\r\nCSeq: 1 INVITE\r\nContact: <sip:caller@");
    put_address(&o, &ep->local);
    if (l->opt.tcp)
        out_text(&o, ";transport=tcp");
    out_text(&o, ">\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS\r\nSupported: replaces\r\n"
                 "User-Agent: bench\r\nContent-Type: application/sdp\r\nContent-Length: ");
    out_uint(&o, sizeof(sdp) - 1);
    out_text(&o, "\r\n\r\n");
    out_mem(&o, sdp, sizeof(sdp) - 1);
    return send_out(l, ep, &o, &l->opt.proxy);
}

/* ACK of a 2xx or BYE: RFC 3261 12.2.1.1, loose routing. */
static bool send_in_dialog(struct load *l, uint64_t number, const char *method, const char *suffix,
                           const char *cseq)
{
    const struct uac_call *c = &l->uac.calls[number];
    struct endpoint *ep = endpoint_of(l, number);
    char *room = net_reserve(&l->net, ep);
    struct out o;

    if (!room || !c->dialog)
        return false;
    out_init(&o, room, NET_MESSAGE);
    out_text(&o, method);
    out_text(&o, " ");
    out_mem(&o, c->dialog, c->uri_len);
    out_text(&o, " SIP/2.0\r\n");
    put_via(l, &o, number, suffix);
    out_mem(&o, c->dialog + c->uri_len, c->route_len);
    put_common(l, &o, number);
    out_text(&o, "To: ");
    out_mem(&o, c->dialog + c->uri_len + c->route_len, c->to_len);
    out_text(&o, "\r\nCSeq: ");
    out_text(&o, cseq);
    out_text(&o, "\r\nUser-Agent: bench\r\nContent-Length: 0\r\n\r\n");
    return send_out(l, ep, &o, &c->next_hop);
}

/* ACK of a final response that is no 2xx: hop by hop, branch of the INVITE (17.1.1.3). */
static void send_ack_failure(struct load *l, uint64_t number, const struct sipmsg *m)
{
    struct endpoint *ep = endpoint_of(l, number);
    char *room = net_reserve(&l->net, ep);
    struct out o;

    if (!room)
        return;
    out_init(&o, room, NET_MESSAGE);
    out_text(&o, "ACK ");
    put_target(l, &o, number);
    out_text(&o, " SIP/2.0\r\n");
    put_via(l, &o, number, "i");
    put_common(l, &o, number);
    out_text(&o, "To: ");
    out_str(&o, m->to);
    out_text(&o, "\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n");
    (void)send_out(l, ep, &o, &l->opt.proxy);
}

static void end_call(struct load *l, struct uac_call *c, uint64_t *counter)
{
    wheel_cancel(&l->wheel, &c->timer);
    free(c->dialog);
    c->dialog = NULL;
    c->state = UAC_DONE;
    l->uac.n.ended++;
    (*counter)++;
}

static void arm(struct load *l, struct uac_call *c, bool retransmits)
{
    uint64_t due = c->deadline;

    if (retransmits && !l->opt.tcp && load_ms(l) + c->interval < due)
        due = load_ms(l) + c->interval;
    wheel_set(&l->wheel, &c->timer, due);
}

/* What the proxy asks for, in the Via that we wrote. */
static void learn_oc(struct load *l, const struct sipmsg *m)
{
    uint64_t loss, validity;

    if (!l->opt.oc || !text_uint(sip_param(m->via[0], ";oc="), 100, &loss) ||
        !text_uint(sip_param(m->via[0], ";oc-validity="), 60000, &validity))
        return;
    l->uac.oc_loss = (unsigned)loss;
    l->uac.oc_until = l->now + validity * 1000000U;
}

/* Is this call one of those that the proxy does not want? */
static bool is_held_back(struct load *l)
{
    if (l->now >= l->uac.oc_until)
        return false;
    l->uac.oc_credit += l->uac.oc_loss;
    if (l->uac.oc_credit < 100)
        return false;
    l->uac.oc_credit -= 100;
    return true;
}

void uac_start(struct load *l, uint64_t number, uint64_t planned)
{
    struct uac_call *c = &l->uac.calls[number];

    c->timer.kind = TIMER_UAC;
    c->planned = planned;
    c->state = UAC_CALLING;
    c->interval = LOAD_T1;
    c->deadline = load_ms(l) + l->opt.timeout_ms;
    l->uac.n.started++;
    if (l->now - planned > l->uac.late_max)
        l->uac.late_max = l->now - planned;
    if (is_held_back(l))
        end_call(l, c, &l->uac.n.held_back);
    else if (!send_invite(l, number))
        end_call(l, c, &l->uac.n.send_failed);
    else
        arm(l, c, true);
}

static void start_bye(struct load *l, uint64_t number)
{
    struct uac_call *c = &l->uac.calls[number];

    c->state = UAC_BYE;
    c->interval = LOAD_T1;
    c->bye_sent = l->now;
    c->deadline = load_ms(l) + l->opt.timeout_ms;
    if (!send_in_dialog(l, number, "BYE", "b", "2 BYE"))
        end_call(l, c, &l->uac.n.send_failed);
    else
        arm(l, c, true);
}

void uac_timer(struct load *l, struct timer *t)
{
    struct uac_call *c = (struct uac_call *)(void *)((char *)t - offsetof(struct uac_call, timer));
    uint64_t number = (uint64_t)(c - l->uac.calls);
    struct uac_counts *n = &l->uac.n;

    if (c->state == UAC_HOLDING) {
        start_bye(l, number);
        return;
    }
    if (load_ms(l) >= c->deadline) {
        end_call(l, c, c->state == UAC_BYE ? &n->timeout_bye : &n->timeout_invite);
        return;
    }
    c->interval *= 2;
    if (c->state == UAC_CALLING) {
        n->invite_retransmits++;
        (void)send_invite(l, number);
    } else {
        if (c->interval > LOAD_T2)
            c->interval = LOAD_T2;
        n->bye_retransmits++;
        (void)send_in_dialog(l, number, "BYE", "b", "2 BYE");
    }
    arm(l, c, true);
}

/* The route set is the Record-Route list backwards (12.1.2); returns the number of values. */
static unsigned put_routes(const struct sipmsg *m, struct out *o, struct str *first)
{
    struct str values[SIP_MAX_RR * 2];
    unsigned count = 0;

    for (unsigned i = 0; i < m->rr_count; i++) {
        struct str list = m->rr[i], value;

        while (count < SIP_MAX_RR * 2 && sip_next_value(&list, &value))
            values[count++] = value;
    }
    for (unsigned i = count; i-- > 0;) {
        out_text(o, "Route: ");
        out_str(o, values[i]);
        out_text(o, "\r\n");
    }
    if (count)
        *first = sip_addr_uri(values[count - 1]);
    return count;
}

/* Address of a "sip:[user@]host[:port][;params]" URI whose host is an IPv4 address. */
static bool uri_address(struct str uri, struct sockaddr_in *a)
{
    const char *at = memchr(uri.p, '@', uri.n), *start, *end;

    if (uri.n < 5 || memcmp(uri.p, "sip:", 4) != 0)
        return false;
    start = at ? at + 1 : uri.p + 4;
    for (end = start; end < uri.p + uri.n && *end != ';' && *end != '?'; end++)
        ;
    return net_address_n(start, (size_t)(end - start), a);
}

/* Keeps of the 200 what ACK and BYE need; a counter to end the call with, or NULL. */
static uint64_t *learn_dialog(struct load *l, struct uac_call *c, const struct sipmsg *m)
{
    char text[NET_MESSAGE];
    struct str first = {NULL, 0}, uri = sip_addr_uri(m->contact);
    struct out o;
    unsigned routes;

    out_init(&o, text, sizeof(text));
    out_str(&o, uri);
    c->uri_len = (uint32_t)out_len(&o);
    routes = put_routes(m, &o, &first);
    c->route_len = (uint32_t)out_len(&o) - c->uri_len;
    out_str(&o, m->to);
    c->to_len = (uint32_t)m->to.n;
    c->next_hop = l->opt.proxy;
    if (routes == 0 && !l->opt.direct)
        return &l->uac.n.no_record_route;
    if (routes > 0 && (!text_find(first, ";lr") || !uri_address(first, &c->next_hop)))
        return &l->uac.n.bad_route;
    if (l->opt.tcp && !net_same(&c->next_hop, &l->opt.proxy))
        return &l->uac.n.bad_route;
    c->dialog = o.full || uri.n == 0 ? NULL : malloc(out_len(&o));
    if (!c->dialog)
        return &l->uac.n.send_failed;
    memcpy(c->dialog, text, out_len(&o));
    return NULL;
}

static void provisional(struct load *l, struct uac_call *c, const struct sipmsg *m)
{
    struct uac_counts *n = &l->uac.n;

    if (m->status == 100) {
        n->got_100++;
        if (c->answered || c->seen_180)
            n->late_100++;
    } else if (m->status == 180) {
        if (c->answered && !c->seen_180)
            n->reordered++;
        else if (c->seen_180)
            n->repeated_1xx++;
        else
            hist_add(&l->uac.to_180, (l->now - c->planned) / 1000U);
        c->seen_180 = true;
    }
    if (c->state == UAC_CALLING) {
        c->state = UAC_PROCEEDING;
        arm(l, c, false);
    }
}

static void answer(struct load *l, uint64_t number, const struct sipmsg *m)
{
    struct uac_call *c = &l->uac.calls[number];
    struct uac_counts *n = &l->uac.n;
    uint64_t *failure;

    if (c->answered) {
        n->repeated_200_invite++;
        if (c->dialog && (c->to_len != m->to.n ||
                          memcmp(c->dialog + c->uri_len + c->route_len, m->to.p, m->to.n) != 0))
            n->second_dialog++;
        if (c->dialog)
            (void)send_in_dialog(l, number, "ACK", "a", "1 ACK");
        return;
    }
    if (c->state == UAC_DONE) {
        n->stray++;
        return;
    }
    c->answered = true;
    hist_add(&l->uac.to_200, (l->now - c->planned) / 1000U);
    if (!c->seen_180)
        n->without_180++;
    failure = learn_dialog(l, c, m);
    if (!failure && !send_in_dialog(l, number, "ACK", "a", "1 ACK"))
        failure = &n->send_failed;
    if (failure) {
        end_call(l, c, failure);
        return;
    }
    c->state = UAC_HOLDING;
    if (l->opt.hold_ms)
        wheel_set(&l->wheel, &c->timer, load_ms(l) + l->opt.hold_ms);
    else
        start_bye(l, number);
}

static void invite_response(struct load *l, uint64_t number, const struct sipmsg *m)
{
    struct uac_call *c = &l->uac.calls[number];

    if (m->status < 200) {
        provisional(l, c, m);
    } else if (m->status < 300) {
        answer(l, number, m);
    } else {
        send_ack_failure(l, number, m);
        if (c->state == UAC_CALLING || c->state == UAC_PROCEEDING) {
            l->uac.n.by_status[m->status]++;
            end_call(l, c, &l->uac.n.failed);
        }
    }
}

static void bye_response(struct load *l, struct uac_call *c, const struct sipmsg *m)
{
    if (m->status < 200)
        return;
    if (c->state != UAC_BYE) {
        l->uac.n.repeated_200_bye++;
        return;
    }
    if (m->status < 300) {
        hist_add(&l->uac.bye_200, (l->now - c->bye_sent) / 1000U);
        end_call(l, c, &l->uac.n.completed);
    } else {
        l->uac.n.by_status[m->status]++;
        end_call(l, c, &l->uac.n.failed_bye);
    }
}

void uac_message(struct load *l, const struct sipmsg *m)
{
    uint64_t run, number;

    if (!m->status || !sip_call_number(m->call_id, &run, &number) || run != l->run ||
        number >= l->opt.calls || l->uac.calls[number].state == UAC_IDLE) {
        l->uac.n.stray++;
        return;
    }
    learn_oc(l, m);
    if (m->method == SIP_INVITE)
        invite_response(l, number, m);
    else if (m->method == SIP_BYE)
        bye_response(l, &l->uac.calls[number], m);
    else
        l->uac.n.stray++;
}
