/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that cannot be had ends the program. */
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl_int.h"

void ctl_no_memory(void)
{
    fputs("holdfastctl: no memory\n", stderr);
    exit(CTL_REFUSED);
}

static void *must(void *ptr)
{
    if (ptr == NULL)
        ctl_no_memory();
    return ptr;
}

void *ctl_alloc(size_t size)
{
    return must(mem_zalloc(size));
}

void *ctl_grow(void *ptr, size_t size)
{
    return must(mem_realloc(ptr, size));
}

char *ctl_copy(const char *text, size_t len)
{
    char *copy = ctl_alloc(len + 1);
    if (len != 0)
        memcpy(copy, text, len);
    return copy;
}
