/* SPDX-License-Identifier: Apache-2.0 */
#include "wheel.h"

#include <stdlib.h>

bool wheel_init(struct wheel *w, uint64_t now_ms)
{
    w->now = now_ms;
    w->count = 0;
    w->slot = calloc(WHEEL_SLOTS, sizeof(*w->slot));
    if (!w->slot)
        return false;
    for (unsigned i = 0; i < WHEEL_SLOTS; i++)
        w->slot[i].prev = w->slot[i].next = &w->slot[i];
    return true;
}

void wheel_fini(struct wheel *w)
{
    free(w->slot);
    w->slot = NULL;
}

void wheel_cancel(struct wheel *w, struct timer *t)
{
    if (!t->next)
        return;
    t->prev->next = t->next;
    t->next->prev = t->prev;
    t->prev = t->next = NULL;
    w->count--;
}

void wheel_set(struct wheel *w, struct timer *t, uint64_t due_ms)
{
    struct timer *head;

    wheel_cancel(w, t);
    if (due_ms < w->now)
        due_ms = w->now;
    if (due_ms >= w->now + WHEEL_SLOTS)
        due_ms = w->now + WHEEL_SLOTS - 1U;
    t->due = due_ms;
    head = &w->slot[due_ms % WHEEL_SLOTS];
    t->prev = head->prev;
    t->next = head;
    head->prev->next = t;
    head->prev = t;
    w->count++;
}

struct timer *wheel_pop(struct wheel *w, uint64_t now_ms)
{
    for (; w->now <= now_ms; w->now++) {
        struct timer *head = &w->slot[w->now % WHEEL_SLOTS];
        struct timer *t = head->next;

        if (t != head) {
            wheel_cancel(w, t);
            return t;
        }
    }
    return NULL;
}
