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
                          "o=- 7208 7208 IN IP4 127.0.0.1\r\n"
                          "s=-\r\n"
                          "c=IN IP4 127.0.0.1\r\n"
                          "t=0 0\r\n"
                          "m=audio 42000 RTP/AVP 0 101\r\n"
                          "a=rtpmap:0 PCMU/8000\r\n"
                          "a=rtpmap:101 telephone-event/8000\r\n"
                          "a=fmtp:101 0-15\r\n"
                          "a=sendrecv\r\n";

static struct endpoint *open_one(struct load *l, unsigned i)
{
    struct sockaddr_in local = l->opt.uas_address;

    local.sin_port = htons((uint16_t)(ntohs(local.sin_port) + i));
    if (!l->opt.tcp)
        return net_udp(&l->net, &local);
    return l->opt.users ? net_connect(&l->net, &l->opt.proxy) : net_listen(&l->net, &local);
}

bool uas_open(struct load *l)
{
    struct uas *s = &l->uas;
    unsigned count = l->opt.users ? l->opt.users : l->opt.uas_ports;

    s->room = l->opt.uac ? l->opt.calls : 1024;
    s->calls = calloc(s->room, sizeof(*s->calls));
    s->ep = calloc(count, sizeof(struct endpoint *));
    if (!s->calls || !s->ep) {
        fprintf(stderr, "no memory for %llu calls\n", (unsigned long long)s->room);
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        s->ep[i] = open_one(l, i);
        if (!s->ep[i])
            return false;
        s->ep[i]->role = NET_UAS;
        s->ep[i]->index = i;
    }
    return true;
}

void uas_close(struct load *l)
{
    for (uint64_t i = 0; l->uas.calls && i < l->uas.room; i++)
        free(l->uas.calls[i].head);
    free(l->uas.calls);
    free(l->uas.ep);
    free(l->uas.users);
}

/* In a process of its own the callee does not know the number of calls: the table grows. Timers are
 * linked into the calls, so that they are set again at their new place. */
static bool grow(struct load *l, uint64_t number)
{
    struct uas *s = &l->uas;
    uint64_t room = s->room;
    struct uas_call *calls;

    while (room <= number)
        room *= 2;
    calls = calloc(room, sizeof(*calls));
    if (!calls)
        return false;
    for (uint64_t i = 0; i < s->room; i++) {
        uint64_t due = s->calls[i].timer.due;
        bool armed = s->calls[i].timer.next;

        wheel_cancel(&l->wheel, &s->calls[i].timer);
        calls[i] = s->calls[i];
        if (armed)
            wheel_set(&l->wheel, &calls[i].timer, due);
    }
    free(s->calls);
    s->calls = calls;
    s->room = room;
    return true;
}

/* The top Via of the request with what 18.2.1 and RFC 3581 add to it. */
static void put_top_via(struct out *o, struct str via, const struct sockaddr_in *from)
{
    const char *rport = text_find(via, ";rport");
    const char *end = via.p + via.n, *after;
    char text[32];
    const char *colon;

    if (!rport || (rport + 6 < end && rport[6] == '=')) {
        out_str(o, via);
        out_text(o, "\r\n");
        return;
    }
    after = rport + 6;
    net_text(from, text, sizeof(text));
    colon = strchr(text, ':');
    out_mem(o, via.p, (size_t)(after - via.p));
    out_text(o, "=");
    out_text(o, colon + 1);
    out_text(o, ";received=");
    out_mem(o, text, (size_t)(colon - text));
    out_mem(o, after, (size_t)(end - after));
    out_text(o, "\r\n");
}

/* Headers that every response to this request has. */
static void put_head(struct out *o, const struct sipmsg *m, const struct sockaddr_in *from,
                     uint64_t number)
{
    put_top_via(o, m->via[0], from);
    for (unsigned i = 1; i < m->via_count; i++) {
        out_str(o, m->via[i]);
        out_text(o, "\r\n");
    }
    for (unsigned i = 0; m->method == SIP_INVITE && i < m->rr_count; i++) {
        out_text(o, "Record-Route: ");
        out_str(o, m->rr[i]);
        out_text(o, "\r\n");
    }
    out_text(o, "From: ");
    out_str(o, m->from);
    out_text(o, "\r\nTo: ");
    out_str(o, m->to);
    if (!text_find(m->to, ";tag=")) {
        out_text(o, ";tag=s");
        out_uint(o, number);
    }
    out_text(o, "\r\nCall-ID: ");
    out_str(o, m->call_id);
    out_text(o, "\r\nCSeq: ");
    out_str(o, m->cseq);
    out_text(o, "\r\n");
}

