/* SPDX-License-Identifier: Apache-2.0 */
/* The table of records: begin, find, deadlines, end. */
#include "base/alloc.h"
#include "call/call_int.h"

static void on_timer(struct timer *t, uint64_t now);

int calls_new(const struct call_conf *conf, struct wheel *wheel, const struct hash_key *key,
              unsigned worker, struct counters *counters, struct calls **out)
{
    struct calls *calls = mem_zalloc(sizeof(*calls));
    if (calls == NULL)
        return ERR_NOMEM;
    if (table_init(&calls->table, 0) != 0) {
        mem_free(calls);
        return ERR_NOMEM;
    }
    calls->conf = *conf;
    calls->wheel = wheel;
    /* Ids leave the process no more than other ids do, but those of a former life must not match.
     */
    uint64_t life = hash_slice(key, SLICE("call ids"));
    calls->key = (struct hash_key){life, hash_slice(key, SLICE("call table"))};
    calls->counters = counters;
    pool_init(&calls->pool, sizeof(struct call), worker, 0, (uint32_t)life);
    *out = calls;
    return 0;
}

static void free_one(void *object, uint64_t id, void *user)
{
    (void)id;
    (void)user;
    call_free(object);
}

void calls_free(struct calls **calls)
{
    struct calls *gone = *calls;
    if (gone == NULL)
        return;
    pool_each(&gone->pool, free_one, NULL);
    pool_fini(&gone->pool);
    table_fini(&gone->table);
    mem_free(gone);
    *calls = NULL;
}

static void arm_one(void *object, uint64_t id, void *user)
{
    (void)id;
    (void)user;
    call_arm(object);
}

void calls_set_conf(struct calls *calls, const struct call_conf *conf)
{
    bool is_other = calls->conf.timeout_ms != conf->timeout_ms;
    calls->conf = *conf;
    if (is_other)
        pool_each(&calls->pool, arm_one, NULL);
}

void calls_set_ours(struct calls *calls, bool (*is_ours)(void *user, const struct sip_uri *uri),
                    void *user)
{
    calls->is_ours = is_ours;
    calls->ours_user = user;
}

void calls_set_gone(struct calls *calls, void (*gone)(void *user, uint32_t member), void *user)
{
    calls->gone = gone;
    calls->gone_user = user;
}

unsigned calls_count(const struct calls *calls)
{
    return calls->pool.live;
}

struct call *calls_get(const struct calls *calls, uint64_t call)
{
    return call != 0 ? pool_find(&calls->pool, call) : NULL;
}

/* --- find --- */

static uint64_t key_hash(const struct calls *calls, struct slice call_id, struct slice tag)
{
    struct hash_state h;
    hash_begin(&h, &calls->key);
    hash_add(&h, call_id);
    hash_add(&h, tag);
    return hash_end(&h);
}

static struct call *call_of(struct table_node *node)
{
    return node != NULL ? container_of(node, struct call, node) : NULL;
}

static struct call *find_key(const struct calls *calls, uint64_t hash, struct slice call_id,
                             struct slice tag)
{
    struct table_node *node = table_first(&calls->table, hash);
    for (; node != NULL; node = table_next(node)) {
        const struct texts *t = &call_of(node)->caller->texts;
        if (slice_eq(texts_get(t, PART_NAME), call_id) && slice_eq(texts_get(t, PART_TAG), tag))
            return call_of(node);
    }
    return NULL;
}

struct call *calls_find(const struct calls *calls, const struct sip_msg *msg, struct dialog **d,
                        enum call_side *side)
{
    struct slice call_id = sip_get(msg, msg->call_id);
    struct slice from = sip_get(msg, msg->from_tag), to = sip_get(msg, msg->to_tag);
    *d = NULL;
    if (from.len == 0 || to.len == 0)
        return NULL;
    struct call *c = find_key(calls, key_hash(calls, call_id, from), call_id, from);
    *side = CALL_CALLER;
    if (c != NULL && (*d = dialog_of_tag(c, to)) != NULL)
        return c;
    c = find_key(calls, key_hash(calls, call_id, to), call_id, to);
    *side = CALL_CALLEE;
    if (c != NULL && (*d = dialog_of_tag(c, from)) != NULL)
        return c;
    return NULL;
}

struct dialog *call_dialog_of(const struct call *c, const struct sip_msg *msg, enum call_side *side)
{
    const struct texts *t = &c->caller->texts;
    struct slice caller = texts_get(t, PART_TAG);
    struct slice from = sip_get(msg, msg->from_tag), to = sip_get(msg, msg->to_tag);
    struct dialog *d = NULL;
    if (from.len == 0 || to.len == 0 ||
        !slice_eq(texts_get(t, PART_NAME), sip_get(msg, msg->call_id)))
        return NULL;
    *side = CALL_CALLER;
    if (slice_eq(caller, from))
        d = dialog_of_tag(c, to);
    if (d != NULL || !slice_eq(caller, to))
        return d;
    *side = CALL_CALLEE;
    return dialog_of_tag(c, from);
}

