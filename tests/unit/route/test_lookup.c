/* SPDX-License-Identifier: Apache-2.0 */
/* What a Request-URI means: domains, applications, DNs, trunks, relaying, in their order; who may
 * have what. RFC 3261 16.5; RFC 3966; RFC 5031. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "rig.h"

static struct rig r;

static int setup(void **state)
{
    (void)state;
    rig_open(&r);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_close(&r);
    return 0;
}

/* --- relaying --------------------------------------------------------------------------------- */

static void no_open_relay(void **state)
{
    (void)state;
    rig_expect(&r, "sip:a@foreign.example", "403 Relaying Denied");
    rig_expect(&r, "sip:a@10.9.9.9:5070", "403 Relaying Denied");
    rig_expect(&r, "sip:a@proxy.example.com;maddr=10.9.9.9", "403 Relaying Denied");
    r.ask.is_own = true; /* a device may use trunks, and no more */
    rig_expect(&r, "sip:a@foreign.example", "403 Relaying Denied");
    r.ask.may_relay = true;
    rig_expect(&r, "sip:a@foreign.example", "sip:a@foreign.example");
    rig_expect(&r, "sip:a@proxy.example.com;maddr=10.9.9.9",
               "sip:a@proxy.example.com;maddr=10.9.9.9");
    assert_false(r.set.is_local);
    rig_expect(&r, "sip:a@proxy.example.com", "404");
    assert_true(r.set.is_local);
}

/* --- [domain …] ------------------------------------------------------------------------------- */

static void domains(void **state)
{
    struct route_domain list[] = {
        {"example.net", "sip:10.0.0.5", NULL},
        {"*.example.net", "sip:10.0.0.6:5070;transport=tcp", NULL},
        {"*.deep.example.net", "sip:10.0.0.7", NULL},
        {"app.example", NULL, "main"},
        {"none.example", NULL, "gone"},
    };
    (void)state;
    r.conf.others = list;
    r.conf.nothers = sizeof(list) / sizeof(list[0]);
    rig_expect(&r, "sip:a@example.net", "403 Relaying Denied"); /* no open relay */
    rig_expect(&r, "sip:a@app.example", "503");                 /* decides itself */
    r.ask.member = 1;
    rig_expect(&r, "sip:a@example.net", "sip:a@example.net via sip:10.0.0.5");
    r.ask = (struct route_ask){.may_relay = true};
    rig_expect(&r, "sip:a@example.net", "sip:a@example.net via sip:10.0.0.5");
    r.ask = (struct route_ask){.is_own = true};
    rig_expect(&r, "sip:a@example.net", "sip:a@example.net via sip:10.0.0.5");
    rig_expect(&r, "sip:a@Example.NET.:5070", "sip:a@Example.NET.:5070 via sip:10.0.0.5");
    rig_expect(&r, "sip:a@x.example.net",
               "sip:a@x.example.net via sip:10.0.0.6:5070;transport=tcp");
    rig_expect(&r, "sip:a@x.deep.example.net", "sip:a@x.deep.example.net via sip:10.0.0.7");
    rig_expect(&r, "sip:a@deep.example.net",
               "sip:a@deep.example.net via sip:10.0.0.6:5070;transport=tcp");
    rig_expect(&r, "sip:a@xexample.net", "403 Relaying Denied");
    rig_expect(&r, "sip:a@x.example.nets", "403 Relaying Denied");
    rig_expect(&r, "sip:a@example.net;maddr=10.9.9.9", "403 Relaying Denied");
    rig_expect(&r, "sip:a@app.example", "503");
    rig_application(&r, "main", "sip:10.0.0.10 sip:10.0.0.11", true);
    rig_expect(&r, "sip:a@app.example",
               "sip:a@app.example via sip:10.0.0.10 #1, sip:a@app.example via sip:10.0.0.11 #1");
    rig_expect(&r, "sip:a@none.example", "503");
}

/* --- applications ----------------------------------------------------------------------------- */

