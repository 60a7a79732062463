/* SPDX-License-Identifier: Apache-2.0 */
#include "base/event.h"
#include "dn/dn_int.h"

#define SPOTS_AT_ONCE 32  /* DNs looked at between two turns of the table's lock */
#define SAID_NAME_MAX 256 /* bytes of a name in an event */

/* --- one entry --- */

static bool is_checked(const struct dn_entry *e)
{
    return e->settings != NULL && e->settings->oos_check_s != 0;
}

/* When recovery_timeout is over; 0: it does not count. */
static uint64_t recovery_end(const struct dn_entry *e)
{
    if (is_checked(e) || dn_is_by_admin(e))
        return 0;
    return e->set + (e->settings != NULL ? e->settings->recovery_ms : DN_RECOVERY_MS);
}

enum dn_state dn_entry_state(const struct dn_entry *e, uint64_t now)
{
    uint64_t end = recovery_end(e);
    if (e->state == DN_OUT_OF_SERVICE && end != 0 && now >= end)
        return DN_SUSPECT;
    return e->state;
}

uint64_t dn_entry_retry(const struct dn_entry *e, uint64_t now)
{
    if (dn_entry_state(e, now) != DN_OUT_OF_SERVICE || dn_is_by_admin(e))
        return 0;
    if (!is_checked(e))
        return recovery_end(e);
    /* Nothing there to be checked: it comes back by registering. */
    if (e->nkept == 0 && e->settings->contact.len == 0)
        return 0;
    uint64_t every = 1000 *
                     (uint64_t)dn_check_again_s(e->settings->oos_check_s, e->settings->oos_force_s);
    uint64_t next = e->checked + every;
    return next > now ? next : now + every;
}

static void count(_Atomic unsigned *n, bool before, bool after)
{
    if (before && !after)
        atomic_fetch_sub_explicit(n, 1, memory_order_relaxed);
    else if (!before && after)
        atomic_fetch_add_explicit(n, 1, memory_order_relaxed);
}

void dn_entry_set(struct dn_dir *dir, struct dn_entry *e, enum dn_state state, int cause,
                  uint64_t now)
{
    bool was_troubled = e->state != DN_IN_SERVICE, is_troubled = state != DN_IN_SERVICE;
    count(&dir->troubled, was_troubled, is_troubled);
    count(&dn_stripe_of(dir, e->node.hash)->troubled, was_troubled, is_troubled);
    count(&dir->out, e->state == DN_OUT_OF_SERVICE, state == DN_OUT_OF_SERVICE);
    if (state == DN_OUT_OF_SERVICE)
        atomic_fetch_add_explicit(&dir->outages, 1, memory_order_relaxed);
    e->set = is_troubled ? now : 0;
    if (!is_troubled || !e->went_out)
        e->since = e->set;
    e->went_out = is_troubled && (e->went_out || state == DN_OUT_OF_SERVICE);
    e->state = state;
    e->cause = cause;
}

void dn_entry_count_back(struct dn_dir *dir, const struct dn_entry *e)
{
    if (e->went_out)
        atomic_fetch_add_explicit(&dir->decided_back, 1, memory_order_relaxed);
}

void dn_entry_recover(struct dn_dir *dir, struct dn_entry *e)
{
    if (!dn_is_by_admin(e))
        dn_entry_set(dir, e, DN_IN_SERVICE, 0, 0);
}

/* --- spots: where those that are out of service may connect from --- */

static uint64_t hash_of_ip(const struct dn_dir *dir, const struct addr *a)
{
    struct addr alone = {.family = a->family};
    memcpy(alone.ip, a->ip, sizeof(alone.ip));
    return hash_bytes(&dir->key, &alone, sizeof(alone));
}

static void enter(struct dn_dir *dir, struct dn_entry *e, struct dn_spot *spot,
                  const struct addr *at)
{
    if (at->family == ADDR_NONE)
        return;
    spot->entry = e;
    table_insert(&dir->spots, &spot->node, hash_of_ip(dir, at));
}

static void leave(struct dn_dir *dir, struct dn_spot *spot)
{
    if (spot->entry != NULL)
        table_remove(&dir->spots, &spot->node);
    spot->entry = NULL;
}

void dn_spots_enter(struct dn_dir *dir, struct dn_entry *e)
{
    if (e->state != DN_OUT_OF_SERVICE || dn_is_by_admin(e))
        return;
    pthread_mutex_lock(&dir->spots_lock);
    if (e->settings != NULL)
        enter(dir, e, &e->spot, &e->settings->contact_addr);
    for (unsigned i = 0; i < e->nkept; i++)
        enter(dir, e, &e->kept[i]->spot, &e->kept[i]->b.way.remote);
    pthread_mutex_unlock(&dir->spots_lock);
}

