/* SPDX-License-Identifier: Apache-2.0 */
/* Questions, one server after the other, and what the servers' silence means.
 *
 * What c-ares calls back is only noted; it is looked at by dns_settle, outside c-ares, since it may
 * lead to the next question. */
#include "net/resolver_int.h"

#include <string.h>

#define CLASS_IN        1
#define AVOID_FIRST_MS  1000 /* of a silent server; doubled each time */
#define AVOID_MAX_MS    60000
#define DOWN_FIRST_MS   500 /* all are silent */
#define DOWN_MAX_MS     8000
#define BAD_BURST       20
#define LOG_INTERVAL_MS 10000

static uint64_t backoff(uint64_t first, uint64_t most, unsigned times)
{
    uint64_t ms = times < 20 ? first << times : most;
    return ms < most ? ms : most;
}

/* --- what has come ---------------------------------------------------------------------------- */

static void log_cut(struct net_resolver *r, const struct dns_answer *a)
{
    uint32_t left_out;
    if (log_limit_ok(&r->log_cut, net_now(r->loop), 1, LOG_INTERVAL_MS, &left_out))
        LOG(LOG_WARN, "net", "DNS answer has more records than are used", LF_INT("used", a->n),
            LF_INT("not_used", a->left), LF_INT("left_out", left_out));
}

static void read_answer(struct net_resolver *r, struct dns_ask *ask, const uint8_t *msg, size_t len)
{
    struct dns_answer a;
    ask->result.err = dns_answer_parse(msg, len, ask->type, &a);
    ask->result.ttl = a.ttl;
    if (ask->result.err != 0)
        return;
    if (a.left != 0)
        log_cut(r, &a);
    if (a.n == 0) {
        ask->result.err = a.is_denied ? ERR_UNSUPPORTED : ERR_NOT_FOUND;
        return;
    }
    ask->result.set = dns_set_new(&a, ask->type);
    if (ask->result.set == NULL)
        ask->result.err = ERR_NOMEM;
}

/* Where c-ares keeps the message to itself. */
static int err_of(int status, bool *has_answered)
{
    *has_answered = true;
    switch (status) {
    case ARES_ENODATA:
    case ARES_ENOTFOUND: return ERR_NOT_FOUND;
    case ARES_ESERVFAIL:
    case ARES_EREFUSED:
    case ARES_ENOTIMP:
    case ARES_EFORMERR: return ERR_DNS_REFUSED;
    case ARES_EBADRESP: return ERR_DNS_BAD;
    default: break;
    }
    *has_answered = false;
    switch (status) {
    case ARES_ENOMEM: return ERR_NOMEM;
    case ARES_EBADNAME:
    case ARES_EBADQUERY: return ERR_PARSE;
    case ARES_EDESTRUCTION:
    case ARES_ECANCELLED: return ERR_SHUTDOWN;
    default: return ERR_DNS_SILENT;
    }
}

static void on_answer(void *user, int status, int timeouts, unsigned char *msg, int len)
{
    struct dns_ask *ask = user;
    struct net_resolver *r = ask->server->resolver;
    (void)timeouts;
    ask->result = (struct dns_result){0};
    if (msg != NULL && len > 0) {
        ask->has_answered = true;
        read_answer(r, ask, msg, (size_t)len);
    } else {
        ask->result.err = err_of(status, &ask->has_answered);
    }
    list_push(&r->done, &ask->node);
}

static void count_ask(struct dns_server *s, struct dns_ask *ask)
{
    ask->server = s;
    ask->has_answered = false;
    s->asks++;
    s->sent++;
    s->questions++;
    dns_count(s->resolver, CTR_DNS_QUERIES);
}

/* A name without a dot is looked for in the domains of the system's `search`; others are whole. */
static void send_ask(struct dns_server *s, struct dns_ask *ask, const struct dns_name *n)
{
    bool is_whole = n->kind != DNS_KIND_HOST || memchr(n->text, '.', n->len) != NULL;
    count_ask(s, ask);
    if (is_whole)
        ares_query(s->channel, n->text, CLASS_IN, (int)ask->type, on_answer, ask);
    else
        ares_search(s->channel, n->text, CLASS_IN, (int)ask->type, on_answer, ask);
}

/* --- servers ---------------------------------------------------------------------------------- */

/* Does it answer what was answered before, or, where nothing was, about the root, of which every
 * server has something to say? Nobody waits for that. */
static void probe(struct net_resolver *r, struct dns_server *s)
{
    bool is_known = r->good[0] != '\0';
    if (s->is_probed)
        return;
    s->is_probed = true;
    s->probe.is_probe = true;
    s->probe.type = is_known ? r->good_type : DNS_A;
    count_ask(s, &s->probe);
    ares_query(s->channel, is_known ? r->good : ".", CLASS_IN, (int)s->probe.type, on_answer,
               &s->probe);
}

