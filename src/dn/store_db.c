/* SPDX-License-Identifier: Apache-2.0 */
#include "dn/store_int.h"

#include <stdio.h>
#include <unistd.h>

#define APPLICATION_ID  0x48464c44 /* "HFLD" */
#define SCHEMA_VERSION  1
#define BUSY_TIMEOUT_MS 1000

/* What is written is in the kernel's hands when COMMIT returns, so that a killed process loses
 * nothing of it. Only checkpoints wait for the disk (synchronous = NORMAL), and those are made when
 * there is nothing else to do. */
static const char settings[] = "PRAGMA journal_mode = WAL;"
                               "PRAGMA synchronous = NORMAL;"
                               "PRAGMA wal_autocheckpoint = 0;"
                               "PRAGMA journal_size_limit = 16777216;"
                               "PRAGMA temp_store = MEMORY;";

/* Came later than the others. A version of its own would keep out the program before it, which
 * names its columns and gets the default of this one: both know the same file. */
#define SOURCE "source TEXT NOT NULL DEFAULT '-'"

static const char schema[] = "BEGIN IMMEDIATE;"
                             "CREATE TABLE binding ("
                             " name BLOB NOT NULL, contact BLOB NOT NULL, params BLOB NOT NULL,"
                             " path BLOB NOT NULL, call_id BLOB NOT NULL, instance BLOB NOT NULL,"
                             " cseq INTEGER NOT NULL, reg_id INTEGER NOT NULL, q INTEGER NOT NULL,"
                             " expires INTEGER NOT NULL, updated INTEGER NOT NULL,"
                             " remote TEXT NOT NULL, local TEXT NOT NULL,"
                             " alt_port INTEGER NOT NULL, transport INTEGER NOT NULL,"
                             " " SOURCE ");"
                             "CREATE INDEX binding_name ON binding (name);"
                             "PRAGMA application_id = 1212566596;"
                             "PRAGMA user_version = 1;"
                             "COMMIT;";
_Static_assert(APPLICATION_ID == 1212566596 && SCHEMA_VERSION == 1, "the schema's numbers");

#define COLUMNS                                                                                   \
    "name, contact, params, path, call_id, instance, cseq, reg_id, q, expires, updated, remote, " \
    "local, alt_port, transport"
#define HOLES "?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15"
#define LIVE  " FROM binding WHERE expires > ?1 ORDER BY name"

static int say(const struct store_db *d, char *why, size_t cap)
{
    int code = d->db != NULL ? sqlite3_errcode(d->db) : SQLITE_NOMEM;
    int sys = d->db != NULL ? sqlite3_system_errno(d->db) : 0;
    snprintf(why, cap, "%s", d->db != NULL ? sqlite3_errmsg(d->db) : "out of memory");
    switch (code) {
    case SQLITE_NOMEM: return ERR_NOMEM;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return ERR_PARSE;
    case SQLITE_FULL: return -ENOSPC;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return -EBUSY;
    case SQLITE_READONLY: return -EROFS;
    case SQLITE_PERM: return -EACCES;
    default: return sys > 0 ? -sys : -EIO;
    }
}

static int pragma_int(struct store_db *d, const char *sql, int64_t *out)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(d->db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(stmt);
        *out = sqlite3_column_int64(stmt, 0);
    }
    sqlite3_finalize(stmt);
    return rc == SQLITE_ROW ? 0 : -1;
}

/* Ours, or empty and then made ours. */
static int check_schema(struct store_db *d, char *why, size_t cap)
{
    int64_t application = 0, version = 0, tables = 0;
    if (pragma_int(d, "PRAGMA application_id", &application) < 0 ||
        pragma_int(d, "PRAGMA user_version", &version) < 0 ||
        pragma_int(d, "SELECT count(*) FROM sqlite_master", &tables) < 0)
        return say(d, why, cap);
    if (application == APPLICATION_ID && version == SCHEMA_VERSION)
        return 0;
    if (application == APPLICATION_ID) {
        snprintf(why, cap, "its schema has version %lld, this program knows version %d",
                 (long long)version, SCHEMA_VERSION);
        return ERR_UNSUPPORTED;
    }
    if (application != 0 || version != 0 || tables != 0) {
        snprintf(why, cap, "it is a database of another program");
        return ERR_UNSUPPORTED;
    }
    return sqlite3_exec(d->db, schema, NULL, NULL, NULL) == SQLITE_OK ? 0 : say(d, why, cap);
}

