/* SPDX-License-Identifier: Apache-2.0 */
/* Histogram of latencies in microseconds with at most 1.6 % error for each value.
 *
 * owns: its counters, fixed size
 * borrows: nothing
 * thread: one
 * RFC sections: none
 */
#ifndef BENCH_HIST_H
#define BENCH_HIST_H

#include <stdint.h>

#define HIST_BUCKETS 2048

struct hist {
    uint64_t count;
    uint64_t max;
    uint32_t bucket[HIST_BUCKETS];
};

void hist_add(struct hist *h, uint64_t us);

/* Upper end of the bucket in which the share `per_mille` of all values lies; 0 when empty. */
uint64_t hist_at(const struct hist *h, unsigned per_mille);

#endif
