/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of lang/llb share: ops before they are bytes, and after.
 */
#pragma once

#include "lang/llb/llb.h"

/* A vertex of a builder. */
struct llb_built {
    struct cob_llb_op *op;
    GArray *inputs; /* struct cob_llb_ref */
};

struct cob_llb_builder {
    char *os, *architecture, *variant, *os_version;
    GPtrArray *built;      /* struct llb_built, owned */
    GHashTable *by_digest; /* digest, borrowed -> number + 1 */
    GPtrArray *files;      /* struct cob_srcfile, owned */
};

/* An op in the making, every text and list in it allocated. */
struct llb_draft {
    struct cob_llb_builder *builder;
    Pb__Op *op;
    GArray *inputs; /* struct cob_llb_ref */
};

/* Begin an op. */
struct llb_draft llb_draft_begin(struct cob_llb_builder *builder);

/* The index of an input: an equal one that is there, else a new one; -1 for scratch. */
int64_t llb_draft_input(struct llb_draft *draft, struct cob_llb_ref ref);

/* The same, always a new one; not for scratch. */
int64_t llb_draft_new_input(struct llb_draft *draft, struct cob_llb_ref ref);

/* Give the op its platform. NULL: the builder's. */
void llb_draft_set_platform(struct llb_draft *draft, const struct cob_llb_platform *platform);

/* Turn the op into bytes, and into a vertex, unless it is one already. Frees what the draft holds.
 * Returns the number of the vertex. */
int llb_draft_end(struct llb_draft *draft, const struct cob_llb_about *about);

/* Set a text of a message that has just been initialised. NULL: leave it. */
void llb_set_text(char **field, const char *text);

/* Set a repeated text from a list that ends with NULL, or is NULL. */
void llb_set_list(char ***field, size_t *n_field, const char *const *list);

/* An op without a name yet. bytes: taken. */
struct cob_llb_op *llb_op_new(GBytes *bytes);
struct cob_llb_op *llb_op_copy(const struct cob_llb_op *op);
void llb_op_free(struct cob_llb_op *op);

/* An allocator that gives out so much, and then no more. */
struct llb_budget {
    ProtobufCAllocator allocator;
    size_t left_bytes;
};
void llb_budget_init(struct llb_budget *budget, size_t message_bytes);

/* Decode the bytes of an op; the caller frees it by pb__op__free_unpacked().
 * errors: COB_INVALID, COB_EXHAUSTED. */
COB_RESULT struct cob_error *llb_op_decode(GBytes *bytes, Pb__Op **ret_op);

/* Check one op by itself: everything but that its inputs are there.
 * ret_n_outputs: how many outputs it has. */
COB_RESULT struct cob_error *llb_op_check(const Pb__Op *op, int *ret_n_outputs);

/* What an op is called when nobody gave it a name. names: of its inputs. The caller frees it. */
char *llb_op_name(const Pb__Op *op, const char *const *names);

/* --- llb_fields.c: messages by the descriptors that protobuf-c makes --- */

/* What lies at an offset of a message: a field, or how many a repeated one has. */
const void *llb_field_at(const ProtobufCMessage *message, unsigned offset);

/* What one value of a type takes in a message, in bytes. */
size_t llb_field_size(ProtobufCType type);

/* Has a field that is not repeated another value than its default? One of several that exclude
 * each other: is it that one? */
bool llb_field_is_set(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field);
