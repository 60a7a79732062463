/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/proxy_int.h"
#include "sip/digest.h"
#include "sip/received.h"

/* Texts made for one outgoing request stand one behind the other in one buffer, whose storage does
 * not move: the edits borrow them until they are written. */
#define DRAFT_ROOM 3072 /* all but what the peers' texts add */

static struct slice since(const struct buf *b, size_t at)
{
    return slice_of(b->ptr + at, b->len - at);
}

/* resolve-host is of Via alone; what is advertised goes before it. */
static void write_sent_by(const struct proxy *p, const struct flow_local *local, struct buf *out)
{
    if (local->advertised.len != 0 || p->conf->via_address || p->conf->host_name.len == 0) {
        flow_put_host(out, local);
        return;
    }
    buf_slice(out, p->conf->host_name);
    buf_char(out, ':');
    buf_u64(out, local->addr.port);
}

void proxy_write_warning(const struct proxy *p, unsigned code, struct buf *out)
{
    if (code == 0)
        return;
    buf_printf(out, "Warning: %u ", code);
    buf_slice(out, p->conf->host_name.len != 0 ? p->conf->host_name : SLICE("holdfast"));
    buf_str(out, code == 380 ? " \"SIPS Not Allowed\"\r\n" : " \"SIPS Required\"\r\n");
}

/* RFC 3261 16.6 step 8. rport, so that the answer finds its way back through a NAT (RFC 3581). */
void proxy_write_via(struct proxy *p, const struct flow_dest *dest, const struct flow_local *local,
                     uint64_t branch_id, uint32_t loop, struct buf *out)
{
    buf_lit(out, "Via: SIP/2.0/");
    buf_slice(out, sip_transport_via(dest->transport));
    buf_char(out, ' ');
    write_sent_by(p, local, out);
    buf_lit(out, ";branch=");
    sip_branch_write(out, branch_id, loop);
    if (dest->transport == SIP_UDP)
        buf_lit(out, ";rport");
    buf_lit(out, "\r\n");
}

static void note_hidden(const struct outgoing *o)
{
    if (o->hides != NULL)
        *o->hides = true;
}

static void edit_via(struct proxy *p, struct sip_edit *e, const struct outgoing *o,
                     const struct flow_local *local, struct buf *b)
{
    size_t at = b->len;
    bool hides = hide_is_on(p, &o->dest->remote) && hide_has_vias(p, o->req);
    proxy_write_via(p, o->dest, local, o->branch_id, o->loop, b);
    overload_offer(p, o, b);
    if (hides) {
        b->len -= b->overflow ? 0 : sizeof("\r\n") - 1;
        hide_write_loops(o->req, b);
        buf_lit(b, "\r\n");
    }
    sip_edit_insert(e, SIP_H_VIA, since(b, at));
    if (hides) {
        sip_edit_remove(e, SIP_H_VIA);
        note_hidden(o);
        return;
    }
    at = b->len;
    if (sip_write_received(b, o->req))
        sip_edit_replace(e, o->req->via.text, since(b, at));
}

bool proxy_is_sips(struct slice uri)
{
    return uri.len > 4 && uri.ptr[4] == ':' && slice_istarts(uri, SLICE("sips"));
}

/* Does the Request-URI or the topmost Route that leaves say sips? */
static bool is_sips(const struct outgoing *o)
{
    struct slice uri = o->target != NULL ? o->target->uri : o->way->uri_text;
    struct slice path = o->target != NULL ? o->target->path : SLICE_NONE;
    struct slice element;
    struct sip_name_addr na;
    if (proxy_is_sips(uri))
        return true;
    if (o->way->next_route.len != 0)
        return o->way->next_uri.scheme == SIP_SCHEME_SIPS;
    return path.len != 0 && sip_list_next(&path, &element) &&
           sip_name_addr_parse(element, &na) == 0 && proxy_is_sips(na.uri);
}

/* RFC 5630 5.3: there is no exception for the last hop; and by TLS too what goes to a device that
 * has registered a sips: URI. */
static bool needs_tls(const struct outgoing *o)
{
    return is_sips(o) || (o->target != NULL && o->target->is_secure);
}

bool proxy_must_record_route(const struct outgoing *o)
{
    return is_sips(o) != (o->origin->transport == SIP_TLS);
}

