/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a Dockerfile: parsed, then converted with images that are not there. */
#include <stdint.h>

#include "lang/dockerfile/dockerfile.h"
#include "lang/llb/llb.h"

static const char config[] = "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"Env\":["
                             "\"PATH=/bin\",\"A=1\"],\"WorkingDir\":\"w\"},\"rootfs\":{\"type\":"
                             "\"layers\",\"diff_ids\":[]},\"history\":[{\"created_by\":\"x\"}]}";

static struct cob_error *resolve(
    void *arg, const struct cob_dockerfile_image *image, char **ret_digest, GBytes **ret_config)
{
    (void)arg, (void)image;
    *ret_digest =
        g_strdup("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    *ret_config = g_bytes_new_static(config, sizeof(config) - 1);
    return NULL;
}

/* What was made must also stand the checks of its reader. */
static void check_graph(const struct cob_dockerfile_result *result)
{
    struct cob_llb_graph *graph = NULL;
    struct cob_error *err = cob_llb_graph_new(result->definition, &graph);

    g_assert(!err || cob_error_code(err) == COB_EXHAUSTED);
    cob_error_free(err);
    cob_llb_graph_free(graph);
}

/* What is asked of a Dockerfile without building it. */
static void look_only(struct cob_srcfile *file, const struct cob_dockerfile *dockerfile,
    struct cob_dockerfile_request *request, const struct cob_image_resolver *resolver)
{
    struct cob_dockerfile_outline outline = {0};
    g_autoptr(GArray) targets = NULL;

    if (!dockerfile) {
        cob_dockerfile_warn_unparsed(file, request);
        return;
    }
    cob_error_free(cob_dockerfile_outline(dockerfile, request, resolver, &outline));
    cob_dockerfile_outline_done(&outline);
    request->is_check = true;
    cob_error_free(cob_dockerfile_check(dockerfile, request, resolver));
    cob_dockerfile_targets(dockerfile, &targets);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct cob_image_resolver resolver = {.resolve = resolve};
    g_autoptr(GBytes) bytes = g_bytes_new(data, size);
    g_autoptr(cob_srcfile) file = cob_srcfile_new("Dockerfile", bytes);
    g_autoptr(cob_dockerfile) dockerfile = NULL;
    g_autoptr(GPtrArray) warnings = cob_dockerfile_warnings_new();
    struct cob_dockerfile_request request = {.warnings = warnings, .has_auto_mounts = true};
    struct cob_dockerfile_result result = {0};
    struct cob_error *err = cob_dockerfile_parse(file, &dockerfile);

    if (!err)
        err = cob_dockerfile_to_llb(dockerfile, &request, &resolver, &result);
    if (!err)
        check_graph(&result);
    if (err)
        g_free(cob_error_text(err));
    cob_error_free(err);
    request.has_auto_mounts = false; /* they are suggested then */
    look_only(file, dockerfile, &request, &resolver);
    cob_dockerfile_result_done(&result);
    return 0;
}
