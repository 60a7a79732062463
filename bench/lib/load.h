/* SPDX-License-Identifier: Apache-2.0 */
/* The load program: callers (UAC), callees (UAS), an application and registrations around one event
 * loop.
 *
 * owns: struct load owns everything, its calls included
 * borrows: strings of the options
 * thread: one
 * RFC sections: RFC 3261 8, 10, 12.1.2, 12.2.1.1, 13, 15, 16.11, 17.1, 17.2
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "hist.h"
#include "net.h"
#include "sipmsg.h"
#include "text.h"
#include "wheel.h"

#define LOAD_MAX_CALLS   10000000U
#define LOAD_MAX_SECONDS 3600U
#define LOAD_T1          500U  /* ms */
#define LOAD_T2          4000U /* ms */

struct load_options {
    bool uac;
    bool uas;
    bool app; /* an application behind the proxy, which leads calls back through it */
    bool tcp;
    bool direct; /* no proxy between: no Record-Route is expected */
    bool trying; /* the callee answers 100 first */
    bool oc;     /* callers keep to what the proxy asks for (RFC 7339) */
    bool json;
    bool wait; /* say READY, and start at a line on standard input */
    struct sockaddr_in proxy;
    struct sockaddr_in uas_address; /* first of uas_ports consecutive ports */
    struct sockaddr_in uac_address; /* port 0: any */
    struct sockaddr_in app_address;
    const char *domain; /* of registered users */
    unsigned uas_ports;
    unsigned connections;
    unsigned users; /* registered users, 0: calls go to the address of the callee */
    double rate;    /* calls per second */
    unsigned seconds;
    uint64_t calls;
    unsigned ring_ms;
    unsigned hold_ms;
    unsigned timeout_ms;
    unsigned linger_ms;
};

enum timer_kind { TIMER_UAC, TIMER_UAS, TIMER_USER };

/* --- callers ---------------------------------------------------------------------------------- */

enum uac_state { UAC_IDLE, UAC_CALLING, UAC_PROCEEDING, UAC_HOLDING, UAC_BYE, UAC_DONE };

struct uac_call {
    struct timer timer;
    uint64_t planned; /* ns: when the INVITE was due */
    uint64_t bye_sent;
    uint64_t deadline; /* ms */
    char *dialog;      /* malloc: remote target, route set and To for ACK and BYE */
    uint32_t uri_len;  /* parts of dialog, in this order */
    uint32_t route_len;
    uint32_t to_len;
    uint32_t interval; /* ms: next retransmission */
    struct sockaddr_in next_hop;
    uint8_t state;
    bool seen_180;
    bool answered;
};

struct uac_counts {
    uint64_t started;
    uint64_t ended;
    uint64_t completed;
    uint64_t failed; /* by a final response other than 2xx, see by_status */
    uint64_t failed_bye;
    uint64_t timeout_invite;
    uint64_t timeout_bye;
    uint64_t no_record_route; /* ended because the proxy did not stay in the dialog */
    uint64_t bad_route;       /* ended because the first Route leads elsewhere or is strict */
    uint64_t send_failed;     /* ended because the connection was gone */
    uint64_t held_back;       /* never sent, since the proxy has asked for less (RFC 7339) */
    uint64_t got_100;
    uint64_t late_100;            /* after 180 or 200 */
    uint64_t reordered;           /* 180 after 200 */
    uint64_t without_180;         /* 200 and never a 180 */
    uint64_t invite_retransmits;  /* sent by us */
    uint64_t bye_retransmits;     /* sent by us */
    uint64_t repeated_1xx;        /* seen */
    uint64_t repeated_200_invite; /* seen */
    uint64_t repeated_200_bye;    /* seen */
    uint64_t second_dialog;       /* 2xx with another To tag */
    uint64_t stray;               /* responses that belong to no call */
    uint64_t by_status[700];
};

