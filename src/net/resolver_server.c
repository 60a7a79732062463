/* SPDX-License-Identifier: Apache-2.0 */
/* The servers: given or the system's, each with a channel of c-ares, whose sockets are the loop's.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "net/resolver_int.h"

#define DNS_PORT 53
#define ASKS_MAX 64   /* by one channel */
#define EDNS_LEN 1232 /* bytes of an answer by UDP that no path has to fragment */

/* A socket of c-ares. */
struct dns_sock {
    uv_poll_t poll;
    struct list node;
    struct dns_server *server;
    ares_socket_t fd;
};

/* --- sockets ---------------------------------------------------------------------------------- */

static void on_dns_sock(uv_poll_t *poll, int status, int events)
{
    struct dns_sock *s = poll->data;
    struct dns_server *server = s->server;
    bool readable = status < 0 || (events & UV_READABLE) != 0;
    bool writable = status < 0 || (events & UV_WRITABLE) != 0;
    ares_process_fd(server->channel, readable ? s->fd : ARES_SOCKET_BAD,
                    writable ? s->fd : ARES_SOCKET_BAD);
    dns_settle(server->resolver);
}

static void on_sock_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static struct dns_sock *sock_find(struct net_resolver *r, ares_socket_t fd)
{
    LIST_EACH(it, &r->socks)
    {
        struct dns_sock *s = container_of(it, struct dns_sock, node);
        if (s->fd == fd)
            return s;
    }
    return NULL;
}

static struct dns_sock *sock_new(struct dns_server *server, ares_socket_t fd)
{
    struct net_resolver *r = server->resolver;
    struct dns_sock *s = mem_zalloc(sizeof(*s));
    if (s == NULL)
        return NULL;
    if (uv_poll_init_socket(&r->loop->uv, &s->poll, fd) != 0) {
        mem_free(s);
        return NULL;
    }
    s->poll.data = s;
    s->server = server;
    s->fd = fd;
    list_init(&s->node);
    list_push(&r->socks, &s->node);
    return s;
}

/* c-ares says what it waits for; neither: it is about to close the socket. */
static void on_sock_state(void *user, ares_socket_t fd, int readable, int writable)
{
    struct dns_server *server = user;
    struct dns_sock *s = sock_find(server->resolver, fd);
    if (!readable && !writable) {
        if (s == NULL)
            return;
        list_remove(&s->node);
        uv_close((uv_handle_t *)&s->poll, on_sock_closed);
        return;
    }
    if (s == NULL)
        s = sock_new(server, fd);
    if (s == NULL)
        return; /* the try ends by its time */
    uv_poll_start(&s->poll, (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0),
                  on_dns_sock);
}

void dns_socks_read(struct net_resolver *r)
{
    ares_socket_t fds[4 * DNS_SERVERS_MAX];
    unsigned n = 0;
    LIST_EACH(it, &r->socks)
    {
        if (n < sizeof(fds) / sizeof(fds[0]))
            fds[n++] = container_of(it, struct dns_sock, node)->fd;
    }
    for (unsigned i = 0; i < n; i++) {
        struct dns_sock *s = sock_find(r, fds[i]); /* one may close others */
        if (s != NULL)
            ares_process_fd(s->server->channel, s->fd, ARES_SOCKET_BAD);
    }
}

/* --- servers ---------------------------------------------------------------------------------- */

static void server_free(struct dns_server *s)
{
    ares_destroy(s->channel); /* whatever is under way ends with ARES_EDESTRUCTION */
    list_remove(&s->probe.node);
    dns_set_drop(s->probe.result.set);
    mem_free(s);
}

/* c-ares may write to it, so it gets a copy of the path. */
static int channel_open(struct net_resolver *r, struct ares_options *opt, int mask,
                        ares_channel *out)
{
    char path[256];
    if (slice_cstr(slice_str(r->resolv_conf.path), path, sizeof(path))) {
        opt->resolvconf_path = path;
        mask |= ARES_OPT_RESOLVCONF;
    }
    int rc = ares_init_options(out, opt, mask);
    if (rc == ARES_SUCCESS)
        return 0;
    return rc == ARES_ENOMEM ? ERR_NOMEM : ERR_UNSUPPORTED;
}

static int channel_aim(ares_channel channel, const struct addr *a)
{
    struct ares_addr_port_node node = {.family = net_af(a), .udp_port = a->port};
    node.tcp_port = a->port;
    memcpy(&node.addr, a->ip, a->family == ADDR_IP6 ? 16 : 4);
    return ares_set_servers_ports(channel, &node) == ARES_SUCCESS ? 0 : ERR_NOMEM;
}

/* The next server, the next try and what an error of the server means are decided by us: c-ares
 * gives every answer that fits its question. */
