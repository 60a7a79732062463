/* SPDX-License-Identifier: Apache-2.0 */
/* How a connection is, for people: what its lists say, and how many there are of each. */
#include "flow/flow_int.h"

enum flow_stage flow_stage(const struct flow *f)
{
    const struct flow_work *w = f->work;

    switch ((enum flow_state)f->state) {
    case FLOW_OPENING:
        return w != NULL && w->cause != 0 ? FLOW_STAGE_REOPENING : FLOW_STAGE_OPENING;
    case FLOW_UP:
        return w != NULL && (w->cause != 0 || w->fail_at != 0) ? FLOW_STAGE_SUSPECT : FLOW_STAGE_UP;
    case FLOW_GONE: break;
    }
    return FLOW_STAGE_NONE;
}

/* COUNTER_MAX: counted nowhere. */
static enum counter gauge_of(const struct flow *f, enum flow_stage stage)
{
    bool is_tls = f->transport == SIP_TLS;

    switch (stage) {
    case FLOW_STAGE_OPENING: return is_tls ? CTR_TLS_OPENING : CTR_TCP_OPENING;
    case FLOW_STAGE_UP: return is_tls ? CTR_TLS_UP : CTR_TCP_UP;
    case FLOW_STAGE_SUSPECT:
    case FLOW_STAGE_REOPENING: return is_tls ? CTR_TLS_SUSPECT : CTR_TCP_SUSPECT;
    case FLOW_STAGE_NONE: break;
    }
    return COUNTER_MAX;
}

static void move(struct flow *f, enum flow_stage stage)
{
    enum counter before = gauge_of(f, (enum flow_stage)f->stage), now = gauge_of(f, stage);

    f->stage = stage & 7;
    if (before == now)
        return;
    if (before != COUNTER_MAX)
        counter_dec(f->owner->counters, before);
    if (now != COUNTER_MAX)
        counter_inc(f->owner->counters, now);
}

void flow_restage(struct flow *f)
{
    move(f, flow_stage(f));
}

void flow_unstage(struct flow *f)
{
    move(f, FLOW_STAGE_NONE);
}
