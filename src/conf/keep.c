/* SPDX-License-Identifier: Apache-2.0 */
/* What only a restart changes: told when a file is read again, and kept as it runs. */
#include "conf/conf_int.h"

/* What a [listener ...] says of this address. */
static const struct flow_side *side_of(const struct conf *c, const struct addr *a)
{
    for (unsigned i = 0; i < c->flow.nlisten; i++)
        if (addr_eq_ip(&c->flow.listen[i], a))
            return &c->flow.sides[i];
    return NULL;
}

/* A change of sip-advertised-address is told with the other options. */
static unsigned sides_need_restart(const struct conf *now, const struct conf *next, FILE *out)
{
    unsigned n = 0;
    if (strcmp(now->advertised != NULL ? now->advertised : "",
               next->advertised != NULL ? next->advertised : "") != 0)
        return 0;
    for (unsigned i = 0; i < now->flow.nlisten; i++) {
        const struct flow_side *a = &now->flow.sides[i];
        const struct flow_side *b = side_of(next, &now->flow.listen[i]);
        char text[ADDR_TEXT_MAX];
        if (b == NULL ||
            (slice_ieq(a->advertised, b->advertised) && a->advertised_port == b->advertised_port))
            continue;
        n++;
        fprintf(out, "%s: advertised-address of [listener %s] needs a restart\n",
                next->file != NULL ? next->file : "",
                addr_write_ip(&now->flow.listen[i], false, text));
    }
    return n;
}

static const char *as_read(const struct conf *c, unsigned i)
{
    return c->values[i] != NULL ? c->values[i] : conf_options[i].fallback;
}

unsigned conf_needs_restart(const struct conf *now, const struct conf *next, FILE *out)
{
    unsigned n = 0;
    for (unsigned i = 0; i < conf_noptions; i++) {
        const struct option *o = &conf_options[i];
        const char *a = as_read(now, i), *b = as_read(next, i);
        if (o->effect != EFFECT_RESTART || strcmp(a, b) == 0)
            continue;
        n++;
        fprintf(out, "%s: %s = %s needs a restart; %s stays\n",
                next->file != NULL ? next->file : "", o->name,
                b[0] != '\0' ? b : conf_default_text(o), a[0] != '\0' ? a : conf_default_text(o));
    }
    return n + sides_need_restart(now, next, out);
}

static char *copy(struct conf *to, const char *s)
{
    size_t size = s != NULL ? strlen(s) + 1 : 0;
    char *text = s != NULL ? arena_bytes(&to->arena, size) : NULL;
    if (text != NULL)
        memcpy(text, s, size);
    return text;
}

static struct slice copy_slice(struct conf *to, struct slice s)
{
    return arena_dup(&to->arena, s);
}

/* What is advertised stays, who may talk to us is new. */
static int keep_sides(const struct conf *now, struct conf *next)
{
    unsigned n = now->flow.nlisten, own = next->nwritten_aliases;
    unsigned more = now->route.naliases - now->nwritten_aliases;
    struct flow_side *sides = arena_zalloc(&next->arena, n * sizeof(*sides));
    struct slice *aliases = arena_zalloc(&next->arena, (own + more + 1) * sizeof(*aliases));
    if (sides == NULL || aliases == NULL)
        return ERR_NOMEM;
    for (unsigned i = 0; i < n; i++) {
        const struct flow_side *said = side_of(next, &now->flow.listen[i]);
        sides[i].access = said != NULL ? said->access : next->access;
        sides[i].naccess = said != NULL ? said->naccess : next->naccess;
        sides[i].advertised = copy_slice(next, now->flow.sides[i].advertised);
        sides[i].advertised_port = now->flow.sides[i].advertised_port;
    }
    for (unsigned i = 0; i < own; i++)
        aliases[i] = next->route.aliases[i];
    for (unsigned i = 0; i < more; i++)
        aliases[own + i] = copy_slice(next, now->route.aliases[now->nwritten_aliases + i]);
    next->flow.sides = sides;
    next->route.aliases = aliases;
    next->route.naliases = own + more;
    return 0;
}

int conf_keep_running(const struct conf *now, struct conf *next)
{
    size_t size = now->flow.nlisten * sizeof(*now->flow.listen);
    struct addr *listen = arena_alloc(&next->arena, size);
    const char *location = copy(next, now->location);
    const char *control_socket = copy(next, now->control_socket);
    for (unsigned i = 0; i < conf_noptions; i++) {
        const struct option *o = &conf_options[i];
        if (o->effect != EFFECT_RESTART)
            continue;
        if (strcmp(as_read(now, i), as_read(next, i)) != 0)
            next->pending[i] = next->values[i] != NULL ? next->values[i] : conf_default_text(o);
        next->values[i] = copy(next, now->values[i]);
    }
    char *advertised = copy(next, now->advertised);
    if (keep_sides(now, next) != 0 || next->arena.overflow)
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
    next->admin_address = now->admin_address;
    next->location = location;
    next->advertised = advertised;
    next->control_socket = control_socket;
    next->location_file =
        now->location_file != NULL ? location + (now->location_file - now->location) : NULL;
    return 0;
}
