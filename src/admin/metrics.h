/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics in the text format of Prometheus (version 0.0.4), and the page that lists them.
 *
 * Names after its conventions: holdfast_…_total counts up, seconds and bytes are the units. Labels
 * have values of a fixed list, numbers of workers, or names of applications that are configured.
 * owns: nothing. thread: any. */
#ifndef ADMIN_METRICS_H
#define ADMIN_METRICS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "admin/json.h"
#include "base/counter.h"

#define METRICS_TYPE    "text/plain; version=0.0.4; charset=utf-8"
#define METRICS_WORKERS 64
#define METRICS_REFUSED 5

struct metrics_source {
    unsigned nworkers;
    const struct counters *const *counters; /* of each worker */
    struct {
        bool is_up; /* it answers */
        uint64_t cpu_us;
    } workers[METRICS_WORKERS];
    const struct admin_text *applications; /* rows of the sets application and member (rows.c) */
    unsigned dns_out, dns_suspect;
    bool is_draining;
    int64_t certificate_ends; /* s of Unix time, of the one that ends first; 0: there is none */
    uint64_t started_ms;      /* wall clock */
    uint64_t http_answers[6], http_refused[METRICS_REFUSED];
    unsigned http_streams;
};

/* False: no memory. */
bool metrics_write(const struct metrics_source *source, struct admin_text *out) WARN_UNUSED;

/* docs/metrics.md */
void metrics_print_markdown(FILE *out);

#endif
