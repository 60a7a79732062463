/* SPDX-License-Identifier: Apache-2.0 */
/* Where a timer lies depends only on the wheel's time and its due time. Level L has a slot for each
 * value of the L-th group of six bits; a timer lies at the level of the highest group in which
 * `due` differs from `now`. It follows that
 * - a slot of level 0 holds one millisecond; the others hold blocks of time that begin after `now`;
 * - everything at a level comes before everything at the next one;
 * - timers of one due time lie in one slot, in order of starting, and stay so when a slot is spread
 * over the levels below. Overdue timers lie in the slot of `now`, sorted; time moves on only when
 * that slot is empty. */
#include "base/wheel.h"

#define SLOT_BITS 6u
#define SLOT_MASK (WHEEL_SLOTS - 1u)
#define SPAN_BITS (WHEEL_LEVELS * SLOT_BITS) /* bits that the levels cover; the rest is `far` */

_Static_assert(WHEEL_SLOTS == 1 << SLOT_BITS && WHEEL_SLOTS == 64, "a bit of uint64_t per slot");

static struct timer *timer_of(struct list *node)
{
    return container_of(node, struct timer, node);
}

static unsigned slot_of(uint64_t time, unsigned level)
{
    return (unsigned)(time >> (level * SLOT_BITS)) & SLOT_MASK;
}

void wheel_init(struct wheel *w, uint64_t now)
{
    w->now = now;
    w->count = 0;
    for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
        w->occupied[level] = 0;
        for (unsigned slot = 0; slot < WHEEL_SLOTS; slot++)
            list_init(&w->slots[level][slot]);
    }
    list_init(&w->far);
}

void timer_init(struct timer *t, timer_fn *fn)
{
    list_init(&t->node);
    t->due = 0;
    t->fn = fn;
}

static void put_in_slot(struct wheel *w, unsigned level, unsigned slot, struct list *at,
                        struct timer *t)
{
    list_insert_before(at, &t->node);
    w->occupied[level] |= (uint64_t)1 << slot;
}

/* Due now or before: behind all that are not later. */
static void put_overdue(struct wheel *w, struct timer *t)
{
    unsigned slot = slot_of(w->now, 0);
    struct list *at = &w->slots[0][slot];

    while (at->prev != &w->slots[0][slot] && timer_of(at->prev)->due > t->due)
        at = at->prev;
    put_in_slot(w, 0, slot, at, t);
}

static void put(struct wheel *w, struct timer *t)
{
    uint64_t differs = t->due ^ w->now;
    unsigned level, slot;

    if (t->due <= w->now) {
        put_overdue(w, t);
    } else if (differs >> SPAN_BITS != 0) {
        list_push(&w->far, &t->node);
    } else {
        level = (63u - (unsigned)__builtin_clzll(differs)) / SLOT_BITS;
        slot = slot_of(t->due, level);
        put_in_slot(w, level, slot, &w->slots[level][slot], t);
    }
}

/* Unlinks a running timer, and clears the slot's bit when it was the last one: then both its
 * neighbours are the head, whose place in the array names the slot. */
static void take_out(struct wheel *w, struct timer *t)
{
    struct list *next = t->node.next;
    bool last = next == t->node.prev;

    list_remove(&t->node);
    if (last && next != &w->far) {
        size_t index = (size_t)(next - &w->slots[0][0]);
        w->occupied[index / WHEEL_SLOTS] &= ~((uint64_t)1 << index % WHEEL_SLOTS);
    }
}

void timer_set(struct wheel *w, struct timer *t, uint64_t due)
{
    if (timer_is_set(t))
        take_out(w, t);
    else
        w->count++;
    t->due = due;
    put(w, t);
}

void timer_stop(struct wheel *w, struct timer *t)
{
    if (!timer_is_set(t))
        return;
    take_out(w, t);
    w->count--;
}

/* Puts all timers of a list where they belong now. */
static void spread(struct wheel *w, struct list *from)
{
    struct list all;
    struct list *node;

    list_init(&all);
    list_splice(&all, from);
    while ((node = list_pop(&all)) != NULL)
        put(w, timer_of(node));
}

/* The first block at or after `now` in which timers lie: its level and slot. */
static bool first_slot(const struct wheel *w, unsigned *level, unsigned *slot)
{
    for (unsigned l = 0; l < WHEEL_LEVELS; l++) {
        if (w->occupied[l] != 0) {
            *level = l;
            *slot = (unsigned)__builtin_ctzll(w->occupied[l]);
            return true;
        }
    }
    return false;
}

/* Begin of a slot that lies in the same block of the level above as `now`. */
static uint64_t slot_begin(const struct wheel *w, unsigned level, unsigned slot)
{
    unsigned shift = level * SLOT_BITS;
    uint64_t above = w->now >> (shift + SLOT_BITS) << (shift + SLOT_BITS);
    return above | (uint64_t)slot << shift;
}

/* Time up to which `now` can move without passing a timer or the begin of a slot that holds one;
 * the slot of `now` is empty. */
static uint64_t next_stop(const struct wheel *w)
{
    unsigned level, slot;
    uint64_t first = UINT64_MAX;

    if (first_slot(w, &level, &slot))
        return slot_begin(w, level, slot);
    /* Seldom: the wheel comes here once in 12 days, or when all its timers are that far away. */
    LIST_EACH(node, &w->far)
    {
        if (timer_of(node)->due < first)
            first = timer_of(node)->due;
    }
    return first;
}

/* Moves time on and spreads the slots that `to` lies in over the levels below. */
static void move_to(struct wheel *w, uint64_t to)
{
    uint64_t differs = w->now ^ to;

    w->now = to;
    if (differs >> SPAN_BITS != 0)
        spread(w, &w->far);
    for (unsigned level = WHEEL_LEVELS - 1; level > 0; level--) {
        unsigned slot = slot_of(to, level);
        uint64_t bit = (uint64_t)1 << slot;
        if (differs >> (level * SLOT_BITS) != 0 && (w->occupied[level] & bit) != 0) {
            w->occupied[level] &= ~bit;
            spread(w, &w->slots[level][slot]);
        }
    }
}

unsigned wheel_advance(struct wheel *w, uint64_t now)
{
    unsigned fired = 0;

    for (;;) {
        struct list *slot = &w->slots[0][slot_of(w->now, 0)];
        uint64_t stop;

        while (!list_is_empty(slot) && timer_of(slot->next)->due <= now) {
            struct timer *t = timer_of(slot->next);
            timer_stop(w, t);
            fired++;
            t->fn(t, now);
        }
        if (w->now >= now)
            return fired;
        stop = next_stop(w);
        move_to(w, stop < now ? stop : now);
    }
}

uint64_t wheel_next(const struct wheel *w)
{
    unsigned level, slot;

    if (first_slot(w, &level, &slot)) {
        if (level == 0)
            return container_of(w->slots[0][slot].next, struct timer, node)->due;
        return slot_begin(w, level, slot);
    }
    /* The list is not sorted; where its first block begins is early enough. */
    return list_is_empty(&w->far) ? UINT64_MAX : ((w->now >> SPAN_BITS) + 1) << SPAN_BITS;
}
