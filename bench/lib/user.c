/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "load.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#define WINDOW  64U   /* registrations under way at once */
#define GIVE_UP 8000U /* ms for each */

static bool send_register(struct load *l, struct user *r)
{
    unsigned i = r->ep->index;
    char *room = net_reserve(&l->net, r->ep);
    char here[32];
    struct out o;

    if (!room)
        return false;
    net_text(&r->ep->local, here, sizeof(here));
    out_init(&o, room, NET_MESSAGE);
    out_text(&o, "REGISTER sip:");
    out_text(&o, l->opt.domain);
    out_text(&o, l->opt.tcp ? " SIP/2.0\r\nVia: SIP/2.0/TCP " : " SIP/2.0\r\nVia: SIP/2.0/UDP ");
    out_text(&o, here);
    out_text(&o, ";branch=z9hG4bK");
    out_uint(&o, l->run);
    out_text(&o, "r");
    out_uint(&o, i);
    out_text(&o, ";rport\r\nMax-Forwards: 70\r\nFrom: <sip:u");
    out_uint(&o, i);
    out_text(&o, "@");
    out_text(&o, l->opt.domain);
    out_text(&o, ">;tag=r");
    out_uint(&o, i);
    out_text(&o, "\r\nTo: <sip:u");
    out_uint(&o, i);
    out_text(&o, "@");
    out_text(&o, l->opt.domain);
    out_text(&o, ">\r\nCall-ID: ");
    out_uint(&o, l->run);
    out_text(&o, "-");
    out_uint(&o, i);
    out_text(&o, "@register.invalid\r\nCSeq: 1 REGISTER\r\nContact: <sip:u");
    out_uint(&o, i);
    out_text(&o, "@");
    out_text(&o, here);
    out_text(&o, l->opt.tcp ? ";transport=tcp" : "");
    out_text(&o, ">\r\nExpires: 3600\r\nUser-Agent: bench\r\nContent-Length: 0\r\n\r\n");
    if (o.full)
        return false;
    net_commit(&l->net, r->ep, out_len(&o), &l->opt.proxy);
    return true;
}

static void finish(struct load *l, struct user *r, bool good)
{
    wheel_cancel(&l->wheel, &r->timer);
    r->done = true;
    if (good)
        l->uas.registered++;
    else
        l->uas.register_failed++;
}

static void arm(struct load *l, struct user *r)
{
    uint64_t due = r->give_up;

    if (!l->opt.tcp && load_ms(l) + r->interval < due)
        due = load_ms(l) + r->interval;
    wheel_set(&l->wheel, &r->timer, due);
}

void user_timer(struct load *l, struct timer *t)
{
    struct user *r = (struct user *)(void *)((char *)t - offsetof(struct user, timer));

    if (load_ms(l) >= r->give_up) {
        finish(l, r, false);
        return;
    }
    r->interval = r->interval * 2 < LOAD_T2 ? r->interval * 2 : LOAD_T2;
    l->uas.register_retransmits++;
    (void)send_register(l, r);
    arm(l, r);
}

void user_message(struct load *l, const struct sipmsg *m)
{
    uint64_t run, number;

    if (m->method != SIP_REGISTER || !sip_call_number(m->call_id, &run, &number) || run != l->run ||
        number >= l->opt.users || !l->uas.users) {
        l->uas.n.stray++;
        return;
    }
    if (m->status < 200 || l->uas.users[number].done)
        return;
    if (m->status >= 300)
        fprintf(stderr, "REGISTER of u%llu: %u\n", (unsigned long long)number, m->status);
    finish(l, &l->uas.users[number], m->status < 300);
}

bool uas_register(struct load *l)
{
    struct uas *s = &l->uas;
    unsigned next = 0;
    uint64_t begin = load_clock();

    s->users = calloc(l->opt.users, sizeof(*s->users));
    if (!s->users)
        return false;
    while (s->registered + s->register_failed < l->opt.users && !l->stop) {
        while (next < l->opt.users && next - s->registered - s->register_failed < WINDOW) {
            struct user *r = &s->users[next];

            r->ep = s->ep[next++];
            r->timer.kind = TIMER_USER;
            r->interval = LOAD_T1;
            r->give_up = load_ms(l) + GIVE_UP;
            if (send_register(l, r))
                arm(l, r);
            else
                finish(l, r, false);
        }
        load_turn(l, load_clock() + 1000000U);
    }
    s->register_ns = load_clock() - begin;
    return s->register_failed == 0;
}