/* A file that has no room for it, or that somebody else writes to, is as good without. */
static void add_source(struct store_db *d)
{
    static const char ask[] = "SELECT count(*) FROM pragma_table_info('binding')"
                              " WHERE name = 'source'";
    int64_t n = 0;
    d->has_source = (pragma_int(d, ask, &n) == 0 && n == 1) ||
                    sqlite3_exec(d->db, "ALTER TABLE binding ADD COLUMN " SOURCE, NULL, NULL,
                                 NULL) == SQLITE_OK;
}

static int prepare_all(struct store_db *d, char *why, size_t cap)
{
    struct {
        sqlite3_stmt **stmt;
        const char *sql;
    } list[] = {
        {&d->begin, "BEGIN IMMEDIATE"},
        {&d->commit, "COMMIT"},
        {&d->rollback, "ROLLBACK"},
        {&d->remove, "DELETE FROM binding WHERE name = ?1"},
        {&d->insert, d->has_source ? "INSERT INTO binding (" COLUMNS ", source) VALUES (" HOLES
                                     ", ?16)"
                                   : "INSERT INTO binding (" COLUMNS ") VALUES (" HOLES ")"},
    };
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
        if (sqlite3_prepare_v3(d->db, list[i].sql, -1, SQLITE_PREPARE_PERSISTENT, list[i].stmt,
                               NULL) != SQLITE_OK)
            return say(d, why, cap);
    return 0;
}

int store_db_open(struct store_db *d, const char *file, char *why, size_t cap)
{
    *d = (struct store_db){0};
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int err = 0;
    if (sqlite3_open_v2(file, &d->db, flags, NULL) != SQLITE_OK)
        err = say(d, why, cap);
    if (err == 0) {
        sqlite3_busy_timeout(d->db, BUSY_TIMEOUT_MS);
        /* Whose it is comes first: somebody else's file is not even switched to WAL. */
        err = check_schema(d, why, cap);
    }
    if (err == 0 && sqlite3_exec(d->db, settings, NULL, NULL, NULL) != SQLITE_OK)
        err = say(d, why, cap);
    if (err == 0)
        add_source(d);
    if (err == 0)
        err = prepare_all(d, why, cap);
    if (err != 0)
        store_db_close(d);
    return err;
}

void store_db_close(struct store_db *d)
{
    sqlite3_finalize(d->begin);
    sqlite3_finalize(d->commit);
    sqlite3_finalize(d->rollback);
    sqlite3_finalize(d->remove);
    sqlite3_finalize(d->insert);
    sqlite3_close(d->db);
    *d = (struct store_db){0};
}

/* --- writing --- */

static void bind_slice(sqlite3_stmt *stmt, int at, struct slice s)
{
    /* A NULL pointer would bind NULL. */
    sqlite3_bind_blob64(stmt, at, s.len != 0 ? s.ptr : "", s.len, SQLITE_STATIC);
}

/* Runs a statement that gives no rows. */
static int run(sqlite3_stmt *stmt)
{
    int rc = sqlite3_step(stmt);
    sqlite3_reset(stmt);
    return rc == SQLITE_DONE ? 0 : -1;
}

static int insert(struct store_db *d, struct slice name, const struct dn_binding *b)
{
    char remote[ADDR_TEXT_MAX], local[ADDR_TEXT_MAX], source[ADDR_TEXT_MAX];
    const struct slice blobs[] = {name, b->contact, b->params, b->path, b->call_id, b->instance};
    const int64_t numbers[] = {b->cseq, b->reg_id, b->q, (int64_t)b->expires, (int64_t)b->updated};
    for (int i = 0; i < 6; i++)
        bind_slice(d->insert, 1 + i, blobs[i]);
    for (int i = 0; i < 5; i++)
        sqlite3_bind_int64(d->insert, 7 + i, numbers[i]);
    sqlite3_bind_text(d->insert, 12, addr_write(&b->way.remote, remote), -1, SQLITE_STATIC);
    sqlite3_bind_text(d->insert, 13, addr_write(&b->way.local, local), -1, SQLITE_STATIC);
    sqlite3_bind_int64(d->insert, 14, b->way.alt_port);
    sqlite3_bind_int64(d->insert, 15, b->way.transport);
    if (d->has_source)
        sqlite3_bind_text(d->insert, 16, addr_write(&b->source, source), -1, SQLITE_STATIC);
    int err = run(d->insert);
    sqlite3_clear_bindings(d->insert);
    return err;
}

static int write_item(struct store_db *d, const struct store_item *item)
{
    bind_slice(d->remove, 1, item->name);
    int err = run(d->remove);
    sqlite3_clear_bindings(d->remove);
    for (unsigned i = 0; i < item->n && err == 0; i++)
        err = insert(d, item->name, &item->bindings[i]);
    return err;
}