void dn_spots_leave(struct dn_dir *dir, struct dn_entry *e)
{
    if (e->state != DN_OUT_OF_SERVICE)
        return;
    pthread_mutex_lock(&dir->spots_lock);
    leave(dir, &e->spot);
    for (unsigned i = 0; i < e->nkept; i++)
        leave(dir, &e->kept[i]->spot);
    pthread_mutex_unlock(&dir->spots_lock);
}

static bool is_at(const struct dn_entry *e, const struct addr *remote)
{
    if (e->settings != NULL && e->settings->contact_addr.family != ADDR_NONE &&
        addr_eq_ip(&e->settings->contact_addr, remote))
        return true;
    for (unsigned i = 0; i < e->nkept; i++)
        if (addr_eq_ip(&e->kept[i]->b.way.remote, remote))
            return true;
    return false;
}

/* Hashes of the names of some DNs that are out of service and may be at that address. */
static unsigned collect(struct dn_dir *dir, const struct addr *remote, uint64_t *hashes)
{
    unsigned n = 0;
    pthread_mutex_lock(&dir->spots_lock);
    struct table_node *node = table_first(&dir->spots, hash_of_ip(dir, remote));
    for (; node != NULL && n < SPOTS_AT_ONCE; node = table_next(node)) {
        uint64_t hash = container_of(node, struct dn_spot, node)->entry->node.hash;
        if (n == 0 || hashes[n - 1] != hash)
            hashes[n++] = hash;
    }
    pthread_mutex_unlock(&dir->spots_lock);
    return n;
}

static struct dn_entry *find_at(struct dn_stripe *s, uint64_t hash, const struct addr *remote)
{
    struct table_node *node = table_first(&s->names, hash);
    for (; node != NULL; node = table_next(node)) {
        struct dn_entry *e = container_of(node, struct dn_entry, node);
        if (e->state == DN_OUT_OF_SERVICE && is_at(e, remote))
            return e;
    }
    return NULL;
}

/* A name with that hash, of which there is one in all. Told without the lock. */
static bool retry(struct dn_dir *dir, uint64_t hash, const struct addr *remote, uint64_t now)
{
    struct dn_stripe *s = dn_stripe_of(dir, hash);
    char name[SAID_NAME_MAX];
    pthread_mutex_lock(&s->lock);
    struct dn_entry *e = find_at(s, hash, remote);
    if (e == NULL) {
        pthread_mutex_unlock(&s->lock);
        return false;
    }
    size_t len = e->name_len < sizeof(name) ? e->name_len : sizeof(name);
    int cause = e->cause;
    uint64_t since = e->since;
    memcpy(name, e->name, len);
    dn_spots_leave(dir, e);
    dn_entry_set(dir, e, DN_SUSPECT, cause, now);
    pthread_mutex_unlock(&s->lock);
    EVENT_LOG(EV_DN_SUSPECT, LF_SLICE("dn", slice_of(name, len)), LF_STR("was", "out-of-service"),
              LF_STR("by", "connection"), LF_ADDR("peer", remote), LF_ERR("cause", cause),
              LF_INT("ms", (int64_t)(now - since)));
    return true;
}

unsigned dn_on_connection(struct dn_dir *dir, const struct addr *remote, uint64_t now)
{
    uint64_t hashes[SPOTS_AT_ONCE];
    unsigned total = 0, n = SPOTS_AT_ONCE;
    if (atomic_load_explicit(&dir->out, memory_order_relaxed) == 0)
        return 0;
    /* Those that are tried again have left the table: each round finds others. */
    for (unsigned changed = 1; n == SPOTS_AT_ONCE && changed != 0; total += changed) {
        n = collect(dir, remote, hashes);
        changed = 0;
        for (unsigned i = 0; i < n; i++)
            while (retry(dir, hashes[i], remote, now))
                changed++;
    }
    return total;
}

/* --- what is found out about a DN --- */

/* With its stripe locked; NULL: unknown, and nothing is locked. */
static struct dn_entry *lock_entry(struct dn_dir *dir, struct slice name)
{
    uint64_t hash = hash_slice(&dir->key, name);
    struct dn_stripe *s = dn_stripe_of(dir, hash);
    pthread_mutex_lock(&s->lock);
    struct dn_entry *e = dn_entry_find(s, hash, name);
    if (e == NULL)
        pthread_mutex_unlock(&s->lock);
    return e;
}

static void unlock_entry(struct dn_dir *dir, const struct dn_entry *e)
{
    pthread_mutex_unlock(&dn_stripe_of(dir, e->node.hash)->lock);
}

bool dn_set_out_of_service(struct dn_dir *dir, struct slice name, int cause, uint64_t now)
{
    struct dn_entry *e = lock_entry(dir, name);
    if (e == NULL)
        return false;
    /* One that is tried again and fails goes out anew. */
    bool is_change = dn_entry_state(e, now) != DN_OUT_OF_SERVICE ||
                     (cause == ERR_ADMIN && !dn_is_by_admin(e));
    if (cause == ERR_ADMIN && dn_entry_state(e, now) != DN_OUT_OF_SERVICE)
        atomic_fetch_add_explicit(&dir->decided_out, 1, memory_order_relaxed);
    if (is_change) {
        dn_spots_leave(dir, e);
        dn_entry_set(dir, e, DN_OUT_OF_SERVICE, cause, now);
        dn_spots_enter(dir, e);
    }
    unlock_entry(dir, e);
    return is_change;
}

