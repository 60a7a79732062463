/* SPDX-License-Identifier: Apache-2.0 */
#include "help.h"

#include "base/buf.h"
#include "rows.h"

struct dn_binding help_binding(const char *contact, uint64_t expires)
{
    struct dn_binding b = {
        .contact = slice_str(contact),
        .params = SLICE(";x=1"),
        .call_id = SLICE("call"),
        .cseq = 1,
        .q = 1000,
        .expires = expires,
        .updated = T0,
        .way.flow = 77,
        .way.transport = 1,
        .way.alt_port = 5070,
    };
    if (addr_parse(SLICE("10.1.2.3:5060"), 0, &b.way.remote) < 0 ||
        addr_parse(SLICE("10.1.2.3:40001"), 0, &b.source) < 0 ||
        addr_parse(SLICE("[2001:db8::5]:5062"), 0, &b.way.local) < 0)
        b.expires = 0;
    return b;
}

bool help_same(struct slice a, struct slice b)
{
    return slice_ieq(a, b);
}

static int change(struct dn_dir *dir, const char *name, const char *contact, const char *call_id,
                  uint32_t cseq, bool remove)
{
    struct dn_change c = {help_binding(contact, T0 + 3600000), remove};
    c.binding.call_id = slice_str(call_id);
    c.binding.cseq = cseq;
    return dn_register(dir, slice_str(name), &c, 1, false, 10, T0, help_same);
}

int help_register(struct dn_dir *dir, const char *name, const char *contact, const char *call_id,
                  uint32_t cseq)
{
    return change(dir, name, contact, call_id, cseq, false);
}

int help_remove(struct dn_dir *dir, const char *name, const char *contact, const char *call_id,
                uint32_t cseq)
{
    return change(dir, name, contact, call_id, cseq, true);
}

void help_look(struct look *l, struct dn_dir *dir, const char *name, uint64_t now)
{
    arena_cache_init(&l->cache, 0);
    arena_init(&l->arena, &l->cache);
    l->err = dn_find(dir, slice_str(name), now, &l->arena, &l->dn);
}

void help_look_end(struct look *l)
{
    arena_fini(&l->arena);
    arena_cache_fini(&l->cache);
}

const char *help_contacts(struct dn_dir *dir, const char *name, uint64_t now)
{
    static _Thread_local char text[1024];
    struct look l;
    struct buf b;
    buf_init(&b, text, sizeof(text) - 1);
    help_look(&l, dir, name, now);
    for (unsigned i = 0; i < l.dn.nbindings; i++) {
        if (i != 0)
            buf_char(&b, ' ');
        buf_slice(&b, l.dn.bindings[i].contact);
    }
    help_look_end(&l);
    text[b.len] = '\0';
    return text;
}

const char *help_rows(struct dn_dir *dir, uint64_t now)
{
    static struct rows rows;
    const struct row_sink sink = rows_begin(&rows);
    dn_rows(dir, now, &sink);
    return rows.text;
}
