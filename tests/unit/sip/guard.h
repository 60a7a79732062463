/* SPDX-License-Identifier: Apache-2.0 */
/* Memory between two pages that cannot be touched, and the sample messages of tests/samples.
 *
 * owns: the pages, the samples. thread: one. */
#ifndef TEST_SIP_GUARD_H
#define TEST_SIP_GUARD_H

#include <stddef.h>

#include "base/slice.h"

struct guard {
    char *map; /* unreadable page, `room` bytes, unreadable page */
    size_t page, room;
};

/* Fails the test when there is no memory. `room` is rounded up to whole pages. */
void guard_init(struct guard *g, size_t room);
void guard_fini(struct guard *g);
/* Copies the bytes so that the page behind / in front of them cannot be touched. */
char *guard_end(struct guard *g, const void *bytes, size_t len);
char *guard_front(struct guard *g, const void *bytes, size_t len);

#define SAMPLES_MAX 64

struct samples {
    unsigned n;
    char *names[SAMPLES_MAX]; /* without ".sip" */
    struct slice bytes[SAMPLES_MAX];
};

/* All of tests/samples in the order of their names. Fails the test when there are none. */
void samples_load(struct samples *s);
void samples_free(struct samples *s);
/* One by its name; fails the test when it is not there. */
struct slice samples_get(const struct samples *s, const char *name);

#endif
