/* SPDX-License-Identifier: Apache-2.0 */
/* The journal of systemd, spoken to in its own protocol: a datagram of fields for each line
 * (systemd's "Native Journal Protocol").
 *
 * owns: nothing; borrows the socket. thread: any. */
#ifndef BASE_JOURNAL_H
#define BASE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/un.h>

#include "base/log.h"

#define JOURNAL_PATH  "/run/systemd/journal/socket"
#define JOURNAL_MAX   20480u /* bytes of a datagram */
#define JOURNAL_VALUE 1000u  /* of one value; what is beyond is cut */

/* Is what is written to that descriptor the journal's? $JOURNAL_STREAM says so (systemd.exec(5)).
 */
bool journal_has(int fd);

/* Room for the fields that do not fit is not looked for: they are left out. Returns the length. A
 * first field "event" is the number of a standard event, and gives MESSAGE_ID. */
size_t journal_write(char out[JOURNAL_MAX], enum log_level level, const char *module,
                     struct slice message, unsigned n, const struct field *fields);

/* False: `path` is too long. */
bool journal_address(const char *path, struct sockaddr_un *out);
/* Never waits; false: it was not taken. */
bool journal_send(int fd, const struct sockaddr_un *to, const char *bytes, size_t len);

#endif
