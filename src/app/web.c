/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP beside the calls: where it cannot be had, they go on without it. */
#include <stdio.h>

#include "admin/http.h"
#include "app/daemon_int.h"
#include "base/event.h"

static struct admin_http_conf conf_of(const struct conf *c)
{
    return (struct admin_http_conf){.address = c->admin_address,
                                    .token = slice_str(c->admin_token),
                                    .certificate = c->admin_certificate_text,
                                    .key = c->admin_key_text};
}

static void say_unavailable(const struct conf *c, int err)
{
    EVENT_LOG(EV_ADMIN_UNAVAILABLE, LF_STR("what", "HTTP"), LF_ADDR("address", &c->admin_address),
              LF_ERR("error", err));
}

void daemon_http_open(struct daemon *d, char url[DAEMON_URL_MAX])
{
    const struct conf *c = d->conf;
    struct admin_http_conf conf = conf_of(c);
    char text[ADDR_TEXT_MAX];
    url[0] = '\0';
    if (c->admin_address.family == ADDR_NONE || d->admin == NULL)
        return;
    int err = admin_http_open(d->admin, &conf, &d->http);
    if (err != 0) {
        say_unavailable(c, err);
        return;
    }
    snprintf(url, DAEMON_URL_MAX, "http%s://%s/", conf.certificate.len != 0 ? "s" : "",
             addr_write(admin_http_address(d->http), text));
}

void daemon_http_reload(struct daemon *d, const struct conf *next)
{
    struct admin_http_conf conf = conf_of(next);
    int err = d->http != NULL ? admin_http_set_conf(d->http, &conf) : 0;
    if (err != 0)
        LOG(LOG_WARN, "app", "HTTP goes on with its former token and certificate",
            LF_ERR("cause", err));
}
