/* SPDX-License-Identifier: Apache-2.0 */
/* A server and a client that speak TLS to each other in one loop, with certificates for both.
 *
 * owns: the loop, the streams, the certificates. thread: the test's. */
#ifndef TESTS_NET_TLS_RIG_H
#define TESTS_NET_TLS_RIG_H

#include "certs.h"
#include "turn.h"

struct side {
    struct net_stream *stream;
    unsigned opened, ended;
    int err; /* of on_end */
    size_t nbytes;
    uint64_t sum;     /* of the bytes, each with its place */
    char bytes[4096]; /* the first ones */
};

struct rig {
    struct turn t;
    struct net_tls_keys *keys;
    struct net_tls *server_tls, *client_tls;
    struct net_listener *listener;
    struct addr at;
    struct side server, client;
    const struct net_stream_events *server_events; /* of what is accepted */
    unsigned accepted, refused;
    int refusal;
    struct counters client_counters;
    struct cert ca, other_ca, host, client_cert;
};

extern struct rig rig;

int rig_setup(void **state); /* certificates and keys; once for a group */
int rig_teardown(void **state);

/* NULL: what serves most: a good certificate, the authority of the rig, the server verified. */
struct net_tls *rig_tls(const struct net_tls_conf *conf);
struct net_tls_conf rig_server_conf(void);
struct net_tls_conf rig_client_conf(void);
/* A loop with a listener / with the handshakes of the listener bounded so. */
void rig_begin(const struct net_tls_conf *server, const struct net_tls_conf *client);
void rig_listen(uint32_t timeout_ms, unsigned max);
void rig_end(void);
/* Opens the client's connection. It must prove `name`. */
void rig_open(const char *name);
void rig_close(void); /* both streams */
/* Opens and waits until both are up. */
void rig_up(const char *name);
/* Opens and waits until the client has ended before it was up: why. */
int rig_refused(const char *name);
/* The same seen by the server. */
int rig_refuses(const char *name);
bool rig_is_up(void);
bool rig_client_ended(void);
bool rig_server_ended(void);
bool rig_has_refused(void);
uint64_t rig_count(enum counter id); /* server's and client's together */
bool rig_resumed(const struct side *s);
extern const struct net_stream_events rig_events; /* user: a struct side */

#endif
