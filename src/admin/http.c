/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP server as a whole: its socket, its certificate, its end. */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "admin/http_int.h"
#include "base/alloc.h"

#define STACK_BYTES (512u << 10)
#define SEND_BYTES  (256 << 10) /* that the kernel keeps for a client that does not read */
#define BACKLOG     64
#define TLS_RULES   "NORMAL:-VERS-ALL:+VERS-TLS1.2:+VERS-TLS1.3"

uint64_t http_now(void)
{
    return admin_now_us() / 1000;
}

/* --- connections as the library tells of them --- */

static void on_connection(void *user, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct http_server *server = user;
    struct http_conns *conns = &server->http->conns;
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (*context != NULL)
            http_conn_remove(conns, *context);
        *context = NULL;
        return;
    }
    const union MHD_ConnectionInfo *at =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    const union MHD_ConnectionInfo *of =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    struct addr peer = {0};
    int bytes = SEND_BYTES;
    if (at == NULL || of == NULL || addr_from_sockaddr(of->client_addr, &peer) != 0)
        return;
    (void)setsockopt(at->connect_fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    *context = http_conn_add(conns, server, at->connect_fd, &peer, http_now() + HTTP_HEAD_MS);
}

/* --- one server --- */

static void server_stop(struct http_server **server)
{
    if (*server == NULL)
        return;
    atomic_store(&(*server)->is_ending, true);
    MHD_stop_daemon((*server)->mhd);
    mem_free(*server);
    *server = NULL;
}

static void stop_all(struct http_server **list)
{
    while (*list != NULL) {
        struct http_server *s = *list;
        *list = s->next;
        server_stop(&s);
    }
}

/* At a descriptor of its own of our socket, which is closed with it. 0; ERR_PARSE: the library does
 * not take the certificate; ERR_NOMEM; -errno. */
static int server_start(struct admin_http *http, const char *certificate, const char *key,
                        struct http_server **out)
{
    struct http_server *s = mem_zalloc(sizeof(*s));
    int fd = fcntl(http->fd, F_DUPFD_CLOEXEC, 0);
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION |
                     MHD_USE_POLL | MHD_USE_ITC;
    struct MHD_OptionItem tls[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)certificate},
                                   {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)key},
                                   {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)TLS_RULES},
                                   {MHD_OPTION_END, 0, NULL}};
    struct MHD_OptionItem plain[] = {{MHD_OPTION_END, 0, NULL}};
    if (s == NULL || fd < 0) {
        int err = fd < 0 ? -errno : ERR_NOMEM;
        if (fd >= 0)
            close(fd);
        mem_free(s);
        return err;
    }
    s->http = http;
    s->is_tls = certificate != NULL;
    s->mhd = MHD_start_daemon(
        flags | (s->is_tls ? MHD_USE_TLS : 0u), 0, NULL, NULL, http_handle, s,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_URI_LOG_CALLBACK, http_look_at_url, s,
        MHD_OPTION_NOTIFY_COMPLETED, http_completed, s, MHD_OPTION_NOTIFY_CONNECTION, on_connection,
        s, MHD_OPTION_CONNECTION_LIMIT, HTTP_CONNS, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        HTTP_CONNS_PER_IP, MHD_OPTION_CONNECTION_TIMEOUT, HTTP_IDLE_MS / 1000,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_POOL_BYTES, MHD_OPTION_THREAD_STACK_SIZE,
        (size_t)STACK_BYTES, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
        MHD_OPTION_ARRAY, s->is_tls ? tls : plain, MHD_OPTION_END);
    if (s->mhd == NULL) {
        close(fd);
        mem_free(s);
        return certificate != NULL ? ERR_PARSE : ERR_NOMEM;
    }
    *out = s;
    return 0;
}

/* --- the watcher --- */

/* Those whose clients are gone or whose time is over. They are stopped without the lock: the
 * threads of their connections are waited for, and one of these may wait for main. */
static void look_after_old(struct admin_http *http, uint64_t now)
{
    struct http_server *over = NULL, *s;
    pthread_mutex_lock(&http->server_lock);
    for (struct http_server **at = &http->old; (s = *at) != NULL;) {
        if (http_conns_look(&http->conns, s, now) != 0 && now < s->until) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        s->next = over;
        over = s;
    }
    pthread_mutex_unlock(&http->server_lock);
    stop_all(&over);
}

static void *watch(void *user)
{
    struct admin_http *http = user;
    struct pollfd fd = {.fd = http->stop, .events = POLLIN};
    while (poll(&fd, 1, HTTP_TICK_MS) <= 0) {
        uint64_t now = http_now();
        (void)http_conns_look(&http->conns, NULL, now);
        look_after_old(http, now);
    }
    return NULL;
}

static int start_watcher(struct admin_http *http)
{
    http->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (http->stop < 0)
        return -errno;
    int err = -pthread_create(&http->watcher, NULL, watch, http);
    http->is_watching = err == 0;
    return err;
}

static void stop_watcher(struct admin_http *http)
{
    uint64_t one = 1;
    if (http->is_watching) {
        (void)!write(http->stop, &one, sizeof(one));
        pthread_join(http->watcher, NULL);
    }
    if (http->stop >= 0)
        close(http->stop);
}

/* --- open and close --- */

