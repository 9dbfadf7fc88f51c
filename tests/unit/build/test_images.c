/* SPDX-License-Identifier: Apache-2.0 */
/* Images pulled into a scratch store from a real registry, filled by skopeo. */
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "again.h"
#include "build/images/images.h"
#include "build/userns/userns.h"
#include "check.h"
#include "util/fs.h"

#define REGISTRY_VARIABLE "COB_TEST_REGISTRY_SH" /* where REGISTRY_SH is for another user */

/* A registry behind a shell, for as long as the shell's input is open; and a store. */
struct fixture {
    char *scratch, *host;
    GPid pid;
    int in_fd;
    struct cob_store *store;
    struct cob_registry *registry;
    struct cob_image_source *source;
    GMutex lock;
    GHashTable *arrived; /* digests of layers that came whole */
    struct cob_cancel *cancel, *cancel_on_arrival;
};

/* app:v1 has two platforms and two layers: the upper one removes a file of the lower one, and puts
 * another into a directory that it does not name. app:v2 has a third layer. bad: a diff_id is not
 * that of the layer. */
static const char script[] =
    "set -eu; . \"$LIB\"; export HOME=\"$1\"; registry_start plain \"$1\"; cd \"$1\"\n"
    "python3 - <<'EOF'\n"
    "import gzip, hashlib, io, json, os, tarfile\n"
    "V = 'application/vnd.oci.image.'\n"
    "def put(where, data):\n"
    "    hex = hashlib.sha256(data).hexdigest()\n"
    "    open(where + '/blobs/sha256/' + hex, 'wb').write(data)\n"
    "    return {'digest': 'sha256:' + hex, 'size': len(data)}\n"
    "def layer(*entries):\n"
    "    out = io.BytesIO()\n"
    "    tar = tarfile.open(fileobj=out, mode='w')\n"
    "    for name, mode, data in entries:\n"
    "        e = tarfile.TarInfo(name); e.mode = mode\n"
    "        e.type = tarfile.DIRTYPE if data is None else tarfile.REGTYPE\n"
    "        e.size = len(data or b'')\n"
    "        tar.addfile(e, io.BytesIO(data or b''))\n"
    "    tar.close()\n"
    "    return out.getvalue()\n"
    "lower = layer(('d', 0o700, None), ('d/a', 0o644, b'a'), ('d/gone', 0o644, b'x'))\n"
    "upper = layer(('d/.wh.gone', 0o644, b''), ('d/new', 0o600, b'new'))\n"
    "third = layer(('third', 0o644, b'3'))\n"
    "def image(where, arch, tars, lie=False):\n"
    "    layers = [dict(put(where, gzip.compress(t, mtime=0)),\n"
    "                   mediaType=V + 'layer.v1.tar+gzip') for t in tars]\n"
    "    ids = ['sha256:' + hashlib.sha256(t).hexdigest() for t in tars]\n"
    "    if lie: ids[-1] = 'sha256:' + 64 * 'a'\n"
    "    config = dict(put(where, json.dumps({'architecture': arch, 'os': 'linux', 'config': {},\n"
    "        'rootfs': {'type': 'layers', 'diff_ids': ids}}).encode()),\n"
    "        mediaType=V + 'config.v1+json')\n"
    "    doc = {'schemaVersion': 2, 'mediaType': V + 'manifest.v1+json', 'config': config,\n"
    "           'layers': layers}\n"
    "    return dict(put(where, json.dumps(doc).encode()), mediaType=V + 'manifest.v1+json',\n"
    "                platform={'os': 'linux', 'architecture': arch})\n"
    "def layout(where, images):\n"
    "    os.makedirs(where + '/blobs/sha256')\n"
    "    index = {'schemaVersion': 2, 'mediaType': V + 'index.v1+json',\n"
    "             'manifests': [image(where, *i) for i in images]}\n"
    "    top = dict(put(where, json.dumps(index).encode()), mediaType=V + 'index.v1+json')\n"
    "    top['annotations'] = {'org.opencontainers.image.ref.name': 'latest'}\n"
    "    json.dump({'schemaVersion': 2, 'manifests': [top]}, open(where + '/index.json', 'w'))\n"
    "    json.dump({'imageLayoutVersion': '1.0.0'}, open(where + '/oci-layout', 'w'))\n"
    "layout('v1', [('amd64', [lower, upper]), ('arm64', [third])])\n"
    "layout('v2', [('amd64', [lower, upper, third])])\n"
    "layout('bad', [('amd64', [lower, upper], True)])\n"
    "EOF\n"
    "push() { skopeo copy -q --all --dest-tls-verify=false oci:$1:latest docker://$REGISTRY/$2 "
    ">skopeo.log 2>&1 || { cat skopeo.log >&2; registry_stop; exit 1; }; }\n"
    "push v1 app:v1; push v2 app:v2; push bad bad:v1\n"
    "echo $REGISTRY\n"
    "while read -r line; do push $line; echo done; done; registry_stop\n";

