/* SPDX-License-Identifier: Apache-2.0 */
#include "sip/uri.h"

#include "check.h"

static struct sip_uri parse(const char *text)
{
    struct sip_uri u;
    if (sip_uri_parse(slice_str(text), &u) != 0)
        fail_msg("refused: '%s'", text);
    return u;
}

/* RFC 3261 19.1.1: every part. */
static void all_parts(void **state)
{
    (void)state;
    struct sip_uri u =
        parse("sips:alice:secret@gateway.example.com:5062;transport=TCP;lr;maddr=239.255.255.1"
              ";ttl=15;method=INVITE?subject=project%20x&priority=urgent");
    assert_int_equal(u.scheme, SIP_SCHEME_SIPS);
    assert_slice(u.scheme_text, "sips");
    assert_true(u.has_user);
    assert_slice(u.user, "alice");
    assert_slice(u.password, "secret");
    assert_slice(u.host, "gateway.example.com");
    assert_int_equal(u.port, 5062);
    assert_true(u.lr);
    assert_int_equal(u.transport, SIP_TCP);
    assert_slice(u.transport_text, "TCP");
    assert_slice(u.maddr, "239.255.255.1");
    assert_slice(u.params, "transport=TCP;lr;maddr=239.255.255.1;ttl=15;method=INVITE");
    assert_slice(u.headers, "subject=project%20x&priority=urgent");
}

static void least_parts(void **state)
{
    (void)state;
    struct sip_uri u = parse("SiP:h");
    assert_int_equal(u.scheme, SIP_SCHEME_SIP);
    assert_slice(u.text, "SiP:h");
    assert_false(u.has_user);
    assert_slice(u.user, "");
    assert_slice(u.host, "h");
    assert_int_equal(u.port, 0);
    assert_false(u.lr);
    assert_int_equal(u.transport, SIP_TRANSPORT_NONE);
    assert_slice(u.params, "");
    assert_slice(u.headers, "");
    u = parse("sip:h?a=");
    assert_slice(u.headers, "a=");
    u = parse("sip:h;lr=on?a=b&c=");
    assert_true(u.lr);
    assert_slice(u.params, "lr=on");
    u = parse("sip:u:@h");
    assert_slice(u.user, "u");
    assert_slice(u.password, "");
    u = parse("sip:h;transport=carrier-pigeon");
    assert_int_equal(u.transport, SIP_TRANSPORT_NONE);
    assert_slice(u.transport_text, "carrier-pigeon");
}

