/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the executor share: the executor, one run of it, and who does what.
 *
 *     executor.c    the API; the thread of a step, and its order
 *     stepmounts.c  the step's mount namespace, the request's mounts
 *     etcfiles.c    the texts of hosts and resolv.conf
 *     bundle.c      config.json
 *     insecure.c    what a step has that is not kept in
 *     cgroups.c     cgroups of a step
 *     stepnet.c     the build's network namespace and its helper
 *     runtime.c     crun or runc: started, watched, its words
 *     relay.c       what a step prints, and its terminal
 */
#pragma once

#include <glib.h>
#include <jansson.h>

#include "build/emulation/emulation.h"
#include "build/executor/executor.h"
#include "build/rootfs/rootfs.h"
#include "util/cleanup.h"

#define COB_STEP_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct stepnet;

struct cob_executor {
    char *state_dir;
    char *runtime_wish, *network_wish;
    bool is_rootless;
    bool is_single_id; /* setgroups(2) is denied: no supplementary groups */
    int alive_fds[2];  /* a pipe that nobody writes: its end says that cob died */
    struct stepnet *net;
    struct cob_emulation *emulation;

    GMutex lock; /* guards what follows */
    char *runtime;
    bool is_runtime_proven; /* a step was started by it */
    unsigned n_cgroups_swept;
};

/* A mount on the tmpfs that the runtime makes of /dev: the runtime binds it. */
struct step_dev_mount {
    char *target, *source;
    bool is_readonly;
};

/* One run. Lives on the stack of cob_executor_run(). */
struct step {
    struct cob_executor *executor;
    const struct cob_executor_request *request;
    struct cob_cancel *cancel;
    char *id;
    int *source_fds; /* of each mount: a detached clone, or -1 */
    int root_clone_fd;
    int state_fd;  /* the tmpfs on state_dir */
    int rootfs_fd; /* the root, attached */
    struct cob_rootfs_identity identity;
    char *cwd;             /* in the root, without symlinks */
    GArray *stubs;         /* of struct cob_rootfs_made */
    GPtrArray *dev_mounts; /* of struct step_dev_mount, owned */
    struct step_cgroups *cgroups;
    int netns_fd;           /* borrowed from the network; -1 */
    int userns_fd;          /* borrowed from the emulation; -1: that of cob */
    const char *nameserver; /* borrowed */
    struct cob_error *err;
    struct cob_executor_outcome outcome;
};

/* Is the step in a user namespace? Then it makes no devices, and its runtime no cgroups. */
bool step_is_bare(const struct step *step);

/* stepmounts.c */

/* Clone the sources, in the mount namespace of the caller. */
COB_RESULT struct cob_error *stepmounts_clone_sources(struct step *step);
/* In the thread of the step: leave for a mount namespace of its own, and build what is in it. */
COB_RESULT struct cob_error *stepmounts_enter(struct step *step);
COB_RESULT struct cob_error *stepmounts_attach_all(struct step *step);
/* Let go of all mounts, so that nothing is mounted when the run returns. */
void stepmounts_leave(struct step *step);

/* etcfiles.c: the caller frees them */
char *etcfiles_hosts(const struct cob_executor_request *request);
char *etcfiles_resolv_conf(enum cob_executor_network network, const char *nameserver);

/* bundle.c: the caller's */
json_t *bundle_config(const struct step *step, const char *cgroups_path);

/* What is to be in the file; the caller unrefs it. */
GBytes *bundle_bytes(const json_t *config);

/* insecure.c: the caller's */
json_t *insecure_capabilities(void);
json_t *insecure_devices(void);

/* cgroups.c */
struct step_cgroups;
COB_RESULT struct cob_error *cgroups_new(struct step *step, struct step_cgroups **ret_cgroups);
/* In cgroup2, for a runtime that makes one. NULL: it cannot. */
const char *cgroups_path(const struct step_cgroups *cgroups);
/* Are devices filtered already, which a runtime would need a cgroup for? */
bool cgroups_filter_devices(const struct step_cgroups *cgroups);
const int *cgroups_join_fds(const struct step_cgroups *cgroups); /* -1 terminated: write "0" */
/* Did memory run out? To be asked when the step has ended. */
enum cob_executor_oom cgroups_oom(const struct step_cgroups *cgroups, int exit_code);
void cgroups_remove(struct step_cgroups *cgroups);

/* stepnet.c */
struct stepnet *stepnet_new(const char *wish);
void stepnet_free(struct stepnet *net); /* ends the helper */
void stepnet_start(struct stepnet *net);
/* ret_netns_fd, ret_nameserver: borrowed. */
COB_RESULT struct cob_error *stepnet_wait(
    struct stepnet *net, struct cob_cancel *cancel, int *ret_netns_fd, const char **ret_nameserver);

/* runtime.c */
COB_RESULT struct cob_error *runtime_run(struct step *step);

/* relay.c */
struct step_relay; /* the descriptors of one run */
enum relay_terminal {
    RELAY_TERMINAL_SENT,  /* the runtime makes it and sends it to relay_console() */
    RELAY_TERMINAL_GIVEN, /* the runtime gets one of ours as its own */
};
COB_RESULT struct cob_error *relay_new(
    const struct step *step, enum relay_terminal terminal, struct step_relay **ret_relay);
void relay_free(struct step_relay *relay);
COB_AUTOPTR(step_relay, relay_free)
int relay_child_fd(
    const struct step_relay *relay, int stream);           /* to be given to the runtime; 0: none */
const char *relay_console(const struct step_relay *relay); /* name in the state folder, or NULL */
void relay_close_child_fds(struct step_relay *relay);
/* Pass on what comes until the process has ended and all is said.
 * errors: COB_CANCELLED: the caller ends the process. */
COB_RESULT struct cob_error *relay_until_end(
    struct step_relay *relay, int process_fd, struct cob_cancel *cancel);
