/* SPDX-License-Identifier: Apache-2.0 */
/* Streams: accepting, framing on the loop's read buffer, partial messages. */
#include "base/alloc.h"
#include "flow/flow_int.h"

static void refuse(struct flows *fs, struct net_stream *s, const struct addr *remote,
                   const char *why)
{
    counter_inc(fs->counters, CTR_FLOW_REFUSED);
    EVENT_LOG(EV_CONNECTIONS_FULL, LF_ADDR("peer", remote), LF_STR("cause", why));
    net_stream_close(&s, true);
}

/* The stream is up, with TLS its handshake done. */
static void accepted(struct flows *fs, enum sip_transport t, struct net_stream *s,
                     const struct addr *remote, const struct addr *local)
{
    struct net_tls_info tls;
    struct flow *f;
    int rc = flow_new(fs, t, remote, local, false, &f);
    if (rc != 0) {
        refuse(fs, s, remote, rc == ERR_LIMIT ? "tcp-max-connections" : "no memory");
        return;
    }
    if (!flow_count_in(f)) {
        flow_free(f, true);
        refuse(fs, s, remote, "tcp-max-connections-per-address");
        return;
    }
    f->stream = s;
    f->state = FLOW_UP;
    f->was_verified = t == SIP_TLS && net_stream_tls_info(s, &tls) == 0 && tls.has_peer;
    net_stream_set_max(s, fs->conf.max_queue);
    net_stream_set(s, &flow_stream_events, f);
    flow_restage(f);
    counter_inc(fs->counters, CTR_FLOWS);
    counter_inc(fs->counters, CTR_FLOW_ACCEPTED);
    flow_counts_accepted(fs->counts, remote, flows_now(fs));
    flow_sources_put(flow_counts_sources(fs->counts), f);
    if (fs->ev.on_accepted != NULL)
        fs->ev.on_accepted(fs->ev.user, remote);
}

void flow_on_accept(void *user, struct net_stream *s, const struct addr *remote,
                    const struct addr *local)
{
    accepted(((struct flow_listener *)user)->owner, SIP_TCP, s, remote, local);
}

void flow_on_accept_tls(void *user, struct net_stream *s, const struct addr *remote,
                        const struct addr *local)
{
    accepted(((struct flow_listener *)user)->owner, SIP_TLS, s, remote, local);
}

/* Once a minute for each address and reason. */
static void log_refused(struct flows *fs, const struct addr *remote, const struct addr *local,
                        int err)
{
    uint32_t before;
    if (flow_counts_refused(fs->counts, remote, err, flows_now(fs), &before))
        EVENT_LOG(EV_TLS_FAILED, LF_ADDR("peer", remote), LF_ADDR("local", local),
                  LF_ERR("cause", err), LF_INT("repeated", before));
}

void flow_on_refused(void *user, const struct addr *remote, const struct addr *local, int err)
{
    log_refused(((struct flow_listener *)user)->owner, remote, local, err);
}

/* The first bytes of an accepted connection: is this a record with a ClientHello (RFC 8446 5.1)?
 * No SIP message begins with that byte. */
static bool is_tls_on_plain(struct flow *f, const char *data, size_t len)
{
    bool is_first = !f->has_spoken && !f->is_ours && f->transport == SIP_TCP;
    f->has_spoken = true;
    if (!is_first || data[0] != 0x16 || (len > 1 && data[1] != 0x03))
        return false;
    counter_inc(f->owner->counters, CTR_TLS_ON_PLAIN);
    log_refused(f->owner, &f->remote, &f->local, ERR_TLS_ON_PLAIN);
    flow_doom(f, ERR_TLS_ON_PLAIN);
    return true;
}

void flow_in_drop(struct flow *f)
{
    if (f->in == NULL)
        return;
    timer_stop(f->owner->wheel, &f->in->timer);
    mem_free(f->in);
    f->in = NULL;
}

