/* SPDX-License-Identifier: Apache-2.0 */
/* The directory as data: DNs with their settings, registered bindings, in service or out.
 *
 * One directory for all workers. A DN is named by the user part (unescaped, case-sensitive) of its
 * address of record; every domain that is ours means the same DN. owns: settings, bindings.
 * borrows: the store. thread: any; one lock for each stripe of names, held for some look-ups and
 * copies only. Everything given out is a copy in the caller's arena. RFC 3261 section 10.3; RFC
 * 3327; RFC 5626 section 6. Times are wall-clock milliseconds (they survive a restart). */
#ifndef DN_DN_H
#define DN_DN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/arena.h"
#include "base/counter.h"
#include "base/err.h"
#include "base/field.h"
#include "base/hash.h"
#include "base/slice.h"

struct dn_dir;
struct dn_store;

enum dn_type {
    DN_EXTENSION,
    DN_ACD_POSITION,
    DN_TRUNK,
    DN_TRUNK_GROUP,
    DN_VOIP_SERVICE,
    DN_ROUTING_POINT,
};

enum dn_state {
    DN_IN_SERVICE,
    DN_SUSPECT,        /* a connection died or a check is unanswered: still tried */
    DN_OUT_OF_SERVICE, /* no way led to it: requests get 480 at once */
};

/* What a [dn …] section says of TLS for itself; what it does not say is the daemon's. */
struct dn_tls_conf {
    char *certificate, *private_key, *ca; /* files */
    int verify_server, verify_client;     /* -1: not said, 0, 1 */
    int min_version;                      /* -1: not said; enum net_tls_version */
};

/* One [dn …] section. Strings are NUL-terminated, NULL when not set. */
struct dn_conf {
    char *name;
    enum dn_type type;
    char *service_type;
    char *contact;            /* fixed address, a SIP URI that has been checked */
    struct addr contact_addr; /* its host where that is an IP address, else ADDR_NONE */
    char **contact_backup;    /* URIs tried after `contact`, in this order */
    unsigned ncontact_backup;
    char *prefix;       /* trunk, trunk-group: of the numbers that it carries (also
                           "urn:service:sos"); "" carries all; NULL: none */
    uint32_t priority;  /* among trunks of the same prefix: the lower one first */
    char *password;     /* one of the two, or neither */
    char *password_ha1; /* "MD5:hex" or "SHA-256:hex" of user:realm:password, or bare hex (length
                           tells) */
    uint32_t recovery_timeout_ms; /* how long out of service without a check */
    uint32_t oos_check_s;         /* active check this often; 0: none */
    uint32_t oos_force_s;         /* so long without an answer: out of service; 0: at the first
                                     check that fails */
    uint16_t *oos_failures;       /* final responses that do not count as alive */
    unsigned noos_failures;
    struct dn_tls_conf tls;
    bool has_tls; /* any of these is said: the DN has a profile of its own, by its name */
};

/* Where a binding is reached; the same facts as a struct flow_dest, which this room may not know.
 */
struct dn_way {
    uint64_t flow;      /* connection, 0: none */
    struct addr remote; /* UDP destination, or where a connection is reopened; port 0: nowhere */
    struct addr local;
    uint16_t alt_port;
    uint8_t transport;
};

struct dn_binding {
    struct slice contact; /* URI, without brackets and header parameters */
    struct slice
        params; /* the contact's header parameters as registered, but expires and q, for the 200 */
    struct slice path; /* value for a Route header, empty: none (RFC 3327) */
    struct slice call_id;
    struct slice instance; /* +sip.instance value, empty: none */
    uint32_t cseq;
    uint32_t reg_id;    /* 0: none (RFC 5626) */
    uint16_t q;         /* 0 to 1000; 1000 when not given */
    struct addr source; /* where that REGISTER came from; ADDR_NONE: not known any more */
    uint64_t expires;   /* wall-clock ms */
    uint64_t updated;   /* wall-clock ms of the last REGISTER */
    struct dn_way way;
};

/* What a request for a DN needs to know; strings live in the caller's arena. */
struct dn_info {
    bool configured; /* has a [dn …] section */
    enum dn_type type;
    struct slice contact; /* fixed address, or empty */
    struct slice *contact_backup;
    unsigned ncontact_backup;
    struct slice password, password_ha1;
    bool has_tls;        /* rules of its own: profile of its name */
    bool out_of_service; /* state == DN_OUT_OF_SERVICE */
    enum dn_state state;
    bool went_out;      /* has been out of service and has not answered since: also while suspect */
    int oos_cause;      /* enum err; also while it is tried again, until it is back in service */
    uint64_t oos_until; /* wall-clock ms when it will be tried, or checked, again; 0: not known */
    unsigned nbindings; /* not expired, in order of q descending, then most recent first */
    struct dn_binding *bindings;
};

/* `store` NULL: memory only. */
int dn_dir_new(const struct hash_key *key, struct dn_store *store, struct dn_dir **out) WARN_UNUSED;
void dn_dir_free(struct dn_dir **dir);

/* New settings (start and reload); copied. Bindings of names stay, also of those that have no
 * section any more, until they expire. 0 or ERR_NOMEM (nothing changed). */
int dn_dir_configure(struct dn_dir *dir, const struct dn_conf *dns, unsigned n) WARN_UNUSED;
/* Is there any [dn …] section? */
bool dn_dir_is_configured(struct dn_dir *dir);

