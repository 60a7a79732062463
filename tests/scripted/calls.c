/* SPDX-License-Identifier: Apache-2.0 */
#include "calls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const char * or (const char *text, const char *otherwise)
{
    return text != NULL ? text : otherwise;
}

const char *say(const struct say *w)
{
    static char text[16384];
    char hops[64] = "", contact[512] = "";
    const char *method = or (w->method, "INVITE"), *body = or (w->body, "");
    unsigned cseq = w->cseq != 0 ? w->cseq : 1;
    if (or (w->hops, "70")[0] != '\0')
        snprintf(hops, sizeof(hops), "Max-Forwards: %s\n", or (w->hops, "70"));
    if (or (w->contact, "x")[0] != '\0')
        snprintf(contact, sizeof(contact), "Contact: %s\n",
                 or (w->contact, "<sip:alice@10.0.0.2:5060>"));
    int n = snprintf(text, sizeof(text),
                     "%s %s SIP/2.0\nVia: SIP/2.0/%s %s;branch=z9hG4bK%s\n%sFrom: %s\nTo: %s\n"
                     "Call-ID: %s\nCSeq: %u %s\n%s%sContent-Length: %zu\n\n%s",
                     method, or (w->uri, "sip:1001@10.0.0.1"), or (w->transport, "UDP"),
                     or (w->sent_by, CALLER), or (w->branch, "a1"), hops,
                     or (w->from, "<sip:alice@10.0.0.1>;tag=a"), or (w->to, "<sip:1001@10.0.0.1>"),
                     or (w->call_id, "c1"), cseq, method, contact, or (w->extra, ""), strlen(body),
                     body);
    assert_true(n > 0 && (size_t)n < sizeof(text));
    return text;
}

void say_udp(struct rig *r, const char *from, const struct say *what)
{
    rig_udp(r, from, say(what));
}

void say_tcp(struct fake_conn *conn, const struct say *what)
{
    rig_tcp(conn, say(what));
}

void cancel_udp(struct rig *r, const char *from, const struct say *what)
{
    struct say cancel = *what;
    cancel.method = "CANCEL";
    cancel.contact = "";
    rig_udp(r, from, say(&cancel));
}

void ack_udp(struct rig *r, const char *from, const struct say *what)
{
    struct say ack = *what;
    ack.method = "ACK";
    ack.contact = "";
    rig_udp(r, from, say(&ack));
}

void answer_udp(struct rig *r, const char *from, const struct got *req, unsigned status,
                const char *extra)
{
    char tag[64];
    snprintf(tag, sizeof(tag), "t%s", from);
    *strchr(tag, ':') = '-';
    rig_udp(r, from, rig_response(req, status, tag, extra));
}

void answer_tcp(struct fake_conn *conn, const struct got *req, unsigned status, const char *extra)
{
    rig_tcp(conn, rig_response(req, status, "t", extra));
}

/* --- devices --- */

static const char *register_text(const char *user, const char *transport, const char *address,
                                 const char *uri_params, const char *params, const char *extra)
{
    static unsigned number;
    static char text[2048];
    char uri[256], aor[128], contact[256], branch[32], call_id[128];
    number++;
    snprintf(aor, sizeof(aor), "<sip:%s@10.0.0.1>", user);
    snprintf(uri, sizeof(uri), "%s;tag=r%u", aor, number);
    snprintf(contact, sizeof(contact), "<sip:%s@%s%s>%s", user, address, uri_params, params);
    snprintf(branch, sizeof(branch), "reg%u", number);
    snprintf(call_id, sizeof(call_id), "reg-%s-%u", address, number);
    snprintf(text, sizeof(text), "%s",
             say(&(struct say){.method = "REGISTER",
                               .uri = "sip:10.0.0.1",
                               .transport = transport,
                               .sent_by = address,
                               .branch = branch,
                               .from = uri,
                               .to = aor,
                               .call_id = call_id,
                               .contact = contact,
                               .extra = extra}));
    return text;
}

void register_udp(struct rig *r, const char *user, const char *from, const char *params)
{
    static struct got got;
    rig_udp(r, from, register_text(user, "UDP", from, "", params, ""));
    rig_expect_status(r, from, 200, &got);
}

struct fake_conn *register_tcp_as(struct rig *r, const char *user, const char *ip, unsigned port,
                                  const char *params, const char *extra)
{
    static struct got got;
    char from[64], address[64];
    snprintf(from, sizeof(from), "%s:%u", ip, port);
    snprintf(address, sizeof(address), "%s:5060", ip);
    struct fake_conn *conn = fake_connect(r->loop, from, PROXY);
    assert_non_null(conn);
    rig_tcp(conn, register_text(user, "TCP", address, ";transport=tcp", params, extra));
    expect_tcp_status(conn, 200, &got);
    return conn;
}

struct fake_conn *register_tcp(struct rig *r, const char *user, const char *ip, const char *params)
{
    return register_tcp_as(r, user, ip, 40000, params, "");
}

/* --- dialogs --- */

const char *route_set(const struct got *m, bool is_caller)
{
    static char text[4096];
    unsigned n = rig_count(m, SIP_H_RECORD_ROUTE);
    size_t at = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < n; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "Route: %s\n",
                               rig_value(m, SIP_H_RECORD_ROUTE, is_caller ? n - 1 - i : i));
    return text;
}

void expect_tcp_method(struct fake_conn *conn, const char *method, struct got *got)
{
    rig_expect_tcp(conn, got);
    if (!got->msg.is_request ||
        !slice_eq(sip_get(&got->msg, got->msg.method_text), slice_str(method)))
        fail_msg("expected %s, got:\n%s", method, got->text);
}

void expect_tcp_status(struct fake_conn *conn, unsigned status, struct got *got)
{
    rig_expect_tcp(conn, got);
    if (got->msg.is_request || got->msg.status != status)
        fail_msg("expected %u, got:\n%s", status, got->text);
}

uint64_t now_ms(const struct rig *r)
{
    return net_now(r->loop);
}
