/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "app/cli/cli_engine.h"
#include "app/cli/columns.h"
#include "util/text.h"

#define SHORT_ID 12

static const struct cli_option options[] = {
    {"no-trunc", 0, CLI_FLAG, NULL, "Don't truncate output", false},
    {"quiet", 'q', CLI_FLAG, NULL, "Only show image IDs", false},
    {0},
};

/* The id as a person types it. The caller frees it. */
static char *shown_id(const char *digest, bool is_whole)
{
    const char *colon = strchr(digest, ':');

    return is_whole || !colon ? g_strdup(digest) : g_strndup(colon + 1, SHORT_ID);
}

/* Split "docker.io/library/hello:1" into "hello" and "1", as docker shows it.  name: NULL: lost. */
static void split_name(const char *name, char **ret_repository, char **ret_tag)
{
    const char *slash, *colon;

    if (!name) {
        *ret_repository = g_strdup("<none>");
        *ret_tag = g_strdup("<none>");
        return;
    }
    if (g_str_has_prefix(name, "docker.io/library/"))
        name += strlen("docker.io/library/");
    else if (g_str_has_prefix(name, "docker.io/"))
        name += strlen("docker.io/");
    slash = strrchr(name, '/');
    colon = strchr(slash ? slash : name, strchr(name, '@') ? '@' : ':');
    *ret_repository = colon ? g_strndup(name, colon - name) : g_strdup(name);
    *ret_tag = g_strdup(colon && *colon == ':' ? colon + 1 : "<none>");
}

static bool is_wanted(const char *wanted, const char *repository, const char *tag)
{
    g_autofree char *both = g_strdup_printf("%s:%s", repository, tag);

    return !wanted || !strcmp(wanted, repository) || !strcmp(wanted, both);
}

static void add_cells(
    GPtrArray *cells, const struct cob_store_image *image, const struct cli_call *call)
{
    g_autofree char *repository = NULL;
    g_autofree char *tag = NULL;

    split_name(image->name, &repository, &tag);
    if (!is_wanted(cli_call_arg(call, 0), repository, tag))
        return;
    if (!cli_call_flag(call, "quiet")) {
        g_ptr_array_add(cells, g_steal_pointer(&repository));
        g_ptr_array_add(cells, g_steal_pointer(&tag));
    }
    g_ptr_array_add(cells, shown_id(image->config_digest, cli_call_flag(call, "no-trunc")));
    if (!cli_call_flag(call, "quiet")) {
        g_ptr_array_add(cells, columns_ago(image->created_us));
        g_ptr_array_add(cells, cob_text_size(image->size_bytes));
    }
}

static struct cob_error *run(struct cli_call *call)
{
    static const char *const titles[] = {"REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"};
    const bool is_quiet = cli_call_flag(call, "quiet");
    g_autoptr(cob_engine) engine = NULL;
    g_autoptr(GPtrArray) images = NULL;
    g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GString) out = g_string_new(NULL);

    COB_TRY(cli_engine_open(&engine));
    COB_TRY(cob_store_image_list(cob_engine_store(engine), &images));
    for (size_t i = 0; i < G_N_ELEMENTS(titles) && !is_quiet; i++)
        g_ptr_array_add(cells, g_strdup(titles[i]));
    for (guint i = 0; i < images->len; i++)
        add_cells(cells, images->pdata[i], call);
    columns_append(out, cells, is_quiet ? 1 : G_N_ELEMENTS(titles));
    return cli_print(out);
}

const struct cli_command cli_images = {
    .name = "images",
    .usage = "[OPTIONS] [REPOSITORY[:TAG]]",
    .summary = "List images",
    .options = options,
    .max_args = 1,
    .run = run,
};
