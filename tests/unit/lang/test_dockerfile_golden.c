/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dockerfiles with what becomes of them, side by side in tests/golden:
 *
 *     llb/X.Dockerfile                     llb/X.llb: images, LLB, config, warnings
 *     dockerfile/should-fail-X.Dockerfile  dockerfile/should-fail-X.expected: the error
 *
 * A line "# test: target=x build-arg=A=1 platform=linux/arm64 ..." says what is asked for.
 * `test_dockerfile_golden --update` writes what is there now; read the difference before you commit
 * it.
 */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "fake_images.h"
#include "lang/llb/llb.h"
#include "util/json.h"

static bool is_updating;

static GBytes *read_file(const char *path)
{
    char *data = NULL;
    gsize len = 0;

    if (!g_file_get_contents(path, &data, &len, NULL))
        return NULL;
    return g_bytes_new_take(data, len);
}

/* Hold text against a file, or write it there. */
static void compare(const char *path, const char *got)
{
    g_autofree char *want = NULL;

    if (is_updating) {
        g_assert_true(g_file_set_contents(path, got, -1, NULL));
        return;
    }
    g_file_get_contents(path, &want, NULL, NULL);
    if (g_strcmp0(got, want) == 0)
        return;
    g_test_message("%s differs; got:\n%s", path, got);
    g_test_fail();
}

/* What a file asks for. */
struct asked {
    GHashTable *build_args, *labels, *contexts;
    GPtrArray *texts; /* char *: what the request borrows */
    const char *no_cache[2];
    struct cob_dockerfile_request request;
};

static void read_option(struct asked *asked, const char *option)
{
    static const struct {
        const char *name;
        size_t offset;
    } texts[] = {
        {"target=", G_STRUCT_OFFSET(struct cob_dockerfile_request, target)},
        {"platform=", G_STRUCT_OFFSET(struct cob_dockerfile_request, target_platform)},
        {"network=", G_STRUCT_OFFSET(struct cob_dockerfile_request, network)},
        {"hostname=", G_STRUCT_OFFSET(struct cob_dockerfile_request, hostname)},
        {"cgroup-parent=", G_STRUCT_OFFSET(struct cob_dockerfile_request, cgroup_parent)},
        {"epoch=", G_STRUCT_OFFSET(struct cob_dockerfile_request, epoch)},
        {"cache-ns=", G_STRUCT_OFFSET(struct cob_dockerfile_request, cache_mount_namespace)},
    };
    const char *value = strchr(option, '=') ? strchr(option, '=') + 1 : "";
    bool is_arg = g_str_has_prefix(option, "build-arg="),
         is_label = g_str_has_prefix(option, "label=");
    bool is_context = g_str_has_prefix(option, "context=");

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        if (g_str_has_prefix(option, texts[i].name)) {
            char *text = g_strdup(value);

            g_ptr_array_add(asked->texts, text);
            memcpy((char *)&asked->request + texts[i].offset, &text, sizeof(text));
        }
    }
    if (is_arg || is_label || is_context) {
        const char *equals = strchr(value, '=');
        GHashTable *table = is_arg ? asked->build_args : is_label ? asked->labels : asked->contexts;

        g_hash_table_insert(
            table, g_strndup(value, (size_t)(equals - value)), g_strdup(equals + 1));
    }
    if (g_str_has_prefix(option, "shm-size="))
        asked->request.shm_size_bytes = g_ascii_strtoll(value, NULL, 10);
    if (strcmp(option, "no-cache") == 0)
        asked->request.is_no_cache = true;
    if (strcmp(option, "multi-platform") == 0)
        asked->request.is_multi_platform = true;
}

static void asked_init(struct asked *asked, const char *text)
{
    const char *line = strstr(text, "# test: ");
    size_t len = line ? strcspn(line, "\r\n") : 0;
    g_autofree char *options = g_strndup(line ? line : "", len);
    g_auto(GStrv) words = g_strsplit(options, " ", -1);

    *asked = (struct asked){
        .build_args = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
        .labels = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
        .contexts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
        .texts = g_ptr_array_new_with_free_func(g_free),
    };
    asked->request.build_platform = "linux/amd64";
    for (size_t i = 0; words[i]; i++)
        read_option(asked, words[i]);
    asked->request.build_args = asked->build_args;
    asked->request.labels = asked->labels;
    asked->request.contexts = asked->contexts;
}

static void asked_done(struct asked *asked)
{
    g_hash_table_unref(asked->build_args);
    g_hash_table_unref(asked->labels);
    g_hash_table_unref(asked->contexts);
    g_ptr_array_unref(asked->texts);
}

static void show_images(GString *out, const GPtrArray *images)
{
    for (guint i = 0; i < images->len; i++) {
        const struct cob_dockerfile_image *image = g_ptr_array_index(images, i);

        g_string_append_printf(
            out, "image %s %s, line %d\n", image->ref, image->platform, image->range.first_line);
    }
}

