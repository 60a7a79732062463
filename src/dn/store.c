/* SPDX-License-Identifier: Apache-2.0 */
#include "dn/store.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "base/alloc.h"
#include "base/event.h"
#include "base/hash.h"
#include "base/random.h"
#include "dn/store_int.h"

#define GATHER_MS     20    /* from the first change to the transaction that writes it */
#define BATCH_MAX     5000  /* names in one transaction */
#define RETRY_MS      1000  /* after a failure */
#define LOG_MS        60000 /* a failure is logged once in that time */
#define CHECKPOINT_MS 2000  /* of silence, then the log goes into the database file */
#define CHECKPOINT_AT 4000  /* names written, then it goes there without silence too */

struct dn_store {
    pthread_mutex_t lock; /* of the queue */
    pthread_cond_t wake;
    struct table names; /* struct store_item by name */
    struct list queue;  /* the same, oldest first */
    struct hash_key key;
    bool is_closing;
    _Atomic uint64_t errors;
    pthread_mutex_t db_lock; /* loading and the thread */
    struct store_db db;
    /* the thread's */
    struct log_limit limit;
    uint64_t failures;       /* since it was written last */
    _Atomic bool is_failing; /* since the last transaction that was written */
    unsigned uncheckpointed; /* names */
    pthread_t thread;
    char file[];
};

static uint64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* --- the queue --- */

static struct slice put_text(char **at, struct slice s)
{
    char *start = *at;
    if (s.len != 0)
        memcpy(start, s.ptr, s.len);
    *at += s.len;
    return slice_of(start, s.len);
}

static struct store_item *item_new(struct slice name, const struct dn_binding *bindings, unsigned n)
{
    size_t text = name.len;
    for (unsigned i = 0; i < n; i++)
        text += bindings[i].contact.len + bindings[i].params.len + bindings[i].path.len +
                bindings[i].call_id.len + bindings[i].instance.len;
    struct store_item *item = mem_alloc(sizeof(*item) + n * sizeof(*bindings) + text);
    if (item == NULL)
        return NULL;
    char *at = (char *)&item->bindings[n];
    list_init(&item->link);
    item->name = put_text(&at, name);
    item->n = n;
    for (unsigned i = 0; i < n; i++) {
        struct dn_binding *b = &item->bindings[i];
        *b = bindings[i];
        b->contact = put_text(&at, b->contact);
        b->params = put_text(&at, b->params);
        b->path = put_text(&at, b->path);
        b->call_id = put_text(&at, b->call_id);
        b->instance = put_text(&at, b->instance);
    }
    return item;
}

static struct store_item *find_item(struct dn_store *s, uint64_t hash, struct slice name)
{
    struct table_node *node = table_first(&s->names, hash);
    for (; node != NULL; node = table_next(node)) {
        struct store_item *item = container_of(node, struct store_item, node);
        if (slice_eq(item->name, name))
            return item;
    }
    return NULL;
}

int dn_store_put(struct dn_store *s, struct slice name, const struct dn_binding *bindings,
                 unsigned n)
{
    struct store_item *item = item_new(name, bindings, n);
    if (item == NULL)
        return ERR_NOMEM;
    uint64_t hash = hash_slice(&s->key, name);
    pthread_mutex_lock(&s->lock);
    bool was_empty = list_is_empty(&s->queue);
    struct store_item *old = find_item(s, hash, name);
    if (old == NULL && s->names.count >= DN_STORE_QUEUE_MAX) {
        pthread_mutex_unlock(&s->lock);
        mem_free(item);
        return ERR_FULL;
    }
    if (old != NULL) {
        /* In its place, so that a name that changes all the time is written all the same. */
        list_insert_before(&old->link, &item->link);
        list_remove(&old->link);
        table_remove(&s->names, &old->node);
    } else {
        list_push(&s->queue, &item->link);
    }
    table_insert(&s->names, &item->node, hash);
    if (was_empty)
        pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    mem_free(old);
    return 0;
}

