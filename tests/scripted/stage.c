/* SPDX-License-Identifier: Apache-2.0 */
#include "scripted/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/log.h"
#include "rows.h"
#include "sip/write.h"

/* --- the user --------------------------------------------------------------------------------- */

struct user {
    struct stage *stage;
    char pad[200]; /* more than lingers */
};

static void note(struct stage *s, enum note_kind kind, int value, uint64_t id)
{
    if (s->nnotes < sizeof(s->notes) / sizeof(s->notes[0]))
        s->notes[s->nnotes++] = (struct note){kind, value, id, stage_ms(s)};
}

static void on_response(void *ctx, uint64_t client, const struct sip_msg *res,
                        const struct flow_origin *origin)
{
    struct user *u = ctx;
    (void)origin;
    note(u->stage, NOTE_RESPONSE, res->status, client);
}

static void on_failed(void *ctx, uint64_t client, int err)
{
    note(((struct user *)ctx)->stage, NOTE_FAILED, err, client);
}

static void on_unacked(void *ctx, uint64_t server, int err)
{
    note(((struct user *)ctx)->stage, NOTE_UNACKED, err, server);
}

static void on_resent(void *ctx, uint64_t client, int err)
{
    struct stage *s = ((struct user *)ctx)->stage;
    if (s->is_asked)
        note(s, NOTE_RESENT, err, client);
}

static bool on_stranded(void *ctx, uint64_t client, int err, struct flow_dest *dest)
{
    struct stage *s = ((struct user *)ctx)->stage;
    if (s->is_asked)
        note(s, NOTE_STRANDED, err, client);
    if (s->other.flow == 0 && s->other.remote.port == 0)
        return false;
    *dest = s->other;
    s->other = (struct flow_dest){0};
    return true;
}

static void on_lost(void *ctx, uint64_t server, int err)
{
    note(((struct user *)ctx)->stage, NOTE_LOST, err, server);
}

static void on_end(void *ctx)
{
    note(((struct user *)ctx)->stage, NOTE_END, 0, 0);
}

static void on_linger(void *ctx, void *small)
{
    struct user *u = ctx;
    memcpy(small, &u->stage, sizeof(u->stage));
    note(u->stage, NOTE_LINGER, 0, 0);
}

static void on_new(struct stage *s, const struct sip_msg *m, const struct flow_origin *origin)
{
    void *ctx;

    s->new_err = txn_server_new(s->txns, m, origin, &s->tu, sizeof(struct user), &ctx, &s->server);
    if (s->new_err != 0)
        return;
    ((struct user *)ctx)->stage = s;
    note(s, NOTE_NEW, 0, s->server);
}

/* --- the loop --------------------------------------------------------------------------------- */

static int on_message(void *user, const struct sip_msg *m, const struct flow_origin *origin)
{
    struct stage *s = user;
    uint64_t invite;

    if (!m->is_request) {
        if (!txn_on_response(s->txns, m, origin))
            note(s, NOTE_STRAY, m->status, 0);
        return 0;
    }
    switch (txn_on_request(s->txns, m, origin, &invite)) {
    case TXN_NEW: on_new(s, m, origin); break;
    case TXN_ABSORBED: break;
    case TXN_ACK: note(s, NOTE_ACK, 0, 0); break;
    case TXN_CANCEL:
        s->cancelled = invite;
        note(s, NOTE_CANCEL, invite != 0, invite);
        break;
    }
    return 0;
}

static void on_event(void *user, const struct flow_event *ev)
{
    txn_on_flow_event(((struct stage *)user)->txns, ev);
}

static void on_unreached(void *user, const struct addr *remote, int err, struct slice bytes)
{
    struct stage *s = user;
    struct sip_quote quote;
    if (sip_quote_read(bytes, &quote) == 0)
        txn_on_unreached(s->txns, &quote, remote, err);
}

static void on_alarm(void *user)
{
    struct stage *s = user;
    wheel_advance(&s->wheel, net_now(s->loop));
}

