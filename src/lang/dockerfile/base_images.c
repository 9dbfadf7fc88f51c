/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/dockerfile/dockerfile_contexts.h"
#include "lang/dockerfile/dockerfile_plan.h"

struct cob_error *dockerfile_node_image(const struct dockerfile_plan *plan,
    const struct dockerfile_node *node, char **ret_ref, const struct cob_platform **ret_platform)
{
    g_autoptr(cob_ref) ref = NULL;

    *ret_platform = node->platform ? node->platform : plan->target_platform;
    if (node->context)
        return cob_error_at(
            dockerfile_context_ref(node->context, ret_ref), plan->dockerfile->file, node->range);
    COB_TRY(cob_error_at(cob_wrap(cob_ref_parse(node->base_name, &ref),
                             "failed to parse stage name \"%s\"", node->base_name),
        plan->dockerfile->file, node->range));
    *ret_ref = cob_ref_text(ref);
    return NULL;
}

bool dockerfile_node_is_image(const struct dockerfile_node *node)
{
    if (node->context)
        return node->context->kind == DOCKERFILE_CONTEXT_IMAGE ||
               node->context->kind == DOCKERFILE_CONTEXT_LAYOUT;
    return !node->base && !node->is_scratch;
}

static void image_free(void *data)
{
    struct cob_dockerfile_image *image = data;

    g_free(image->ref);
    g_free(image->platform);
    g_free(image->context);
    g_free(image);
}

/* Add an image, unless it is there. ref: taken. */
static void add_image(GPtrArray *images, GHashTable *seen, char *ref,
    const struct cob_platform *platform, const struct dockerfile_node *node)
{
    struct cob_dockerfile_image *image = g_new(struct cob_dockerfile_image, 1);

    *image = (struct cob_dockerfile_image){.ref = ref,
        .platform = cob_platform_text(platform),
        .range = node->range,
        .context = node->context ? g_strdup(node->context->key) : NULL};
    if (g_hash_table_add(seen, g_strconcat(image->ref, " ", image->platform, NULL)))
        g_ptr_array_add(images, image);
    else
        image_free(image);
}

struct cob_error *cob_dockerfile_images(const struct cob_dockerfile *dockerfile,
    const struct cob_dockerfile_request *request, GPtrArray **ret_images)
{
    g_autoptr(GPtrArray) images = g_ptr_array_new_with_free_func(image_free);
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(dockerfile_plan) plan = NULL;

    COB_TRY(dockerfile_plan_new(dockerfile, request, /* triggers= */ NULL, &plan));
    for (guint i = 0; i < plan->nodes->len; i++) {
        const struct dockerfile_node *node = g_ptr_array_index(plan->nodes, i);
        const struct cob_platform *platform;
        char *ref = NULL;

        if (!node->is_reachable || !dockerfile_node_is_image(node))
            continue;
        COB_TRY(dockerfile_node_image(plan, node, &ref, &platform));
        add_image(images, seen, ref, platform, node);
    }
    *ret_images = g_steal_pointer(&images);
    return NULL;
}
