/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "app/cli/cli_engine.h"
#include "spec/ref/ref.h"
#include "util/text.h"

static const struct cli_option options[] = {
    {"force", 'f', CLI_FLAG, NULL,
        "Remove all names of an image that is given by its ID; pass over an image that is not "
        "there",
        false},
    {0},
};

/* The images that are to go, and what is said of it. */
struct removal {
    struct cob_store *store;
    bool is_forced;
    GString *out;
};

static void say(struct removal *removal, const char *what, const char *text)
{
    g_autofree char *visible = cob_text_visible(text);

    g_string_append_printf(removal->out, "%s: %s\n", what, visible);
}

/* Its data goes with a later prune, so nothing is said to be deleted but what had no name.
 * name: in full.  id: of the image of one platform; NULL: of all. */
static struct cob_error *untag(
    struct removal *removal, const char *name, const char *id, bool *ret_was_there)
{
    g_autoptr(cob_ref) ref = NULL;
    g_autofree char *familiar = NULL;

    COB_TRY(cob_store_image_remove(removal->store, name, id, ret_was_there));
    if (!*ret_was_there)
        return NULL;
    COB_TRY(cob_ref_parse(name, &ref));
    familiar = cob_ref_familiar(ref);
    say(removal, "Untagged", familiar);
    return NULL;
}

/* The names of an image, each once.  ret_names: char *, owned. */
static struct cob_error *names_of(
    struct cob_store *store, const char *config_digest, GPtrArray **ret_names)
{
    g_autoptr(GPtrArray) images = NULL;
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);

    COB_TRY(cob_store_image_list(store, &images));
    for (guint i = 0; i < images->len; i++) {
        const struct cob_store_image *image = images->pdata[i];

        if (!image->name || strcmp(image->config_digest, config_digest) != 0 ||
            g_ptr_array_find_with_equal_func(names, image->name, g_str_equal, NULL))
            continue;
        g_ptr_array_add(names, g_strdup(image->name));
    }
    *ret_names = g_steal_pointer(&names);
    return NULL;
}

static struct cob_error *remove_by_id(struct removal *removal, const char *given)
{
    g_autoptr(cob_store_image) image = NULL;
    g_autoptr(GPtrArray) names = NULL;
    bool was_there = false;

    COB_TRY(cob_store_image_find(removal->store, given, NULL, &image));
    if (!image)
        return removal->is_forced ? NULL : cob_fail(COB_NOT_FOUND, "no such image: %s", given);
    COB_TRY(names_of(removal->store, image->config_digest, &names));
    if (names->len > 1 && !removal->is_forced)
        return cob_fail(COB_PRECONDITION,
            "image %s has %u names: remove them one by one, or all of them with --force", given,
            names->len);
    for (guint i = 0; i < names->len; i++)
        COB_TRY(untag(removal, names->pdata[i], image->config_digest, &was_there));
    COB_TRY(cob_store_image_remove_unnamed(removal->store, image->config_digest, &was_there));
    if (was_there)
        say(removal, "Deleted", image->config_digest);
    return NULL;
}

/* A name comes before an id that reads the same. What is no name may still be an id. */
static struct cob_error *remove_one(struct removal *removal, const char *given)
{
    g_autoptr(cob_ref) ref = NULL;
    g_autoptr(cob_error) no_name = cob_ref_parse(given, &ref);
    bool was_there = false;

    if (!no_name) {
        g_autofree char *name = cob_ref_text(ref);

        COB_TRY(untag(removal, name, NULL, &was_there));
    }
    return was_there ? NULL : remove_by_id(removal, given);
}

static struct cob_error *run(struct cli_call *call)
{
    g_autoptr(cob_engine) engine = NULL;
    g_autoptr(GString) out = g_string_new(NULL);
    struct cob_error *err = NULL, *print_err;

    COB_TRY(cli_engine_open_to_remove(&engine));
    struct removal removal = {
        .store = cob_engine_store(engine), .is_forced = cli_call_flag(call, "force"), .out = out};
    for (unsigned n = 0; !err && cli_call_arg(call, n); n++)
        err = remove_one(&removal, cli_call_arg(call, n));
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
