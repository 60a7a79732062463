/* SPDX-License-Identifier: Apache-2.0 */
/* What only a restart changes: told when a file is read again, and kept as it runs. */
#include "conf/conf_int.h"

unsigned conf_needs_restart(const struct conf *now, const struct conf *next, FILE *out)
{
    unsigned n = 0;
    for (unsigned i = 0; i < conf_noptions; i++) {
        const struct option *o = &conf_options[i];
        const char *a = now->values[i] != NULL ? now->values[i] : o->fallback;
        const char *b = next->values[i] != NULL ? next->values[i] : o->fallback;
        if (o->effect != EFFECT_RESTART || strcmp(a, b) == 0)
            continue;
        n++;
        fprintf(out, "%s: %s = %s needs a restart; %s stays\n",
                next->file != NULL ? next->file : "", o->name,
                b[0] != '\0' ? b : conf_default_text(o), a[0] != '\0' ? a : conf_default_text(o));
    }
    return n;
}

static const char *copy(struct conf *to, const char *s)
{
    return s != NULL ? arena_dup(&to->arena, slice_of(s, strlen(s) + 1)).ptr : NULL;
}

int conf_keep_running(const struct conf *now, struct conf *next)
{
    size_t size = now->flow.nlisten * sizeof(*now->flow.listen);
    struct addr *listen = arena_alloc(&next->arena, size);
    const char *location = copy(next, now->location);
    const char *control_socket = copy(next, now->control_socket);
    for (unsigned i = 0; i < conf_noptions; i++)
        if (conf_options[i].effect == EFFECT_RESTART)
            next->values[i] = copy(next, now->values[i]);
    if (next->arena.overflow)
        return ERR_NOMEM;
    memcpy(listen, now->flow.listen, size);
    next->flow.listen = listen;
    next->flow.nlisten = now->flow.nlisten;
    next->flow.sockopt.tos = now->flow.sockopt.tos;
    next->flow.no_plain = now->flow.no_plain;
    next->flow.tls_port = now->flow.tls_port;
    next->route.sip_port = now->route.sip_port;
    next->route.tls_port = now->route.tls_port;
    next->workers = now->workers;
    next->location = location;
    next->control_socket = control_socket;
    next->location_file =
        now->location_file != NULL ? location + (now->location_file - now->location) : NULL;
    return 0;
}