static bool can_run(void)
{
    static const char *const programs[] = {"bash", "docker-registry", "skopeo", "python3"};

    for (size_t i = 0; i < G_N_ELEMENTS(programs); i++) {
        g_autofree char *path = g_find_program_in_path(programs[i]);

        if (!path) {
            check_skip("it needs bash, docker-registry, skopeo and python3");
            return false;
        }
    }
    return true;
}

static int out_fd; /* of the shell */

static char *read_line(void)
{
    char line[100] = "";
    ssize_t n = read(out_fd, line, sizeof(line) - 1);

    return g_strchomp(g_strndup(line, n > 0 ? (size_t)n : 0));
}

/* A source that remembers nothing, as in another process. */
static void renew(struct fixture *f)
{
    static const struct cob_registry_config settings = {
        .docker_config = "", .registries = "", .timing = {.n_tries = 2, .backoff_ms = 1}};

    cob_image_source_free(f->source);
    cob_registry_free(f->registry);
    f->registry = cob_registry_new(&settings);
    f->source = cob_image_source_new(f->store, f->registry);
    g_hash_table_remove_all(f->arrived);
}

static void fixture_init(struct fixture *f)
{
    *f = (struct fixture){.scratch = check_scratch_new(),
        .arrived = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL)};
    g_autofree char *dir = g_build_filename(f->scratch, "registry", NULL);
    g_autofree char *store = g_build_filename(f->scratch, "store", NULL);
    const char *argv[] = {"bash", "-c", script, "bash", dir, NULL};

    g_mkdir_with_parents(dir, 0755);
    g_mutex_init(&f->lock);
    g_setenv("LIB", g_getenv(REGISTRY_VARIABLE) ? g_getenv(REGISTRY_VARIABLE) : REGISTRY_SH, TRUE);
    g_assert_true(g_spawn_async_with_pipes(NULL, (char **)(uintptr_t)argv, NULL,
        G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &f->pid, &f->in_fd, &out_fd,
        NULL, NULL));
    f->host = read_line();
    g_assert_cmpstr(f->host, !=, "");
    CHECK_OK(cob_store_open(store, &f->store));
    renew(f);
}

static void stop_registry(struct fixture *f)
{
    int status = 0;

    if (f->in_fd < 0)
        return;
    cob_closep(&f->in_fd);
    close(out_fd);
    waitpid(f->pid, &status, 0);
    g_assert_cmpint(status, ==, 0);
    g_spawn_close_pid(f->pid);
}

static void fixture_done(struct fixture *f)
{
    stop_registry(f);
    cob_image_source_free(f->source);
    cob_registry_free(f->registry);
    cob_store_close(f->store);
    g_hash_table_unref(f->arrived);
    g_mutex_clear(&f->lock);
    g_free(f->host);
    check_scratch_free(f->scratch);
}