/* A server that was silent is looked at when another one has answered. */
static void probe_others(struct net_resolver *r, const struct dns_question *q)
{
    uint64_t now = net_now(r->loop);
    memcpy(r->good, q->name->text, q->name->len + 1);
    r->good_type = q->ask.type;
    for (unsigned i = 0; i < r->nservers; i++) {
        struct dns_server *s = r->servers[i];
        if (s->fails != 0 && now >= s->avoid_until)
            probe(r, s);
    }
}

static void come_up(struct net_resolver *r)
{
    char text[DNS_SERVERS_TEXT];
    struct dns_breaker *b = dns_breaker_hold(r);
    bool was_down = b->is_down;
    b->is_down = false;
    b->heard_at = net_now(r->loop);
    dns_breaker_release(r);
    if (was_down)
        EVENT_LOG(EV_DNS_BACK, LF_STR("servers", dns_servers_text(r, text)));
}

/* A question went unanswered on all servers. Not while anything else is answered: there are servers
 * that keep silent for names they dislike. Are they down now? */
static bool go_down(struct net_resolver *r, const struct dns_question *q)
{
    char text[DNS_SERVERS_TEXT];
    struct dns_breaker *b = dns_breaker_hold(r);
    bool is_new = !b->is_down && q->generation == r->generation && b->heard_at < q->begun;
    if (is_new) {
        b->is_down = true;
        b->fails = 0;
        b->probe_at = net_now(r->loop) + DOWN_FIRST_MS;
    }
    bool is_down = b->is_down;
    dns_breaker_release(r);
    if (is_new)
        EVENT_LOG(EV_DNS_SILENT, LF_STR("servers", dns_servers_text(r, text)));
    return is_down;
}

bool dns_may_ask(struct net_resolver *r, unsigned *tries)
{
    uint64_t now = net_now(r->loop);
    dns_servers_look(r);
    struct dns_breaker *b = dns_breaker_hold(r);
    bool may_ask = !b->is_down || now >= b->probe_at;
    *tries = b->is_down ? 1 : r->tries;
    if (b->is_down && may_ask)
        b->probe_at = now + backoff(DOWN_FIRST_MS, DOWN_MAX_MS, ++b->fails) +
                      (uint64_t)r->timeout_ms * r->nservers;
    dns_breaker_release(r);
    return may_ask;
}

static void note_health(struct net_resolver *r, const struct dns_ask *ask)
{
    struct dns_server *s = ask->server;
    if (ask->has_answered) {
        s->fails = 0;
        come_up(r);
    } else if (ask->result.err == ERR_DNS_SILENT) {
        s->avoid_until = net_now(r->loop) + backoff(AVOID_FIRST_MS, AVOID_MAX_MS, s->fails);
        s->fails++;
        bool is_retired = list_is_linked(&s->node);
        if (!ask->is_probe && !is_retired)
            probe(r, s); /* it may be for the name: that is known before the last try has failed */
    }
}

/* The first one that answers, else the one whose silence is the longest ago; -1: all were tried. */
static int pick_server(const struct net_resolver *r, uint32_t tried)
{
    int best = -1;
    for (unsigned i = 0; i < r->nservers; i++) {
        const struct dns_server *s = r->servers[i];
        if ((tried & 1u << i) != 0)
            continue;
        if (s->fails == 0)
            return (int)i;
        if (best < 0 || s->avoid_until < r->servers[best]->avoid_until)
            best = (int)i;
    }
    return best;
}

/* --- questions -------------------------------------------------------------------------------- */

static void log_failed(struct net_resolver *r, const struct dns_question *q)
{
    uint32_t left_out;
    if (log_limit_ok(&r->log_bad, net_now(r->loop), BAD_BURST, LOG_INTERVAL_MS, &left_out))
        LOG(LOG_WARN, "net", "DNS question failed",
            LF_SLICE("name", slice_of(q->name->text, q->name->len)), LF_ERR("cause", q->worst),
            LF_ADDR("server", &q->ask.server->addr), LF_INT("left_out", left_out));
}

static void question_done(struct dns_question *q, struct dns_result got)
{
    struct dns_name *n = q->name;
    q->got = got;
    n->pending--;
    if (got.err == 0) {
        for (unsigned i = 0; i < n->nquestions; i++)
            n->questions[i].is_last = true;
    }
    if (n->pending == 0)
        dns_name_done(n);
}

static void question_failed(struct net_resolver *r, struct dns_question *q)
{
    bool is_down = q->worst == ERR_DNS_SILENT && go_down(r, q); /* which is said once */
    if (q->worst != ERR_SHUTDOWN)
        dns_count(r, CTR_DNS_FAILED);
    if (q->worst != ERR_SHUTDOWN && !is_down)
        log_failed(r, q);
    question_done(q, (struct dns_result){.err = q->worst});
}

