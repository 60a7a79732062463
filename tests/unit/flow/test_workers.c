/* SPDX-License-Identifier: Apache-2.0 */
/* Flows of another worker: provisional ids, events, and the order of messages when a connection is
 * replaced. Both workers live on one loop, so that a test decides who looks into its mailbox when.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/pool.h"
#include "flow/aliases.h"
#include "flow/counts.h"
#include "rig.h"

static struct rig r;
static int peer, peer_fd, conn;
static struct addr peer_at;
static struct flow_dest dest;
static char text_bytes[1 << 16];
static struct buf text;
static const char *want_text;
static unsigned want_events, owner, other;

static bool got_events(struct rig *x)
{
    return x->nevents >= want_events;
}

static bool got_message(struct rig *x)
{
    return x->nmsgs != 0;
}

static bool got_text(struct rig *x)
{
    (void)x;
    if (conn < 0)
        conn = peer_accept(peer);
    while (conn >= 0 && peer_read(conn, &text) > 0) {
    }
    return strstr(text_bytes, want_text) != NULL;
}

static void begin_with_conf(void)
{
    r.nworkers = 2;
    r.conf.sockopt.keep_alive = true;
    peer_at = (struct addr){.family = ADDR_IP4, .ip = {127, 0, 0, 1}};
    peer = peer_listen(&peer_at);
    peer_fd = conn = -1;
    buf_init(&text, text_bytes, sizeof(text_bytes));
    text_bytes[0] = '\0';
    rig_start(&r, "127.0.0.1");
}

static void begin(void)
{
    rig_conf(&r);
    begin_with_conf();
}

static void end(void)
{
    if (peer_fd >= 0)
        close(peer_fd);
    if (conn >= 0)
        close(conn);
    close(peer);
    rig_stop(&r);
}

static int send_by(unsigned worker, const char *s, unsigned flags)
{
    return flows_send(r.flows_of[worker], &dest, s, strlen(s), flags);
}

/* A device's flow; whoever accepted it owns it. */
static void device(void)
{
    char req[1024];
    peer_fd = peer_connect(&r.listen);
    size_t len = sip_options(req, sizeof(req), "TCP", "127.0.0.1:5070", 1, "");
    peer_write(peer_fd, req, len);
    rig_until(&r, got_message);
    dest =
        (struct flow_dest){.flow = r.msgs[0].origin.flow, .remote = peer_at, .transport = SIP_TCP};
    owner = pool_id_worker(dest.flow);
    other = 1 - owner;
}

static void test_both_find_the_same_connection(void **state)
{
    struct flow_dest first, again;
    (void)state;
    begin();
    dest = first = (struct flow_dest){.remote = peer_at, .transport = SIP_TCP};
    assert_int_equal(send_by(0, "a", FLOW_SEND_REQUEST), 0);
    first = dest;
    dest.flow = 0;
    assert_int_equal(send_by(1, "b", FLOW_SEND_REQUEST), 0);
    again = dest;
    assert_true(first.flow != 0 && again.flow != 0 && first.flow != again.flow);
    assert_true(flows_is_alive(r.flows_of[1], again.flow));
    want_events = 1;
    rig_until(&r, got_events);
    /* One of them does not own it and was given a provisional id. */
    unsigned asker = r.event_worker[0];
    uint64_t provisional = asker == 0 ? first.flow : again.flow;
    uint64_t real = asker == 0 ? again.flow : first.flow;
    assert_int_equal(r.nevents, 1);
    assert_int_equal(r.events[0].kind, FLOW_RENAMED);
    assert_true(r.events[0].flow == provisional);
    assert_true(r.events[0].to == real);
    /* Both ids lead there. */
    dest.flow = provisional;
    assert_int_equal(send_by(asker, "c", FLOW_SEND_REQUEST), 0);
    want_text = "c";
    rig_until(&r, got_text);
    assert_int_equal(text.len, 3);
    assert_int_equal(rig_counter(&r, CTR_FLOW_OPENED), 1);
    end();
}

static void test_failure_reaches_the_sender(void **state)
{
    (void)state;
    begin();
    close(peer);
    for (unsigned i = 0; i < 2; i++) {
        dest = (struct flow_dest){.remote = peer_at, .transport = SIP_TCP};
        int rc = send_by(i, "x", FLOW_SEND_REQUEST);
        if (rc != 0) { /* the owner, at once */
            assert_true(rc == -ECONNREFUSED || rc == ERR_UNREACHABLE);
            continue;
        }
        want_events = 1;
        rig_until(&r, got_events);
        assert_int_equal(r.events[r.nevents - 1].kind, FLOW_FAILED);
        assert_true(r.events[r.nevents - 1].err == -ECONNREFUSED ||
                    r.events[r.nevents - 1].err == ERR_UNREACHABLE);
    }
    peer = peer_listen(&peer_at);
    end();
}

