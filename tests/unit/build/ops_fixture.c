/* SPDX-License-Identifier: Apache-2.0 */
#include "ops_fixture.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "build/userns/userns.h"
#include "check.h"
#include "lang/dockerfile/dockerfile.h"
#include "util/fs.h"
#include "util/tree.h"

bool ops_fixture_is_root;

/* Root gets mounts of its own, others a user namespace with more ids than one. */
static const char *enter_namespaces(void)
{
    g_autofree char *notice = NULL;

    if (geteuid() == 0) {
        CHECK_OK(cob_userns_enter_mounts());
        return NULL;
    }
    g_autoptr(cob_error) err = cob_userns_enter(&notice);
    return err || notice
               ? "it makes mounts and owners: run it as root, or as a user with subordinate "
                 "ids"
               : NULL;
}

bool ops_fixture_can_run(void)
{
    static const char *obstacle;
    static bool is_decided;

    if (!is_decided) {
        ops_fixture_is_root = geteuid() == 0;
        obstacle = enter_namespaces();
    }
    is_decided = true;
    if (obstacle)
        check_skip(obstacle);
    return !obstacle;
}

void ops_fixture_init(struct ops_fixture *fixture)
{
    *fixture = (struct ops_fixture){.scratch = check_scratch_new(),
        .records = g_hash_table_new_full(
            g_str_hash, g_str_equal, g_free, (GDestroyNotify)cob_solver_result_unref),
        .secrets = g_hash_table_new(g_str_hash, g_str_equal),
        .build_name = "test",
        .log = g_string_new(NULL),
        .ran = g_string_new(NULL)};
    g_autofree char *store = g_build_filename(fixture->scratch, "store", NULL);
    g_autofree char *context = g_build_filename(fixture->scratch, "context", NULL);

    g_mutex_init(&fixture->lock);
    g_cond_init(&fixture->news);
    g_assert_cmpint(g_mkdir_with_parents(context, 0755), ==, 0);
    CHECK_OK(cob_store_open(store, &fixture->store));
    CHECK_OK(cob_cachemount_pool_open(fixture->store, NULL, NULL, &fixture->cachemounts));
}

void ops_fixture_done(struct ops_fixture *fixture)
{
    cob_executor_free(fixture->executor);
    cob_cachemount_pool_free(fixture->cachemounts);
    g_hash_table_unref(fixture->records);
    g_hash_table_unref(fixture->secrets);
    cob_snapshot_unref(fixture->base);
    cob_snapshot_unref(fixture->other);
    cob_snapshot_unref(fixture->result);
    cob_store_close(fixture->store);
    g_mutex_clear(&fixture->lock);
    g_cond_clear(&fixture->news);
    g_string_free(fixture->log, TRUE);
    g_string_free(fixture->ran, TRUE);
    check_scratch_free(fixture->scratch);
}

