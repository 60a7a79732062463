/* SPDX-License-Identifier: Apache-2.0 */
#include "help.h"

#define KEPT 32

struct kept {
    struct sip_msg msg;
    struct sip_hdr hdrs[SIP_HDRS_MAX];
    char bytes[8192];
};

static struct kept *next_kept(void)
{
    static struct kept all[KEPT];
    static unsigned n;
    return &all[n++ % KEPT];
}

void check_text(struct slice got, const char *want, const char *file, int line)
{
    if (!slice_eq(got, slice_str(want))) {
        print_error("got '%.*s', want '%s'\n", SLICE_ARG(got), want);
        _fail(file, line);
    }
}

/* --- rig --- */

static bool host_is_us(void *user, const struct sip_uri *uri)
{
    (void)user;
    return slice_eq(uri->host, SLICE("us"));
}

void rig_init(struct rig *r, const struct call_conf *conf)
{
    const struct hash_key key = {1, 2};
    *r = (struct rig){.now = 1000000};
    wheel_init(&r->wheel, r->now);
    assert_int_equal(calls_new(conf, &r->wheel, &key, 3, &r->counters, &r->calls), 0);
    calls_set_ours(r->calls, host_is_us, NULL);
}

void rig_fini(struct rig *r)
{
    calls_free(&r->calls);
    assert_null(r->calls);
    assert_int_equal(rig_count(r, CTR_CALLS), 0);
    assert_int_equal(wheel_next(&r->wheel), UINT64_MAX);
}

void rig_wait(struct rig *r, uint64_t ms)
{
    r->now += ms;
    wheel_advance(&r->wheel, r->now);
}

uint64_t rig_count(const struct rig *r, enum counter id)
{
    return counter_get(&r->counters, id);
}

/* --- messages --- */

const struct sip_msg *msg_of(const char *fmt, ...)
{
    struct kept *k = next_kept();
    struct sip_fault fault;
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(k->bytes, sizeof(k->bytes), fmt, args);
    va_end(args);
    assert_in_range(len, 1, sizeof(k->bytes) - 1);
    int err =
        sip_msg_parse(&k->msg, k->bytes, (size_t)len, false, k->hdrs, SIP_HDRS_MAX, NULL, &fault);
    if (err != 0)
        print_error("%s in\n%s\n", fault.reason, k->bytes);
    assert_int_equal(err, 0);
    return &k->msg;
}

#define ALICE "<sip:alice@example.com>"
#define BOB   "<sip:200@example.com>"

const struct sip_msg *invite_of(const char *call_id, const char *extra)
{
    return msg_of("INVITE sip:200@example.com SIP/2.0\r\n"
                  "Via: SIP/2.0/TCP 10.0.0.1:5060;branch=z9hG4bKfirst\r\n"
                  "From: Alice " ALICE ";tag=a\r\nTo: " BOB "\r\nCall-ID: %s\r\n"
                  "CSeq: 7 INVITE\r\nMax-Forwards: 70\r\n%s"
                  "%sContent-Length: 0\r\n\r\n",
                  call_id, extra,
                  strstr(extra, "Contact:") != NULL
                      ? ""
                      : "Contact: <sip:alice@10.0.0.1:5060;transport=tcp>\r\n");
}

const struct sip_msg *answer_of(const char *call_id, unsigned status, const char *tag,
                                const char *extra)
{
    return msg_of("SIP/2.0 %u Text\r\nVia: SIP/2.0/TCP 10.0.0.9;branch=z9hG4bKx\r\n"
                  "From: Alice " ALICE ";tag=a\r\nTo: " BOB "%s%s\r\nCall-ID: %s\r\n"
                  "CSeq: 7 INVITE\r\n%s%sContent-Length: 0\r\n\r\n",
                  status, tag[0] != '\0' ? ";tag=" : "", tag, call_id, extra,
                  strstr(extra, "Contact:") != NULL
                      ? ""
                      : "Contact: <sip:callee@10.0.0.2:5060;transport=tcp>\r\n");
}

static void parties(enum call_side from, const char *tag, char out[256])
{
    if (from == CALL_CALLER)
        snprintf(out, 256, "From: " ALICE ";tag=a\r\nTo: " BOB ";tag=%s\r\n", tag);
    else
        snprintf(out, 256, "From: " BOB ";tag=%s\r\nTo: Alice " ALICE ";tag=a\r\n", tag);
}

