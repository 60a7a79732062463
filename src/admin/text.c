/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "admin/json.h"
#include "base/alloc.h"

#define TEXT_FIRST 4096

bool admin_text_room(struct admin_text *t, size_t len)
{
    if (len > t->max - t->len)
        return false;
    if (len <= t->cap - t->len)
        return true;
    size_t cap = t->cap != 0 ? t->cap : TEXT_FIRST;
    while (cap - t->len < len)
        cap *= 2;
    char *grown = mem_realloc(t->ptr, cap);
    if (grown == NULL)
        return false;
    t->ptr = grown;
    t->cap = cap;
    return true;
}

bool admin_text_add(struct admin_text *t, const void *ptr, size_t len)
{
    if (!admin_text_room(t, len))
        return false;
    if (len != 0)
        memcpy(t->ptr + t->len, ptr, len);
    t->len += len;
    return true;
}

void admin_text_fini(struct admin_text *t)
{
    mem_free(t->ptr);
    *t = (struct admin_text){.max = t->max};
}
