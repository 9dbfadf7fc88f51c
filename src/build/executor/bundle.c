/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.json: what a step may do and see.
 *
 *     capabilities   docker's fourteen, bounding = effective = permitted; none inheritable
 *     seccomp        seccomp_table.c
 *     /              without devices, whatever the image has
 *     /proc /dev     the runtime's, fresh; /sys and cgroups read-only
 *     masked paths   BuildKit's and podman's together
 *     --security=insecure: insecure.c, and none of the filters
 *     limits         1024 (soft) open files, no core dumps
 *     namespaces     pid, ipc, uts, mount, cgroup; the network's is entered before the runtime runs
 *
 * Nothing in it comes from an image's labels or annotations.
 *
 * spec: OCI runtime-spec config.md, config-linux.md; BuildKit executor/oci/spec.go.
 */
#include <string.h>
#include <sys/resource.h>

#include "build/executor/seccomp_table.h"
#include "build/executor/step.h"
#include "util/json.h"

#define OPEN_FILES_SOFT 1024
#define OPEN_FILES_HARD 1048576
#define OOM_SCORE_STEP 500
#define MAX_CPUS 4096

static const char *const capabilities[] = {"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID",
    "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID", "CAP_SETFCAP",
    "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE", NULL};

static const char *const masked_paths[] = {"/proc/acpi", "/proc/asound", "/proc/interrupts",
    "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi",
    "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware",
    "/sys/fs/selinux", NULL};

static const char *const readonly_paths[] = {
    "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", NULL};

/* Which steps get one: a mount of /sys shows the network namespace, so it takes being its owner. */
enum when { ALWAYS, WITH_OWN_NETWORK, WITH_CGROUPS };

struct own_mount {
    const char *target, *type, *options; /* options: comma-separated */
    enum when when;
};

static const struct own_mount own_mounts[] = {
    {"/proc", "proc", "nosuid,noexec,nodev", ALWAYS},
    {"/dev", "tmpfs", "nosuid,noexec,strictatime,mode=755,size=65536k", ALWAYS},
    {"/dev/pts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5", ALWAYS},
    {"/dev/shm", "tmpfs", "nosuid,noexec,nodev,mode=1777,size=65536k", ALWAYS},
    {"/dev/mqueue", "mqueue", "nosuid,noexec,nodev", ALWAYS},
    {"/sys", "sysfs", "nosuid,noexec,nodev,ro", WITH_OWN_NETWORK},
    {"/sys/fs/cgroup", "cgroup", "ro,nosuid,noexec,nodev", WITH_CGROUPS},
};

static json_t *text_array(const char *const *texts)
{
    json_t *array = json_array();

    for (; *texts; texts++)
        json_array_append_new(array, json_string(*texts));
    return array;
}

/* What a user or an image gave may be no UTF-8; JSON cannot say that. */
static json_t *outside_text(const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);

    return json_string(valid);
}

static json_t *outside_array(const char *const *texts)
{
    json_t *array = json_array();

    for (; texts && *texts; texts++)
        json_array_append_new(array, outside_text(*texts));
    return array;
}

static json_t *user(const struct step *step)
{
    const struct cob_rootfs_identity *identity = &step->identity;
    json_t *groups = json_array();

    for (guint i = 0; i < identity->groups->len && !step->executor->is_single_id; i++)
        json_array_append_new(groups, json_integer(g_array_index(identity->groups, uint32_t, i)));
    return json_pack("{s:I, s:I, s:o}", "uid", (json_int_t)identity->uid, "gid",
        (json_int_t)identity->gid, "additionalGids", groups);
}

/* A hard limit can be raised by a privileged process only: where we may raise ours, the runtime may
 * raise the step's. */
static rlim_t hard_open_files(void)
{
    struct rlimit files = {.rlim_cur = OPEN_FILES_SOFT, .rlim_max = OPEN_FILES_SOFT};

    getrlimit(RLIMIT_NOFILE, &files);
    struct rlimit more = {.rlim_cur = files.rlim_cur, .rlim_max = OPEN_FILES_HARD};
    if (files.rlim_max < OPEN_FILES_HARD && setrlimit(RLIMIT_NOFILE, &more) == 0)
        files = more;
    return MIN(files.rlim_max, OPEN_FILES_HARD);
}

/* A limit that is none is 2^64-1 in a config.json. What writes the JSON ends at 2^63-1, so that
 * stands for it until bundle_bytes(). */
static void set_limit(json_t *limits, const char *name, int64_t soft, int64_t hard)
{
    g_autofree char *upper = g_ascii_strup(name, -1);
    g_autofree char *type = g_strconcat("RLIMIT_", upper, NULL);

    json_object_set_new(limits, type,
        json_pack("{s:s, s:I, s:I}", "type", type, "hard",
            (json_int_t)(hard < 0 ? G_MAXINT64 : hard), "soft",
            (json_int_t)(soft < 0 ? G_MAXINT64 : soft)));
}