static void on_turn_end(void *user)
{
    struct stage *s = user;
    wheel_advance(&s->wheel, net_now(s->loop));
    if (s->flows != NULL)
        flows_flush(s->flows);
    net_alarm(s->loop, wheel_next(&s->wheel));
}

void stage_init(struct stage *s, bool recover)
{
    memset(s, 0, sizeof(*s));
    log_setup(LOG_ERROR, LOG_TEXT);
    s->txn_conf = txn_conf_default;
    s->txn_conf.recover = recover;
    s->listen = (struct addr){.family = ADDR_IP4, .port = 5060, .ip = {10, 0, 0, 1}};
    s->flow_conf = (struct flow_conf){
        .listen = &s->listen,
        .nlisten = 1,
        .sockopt = {.keep_alive = recover,
                    .keep_idle = 2,
                    .keep_interval = 1,
                    .keep_probes = 2,
                    .tos = 256},
        .unacked_timeout_ms = 5000,
        .reopen_delay_ms = recover ? 1000 : 0,
        .connect_timeout_ms = 3000,
        .max_connections = 1000,
        .max_queue = 1u << 20,
        .partial_timeout_ms = 10000,
        .reopen_per_second = 100,
        .limits = sip_limits_default,
    };
    s->tu = (struct txn_tu){
        .on_response = on_response,
        .on_failed = on_failed,
        .on_resent = on_resent,
        .on_stranded = on_stranded,
        .on_lost = on_lost,
        .on_unacked = on_unacked,
        .on_end = on_end,
        .on_linger = on_linger,
    };
    s->key = (struct hash_key){1, 2};
}

int stage_open(struct stage *s)
{
    const struct net_loop_events events = {on_alarm, NULL, on_turn_end, s};
    const struct flow_events flow_events = {
        .on_message = on_message, .on_event = on_event, .user = s, .on_unreached = on_unreached};
    struct addr failed;
    int err = net_loop_new(&s->loop, &events);

    if (err != 0)
        return err;
    s->start = net_now(s->loop);
    wheel_init(&s->wheel, s->start);
    mailbox_init(&s->box, 16, NULL, NULL);
    s->boxes[0] = &s->box;
    err = txns_new(&s->txn_conf, &s->wheel, NULL, 0, &s->key, &s->counters, &s->txns);
    if (err == 0)
        err = flows_new(s->loop, &s->wheel, &s->flow_conf, 0, 1, s->boxes, &s->key, &s->counters,
                        &flow_events, &s->flows, &failed);
    if (err != 0) {
        stage_close(s);
        return err;
    }
    txns_set_flows(s->txns, s->flows);
    return 0;
}

void stage_start(struct stage *s, bool recover)
{
    stage_init(s, recover);
    assert_int_equal(stage_open(s), 0);
}

void stage_close(struct stage *s)
{
    txns_free(&s->txns);
    flows_free(&s->flows);
    mailbox_fini(&s->box);
    net_loop_free(&s->loop);
}

static void print_left(struct stage *s)
{
    static struct rows rows;
    const struct row_sink sink = rows_begin(&rows);
    uint32_t at = 0;
    while (txns_rows_some(s->txns, &at, 100, &sink)) {
    }
    print_error("left: %s", rows.text);
}

void stage_stop(struct stage *s)
{
    struct txn_usage left;

    fake_advance(s->loop, 600000);
    txns_usage(s->txns, &left);
    if (left.transactions != 0)
        print_left(s);
    assert_int_equal(left.transactions, 0);
    assert_int_equal(left.scopes, 0);
    assert_int_equal(left.blocks, 0);
    assert_int_equal(left.cells, 0);
    assert_int_equal(left.kept, 0);
    assert_int_equal(txns_count(s->txns), 0);
    assert_int_equal(txns_pending(s->txns), 0);
    assert_int_equal(counter_get(&s->counters, CTR_TXN_CLIENT), 0);
    assert_int_equal(counter_get(&s->counters, CTR_TXN_SERVER), 0);
    assert_int_equal(s->wheel.count, 0);
    stage_close(s);
}