static int open_socket(struct admin_http *http, const struct addr *address)
{
    struct sockaddr_storage sa;
    socklen_t len = (socklen_t)addr_to_sockaddr(address, (struct sockaddr *)&sa);
    int one = 1, zero = 0;
    http->fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (http->fd < 0)
        return -errno;
    (void)setsockopt(http->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (address->family == ADDR_IP6)
        (void)setsockopt(http->fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
    if (bind(http->fd, (struct sockaddr *)&sa, len) != 0 || listen(http->fd, BACKLOG) != 0)
        return -errno;
    len = sizeof(sa);
    if (getsockname(http->fd, (struct sockaddr *)&sa, &len) != 0)
        return -errno;
    return addr_from_sockaddr((struct sockaddr *)&sa, &http->address);
}

/* NULL for an empty text; false: no memory. */
static bool copy(struct slice text, char **out)
{
    *out = text.len != 0 ? mem_strdup(text) : NULL;
    return text.len == 0 || *out != NULL;
}

/* Without a token it is for this machine alone. */
static bool is_too_open(const struct addr *address, struct slice token)
{
    return token.len == 0 && !addr_is_loopback(address);
}

static int start(struct admin_http *http, const struct admin_http_conf *conf)
{
    int err = is_too_open(&conf->address, conf->token) ? ERR_PARSE : 0;
    if (err == 0)
        err = open_socket(http, &conf->address);
    if (err == 0 && (!copy(conf->token, &http->token) || !copy(conf->key, &http->key) ||
                     !copy(conf->certificate, &http->certificate)))
        err = ERR_NOMEM;
    if (err == 0)
        err = http_ticker_start(http);
    if (err == 0)
        err = server_start(http, http->certificate, http->key, &http->server);
    return err == 0 ? start_watcher(http) : err;
}

int admin_http_open(struct admin *admin, const struct admin_http_conf *conf,
                    struct admin_http **out)
{
    struct admin_http *http = mem_zalloc(sizeof(*http));
    pthread_condattr_t attr;
    *out = NULL;
    if (http == NULL)
        return ERR_NOMEM;
    http->admin = admin;
    http->fd = http->stop = -1;
    if (gethostname(http->host, sizeof(http->host) - 1) != 0)
        http->host[0] = '\0';
    pthread_mutex_init(&http->lock, NULL);
    pthread_mutex_init(&http->server_lock, NULL);
    pthread_mutex_init(&http->health.lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&http->ended, &attr);
    pthread_condattr_destroy(&attr);
    http_conns_init(&http->conns);
    http_ticker_init(&http->ticker);
    *out = http;
    int err = start(http, conf);
    if (err != 0)
        admin_http_close(out);
    return err;
}

void admin_http_close(struct admin_http **out)
{
    struct admin_http *http = *out;
    if (http == NULL)
        return;
    stop_watcher(http);
    http_ticker_stop(http); /* streams end */
    stop_all(&http->old);
    server_stop(&http->server);
    if (http->fd >= 0)
        close(http->fd);
    http_conns_fini(&http->conns);
    pthread_cond_destroy(&http->ended);
    pthread_mutex_destroy(&http->health.lock);
    pthread_mutex_destroy(&http->server_lock);
    pthread_mutex_destroy(&http->lock);
    mem_free(http->token);
    mem_free(http->certificate);
    mem_free(http->key);
    mem_free(http);
    *out = NULL;
}

const struct addr *admin_http_address(const struct admin_http *http)
{
    return &http->address;
}

/* --- another configuration --- */

static bool is_text(const char *now, struct slice text)
{
    return slice_eq(slice_str(now), text);
}

/* What comes from now on meets the new server, what is there goes on with the old one. */
static int change_server(struct admin_http *http, const struct admin_http_conf *conf)
{
    struct http_server *next = NULL;
    char *certificate = NULL, *key = NULL;
    unsigned n = 0;
    for (const struct http_server *old = http->old; old != NULL; old = old->next)
        n++;
    if (n >= HTTP_OLD)
        return ERR_LIMIT;
    int err = copy(conf->certificate, &certificate) && copy(conf->key, &key) ? 0 : ERR_NOMEM;
    if (err == 0)
        err = server_start(http, certificate, key, &next);
    if (err != 0) {
        mem_free(certificate);
        mem_free(key);
        return err;
    }
    struct http_server *old = http->server;
    int fd = MHD_quiesce_daemon(old->mhd);
    if (fd >= 0)
        close(fd);
    old->until = http_now() + HTTP_ANSWER_MS + HTTP_IDLE_MS;
    old->next = http->old;
    http->old = old;
    atomic_store(&old->is_ending, true);
    http->server = next;
    mem_free(http->certificate);
    mem_free(http->key);
    http->certificate = certificate;
    http->key = key;
    return 0;
}

int admin_http_set_conf(struct admin_http *http, const struct admin_http_conf *conf)
{
    char *token;
    int err = 0;
    if (is_too_open(&http->address, conf->token))
        return ERR_PARSE;
    if (!copy(conf->token, &token))
        return ERR_NOMEM;
    pthread_mutex_lock(&http->server_lock);
    if (!is_text(http->certificate, conf->certificate) || !is_text(http->key, conf->key))
        err = change_server(http, conf);
    pthread_mutex_unlock(&http->server_lock);
    if (err == 0) {
        pthread_mutex_lock(&http->lock);
        if (!is_text(http->token, conf->token))
            atomic_fetch_add(&http->tokens, 1);
        char *before = http->token;
        http->token = token;
        token = before;
        pthread_mutex_unlock(&http->lock);
    }
    mem_free(token);
    return err;
}
