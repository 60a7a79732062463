/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of a record, and the bytes that they take. */
#include "base/alloc.h"
#include "call/call_int.h"

/* What the C library takes for a block: a word in front, units of 16 bytes, at least 32. */
static unsigned block_cost(size_t size)
{
    size_t chunk = (size + 8 + 15) & ~(size_t)15;
    return chunk > UINT16_MAX ? UINT16_MAX : chunk < 32 ? 32 : (unsigned)chunk;
}

unsigned call_fixed_cost(void)
{
    const size_t slot = 16, share = 2 * sizeof(void *);
    return (unsigned)(slot + ((sizeof(struct call) + 15) & ~(size_t)15) + share);
}

/* --- ways --- */

enum { WAY_IP6_REMOTE = 1, WAY_IP6_LOCAL = 2, WAY_NO_REMOTE = 4, WAY_NO_LOCAL = 8, WAY_STAYS = 16 };

static void put(char **at, const void *bytes, size_t len)
{
    memcpy(*at, bytes, len);
    *at += len;
}

static void put_addr(char **at, const struct addr *a)
{
    if (a->family == ADDR_NONE)
        return;
    put(at, &a->port, sizeof(a->port));
    put(at, a->ip, a->family == ADDR_IP6 ? 16 : 4);
    if (a->family == ADDR_IP6)
        put(at, &a->scope, sizeof(a->scope));
}

struct slice call_pack_way(const struct flow_dest *d, char out[CALL_WAY_MAX])
{
    char *at = out;
    uint8_t flags = 0;
    flags |= d->remote.family == ADDR_IP6 ? WAY_IP6_REMOTE : 0;
    flags |= d->local.family == ADDR_IP6 ? WAY_IP6_LOCAL : 0;
    flags |= d->remote.family == ADDR_NONE ? WAY_NO_REMOTE : 0;
    flags |= d->local.family == ADDR_NONE ? WAY_NO_LOCAL : 0;
    flags |= d->no_reopen ? WAY_STAYS : 0;
    put(&at, &flags, 1);
    put(&at, &d->transport, 1);
    put(&at, &d->alt_port, sizeof(d->alt_port));
    put(&at, &d->tls_peer, sizeof(d->tls_peer));
    put(&at, &d->flow, sizeof(d->flow));
    put_addr(&at, &d->remote);
    put_addr(&at, &d->local);
    return slice_of(out, (size_t)(at - out));
}

static void take(const char **at, void *bytes, size_t len)
{
    memcpy(bytes, *at, len);
    *at += len;
}

static void take_addr(const char **at, struct addr *a, bool is_none, bool is_ip6)
{
    if (is_none)
        return;
    a->family = is_ip6 ? ADDR_IP6 : ADDR_IP4;
    take(at, &a->port, sizeof(a->port));
    take(at, a->ip, is_ip6 ? 16 : 4);
    if (is_ip6)
        take(at, &a->scope, sizeof(a->scope));
}

void call_unpack_way(struct slice packed, struct flow_dest *out)
{
    const char *at = packed.ptr;
    uint8_t flags;
    *out = (struct flow_dest){0};
    if (packed.len == 0)
        return;
    take(&at, &flags, 1);
    take(&at, &out->transport, 1);
    take(&at, &out->alt_port, sizeof(out->alt_port));
    take(&at, &out->tls_peer, sizeof(out->tls_peer));
    take(&at, &out->flow, sizeof(out->flow));
    take_addr(&at, &out->remote, flags & WAY_NO_REMOTE, flags & WAY_IP6_REMOTE);
    take_addr(&at, &out->local, flags & WAY_NO_LOCAL, flags & WAY_IP6_LOCAL);
    out->no_reopen = flags & WAY_STAYS;
}

/* --- texts --- */

static size_t parts_size(const struct parts *p)
{
    size_t n = 0;
    for (unsigned i = 0; i < PART_COUNT; i++)
        n += p->v[i].len;
    return n;
}

/* The sum of the lengths was found to be at most CALL_BYTES_MAX. */
static void texts_fill(struct texts *t, const struct parts *p)
{
    size_t at = 0;
    for (unsigned i = 0; i < PART_COUNT; i++) {
        if (p->v[i].len != 0)
            memcpy(t->bytes + at, p->v[i].ptr, p->v[i].len);
        at += p->v[i].len;
        t->end[i] = (uint16_t)at;
    }
}

static size_t texts_size(const struct texts *t)
{
    return t->end[PART_COUNT - 1];
}

struct slice texts_get(const struct texts *t, enum call_part part)
{
    unsigned begin = part != 0 ? t->end[part - 1] : 0;
    return slice_of(t->bytes + begin, t->end[part] - begin);
}

void texts_all(const struct texts *t, struct parts *out)
{
    for (unsigned i = 0; i < PART_COUNT; i++)
        out->v[i] = texts_get(t, i);
}

/* --- dialogs --- */

static unsigned dialog_cost(const struct dialog *d)
{
    return block_cost(sizeof(*d) + texts_size(&d->texts));
}

static struct dialog **link_of(struct call *c, const struct dialog *d)
{
    struct dialog **at = &c->dialogs;
    while (*at != NULL && *at != d)
        at = &(*at)->next;
    return at;
}

