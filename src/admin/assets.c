/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/assets.h"

const struct admin_asset *admin_asset_find(struct slice path)
{
    for (const struct admin_asset *a = admin_assets; a->path; a++) {
        if (slice_eq(path, slice_str(a->path))) {
            return a;
        }
    }
    return NULL;
}
