/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/buf.h"
#include "load/load_int.h"

#define RATE_QUIET_MS 3000

/* Mails left over after a turn that takes so many wait for another one as long. */
#define MAILS_PER_TURN 4096
/* A receive buffer that is half full when it is looked at is as bad as a lag at the limit, whatever
 * the time: it may be full before the next look, and what is dropped then may be anything. At a
 * quarter it is nothing. */
#define BUFFER_FROM 0.25
#define BUFFER_TO   0.5

int load_shared_new(const struct hash_key *key, struct load_shared **out)
{
    struct load_shared *s = mem_zalloc(sizeof(*s));
    if (s == NULL)
        return ERR_NOMEM;
    s->key = *key;
    *out = s;
    return 0;
}

void load_shared_free(struct load_shared **shared)
{
    mem_free(*shared);
    *shared = NULL;
}

int load_new(const struct load_conf *conf, struct load_shared *shared, unsigned worker,
             struct counters *counters, struct load **out)
{
    struct load *load = mem_zalloc(sizeof(*load));
    if (load == NULL)
        return ERR_NOMEM;
    load->conf = conf;
    load->shared = shared;
    load->counters = counters;
    load->worker = worker % LOAD_WORKERS;
    load->control.least = load->control.least_late = -1;
    rng_seed(&load->rng, hash_mix(shared->key.k1 ^ (worker + 1)));
    atomic_fetch_add(&shared->nworkers, 1);
    *out = load;
    return 0;
}

void load_free(struct load **load)
{
    if (*load != NULL) {
        atomic_fetch_sub(&(*load)->shared->nworkers, 1);
        load_want(*load, 0, 0);
    }
    mem_free(*load);
    *load = NULL;
}

void load_set_conf(struct load *load, const struct load_conf *conf)
{
    load->conf = conf;
}

/* --- lag -------------------------------------------------------------------------------------- */

void load_on_buffer(struct load *load, unsigned percent, uint64_t dropped)
{
    load->buffer = percent / 100.0;
    load->dropped += dropped;
}

void load_on_line(struct load *load, uint64_t waited_ms)
{
    load->in_line = (double)waited_ms;
}

static void show(struct load *load, uint64_t now)
{
    unsigned loss = load_control_share(&load->control, LOAD_INVITE);
    if (loss != 0 || load->has_wanted)
        load_want(load, loss, now);
    load->has_wanted = loss != 0;
    atomic_store_explicit(&load->counters->v[CTR_LAG_MS], (uint64_t)load->control.most,
                          memory_order_relaxed);
    atomic_store_explicit(&load->counters->v[CTR_LOSS], (loss + 9) / 10, memory_order_relaxed);
}

static void tell(struct load *load, enum load_change change, uint64_t now)
{
    if (change == LOAD_BEGINS) {
        load->shed = 0;
        load->dropped = 0;
        load->began = now;
        EVENT_LOG(EV_OVERLOAD, LF_INT("worker", load->worker), LF_INT("lag_ms", load->control.last),
                  LF_INT("limit_ms", load->conf->lag_ms),
                  LF_INT("buffer_percent", load->buffer * 100));
    } else if (change == LOAD_ENDS) {
        EVENT_LOG(EV_OVERLOAD_ENDS, LF_INT("worker", load->worker), LF_INT("refused", load->shed),
                  LF_INT("dropped", load->dropped), LF_INT("ms", now - load->began));
    }
}

/* Begins with the first call refused, ends when none was for RATE_QUIET_MS. */
static void rate_refused(struct load *load, const struct addr *source, uint64_t now)
{
    if (load->over_rate == 0) {
        load->rate_began = now;
        EVENT_LOG(EV_RATE, LF_INT("worker", load->worker), LF_ADDR("source", source),
                  LF_INT("rate", load->conf->dialog_rate));
    }
    load->over_rate++;
    load->rate_last = now;
}

static void rate_look(struct load *load, uint64_t now)
{
    if (load->over_rate == 0 || now - load->rate_last < RATE_QUIET_MS)
        return;
    EVENT_LOG(EV_RATE_ENDS, LF_INT("worker", load->worker), LF_INT("refused", load->over_rate),
              LF_INT("ms", load->rate_last - load->rate_began));
    load->over_rate = 0;
}

