/* SPDX-License-Identifier: Apache-2.0 */
/* [application ...] and [domain ...]: made whole, and checked against what else the file says. */
#include "conf/conf_int.h"

/* Host and port of a URI, for comparison. */
struct place {
    struct slice host;
    struct addr addr; /* ADDR_NONE: the host is a name */
    uint16_t port;
};

static bool place_of(const char *text, struct place *out)
{
    struct sip_uri uri;
    if (text == NULL || sip_uri_parse(slice_str(text), &uri) != 0)
        return false;
    bool is_tls = uri.scheme == SIP_SCHEME_SIPS || uri.transport == SIP_TLS;
    out->host = uri.maddr.len != 0 ? uri.maddr : uri.host;
    if (out->host.len > 1 && out->host.ptr[out->host.len - 1] == '.')
        out->host.len--; /* the root says nothing more */
    out->port = uri.port != 0 ? uri.port : is_tls ? 5061 : 5060;
    if (addr_parse_ip(out->host, out->port, &out->addr) != 0)
        out->addr = (struct addr){.family = ADDR_NONE};
    return true;
}

static bool is_same_place(const char *a, const char *b)
{
    struct place x, y;
    if (!place_of(a, &x) || !place_of(b, &y) || x.port != y.port)
        return false;
    return x.addr.family != ADDR_NONE ? addr_eq(&x.addr, &y.addr) : slice_ieq(x.host, y.host);
}

/* Where the members of an application are given. */
static const char *option_of(const struct app_section *app, unsigned member)
{
    if (app->group.role == GROUP_BALANCED)
        return "members";
    return member == 0 ? "primary" : "backup";
}

static void give_members(struct reader *r, struct app_section *app)
{
    struct group_conf *g = &app->group;
    char *pair[2] = {app->primary, app->backup};
    char **uris = g->role == GROUP_PAIR ? pair : app->members;
    unsigned n = g->role == GROUP_BALANCED ? app->nmembers : app->backup != NULL ? 2 : 1;
    g->members = arena_zalloc(&r->conf->arena, n * sizeof(*g->members));
    if (g->members == NULL) {
        r->no_memory = true;
        return;
    }
    g->nmembers = n;
    for (unsigned i = 0; i < n; i++) {
        struct group_member_conf *m = &g->members[i];
        struct place place = {0};
        m->uri = uris[i];
        m->weight = i < app->nweights ? app->weights[i] : 1;
        if (place_of(uris[i], &place))
            m->addr = place.addr;
    }
}

static void check_members(struct reader *r, unsigned item, const struct app_section *app)
{
    const struct group_conf *g = &app->group;
    for (unsigned i = 0; i < g->nmembers; i++) {
        const char *option = option_of(app, i), *uri = g->members[i].uri;
        conf_at(r, SECTION_APPLICATION, item, option);
        if (conf_lacks_tls(r->conf, uri))
            conf_error(r, "[application %s]: %s = %s: needs sip-port-tls", g->name, option, uri);
        if (conf_is_loop(r->conf, uri))
            conf_error(r, "[application %s]: %s = %s: " CONF_LOOP_TEXT, g->name, option, uri);
        for (unsigned k = 0; k < i; k++) {
            if (!is_same_place(uri, g->members[k].uri))
                continue;
            conf_error(r,
                       "[application %s]: %s = %s: the same address as %s = %s; allowed: members "
                       "at different addresses",
                       g->name, option, uri, option_of(app, k), g->members[k].uri);
            break;
        }
    }
}

/* An option that the other role has. */
static void refuse_option(struct reader *r, unsigned item, const char *name, const char *option,
                          const char *role)
{
    if (!conf_is_given(r, SECTION_APPLICATION, item, option))
        return;
    conf_at(r, SECTION_APPLICATION, item, option);
    conf_error(r, "[application %s]: %s: allowed with role = %s only", name, option, role);
}

/* What was given and not allowed has been told. */
static bool is_wrong(const struct reader *r, enum section_kind kind, unsigned item,
                     const char *option, const char *value)
{
    return value == NULL && conf_is_given(r, kind, item, option);
}

