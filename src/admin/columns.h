/* SPDX-License-Identifier: Apache-2.0 */
/* The columns of the rows, set by set; private to the table of commands (table.c).
 *
 * The rooms' functions that write rows give exactly these, in this order. owns: nothing.
 * thread: any. */
#ifndef ADMIN_COLUMNS_H
#define ADMIN_COLUMNS_H

#include "admin/table.h"

extern const struct admin_column admin_columns_help[];
extern const struct admin_column admin_columns_status[];
extern const struct admin_column admin_columns_workers[];
extern const struct admin_column admin_columns_flows[];
extern const struct admin_column admin_columns_dns[];
extern const struct admin_column admin_columns_applications[];
extern const struct admin_column admin_columns_calls[];
extern const struct admin_column admin_columns_transactions[];
extern const struct admin_column admin_columns_trace[];
extern const struct admin_column admin_columns_events[];
extern const struct admin_column admin_columns_search[];
extern const struct admin_column admin_columns_options[];
extern const struct admin_column admin_columns_log[];
extern const struct admin_column admin_columns_resolver[];
extern const struct admin_column admin_columns_overload[];
extern const struct admin_column admin_columns_counters[];
extern const struct admin_column admin_columns_done[]; /* of commands that change something */

#endif
