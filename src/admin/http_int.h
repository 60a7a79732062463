/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the HTTP server share: servers, connections, requests, streams, limits.
 *
 * Each connection has a thread of its own (libmicrohttpd), so that a command that waits for a
 * worker, or a client that reads slowly, keeps nobody else waiting. One more thread looks after
 * deadlines and one makes what streams tell each second. owns: see the single structs. thread: see
 * the single functions. */
#ifndef ADMIN_HTTP_INT_H
#define ADMIN_HTTP_INT_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "admin/admin_int.h"
#include "admin/http.h"
#include "admin/http_rules.h"
#include "admin/json.h"
#include "base/log.h"

#define HTTP_CONNS        64u /* at a time */
#define HTTP_CONNS_SPARE  8u  /* of these: kept free for who comes with a request */
#define HTTP_CONNS_PER_IP 32u
#define HTTP_STREAMS      8u
#define HTTP_RUNNING      4u           /* commands at a time */
#define HTTP_OLD          8u           /* servers that come to their end */
#define HTTP_BODY_MAX     (64u << 10)  /* bytes of a request's body */
#define HTTP_POOL_BYTES   (32u << 10)  /* its first line and headers together, and what is sent */
#define HTTP_HELD_MAX     (128u << 20) /* bytes of all answers that are being sent */
#define HTTP_SET_MAX      (32u << 20)  /* bytes of the rows of one set */
#define HTTP_FILE         "application/octet-stream"
#define HTTP_TOO_MUCH     "the answer would be too large: ask for less"

/* ms */
#define HTTP_HEAD_MS   10000 /* from connecting to the end of the headers, TLS included */
#define HTTP_BODY_MS   10000 /* from there to the end of the body */
#define HTTP_ANSWER_MS 60000 /* command and answer */
#define HTTP_IDLE_MS   30000 /* from an answer to the next request's headers */
#define HTTP_STREAM_MS 10000 /* a stream's reader takes what it is told within that */
#define HTTP_WAIT_MS   5000  /* for another command to end */
#define HTTP_TICK_MS   1000

#define HTTP_SETS      6u /* of one command */

struct http_server;

/* --- connections: http_conns.c; all fields under the lock of struct http_conns --- */

struct http_conn {
    struct http_server *server; /* NULL: free */
    int fd;
    struct addr peer;
    uint64_t deadline; /* ms */
    bool is_waiting;   /* for the whole head of a request: closed where room is rare */
    bool is_shut;
};

struct http_conns {
    pthread_mutex_t lock;
    struct http_conn conn[2 * HTTP_CONNS]; /* of a server, and of one that comes to its end */
};

void http_conns_init(struct http_conns *c);
void http_conns_fini(struct http_conns *c);
/* It waits for a request. Where few are left, the one that has waited longest is closed for it.
 * NULL: none is free. */
struct http_conn *http_conn_add(struct http_conns *c, struct http_server *server, int fd,
                                const struct addr *peer, uint64_t deadline);
void http_conn_remove(struct http_conns *c, struct http_conn *conn);
/* It has a request, or an answer, to come to an end with until then. */
void http_conn_until(struct http_conns *c, struct http_conn *conn, uint64_t deadline);
/* It waits for the next request. */
void http_conn_wait(struct http_conns *c, struct http_conn *conn, uint64_t deadline);
/* Ends those whose time is over. Returns how many belong to `server`. */
unsigned http_conns_look(struct http_conns *c, const struct http_server *server, uint64_t now);

/* --- the server: http.c --- */

/* A certificate lasts as long as its server; another one takes another server at the same socket.
 */
struct http_server {
    struct admin_http *http;
    struct MHD_Daemon *mhd;
    bool is_tls;
    _Atomic bool is_ending;   /* streams end and come back to the new one */
    uint64_t until;           /* ms; is_ending: closed then at the latest */
    struct http_server *next; /* is_ending */
};

enum http_refusal {
    HTTP_REFUSED_TOKEN,
    HTTP_REFUSED_RATE,
    HTTP_REFUSED_HOST,
    HTTP_REFUSED_SIZE,
    HTTP_REFUSED_BUSY,
    HTTP_REFUSED_MAX
};

/* One tick for all streams. */
struct http_ticker {
    pthread_mutex_t lock;
    pthread_cond_t wake; /* the ticker: a stream has come, or stop */
    pthread_t thread;
    bool is_running, is_stopped;
    unsigned streams;
    uint64_t seq;  /* of the tick; 0: none yet */
    uint64_t made; /* ms */
    struct admin_text text;
};

