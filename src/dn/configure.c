/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "dn/dn_int.h"

/* Everything a section needs, allocated before the first stripe is changed. */
struct prepared {
    struct dn_settings *settings;
    struct dn_entry *entry; /* used where the name is not known yet */
    struct slice name;
    uint64_t hash;
};

static struct slice put_string(char **at, const char *str)
{
    struct slice s = slice_str(str);
    char *start = *at;
    if (s.len != 0)
        memcpy(start, s.ptr, s.len);
    *at += s.len;
    return slice_of(start, s.len);
}

static struct dn_settings *settings_new(const struct dn_conf *c)
{
    size_t len = slice_str(c->service_type).len + slice_str(c->contact).len +
                 slice_str(c->password).len + slice_str(c->password_ha1).len;
    for (unsigned i = 0; i < c->ncontact_backup; i++)
        len += slice_str(c->contact_backup[i]).len;
    struct dn_settings *s = mem_alloc(sizeof(*s) + c->ncontact_backup * sizeof(struct slice) + len);
    if (s == NULL)
        return NULL;
    char *at = (char *)&s->contact_backup[c->ncontact_backup];
    s->type = c->type;
    s->recovery_ms = c->recovery_timeout_ms;
    s->oos_check_s = c->oos_check_s;
    s->oos_force_s = c->oos_force_s;
    s->contact_addr = c->contact_addr;
    s->has_tls = c->has_tls;
    s->is_old = false;
    s->service_type = put_string(&at, c->service_type);
    s->contact = put_string(&at, c->contact);
    s->password = put_string(&at, c->password);
    s->password_ha1 = put_string(&at, c->password_ha1);
    s->ncontact_backup = c->ncontact_backup;
    for (unsigned i = 0; i < c->ncontact_backup; i++)
        s->contact_backup[i] = put_string(&at, c->contact_backup[i]);
    return s;
}

static void prepared_free(struct prepared *list, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        mem_free(list[i].settings);
        if (list[i].entry != NULL)
            dn_entry_free(list[i].entry);
    }
    mem_free(list);
}

static struct prepared *prepare(const struct dn_dir *dir, const struct dn_conf *dns, unsigned n)
{
    struct prepared *list = mem_zalloc(n * sizeof(*list));
    if (list == NULL)
        return NULL;
    for (unsigned i = 0; i < n; i++) {
        list[i].name = slice_str(dns[i].name);
        list[i].hash = hash_slice(&dir->key, list[i].name);
        list[i].settings = settings_new(&dns[i]);
        list[i].entry = dn_entry_new(list[i].name);
        if (list[i].settings == NULL || list[i].entry == NULL) {
            prepared_free(list, n);
            return NULL;
        }
    }
    return list;
}

static void age_settings(struct table_node *node, void *user)
{
    struct dn_entry *e = container_of(node, struct dn_entry, node);
    dn_spots_leave(user, e);
    if (e->settings != NULL)
        e->settings->is_old = true;
}

static void come_back(struct dn_dir *dir, struct dn_entry *e)
{
    if (!dn_is_by_admin(e))
        dn_entry_count_back(dir, e);
    dn_entry_recover(dir, e);
}

static void take_settings(struct dn_dir *dir, struct dn_stripe *s, struct prepared *p)
{
    struct dn_entry *e = dn_entry_find(s, p->hash, p->name);
    if (e == NULL) {
        e = p->entry;
        p->entry = NULL;
        dn_entry_add(dir, s, e, p->hash);
    }
    /* What was found out about another address says nothing about the new one. */
    struct slice before = e->settings != NULL ? e->settings->contact : SLICE_NONE;
    if (!slice_eq(before, p->settings->contact))
        come_back(dir, e);
    mem_free(e->settings);
    e->settings = p->settings;
    p->settings = NULL;
}

struct tidying {
    struct dn_dir *dir;
    struct dn_stripe *stripe;
};

static void tidy(struct table_node *node, void *user)
{
    struct tidying *t = user;
    struct dn_entry *e = container_of(node, struct dn_entry, node);
    if (e->settings != NULL && e->settings->is_old) {
        mem_free(e->settings);
        e->settings = NULL;
        come_back(t->dir, e);
    }
    dn_spots_enter(t->dir, e);
    dn_entry_tidy(t->dir, t->stripe, e);
}

static unsigned count_addresses(const struct dn_conf *dns, unsigned n)
{
    unsigned found = 0;
    for (unsigned i = 0; i < n; i++)
        found += slice_chr(slice_str(dns[i].name), '@') >= 0;
    return found;
}

int dn_dir_configure(struct dn_dir *dir, const struct dn_conf *dns, unsigned n)
{
    struct dn_trunks *trunks;
    if (dn_trunks_new(dns, n, &trunks) != 0)
        return ERR_NOMEM;
    struct prepared *list = prepare(dir, dns, n);
    if (list == NULL) {
        mem_free(trunks);
        return ERR_NOMEM;
    }
    /* All at once: a name that stays is never seen without its section. */
    for (unsigned i = 0; i < DN_STRIPES; i++)
        pthread_mutex_lock(&dir->stripes[i].lock);
    for (unsigned i = 0; i < DN_STRIPES; i++)
        table_each(&dir->stripes[i].names, age_settings, dir);
    for (unsigned i = 0; i < n; i++)
        take_settings(dir, dn_stripe_of(dir, list[i].hash), &list[i]);
    for (unsigned i = 0; i < DN_STRIPES; i++) {
        struct tidying t = {dir, &dir->stripes[i]};
        table_each(&dir->stripes[i].names, tidy, &t);
    }
    atomic_store_explicit(&dir->configured, n, memory_order_relaxed);
    atomic_store_explicit(&dir->addresses, count_addresses(dns, n), memory_order_relaxed);
    dn_trunks_take(dir, trunks);
    for (unsigned i = DN_STRIPES; i-- > 0;)
        pthread_mutex_unlock(&dir->stripes[i].lock);
    prepared_free(list, n);
    return 0;
}
