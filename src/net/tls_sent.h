/* SPDX-License-Identifier: Apache-2.0 */
/* Which plain bytes the peer's kernel has acknowledged, when it acknowledges bytes of records.
 *
 * A queue of (bytes on the wire, plain bytes in them) of what is outstanding. owns: the queue when
 * it has outgrown its first places. thread: the loop's. */
#ifndef NET_TLS_SENT_H
#define NET_TLS_SENT_H

#include <stddef.h>
#include <stdint.h>

#define TLS_SENT_FIRST 4
#define TLS_SENT_MAX   512

struct tls_sent_part {
    uint32_t wire, plain; /* bytes */
};

struct tls_sent {
    struct tls_sent_part *more; /* NULL: `few` is used */
    uint64_t wire;              /* offset on the wire where the first part begins */
    uint64_t end;               /* and where the last one ends */
    size_t plain;               /* plain bytes of all parts */
    uint16_t first, n, cap;     /* a ring */
    struct tls_sent_part few[TLS_SENT_FIRST];
};

void tls_sent_init(struct tls_sent *q);
void tls_sent_fini(struct tls_sent *q);
/* `plain` bytes are in what stands on the wire up to the offset `end`. Where there is no room for
 * another part, it is joined with the last one: all of it counts until all of it is acknowledged.
 */
void tls_sent_add(struct tls_sent *q, size_t plain, uint64_t end);
/* The wire is acknowledged up to `acked`. Plain bytes that are not. */
size_t tls_sent_acked(struct tls_sent *q, uint64_t acked);

#endif
