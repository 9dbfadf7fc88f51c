/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A step without a sandbox: RUN --security=insecure.
 * spec: BuildKit util/entitlements/security/security_linux.go, WithInsecureSpec.
 */
#include <fcntl.h>
#include <linux/loop.h>
#include <string.h>
#include <sys/ioctl.h>

#include "build/executor/step.h"

#define N_SPARE_LOOPS 8
#define MAX_LOOPS 256

/* In the order of their numbers.
 * spec: linux/capability.h */
static const char *const names[] = {"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID",
    "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST",
    "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT",
    "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME",
    "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE",
    "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE"};

/* Those that cob has itself, as bits. */
static guint64 own_capabilities(void)
{
    g_autofree char *text = NULL;
    guint64 bits = 0;

    g_file_get_contents("/proc/self/status", &text, NULL, NULL);
    const char *line = text ? strstr(text, "\nCapEff:\t") : NULL;
    if (line) {
        g_autofree char *number = g_strndup(line + strlen("\nCapEff:\t"), 16);
        g_ascii_string_to_unsigned(number, 16, 0, G_MAXUINT64, &bits, NULL);
    }
    return bits;
}

json_t *insecure_capabilities(void)
{
    guint64 bits = own_capabilities();
    json_t *array = json_array();

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        if (bits >> i & 1)
            json_array_append_new(array, json_sprintf("CAP_%s", names[i]));
    }
    return array;
}

static void add_device(json_t *array, const char *path, const char *type, int major, int minor)
{
    json_array_append_new(array, json_pack("{s:s, s:s, s:i, s:i}", "path", path, "type", type,
                                     "major", major, "minor", minor));
}

static int first_free_loop(void)
{
    cob_autoclose int fd = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

    return fd < 0 ? 0 : CLAMP(ioctl(fd, LOOP_CTL_GET_FREE), 0, MAX_LOOPS);
}

json_t *insecure_devices(void)
{
    static const struct {
        const char *path;
        int major, minor;
    } devices[] = {{"/dev/kmsg", 1, 11}, {"/dev/cuse", 10, 203}, {"/dev/fuse", 10, 229},
        {"/dev/kvm", 10, 232}, {"/dev/net/tun", 10, 200}, {"/dev/loop-control", 10, 237}};
    json_t *array = json_array();
    const int n_loops = first_free_loop() + N_SPARE_LOOPS;

    for (size_t i = 0; i < G_N_ELEMENTS(devices); i++)
        add_device(array, devices[i].path, "c", devices[i].major, devices[i].minor);
    for (int i = 0; i < n_loops; i++) {
        g_autofree char *path = g_strdup_printf("/dev/loop%d", i);

        add_device(array, path, "b", 7, i);
    }
    return array;
}
