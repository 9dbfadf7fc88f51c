/* SPDX-License-Identifier: Apache-2.0 */
/* spec: buildx util/buildflags/export.go; docs, `docker buildx build --output`. */
#include <string.h>

#include "build/exporters/export_parts.h"
#include "util/csv.h"

static struct cob_error *write_image(const struct export_job *job);
static struct cob_error *write_nothing(const struct export_job *job);

static const char *const image_options[] = {"name", "push", NULL};
static const char *const no_options[] = {NULL};

static const struct cob_exporter_impl image_impl = {
    .type = "image", .options = image_options, .write = write_image};
static const struct cob_exporter_impl cacheonly_impl = {
    .type = "cacheonly", .options = no_options, .write = write_nothing};

static const struct cob_exporter_impl *const impls[] = {&cob_exporter_oci, &cob_exporter_docker,
    &cob_exporter_tar, &cob_exporter_local, &image_impl, &cacheonly_impl};

/* The store's own export tells its own vertex. */
static struct cob_error *write_image(const struct export_job *job)
{
    struct cob_exporter_result result = *job->result;
    g_auto(GStrv) image_ids = NULL;

    if (job->output->names)
        result.names = (const char *const *)job->output->names;
    return cob_exporter_store(&result, job->cancel, &image_ids);
}

static struct cob_error *write_nothing(const struct export_job *job)
{
    (void)job;
    return NULL;
}

static struct cob_error *find_impl(const char *type, const struct cob_exporter_impl **ret_impl)
{
    const char *known[G_N_ELEMENTS(impls) + 1] = {NULL};

    for (size_t i = 0; i < G_N_ELEMENTS(impls); i++) {
        known[i] = impls[i]->type;
        if (strcmp(impls[i]->type, type) == 0) {
            *ret_impl = impls[i];
            return NULL;
        }
    }
    if (strcmp(type, "registry") == 0)
        return cob_fail(COB_UNIMPLEMENTED, "type registry is not supported yet");
    return cob_csv_unknown("type", type, known);
}

/* --- options --- */

static struct cob_error *set_compression(struct cob_exporter_output *output, const char *value)
{
    static const char *const known[] = {"gzip", "zstd", "uncompressed", NULL};
    static const enum cob_layer_compression which[] = {
        COB_LAYER_GZIP, COB_LAYER_ZSTD, COB_LAYER_PLAIN};

    for (size_t i = 0; known[i]; i++) {
        if (strcmp(known[i], value) == 0) {
            output->compression = which[i];
            return NULL;
        }
    }
    return cob_csv_unknown("compression", value, known);
}

static struct cob_error *set_option(
    struct cob_exporter_output *output, const char *key, const char *value)
{
    bool is_tar = true;

    if (strcmp(key, "dest") == 0) {
        g_free(output->dest);
        output->dest = g_strdup(value);
        return NULL;
    }
    if (!g_strv_contains(output->impl->options, key)) {
        g_autoptr(GPtrArray) known = g_ptr_array_new();

        g_ptr_array_add(known, (gpointer)(uintptr_t) "type");
        g_ptr_array_add(known, (gpointer)(uintptr_t) "dest");
        for (const char *const *option = output->impl->options; *option; option++)
            g_ptr_array_add(known, (gpointer)(uintptr_t)*option);
        g_ptr_array_add(known, NULL);
        return cob_csv_unknown("option", key, (const char *const *)known->pdata);
    }
    if (strcmp(key, "compression") == 0)
        return set_compression(output, value);
    if (strcmp(key, "push") == 0)
        return cob_csv_read_flag(key, value, &output->is_pushed);
    if (strcmp(key, "name") == 0) {
        g_strfreev(output->names);
        output->names = g_strsplit(value, ",", -1);
        return NULL;
    }
    if (strcmp(key, "platform-split") == 0) {
        output->is_split_known = true;
        return cob_csv_read_flag(key, value, &output->is_split);
    }
    COB_TRY(cob_csv_read_flag(key, value, &is_tar)); /* "tar" */
    output->is_folder = !is_tar;
    return NULL;
}

/* The options of all fields but type. */
static struct cob_error *set_options(struct cob_exporter_output *output, const GPtrArray *fields)
{
    for (guint i = 0; i < fields->len; i++) {
        const char *field = g_ptr_array_index(fields, i), *equals = strchr(field, '=');

        if (!equals)
            return cob_fail(COB_INVALID, "%s: an option without a value", field);
        g_autofree char *raw = g_strndup(field, (gsize)(equals - field));
        g_autofree char *key = g_ascii_strdown(g_strstrip(raw), -1);
        if (strcmp(key, "type") != 0)
            COB_TRY(set_option(output, key, equals + 1));
    }
    return NULL;
}

static const char *type_of(const GPtrArray *fields)
{
    const char *type = NULL;

    for (guint i = 0; i < fields->len; i++) {
        const char *field = g_ptr_array_index(fields, i);

        if (g_ascii_strncasecmp(field, "type=", 5) == 0)
            type = field + 5;
    }
    return type;
}

static struct cob_error *check_output(const struct cob_exporter_output *output)
{
    const char *type = output->impl->type;

    if (output->impl->needs_dest && (!output->dest || output->dest[0] == '\0'))
        return cob_fail(
            COB_INVALID, "dest is required for %s output: type=%s,dest=PATH", type, type);
    if (output->is_folder && g_strcmp0(output->dest, "-") == 0)
        return cob_fail(COB_INVALID, "tar=false needs a folder as dest, not standard output");
    if (output->impl == &cob_exporter_local && strcmp(output->dest, "-") == 0)
        return cob_fail(
            COB_INVALID, "local output needs a folder as dest; type=tar can write to -");
    if (output->is_pushed)
        return cob_fail(COB_UNIMPLEMENTED, "push=true is not supported yet");
    return NULL;
}

static struct cob_error *parse(const char *text, struct cob_exporter_output *output)
{
    g_autoptr(GPtrArray) fields = g_ptr_array_new_with_free_func(g_free);

    COB_TRY(cob_csv_split(text, fields));
    if (fields->len == 0)
        return cob_fail(COB_INVALID, "it is empty");
    const char *type = type_of(fields);
    if (!type && fields->len == 1) { /* the short forms; also a folder whose name has a '=' */
        const char *word = g_ptr_array_index(fields, 0);

        output->impl = strcmp(word, "-") == 0 ? &cob_exporter_tar : &cob_exporter_local;
        output->dest = g_strdup(word);
        return check_output(output);
    }
    if (!type)
        return cob_fail(COB_INVALID, "type is required: type=local,dest=PATH");
    COB_TRY(find_impl(type, &output->impl));
    COB_TRY(set_options(output, fields));
    return check_output(output);
}

struct cob_error *cob_exporter_output_parse(
    const char *text, struct cob_exporter_output **ret_output)
{
    g_autoptr(cob_exporter_output) output = g_new(struct cob_exporter_output, 1);

    *output = (struct cob_exporter_output){.compression = COB_LAYER_GZIP};
    COB_TRY(parse(text, output));
    *ret_output = g_steal_pointer(&output);
    return NULL;
}

struct cob_error *cob_exporter_output_check_platforms(
    const struct cob_exporter_output *output, bool is_multi_platform)
{
    if (is_multi_platform && output->impl == &cob_exporter_docker)
        return cob_fail(COB_INVALID,
            "docker exporter does not currently support exporting manifest lists: use type=oci, or "
            "one platform");
    return NULL;
}

void cob_exporter_output_free(struct cob_exporter_output *output)
{
    if (!output)
        return;
    g_free(output->dest);
    g_strfreev(output->names);
    g_free(output);
}
