/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of images, and the platforms they are for.
 *
 *     given                        full form                              familiar form
 *     hello                        docker.io/library/hello:latest         hello:latest
 *     user/app:1                   docker.io/user/app:1                   user/app:1
 *     index.docker.io/hello        docker.io/library/hello:latest         hello:latest
 *     localhost/app                localhost/app:latest                   localhost/app:latest
 *     reg.example:5000/a/b@sha256:...                                     (the same)
 *     hello:1@sha256:...           docker.io/library/hello:1@sha256:...   hello:1@sha256:...
 *
 * The first part of a name is a registry when it has a dot, a colon or an upper-case letter, or is
 * "localhost"; otherwise the name is one of docker.io. A name with neither tag nor digest gets the
 * tag latest. What these functions let through has no byte that could break out of a URL, an HTTP
 * header or a log line.
 *
 * No I/O: who asks for this machine's platform brings uname's word for it.
 *
 * threads:  any.
 * spec:     distribution reference/{regexp,normalize}.go; containerd platforms/{platforms,database,
 *           compare}.go, where Only() is cob_platform_rank().
 */
#pragma once

#include <stdbool.h>

#include "util/error.h"

#define COB_REF_DEFAULT_DOMAIN "docker.io"
#define COB_REF_DEFAULT_TAG "latest"

/* Which image is meant. Immutable once parsed. */
struct cob_ref {
    char *domain; /* "docker.io", "localhost:5000", "[::1]:5000" */
    char *path;   /* "library/hello" */
    char *tag;    /* NULL only beside a digest */
    char *digest; /* "sha256:<hex>", or NULL; when there, it decides and the tag is a remark */
};

/*
 * Read what a user wrote.
 *
 * ret_ref:  normalised; the caller's.
 * errors:   COB_INVALID, the text "invalid reference format" and why, naming the reference.
 */
COB_RESULT struct cob_error *cob_ref_parse(const char *text, struct cob_ref **ret_ref);

/* A ref like `ref`, with this tag and digest. The caller frees it.
 * tag, digest: NULL for none; at least one must be there, and both well-formed. */
struct cob_ref *cob_ref_with(const struct cob_ref *ref, const char *tag, const char *digest);

/* With everything: "docker.io/library/hello:latest". The caller frees it. */
char *cob_ref_text(const struct cob_ref *ref);

/* Without tag and digest: "docker.io/library/hello". The caller frees it. */
char *cob_ref_name(const struct cob_ref *ref);

/* As a user of docker writes it: "hello:latest". The caller frees it. */
char *cob_ref_familiar(const struct cob_ref *ref);

/* Is it a tag by the grammar? */
bool cob_ref_tag_is_valid(const char *tag);

/* NULL is passed over. */
void cob_ref_free(struct cob_ref *ref);
COB_AUTOPTR(cob_ref, cob_ref_free)

/* What an image runs on, in the words of Go: linux, amd64. Immutable, always normalised:
 * x86_64 is amd64, aarch64 and arm64/v8 are arm64, armhf and arm are arm/v7, amd64/v1 is amd64. */
struct cob_platform {
    char *os;         /* "linux" */
    char *arch;       /* "amd64", "arm64", "arm", "386", ... */
    char *variant;    /* "v7", or "" */
    char *os_version; /* "10.0.17763.1", or "" */
};

/* From its parts, normalised. The caller frees it.
 * variant, os_version: NULL is "". */
struct cob_platform *cob_platform_new(
    const char *os, const char *arch, const char *variant, const char *os_version);

/* The platform of a machine that runs Linux, from uname's word: "x86_64", "armv7l". A word that is
 * not known is taken as the architecture. The caller frees it. */
struct cob_platform *cob_platform_of_machine(const char *machine);

/*
 * Read os[(version)]/arch[/variant], or one word that is an OS or an architecture.
 *
 * host:    gives what a single word leaves out, and is what "local" means.
 * errors:  COB_INVALID, naming the text.
 */
COB_RESULT struct cob_error *cob_platform_parse(
    const char *text, const struct cob_platform *host, struct cob_platform **ret_platform);

/* "linux/arm/v7", "windows(10.0.17763)/amd64". The caller frees it. */
char *cob_platform_text(const struct cob_platform *platform);

/* How well an image for `have` runs where `want` is asked for: 0 is exactly that, higher is worse,
 * -1 is not at all. The best entry of an index is the first one of the lowest rank.
 *
 *     want arm64      0 arm64       then arm/v8, arm/v7, arm/v6, arm/v5
 *     want arm/v7     0 arm/v7      then arm/v6, arm/v5
 *     want amd64/v3   0 amd64/v3    then amd64/v2, amd64, 386
 */
int cob_platform_rank(const struct cob_platform *want, const struct cob_platform *have);

/* Does an image for `have` run at all where `want` is asked for? */
bool cob_platform_matches(const struct cob_platform *want, const struct cob_platform *have);

/* Are they the same in os, arch and variant? */
bool cob_platform_equal(const struct cob_platform *a, const struct cob_platform *b);

/* NULL is passed over. */
void cob_platform_free(struct cob_platform *platform);
COB_AUTOPTR(cob_platform, cob_platform_free)