static void test_foreign_send(void **state)
{
    (void)state;
    begin();
    device();
    assert_int_equal(send_by(other, "hello", FLOW_SEND_REQUEST), 0);
    conn = peer_fd;
    peer_fd = -1;
    want_text = "hello";
    rig_until(&r, got_text);
    assert_int_equal(r.nevents, 0);
    /* Closing it from there tells who sent. */
    flows_close(r.flows_of[other], dest.flow, ERR_SHUTDOWN);
    want_events = 1;
    rig_until(&r, got_events);
    assert_int_equal(r.events[0].kind, FLOW_DEAD);
    assert_int_equal(r.event_worker[0], other);
    assert_int_equal(flows_count(r.flows_of[owner]), 0);
    end();
}

static void resend_both(struct rig *x, unsigned worker, const struct flow_event *ev)
{
    (void)x;
    if (ev->kind != FLOW_DEAD)
        return;
    unsigned flags = FLOW_SEND_REQUEST | FLOW_SEND_RESEND;
    assert_int_equal(send_by(worker, worker == owner ? "own1," : "invite,", flags), 0);
    assert_int_equal(send_by(worker, worker == owner ? "own2," : "cancel,", flags), 0);
}

/* What a worker sent before it was told of the death waits behind what it sends again. */
static void test_order_when_the_connection_dies(void **state)
{
    (void)state;
    begin();
    device();
    r.react = resend_both;
    assert_int_equal(send_by(owner, "own1,", FLOW_SEND_REQUEST), 0);
    assert_int_equal(send_by(other, "invite,", FLOW_SEND_REQUEST), 0);
    rig_idle(&r, 5);
    r.hold_mail[other] = true;
    peer_reset(peer_fd);
    peer_fd = -1;
    want_events = 1;
    rig_until(&r, got_events);
    assert_int_equal(r.event_worker[0], owner);
    /* The other one does not know yet. */
    assert_int_equal(send_by(other, "late,", FLOW_SEND_REQUEST), 0);
    want_text = "own1,own2,";
    rig_until(&r, got_text);
    r.hold_mail[other] = false;
    want_text = "late,";
    rig_until(&r, got_text);
    assert_string_equal(text_bytes, "own1,own2,invite,cancel,late,");
    assert_int_equal(r.nevents, 2);
    assert_int_equal(rig_counter(&r, CTR_REOPENED), 1);
    end();
}

static void resend_late(struct rig *x, unsigned worker, const struct flow_event *ev)
{
    (void)x;
    unsigned flags = FLOW_SEND_REQUEST | FLOW_SEND_RESEND;
    if (ev->kind != FLOW_DEAD || worker != other)
        return;
    assert_int_equal(send_by(worker, "invite,", flags), 0);
    assert_int_equal(send_by(worker, "late,", flags), 0);
}

/* What was on its way for the first time when its sender was told goes once. */
static void test_no_second_copy_when_the_connection_dies(void **state)
{
    (void)state;
    begin();
    device();
    r.react = resend_late;
    assert_int_equal(send_by(other, "invite,", FLOW_SEND_REQUEST), 0);
    rig_idle(&r, 5);
    r.hold_mail[other] = true;
    peer_reset(peer_fd);
    peer_fd = -1;
    rig_idle(&r, 5);
    assert_int_equal(send_by(other, "late,", FLOW_SEND_REQUEST), 0);
    assert_int_equal(send_by(other, "ok,", 0), 0);
    rig_idle(&r, 5);
    r.hold_mail[other] = false;
    want_text = "ok,";
    rig_until(&r, got_text);
    rig_idle(&r, 5);
    assert_true(got_text(&r));
    assert_string_equal(text_bytes, "invite,late,ok,");
    assert_int_equal(r.nevents, 1);
    end();
}

static bool no_flows(struct rig *x)
{
    return flows_count(x->flows_of[0]) + flows_count(x->flows_of[1]) == 0;
}

/* Only the other worker sent: the slot waits for it, and goes when it has nothing to say. */
static void test_slot_waits_for_the_other_worker(void **state)
{
    (void)state;
    begin();
    device();
    assert_int_equal(send_by(other, "invite,", FLOW_SEND_REQUEST), 0);
    rig_idle(&r, 5);
    r.hold_mail[other] = true;
    peer_reset(peer_fd);
    peer_fd = -1;
    rig_idle(&r, 20);
    assert_int_equal(flows_count(r.flows_of[owner]), 1);
    assert_false(flows_is_alive(r.flows_of[owner], dest.flow));
    r.hold_mail[other] = false;
    rig_until(&r, no_flows);
    assert_int_equal(r.nevents, 1);
    assert_int_equal(peer_accept(peer), -1);
    end();
}

static void test_slot_does_not_wait_for_ever(void **state)
{
    (void)state;
    begin();
    device();
    assert_int_equal(send_by(other, "invite,", FLOW_SEND_REQUEST), 0);
    rig_idle(&r, 5);
    r.hold_mail[other] = true;
    peer_reset(peer_fd);
    peer_fd = -1;
    rig_until(&r, no_flows);
    r.hold_mail[other] = false;
    rig_idle(&r, 5);
    end();
}

