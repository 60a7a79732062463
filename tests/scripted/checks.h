/* SPDX-License-Identifier: Apache-2.0 */
/* What the scripts about out-of-service checks have in common: waiting for the next check, looking
 * at the state of DN 1001, calling it while it is out.
 *
 * owns: nothing. thread: one. */
#ifndef SCRIPTED_CHECKS_H
#define SCRIPTED_CHECKS_H

#include "calls.h"

#define CHECKED "[dn 1001]\ncontact = sip:1001@10.0.0.3:5060\n"
#define BY_TCP  "[dn 1001]\ncontact = sip:1001@10.0.0.3:5060;transport=tcp\n"

/* rig_open and the first turn of the loop, which comes without an event too: it sets the alarm. */
void open_checked(struct rig *r, const char *options);
/* Another configuration, without checks; what was sent is thrown away; then rig_close. */
void close_checked(struct rig *r);

void expect_state(const struct rig *r, enum dn_state state);
/* Why it is not in service. */
void expect_cause(const struct rig *r, int cause);
/* What came of its last check, as the list of DNs says it. */
void expect_last_answer(const struct rig *r, const char *answer);
uint64_t rig_wall(const struct rig *r);
/* Lets time go on until a new OPTIONS (no retransmission) to that peer is there, at most `most` ms;
 * returns how long that took. */
uint64_t wait_check(struct rig *r, const char *to, uint64_t most, struct got *got);
/* The same on a connection. */
uint64_t wait_check_tcp(struct rig *r, struct fake_conn *conn, uint64_t most, struct got *got);
/* Until a connection is opened to that peer for the n-th time (from 0). */
struct fake_conn *wait_opened(struct rig *r, const char *to, unsigned n, uint64_t most);
/* What was sent by UDP and not looked at is thrown away; how much that was. */
unsigned drop_all(struct rig *r);
/* An INVITE for the DN is refused at once as out of service; returns its Retry-After, 0: none. */
unsigned call_refused(struct rig *r);

#endif