static void serving_application(void **state)
{
    struct dn_conf dns[] = {{.name = "100", .contact = "sip:100@10.0.0.9"}};
    (void)state;
    rig_dns(&r, dns, 1);
    rig_application(&r, "main", "sip:10.0.0.10:5080", true);
    uint32_t member =
        group_member_at(r.groups, &(struct addr){ADDR_IP4, 0, 5080, 0, {10, 0, 0, 10}});
    assert_int_not_equal(member, 0);
    assert_false(route_has_serving(r.route));
    rig_expect(&r, "sip:100@proxy.example.com", "sip:100@10.0.0.9 @100");
    char name[] = "main";
    r.conf.serving = name;
    assert_true(route_has_serving(r.route));
    rig_expect(&r, "sip:100@proxy.example.com",
               "sip:100@proxy.example.com via sip:10.0.0.10:5080 #1");
    assert_int_equal(r.set.targets[0].member, member);
    rig_expect(&r, "sip:nobody@proxy.example.com",
               "sip:nobody@proxy.example.com via sip:10.0.0.10:5080 #1");
    rig_expect(&r, "sip:proxy.example.com", "sip:proxy.example.com via sip:10.0.0.10:5080 #1");
    rig_expect(&r, "tel:112", "tel:112 via sip:10.0.0.10:5080 #1");
    rig_expect(&r, "urn:service:sos.fire", "urn:service:sos.fire via sip:10.0.0.10:5080 #1");
    rig_expect(&r, "sip:a@foreign.example", "403 Relaying Denied");
    r.ask.member = member; /* it knows itself where its calls go */
    rig_expect(&r, "sip:100@proxy.example.com", "sip:100@10.0.0.9 @100");
    rig_expect(&r, "sip:nobody@proxy.example.com", "404");
    r.ask.member = 0;
    r.ask.in_dialog = true;
    rig_expect(&r, "sip:100@proxy.example.com", "sip:100@10.0.0.9 @100");
    rig_expect(&r, "sip:nobody@proxy.example.com",
               "sip:nobody@proxy.example.com via sip:10.0.0.10:5080 #1");
    r.ask.in_dialog = false;
    rig_no_applications(&r);
    rig_expect(&r, "sip:100@proxy.example.com", "503");
    rig_application(&r, "main", "sip:10.0.0.12", true); /* another id, and found again */
    rig_expect(&r, "sip:100@proxy.example.com", "sip:100@proxy.example.com via sip:10.0.0.12 #1");
}

static void member_inside_a_dialog(void **state)
{
    (void)state;
    rig_application(&r, "main", "sip:10.0.0.10 sip:b.example:5070;transport=tcp", true);
    r.ask.in_dialog = true;
    /* Nothing is known yet of the pair without checks but that the first one is presumed active. */
    rig_look(&r, "sip:x@10.0.0.10:5060;ob");
    assert_true(slice_eq(r.set.targets[0].uri, SLICE("sip:x@10.0.0.10:5060;ob")));
    assert_true(slice_eq(r.set.targets[0].hop, r.uri.text)); /* it names its transport itself */
    rig_look(&r, "sip:x@B.example:5070");
    assert_true(slice_eq(r.set.targets[0].hop, SLICE("sip:10.0.0.10")));
    assert_int_equal(group_switch(r.groups, SLICE("main"), 1, 0), 0);
    rig_look(&r, "sip:x@10.0.0.10");
    assert_true(slice_eq(r.set.targets[0].hop, SLICE("sip:b.example:5070;transport=tcp")));
    assert_int_equal(r.set.targets[0].alt, 1);
    rig_expect(&r, "sip:x@10.0.0.10:5061", "403 Relaying Denied"); /* another port */
    r.ask.in_dialog = false;
    rig_expect(&r, "sip:x@10.0.0.10", "403 Relaying Denied");
}

