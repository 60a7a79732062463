/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "admin/admin_int.h"
#include "base/alloc.h"

int admin_new(const struct admin_deps *deps, struct admin **out)
{
    struct admin *a = mem_zalloc(sizeof(*a));
    size_t len = deps->configuration != NULL ? strlen(deps->configuration) + 1 : 0;
    char *configuration = len != 0 ? mem_alloc(len) : NULL;
    *out = NULL;
    if (a == NULL || (len != 0 && configuration == NULL)) {
        mem_free(configuration);
        mem_free(a);
        return ERR_NOMEM;
    }
    assert(deps->nworkers >= 1 && deps->nworkers <= ADMIN_WORKERS_MAX);
    a->deps = *deps;
    if (len != 0)
        memcpy(configuration, deps->configuration, len);
    a->deps.configuration = a->configuration = configuration;
    a->started_us = admin_now_us();
    a->started_wall = deps->wall != NULL ? deps->wall(deps->user) : 0;
    pthread_mutex_init(&a->lock, NULL);
    *out = a;
    return 0;
}

void admin_free(struct admin **admin)
{
    struct admin *a = *admin;
    if (a == NULL)
        return;
    if (a->control != NULL)
        admin_control_close(&a->control);
    pthread_mutex_destroy(&a->lock);
    mem_free(a->configuration);
    mem_free(a);
    *admin = NULL;
}