int store_db_write(struct store_db *d, struct list *items, char *why, size_t cap)
{
    if (run(d->begin) < 0)
        return say(d, why, cap);
    int err = 0;
    LIST_EACH(node, items)
    {
        if (write_item(d, container_of(node, struct store_item, link)) < 0) {
            err = say(d, why, cap);
            break;
        }
    }
    if (err == 0 && run(d->commit) < 0)
        err = say(d, why, cap);
    /* Some errors have rolled back already. */
    if (err != 0 && sqlite3_get_autocommit(d->db) == 0)
        (void)!run(d->rollback);
    return err;
}

void store_db_checkpoint(struct store_db *d)
{
    /* A failure leaves everything in the log, where it is as safe. */
    (void)sqlite3_wal_checkpoint_v2(d->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

/* --- loading --- */

static struct slice column_slice(sqlite3_stmt *stmt, int at)
{
    const void *ptr = sqlite3_column_blob(stmt, at);
    return slice_of(ptr, (size_t)sqlite3_column_bytes(stmt, at));
}

/* "-" is written for no address. */
static int column_addr(sqlite3_stmt *stmt, int at, struct addr *out)
{
    struct slice text = column_slice(stmt, at);
    if (slice_eq(text, SLICE("-"))) {
        *out = (struct addr){0};
        return 0;
    }
    return addr_parse(text, 0, out);
}

/* False: not a row that we wrote. */
static bool read_row(sqlite3_stmt *stmt, struct dn_binding *b)
{
    int64_t cseq = sqlite3_column_int64(stmt, 6), reg_id = sqlite3_column_int64(stmt, 7);
    int64_t q = sqlite3_column_int64(stmt, 8), updated = sqlite3_column_int64(stmt, 10);
    int64_t alt_port = sqlite3_column_int64(stmt, 13), transport = sqlite3_column_int64(stmt, 14);
    *b = (struct dn_binding){
        .contact = column_slice(stmt, 1),
        .params = column_slice(stmt, 2),
        .path = column_slice(stmt, 3),
        .call_id = column_slice(stmt, 4),
        .instance = column_slice(stmt, 5),
        .cseq = (uint32_t)cseq,
        .reg_id = (uint32_t)reg_id,
        .q = (uint16_t)q,
        .expires = (uint64_t)sqlite3_column_int64(stmt, 9),
        .updated = (uint64_t)updated,
        .way.alt_port = (uint16_t)alt_port,
        .way.transport = (uint8_t)transport,
    };
    if (column_addr(stmt, 15, &b->source) != 0) /* only ever shown: the row is good without */
        b->source = (struct addr){0};
    return b->contact.len != 0 && cseq >= 0 && cseq <= UINT32_MAX && reg_id >= 0 &&
           reg_id <= UINT32_MAX && q >= 0 && q <= 1000 && updated >= 0 && alt_port >= 0 &&
           alt_port <= UINT16_MAX && transport >= 0 && transport < UINT8_MAX &&
           column_addr(stmt, 11, &b->way.remote) == 0 && column_addr(stmt, 12, &b->way.local) == 0;
}

static int load_rows(sqlite3_stmt *stmt, dn_store_load_fn *fn, void *user, int *rc)
{
    struct dn_binding b;
    while ((*rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        if (!read_row(stmt, &b))
            continue;
        int err = fn(user, column_slice(stmt, 0), &b);
        if (err != 0)
            return err;
    }
    return 0;
}

int store_db_load(struct store_db *d, uint64_t now, dn_store_load_fn *fn, void *user, char *why,
                  size_t cap)
{
    sqlite3_stmt *stmt = NULL;
    const char *sql = d->has_source ? "SELECT " COLUMNS ", source" LIVE
                                    : "SELECT " COLUMNS ", '-'" LIVE;
    int rc = sqlite3_prepare_v2(d->db, sql, -1, &stmt, NULL);
    if (rc != SQLITE_OK)
        return say(d, why, cap);
    sqlite3_bind_int64(stmt, 1, (int64_t)now);
    int err = load_rows(stmt, fn, user, &rc);
    if (err == 0 && rc != SQLITE_DONE)
        err = say(d, why, cap);
    sqlite3_finalize(stmt);
    if (err != 0 || sqlite3_prepare_v2(d->db, "DELETE FROM binding WHERE expires <= ?1", -1, &stmt,
                                       NULL) != SQLITE_OK)
        return err;
    sqlite3_bind_int64(stmt, 1, (int64_t)now);
    (void)!run(stmt); /* they are not loaded next time either */
    sqlite3_finalize(stmt);
    return 0;
}
