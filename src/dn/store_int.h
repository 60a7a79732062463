/* SPDX-License-Identifier: Apache-2.0 */
/* The database under the store: one connection, its schema, its statements.
 *
 * owns: the connection. thread: one at a time; the store sees to it. */
#ifndef DN_STORE_INT_H
#define DN_STORE_INT_H

#include <sqlite3.h>

#include "base/list.h"
#include "base/table.h"
#include "dn/store.h"

/* The newest state of a name that the file does not have yet. */
struct store_item {
    struct table_node node; /* in the queue's table */
    struct list link;       /* in the queue, oldest first */
    struct slice name;
    unsigned n;
    struct dn_binding bindings[]; /* strings behind them */
};

struct store_db {
    sqlite3 *db;     /* NULL: closed */
    bool has_source; /* the file has that column */
    sqlite3_stmt *begin, *commit, *rollback, *remove, *insert;
};

/* 0; ERR_NOMEM; -errno; ERR_UNSUPPORTED (somebody else's, or of a newer program); ERR_PARSE (broken
 * file). The text of what is wrong in `why`. */
int store_db_open(struct store_db *d, const char *file, char *why, size_t cap) WARN_UNUSED;
void store_db_close(struct store_db *d);
/* All items of the list in one transaction: all or none. 0 or ERR_PARSE (the file is broken: close
 * it), -errno; text in `why`. */
int store_db_write(struct store_db *d, struct list *items, char *why, size_t cap) WARN_UNUSED;
/* Moves what is in the log into the database file; slow where the disk is. */
void store_db_checkpoint(struct store_db *d);
/* Rows that have not expired; deletes the others. 0, an error of `fn`, or as store_db_write. */
int store_db_load(struct store_db *d, uint64_t now, dn_store_load_fn *fn, void *user, char *why,
                  size_t cap) WARN_UNUSED;

#endif