static int server_new(struct net_resolver *r, const struct addr *addr, struct dns_server **out)
{
    struct dns_server *s = mem_zalloc(sizeof(*s));
    if (s == NULL)
        return ERR_NOMEM;
    struct ares_options opt = {.flags = ARES_FLAG_NOCHECKRESP | ARES_FLAG_EDNS,
                               .timeout = (int)r->timeout_ms,
                               .tries = 1,
                               .ednspsz = EDNS_LEN,
                               .sock_state_cb = on_sock_state,
                               .sock_state_cb_data = s};
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_EDNSPSZ |
               ARES_OPT_SOCK_STATE_CB;
    s->resolver = r;
    s->addr = *addr;
    if (s->addr.port == 0)
        s->addr.port = DNS_PORT;
    list_init(&s->node);
    list_init(&s->probe.node);
    int rc = channel_open(r, &opt, mask, &s->channel);
    if (rc != 0) {
        mem_free(s);
        return rc;
    }
    rc = channel_aim(s->channel, &s->addr);
    if (rc != 0) {
        server_free(s);
        return rc;
    }
    *out = s;
    return 0;
}

/* Those of the system, read by c-ares as any program's. */
static int system_servers(struct net_resolver *r, struct addr *out, unsigned *n)
{
    struct ares_options opt = {.tries = 1};
    struct ares_addr_port_node *list = NULL;
    ares_channel channel;
    int rc = channel_open(r, &opt, ARES_OPT_TRIES, &channel);
    if (rc != 0)
        return rc;
    rc = ares_get_servers_ports(channel, &list) == ARES_SUCCESS ? 0 : ERR_NOMEM;
    *n = 0;
    for (struct ares_addr_port_node *it = list; it != NULL && *n < DNS_SERVERS_MAX; it = it->next) {
        bool is_ip6 = it->family == AF_INET6;
        struct addr *a = &out[(*n)++];
        *a = (struct addr){.family = is_ip6 ? ADDR_IP6 : ADDR_IP4, .port = (uint16_t)it->udp_port};
        memcpy(a->ip, &it->addr, is_ip6 ? 16 : 4);
    }
    if (list != NULL)
        ares_free_data(list);
    ares_destroy(channel);
    return rc;
}

/* A channel keeps its port while anything is under way, which under load is always. Another one
 * from time to time, so that who guesses answers has to find it anew (RFC 5452 9.2). */
static void renew(struct net_resolver *r, struct dns_server **place)
{
    struct dns_server *old = *place, *s;
    if (old->asks == 0)
        old->sent = 0; /* its socket is closed */
    if (old->sent < ASKS_MAX || old->is_probed || server_new(r, &old->addr, &s) != 0)
        return;
    s->fails = old->fails;
    s->questions = old->questions;
    s->avoid_until = old->avoid_until;
    *place = s;
    list_push(&r->retired, &old->node);
}

void dns_servers_sweep(struct net_resolver *r)
{
    for (unsigned i = 0; i < r->nservers; i++)
        renew(r, &r->servers[i]);
    LIST_EACH_SAFE(it, tmp, &r->retired)
    {
        struct dns_server *s = container_of(it, struct dns_server, node);
        if (s->asks != 0)
            continue;
        list_remove(&s->node);
        server_free(s);
    }
}

static void retire_all(struct net_resolver *r)
{
    for (unsigned i = 0; i < r->nservers; i++)
        list_push(&r->retired, &r->servers[i]->node);
    r->nservers = 0;
}

int dns_servers_make(struct net_resolver *r)
{
    struct addr addrs[DNS_SERVERS_MAX];
    struct dns_server *made[DNS_SERVERS_MAX];
    unsigned n = r->ngiven, have = 0;
    int rc = 0;
    if (n != 0)
        memcpy(addrs, r->given, n * sizeof(addrs[0]));
    else
        rc = system_servers(r, addrs, &n);
    if (rc == 0 && n == 0)
        rc = ERR_UNSUPPORTED;
    while (rc == 0 && have < n) {
        rc = server_new(r, &addrs[have], &made[have]);
        have += rc == 0;
    }
    if (rc != 0) {
        while (have > 0)
            server_free(made[--have]);
        return rc;
    }
    retire_all(r);
    memcpy(r->servers, made, n * sizeof(made[0]));
    r->nservers = n;
    r->generation++;
    dns_breaker_hold(r)->is_down = false;
    dns_breaker_release(r);
    return 0;
}

void dns_servers_look(struct net_resolver *r)
{
    char text[DNS_SERVERS_TEXT];
    if (r->ngiven != 0 || !dns_file_changed(&r->resolv_conf, net_now(r->loop)))
        return;
    if (dns_servers_make(r) == 0)
        LOG(LOG_INFO, "net", "DNS servers of the system read again",
            LF_STR("servers", dns_servers_text(r, text)));
}

void dns_servers_free(struct net_resolver *r)
{
    retire_all(r);
    LIST_EACH_SAFE(it, tmp, &r->retired)
    {
        struct dns_server *s = container_of(it, struct dns_server, node);
        list_remove(&s->node);
        server_free(s);
    }
}

const char *dns_servers_text(const struct net_resolver *r, char *buf)
{
    struct buf b;
    char addr[ADDR_TEXT_MAX];
    buf_init(&b, buf, DNS_SERVERS_TEXT - 1);
    for (unsigned i = 0; i < r->nservers; i++) {
        if (i != 0)
            buf_lit(&b, ", ");
        buf_str(&b, addr_write(&r->servers[i]->addr, addr));
    }
    buf[b.len] = '\0';
    return buf;
}