void stage_turn(struct stage *s)
{
    on_turn_end(s);
}

uint64_t stage_ms(const struct stage *s)
{
    return net_now(s->loop) - s->start;
}

/* --- messages --------------------------------------------------------------------------------- */

struct slice stage_request(struct stage *s, const char *method, const char *branch,
                           const char *transport)
{
    int n = snprintf(s->text, sizeof(s->text),
                     "%s sip:bob@example.com SIP/2.0\r\n"
                     "Via: SIP/2.0/%s 10.0.0.9:5060;branch=%s\r\n"
                     "Max-Forwards: 70\r\n"
                     "From: <sip:alice@example.com>;tag=from1\r\n"
                     "To: <sip:bob@example.com>\r\n"
                     "Call-ID: call-1@10.0.0.9\r\n"
                     "CSeq: 7 %s\r\n"
                     "Content-Length: 0\r\n\r\n",
                     method, transport, branch, method);
    return slice_of(s->text, (size_t)n);
}

void stage_udp(struct stage *s, const char *method, const char *branch)
{
    assert_true(fake_datagram(s->loop, UAC, US, stage_request(s, method, branch, "UDP")));
}

int stage_reply(struct stage *s, uint64_t server, unsigned status)
{
    int err = txn_reply(s->txns, server, status, SLICE_NONE, SLICE_NONE);
    stage_turn(s);
    return err;
}

struct flow_dest stage_dest(const char *to, enum sip_transport transport)
{
    struct flow_dest d = {.transport = (uint8_t)transport};
    assert_int_equal(addr_parse(slice_str(to), 0, &d.remote), 0);
    return d;
}

static uint64_t start_client(struct stage *s, struct txn_scope *scope, void *ctx,
                             enum sip_method method, const struct flow_dest *dest)
{
    struct slice name = sip_method_text(method);
    char branch[SIP_BRANCH_LEN + 1] = "";
    struct slice bytes;
    struct buf out;
    uint64_t id;
    int n;

    if (txn_client_new(s->txns, scope, ctx, &id) != 0)
        return 0;
    buf_init(&out, branch, SIP_BRANCH_LEN);
    sip_branch_write(&out, id, 0xabcd);
    n = snprintf(s->text, sizeof(s->text),
                 "%.*s sip:carol@10.0.0.2 SIP/2.0\r\n"
                 "Via: SIP/2.0/%s 10.0.0.1:5060;branch=%s\r\n"
                 "Via: SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bKupstream\r\n"
                 "Route: <sip:10.0.0.7;lr>\r\n"
                 "Max-Forwards: 69\r\n"
                 "From: <sip:alice@example.com>;tag=from1\r\n"
                 "To: <sip:carol@example.com>\r\n"
                 "Call-ID: call-2@10.0.0.9\r\n"
                 "CSeq: 9 %.*s\r\n"
                 "Content-Length: 0\r\n\r\n",
                 SLICE_ARG(name), dest->transport == SIP_UDP ? "UDP" : "TCP", branch,
                 SLICE_ARG(name));
    bytes = arena_dup(txn_scope_arena(scope), slice_of(s->text, (size_t)n));
    if (bytes.len == 0) {
        txn_client_drop(s->txns, id);
        return 0;
    }
    txn_client_send(s->txns, id, method, dest, 0xabcd, bytes);
    stage_turn(s);
    return id;
}

uint64_t stage_client(struct stage *s, enum sip_method method, const struct flow_dest *dest)
{
    void *ctx;

    if (txn_scope_new(s->txns, &s->tu, sizeof(struct user), &ctx, &s->scope) != 0)
        return 0;
    ((struct user *)ctx)->stage = s;
    return start_client(s, s->scope, ctx, method, dest);
}

uint64_t stage_branch(struct stage *s, uint64_t of, enum sip_method method,
                      const struct flow_dest *dest)
{
    struct txn_scope *scope = txn_scope_of(s->txns, of);
    struct user *u;

    assert_non_null(scope);
    u = arena_zalloc(txn_scope_arena(scope), sizeof(*u));
    if (u == NULL)
        return 0;
    u->stage = s;
    return start_client(s, scope, u, method, dest);
}

