/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/dockerfile/dockerfile_contexts.h"

#include <string.h>

#include "lang/dockerfile/dockerfile_remote.h"

#define LOCAL "local:"
#define IMAGE "docker-image:"
#define LAYOUT "oci-layout:"

void dockerfile_context_free(struct dockerfile_context *context)
{
    if (!context)
        return;
    g_free(context->key);
    g_free(context->input);
    g_free(context);
}

/* --- which one is meant --- */

/* The key of a name: as a user of docker writes it, less ":latest". NULL: it is no name for one. */
static char *key_of(const char *name)
{
    g_autoptr(cob_ref) ref = NULL;

    if (g_ascii_strcasecmp(name, "scratch") == 0 || g_ascii_strcasecmp(name, "context") == 0)
        return NULL;
    struct cob_error *err = cob_ref_parse(name, &ref);
    cob_error_free(err);
    if (err)
        return NULL;
    char *key = cob_ref_familiar(ref);
    if (g_str_has_suffix(key, ":latest"))
        key[strlen(key) - strlen(":latest")] = '\0';
    return key;
}

/* What the request has for a name, on its platform or on all.
 * ret_key: the caller's.  Returns what stands for it, borrowed; NULL: nothing does. */
static const char *find(const struct dockerfile_plan *plan, const char *name,
    const struct cob_platform *platform, char **ret_key)
{
    GHashTable *contexts = plan->request->contexts;
    g_autofree char *key = key_of(name);
    const char *input;

    if (!key)
        return NULL;
    g_autofree char *text = cob_platform_text(platform ? platform : plan->target_platform);
    g_autofree char *exact = g_strconcat(key, "::", text, NULL);
    input = g_hash_table_lookup(contexts, exact);
    if (input) {
        *ret_key = g_steal_pointer(&exact);
        return input;
    }
    input = g_hash_table_lookup(contexts, key);
    *ret_key = input ? g_steal_pointer(&key) : NULL;
    return input;
}

/* --- what it is --- */

static const char *without_slashes(const char *text)
{
    return g_str_has_prefix(text, "//") ? text + 2 : text;
}

static struct cob_error *read_remote(struct dockerfile_context *context, const char *input)
{
    struct dockerfile_remote remote;

    COB_TRY(dockerfile_remote_parse(input, &remote));
    bool is_remote = remote.git || remote.is_http;
    dockerfile_remote_done(&remote);
    if (!is_remote)
        return cob_fail(COB_INVALID, "unsupported context source %.*s for %s",
            (int)strcspn(input, ":"), input, context->key);
    context->kind = DOCKERFILE_CONTEXT_REMOTE;
    context->input = g_strdup(input);
    return NULL;
}

static struct cob_error *read_input(struct dockerfile_context *context, const char *input)
{
    if (!strchr(input, ':'))
        return cob_fail(COB_INVALID, "invalid context specifier %s for %s", input, context->key);
    if (g_str_has_prefix(input, LOCAL)) {
        context->kind = DOCKERFILE_CONTEXT_LOCAL;
        context->input = g_strdup(input + strlen(LOCAL));
    } else if (g_str_has_prefix(input, IMAGE)) {
        context->kind = DOCKERFILE_CONTEXT_IMAGE;
        context->input = g_strdup(without_slashes(input + strlen(IMAGE)));
    } else if (g_str_has_prefix(input, LAYOUT)) {
        context->kind = DOCKERFILE_CONTEXT_LAYOUT;
        context->input = g_strdup(without_slashes(input + strlen(LAYOUT)));
    } else {
        return read_remote(context, input);
    }
    return NULL;
}

static struct cob_error *place(struct dockerfile_node *node, char *key, const char *input)
{
    struct dockerfile_context *context = g_new0(struct dockerfile_context, 1);

    context->key = key;
    struct cob_error *err = read_input(context, input);
    if (err) {
        dockerfile_context_free(context);
        return err;
    }
    node->is_scratch =
        context->kind == DOCKERFILE_CONTEXT_IMAGE && strcmp(context->input, "scratch") == 0;
    if (node->is_scratch)
        dockerfile_context_free(context);
    else
        node->context = context;
    return NULL;
}

struct cob_error *dockerfile_context_place(
    const struct dockerfile_plan *plan, struct dockerfile_node *node)
{
    const char *stage_name = node->stage ? node->stage->from->from.stage_name : NULL;
    const char *input = NULL;
    char *key = NULL;

    if (!plan->request->contexts)
        return NULL;
    if (stage_name)
        input = find(plan, stage_name, node->platform, &key);
    if (input) { /* nothing that the stage says counts */
        node->is_replaced = true;
        node->base = NULL;
        return place(node, key, input);
    }
    if (node->base || node->is_scratch)
        return NULL;
    input = find(plan, node->base_name, node->platform, &key);
    return input ? place(node, key, input) : NULL;
}

struct cob_error *dockerfile_context_ref(const struct dockerfile_context *context, char **ret_ref)
{
    g_autoptr(cob_ref) ref = NULL;

