/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>

#include "admin/admin_int.h"
#include "base/alloc.h"

int admin_new(const struct admin_deps *deps, struct admin **out)
{
    struct admin *a = mem_zalloc(sizeof(*a));
    *out = a;
    if (a == NULL)
        return ERR_NOMEM;
    assert(deps->nworkers >= 1 && deps->nworkers <= ADMIN_WORKERS_MAX);
    a->deps = *deps;
    a->started_us = admin_now_us();
    return 0;
}

void admin_free(struct admin **admin)
{
    struct admin *a = *admin;
    if (a == NULL)
        return;
    if (a->control != NULL)
        admin_control_close(&a->control);
    mem_free(a);
    *admin = NULL;
}
