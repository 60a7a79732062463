/* SPDX-License-Identifier: Apache-2.0 */
/* Next hops that nothing in the request's own URIs decides: X-Genesys-Route, and the active member
 * of an application inside a dialog.
 *
 * owns: nothing. borrows: the request, its Route preprocessing, the arena. thread: one worker. */
#ifndef PROXY_TARGETS_H
#define PROXY_TARGETS_H

#include "proxy/proxy_int.h"

/* True: the next hop is decided by X-Genesys-Route, which counts from applications only
 * (ask->member). *set then holds one target, or status 400, where *err is 0; else ERR_NOMEM. */
bool targets_by_header(struct proxy *p, const struct route_ask *ask, struct arena *arena,
                       struct route_set *set, int *err);
/* True: inside a dialog the next hop (Route, or the token of a flow) is a member of an application.
 * *set then holds whichever member serves it, or status 503, where *err is 0; else ERR_NOMEM. */
bool targets_by_member(struct proxy *p, const struct route_ask *ask, const struct proxy_way *way,
                       struct arena *arena, struct route_set *set, int *err);

#endif
