/* SPDX-License-Identifier: Apache-2.0 */
/* Framing: however a stream is split, it holds the same messages and pings and the same fault. The
 * first 5 bytes are the seed of the split and the choice of limits. */
#include "sip/frame.h"

#include "check.h"

#define EVENTS_MAX 4096

struct event {
    enum sip_frame_result kind;
    size_t end; /* offset in the stream; of a fault 0, for it depends on how much had come */
    size_t len; /* of a message */
    unsigned status;
};

struct trace {
    unsigned n;
    size_t consumed;
    bool broken;
    struct event events[EVENTS_MAX];
};

static const struct sip_limits all_limits[] = {
    {200, 32768, 61440},
    {200, 256, 512},
    {3, 1024, 0},
    {SIP_HDRS_MAX, 64, 61440},
};

/* The parser agrees with the framing about where the message ends. */
static void check_message(const char *bytes, size_t len, const struct sip_limits *limits)
{
    struct sip_hdr hdrs[SIP_HDRS_MAX];
    struct sip_fault fault;
    struct sip_msg m;
    int rc = sip_msg_parse(&m, bytes, len, true, hdrs, SIP_HDRS_MAX, limits, &fault);
    CHECK(rc == 0 || strstr(fault.reason, "Content-Length") == NULL);
    CHECK(rc == 0 || strstr(fault.reason, "Empty Line") == NULL);
    CHECK(rc != 0 || m.len == len);
}

/* What the framing refuses for its length the parser does not take either. */
static void check_refused(const char *bytes, size_t len, const struct sip_fault *why)
{
    struct sip_hdr hdrs[SIP_HDRS_MAX];
    struct sip_fault fault;
    struct sip_msg m;
    CHECK(why->status == 400 || why->status == 513);
    if (strstr(why->reason, "Content-Length") != NULL)
        CHECK(sip_msg_parse(&m, bytes, len, true, hdrs, SIP_HDRS_MAX, NULL, &fault) != 0);
}

static void add_event(struct trace *t, enum sip_frame_result kind, size_t used,
                      const struct sip_fault *fault)
{
    if (kind == SIP_FRAME_CRLF || t->n == EVENTS_MAX)
        return; /* half a ping or nothing at all: what follows tells */
    t->events[t->n++] = (struct event){kind, kind == SIP_FRAME_BAD ? 0 : t->consumed,
                                       kind == SIP_FRAME_MESSAGE ? used : 0,
                                       kind == SIP_FRAME_BAD ? fault->status : 0};
}

/* All that `len` bytes hold from what was consumed on. */
static void run(struct sip_frame *f, struct trace *t, const uint8_t *data, size_t len,
                const struct sip_limits *limits)
{
    while (!t->broken) {
        struct sip_fault fault;
        size_t used = 0, have = len - t->consumed;
        char *window = exact_copy(data + t->consumed, have);
        enum sip_frame_result r = sip_frame_next(f, window, have, limits, &used, &fault);
        CHECK(used <= have);
        CHECK((r == SIP_FRAME_MORE) == (used == 0) || r == SIP_FRAME_BAD);
        if (r == SIP_FRAME_MESSAGE)
            check_message(window, used, limits);
        if (r == SIP_FRAME_BAD)
            check_refused(window, used, &fault);
        free(window);
        if (r == SIP_FRAME_MORE)
            return;
        t->consumed += used;
        t->broken = r == SIP_FRAME_BAD;
        add_event(t, r, used, &fault);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct trace whole, split;
    struct decider d = {0};
    struct sip_frame f;

    if (size < 5)
        return 0;
    memcpy(&d.state, data, 4);
    const struct sip_limits *limits = &all_limits[data[4] % 4];
    data += 5;
    size -= 5;

    whole.n = split.n = 0;
    whole.consumed = split.consumed = 0;
    whole.broken = split.broken = false;
    sip_frame_init(&f);
    run(&f, &whole, data, size, limits);

    /* Long pieces and short ones: 16 of them, or all of one byte, or anything between. */
    uint32_t most = 1 + decide(&d, size > 16 ? (uint32_t)size / 8 : 2);
    sip_frame_init(&f);
    for (size_t have = 0; have < size && !split.broken;) {
        have += 1 + decide(&d, most);
        if (have > size)
            have = size;
        run(&f, &split, data, have, limits);
    }
    CHECK(whole.n == split.n && whole.broken == split.broken);
    CHECK(whole.broken || whole.consumed == split.consumed);
    for (unsigned i = 0; i < whole.n; i++) {
        const struct event *a = &whole.events[i], *b = &split.events[i];
        CHECK(a->kind == b->kind && a->end == b->end && a->len == b->len && a->status == b->status);
    }
    return 0;
}