struct slice stage_answer(struct stage *s, unsigned status)
{
    struct sip_hdr hdrs[SIP_HDRS_MAX];
    struct sip_msg m;
    struct sip_fault fault;
    struct buf out;

    assert_int_equal(sip_msg_parse(&m, s->last.ptr, s->last.len, false, hdrs, SIP_HDRS_MAX,
                                   &sip_limits_default, &fault),
                     0);
    buf_init(&out, s->text, sizeof(s->text));
    assert_int_equal(sip_write_response(&out, &m, status, SLICE_NONE,
                                        status > 100 ? SLICE("to1") : SLICE_NONE, SLICE_NONE,
                                        SLICE_NONE),
                     0);
    return buf_get(&out);
}

void stage_answer_udp(struct stage *s, unsigned status)
{
    assert_true(fake_datagram(s->loop, UAS, US, stage_answer(s, status)));
}

/* --- checks ----------------------------------------------------------------------------------- */

static void check_begin(struct slice got, const char *begin, const char *file, int line)
{
    if (slice_starts(got, slice_str(begin)))
        return;
    print_error("%s:%d: \"%s\" expected, this came:\n%.*s\n", file, line, begin, SLICE_ARG(got));
    _fail(file, line);
}

void stage_expect_udp_(struct stage *s, const char *to, const char *begin, const char *file,
                       int line)
{
    struct fake_datagram d;

    if (!fake_take_datagram(s->loop, to, &d)) {
        print_error("%s:%d: \"%s\" expected, nothing was sent to %s\n", file, line, begin, to);
        _fail(file, line);
    }
    check_begin(d.bytes, begin, file, line);
    s->last = d.bytes;
    s->last_at = d.at - s->start;
}

void stage_no_udp_(struct stage *s, const char *file, int line)
{
    struct fake_datagram d;

    if (!fake_take_datagram(s->loop, NULL, &d))
        return;
    print_error("%s:%d: nothing expected, this was sent at %llu:\n%.*s\n", file, line,
                (unsigned long long)(d.at - s->start), SLICE_ARG(d.bytes));
    _fail(file, line);
}

void stage_expect_tcp_(struct stage *s, struct fake_conn *conn, const char *begin, const char *file,
                       int line)
{
    _assert_true((uintmax_t)(uintptr_t)conn, "connection", file, line);
    if (!fake_take_message(conn, &s->last)) {
        print_error("%s:%d: \"%s\" expected, nothing came\n", file, line, begin);
        _fail(file, line);
    }
    check_begin(s->last, begin, file, line);
}

void stage_no_tcp_(struct stage *s, struct fake_conn *conn, const char *file, int line)
{
    struct slice got;

    (void)s;
    if (!fake_take_message(conn, &got))
        return;
    print_error("%s:%d: nothing expected, this came:\n%.*s\n", file, line, SLICE_ARG(got));
    _fail(file, line);
}

const struct note *stage_expect_(struct stage *s, enum note_kind kind, int value, const char *file,
                                 int line)
{
    const struct note *n = &s->notes[s->nread];

    if (s->nread == s->nnotes) {
        print_error("%s:%d: nothing was noted\n", file, line);
        _fail(file, line);
    }
    if (n->kind != kind || n->value != value) {
        print_error("%s:%d: note %d with %d, expected %d with %d\n", file, line, (int)n->kind,
                    n->value, (int)kind, value);
        _fail(file, line);
    }
    s->nread++;
    return n;
}

void stage_quiet_(struct stage *s, const char *file, int line)
{
    if (s->nread == s->nnotes)
        return;
    print_error("%s:%d: note %d with %d at %llu, none expected\n", file, line,
                (int)s->notes[s->nread].kind, s->notes[s->nread].value,
                (unsigned long long)s->notes[s->nread].at);
    _fail(file, line);
}
