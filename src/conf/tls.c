/* SPDX-License-Identifier: Apache-2.0 */
/* The files that the options of TLS name: read, judged, and made into contexts. */
#include "conf/conf_int.h"

#define WHY_MAX 512 /* bytes of what is wrong with a file */

/* One profile on its way. */
struct opening {
    struct conf *conf;
    struct net_tls_keys *keys;
    FILE *err;
    enum section_kind kind; /* SECTION_SIPPROXY: the daemon's own */
    const char *name;       /* of the section */
    const struct dn_tls_conf *own;
    unsigned errors;
};

static unsigned line_of(const struct conf *c, unsigned option, const char *name)
{
    for (unsigned i = c->nplaces; i-- > 0;) /* what is set by hand is the last one */
        if (c->places[i].option == option && (name == NULL || strcmp(c->places[i].name, name) == 0))
            return c->places[i].line;
    return 0;
}

static void say(struct opening *o, const char *name, const char *value, const char *why)
{
    unsigned index = conf_option_index(conf_sections[o->kind].word, name);
    const struct option *option = &conf_options[index];
    unsigned line = line_of(o->conf, index, o->name);
    size_t len = strlen(value);
    o->errors++;
    if (o->err == NULL)
        return;
    if (len != 0 && strncmp(why, value, len) == 0 && strncmp(why + len, ": ", 2) == 0)
        why += len + 2; /* it is named once */
    if (line == CONF_BY_HAND)
        fprintf(o->err, "set:");
    else
        fprintf(o->err, "%s:", o->conf->file != NULL ? o->conf->file : "embedded default");
    if (line != 0 && line != CONF_BY_HAND)
        fprintf(o->err, "%u:", line);
    fprintf(o->err, " %s = %s: %s; allowed: %s\n", name, value, why, option->valid);
}

/* `why` names the file; of two files the one that was given last is asked to fit the other. */
static void say_why(struct opening *o, const struct net_tls_conf *tls, const char *why)
{
    if (tls->private_key != NULL && strstr(why, tls->private_key) != NULL)
        say(o, "tls-private-key", tls->private_key, why);
    else if (tls->ca != NULL && strstr(why, tls->ca) != NULL)
        say(o, "tls-ca", tls->ca, why);
    else if (tls->certificate != NULL)
        say(o, "tls-certificate", tls->certificate, why);
    else
        say(o, "tls-ca", tls->ca != NULL ? tls->ca : "", why);
}

/* What the section does not say is the daemon's; a certificate of its own brings its own key. */
static struct net_tls_conf rules_of(const struct conf *c, const struct dn_tls_conf *own)
{
    struct net_tls_conf tls = c->tls;
    if (own == NULL)
        return tls;
    if (own->certificate != NULL) {
        tls.certificate = own->certificate;
        tls.private_key = own->private_key;
    }
    if (own->ca != NULL)
        tls.ca = own->ca;
    if (own->verify_server >= 0)
        tls.verify_server = own->verify_server != 0;
    if (own->verify_client >= 0)
        tls.verify_client = own->verify_client != 0;
    if (own->min_version >= 0)
        tls.min_version = (enum net_tls_version)own->min_version;
    return tls;
}

static int profile_name(const struct opening *o, struct slice *out)
{
    char room[GROUP_PROFILE_MAX];
    *out = slice_str(o->name);
    if (o->kind == SECTION_APPLICATION)
        *out = arena_dup(&o->conf->arena, group_profile_name(*out, room));
    return o->kind != SECTION_APPLICATION || out->len != 0 ? 0 : ERR_NOMEM;
}

static int open_profile(struct opening *o)
{
    struct conf *c = o->conf;
    struct net_tls_conf tls = rules_of(c, o->own);
    struct flow_tls_profile *p = &c->profiles[c->nprofiles];
    char why[WHY_MAX] = "";
    *p = (struct flow_tls_profile){.name = SLICE_NONE};
    if (profile_name(o, &p->name) != 0)
        return ERR_NOMEM;
    int err = net_tls_new(&tls, o->keys, why, sizeof(why), &p->tls);
    if (err == 0)
        c->nprofiles++;
    else if (err != ERR_NOMEM)
        say_why(o, &tls, why);
    return err == ERR_NOMEM ? err : 0;
}