uint64_t call_find(struct calls *calls, const struct sip_msg *msg, enum call_side *side)
{
    struct dialog *d;
    const struct call *c = calls_find(calls, msg, &d, side);
    return c != NULL ? c->id : 0;
}

struct id_search {
    struct slice call_id;
    uint64_t found;
};

static void match_id(struct table_node *node, void *user)
{
    struct id_search *search = user;
    const struct call *c = call_of(node);
    if (slice_eq(texts_get(&c->caller->texts, PART_NAME), search->call_id))
        search->found = c->id;
}

uint64_t call_find_id(struct calls *calls, struct slice call_id)
{
    struct id_search search = {call_id, 0};
    table_each(&calls->table, match_id, &search);
    return search.found;
}

/* --- begin --- */

static uint32_t hash_of_via(const struct calls *calls, const struct sip_msg *invite)
{
    return (uint32_t)hash_slice(&calls->key, invite->via.branch);
}

static uint64_t refuse(struct calls *calls, const struct sip_msg *invite, const char *why)
{
    counter_inc(calls->counters, CTR_CALLS_UNRECORDED);
    EVENT_LOG(EV_CALL_UNRECORDED, LF_STR("why", why),
              LF_SLICE("call_id", sip_get(invite, invite->call_id)));
    return 0;
}

static bool has_our_route(const struct calls *calls, const struct sip_msg *invite)
{
    struct sip_iter it;
    struct slice element;
    struct sip_name_addr na;
    struct sip_uri uri;
    sip_iter_init(&it, invite, SIP_H_RECORD_ROUTE);
    while (calls->is_ours != NULL && sip_iter_next(&it, &element))
        if (sip_name_addr_parse(element, &na) == 0 && sip_uri_parse(na.uri, &uri) == 0 &&
            calls->is_ours(calls->ours_user, &uri))
            return true;
    return false;
}

/* Call-ID and tag are known to others too: while its INVITE is pending, who speaks from elsewhere
 * is not the caller. */
static bool is_rival(const struct call *c, const struct flow_dest *caller)
{
    struct flow_dest way;
    call_unpack_way(texts_get(&c->caller->texts, PART_WAY), &way);
    return !c->is_final && c->server != 0 && !addr_eq_ip(&way.remote, &caller->remote);
}

/* An INVITE whose call is there already. The same one again: its next branch. With a higher CSeq
 * before any answer has made a dialog: the caller has begun anew. Else it has come by another way:
 * a spiral, whose first passage keeps the record since it is the one that faces the caller, or a
 * merged request (RFC 3261 8.2.2.2), whose other dialogs nobody could tell from the first one's.
 * True: *id is the answer. */
static bool is_known(struct calls *calls, struct call *c, const struct sip_msg *invite,
                     const struct flow_dest *caller, uint64_t *id)
{
    *id = 0;
    if (c->invite_cseq == invite->cseq && c->via_hash == hash_of_via(calls, invite)) {
        *id = c->id;
        return true;
    }
    if (invite->cseq > c->invite_cseq && !call_has_confirmed(c) && !is_rival(c, caller)) {
        call_free(c);
        return false;
    }
    if (invite->cseq != c->invite_cseq || !has_our_route(calls, invite))
        refuse(calls, invite, "merged with another");
    return true;
}

static int fill_caller(struct call *c, const struct sip_msg *invite, const struct flow_dest *caller)
{
    char texts[CALL_BYTES_MAX], way[CALL_WAY_MAX], target[CALL_BYTES_MAX];
    struct buf routes, contact;
    unsigned n;
    buf_init(&routes, texts, sizeof(texts));
    buf_init(&contact, target, sizeof(target));
    struct parts parts = {.v = {
                              [PART_TAG] = sip_get(invite, invite->from_tag),
                              [PART_TARGET] = call_target(invite, &contact),
                              [PART_WAY] = call_pack_way(caller, way),
                              [PART_NAME] = sip_get(invite, invite->call_id),
                              [PART_FROM] = sip_get(invite, invite->from_uri),
                              [PART_TO] = sip_get(invite, invite->to_uri),
                          }};
    int err = contact.overflow ? ERR_LIMIT : call_routes_to_caller(invite, &routes, &n);
    if (err != 0)
        return err;
    parts.v[PART_ROUTES] = buf_get(&routes);
    err = caller_put(c, &parts);
    if (err == 0)
        c->caller->nroutes = (uint16_t)n;
    return err;
}