/* A value of ours, up to its parameters: the side that is known by `local`. Where the request goes
 * on as sips, both sides come back by TLS. */
static void write_own(struct proxy *p, const struct outgoing *o, struct slice user,
                      uint8_t transport, const struct flow_local *local, struct buf *b)
{
    bool secure = is_sips(o);
    struct flow_local at = *local;
    if (secure && transport != SIP_TLS)
        flows_local_of(p->deps.flows, &local->addr, SIP_TLS, &at);
    buf_str(b, secure ? "<sips:" : "<sip:");
    if (user.len != 0) {
        buf_slice(b, user);
        buf_char(b, '@');
    }
    flow_put_host(b, &at);
    if (transport != SIP_UDP && !secure) {
        buf_lit(b, ";transport=");
        buf_slice(b, sip_transport_param(transport));
    }
    buf_lit(b, ";lr");
}

/* Which side a Record-Route of ours faces. */
struct facing {
    const struct flow_dest *dest;
    const struct flow_local *local;
    bool with_token, relays;
};

/* `list`: values that it stands for too; NULL: none. False: they do not fit. */
static bool write_record_route(struct proxy *p, const struct outgoing *o, const struct facing *side,
                               const struct buf *list, struct buf *b)
{
    char text[ROUTE_TOKEN_MAX];
    struct buf token;
    buf_init(&token, text, sizeof(text));
    if (side->with_token)
        route_token_write(p->deps.route, side->dest, &token);
    write_own(p, o, buf_get(&token), side->dest->transport, side->local, b);
    buf_lit(b, ";" PROXY_MARK "=");
    buf_hex(b, proxy_mark(p, o->req, buf_get(&token), side->relays), PROXY_MARK_LEN);
    bool fits = list == NULL || hide_write_param(p, SIP_H_RECORD_ROUTE, o->req, list, b);
    buf_char(b, '>');
    return fits;
}

/* Does the address in this URI lead where `dest` leads? Else later requests need a token to find
 * the flow. */
bool proxy_uri_leads_to(const struct sip_uri *uri, const struct flow_dest *dest)
{
    struct addr a;
    return dest->transport == SIP_UDP && uri->maddr.len == 0 &&
           (uri->transport_text.len == 0 || uri->transport == SIP_UDP) &&
           addr_parse_ip(uri->host, uri->port != 0 ? uri->port : 5060, &a) == 0 &&
           addr_eq(&a, &dest->remote);
}

static bool contact_leads_to(const struct sip_msg *req, const struct flow_dest *dest)
{
    struct sip_name_addr na;
    struct sip_uri uri;
    struct sip_iter it;
    struct slice element;
    sip_iter_init(&it, req, SIP_H_CONTACT);
    return sip_iter_next(&it, &element) && sip_name_addr_parse(element, &na) == 0 &&
           sip_uri_parse(na.uri, &uri) == 0 && proxy_uri_leads_to(&uri, dest);
}

/* Is the sender the end of the dialog, and not a proxy behind which that end sits? */
static bool came_direct(const struct sip_msg *req)
{
    struct sip_iter it;
    struct slice element;
    if (sip_hdr_first(req, SIP_H_RECORD_ROUTE) != NULL)
        return false;
    sip_iter_below_via(&it, req);
    return !sip_iter_next(&it, &element);
}

/* What a peer that is not inside must not see below our value: `in`, where it is a value of its
 * own, and what the request has brought. */
static void add_hidden(struct proxy *p, const struct outgoing *o, const struct facing *in,
                       struct buf *list)
{
    if (!hide_is_on(p, &o->dest->remote) ||
        (hide_is_on(p, &o->origin->remote) && !hide_has_values(p, o->req, SIP_H_RECORD_ROUTE)))
        return;
    if (in != NULL)
        (void)!write_record_route(p, o, in, NULL, list);
    hide_add_values(o->req, SIP_H_RECORD_ROUTE, list);
}

