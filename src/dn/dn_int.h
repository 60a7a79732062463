/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the directory share: stripes of names, entries, kept bindings.
 *
 * owns: an entry owns its settings and bindings; a stripe its entries. thread: any, with the lock
 * of the entry's stripe held. */
#ifndef DN_DN_INT_H
#define DN_DN_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "base/list.h"
#include "base/table.h"
#include "dn/dn.h"
#include "dn/store.h"

#define DN_STRIPES         32      /* power of two; a reload holds all at once, and one more lock */
#define DN_RECOVERY_MS     60000   /* of DNs without a section */
#define DN_NAMES_MAX       1000000 /* registered without a section: a table needs a maximum */
#define DN_EXPIRE_STRIPES  8       /* looked at in one call of dn_expire */
#define DN_BINDING_STRINGS 5

/* A [dn …] section; all strings stand behind `contact_backup`. */
struct dn_settings {
    enum dn_type type;
    uint32_t recovery_ms;
    uint32_t oos_check_s, oos_force_s; /* check 0: not checked */
    struct addr contact_addr;          /* ADDR_NONE: not an IP address */
    bool has_tls;
    bool is_old; /* inside dn_dir_configure: of the configuration that ends */
    struct slice service_type, contact, password, password_ha1;
    unsigned ncontact_backup;
    struct slice contact_backup[];
};

/* One [dn …] section with a prefix. */
struct dn_trunk {
    struct slice prefix, name;
    uint32_t priority;
    unsigned order; /* in the file */
};

/* All of them, by prefix, then priority, then order; never changed once it is made. The strings
 * stand behind. */
struct dn_trunks {
    unsigned n;
    size_t longest; /* bytes of the longest prefix */
    struct dn_trunk list[];
};

/* Where a DN that is out of service may connect from; in the directory's table of spots by its IP
 * address. */
struct dn_spot {
    struct table_node node;
    struct dn_entry *entry; /* NULL: not in the table */
};

/* A binding whose strings are in `text`. */
struct dn_kept {
    struct dn_binding b;
    struct dn_spot spot;
    size_t text_len;
    char text[];
};

struct dn_entry {
    struct table_node node;
    struct dn_settings *settings; /* NULL: no section */
    struct dn_kept **kept;        /* nkept, by q descending, then most recent first */
    unsigned nkept;
    bool is_dirty;       /* the store could not take the last change */
    bool went_out;       /* out of service, or tried again after that */
    enum dn_state state; /* as set; what time makes of it says dn_entry_state */
    int cause;           /* enum err, 0 in service */
    uint64_t set;        /* wall-clock ms when it was set; 0: in service */
    uint64_t since;      /* as `set`; once out of service it stays, also while it is tried again */
    uint64_t checked;    /* wall-clock ms when the last check began, 0: never */
    uint16_t answer;     /* status of the final response to a check that came last, 0: none */
    int16_t failure;     /* enum err: why there was none; 0: there was, or nothing is known yet */
    struct dn_spot spot; /* of the fixed contact */
    size_t name_len;
    char name[];
};

struct dn_stripe {
    pthread_mutex_t lock;
    struct table names;        /* struct dn_entry */
    _Atomic unsigned troubled; /* entries that are not in service */
};

struct dn_dir {
    struct hash_key key;
    struct dn_store *store; /* NULL: memory only */
    _Atomic unsigned bindings;
    _Atomic unsigned names;      /* entries */
    _Atomic unsigned configured; /* sections */
    _Atomic unsigned next_expire;
    _Atomic unsigned troubled; /* entries that are not in service */
    _Atomic unsigned out;      /* entries set out of service */
    _Atomic unsigned outages;
    _Atomic unsigned decided_out, decided_back; /* since dn_take_decided */
    _Atomic unsigned addresses;                 /* sections whose name is an address: user@host */
    _Atomic unsigned ntrunks;                   /* of `trunks` */
    pthread_mutex_t trunks_lock; /* no other is taken inside; it is taken inside those of stripes */
    struct dn_trunks *trunks;    /* NULL: none */
    pthread_mutex_t spots_lock;  /* inside that of a stripe */
    struct table spots;          /* struct dn_spot, of entries set out of service */
    struct dn_stripe stripes[DN_STRIPES];
};

static inline struct slice dn_name(const struct dn_entry *e)
{
    return slice_of(e->name, e->name_len);
}

static inline struct dn_stripe *dn_stripe_of(struct dn_dir *dir, uint64_t hash)
{
    /* The table takes the low bits. */
    return &dir->stripes[hash >> 58 & (DN_STRIPES - 1)];
}

/* --- dir.c --- */
struct dn_entry *dn_entry_new(struct slice name);
void dn_entry_free(struct dn_entry *e);
/* NULL when there is none. */
struct dn_entry *dn_entry_find(struct dn_stripe *s, uint64_t hash, struct slice name);
void dn_entry_add(struct dn_dir *dir, struct dn_stripe *s, struct dn_entry *e, uint64_t hash);
/* Removes and frees the entry where nothing is known of it any more. */
void dn_entry_tidy(struct dn_dir *dir, struct dn_stripe *s, struct dn_entry *e);

/* --- trunk.c --- */
/* The table of the sections with a prefix; *out is NULL where there is none. 0 or ERR_NOMEM. */
int dn_trunks_new(const struct dn_conf *dns, unsigned n, struct dn_trunks **out) WARN_UNUSED;
/* Puts it in the place of the one that was. */
void dn_trunks_take(struct dn_dir *dir, struct dn_trunks *trunks);

/* --- state.c --- */
/* Suspect too once recovery_timeout has passed. */
enum dn_state dn_entry_state(const struct dn_entry *e, uint64_t now);
/* When it is tried or checked again; 0: not known, or in service. */
uint64_t dn_entry_retry(const struct dn_entry *e, uint64_t now);
void dn_entry_set(struct dn_dir *dir, struct dn_entry *e, enum dn_state state, int cause,
                  uint64_t now);
/* Counted here, as it is no worker that brings it back (dn_take_decided). */
void dn_entry_count_back(struct dn_dir *dir, const struct dn_entry *e);
/* In service, unless the administrator wants it out. */
void dn_entry_recover(struct dn_dir *dir, struct dn_entry *e);
/* Out of service until the administrator says otherwise, whatever the device does. */
static inline bool dn_is_by_admin(const struct dn_entry *e)
{
    return e->state == DN_OUT_OF_SERVICE && e->cause == ERR_ADMIN;
}
/* Around each change of the bindings or of the contact of an entry. */
void dn_spots_leave(struct dn_dir *dir, struct dn_entry *e);
void dn_spots_enter(struct dn_dir *dir, struct dn_entry *e);

/* --- bind.c --- */
/* A copy of `b`; NULL when there is no memory. */
struct dn_kept *dn_kept_new(const struct dn_binding *b);
/* Copies `from` with its strings in `text`, which has room for its text_len. */
void dn_binding_rebase(const struct dn_kept *from, char *text, struct dn_binding *out);
/* Appends to the entry, which then owns it. 0 or ERR_NOMEM. */
int dn_entry_keep(struct dn_entry *e, struct dn_kept *kept) WARN_UNUSED;
void dn_entry_sort(struct dn_entry *e);
/* Tells the store what the entry holds now. */
void dn_entry_store(struct dn_dir *dir, struct dn_entry *e);

#endif
