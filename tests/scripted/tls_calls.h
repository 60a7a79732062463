/* SPDX-License-Identifier: Apache-2.0 */
/* What the scripts about TLS have in common: devices that register and call by TLS.
 *
 * The proxy is 10.0.0.1:5061 too. owns: static text buffers. thread: one. */
#ifndef SCRIPTED_TLS_CALLS_H
#define SCRIPTED_TLS_CALLS_H

#include "calls.h"

#define TLS_ONLY "sip-port-tls = 5061\ntls-certificate = /proxy.pem\n"
#define TLS      OPEN TLS_ONLY

/* Of the phone 1001, by TLS. */
#define PLAIN_CONTACT "<sip:1001@10.0.0.3:5061;transport=tls>"
#define SIPS_CONTACT  "<sips:1001@10.0.0.3:5061>"

struct fake_conn *tls_connect(struct rig *r, const char *from);
/* A REGISTER of `user` on that connection with that Contact; `scheme` of its other URIs. */
void tls_register(struct fake_conn *conn, const char *user, const char *scheme, const char *contact,
                  const char *extra);
/* The phone 1001 has registered from 10.0.0.3:41000. */
struct fake_conn *tls_phone(struct rig *r, const char *scheme, const char *contact);
/* The INVITE of a caller by TLS; its Contact has the scheme of `uri`. */
struct say tls_call(const char *uri);

void assert_begins(const char *text, const char *begin);
void assert_has(const char *text, const char *part);
void assert_has_not(const char *text, const char *part);

#endif