/* A user part may look like anything. */
static void tricky_users(void **state)
{
    (void)state;
    static const struct {
        const char *text, *user, *password, *host;
    } rows[] = {
        {"sip:user;par=u%40example.net@example.com", "user;par=u%40example.net", "", "example.com"},
        {"sip:sips%3Auser%40example.com@example.net", "sips%3Auser%40example.com", "",
         "example.net"},
        {"sip:+1-212-555-0101;isub=1411;postd=pp22@gw.example.com",
         "+1-212-555-0101;isub=1411;postd=pp22", "", "gw.example.com"},
        {"sip:a?b=c&d/e,f$g(h)@x.example", "a?b=c&d/e,f$g(h)", "", "x.example"},
        {"sip:who:pass&=+$,word@x.example", "who", "pass&=+$,word", "x.example"},
        {"sip:%00@x.example", "%00", "", "x.example"},
        {"sip:*21*7@10.0.0.1", "*21*7", "", "10.0.0.1"},
        {"sip:;@h", ";", "", "h"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sip_uri u = parse(rows[i].text);
        assert_slice(u.user, rows[i].user);
        assert_slice(u.password, rows[i].password);
        assert_slice(u.host, rows[i].host);
        assert_slice(u.params, "");
    }
}

static void hosts(void **state)
{
    (void)state;
    const char *good[] = {
        "pbx_1.example.com",
        "h",
        "a.b",
        "a.b.",
        "a-b.c-d",
        "1.example",
        "10.0.0.1",
        "255.255.255.255",
        "x1",
        "3com.example",
        "[::]",
        "[::1]",
        "[1::]",
        "[2001:db8::9:1]",
        "[2001:DB8:0:0:0:0:0:1]",
        "[1:2:3:4:5:6:7:8]",
        "[1:2:3:4:5:6:7::]",
        "[::2:3:4:5:6:7:8]",
        "[::ffff:192.0.2.10]",
        "[1:2:3:4:5:6:192.0.2.1]",
        "[2001:db8::192.0.2.1]",
        /* RFC 5118 4.10: what the grammar of RFC 3261 makes of it is accepted too */
        "[2001:db8:::192.0.2.1]",
        "[:::192.0.2.1]",
    };
    const char *bad[] = {
        "",
        ".",
        "a..b",
        ".a",
        "-a",
        "a-",
        "a-.b",
        "a.-b",
        "a.1b",
        "1",
        "1.2.3",
        "1.2.3.4.5",
        "256.1.1.1",
        "1.2.3.0004",
        "a b",
        "a%62",
        "[",
        "[]",
        "[::1",
        "::1",
        "2001:db8::10",
        "[1]",
        "[:1]",
        "[1:]",
        "[1:2:3:4:5:6:7]",
        "[1:2:3:4:5:6:7:8:9]",
        "[1::2::3]",
        "[12345::]",
        "[g::]",
        "[:::1]",
        "[2001:db8:::1]",
        "[::1.2.3]",
        "[::1.2.3.4:5]",
        "[1.2.3.4]",
        "[fe80::1%eth0]",
        "[::1]x",
        "[[::1]]",
        "[1:2:3:4:5:6:7:8::]",
        "[::1:2:3:4:5:6:7:8]",
        "a:",
        "a:0",
        "a:65536",
        "a:5060x",
        "a:-1",
        "a:+1",
        "a:99999999999999999999",
        "a/b",
        "a,b",
        "a#b",
        "a@b@c",
    };
    char text[128];
    struct sip_uri u;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        snprintf(text, sizeof(text), "sip:u@%s:65535;lr", good[i]);
        u = parse(text);
        assert_slice(u.host, good[i]);
        assert_int_equal(u.port, 65535);
        assert_true(u.lr);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(text, sizeof(text), "sip:u@%s", bad[i]);
        if (sip_uri_parse(slice_str(text), &u) != ERR_PARSE)
            fail_msg("accepted: '%s'", text);
    }
}

static void refused(void **state)
{
    (void)state;
    const char *bad[] = {
        "",
        ":",
        "sip",
        "sip:",
        "sips:",
        "tel:",
        "1a:b",
        "+a:b",
        "a",
        "a:",
        "http:",
        "sip:@h",
        "sip::p@h",
        "sip:u@",
        "sip:u@;lr",
        "sip:u@h;",
        "sip:u@h;;lr",
        "sip:u@h;=x",
        "sip:u@h;lr=",
        "sip:u@h;a=b=c",
        "sip:u@h;a b",
        "sip:u@h; lr",
        "sip:u@h ;lr",
        " sip:u@h",
        "sip:u@h ",
        "sip: u@h",
        "sip:u @h",
        "sip:u@h?",
        "sip:u@h?a",
        "sip:u@h?=b",
        "sip:u@h?a=b&",
        "sip:u@h?a=b&&c=d",
        "sip:u@h?a=b?c=d=e",
        "sip:u@h;a=%4",
        "sip:u@h;a=%zz",
        "sip:u%@h",
        "sip:u%4@h",
        "sip:u%4g@h",
        "sip:u:%@h",
        "sip:<u>@h",
        "sip:u\"@h",
        "sip:u#@h",
        "sip:u\x7f@h",
        "sip:\xc3\xa9@h",
        "sip:u:a;b@h",
        "sip:u:a:b@h",
        "sip:u@h>",
        "<sip:u@h>",
        "nobody knows:x",
        "x:\x01",
        "x:a b",
        "x:<a>",
        "x:\"",
        "x:\xe9",
    };
    struct sip_uri u;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (sip_uri_parse(slice_str(bad[i]), &u) != ERR_PARSE)
            fail_msg("accepted: '%s'", bad[i]);
    }
    assert_int_equal(sip_uri_parse(slice_of("sip:a\0b@h", 9), &u), ERR_PARSE);
    assert_int_equal(sip_uri_parse(SLICE_NONE, &u), ERR_PARSE);
}

