/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the history keeps of a build beside its events.
 */
#pragma once

#include <jansson.h>

#include "build/engine/engine.h"

/*
 * The request, for cob_history_begin(); the caller decrefs it. Members that say nothing are left
 * out:
 *
 *     name, context (of a directory its whole path: is_dir), cwd, dockerfile, target, platforms[],
 *     tags[], labels{}, contexts{}, args{name: value, or null of a secret}, no_cache,
 *     no_cache_filter[], pull, ulimit, shm_size, cgroup_parent, network, extra_hosts[]
 */
json_t *record_about(const struct cob_engine_request *request);

struct cob_history_writer;

/* Keep the values of build arguments that are secrets out of what is recorded of steps, whose names
 * have them in place of the arguments. */
void record_hide(const struct cob_engine_request *request, struct cob_history_writer *writer);

/* What came of it: image_id, names. The caller decrefs it. */
json_t *record_result(const struct cob_engine_result *result);