    COB_TRY(cob_wrap(cob_ref_parse(context->input, &ref), "context %s", context->key));
    if (context->kind == DOCKERFILE_CONTEXT_IMAGE)
        *ret_ref = cob_ref_text(ref);
    else if (ref->digest)
        *ret_ref = g_strconcat("oci-layout://", context->input, NULL);
    else
        return cob_fail(COB_INVALID, "oci-layout reference \"%s\" has no digest", context->input);
    return NULL;
}

/* --- its files --- */

/* The set of paths that are taken from a local one. */
static GHashTable *paths_of(struct dockerfile_convert *convert, const char *name)
{
    GHashTable *paths = g_hash_table_lookup(convert->local_used, name);

    if (!paths) {
        paths = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_hash_table_insert(convert->local_used, g_strdup(name), paths);
    }
    return paths;
}

void dockerfile_context_use(
    struct dockerfile_convert *convert, const struct dockerfile_node *node, const char *path)
{
    if (node->context && node->context->kind == DOCKERFILE_CONTEXT_LOCAL)
        g_hash_table_add(paths_of(convert, node->context->input), dockerfile_clean_path(path));
}

static struct cob_llb_ref add_local(
    struct dockerfile_convert *convert, const struct dockerfile_context *context)
{
    g_autofree char *name = g_strdup_printf("[context %s] load from client", context->key);
    g_autofree char *hint = g_strdup_printf("context:%s", context->key);
    g_autofree char *identifier = g_strconcat("local://", context->input, NULL);
    g_autofree char *follow = dockerfile_follow_paths(paths_of(convert, context->input));
    const struct cob_llb_about about = {.name = name};
    struct cob_llb_attr attrs[4] = {{"local.sharedkeyhint", hint}};
    size_t n = 1;

    if (convert->plan->request->context_session)
        attrs[n++] =
            (struct cob_llb_attr){"local.session", convert->plan->request->context_session};
    if (follow)
        attrs[n++] = (struct cob_llb_attr){"local.followpaths", follow};
    return cob_llb_add_source(convert->builder, identifier, attrs, NULL, &about);
}

static struct cob_error *add_remote(struct dockerfile_convert *convert,
    const struct dockerfile_context *context, struct cob_llb_ref *ret_root)
{
    const struct dockerfile_remote_wish wish = {.source = context->input, .filename = "context"};
    struct dockerfile_remote remote;
    g_autofree char *path = NULL;

    COB_TRY(dockerfile_remote_parse(context->input, &remote));
    g_autofree char *name = remote.is_http
                                ? g_strdup_printf("[context %s] %s", context->key, context->input)
                                : g_strdup_printf("[internal] load git source %s", context->input);
    const struct cob_llb_about about = {.name = name};
    struct cob_error *err =
        dockerfile_remote_add(convert->builder, &remote, &wish, &about, ret_root, &path);
    dockerfile_remote_done(&remote);
    return err;
}

struct cob_llb_ref dockerfile_context_base(
    struct dockerfile_convert *convert, const struct dockerfile_build *build)
{
    const struct dockerfile_context *context = build->node->context;
    const struct cob_llb_action action = {.kind = COB_LLB_COPY,
        .flags = COB_LLB_CONTENTS_ONLY | COB_LLB_MAKE_PARENTS,
        .source = "/",
        .path = "/",
        .from = build->root,
        .mode = COB_LLB_MODE_KEEP,
        .time_ns = COB_LLB_TIME_KEEP};

    if (!build->is_tree)
        return build->root;
    g_autofree char *name = g_strdup_printf("[context %s] copy /", context->key);
    const struct cob_llb_about about = {.name = name};
    dockerfile_context_use(convert, build->node, "/");
    return cob_llb_add_file(convert->builder, COB_LLB_SCRATCH, &action, 1, &about);
}

struct cob_error *dockerfile_context_start(
    struct dockerfile_convert *convert, struct dockerfile_build *build)
{
    const struct dockerfile_node *node = build->node;

    if (node->context->kind == DOCKERFILE_CONTEXT_REMOTE)
        return add_remote(convert, node->context, &build->root);
    build->root = add_local(convert, node->context);
    build->is_tree = true;
    if (!node->stage || node->is_replaced)
        return NULL;
    build->root = dockerfile_context_base(convert, build);
    build->is_tree = false;
    return NULL;
}

struct cob_llb_ref dockerfile_context_add_image(
    struct dockerfile_convert *convert, const struct dockerfile_build *build, const char *full)
{
    const struct dockerfile_context *context = build->node->context;
    struct cob_llb_platform platform = dockerfile_llb_platform(build->platform);
    bool is_image = context->kind == DOCKERFILE_CONTEXT_IMAGE;
    const char *at = strchr(context->input, '@');
    g_autofree char *store = g_strndup(context->input, at ? (gsize)(at - context->input) : 0);
    g_autofree char *name = g_strdup_printf(
        "[context %s] %s", context->key, is_image ? context->input : "OCI load from client");
    g_autofree char *identifier =
        is_image ? g_strconcat("docker-image://", full, NULL) : g_strdup(full);
    const struct cob_llb_attr attrs[] = {{is_image ? NULL : "oci.store", store}, {0}};
    const struct cob_llb_about about = {.name = name};

    return cob_llb_add_source(convert->builder, identifier, attrs, &platform, &about);
}
