/* SPDX-License-Identifier: Apache-2.0 */
/* What each message asks, without a lock: whose address is that, and who has taken over?
 *
 * An array of atomic words under a sequence number. Whoever reads looks whether the number is the
 * same before and after, and reads again when it is not. Words are loaded with acquire and stored
 * with release, so that the second look at the number comes after them; no fences, which the thread
 * sanitizer does not know. The array is: the sizes of its three parts; a hash table of addresses (3
 * words, an id and the least way); a hash table of members (id and who holds its role now, cell);
 * networks (3 words, id and bits). */
#include "base/alloc.h"
#include "group/group_int.h"

#define HEAD        3
#define ADDR_WORDS  4
#define MEMB_WORDS  2
#define NET_WORDS   4
#define READ_TRIES  100 /* a writer may have lost its processor in the middle */
#define NOT_WRITTEN 0

struct key {
    uint64_t w[3];
};

static struct key key_of(const struct addr *a, uint16_t port)
{
    struct addr copy = *a;
    struct key k;
    copy.port = port;
    copy.scope = 0;
    memcpy(&k, &copy, sizeof(k));
    return k;
}

static size_t slot_of(const struct key *k, size_t size)
{
    return hash_mix(k->w[0] ^ hash_mix(k->w[1] ^ hash_mix(k->w[2] + 1))) & (size - 1);
}

static uint64_t get(const struct words *words, size_t i)
{
    return i < words->cap ? atomic_load_explicit(&words->w[i], memory_order_acquire) : 0;
}

static void put(struct words *words, size_t i, uint64_t value)
{
    atomic_store_explicit(&words->w[i], value, memory_order_release);
}

/* --- reading: all of it holds also for words that are just being written --- */

struct look {
    const struct addr *addr;
    uint16_t port;
    enum group_way way;
    uint32_t id;
    struct cell *cell;
};

/* Of who may have sent it by that way. */
static uint32_t find_addr(const struct words *words, const struct addr *addr, uint16_t port,
                          enum group_way way)
{
    size_t size = get(words, 0);
    if (size == 0 || size > words->cap)
        return 0;
    struct key k = key_of(addr, port);
    for (size_t n = 0, at = slot_of(&k, size); n < size; n++, at = (at + 1) & (size - 1)) {
        size_t i = HEAD + at * ADDR_WORDS;
        uint64_t who = get(words, i + 3);
        if (who == 0)
            return 0;
        if (get(words, i) == k.w[0] && get(words, i + 1) == k.w[1] && get(words, i + 2) == k.w[2])
            return who >> 32 <= (uint64_t)way ? (uint32_t)who : 0;
    }
    return 0;
}

static uint32_t look_at(const struct words *words, struct look *l)
{
    return find_addr(words, l->addr, l->port, GROUP_TLS);
}

static uint32_t look_nets(const struct words *words, const struct addr *addr)
{
    size_t at = HEAD + get(words, 0) * ADDR_WORDS + get(words, 1) * MEMB_WORDS;
    size_t n = get(words, 2);
    for (size_t i = 0; i < n && at + NET_WORDS <= words->cap; i++, at += NET_WORDS) {
        struct addr_net net = {0};
        struct key k = {{get(words, at), get(words, at + 1), get(words, at + 2)}};
        uint64_t last = get(words, at + 3);
        memcpy(&net.base, &k, sizeof(k));
        net.bits = (uint8_t)last <= 128 ? (uint8_t)last : 128;
        if (addr_net_has(&net, addr))
            return (uint32_t)(last >> 32);
    }
    return 0;
}

static uint32_t look_sender(const struct words *words, struct look *l)
{
    uint32_t id = find_addr(words, l->addr, l->addr->port, l->way);
    if (id == 0 && l->port != 0)
        id = find_addr(words, l->addr, l->port, l->way);
    return id != 0 ? id : look_nets(words, l->addr);
}