/* `out` faces the next hop, `in` the sender; NULL: one value serves for both. */
static void put_record_routes(struct proxy *p, struct sip_edit *e, const struct outgoing *o,
                              const struct facing *out, const struct facing *in, struct buf *b)
{
    char room[PROXY_SEAL_MAX + 1];
    struct buf list;
    size_t at = b->len;
    buf_init(&list, room, sizeof(room));
    add_hidden(p, o, in, &list);
    buf_lit(b, "Record-Route: ");
    bool hides = list.len != 0 || list.overflow;
    hides = write_record_route(p, o, out, hides ? &list : NULL, b) && hides;
    buf_lit(b, "\r\n");
    if (!hides && in != NULL) {
        buf_lit(b, "Record-Route: ");
        (void)!write_record_route(p, o, in, NULL, b);
        buf_lit(b, "\r\n");
    }
    sip_edit_insert(e, SIP_H_RECORD_ROUTE, since(b, at));
    if (!hides)
        return;
    sip_edit_remove(e, SIP_H_RECORD_ROUTE);
    note_hidden(o);
}

/* Whoever is shown less than the truth can come back only through us. */
static bool hide_needs_us(const struct proxy *p, const struct outgoing *o)
{
    uint8_t m = o->req->method;
    return hide_is_between(p, &o->origin->remote, &o->dest->remote) && !sip_in_dialog(o->req) &&
           (m == SIP_INVITE || m == SIP_SUBSCRIBE || m == SIP_REFER || m == SIP_NOTIFY);
}

/* RFC 3261 16.6 step 4; two values where the sides differ (RFC 5658), and where a side is reached
 * by a flow only: the value that faces a side names its flow, and of the two that a request brings
 * back the last one is the side it goes to. */
static void edit_record_route(struct proxy *p, struct sip_edit *e, const struct outgoing *o,
                              const struct flow_local *out_local, struct buf *b)
{
    if (!o->record_route && !hide_needs_us(p, o)) {
        /* Where no dialog begins they serve nobody (RFC 3261 12.2). */
        if (hide_is_on(p, &o->dest->remote) && hide_has_values(p, o->req, SIP_H_RECORD_ROUTE))
            sip_edit_remove(e, SIP_H_RECORD_ROUTE);
        return;
    }
    struct flow_dest from;
    struct sip_uri uri;
    flow_response_dest(o->origin, &o->req->via, &from);
    from.local = o->origin->local;
    bool token_from = came_direct(o->req) && !contact_leads_to(o->req, &from);
    /* A registered device, or one that was named by its connection; what else was resolved is found
     * again by its own Contact. */
    bool is_by_flow = o->target != NULL &&
                      (o->target->has_dest || (o->target->names_source && o->dest->flow != 0));
    bool token_to = is_by_flow &&
                    (sip_uri_parse(o->target->uri, &uri) < 0 || !proxy_uri_leads_to(&uri, o->dest));
    /* In the dialog of somebody who may not relay, both ends are pinned: nothing else is reached by
     * it. */
    bool relays = o->way->trusts;
    /* By its Contact alone a DN with TLS rules of its own would have to prove another name by other
     * rules. */
    bool has_rules = o->dest->transport == SIP_TLS && o->target != NULL &&
                     o->target->profile.len != 0;
    /* Who asked for sips without TLS is reached by TLS, at its Contact, or not at all. */
    if (is_sips(o) && from.transport != SIP_TLS)
        token_from = false;
    token_from = token_from || !relays;
    token_to = token_to || !relays || has_rules;
    struct flow_local in_local;
    flows_local_of(p->deps.flows, &o->origin->local, o->origin->transport, &in_local);
    bool differ = from.transport != o->dest->transport ||
                  !addr_eq(&in_local.addr, &out_local->addr);
    struct facing out = {o->dest, out_local, token_to, relays};
    struct facing in = {&from, &in_local, token_from, relays};
    bool has_two = differ || token_from || token_to;
    put_record_routes(p, e, o, has_two ? &out : &in, has_two ? &in : NULL, b);
}

