/* SPDX-License-Identifier: Apache-2.0 */
/* A peer whose kernel acknowledges and whose program does nothing: no timer of TCP sees it. */
#include "flow/flow_int.h"

void flow_unanswered(struct flow *f)
{
    const struct flows *fs = f->owner;
    uint32_t limit = fs->conf.wedged_after;
    if (!flows_recover(fs) || limit == 0 || f->state != FLOW_UP || f->lame)
        return;
    if (limit > UINT8_MAX)
        limit = UINT8_MAX;
    if (++f->unanswered >= limit)
        flow_doom(f, ERR_STALE_WEDGED);
}

void flows_unanswered(struct flows *fs, uint64_t id)
{
    unsigned owner = flow_id_owner(fs, id);
    if (id == 0 || flow_id_is_provisional(id))
        return;
    if (owner != fs->worker) {
        flow_mail_unanswered(fs, owner, id);
        return;
    }
    struct flow *f = flow_find(fs, id);
    if (f != NULL)
        flow_unanswered(f);
}