void flow_count_taken(struct flows *fs, const struct sip_msg *m)
{
    static const enum counter of_method[SIP_METHOD_COUNT] = {
        [SIP_INVITE] = CTR_IN_INVITE,   [SIP_ACK] = CTR_IN_ACK,
        [SIP_BYE] = CTR_IN_BYE,         [SIP_CANCEL] = CTR_IN_CANCEL,
        [SIP_OPTIONS] = CTR_IN_OPTIONS, [SIP_REGISTER] = CTR_IN_REGISTER,
    };
    _Static_assert(CTR_MSG_IN == 0, "stands for: no counter of its own");
    counter_inc(fs->counters, CTR_MSG_IN);
    if (!m->is_request)
        return;
    enum counter id = of_method[m->method];
    counter_inc(fs->counters, id != CTR_MSG_IN ? id : CTR_IN_OTHER);
}

bool flow_is_idle_ack(struct flows *fs, struct slice bytes)
{
    if (!slice_starts(bytes, SLICE("ACK ")) || fs->ev.is_idle_ack == NULL ||
        !fs->ev.is_idle_ack(fs->ev.user, bytes))
        return false;
    counter_inc(fs->counters, CTR_MSG_IN);
    counter_inc(fs->counters, CTR_IN_ACK);
    return true;
}

static void origin_of(const struct flow *f, struct flow_origin *o)
{
    *o = (struct flow_origin){
        .flow = f->id, .remote = f->remote, .local = f->local, .transport = f->transport};
}

/* What a new connection to the sender has to prove (RFC 5922 7.3). */
static uint32_t sent_by_peer(const struct flow *f, const struct sip_msg *m)
{
    struct flow_tls *tls = f->owner->conf.tls;
    if (f->transport != SIP_TLS || !m->is_request || tls == NULL)
        return 0;
    return flow_tls_number(tls, SLICE_NONE, m->via.host, true);
}

static struct slice without_brackets(struct slice host)
{
    bool has = host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    return has ? slice_of(host.ptr + 1, host.len - 2) : host;
}

/* RFC 5923: with TLS whoever asks for an alias must have shown a certificate that proves the host
 * of its sent-by (9.2); it is found by that name at the address that its connection really comes
 * from. Without TLS that is safe for one case: sent-by is the address that the connection comes
 * from. Never by an address that is only claimed, nor where the connection is one of ours. */
static void look_at_alias(struct flow *f, const struct sip_msg *m, uint32_t tls_peer)
{
    struct flows *fs = f->owner;
    struct addr a;
    if (f->alias_seen || f->is_ours || !m->is_request)
        return;
    f->alias_seen = true;
    bool proves = f->was_verified && net_stream_peer_is(f->stream, without_brackets(m->via.host));
    if (proves && tls_peer != 0 && !f->has_proved) {
        f->has_proved = true;
        f->proved = tls_peer;
    }
    uint16_t port = m->via.port != 0 ? m->via.port : sip_transport_port(f->transport);
    bool is_literal = addr_parse_ip(m->via.host, port, &a) == 0;
    if (!is_literal) {
        a = f->remote;
        a.port = port;
    }
    /* A name without a number: there is no room for more. */
    bool is_named = is_literal ? addr_eq_ip(&a, &f->remote) : tls_peer != 0;
    if (!m->via.has_alias || !is_named || (f->transport == SIP_TLS && !proves))
        return;
    flow_index(f, &a, tls_peer);
    struct flow_alias alias = {a, f->transport, tls_peer};
    if (f->key != NULL && fs->aliases != NULL)
        flow_aliases_put(fs->aliases, &alias, f->id);
}

void flow_tell_wire(const struct flow *f, bool is_out, const void *bytes, size_t len)
{
    const struct flow_events *ev = &f->owner->ev;
    if (ev->on_wire == NULL)
        return;
    struct flow_wire wire = {is_out,     f->transport, &f->local,
                             &f->remote, f->id,        slice_of(bytes, len)};
    ev->on_wire(ev->user, &wire);
}

/* Once for each message, however often it is offered. */
static void tell_in(const struct flow *f, const char *bytes, size_t len)
{
    if (f->in != NULL && f->in->is_told)
        f->in->is_told = false;
    else
        flow_tell_wire(f, false, bytes, len);
}