/* Values of Path become one of ours, as those of Record-Route do. */
static void hide_path(struct proxy *p, struct sip_edit *e, const struct outgoing *o,
                      const struct flow_local *local, struct buf *b)
{
    char room[PROXY_SEAL_MAX + 1];
    struct buf list;
    size_t at = b->len;
    if (o->req->method != SIP_REGISTER || !hide_is_on(p, &o->dest->remote) ||
        !hide_has_values(p, o->req, SIP_H_PATH))
        return;
    buf_init(&list, room, sizeof(room));
    hide_add_values(o->req, SIP_H_PATH, &list);
    buf_lit(b, "Path: ");
    write_own(p, o, SLICE_NONE, o->dest->transport, local, b);
    if (!hide_write_param(p, SIP_H_PATH, o->req, &list, b)) {
        b->len = at;
        return;
    }
    buf_lit(b, ">\r\n");
    sip_edit_insert(e, SIP_H_PATH, since(b, at));
    sip_edit_remove(e, SIP_H_PATH);
    note_hidden(o);
}

static void edit_path(struct proxy *p, struct sip_edit *e, const struct outgoing *o,
                      const struct flow_local *local, struct buf *b)
{
    size_t at = b->len;
    if (o->adds_path) {
        proxy_write_path(p, o->origin, o->req, o->dest, local, b);
        sip_edit_insert(e, SIP_H_PATH, since(b, at));
    }
    hide_path(p, e, o, local, b);
}

/* A stream needs the length that a datagram could leave out (RFC 3261 20.14). */
static void edit_content_length(struct sip_edit *e, const struct outgoing *o, struct buf *b)
{
    if (sip_hdr_first(o->req, SIP_H_CONTENT_LENGTH) != NULL || o->dest->transport == SIP_UDP)
        return;
    size_t at = b->len;
    buf_printf(b, "Content-Length: %u\r\n", (unsigned)o->req->body_len);
    sip_edit_append(e, since(b, at));
}

static void edit_max_forwards(struct sip_edit *e, const struct sip_msg *req, struct buf *b)
{
    size_t at = b->len;
    if (req->max_forwards < 0) {
        buf_lit(b, "Max-Forwards: ");
        buf_u64(b, PROXY_MAX_FORWARDS);
        buf_lit(b, "\r\n");
        sip_edit_append(e, since(b, at));
        return;
    }
    buf_u64(b, (uint64_t)req->max_forwards - 1);
    sip_edit_value(e, SIP_H_MAX_FORWARDS, since(b, at));
}

static void edit_breadth(struct sip_edit *e, uint32_t breadth, struct buf *b)
{
    if (breadth == 0)
        return;
    size_t at = b->len;
    if (sip_hdr_first(e->msg, SIP_H_MAX_BREADTH) != NULL) {
        buf_u64(b, breadth);
        sip_edit_value(e, SIP_H_MAX_BREADTH, since(b, at));
        return;
    }
    buf_lit(b, "Max-Breadth: ");
    buf_u64(b, breadth);
    buf_lit(b, "\r\n");
    sip_edit_append(e, since(b, at));
}

/* Takes the topmost `pop` Routes off, and the last one where it is the Request-URI now
 * (strict_popped). */
static void remove_routes(struct sip_edit *e, const struct outgoing *o, unsigned pop)
{
    unsigned total = 0;
    struct sip_iter it;
    struct slice element, last = SLICE_NONE;
    const struct sip_hdr *last_line = NULL;
    if (!o->way->strict_popped) {
        if (pop != 0)
            sip_edit_pop(e, SIP_H_ROUTE, pop);
        return;
    }
    sip_iter_init(&it, o->req, SIP_H_ROUTE);
    while (sip_iter_next(&it, &element)) {
        total++;
        last = element;
        last_line = it.hdr;
    }
    if (pop + 1 >= total) {
        sip_edit_remove(e, SIP_H_ROUTE);
        return;
    }
    if (pop != 0)
        sip_edit_pop(e, SIP_H_ROUTE, pop);
    sip_edit_remove_element(e, last_line, last);
}

/* The topmost Routes were ours, and towards a strict router the next Route becomes the Request-URI
 * and ours goes to the end (RFC 3261 16.4, 16.6 step 6). */
