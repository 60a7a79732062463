/* SPDX-License-Identifier: Apache-2.0 */
/* Which trunks carry a number, and what it looks like there. */
#include "route/route_int.h"

/* Of one number; all of them are alternatives. */
#define ALT 1

/* The trunks for it that are there and in service. */
struct trunks {
    unsigned n;
    uint64_t until; /* the first of those out of service is tried again then; 0: not known */
    struct slice names[ROUTE_TRUNKS_MAX];
    struct dn_info infos[ROUTE_TRUNKS_MAX];
};

/* What a prefix is compared with: the user part, or a service URN in lower case (RFC 5031 4.1). */
static int number_of(struct route *r, const struct sip_uri *uri, struct arena *arena,
                     struct slice *out)
{
    if (!route_is_service(uri))
        return route_user_of(r, uri, arena, out);
    char *text = arena_bytes(arena, uri->text.len);
    if (text == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < uri->text.len; i++)
        text[i] = ascii_lower(uri->text.ptr[i]);
    *out = slice_of(text, uri->text.len);
    return 0;
}

/* Keeps those in service. How many there are at all, or ERR_NOMEM. */
static int find_trunks(struct route *r, const struct route_ask *ask, struct slice number,
                       struct arena *arena, struct trunks *t)
{
    uint64_t now = r->deps.wall(r->deps.user);
    t->n = 0;
    t->until = 0;
    int found = dn_trunks(r->deps.dir, number, arena, t->names, ROUTE_TRUNKS_MAX);
    for (int i = 0; i < found; i++) {
        struct dn_info *info = &t->infos[t->n];
        int err = dn_find(r->deps.dir, t->names[i], now, arena, info);
        if (err == ERR_NOMEM)
            return err;
        if (err != 0)
            continue;
        if (info->out_of_service && !ask->in_dialog) {
            if (info->oos_until != 0 && (t->until == 0 || info->oos_until < t->until))
                t->until = info->oos_until;
            continue;
        }
        t->names[t->n++] = t->names[i];
    }
    return found;
}

/* A number behind tel: and its parameters as a user part (RFC 3261 19.1.6). */
static void put_tel(const struct sip_uri *uri, struct buf *b)
{
    for (size_t i = 0; i < uri->user.len; i++)
        if (memchr("-.()", uri->user.ptr[i], 4) == NULL)
            buf_char(b, uri->user.ptr[i]);
    if (uri->params.len != 0)
        buf_char(b, ';');
    for (size_t i = 0; i < uri->params.len; i++) {
        char c = uri->params.ptr[i];
        if (memchr("[]:", c, 3) == NULL)
            buf_char(b, c);
        else
            buf_str(b, c == '[' ? "%5B" : c == ']' ? "%5D" : "%3A");
    }
}

static bool is_phone(const struct sip_uri *uri)
{
    struct slice user;
    return uri->scheme == SIP_SCHEME_TEL ||
           (sip_param_find(uri->params, SLICE("user"), &user) && slice_ieq(user, SLICE("phone")));
}

/* The number as it was dialled, at host, port and parameters of the trunk's contact. */
static int uri_at(const struct sip_uri *uri, struct slice contact, struct arena *arena,
                  struct slice *out)
{
    struct sip_uri at;
    if (sip_uri_parse(contact, &at) != 0)
        return ERR_PARSE;
    const char *end = contact.ptr + contact.len;
    if (at.headers.len != 0)
        end = at.headers.ptr - 1;
    size_t room = contact.len + 3 * (uri->user.len + uri->params.len) + 16;
    char *text = arena_bytes(arena, room);
    struct buf b;
    if (text == NULL)
        return ERR_NOMEM;
    buf_init(&b, text, room);
    buf_slice(&b, at.scheme_text);
    buf_char(&b, ':');
    if (uri->scheme == SIP_SCHEME_TEL)
        put_tel(uri, &b);
    else
        buf_slice(&b, uri->user);
    buf_char(&b, '@');
    buf_add(&b, at.host.ptr, (size_t)(end - at.host.ptr));
    if (is_phone(uri) && !is_phone(&at))
        buf_lit(&b, ";user=phone");
    *out = buf_get(&b);
    return b.overflow ? ERR_NOMEM : 0;
}

