/* SPDX-License-Identifier: Apache-2.0 */
/* A call between a caller and a phone that has registered by TCP, for scripts in which one of them
 * is lost: brought up to any point, and looked at when it ends.
 *
 * owns: one scene for each program. thread: one. */
#ifndef SCRIPTED_DIALOG_H
#define SCRIPTED_DIALOG_H

#include "calls.h"

/* Detection within 4 s, reopening after 1 s, connecting for at most 3 s. */
#define ON                                                                                   \
    OPEN "sip-enable-tcp-keep-alive = true\ntcp-keep-alive-idle = 2\n"                       \
         "tcp-keep-alive-interval = 1\ntcp-keep-alive-probes = 2\ntcp-unacked-timeout = 5\n" \
         "tcp-reopen-delay = 1\ntcp-connect-timeout = 3\n"
#define LOST "\r\nReason: SIP;cause=503;text=\"Connection lost\"\r\n"

struct scene {
    struct rig r;
    struct got got, inv, ok;  /* taken last; the INVITE as the phone got it; the caller's 2xx */
    struct fake_conn *phone;  /* by which 1001 has registered */
    struct fake_conn *caller; /* the caller's; NULL: it uses UDP */
};
extern struct scene s;
extern const char scene_contact[]; /* of the phone, a header line */

int scene_teardown(void **state);
void begin(const char *options, bool caller_by_tcp);
void caller_says(const struct say *what);
/* The next response but 100. */
void caller_gets(unsigned status);
void ringing(void);
void answered(void);
/* And all transactions are over. */
void established(const char *options, bool caller_by_tcp);
/* A request of the caller inside the dialog, with a branch of its own. */
struct say in_dialog(const char *method);
void phone_says(const char *method);
/* BYE of ours with the Reason of a lost connection; answered. */
void caller_gets_bye(void);
void phone_gets_bye(struct fake_conn *by);
/* No record, and in a while no transaction either. */
void nothing_is_left(void);
/* It has lost its state and accepts nothing. */
void phone_is_gone(void);
void caller_is_gone(void);

#endif
