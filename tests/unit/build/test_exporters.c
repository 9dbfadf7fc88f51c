/* SPDX-License-Identifier: Apache-2.0 */
#include "build/exporters/exporters.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "check.h"
#include "util/fs.h"

static const char config[] =
    "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"Cmd\":[\"/hello\"]},"
    "\"created\":\"2024-01-01T00:00:00Z\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]},"
    "\"history\":[{\"created_by\":\"COPY a /\"},{\"created_by\":\"RUN b\"},"
    "{\"created_by\":\"CMD hello\",\"empty_layer\":true}]}";

/* A store with an image of two layers, and a folder for what comes out. */
struct fixture {
    char *path, *out;
    struct cob_store *store;
    struct cob_snapshot *top;
    GBytes *config;
    GString *news; /* vertices and warnings, a line each */
    struct cob_observer observer;
};

static void on_vertex(void *arg, const struct cob_event_vertex *event)
{
    if (event->completed_us)
        g_string_append_printf(arg, "%s%s\n", event->name, event->error ? ": ERROR" : "");
}

static void on_status(void *arg, const struct cob_event_status *event)
{
    (void)arg;
    g_assert_nonnull(event->vertex);
    g_assert_nonnull(event->id);
}

static void on_log(void *arg, const struct cob_event_log *event)
{
    (void)arg;
    (void)event;
}

static void on_warning(void *arg, const struct cob_event_warning *event)
{
    g_string_append_printf(arg, "warning: %s\n", event->text);
}

static void put(int dir_fd, const char *name, const char *text)
{
    CHECK_OK(cob_fs_replace_file(dir_fd, name, 0644, text, strlen(text)));
}

static struct cob_snapshot *commit(struct cob_snapshot_draft *draft, const char *what)
{
    struct cob_snapshot *snapshot = NULL;

    CHECK_OK(cob_snapshot_commit(
        draft, &(const struct cob_snapshot_facts){.description = what}, &snapshot));
    return snapshot;
}

static struct cob_snapshot *make_image(struct cob_store *store)
{
    struct cob_snapshot_draft *draft = NULL;

    CHECK_OK(cob_snapshot_draft_new(store, NULL, &draft));
    int fd = cob_snapshot_draft_fd(draft);
    put(fd, "hello", "first");
    put(fd, "gone", "gone");
    g_assert_cmpint(mkdirat(fd, "d", 0755), ==, 0);
    put(fd, "d/suid", "s");
    g_assert_cmpint(fchmodat(fd, "d/suid", 04755, 0), ==, 0);
    g_autoptr(cob_snapshot) lower = commit(draft, "COPY a /");

    CHECK_OK(cob_snapshot_draft_new(store, lower, &draft));
    fd = cob_snapshot_draft_fd(draft);
    put(fd, "hello", "second");
    g_assert_cmpint(symlinkat("hello", fd, "link"), ==, 0);
    g_assert_cmpint(linkat(fd, "hello", fd, "hard", 0), ==, 0);
    if (geteuid() == 0)
        g_assert_cmpint(mknodat(fd, "gone", S_IFCHR, 0), ==, 0);
    return commit(draft, "RUN b");
}

static struct fixture *fixture_new(void)
{
    struct fixture *f = g_new0(struct fixture, 1);
    g_autofree char *root = NULL;

    f->path = check_scratch_new();
    f->out = g_build_filename(f->path, "out", NULL);
    root = g_build_filename(f->path, "store", NULL);
    g_assert_cmpint(mkdir(f->out, 0755), ==, 0);
    CHECK_OK(cob_store_open(root, &f->store));
    f->top = make_image(f->store);
    f->config = g_bytes_new_static(config, strlen(config));
    f->news = g_string_new(NULL);
    f->observer = (struct cob_observer){.arg = f->news,
        .vertex = on_vertex,
        .status = on_status,
        .log = on_log,
        .warning = on_warning};
    return f;
}

