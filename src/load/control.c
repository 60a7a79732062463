/* SPDX-License-Identifier: Apache-2.0 */
#include "load/load_int.h"

/* Of the share, for each second: by how far the standing lag is from where it is held, and by how
 * much it has changed, both in seconds. At three times the sustainable rate a share that is wrong
 * by a tenth moves the lag by 30 ms in an interval; the loop is stable up to some twenty times. */
#define GAIN_ERROR  0.4
#define GAIN_CHANGE 1.2
#define HOLD        0.2  /* of the limit */
#define DECAY       0.93 /* of the share in an interval in which nothing had to wait */
#define LEAST       0.005
#define QUIET_MS    3000 /* nothing refused for so long: it is over */
#define CATCH_UP    50   /* intervals looked at one by one after a long sleep */

static void interval_ends(struct load_control *c, uint32_t limit_ms, uint64_t now)
{
    double lag = c->least < 0 ? 0 : c->least;
    double hold = limit_ms * HOLD;
    double change = lag - c->last;
    c->last = lag;
    c->most = c->worst;
    c->least = -1;
    c->worst = 0;
    if (!c->is_on)
        return;
    c->share += GAIN_ERROR * (lag - hold) / 1000 + GAIN_CHANGE * change / 1000;
    if (lag < hold / 4)
        c->share *= DECAY;
    if (c->share > 1)
        c->share = 1;
    if (c->share < LEAST)
        c->share = 0;
    if (c->share > 0)
        c->ends = now + QUIET_MS;
}

void load_control_look(struct load_control *c, uint32_t limit_ms, uint64_t now)
{
    if (c->since == 0 || now < c->since)
        c->since = now;
    if (now - c->since >= (uint64_t)CATCH_UP * LOAD_INTERVAL_MS) {
        c->share = 0; /* it slept: there is nothing to do */
        c->since = now - LOAD_INTERVAL_MS;
    }
    while (now - c->since >= LOAD_INTERVAL_MS) {
        c->since += LOAD_INTERVAL_MS;
        interval_ends(c, limit_ms, c->since);
    }
}

enum load_change load_control_turn(struct load_control *c, double lag_ms, uint32_t limit_ms,
                                   uint64_t now)
{
    bool was_on = c->is_on;
    if (limit_ms == 0) {
        *c = (struct load_control){.least = -1, .since = now};
        return was_on ? LOAD_ENDS : LOAD_SAME;
    }
    /* A turn that has taken long began in an interval that is over. */
    if (c->least < 0 || lag_ms < c->least)
        c->least = lag_ms;
    if (lag_ms > c->worst)
        c->worst = lag_ms;
    load_control_look(c, limit_ms, now);
    if (!c->is_on && c->last > limit_ms) {
        c->is_on = true;
        c->begun = now;
        c->share = GAIN_CHANGE * c->last / 1000;
        if (c->share > 0.5)
            c->share = 0.5;
        c->ends = now + QUIET_MS;
    } else if (c->is_on && c->share <= 0 && now >= c->ends) {
        c->is_on = false;
    }
    if (was_on == c->is_on)
        return LOAD_SAME;
    return c->is_on ? LOAD_BEGINS : LOAD_ENDS;
}

unsigned load_control_share(const struct load_control *c, enum load_kind kind)
{
    double share = c->is_on ? c->share : 0;
    if (kind == LOAD_PASS)
        return 0;
    if (kind == LOAD_OTHER)
        share = share > 0.8 ? (share - 0.8) * 5 : 0;
    return (unsigned)(share * LOAD_FULL + 0.5);
}

bool load_control_refuses(struct load_control *c, enum load_kind kind, unsigned share)
{
    unsigned *credit = kind == LOAD_INVITE ? &c->credit : &c->credit_other;
    *credit += share;
    if (*credit < LOAD_FULL)
        return false;
    *credit -= LOAD_FULL;
    return true;
}
