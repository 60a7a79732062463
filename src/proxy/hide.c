/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/hide.h"

#include "proxy/proxy_int.h"
#include "sip/received.h"

#define LOOPS_MAX     16 /* hashes in a Via of ours */
#define LOOP_DIGITS   8
#define NOT_HIDDEN_MS 3600000

/* --- who is inside --- */

static bool is_inside(const struct proxy *p, const struct addr *a)
{
    return addr_nets_have(p->conf->inside, p->conf->ninside, a);
}

static bool is_inside_host(const struct proxy *p, struct slice host)
{
    struct addr a;
    return host.len != 0 && addr_parse_ip(host, 0, &a) == 0 && is_inside(p, &a);
}

bool hide_is_on(const struct proxy *p, const struct addr *to)
{
    return p->conf->hide_topology && !is_inside(p, to);
}

bool hide_is_between(const struct proxy *p, const struct addr *a, const struct addr *b)
{
    return p->conf->hide_topology && is_inside(p, a) != is_inside(p, b);
}

/* --- Via --- */

static bool is_inside_via(const struct proxy *p, const struct sip_via *via)
{
    return is_inside_host(p, via->host) || is_inside_host(p, via->received) ||
           is_inside_host(p, via->maddr);
}

bool hide_has_vias(const struct proxy *p, const struct sip_msg *req)
{
    struct sip_iter it;
    struct slice element;
    struct sip_via via;
    if (is_inside(p, &req->source) || is_inside_via(p, &req->via))
        return true;
    sip_iter_below_via(&it, req);
    while (sip_iter_next(&it, &element))
        if (sip_via_parse(element, &via) == 0 && is_inside_via(p, &via))
            return true;
    return false;
}

/* The hash of a Via of ours, and those that it carries for others. */
static void add_loops(const struct sip_via *via, unsigned *n, struct buf *out)
{
    uint64_t id;
    uint32_t loop;
    struct slice carried;
    if (sip_branch_parse(via->branch, &id, &loop) != 0 || *n == LOOPS_MAX)
        return;
    buf_str(out, (*n)++ == 0 ? ";" HIDE_LOOPS "=" : ".");
    buf_hex(out, loop, LOOP_DIGITS);
    if (!sip_param_find(via->params, SLICE(HIDE_LOOPS), &carried))
        return;
    for (size_t at = 0; at + LOOP_DIGITS <= carried.len && *n < LOOPS_MAX;
         at += LOOP_DIGITS + 1, ++*n) {
        buf_char(out, '.');
        buf_add(out, carried.ptr + at, LOOP_DIGITS);
    }
}

void hide_write_loops(const struct sip_msg *req, struct buf *out)
{
    struct sip_iter it;
    struct slice element;
    struct sip_via via;
    unsigned n = 0;
    add_loops(&req->via, &n, out);
    sip_iter_below_via(&it, req);
    while (sip_iter_next(&it, &element))
        if (sip_via_parse(element, &via) == 0)
            add_loops(&via, &n, out);
}

bool hide_has_loop(const struct sip_via *via, uint32_t loop)
{
    struct slice carried;
    char text[LOOP_DIGITS];
    struct buf b;
    if (!sip_param_find(via->params, SLICE(HIDE_LOOPS), &carried))
        return false;
    buf_init(&b, text, sizeof(text));
    buf_hex(&b, loop, LOOP_DIGITS);
    for (size_t at = 0; at + LOOP_DIGITS <= carried.len; at += LOOP_DIGITS + 1)
        if (slice_eq(slice_of(carried.ptr + at, LOOP_DIGITS), buf_get(&b)))
            return true;
    return false;
}

size_t hide_vias_size(const struct sip_msg *req)
{
    struct sip_iter it;
    struct slice element;
    size_t size = sip_received_size(req) + sizeof("Via: \r\n");
    sip_iter_below_via(&it, req);
    while (sip_iter_next(&it, &element))
        size += element.len + sizeof("Via: \r\n");
    return size;
}

