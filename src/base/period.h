/* SPDX-License-Identifier: Apache-2.0 */
/* How long: a time as the configuration and the commands write it.
 *
 * owns: nothing. thread: any; values only. */
#ifndef BASE_PERIOD_H
#define BASE_PERIOD_H

#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

/* "90" (seconds), "500ms", "5s", "2m" or "2min", "1h", in either case, as milliseconds. 0;
 * ERR_PARSE; ERR_RANGE (a number above 1000000000). `*ms` is written only on 0. */
int period_parse(struct slice text, uint64_t *ms) WARN_UNUSED;

#endif