static bool has_members(struct reader *r, unsigned item, const struct app_section *app)
{
    const struct group_conf *g = &app->group;
    r->line = r->items[SECTION_APPLICATION].at[item];
    if (is_wrong(r, SECTION_APPLICATION, item, "primary", app->primary) ||
        (app->nmembers == 0 && conf_is_given(r, SECTION_APPLICATION, item, "members")))
        return false;
    if (g->role == GROUP_PAIR && app->primary == NULL) {
        conf_error(r,
                   "[application %s]: names no member; needed: primary = a SIP URI, or role = "
                   "balanced with members",
                   g->name);
        return false;
    }
    if (g->role == GROUP_BALANCED && app->nmembers == 0) {
        conf_error(r, "[application %s]: names no member; needed: members = 1 to %d SIP URIs",
                   g->name, GROUP_MEMBERS_MAX);
        return false;
    }
    conf_at(r, SECTION_APPLICATION, item, "members");
    if (app->nmembers > GROUP_MEMBERS_MAX) {
        conf_error(r, "[application %s]: members: %u of them; allowed: at most %d", g->name,
                   app->nmembers, GROUP_MEMBERS_MAX);
        return false;
    }
    conf_at(r, SECTION_APPLICATION, item, "weights");
    if (g->role == GROUP_BALANCED && app->nweights != 0 && app->nweights != app->nmembers)
        conf_error(r,
                   "[application %s]: weights: %u of them; allowed: as many as there are "
                   "members, %u",
                   g->name, app->nweights, app->nmembers);
    return true;
}

static void finish_tls(struct reader *r, unsigned item, struct app_section *app)
{
    const struct dn_tls_conf *tls = &app->tls;
    app->group.has_tls = tls->certificate != NULL || tls->private_key != NULL || tls->ca != NULL ||
                         tls->verify_server >= 0 || tls->min_version >= 0;
    conf_at(r, SECTION_APPLICATION, item, "tls-private-key");
    if (tls->private_key != NULL && tls->certificate == NULL)
        conf_error(r, "[application %s]: tls-private-key = %s: needs tls-certificate",
                   app->group.name, tls->private_key);
}

static void finish_application(struct reader *r, unsigned item, struct app_section *app)
{
    static const char *const of_pairs[] = {"primary", "backup", "shared-dialogs"};
    static const char *const of_balanced[] = {"members", "weights", "policy"};
    struct group_conf *g = &app->group;
    bool is_pair = g->role == GROUP_PAIR;
    for (unsigned i = 0; i < 3; i++)
        refuse_option(r, item, g->name, is_pair ? of_balanced[i] : of_pairs[i],
                      is_pair ? "balanced" : "pair");
    g->shares_dialogs = g->shares_dialogs && is_pair;
    g->check_ms = 1000 * (app->check_s != SAID_NOTHING ? app->check_s : r->conf->oos_check_s);
    g->force_ms = 1000 * (app->force_s != SAID_NOTHING ? app->force_s : r->conf->oos_force_s);
    finish_tls(r, item, app);
    if (!has_members(r, item, app))
        return;
    give_members(r, app);
    check_members(r, item, app);
}

/* --- which of them are used --- */

static bool find_application(const struct reader *r, struct slice name, unsigned *item)
{
    const struct items *items = &r->items[SECTION_APPLICATION];
    for (*item = 0; *item < items->n; (*item)++) {
        const struct app_section *app = conf_item(r, SECTION_APPLICATION, *item);
        if (slice_eq(slice_str(app->group.name), name))
            return true;
    }
    return false;
}

static bool is_used(const struct conf *c, struct slice name)
{
    for (unsigned i = 0; i < c->ngroups; i++)
        if (slice_eq(slice_str(c->groups[i].name), name))
            return true;
    return false;
}

static void use_application(struct reader *r, unsigned item)
{
    struct conf *c = r->conf;
    const struct app_section *app = conf_item(r, SECTION_APPLICATION, item);
    if (is_used(c, slice_str(app->group.name)))
        return;
    c->groups[c->ngroups] = app->group;
    c->group_tls[c->ngroups++] = app->tls;
}