static void put_contact(const struct load *l, struct out *o, const struct endpoint *ep)
{
    char text[32];

    net_text(&ep->local, text, sizeof(text));
    out_text(o, "Contact: <sip:u");
    out_uint(o, ep->index);
    out_text(o, "@");
    out_text(o, text);
    if (l->opt.tcp)
        out_text(o, ";transport=tcp");
    out_text(o, ">\r\n");
}

static void send_response(struct load *l, struct uas_call *c, const char *status, bool body)
{
    char *room = net_reserve(&l->net, c->ep);
    struct out o;

    if (!room || !c->head)
        return;
    out_init(&o, room, NET_MESSAGE);
    out_text(&o, status);
    out_mem(&o, c->head, c->head_len);
    if (body) {
        put_contact(l, &o, c->ep);
        out_text(&o, "Content-Type: application/sdp\r\nContent-Length: ");
        out_uint(&o, sizeof(sdp) - 1);
        out_text(&o, "\r\n\r\n");
        out_mem(&o, sdp, sizeof(sdp) - 1);
    } else {
        out_text(&o, "Content-Length: 0\r\n\r\n");
    }
    if (!o.full)
        net_commit(&l->net, c->ep, out_len(&o), &c->from);
}

/* A response without a record behind it. */
static void send_once(struct load *l, struct endpoint *ep, const struct sockaddr_in *from,
                      const struct sipmsg *m, uint64_t number, const char *status)
{
    char *room = net_reserve(&l->net, ep);
    struct out o;

    if (!room)
        return;
    out_init(&o, room, NET_MESSAGE);
    out_text(&o, status);
    put_head(&o, m, from, number);
    out_text(&o, "Content-Length: 0\r\n\r\n");
    if (!o.full)
        net_commit(&l->net, ep, out_len(&o), from);
}

static void send_ringing(struct load *l, struct uas_call *c)
{
    char *room = net_reserve(&l->net, c->ep);
    struct out o;

    if (!room)
        return;
    out_init(&o, room, NET_MESSAGE);
    out_text(&o, "SIP/2.0 180 Ringing\r\n");
    out_mem(&o, c->head, c->head_len);
    put_contact(l, &o, c->ep);
    out_text(&o, "Content-Length: 0\r\n\r\n");
    if (!o.full)
        net_commit(&l->net, c->ep, out_len(&o), &c->from);
}

/* 200 to the INVITE, repeated until the ACK comes, over TCP as well (13.3.1.4). */
static void send_answer(struct load *l, struct uas_call *c)
{
    send_response(l, c, "SIP/2.0 200 OK\r\n", true);
    if (!c->answered) {
        c->answered = true;
        c->interval = LOAD_T1;
        c->give_up = load_ms(l) + 64U * LOAD_T1;
        l->uas.n.answered++;
    }
    wheel_set(&l->wheel, &c->timer, load_ms(l) + c->interval);
}

static void first_invite(struct load *l, struct uas_call *c, struct endpoint *ep,
                         const struct sockaddr_in *from, const struct sipmsg *m, uint64_t number)
{
    char text[NET_MESSAGE];
    struct out o;

    out_init(&o, text, sizeof(text));
    put_head(&o, m, from, number);
    c->head = o.full ? NULL : malloc(out_len(&o));
    if (!c->head)
        return;
    c->head_len = (uint32_t)out_len(&o);
    memcpy(c->head, text, out_len(&o));
    c->ep = ep;
    c->from = *from;
    c->timer.kind = TIMER_UAS;
    l->uas.n.calls++;
    if (l->opt.trying)
        send_response(l, c, "SIP/2.0 100 Trying\r\n", false);
    send_ringing(l, c);
    if (l->opt.ring_ms)
        wheel_set(&l->wheel, &c->timer, load_ms(l) + l->opt.ring_ms);
    else
        send_answer(l, c);
}

