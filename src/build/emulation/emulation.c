/* SPDX-License-Identifier: Apache-2.0 */
#include "build/emulation/emulation.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "build/emulation/emulation_parts.h"
#include "spec/ref/ref.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/limits.h"
#include "util/log.h"
#include "util/process.h"
#include "util/tree.h"

#define PROBE_TIMEOUT_US (10 * INT64_C(1000000))
#define BUSY_TRIES 100
#define BUSY_WAIT_US 2000

/* How programs of an architecture are run. */
enum way { WAY_NONE, WAY_ANYWHERE, WAY_IN_NAMESPACE };

/* What was found out about one. */
struct finding {
    enum way way;
    int userns_fd, mntns_fd; /* of WAY_IN_NAMESPACE; else -1 */
    char *reason;            /* of WAY_NONE: why an emulator that is there does not help; NULL */
};

struct cob_emulation {
    char *scratch_dir;
    GMutex lock;          /* guards findings */
    GHashTable *findings; /* arch -> struct finding, owned */
};

static void finding_free(void *data)
{
    struct finding *finding = data;

    cob_closep(&finding->userns_fd);
    cob_closep(&finding->mntns_fd);
    g_free(finding->reason);
    g_free(finding);
}

struct cob_emulation *cob_emulation_new(const char *scratch_dir)
{
    struct cob_emulation *emulation = g_new(struct cob_emulation, 1);

    *emulation = (struct cob_emulation){.scratch_dir = g_strdup(scratch_dir),
        .findings = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, finding_free)};
    g_mutex_init(&emulation->lock);
    return emulation;
}

void cob_emulation_free(struct cob_emulation *emulation)
{
    if (!emulation)
        return;
    g_hash_table_unref(emulation->findings);
    g_mutex_clear(&emulation->lock);
    g_free(emulation->scratch_dir);
    g_free(emulation);
}

/* --- does it run? --- */

struct probe {
    const char *scratch_dir;
    const char *root; /* below it, with the probe in it; gone afterwards */
    int userns_fd;    /* -1: stay */
};

/* spec: only async-signal-safe calls, see util/process.h. */
static int enter_probe(void *arg)
{
    const struct probe *probe = arg;

    if (probe->userns_fd >= 0 && setns(probe->userns_fd, CLONE_NEWUSER) < 0)
        return errno;
    return chroot(probe->root) < 0 || chdir("/") < 0 ? errno : 0;
}

/* A child that another thread forks a moment before holds what was written open, until its exec:
 * then the kernel will not run it yet. */
static struct cob_error *run_probe(
    struct probe *probe, struct cob_cancel *cancel, struct cob_process_output *output)
{
    static const char *const argv[] = {"/probe", NULL};
    const struct cob_process_request request = {
        .argv = argv, .timeout_us = PROBE_TIMEOUT_US, .in_child = enter_probe, .arg = probe};
    struct cob_error *err = NULL;

    for (int i = 0; i < BUSY_TRIES; i++) {
        err = cob_process_run(&request, NULL, COB_KIB, cancel, output);
        if (!err || cob_error_errno(err) != ETXTBSY)
            break;
        g_usleep(BUSY_WAIT_US);
        if (i + 1 < BUSY_TRIES)
            cob_error_free(g_steal_pointer(&err));
    }
    return err;
}

static bool does_run(struct probe *probe, struct cob_cancel *cancel)
{
    struct cob_process_output output = {0};
    g_autoptr(cob_error) err = run_probe(probe, cancel, &output);

    g_clear_pointer(&output.out, g_bytes_unref);
    g_clear_pointer(&output.err, g_bytes_unref);
    return !err && output.status == 0;
}

static struct cob_error *write_probe(const struct emulation_machine *machine, const char *root)
{
    g_autoptr(GBytes) program = emulation_probe(machine);
    cob_autoclose int root_fd = -1;

    COB_TRY(cob_fs_make_dirs(AT_FDCWD, root, 0755, &root_fd));
    return cob_fs_replace_file(
        root_fd, "probe", 0755, g_bytes_get_data(program, NULL), g_bytes_get_size(program));
}

/* --- how it is made to run --- */

/* A namespace where this architecture alone is emulated: a rule catches what the processor could
 * run, too. */
static void find_in_namespace(const struct emulation_machine *machine, struct probe *probe,
    struct cob_cancel *cancel, struct finding *finding)
{
    g_autofree char *emulator = g_find_program_in_path(machine->emulator);

