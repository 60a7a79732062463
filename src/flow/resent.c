/* SPDX-License-Identifier: Apache-2.0 */
/* How long requests that needed a reopening had to wait: from the moment one was received to the
 * one at which its second copy, or the first where it came meanwhile, is acknowledged on the new
 * connection. */
#include "base/alloc.h"
#include "flow/flow_int.h"

/* Without memory it is not counted. */
void flow_resent_add(struct flow_work *w, const struct flow_out *m)
{
    if (m->since == 0 || (m->flags & FLOW_SEND_REQUEST) == 0 ||
        (m->flags & (FLOW_SEND_RESEND | FLOW_WAITED)) == 0)
        return;
    struct flow_resent *x = mem_alloc(sizeof(*x));
    if (x == NULL)
        return;
    list_init(&x->node);
    x->end = w->sent;
    x->since = m->since;
    if (list_is_empty(&w->resent))
        w->resent_look = FLOW_RESENT_MS;
    list_push(&w->resent, &x->node);
}

static void count(struct counters *c, uint64_t ms)
{
    static const struct {
        uint32_t ms;
        enum counter counter;
    } buckets[] = {{50, CTR_RECOVERY_LE_50},      {200, CTR_RECOVERY_LE_200},
                   {500, CTR_RECOVERY_LE_500},    {1000, CTR_RECOVERY_LE_1000},
                   {1500, CTR_RECOVERY_LE_1500},  {3000, CTR_RECOVERY_LE_3000},
                   {10000, CTR_RECOVERY_LE_10000}};
    counter_inc(c, CTR_RECOVERY_COUNT);
    counter_add(c, CTR_RECOVERY_MS, ms);
    for (unsigned i = 0; i < sizeof(buckets) / sizeof(buckets[0]); i++) {
        if (ms <= buckets[i].ms)
            counter_inc(c, buckets[i].counter);
    }
}

void flow_resent_acked(struct flow *f, uint64_t acked)
{
    struct list *all = &f->work->resent;
    uint64_t now = flows_now(f->owner);
    while (!list_is_empty(all)) {
        struct flow_resent *x = container_of(all->next, struct flow_resent, node);
        if (x->end > acked)
            return;
        count(f->owner->counters, now > x->since ? now - x->since : 0);
        list_remove(&x->node);
        mem_free(x);
    }
}

void flow_resent_drop(struct flow_work *w)
{
    while (!list_is_empty(&w->resent)) {
        struct flow_resent *x = container_of(w->resent.next, struct flow_resent, node);
        list_remove(&x->node);
        mem_free(x);
    }
}
