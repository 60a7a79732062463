/* SPDX-License-Identifier: Apache-2.0 */
/* OPTIONS of our own: RFC 3261 sections 8.1.1, 11.1. */
#include "sip/write.h"
#include "health/health_int.h"

#define ROOM 1024 /* all but the peer's texts */

static void put_host(struct buf *b, const struct options *o)
{
    flow_put_host(b, &o->local);
}

/* RFC 3261 8.1.1.8: a SIPS URI where the request goes to one. */
static void put_contact(struct buf *b, const struct options *o)
{
    bool is_sips = slice_istarts(o->uri, SLICE("sips:"));
    buf_lit(b, "Contact: <");
    buf_str(b, is_sips ? "sips:" : "sip:");
    put_host(b, o);
    if (!is_sips && o->transport != SIP_UDP) {
        buf_lit(b, ";transport=");
        buf_slice(b, sip_transport_param((enum sip_transport)o->transport));
    }
    buf_lit(b, ">\r\n");
}

static void put_via(struct buf *b, const struct options *o)
{
    buf_lit(b, "Via: SIP/2.0/");
    buf_slice(b, sip_transport_via((enum sip_transport)o->transport));
    buf_char(b, ' ');
    put_host(b, o);
    buf_lit(b, ";branch=");
    sip_branch_write(b, o->client, 0);
    if (o->transport == SIP_UDP)
        buf_lit(b, ";rport");
    buf_lit(b, "\r\n");
}

int options_write(struct arena *arena, const struct options *o, struct slice *out)
{
    size_t room = ROOM + 2 * o->uri.len + o->path.len + 3 * o->local.advertised.len;
    char *text = arena_bytes(arena, room);
    struct buf b;
    buf_init(&b, text, text != NULL ? room : 0);
    buf_lit(&b, "OPTIONS ");
    buf_slice(&b, o->uri);
    buf_lit(&b, " SIP/2.0\r\n");
    put_via(&b, o);
    if (o->path.len != 0) {
        buf_lit(&b, "Route: ");
        buf_slice(&b, o->path);
        buf_lit(&b, "\r\n");
    }
    buf_lit(&b, "Max-Forwards: 70\r\nFrom: <sip:oos-check@");
    put_host(&b, o);
    buf_lit(&b, ">;tag=");
    buf_hex(&b, o->tag, 16);
    buf_lit(&b, "\r\nTo: <");
    buf_slice(&b, o->uri);
    buf_lit(&b, ">\r\nCall-ID: ");
    buf_hex(&b, o->call, 16);
    buf_lit(&b, "\r\nCSeq: 1 OPTIONS\r\n");
    put_contact(&b, o);
    buf_lit(&b, "Accept: application/sdp\r\nContent-Length: 0\r\n\r\n");
    *out = buf_get(&b);
    return b.overflow ? ERR_NOMEM : 0;
}
