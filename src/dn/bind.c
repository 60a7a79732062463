/* SPDX-License-Identifier: Apache-2.0 */
#include "dn/dn_int.h"

/* --- kept bindings --- */

static void strings_of(struct dn_binding *b, struct slice *out[DN_BINDING_STRINGS])
{
    out[0] = &b->contact;
    out[1] = &b->params;
    out[2] = &b->path;
    out[3] = &b->call_id;
    out[4] = &b->instance;
}

/* Lays the strings of `b`, one behind the other, into `text`. */
static void move_strings(struct dn_binding *b, char *text)
{
    struct slice *strings[DN_BINDING_STRINGS];
    strings_of(b, strings);
    for (unsigned i = 0; i < DN_BINDING_STRINGS; i++) {
        if (strings[i]->len != 0)
            memcpy(text, strings[i]->ptr, strings[i]->len);
        strings[i]->ptr = text;
        text += strings[i]->len;
    }
}

struct dn_kept *dn_kept_new(const struct dn_binding *b)
{
    size_t len = b->contact.len + b->params.len + b->path.len + b->call_id.len + b->instance.len;
    struct dn_kept *kept = mem_alloc(sizeof(*kept) + len);
    if (kept == NULL)
        return NULL;
    kept->b = *b;
    kept->spot = (struct dn_spot){0};
    kept->text_len = len;
    move_strings(&kept->b, kept->text);
    return kept;
}

void dn_binding_rebase(const struct dn_kept *from, char *text, struct dn_binding *out)
{
    *out = from->b;
    move_strings(out, text);
}

int dn_entry_keep(struct dn_entry *e, struct dn_kept *kept)
{
    struct dn_kept **more = mem_realloc(e->kept, (e->nkept + 1) * sizeof(struct dn_kept *));
    if (more == NULL)
        return ERR_NOMEM;
    e->kept = more;
    e->kept[e->nkept++] = kept;
    return 0;
}

static bool is_before(const struct dn_binding *a, const struct dn_binding *b)
{
    return a->q != b->q ? a->q > b->q : a->updated > b->updated;
}

/* Insertion: a handful of bindings, nearly sorted. */
void dn_entry_sort(struct dn_entry *e)
{
    for (unsigned i = 1; i < e->nkept; i++) {
        struct dn_kept *k = e->kept[i];
        unsigned j = i;
        for (; j > 0 && is_before(&k->b, &e->kept[j - 1]->b); j--)
            e->kept[j] = e->kept[j - 1];
        e->kept[j] = k;
    }
}

void dn_entry_store(struct dn_dir *dir, struct dn_entry *e)
{
    if (dir->store == NULL)
        return;
    struct dn_binding few[8], *all = few;
    if (e->nkept > 8)
        all = mem_alloc(e->nkept * sizeof(*all));
    e->is_dirty = true;
    if (all == NULL)
        return;
    for (unsigned i = 0; i < e->nkept; i++)
        all[i] = e->kept[i]->b;
    e->is_dirty = dn_store_put(dir->store, dn_name(e), all, e->nkept) != 0;
    if (all != few)
        mem_free(all);
}

/* --- changes --- */

/* A REGISTER under way: the entry's bindings as they will be. All memory is there before the first
 * change, so that all are made or none. */
struct edit {
    struct dn_kept **made; /* nchanges: copies of the new bindings, NULL for removals */
    struct dn_kept **next; /* the entry's bindings afterwards */
    struct dn_kept **gone; /* replaced, removed and expired ones */
    unsigned nnext, ngone, nold;
    dn_same_contact_fn *same;
};

/* RFC 5626 section 6: an instance with a reg-id is one binding, whatever its Contact; two reg-ids
 * of one Contact are two flows. Without reg-id the URI decides. */
static bool is_same(const struct edit *ed, const struct dn_binding *a, const struct dn_binding *b)
{
    if (a->reg_id != 0 && b->reg_id != 0)
        return a->reg_id == b->reg_id && slice_eq(a->instance, b->instance);
    return ed->same(a->contact, b->contact);
}