struct admin_http {
    struct admin *admin;
    struct addr address;  /* with the port that is listened at */
    char host[256];       /* name of this machine */
    int fd;               /* listening */
    pthread_mutex_t lock; /* of the next ones */
    pthread_cond_t ended; /* a command */
    struct http_limits limits;
    struct log_limit said_rate;
    char *token;             /* NULL: none */
    _Atomic unsigned tokens; /* that there have been: a stream ends with the one it began with */
    unsigned running;
    struct http_health { /* one look for all who ask at the same time */
        pthread_mutex_t lock;
        uint64_t asked; /* ms; 0: never */
        bool is_ok;
        char text[256];
    } health;
    pthread_mutex_t server_lock;      /* of server and old */
    struct http_server *server, *old; /* old: those that come to their end */
    char *certificate, *key;          /* PEM; NULL: without TLS */
    pthread_t watcher;
    bool is_watching;
    int stop; /* eventfd */
    struct http_conns conns;
    struct http_ticker ticker;
    _Atomic uint64_t answers[6]; /* by class; 0: none was sent */
    _Atomic uint64_t refused[HTTP_REFUSED_MAX];
    _Atomic size_t held; /* bytes of answers */
};

uint64_t http_now(void); /* monotonic ms */

/* --- one request: http_handle.c --- */

struct http_req {
    struct admin_http *http;
    struct http_server *server;
    struct http_conn *conn;
    struct MHD_Connection *mhd;
    struct slice path;
    struct addr peer;
    unsigned tokens;   /* http->tokens when it was judged */
    const char *fault; /* what HTTP does not allow of it; NULL: nothing */
    bool is_post, is_head, is_judged, is_too_large;
    struct admin_text body;
};

/* The URL as it came, before http_handle has its first turn. */
void *http_look_at_url(void *server, const char *url, struct MHD_Connection *mhd);
enum MHD_Result http_handle(void *server, struct MHD_Connection *mhd, const char *url,
                            const char *method, const char *version, const char *data,
                            size_t *data_len, void **req);
void http_completed(void *server, struct MHD_Connection *mhd, void **req,
                    enum MHD_RequestTerminationCode how);

/* What is sent: the bytes are taken over (mem_free) and forgotten in *text. */
enum MHD_Result http_answer(struct http_req *r, unsigned status, const char *type,
                            struct admin_text *text);
/* {"error":"…"} */
enum MHD_Result http_error(struct http_req *r, unsigned status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Headers that all answers have; `is_api`: nobody keeps it. */
void http_headers(struct MHD_Response *response, bool is_api);
/* Counts it and hands it over; the response is let go. */
enum MHD_Result http_send(struct http_req *r, unsigned status, struct MHD_Response *response);
struct slice http_header(struct http_req *r, const char *name); /* SLICE_NONE: there is none */

/* --- below /api/v1: http_api.c, http_stream.c, http_trace.c; /metrics and health: http_look.c ---
 */

enum MHD_Result http_api(struct http_req *r);
enum MHD_Result http_stream(struct http_req *r);
enum MHD_Result http_trace(struct http_req *r);
enum MHD_Result http_metrics(struct http_req *r);
enum MHD_Result http_healthz(struct http_req *r);
enum MHD_Result http_readyz(struct http_req *r);

/* What the request gives the command; false: not its arguments, and why is set. Borrowed from the
 * request. */
bool http_args(struct http_req *r, const struct admin_command *c, struct slice args[ADMIN_ARGS_MAX],
               char *why);

/* One command at the most HTTP_RUNNING at a time; false: too many for too long. */
bool http_run_begin(struct admin_http *http);
void http_run_end(struct admin_http *http);

/* Rows of one command as {"SET":[…],…}, all sets of its columns and no others. */
struct http_rows {
    const char *set[HTTP_SETS];
    struct admin_text rows[HTTP_SETS];
    unsigned n;
    bool has_failed; /* no memory, or too much */
};
void http_rows_init(struct http_rows *rows, const struct admin_command *c);
void http_rows_fini(struct http_rows *rows);
struct row_sink http_rows_sink(struct http_rows *rows);
/* `"SET":[…],"SET":[…]`; the rows are given up. */
bool http_rows_write(struct http_rows *rows, struct admin_text *out);

void http_ticker_init(struct http_ticker *t);
int http_ticker_start(struct admin_http *http) WARN_UNUSED;
void http_ticker_stop(struct admin_http *http);

#endif