/* Who sends: by address and port of the packet, or of the topmost Via, where a default counts. */
static void sender(void **state)
{
    struct sip_msg m = {.via = {.transport = SIP_UDP}};
    struct addr from;
    (void)state;
    rig_application(&r, "main", "sip:10.0.0.10 sip:10.0.0.11:5061;transport=tls", true);
    assert_int_equal(addr_parse(SLICE("10.0.0.10:5060"), 0, &from), 0);
    uint32_t first = group_member_at(r.groups, &from);
    assert_int_equal(route_sender(r.route, &m, &from, m.via.transport), first);
    from.port = 40000;
    assert_int_equal(route_sender(r.route, &m, &from, m.via.transport), first);
    m.via.port = 5062;
    assert_int_equal(route_sender(r.route, &m, &from, m.via.transport), 0);
    assert_int_equal(addr_parse(SLICE("10.0.0.11:40000"), 0, &from), 0);
    m.via.port = 0;
    assert_int_equal(route_sender(r.route, &m, &from, m.via.transport), 0);
    m.via.transport = SIP_TLS;
    assert_int_equal(route_sender(r.route, &m, &from, SIP_UDP), 0); /* whatever its Via says */
    assert_int_equal(route_sender(r.route, &m, &from, SIP_TCP), 0);
    assert_int_not_equal(route_sender(r.route, &m, &from, m.via.transport), 0);
    assert_int_not_equal(route_sender(r.route, &m, &from, m.via.transport), first);
    assert_int_equal(addr_parse(SLICE("10.0.0.12:5060"), 0, &from), 0);
    assert_int_equal(route_sender(r.route, &m, &from, m.via.transport), 0);
}

static void balanced_group(void **state)
{
    char name[] = "main";
    (void)state;
    rig_application(&r, "main", "sip:10.0.0.10 sip:10.0.0.11 sip:10.0.0.12", false);
    r.conf.serving = name;
    unsigned seen = 0;
    for (unsigned i = 0; i < 3; i++) {
        rig_look(&r, "sip:a@proxy.example.com");
        assert_int_equal(r.set.n, 3);
        seen |= 1u << (r.set.targets[0].hop.ptr[r.set.targets[0].hop.len - 1] - '0');
        for (unsigned k = 0; k < 3; k++)
            assert_int_equal(r.set.targets[k].alt, 1);
    }
    assert_int_equal(seen, 7);
    r.ask.in_dialog = true; /* dialogs stay where they are */
    rig_expect(&r, "sip:x@10.0.0.11", "sip:x@10.0.0.11 via sip:x@10.0.0.11 #1");
}

/* --- DNs -------------------------------------------------------------------------------------- */

static void contact_backup(void **state)
{
    char *backup[] = {(char[]){"sip:100@10.0.0.6"}, (char[]){"sip:100@10.0.0.7;transport=tcp"}};
    struct dn_conf dns[] = {{.name = (char[]){"100"},
                             .contact = (char[]){"sip:100@10.0.0.5"},
                             .contact_backup = backup,
                             .ncontact_backup = 2},
                            {.name = (char[]){"200"}, .contact = (char[]){"sip:200@10.0.0.5"}}};
    (void)state;
    rig_dns(&r, dns, 2);
    rig_expect(&r, "sip:100@proxy.example.com",
               "sip:100@10.0.0.5 #1 @100, sip:100@10.0.0.6 #1 @100, "
               "sip:100@10.0.0.7;transport=tcp #1 @100");
    rig_expect(&r, "sip:200@proxy.example.com", "sip:200@10.0.0.5 @200");
    /* What has registered besides is a target of its own, */
    rig_bind(&r, "100", "sip:100@10.0.0.3");
    rig_expect(&r, "sip:100@proxy.example.com",
               "sip:100@10.0.0.5 #1 @100, sip:100@10.0.0.6 #1 @100, "
               "sip:100@10.0.0.7;transport=tcp #1 @100, sip:100@10.0.0.3 @100");
    /* and what has registered the contact stands for it. */
    rig_bind(&r, "100", "sip:100@10.0.0.5");
    rig_look(&r, "sip:100@proxy.example.com");
    assert_int_equal(r.set.n, 4);
    for (unsigned i = 0; i < 4; i++) {
        const struct route_target *t = &r.set.targets[i];
        assert_int_equal(t->alt, slice_eq(t->uri, SLICE("sip:100@10.0.0.3")) ? 0 : 1);
        assert_int_equal(t->has_dest, i < 2);
    }
}