void load_on_turn(struct load *load, uint32_t late_ms, uint32_t waiting, uint64_t now)
{
    uint32_t limit = load->conf->lag_ms;
    double lag = late_ms + (double)late_ms * waiting / MAILS_PER_TURN;
    double full = (load->buffer - BUFFER_FROM) / (BUFFER_TO - BUFFER_FROM) * limit;
    uint64_t since = load->control.since;
    if (full > lag)
        lag = full;
    load->control.late = lag;
    if (load->in_line > lag)
        lag = load->in_line;
    enum load_change change = load_control_turn(&load->control, lag, limit, now);
    tell(load, change, now);
    rate_look(load, now);
    load->buffer = load->in_line = 0;
    if (load->control.since != since || change != LOAD_SAME)
        show(load, now);
}

unsigned load_loss(const struct load *load)
{
    return (load_control_share(&load->control, LOAD_INVITE) + 9) / 10;
}

/* --- what is let in --------------------------------------------------------------------------- */

/* A neighbour that speaks RFC 7339 has held back what we asked it for: of what it sends only the
 * rest is refused. Where the lag is above the limit all the same, somebody does not keep to it, and
 * all are treated alike. */
static unsigned share_of(struct load *load, enum load_kind kind, const struct addr *source,
                         uint64_t now)
{
    unsigned share = load_control_share(&load->control, kind);
    if (share == 0 || !load->conf->is_control || load->control.last > load->conf->lag_ms)
        return share;
    const struct load_neighbour *n = load_neighbour_of(load, source, false, now);
    struct load_oc told;
    if (n == NULL || now >= n->speaks || !load_ask(load, now, &told) || told.loss == 0)
        return share;
    unsigned held = told.loss * (LOAD_FULL / 100);
    return held >= share ? 0 : (share - held) * LOAD_FULL / (LOAD_FULL - held);
}

static bool is_for_lag(struct load *load, enum load_kind kind, const struct addr *source,
                       int64_t waited_ms, uint64_t now)
{
    struct load_control *c = &load->control;
    unsigned share = c->is_on ? share_of(load, kind, source, now) : 0;
    if (kind == LOAD_INVITE && waited_ms != LOAD_AT_ONCE)
        return load_control_refuses_late(c, (double)waited_ms, load->conf->lag_ms, share);
    return load_control_refuses(c, kind, share);
}

enum load_cause load_admit(struct load *load, enum load_kind kind, const struct addr *source,
                           int64_t waited_ms, uint64_t now)
{
    const struct load_conf *conf = load->conf;
    if (kind == LOAD_PASS)
        return LOAD_ADMITTED;
    if (conf->source_rate != 0 && !load_source_take(load->shared, source, conf->source_rate, now)) {
        counter_inc(load->counters, CTR_SHED_SOURCE);
        EVENT_LOG(EV_SOURCE_RATE, LF_INT("worker", load->worker), LF_ADDR("source", source),
                  LF_INT("rate", conf->source_rate));
        return LOAD_SOURCE;
    }
    if (is_for_lag(load, kind, source, waited_ms, now)) {
        counter_inc(load->counters, CTR_SHED_LAG);
        load->shed++;
        return LOAD_LAG;
    }
    if (kind == LOAD_INVITE && conf->dialog_rate != 0 &&
        !load_bucket_take(&load->shared->dialogs, conf->dialog_rate, now)) {
        counter_inc(load->counters, CTR_SHED_RATE);
        rate_refused(load, source, now);
        return LOAD_RATE;
    }
    return LOAD_ADMITTED;
}

uint32_t load_retry_after(struct load *load, uint32_t least)
{
    uint32_t min = load->conf->retry_min_s, max = load->conf->retry_max_s;
    uint32_t first = least > min ? least : min;
    return max > min ? first + (uint32_t)rng_below(&load->rng, max - min + 1) : first;
}

bool load_is_lining(const struct load *load, uint64_t now)
{
    return now < load->control.lines;
}

bool load_has_room(struct load *load, const struct addr *source, unsigned in_line, uint64_t now)
{
    struct load_control *c = &load->control;
    if (!c->is_on)
        return true;
    if (load_control_goes_by_share(c) &&
        load_control_refuses(c, LOAD_INVITE, share_of(load, LOAD_INVITE, source, now)))
        return false;
    return in_line < c->room;
}

bool load_is_limiting(const struct load *load)
{
    return load->conf->dialog_rate != 0 || load->conf->source_rate != 0 || load->control.is_on;
}