/* The target that was just put at the end of the set goes by the trunk. A service URN stays what it
 * is: who answers it is decided where it arrives (RFC 5031). */
static int carry(struct route *r, const struct route_ask *ask, struct arena *arena,
                 struct route_set *set)
{
    struct route_target *t = &set->targets[set->n - 1];
    t->alt = ALT;
    t->is_trunk = true;
    t->q = 1000;
    t->instance = SLICE_NONE; /* they are alternatives already */
    t->reg_id = 0;
    if (route_is_service(ask->uri)) {
        t->hop = t->path.len == 0 ? t->uri : SLICE_NONE;
        t->uri = ask->uri->text;
        return 0;
    }
    int err = uri_at(ask->uri, t->uri, arena, &t->uri);
    if (err == ERR_NOMEM)
        return err;
    bool is_good = err == 0 &&
                   route_secure_target(r, ask->uri->scheme == SIP_SCHEME_SIPS, arena, set);
    set->n -= !is_good;
    return 0;
}

static int targets_of(struct route *r, const struct route_ask *ask, const struct dn_info *info,
                      struct slice name, struct arena *arena, struct route_set *set)
{
    const struct dn_binding *bound = route_registered_contact(info);
    int err = 0;
    if (info->contact.len != 0 && bound == NULL) {
        route_target_of_contact(info, info->contact, name, &set->targets[set->n++]);
        err = carry(r, ask, arena, set);
    }
    for (unsigned i = 0; i < info->nbindings && err == 0; i++) {
        route_target_of_binding(r, info, &info->bindings[i], name, &set->targets[set->n++]);
        err = carry(r, ask, arena, set);
    }
    for (unsigned i = 0; i < info->ncontact_backup && err == 0; i++) {
        route_target_of_contact(info, info->contact_backup[i], name, &set->targets[set->n++]);
        err = carry(r, ask, arena, set);
    }
    return err;
}

/* None is left: to a SIP Server 503 says "try another way". */
static void refuse(struct route *r, const struct route_ask *ask, const struct trunks *t,
                   struct route_set *set)
{
    uint64_t now = r->deps.wall(r->deps.user);
    route_refuse(set, ask->member != 0 ? 503 : 480, "Trunks Out Of Service");
    if (t->until > now)
        set->retry_after = (uint32_t)((t->until - now + 999) / 1000);
}

int route_to_trunk(struct route *r, const struct route_ask *ask, struct arena *arena,
                   struct route_set *set)
{
    struct slice number;
    struct trunks t;
    unsigned most = 1;
    /* Whoever is in a call that an application carries gets no other number by way of it: the
     * number begins a call, and inside it the Contact of the other side is asked. */
    if (!r->conf->has_trunks || (ask->in_dialog && ask->member != 0))
        return ERR_NOT_FOUND;
    int err = number_of(r, ask->uri, arena, &number);
    if (err != 0)
        return err;
    int found = find_trunks(r, ask, number, arena, &t);
    if (found <= 0)
        return found == 0 ? ERR_NOT_FOUND : found;
    if (!route_is_trusted(ask)) {
        route_refuse(set, 403, "Trunks Not Allowed");
        return 0;
    }
    for (unsigned i = 0; i < t.n; i++)
        most += 1 + t.infos[i].ncontact_backup + t.infos[i].nbindings;
    set->targets = arena_alloc(arena, most * sizeof(*set->targets));
    if (set->targets == NULL)
        return ERR_NOMEM;
    for (unsigned i = 0; i < t.n && err == 0; i++)
        err = targets_of(r, ask, &t.infos[i], t.names[i], arena, set);
    if (arena->overflow)
        return ERR_NOMEM;
    route_avoid_targets(r, set);
    if (err == 0 && set->n == 0)
        refuse(r, ask, &t, set);
    if (set->n != 0)
        set->warning = 0;
    return err;
}