static struct cob_error *show_result(
    GString *out, const struct cob_dockerfile_result *result, const GPtrArray *warnings)
{
    g_autofree char *llb = NULL;
    json_auto_t *json = NULL;
    size_t len;
    const char *data = g_bytes_get_data(result->config, &len);

    COB_TRY(cob_llb_dump(result->definition, &llb));
    COB_TRY(cob_json_parse(data, len, "config", &json));
    char *pretty = json_dumps(json, JSON_INDENT(2) | JSON_SORT_KEYS);
    g_string_append_printf(out, "\n%s\nconfig %s\n", llb, pretty);
    g_free(pretty);
    for (guint i = 0; i < warnings->len; i++) {
        const struct cob_dockerfile_warning *warning = g_ptr_array_index(warnings, i);

        g_string_append_printf(out, "warning %s: %s (line %d)\n", warning->rule, warning->text,
            warning->range.first_line);
    }
    return NULL;
}

static struct cob_error *convert(GBytes *data, GString *out)
{
    g_autofree char *text = g_strndup(g_bytes_get_data(data, NULL), g_bytes_get_size(data));
    g_autoptr(cob_srcfile) file = cob_srcfile_new("Dockerfile", data);
    g_autoptr(cob_dockerfile) dockerfile = NULL;
    g_autoptr(GPtrArray) images = NULL;
    g_autoptr(GPtrArray) warnings = cob_dockerfile_warnings_new();
    struct cob_dockerfile_result result = {0};
    struct asked asked;

    asked_init(&asked, text);
    asked.request.warnings = warnings;
    struct cob_error *wrong = cob_dockerfile_parse_as(
        file, g_hash_table_lookup(asked.build_args, "BUILDKIT_SYNTAX"), &dockerfile);
    if (wrong) {
        asked_done(&asked);
        return wrong;
    }
    struct cob_error *err = cob_dockerfile_images(dockerfile, &asked.request, &images);
    if (!err)
        err = cob_dockerfile_to_llb(dockerfile, &asked.request, &fake_images, &result);
    asked_done(&asked);
    if (err)
        return err;
    show_images(out, images);
    err = show_result(out, &result, warnings);
    cob_dockerfile_result_done(&result);
    return err;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The *.Dockerfile of a folder, sorted, without their suffix. */
static GPtrArray *list_files(const char *folder)
{
    g_autofree char *path = g_build_filename(COB_GOLDEN_DIR, folder, NULL);
    GDir *dir = g_dir_open(path, 0, NULL);
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    const char *name;

    g_assert(dir != NULL);
    while ((name = g_dir_read_name(dir))) {
        if (g_str_has_suffix(name, ".Dockerfile"))
            g_ptr_array_add(names, g_strndup(name, strlen(name) - strlen(".Dockerfile")));
    }
    g_dir_close(dir);
    g_ptr_array_sort(names, compare_names);
    return names;
}

static GBytes *read_golden(
    const char *folder, const char *name, const char *suffix, char **ret_path)
{
    g_autofree char *file = g_strconcat(name, ".Dockerfile", NULL);
    g_autofree char *path = g_build_filename(COB_GOLDEN_DIR, folder, file, NULL);
    g_autofree char *beside = g_strconcat(name, suffix, NULL);

    *ret_path = g_build_filename(COB_GOLDEN_DIR, folder, beside, NULL);
    return read_file(path);
}

static void test_llb(const void *name)
{
    g_autofree char *path = NULL;
    g_autoptr(GBytes) data = read_golden("llb", name, ".llb", &path);
    g_autoptr(GString) got = g_string_new(NULL);

    CHECK_OK(convert(data, got));
    compare(path, got->str);
}

static void test_failure(const void *name)
{
    g_autofree char *path = NULL;
    g_autoptr(GBytes) data = read_golden("dockerfile", name, ".expected", &path);
    g_autoptr(GString) got = g_string_new(NULL);
    g_autoptr(cob_error) err = convert(data, got);

    g_assert_nonnull(err);
    if (!err)
        return;
    g_autofree char *text = cob_error_text(err);
    compare(path, text);
}

int main(int argc, char **argv)
{
    is_updating = argc > 1 && strcmp(argv[1], "--update") == 0;
    if (is_updating)
        argc = 1;
    check_init(&argc, &argv);
    g_autoptr(GPtrArray) llb = list_files("llb");
    g_autoptr(GPtrArray) failures = list_files("dockerfile");
    for (guint i = 0; i < llb->len; i++) {
        g_autofree char *path =
            g_strconcat("/dockerfile/llb/", (const char *)g_ptr_array_index(llb, i), NULL);
        g_test_add_data_func(path, g_ptr_array_index(llb, i), test_llb);
    }
    for (guint i = 0; i < failures->len; i++) {
        g_autofree char *path =
            g_strconcat("/dockerfile/", (const char *)g_ptr_array_index(failures, i), NULL);
        g_test_add_data_func(path, g_ptr_array_index(failures, i), test_failure);
    }
    return g_test_run();
}