static void invite(struct load *l, struct uas_call *c, struct endpoint *ep,
                   const struct sockaddr_in *from, const struct sipmsg *m, uint64_t number)
{
    uint64_t branch = text_hash(sip_param(m->via[0], "branch="));

    if (!c->invite_branch) {
        c->invite_branch = branch;
        first_invite(l, c, ep, from, m, number);
    } else if (c->invite_branch == branch) {
        l->uas.n.invite_retransmits++;
        if (c->head && c->answered)
            send_response(l, c, "SIP/2.0 200 OK\r\n", true);
        else if (c->head)
            send_ringing(l, c);
    } else {
        l->uas.n.invite_duplicates++;
        send_once(l, ep, from, m, number, "SIP/2.0 482 Loop Detected\r\n");
    }
}

static void forget(struct load *l, struct uas_call *c)
{
    wheel_cancel(&l->wheel, &c->timer);
    free(c->head);
    c->head = NULL;
}

static void ack(struct load *l, struct uas_call *c)
{
    if (!c->answered) {
        l->uas.n.stray++;
    } else if (c->acked) {
        l->uas.n.ack_repeats++;
    } else {
        c->acked = true;
        l->uas.n.acked++;
        forget(l, c);
    }
}

static void bye(struct load *l, struct uas_call *c, struct endpoint *ep,
                const struct sockaddr_in *from, const struct sipmsg *m, uint64_t number)
{
    uint64_t branch = text_hash(sip_param(m->via[0], "branch="));

    if (!c->answered) {
        l->uas.n.stray++;
        send_once(l, ep, from, m, number, "SIP/2.0 481 Call Does Not Exist\r\n");
        return;
    }
    if (!c->bye_branch) {
        c->bye_branch = branch;
        l->uas.n.byes++;
        if (!c->acked)
            l->uas.n.bye_before_ack++;
        forget(l, c);
    } else if (c->bye_branch == branch) {
        l->uas.n.bye_retransmits++;
    } else {
        l->uas.n.bye_duplicates++;
    }
    send_once(l, ep, from, m, number, "SIP/2.0 200 OK\r\n");
}

/* A callee in its own process follows the run whose call it sees first. */
static struct uas_call *find_call(struct load *l, const struct sipmsg *m, uint64_t *number)
{
    struct uas *s = &l->uas;
    uint64_t run;

    if (!sip_call_number(m->call_id, &run, number) || *number >= LOAD_MAX_CALLS)
        return NULL;
    if (!s->run_known) {
        s->run_known = true;
        s->run = run;
    }
    if (run != s->run || (*number >= s->room && !grow(l, *number)))
        return NULL;
    return &s->calls[*number];
}

void uas_message(struct load *l, struct endpoint *ep, const struct sockaddr_in *from,
                 const struct sipmsg *m)
{
    uint64_t number;
    struct uas_call *c;

    if (m->status) {
        user_message(l, m);
        return;
    }
    c = find_call(l, m, &number);
    if (!c)
        l->uas.n.stray++;
    else if (m->method == SIP_INVITE)
        invite(l, c, ep, from, m, number);
    else if (m->method == SIP_ACK)
        ack(l, c);
    else if (m->method == SIP_BYE)
        bye(l, c, ep, from, m, number);
    else
        send_once(l, ep, from, m, number, "SIP/2.0 200 OK\r\n");
}

void uas_timer(struct load *l, struct timer *t)
{
    struct uas_call *c = (struct uas_call *)(void *)((char *)t - offsetof(struct uas_call, timer));

    if (c->answered) {
        if (load_ms(l) >= c->give_up) {
            l->uas.n.never_acked++;
            forget(l, c);
            return;
        }
        l->uas.n.response_retransmits++;
        c->interval = c->interval * 2 < LOAD_T2 ? c->interval * 2 : LOAD_T2;
    }
    send_answer(l, c);
}
