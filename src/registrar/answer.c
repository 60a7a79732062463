/* SPDX-License-Identifier: Apache-2.0 */
#include <time.h>

#include "registrar/registrar_int.h"

#define FIXED_MAX   256 /* Date, Require, Supported, Flow-Timer, Path's name */
#define CONTACT_MAX 64  /* what stands around the strings of one Contact */

static void write_contact(struct buf *b, const struct dn_binding *binding, uint64_t now)
{
    buf_lit(b, "Contact: <");
    buf_slice(b, binding->contact);
    buf_char(b, '>');
    buf_slice(b, binding->params);
    if (binding->q != 1000)
        buf_printf(b, ";q=0.%03u", binding->q);
    buf_lit(b, ";expires=");
    /* A second that has begun counts whole, so that what was granted is what is said. */
    buf_u64(b, (binding->expires - now + 999) / 1000);
    buf_lit(b, "\r\n");
}

/* RFC 3261 20.17. */
static void write_date(struct buf *b, uint64_t now)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t seconds = (time_t)(now / 1000);
    struct tm tm;
    if (gmtime_r(&seconds, &tm) == NULL)
        return;
    buf_printf(b, "Date: %.3s, %02d %.3s %d %02d:%02d:%02d GMT\r\n", days + 3 * tm.tm_wday,
               tm.tm_mday, months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
               tm.tm_sec);
}

int reg_write_200(struct reg *g, const struct dn_info *dn, struct slice *extra)
{
    size_t room = FIXED_MAX + g->path.len;
    struct buf b;
    for (unsigned i = 0; i < dn->nbindings; i++)
        room += CONTACT_MAX + dn->bindings[i].contact.len + dn->bindings[i].params.len;
    char *text = arena_bytes(g->arena, room);
    if (text == NULL)
        return ERR_NOMEM;
    buf_init(&b, text, room);
    for (unsigned i = 0; i < dn->nbindings; i++)
        write_contact(&b, &dn->bindings[i], g->now);
    write_date(&b, g->now);
    if (g->path.len != 0) {
        buf_lit(&b, "Path: ");
        buf_slice(&b, g->path);
        buf_lit(&b, "\r\n");
    }
    if (g->is_outbound) {
        buf_lit(&b, "Require: outbound\r\n");
        /* The edge that holds the flow says how long it may be silent. */
        if (!g->has_hops && g->r->conf->flow_timer != 0)
            buf_printf(&b, "Flow-Timer: %u\r\n", g->r->conf->flow_timer);
    }
    buf_lit(&b, "Supported: path, outbound\r\n");
    *extra = buf_get(&b);
    return b.overflow ? ERR_NOMEM : 0;
}
