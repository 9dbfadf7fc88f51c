/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls that cob stands on and that a kernel, or a filter around cob, may lack. They are
 * asked for when something has failed, not before: docs/kernel-support.md says who needs what.
 *
 * threads:  any.
 */
#pragma once

#include "util/error.h"

/* Say in front of an error which system calls are missing, if that may be its reason.
 * err: taken; not NULL. */
COB_RESULT struct cob_error *cob_kernel_explain(struct cob_error *err);

/* errors: no thread can be made, where the C library would not say so but end the program. */
COB_RESULT struct cob_error *cob_kernel_check_threads(void);