void hide_write_vias(const struct sip_msg *req, struct buf *out)
{
    struct sip_iter it;
    struct slice element;
    buf_lit(out, "Via: ");
    if (!sip_write_received(out, req))
        buf_slice(out, req->via.text);
    buf_lit(out, "\r\n");
    sip_iter_below_via(&it, req);
    while (sip_iter_next(&it, &element)) {
        buf_lit(out, "Via: ");
        buf_slice(out, element);
        buf_lit(out, "\r\n");
    }
}

/* --- Record-Route and Path --- */

static bool value_uri(struct slice element, struct sip_uri *uri)
{
    struct sip_name_addr na;
    return sip_name_addr_parse(element, &na) == 0 && sip_uri_parse(na.uri, uri) == 0;
}

/* By its host, or by the flow that a token of ours names. */
static bool is_inside_value(const struct proxy *p, struct slice element)
{
    struct sip_uri uri;
    struct flow_dest dest;
    if (!value_uri(element, &uri))
        return false;
    return is_inside_host(p, uri.host) || is_inside_host(p, uri.maddr) ||
           (route_token_parse(p->deps.route, uri.user, &dest) == 0 && is_inside(p, &dest.remote));
}

bool hide_has_values(const struct proxy *p, const struct sip_msg *m, enum sip_hdr_id id)
{
    struct sip_iter it;
    struct slice element;
    sip_iter_init(&it, m, id);
    while (sip_iter_next(&it, &element))
        if (is_inside_value(p, element))
            return true;
    return false;
}

static void add_value(struct slice element, struct buf *out)
{
    if (out->len != 0)
        buf_char(out, ',');
    buf_slice(out, element);
}

void hide_add_values(const struct sip_msg *m, enum sip_hdr_id id, struct buf *out)
{
    struct sip_iter it;
    struct slice element;
    sip_iter_init(&it, m, id);
    while (sip_iter_next(&it, &element))
        add_value(element, out);
}

/* It is shown rather than not delivered. */
static void note_not_hidden(struct proxy *p, const struct sip_msg *m)
{
    uint32_t repeated;
    counter_inc(p->deps.counters, CTR_NOT_HIDDEN);
    if (log_limit_ok(&p->not_hidden, proxy_now(p), 1, NOT_HIDDEN_MS, &repeated))
        EVENT_LOG(EV_NOT_HIDDEN, LF_SLICE("call_id", sip_get(m, m->call_id)),
                  LF_INT("repeated", repeated));
}

bool hide_write_param(struct proxy *p, enum sip_hdr_id id, const struct sip_msg *m,
                      const struct buf *list, struct buf *out)
{
    size_t at = out->len;
    bool is_path = id == SIP_H_PATH;
    /* A Path serves requests of any call. */
    struct slice bound = is_path ? SLICE("") : sip_get(m, m->call_id);
    buf_lit(out, ";" HIDE_PARAM "=");
    if (!list->overflow &&
        seal_write(&p->seal, is_path ? SEAL_PATH : SEAL_ROUTES, bound, buf_get(list), out))
        return true;
    out->len = at;
    note_not_hidden(p, m);
    return false;
}

/* 1; 0: it stands for nothing else; ERR_NOMEM. */
static int open_as(const struct proxy *p, enum seal_purpose purpose, struct slice bound,
                   const struct sip_uri *uri, struct arena *arena, struct slice *list)
{
    struct slice sealed;
    struct buf b;
    if (!sip_param_find(uri->params, SLICE(HIDE_PARAM), &sealed) ||
        sealed.len > PROXY_SEAL_TEXT_MAX)
        return 0;
    char *text = arena_bytes(arena, sealed.len + 1);
    if (text == NULL)
        return ERR_NOMEM;
    buf_init(&b, text, sealed.len);
    if (!seal_read(&p->seal, purpose, bound, sealed, &b))
        return 0;
    *list = buf_get(&b);
    return 1;
}

