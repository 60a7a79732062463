/* SPDX-License-Identifier: Apache-2.0 */
#include "sip/uri.h"

#include "check.h"

struct row {
    const char *text, *display, *uri, *params;
    bool brackets;
};

static void accepted(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"<sip:a@h>", "", "sip:a@h", "", true},
        {"sip:a@h", "", "sip:a@h", "", false},
        {" Bob <sip:b@h>;tag=a48s ", "Bob", "sip:b@h", "tag=a48s", true},
        {"Anonymous Joe\t<sip:c8@h>", "Anonymous Joe", "sip:c8@h", "", true},
        /* RFC 4475 3.1.1.6: no blank needed */
        {"caller<sip:caller@h>;tag=323", "caller", "sip:caller@h", "tag=323", true},
        {"\"A. G. \\\"Bell\\\", <x>\" <sip:agb@h> ;tag=a", "\"A. G. \\\"Bell\\\", <x>\"",
         "sip:agb@h", "tag=a", true},
        {"\"\" <sip:h>", "\"\"", "sip:h", "", true},
        {"\"x\"<sip:h>", "\"x\"", "sip:h", "", true},
        {"\"\\\\\" <sip:h>", "\"\\\\\"", "sip:h", "", true},
        {"\"\xd0\x9c\xd0\xb8\xd1\x80\" <sip:h>", "\"\xd0\x9c\xd0\xb8\xd1\x80\"", "sip:h", "", true},
        {"token1~` token2'+_ token3*%!.- <sip:m@h>", "token1~` token2'+_ token3*%!.-", "sip:m@h",
         "", true},
        /* without brackets parameters belong to the header, with them to the URI (RFC 4475 3.3.12,
           .13) */
        {"sip:+1972@gw.h;unknownparam", "", "sip:+1972@gw.h", "unknownparam", false},
        {"<sip:+1972@gw.h;unknownparam>", "", "sip:+1972@gw.h;unknownparam", "", true},
        {"<sip:a,b?c;d@h;lr?x=y>;q=1", "", "sip:a,b?c;d@h;lr?x=y", "q=1", true},
        {"sip:a@h ;   tag    = 19", "", "sip:a@h", "tag    = 19", false},
        {"\"J\"       <sip:j@h>\r\n  ;\r\n  tag = 98", "\"J\"", "sip:j@h", "tag = 98", true},
        {"A\r\n B <sip:j@h>", "A\r\n B", "sip:j@h", "", true},
        {"<urn:service:sos>", "", "urn:service:sos", "", true},
        {"isbn:2983792873", "", "isbn:2983792873", "", false},
        {"<sip:a@h>;+sip.instance=\"<urn:uuid:1>\";reg-id=1", "", "sip:a@h",
         "+sip.instance=\"<urn:uuid:1>\";reg-id=1", true},
        {NULL, NULL, NULL, NULL, false},
    };
    for (const struct row *r = rows; r->text != NULL; r++) {
        struct sip_name_addr n;
        if (sip_name_addr_parse(slice_str(r->text), &n) != 0)
            fail_msg("refused: '%s'", r->text);
        assert_slice(n.display, r->display);
        assert_slice(n.uri, r->uri);
        assert_slice(n.params, r->params);
        assert_int_equal(n.brackets, r->brackets);
        assert_false(n.star);
    }
}

static void refused(void **state)
{
    (void)state;
    const char *bad[] = {
        "",
        " ",
        "<",
        "<>",
        "<sip:a@h",
        "sip:a@h>",
        "a@h",
        ":a@h",
        "Bob",
        "Bob sip:a@h",
        "\"Bob\"",
        "\"Bob\" sip:a@h",
        "\"Bob <sip:a@h>",
        "\"Bob\\\" <sip:a@h>",
        "\"a\" b <sip:h>",
        "a \"b\" <sip:h>",
        /* RFC 4475 3.1.2.14, .15: blanks inside brackets, a comma in a bare display name */
        "< sip:a@h >",
        "<sip:a@h >",
        "< sip:a@h>",
        "Bell, Alexander <sip:a@h>",
        "A@B <sip:h>",
        /* RFC 3261 20: a URI with ',', '?' or ';' needs brackets */
        "sip:a,b@h",
        "sip:a@h?x=y",
        "sip:a@h;p?x=y",
        "sip:a;b@h",
        "<sip:a@h>;",
        "<sip:a@h>;;",
        "<sip:a@h>;;tag=1",
        "<sip:a@h>;tag=",
        "<sip:a@h>tag=1",
        "<sip:a@h> x",
        "<sip:a@h>,<sip:b@h>",
        "<sip:a@h>;tag=1,<sip:b@h>",
        "<sip:a@h>;tag=a@b",
        "<<sip:a@h>>",
        "<sip:a@h>>",
        "sip:a@h sip:b@h",
        "sip:a@h;tag=1 2",
        "* *",
        "*;q=1",
        "<sip:\"a\"@h>",
        "<sip:a\x01@h>",
        "\"\x01\" <sip:h>",
        "<sip:a\r\n @h>",
        "sip:a\r\nX: y",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct sip_name_addr n;
        if (sip_name_addr_parse(slice_str(bad[i]), &n) != ERR_PARSE)
            fail_msg("accepted: '%s'", bad[i]);
    }
}

static void star(void **state)
{
    (void)state;
    struct sip_name_addr n;
    assert_int_equal(sip_name_addr_parse(slice_str(" * "), &n), 0);
    assert_true(n.star);
    assert_int_equal(n.uri.len, 0);
    /* as a display name it is a token */
    assert_int_equal(sip_name_addr_parse(slice_str("* <sip:h>"), &n), 0);
    assert_false(n.star);
    assert_slice(n.display, "*");
}

static void every_prefix(void **state)
{
    (void)state;
    const char *text = "\"Q \\\" x\" <sip:a@h;lr>\r\n ; tag = \"v\\\\\" ;x=[::1]";
    for (size_t n = 0; n <= strlen(text); n++) {
        char *copy = exact_copy(text, n);
        struct sip_name_addr na;
        int rc = sip_name_addr_parse(slice_of(copy, n), &na);
        assert_true(rc == 0 || rc == ERR_PARSE);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepted),
        cmocka_unit_test(refused),
        cmocka_unit_test(star),
        cmocka_unit_test(every_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
