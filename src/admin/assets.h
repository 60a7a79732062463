/* SPDX-License-Identifier: Apache-2.0 */
/* The files of the dashboard (src/admin/web/), which the build puts into the program.
 *
 * They hold nothing that needs protection, and the page has to be loaded before it can ask for a
 * token: they are served to whoever may connect, without one. owns: constant data. thread: any. */
#ifndef ADMIN_ASSETS_H
#define ADMIN_ASSETS_H

#include <stddef.h>

#include "base/slice.h"

struct admin_asset {
    const char *path; /* "/" (index.html), "/app.js" */
    const char *type; /* Content-Type */
    const char *etag; /* with its quotes; changes with the bytes */
    const unsigned char *bytes;
    size_t len;
};

/* The file with that path, without query; NULL: there is none. */
const struct admin_asset *admin_asset_find(struct slice path);

/* All of them, in no order; the last has the path NULL. */
extern const struct admin_asset admin_assets[];

#endif