static void on_status(void *arg, const struct cob_event_status *event)
{
    struct fixture *f = arg;

    g_mutex_lock(&f->lock);
    if (event->completed_us)
        g_hash_table_add(f->arrived, g_strdup(event->id));
    if (f->cancel_on_arrival)
        cob_cancel_trigger(f->cancel_on_arrival);
    g_mutex_unlock(&f->lock);
}

static struct cob_error *fetch(struct fixture *f, const char *tail, const char *platform,
    enum cob_image_policy policy, struct cob_snapshot **ret_snapshot)
{
    const struct cob_observer observer = {.arg = f, .status = on_status};
    const struct cob_image_watcher watcher = {.observer = &observer, .vertex = "v"};
    g_autofree char *name = g_strconcat(f->host, tail, NULL);
    g_autofree char *digest = NULL;
    g_autoptr(GBytes) config = NULL;

    COB_TRY(cob_image_resolve(f->source, name, platform, policy, f->cancel, &digest, &config));
    g_autofree char *pinned = g_strconcat(name, "@", digest, NULL);
    return cob_image_fetch(f->source, pinned, platform, &watcher, f->cancel, ret_snapshot);
}

/* What a snapshot says: the names in it and what they are. The caller frees it. */
static char *look(struct fixture *f, struct cob_snapshot *snapshot)
{
    g_autofree char *path = g_build_filename(f->scratch, "mnt", NULL);
    g_autofree char *command = g_strdup_printf("sh -c \"cd %s; find . -mindepth 1 -printf '%%P "
                                               "%%m,' | tr ',' '\\n' | sort | tr '\\n' ' '\"",
        path);
    char *out = NULL;
    int fd = -1;

    g_mkdir_with_parents(path, 0755);
    CHECK_OK(cob_snapshot_mount(snapshot, &fd));
    g_assert_cmpint(move_mount(fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH), ==, 0);
    close(fd);
    g_assert_true(g_spawn_command_line_sync(command, &out, NULL, NULL, NULL));
    g_assert_cmpint(umount2(path, MNT_DETACH), ==, 0);
    return g_strchomp(out);
}

static guint count(struct cob_store *store)
{
    g_autoptr(GPtrArray) rows = NULL;

    CHECK_OK(cob_snapshot_list(store, &rows));
    return rows ? rows->len : 0;
}

#define AMD64 "linux/amd64"

static void test_layers_become_snapshots(void)
{
    struct fixture f;
    g_autoptr(cob_snapshot) snapshot = NULL;
    g_autoptr(cob_snapshot) again = NULL;
    g_autoptr(cob_snapshot) more = NULL;

    if (!can_run())
        return;
    fixture_init(&f);
    CHECK_OK(fetch(&f, "/app:v1", AMD64, COB_IMAGE_LOCAL_FIRST, &snapshot));
    g_autofree char *got = look(&f, snapshot);
    g_assert_cmpstr(got, ==, "d 700 d/a 644 d/new 600"); /* d keeps the lower layer's mode */
    g_assert_cmpuint(cob_snapshot_depth(snapshot), ==, 2);
    g_assert_cmpuint(g_hash_table_size(f.arrived), ==, 2);

    renew(&f);
    CHECK_OK(fetch(&f, "/app:v1", AMD64, COB_IMAGE_PULL, &again));
    g_assert_cmpuint(g_hash_table_size(f.arrived), ==, 0);
    g_assert_cmpstr(cob_snapshot_id(again), ==, cob_snapshot_id(snapshot));

    CHECK_OK(fetch(&f, "/app:v2", AMD64, COB_IMAGE_LOCAL_FIRST, &more));
    g_assert_cmpuint(g_hash_table_size(f.arrived), ==, 1); /* only what is new */
    g_assert_cmpstr(cob_snapshot_id(cob_snapshot_parent(more)), ==, cob_snapshot_id(snapshot));
    g_clear_pointer(&snapshot, cob_snapshot_unref);
    g_clear_pointer(&again, cob_snapshot_unref);
    g_clear_pointer(&more, cob_snapshot_unref);
    fixture_done(&f);
}

