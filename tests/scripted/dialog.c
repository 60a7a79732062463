/* SPDX-License-Identifier: Apache-2.0 */
#include "dialog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct scene s;

int scene_teardown(void **state)
{
    (void)state;
    rig_close(&s.r);
    return 0;
}

void begin(const char *options, bool caller_by_tcp)
{
    rig_open(&s.r, options);
    s.phone = register_tcp(&s.r, "1001", "10.0.0.3", "");
    s.caller = NULL;
    if (caller_by_tcp)
        s.caller = fake_connect(s.r.loop, "10.0.0.2:41000", PROXY);
    fake_advance(s.r.loop, 7000); /* the 200 is not worth sending again any more */
}

const char scene_contact[] = "Contact: <sip:1001@10.0.0.3:5060;transport=tcp>\n";

void caller_says(const struct say *what)
{
    struct say w = *what;
    if (s.caller == NULL) {
        say_udp(&s.r, CALLER, &w);
        return;
    }
    w.transport = "TCP";
    if (w.contact == NULL)
        w.contact = "<sip:alice@10.0.0.2:5060;transport=tcp>";
    say_tcp(s.caller, &w);
}

void caller_gets(unsigned status)
{
    do {
        if (s.caller != NULL)
            rig_expect_tcp(s.caller, &s.got);
        else
            rig_expect(&s.r, CALLER, &s.got);
    } while (s.got.msg.status == 100);
    if (s.got.msg.status != status)
        fail_msg("expected %u, got:\n%s", status, s.got.text);
}

void ringing(void)
{
    caller_says(&(struct say){.branch = "i1"});
    expect_tcp_method(s.phone, "INVITE", &s.inv);
    answer_tcp(s.phone, &s.inv, 180, scene_contact);
    caller_gets(180);
}

/* A request of the caller inside the dialog. */
struct say in_dialog(const char *method)
{
    static char routes[1024], branch[32];
    static unsigned n;
    snprintf(routes, sizeof(routes), "%s", route_set(&s.ok, true));
    snprintf(branch, sizeof(branch), "%s%u", method, ++n);
    return (struct say){.method = method,
                        .uri = "sip:1001@10.0.0.3:5060;transport=tcp",
                        .branch = branch,
                        .to = "<sip:1001@10.0.0.1>;tag=t",
                        .cseq = 2,
                        .extra = routes};
}

void answered(void)
{
    ringing();
    answer_tcp(s.phone, &s.inv, 200, scene_contact);
    caller_gets(200);
    s.ok = s.got;
    s.ok.msg.base = s.ok.text;
    s.ok.msg.hdrs = s.ok.hdrs;
}

void established(const char *options, bool caller_by_tcp)
{
    begin(options, caller_by_tcp);
    answered();
    struct say ack = in_dialog("ACK");
    ack.cseq = 1;
    caller_says(&ack);
    expect_tcp_method(s.phone, "ACK", &s.got);
    fake_advance(s.r.loop, 40000); /* nothing of the call is under way any more */
    assert_int_equal(rig_calls(&s.r), 1);
    assert_int_equal(rig_transactions(&s.r), 0);
}

/* A request of the phone inside the dialog. */
void phone_says(const char *method)
{
    static char routes[1024], to[256];
    snprintf(routes, sizeof(routes), "%s", route_set(&s.inv, false));
    snprintf(to, sizeof(to), "%s", rig_value(&s.inv, SIP_H_FROM, 0));
    say_tcp(s.phone, &(struct say){.method = method,
                                   .uri = s.caller != NULL ? "sip:alice@10.0.0.2:5060;transport=tcp"
                                                           : "sip:alice@10.0.0.2:5060",
                                   .transport = "TCP",
                                   .sent_by = "10.0.0.3:5060",
                                   .branch = method,
                                   .from = "<sip:1001@10.0.0.1>;tag=t",
                                   .to = to,
                                   .cseq = 7,
                                   .contact = "<sip:1001@10.0.0.3:5060;transport=tcp>",
                                   .extra = routes});
}

void caller_gets_bye(void)
{
    if (s.caller != NULL)
        expect_tcp_method(s.caller, "BYE", &s.got);
    else
        rig_expect_method(&s.r, CALLER, "BYE", &s.got);
    assert_non_null(strstr(s.got.text, LOST));
    assert_string_equal(rig_value(&s.got, SIP_H_CALL_ID, 0), "c1");
    assert_int_equal(rig_count(&s.got, SIP_H_VIA), 1);
    assert_true(slice_eq(sip_get(&s.got.msg, s.got.msg.from_tag), SLICE("t")));
    assert_true(slice_eq(sip_get(&s.got.msg, s.got.msg.to_tag), SLICE("a")));
    if (s.caller != NULL)
        answer_tcp(s.caller, &s.got, 200, "");
    else
        answer_udp(&s.r, CALLER, &s.got, 200, "");
}

void phone_gets_bye(struct fake_conn *by)
{
    expect_tcp_method(by, "BYE", &s.got);
    assert_non_null(strstr(s.got.text, LOST));
    assert_string_equal(rig_uri(&s.got), "sip:1001@10.0.0.3:5060;transport=tcp");
    assert_true(slice_eq(sip_get(&s.got.msg, s.got.msg.from_tag), SLICE("a")));
    assert_true(slice_eq(sip_get(&s.got.msg, s.got.msg.to_tag), SLICE("t")));
    answer_tcp(by, &s.got, 200, "");
}

/* No record, and in a while no transaction either. */
void nothing_is_left(void)
{
    assert_int_equal(rig_calls(&s.r), 0);
    fake_advance(s.r.loop, 40000);
    assert_int_equal(rig_transactions(&s.r), 0);
    rig_expect_none(&s.r, NULL);
}

void phone_is_gone(void)
{
    fake_forget(s.phone);
    fake_set_peer(s.r.loop, PHONE, FAKE_REFUSE);
}

void caller_is_gone(void)
{
    fake_forget(s.caller);
    fake_set_peer(s.r.loop, CALLER, FAKE_REFUSE);
}