int hide_open(const struct proxy *p, const struct sip_msg *req, const struct sip_uri *uri,
              struct arena *arena, struct slice *list, bool *is_path)
{
    int rc = 0;
    *is_path = false;
    if (uri->params.len < PROXY_SEAL_TEXT_MIN)
        return 0;
    if (sip_in_dialog(req))
        rc = open_as(p, SEAL_ROUTES, sip_get(req, req->call_id), uri, arena, list);
    if (rc != 0)
        return rc;
    rc = open_as(p, SEAL_PATH, SLICE(""), uri, arena, list);
    *is_path = rc == 1;
    return rc;
}

/* --- responses: what was hidden is put back --- */

static struct slice last_value(const struct sip_msg *m, enum sip_hdr_id id)
{
    struct sip_iter it;
    struct slice element, last = SLICE_NONE;
    sip_iter_init(&it, m, id);
    while (sip_iter_next(&it, &element))
        last = element;
    return last;
}

/* Our value without what was sealed in it, then that. */
static struct slice opened(struct slice element, const struct sip_uri *uri, struct slice list,
                           struct arena *arena)
{
    struct slice sealed;
    size_t room = element.len + list.len + 1;
    char *text = arena_bytes(arena, room);
    if (text == NULL || !sip_param_find(uri->params, SLICE(HIDE_PARAM), &sealed))
        return SLICE_NONE;
    const char *begin = sealed.ptr - sizeof(HIDE_PARAM "=");
    const char *end = sealed.ptr + sealed.len;
    struct buf b;
    buf_init(&b, text, room);
    buf_add(&b, element.ptr, (size_t)(begin - element.ptr));
    buf_add(&b, end, (size_t)(element.ptr + element.len - end));
    add_value(list, &b);
    return buf_get(&b);
}

/* What we made of the values stands below all others: nothing was left below it. */
static bool put_back_values(const struct proxy *p, enum sip_hdr_id id, struct arena *arena,
                            const struct sip_msg *res, struct sip_edit *e)
{
    struct slice element = last_value(res, id), list, text;
    struct sip_uri uri;
    bool is_path = id == SIP_H_PATH;
    if (element.len == 0 || !value_uri(element, &uri))
        return true;
    int rc = open_as(p, is_path ? SEAL_PATH : SEAL_ROUTES,
                     is_path ? SLICE("") : sip_get(res, res->call_id), &uri, arena, &list);
    if (rc <= 0)
        return rc == 0;
    text = is_path ? list : opened(element, &uri, list, arena);
    sip_edit_replace(e, element, text);
    return text.len != 0;
}

static const struct sip_msg *parse_again(const struct sip_edit *e, struct arena *arena)
{
    size_t size = sip_edit_size(e);
    char *bytes = size <= SIP_MSG_MAX ? arena_bytes(arena, size) : NULL;
    struct sip_hdr *hdrs = arena_alloc(arena, SIP_HDRS_MAX * sizeof(*hdrs));
    struct sip_msg *m = arena_alloc(arena, sizeof(*m));
    struct buf b;
    if (bytes == NULL || hdrs == NULL || m == NULL)
        return NULL;
    buf_init(&b, bytes, size);
    if (sip_edit_write(e, &b) != 0 || !sip_msg_parse_kept(m, buf_get(&b), hdrs))
        return NULL;
    m->source = e->msg->source;
    return m;
}

const struct sip_msg *hide_put_back(const struct proxy *p, struct slice vias, struct arena *arena,
                                    const struct sip_msg *res)
{
    struct sip_edit e;
    sip_edit_init(&e, res);
    if (!proxy_has_second_via(res)) {
        const struct sip_hdr *h = sip_hdr_first(res, SIP_H_VIA);
        sip_edit_at(&e, (size_t)h->line + h->line_len, 0, vias);
    }
    if (!put_back_values(p, SIP_H_RECORD_ROUTE, arena, res, &e) ||
        (res->method == SIP_REGISTER && !put_back_values(p, SIP_H_PATH, arena, res, &e)))
        return NULL;
    return e.n != 0 ? parse_again(&e, arena) : res;
}

/* --- responses to those who are not inside --- */

/* The header that says by whom a later request has to go. */
static enum sip_hdr_id header_of(const struct sip_msg *m)
{
    return m->method == SIP_REGISTER ? SIP_H_PATH : SIP_H_RECORD_ROUTE;
}

