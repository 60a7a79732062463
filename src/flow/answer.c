/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of this room to what is not SIP's grammar, and where responses go. */
#include "flow/flow_int.h"
#include "sip/write.h"

static void log_fault(struct flows *fs, const struct sip_fault *fault,
                      const struct flow_origin *origin)
{
    uint32_t left_out;
    if (!log_limit_ok(&fs->log_bad, flows_now(fs), 10, 10000, &left_out))
        return;
    LOG(LOG_INFO, "flow", "malformed message", LF_ADDR("peer", &origin->remote),
        LF_STR("cause", fault->reason), LF_INT("status", fault->status),
        LF_INT("left_out", left_out));
}

void flow_answer_fault(struct flows *fs, const struct sip_msg *m, const struct sip_fault *fault,
                       const struct flow_origin *origin, struct flow *f)
{
    struct buf out;
    struct flow_dest dest;
    counter_inc(fs->counters, fault->status == 513 ? CTR_MSG_TOO_LARGE : CTR_MSG_MALFORMED);
    log_fault(fs, fault, origin);
    if (fault->status == 0 || !fault->has_via || !m->is_request || m->method == SIP_ACK)
        return;
    buf_init(&out, fs->answer, sizeof(fs->answer));
    if (sip_write_response(&out, m, fault->status, slice_str(fault->reason), SLICE("malformed"),
                           SLICE_NONE, SLICE_NONE) != 0)
        return;
    int rc;
    if (f != NULL) {
        struct flow_out answer = {.bytes = out.ptr, .len = out.len};
        rc = flow_write(f, &answer);
    } else {
        flow_response_dest(origin, &m->via, &dest);
        rc = flow_udp_send(fs, &dest, out.ptr, out.len, 0);
    }
    (void)rc; /* the sender of a malformed request gets one try */
}

void flow_response_dest(const struct flow_origin *origin, const struct sip_via *via,
                        struct flow_dest *out)
{
    struct addr maddr;
    uint16_t port = via->port != 0 ? via->port : sip_transport_port(origin->transport);
    *out = (struct flow_dest){.flow = origin->flow,
                              .remote = origin->remote,
                              .local = origin->local,
                              .transport = origin->transport,
                              .tls_peer = origin->tls_peer};
    if (origin->transport != SIP_UDP) {
        /* The connection of the request; if that is gone, RFC 3261 18.2.2: the received address,
         * the port of sent-by. */
        out->remote.port = port;
        return;
    }
    if (via->maddr.len != 0 && addr_parse_ip(via->maddr, port, &maddr) == 0 &&
        maddr.family == origin->remote.family)
        out->remote = maddr;
    else if (!via->has_rport)
        out->remote.port = port;
}