/* RFC 3261 10.3 step 7: within one Call-ID only a higher CSeq changes a binding. */
static bool is_stale(const struct dn_binding *old, const struct dn_binding *change)
{
    return slice_eq(old->call_id, change->call_id) && change->cseq <= old->cseq;
}

/* Moves every binding that `change` (or *) stands for from next to gone. `nold` of next were there
 * before this request; only against those CSeq is judged. */
static int displace(struct edit *ed, const struct dn_binding *change, bool star)
{
    for (unsigned i = 0; i < ed->nnext;) {
        struct dn_kept *k = ed->next[i];
        if (!star && !is_same(ed, &k->b, change)) {
            i++;
            continue;
        }
        if (i < ed->nold && is_stale(&k->b, change))
            return ERR_STALE;
        memmove(&ed->next[i], &ed->next[i + 1], (ed->nnext - i - 1) * sizeof(struct dn_kept *));
        ed->nnext--;
        ed->nold -= i < ed->nold;
        ed->gone[ed->ngone++] = k;
    }
    return 0;
}

static int edit_apply(struct edit *ed, const struct dn_entry *e, const struct dn_change *changes,
                      unsigned n, bool star, uint64_t now)
{
    for (unsigned i = 0; i < e->nkept; i++) {
        if (e->kept[i]->b.expires > now)
            ed->next[ed->nnext++] = e->kept[i];
        else
            ed->gone[ed->ngone++] = e->kept[i];
    }
    ed->nold = ed->nnext;
    if (star)
        return n != 0 ? displace(ed, &changes[0].binding, true) : 0;
    for (unsigned i = 0; i < n; i++) {
        int err = displace(ed, &changes[i].binding, false);
        if (err != 0)
            return err;
        if (!changes[i].remove)
            ed->next[ed->nnext++] = ed->made[i];
    }
    return 0;
}

static void edit_fini(struct edit *ed, unsigned n)
{
    for (unsigned i = 0; ed->made != NULL && i < n; i++)
        mem_free(ed->made[i]);
    mem_free(ed->made);
    mem_free(ed->next);
    mem_free(ed->gone);
}

static int edit_init(struct edit *ed, const struct dn_change *changes, unsigned n, bool star)
{
    ed->made = mem_zalloc(n * sizeof(struct dn_kept *));
    if (ed->made == NULL)
        return ERR_NOMEM;
    for (unsigned i = 0; i < n && !star; i++) {
        if (changes[i].remove)
            continue;
        ed->made[i] = dn_kept_new(&changes[i].binding);
        if (ed->made[i] == NULL)
            return ERR_NOMEM;
    }
    return 0;
}

/* Made bindings that are neither kept nor already among the gone (replaced within the same
 * request) stay in `made` and are freed with it. */
static void edit_commit(struct dn_dir *dir, struct edit *ed, struct dn_entry *e, unsigned n)
{
    unsigned added = 0;
    dn_spots_leave(dir, e);
    for (unsigned i = 0; i < n; i++) {
        for (unsigned j = 0; j < ed->nnext && ed->made[i] != NULL; j++) {
            if (ed->next[j] == ed->made[i]) {
                ed->made[i] = NULL;
                added++;
            }
        }
    }
    for (unsigned i = 0; i < ed->ngone; i++) {
        bool is_made = false;
        for (unsigned j = 0; j < n; j++)
            is_made = is_made || ed->made[j] == ed->gone[i];
        if (!is_made)
            mem_free(ed->gone[i]);
    }
    atomic_fetch_add_explicit(&dir->bindings, ed->nnext - e->nkept, memory_order_relaxed);
    mem_free(e->kept);
    e->kept = ed->next;
    e->nkept = ed->nnext;
    ed->next = NULL;
    if (added != 0)
        dn_entry_recover(dir, e);
    dn_spots_enter(dir, e);
    dn_entry_sort(e);
}