static void address_before_user(void **state)
{
    struct dn_conf dns[] = {{.name = "alice", .contact = "sip:alice@10.0.0.5"},
                            {.name = "alice@two.example", .contact = "sip:alice@10.0.0.6"}};
    struct slice domains[] = {SLICE("one.example"), SLICE("two.example")};
    (void)state;
    r.conf.domains = domains;
    r.conf.ndomains = 2;
    rig_dns(&r, dns, 2);
    rig_expect(&r, "sip:alice@one.example", "sip:alice@10.0.0.5 @alice");
    rig_expect(&r, "sip:alice@two.example", "sip:alice@10.0.0.6 @alice@two.example");
    rig_expect(&r, "sip:%61lice@TWO.example.", "sip:alice@10.0.0.6 @alice@two.example");
    rig_expect(&r, "sip:Alice@two.example", "404");
    rig_expect(&r, "sip:alice@three.example", "403 Relaying Denied");
    struct slice dn;
    assert_int_equal(sip_uri_parse(SLICE("sip:alice@two.example"), &r.uri), 0);
    assert_int_equal(route_dn_of(r.route, &r.uri, &r.arena, &dn), 0);
    assert_true(slice_eq(dn, SLICE("alice@two.example"))); /* who registers is that DN too */
    rig_dns(&r, dns, 1);
    rig_expect(&r, "sip:alice@two.example", "sip:alice@10.0.0.5 @alice");
}

/* --- trunks ----------------------------------------------------------------------------------- */

static struct dn_conf trunk(const char *name, const char *contact, const char *prefix,
                            uint32_t priority)
{
    return (struct dn_conf){.name = (char *)(uintptr_t)name,
                            .type = DN_TRUNK,
                            .contact = (char *)(uintptr_t)contact,
                            .prefix = (char *)(uintptr_t)prefix,
                            .priority = priority,
                            .recovery_timeout_ms = 60000};
}

static void trunks(void **state)
{
    char *backup[] = {(char[]){"sip:10.0.1.9"}};
    struct dn_conf dns[] = {
        trunk("any", "sip:10.0.1.1", "", 0),
        trunk("de2", "sip:gw@10.0.1.2:5070;transport=tcp", "+49", 2),
        trunk("de1", "sip:10.0.1.3", "+49", 1),
        trunk("berlin", "sip:10.0.1.4", "+4930", 9),
        {.name = (char[]){"+49301"}, .contact = (char[]){"sip:phone@10.0.0.5"}},
    };
    (void)state;
    dns[2].contact_backup = backup;
    dns[2].ncontact_backup = 1;
    rig_dns(&r, dns, 5);
    rig_expect(&r, "sip:+4930222@proxy.example.com", "403 Trunks Not Allowed");
    rig_expect(&r, "sip:+49301@proxy.example.com", "sip:phone@10.0.0.5 @+49301");
    r.ask.is_own = true;
    rig_expect(&r, "sip:+4930222@proxy.example.com",
               "sip:+4930222@10.0.1.4 #1 @berlin, sip:+4930222@10.0.1.3 #1 @de1, "
               "sip:+4930222@10.0.1.9 #1 @de1, "
               "sip:+4930222@10.0.1.2:5070;transport=tcp #1 @de2, sip:+4930222@10.0.1.1 #1 @any");
    assert_true(r.set.targets[0].is_device);
    rig_expect(&r, "sip:0049@proxy.example.com;user=phone", "sip:0049@10.0.1.1;user=phone #1 @any");
    rig_expect(&r, "tel:+49-40-1;ext=7",
               "sip:+49401;ext=7@10.0.1.3;user=phone #1 @de1, "
               "sip:+49401;ext=7@10.0.1.9;user=phone #1 @de1, "
               "sip:+49401;ext=7@10.0.1.2:5070;transport=tcp;user=phone #1 @de2, "
               "sip:+49401;ext=7@10.0.1.1;user=phone #1 @any");
    rig_expect(&r, "sip:%2B4930@proxy.example.com",
               "sip:%2B4930@10.0.1.4 #1 @berlin, sip:%2B4930@10.0.1.3 #1 @de1, "
               "sip:%2B4930@10.0.1.9 #1 @de1, sip:%2B4930@10.0.1.2:5070;transport=tcp #1 @de2, "
               "sip:%2B4930@10.0.1.1 #1 @any");
    rig_expect(&r, "sip:proxy.example.com", "404"); /* no number */
    r.ask = (struct route_ask){.may_relay = true};
    rig_expect(&r, "sip:1@proxy.example.com", "sip:1@10.0.1.1 #1 @any");
    r.ask = (struct route_ask){.member = 1};
    rig_expect(&r, "sip:1@proxy.example.com", "sip:1@10.0.1.1 #1 @any");
    /* Inside a call that it carries somebody else may have written the number. */
    r.ask.in_dialog = true;
    rig_expect(&r, "sip:1@proxy.example.com", "404");
    r.ask.in_dialog = false;
    rig_expect(&r, "urn:service:sos", "404"); /* is no number that "" would carry */
}

