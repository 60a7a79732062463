/* SPDX-License-Identifier: Apache-2.0 */
/* The calls that pass through: of each dialog what is needed to end it on both sides.
 *
 * A record begins with an INVITE outside a dialog that we have record-routed, has one early dialog
 * for each fork that answered, and ends with the BYE, the final failure, or when the call has
 * vanished (call-timeout, session timer). It takes at most CALL_BYTES_MAX for a call with all its
 * dialogs; what does not fit, or is one too many, is counted and goes on without a record. For want
 * of room early dialogs first lose their remote target and route set, which the 2xx brings again
 * (RFC 3261 13.2.2.4), then later ones are left out; one that is confirmed takes their place.
 * owns: the records. borrows: wheel, counters. thread: one worker, the home of the Call-ID. RFC
 * 3261 sections 12, 15; RFC 3262; RFC 3311; RFC 4028; RFC 5057. */
#ifndef CALL_CALL_H
#define CALL_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/counter.h"
#include "base/err.h"
#include "base/field.h"
#include "base/hash.h"
#include "base/wheel.h"
#include "flow/flow.h"
#include "sip/msg.h"

struct calls;

#define CALL_BYTES_MAX 1024

struct call_conf {
    uint32_t max;        /* max-calls: records of this worker */
    uint32_t timeout_ms; /* call-timeout: a dialog in which nothing was heard for so long has
                            vanished; 0: never */
};

enum call_side { CALL_CALLER, CALL_CALLEE };

int calls_new(const struct call_conf *conf, struct wheel *wheel, const struct hash_key *key,
              unsigned worker, struct counters *counters, struct calls **out) WARN_UNUSED;
void calls_free(struct calls **calls);
void calls_set_conf(struct calls *calls, const struct call_conf *conf);
/* Which Record-Route values are our own, so that they are left out of route sets. Without it those
 * whose host is our address of one of the two ways (flow_dest.local). */
void calls_set_ours(struct calls *calls, bool (*is_ours)(void *user, const struct sip_uri *uri),
                    void *user);
/* Told when a record goes, or gets another member, with the member it had (call_set_member). */
void calls_set_gone(struct calls *calls, void (*gone)(void *user, uint32_t member), void *user);
unsigned calls_count(const struct calls *calls);

/* --- what passed ------------------------------------------------------------------------------ */
/* Ids name a call; 0 and stale ids are allowed everywhere and do nothing. `now`: flows_time. */

/* An INVITE outside a dialog that is forwarded with our Record-Route. `caller`: where its sender is
 * reached (its flow and address). Repeated for each branch it gives the same id. The same INVITE
 * by another way gives 0: of a spiral the first passage keeps the record, since it is the one that
 * faces the caller, and the answers to it go through there; a merged request (RFC 3261 8.2.2.2) is
 * counted as unrecorded. With a higher CSeq, before a dialog is confirmed, it begins anew. 0: no
 * record. */
uint64_t call_begin(struct calls *calls, const struct sip_msg *invite,
                    const struct flow_dest *caller, uint64_t now);
/* The server transaction of the INVITE as long as it is pending, so that a ringing call can be
 * released by its final response; 0: none. Given once, behind call_begin. */
void call_set_invite(struct calls *calls, uint64_t call, uint64_t server);
uint64_t call_invite(struct calls *calls, uint64_t call);
/* A number of the caller of this function that goes with the record: the member of an application
 * to which the INVITE has gone. Of the one before, calls_set_gone is told. False: no such record,
 * and nobody will be told of `member`. */
bool call_set_member(struct calls *calls, uint64_t call, uint32_t member);
/* A provisional response above 100 or a 2xx to it, as received: its dialog is made, or brought up
 * to date (route set, remote target, RFC 3261 12.1.2, 13.2.2.4). `callee`: the way the branch took;
 * `dn`: its DN or empty. */
void call_on_answer(struct calls *calls, uint64_t call, const struct sip_msg *res,
                    const struct flow_dest *callee, struct slice dn, uint64_t now);
/* The INVITE has its final response: early dialogs end; without a confirmed one the record does
 * too. After a 2xx the early ones of other forks are kept as long as a late 2xx may come. */
