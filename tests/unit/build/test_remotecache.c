/* SPDX-License-Identifier: Apache-2.0 */
/* Records of a cache: found by what a step stands on. The cache is a folder, written by hand. */
#include "build/remotecache/remotecache.h"

#include <string.h>

#include "check.h"
#include "spec/cacheconfig/cacheconfig.h"
#include "spec/oci/oci.h"
#include "util/digest.h"

#define OP(letter)                                                                                 \
    "sha256:" letter "000000000000000000000000000000000000000000000000000000000000000"

static void no_vertex(void *arg, const struct cob_event_vertex *event)
{
    (void)arg, (void)event;
}

static void no_status(void *arg, const struct cob_event_status *event)
{
    (void)arg, (void)event;
}

static void no_log(void *arg, const struct cob_event_log *event)
{
    (void)arg, (void)event;
}

static void count_warning(void *arg, const struct cob_event_warning *event)
{
    int *n_warnings = arg;

    (void)event;
    g_atomic_int_inc(n_warnings);
}

/* A cache in a folder, and what is read of it. */
struct world {
    char *folder;
    int n_warnings;
    struct cob_observer observer;
    struct cob_cachebackend_options *options;
    struct cob_remotecache *cache;
};

static int add_step(struct cob_cacheconfig *config, const char *op, unsigned n_inputs)
{
    g_autofree char *digest = cob_cacheconfig_record_digest(op, 0);

    return cob_cacheconfig_add_record(config, digest, n_inputs);
}

static int add_files(struct cob_cacheconfig *config, const char *content)
{
    g_autofree char *digest = cob_cacheconfig_record_digest(content, COB_CACHECONFIG_FILES);

    return cob_cacheconfig_add_record(config, digest, 0);
}

/*     0 base    1 make(base)    2 copy(base, make or files f)    3 after(copy)
 *     4 make2(base), with a selector that is nobody's            5 the files themselves
 */
static GBytes *write_config(void)
{
    g_autoptr(cob_cacheconfig) config = cob_cacheconfig_new();

    add_step(config, OP("a"), 0);
    add_step(config, OP("b"), 1);
    add_step(config, OP("c"), 2);
    add_step(config, OP("d"), 1);
    add_step(config, OP("e"), 1);
    int files = add_files(config, OP("f"));
    cob_cacheconfig_add_link(config, 1, 0, "", 0);
    cob_cacheconfig_add_link(config, 2, 0, "", 0);
    cob_cacheconfig_add_link(config, 2, 1, "", 1);
    cob_cacheconfig_add_link(config, 2, 1, "", files);
    cob_cacheconfig_add_link(config, 3, 0, "", 2);
    cob_cacheconfig_add_link(config, 4, 0, OP("1"), 0);
    return cob_cacheconfig_bytes(config);
}

static void write_cache(const char *folder)
{
    g_autofree char *text = g_strdup_printf("type=local,dest=%s", folder);
    g_autoptr(cob_cachebackend_options) options = NULL;
    g_autoptr(cob_cachebackend) backend = NULL;
    g_autoptr(cob_oci_manifest) manifest = cob_oci_manifest_new();
    g_autoptr(GBytes) config = write_config();
    g_autofree char *digest = NULL;

    CHECK_OK(cob_cachebackend_options_parse(text, COB_CACHEBACKEND_EXPORT, &options));
    CHECK_OK(cob_cachebackend_open(options, NULL, NULL, &backend));
    CHECK_OK(cob_cachebackend_put_bytes(backend, config, &digest));
    manifest->config =
        cob_oci_descriptor_new(COB_CACHECONFIG_TYPE, digest, g_bytes_get_size(config));
    g_autoptr(GBytes) bytes = cob_oci_manifest_bytes(manifest);
    CHECK_OK(
        cob_cachebackend_put_document(backend, NULL, COB_OCI_TYPE_MANIFEST, bytes, NULL, NULL));
}

static void world_init(struct world *world)
{
    g_autofree char *text = NULL;

    *world = (struct world){.folder = g_dir_make_tmp("cob-remotecache-XXXXXX", NULL)};
    world->observer = (struct cob_observer){.arg = &world->n_warnings,
        .vertex = no_vertex,
        .status = no_status,
        .log = no_log,
        .warning = count_warning};
    write_cache(world->folder);
    text = g_strdup_printf("type=local,src=%s", world->folder);
    CHECK_OK(cob_cachebackend_options_parse(text, COB_CACHEBACKEND_IMPORT, &world->options));
    world->cache = cob_remotecache_new(NULL, NULL, &world->observer);
    const struct cob_cachebackend_options *const all[] = {world->options};
    CHECK_OK(cob_remotecache_import(world->cache, all, 1, NULL));
}