struct dialog *dialog_of_tag(const struct call *c, struct slice tag)
{
    struct dialog *d = c->dialogs;
    while (d != NULL && !slice_eq(texts_get(&d->texts, PART_TAG), tag))
        d = d->next;
    return d;
}

void dialog_remove(struct call *c, struct dialog *d)
{
    *link_of(c, d) = d->next;
    c->bytes = (uint16_t)(c->bytes - dialog_cost(d));
    mem_free(d);
}

void dialogs_remove_early(struct call *c)
{
    for (struct dialog *d = c->dialogs, *next; d != NULL; d = next) {
        next = d->next;
        if (!d->confirmed)
            dialog_remove(c, d);
    }
}

bool call_has_confirmed(const struct call *c)
{
    const struct dialog *d = c->dialogs;
    while (d != NULL && !d->confirmed)
        d = d->next;
    return d != NULL;
}

/* An early dialog is known by its tag alone: target and route set come again with the 2xx (RFC
 * 3261 13.2.2.4). */
static void make_slim(struct call *c, struct dialog *d)
{
    struct parts parts;
    texts_all(&d->texts, &parts);
    c->bytes = (uint16_t)(c->bytes - dialog_cost(d));
    /* From front to back: nothing is overwritten before it is copied. */
    size_t at = parts.v[PART_TAG].len;
    for (unsigned i = PART_TARGET; i < PART_COUNT; i++) {
        struct slice s = i == PART_TARGET || i == PART_ROUTES ? SLICE_NONE : parts.v[i];
        if (s.len != 0)
            memmove(d->texts.bytes + at, s.ptr, s.len);
        at += s.len;
        d->texts.end[i] = (uint16_t)at;
    }
    d->is_slim = true;
    struct dialog **at_link = link_of(c, d);
    struct dialog *smaller = mem_realloc(d, sizeof(*d) + at);
    if (smaller != NULL)
        *at_link = smaller;
    c->bytes = (uint16_t)(c->bytes + dialog_cost(*at_link));
}

static bool has_room(const struct call *c, unsigned need)
{
    return c->bytes + need <= CALL_BYTES_MAX;
}

/* The dialog at `but` stays as it is, whatever place it has. */
static bool make_room(struct call *c, unsigned need, const struct dialog *but, bool evicts)
{
    for (struct dialog *d = c->dialogs, *next; d != NULL && !has_room(c, need); d = next) {
        next = d->next;
        if (d != but && !d->confirmed && !d->is_slim)
            make_slim(c, d);
    }
    for (struct dialog *d = c->dialogs, *next; evicts && d != NULL && !has_room(c, need);
         d = next) {
        next = d->next;
        if (d != but && !d->confirmed) {
            dialog_remove(c, d);
            call_count_cut(c);
        }
    }
    return has_room(c, need);
}

static int dialog_try(struct call *c, struct dialog **d, const struct parts *parts, bool evicts)
{
    struct dialog *old = *d;
    size_t size = sizeof(struct dialog) + parts_size(parts);
    unsigned cost = block_cost(size), old_cost = old != NULL ? dialog_cost(old) : 0;
    if (cost > old_cost && !make_room(c, cost - old_cost, old, evicts))
        return ERR_LIMIT;
    struct dialog *made = mem_alloc(size);
    if (made == NULL)
        return ERR_NOMEM;
    *made = old != NULL ? *old : (struct dialog){0};
    texts_fill(&made->texts, parts);
    *link_of(c, old) = made; /* NULL: at the end */
    c->bytes = (uint16_t)(c->bytes + cost - old_cost);
    mem_free(old);
    *d = made;
    return 0;
}

int dialog_put(struct call *c, struct dialog **d, const struct parts *parts, bool is_confirmed)
{
    int err = dialog_try(c, d, parts, is_confirmed);
    if (err == ERR_LIMIT && !is_confirmed) {
        struct parts slim = *parts;
        slim.v[PART_TARGET] = slim.v[PART_ROUTES] = SLICE_NONE;
        err = dialog_try(c, d, &slim, false);
        if (err == 0)
            (*d)->is_slim = true;
    } else if (err == 0) {
        (*d)->is_slim = false;
    }
    return err;
}

/* --- the caller --- */

static unsigned caller_cost(const struct caller *caller)
{
    return caller != NULL ? block_cost(sizeof(*caller) + texts_size(&caller->texts)) : 0;
}

int caller_put(struct call *c, const struct parts *parts)
{
    struct caller *old = c->caller;
    size_t size = sizeof(struct caller) + parts_size(parts);
    unsigned cost = block_cost(size), old_cost = caller_cost(old);
    if (cost > old_cost && !make_room(c, cost - old_cost, NULL, true))
        return ERR_LIMIT;
    struct caller *made = mem_alloc(size);
    if (made == NULL)
        return ERR_NOMEM;
    made->nroutes = old != NULL ? old->nroutes : 0;
    texts_fill(&made->texts, parts);
    c->caller = made;
    c->bytes = (uint16_t)(c->bytes + cost - old_cost);
    mem_free(old);
    return 0;
}