static void trunks_out_of_service(void **state)
{
    struct dn_conf dns[] = {trunk("a", "sip:10.0.1.1", "0", 1), trunk("b", "sip:10.0.1.2", "0", 2)};
    (void)state;
    rig_dns(&r, dns, 2);
    r.ask.is_own = true;
    assert_true(dn_set_out_of_service(r.dir, SLICE("a"), ERR_TIMEOUT, RIG_NOW - 20000));
    rig_expect(&r, "sip:01@proxy.example.com", "sip:01@10.0.1.2 #1 @b");
    assert_true(dn_set_out_of_service(r.dir, SLICE("b"), ERR_TIMEOUT, RIG_NOW));
    rig_expect(&r, "sip:01@proxy.example.com", "480 Trunks Out Of Service");
    assert_int_equal(r.set.retry_after, 40);
    r.ask.member = 1;
    rig_expect(&r, "sip:01@proxy.example.com", "503 Trunks Out Of Service");
    r.ask.member = 0;
    r.ask.in_dialog = true;
    rig_expect(&r, "sip:01@proxy.example.com", "sip:01@10.0.1.1 #1 @a, sip:01@10.0.1.2 #1 @b");
}

/* What failed a moment ago is tried last, of the alternatives only. */
static void alternatives_that_failed(void **state)
{
    char *backup[] = {(char[]){"sip:10.0.1.9"}, (char[]){"sip:10.0.1.8;transport=tcp"}};
    struct dn_conf dns[] = {trunk("a", "sip:10.0.1.1", "0", 1),
                            trunk("b", "sip:10.0.1.2:5070", "0", 2),
                            {.name = (char[]){"100"}, .contact = (char[]){"sip:100@10.0.1.1"}}};
    struct flow_dest d = {.transport = SIP_UDP};
    (void)state;
    dns[2].contact_backup = backup;
    dns[2].ncontact_backup = 2;
    rig_dns(&r, dns, 3);
    rig_bind(&r, "100", "sip:100@10.0.0.3");
    r.ask.is_own = true;
    r.conf.unreachable_ms = 30000;
    assert_int_equal(addr_parse(SLICE("10.0.1.1:5060"), 0, &d.remote), 0);
    route_note_failed(r.route, &d);
    rig_expect(&r, "sip:01@proxy.example.com", "sip:01@10.0.1.2:5070 #1 @b, sip:01@10.0.1.1 #1 @a");
    rig_expect(&r, "sip:100@proxy.example.com",
               "sip:10.0.1.9 #1 @100, sip:10.0.1.8;transport=tcp #1 @100, "
               "sip:100@10.0.1.1 #1 @100, sip:100@10.0.0.3 @100");
    assert_int_equal(addr_parse(SLICE("10.0.1.9:5060"), 0, &d.remote), 0);
    route_note_failed(r.route, &d);
    assert_int_equal(addr_parse(SLICE("10.0.1.2:5060"), 0, &d.remote), 0); /* another port */
    route_note_failed(r.route, &d);
    rig_expect(&r, "sip:01@proxy.example.com", "sip:01@10.0.1.2:5070 #1 @b, sip:01@10.0.1.1 #1 @a");
    rig_expect(&r, "sip:100@proxy.example.com",
               "sip:10.0.1.8;transport=tcp #1 @100, sip:100@10.0.1.1 #1 @100, "
               "sip:10.0.1.9 #1 @100, sip:100@10.0.0.3 @100");
    assert_int_equal(addr_parse(SLICE("10.0.1.2:5070"), 0, &d.remote), 0);
    route_note_failed(r.route, &d);
    rig_expect(&r, "sip:01@proxy.example.com", "sip:01@10.0.1.1 #1 @a, sip:01@10.0.1.2:5070 #1 @b");
    assert_int_equal(addr_parse(SLICE("10.0.1.1:5060"), 0, &d.remote), 0);
    route_note_alive(r.route, &d);
    rig_expect(&r, "sip:01@proxy.example.com", "sip:01@10.0.1.1 #1 @a, sip:01@10.0.1.2:5070 #1 @b");
}

