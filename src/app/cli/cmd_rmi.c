/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli/cli_engine.h"
#include "spec/ref/ref.h"

static const struct cli_option options[] = {
    {"force", 'f', CLI_FLAG, NULL, "It is no error when there is no such image", false},
    {0},
};

/* An image by its id: it loses its name, or, without one, goes itself. */
static struct cob_error *remove_by_id(
    struct cob_store *store, const struct cob_store_image *image, GString *out)
{
    bool was_there = false;

    if (image->name) {
        COB_TRY(cob_store_image_remove(store, image->name, &was_there));
        g_string_append_printf(out, "Untagged: %s\n", image->name);
        return NULL;
    }
    COB_TRY(cob_store_image_remove_unnamed(store, image->config_digest));
    g_string_append_printf(out, "Deleted: %s\n", image->config_digest);
    return NULL;
}

/* Take away the name that a user gave: a name, or an id. */
static struct cob_error *remove_one(
    struct cob_store *store, const char *given, bool is_forced, GString *out)
{
    g_autoptr(cob_ref) ref = NULL;
    g_autoptr(cob_store_image) image = NULL;
    g_autofree char *name = NULL;
    bool was_there = false;

    COB_TRY(cob_ref_parse(given, &ref));
    name = cob_ref_text(ref);
    COB_TRY(cob_store_image_remove(store, name, &was_there));
    if (was_there) {
        g_string_append_printf(out, "Untagged: %s\n", name);
        return NULL;
    }
    COB_TRY(cob_store_image_find(store, given, NULL, &image));
    if (image)
        return remove_by_id(store, image, out);
    return is_forced ? NULL : cob_fail(COB_NOT_FOUND, "no such image: %s", given);
}

static struct cob_error *run(struct cli_call *call)
{
    g_autoptr(cob_engine) engine = NULL;
    g_autoptr(GString) out = g_string_new(NULL);
    struct cob_error *err = NULL, *print_err;

    COB_TRY(cli_engine_open(&engine));
    for (unsigned n = 0; !err && cli_call_arg(call, n); n++)
        err = remove_one(
            cob_engine_store(engine), cli_call_arg(call, n), cli_call_flag(call, "force"), out);
    print_err = cli_print(out);
    if (err)
        cob_error_free(g_steal_pointer(&print_err));
    return err ? err : print_err;
}

const struct cli_command cli_rmi = {
    .name = "rmi",
    .usage = "[OPTIONS] IMAGE [IMAGE...]",
    .summary = "Remove one or more images",
    .options = options,
    .min_args = 1,
    .max_args = CLI_ANY_NUMBER,
    .run = run,
};
