/* SPDX-License-Identifier: Apache-2.0 */
/* Where bindings outlive the process: SQLite, written behind by one thread in batches (WAL).
 *
 * A change is queued without waiting; the thread writes what has gathered at least every 50 ms, so
 * that kill -9 loses no more than the last 100 ms. A full or broken disk is logged and counted; the
 * directory goes on from memory, and everything is written once the disk is well again. owns:
 * database, thread, queue. thread: any. */
#ifndef DN_STORE_H
#define DN_STORE_H

#include "base/counter.h"
#include "dn/dn.h"

/* Names that may wait for a disk that is slow or broken. */
#define DN_STORE_QUEUE_MAX 262144

/* Opens or makes the file. 0; ERR_NOMEM; -errno; ERR_UNSUPPORTED (not a database of ours); a text
 * of what is wrong in `why`. */
int dn_store_open(const char *file, struct dn_store **out, char *why, size_t cap) WARN_UNUSED;
/* Writes what is queued, ends the thread. */
void dn_store_close(struct dn_store **store);

/* The present bindings of one name, all of them (replaces what was stored). Never blocks on the
 * disk. 0; ERR_NOMEM, ERR_FULL: nothing was queued, the caller tries again later. */
int dn_store_put(struct dn_store *store, struct slice name, const struct dn_binding *bindings,
                 unsigned n) WARN_UNUSED;

/* All stored bindings that have not expired, name by name, at start. 0 or an error as of open. */
typedef int dn_store_load_fn(void *user, struct slice name, const struct dn_binding *binding);
int dn_store_load(struct dn_store *store, uint64_t now, dn_store_load_fn *fn,
                  void *user) WARN_UNUSED;
uint64_t dn_store_errors(const struct dn_store *store);

#endif
