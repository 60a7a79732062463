/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"
#include "heard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"

#define RUN_OUT_MS 400000

static uint64_t virtual_wall(void *user)
{
    const struct rig *r = user;
    return r->wall + (r->loop != NULL ? net_now(r->loop) : 0);
}

static void on_drained(void *user, unsigned worker)
{
    struct rig *r = user;
    (void)worker;
    r->drained++;
}

static void on_groups_changed(void *user)
{
    struct rig *r = user;
    worker_wake(r->worker);
}

static void load_conf(struct rig *r, const char *options)
{
    char file[] = "/tmp/holdfast-test-rig-XXXXXX";
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    FILE *f = fdopen(fd, "w");
    fprintf(f, "[sipproxy]\nworkers = 1\n%s%s",
            strstr(options, "sip-address") == NULL ? "sip-address = 10.0.0.1\n" : "", options);
    fclose(f);
    int err = conf_load(file, stderr, &r->conf);
    unlink(file);
    assert_int_equal(err, 0);
    assert_int_equal(conf_open_tls(r->conf, r->keys, stderr), 0);
}

static void configure_tls(struct rig *r)
{
    if (r->shared.flow_tls != NULL)
        assert_int_equal(
            flow_tls_configure(r->shared.flow_tls, r->conf->profiles, r->conf->nprofiles), 0);
}

void rig_open(struct rig *r, const char *options)
{
    struct addr failed;
    memset(r, 0, sizeof(*r));
    r->wall = 1700000000000;
    assert_int_equal(net_tls_keys_new(&r->keys), 0);
    load_conf(r, options);
    if (r->conf->flow.tls_port != 0)
        assert_int_equal(flow_tls_new(&r->shared.flow_tls), 0);
    configure_tls(r);
    heard_begin();
    log_setup(getenv("RIG_LOG") != NULL ? LOG_DEBUG : LOG_ERROR, LOG_TEXT);
    r->shared.nworkers = 1;
    static uint64_t runs;
    r->shared.key = (struct hash_key){1, ++runs}; /* as after a restart: another one each time */
    r->shared.lasting_key = (struct hash_key){3, 4};
    r->shared.wall = virtual_wall;
    r->shared.on_drained = on_drained;
    r->shared.user = r;
    assert_int_equal(dn_dir_new(&r->shared.key, NULL, &r->shared.dir), 0);
    assert_int_equal(dn_dir_configure(r->shared.dir, r->conf->dns, r->conf->ndns), 0);
    assert_int_equal(auth_new(300000, &r->shared.auth), 0);
    assert_int_equal(groups_new(&r->shared.lasting_key, &r->shared.groups), 0);
    assert_int_equal(groups_configure(r->shared.groups, r->conf->groups, r->conf->ngroups, 0), 0);
    assert_int_equal(load_shared_new(&r->shared.key, &r->shared.load), 0);
    assert_int_equal(worker_new(r->conf, &r->shared, 0, &r->worker), 0);
    r->loop = worker_loop(r->worker);
    fake_add_local(r->loop, RIG_SECOND);
    fake_add_local(r->loop, RIG_OUTSIDE);
    fake_add_local(r->loop, RIG_OUTSIDE6);
    assert_int_equal(worker_listen(r->worker, &failed), 0);
    groups_set_changed(r->shared.groups, on_groups_changed, r);
    fake_run(r->loop);
}

void rig_close(struct rig *r)
{
    struct txn_usage u;
    fake_advance(r->loop, RUN_OUT_MS);
    txns_usage(worker_txns(r->worker), &u);
    assert_int_equal(u.transactions, 0);
    assert_int_equal(u.scopes, 0);
    assert_int_equal(u.blocks, 0);
    assert_int_equal(u.cells, 0);
    assert_int_equal(u.kept, 0);
    /* The directory's expiry, and that of calls which the script has not ended. */
    assert_int_equal(worker_timers(r->worker), 1 + rig_calls(r));
    assert_int_equal(fake_queries(r->loop), 0);
    rig_abandon(r);
}