/* Whose member is at an address has to be clear: by it a sender is known. */
static void check_strangers(struct reader *r, unsigned item, const struct app_section *app)
{
    for (unsigned k = 0; k < item; k++) {
        const struct app_section *other = conf_item(r, SECTION_APPLICATION, k);
        if (!is_used(r->conf, slice_str(other->group.name)))
            continue;
        for (unsigned i = 0; i < app->group.nmembers; i++) {
            for (unsigned j = 0; j < other->group.nmembers; j++) {
                const char *uri = app->group.members[i].uri;
                if (!is_same_place(uri, other->group.members[j].uri))
                    continue;
                conf_at(r, SECTION_APPLICATION, item, option_of(app, i));
                conf_error(r,
                           "[application %s]: %s = %s: the same address as a member of "
                           "[application %s]; allowed: an address of one application",
                           app->group.name, option_of(app, i), uri, other->group.name);
            }
        }
    }
}

static void use_applications(struct reader *r)
{
    struct conf *c = r->conf;
    unsigned n = r->items[SECTION_APPLICATION].n, item;
    c->groups = arena_zalloc(&c->arena, (n + 1) * sizeof(*c->groups));
    c->group_tls = arena_zalloc(&c->arena, (n + 1) * sizeof(*c->group_tls));
    if (c->groups == NULL || c->group_tls == NULL) {
        r->no_memory = true;
        return;
    }
    conf_at(r, SECTION_SIPPROXY, 0, "applications");
    for (unsigned i = 0; i < c->napplications; i++) {
        if (find_application(r, c->applications[i], &item))
            use_application(r, item);
        else
            conf_error(r, "applications = %.*s: there is no section [application %.*s]",
                       SLICE_ARG(c->applications[i]), SLICE_ARG(c->applications[i]));
    }
    for (unsigned i = 0; i < n && c->napplications == 0; i++)
        use_application(r, i);
    for (unsigned i = 0; i < n; i++) {
        const struct app_section *app = conf_item(r, SECTION_APPLICATION, i);
        if (is_used(c, slice_str(app->group.name)))
            check_strangers(r, i, app);
    }
}

/* r->line is where it is named. */
static void check_named(struct reader *r, const char *option, const char *name)
{
    unsigned item;
    if (is_used(r->conf, slice_str(name)))
        return;
    if (find_application(r, slice_str(name), &item))
        conf_error(r, "%s = %s: is not one of applications", option, name);
    else
        conf_error(r, "%s = %s: there is no section [application %s]", option, name, name);
}

/* --- [domain ...] --- */

static void finish_domain(struct reader *r, unsigned item, const struct route_domain *d)
{
    const struct route_conf *route = &r->conf->route;
    r->line = r->items[SECTION_DOMAIN].at[item];
    for (unsigned i = 0; i < route->ndomains; i++)
        if (slice_ieq(route->domains[i], slice_str(d->name)))
            conf_error(r, "[domain %s]: is one of sip-domains; allowed: a domain that is not ours",
                       d->name);
    if (is_wrong(r, SECTION_DOMAIN, item, "contact", d->contact))
        return;
    if ((d->contact == NULL) == (d->application == NULL)) {
        conf_error(r, "[domain %s]: needs either contact or application", d->name);
        return;
    }
    if (d->application != NULL) {
        conf_at(r, SECTION_DOMAIN, item, "application");
        check_named(r, "application", d->application);
        return;
    }
    conf_at(r, SECTION_DOMAIN, item, "contact");
    if (conf_lacks_tls(r->conf, d->contact))
        conf_error(r, "[domain %s]: contact = %s: needs sip-port-tls", d->name, d->contact);
    if (conf_is_loop(r->conf, d->contact))
        conf_error(r, "[domain %s]: contact = %s: " CONF_LOOP_TEXT, d->name, d->contact);
}

void conf_finish_neighbours(struct reader *r)
{
    struct conf *c = r->conf;
    for (unsigned i = 0; i < r->items[SECTION_APPLICATION].n; i++)
        finish_application(r, i, conf_item(r, SECTION_APPLICATION, i));
    use_applications(r);
    if (c->route.serving != NULL) {
        conf_at(r, SECTION_SIPPROXY, 0, "serving-sipserver");
        check_named(r, "serving-sipserver", c->route.serving);
    }
    c->route.others = conf_item(r, SECTION_DOMAIN, 0);
    c->route.nothers = r->items[SECTION_DOMAIN].n;
    for (unsigned i = 0; i < c->route.nothers; i++)
        finish_domain(r, i, &c->route.others[i]);
    r->line = 0;
}
