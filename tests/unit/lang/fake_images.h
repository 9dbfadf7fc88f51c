/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images that are not there, for tests of the Dockerfile frontend: every name is known, but those
 * that begin with docker.io/library/missing, and a mistyped debian. The digest is the hash of name
 * and platform.
 */
#pragma once

#include <string.h>

#include "lang/dockerfile/dockerfile.h"

/* The config of an image: golang has variables, empty no layers, trigger some ONBUILDs, of which
 * one needs a stage "tools", and bad-trigger one that nobody can read. */
static inline const char *fake_config(const char *ref)
{
    if (strstr(ref, "/golang:"))
        return "{\"architecture\":\"amd64\",\"os\":\"linux\",\"created\":\"2024-01-01T00:00:00Z\","
               "\"config\":{\"Env\":[\"PATH=/go/bin:/usr/local/go/bin:/bin\",\"GOPATH=/go\"],"
               "\"Cmd\":[\"bash\"],\"WorkingDir\":\"/go\"},\"history\":[{\"created_by\":\"ADD\"}],"
               "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:"
               "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"]}}";
    if (strstr(ref, "/empty:"))
        return "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{},"
               "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}";
    if (strstr(ref, "/bad-trigger:"))
        return "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"OnBuild\":[\"RUNN x\"]},"
               "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}";
    if (strstr(ref, "/trigger:"))
        return "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"OnBuild\":[\"ARG V=1\","
               "\"COPY --from=tools /t /t\",\"RUN <<E\\nx $V\\nE\",\"ENTRYPOINT [\\\"/t\\\"]\"]},"
               "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}";
    return "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"Cmd\":[\"/bin/sh\"],"
           "\"Labels\":{\"base\":\"yes\"}},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:"
           "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"]}}";
}

/* What a cob_image_resolver calls. */
static inline struct cob_error *fake_resolve(
    void *arg, const struct cob_dockerfile_image *image, char **ret_digest, GBytes **ret_config)
{
    const char *ref = image->ref;
    g_autofree char *key = g_strconcat(ref, " ", image->platform, NULL);
    g_autofree char *hex = g_compute_checksum_for_string(G_CHECKSUM_SHA256, key, -1);
    const char *config = fake_config(ref);

    (void)arg;
    if (g_str_has_prefix(ref, "docker.io/library/missing") || strstr(ref, "/debain:"))
        return cob_fail(COB_NOT_FOUND, "%s: not found", ref);
    *ret_digest = g_strconcat("sha256:", hex, NULL);
    *ret_config = g_bytes_new_static(config, strlen(config));
    return NULL;
}

static const struct cob_image_resolver fake_images = {.resolve = fake_resolve};