void rig_abandon(struct rig *r)
{
    groups_set_changed(r->shared.groups, NULL, NULL);
    worker_free(&r->worker);
    r->loop = NULL;
    auth_free(&r->shared.auth);
    dn_dir_free(&r->shared.dir);
    load_shared_free(&r->shared.load);
    groups_free(&r->shared.groups);
    flow_tls_free(&r->shared.flow_tls);
    conf_free(&r->conf);
    net_tls_keys_free(&r->keys);
}

void rig_reload(struct rig *r, const char *options)
{
    struct conf *old = r->conf;
    load_conf(r, options);
    configure_tls(r);
    assert_int_equal(dn_dir_configure(r->shared.dir, r->conf->dns, r->conf->ndns), 0);
    assert_int_equal(
        groups_configure(r->shared.groups, r->conf->groups, r->conf->ngroups, net_now(r->loop)), 0);
    worker_reload(r->worker, r->conf);
    fake_run(r->loop);
    assert_ptr_equal(worker_conf_seen(r->worker), r->conf);
    conf_free(&old);
}

void rig_drain(struct rig *r)
{
    worker_drain(r->worker);
    fake_run(r->loop);
}

unsigned rig_calls(const struct rig *r)
{
    return calls_count(worker_calls(r->worker));
}

unsigned rig_transactions(const struct rig *r)
{
    struct txn_usage u;
    txns_usage(worker_txns(r->worker), &u);
    return u.transactions;
}

uint64_t rig_counter(const struct rig *r, enum counter id)
{
    return counter_get(worker_counters(r->worker), id);
}

unsigned rig_heard(enum event ev)
{
    return heard(ev);
}

/* --- sending --- */

/* \n becomes CRLF up to the empty line; the body stays as it is. */
static struct slice crlf(const char *text, char *out, size_t cap)
{
    size_t n = 0;
    bool in_body = false;
    for (const char *p = text; *p != '\0'; p++) {
        assert_true(n + 2 < cap);
        if (*p == '\n' && !in_body && (p == text || p[-1] != '\r'))
            out[n++] = '\r';
        out[n++] = *p;
        if (*p == '\n' && p[1] == '\n' && !in_body) {
            out[n++] = '\r';
            out[n++] = '\n';
            in_body = true;
            p++;
        }
    }
    return slice_of(out, n);
}

void rig_udp_to(struct rig *r, const char *from, const char *to, const char *text)
{
    static char bytes[SIP_MSG_MAX];
    assert_true(fake_datagram(r->loop, from, to, crlf(text, bytes, sizeof(bytes))));
    fake_run(r->loop);
}

void rig_udp(struct rig *r, const char *from, const char *text)
{
    rig_udp_to(r, from, "10.0.0.1:5060", text);
}

void rig_tcp(struct fake_conn *conn, const char *text)
{
    static char bytes[SIP_MSG_MAX];
    fake_send(conn, crlf(text, bytes, sizeof(bytes)));
}

/* --- looking --- */

static void take(struct slice bytes, bool is_stream, struct got *got)
{
    struct sip_fault fault = {0};
    assert_true(bytes.len < sizeof(got->text));
    memcpy(got->text, bytes.ptr, bytes.len);
    got->text[bytes.len] = '\0';
    int err = sip_msg_parse(&got->msg, got->text, bytes.len, is_stream, got->hdrs, SIP_HDRS_MAX,
                            &sip_limits_default, &fault);
    if (err != 0)
        fail_msg("what was sent is no SIP (%s):\n%s", fault.reason, got->text);
}

void rig_expect(struct rig *r, const char *to, struct got *got)
{
    struct fake_datagram d;
    if (!fake_take_datagram(r->loop, to, &d))
        fail_msg("nothing was sent to %s", to != NULL ? to : "anyone");
    take(d.bytes, false, got);
    got->from = d.from;
}

