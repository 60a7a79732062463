/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the call records share: a rig with a clock, and messages of one call.
 *
 * owns: the rig. thread: one. */
#ifndef TEST_CALL_HELP_H
#define TEST_CALL_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "call/call.h"

struct rig {
    struct wheel wheel;
    struct counters counters;
    struct calls *calls;
    uint64_t now;
    bool marks; /* values of host "us" are our own Record-Route */
    uint64_t call;
};

void rig_init(struct rig *r, const struct call_conf *conf);
void rig_fini(struct rig *r);
/* Time goes on by that many ms. */
void rig_wait(struct rig *r, uint64_t ms);
uint64_t rig_count(const struct rig *r, enum counter id);

/* A parsed message with its bytes; lives until the next 32 of them were made. */
const struct sip_msg *msg_of(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* "INVITE", with Record-Route lines or other whole lines in `extra`. */
const struct sip_msg *invite_of(const char *call_id, const char *extra);
/* Response to it: `extra` whole lines; Contact is <sip:CALLEE@10.0.0.2:5060;transport=tcp>. */
const struct sip_msg *answer_of(const char *call_id, unsigned status, const char *tag,
                                const char *extra);
/* In the dialog with that callee tag. */
const struct sip_msg *request_of(const char *call_id, enum call_side from, const char *method,
                                 unsigned cseq, const char *tag, const char *extra);
const struct sip_msg *response_of(const char *call_id, enum call_side from, const char *method,
                                  unsigned cseq, unsigned status, const char *tag,
                                  const char *extra);

struct flow_dest dest_of(const char *remote, uint64_t flow);

/* call_begin by 10.0.0.1, flow 11. */
uint64_t rig_begin(struct rig *r, const char *call_id, const char *extra);
/* An answer by 10.0.0.2, flow 22, DN "200". */
void rig_answer(struct rig *r, unsigned status, const char *tag, const char *extra);
/* Begun, answered with tag "b", acknowledged. */
uint64_t rig_established(struct rig *r, const char *call_id);
void rig_request(struct rig *r, const struct sip_msg *req);
bool rig_has(struct rig *r, const char *call_id, const char *tag);
unsigned rig_dialogs(struct rig *r, uint64_t call);

/* The request that call_write_request makes for the n-th dialog, with a Via, parsed; NULL with *err
 * when none is made. */
const struct sip_msg *rig_write(struct rig *r, uint64_t call, unsigned n, enum sip_method method,
                                enum call_side to, struct slice *first_hop, int *err);

#define assert_text(s, text) check_text((s), (text), __FILE__, __LINE__)
void check_text(struct slice got, const char *want, const char *file, int line);

#endif
