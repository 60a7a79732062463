/* SPDX-License-Identifier: Apache-2.0 */
/* Path (RFC 3327) of a REGISTER that goes to an application: requests for the device come back
 * through us, and by the connection that the device has opened (RFC 5626 section 5.1).
 *
 * It is added whether or not the device says "Supported: path": the application is configured to
 * serve these devices, and without it would reach none behind a NAT. */
#include "proxy/proxy_int.h"

static void write_value(const struct flow_local *at, uint8_t transport, struct slice user,
                        struct buf *out)
{
    buf_lit(out, "Path: <sip:");
    if (user.len != 0) {
        buf_slice(out, user);
        buf_char(out, '@');
    }
    flow_put_host(out, at);
    if (transport != SIP_UDP) {
        buf_lit(out, ";transport=");
        buf_slice(out, sip_transport_param(transport));
    }
    buf_str(out, user.len != 0 ? ";lr;" PROXY_PATH ">\r\n" : ";lr>\r\n");
}

/* The value with the token names the address that the device has sent to; where the application
 * is reached from another one of ours, a value for that side stands in front. */
void proxy_write_path(struct proxy *p, const struct flow_origin *origin, const struct sip_msg *req,
                      const struct flow_dest *dest, const struct flow_local *local, struct buf *out)
{
    char text[ROUTE_TOKEN_MAX];
    struct buf token;
    struct flow_dest from;
    struct flow_local side;
    flow_response_dest(origin, &req->via, &from);
    buf_init(&token, text, sizeof(text));
    route_token_write(p->deps.route, &from, &token);
    if (addr_eq_ip(&origin->local, &local->addr)) {
        write_value(local, dest->transport, buf_get(&token), out);
        return;
    }
    flows_local_of(p->deps.flows, &origin->local, origin->transport, &side);
    write_value(local, dest->transport, SLICE_NONE, out);
    write_value(&side, origin->transport, buf_get(&token), out);
}