/* With the lock: the oldest names, out of the queue. */
static unsigned take_batch(struct dn_store *s, struct list *batch)
{
    unsigned n = 0;
    list_init(batch);
    while (n < BATCH_MAX && !list_is_empty(&s->queue)) {
        struct list *link = list_pop(&s->queue);
        table_remove(&s->names, &container_of(link, struct store_item, link)->node);
        list_push(batch, link);
        n++;
    }
    return n;
}

/* After a failure; a newer state of a name stays in its place. */
static void give_back(struct dn_store *s, struct list *batch)
{
    pthread_mutex_lock(&s->lock);
    while (!list_is_empty(batch)) {
        struct list *link = batch->prev;
        struct store_item *item = container_of(link, struct store_item, link);
        uint64_t hash = hash_slice(&s->key, item->name);
        list_remove(link);
        if (find_item(s, hash, item->name) != NULL) {
            mem_free(item);
            continue;
        }
        list_push_front(&s->queue, link);
        table_insert(&s->names, &item->node, hash);
    }
    pthread_mutex_unlock(&s->lock);
}

static void free_items(struct list *items)
{
    struct list *link;
    while ((link = list_pop(items)) != NULL)
        mem_free(container_of(link, struct store_item, link));
}

/* --- the thread --- */

static void failed(struct dn_store *s, const char *why)
{
    atomic_fetch_add_explicit(&s->errors, 1, memory_order_relaxed);
    s->is_failing = true;
    s->failures++;
    uint32_t left_out;
    if (log_limit_ok(&s->limit, now_ms(), 1, LOG_MS, &left_out))
        EVENT_LOG(EV_STORE_FAILING, LF_STR("file", s->file), LF_STR("why", why),
                  LF_INT("failures", s->failures));
}

/* One transaction. With db_lock. */
static int write_batch(struct dn_store *s, struct list *batch, unsigned n)
{
    char why[256] = "";
    int err = 0;
    if (s->db.db == NULL)
        err = store_db_open(&s->db, s->file, why, sizeof(why));
    if (err == 0)
        err = store_db_write(&s->db, batch, why, sizeof(why));
    if (err != 0) {
        failed(s, why);
        /* A file that was replaced or repaired is seen by opening it again. */
        if (s->db.db != NULL && err != -ENOSPC && err != -EBUSY)
            store_db_close(&s->db);
        return err;
    }
    s->uncheckpointed += n;
    if (s->is_failing)
        EVENT_LOG(EV_STORE_WRITTEN, LF_STR("file", s->file), LF_INT("names", n),
                  LF_INT("failures", s->failures));
    s->is_failing = false;
    s->failures = 0;
    return 0;
}

static void checkpoint(struct dn_store *s)
{
    pthread_mutex_lock(&s->db_lock);
    if (s->db.db != NULL)
        store_db_checkpoint(&s->db);
    pthread_mutex_unlock(&s->db_lock);
    s->uncheckpointed = 0;
}

/* With the lock: until `until`, a signal, or for ever (0). False: the time is over. */
static bool wait_until(struct dn_store *s, uint64_t until)
{
    struct timespec ts = {.tv_sec = (time_t)(until / 1000),
                          .tv_nsec = (long)(until % 1000) * 1000000};
    if (until == 0)
        return pthread_cond_wait(&s->wake, &s->lock) == 0;
    return pthread_cond_timedwait(&s->wake, &s->lock, &ts) == 0;
}

/* With the lock. Waits for a change and what else gathers behind it; false: close. */
static bool wait_for_work(struct dn_store *s)
{
    while (list_is_empty(&s->queue) && !s->is_closing) {
        if (wait_until(s, s->uncheckpointed != 0 ? now_ms() + CHECKPOINT_MS : 0) ||
            s->uncheckpointed == 0)
            continue;
        pthread_mutex_unlock(&s->lock);
        checkpoint(s);
        pthread_mutex_lock(&s->lock);
    }
    uint64_t until = now_ms() + (s->is_failing ? RETRY_MS : GATHER_MS);
    while (!s->is_closing && wait_until(s, until))
        ;
    return !s->is_closing;
}