static void telephone_numbers(void **state)
{
    (void)state;
    struct sip_uri u = parse("tel:+1-201-555-0123");
    assert_int_equal(u.scheme, SIP_SCHEME_TEL);
    assert_true(u.has_user);
    assert_slice(u.user, "+1-201-555-0123");
    assert_slice(u.host, "");
    u = parse("TEL:7042;phone-context=example.com");
    assert_slice(u.user, "7042");
    assert_slice(u.params, "phone-context=example.com");
    parse("tel:863-1234;phone-context=+1-914-555");
    parse("tel:+358-555-1234567;isub=1411;ext=22");
    parse("tel:*21#;phone-context=pbx.example");
    parse("tel:+(44).20.79460000");
    u = parse("tel:112"); /* without the context that a local number should have */
    assert_slice(u.user, "112");
    const char *bad[] = {
        "tel:",
        "tel:+",
        "tel:+-",
        "tel:+12a",
        "tel:+12#",
        "tel:abcg;phone-context=+1",
        "tel:12;phone-context=",
        "tel:12;phone-context",
        "tel:12;phone-context=+",
        "tel:12;phone-context=-a",
        "tel:12;phone-context=[::1]",
        "tel:+1;",
        "tel:+1;;a",
        "tel:+1 2",
        "tel:+1@h",
        "tel:+1?a=b",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (sip_uri_parse(slice_str(bad[i]), &u) != ERR_PARSE)
            fail_msg("accepted: '%s'", bad[i]);
    }
}

/* RFC 4475 3.3.2, 3.3.3: what we do not know is carried, not judged. */
static void other_schemes(void **state)
{
    (void)state;
    struct sip_uri u = parse("soap.beep://192.0.2.103:3002");
    assert_int_equal(u.scheme, SIP_SCHEME_OTHER);
    assert_slice(u.scheme_text, "soap.beep");
    assert_slice(u.text, "soap.beep://192.0.2.103:3002");
    assert_false(u.has_user);
    assert_slice(u.host, "");
    parse("urn:service:sos");
    parse("nobodyKnowsThisScheme:totallyopaquecontent");
    parse("h323:alice@example.com;x=@@??");
    parse("sipx:@");
}

enum { SAME = 1, DIFFERENT = 0 };

static void assert_compare(const char *a, const char *b, int same)
{
    struct sip_uri x = parse(a), y = parse(b);
    if (sip_uri_eq(&x, &y) != (same == SAME) || sip_uri_eq(&y, &x) != (same == SAME))
        fail_msg("'%s' and '%s' should be %s", a, b, same == SAME ? "equal" : "different");
    assert_true(sip_uri_eq(&x, &x));
    assert_true(sip_uri_eq(&y, &y));
}

/* Every example of RFC 3261 19.1.4. */
static void comparison_examples(void **state)
{
    (void)state;
    assert_compare("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp",
                   SAME);
    assert_compare("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5", SAME);
    assert_compare("sip:carol@chicago.com", "sip:carol@chicago.com;security=on", SAME);
    assert_compare("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on", SAME);
    assert_compare("sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
                   "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com", SAME);
    assert_compare("sip:alice@atlanta.com?subject=project%20x&priority=urgent",
                   "sip:alice@atlanta.com?priority=urgent&subject=project%20x", SAME);
    assert_compare("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP",
                   DIFFERENT);
    assert_compare("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060", DIFFERENT);
    assert_compare("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp", DIFFERENT);
    assert_compare("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp", DIFFERENT);
    assert_compare("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting",
                   DIFFERENT);
    assert_compare("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4", DIFFERENT);
    /* equality is not transitive */
    assert_compare("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off",
                   DIFFERENT);
}

