/* SPDX-License-Identifier: Apache-2.0 */
#include <time.h>

#include "dn/dn_int.h"

/* --- entries --- */

struct dn_entry *dn_entry_new(struct slice name)
{
    struct dn_entry *e = mem_zalloc(sizeof(*e) + name.len);
    if (e == NULL)
        return NULL;
    e->name_len = name.len;
    if (name.len != 0)
        memcpy(e->name, name.ptr, name.len);
    return e;
}

void dn_entry_free(struct dn_entry *e)
{
    for (unsigned i = 0; i < e->nkept; i++)
        mem_free(e->kept[i]);
    mem_free(e->kept);
    mem_free(e->settings);
    mem_free(e);
}

struct dn_entry *dn_entry_find(struct dn_stripe *s, uint64_t hash, struct slice name)
{
    struct table_node *node = table_first(&s->names, hash);
    for (; node != NULL; node = table_next(node)) {
        struct dn_entry *e = container_of(node, struct dn_entry, node);
        if (slice_eq(dn_name(e), name))
            return e;
    }
    return NULL;
}

void dn_entry_add(struct dn_dir *dir, struct dn_stripe *s, struct dn_entry *e, uint64_t hash)
{
    table_insert(&s->names, &e->node, hash);
    atomic_fetch_add_explicit(&dir->names, 1, memory_order_relaxed);
}

void dn_entry_tidy(struct dn_dir *dir, struct dn_stripe *s, struct dn_entry *e)
{
    if (e->settings != NULL || e->nkept != 0 || e->is_dirty || dn_is_by_admin(e))
        return;
    dn_spots_leave(dir, e);
    dn_entry_set(dir, e, DN_IN_SERVICE, 0, 0);
    table_remove(&s->names, &e->node);
    atomic_fetch_sub_explicit(&dir->names, 1, memory_order_relaxed);
    dn_entry_free(e);
}

/* --- the directory --- */

static int load_one(void *user, struct slice name, const struct dn_binding *binding)
{
    struct dn_dir *dir = user;
    uint64_t hash = hash_slice(&dir->key, name);
    struct dn_stripe *s = dn_stripe_of(dir, hash);
    struct dn_kept *kept = dn_kept_new(binding);
    if (kept == NULL)
        return ERR_NOMEM;
    kept->b.way.flow = 0; /* connections do not outlive the process */
    pthread_mutex_lock(&s->lock);
    struct dn_entry *e = dn_entry_find(s, hash, name);
    bool is_new = e == NULL;
    if (is_new)
        e = dn_entry_new(name);
    int err = e != NULL ? dn_entry_keep(e, kept) : ERR_NOMEM;
    if (err == 0) {
        dn_entry_sort(e);
        atomic_fetch_add_explicit(&dir->bindings, 1, memory_order_relaxed);
    } else {
        mem_free(kept);
    }
    if (is_new && err == 0)
        dn_entry_add(dir, s, e, hash);
    else if (is_new && e != NULL)
        dn_entry_free(e);
    pthread_mutex_unlock(&s->lock);
    return err;
}

static uint64_t wall_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

int dn_dir_new(const struct hash_key *key, struct dn_store *store, struct dn_dir **out)
{
    struct dn_dir *dir = mem_zalloc(sizeof(*dir));
    int err = 0;
    if (dir == NULL)
        return ERR_NOMEM;
    dir->key = *key;
    dir->store = store;
    for (unsigned i = 0; i < DN_STRIPES; i++)
        pthread_mutex_init(&dir->stripes[i].lock, NULL);
    for (unsigned i = 0; i < DN_STRIPES && err == 0; i++)
        err = table_init(&dir->stripes[i].names, 16);
    pthread_mutex_init(&dir->spots_lock, NULL);
    pthread_mutex_init(&dir->trunks_lock, NULL);
    if (err == 0)
        err = table_init(&dir->spots, 16);
    if (err == 0 && store != NULL)
        err = dn_store_load(store, wall_now(), load_one, dir);
    if (err != 0)
        dn_dir_free(&dir);
    *out = dir;
    return err;
}

static void free_node(struct table_node *node, void *user)
{
    (void)user;
    dn_entry_free(container_of(node, struct dn_entry, node));
}