uint64_t call_begin(struct calls *calls, const struct sip_msg *invite,
                    const struct flow_dest *caller, uint64_t now)
{
    struct slice call_id = sip_get(invite, invite->call_id);
    struct slice tag = sip_get(invite, invite->from_tag);
    uint64_t id;
    if (!invite->is_request || invite->method != SIP_INVITE || sip_in_dialog(invite))
        return 0;
    if (tag.len == 0)
        return refuse(calls, invite, "no tag");
    uint64_t hash = key_hash(calls, call_id, tag);
    struct call *c = find_key(calls, hash, call_id, tag);
    if (c != NULL && is_known(calls, c, invite, caller, &id))
        return id;
    if (calls->pool.live >= calls->conf.max)
        return refuse(calls, invite, "max-calls");
    c = pool_new(&calls->pool, &id);
    if (c == NULL)
        return refuse(calls, invite, "no memory");
    c->owner = calls;
    c->id = id;
    c->since = now;
    c->invite_cseq = invite->cseq;
    c->via_hash = hash_of_via(calls, invite);
    c->bytes = (uint16_t)call_fixed_cost();
    int err = fill_caller(c, invite, caller);
    if (err != 0) {
        pool_free(&calls->pool, id);
        return refuse(calls, invite, err == ERR_NOMEM ? "no memory" : "too large");
    }
    timer_init(&c->timer, on_timer);
    table_insert(&calls->table, &c->node, hash);
    counter_inc(calls->counters, CTR_CALLS);
    counter_inc(calls->counters, CTR_CALLS_SEEN);
    call_arm(c);
    return id;
}

void call_set_invite(struct calls *calls, uint64_t call, uint64_t server)
{
    struct call *c = calls_get(calls, call);
    if (c != NULL && !c->is_final)
        c->server = server;
}

uint64_t call_invite(struct calls *calls, uint64_t call)
{
    const struct call *c = calls_get(calls, call);
    return c != NULL && !c->is_final ? c->server : 0;
}

static void tell_gone(const struct call *c)
{
    if (c->member != 0 && c->owner->gone != NULL)
        c->owner->gone(c->owner->gone_user, c->member);
}

bool call_set_member(struct calls *calls, uint64_t call, uint32_t member)
{
    struct call *c = calls_get(calls, call);
    if (c == NULL)
        return false;
    tell_gone(c);
    c->member = member;
    return true;
}

void call_count_cut(struct call *c)
{
    if (!c->is_cut)
        counter_inc(c->owner->counters, CTR_CALLS_UNRECORDED);
    c->is_cut = true;
}

/* --- end --- */

void call_free(struct call *c)
{
    struct calls *calls = c->owner;
    tell_gone(c);
    timer_stop(calls->wheel, &c->timer);
    table_remove(&calls->table, &c->node);
    while (c->dialogs != NULL)
        dialog_remove(c, c->dialogs);
    mem_free(c->caller);
    counter_dec(calls->counters, CTR_CALLS);
    pool_free(&calls->pool, c->id);
}

void call_remove(struct calls *calls, uint64_t call)
{
    struct call *c = calls_get(calls, call);
    if (c != NULL)
        call_free(c);
}

/* --- deadlines --- */

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t idle_end(const struct call *c, uint64_t heard)
{
    uint32_t timeout = c->owner->conf.timeout_ms;
    return timeout != 0 ? heard + timeout : UINT64_MAX;
}

static uint64_t dialog_end(const struct call *c, const struct dialog *d)
{
    return sooner(idle_end(c, d->heard), d->expires != 0 ? d->expires : UINT64_MAX);
}

static uint64_t deadline_of(const struct call *c)
{
    uint64_t due = c->late_until != 0 ? c->late_until : UINT64_MAX;
    if (c->dialogs == NULL)
        return sooner(due, idle_end(c, c->since));
    for (const struct dialog *d = c->dialogs; d != NULL; d = d->next)
        due = sooner(due, dialog_end(c, d));
    return due;
}

/* What only puts a deadline off leaves the timer alone: it looks again when it fires. */
void call_arm(struct call *c)
{
    uint64_t due = deadline_of(c);
    if (due != UINT64_MAX && (!timer_is_set(&c->timer) || c->timer.due > due))
        timer_set(c->owner->wheel, &c->timer, due);
}

static void log_vanished(struct call *c, uint64_t now)
{
    struct calls *calls = c->owner;
    counter_inc(calls->counters, CTR_CALLS_VANISHED);
    EVENT_LOG(EV_CALL_VANISHED, LF_SLICE("call_id", texts_get(&c->caller->texts, PART_NAME)),
              LF_INT("age_s", (now - c->since) / 1000));
}

static void on_timer(struct timer *t, uint64_t now)
{
    struct call *c = container_of(t, struct call, timer);
    bool had_dialogs = c->dialogs != NULL, has_vanished = false;
    if (c->late_until != 0 && now >= c->late_until) {
        c->late_until = 0;
        dialogs_remove_early(c);
    }
    for (struct dialog *d = c->dialogs, *next; d != NULL; d = next) {
        next = d->next;
        if (now >= dialog_end(c, d)) {
            dialog_remove(c, d);
            has_vanished = true;
        }
    }
    if (!had_dialogs && !c->is_final && now >= idle_end(c, c->since))
        has_vanished = true;
    if (c->dialogs == NULL && (has_vanished || c->is_final)) {
        if (has_vanished)
            log_vanished(c, now);
        call_free(c);
        return;
    }
    call_arm(c);
}