/* 0, or ERR_FULL: to be offered again. */
static int deliver(struct flow *f, const char *bytes, size_t len)
{
    struct flows *fs = f->owner;
    struct sip_msg m;
    struct sip_fault fault;
    struct flow_origin origin;
    if (flow_is_idle_ack(fs, slice_of(bytes, len)))
        return 0;
    origin_of(f, &origin);
    int rc = sip_msg_parse(&m, bytes, len, true, fs->hdrs, SIP_HDRS_MAX, &fs->conf.limits, &fault);
    m.source = f->remote;
    if (rc != 0) {
        flow_answer_fault(fs, &m, &fault, &origin, f);
        return 0;
    }
    origin.tls_peer = sent_by_peer(f, &m);
    look_at_alias(f, &m, origin.tls_peer);
    rc = fs->ev.on_message(fs->ev.user, &m, &origin);
    if (rc != ERR_FULL)
        flow_count_taken(fs, &m);
    return rc == ERR_FULL ? ERR_FULL : 0;
}

static void answer_ping(struct flow *f)
{
    counter_inc(f->owner->counters, CTR_PING_IN);
    if (net_stream_write(f->stream, "\r\n", 2) == ERR_FULL)
        flow_doom(f, ERR_SLOW_READER);
}

static void lame_timer(struct timer *t, uint64_t now)
{
    struct flow_in *in = container_of(t, struct flow_in, timer);
    (void)now;
    flow_doom(in->flow, ERR_PARSE);
}

/* The stream cannot be understood any more: answer, then close. What the peer still sends is read
 * and thrown away for a moment, since closing with unread bytes would make the kernel send RST and
 * the peer lose the answer. */
static void bad_stream(struct flow *f, const char *bytes, size_t len, const struct sip_fault *fault)
{
    struct flows *fs = f->owner;
    struct sip_msg m;
    struct sip_fault detail;
    struct flow_origin origin;
    origin_of(f, &origin);
    if (len > SIP_MSG_MAX)
        len = SIP_MSG_MAX;
    tell_in(f, bytes, len);
    int rc = sip_msg_parse(&m, bytes, len, true, fs->hdrs, SIP_HDRS_MAX, &fs->conf.limits, &detail);
    m.source = f->remote;
    struct sip_fault both = {fault->status != 0 ? fault->status : detail.status, fault->reason,
                             rc == 0 || detail.has_via};
    flow_answer_fault(fs, &m, &both, &origin, f);
    f->lame = true;
    flow_in_drop(f);
    struct flow_in *in = mem_zalloc(sizeof(*in));
    if (in == NULL) {
        flow_doom(f, ERR_PARSE);
        return;
    }
    in->flow = f;
    timer_init(&in->timer, lame_timer);
    timer_set(fs->wheel, &in->timer, flows_now(fs) + FLOW_LINGER_MS);
    f->in = in;
}

enum take_result { TAKE_ALL, TAKE_PAUSE, TAKE_STOP };

/* Hands out what is whole; *left is what is not. `started`: a message was taken, so the clock of
 * the next one begins anew. */
static enum take_result take(struct flow *f, struct sip_frame *frame, const char *data, size_t len,
                             size_t *left, bool *started)
{
    const struct sip_limits *limits = &f->owner->conf.limits;
    struct sip_fault fault;
    size_t used;
    *started = false;
    while (len != 0) {
        switch (sip_frame_next(frame, data, len, limits, &used, &fault)) {
        case SIP_FRAME_MORE: *left = len; return TAKE_ALL;
        case SIP_FRAME_MESSAGE:
            tell_in(f, data, used);
            if (deliver(f, data, used) == ERR_FULL) {
                *left = len;
                return TAKE_PAUSE;
            }
            *started = true;
            break;
        case SIP_FRAME_PING: answer_ping(f); break;
        case SIP_FRAME_CRLF: break;
        case SIP_FRAME_BAD:
            bad_stream(f, data, used, &fault);
            *left = 0;
            return TAKE_STOP;
        }
        if (f->doom != 0) {
            *left = 0;
            return TAKE_STOP;
        }
        data += used;
        len -= used;
    }
    *left = 0;
    return TAKE_ALL;
}

static void flow_on_data(void *user, const char *data, size_t len);

static void in_timer(struct timer *t, uint64_t now)
{
    struct flow_in *in = container_of(t, struct flow_in, timer);
    struct flow *f = in->flow;
    (void)now;
    if (!in->paused) {
        flow_doom(f, ERR_TIMEOUT);
        return;
    }
    in->paused = false;
    net_stream_read_pause(f->stream, false);
    flow_on_data(f, NULL, 0);
}

