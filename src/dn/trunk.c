/* SPDX-License-Identifier: Apache-2.0 */
/* Which DNs carry a number: longest prefix, then priority. */
#include <stdlib.h>

#include "dn/dn_int.h"

/* Bytes first, then the shorter one. */
static int compare_text(struct slice a, struct slice b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n != 0 ? memcmp(a.ptr, b.ptr, n) : 0;
    if (c != 0)
        return c;
    return (a.len > b.len) - (a.len < b.len);
}

static int compare_trunks(const void *x, const void *y)
{
    const struct dn_trunk *a = x, *b = y;
    int c = compare_text(a->prefix, b->prefix);
    if (c != 0)
        return c;
    if (a->priority != b->priority)
        return a->priority < b->priority ? -1 : 1;
    return (a->order > b->order) - (a->order < b->order);
}

static struct slice put_string(char **at, const char *str)
{
    struct slice s = slice_of(*at, strlen(str));
    if (s.len != 0)
        memcpy(*at, str, s.len);
    *at += s.len;
    return s;
}

int dn_trunks_new(const struct dn_conf *dns, unsigned n, struct dn_trunks **out)
{
    unsigned count = 0;
    size_t len = 0;
    *out = NULL;
    for (unsigned i = 0; i < n; i++) {
        if (dns[i].prefix == NULL)
            continue;
        count++;
        len += strlen(dns[i].prefix) + strlen(dns[i].name);
    }
    if (count == 0)
        return 0;
    struct dn_trunks *t = mem_alloc(sizeof(*t) + count * sizeof(t->list[0]) + len);
    if (t == NULL)
        return ERR_NOMEM;
    char *at = (char *)&t->list[count];
    t->n = 0;
    t->longest = 0;
    for (unsigned i = 0; i < n; i++) {
        if (dns[i].prefix == NULL)
            continue;
        struct dn_trunk *d = &t->list[t->n++];
        d->prefix = put_string(&at, dns[i].prefix);
        d->name = put_string(&at, dns[i].name);
        d->priority = dns[i].priority;
        d->order = i;
        if (d->prefix.len > t->longest)
            t->longest = d->prefix.len;
    }
    qsort(t->list, t->n, sizeof(t->list[0]), compare_trunks);
    *out = t;
    return 0;
}

void dn_trunks_take(struct dn_dir *dir, struct dn_trunks *trunks)
{
    pthread_mutex_lock(&dir->trunks_lock);
    struct dn_trunks *old = dir->trunks;
    dir->trunks = trunks;
    atomic_store_explicit(&dir->ntrunks, trunks != NULL ? trunks->n : 0, memory_order_relaxed);
    pthread_mutex_unlock(&dir->trunks_lock);
    mem_free(old);
}

/* The first trunk with that prefix or a later one. */
static unsigned lower_bound(const struct dn_trunks *t, struct slice prefix)
{
    unsigned from = 0, to = t->n;
    while (from < to) {
        unsigned mid = from + (to - from) / 2;
        if (compare_text(t->list[mid].prefix, prefix) < 0)
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

static bool is_urn(struct slice number)
{
    return slice_starts(number, SLICE("urn:"));
}

/* May a prefix of that length carry it? */
static bool may_end(struct slice number, size_t len)
{
    return !is_urn(number) || len == number.len || (len > 4 && number.ptr[len] == '.');
}

static int find_all(const struct dn_trunks *t, struct slice number, struct arena *arena,
                    struct slice *names, unsigned max)
{
    unsigned found = 0;
    size_t len = number.len < t->longest ? number.len : t->longest;
    for (size_t i = len + 1; i-- > 0 && found < max;) {
        struct slice prefix = slice_of(number.ptr, i);
        if (!may_end(number, i))
            continue;
        for (unsigned k = lower_bound(t, prefix);
             k < t->n && found < max && slice_eq(t->list[k].prefix, prefix); k++) {
            names[found] = arena_dup(arena, t->list[k].name);
            if (names[found].len != t->list[k].name.len)
                return ERR_NOMEM;
            found++;
        }
    }
    return (int)found;
}

int dn_trunks(struct dn_dir *dir, struct slice number, struct arena *arena, struct slice *names,
              unsigned max)
{
    if (atomic_load_explicit(&dir->ntrunks, memory_order_relaxed) == 0)
        return 0;
    pthread_mutex_lock(&dir->trunks_lock);
    int n = dir->trunks != NULL ? find_all(dir->trunks, number, arena, names, max) : 0;
    pthread_mutex_unlock(&dir->trunks_lock);
    return n;
}
