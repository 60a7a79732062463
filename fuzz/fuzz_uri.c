/* SPDX-License-Identifier: Apache-2.0 */
/* URIs, parameters, lists, name-addr, Via, q and digest credentials. The input goes to each of
 * them; what stands behind a first line feed is the second URI of a comparison. */
#include "base/buf.h"
#include "sip/digest.h"
#include "sip/uri.h"

#include "check.h"

/* The parts of a SIP URI, put together again, are its text. */
static void check_sip_parts(const struct sip_uri *u)
{
    const char *at = u->text.ptr + u->scheme_text.len;
    const char *end = u->text.ptr + u->text.len;
    CHECK(*at++ == ':');
    if (u->has_user) {
        CHECK(u->user.ptr == at && u->user.len > 0);
        at += u->user.len;
        if (u->password.ptr != NULL) {
            CHECK(*at++ == ':' && u->password.ptr == at);
            at += u->password.len;
        }
        CHECK(*at++ == '@');
    }
    CHECK(u->host.ptr == at && u->host.len > 0);
    at += u->host.len;
    CHECK((u->port != 0) == (at < end && *at == ':'));
    if (u->port != 0) {
        for (at++; at < end && *at >= '0' && *at <= '9';)
            at++;
    }
    if (u->params.len != 0) {
        CHECK(*at++ == ';' && u->params.ptr == at);
        at += u->params.len;
    }
    if (u->headers.len != 0) {
        CHECK(*at++ == '?' && u->headers.ptr == at);
        at += u->headers.len;
    }
    CHECK(at == end);
}

static bool check_uri(struct slice s, struct sip_uri *u)
{
    int rc = sip_uri_parse(s, u);
    CHECK(rc == 0 || rc == ERR_PARSE);
    if (rc != 0)
        return false;
    CHECK(u->text.ptr == s.ptr && u->text.len == s.len);
    CHECK(u->scheme_text.len > 0 && u->has_user == (u->user.len > 0));
    const struct slice parts[] = {u->user,    u->password,       u->host, u->params,
                                  u->headers, u->transport_text, u->maddr};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        CHECK(is_inside(parts[i], s));
    for (size_t i = 0; i < s.len; i++)
        CHECK(s.ptr[i] > 0x20 && s.ptr[i] < 0x7f && s.ptr[i] != '<' && s.ptr[i] != '>' &&
              s.ptr[i] != '"');
    if (u->scheme == SIP_SCHEME_SIP || u->scheme == SIP_SCHEME_SIPS) {
        check_sip_parts(u);
        struct slice rest = u->params, name, value;
        while (sip_param_next(&rest, &name, &value))
            CHECK(name.len > 0);
        CHECK(rest.len == 0);
        CHECK(u->lr == sip_param_find(u->params, SLICE("lr"), NULL));
    }
    CHECK(sip_uri_eq(u, u));
    return true;
}

static void check_escapes(struct slice s)
{
    char *escaped = malloc(3 * s.len + 1), *back = malloc(s.len + 1);
    CHECK(escaped != NULL && back != NULL);
    struct buf e, b;
    buf_init(&e, escaped, 3 * s.len);
    buf_init(&b, back, s.len);
    for (size_t i = 0; i < s.len; i++) {
        buf_char(&e, '%');
        buf_hex(&e, (unsigned char)s.ptr[i], 2);
    }
    CHECK(sip_unescape(buf_get(&e), &b) == 0);
    CHECK(slice_eq(buf_get(&b), s));
    buf_init(&b, back, s.len);
    CHECK(sip_unescape(s, &b) == 0);
    free(escaped);
    free(back);
}

static void check_params(struct slice s)
{
    struct slice rest = s, name, value, found;
    size_t left = s.len + 1;
    while (sip_param_next(&rest, &name, &value)) {
        CHECK(rest.len < left);
        left = rest.len;
        CHECK(is_inside(name, s) && is_inside(value, s) && is_inside(rest, s) && name.len > 0);
        CHECK(sip_param_find(s, name, &found) && found.ptr <= value.ptr);
    }
    if (sip_params_check(s) == 0)
        CHECK(rest.len == 0);
}