/* A buffer for `need` bytes; what it holds stays. False: no memory. */
static bool in_reserve(struct flow *f, size_t need)
{
    struct flow_in *in = f->in;
    struct wheel *wheel = f->owner->wheel;
    if (in != NULL && in->cap >= need)
        return true;
    size_t cap = in != NULL && (size_t)in->cap * 2 > need ? (size_t)in->cap * 2 : need + 512;
    bool running = in != NULL && timer_is_set(&in->timer);
    uint64_t due = running ? in->timer.due : 0;
    if (running)
        timer_stop(wheel, &in->timer);
    struct flow_in *bigger = mem_realloc(in, sizeof(*in) + cap);
    if (bigger == NULL) {
        if (running)
            timer_set(wheel, &in->timer, due);
        return false;
    }
    if (in == NULL) {
        *bigger = (struct flow_in){.flow = f};
    }
    timer_init(&bigger->timer, in_timer);
    if (running)
        timer_set(wheel, &bigger->timer, due);
    bigger->cap = (uint32_t)cap;
    f->in = bigger;
    return true;
}

/* Keeps the last `left` bytes of `data` (which may be the buffer itself) until more come. */
static void keep(struct flow *f, const struct sip_frame *frame, const char *rest, size_t left,
                 bool started, bool pause)
{
    struct flows *fs = f->owner;
    bool inside = f->in != NULL && rest >= f->in->bytes && rest <= f->in->bytes + f->in->cap;
    size_t at = inside ? (size_t)(rest - f->in->bytes) : 0;
    if (left == 0) {
        flow_in_drop(f);
        f->half_ping = frame->crlf;
        return;
    }
    if (!in_reserve(f, left)) {
        flow_doom(f, ERR_NOMEM);
        return;
    }
    struct flow_in *in = f->in;
    memmove(in->bytes, inside ? in->bytes + at : rest, left);
    in->len = (uint32_t)left;
    in->frame = *frame;
    in->paused = in->is_told = pause;
    if (pause) {
        net_stream_read_pause(f->stream, true);
        timer_set(fs->wheel, &in->timer, flows_now(fs) + FLOW_RETRY_MS);
    } else if (started || !timer_is_set(&in->timer)) {
        timer_set(fs->wheel, &in->timer, flows_now(fs) + fs->conf.partial_timeout_ms);
    }
}

/* Bytes came. True: they are not to be looked at. */
static bool on_bytes(struct flow *f, const char *data, size_t len)
{
    if (!f->has_spoken && is_tls_on_plain(f, data, len))
        return true;
    f->last_in = flows_seconds(f->owner);
    f->unanswered = 0;
    f->is_fresh = false;
    /* They bring an acknowledgement, which may be waited for. */
    if (f->work != NULL && (f->work->attempt != NULL || !list_is_empty(&f->work->resent)))
        flow_check(f);
    return false;
}

/* Bytes join what is kept. Those that came while reading is paused only wait. */
static void flow_on_data(void *user, const char *data, size_t len)
{
    struct flow *f = user;
    struct sip_frame frame;
    size_t left, total = len;
    bool started;
    if (f->lame || f->doom != 0)
        return;
    if (len != 0 && on_bytes(f, data, len))
        return;
    sip_frame_init(&frame);
    frame.crlf = f->half_ping;
    if (f->in != NULL) {
        if (!in_reserve(f, f->in->len + len)) {
            flow_doom(f, ERR_NOMEM);
            return;
        }
        if (len != 0)
            memcpy(f->in->bytes + f->in->len, data, len);
        f->in->len += (uint32_t)len;
        if (f->in->paused)
            return;
        frame = f->in->frame;
        data = f->in->bytes;
        total = f->in->len;
    }
    enum take_result r = take(f, &frame, data, total, &left, &started);
    if (r != TAKE_STOP)
        keep(f, &frame, data + (total - left), left, started, r == TAKE_PAUSE);
}

static void flow_on_end(void *user, int err)
{
    flow_ended(user, err);
}

/* A stream gets these events only when it is up. */
static void flow_on_open(void *user)
{
    (void)user;
}

const struct net_stream_events flow_stream_events = {flow_on_open, flow_on_data, flow_on_end};
