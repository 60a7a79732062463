/* SPDX-License-Identifier: Apache-2.0 */
/* Connections with their deadlines. The library closes a connection on which nothing happens; one
 * on which a byte happens now and then is closed here. */
#include <string.h>
#include <sys/socket.h>

#include "admin/http_int.h"

void http_conns_init(struct http_conns *c)
{
    pthread_mutex_init(&c->lock, NULL);
}

void http_conns_fini(struct http_conns *c)
{
    pthread_mutex_destroy(&c->lock);
}

/* Those that say nothing, or their request letter by letter, keep nobody out: not who looks whether
 * we are alive. Under the lock. */
static void make_room(struct http_conns *c, const struct http_server *server)
{
    struct http_conn *oldest = NULL;
    unsigned n = 0;
    for (unsigned i = 0; i < 2 * HTTP_CONNS; i++) {
        struct http_conn *conn = &c->conn[i];
        if (conn->server != server || conn->is_shut)
            continue;
        n++;
        if (conn->is_waiting && (oldest == NULL || conn->deadline < oldest->deadline))
            oldest = conn;
    }
    if (n < HTTP_CONNS - HTTP_CONNS_SPARE || oldest == NULL)
        return;
    oldest->is_shut = true;
    shutdown(oldest->fd, SHUT_RDWR);
}

struct http_conn *http_conn_add(struct http_conns *c, struct http_server *server, int fd,
                                const struct addr *peer, uint64_t deadline)
{
    struct http_conn *found = NULL;
    pthread_mutex_lock(&c->lock);
    make_room(c, server);
    for (unsigned i = 0; i < 2 * HTTP_CONNS && found == NULL; i++)
        if (c->conn[i].server == NULL)
            found = &c->conn[i];
    if (found != NULL)
        *found = (struct http_conn){server, fd, *peer, deadline, true, false};
    pthread_mutex_unlock(&c->lock);
    return found;
}

/* The descriptor is closed after that, never before: it cannot be another one's when it is shut. */
void http_conn_remove(struct http_conns *c, struct http_conn *conn)
{
    pthread_mutex_lock(&c->lock);
    *conn = (struct http_conn){0};
    pthread_mutex_unlock(&c->lock);
}

static void set(struct http_conns *c, struct http_conn *conn, uint64_t deadline, bool is_waiting)
{
    pthread_mutex_lock(&c->lock);
    conn->deadline = deadline;
    conn->is_waiting = is_waiting;
    pthread_mutex_unlock(&c->lock);
}

void http_conn_until(struct http_conns *c, struct http_conn *conn, uint64_t deadline)
{
    set(c, conn, deadline, false);
}

void http_conn_wait(struct http_conns *c, struct http_conn *conn, uint64_t deadline)
{
    set(c, conn, deadline, true);
}

unsigned http_conns_look(struct http_conns *c, const struct http_server *server, uint64_t now)
{
    unsigned n = 0;
    pthread_mutex_lock(&c->lock);
    for (unsigned i = 0; i < 2 * HTTP_CONNS; i++) {
        const struct http_conn *conn = &c->conn[i];
        if (conn->server == NULL)
            continue;
        n += conn->server == server;
        if (conn->deadline <= now)
            shutdown(conn->fd, SHUT_RDWR);
    }
    pthread_mutex_unlock(&c->lock);
    return n;
}