/* With the stripe locked. */
static int register_entry(struct dn_dir *dir, struct dn_entry *e, struct edit *ed,
                          const struct dn_change *changes, unsigned n, bool star,
                          unsigned max_bindings, uint64_t now)
{
    size_t room = ((size_t)e->nkept + n) * sizeof(struct dn_kept *);
    ed->next = mem_alloc(room);
    ed->gone = mem_alloc(room);
    if (ed->next == NULL || ed->gone == NULL)
        return ERR_NOMEM;
    int err = edit_apply(ed, e, changes, n, star, now);
    if (err != 0)
        return err;
    if (ed->nnext > max_bindings && ed->nnext > e->nkept)
        return ERR_LIMIT;
    edit_commit(dir, ed, e, n);
    dn_entry_store(dir, e);
    return 0;
}

int dn_register(struct dn_dir *dir, struct slice name, const struct dn_change *changes, unsigned n,
                bool star, unsigned max_bindings, uint64_t now, dn_same_contact_fn *same_contact)
{
    uint64_t hash = hash_slice(&dir->key, name);
    struct dn_stripe *s = dn_stripe_of(dir, hash);
    struct edit ed = {.same = same_contact};
    int err = edit_init(&ed, changes, n, star);
    if (err != 0) {
        edit_fini(&ed, n);
        return err;
    }
    pthread_mutex_lock(&s->lock);
    struct dn_entry *e = dn_entry_find(s, hash, name);
    if (e == NULL) {
        bool is_full = atomic_load_explicit(&dir->names, memory_order_relaxed) >=
                       DN_NAMES_MAX + atomic_load_explicit(&dir->configured, memory_order_relaxed);
        e = is_full ? NULL : dn_entry_new(name);
        err = is_full ? ERR_LIMIT : e == NULL ? ERR_NOMEM : 0;
        if (e != NULL)
            dn_entry_add(dir, s, e, hash);
    }
    if (e != NULL) {
        err = register_entry(dir, e, &ed, changes, n, star, max_bindings, now);
        dn_entry_tidy(dir, s, e);
    }
    pthread_mutex_unlock(&s->lock);
    edit_fini(&ed, n);
    return err;
}

/* --- bindings that end --- */

/* How many have ended. */
static unsigned drop_expired(struct dn_dir *dir, struct dn_entry *e, uint64_t now)
{
    unsigned n = 0;
    dn_spots_leave(dir, e);
    for (unsigned i = 0; i < e->nkept; i++) {
        if (e->kept[i]->b.expires <= now)
            mem_free(e->kept[i]);
        else
            e->kept[n++] = e->kept[i];
    }
    unsigned dropped = e->nkept - n;
    e->nkept = n;
    dn_spots_enter(dir, e);
    atomic_fetch_sub_explicit(&dir->bindings, dropped, memory_order_relaxed);
    return dropped;
}

struct sweep {
    struct dn_dir *dir;
    struct dn_stripe *stripe;
    uint64_t now;
};

static void expire_entry(struct table_node *node, void *user)
{
    struct sweep *sw = user;
    struct dn_entry *e = container_of(node, struct dn_entry, node);
    if (drop_expired(sw->dir, e, sw->now) != 0 || e->is_dirty)
        dn_entry_store(sw->dir, e);
    dn_entry_tidy(sw->dir, sw->stripe, e);
}

unsigned dn_expire(struct dn_dir *dir, uint64_t now)
{
    for (unsigned i = 0; i < DN_EXPIRE_STRIPES; i++) {
        unsigned at = atomic_fetch_add_explicit(&dir->next_expire, 1, memory_order_relaxed);
        struct sweep sw = {dir, &dir->stripes[at % DN_STRIPES], now};
        pthread_mutex_lock(&sw.stripe->lock);
        table_each(&sw.stripe->names, expire_entry, &sw);
        pthread_mutex_unlock(&sw.stripe->lock);
    }
    return dn_bindings(dir);
}