bool dn_set_suspect(struct dn_dir *dir, struct slice name, int cause, uint64_t now)
{
    struct dn_entry *e = lock_entry(dir, name);
    if (e == NULL)
        return false;
    bool is_change = e->state == DN_IN_SERVICE;
    if (is_change)
        dn_entry_set(dir, e, DN_SUSPECT, cause, now);
    unlock_entry(dir, e);
    return is_change;
}

/* Is any DN suspect or out of service, as far as can be told without a lock? What another thread
 * sets in this moment may be seen at the next look. */
static bool has_trouble(struct dn_dir *dir, struct slice name)
{
    if (atomic_load_explicit(&dir->troubled, memory_order_relaxed) == 0)
        return false;
    struct dn_stripe *s = dn_stripe_of(dir, hash_slice(&dir->key, name));
    return atomic_load_explicit(&s->troubled, memory_order_relaxed) != 0;
}

enum dn_state dn_set_in_service(struct dn_dir *dir, struct slice name)
{
    enum dn_state was = DN_IN_SERVICE;
    struct dn_entry *e = has_trouble(dir, name) ? lock_entry(dir, name) : NULL;
    if (e == NULL)
        return DN_IN_SERVICE;
    if (e->state != DN_IN_SERVICE && !dn_is_by_admin(e)) {
        was = e->went_out ? DN_OUT_OF_SERVICE : DN_SUSPECT;
        dn_spots_leave(dir, e);
        dn_entry_set(dir, e, DN_IN_SERVICE, 0, 0);
    }
    unlock_entry(dir, e);
    return was;
}

bool dn_readmit(struct dn_dir *dir, struct slice name)
{
    struct dn_entry *e = lock_entry(dir, name);
    if (e == NULL)
        return false;
    struct dn_stripe *s = dn_stripe_of(dir, e->node.hash);
    bool is_change = e->state != DN_IN_SERVICE;
    dn_entry_count_back(dir, e);
    dn_spots_leave(dir, e);
    dn_entry_set(dir, e, DN_IN_SERVICE, 0, 0);
    dn_entry_tidy(dir, s, e);
    pthread_mutex_unlock(&s->lock);
    return is_change;
}

enum dn_state dn_state(struct dn_dir *dir, struct slice name, uint64_t now)
{
    struct dn_entry *e = has_trouble(dir, name) ? lock_entry(dir, name) : NULL;
    if (e == NULL)
        return DN_IN_SERVICE;
    enum dn_state state = dn_entry_state(e, now);
    unlock_entry(dir, e);
    return state;
}

unsigned dn_outages(struct dn_dir *dir)
{
    return atomic_load_explicit(&dir->outages, memory_order_relaxed);
}

void dn_note_check(struct dn_dir *dir, struct slice name, uint64_t now)
{
    struct dn_entry *e = lock_entry(dir, name);
    if (e == NULL)
        return;
    e->checked = now;
    unlock_entry(dir, e);
}

void dn_note_answer(struct dn_dir *dir, struct slice name, unsigned status, int err)
{
    struct dn_entry *e = lock_entry(dir, name);
    if (e == NULL)
        return;
    e->answer = (uint16_t)status;
    e->failure = (int16_t)err;
    unlock_entry(dir, e);
}

void dn_take_decided(struct dn_dir *dir, unsigned *out, unsigned *back)
{
    *out = atomic_exchange_explicit(&dir->decided_out, 0, memory_order_relaxed);
    *back = atomic_exchange_explicit(&dir->decided_back, 0, memory_order_relaxed);
}

struct tally {
    uint64_t now;
    unsigned suspect, out;
};

static void add_entry(struct table_node *node, void *user)
{
    struct tally *t = user;
    enum dn_state state = dn_entry_state(container_of(node, struct dn_entry, node), t->now);
    t->suspect += state == DN_SUSPECT;
    t->out += state == DN_OUT_OF_SERVICE;
}

void dn_count(struct dn_dir *dir, uint64_t now, unsigned *suspect, unsigned *out)
{
    struct tally t = {.now = now};
    for (unsigned i = 0; i < DN_STRIPES; i++) {
        struct dn_stripe *s = &dir->stripes[i];
        if (atomic_load_explicit(&s->troubled, memory_order_relaxed) == 0)
            continue;
        pthread_mutex_lock(&s->lock);
        table_each(&s->names, add_entry, &t);
        pthread_mutex_unlock(&s->lock);
    }
    *suspect = t.suspect;
    *out = t.out;
}
