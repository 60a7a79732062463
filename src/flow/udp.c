/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams: keep-alives, parsing, sending. */
#include "flow/flow_int.h"
#include "flow/stun.h"

static void answer_stun(struct flow_listener *l, const char *data, size_t len,
                        const struct addr *remote, const struct addr *local)
{
    struct flows *fs = l->owner;
    char storage[STUN_ANSWER_MAX];
    struct buf out;
    buf_init(&out, storage, sizeof(storage));
    if (stun_answer((struct slice){data, len}, remote, &out) != 0)
        return;
    counter_inc(fs->counters, CTR_PING_IN);
    if (net_udp_send(l->udp, remote, local, out.ptr, out.len) != 0)
        counter_inc(fs->counters, CTR_UDP_DROPPED);
}

static void tell_wire(const struct flows *fs, bool is_out, const struct addr *remote,
                      const struct addr *local, struct slice bytes)
{
    struct flow_wire wire = {is_out, SIP_UDP, local, remote, 0, bytes};
    if (fs->ev.on_wire != NULL)
        fs->ev.on_wire(fs->ev.user, &wire);
}

void flow_on_datagram(void *user, char *data, size_t len, const struct addr *remote,
                      const struct addr *local)
{
    struct flow_listener *l = user;
    struct flows *fs = l->owner;
    struct sip_msg m;
    struct sip_fault fault;
    if (l->naccess != 0 && !flow_admits(l, remote, local))
        return;
    if (stun_is_request((struct slice){data, len})) {
        answer_stun(l, data, len, remote, local);
        return;
    }
    /* RFC 3261 7.5: CRLFs before the start line; some devices keep their NAT open with nothing but
     * these. */
    while (len != 0 && (data[0] == '\r' || data[0] == '\n')) {
        data++;
        len--;
    }
    if (len == 0)
        return;
    tell_wire(fs, false, remote, local, slice_of(data, len));
    if (flow_is_idle_ack(fs, slice_of(data, len)))
        return;
    struct flow_origin origin = {.remote = *remote, .local = *local, .transport = SIP_UDP};
    int rc = sip_msg_parse(&m, data, len, false, fs->hdrs, SIP_HDRS_MAX, &fs->conf.limits, &fault);
    m.source = *remote;
    if (rc != 0) {
        flow_answer_fault(fs, &m, &fault, &origin, NULL);
        return;
    }
    if (fs->ev.on_message(fs->ev.user, &m, &origin) == ERR_FULL)
        counter_inc(fs->counters, CTR_UDP_DROPPED);
    else
        flow_count_taken(fs, &m);
}

void flow_on_unreached(void *user, const struct addr *remote, int err, struct slice quote)
{
    const struct flow_listener *l = user;
    struct flows *fs = l->owner;
    if (fs->ev.on_unreached != NULL)
        fs->ev.on_unreached(fs->ev.user, remote, err, quote);
    else
        counter_inc(fs->counters, CTR_ICMP_IGNORED);
}

/* From which address is the kernel's choice where the listener has all of them. */
static void tell_sent(const struct flow_listener *l, const struct flow_dest *dest,
                      struct slice bytes)
{
    const struct addr *local = dest->local.family != ADDR_NONE ? &dest->local : &l->addr;
    struct addr source;
    if (addr_is_any(local) && net_source_for(l->owner->loop, &dest->remote, &source) == 0) {
        source.port = l->addr.port;
        local = &source;
    }
    tell_wire(l->owner, true, &dest->remote, local, bytes);
}

int flow_udp_send(struct flows *fs, const struct flow_dest *dest, const void *bytes, size_t len,
                  unsigned flags)
{
    const struct flow_listener *l = flow_listener_for(fs, &dest->remote, &dest->local);
    if (l == NULL || l->udp == NULL || dest->remote.port == 0)
        return ERR_NO_ROUTE;
    int rc = (flags & FLOW_SEND_LATER) != 0
                 ? net_udp_send_later(l->udp, &dest->remote, &dest->local, bytes, len)
                 : net_udp_send(l->udp, &dest->remote, &dest->local, bytes, len);
    if (rc != 0)
        return rc;
    counter_inc(fs->counters, CTR_MSG_OUT);
    tell_sent(l, dest, slice_of(bytes, len));
    return 0;
}
