/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The documents of an image: index, manifest, config, and the descriptors that tie them together.
 *
 *     index -> manifest -> config (JSON)
 *        \-> manifest  \-> layers (tar)
 *
 * Both families of media types are read, OCI's and Docker's schema 2; what is made follows the
 * type that the struct says. All bytes are taken to be hostile: digests are checked by the grammar
 * before anybody uses them, sizes and counts are held against util/limits.h, and one document is
 * never two things at once:
 *
 *     it has                            as a manifest    as an index
 *     config and layers                 yes              no
 *     manifests                         no               yes
 *     both                              no               no
 *     neither                           no               no
 *     a mediaType of the other kind     no               no
 *     a mediaType unlike Content-Type   no               no
 *     neither of these two              no               no
 *
 * That the bytes have the digest that was asked for is the caller's to check, before parsing.
 *
 * Members that cob does not know are dropped. What is written has sorted keys and no white space,
 * so that equal documents have equal digests. Text is NULL, and a list NULL, where it is not set.
 *
 * threads:  any, each document one at a time.
 * spec:     OCI image-spec 1.1 descriptor.md, manifest.md, image-index.md, config.md; Docker
 *           image-manifest v2 schema 2; moby's image config for Healthcheck, OnBuild, Shell.
 */
#pragma once

#include <stdbool.h>

#include "spec/ref/ref.h"

#define COB_OCI_TYPE_INDEX "application/vnd.oci.image.index.v1+json"
#define COB_OCI_TYPE_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define COB_OCI_TYPE_CONFIG "application/vnd.oci.image.config.v1+json"
#define COB_OCI_TYPE_LAYER "application/vnd.oci.image.layer.v1.tar"
#define COB_OCI_TYPE_LAYER_GZIP "application/vnd.oci.image.layer.v1.tar+gzip"
#define COB_OCI_TYPE_LAYER_ZSTD "application/vnd.oci.image.layer.v1.tar+zstd"
#define COB_DOCKER_TYPE_INDEX "application/vnd.docker.distribution.manifest.list.v2+json"
#define COB_DOCKER_TYPE_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define COB_DOCKER_TYPE_CONFIG "application/vnd.docker.container.image.v1+json"
#define COB_DOCKER_TYPE_LAYER "application/vnd.docker.image.rootfs.diff.tar"
#define COB_DOCKER_TYPE_LAYER_GZIP "application/vnd.docker.image.rootfs.diff.tar.gzip"
#define COB_DOCKER_TYPE_LAYER_FOREIGN "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"

enum cob_oci_kind {
    COB_OCI_OTHER, /* none of those below */
    COB_OCI_INDEX,
    COB_OCI_MANIFEST,
    COB_OCI_CONFIG,
    COB_OCI_LAYER,
};

/* How a layer's bytes are packed. */
enum cob_oci_packing {
    COB_OCI_PLAIN,
    COB_OCI_GZIP,
    COB_OCI_ZSTD,
};

/* What a media type names. NULL is OTHER. */
enum cob_oci_kind cob_oci_kind_of(const char *media_type);

/* How layers of a media type are packed. False: no layer that cob can read; a foreign one, an
 * encrypted one. */
bool cob_oci_layer_packing(const char *media_type, enum cob_oci_packing *ret_packing);

/* A reference to bytes. */
struct cob_oci_descriptor {
    char *media_type;
    char *digest; /* valid: cob_digest_is_valid() */
    uint64_t size;
    struct cob_platform *platform; /* NULL: none said */
    char *artifact_type;           /* NULL: none */
    GHashTable *annotations;       /* text -> text, owned; NULL: none */
};

/* Bare, or as another one, or NULL as NULL. The caller frees it. */
struct cob_oci_descriptor *cob_oci_descriptor_new(
    const char *media_type, const char *digest, uint64_t size);
struct cob_oci_descriptor *cob_oci_descriptor_copy(const struct cob_oci_descriptor *descriptor);
void cob_oci_descriptor_free(struct cob_oci_descriptor *descriptor);
COB_AUTOPTR(cob_oci_descriptor, cob_oci_descriptor_free)

/* A member of an index, a manifest, or an archive's index.json. */
struct cob_oci_index {
    char *media_type;        /* one of the two index types */
    GPtrArray *manifests;    /* struct cob_oci_descriptor, owned */
    GHashTable *annotations; /* text -> text; NULL: none */
};

struct cob_oci_manifest {
    char *media_type; /* one of the two manifest types */
    struct cob_oci_descriptor *config;
    GPtrArray *layers;       /* struct cob_oci_descriptor, owned; the lowest first */
    GHashTable *annotations; /* text -> text; NULL: none */
};

/* Empty documents to fill, of OCI's types. */
struct cob_oci_index *cob_oci_index_new(void);
struct cob_oci_manifest *cob_oci_manifest_new(void);
void cob_oci_index_free(struct cob_oci_index *index);
void cob_oci_manifest_free(struct cob_oci_manifest *manifest);
COB_AUTOPTR(cob_oci_index, cob_oci_index_free)
COB_AUTOPTR(cob_oci_manifest, cob_oci_manifest_free)