const struct sip_msg *request_of(const char *call_id, enum call_side from, const char *method,
                                 unsigned cseq, const char *tag, const char *extra)
{
    char who[256];
    parties(from, tag, who);
    return msg_of("%s sip:x@10.0.0.9 SIP/2.0\r\nVia: SIP/2.0/TCP 10.0.0.1;branch=z9hG4bKr%u\r\n"
                  "%sCall-ID: %s\r\nCSeq: %u %s\r\nMax-Forwards: 70\r\n%sContent-Length: 0\r\n\r\n",
                  method, cseq, who, call_id, cseq, method, extra);
}

const struct sip_msg *response_of(const char *call_id, enum call_side from, const char *method,
                                  unsigned cseq, unsigned status, const char *tag,
                                  const char *extra)
{
    char who[256];
    parties(from, tag, who);
    return msg_of("SIP/2.0 %u Text\r\nVia: SIP/2.0/TCP 10.0.0.1;branch=z9hG4bKr%u\r\n"
                  "%sCall-ID: %s\r\nCSeq: %u %s\r\n%sContent-Length: 0\r\n\r\n",
                  status, cseq, who, call_id, cseq, method, extra);
}

struct flow_dest dest_of(const char *remote, uint64_t flow)
{
    struct flow_dest d = {.flow = flow, .transport = SIP_TCP};
    assert_int_equal(addr_parse(slice_str(remote), 5060, &d.remote), 0);
    assert_int_equal(addr_parse(SLICE("10.0.0.9:5060"), 5060, &d.local), 0);
    return d;
}

/* --- a call --- */

uint64_t rig_begin(struct rig *r, const char *call_id, const char *extra)
{
    struct flow_dest caller = dest_of("10.0.0.1:40001", 11);
    r->call = call_begin(r->calls, invite_of(call_id, extra), &caller, r->now);
    return r->call;
}

static const char *call_id_of(struct rig *r, char out[256])
{
    struct call_dialog d;
    unsigned it = 0;
    if (!call_next_dialog(r->calls, r->call, &it, &d))
        return "one";
    snprintf(out, 256, "%.*s", SLICE_ARG(d.call_id));
    return out;
}

void rig_answer(struct rig *r, unsigned status, const char *tag, const char *extra)
{
    char id[256];
    struct flow_dest callee = dest_of("10.0.0.2:5060", 22);
    call_on_answer(r->calls, r->call, answer_of(call_id_of(r, id), status, tag, extra), &callee,
                   SLICE("200"), r->now);
}

uint64_t rig_established(struct rig *r, const char *call_id)
{
    struct flow_dest callee = dest_of("10.0.0.2:5060", 22);
    assert_int_not_equal(rig_begin(r, call_id, ""), 0);
    call_on_answer(r->calls, r->call,
                   answer_of(call_id, 200, "b", "Record-Route: <sip:us:5060;lr>\r\n"), &callee,
                   SLICE("200"), r->now);
    call_on_final(r->calls, r->call, 200, r->now);
    rig_request(r, request_of(call_id, CALL_CALLER, "ACK", 7, "b", ""));
    return r->call;
}

void rig_request(struct rig *r, const struct sip_msg *req)
{
    call_on_request(r->calls, r->call, req, NULL, r->now);
}

bool rig_has(struct rig *r, const char *call_id, const char *tag)
{
    enum call_side side;
    return call_find(r->calls, request_of(call_id, CALL_CALLER, "INFO", 1, tag, ""), &side) != 0;
}

unsigned rig_dialogs(struct rig *r, uint64_t call)
{
    struct call_dialog d;
    unsigned it = 0;
    while (call_next_dialog(r->calls, call, &it, &d))
        ;
    return it;
}

const struct sip_msg *rig_write(struct rig *r, uint64_t call, unsigned n, enum sip_method method,
                                enum call_side to, struct slice *first_hop, int *err)
{
    static char text[4096];
    struct call_dialog d;
    struct buf b;
    for (unsigned it = n; !call_next_dialog(r->calls, call, &it, &d);)
        fail_msg("no such dialog");
    buf_init(&b, text, sizeof(text));
    *err = call_write_request(r->calls, call, &d, method, to, &b, first_hop);
    if (*err != 0)
        return NULL;
    return msg_of("%.*sVia: SIP/2.0/TCP 10.0.0.9;branch=z9hG4bKown\r\nContent-Length: 0\r\n\r\n",
                  SLICE_ARG(buf_get(&b)));
}
