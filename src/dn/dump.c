/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/buf.h"
#include "dn/dn_int.h"

#define LINE_MAX_LEN 1024

struct dump {
    uint64_t now;
    void (*line)(void *user, const char *text);
    void *user;
};

static const char *type_text(enum dn_type type)
{
    switch (type) {
    case DN_EXTENSION: return "extension";
    case DN_ACD_POSITION: return "acd-position";
    case DN_TRUNK: return "trunk";
    case DN_TRUNK_GROUP: return "trunk-group";
    case DN_VOIP_SERVICE: return "voip-service";
    case DN_ROUTING_POINT: return "routing-point";
    }
    return "?";
}

/* A longer line is cut; a control character cannot break it. */
static void say(struct dump *d, char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20)
            text[i] = '?';
    text[len] = '\0';
    d->line(d->user, text);
}

static void dump_binding(struct dump *d, const struct dn_binding *b)
{
    char text[LINE_MAX_LEN], addr[ADDR_TEXT_MAX];
    struct buf out;
    buf_init(&out, text, sizeof(text) - 1);
    buf_printf(&out, "    expires=%lld q=%u.%03u flow=%llx remote=%s",
               ((long long)b->expires - (long long)d->now) / 1000, b->q / 1000, b->q % 1000,
               (unsigned long long)b->way.flow, addr_write(&b->way.remote, addr));
    if (b->reg_id != 0)
        buf_printf(&out, " reg-id=%u", b->reg_id);
    buf_lit(&out, " contact=");
    buf_slice(&out, b->contact);
    if (b->path.len != 0) {
        buf_lit(&out, " path=");
        buf_slice(&out, b->path);
    }
    say(d, text, out.len);
}

static void dump_entry(struct table_node *node, void *user)
{
    struct dump *d = user;
    const struct dn_entry *e = container_of(node, struct dn_entry, node);
    char text[LINE_MAX_LEN], err[64];
    struct buf out;
    buf_init(&out, text, sizeof(text) - 1);
    buf_slice(&out, dn_name(e));
    buf_printf(&out, " %s bindings=%u", e->settings != NULL ? type_text(e->settings->type) : "-",
               e->nkept);
    if (e->settings != NULL && e->settings->service_type.len != 0)
        buf_printf(&out, " service-type=%.*s", SLICE_ARG(e->settings->service_type));
    if (e->is_out && d->now < e->oos_until)
        buf_printf(&out, " out-of-service for=%llus cause=\"%s\"",
                   (unsigned long long)(e->oos_until - d->now + 999) / 1000,
                   err_text(e->oos_cause, err, sizeof(err)));
    else
        buf_lit(&out, " in-service");
    say(d, text, out.len);
    for (unsigned i = 0; i < e->nkept; i++)
        dump_binding(d, &e->kept[i]->b);
}

void dn_dump(struct dn_dir *dir, uint64_t now, void (*line)(void *user, const char *text),
             void *user)
{
    struct dump d = {now, line, user};
    for (unsigned i = 0; i < DN_STRIPES; i++) {
        pthread_mutex_lock(&dir->stripes[i].lock);
        table_each(&dir->stripes[i].names, dump_entry, &d);
        pthread_mutex_unlock(&dir->stripes[i].lock);
    }
}