void ops_fixture_reset(struct ops_fixture *fixture)
{
    cob_autoclose int fd = open(fixture->scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    CHECK_OK(cob_tree_remove(fd, "context"));
    g_assert_cmpint(mkdirat(fd, "context", 0755), ==, 0);
    g_hash_table_remove_all(fixture->records);
    g_clear_pointer(&fixture->base, cob_snapshot_unref);
    g_clear_pointer(&fixture->other, cob_snapshot_unref);
    g_clear_pointer(&fixture->result, cob_snapshot_unref);
}

/* --- scripts --- */

static void enter_dir(void *fd)
{
    if (fchdir(*(const int *)fd) < 0)
        _exit(127);
    umask(022);
}

/* Returns what it prints, without the last newline. */
static char *run_script(int dir_fd, const char *script)
{
    const char *const argv[] = {"/bin/sh", "-euc", script, NULL};
    g_autofree char *complaints = NULL;
    char *out = NULL;
    int status = 0;

    g_assert_true(g_spawn_sync(NULL, (char **)(uintptr_t)argv, NULL, G_SPAWN_DEFAULT, enter_dir,
        &dir_fd, &out, &complaints, &status, NULL));
    if (status != 0) {
        g_test_message("script failed: %s\n%s", script, complaints);
        g_test_fail();
    }
    return g_strchomp(out);
}

void ops_fixture_context(struct ops_fixture *fixture, const char *script)
{
    g_autofree char *path = g_build_filename(fixture->scratch, "context", NULL);
    cob_autoclose int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    g_free(run_script(fd, script));
}

/* In a mount, which is at a path meanwhile: some programs cannot do without.  mount_fd: taken. */
static char *run_in_mount(const struct ops_fixture *fixture, int mount_fd, const char *script)
{
    g_autofree char *path = g_build_filename(fixture->scratch, "mnt", NULL);
    cob_autoclose int owned_fd = mount_fd;

    (void)owned_fd;
    g_mkdir_with_parents(path, 0755);
    g_assert_cmpint(move_mount(mount_fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH), ==, 0);
    char *out = run_script(mount_fd, script);
    g_assert_cmpint(umount2(path, MNT_DETACH), ==, 0);
    return out;
}

void ops_fixture_layer(
    struct ops_fixture *fixture, struct cob_snapshot **snapshot, const char *script)
{
    struct cob_snapshot_draft *draft = NULL;
    struct cob_snapshot *upper = NULL;
    int fd = -1;

    CHECK_OK(cob_snapshot_draft_new(fixture->store, *snapshot, &draft));
    CHECK_OK(cob_snapshot_draft_mount(draft, &fd));
    g_free(run_in_mount(fixture, fd, script));
    CHECK_OK(cob_snapshot_commit(
        draft, &(const struct cob_snapshot_facts){.description = "test"}, &upper));
    cob_snapshot_unref(*snapshot);
    *snapshot = upper;
}

void ops_fixture_busybox(struct ops_fixture *fixture)
{
    ops_fixture_layer(fixture, &fixture->base,
        "mkdir -p bin proc sys dev etc tmp root; cp /bin/busybox bin/\n"
        "for i in sh cat ls id echo touch mkdir rm stat test sleep env; do ln -s busybox bin/$i; "
        "done");
}

char *ops_fixture_look(struct ops_fixture *fixture, const char *script)
{
    int fd = -1;

    if (!fixture->result)
        return g_strdup("(no result)");
    CHECK_OK(cob_snapshot_mount(fixture->result, &fd));
    return run_in_mount(fixture, fd, script);
}

/* --- ops, with images that are at hand --- */

struct building {
    struct ops_fixture *fixture;
    const struct cob_solver_ops *table;
};

static struct cob_error *key(
    void *arg, const struct cob_llb_vertex *vertex, struct cob_solver_key *ret_key)
{
    const struct building *building = arg;

    return building->table->key(building->table->arg, vertex, ret_key);
}

static struct cob_error *content(void *arg, const struct cob_llb_vertex *vertex, size_t input,
    struct cob_solver_result *from, struct cob_cancel *cancel, char **ret_digest)
{
    const struct building *building = arg;

    return building->table->content(building->table->arg, vertex, input, from, cancel, ret_digest);
}

static struct cob_error *run(void *arg, const struct cob_llb_vertex *vertex,
    struct cob_solver_result *const *inputs, struct cob_cancel *cancel,
    struct cob_solver_result **ret_result)
{
    const struct building *building = arg;
    struct ops_fixture *fixture = building->fixture;
    bool is_source = vertex->op->op_case == PB__OP__OP_SOURCE;

    if (vertex->op->op_case == PB__OP__OP_FILE && fixture->before_copy)
        COB_TRY(fixture->before_copy(fixture));
    if (!is_source || !g_str_has_prefix(vertex->op->source->identifier, "docker-image://"))
        return building->table->run(building->table->arg, vertex, inputs, cancel, ret_result);
    struct cob_snapshot *image =
        strstr(vertex->op->source->identifier, "/base") ? fixture->base : fixture->other;
    *ret_result = image ? cob_ops_result_of(image) : NULL;
    return NULL;
}

static struct cob_error *resolve(
    void *arg, const struct cob_dockerfile_image *image, char **ret_digest, GBytes **ret_config)
{
    static const char config[] =
        "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"Env\":[\"PATH=/bin\"]},"
        "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:"
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"]}}";

    (void)arg;
    *ret_digest =
        g_strdup(strstr(image->ref, "/base") ? "sha256:" /* of nothing */
                                               "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934"
                                               "ca495991b7852b855"
                                             : NULL);
    *ret_config = g_bytes_new_static(config, strlen(config));
    return NULL;
}

static struct cob_error *open_local(void *arg, const char *name, struct cob_ops_local *ret_local)
{
    const struct ops_fixture *fixture = arg;
    g_autofree char *path = g_build_filename(fixture->scratch, "context", NULL);

    g_assert_cmpstr(name, ==, "context");
    *ret_local = (struct cob_ops_local){.dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    return ret_local->dir_fd < 0 ? cob_fail_errno(errno, "open %s", path) : NULL;
}

static struct cob_error *get_secret(void *arg, const char *id, GBytes **ret_secret)
{
    const struct ops_fixture *fixture = arg;
    const char *text = g_hash_table_lookup(fixture->secrets, id);

    *ret_secret = text ? g_bytes_new_static(text, strlen(text)) : NULL;
    return NULL;
}

/* --- the index and the observer --- */

static struct cob_error *lookup(void *arg, const char *key, struct cob_solver_result **ret_result)
{
    struct ops_fixture *fixture = arg;

    g_mutex_lock(&fixture->lock);
    struct cob_solver_result *result = g_hash_table_lookup(fixture->records, key);
    *ret_result = result ? cob_solver_result_ref(result) : NULL;
    g_mutex_unlock(&fixture->lock);
    return NULL;
}

static struct cob_error *save(void *arg, const struct cob_solver_record *record)
{
    struct ops_fixture *fixture = arg;
    const char *const keys[] = {record->definition_key, record->result_key};

    if (!cob_ops_snapshot_of(record->result))
        return NULL;
    g_mutex_lock(&fixture->lock);
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (keys[i])
            g_hash_table_insert(
                fixture->records, g_strdup(keys[i]), cob_solver_result_ref(record->result));
    }
    g_mutex_unlock(&fixture->lock);
    return NULL;
}

static struct cob_error *try_lock(void *arg, const char *key, void **ret_lock)
{
    (void)key;
    *ret_lock = arg;
    return NULL;
}

static void unlock(void *arg, void *lock)
{
    (void)arg;
    (void)lock;
}

static void on_vertex(void *arg, const struct cob_event_vertex *event)
{
    struct ops_fixture *fixture = arg;

    g_mutex_lock(&fixture->lock);
    if (event->completed_us && !event->is_cached)
        g_string_append_printf(fixture->ran, "%s\n", event->name);
    g_mutex_unlock(&fixture->lock);
}

static void on_status(void *arg, const struct cob_event_status *event)
{
    (void)arg;
    (void)event;
}

static void on_warning(void *arg, const struct cob_event_warning *event)
{
    struct ops_fixture *fixture = arg;

    g_mutex_lock(&fixture->lock);
    g_string_append_printf(fixture->log, "%s\n", event->text);
    g_mutex_unlock(&fixture->lock);
}

static void on_log(void *arg, const struct cob_event_log *event)
{
    struct ops_fixture *fixture = arg;

    g_mutex_lock(&fixture->lock);
    g_string_append_len(fixture->log, event->data, (gssize)event->len);
    g_cond_broadcast(&fixture->news);
    g_mutex_unlock(&fixture->lock);
}

/* --- a build --- */

static struct cob_error *to_graph(const char *text, struct cob_llb_graph **ret_graph)
{
    static const struct cob_image_resolver resolver = {.resolve = resolve};
    const struct cob_dockerfile_request request = {0};
    g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));
    g_autoptr(cob_srcfile) file = cob_srcfile_new("Dockerfile", bytes);
    g_autoptr(cob_dockerfile) dockerfile = NULL;
    struct cob_dockerfile_result result = {0};

    COB_TRY(cob_dockerfile_parse(file, &dockerfile));
    COB_TRY(cob_dockerfile_to_llb(dockerfile, &request, &resolver, &result));
    struct cob_error *err = cob_llb_graph_new(result.definition, ret_graph);
    cob_dockerfile_result_done(&result);
    return err;
}

