/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which files a build does not see: .dockerignore, COPY --exclude; and the wildcards of COPY.
 *
 *     pattern       leaves out                          but not
 *     foo           foo, and all below it               a/foo
 *     *.o           x.o                                 a/x.o
 *     ??/foo        foo, a/foo, a/b/foo                 xfoo
 *     a/??/b        a/b, a/x/b, a/x/y/b                 ab
 *     a/??          a/x, a/x/y                          a
 *     !foo          (brings back what a line above left out)
 *
 * (?? stands for two asterisks, which would end this comment.)
 *
 * Of all patterns that match a path, or a directory on its way, the last one decides. A "!" may so
 * bring back a file from within a directory that is left out.
 *
 * However many patterns there are, what a path costs depends on its length and on the wildcards
 * that could match it: literal patterns are looked up. No pattern can make the matcher try again
 * and again.
 *
 * Paths have no slash in front or behind, and no "." or "..".
 *
 * threads:  immutable; any.
 * spec:     moby/patternmatcher; Go filepath.Match. Where moby hands a "*" or "?" between brackets
 *           to a regular expression as it is, here it means itself; and a "!" behind a slash is
 *           a name, where moby loses the slash first and takes it for a sign.
 */
#pragma once

#include <stdbool.h>

#include "util/error.h"

struct cob_ignore; /* a list of patterns */

/*
 * Read a .dockerignore file: a pattern a line, lines that begin with "#" are remarks, white space
 * around and a slash in front do not count.
 *
 * file:    borrowed.
 * errors:  COB_INVALID, at the line; COB_EXHAUSTED past a limit.
 */
COB_RESULT struct cob_error *cob_ignore_parse(
    struct cob_srcfile *file, struct cob_ignore **ret_ignore);

/* The same from a list that ends with NULL; "#" means itself there.
 * errors: COB_INVALID, naming the pattern. */
COB_RESULT struct cob_error *cob_ignore_new(
    const char *const *patterns, struct cob_ignore **ret_ignore);
void cob_ignore_free(struct cob_ignore *ignore);
COB_AUTOPTR(cob_ignore, cob_ignore_free)

/* Is a path left out? */
bool cob_ignore_matches(const struct cob_ignore *ignore, const char *path);

/* For a walk, which knows already what the directories on the way said: the pattern that decides,
 * from 1; 0 is none, and the state of the root. */
typedef unsigned cob_ignore_state;

/* The state of a path.
 * parent: that of the directory it is in. */
cob_ignore_state cob_ignore_enter(
    const struct cob_ignore *ignore, cob_ignore_state parent, const char *path);

/* Is a path in this state left out? */
bool cob_ignore_is_out(const struct cob_ignore *ignore, cob_ignore_state state);

/* Could a "!" bring back something below a directory that is left out? If not, a walk may pass the
 * directory over. */
bool cob_ignore_may_return(const struct cob_ignore *ignore, const char *dir_path);

/* Does any pattern have a "!"? */
bool cob_ignore_has_returns(const struct cob_ignore *ignore);

/* Is everything in the root left out, by one pattern, with no "!" anywhere? */
bool cob_ignore_is_all_out(const struct cob_ignore *ignore);

/* ---- wildcards ---- */

struct
    cob_wildcard; /* one pattern: * ? [a-z] [^a] \x, none of which matches a slash but brackets */

/* errors: COB_INVALID, naming the pattern. */
COB_RESULT struct cob_error *cob_wildcard_new(
    const char *pattern, struct cob_wildcard **ret_wildcard);
void cob_wildcard_free(struct cob_wildcard *wildcard);
COB_AUTOPTR(cob_wildcard, cob_wildcard_free)

/* Does it match all of a text? */
bool cob_wildcard_matches(const struct cob_wildcard *wildcard, const char *text);

/* Does a text hold what would make it a pattern? */
bool cob_wildcard_is_one(const char *text);