static void test_index_by_platform(void)
{
    struct fixture f;
    g_autoptr(cob_snapshot) snapshot = NULL;
    struct cob_snapshot *none = NULL;

    if (!can_run())
        return;
    fixture_init(&f);
    CHECK_OK(fetch(&f, "/app:v1", "linux/arm64", COB_IMAGE_LOCAL_FIRST, &snapshot));
    g_autofree char *got = look(&f, snapshot);
    g_assert_cmpstr(got, ==, "third 644");
    CHECK_ERROR(fetch(&f, "/app:v2", "linux/arm64", COB_IMAGE_LOCAL_FIRST, &none), COB_NOT_FOUND,
        "localhost:*/app:v2: *linux/arm64*linux/amd64*");
    g_clear_pointer(&snapshot, cob_snapshot_unref);
    fixture_done(&f);
}

static void test_wrong_diff_id_is_refused(void)
{
    struct fixture f;
    struct cob_snapshot *none = NULL;
    g_autoptr(cob_store_image) image = NULL;

    if (!can_run())
        return;
    fixture_init(&f);
    CHECK_ERROR(fetch(&f, "/bad:v1", AMD64, COB_IMAGE_LOCAL_FIRST, &none), COB_DATA_LOSS,
        "localhost:*/bad:v1: layer sha256:*sha256:aaaa*");
    g_assert_null(none);
    g_assert_cmpuint(count(f.store), ==, 0);
    g_autofree char *name = g_strconcat(f.host, "/bad:v1", NULL);
    CHECK_OK(cob_store_image_find(f.store, name, NULL, &image));
    g_assert_null(image);
    fixture_done(&f);
}

static void move_tag(struct fixture *f)
{
    static const char line[] = "v2 app:v1\n";

    g_assert_cmpint(write(f->in_fd, line, strlen(line)), ==, (ssize_t)strlen(line));
    g_autofree char *answer = read_line();
    g_assert_cmpstr(answer, ==, "done");
}

static void test_here_first_and_pull(void)
{
    struct fixture f;
    g_autoptr(cob_snapshot) first = NULL;
    g_autoptr(cob_snapshot) here = NULL;
    g_autoptr(cob_snapshot) pulled = NULL;
    g_autoptr(cob_snapshot) offline = NULL;

    if (!can_run())
        return;
    fixture_init(&f);
    CHECK_OK(fetch(&f, "/app:v1", AMD64, COB_IMAGE_LOCAL_FIRST, &first));
    move_tag(&f);
    renew(&f);
    CHECK_OK(fetch(&f, "/app:v1", AMD64, COB_IMAGE_LOCAL_FIRST, &here));
    g_assert_cmpstr(cob_snapshot_id(here), ==, cob_snapshot_id(first));
    renew(&f);
    CHECK_OK(fetch(&f, "/app:v1", AMD64, COB_IMAGE_PULL, &pulled));
    g_assert_cmpuint(cob_snapshot_depth(pulled), ==, 3);
    stop_registry(&f);
    renew(&f);
    CHECK_OK(fetch(&f, "/app:v1", AMD64, COB_IMAGE_LOCAL_FIRST, &offline));
    g_assert_cmpstr(cob_snapshot_id(offline), ==, cob_snapshot_id(pulled));
    g_clear_pointer(&first, cob_snapshot_unref);
    g_clear_pointer(&here, cob_snapshot_unref);
    g_clear_pointer(&pulled, cob_snapshot_unref);
    g_clear_pointer(&offline, cob_snapshot_unref);
    fixture_done(&f);
}

