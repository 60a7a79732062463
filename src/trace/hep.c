/* SPDX-License-Identifier: Apache-2.0 */
/* HEP version 3, the protocol of Homer: a packet of chunks for each message, by UDP.
 *
 * The queue is one buffer: packets lie in it one behind the other. At the end of a turn they leave
 * by sendmmsg; what the socket does not take is moved to the front. */
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/event.h"
#include "trace/trace_int.h"

#define QUEUE_BYTES   (1u << 20)
#define QUEUE_PACKETS 512u
#define BATCH         64u
#define ERRORS_MAX    4     /* of one turn */
#define OPEN_AGAIN_MS 1000  /* a socket that could not be opened */
#define SAY_AGAIN_MS  60000 /* that it still gets nothing */
#define BACK_MS       2000  /* without an error it has come back */
#define NAME_BYTES    512u  /* of a password or a correlation id */
/* The rest of a packet: chunks of fixed size, the two above, what masking adds. */
#define MESSAGE_MAX (TRACE_HEP_MAX - 2 * NAME_BYTES - SIP_MASK_MORE - 200)

enum chunk {
    CHUNK_FAMILY = 1,   /* 2: IPv4, 10: IPv6 */
    CHUNK_PROTOCOL = 2, /* of IP: 17 UDP, 6 TCP */
    CHUNK_SRC_IP4 = 3,
    CHUNK_DST_IP4 = 4,
    CHUNK_SRC_IP6 = 5,
    CHUNK_DST_IP6 = 6,
    CHUNK_SRC_PORT = 7,
    CHUNK_DST_PORT = 8,
    CHUNK_SECONDS = 9,
    CHUNK_MICROSECONDS = 10,
    CHUNK_TYPE = 11, /* 1: SIP */
    CHUNK_CAPTURE_ID = 12,
    CHUNK_PASSWORD = 14,
    CHUNK_PAYLOAD = 15,
    CHUNK_CORRELATION = 17,
};

struct trace_hep {
    struct addr to;
    int fd;              /* -1: not open */
    uint64_t open_again; /* ms of the monotonic clock */
    bool is_lost;        /* and what is said of that */
    uint64_t dropped, dropped_at, said;
    struct log_limit log_large;
    struct buf bytes;
    uint32_t npackets;
    uint32_t len[QUEUE_PACKETS];
    char room[QUEUE_BYTES];
};

/* --- a packet --------------------------------------------------------------------------------- */

static void put_u16(struct buf *out, unsigned value)
{
    const char two[2] = {(char)(value >> 8), (char)value};
    buf_add(out, two, sizeof(two));
}

static void put_u32(struct buf *out, uint32_t value)
{
    put_u16(out, value >> 16);
    put_u16(out, value & 0xffff);
}

/* Vendor 0 (generic), type, length with these six bytes. */
static void put_head(struct buf *out, enum chunk type, size_t len)
{
    put_u16(out, 0);
    put_u16(out, type);
    put_u16(out, (unsigned)len + 6);
}

static void put_bytes(struct buf *out, enum chunk type, const void *bytes, size_t len)
{
    put_head(out, type, len);
    buf_add(out, bytes, len);
}

static void put_byte(struct buf *out, enum chunk type, unsigned value)
{
    put_head(out, type, 1);
    buf_char(out, (char)value);
}

static void put_port(struct buf *out, enum chunk type, uint16_t port)
{
    put_head(out, type, 2);
    put_u16(out, port);
}

static void put_number(struct buf *out, enum chunk type, uint32_t value)
{
    put_head(out, type, 4);
    put_u32(out, value);
}

static void put_addresses(struct buf *out, const struct flow_wire *wire)
{
    static const struct addr none;
    bool is_ip6 = wire->remote->family == ADDR_IP6;
    /* Ours may not be known, or a wildcard of the other family. */
    const struct addr *local = wire->local->family == wire->remote->family ? wire->local : &none;
    const struct addr *src = wire->is_out ? local : wire->remote;
    const struct addr *dst = wire->is_out ? wire->remote : local;
    size_t len = is_ip6 ? 16 : 4;
    put_byte(out, CHUNK_FAMILY, is_ip6 ? 10 : 2);
    put_byte(out, CHUNK_PROTOCOL, wire->transport == SIP_UDP ? 17 : 6);
    put_bytes(out, is_ip6 ? CHUNK_SRC_IP6 : CHUNK_SRC_IP4, src->ip, len);
    put_bytes(out, is_ip6 ? CHUNK_DST_IP6 : CHUNK_DST_IP4, dst->ip, len);
    put_port(out, CHUNK_SRC_PORT, wire->is_out ? wire->local->port : src->port);
    put_port(out, CHUNK_DST_PORT, wire->is_out ? dst->port : wire->local->port);
}

