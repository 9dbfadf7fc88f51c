/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables of system calls that become seccomp filters while cob is built, so that nothing waits for
 * libseccomp at run time.
 *
 *     table.c + seccomp_compile.c  --meson-->  a program that prints the filter as a C string
 *
 * spec: OCI runtime-spec config-linux.md, "Seccomp", for the words; seccomp(2).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* A sanitizer asks the kernel for more on the side, and reserves terabytes. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COB_IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define COB_IS_SANITIZED 1
#endif
#endif

struct cob_seccomp_rule {
    const char *name, *action;
    unsigned index;       /* of the argument */
    const char *op;       /* NULL: whatever the arguments */
    uint64_t value;       /* the mask, for SCMP_CMP_MASKED_EQ */
    uint64_t masked;      /* what is left under the mask */
    unsigned errno_value; /* for SCMP_ACT_ERRNO */
};

struct cob_seccomp_table {
    bool kills; /* what is not allowed ends the process; else it is EPERM */
    const char *const *arches, *const *allowed; /* NULL-terminated */
    const struct cob_seccomp_rule *rules;       /* to a row without a name */
};

/* The one that a program is linked with. */
extern const struct cob_seccomp_table cob_seccomp_table;

/* sealed_table.c as a filter program, in base64. */
extern const char cob_sealed_program[];