/* An id that died is stale with its owner, which opens; the sender learns the new name. */
static void test_stale_id_of_the_other_worker(void **state)
{
    (void)state;
    begin();
    device();
    uint64_t stale = dest.flow;
    close(peer_fd);
    peer_fd = -1;
    rig_until(&r, no_flows);
    assert_int_equal(r.nevents, 0); /* nobody had sent on it */
    assert_int_equal(send_by(other, "new", FLOW_SEND_REQUEST), 0);
    assert_true(dest.flow == stale);
    want_text = "new";
    rig_until(&r, got_text);
    assert_int_equal(r.nevents, 1);
    assert_int_equal(r.events[0].kind, FLOW_RENAMED);
    assert_true(r.events[0].flow == stale);
    assert_int_equal(pool_id_worker(r.events[0].to), owner);
    end();
}

static void test_mailbox_full(void **state)
{
    (void)state;
    begin();
    device();
    r.hold_mail[owner] = true;
    int rc = 0;
    unsigned n;
    for (n = 0; n < 2000 && rc == 0; n++)
        rc = send_by(other, "x", FLOW_SEND_REQUEST);
    assert_int_equal(rc, ERR_FULL);
    assert_int_equal(rig_counter(&r, CTR_MAILBOX_FULL), 1);
    r.hold_mail[owner] = false;
    rig_idle(&r, 5);
    assert_int_equal(send_by(other, "x", FLOW_SEND_REQUEST), 0);
    end();
}

static struct flow_aliases *aliases;
static struct flow_alias alias;

static bool alias_is_gone(struct rig *x)
{
    (void)x;
    return flow_aliases_find(aliases, &alias) == 0;
}

/* A device that asked for an alias is found by whoever has a message for its sent-by address,
 * whichever worker accepted it, as long as it is there. */
static void test_alias_of_another_worker(void **state)
{
    (void)state;
    char req[1024];
    rig_conf(&r);
    assert_int_equal(flow_aliases_new(&r.conf.aliases), 0);
    aliases = r.conf.aliases;
    begin_with_conf();
    peer_fd = peer_connect(&r.listen);
    size_t len = sip_options(req, sizeof(req), "TCP", "127.0.0.1:5071", 1, ";alias");
    peer_write(peer_fd, req, len);
    rig_until(&r, got_message);
    owner = pool_id_worker(r.msgs[0].origin.flow);
    alias = (struct flow_alias){.addr = {.family = ADDR_IP4, .port = 5071, .ip = {127, 0, 0, 1}},
                                .transport = SIP_TCP};
    for (unsigned i = 0; i < 2; i++) {
        dest = (struct flow_dest){.remote = alias.addr, .transport = SIP_TCP};
        assert_int_equal(send_by(i, "x", FLOW_SEND_REQUEST), 0);
        assert_true(dest.flow == r.msgs[0].origin.flow);
    }
    peer_reset(peer_fd);
    peer_fd = -1;
    rig_until(&r, alias_is_gone);
    end();
    flow_aliases_free(&aliases);
}

static struct flow_origin source;

static bool source_is_gone(struct rig *x)
{
    return flows_from(x->flows_of[0], SIP_TCP, &source.remote) == 0;
}

/* An accepted connection is found by where it comes from, whichever worker accepted it. */
static void test_source_of_another_worker(void **state)
{
    (void)state;
    char req[1024];
    rig_conf(&r);
    assert_int_equal(flow_counts_new(&r.conf.counts), 0);
    struct flow_counts *counts = r.conf.counts;
    begin_with_conf();
    peer_fd = peer_connect(&r.listen);
    peer_write(peer_fd, req, sip_options(req, sizeof(req), "TCP", "127.0.0.1:5071", 1, ""));
    rig_until(&r, got_message);
    source = r.msgs[0].origin;
    struct addr elsewhere = source.remote;
    elsewhere.port ^= 1;
    owner = pool_id_worker(source.flow);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(flows_from(r.flows_of[i], SIP_TCP, &source.remote) == source.flow);
        assert_true(flows_from(r.flows_of[i], SIP_TLS, &source.remote) == 0);
        assert_true(flows_from(r.flows_of[i], SIP_UDP, &source.remote) == 0);
        assert_true(flows_from(r.flows_of[i], SIP_TCP, &elsewhere) == 0);
    }
    peer_reset(peer_fd);
    peer_fd = -1;
    rig_until(&r, source_is_gone);
    end();
    flow_counts_free(&counts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_find_the_same_connection),
        cmocka_unit_test(test_failure_reaches_the_sender),
        cmocka_unit_test(test_foreign_send),
        cmocka_unit_test(test_order_when_the_connection_dies),
        cmocka_unit_test(test_no_second_copy_when_the_connection_dies),
        cmocka_unit_test(test_slot_waits_for_the_other_worker),
        cmocka_unit_test(test_slot_does_not_wait_for_ever),
        cmocka_unit_test(test_stale_id_of_the_other_worker),
        cmocka_unit_test(test_alias_of_another_worker),
        cmocka_unit_test(test_source_of_another_worker),
        cmocka_unit_test(test_mailbox_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
