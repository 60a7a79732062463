/* SPDX-License-Identifier: Apache-2.0 */
/* What this worker lets in and what its neighbours ask for, as rows. */
#include "base/field.h"
#include "load/load_int.h"

/* Per mille as percent; what is refused at all is never shown as 0. */
static unsigned percent(unsigned per_mille)
{
    return (per_mille + 9) / 10;
}

void load_rows(struct load *load, uint64_t now, const struct row_sink *sink)
{
    const struct load_control *c = &load->control;
    const struct counters *k = load->counters;

    ROW(sink, "overload", LF_BOOL("refusing", c->is_on), LF_INT("lag_ms", c->last),
        LF_INT("worst_ms", c->most), LF_INT("limit_ms", load->conf->lag_ms),
        LF_INT("loss_percent", percent(load_control_share(c, LOAD_INVITE))),
        LF_INT("loss_other_percent", percent(load_control_share(c, LOAD_OTHER))),
        LF_INT("refused_rate", counter_get(k, CTR_SHED_RATE)),
        LF_INT("refused_source", counter_get(k, CTR_SHED_SOURCE)),
        LF_INT("refused_lag", counter_get(k, CTR_SHED_LAG)),
        LF_INT("refused_neighbour", counter_get(k, CTR_SHED_NEIGHBOUR)));
    for (unsigned i = 0; i < LOAD_NEIGHBOURS; i++) {
        const struct load_neighbour *n = &load->neighbours[i];
        if (n->used == 0 || (now >= n->until && now >= n->speaks))
            continue;
        ROW(sink, "neighbour", LF_ADDR("address", &n->addr),
            LF_INT("loss_percent", now < n->until ? n->loss : 0),
            LF_INT("until_ms", now < n->until ? n->until - now : 0),
            LF_BOOL("follows", now < n->speaks));
    }
}
