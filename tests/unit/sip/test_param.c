/* SPDX-License-Identifier: Apache-2.0 */
#include "sip/uri.h"

#include "check.h"

static void finds_names_in_any_case(void **state)
{
    (void)state;
    struct slice v;
    struct slice params = slice_str(";branch=z9hG4bK1;Alias;TAG = x ; display=\"a;b=\\\"c\"");
    assert_true(sip_param_find(params, SLICE("BRANCH"), &v));
    assert_slice(v, "z9hG4bK1");
    assert_true(sip_param_find(params, SLICE("alias"), &v));
    assert_slice(v, "");
    assert_true(sip_param_find(params, SLICE("tag"), &v));
    assert_slice(v, "x");
    assert_true(sip_param_find(params, SLICE("display"), &v));
    assert_slice(v, "\"a;b=\\\"c\"");
    assert_true(sip_param_find(params, SLICE("display"), NULL));
    assert_false(sip_param_find(params, SLICE("b"), &v));
    assert_false(sip_param_find(params, SLICE("bran"), &v));
    assert_false(sip_param_find(params, SLICE(""), &v));
    assert_false(sip_param_find(SLICE_NONE, SLICE("a"), &v));
}

static void first_of_two_counts(void **state)
{
    (void)state;
    struct slice v;
    assert_true(sip_param_find(slice_str("q=0.5;q=0.9"), SLICE("q"), &v));
    assert_slice(v, "0.5");
}

static void walks_with_or_without_leading_semicolon(void **state)
{
    (void)state;
    const char *texts[] = {";a=b;c", "a=b;c", " ; a = b ;\r\n c ", "\r\n\t;a=b;c"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct slice rest = slice_str(texts[i]), n, v;
        assert_true(sip_param_next(&rest, &n, &v));
        assert_slice(n, "a");
        assert_slice(v, "b");
        assert_true(sip_param_next(&rest, &n, &v));
        assert_slice(n, "c");
        assert_slice(v, "");
        assert_false(sip_param_next(&rest, &n, &v));
        assert_int_equal(rest.len, 0);
    }
}

static void stops_at_what_is_no_parameter(void **state)
{
    (void)state;
    struct slice rest = slice_str(";a=1;;b=2"), n, v;
    assert_true(sip_param_next(&rest, &n, &v));
    assert_slice(n, "a");
    assert_false(sip_param_next(&rest, &n, &v));
    assert_slice(rest, ";;b=2");
}

static void checks_the_grammar(void **state)
{
    (void)state;
    const char *good[] = {
        "",
        "  ",
        ";a",
        "a",
        ";a=b",
        "; a = b ; c = \"d;e\"",
        ";\r\n a\r\n =\r\n b",
        ";received=[2001:db8::1]",
        ";received=2001:db8::1",
        ";host=a.example.com",
        ";q=\"\\\"\\\\\"",
        ";q=\"\xd0\xb0\"",
        ";q=\"\xe9\"", /* Latin-1 of old phones passes */
        ";q=\"folded\r\n value\"",
        ";q=\"\\\x7f\"",
        ";fromParam''~+*_!.-%=x`",
        ";+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-0004F2000001>\"",
    };
    const char *bad[] = {
        ";",
        ";;",
        ";a;",
        ";a;;b",
        ";=b",
        ";a=",
        ";a= ;b",
        ";a b",
        ";a=b c",
        ";a=b,c",
        ";a=\"b",
        ";a=\"b\\",
        ";a=\"b\\\"",
        ";a=\"b\"c",
        ";a=b=c",
        ";a=<b>",
        ";a=\"\x01\"",
        ";a=\"\x7f\"",
        ";a\r\nb",
        ";a=\"x\r\ny\"",
        ";a\r",
        ";a@b=c",
        ";a=b@c",
        ";[a]=b",
        ";a:b",
        ";a=b/c",
        ";a=\"\\\r\n \"",
        ";\xe9=1",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (sip_params_check(slice_str(good[i])) != 0)
            fail_msg("refused: '%s'", good[i]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (sip_params_check(slice_str(bad[i])) != ERR_PARSE)
            fail_msg("accepted: '%s'", bad[i]);
    }
    /* a NUL inside quotes only as a quoted pair */
    assert_int_equal(sip_params_check(slice_of(";a=\"\0\"", 6)), ERR_PARSE);
    assert_int_equal(sip_params_check(slice_of(";a=\"\\\0\"", 7)), 0);
}

static void assert_list(const char *text, const char *const *want)
{
    struct slice rest = slice_str(text), e;
    for (; *want != NULL; want++) {
        assert_true(sip_list_next(&rest, &e));
        assert_slice(e, *want);
    }
    assert_false(sip_list_next(&rest, &e));
    assert_int_equal(rest.len, 0);
    assert_false(sip_list_next(&rest, &e));
}

static void splits_lists(void **state)
{
    (void)state;
    assert_list("", (const char *const[]){NULL});
    assert_list(" ,, ,\r\n ,", (const char *const[]){NULL});
    assert_list("a", (const char *const[]){"a", NULL});
    assert_list(" a ,\r\n b\t,,c", (const char *const[]){"a", "b", "c", NULL});
    assert_list("\"a,b\" <sip:x,y@h>;q=\"1,2\", c",
                (const char *const[]){"\"a,b\" <sip:x,y@h>;q=\"1,2\"", "c", NULL});
    assert_list("\"a\\\",b\", c", (const char *const[]){"\"a\\\",b\"", "c", NULL});
    assert_list("a (x, (y, z), \\), w), b",
                (const char *const[]){"a (x, (y, z), \\), w)", "b", NULL});
    /* what is not closed is one element, for the element's own parser to refuse */
    assert_list("a, \"b, c", (const char *const[]){"a", "\"b, c", NULL});
    assert_list("a, <b, c", (const char *const[]){"a", "<b, c", NULL});
    assert_list("a, (b, c", (const char *const[]){"a", "(b, c", NULL});
    assert_list("a, \"b\\", (const char *const[]){"a", "\"b\\", NULL});
}

static void qvalues(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int value; /* -1: refused */
    } rows[] = {
        {"1", 1000},    {"0", 0},       {"0.5", 500},    {"0.33", 330}, {"0.333", 333},
        {"1.0", 1000},  {"1.00", 1000}, {"1.000", 1000}, {"0.", 0},     {"1.", 1000},
        {"0.001", 1},   {"", -1},       {"2", -1},       {"1.001", -1}, {"0.3333", -1},
        {"-1", -1},     {".5", -1},     {"0,5", -1},     {"0.5 ", -1},  {"00", -1},
        {"1.0000", -1}, {"0.x", -1},    {"\"0.5\"", -1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        unsigned q = 77;
        int rc = sip_q_parse(slice_str(rows[i].text), &q);
        if (rows[i].value < 0 ? rc != ERR_PARSE || q != 77
                              : rc != 0 || q != (unsigned)rows[i].value)
            fail_msg("'%s': rc %d, q %u", rows[i].text, rc, q);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_names_in_any_case),
        cmocka_unit_test(first_of_two_counts),
        cmocka_unit_test(walks_with_or_without_leading_semicolon),
        cmocka_unit_test(stops_at_what_is_no_parameter),
        cmocka_unit_test(checks_the_grammar),
        cmocka_unit_test(splits_lists),
        cmocka_unit_test(qvalues),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