void dn_dir_free(struct dn_dir **dir)
{
    struct dn_dir *d = *dir;
    if (d == NULL)
        return;
    for (unsigned i = 0; i < DN_STRIPES; i++) {
        if (d->stripes[i].names.buckets != NULL) {
            table_each(&d->stripes[i].names, free_node, NULL);
            table_fini(&d->stripes[i].names);
        }
        pthread_mutex_destroy(&d->stripes[i].lock);
    }
    if (d->spots.buckets != NULL)
        table_fini(&d->spots);
    pthread_mutex_destroy(&d->spots_lock);
    pthread_mutex_destroy(&d->trunks_lock);
    mem_free(d->trunks);
    mem_free(d);
    *dir = NULL;
}

bool dn_dir_is_configured(struct dn_dir *dir)
{
    return atomic_load_explicit(&dir->configured, memory_order_relaxed) != 0;
}

bool dn_has_addresses(struct dn_dir *dir)
{
    return atomic_load_explicit(&dir->addresses, memory_order_relaxed) != 0;
}

bool dn_has_address(struct dn_dir *dir, struct slice name)
{
    uint64_t hash = hash_slice(&dir->key, name);
    struct dn_stripe *s = dn_stripe_of(dir, hash);
    pthread_mutex_lock(&s->lock);
    const struct dn_entry *e = dn_entry_find(s, hash, name);
    bool is_there = e != NULL && e->settings != NULL;
    pthread_mutex_unlock(&s->lock);
    return is_there;
}

unsigned dn_bindings(struct dn_dir *dir)
{
    return atomic_load_explicit(&dir->bindings, memory_order_relaxed);
}

uint64_t dn_dir_store_errors(struct dn_dir *dir)
{
    return dir->store != NULL ? dn_store_errors(dir->store) : 0;
}

/* --- what a request needs to know --- */

static bool copy_backup(const struct dn_settings *s, struct arena *arena, struct dn_info *out)
{
    if (s->ncontact_backup == 0)
        return true;
    out->contact_backup = arena_alloc(arena, s->ncontact_backup * sizeof(struct slice));
    if (out->contact_backup == NULL)
        return false;
    for (unsigned i = 0; i < s->ncontact_backup; i++) {
        out->contact_backup[i] = arena_dup(arena, s->contact_backup[i]);
        if (out->contact_backup[i].len != s->contact_backup[i].len)
            return false;
    }
    out->ncontact_backup = s->ncontact_backup;
    return true;
}

static bool copy_settings(const struct dn_settings *s, struct arena *arena, struct dn_info *out)
{
    out->configured = true;
    out->type = s->type;
    out->has_tls = s->has_tls;
    out->contact = arena_dup(arena, s->contact);
    out->password = arena_dup(arena, s->password);
    out->password_ha1 = arena_dup(arena, s->password_ha1);
    return out->contact.len == s->contact.len && out->password.len == s->password.len &&
           out->password_ha1.len == s->password_ha1.len && copy_backup(s, arena, out);
}

static bool copy_bindings(const struct dn_entry *e, uint64_t now, struct arena *arena,
                          struct dn_info *out)
{
    unsigned n = 0;
    for (unsigned i = 0; i < e->nkept; i++)
        n += e->kept[i]->b.expires > now;
    if (n == 0)
        return true;
    out->bindings = arena_alloc(arena, n * sizeof(*out->bindings));
    if (out->bindings == NULL)
        return false;
    for (unsigned i = 0; i < e->nkept; i++) {
        const struct dn_kept *k = e->kept[i];
        if (k->b.expires <= now)
            continue;
        char *text = arena_bytes(arena, k->text_len);
        if (text == NULL)
            return false;
        dn_binding_rebase(k, text, &out->bindings[out->nbindings++]);
    }
    return true;
}

int dn_find(struct dn_dir *dir, struct slice name, uint64_t now, struct arena *arena,
            struct dn_info *out)
{
    uint64_t hash = hash_slice(&dir->key, name);
    struct dn_stripe *s = dn_stripe_of(dir, hash);
    int err = 0;
    *out = (struct dn_info){.type = DN_EXTENSION};
    pthread_mutex_lock(&s->lock);
    struct dn_entry *e = dn_entry_find(s, hash, name);
    if (e != NULL) {
        bool ok = copy_bindings(e, now, arena, out);
        if (e->settings != NULL)
            ok = copy_settings(e->settings, arena, out) && ok;
        out->state = dn_entry_state(e, now);
        out->out_of_service = out->state == DN_OUT_OF_SERVICE;
        out->went_out = e->went_out;
        out->oos_cause = e->cause;
        out->oos_until = dn_entry_retry(e, now);
        err = ok ? 0 : ERR_NOMEM;
    }
    pthread_mutex_unlock(&s->lock);
    if (err == 0 && !out->configured && out->nbindings == 0)
        err = ERR_NOT_FOUND;
    return err;
}
