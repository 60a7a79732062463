/* SPDX-License-Identifier: Apache-2.0 */
/* What a loop keeps for TLS: the lines of handshakes, the sessions that it remembers.
 *
 * owns: the sessions; handshakes belong to their streams. thread: the loop's. */
#ifndef NET_TLS_LOOP_H
#define NET_TLS_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/table.h"

#define TLS_SHAKES_MAX UINT16_MAX /* of one loop */
/* Counts by source address; those that fall together share one. */
#define SHAKE_SOURCES 1024

struct tls_gate {
    struct list ready_opened, ready;     /* tls_shake.ready: a step is due */
    struct list silent, waiting, active; /* tls_shake.node */
    unsigned nline, nactive;             /* silent and waiting; active */
    uint16_t line_of[SHAKE_SOURCES], active_of[SHAKE_SOURCES];
    struct hash_key key;
    uint64_t worked; /* ns of the thread's work, when steps began to wait or were done last */
};

struct tls_cache {
    struct table table;
    struct list lru; /* the latest at the tail */
    size_t bytes;
    bool is_made;
};

#endif