static void world_done(struct world *world)
{
    const char *const argv[] = {"rm", "-rf", world->folder, NULL};

    cob_remotecache_free(world->cache);
    cob_cachebackend_options_free(world->options);
    g_assert_true(g_spawn_sync(NULL, (char **)(uintptr_t)argv, NULL, G_SPAWN_SEARCH_PATH, NULL,
        NULL, NULL, NULL, NULL, NULL));
    g_free(world->folder);
}

/* "1 3" -> an array; NULL stays NULL. The caller unrefs it. */
static GArray *numbers_of(const char *text)
{
    GArray *numbers = text ? g_array_new(FALSE, FALSE, sizeof(guint)) : NULL;

    for (; text && *text; text++) {
        const guint number = (guint)(*text - '0');

        if (*text != ' ')
            g_array_append_val(numbers, number);
    }
    return numbers;
}

static char *text_of(const GArray *numbers)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; numbers && i < numbers->len; i++)
        g_string_append_printf(text, "%s%u", i ? " " : "", g_array_index(numbers, guint, i));
    return g_string_free(text, FALSE);
}

static void test_match(void)
{
    const struct {
        const char *name, *op;
        size_t n_inputs;
        const char *records[2], *contents[2]; /* of the inputs */
        const char *want;
    } rows[] = {
        {"a root by its op", OP("a"), 0, {0}, {0}, "0"},
        {"nobody's op", OP("9"), 0, {0}, {0}, ""},
        {"by the step before it", OP("b"), 1, {"0"}, {0}, "1"},
        {"the step before it is another one", OP("b"), 1, {"3"}, {0}, ""},
        {"nothing is known of the step before it", OP("b"), 1, {0}, {0}, ""},
        {"too many inputs", OP("b"), 2, {"0", "0"}, {0}, ""},
        {"too few", OP("c"), 1, {"0"}, {0}, ""},
        {"both by steps", OP("c"), 2, {"0", "1"}, {0}, "2"},
        {"one by its files, the other step is not known", OP("c"), 2, {"0", NULL}, {NULL, OP("f")},
            "2"},
        {"other files, and the step is not known", OP("c"), 2, {"0", NULL}, {NULL, OP("7")}, ""},
        {"other files of a step that is known", OP("c"), 2, {"0", "1"}, {NULL, OP("7")}, "2"},
        {"equal files at the wrong input", OP("c"), 2, {NULL, "1"}, {OP("f"), NULL}, ""},
        {"what follows is found by the record", OP("d"), 1, {"2"}, {0}, "3"},
        {"a step that was found as several", OP("d"), 1, {"0 1 2"}, {0}, "3"},
        {"a selector is another tool's", OP("e"), 1, {"0"}, {0}, ""},
        {"a digest of files is no step", OP("f"), 0, {0}, {0}, ""},
    };
    struct world world;

    world_init(&world);
    g_assert_cmpint(world.n_warnings, ==, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GArray) first = numbers_of(rows[i].records[0]);
        g_autoptr(GArray) second = numbers_of(rows[i].records[1]);
        const struct cob_solver_input inputs[] = {
            {rows[i].contents[0], first}, {rows[i].contents[1], second}};
        const struct cob_solver_step step = {
            .op = rows[i].op, .inputs = inputs, .n_inputs = rows[i].n_inputs};
        g_autoptr(GArray) found = cob_remotecache_match(world.cache, &step);
        g_autofree char *got = text_of(found);

        g_assert_cmpstr(got, ==, rows[i].want);
        check_row(strcmp(got, rows[i].want) == 0, i, rows[i].name);
    }
    world_done(&world);
}

/* What cannot be read costs one warning each, and nothing else. */
static void test_unreadable(void)
{
    struct world world;
    g_autoptr(cob_cachebackend_options) none = NULL;
    g_autoptr(cob_remotecache) cache = NULL;
    const struct cob_solver_step step = {.op = OP("a")};

    world_init(&world);
    CHECK_OK(cob_cachebackend_options_parse(
        "type=local,src=/nonexistent", COB_CACHEBACKEND_IMPORT, &none));
    cache = cob_remotecache_new(NULL, NULL, &world.observer);
    const struct cob_cachebackend_options *const all[] = {none, world.options, none};
    CHECK_OK(cob_remotecache_import(cache, all, 3, NULL));
    g_assert_cmpint(world.n_warnings, ==, 2);
    g_autoptr(GArray) found = cob_remotecache_match(cache, &step);
    g_assert_nonnull(found);
    world_done(&world);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/remotecache/match", test_match);
    g_test_add_func("/remotecache/unreadable", test_unreadable);
    return g_test_run();
}