/* The member's slot, or 0. */
static size_t find_member(const struct words *words, uint32_t id)
{
    size_t size = get(words, 1), from = HEAD + get(words, 0) * ADDR_WORDS;
    if (size == 0 || size > words->cap)
        return 0;
    for (size_t n = 0, at = hash_mix(id) & (size - 1); n < size; n++, at = (at + 1) & (size - 1)) {
        uint32_t found = (uint32_t)(get(words, from + at * MEMB_WORDS) >> 32);
        if (found == id)
            return from + at * MEMB_WORDS;
        if (found == 0)
            return 0;
    }
    return 0;
}

static uint32_t look_holder(const struct words *words, struct look *l)
{
    size_t at = find_member(words, l->id);
    return at != 0 ? (uint32_t)get(words, at) : 0;
}

static uint32_t look_cell(const struct words *words, struct look *l)
{
    size_t at = find_member(words, l->id);
    l->cell = at != 0 ? (struct cell *)(uintptr_t)get(words, at + 1) : NULL;
    return 0;
}

static uint32_t read_view(struct groups *gs, uint32_t (*fn)(const struct words *, struct look *),
                          struct look *l)
{
    struct view *v = &gs->view;
    uint32_t result;
    if (!atomic_load_explicit(&v->is_used, memory_order_acquire))
        return 0;
    for (unsigned n = 0; n < READ_TRIES; n++) {
        uint64_t seq = atomic_load_explicit(&v->seq, memory_order_acquire);
        if ((seq & 1) != 0)
            continue;
        result = fn(atomic_load_explicit(&v->words, memory_order_acquire), l);
        if (atomic_load_explicit(&v->seq, memory_order_relaxed) == seq)
            return result;
    }
    pthread_mutex_lock(&gs->lock);
    result = fn(atomic_load_explicit(&v->words, memory_order_acquire), l);
    pthread_mutex_unlock(&gs->lock);
    return result;
}

uint32_t group_sender(struct groups *groups, const struct addr *remote, uint16_t sent_by_port,
                      enum group_way way)
{
    struct look l = {.addr = remote, .port = sent_by_port, .way = way};
    return read_view(groups, look_sender, &l);
}

uint32_t group_member_at(struct groups *groups, const struct addr *addr)
{
    struct look l = {.addr = addr, .port = addr->port};
    return read_view(groups, look_at, &l);
}

uint32_t view_holder(struct groups *groups, uint32_t member)
{
    struct look l = {.id = member};
    return group_is_member(member) ? read_view(groups, look_holder, &l) : 0;
}

uint32_t group_successor(struct groups *groups, uint32_t member)
{
    uint32_t holder = view_holder(groups, member);
    return holder != member ? holder : 0;
}

/* --- calls --- */

void group_call_begin(struct groups *groups, uint32_t member)
{
    struct look l = {.id = member};
    if (group_is_member(member))
        (void)read_view(groups, look_cell, &l);
    if (l.cell != NULL)
        atomic_fetch_add_explicit(&l.cell->calls, 1, memory_order_relaxed);
}

void group_call_end(struct groups *groups, uint32_t member)
{
    struct look l = {.id = member};
    if (group_is_member(member))
        (void)read_view(groups, look_cell, &l);
    if (l.cell == NULL)
        return;
    uint32_t n = atomic_load_explicit(&l.cell->calls, memory_order_relaxed);
    while (n != 0 && !atomic_compare_exchange_weak_explicit(
                         &l.cell->calls, &n, n - 1, memory_order_relaxed, memory_order_relaxed))
        ;
}

/* --- writing --- */

/* At least twice as many as there will ever be, so that chains stay short. */
static size_t slots_for(size_t n)
{
    size_t size = 4;
    while (size < 2 * n)
        size *= 2;
    return size;
}

static void count(const struct group *list, unsigned n, size_t *members, size_t *nets)
{
    *members = *nets = 0;
    for (unsigned i = 0; i < n; i++) {
        *members += list[i].n;
        *nets += list[i].conf.naccess;
    }
}