static struct cob_error *solve(struct ops_fixture *fixture, struct cob_ops *ops,
    const struct cob_observer *observer, const struct cob_llb_graph *graph)
{
    struct building building = {fixture, cob_ops_table(ops)};
    const struct cob_solver_ops table = {
        .arg = &building, .key = key, .content = content, .run = run};
    const struct cob_solver_index index = {
        .arg = fixture, .lookup = lookup, .save = save, .try_lock = try_lock, .unlock = unlock};
    const struct cob_solver_request request = {
        .graph = graph, .ops = &table, .index = &index, .observer = observer};
    g_autoptr(GPtrArray) results = NULL;

    COB_TRY(cob_solver_solve(&request, fixture->cancel, &results));
    struct cob_snapshot *snapshot = cob_ops_snapshot_of(g_ptr_array_index(results, 0));
    fixture->result = snapshot ? cob_snapshot_ref(snapshot) : NULL;
    return cob_ops_finish(ops);
}

static struct cob_error *open_executor(struct ops_fixture *fixture)
{
    g_autofree char *state = g_build_filename(cob_store_tmp_path(fixture->store), "executor", NULL);
    const struct cob_executor_config config = {
        .state_dir = state, .is_rootless = !ops_fixture_is_root};

    if (fixture->executor)
        return NULL;
    COB_TRY(cob_fs_make_dirs(cob_store_tmp_fd(fixture->store), "executor", 0700, NULL));
    return cob_executor_new(&config, &fixture->executor);
}

struct cob_error *ops_fixture_build(struct ops_fixture *fixture, const char *dockerfile)
{
    const struct cob_observer observer = {.arg = fixture,
        .vertex = on_vertex,
        .status = on_status,
        .log = on_log,
        .warning = on_warning};
    const struct cob_ops_client client = {
        .arg = fixture, .open_local = open_local, .get_secret = get_secret};
    g_autoptr(cob_llb_graph) graph = NULL;

    g_string_truncate(fixture->log, 0);
    g_string_truncate(fixture->ran, 0);
    g_clear_pointer(&fixture->result, cob_snapshot_unref);
    COB_TRY(to_graph(dockerfile, &graph));
    COB_TRY(open_executor(fixture));
    const struct cob_ops_config config = {.store = fixture->store,
        .executor = fixture->executor,
        .cachemounts = fixture->cachemounts,
        .observer = &observer,
        .client = &client,
        .build_name = fixture->build_name};
    g_autoptr(cob_ops) ops = cob_ops_new(&config);
    return solve(fixture, ops, &observer, graph);
}
