/* SPDX-License-Identifier: Apache-2.0 */
/* Queue of Dmitry Vyukov: senders exchange the tail and then link the mail before it to theirs.
 * Between these two steps the reader sees the queue end at the gap.
 *
 * Waking: a sender links, then reads `awake`; the reader clears `awake`, then looks once more. All
 * four are sequentially consistent, so that at least one of the two sees what the other did. */
#include "base/mailbox.h"

#include <assert.h>

#include "base/alloc.h"
#include "base/list.h"

void mailbox_init(struct mailbox *m, uint32_t max, void (*wake)(void *user), void *wake_user)
{
    atomic_init(&m->stub.next, NULL);
    atomic_init(&m->tail, &m->stub);
    atomic_init(&m->count, 0);
    atomic_init(&m->bytes, 0);
    atomic_init(&m->awake, false);
    m->head = &m->stub;
    m->max = max;
    m->wake = wake;
    m->wake_user = wake_user;
}

void mailbox_fini(struct mailbox *m)
{
    struct mail *mail;

    while ((mail = mailbox_take(m)) != NULL)
        mail_free(&mail);
    assert(atomic_load(&m->count) == 0);
}

struct mail *mail_new(uint32_t kind, uint32_t from, size_t payload_size)
{
    struct mail *mail;

    if (payload_size > SIZE_MAX - sizeof(*mail))
        return NULL;
    mail = mem_alloc(sizeof(*mail) + payload_size);
    if (mail == NULL)
        return NULL;
    atomic_init(&mail->link.next, NULL);
    mail->kind = kind;
    mail->from = from;
    mail->size = payload_size;
    return mail;
}

void mail_free(struct mail **mail)
{
    mem_free(*mail);
    *mail = NULL;
}

static void push(struct mailbox *m, struct mail_link *link)
{
    struct mail_link *before;

    atomic_store_explicit(&link->next, NULL, memory_order_relaxed);
    before = atomic_exchange_explicit(&m->tail, link, memory_order_acq_rel);
    atomic_store(&before->next, link);
}

/* NULL when the queue is empty, or ends at a gap that its sender is about to close. */
static struct mail_link *pop(struct mailbox *m)
{
    struct mail_link *head = m->head;
    struct mail_link *next = atomic_load(&head->next);

    if (head == &m->stub) {
        if (next == NULL)
            return NULL;
        m->head = head = next;
        next = atomic_load(&head->next);
    }
    if (next == NULL) {
        /* The last mail can only leave when something follows it. */
        if (atomic_load_explicit(&m->tail, memory_order_acquire) != head)
            return NULL;
        push(m, &m->stub);
        next = atomic_load(&head->next);
        if (next == NULL)
            return NULL;
    }
    m->head = next;
    return head;
}

int mailbox_post(struct mailbox *m, struct mail *mail)
{
    uint32_t count = atomic_load_explicit(&m->count, memory_order_relaxed);
    uint64_t size = mail->size;

    /* Several at once may each find room and together go above it by their own sizes. */
    if (atomic_load_explicit(&m->bytes, memory_order_relaxed) >= MAILBOX_MAX_BYTES)
        return ERR_FULL;
    do {
        if (count >= m->max)
            return ERR_FULL;
    } while (!atomic_compare_exchange_weak_explicit(&m->count, &count, count + 1,
                                                    memory_order_relaxed, memory_order_relaxed));
    atomic_fetch_add_explicit(&m->bytes, size, memory_order_relaxed);
    push(m, &mail->link);
    if (!atomic_load(&m->awake) && !atomic_exchange(&m->awake, true) && m->wake != NULL)
        m->wake(m->wake_user);
    return 0;
}

struct mail *mailbox_take(struct mailbox *m)
{
    struct mail_link *link = pop(m);

    if (link == NULL) {
        atomic_store(&m->awake, false);
        link = pop(m);
        if (link == NULL)
            return NULL;
    }
    atomic_fetch_sub_explicit(&m->count, 1, memory_order_relaxed);
    struct mail *mail = container_of(link, struct mail, link);
    atomic_fetch_sub_explicit(&m->bytes, mail->size, memory_order_relaxed);
    return mail;
}