static void comparison_rules(void **state)
{
    (void)state;
    assert_compare("sip:a@h", "sips:a@h", DIFFERENT);
    assert_compare("sip:a@h", "sip:h", DIFFERENT);
    assert_compare("sip:a@h", "sip:a:@h", DIFFERENT);
    assert_compare("sip:a:p@h", "sip:a:P@h", DIFFERENT);
    assert_compare("sip:a:p@h", "sip:a:%70@h", SAME);
    assert_compare("sip:a@h:5060", "sip:a@h:05060", SAME);
    /* reserved characters do not equal their escapes */
    assert_compare("sip:a;b@h", "sip:a%3Bb@h", DIFFERENT);
    assert_compare("sip:a%3bb@h", "sip:a%3Bb@h", SAME);
    assert_compare("sip:a%00@h", "sip:a%00@h", SAME);
    assert_compare("sip:a%41@h", "sip:aa@h", DIFFERENT);
    /* these four and transport never match when only one side has them */
    assert_compare("sip:a@h", "sip:a@h;user=ip", DIFFERENT);
    assert_compare("sip:a@h", "sip:a@h;ttl=1", DIFFERENT);
    assert_compare("sip:a@h", "sip:a@h;method=INVITE", DIFFERENT);
    assert_compare("sip:a@h", "sip:a@h;maddr=h", DIFFERENT);
    assert_compare("sip:a@h;method=INVITE", "sip:a@h;method=invite", DIFFERENT);
    assert_compare("sip:a@h;USER=phone", "sip:a@h;user=PHONE", SAME);
    assert_compare("sip:a@h;maddr=[2001:db8::1]", "sip:a@h;maddr=[2001:DB8:0::1]", SAME);
    assert_compare("sip:a@h;x=1;y=2;lr", "sip:a@h;y=2;z=3;x=1", SAME);
    assert_compare("sip:a@h;x", "sip:a@h;x=1", DIFFERENT);
    assert_compare("sip:a@h;x=%61", "sip:a@h;x=A", SAME);
    assert_compare("sip:a@h?x=1", "sip:a@h?X=1", SAME);
    assert_compare("sip:a@h?x=1", "sip:a@h?x=2", DIFFERENT);
    assert_compare("sip:a@h?x=1&y=2", "sip:a@h?x=1", DIFFERENT);
    /* RFC 5954 4.2: addresses are compared as addresses */
    assert_compare("sip:a@[2001:db8::9:1]", "sip:a@[2001:db8::9:01]", SAME);
    assert_compare("sip:a@[0:0:0:0:0:FFFF:129.144.52.38]", "sip:a@[::FFFF:129.144.52.38]", SAME);
    assert_compare("sip:a@[2001:db8::9:1]", "sip:a@[2001:db8::9:2]", DIFFERENT);
    assert_compare("sip:a@[::1]", "sip:a@localhost", DIFFERENT);
    assert_compare("x:A", "X:A", SAME);
    assert_compare("x:A", "x:a", DIFFERENT);
    assert_compare("x:A", "y:A", DIFFERENT);
    assert_compare("x:A", "sip:A", DIFFERENT);
}

/* RFC 3966 section 4. */
static void telephone_comparison(void **state)
{
    (void)state;
    assert_compare("tel:+1-201-555-0123", "TEL:+12015550123", SAME);
    assert_compare("tel:+12015550123", "tel:+1(201)555.0124", DIFFERENT);
    assert_compare("tel:+12015550123", "tel:12015550123;phone-context=+1", DIFFERENT);
    assert_compare("tel:7042;phone-context=example.com", "tel:70-42;phone-context=EXAMPLE.com",
                   SAME);
    assert_compare("tel:7042;phone-context=example.com", "tel:7042;phone-context=example.net",
                   DIFFERENT);
    assert_compare("tel:7042;phone-context=+1-201", "tel:7042;phone-context=+1201", SAME);
    assert_compare("tel:a1;phone-context=+1", "tel:A1;phone-context=+1", SAME);
    assert_compare("tel:+1;ext=2-2;isub=a", "tel:+1;ISUB=A;ext=22", SAME);
    assert_compare("tel:+1;ext=22", "tel:+1", DIFFERENT);
    assert_compare("tel:+1;x=1", "tel:+1;x=2", DIFFERENT);
}

