/* SPDX-License-Identifier: Apache-2.0 */
/* Changes over an untouched message, then one pass that writes the result: whatever is not named by
 * a change is copied byte by byte in its order.
 *
 * owns: nothing. borrows: the message and every inserted slice until sip_edit_write. thread: any;
 * pure. RFC 3261 sections 16.6, 16.7, 18.2.1. */
#ifndef SIP_EDIT_H
#define SIP_EDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "sip/msg.h"

/* Every line there can be may go, and some come: a peer that sends many cannot make us fail. */
#define SIP_EDIT_MAX (SIP_HDRS_MAX + 16)

struct sip_change {
    uint16_t off, del; /* at this offset of the message, leave out that many bytes */
    struct slice ins;  /* and put these there */
};

struct sip_edit {
    const struct sip_msg *msg;
    unsigned n;
    bool overflow; /* more changes than SIP_EDIT_MAX, or overlapping ones */
    struct sip_change changes[SIP_EDIT_MAX]; /* sorted by off; equal offsets in order of adding */
};

void sip_edit_init(struct sip_edit *e, const struct sip_msg *m);
/* The primitive. Overlapping deletions set `overflow`. */
void sip_edit_at(struct sip_edit *e, size_t off, size_t del, struct slice ins);

void sip_edit_uri(struct sip_edit *e, struct slice uri); /* Request-URI */
/* A whole line "Name: value\r\n" in front of the first line of `id`, or, where there is none,
 * before all headers (Via, Route, Record-Route, Path) or after them (others). Later calls come
 * below earlier ones. */
void sip_edit_insert(struct sip_edit *e, enum sip_hdr_id id, struct slice line);
/* A whole line at the end of the headers. */
void sip_edit_append(struct sip_edit *e, struct slice line);
/* Value of the first line of `id` replaced. False when there is none. */
bool sip_edit_value(struct sip_edit *e, enum sip_hdr_id id, struct slice value);
/* All lines of `id` removed. */
void sip_edit_remove(struct sip_edit *e, enum sip_hdr_id id);
/* One element (a slice from sip_iter_next, or msg->via.text) removed from its line, with its comma;
 * the whole line when it is alone. The line must hold other elements that stay or be removed by one
 * call. */
void sip_edit_remove_element(struct sip_edit *e, const struct sip_hdr *line, struct slice element);
/* The first `count` elements of a list header (topmost Via, Routes) removed, over lines. */
void sip_edit_pop(struct sip_edit *e, enum sip_hdr_id id, unsigned count);
/* Text right behind a slice of the message (";received=10.0.0.1" behind the topmost Via). */
void sip_edit_behind(struct sip_edit *e, struct slice place, struct slice text);
/* Slice of the message replaced. */
void sip_edit_replace(struct sip_edit *e, struct slice place, struct slice text);

/* Bytes sip_edit_write will write. */
size_t sip_edit_size(const struct sip_edit *e);
/* 0; ERR_FULL (does not fit, or e->overflow); ERR_LIMIT (result above SIP_MSG_MAX). */
int sip_edit_write(const struct sip_edit *e, struct buf *out) WARN_UNUSED;

#endif