void hide_up_of(const struct proxy *p, const struct sip_msg *req, const struct addr *from,
                struct hide_up *up)
{
    struct sip_iter it;
    struct slice element;
    *up = (struct hide_up){.is_on = hide_is_on(p, from), .in_dialog = sip_in_dialog(req)};
    if (!up->is_on)
        return;
    sip_iter_init(&it, req, header_of(req));
    while (sip_iter_next(&it, &element))
        up->nbehind++;
}

static bool any_inside(const struct proxy *p, const struct slice *values, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (is_inside_value(p, values[i]))
            return true;
    return false;
}

/* Is it the value that we have put there? */
static bool is_own_value(struct proxy *p, struct slice element, struct sip_uri *uri)
{
    return value_uri(element, uri) && sip_param_find(uri->params, SLICE(PROXY_MARK), NULL) &&
           route_is_ours(p->deps.route, uri);
}

/* The `n` values above our outermost one, in the order of a route set, sealed into it: the line. */
static bool write_sealed(struct proxy *p, const struct sip_msg *res, const struct slice *values,
                         unsigned n, struct buf *out)
{
    char text[PROXY_SEAL_MAX];
    struct buf list;
    struct sip_uri uri;
    struct slice own = values[n];
    if (!is_own_value(p, own, &uri)) {
        note_not_hidden(p, res); /* a peer that does not keep their order (RFC 3261 12.1.1) */
        return false;
    }
    buf_init(&list, text, sizeof(text));
    for (unsigned i = n; i-- > 0;)
        add_value(values[i], &list);
    const char *end = uri.text.ptr + uri.text.len;
    buf_lit(out, "Record-Route: ");
    buf_add(out, own.ptr, (size_t)(end - own.ptr));
    if (!hide_write_param(p, SIP_H_RECORD_ROUTE, res, &list, out))
        return false;
    buf_add(out, end, (size_t)(own.ptr + own.len - end));
    buf_lit(out, "\r\n");
    return true;
}

/* The values of the header in `values`; how many, and the room that they need as lines. */
static unsigned read_values(const struct sip_msg *res, enum sip_hdr_id id, struct slice *values,
                            size_t *room)
{
    struct sip_iter it;
    struct slice element;
    unsigned n = 0;
    sip_iter_init(&it, res, id);
    while (n < HIDE_VALUES_MAX && sip_iter_next(&it, &element)) {
        values[n++] = element;
        *room += element.len + sizeof("Record-Route: \r\n");
    }
    return n;
}

/* Inside a dialog route sets are what they are (RFC 3261 12.2), and no request of whoever registers
 * goes by Path: there what was added is left out. */
int hide_response(struct proxy *p, const struct hide_up *up, struct arena *arena,
                  const struct sip_msg *res, struct sip_edit *e)
{
    enum sip_hdr_id id = header_of(res);
    struct slice values[HIDE_VALUES_MAX];
    size_t room = PROXY_SEAL_TEXT_MAX + sizeof(HIDE_PARAM) + 2;
    if (!up->is_on || sip_hdr_first(res, id) == NULL)
        return 0;
    unsigned n = read_values(res, id, values, &room);
    if (n <= up->nbehind)
        return 0;
    bool leaves_out = up->in_dialog || id == SIP_H_PATH;
    unsigned above = n - up->nbehind, ninner = leaves_out ? above : above - 1;
    if (!any_inside(p, values, ninner))
        return 0;
    char *text = arena_bytes(arena, room);
    if (text == NULL)
        return ERR_NOMEM;
    struct buf b;
    buf_init(&b, text, room);
    if (!leaves_out && !write_sealed(p, res, values, ninner, &b))
        return 0;
    for (unsigned i = above; i < n; i++) {
        buf_slice(&b, sip_hdr_name(id));
        buf_lit(&b, ": ");
        buf_slice(&b, values[i]);
        buf_lit(&b, "\r\n");
    }
    sip_edit_insert(e, id, buf_get(&b));
    sip_edit_remove(e, id);
    return 0;
}
