/* SPDX-License-Identifier: Apache-2.0 */
/* hide-topology: peers that are not in inside-networks are not shown the addresses of those that
 * are, in Via, Record-Route and Path.
 *
 * Towards such a peer the Vias below ours are taken off and put back on its responses, from the
 * request that is kept. Record-Route values of the inside stand sealed (seal.h) in a parameter of
 * our own value that faces the outside: what comes back in Route or in a response is opened again,
 * without state and after a restart too. Contact and all else stays as it is.
 *
 * owns: nothing. thread: one worker. RFC 3261 16.6 step 8, 16.7 step 8; RFC 3327; RFC 5393. */
#ifndef PROXY_HIDE_H
#define PROXY_HIDE_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "flow/flow.h"
#include "sip/edit.h"
#include "sip/msg.h"
#include "sip/uri.h"

struct proxy;

#define HIDE_PARAM      "hf-hide"  /* of our Record-Route and Path: what is sealed */
#define HIDE_LOOPS      "hf-loops" /* of our Via: the loop hashes of those taken off */
#define HIDE_VALUES_MAX 64         /* of Record-Route in one response */

/* --- requests --- */
/* Does the option speak of what goes to that peer? */
bool hide_is_on(const struct proxy *p, const struct addr *to);
/* Was it sent from inside, or does a Via below ours name an inside address? */
bool hide_has_vias(const struct proxy *p, const struct sip_msg *req);
/* The parameter for our Via which keeps what RFC 5393 needs of those that are taken off. */
void hide_write_loops(const struct sip_msg *req, struct buf *out);
bool hide_has_loop(const struct sip_via *via, uint32_t loop);
/* Does a value of that header name an inside address? */
bool hide_has_values(const struct proxy *p, const struct sip_msg *m, enum sip_hdr_id id);
/* Is one of both peers inside, and the other one not? Then a dialog has to come through us. */
bool hide_is_between(const struct proxy *p, const struct addr *a, const struct addr *b);
/* All values of that header behind what `out` holds, separated by commas. */
void hide_add_values(const struct sip_msg *m, enum sip_hdr_id id, struct buf *out);
/* ";hf-hide=…" for a value of ours: `list` in the order in which a request from outside goes.
 * False: it is too long, or has not fitted into its storage; that is counted, and nothing was
 * written. */
bool hide_write_param(struct proxy *p, enum sip_hdr_id id, const struct sip_msg *m,
                      const struct buf *list, struct buf *out);
/* What this Route of ours stands for, into the arena. `is_path`: it was a Path of ours. 1; 0: for
 * nothing but itself; ERR_NOMEM. */
int hide_open(const struct proxy *p, const struct sip_msg *req, const struct sip_uri *uri,
              struct arena *arena, struct slice *list, bool *is_path) WARN_UNUSED;

/* --- responses --- */
/* The Via lines of the request as its sender has to get them back. `out` has hide_vias_size bytes.
 */
size_t hide_vias_size(const struct sip_msg *req);
void hide_write_vias(const struct sip_msg *req, struct buf *out);
/* The response as it would have come if nothing had been hidden, in the arena; NULL: no memory, or
 * it cannot be had. */
const struct sip_msg *hide_put_back(const struct proxy *p, struct slice vias, struct arena *arena,
                                    const struct sip_msg *res) __attribute__((warn_unused_result));

/* What has to be known of a request to hide in its responses what lies behind us. */
struct hide_up {
    bool is_on; /* its sender is not inside */
    bool in_dialog;
    uint16_t nbehind; /* values of Record-Route (REGISTER: Path) that it brought */
};
void hide_up_of(const struct proxy *p, const struct sip_msg *req, const struct addr *from,
                struct hide_up *up);
/* Values of Record-Route above ours become part of ours (RFC 3261 16.7 step 8); those of Path that
 * were added on the way go. The texts live in the arena. 0, ERR_NOMEM. */
int hide_response(struct proxy *p, const struct hide_up *up, struct arena *arena,
                  const struct sip_msg *res, struct sip_edit *e) WARN_UNUSED;

#endif