/* Sends it to the next server; false: there is none left. */
static bool question_next(struct net_resolver *r, struct dns_question *q)
{
    if (q->generation != r->generation) {
        q->generation = r->generation;
        q->tried = q->answered = 0;
    }
    int i = pick_server(r, q->tried);
    if (i < 0 && q->rounds > 1) {
        q->rounds--;
        q->tried = q->answered;
        i = pick_server(r, q->tried);
    }
    if (i < 0)
        return false;
    q->tried |= 1u << i;
    q->server = (unsigned)i;
    send_ask(r->servers[i], &q->ask, q->name);
    return true;
}

/* The most telling one: a server that refuses says more than one that is silent. */
static int worse(int a, int b)
{
    static const int order[] = {ERR_SHUTDOWN, ERR_NOMEM, ERR_PARSE, ERR_DNS_REFUSED, ERR_DNS_BAD};
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        if (a == order[i] || b == order[i])
            return order[i];
    }
    return ERR_DNS_SILENT;
}

static void question_answered(struct net_resolver *r, struct dns_question *q)
{
    struct dns_result got = q->ask.result;
    q->ask.result.set = NULL;
    if (got.err == 0 || got.err == ERR_NOT_FOUND || got.err == ERR_UNSUPPORTED) {
        probe_others(r, q);
        question_done(q, got);
        return;
    }
    q->worst = worse(q->worst, got.err);
    if (q->ask.has_answered)
        q->answered |= 1u << q->server;
    bool may_go_on = !q->is_last && got.err != ERR_NOMEM && got.err != ERR_PARSE;
    if (!may_go_on || !question_next(r, q))
        question_failed(r, q);
}

void dns_start(struct net_resolver *r, struct dns_name *n, unsigned tries)
{
    static const enum dns_type types[][2] = {[DNS_KIND_HOST] = {DNS_A, DNS_AAAA},
                                             [DNS_KIND_SRV] = {DNS_SRV},
                                             [DNS_KIND_NAPTR] = {DNS_NAPTR}};
    n->nquestions = n->pending = n->kind == DNS_KIND_HOST ? 2 : 1;
    for (unsigned i = 0; i < n->nquestions; i++) {
        struct dns_question *q = &n->questions[i];
        *q = (struct dns_question){
            .name = n, .rounds = tries, .generation = r->generation, .begun = net_now(r->loop)};
        q->ask.type = types[n->kind][i];
        list_init(&q->ask.node);
    }
    for (unsigned i = 0; i < n->nquestions; i++)
        (void)question_next(r, &n->questions[i]); /* there is a server */
    dns_arm(r);
}

/* --- the timer -------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer)
{
    struct net_resolver *r = timer->data;
    dns_socks_read(r);
    for (unsigned i = 0; i < r->nservers; i++)
        ares_process_fd(r->servers[i]->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    LIST_EACH(it, &r->retired)
    {
        ares_process_fd(container_of(it, struct dns_server, node)->channel, ARES_SOCKET_BAD,
                        ARES_SOCKET_BAD);
    }
    dns_settle(r);
}

static uint64_t due_of(const struct dns_server *s, uint64_t least)
{
    struct timeval tv;
    if (s->asks == 0 || ares_timeout(s->channel, NULL, &tv) == NULL)
        return least;
    uint64_t ms = (uint64_t)tv.tv_sec * 1000 + (uint64_t)tv.tv_usec / 1000 + 1;
    return ms < least ? ms : least;
}

void dns_arm(struct net_resolver *r)
{
    uint64_t least = UINT64_MAX;
    for (unsigned i = 0; i < r->nservers; i++)
        least = due_of(r->servers[i], least);
    LIST_EACH(it, &r->retired)
    {
        least = due_of(container_of(it, struct dns_server, node), least);
    }
    if (!list_is_empty(&r->done))
        least = 0;
    if (least == UINT64_MAX)
        uv_timer_stop(&r->timer);
    else
        uv_timer_start(&r->timer, on_timer, least, 0);
}

void dns_settle(struct net_resolver *r)
{
    struct list *node;
    if (r->settling)
        return;
    r->settling = true;
    while ((node = list_pop(&r->done)) != NULL) {
        struct dns_ask *ask = container_of(node, struct dns_ask, node);
        note_health(r, ask);
        ask->server->asks--;
        if (ask->is_probe) {
            ask->server->is_probed = false;
            dns_set_drop(ask->result.set);
            ask->result.set = NULL;
        } else {
            question_answered(r, container_of(ask, struct dns_question, ask));
        }
    }
    r->settling = false;
    dns_servers_sweep(r);
    dns_arm(r);
}
