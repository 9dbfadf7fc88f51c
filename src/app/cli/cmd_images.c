/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "app/cli/cli_engine.h"
#include "app/cli/columns.h"
#include "app/cli/rowformat.h"
#include "util/text.h"

#define SHORT_ID 12

static const struct cli_option options[] = {
    {"all", 'a', CLI_FLAG, NULL,
        "Show all images: one that was built without a name also where it has one", false},
    {"format", 0, CLI_TEXT, "string",
        "Format output: \"table\", \"json\", or a template (e.g., \"{{.Repository}}:{{.Tag}}\")",
        false},
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

/* What a row says. All is owned. */
struct row {
    char *repository, *tag, *id, *ago, *at, *size;
};

static void row_done(struct row *row)
{
    g_free(row->repository);
    g_free(row->tag);
    g_free(row->id);
    g_free(row->ago);
    g_free(row->at);
    g_free(row->size);
}

static struct row row_of(const struct cob_store_image *image, bool is_whole)
{
    g_autoptr(GDateTime) at = g_date_time_new_from_unix_local(image->created_us / G_USEC_PER_SEC);
    struct row row = {
        .id = shown_id(image->config_digest, is_whole),
        .ago = columns_ago(image->created_us),
        .at = at ? g_date_time_format(at, "%Y-%m-%d %H:%M:%S %z %Z") : g_strdup(""),
        .size = cob_text_size(image->size_bytes),
    };

    split_name(image->name, &row.repository, &row.tag);
    return row;
}

/* The fields that docker images --format knows, and nerdctl's Platform. */
static struct cob_error *append_formatted(
    GString *out, const char *format, const struct row *row, const struct cob_store_image *image)
{
    const struct rowformat_field fields[] = {
        {"Containers", "N/A"},
        {"CreatedAt", row->at},
        {"CreatedSince", row->ago},
        {"Digest", image->manifest_digest ? image->manifest_digest : "<none>"},
        {"ID", row->id},
        {"Platform", image->platform},
        {"Repository", row->repository},
        {"SharedSize", "N/A"},
        {"Size", row->size},
        {"Tag", row->tag},
        {"UniqueSize", "N/A"},
        {0},
    };

    return rowformat_append(out, format, fields);
}

static void add_cells(GPtrArray *cells, const struct row *row)
{
    const char *const texts[] = {row->repository, row->tag, row->id, row->ago, row->size};

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
        g_ptr_array_add(cells, g_strdup(texts[i]));
}

/* How the list is wanted, and what there is of it. */
struct listing {
    const struct cli_call *call;
    const char *format; /* NULL: a table */
    GPtrArray *cells;   /* char *, owned: the table's */
    GString *out;
};

static struct cob_error *add_row(
    const struct listing *listing, const struct row *row, const struct cob_store_image *image)
{

    if (cli_call_flag(listing->call, "quiet"))
        g_string_append_printf(listing->out, "%s\n", row->id);
    else if (listing->format)
        return append_formatted(listing->out, listing->format, row, image);
    else
        add_cells(listing->cells, row);
    return NULL;
}

static struct cob_error *add_image(
    const struct listing *listing, const struct cob_store_image *image)
{
    struct row row = row_of(image, cli_call_flag(listing->call, "no-trunc"));
    struct cob_error *err = NULL;

    if (is_wanted(cli_call_arg(listing->call, 0), row.repository, row.tag))
        err = add_row(listing, &row, image);
    row_done(&row);
    return err;
}

/* An image that has names is not listed once more without one. */
static bool is_named_elsewhere(const struct cob_store_image *image, const GPtrArray *images)
{
    for (guint i = 0; i < images->len && !image->name; i++) {
        const struct cob_store_image *other = images->pdata[i];

        if (other->name && !strcmp(other->config_digest, image->config_digest))
            return true;
    }
    return false;
}

static struct cob_error *add_images(const struct listing *listing, const GPtrArray *images)
{
    const bool is_all = cli_call_flag(listing->call, "all");

    for (guint i = 0; i < images->len; i++) {
        if (is_all || !is_named_elsewhere(images->pdata[i], images))
            COB_TRY(add_image(listing, images->pdata[i]));
    }
    return NULL;
}

static struct cob_error *run(struct cli_call *call)
{
    static const char *const titles[] = {"REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"};
    const char *format = cli_call_text(call, "format");
    g_autoptr(cob_engine) engine = NULL;
    g_autoptr(GPtrArray) images = NULL;
    g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GString) out = g_string_new(NULL);
    const bool is_table = !format || !*format || !strcmp(format, "table");
    const struct listing listing = {
        .call = call, .format = is_table ? NULL : format, .cells = cells, .out = out};

    COB_TRY(cli_engine_open(&engine));
    COB_TRY(cob_store_image_list(cob_engine_store(engine), &images));
    if (is_table && !cli_call_flag(call, "quiet"))
        for (size_t i = 0; i < G_N_ELEMENTS(titles); i++)
            g_ptr_array_add(cells, g_strdup(titles[i]));
    COB_TRY(add_images(&listing, images));
    columns_append(out, cells, G_N_ELEMENTS(titles));
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
