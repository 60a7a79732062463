/* SPDX-License-Identifier: Apache-2.0 */
#include "scripted/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/log.h"
#include "flow/flow_int.h"
#include "rows.h"

static int on_message(void *user, const struct sip_msg *m, const struct flow_origin *o)
{
    struct wire_worker *x = user;
    struct wire *w = x->wire;
    assert_true(w->nmsgs < WIRE_LOG);
    struct wire_msg *msg = &w->msgs[w->nmsgs++];
    msg->origin = *o;
    msg->worker = x->index;
    flow_response_dest(o, &m->via, &msg->back);
    return 0;
}

static void on_event(void *user, const struct flow_event *ev)
{
    struct wire_worker *x = user;
    struct wire *w = x->wire;
    assert_true(w->nevents < WIRE_LOG);
    w->event_worker[w->nevents] = x->index;
    w->events[w->nevents++] = *ev;
    if (w->react != NULL)
        w->react(w, x->index, ev);
}

static void on_accepted(void *user, const struct addr *remote)
{
    struct wire *w = ((struct wire_worker *)user)->wire;
    w->naccepted++;
    w->accepted = *remote;
}

static void on_alarm(void *user)
{
    struct wire *w = user;
    wheel_advance(&w->wheel, net_now(w->loop));
}

static void take_mail(struct wire *w)
{
    struct mail *mail;
    for (unsigned i = 0; i < w->nworkers; i++) {
        while (w->flows_of[i] != NULL && (mail = mailbox_take(&w->box[i])) != NULL)
            flows_on_mail(w->flows_of[i], mail);
    }
}

static void check_stage(void *object, uint64_t id, void *user)
{
    static const enum counter gauges[2][FLOW_STAGE_REOPENING + 1] = {
        {0, CTR_TCP_OPENING, CTR_TCP_UP, CTR_TCP_SUSPECT, CTR_TCP_SUSPECT},
        {0, CTR_TLS_OPENING, CTR_TLS_UP, CTR_TLS_SUSPECT, CTR_TLS_SUSPECT}};
    const struct flow *f = object;
    uint64_t *seen = user;
    (void)id;
    assert_int_equal(f->stage, flow_stage(f));
    if (f->stage != FLOW_STAGE_NONE)
        seen[gauges[f->transport == SIP_TLS][f->stage]]++;
}

/* The gauges tell the truth, after every turn. */
static void check_gauges(struct wire *w)
{
    uint64_t seen[COUNTER_MAX] = {0};
    for (unsigned i = 0; i < w->nworkers; i++)
        if (w->flows_of[i] != NULL)
            pool_each(&w->flows_of[i]->pool, check_stage, seen);
    for (enum counter c = CTR_TCP_OPENING; c <= CTR_TLS_SUSPECT; c++)
        assert_int_equal(counter_get(&w->counters, c), seen[c]);
}

static void on_turn_end(void *user)
{
    struct wire *w = user;
    take_mail(w);
    wheel_advance(&w->wheel, net_now(w->loop));
    for (unsigned i = 0; i < w->nworkers; i++) {
        if (w->flows_of[i] != NULL)
            flows_flush(w->flows_of[i]);
    }
    take_mail(w);
    check_gauges(w);
    net_alarm(w->loop, wheel_next(&w->wheel));
}

void wire_turn(struct wire *w)
{
    on_turn_end(w);
    fake_run(w->loop);
}

void wire_init(struct wire *w)
{
    memset(w, 0, sizeof(*w));
    w->nworkers = 1;
    w->key = (struct hash_key){3, 4};
    w->listen = (struct addr){.family = ADDR_IP4, .port = 5060, .ip = {10, 0, 0, 1}};
    w->conf = (struct flow_conf){
        .listen = &w->listen,
        .nlisten = 1,
        .wedged_after = 3,
        .sockopt =
            {.keep_alive = true, .keep_idle = 2, .keep_interval = 1, .keep_probes = 2, .tos = 256},
        .unacked_timeout_ms = 5000,
        .reopen_delay_ms = 1000,
        .connect_timeout_ms = 3000,
        .max_connections = 1000,
        .max_queue = 1u << 20,
        .partial_timeout_ms = 10000,
        .reopen_per_second = 100,
        .limits = sip_limits_default,
    };
}

void wire_profile(struct wire *w, const char *name, bool verify_client, bool verify_server)
{
    struct net_tls_conf conf = {
        .certificate = "our.pem", .verify_client = verify_client, .verify_server = verify_server};
    struct flow_tls_profile *p = &w->profiles[w->nprofiles++];
    char why[128];
    assert_true(w->nprofiles <= WIRE_PROFILES);
    if (w->keys == NULL) {
        assert_int_equal(net_tls_keys_new(&w->keys), 0);
        assert_int_equal(flow_tls_new(&w->conf.tls), 0);
        w->conf.tls_port = 5061;
    }
    p->name = slice_str(name);
    assert_int_equal(net_tls_new(&conf, w->keys, why, sizeof(why), &p->tls), 0);
}

