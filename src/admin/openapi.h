/* SPDX-License-Identifier: Apache-2.0 */
/* The description of the HTTP API (OpenAPI 3.1), made from the table of commands.
 *
 * owns: nothing. thread: any. */
#ifndef ADMIN_OPENAPI_H
#define ADMIN_OPENAPI_H

#include <stdbool.h>
#include <stdio.h>

#include "admin/json.h"

/* False: no memory, or over the bound of `out`. */
bool openapi_write(struct admin_text *out) __attribute__((warn_unused_result));
/* docs/openapi.json; false: no memory. */
bool openapi_print(FILE *out) __attribute__((warn_unused_result));

#endif
