/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/nonce.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/random.h"
#include "base/table.h"
#include "sip/digest.h"

#define STRIPES    16
#define PLAIN_LEN  20 /* time and number */
#define TIME_LEN   12
#define SECRET_LEN 32

struct used {
    struct table_node node; /* the hash is the nonce's number: it was made by us */
    struct list link;       /* oldest use first */
    uint64_t time, id;
    uint32_t count;
};

struct stripe {
    pthread_mutex_t lock;
    struct table table;
    struct list order;
    uint64_t forgotten; /* nonces of this time and older are refused unless they are in the table */
};

struct nonces {
    unsigned char secret[SECRET_LEN];
    uint32_t lifetime_ms;
    unsigned max; /* for each stripe */
    _Atomic uint32_t next;
    struct stripe stripes[STRIPES];
};

int nonces_new(uint32_t lifetime_ms, unsigned max, struct nonces **out)
{
    struct nonces *n = mem_zalloc(sizeof(*n));
    int err = 0;
    *out = NULL;
    if (n == NULL)
        return ERR_NOMEM;
    n->lifetime_ms = lifetime_ms;
    n->max = max / STRIPES != 0 ? max / STRIPES : 1;
    uint32_t first;
    random_bytes(n->secret, sizeof(n->secret));
    random_bytes(&first, sizeof(first));
    atomic_store(&n->next, first);
    for (unsigned i = 0; i < STRIPES; i++) {
        pthread_mutex_init(&n->stripes[i].lock, NULL);
        list_init(&n->stripes[i].order);
    }
    for (unsigned i = 0; i < STRIPES && err == 0; i++)
        err = table_init(&n->stripes[i].table, 64);
    if (err != 0)
        nonces_free(&n);
    *out = n;
    return err;
}

void nonces_free(struct nonces **nonces)
{
    struct nonces *n = *nonces;
    struct list *link;
    if (n == NULL)
        return;
    for (unsigned i = 0; i < STRIPES; i++) {
        while ((link = list_pop(&n->stripes[i].order)) != NULL)
            mem_free(container_of(link, struct used, link));
        table_fini(&n->stripes[i].table);
        pthread_mutex_destroy(&n->stripes[i].lock);
    }
    OPENSSL_cleanse(n->secret, sizeof(n->secret));
    mem_free(n);
    *nonces = NULL;
}

/* --- made and recognised --- */

static void sign(const struct nonces *n, char nonce[NONCE_LEN])
{
    sip_hmac_hex(n->secret, sizeof(n->secret), slice_of(nonce, PLAIN_LEN), nonce + PLAIN_LEN,
                 NONCE_LEN - PLAIN_LEN);
}

void nonce_make(struct nonces *n, uint64_t now, char out[NONCE_LEN])
{
    struct buf b;
    buf_init(&b, out, PLAIN_LEN);
    buf_hex(&b, now, TIME_LEN);
    buf_hex(&b, atomic_fetch_add_explicit(&n->next, 1, memory_order_relaxed), PLAIN_LEN - TIME_LEN);
    sign(n, out);
}

/* Digits that the keyed hash has proved to be ours. */
static uint64_t read_hex(const char *digits, unsigned n)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < n; i++) {
        unsigned c = (unsigned char)digits[i];
        value = value << 4 | (c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return value;
}

/* A wall clock that was set back must not make a nonce live longer. */
static bool is_alive(const struct nonces *n, uint64_t time, uint64_t now)
{
    return (now >= time ? now - time : time - now) < n->lifetime_ms;
}

bool nonce_is_good(const struct nonces *n, struct slice nonce, uint64_t now)
{
    char expected[NONCE_LEN];
    if (nonce.len != NONCE_LEN)
        return false;
    memcpy(expected, nonce.ptr, PLAIN_LEN);
    sign(n, expected);
    if (CRYPTO_memcmp(expected, nonce.ptr, NONCE_LEN) != 0)
        return false;
    return is_alive(n, read_hex(nonce.ptr, TIME_LEN), now);
}

/* --- used ones --- */

static struct used *find_used(struct stripe *s, uint64_t time, uint64_t id)
{
    struct table_node *node = table_first(&s->table, hash_mix(time ^ id << 40));
    for (; node != NULL; node = table_next(node)) {
        struct used *u = container_of(node, struct used, node);
        if (u->time == time && u->id == id)
            return u;
    }
    return NULL;
}

static void forget(struct stripe *s, struct used *u)
{
    list_remove(&u->link);
    table_remove(&s->table, &u->node);
    mem_free(u);
}

/* Those whose nonce has ended need not be remembered, and are refused by their time; what is too
 * many goes as well, and all as old as it are refused from then on. */
static void make_room(const struct nonces *n, struct stripe *s, uint64_t now)
{
    while (!list_is_empty(&s->order)) {
        struct used *u = container_of(s->order.next, struct used, link);
        if (is_alive(n, u->time, now)) {
            if (s->table.count < n->max)
                break;
            if (u->time > s->forgotten)
                s->forgotten = u->time;
        }
        forget(s, u);
    }
}

static bool take_first(const struct nonces *n, struct stripe *s, const struct used *seen,
                       uint64_t now)
{
    /* A refused one pushes nobody out. */
    if (seen->time <= s->forgotten)
        return false;
    make_room(n, s, now);
    struct used *u = mem_alloc(sizeof(*u));
    if (u == NULL)
        return false;
    *u = *seen;
    list_init(&u->link);
    list_push(&s->order, &u->link);
    table_insert(&s->table, &u->node, hash_mix(u->time ^ u->id << 40));
    return true;
}

bool nonce_take(struct nonces *n, struct slice nonce, uint32_t count, uint64_t now)
{
    struct used seen = {
        .time = read_hex(nonce.ptr, TIME_LEN),
        .id = read_hex(nonce.ptr + TIME_LEN, PLAIN_LEN - TIME_LEN),
        .count = count,
    };
    struct stripe *s = &n->stripes[seen.id % STRIPES];
    bool ok;
    pthread_mutex_lock(&s->lock);
    struct used *u = find_used(s, seen.time, seen.id);
    if (u == NULL) {
        ok = count != 0 && take_first(n, s, &seen, now);
    } else {
        ok = count > u->count;
        if (ok)
            u->count = count;
    }
    pthread_mutex_unlock(&s->lock);
    return ok;
}

unsigned nonces_used(struct nonces *n)
{
    unsigned used = 0;
    for (unsigned i = 0; i < STRIPES; i++) {
        pthread_mutex_lock(&n->stripes[i].lock);
        used += (unsigned)n->stripes[i].table.count;
        pthread_mutex_unlock(&n->stripes[i].lock);
    }
    return used;
}