bool trace_hep_write(struct buf *out, const struct trace_conf *conf, const struct flow_wire *wire,
                     uint64_t wall, struct slice masked)
{
    struct trace_facts facts;
    size_t begin = out->len;
    trace_read(masked, &facts);
    buf_lit(out, "HEP3");
    char *total = buf_take(out, 2);
    put_addresses(out, wire);
    put_number(out, CHUNK_SECONDS, (uint32_t)(wall / 1000000));
    put_number(out, CHUNK_MICROSECONDS, (uint32_t)(wall % 1000000));
    put_byte(out, CHUNK_TYPE, 1);
    put_number(out, CHUNK_CAPTURE_ID, conf->hep_id);
    if (conf->hep_password.len != 0 && conf->hep_password.len <= NAME_BYTES)
        put_bytes(out, CHUNK_PASSWORD, conf->hep_password.ptr, conf->hep_password.len);
    if (facts.call_id.len != 0 && facts.call_id.len <= NAME_BYTES)
        put_bytes(out, CHUNK_CORRELATION, facts.call_id.ptr, facts.call_id.len);
    put_bytes(out, CHUNK_PAYLOAD, masked.ptr, masked.len);
    size_t len = out->len - begin;
    if (out->overflow || total == NULL || len > TRACE_HEP_MAX) {
        out->len = begin;
        out->overflow = false;
        return false;
    }
    total[0] = (char)(len >> 8);
    total[1] = (char)len;
    return true;
}

/* --- the queue -------------------------------------------------------------------------------- */

static uint64_t clock_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

struct trace_hep *trace_hep_new(const struct trace_conf *conf)
{
    struct trace_hep *h = mem_alloc(sizeof(*h));
    if (h == NULL)
        return NULL;
    h->to = conf->hep;
    h->fd = -1;
    h->open_again = 0;
    h->log_large = (struct log_limit){0};
    h->is_lost = false;
    h->dropped = h->dropped_at = h->said = 0;
    h->npackets = 0;
    buf_init(&h->bytes, h->room, sizeof(h->room));
    return h;
}

void trace_hep_free(struct trace_hep **hep)
{
    struct trace_hep *h = *hep;
    if (h == NULL)
        return;
    if (h->fd >= 0)
        close(h->fd);
    mem_free(h);
    *hep = NULL;
}

/* `n` packets that the collector does not get. */
static void dropped(struct trace *t, uint32_t n, int err)
{
    struct trace_hep *h = t->hep;
    uint64_t now = clock_ms();
    counter_add(t->counters, CTR_HEP_DROPPED, n);
    h->dropped = h->is_lost ? h->dropped + n : n;
    if (!h->is_lost || now - h->said >= SAY_AGAIN_MS) {
        h->said = now;
        EVENT_LOG(EV_COLLECTOR_LOST, LF_INT("worker", t->worker), LF_ADDR("collector", &h->to),
                  LF_ERR("cause", err), LF_INT("dropped", h->dropped));
    }
    h->is_lost = true;
    h->dropped_at = now;
}

/* The socket has taken packets. What refuses them says so at the next one only. */
static void sent(struct trace *t, uint32_t n)
{
    struct trace_hep *h = t->hep;
    counter_add(t->counters, CTR_HEP_SENT, n);
    if (!h->is_lost || clock_ms() - h->dropped_at < BACK_MS)
        return;
    h->is_lost = false;
    EVENT_LOG(EV_COLLECTOR_BACK, LF_INT("worker", t->worker), LF_ADDR("collector", &h->to),
              LF_INT("dropped", h->dropped));
}