/* 0; ERR_NOT_FOUND (no section, and nothing registered); ERR_NOMEM. */
int dn_find(struct dn_dir *dir, struct slice name, uint64_t now, struct arena *arena,
            struct dn_info *out) WARN_UNUSED;

/* Is there any [dn …] section whose name is an address, user@host? */
bool dn_has_addresses(struct dn_dir *dir);
/* Is there a [dn …] section by that name? */
bool dn_has_address(struct dn_dir *dir, struct slice name);

/* The trunks for a number: those whose prefix it begins with, the longest prefix first, then the
 * lower priority, then the order of the file; also those out of service. A service URN
 * ("urn:service:sos.police", lower case) is no number: "" does not carry it, and a prefix ends at
 * one of its dots or at its end. Names in the arena, at most `max`. How many, or ERR_NOMEM. */
int dn_trunks(struct dn_dir *dir, struct slice number, struct arena *arena, struct slice *names,
              unsigned max) WARN_UNUSED;

/* One Contact of a REGISTER. expires 0 removes it. */
struct dn_change {
    struct dn_binding binding; /* call_id, cseq, way, times… filled by the registrar */
    bool remove;
};

/* Applies all changes or none (RFC 3261 10.3 step 7 and 8): a binding is matched by contact URI as
 * given by `same_contact` (URI comparison belongs to the grammar), or by instance and reg_id when
 * both are there. `star`: remove all; the one change then carries Call-ID and CSeq. ERR_STALE: a
 * CSeq not higher within the same Call-ID (nothing changed); ERR_LIMIT: more than max_bindings;
 * ERR_NOMEM. A DN that was out of service is back in service by an added binding. */
typedef bool dn_same_contact_fn(struct slice a, struct slice b);
int dn_register(struct dn_dir *dir, struct slice name, const struct dn_change *changes, unsigned n,
                bool star, unsigned max_bindings, uint64_t now,
                dn_same_contact_fn *same_contact) WARN_UNUSED;

/* Out of service until it registers, connects, answers a check, or, where it is not checked,
 * recovery_timeout has passed. With ERR_ADMIN: until dn_readmit, whatever else happens, also a
 * reload. True when that is a change. */
bool dn_set_out_of_service(struct dn_dir *dir, struct slice name, int cause, uint64_t now);
/* In service becomes suspect; out of service stays. True when that is a change. */
bool dn_set_suspect(struct dn_dir *dir, struct slice name, int cause, uint64_t now);
/* It answered. Cheap when it is in service already: no lock. What it was: DN_IN_SERVICE (0): no
 * change; DN_OUT_OF_SERVICE: also one that was being tried again. */
enum dn_state dn_set_in_service(struct dn_dir *dir, struct slice name);
/* A device has connected from that address (port not looked at): DNs out of service whose binding
 * or fixed contact (where its host is an IP address) is at that address are suspect from now on,
 * that is, tried again, and each is told as an event. Cheap while none is out of service. Their
 * number. */
unsigned dn_on_connection(struct dn_dir *dir, const struct addr *remote, uint64_t now);
/* The administrator wants it in service, whatever the cause was. True when that is a change. */
bool dn_readmit(struct dn_dir *dir, struct slice name);
/* As dn_info.state; DN_IN_SERVICE for an unknown name. No lock while none is suspect or out. */
enum dn_state dn_state(struct dn_dir *dir, struct slice name, uint64_t now);
/* How often any DN has gone out of service so far: whoever remembers the number sees that there is
 * something to look at. */
unsigned dn_outages(struct dn_dir *dir);
/* How many are suspect (or tried again) and out of service now. */
void dn_count(struct dn_dir *dir, uint64_t now, unsigned *suspect, unsigned *out);
/* A check of that DN begins (for the dump, and for when it is checked again). */
void dn_note_check(struct dn_dir *dir, struct slice name, uint64_t now);
/* What came of a check: a final response, whether it counts or not, or `err` where there was none.
 */
void dn_note_answer(struct dn_dir *dir, struct slice name, unsigned status, int err);
/* How often DNs went out of service and came back, since the last call, by the administrator and by
 * new settings: what no worker has counted. */
void dn_take_decided(struct dn_dir *dir, unsigned *out, unsigned *back);
/* How often a checked DN is checked while it is out of service, in s (as Genesys: each oos-force
 * seconds, or, where that is 0, as while it is in service). */
static inline uint32_t dn_check_again_s(uint32_t oos_check_s, uint32_t oos_force_s)
{
    return oos_force_s != 0 ? oos_force_s : oos_check_s;
}

/* Removes what has expired, a few stripes a call; returns how many bindings are left. Called each
 * second by one worker. */
unsigned dn_expire(struct dn_dir *dir, uint64_t now);
unsigned dn_bindings(struct dn_dir *dir);
/* Failed writes of the store so far. */
uint64_t dn_dir_store_errors(struct dn_dir *dir);
/* Rows of the set "dn", each followed by those of its bindings, of the set "binding"; with the lock
 * of a stripe held. dn: name, type (empty: no section), service_type, state ("in-service",
 * "suspect", "out-of-service"), cause, since, bindings, checked (by OPTIONS), last_check (when it
 * began), last_answer (status, or why there was none), next_try. binding: dn,
 * contact, transport, remote (way to it), source, connection, expires_s, q, instance, reg_id, path,
 * registered. */
void dn_rows(struct dn_dir *dir, uint64_t now, const struct row_sink *sink);

#endif
