/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "load/load_int.h"

/* What is let in changes, in an interval, by that part of itself: for each second by which the
 * standing lag is too long, and for each by which it has grown. As a part, since the sustainable
 * rate is what is let in whatever is offered: the loop is the same at twice that rate and at twenty
 * times. An interval in which a tenth too much came in makes the lag grow by 10 ms, and takes 7 %
 * of it back. */
#define GAIN_ERROR  0.6
#define GAIN_CHANGE 7.0
#define HOLD        0.2  /* of the limit */
#define DECAY       0.98 /* of the share, when nothing had to wait; faster with each interval */
#define LEAST       0.005
#define QUIET_MS    3000 /* nothing refused for so long: it is over */
#define IDLE_MS     1000 /* asleep for so long: nothing is too much now */
#define TIMES_MAX   10   /* intervals */
#define FOLLOW      0.3  /* of the part that came too late, in an interval */
#define LINE_FROM   0.1  /* of the limit: so late, and new calls stand in line */
#define LINE_MS     200  /* so long after that */
#define ROOM_LEAST  64
#define ROOM_MOST   1e6
#define BEGIN_LEAST 0.1
#define BEGIN_MOST  0.8

static double within(double x, double least, double most)
{
    return x < least ? least : x > most ? most : x;
}

/* What part of the calls that stood in line had to be refused since they stood there for too long.
 */
static double late_part(struct load_control *c)
{
    unsigned n = c->let_in + c->too_late;
    double part = n != 0 ? (double)c->too_late / n : 0;
    c->let_in = c->too_late = 0;
    return part;
}

/* A long turn, or a long sleep, is one interval that counts for several. */
static void interval_ends(struct load_control *c, uint32_t limit_ms, uint64_t now)
{
    double n = (double)(now - c->since) / LOAD_INTERVAL_MS;
    double times = within(n, 1, TIMES_MAX);
    double change = c->least - c->last, hold = limit_ms * HOLD, worst = c->worst;
    double may_wait = limit_ms * HOLD / (n * LOAD_INTERVAL_MS);
    c->room = (unsigned)within(c->let_in * may_wait, ROOM_LEAST, ROOM_MOST);
    double late = late_part(c);
    uint64_t since = c->since;
    c->since = now;
    c->growth = change / (n * LOAD_INTERVAL_MS);
    c->last = c->least;
    c->most = c->worst;
    c->is_outside = c->least_late > hold;
    c->least = c->least_late = -1;
    c->worst = 0;
    if (!c->is_on)
        return;
    /* Nothing is worked off faster than it would take to do it: a lag that falls by more has been
     * somebody else's, of the machine, or was dropped. */
    change = within(change, -LOAD_INTERVAL_MS * times, 2 * LOAD_INTERVAL_MS * times);
    double less = GAIN_ERROR * (c->last - hold) / 1000 * times + GAIN_CHANGE * change / 1000;
    /* That the lag falls while everything is refused says nothing about the share. */
    if (c->is_draining && less < 0)
        less = 0;
    /* Nor does a lag that is what it shall be because all that came too late was refused. */
    if (late > 0)
        c->share += (late - c->share) * FOLLOW;
    else
        c->share = 1 - (1 - c->share) * exp(-less);
    c->empty = c->last < hold / 4 ? c->empty + times : 0;
    c->share *= pow(DECAY, c->empty);
    if ((double)(now - since) - worst > IDLE_MS)
        c->share = 0;
    c->share = within(c->share, 0, 1);
    if (c->share < LEAST)
        c->share = 0;
    if (c->share > 0)
        c->ends = now + QUIET_MS;
}

/* What is worked off now came when it was begun to wait: where the wait grows by r ms in each ms,
 * 1 - r of what comes can be done. */
static void begin(struct load_control *c, uint64_t now)
{
    c->is_on = true;
    c->begun = now;
    c->ends = now + QUIET_MS;
    c->share = within(c->growth, BEGIN_LEAST, BEGIN_MOST);
}

/* What waits in front of the worker is gone: by the share again, as if nothing had been before. */
static void drained(struct load_control *c, double lag_ms, uint64_t now)
{
    c->is_draining = false;
    if (now - c->since > IDLE_MS)
        return;
    c->since = now;
    c->last = c->least = lag_ms;
    c->worst = lag_ms;
    c->growth = 0;
}

enum load_change load_control_turn(struct load_control *c, double lag_ms, uint32_t limit_ms,
                                   uint64_t now)
{
    bool was_on = c->is_on;
    if (limit_ms == 0 || now < c->since || c->since == 0) {
        *c = (struct load_control){.least = -1, .least_late = -1, .since = now};
        return was_on ? LOAD_ENDS : LOAD_SAME;
    }
    if (c->is_draining && lag_ms <= limit_ms * HOLD)
        drained(c, lag_ms, now);
    if (lag_ms > limit_ms * LINE_FROM || c->is_on)
        c->lines = now + LINE_MS;
    if (c->least < 0 || lag_ms < c->least)
        c->least = lag_ms;
    if (c->least_late < 0 || c->late < c->least_late)
        c->least_late = c->late;
    if (lag_ms > c->worst)
        c->worst = lag_ms;
    if (now - c->since < LOAD_INTERVAL_MS)
        return LOAD_SAME;
    interval_ends(c, limit_ms, now);
    if (!was_on && c->last > limit_ms)
        begin(c, now);
    else if (was_on && c->share <= 0 && now >= c->ends)
        c->is_on = false;
    if (c->is_on && c->last > limit_ms)
        c->is_draining = true;
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

bool load_control_goes_by_share(const struct load_control *c)
{
    return c->is_on && (c->is_outside || c->is_draining);
}

bool load_control_refuses_late(struct load_control *c, double waited_ms, uint32_t limit_ms,
                               unsigned share)
{
    bool is_exempt = share == 0 && c->share > 0;
    bool is_late = waited_ms == LOAD_NO_ROOM ? !is_exempt
                                             : waited_ms > limit_ms * (is_exempt ? 1 : HOLD);
    is_late = is_late && c->is_on;
    if (load_control_goes_by_share(c))
        return is_late;
    if (is_late)
        c->too_late++;
    else
        c->let_in++;
    return is_late;
}

bool load_control_refuses(struct load_control *c, enum load_kind kind, unsigned share)
{
    if (c->is_draining && kind == LOAD_INVITE)
        return true;
    unsigned *credit = kind == LOAD_INVITE ? &c->credit : &c->credit_other;
    *credit += share;
    if (*credit < LOAD_FULL)
        return false;
    *credit -= LOAD_FULL;
    return true;
}