static void check_list(struct slice s)
{
    struct slice rest = s, e;
    const char *at = s.ptr;
    while (sip_list_next(&rest, &e)) {
        CHECK(e.len > 0 && e.ptr >= at && is_inside(e, s));
        CHECK(slice_trim(e).len == e.len);
        at = e.ptr + e.len;
        CHECK(rest.ptr >= at && rest.ptr + rest.len == s.ptr + s.len);
    }
    CHECK(rest.len == 0);
}

/* Written again with brackets it is read as the same. */
static void check_name_addr(struct slice s)
{
    struct sip_name_addr n, again;
    int rc = sip_name_addr_parse(s, &n);
    CHECK(rc == 0 || rc == ERR_PARSE);
    if (rc != 0 || n.star)
        return;
    CHECK(is_inside(n.display, s) && is_inside(n.uri, s) && is_inside(n.params, s));
    CHECK(n.uri.len > 0 && sip_params_check(n.params) == 0);
    CHECK(n.brackets || n.display.len == 0);
    struct buf b;
    char *text = malloc(s.len + 8);
    CHECK(text != NULL);
    buf_init(&b, text, s.len + 8);
    buf_slice(&b, n.display);
    buf_lit(&b, " <");
    buf_slice(&b, n.uri);
    buf_lit(&b, ">");
    if (n.params.len != 0)
        buf_char(&b, ';');
    buf_slice(&b, n.params);
    CHECK(!b.overflow && sip_name_addr_parse(buf_get(&b), &again) == 0);
    CHECK(slice_eq(again.display, n.display) && slice_eq(again.uri, n.uri));
    CHECK(slice_eq(again.params, n.params));
    free(text);
}

static void check_via(struct slice s)
{
    struct sip_via v, again;
    struct slice found;
    int rc = sip_via_parse(s, &v);
    CHECK(rc == 0 || rc == ERR_PARSE);
    if (rc != 0)
        return;
    const struct slice parts[] = {v.text,   v.transport_text, v.host, v.params,
                                  v.branch, v.received,       v.maddr};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        CHECK(is_inside(parts[i], s));
    CHECK(v.host.len > 0 && v.transport_text.len > 0 && sip_params_check(v.params) == 0);
    CHECK(v.has_rport || v.rport == 0);
    CHECK(sip_param_find(v.params, SLICE("branch"), &found) == (v.branch.len != 0));
    CHECK(sip_via_parse(v.text, &again) == 0 && slice_eq(again.host, v.host) &&
          again.port == v.port);
}

static void check_credentials(struct slice s)
{
    struct sip_credentials c;
    char ha1[SIP_HA1_MAX];
    int rc = sip_credentials_parse(s, &c);
    CHECK(rc == 0 || rc == ERR_PARSE || rc == ERR_UNSUPPORTED);
    if (rc != 0)
        return;
    const struct slice parts[] = {c.username, c.realm, c.nonce, c.uri, c.response, c.cnonce, c.nc};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        CHECK(is_inside(parts[i], s));
    CHECK(c.nonce.len > 0 && c.uri.len > 0);
    CHECK(c.response.len == (c.alg == SIP_DIGEST_MD5 ? 32 : 64));
    CHECK(c.nc.len == (c.has_qop ? 8 : 0));
    sip_digest_ha1(c.alg, c.username, c.realm, SLICE("no such password"), ha1);
    CHECK(!sip_digest_check(&c, SLICE("INVITE"), slice_str(ha1)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = exact_copy(data, size);
    struct slice s = slice_of(copy, size), first = s, second = SLICE_NONE;
    struct sip_uri u, v;
    unsigned q = 0;

    ptrdiff_t eol = slice_chr(s, '\n');
    if (eol >= 0) {
        first.len = (size_t)eol;
        second = slice_of(copy + eol + 1, size - (size_t)eol - 1);
    }
    if (check_uri(first, &u) && check_uri(second, &v))
        CHECK(sip_uri_eq(&u, &v) == sip_uri_eq(&v, &u));
    check_escapes(s);
    check_params(s);
    check_list(s);
    check_name_addr(s);
    check_via(s);
    check_credentials(s);
    CHECK(sip_q_parse(s, &q) == ERR_PARSE || q <= 1000);
    free(copy);
    return 0;
}