/* One tag, two digests: what is pinned counts, not what was asked for before. */
static void test_two_digests_of_one_tag(void)
{
    struct fixture f;
    char *digests[2] = {NULL};
    g_autoptr(cob_snapshot) old = NULL;
    g_autoptr(cob_snapshot) new = NULL;

    if (!can_run())
        return;
    fixture_init(&f);
    for (size_t i = 0; i < 2; i++) {
        g_autofree char *name = g_strdup_printf("%s/app:v%zu", f.host, i + 1);
        g_autoptr(GBytes) config = NULL;

        CHECK_OK(
            cob_image_resolve(f.source, name, AMD64, COB_IMAGE_PULL, NULL, &digests[i], &config));
    }
    renew(&f);
    g_autofree char *old_tail = g_strconcat("/app:v1@", digests[0], NULL);
    g_autofree char *new_tail = g_strconcat("/app:v1@", digests[1], NULL);
    const struct cob_observer observer = {.arg = &f, .status = on_status};
    const struct cob_image_watcher watcher = {.observer = &observer, .vertex = "v"};
    g_autofree char *old_name = g_strconcat(f.host, old_tail, NULL);
    g_autofree char *new_name = g_strconcat(f.host, new_tail, NULL);
    CHECK_OK(cob_image_fetch(f.source, old_name, AMD64, &watcher, NULL, &old));
    CHECK_OK(cob_image_fetch(f.source, new_name, AMD64, &watcher, NULL, &new));
    g_assert_cmpuint(cob_snapshot_depth(old), ==, 2);
    g_assert_cmpuint(cob_snapshot_depth(new), ==, 3);
    g_free(digests[0]);
    g_free(digests[1]);
    g_clear_pointer(&old, cob_snapshot_unref);
    g_clear_pointer(&new, cob_snapshot_unref);
    fixture_done(&f);
}

static void test_cancelled_pull_leaves_nothing(void)
{
    struct fixture f;
    struct cob_snapshot *none = NULL;

    if (!can_run())
        return;
    fixture_init(&f);
    CHECK_OK(cob_cancel_new(&f.cancel));
    f.cancel_on_arrival = f.cancel;
    CHECK_ERROR(fetch(&f, "/app:v2", AMD64, COB_IMAGE_LOCAL_FIRST, &none), COB_CANCELLED, "*");
    g_assert_cmpuint(count(f.store), ==, 0);
    g_clear_pointer(&f.cancel, cob_cancel_unref);
    f.cancel_on_arrival = NULL;
    g_autofree char *tmp = g_strdup(cob_store_tmp_path(f.store));
    g_autofree char *command = g_strdup_printf("find %s -mindepth 1 -type d", tmp);
    g_autofree char *out = NULL;
    g_assert_true(g_spawn_command_line_sync(command, &out, NULL, NULL, NULL));
    g_assert_cmpstr(out, ==, "");
    fixture_done(&f);
}

static void test_rootless(void)
{
    char *scratch = check_scratch_new();
    g_autofree char *copy = again_copy(scratch, REGISTRY_SH);
    g_autofree char *variable = g_strconcat(REGISTRY_VARIABLE "=", copy, NULL);

    again_run((const char *const[]){variable, NULL}, again_user());
    check_scratch_free(scratch);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    if (geteuid() == 0) {
        CHECK_OK(cob_userns_enter_mounts());
        g_test_add_func("/images/rootless", test_rootless);
    } else {
        g_autofree char *notice = NULL;
        CHECK_OK(cob_userns_enter(&notice));
    }
    g_test_add_func("/images/layers-become-snapshots", test_layers_become_snapshots);
    g_test_add_func("/images/index-by-platform", test_index_by_platform);
    g_test_add_func("/images/wrong-diff-id-is-refused", test_wrong_diff_id_is_refused);
    g_test_add_func("/images/here-first-and-pull", test_here_first_and_pull);
    g_test_add_func("/images/two-digests-of-one-tag", test_two_digests_of_one_tag);
    g_test_add_func("/images/cancelled-pull-leaves-nothing", test_cancelled_pull_leaves_nothing);
    return g_test_run();
}