    if (!emulator)
        return;
    g_autofree char *rule = emulation_rule(machine, emulator);
    g_autoptr(cob_error) err = emulation_namespace(
        rule, probe->scratch_dir, cancel, &finding->userns_fd, &finding->mntns_fd);
    if (err) {
        finding->reason = cob_error_message(err);
        return;
    }
    probe->userns_fd = finding->userns_fd;
    if (does_run(probe, cancel))
        finding->way = WAY_IN_NAMESPACE;
    else
        finding->reason = g_strdup_printf("%s does not run there", emulator);
}

static struct finding *find(
    const struct emulation_machine *machine, struct probe *probe, struct cob_cancel *cancel)
{
    struct finding *finding = g_new(struct finding, 1);

    *finding = (struct finding){.way = WAY_NONE, .userns_fd = -1, .mntns_fd = -1};
    if (does_run(probe, cancel))
        finding->way = WAY_ANYWHERE;
    else
        find_in_namespace(machine, probe, cancel, finding);
    cob_trace(1, "programs of %s: way %d", machine->arch, (int)finding->way);
    return finding;
}

/* ret_finding: borrowed. */
static struct cob_error *look_up_locked(struct cob_emulation *emulation,
    const struct emulation_machine *machine, struct cob_cancel *cancel,
    const struct finding **ret_finding)
{
    struct finding *finding = g_hash_table_lookup(emulation->findings, machine->arch);

    if (!finding) {
        g_autofree char *name = g_strconcat("probe-", machine->arch, NULL);
        g_autofree char *root = g_build_filename(emulation->scratch_dir, name, NULL);
        struct probe probe = {.scratch_dir = emulation->scratch_dir, .root = root, .userns_fd = -1};
        struct cob_error *err =
            cob_wrap(write_probe(machine, root), "try a program of %s", machine->arch);

        if (!err)
            finding = find(machine, &probe, cancel);
        cob_error_free(cob_tree_remove(AT_FDCWD, root));
        if (!err)
            err = cob_cancel_check(cancel); /* a try that was stopped says nothing */
        if (err) {
            g_clear_pointer(&finding, finding_free);
            return err;
        }
        g_hash_table_insert(emulation->findings, (void *)(uintptr_t)machine->arch, finding);
    }
    *ret_finding = finding;
    return NULL;
}

/* --- the platform --- */

static const struct emulation_machine *find_machine(const char *arch)
{
    for (const struct emulation_machine *machine = emulation_machines; machine->arch; machine++) {
        if (strcmp(machine->arch, arch) == 0)
            return machine;
    }
    return NULL;
}

static struct cob_error *fail_for(const char *platform, const char *reason)
{
    if (!reason)
        return cob_fail(COB_PRECONDITION,
            "this machine cannot run programs of %s: install an emulator (Debian: apt install "
            "qemu-user-static binfmt-support)",
            platform);
    return cob_fail(COB_PRECONDITION,
        "this machine cannot run programs of %s: an emulator is installed, but the kernel was not "
        "told (Debian: apt install binfmt-support), and cob cannot: %s",
        platform, reason);
}

static struct cob_error *prepare_locked(struct cob_emulation *emulation, const char *platform,
    const struct emulation_machine *machine, struct cob_cancel *cancel, int *ret_userns_fd)
{
    const struct finding *finding = NULL;

    COB_TRY(look_up_locked(emulation, machine, cancel, &finding));
    if (finding->way == WAY_NONE)
        return fail_for(platform, finding->reason);
    *ret_userns_fd = finding->way == WAY_IN_NAMESPACE ? finding->userns_fd : -1;
    return NULL;
}

struct cob_error *cob_emulation_prepare(struct cob_emulation *emulation, const char *platform,
    struct cob_cancel *cancel, int *ret_userns_fd)
{
    struct utsname names;

    uname(&names);
    g_autoptr(cob_platform) host = cob_platform_of_machine(names.machine);
    g_autoptr(cob_platform) wanted = NULL;
    if (platform)
        COB_TRY(cob_platform_parse(platform, host, &wanted));
    *ret_userns_fd = -1;
    if (!wanted || (strcmp(wanted->os, host->os) == 0 && strcmp(wanted->arch, host->arch) == 0))
        return NULL;
    const struct emulation_machine *machine = find_machine(wanted->arch);
    if (strcmp(wanted->os, host->os) != 0 || !machine)
        return cob_fail(COB_PRECONDITION,
            "this machine cannot run programs of %s, and no emulator does", platform);
    g_mutex_lock(&emulation->lock);
    struct cob_error *err = prepare_locked(emulation, platform, machine, cancel, ret_userns_fd);
    g_mutex_unlock(&emulation->lock);
    return err;
}
