/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running one process in a sandbox: a RUN step, or `cob run`.
 *
 * The root file system and everything mounted into it come as descriptors. A step is a thread of
 * cob in a mount namespace of its own, which nobody else sees and which goes with it:
 *
 *     <state>               a tmpfs, in the step's mount namespace only
 *       bundle/config.json  what the OCI runtime is told
 *       bundle/rootfs/      the root, with the request's mounts on it
 *       files/              hosts, resolv.conf; secrets/ is a second tmpfs
 *       run/                the runtime's own state
 *     /proc                 the pid namespace's, whose first process is the runtime
 *     /sys/fs/cgroup        cgroup2 alone, also where the machine has both kinds
 *
 * The runtime (crun, else runc) is the first process of a pid namespace and dies with cob, so all
 * that a step started dies with it, whatever it ignores. Paths of an image are walked by cob one
 * component at a time, on descriptors, within the root; the runtime gets no mount with a path that
 * an image could bend. Mount points that had to be made are taken away again after the run, and
 * their parents' times restored.
 *
 * Network: one network namespace for all steps of an executor, made for the first that needs it,
 * with slirp4netns or pasta as the way out; the host's loopback cannot be reached. Never the host's
 * own network, unless asked for.
 *
 * Programs of another platform run as build/emulation says, if need be in a user namespace where
 * every id is itself. There the step makes no devices, and has no /sys but with a network of its
 * own.
 *
 * threads:  any number of cob_executor_run() at the same time on one executor.
 * spec:     OCI runtime-spec 1.0; BuildKit executor/oci; the defaults are listed in bundle.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "util/cancel.h"

/* The executor of one build. Zero and NULL mean: default. */
struct cob_executor_config {
    const char *state_dir; /* absolute path of an empty 0700 folder of this process */
    const char *runtime;   /* "crun", "runc" or a path; NULL: crun, else runc, found by trying */
    const char *network;   /* "slirp4netns", "pasta"; NULL: the first that is installed */
    bool is_rootless;      /* in a user namespace, by cob_userns_enter(): no cgroups, no mknod */
};

struct cob_executor;

/* Starts nothing yet. The calling process is in a mount namespace of its own already
 * (cob_userns_enter(), cob_userns_enter_mounts()). */
COB_RESULT struct cob_error *cob_executor_new(
    const struct cob_executor_config *config, struct cob_executor **ret_executor);

/* Ends the network helper. No run may be going on. */
void cob_executor_free(struct cob_executor *executor);
COB_AUTOPTR(cob_executor, cob_executor_free)

enum cob_executor_network {
    COB_EXECUTOR_NETWORK_DEFAULT = 0, /* the build's own namespace, with a way out */
    COB_EXECUTOR_NETWORK_NONE = 1,    /* loopback only */
    COB_EXECUTOR_NETWORK_HOST = 2,    /* the host's: the caller has checked that it is allowed */
};

enum cob_executor_mount_kind {
    COB_EXECUTOR_MOUNT_BIND,
    COB_EXECUTOR_MOUNT_TMPFS,
    COB_EXECUTOR_MOUNT_SECRET,
};

/* Mounts are made in the order given: sort them by target, so that none hides another. */
struct cob_executor_mount {
    enum cob_executor_mount_kind kind;
    const char *target; /* absolute in the root; not /proc, /sys, /dev or below (but /dev/shm) */
    bool is_readonly;
    /* BIND */
    int source_fd;      /* a detached mount, a directory or a file; borrowed, O_PATH will do */
    const char *source; /* what of it, walked in it as the root; NULL: all */
    /* TMPFS */
    uint64_t size_bytes; /* 0: no limit of its own */
    /* SECRET; uid and gid as the step sees them */
    GBytes *secret; /* borrowed */
    mode_t mode;    /* as it is: 0 is a secret that only root can read */
    uid_t uid;
    gid_t gid;
};

struct cob_executor_host {
    const char *name, *address;
};

/* Of "nofile", "core", ...; -1: none. */
struct cob_executor_ulimit {
    const char *name;
    int64_t soft, hard;
};

/* What to run. Zero and NULL mean: default, also for the descriptors. */
struct cob_executor_request {
    int root_fd;           /* a detached mount; borrowed, but good for one run only */
    bool is_root_readonly; /* for the step; mount points are still made */
    const char *platform;  /* of its programs, "linux/arm64"; NULL: this machine's */
    const char *const *args;
    const char *const *env; /* NULL-terminated "NAME=value", given to the process as they are */
    const char *cwd;        /* absolute; made where it is missing. NULL: / */
    const char *user;       /* USER: "name|uid[:group|gid]"; NULL or "": root */
    const char *hostname;   /* NULL: buildkitsandbox */
    enum cob_executor_network network;
    /* No sandbox but the namespaces: all capabilities of cob, no filter of system calls, no masks,
     * devices, /sys and cgroups to be written to. The caller has checked that it is allowed. */
    bool is_insecure;
    const char *cgroup_parent; /* where the cgroup of the step is made; NULL: at the top */
    const struct cob_executor_ulimit *ulimits; /* instead of the default for their names */
    size_t n_ulimits;
    const struct cob_executor_host *extra_hosts; /* for /etc/hosts */
    size_t n_extra_hosts;
    const struct cob_executor_mount *mounts;
    size_t n_mounts;

    /* Where its output goes: to log() in pieces as they come, stream 1 or 2, from one thread of
     * the executor's at a time; without log(), to the descriptors. Borrowed; 0: /dev/null. */
    void (*log)(void *arg, int stream, const void *data, size_t len);
    void *log_arg;
    int stdin_fd, stdout_fd, stderr_fd;

    /* The process gets a terminal of its own; what is typed comes from stdin_fd, what it shows goes
     * to stdout_fd (or log()), byte by byte. The caller makes its own terminal raw. */
    bool is_terminal;
    int resize_fd; /* 0: none. An eventfd: stdin_fd's terminal has changed its size */
};

/* Did the kernel end a process of the step for want of memory? */
enum cob_executor_oom {
    COB_EXECUTOR_OOM_NONE = 0,
    COB_EXECUTOR_OOM_LIKELY,  /* one of the machine's, while the step ran that then was killed */
    COB_EXECUTOR_OOM_CERTAIN, /* one of the step's: its cgroup has counted it */
};

struct cob_executor_outcome {
    int exit_code; /* 0..255; 128 + the signal that ended it */
    enum cob_executor_oom oom;
};

/*
 * Run a process to its end; nothing of it is left then, whatever became of it.
 *
 * errors:         COB_CANCELLED; COB_INVALID: user, mounts or cwd that cannot be had in this root;
 *                 COB_NOT_FOUND: args[0] is not in it; COB_PRECONDITION: something must be
 *                 installed or allowed, also an emulator for the platform; the text says what.
 */
COB_RESULT struct cob_error *cob_executor_run(struct cob_executor *executor,
    const struct cob_executor_request *request, struct cob_cancel *cancel,
    struct cob_executor_outcome *ret_outcome);