/* The work of a comparison stays bounded: beyond 48 parameters the same text only. */
static void comparison_is_bounded(void **state)
{
    (void)state;
    char a[1024] = "sip:a@h", b[1024] = "sip:a@h";
    size_t at = strlen(a);
    for (int i = 0; i < 60; i++) {
        at += (size_t)snprintf(a + at, sizeof(a) - at, ";p%d", i);
        snprintf(b + strlen(b), sizeof(b) - strlen(b), ";p%d", 59 - i);
    }
    assert_compare(a, a, SAME);
    assert_compare(a, b, DIFFERENT);
}

static void escapes(void **state)
{
    (void)state;
    char storage[64];
    struct buf b;
    buf_init(&b, storage, sizeof(storage));
    assert_int_equal(sip_unescape(slice_str("I%20have%20sp%61ces%2f"), &b), 0);
    assert_slice(buf_get(&b), "I have spaces/");
    buf_init(&b, storage, sizeof(storage));
    assert_int_equal(sip_unescape(slice_str("null-%00-null"), &b), 0);
    assert_int_equal(b.len, 11);
    assert_memory_equal(storage, "null-\0-null", 11);
    buf_init(&b, storage, sizeof(storage));
    assert_int_equal(sip_unescape(slice_str("%Z%45%4"), &b), 0);
    assert_slice(buf_get(&b), "%ZE%4");
    buf_init(&b, storage, 3);
    assert_int_equal(sip_unescape(slice_str("abcd"), &b), ERR_FULL);
}

/* Every byte can stand in a user part when it is escaped, and comes back the same. */
static void escape_round_trip(void **state)
{
    (void)state;
    char all[256], escaped[1024], back[256], text[1100];
    struct buf b, c;
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    buf_init(&b, escaped, sizeof(escaped));
    for (int i = 0; i < 256; i++)
        buf_printf(&b, i % 2 == 0 ? "%%%02x" : "%%%02X", (unsigned)i);
    assert_false(b.overflow);
    snprintf(text, sizeof(text), "sip:%.*s@h", SLICE_ARG(buf_get(&b)));
    struct sip_uri u = parse(text);
    buf_init(&c, back, sizeof(back));
    assert_int_equal(sip_unescape(u.user, &c), 0);
    assert_int_equal(c.len, 256);
    assert_memory_equal(back, all, 256);
}

/* Every prefix of a long URI, at the end of its allocation: no byte outside is read. */
static void every_prefix(void **state)
{
    (void)state;
    const char *texts[] = {
        "sip:a%20b;c:p%41@[2001:db8::192.0.2.1]:5060;transport=tcp;x=%41?h=%42&i=j",
        "tel:+1-201;phone-context=a.example",
        "sips:host.example.com.:1;lr;maddr=1.2.3.4",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        for (size_t n = 0; n <= strlen(texts[i]); n++) {
            char *copy = exact_copy(texts[i], n);
            struct sip_uri u;
            int rc = sip_uri_parse(slice_of(copy, n), &u);
            assert_true(rc == 0 || rc == ERR_PARSE);
            if (rc == 0)
                assert_true(sip_uri_eq(&u, &u));
            free(copy);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_parts),
        cmocka_unit_test(least_parts),
        cmocka_unit_test(tricky_users),
        cmocka_unit_test(hosts),
        cmocka_unit_test(refused),
        cmocka_unit_test(telephone_numbers),
        cmocka_unit_test(other_schemes),
        cmocka_unit_test(comparison_examples),
        cmocka_unit_test(comparison_rules),
        cmocka_unit_test(telephone_comparison),
        cmocka_unit_test(comparison_is_bounded),
        cmocka_unit_test(escapes),
        cmocka_unit_test(escape_round_trip),
        cmocka_unit_test(every_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