static void too_large(struct trace *t, const struct flow_wire *wire)
{
    uint32_t left_out;
    counter_inc(t->counters, CTR_HEP_DROPPED);
    if (log_limit_ok(&t->hep->log_large, clock_ms(), 1, SAY_AGAIN_MS, &left_out))
        LOG(LOG_WARN, "trace", "a message is too large for a packet of HEP",
            LF_INT("length", wire->bytes.len), LF_ADDR("remote", wire->remote),
            LF_INT("left_out", left_out));
}

void trace_hep_put(struct trace *t, const struct flow_wire *wire, uint64_t wall)
{
    struct trace_hep *h = t->hep;
    char room[SIP_MSG_MAX + SIP_MASK_MORE];
    struct buf masked;
    size_t begin = h->bytes.len;
    if (h->npackets == QUEUE_PACKETS) {
        dropped(t, 1, ERR_FULL);
        return;
    }
    buf_init(&masked, room, sizeof(room));
    sip_mask(&t->conf.mask, wire->bytes, &masked);
    if (masked.overflow || wire->bytes.len > MESSAGE_MAX) {
        too_large(t, wire);
        return;
    }
    if (!trace_hep_write(&h->bytes, &t->conf, wire, wall, buf_get(&masked))) {
        dropped(t, 1, ERR_FULL);
        return;
    }
    h->len[h->npackets++] = (uint32_t)(h->bytes.len - begin);
}

static bool is_open(struct trace_hep *h, int *err)
{
    char storage[32];
    struct sockaddr *sa = (void *)storage;
    if (h->fd >= 0)
        return true;
    *err = ERR_UNREACHABLE;
    if (clock_ms() < h->open_again)
        return false;
    h->open_again = clock_ms() + OPEN_AGAIN_MS;
    h->fd = socket(h->to.family == ADDR_IP6 ? AF_INET6 : AF_INET,
                   SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t len = (socklen_t)addr_to_sockaddr(&h->to, sa);
    if (h->fd >= 0 && connect(h->fd, sa, len) == 0)
        return true;
    *err = -errno;
    if (h->fd >= 0)
        close(h->fd);
    h->fd = -1;
    return false;
}

/* Gives the socket what begins at *at, `first` being the number of that packet. How many it took,
 * -errno. */
static int send_some(struct trace_hep *h, size_t *at, uint32_t first)
{
    struct mmsghdr m[BATCH];
    struct iovec iov[BATCH];
    uint32_t n = h->npackets - first < BATCH ? h->npackets - first : BATCH;
    size_t place = *at;
    for (uint32_t i = 0; i < n; i++) {
        iov[i] = (struct iovec){h->room + place, h->len[first + i]};
        m[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iov[i], .msg_iovlen = 1}};
        place += h->len[first + i];
    }
    int sent = sendmmsg(h->fd, m, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0)
        return -errno;
    for (int i = 0; i < sent; i++)
        *at += h->len[first + (uint32_t)i];
    return sent;
}

/* The first `n` packets, which take `bytes`, are done with. */
static void move_up(struct trace_hep *h, uint32_t n, size_t bytes)
{
    memmove(h->room, h->room + bytes, h->bytes.len - bytes);
    memmove(h->len, h->len + n, (h->npackets - n) * sizeof(h->len[0]));
    h->bytes.len -= bytes;
    h->npackets -= n;
}

void trace_hep_flush(struct trace *t)
{
    struct trace_hep *h = t->hep;
    uint32_t done = 0;
    size_t at = 0;
    unsigned errors = 0;
    int err = 0;
    if (h->npackets == 0)
        return;
    if (!is_open(h, &err)) {
        dropped(t, h->npackets, err);
        move_up(h, h->npackets, h->bytes.len);
        return;
    }
    while (done < h->npackets) {
        int n = send_some(h, &at, done);
        if (n > 0) {
            sent(t, (uint32_t)n);
            done += (uint32_t)n;
            continue;
        }
        if (n == -EAGAIN || n == -EWOULDBLOCK || n == -ENOBUFS)
            break;
        if (n == -EINTR)
            continue;
        /* Of ECONNREFUSED: that is what became of an earlier packet. */
        dropped(t, 1, n);
        if (n != -ECONNREFUSED)
            at += h->len[done++];
        if (++errors > ERRORS_MAX) {
            dropped(t, h->npackets - done, n);
            done = h->npackets;
            at = h->bytes.len;
        }
    }
    move_up(h, done, at);
}