struct uac {
    struct uac_call *calls;
    struct endpoint **ep;
    struct uac_counts n;
    struct hist to_180;
    struct hist to_200;
    struct hist bye_200;
    uint64_t late_max; /* ns behind the plan */
    uint64_t oc_until; /* ns: how long the proxy's wish holds */
    unsigned oc_loss;  /* percent of new calls */
    unsigned oc_credit;
};

/* --- callees ---------------------------------------------------------------------------------- */

struct uas_call {
    struct timer timer;
    uint64_t invite_branch; /* hash, 0: no INVITE yet */
    uint64_t bye_branch;
    uint64_t give_up; /* ms */
    char *head;       /* malloc: headers of its responses, until the ACK */
    struct endpoint *ep;
    struct sockaddr_in from;
    uint32_t head_len;
    uint32_t interval;
    bool answered;
    bool acked;
};

struct uas_counts {
    uint64_t calls;
    uint64_t answered;
    uint64_t acked;
    uint64_t byes;
    uint64_t invite_duplicates;    /* same call, another branch: the proxy made a second one */
    uint64_t bye_duplicates;       /* the same */
    uint64_t invite_retransmits;   /* same branch */
    uint64_t bye_retransmits;      /* same branch */
    uint64_t ack_repeats;          /* more than one ACK */
    uint64_t bye_before_ack;       /* reordered */
    uint64_t response_retransmits; /* 200 sent again by us */
    uint64_t never_acked;          /* given up after 64 x T1 */
    uint64_t stray;
};

struct user {
    struct timer timer;
    struct endpoint *ep;
    uint64_t give_up; /* ms */
    uint32_t interval;
    uint32_t cseq;
    bool done;
    bool failed;
};

struct uas {
    struct uas_call *calls;
    uint64_t room;
    uint64_t run; /* run number of the calls that are counted */
    bool run_known;
    struct endpoint **ep; /* listeners, UDP sockets, or connections of registered users */
    struct user *users;
    unsigned registered;
    unsigned register_failed;
    unsigned register_retransmits;
    uint64_t register_ns;
    struct uas_counts n;
};

/* --- the application ---------------------------------------------------------------------------
 */

struct app_counts {
    uint64_t forwarded;
    uint64_t checks;  /* OPTIONS answered */
    uint64_t dropped; /* could not be forwarded */
};

struct app {
    struct endpoint *listener; /* TCP */
    struct endpoint *out;      /* our connection to the proxy; UDP: the only socket */
    struct endpoint *in;       /* that of the proxy to us, by which requests come */
    char name[32];             /* HOST:PORT */
    struct app_counts n;
};

struct load {
    struct load_options opt;
    struct net net;
    struct wheel wheel;
    struct uac uac;
    struct uas uas;
    struct app app;
    uint64_t run;   /* part of every Call-ID */
    uint64_t now;   /* ns, monotonic, once for each turn of the loop */
    uint64_t begin; /* ns */
    uint64_t end;   /* ns */
    uint64_t malformed;
    bool stop;
};

uint64_t load_clock(void);
uint64_t load_ms(const struct load *l);

bool uac_open(struct load *l);
void uac_close(struct load *l);
/* Starts call `number`, whose INVITE was due at `planned` (ns). */
void uac_start(struct load *l, uint64_t number, uint64_t planned);
void uac_message(struct load *l, const struct sipmsg *m);
void uac_timer(struct load *l, struct timer *t);

bool uas_open(struct load *l);
void uas_close(struct load *l);
/* Registers all users and returns when each is done; false when one failed. */
bool uas_register(struct load *l);
void uas_message(struct load *l, struct endpoint *ep, const struct sockaddr_in *from,
                 const struct sipmsg *m);
void uas_timer(struct load *l, struct timer *t);
void user_timer(struct load *l, struct timer *t);
void user_message(struct load *l, const struct sipmsg *m);

bool app_open(struct load *l);
void app_message(struct load *l, struct endpoint *ep, const struct sipmsg *m);

/* One turn of the loop: waits until `until` (ns) at most, receives, runs timers, sends. */
void load_turn(struct load *l, uint64_t until);

/* Writes the result to standard output; true when every call was completed and none was doubled. */
bool load_report(const struct load *l);

#endif