/* A trunk that registers is reached by what it has registered. */
static void registered_trunk(void **state)
{
    struct dn_conf dns[] = {trunk("gw", NULL, "0", 0), trunk("new", NULL, "0", 1)};
    (void)state;
    rig_dns(&r, dns, 2);
    rig_bind(&r, "gw", "sip:gw@10.0.0.3:5060;line=7");
    r.ask.is_own = true;
    rig_expect(&r, "sip:01@proxy.example.com", "sip:01@10.0.0.3:5060;line=7 #1 @gw");
    assert_true(r.set.targets[0].has_dest);
    rig_expect(&r, "sip:gw@proxy.example.com", "sip:gw@10.0.0.3:5060;line=7 @gw");
    rig_expect(&r, "sips:01@proxy.example.com", "480 Trunks Out Of Service");
    assert_int_equal(r.set.warning, 380);
}

/* RFC 5031: the Request-URI stays; without regard to case; a prefix ends at a label. */
static void service_urns(void **state)
{
    struct dn_conf dns[] = {trunk("any", "sip:10.0.1.1", "", 0),
                            trunk("fire", "sip:10.0.1.3", "urn:service:sos.fire", 0),
                            trunk("sos", "sip:10.0.1.2", "urn:service:sos", 0)};
    (void)state;
    rig_dns(&r, dns, 3);
    r.ask.is_own = true;
    rig_expect(&r, "urn:service:sos", "urn:service:sos via sip:10.0.1.2 #1 @sos");
    rig_expect(&r, "URN:Service:SOS.Fire",
               "URN:Service:SOS.Fire via sip:10.0.1.3 #1 @fire, "
               "URN:Service:SOS.Fire via sip:10.0.1.2 #1 @sos");
    rig_expect(&r, "urn:service:sossy", "404");
    rig_expect(&r, "urn:service:counseling", "404");
    rig_expect(&r, "urn:uuid:1", "403 Relaying Denied");
    r.ask.is_own = false;
    rig_expect(&r, "urn:service:sos", "403 Trunks Not Allowed");
}

/* --- X-Genesys-Route -------------------------------------------------------------------------- */

static void exact_hop(void **state)
{
    static const struct {
        const char *text, *hop; /* NULL: no good */
    } rows[] = {
        {"sip:10.0.0.5:5070", "sip:10.0.0.5:5070"},
        {" sip:10.0.0.5:5070;transport=tcp ", "sip:10.0.0.5:5070;transport=tcp"},
        {"<sip:10.0.0.5;transport=tls>;x=y", "sip:10.0.0.5;transport=tls"},
        {"\"gw\" <sips:gw.example>", "sips:gw.example"},
        {"sip:10.0.0.5;transport=ws", NULL},
        {"tel:123", NULL},
        {"10.0.0.5:5070", NULL},
        {"<sip:10.0.0.5", NULL},
        {"sip:", NULL},
        {"", NULL},
    };
    (void)state;
    assert_int_equal(sip_uri_parse(SLICE("sip:100@anywhere.example"), &r.uri), 0);
    r.ask.uri = &r.uri;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int err = route_by_hop(r.route, &r.ask, slice_str(rows[i].text), &r.arena, &r.set);
        if (err != (rows[i].hop != NULL ? 0 : ERR_PARSE))
            fail_msg("%s: %d", rows[i].text, err);
        if (err != 0)
            continue;
        assert_int_equal(r.set.n, 1);
        assert_true(slice_eq(r.set.targets[0].hop, slice_str(rows[i].hop)));
        assert_true(slice_eq(r.set.targets[0].uri, r.uri.text));
    }
}

/* --- names ------------------------------------------------------------------------------------ */

