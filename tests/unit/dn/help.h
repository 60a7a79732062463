/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the directory share: short ways to register and to look.
 *
 * owns: nothing. thread: any. */
#ifndef TEST_DN_HELP_H
#define TEST_DN_HELP_H

#include "base/arena.h"
#include "dn/dn.h"

#define T0 1700000000000ULL /* ms */

struct look {
    struct arena_cache cache;
    struct arena arena;
    struct dn_info dn;
    int err;
};

/* A binding of `contact` that ends at `expires`; everything else has some value. */
struct dn_binding help_binding(const char *contact, uint64_t expires);
/* Registers one contact until T0 + 3600 s. */
int help_register(struct dn_dir *dir, const char *name, const char *contact, const char *call_id,
                  uint32_t cseq);
int help_remove(struct dn_dir *dir, const char *name, const char *contact, const char *call_id,
                uint32_t cseq);
bool help_same(struct slice a, struct slice b);
void help_look(struct look *l, struct dn_dir *dir, const char *name, uint64_t now);
void help_look_end(struct look *l);
/* "sip:a sip:b": the contacts in the order in which they are given; static buffer for each thread.
 */
const char *help_contacts(struct dn_dir *dir, const char *name, uint64_t now);

/* All rows of the directory, a line each, NUL-terminated; static buffer. */
const char *help_rows(struct dn_dir *dir, uint64_t now);

#endif