static void fixture_free(struct fixture *f)
{
    cob_snapshot_unref(f->top);
    cob_store_close(f->store);
    g_bytes_unref(f->config);
    g_string_free(f->news, TRUE);
    g_free(f->out);
    check_scratch_free(f->path);
    g_free(f);
}
COB_AUTOPTR(fixture, fixture_free)

static bool can_mount(void)
{
    return geteuid() == 0 && prctl(PR_CAPBSET_READ, 21 /* CAP_SYS_ADMIN */) == 1;
}

/* Export as `format` says, in which %s is the folder for results. */
static struct cob_error *export_to(struct fixture *f, const char *type, const char *dest)
{
    static const char *const names[] = {
        "docker.io/library/hello:latest", "registry.example/a/b:v1", NULL};
    const struct cob_exporter_part part = {
        .snapshot = f->top, .config = f->config, .platform = "linux/amd64"};
    const struct cob_exporter_result result = {
        .store = f->store, .parts = &part, .n_parts = 1, .names = names, .observer = &f->observer};
    g_autofree char *text = g_strdup_printf("type=%s,dest=%s/%s", type, f->out, dest);
    g_autoptr(cob_exporter_output) output = NULL;

    COB_TRY(cob_exporter_output_parse(text, &output));
    return cob_exporter_output_write(output, &result, NULL);
}

/* The output of a command; a failing one fails the test. %s in it is the folder for results. */
static char *run(struct fixture *f, const char *command)
{
    g_autofree char *script = g_strdup_printf("cd '%s' && { %s; }", f->out, command);
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    char *out = NULL, *err = NULL;
    int status = -1;

    g_assert_true(g_spawn_sync(NULL, (char **)(uintptr_t)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL,
        &out, &err, &status, NULL));
    if (status != 0)
        g_test_message("%s: %s", command, err);
    g_assert_cmpint(status, ==, 0);
    g_free(err);
    return g_strchomp(out);
}

static void check_run(struct fixture *f, const char *command, const char *want)
{
    g_autofree char *got = run(f, command);

    g_assert_cmpstr(got, ==, want);
}

static bool has_program(const char *name)
{
    g_autofree char *path = g_find_program_in_path(name);

    return path != NULL;
}

static const struct {
    const char *text;
    const char *want; /* NULL: it is fine */
} outputs[] = {
    {"dir", NULL},
    {"-", NULL},
    {"a=b", NULL},
    {"type=oci,dest=x.tar", NULL},
    {"type=oci,dest=x,tar=false", NULL},
    {"type=docker,dest=-", NULL},
    {"TYPE=tar,dest=-", NULL},
    {"type=tar,\"dest=a,b\"", NULL},
    {"type=oci,dest=x,compression=zstd", NULL},
    {"type=image,name=a", NULL},
    {"type=cacheonly", NULL},
    {"type=ocl,dest=x", "unknown type ocl: did you mean oci?"},
    {"type=banana,dest=x", "unknown type banana; there is: oci, docker, tar, local, *"},
    {"type=registry,name=x", "type registry is not supported yet"},
    {"type=oci", "dest is required for oci output: type=oci,dest=PATH"},
    {"type=local", "dest is required for local output*"},
    {"type=local,dest=-", "local output needs a folder as dest*"},
    {"dest=x,tar=true", "type is required*"},
    {"type=oci,dset=x", "unknown option dset: did you mean dest?"},
    {"type=oci,dest=x,compresion=gzip", "unknown option compresion: did you mean compression?"},
    {"type=oci,dest=x,compression=gzp", "unknown compression gzp: did you mean gzip?"},
    {"type=oci,dest=x,tar=maybe", "tar=maybe: neither true nor false"},
    {"type=oci,dest=-,tar=false", "tar=false needs a folder*"},
    {"type=tar,dest", "dest: an option without a value"},
    {"type=tar,\"dest=x", "a quote that does not end"},
    {"", "it is empty"},
};