static json_t *rlimits(const struct cob_executor_request *request)
{
    json_t *limits = json_object(), *array = json_array(), *limit;
    int64_t files = (int64_t)hard_open_files();
    const char *type;

    set_limit(limits, "nofile", MIN(files, OPEN_FILES_SOFT), files);
    set_limit(limits, "core", 0, 0);
    for (size_t i = 0; i < request->n_ulimits; i++)
        set_limit(
            limits, request->ulimits[i].name, request->ulimits[i].soft, request->ulimits[i].hard);
    json_object_foreach(limits, type, limit) json_array_append(array, limit);
    json_decref(limits);
    return array;
}

static int oom_score(void)
{
    g_autofree char *text = NULL;
    gint64 own = 0;

    if (g_file_get_contents("/proc/self/oom_score_adj", &text, NULL, NULL))
        g_ascii_string_to_signed(g_strstrip(text), 10, -1000, 1000, &own, NULL);
    return (int)MIN(own + OOM_SCORE_STEP, 1000);
}

static json_t *capability_sets(bool is_insecure)
{
    static const char *const always[] = {"bounding", "effective", "permitted", NULL};
    static const char *const all[] = {
        "bounding", "effective", "permitted", "inheritable", "ambient", NULL};
    json_t *sets = json_object();
    json_auto_t *names = is_insecure ? insecure_capabilities() : text_array(capabilities);

    for (const char *const *set = is_insecure ? all : always; *set; set++)
        json_object_set(sets, *set, names);
    return sets;
}

static json_t *process(const struct step *step)
{
    const struct cob_executor_request *request = step->request;

    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:b, s:b, s:i, s:o}", "user", user(step), "args",
        outside_array(request->args), "env", outside_array(request->env), "cwd",
        outside_text(step->cwd), "rlimits", rlimits(request), "noNewPrivileges", 0, "terminal",
        (int)request->is_terminal, "oomScoreAdj", oom_score(), "capabilities",
        capability_sets(request->is_insecure));
}

static bool is_wanted(const struct step *step, const struct own_mount *mount)
{
    const enum cob_executor_network network = step->request->network;

    switch (mount->when) {
    case ALWAYS:
        break;
    case WITH_OWN_NETWORK:
        if (step->userns_fd >= 0) /* the build's belongs to the user namespace around it */
            return network == COB_EXECUTOR_NETWORK_NONE;
        return !step_is_bare(step) || network != COB_EXECUTOR_NETWORK_HOST;
    case WITH_CGROUPS:
        return !step_is_bare(step);
    }
    for (guint i = 0; i < step->dev_mounts->len; i++) {
        const struct step_dev_mount *given = g_ptr_array_index(step->dev_mounts, i);
        if (strcmp(given->target, mount->target) == 0)
            return false;
    }
    return true;
}

/* Without privilege outside of a user namespace there are none to be had. */
static bool may_have_devices(const struct step *step)
{
    return step->request->is_insecure && !step_is_bare(step);
}

/* The root is mounted without devices already, but runtimes forget that: crun when it binds the
 * root once more, both when they are to make it read-only. Said again, as a mount of its own. crun
 * takes "/." for the root, not "/". */
static json_t *root_flags(const struct step *step)
{
    return json_pack("{s:s, s:s, s:s, s:[s, s, s, s]}", "destination", "/.", "type", "bind",
        "source", "/", "options", "bind", "remount", may_have_devices(step) ? "dev" : "nodev",
        step->request->is_root_readonly ? "ro" : "rw");
}

/* Of an insecure step, /sys and the cgroups are writable. */
static void make_writable(char **options)
{
    for (; *options; options++) {
        if (strcmp(*options, "ro") == 0)
            memcpy(*options, "rw", strlen("rw"));
    }
}

static json_t *mounts(const struct step *step)
{
    json_t *array = json_array();

    json_array_append_new(array, root_flags(step));
    for (size_t i = 0; i < G_N_ELEMENTS(own_mounts); i++) {
        g_auto(GStrv) options = g_strsplit(own_mounts[i].options, ",", -1);

        if (!is_wanted(step, &own_mounts[i]))
            continue;
        if (step->executor->is_single_id && strcmp(own_mounts[i].type, "devpts") == 0)
            g_clear_pointer(&options[5], g_free); /* no group 5 there */
        if (step->request->is_insecure)
            make_writable(options);
        json_array_append_new(
            array, json_pack("{s:s, s:s, s:s, s:o}", "destination", own_mounts[i].target, "type",
                       own_mounts[i].type, "source", own_mounts[i].type, "options",
                       text_array((const char *const *)options)));
    }
    for (guint i = 0; i < step->dev_mounts->len; i++) {
        const struct step_dev_mount *mount = g_ptr_array_index(step->dev_mounts, i);

        json_array_append_new(
            array, json_pack("{s:s, s:s, s:s, s:[s, s, s]}", "destination", mount->target, "type",
                       "bind", "source", mount->source, "options", "rbind", "nodev",
                       mount->is_readonly ? "ro" : "rw"));
    }
    return array;
}

