/* SPDX-License-Identifier: Apache-2.0 */
/* TLS without cryptography: net/tls.h, and what a handshake comes to. */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "fake/fake_int.h"

/* --- contexts --------------------------------------------------------------------------------- */

struct net_tls_keys {
    unsigned made; /* contexts */
};

int net_tls_keys_new(struct net_tls_keys **out)
{
    *out = mem_zalloc(sizeof(**out));
    return *out != NULL ? 0 : ERR_NOMEM;
}

void net_tls_keys_free(struct net_tls_keys **keys)
{
    mem_free(*keys);
    *keys = NULL;
}

/* No file is read; one whose name has "missing" in it is not there. */
int net_tls_new(const struct net_tls_conf *conf, struct net_tls_keys *keys, char *why,
                size_t why_size, struct net_tls **out)
{
    const char *paths[] = {conf->certificate, conf->private_key, conf->ca};

    for (unsigned i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (paths[i] != NULL && strstr(paths[i], "missing") != NULL) {
            snprintf(why, why_size, "%s: No such file or directory", paths[i]);
            return -ENOENT;
        }
    }
    struct net_tls *tls = mem_zalloc(sizeof(*tls));
    if (tls == NULL)
        return ERR_NOMEM;
    tls->holders = 1;
    tls->serial = keys != NULL ? ++keys->made : 0;
    tls->can_accept = conf->certificate != NULL;
    tls->verify_client = conf->verify_client;
    tls->verify_server = conf->verify_server;
    *out = tls;
    return 0;
}

struct net_tls *net_tls_hold(struct net_tls *tls)
{
    tls->holders++;
    return tls;
}

void net_tls_release(struct net_tls **tls)
{
    if (*tls != NULL && --(*tls)->holders == 0)
        mem_free(*tls);
    *tls = NULL;
}

bool net_tls_can_accept(const struct net_tls *tls)
{
    return tls->can_accept;
}

void net_listener_set_tls(struct net_listener *l, struct net_tls *tls, uint32_t timeout_ms,
                          unsigned max, net_refused_fn *on_refused)
{
    struct net_tls *old = l->tls;

    (void)timeout_ms, (void)max;
    l->tls = net_tls_hold(tls);
    net_tls_release(&old);
    l->on_refused = on_refused;
}

/* --- handshakes ------------------------------------------------------------------------------- */

bool fake_names_have(const char *names, struct slice name)
{
    while (*names != '\0') {
        const char *end = strchrnul(names, ',');
        if (slice_ieq(slice_of(names, (size_t)(end - names)), name))
            return true;
        names = *end == ',' ? end + 1 : end;
    }
    return false;
}

void fake_set_identity(struct net_loop *loop, const char *addr, const char *names)
{
    struct fake_identity *i = fake_zalloc(sizeof(*i));

    i->addr = fake_addr(addr);
    snprintf(i->names, sizeof(i->names), "%s", names);
    list_push(&loop->identities, &i->node);
}

static const char *identity_of(const struct net_loop *loop, const struct addr *a,
                               const char *otherwise)
{
    const char *names = otherwise;

    LIST_EACH(node, &loop->identities)
    {
        const struct fake_identity *i = container_of(node, const struct fake_identity, node);
        if (fake_addr_is(&i->addr, a))
            names = i->names;
    }
    return names;
}

/* True: there was a session like that. Now there is. */
static bool resume(struct net_stream *s)
{
    LIST_EACH(node, &s->loop->sessions)
    {
        const struct fake_session *x = container_of(node, const struct fake_session, node);
        if (addr_eq(&x->remote, &s->remote) && x->serial == s->tls->serial &&
            strcmp(x->name, s->asked) == 0)
            return true;
    }
    struct fake_session *x = fake_zalloc(sizeof(*x));
    x->remote = s->remote;
    x->serial = s->tls->serial;
    memcpy(x->name, s->asked, sizeof(x->name));
    list_push(&s->loop->sessions, &x->node);
    return false;
}

static int certificate_error(enum fake_policy policy)
{
    switch (policy) {
    case FAKE_TLS_EXPIRED: return ERR_TLS_EXPIRED;
    case FAKE_TLS_UNTRUSTED: return ERR_TLS_UNTRUSTED;
    case FAKE_ACCEPT:
    case FAKE_REFUSE:
    case FAKE_BLACKHOLE:
    case FAKE_TLS_PLAIN:
    case FAKE_TLS_SILENT:
    case FAKE_TLS_VERSION:
    case FAKE_TLS_REFUSED:
    case FAKE_TLS_LATE: break;
    }
    return 0;
}

/* What fails whatever we verify. */
static int peer_error(enum fake_policy policy)
{
    switch (policy) {
    case FAKE_TLS_SILENT: return ERR_TIMEOUT;
    case FAKE_TLS_PLAIN: return ERR_TLS_PLAIN;
    case FAKE_TLS_VERSION: return ERR_TLS_VERSION;
    case FAKE_TLS_REFUSED: return ERR_TLS_REFUSED;
    case FAKE_ACCEPT:
    case FAKE_REFUSE:
    case FAKE_BLACKHOLE:
    case FAKE_TLS_EXPIRED:
    case FAKE_TLS_UNTRUSTED:
    case FAKE_TLS_LATE: break;
    }
    return 0;
}

int fake_handshake(struct net_stream *s, enum fake_policy policy)
{
    int err = peer_error(policy);

    if (err != 0)
        return err;
    err = certificate_error(policy);
    snprintf(s->names, sizeof(s->names), "%s", identity_of(s->loop, &s->remote, s->asked));
    if (err == 0 && s->asked[0] != '\0' && !fake_names_have(s->names, slice_str(s->asked)))
        err = ERR_TLS_NAME;
    if (err != 0 && s->tls->verify_server)
        return err;
    s->has_peer = err == 0;
    s->resumed = resume(s);
    return 0;
}

int fake_admit(struct net_stream *s, const struct net_listener *l, const char *names)
{
    if (names == NULL && l->tls->verify_client)
        return ERR_TLS_NO_CERTIFICATE;
    s->tls = net_tls_hold(l->tls);
    s->has_peer = names != NULL;
    snprintf(s->names, sizeof(s->names), "%s", names != NULL ? names : "");
    return 0;
}

void fake_count_refusal(struct counters *counters, int err)
{
    if (counters != NULL)
        counter_inc(counters, net_tls_counter(err));
}

void fake_refuse(const struct net_listener *l, const struct addr *remote, const struct addr *local,
                 int err)
{
    fake_count_refusal(l->counters, err);
    if (l->on_refused != NULL)
        l->on_refused(l->user, remote, local, err);
}

/* --- facts ------------------------------------------------------------------------------------ */

int net_stream_tls_info(const struct net_stream *s, struct net_tls_info *out)
{
    if (s->tls == NULL)
        return ERR_UNSUPPORTED;
    *out =
        (struct net_tls_info){.version = "TLSv1.3", .resumed = s->resumed, .has_peer = s->has_peer};
    return 0;
}

bool net_stream_peer_is(const struct net_stream *s, struct slice name)
{
    return s->tls != NULL && s->has_peer && fake_names_have(s->names, name);
}
