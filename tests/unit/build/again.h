/* SPDX-License-Identifier: Apache-2.0 */
/* A test program that runs itself once more, as somebody else or with another setting. */
#pragma once

#include <pwd.h>

/* An ordinary user with subordinate ids, made when there is none. For root. */
const struct passwd *again_user(void);

/* Copy a file of the project, or a program, into a folder that others may read then, too: they may
 * not look into the folder that cob was built in. Returns its path; the caller frees it. */
char *again_copy(const char *dir, const char *path);

/* The same program, in a process that is told so by its environment; it must succeed.
 * variables:  "NAME=value", beside PATH; NULL-terminated, a few.
 * user:       who is to run it; NULL: who runs now. */
void again_run(const char *const *variables, const struct passwd *user);
