/* SPDX-License-Identifier: Apache-2.0 */
/* Long random walks over a few calls: whatever passes in whatever order, with and without memory,
 * a record counts its bytes rightly, stays within its bound and ends. */
#include "base/alloc.h"
#include "base/random.h"
#include "call/call_int.h"
#include "help.h"

#define IDS   4
#define STEPS 20000

static const char *const ids[IDS] = {"w0", "w1", "w2", "w3"};
static const char *const tags[] = {"b", "c", "d", "e", "f", "g", "h", "i"};
static const char *const methods[] = {"INVITE", "ACK",   "BYE",    "UPDATE",
                                      "INFO",   "PRACK", "NOTIFY", "CANCEL"};
static const unsigned statuses[] = {100, 180, 183, 200, 200, 202, 401, 408, 481, 486, 500};

struct walk {
    struct rig rig;
    struct rng rng;
    uint64_t calls[IDS];
    char contact[1200];
};

static unsigned pick(struct walk *w, unsigned n)
{
    return (unsigned)rng_below(&w->rng, n);
}

static const char *contact_of(struct walk *w)
{
    unsigned len = pick(w, 20) == 0 ? pick(w, 1000) : pick(w, 60);
    int n = snprintf(w->contact, sizeof(w->contact),
                     "Session-Expires: %u\r\nContact: <sip:", pick(w, 200));
    memset(w->contact + n, 'u', len);
    snprintf(w->contact + n + len, sizeof(w->contact) - n - len, "@h>\r\n");
    return w->contact;
}

static struct flow_dest way_of(struct walk *w)
{
    return pick(w, 2) != 0 ? dest_of("10.0.0.2:5060", pick(w, 5))
                           : dest_of("[2001:db8::2]:5060", pick(w, 5));
}

static void step(struct walk *w)
{
    struct rig *r = &w->rig;
    unsigned n = pick(w, IDS);
    const char *id = ids[n], *tag = tags[pick(w, 8)], *method = methods[pick(w, 8)];
    enum call_side side = pick(w, 2) != 0 ? CALL_CALLER : CALL_CALLEE;
    unsigned status = statuses[pick(w, 11)], cseq = pick(w, 30);
    struct flow_dest way = way_of(w);
    const struct sip_msg *req;
    switch (pick(w, 12)) {
    case 0: w->calls[n] = call_begin(r->calls, invite_of(id, contact_of(w)), &way, r->now); break;
    case 1:
        if (pick(w, 2) == 0)
            call_on_final(r->calls, w->calls[n], status, r->now);
        break;
    case 2:
        if (pick(w, 8) == 0)
            call_end_dialog(r->calls, request_of(id, side, "BYE", cseq, tag, ""));
        break;
    case 3: rig_wait(r, pick(w, 9000)); break;
    case 4:
    case 5:
        call_on_request(r->calls, w->calls[n], request_of(id, side, method, cseq, tag, ""), &way,
                        r->now);
        break;
    case 6:
    case 7:
        req = request_of(id, side, method, cseq, tag, contact_of(w));
        call_on_response(r->calls, w->calls[n], pick(w, 3) != 0 ? req : NULL,
                         response_of(id, side, method, cseq, status, tag, contact_of(w)), r->now);
        break;
    default:
        call_on_answer(r->calls, w->calls[n], answer_of(id, status, tag, contact_of(w)), &way,
                       SLICE("2001"), r->now);
        break;
    }
}

static size_t chunk(size_t size)
{
    size_t n = (size + 8 + 15) & ~(size_t)15;
    return n < 32 ? 32 : n;
}

static size_t texts_bytes(const struct texts *t)
{
    return t->end[PART_COUNT - 1];
}

/* The account of one record, made anew. */
static unsigned check_call(struct rig *r, uint64_t id)
{
    const struct call *c = calls_get(r->calls, id);
    size_t bytes = call_fixed_cost();
    unsigned n = 0;
    if (c == NULL)
        return 0;
    bytes += chunk(sizeof(struct caller) + texts_bytes(&c->caller->texts));
    for (const struct dialog *d = c->dialogs; d != NULL; d = d->next, n++) {
        bytes += chunk(sizeof(struct dialog) + texts_bytes(&d->texts));
        assert_ptr_equal(dialog_of_tag(c, texts_get(&d->texts, PART_TAG)), d);
        assert_true(!d->confirmed || !d->is_slim);
    }
    assert_int_equal(c->bytes, bytes);
    assert_in_range(bytes, 0, CALL_BYTES_MAX);
    assert_true(c->is_final || c->late_until == 0);
    assert_true(!c->is_final || call_invite(r->calls, id) == 0);
    return n;
}

static void walk(bool fails)
{
    struct walk w = {0};
    unsigned most = 0;
    for (unsigned seed = 1; seed <= 3; seed++) {
        rig_init(&w.rig, &(struct call_conf){.max = 3, .timeout_ms = 60000});
        rng_seed(&w.rng, seed);
        memset(w.calls, 0, sizeof(w.calls));
        for (unsigned i = 0; i < STEPS; i++) {
            mem_fail_at(fails && pick(&w, 3) == 0 ? 1 + pick(&w, 3) : 0);
            step(&w);
            mem_fail_at(0);
            assert_in_range(calls_count(w.rig.calls), 0, 3);
            for (unsigned n = 0; n < IDS; n++) {
                unsigned dialogs = check_call(&w.rig, w.calls[n]);
                most = dialogs > most ? dialogs : most;
            }
        }
        assert_true(rig_count(&w.rig, CTR_CALLS_SEEN) > 20);
        /* What nobody ends vanishes. */
        rig_wait(&w.rig, 60000 + 1000);
        assert_int_equal(calls_count(w.rig.calls), 0);
        rig_fini(&w.rig);
    }
    assert_true(most >= 4);
}

static void with_memory(void **state)
{
    (void)state;
    walk(false);
}

static void with_failing_memory(void **state)
{
    (void)state;
    walk(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_memory),
        cmocka_unit_test(with_failing_memory),
    };
    log_setup(LOG_ERROR, LOG_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