static json_t *namespaces(const struct step *step)
{
    static const char *const always[] = {"pid", "ipc", "uts", "mount", "cgroup"};
    json_t *array = json_array();

    for (size_t i = 0; i < G_N_ELEMENTS(always); i++)
        json_array_append_new(array, json_pack("{s:s}", "type", always[i]));
    if (step->request->network == COB_EXECUTOR_NETWORK_NONE)
        json_array_append_new(array, json_pack("{s:s}", "type", "network"));
    return array;
}

static json_t *seccomp_rule(const struct cob_seccomp_rule *rule)
{
    json_t *object = json_pack("{s:[s], s:s}", "names", rule->name, "action", rule->action);

    if (rule->op)
        json_object_set_new(object, "args",
            json_pack("[{s:i, s:s, s:I, s:I}]", "index", rule->index, "op", rule->op, "value",
                (json_int_t)rule->value, "valueTwo", (json_int_t)rule->masked));
    if (rule->errno_value)
        json_object_set_new(object, "errnoRet", json_integer(rule->errno_value));
    return object;
}

static json_t *seccomp(void)
{
    json_t *calls = json_pack(
        "[{s:o, s:s}]", "names", text_array(cob_seccomp_allowed), "action", "SCMP_ACT_ALLOW");

    for (const struct cob_seccomp_rule *rule = cob_seccomp_rules; rule->name; rule++)
        json_array_append_new(calls, seccomp_rule(rule));
    return json_pack("{s:s, s:i, s:o, s:o}", "defaultAction", "SCMP_ACT_ERRNO", "defaultErrnoRet",
        1, "architectures", text_array(cob_seccomp_arches), "syscalls", calls);
}

/* Also what tells of the heat of each processor: a side channel, says podman. */
static json_t *masked(void)
{
    json_t *paths = text_array(masked_paths);

    for (int i = 0; i < MAX_CPUS; i++) {
        g_autofree char *cpu = g_strdup_printf("/sys/devices/system/cpu/cpu%d", i);
        g_autofree char *path = g_build_filename(cpu, "thermal_throttle", NULL);

        if (access(cpu, F_OK) < 0)
            break;
        if (access(path, F_OK) == 0)
            json_array_append_new(paths, json_string(path));
    }
    return paths;
}

/* Nothing is a device of a step but what the runtime makes itself; to an insecure one, all are. */
static json_t *resources(bool is_insecure)
{
    return json_pack("{s:[{s:b, s:s}]}", "devices", "allow", (int)is_insecure, "access", "rwm");
}

/* What keeps a step in. */
static void add_walls(json_t *part)
{
    json_object_set_new(part, "seccomp", seccomp());
    json_object_set_new(part, "maskedPaths", masked());
    json_object_set_new(part, "readonlyPaths", text_array(readonly_paths));
}

static json_t *linux_part(const struct step *step, const char *cgroups_path)
{
    const bool is_insecure = step->request->is_insecure;
    json_t *part = json_pack("{s:o}", "namespaces", namespaces(step));

    if (!is_insecure)
        add_walls(part);
    if (may_have_devices(step))
        json_object_set_new(part, "devices", insecure_devices());
    if (cgroups_path) {
        json_object_set_new(part, "cgroupsPath", json_string(cgroups_path));
        json_object_set_new(part, "resources", resources(is_insecure));
    }
    return part;
}

/* The limits are all that has the key of the first line: in a text the quotes would be escaped. */
GBytes *bundle_bytes(const json_t *config)
{
    static const char key[] = "\"rlimits\":[", largest[] = "9223372036854775807",
                      unlimited[] = "18446744073709551615";
    g_autoptr(GBytes) bytes = cob_json_bytes(config);
    gsize len;
    const char *data = g_bytes_get_data(bytes, &len);
    const char *begin = g_strstr_len(data, (gssize)len, key);
    const char *end = begin ? memchr(begin, ']', len - (gsize)(begin - data)) : NULL;

    if (!end)
        return g_steal_pointer(&bytes);
    g_autoptr(GString) limits = g_string_new_len(begin, end - begin);
    g_string_replace(limits, largest, unlimited, 0);
    GString *all = g_string_new_len(data, begin - data);
    g_string_append_len(all, limits->str, (gssize)limits->len);
    g_string_append_len(all, end, (gssize)len - (end - data));
    return g_string_free_to_bytes(all);
}

json_t *bundle_config(const struct step *step, const char *cgroups_path)
{
    const char *hostname = step->request->hostname;
    json_t *config = json_pack("{s:s, s:o, s:{s:s}, s:o, s:o, s:o}", "ociVersion", "1.0.2",
        "process", process(step), "root", "path", "rootfs", "hostname",
        outside_text(hostname ? hostname : "buildkitsandbox"), "mounts", mounts(step), "linux",
        linux_part(step, cgroups_path));

    /* crun takes this in place of linux.seccomp, which says the same and is there for the rest. */
    if (!step->request->is_insecure)
        json_object_set_new(config, "annotations",
            json_pack("{s:s}", "run.oci.seccomp_bpf_data", cob_seccomp_program));
    return config;
}