void wire_no_profiles(struct wire *w)
{
    while (w->nprofiles > 0)
        net_tls_release(&w->profiles[--w->nprofiles].tls);
}

void wire_configure(struct wire *w)
{
    if (w->conf.tls != NULL) {
        int rc = flow_tls_configure(w->conf.tls, w->profiles, w->nprofiles);
        assert_true(rc == 0 || (rc == ERR_NOMEM && mem_failed()));
    }
    for (unsigned i = 0; i < w->nworkers; i++) {
        if (w->flows_of[i] != NULL)
            flows_set_conf(w->flows_of[i], &w->conf);
    }
}

void wire_open(struct wire *w)
{
    const struct net_loop_events lev = {on_alarm, NULL, on_turn_end, w};
    struct addr failed;
    w->log_fd = memfd_create("log", MFD_CLOEXEC);
    assert_true(w->log_fd >= 0);
    log_setup(LOG_INFO, LOG_TEXT);
    log_set_fd(w->log_fd);
    event_reset(NULL);
    assert_int_equal(net_loop_new(&w->loop, &lev), 0);
    wheel_init(&w->wheel, net_now(w->loop));
    wire_configure(w);
    for (unsigned i = 0; i < w->nworkers; i++) {
        mailbox_init(&w->box[i], 1000, NULL, NULL);
        w->boxes[i] = &w->box[i];
    }
    for (unsigned i = 0; i < w->nworkers; i++) {
        w->workers[i] = (struct wire_worker){w, i};
        struct flow_events ev = {.on_message = on_message,
                                 .on_event = on_event,
                                 .user = &w->workers[i],
                                 .on_accepted = on_accepted};
        assert_int_equal(flows_new(w->loop, &w->wheel, &w->conf, i, w->nworkers, w->boxes, &w->key,
                                   &w->counters, &ev, &w->flows_of[i], &failed),
                         0);
    }
    w->flows = w->flows_of[0];
}

void wire_close(struct wire *w)
{
    for (unsigned i = 0; i < w->nworkers; i++)
        flows_free(&w->flows_of[i]);
    check_gauges(w);
    assert_int_equal(w->wheel.count, 0);
    for (unsigned i = 0; i < w->nworkers; i++)
        mailbox_fini(&w->box[i]);
    net_loop_free(&w->loop);
    wire_no_profiles(w);
    flow_tls_free(&w->conf.tls);
    net_tls_keys_free(&w->keys);
    log_set_fd(-1);
    log_setup(LOG_ERROR, LOG_TEXT);
    close(w->log_fd);
}

struct flow_dest wire_dest(struct wire *w, const char *to, enum sip_transport t, const char *name)
{
    struct flow_dest d = {.transport = (uint8_t)t};
    assert_int_equal(addr_parse(slice_str(to), 0, &d.remote), 0);
    if (name != NULL)
        d.tls_peer = flows_tls_peer(w->flows, SLICE_NONE, slice_str(name));
    return d;
}

int wire_send(struct wire *w, unsigned worker, struct flow_dest *dest, const char *text,
              unsigned flags)
{
    int rc = flows_send(w->flows_of[worker], dest, text, strlen(text), flags);
    wire_turn(w);
    return rc;
}

void wire_expect(struct fake_conn *conn, const char *text)
{
    assert_non_null(conn);
    struct slice got = fake_peek(conn);
    if (slice_eq(got, slice_str(text)))
        return;
    print_error("\"%s\" expected, \"%.*s\" came\n", text, SLICE_ARG(got));
    fail();
}

void wire_request(struct fake_conn *conn, const char *transport, const char *via)
{
    char text[1024];
    int n = snprintf(text, sizeof(text),
                     "OPTIONS sip:test@10.0.0.1 SIP/2.0\r\n"
                     "Via: SIP/2.0/%s %s;branch=z9hG4bK1\r\n"
                     "Max-Forwards: 70\r\n"
                     "From: <sip:a@10.0.0.1>;tag=1\r\n"
                     "To: <sip:b@10.0.0.1>\r\n"
                     "Call-ID: c1\r\n"
                     "CSeq: 1 OPTIONS\r\n"
                     "Content-Length: 0\r\n\r\n",
                     transport, via);
    assert_non_null(conn);
    fake_send(conn, slice_of(text, (size_t)n));
}

uint64_t wire_counter(const struct wire *w, enum counter c)
{
    return counter_get(&w->counters, c);
}

unsigned wire_logged(struct wire *w, const char *text)
{
    static char all[1 << 16];
    ssize_t len = pread(w->log_fd, all, sizeof(all) - 1, 0);
    unsigned n = 0;
    assert_true(len >= 0);
    all[len] = '\0';
    for (const char *p = all; (p = strstr(p, text)) != NULL; p += strlen(text))
        n++;
    return n;
}

bool wire_listed(struct wire *w, const char *text)
{
    static struct rows rows;
    const struct row_sink sink = rows_begin(&rows);
    for (unsigned i = 0; i < w->nworkers; i++) {
        uint32_t at = 0;
        while (flows_rows_some(w->flows_of[i], &at, 100, &sink)) {
        }
    }
    return rows_have(&rows, text);
}