static void *thread_main(void *store)
{
    struct dn_store *s = store;
    struct list batch;
    bool goes_on = true;
    int err = 0;
    while (goes_on) {
        pthread_mutex_lock(&s->lock);
        goes_on = wait_for_work(s);
        unsigned n = take_batch(s, &batch);
        pthread_mutex_unlock(&s->lock);
        while (n != 0) {
            pthread_mutex_lock(&s->db_lock);
            err = write_batch(s, &batch, n);
            pthread_mutex_unlock(&s->db_lock);
            if (err != 0) {
                give_back(s, &batch);
                break;
            }
            free_items(&batch);
            pthread_mutex_lock(&s->lock);
            n = n == BATCH_MAX || !goes_on ? take_batch(s, &batch) : 0;
            pthread_mutex_unlock(&s->lock);
        }
        if (s->uncheckpointed >= CHECKPOINT_AT)
            checkpoint(s);
    }
    return NULL;
}

/* --- open, close --- */

static int start(struct dn_store *s)
{
    pthread_condattr_t attr;
    sigset_t all, old;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->wake, &attr);
    pthread_condattr_destroy(&attr);
    sigfillset(&all); /* signals are for the program's main thread */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int err = pthread_create(&s->thread, NULL, thread_main, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return -err;
}

static void free_store(struct dn_store *s)
{
    store_db_close(&s->db);
    free_items(&s->queue);
    table_fini(&s->names);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->db_lock);
    mem_free(s);
}

int dn_store_open(const char *file, struct dn_store **out, char *why, size_t cap)
{
    size_t len = strlen(file);
    struct dn_store *s = mem_zalloc(sizeof(*s) + len + 1);
    *out = NULL;
    snprintf(why, cap, "out of memory");
    if (s == NULL)
        return ERR_NOMEM;
    memcpy(s->file, file, len + 1);
    list_init(&s->queue);
    random_bytes(&s->key, sizeof(s->key));
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->db_lock, NULL);
    int err = table_init(&s->names, 256);
    if (err == 0)
        err = store_db_open(&s->db, file, why, cap);
    /* A broken file is a broken disk: the directory goes on from memory, and the file is left for
     * the operator, who may put another one in its place. */
    if (err == ERR_PARSE || err == -ENOSPC) {
        failed(s, why);
        err = 0;
    }
    if (err == 0) {
        err = start(s);
        if (err != 0)
            snprintf(why, cap, "no thread");
    }
    if (err != 0) {
        free_store(s);
        return err;
    }
    why[0] = '\0';
    *out = s;
    return 0;
}

void dn_store_close(struct dn_store **store)
{
    struct dn_store *s = *store;
    if (s == NULL)
        return;
    pthread_mutex_lock(&s->lock);
    s->is_closing = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    pthread_cond_destroy(&s->wake);
    if (!list_is_empty(&s->queue))
        EVENT_LOG(EV_STORE_LOST, LF_STR("file", s->file), LF_INT("names", s->names.count));
    free_store(s);
    *store = NULL;
}

int dn_store_load(struct dn_store *s, uint64_t now, dn_store_load_fn *fn, void *user)
{
    char why[256] = "";
    int err = 0;
    pthread_mutex_lock(&s->db_lock);
    if (s->db.db != NULL)
        err = store_db_load(&s->db, now, fn, user, why, sizeof(why));
    if (err != 0 && err != ERR_NOMEM) {
        /* What could be read is there; the rest comes with the next registration. */
        failed(s, why);
        store_db_close(&s->db);
        err = 0;
    }
    pthread_mutex_unlock(&s->db_lock);
    return err;
}

uint64_t dn_store_errors(const struct dn_store *s)
{
    return atomic_load_explicit(&s->errors, memory_order_relaxed);
}
