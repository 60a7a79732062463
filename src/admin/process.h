/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel knows of this process.
 *
 * owns: nothing. thread: any. */
#ifndef ADMIN_PROCESS_H
#define ADMIN_PROCESS_H

#include <stdint.h>

struct process_facts { /* 0: not to be had */
    uint64_t cpu_us, resident_bytes, virtual_bytes, open_fds, max_fds;
};
void process_look(struct process_facts *out);

#endif