/* What a document from a registry or a layout is, an index or a manifest.
 *
 * content_type:  what the server or the descriptor called it, parameters and all; "" when it did
 *                not; NULL: it is not from a server, and may do without.
 * errors:        COB_INVALID for neither, and for both; see the table. COB_UNIMPLEMENTED for
 *                Docker's schema 1. */
COB_RESULT struct cob_error *cob_oci_recognise(
    GBytes *bytes, const char *content_type, enum cob_oci_kind *ret_kind);

/* Read a document, as above.
 * errors: COB_INVALID; COB_EXHAUSTED past a limit. The text says which member is wrong. */
COB_RESULT struct cob_error *cob_oci_index_parse(
    GBytes *bytes, const char *content_type, struct cob_oci_index **ret_index);
COB_RESULT struct cob_error *cob_oci_manifest_parse(
    GBytes *bytes, const char *content_type, struct cob_oci_manifest **ret_manifest);

/* The bytes of a document. The caller unrefs them. */
GBytes *cob_oci_index_bytes(const struct cob_oci_index *index);
GBytes *cob_oci_manifest_bytes(const struct cob_oci_manifest *manifest);

/*
 * The image of an index that runs best on a platform. Attestations, and what is neither manifest
 * nor index, are passed over; an entry that says no platform is taken when nothing else fits and
 * it is the only one.
 *
 * ret_descriptor:  borrowed from the index.
 * errors:          COB_NOT_FOUND: "no image for linux/arm64; there are linux/amd64, linux/arm/v7".
 */
COB_RESULT struct cob_error *cob_oci_index_choose(const struct cob_oci_index *index,
    const struct cob_platform *platform, const struct cob_oci_descriptor **ret_descriptor);

/* ---- image config ---- */

struct cob_oci_healthcheck {
    char **test; /* {"NONE"}, {"CMD", ...}, {"CMD-SHELL", line}; empty or NULL: inherit */
    int64_t interval_ns, timeout_ns, start_period_ns, start_interval_ns;
    int64_t retries; /* 0: inherit, as are the times */
};

struct cob_oci_history {
    char *created; /* RFC 3339 */
    char *created_by;
    char *author;
    char *comment;
    bool is_empty_layer;
};

/* What an image is run with, and what it is made of. Lists of text end with NULL; a NULL list is
 * not there, an empty one is. */
struct cob_oci_config {
    struct cob_platform *platform; /* NULL: none said */
    GPtrArray *os_features;        /* char *, owned; NULL: none */
    char *created;                 /* RFC 3339 */
    char *author;
    char **env; /* "NAME=value" */
    char **entrypoint;
    char **cmd;
    char **shell;
    char **on_build;
    char *working_dir;
    char *user;
    char *stop_signal;
    GPtrArray *ports;   /* char *, "80/tcp", owned, sorted; NULL: none */
    GPtrArray *volumes; /* char *, owned, sorted; NULL: none */
    GHashTable *labels; /* text -> text, owned; NULL: none */
    char *inline_cache; /* base64: records of a build cache whose layers are the image's */
    bool is_args_escaped;
    struct cob_oci_healthcheck *healthcheck; /* NULL: none said */
    GPtrArray *diff_ids;                     /* char *, digests, owned; the lowest first */
    GPtrArray *history;                      /* struct cob_oci_history, owned; the oldest first */
};

/* An empty config: no layers, no history. */
struct cob_oci_config *cob_oci_config_new(void);
struct cob_oci_config *cob_oci_config_copy(const struct cob_oci_config *config);
void cob_oci_config_free(struct cob_oci_config *config);
COB_AUTOPTR(cob_oci_config, cob_oci_config_free)

/* errors: COB_INVALID, COB_EXHAUSTED past a limit. */
COB_RESULT struct cob_error *cob_oci_config_parse(
    GBytes *bytes, struct cob_oci_config **ret_config);
GBytes *cob_oci_config_bytes(const struct cob_oci_config *config);

/* Additions; what was there under the same name is replaced in its place.
 * created, created_by, comment: NULL for none. */
void cob_oci_config_set_env(struct cob_oci_config *config, const char *name, const char *value);
void cob_oci_config_set_label(struct cob_oci_config *config, const char *name, const char *value);
void cob_oci_config_add_port(struct cob_oci_config *config, const char *port);
void cob_oci_config_add_volume(struct cob_oci_config *config, const char *path);
struct cob_oci_history *cob_oci_config_add_history(struct cob_oci_config *config,
    const char *created, const char *created_by, const char *comment);

/* The value of a variable, NULL when it is not set. Borrowed. */
const char *cob_oci_config_env(const struct cob_oci_config *config, const char *name);