void call_on_final(struct calls *calls, uint64_t call, unsigned status, uint64_t now);

/* The call and dialog of a message with both tags; 0: none. *side: who sent the request (or, of a
 * response, the request it answers). */
uint64_t call_find(struct calls *calls, const struct sip_msg *msg, enum call_side *side);
/* A request inside the dialog, ACK included: CSeq, and that somebody is there. `from`: where its
 * sender is reached now, or NULL; its flow is taken, its address only where it differs from the
 * known one. */
void call_on_request(struct calls *calls, uint64_t call, const struct sip_msg *req,
                     const struct flow_dest *from, uint64_t now);
/* Its response: with a 2xx a target refresh takes effect (Contacts of both, INVITE and UPDATE) and
 * the session timer is set anew (Session-Expires); BYE ends the dialog with every final response
 * but a challenge, what belongs to the call with 481 or 408 (RFC 3261 12.2.1.2, RFC 5057 5.1).
 * `req` is the request as received; NULL when it is gone. */
void call_on_response(struct calls *calls, uint64_t call, const struct sip_msg *req,
                      const struct sip_msg *res, uint64_t now);
/* The dialog ends without more ado: a BYE that nobody could be given. With no dialog left the
 * record goes, unless the INVITE is still pending. */
void call_end_dialog(struct calls *calls, const struct sip_msg *in_dialog);

/* Has the dialog of this 2xx ended, so that the 2xx is one that comes again, its ACK having been
 * lost? Of a call whose INVITE has its final response; the last two that ended are known. */
bool call_has_ended(const struct calls *calls, uint64_t call, const struct sip_msg *res);

/* --- release ---------------------------------------------------------------------------------- */

struct call_dialog {
    bool confirmed; /* a 2xx has passed; else it is early */
    bool acked;     /* the ACK of the latest 2xx has passed */
    struct slice call_id, caller_tag, callee_tag;
    struct slice dn;          /* of the callee, or empty */
    struct flow_dest ways[2]; /* by enum call_side */
    uint32_t invite_cseq;     /* of the caller's latest INVITE: for an ACK of ours */
    uint64_t since, heard;    /* ms: began; last message */
};
/* Walks the dialogs of a call; slices are borrowed until the record changes. `it` starts at 0.
 * False at the end. */
bool call_next_dialog(struct calls *calls, uint64_t call, unsigned *it, struct call_dialog *out);
/* A request of ours inside the dialog, as if the other side had sent it (RFC 3261 12.2.1.1): start
 * line, Route, From, To, Call-ID, CSeq, Max-Forwards, without Via and without the empty line at the
 * end, so that the caller adds its Via and what else there is. BYE: the next CSeq of that
 * direction. ACK (only to the callee): the CSeq of the INVITE. *first_hop: URI of the topmost Route
 * or the remote target (behind a strict router: its own), in `out`, for a way that has no flow. A
 * side that has shown no Contact is asked by the URI of its From or To. 0, ERR_STALE, ERR_FULL,
 * ERR_UNSUPPORTED (to the callee of an early dialog whose target had no room; ACK to the caller).
 */
int call_write_request(struct calls *calls, uint64_t call, const struct call_dialog *dialog,
                       enum sip_method method, enum call_side to, struct buf *out,
                       struct slice *first_hop) WARN_UNUSED;
/* Removes the record with all dialogs. */
void call_remove(struct calls *calls, uint64_t call);

/* The call with that Call-ID, 0: none. Walks all of them: for people. */
uint64_t call_find_id(struct calls *calls, struct slice call_id);
/* A part of the calls as rows: the next `n` calls from *at on (0 at first). False when these were
 * the last. The set is "call", a row for each dialog: call_id, state ("calling": nobody has
 * answered, "early", "answered": 2xx, "established": its ACK has passed), dn (of the callee),
 * caller, callee (addresses), age_ms, idle_ms, from, to (URIs), caller_transport,
 * caller_connection, callee_transport, callee_connection. */
bool calls_rows_some(struct calls *calls, uint64_t now, uint32_t *at, unsigned n,
                     const struct row_sink *sink);

#endif