int view_reserve(struct view *v, const struct group *list, unsigned n)
{
    struct words *old = v->spare;
    size_t members, nets;
    if (old == NULL)
        old = atomic_load_explicit(&v->words, memory_order_relaxed);
    count(list, n, &members, &nets);
    size_t cap = HEAD + slots_for(members * GROUP_ADDRS_MAX) * ADDR_WORDS +
                 slots_for(members) * MEMB_WORDS + nets * NET_WORDS;
    if (old != NULL && old->cap >= cap)
        return 0;
    cap = old != NULL && cap < 2 * old->cap ? 2 * old->cap : cap;
    struct words *words = mem_zalloc(sizeof(*words) + cap * sizeof(words->w[0]));
    if (words == NULL)
        return ERR_NOMEM;
    words->cap = cap;
    words->next = v->old;
    v->old = words;
    v->spare = words;
    return 0;
}

static void add_addr(struct words *words, const struct addr *addr, const struct member *m)
{
    struct key k = key_of(addr, addr->port);
    size_t size = get(words, 0), at = slot_of(&k, size);
    if (find_addr(words, addr, addr->port, GROUP_TLS) != 0) /* whoever comes first in the file */
        return;
    while (get(words, HEAD + at * ADDR_WORDS + 3) != 0)
        at = (at + 1) & (size - 1);
    for (size_t i = 0; i < 3; i++)
        put(words, HEAD + at * ADDR_WORDS + i, k.w[i]);
    put(words, HEAD + at * ADDR_WORDS + 3, (uint64_t)m->least << 32 | m->id);
}

static void add_member(struct words *words, const struct group *g, const struct member *m)
{
    size_t size = get(words, 1), from = HEAD + get(words, 0) * ADDR_WORDS;
    size_t at = hash_mix(m->id) & (size - 1);
    uint32_t holder = g->conf.role == GROUP_PAIR ? 0 : m->id;
    if (g->conf.role == GROUP_PAIR && g->pair.state == GROUP_UP && g->pair.active < g->n)
        holder = g->members[g->pair.active].id;
    while (get(words, from + at * MEMB_WORDS) != 0)
        at = (at + 1) & (size - 1);
    put(words, from + at * MEMB_WORDS, (uint64_t)m->id << 32 | holder);
    put(words, from + at * MEMB_WORDS + 1, (uintptr_t)m->cell);
}

static void add_group(struct words *words, const struct group *g)
{
    for (unsigned i = 0; i < g->n; i++) {
        const struct member *m = &g->members[i];
        add_member(words, g, m);
        if (m->fixed.family != ADDR_NONE)
            add_addr(words, &m->fixed, m);
        for (unsigned a = 0; a < m->naddrs; a++)
            add_addr(words, &m->addrs[a], m);
    }
    for (unsigned i = 0; i < g->conf.naccess; i++) {
        size_t nets = get(words, 2);
        size_t at = HEAD + get(words, 0) * ADDR_WORDS + get(words, 1) * MEMB_WORDS;
        struct key k;
        memcpy(&k, &g->conf.access[i].base, sizeof(k));
        for (size_t w = 0; w < 3; w++)
            put(words, at + nets * NET_WORDS + w, k.w[w]);
        put(words, at + nets * NET_WORDS + 3, (uint64_t)g->id << 32 | g->conf.access[i].bits);
        put(words, 2, nets + 1);
    }
}

void view_write(struct view *v, struct group *list, unsigned n)
{
    struct words *words = atomic_load_explicit(&v->words, memory_order_relaxed);
    uint64_t seq = atomic_load_explicit(&v->seq, memory_order_relaxed);
    size_t members, nets;
    if (v->spare != NULL)
        words = v->spare;
    if (words == NULL)
        return;
    count(list, n, &members, &nets);
    atomic_store_explicit(&v->seq, seq + 1, memory_order_relaxed);
    atomic_store_explicit(&v->words, words, memory_order_release);
    v->spare = NULL;
    for (size_t i = 0; i < words->cap; i++)
        put(words, i, NOT_WRITTEN);
    put(words, 0, slots_for(members * GROUP_ADDRS_MAX));
    put(words, 1, slots_for(members));
    for (unsigned i = 0; i < n; i++)
        add_group(words, &list[i]);
    atomic_store_explicit(&v->seq, seq + 2, memory_order_release);
    atomic_store_explicit(&v->is_used, n != 0, memory_order_release);
}

void view_fini(struct view *v)
{
    while (v->old != NULL) {
        struct words *words = v->old;
        v->old = words->next;
        mem_free(words);
    }
}
