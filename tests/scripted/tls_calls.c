/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_calls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct fake_conn *tls_connect(struct rig *r, const char *from)
{
    struct fake_conn *conn = fake_connect_tls(r->loop, from, "10.0.0.1:5061", NULL);
    assert_non_null(conn);
    return conn;
}

void tls_register(struct fake_conn *conn, const char *user, const char *scheme, const char *contact,
                  const char *extra)
{
    static unsigned number;
    char uri[64], aor[64], from[96], branch[32], call_id[32];
    number++;
    snprintf(uri, sizeof(uri), "%s:10.0.0.1", scheme);
    snprintf(aor, sizeof(aor), "<%s:%s@10.0.0.1>", scheme, user);
    snprintf(from, sizeof(from), "%s;tag=r%u", aor, number);
    snprintf(branch, sizeof(branch), "reg%u", number);
    snprintf(call_id, sizeof(call_id), "reg%u", number);
    say_tcp(conn, &(struct say){.method = "REGISTER",
                                .uri = uri,
                                .transport = "TLS",
                                .sent_by = "10.0.0.3:5061",
                                .branch = branch,
                                .from = from,
                                .to = aor,
                                .call_id = call_id,
                                .contact = contact,
                                .extra = extra});
}

struct fake_conn *tls_phone(struct rig *r, const char *scheme, const char *contact)
{
    struct fake_conn *conn = tls_connect(r, "10.0.0.3:41000");
    tls_register(conn, "1001", scheme, contact, "");
    static struct got got;
    expect_tcp_status(conn, 200, &got);
    return conn;
}

struct say tls_call(const char *uri)
{
    bool is_sips = strncmp(uri, "sips:", 5) == 0;
    return (struct say){.uri = uri,
                        .transport = "TLS",
                        .sent_by = "10.0.0.2:5061",
                        .contact = is_sips ? "<sips:alice@10.0.0.2:5061>"
                                           : "<sip:alice@10.0.0.2:5061;transport=tls>"};
}

void assert_begins(const char *text, const char *begin)
{
    if (strncmp(text, begin, strlen(begin)) != 0)
        fail_msg("does not begin with \"%s\":\n%s", begin, text);
}

void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("has no \"%s\":\n%s", part, text);
}

void assert_has_not(const char *text, const char *part)
{
    if (strstr(text, part) != NULL)
        fail_msg("has \"%s\":\n%s", part, text);
}