void rig_expect_tcp(struct fake_conn *conn, struct got *got)
{
    struct slice bytes;
    if (!fake_take_message(conn, &bytes))
        fail_msg("nothing came on the connection");
    take(bytes, true, got);
}

void rig_expect_none(struct rig *r, const char *to)
{
    struct fake_datagram d;
    if (fake_take_datagram(r->loop, to, &d))
        fail_msg("unexpected datagram:\n%.*s", SLICE_ARG(d.bytes));
}

void rig_expect_none_tcp(struct fake_conn *conn)
{
    struct slice bytes = fake_peek(conn);
    if (bytes.len != 0)
        fail_msg("unexpected bytes:\n%.*s", SLICE_ARG(bytes));
}

void rig_expect_status(struct rig *r, const char *to, unsigned status, struct got *got)
{
    rig_expect(r, to, got);
    if (got->msg.is_request || got->msg.status != status)
        fail_msg("expected %u, got:\n%s", status, got->text);
}

void rig_expect_method(struct rig *r, const char *to, const char *method, struct got *got)
{
    rig_expect(r, to, got);
    if (!got->msg.is_request ||
        !slice_eq(sip_get(&got->msg, got->msg.method_text), slice_str(method)))
        fail_msg("expected %s, got:\n%s", method, got->text);
}

/* --- answering --- */

static void add_lines(struct buf *b, const struct sip_msg *m, enum sip_hdr_id id)
{
    for (const struct sip_hdr *h = sip_hdr_first(m, id); h != NULL; h = sip_hdr_after(m, h)) {
        buf_slice(b, sip_hdr_name(id));
        buf_lit(b, ": ");
        buf_slice(b, sip_hdr_value(m, h));
        buf_char(b, '\n');
    }
}

const char *rig_response(const struct got *req, unsigned status, const char *tag, const char *extra)
{
    static char text[8192];
    const struct sip_msg *m = &req->msg;
    struct buf b;
    buf_init(&b, text, sizeof(text) - 1);
    buf_printf(&b, "SIP/2.0 %u %.*s\n", status, SLICE_ARG(sip_reason_text(status)));
    add_lines(&b, m, SIP_H_VIA);
    add_lines(&b, m, SIP_H_RECORD_ROUTE);
    add_lines(&b, m, SIP_H_FROM);
    buf_printf(&b, "To: %.*s", SLICE_ARG(sip_value(m, SIP_H_TO)));
    if (m->to_tag.len == 0 && tag[0] != '\0')
        buf_printf(&b, ";tag=%s", tag);
    buf_char(&b, '\n');
    add_lines(&b, m, SIP_H_CALL_ID);
    add_lines(&b, m, SIP_H_CSEQ);
    buf_str(&b, extra);
    if (strstr(extra, "Content-Length") == NULL)
        buf_lit(&b, "Content-Length: 0\n\n");
    assert_false(b.overflow);
    text[b.len] = '\0';
    return text;
}

/* --- values --- */

const char *rig_value(const struct got *g, enum sip_hdr_id id, unsigned n)
{
    static char text[2048];
    struct sip_iter it;
    struct slice element;
    sip_iter_init(&it, &g->msg, id);
    while (sip_iter_next(&it, &element)) {
        if (n-- != 0)
            continue;
        (void)slice_cstr(element, text, sizeof(text));
        return text;
    }
    return "";
}

unsigned rig_count(const struct got *g, enum sip_hdr_id id)
{
    struct sip_iter it;
    struct slice element;
    unsigned n = 0;
    sip_iter_init(&it, &g->msg, id);
    while (sip_iter_next(&it, &element))
        n++;
    return n;
}

const char *rig_uri(const struct got *g)
{
    static char text[1024];
    (void)slice_cstr(sip_get(&g->msg, g->msg.uri), text, sizeof(text));
    return text;
}