static void aliases(void **state)
{
    struct slice list[] = {SLICE("pool.example"), SLICE("nat.example:5099"), SLICE("192.0.2.1"),
                           SLICE("192.0.2.2:5098"), SLICE("[2001:db8::9]:5060")};
    static const struct {
        const char *uri;
        bool is_ours;
    } rows[] = {
        {"sip:pool.example", true},       {"sip:a@Pool.Example.", true},
        {"sip:pool.example:5060", true},  {"sip:pool.example:5099", false},
        {"sip:nat.example:5099", true},   {"sip:nat.example:5060", false},
        {"sip:nat.example", false},       {"sip:192.0.2.1", true},
        {"sip:192.0.2.1:5061", false},    {"sip:192.0.2.2:5098;transport=tcp", true},
        {"sip:192.0.2.2", false},         {"sip:[2001:DB8:0::9]", true},
        {"sip:[2001:db8::9]:5060", true}, {"sips:[2001:db8::9]", false},
        {"sip:[2001:db8::8]", false},     {"sip:other.example", false},
    };
    (void)state;
    r.conf.aliases = list;
    r.conf.naliases = sizeof(list) / sizeof(list[0]);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(sip_uri_parse(slice_str(rows[i].uri), &r.uri), 0);
        if (route_is_ours(r.route, &r.uri) != rows[i].is_ours)
            fail_msg("%s", rows[i].uri);
    }
}

/* --- memory ----------------------------------------------------------------------------------- */

static bool is_good(const char *uri, const char *what, bool *failed, uint64_t n)
{
    struct arena_cache cache;
    struct arena arena, was = r.arena;
    arena_cache_init(&cache, 0);
    arena_init(&arena, &cache);
    assert_int_equal(sip_uri_parse(slice_str(uri), &r.uri), 0);
    r.ask.uri = &r.uri;
    mem_fail_at(n);
    int err = route_lookup(r.route, &r.ask, &arena, &r.set);
    *failed = mem_failed();
    mem_fail_at(0);
    bool good = err == ERR_NOMEM || (err == 0 && strcmp(rig_dump(&r), what) == 0);
    arena_fini(&arena);
    arena_cache_fini(&cache);
    r.arena = was;
    return good;
}

static void without_memory(void **state)
{
    char *backup[] = {(char[]){"sip:10.0.1.9"}};
    struct route_domain list[] = {{(char[]){"example.net"}, (char[]){"sip:10.0.0.5"}, NULL}};
    struct dn_conf dns[] = {
        trunk("a", "sip:10.0.1.1", "0", 1),
        trunk("b", "sip:10.0.1.2", "0", 2),
        {.name = (char[]){"x@one.example"}, .contact = (char[]){"sip:x@10.0.0.1"}}};
    struct slice domains[] = {SLICE("one.example")};
    static const char *const asks[][2] = {
        {"sip:a@example.net", "sip:a@example.net via sip:10.0.0.5"},
        {"sip:01@one.example",
         "sip:01@10.0.1.1 #1 @a, sip:01@10.0.1.9 #1 @a, sip:01@10.0.1.2 #1 @b"},
        {"tel:0-1", "sip:01@10.0.1.1;user=phone #1 @a, sip:01@10.0.1.9;user=phone #1 @a, "
                    "sip:01@10.0.1.2;user=phone #1 @b"},
        {"sip:x@one.example", "sip:x@10.0.0.1 @x@one.example"},
        {"sip:a@relayed.example", "sip:a@relayed.example"},
    };
    (void)state;
    dns[0].contact_backup = backup;
    dns[0].ncontact_backup = 1;
    r.conf.domains = domains;
    r.conf.ndomains = 1;
    r.conf.others = list;
    r.conf.nothers = 1;
    rig_dns(&r, dns, 3);
    r.ask.may_relay = true;
    for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
        bool failed = true;
        for (uint64_t n = 1; failed && n < 100; n++)
            if (!is_good(asks[i][0], asks[i][1], &failed, n))
                fail_msg("%s, allocation %u: %s", asks[i][0], (unsigned)n, r.text);
        assert_false(failed);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(no_open_relay),
        TEST(domains),
        TEST(serving_application),
        TEST(member_inside_a_dialog),
        TEST(sender),
        TEST(balanced_group),
        TEST(contact_backup),
        TEST(address_before_user),
        TEST(trunks),
        TEST(trunks_out_of_service),
        TEST(alternatives_that_failed),
        TEST(registered_trunk),
        TEST(service_urns),
        TEST(exact_hop),
        TEST(aliases),
        TEST(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