static void edit_routes(struct sip_edit *e, const struct outgoing *o, struct slice uri,
                        struct buf *b)
{
    bool strict = o->way->next_route.len != 0 && o->way->next_is_strict;
    struct slice hidden = o->way->hidden, first;
    if (strict && hidden.len != 0)
        (void)!sip_list_next(&hidden, &first);
    remove_routes(e, o, o->way->popped + (strict && o->way->hidden.len == 0));
    if (hidden.len != 0) {
        size_t at = b->len;
        buf_lit(b, "Route: ");
        buf_slice(b, hidden);
        buf_lit(b, "\r\n");
        sip_edit_insert(e, SIP_H_ROUTE, since(b, at));
    }
    if (strict) {
        size_t at = b->len;
        buf_lit(b, "Route: <");
        buf_slice(b, uri);
        buf_lit(b, ">\r\n");
        sip_edit_append(e, since(b, at));
    }
    if (o->target != NULL && o->target->path.len != 0) {
        size_t at = b->len;
        buf_lit(b, "Route: ");
        buf_slice(b, o->target->path);
        buf_lit(b, "\r\n");
        sip_edit_insert(e, SIP_H_ROUTE, since(b, at));
    }
}

/* Credentials for our realm, the domain of the From, have been looked at and go no further; those
 * for another proxy do (RFC 3261 22.3). */
static void edit_credentials(struct proxy *p, struct sip_edit *e, const struct sip_msg *req)
{
    const struct sip_hdr *h = sip_hdr_first(req, SIP_H_PROXY_AUTHORIZATION);
    struct sip_name_addr from;
    struct sip_uri uri;
    if (h == NULL || !p->conf->authenticate_all ||
        sip_name_addr_parse(sip_value(req, SIP_H_FROM), &from) < 0 ||
        sip_uri_parse(from.uri, &uri) < 0 || !route_is_ours(p->deps.route, &uri))
        return;
    for (; h != NULL; h = sip_hdr_after(req, h)) {
        struct sip_credentials c;
        if (sip_credentials_parse(sip_hdr_value(req, h), &c) == 0 &&
            slice_ieq(c.realm, proxy_realm(p, &uri)))
            sip_edit_at(e, h->line, h->line_len, SLICE_NONE);
    }
}

static int write_edits(struct arena *arena, const struct sip_edit *e, struct slice *out)
{
    size_t size = sip_edit_size(e);
    if (size > SIP_MSG_MAX)
        return ERR_LIMIT;
    char *bytes = arena_bytes(arena, size);
    if (bytes == NULL)
        return ERR_NOMEM;
    struct buf b;
    buf_init(&b, bytes, size);
    int err = sip_edit_write(e, &b);
    *out = buf_get(&b);
    return err;
}

int proxy_write_request(struct proxy *p, struct arena *arena, const struct outgoing *o,
                        struct slice *out)
{
    struct flow_local local;
    if (needs_tls(o) && o->dest->transport != SIP_TLS)
        return ERR_UNSUPPORTED;
    int err = flows_local_for(p->deps.flows, o->dest, &local);
    if (err < 0)
        return err;
    char room[2 * DRAFT_ROOM], *text = room;
    size_t cap = DRAFT_ROOM + o->way->uri_text.len + sip_received_size(o->req);
    cap += o->way->hidden.len + (p->conf->hide_topology ? 2 * PROXY_SEAL_TEXT_MAX : 0);
    if (o->target != NULL)
        cap += o->target->path.len + o->target->uri.len;
    if (cap > sizeof(room)) {
        text = arena_bytes(arena, cap);
        if (text == NULL)
            return ERR_NOMEM;
    }
    struct buf b;
    buf_init(&b, text, cap);
    struct sip_edit e;
    sip_edit_init(&e, o->req);
    struct slice uri = o->target != NULL ? o->target->uri : o->way->uri_text;
    bool is_strict = o->way->next_route.len != 0 && o->way->next_is_strict;
    struct slice first = is_strict ? o->way->next_uri.text : uri;
    if (!slice_eq(first, sip_get(o->req, o->req->uri)))
        sip_edit_uri(&e, first);
    edit_via(p, &e, o, &local, &b);
    edit_max_forwards(&e, o->req, &b);
    edit_routes(&e, o, uri, &b);
    edit_record_route(p, &e, o, &local, &b);
    edit_path(p, &e, o, &local, &b);
    edit_breadth(&e, o->breadth, &b);
    edit_content_length(&e, o, &b);
    edit_credentials(p, &e, o->req);
    /* It was for us alone: whether it counts is decided in targets.c. */
    sip_edit_remove(&e, SIP_H_X_GENESYS_ROUTE);
    return b.overflow ? ERR_LIMIT : write_edits(arena, &e, out);
}
