/* SPDX-License-Identifier: Apache-2.0 */
/* What the list of transactions says of each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "rows.h"
#include "scripted/stage.h"

static struct stage s;
static struct rows rows;

/* One row has all of the text, which begins with a column. */
static void expect(const char *text)
{
    const struct row_sink sink = rows_begin(&rows);
    uint32_t at = 0;
    while (txns_rows_some(s.txns, &at, 2, &sink)) {
    }
    if (!rows_have(&rows, text))
        fail_msg("\"%s\" expected in: %s", text, rows.text);
}

static void by_datagrams(void **state)
{
    char line[512], branch[64];
    struct flow_dest to = stage_dest(UAS, SIP_UDP);
    (void)state;
    stage_start(&s, false);
    stage_udp(&s, "INVITE", "z9hG4bKa");
    uint64_t server = s.server;
    (void)snprintf(line, sizeof(line),
                   "transaction id=%016llx kind=server method=INVITE state=proceeding "
                   "call_id=call-1@10.0.0.9 branch=z9hG4bKa remote=" UAC
                   " transport=udp connection=\"\" "
                   "age_ms=0 ends_ms=0\n",
                   (unsigned long long)server);
    expect(line);
    uint64_t client = stage_branch(&s, server, SIP_INVITE, &to);
    advance(&s, 100);
    expect_udp(&s, UAS, "INVITE");
    const char *at = memmem(s.last.ptr, s.last.len, "branch=", 7);
    assert_non_null(at);
    (void)slice_cstr(slice_of(at + 7, strcspn(at + 7, ";\r")), branch, sizeof(branch));
    (void)snprintf(
        line, sizeof(line),
        " id=%016llx kind=client method=INVITE state=calling call_id=call-2@10.0.0.9 branch=%s "
        "remote=" UAS " transport=udp connection=\"\" age_ms=100 ends_ms=31900\n",
        (unsigned long long)client, branch);
    expect(line);
    stage_answer_udp(&s, 486);
    expect(" kind=client method=INVITE state=completed ");
    (void)stage_reply(&s, server, 486);
    /* Of what was sent, where the request is gone. */
    advance(&s, 10);
    expect(" kind=server method=INVITE state=completed call_id=call-1@10.0.0.9 branch=z9hG4bKa ");
    stage_udp(&s, "STRANGE", "z9hG4bKb");
    expect(" kind=server method=STRANGE state=trying call_id=call-1@10.0.0.9 branch=z9hG4bKb ");
    (void)stage_reply(&s, s.server, 200);
    stage_stop(&s);
}

static void by_a_connection(void **state)
{
    char line[256];
    struct flow_dest to = stage_dest(UAS, SIP_TCP);
    (void)state;
    stage_start(&s, true);
    uint64_t client = stage_client(&s, SIP_INFO, &to);
    stage_turn(&s);
    expect(" kind=client method=INFO state=trying ");
    expect(" transport=tcp connection=0");
    expect(" ends_ms=32000\n");
    (void)snprintf(line, sizeof(line), " id=%016llx ", (unsigned long long)client);
    expect(line);
    advance(&s, 40000);
    expect("");
    assert_int_equal(rows.n, 0);
    stage_stop(&s);
}

/* Of an ACK no transaction knows whose it is: its connection does. */
static void a_copy_is_logged_with_its_dn(void **state)
{
    char text[4096];
    struct flow_dest to = stage_dest("10.0.0.9:5060", SIP_TCP);
    int fd = memfd_create("log", MFD_CLOEXEC);
    (void)state;
    assert_true(fd >= 0);
    stage_start(&s, true);
    struct fake_conn *conn = fake_connect(s.loop, "10.0.0.9:41000", US);
    fake_send(conn, stage_request(&s, "OPTIONS", "z9hG4bKo", "TCP"));
    to.flow = txn_origin(s.txns, s.server)->flow;
    assert_int_equal(stage_reply(&s, s.server, 200), 0);
    flows_set_dn(s.flows, to.flow, SLICE("1001"));
    assert_true(slice_eq(flows_dn(s.flows, to.flow), SLICE("1001")));
    assert_int_equal(flows_dn(s.flows, 0).len, 0);
    assert_int_equal(
        txn_send_stateless(s.txns, &to, stage_request(&s, "ACK", "z9hG4bKa", "TCP"), NULL, NULL, 0),
        0);
    stage_turn(&s);
    log_setup(LOG_INFO, LOG_TEXT);
    log_set_fd(fd);
    fake_reset(conn);
    advance(&s, 10);
    log_set_fd(-1);
    log_setup(LOG_ERROR, LOG_TEXT);
    ssize_t len = pread(fd, text, sizeof(text) - 1, 0);
    assert_true(len > 0);
    text[len] = '\0';
    close(fd);
    assert_non_null(strstr(text, " txn request sent again message=ACK peer="));
    assert_non_null(strstr(text, " dn=1001\n"));
    assert_null(strstr(text, "left_out")); /* nor an address that is not known */
    stage_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_datagrams),
        cmocka_unit_test(by_a_connection),
        cmocka_unit_test(a_copy_is_logged_with_its_dn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
