/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and keys as files, for tests of what is said about them.
 *
 * owns: nothing. thread: one. */
#ifndef CONF_PEM_H
#define CONF_PEM_H

/* A fresh key into `key_file`, and a self-signed certificate for it that ends in `days` (may be
 * negative: it has ended) into `certificate_file`. The same file for both is allowed. */
void pem_make(const char *certificate_file, const char *key_file, int days);
/* A file with that text. */
void pem_text(const char *file, const char *text);

#endif