static void test_parse(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(outputs); i++) {
        g_autoptr(cob_exporter_output) output = NULL;
        g_autoptr(cob_error) err = cob_exporter_output_parse(outputs[i].text, &output);
        g_autofree char *got = err ? cob_error_message(err) : NULL;
        const char *want = outputs[i].want;

        if (got && want)
            check_row(g_pattern_match_simple(want, got), i, got);
        else
            check_row(!got == !want, i, outputs[i].text);
    }
}

static void test_oci(void)
{
    g_autoptr(fixture) f = fixture_new();

    CHECK_OK(export_to(f, "oci", "i.tar"));
    g_assert_cmpstr(f->news->str, ==, "exporting to oci image format\n");
    check_run(f, "tar tf i.tar | grep -v 'blobs/sha256/.'",
        "blobs/\nblobs/sha256/\nindex.json\noci-layout");
    check_run(f, "tar xOf i.tar oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
    check_run(f,
        "tar xOf i.tar index.json | python3 -c 'import json, sys\n"
        "for m in json.load(sys.stdin)[\"manifests\"]: a = m[\"annotations\"];"
        " print(a[\"io.containerd.image.name\"], a[\"org.opencontainers.image.ref.name\"])'",
        "docker.io/library/hello:latest latest\nregistry.example/a/b:v1 v1");
    /* equal results make equal archives; the second finds its blobs */
    CHECK_OK(export_to(f, "oci", "again.tar"));
    check_run(f, "cmp i.tar again.tar; ls -A", "again.tar\ni.tar");
}

static void test_folder(void)
{
    g_autoptr(fixture) f = fixture_new();

    CHECK_OK(export_to(f, "oci,tar=false", "new/layout"));
    CHECK_OK(export_to(f, "oci,tar=false", "new/layout"));
    check_run(f, "cd new/layout && ls -A", "blobs\nindex.json\noci-layout");
    check_run(f,
        "cd new/layout/blobs/sha256 && for b in *; do echo \"$b  $b\"; done | sha256sum -c --quiet",
        "");
}

static void test_judges(void)
{
    g_autoptr(fixture) f = fixture_new();

    if (!has_program("skopeo") || !has_program("umoci"))
        return check_skip("skopeo and umoci are not here");
    CHECK_OK(export_to(f, "docker", "docker.tar"));
    CHECK_OK(export_to(f, "docker,compression=uncompressed", "plain.tar"));
    CHECK_OK(export_to(f, "oci,tar=false", "layout"));
    CHECK_OK(export_to(f, "oci,tar=false,compression=zstd", "zstd"));
    check_run(f,
        "skopeo inspect --config docker-archive:docker.tar |"
        " python3 -c 'import json, sys; print(json.load(sys.stdin)[\"config\"][\"Cmd\"])'",
        "['/hello']");
    check_run(f, "skopeo list-tags docker-archive:docker.tar | grep -c hello:latest", "1");
    check_run(
        f, "skopeo copy -q --insecure-policy docker-archive:plain.tar oci:p:x >&2; echo $?", "0");
    check_run(f, "skopeo copy -q --insecure-policy oci:layout:v1 dir:copied >&2; echo $?", "0");
    check_run(f, "skopeo copy -q --insecure-policy oci:zstd:v1 dir:copied2 >&2; echo $?", "0");
    if (geteuid() != 0)
        return;
    check_run(f,
        "umoci unpack --image layout:v1 bundle >&2 && cd bundle/rootfs &&"
        " ls -A && cat hello link hard && stat -c %a d/suid",
        "d\nhard\nhello\nlink\nsecondsecondsecond4755");
}

static void test_tar(void)
{
    g_autoptr(fixture) f = fixture_new();

    if (!can_mount())
        return check_skip("this user cannot mount");
    CHECK_OK(export_to(f, "tar", "root.tar"));
    check_run(f, "tar tvf root.tar | awk '{print $1, $6, $7, $8, $9}' | sort -k2",
        "drwxr-xr-x d/   \n-rwsr-xr-x d/suid   \n-rw-r--r-- hard   \nhrw-r--r-- hello link to "
        "hard\n"
        "lrwxrwxrwx link -> hello");
    cob_snapshot_unref(g_steal_pointer(&f->top));
    CHECK_OK(export_to(f, "tar", "scratch.tar"));
    check_run(f, "tar tf scratch.tar; stat -c %s scratch.tar", "1024");
}

static void test_local(void)
{
    g_autoptr(fixture) f = fixture_new();

    if (!can_mount())
        return check_skip("this user cannot mount");
    /* what is there: a file that stays, and symlinks that must not be followed */
    g_autofree char *before =
        run(f, "mkdir canary dest && echo safe > canary/f && echo mine > dest/keep &&"
               " ln -s ../canary/f dest/hello && ln -s ../canary dest/d");
    (void)before;
    CHECK_OK(export_to(f, "local", "dest"));
    check_run(f, "ls -A dest dest/d canary; cat dest/hello canary/f dest/keep",
        "canary:\nf\n\ndest:\nd\nhard\nhello\nkeep\nlink\n\ndest/d:\nsuid\nsecondsafe\nmine");
    check_run(f, "stat -c %a dest/d/suid; test -L dest/d || echo directory", "755\ndirectory");
    g_assert_true(strstr(f->news->str, "warning: d/suid: left out its setuid or setgid bit\n"));
    CHECK_OK(export_to(f, "local", "dest"));
    CHECK_OK(export_to(f, "local", "new/folder"));
    check_run(f, "cat new/folder/link", "second");
    CHECK_ERROR(export_to(f, "local", "dest/keep"), COB_UNKNOWN, "*dest/keep*");
}

static const struct {
    const char *name;
    const char *make;
    const char *want;
} bad_places[] = {
    {"directory", "mkdir x", "*dest */x: it is a directory; give the name of a file"},
    {"symlink", "echo old > old; ln -s old x", "*it is a symlink*"},
    {"FIFO", "mkfifo x", "*it is a FIFO*"},
    {"no-folder", "true", NULL},
};

static void test_bad_places(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(bad_places); i++) {
        g_autoptr(fixture) f = fixture_new();
        g_autofree char *before = run(f, bad_places[i].make);
        g_autofree char *tree = run(f, "ls -lA");
        (void)before;

        if (!bad_places[i].want) {
            CHECK_ERROR(export_to(f, "oci", "none/x"), COB_NOT_FOUND, "*open directory *none*");
        } else {
            CHECK_ERROR(export_to(f, "oci", "x"), COB_EXISTS, bad_places[i].want);
            g_assert_true(strstr(f->news->str, "exporting to oci image format: ERROR"));
        }
        check_run(f, "ls -lA", tree);
    }
    g_autoptr(fixture) f = fixture_new();
    const struct cob_exporter_part part = {
        .snapshot = f->top, .config = f->config, .platform = "linux/amd64"};
    const struct cob_exporter_result result = {
        .store = f->store, .parts = &part, .n_parts = 1, .observer = &f->observer};
    g_autoptr(cob_exporter_output) output = NULL;
    CHECK_OK(cob_exporter_output_parse("type=oci,dest=/dev/full", &output));
    CHECK_ERROR(cob_exporter_output_write(output, &result, NULL), COB_EXISTS, "*it is a device*");
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/exporters/output-forms", test_parse);
    g_test_add_func("/exporters/oci-is-the-same-twice", test_oci);
    g_test_add_func("/exporters/oci-as-a-folder", test_folder);
    g_test_add_func("/exporters/skopeo-and-umoci-read-it", test_judges);
    g_test_add_func("/exporters/tar-has-the-whole-root", test_tar);
    g_test_add_func("/exporters/local-stays-inside", test_local);
    g_test_add_func("/exporters/bad-places-stay-as-they-are", test_bad_places);
    return g_test_run();
}