static int open_sections(struct opening *o)
{
    const struct conf *c = o->conf;
    int status = 0;
    o->kind = SECTION_DN;
    for (unsigned i = 0; i < c->ndns && status == 0; i++) {
        o->name = c->dns[i].name;
        o->own = &c->dns[i].tls;
        if (c->dns[i].has_tls)
            status = open_profile(o);
    }
    o->kind = SECTION_APPLICATION;
    for (unsigned i = 0; i < c->ngroups && status == 0; i++) {
        o->name = c->groups[i].name;
        o->own = &c->group_tls[i];
        if (c->groups[i].has_tls)
            status = open_profile(o);
    }
    return status;
}

static bool has_files(const struct conf *c)
{
    return c->tls.certificate != NULL || c->tls.ca != NULL;
}

static int open_admin(struct opening *o)
{
    const char *path = "";
    char why[WHY_MAX] = "", text[64];
    const struct conf *c = o->conf;
    int err = conf_open_admin(o->conf, o->keys, &path, why, sizeof(why));
    if (err == 0 || err == ERR_NOMEM)
        return err;
    bool is_key = path == c->admin_private_key ||
                  (c->admin_private_key != NULL && strstr(why, c->admin_private_key) != NULL);
    say(o, is_key ? "admin-tls-private-key" : "admin-tls-certificate",
        is_key ? c->admin_private_key : c->admin_certificate,
        why[0] != '\0' ? why : err_text(err, text, sizeof(text)));
    return ERR_PARSE;
}

int conf_open_tls(struct conf *c, struct net_tls_keys *keys, FILE *err)
{
    struct opening o = {.conf = c, .keys = keys, .err = err, .kind = SECTION_SIPPROXY};
    int admin = open_admin(&o);
    unsigned n = 1;
    if (admin != 0)
        return admin;
    for (unsigned i = 0; i < c->ndns; i++)
        n += c->dns[i].has_tls;
    for (unsigned i = 0; i < c->ngroups; i++)
        n += c->groups[i].has_tls;
    if (c->flow.tls_port == 0 && !has_files(c) && n == 1)
        return 0;
    c->profiles = arena_zalloc(&c->arena, n * sizeof(*c->profiles));
    if (c->profiles == NULL)
        return ERR_NOMEM;
    /* Here only after a reload; finish.c has said it at the start. */
    if (c->flow.tls_port != 0 && c->tls.certificate == NULL) {
        say(&o, "tls-certificate", "",
            "not given, but the port of sip-port-tls stays open until the restart");
        return ERR_PARSE;
    }
    int status = open_profile(&o);
    if (status == 0 && o.errors != 0)
        return ERR_PARSE; /* what sections take over from it would be said once for each */
    if (status == 0)
        status = open_sections(&o);
    return status != 0 ? status : o.errors != 0 ? ERR_PARSE : 0;
}

int conf_share_tls(const struct conf *now, struct conf *next)
{
    next->admin_certificate_text = arena_dup(&next->arena, now->admin_certificate_text);
    next->admin_key_text = arena_dup(&next->arena, now->admin_key_text);
    if (now->nprofiles == 0)
        return next->arena.overflow ? ERR_NOMEM : 0;
    next->profiles = arena_zalloc(&next->arena, now->nprofiles * sizeof(*next->profiles));
    if (next->profiles == NULL)
        return ERR_NOMEM;
    for (unsigned i = 0; i < now->nprofiles; i++) {
        struct slice name = arena_dup(&next->arena, now->profiles[i].name);
        next->profiles[next->nprofiles++] =
            (struct flow_tls_profile){name, net_tls_hold(now->profiles[i].tls)};
    }
    return next->arena.overflow ? ERR_NOMEM : 0;
}

void conf_close_tls(struct conf *c)
{
    for (unsigned i = 0; i < c->nprofiles; i++)
        net_tls_release(&c->profiles[i].tls);
    c->nprofiles = 0;
}
