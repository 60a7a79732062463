/* SPDX-License-Identifier: Apache-2.0 */
/* Mailbox between workers: many senders, one reader, first in first out for each sender, bounded.
 *
 * A mail is one allocation: header, then payload. mailbox_post takes it over when it succeeds.
 * owns: the mails in it. thread: post: any; take: the owner. Lock-free. */
#ifndef BASE_MAILBOX_H
#define BASE_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct mail_link {
    _Atomic(struct mail_link *) next;
};

struct mail {
    struct mail_link link;
    uint32_t kind; /* enum mail_kind of the reader's dispatch */
    uint32_t from; /* sending worker */
    size_t size;   /* payload bytes */
    _Alignas(16) unsigned char payload[];
};

/* Each with the room that reads it. */
enum mail_kind {
    MAIL_SIP = 1, /* app: a SIP message for its home */
    MAIL_FLOW,    /* flow: send, close, events */
    MAIL_ADMIN,   /* admin: a command's part at this worker */
    MAIL_ICMP,    /* app: what ICMP says of a request of this worker */
};

/* What senders write and what the reader writes lie on cache lines of their own. By padding:
 * objects that hold a mailbox are aligned as malloc does it. */
struct mailbox {
    _Atomic(struct mail_link *) tail; /* senders */
    _Atomic uint32_t count;           /* mails taken over and not yet taken out */
    _Atomic bool awake;               /* the reader was woken and has not yet found the box empty */
    _Atomic uint64_t bytes;           /* of payloads */
    uint32_t max;
    /* Called by the sender's thread once after the reader found the box empty; thread-safe. */
    void (*wake)(void *user);
    void *wake_user;
    char apart[64];
    struct mail_link *head; /* reader */
    struct mail_link stub;
};

/* Payloads in one box; more is refused as by `max`. */
#define MAILBOX_MAX_BYTES (64u << 20)

/* `wake` may be NULL: the reader looks by itself. */
void mailbox_init(struct mailbox *m, uint32_t max, void (*wake)(void *user), void *wake_user);
void mailbox_fini(struct mailbox *m); /* frees what is left; no sender may be at work any more */

/* NULL when there is no memory. */
struct mail *mail_new(uint32_t kind, uint32_t from, size_t payload_size)
    __attribute__((warn_unused_result));
void mail_free(struct mail **mail);

/* 0: taken over; ERR_FULL: the mail stays the caller's. */
int mailbox_post(struct mailbox *m, struct mail *mail) WARN_UNUSED;
/* NULL when empty: only then will the next mail wake the reader, so it takes until NULL or comes
 * back by itself. */
struct mail *mailbox_take(struct mailbox *m);

#endif
