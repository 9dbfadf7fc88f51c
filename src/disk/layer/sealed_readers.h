/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decompression and tar in sealed processes (util/sealed), to be used as byte_decoder and
 * tar_reader are. What is compressed in which way is seen here: six bytes are compared, no more.
 *
 *     compressed --> [decode] --> plain bytes --> counted and hashed here --> [untar] --> entries
 *                    sealed                            |                      sealed
 *                                                      +---- file data ----> files
 *
 * Two processes, because the first one is not believed: its output is what a digest was promised
 * for, or nothing is kept. One process for both could name any digest for any content. The second
 * one may be made to lie by the bytes of a layer, but then these bytes are what the layer's digest
 * stands for, and the lie is the same for all who use it.
 */
#pragma once

#include "disk/layer/decompress.h"
#include "disk/layer/tar.h"
#include "util/sealed.h"

/* workers.c */
extern const struct cob_sealed_worker layer_decode_worker, layer_untar_worker;

struct sealed_decoder;

/* max_bytes: of output. cancel: borrowed; NULL: never. */
struct sealed_decoder *sealed_decoder_new(
    const struct byte_sink *sink, uint64_t max_bytes, struct cob_cancel *cancel);
void sealed_decoder_free(struct sealed_decoder *decoder);
COB_AUTOPTR(sealed_decoder, sealed_decoder_free)

/* errors: as byte_decoder_write(); COB_INTERNAL when the process died. */
COB_RESULT struct cob_error *sealed_decoder_write(
    struct sealed_decoder *decoder, const uint8_t *data, size_t len);
COB_RESULT struct cob_error *sealed_decoder_finish(struct sealed_decoder *decoder);

struct sealed_reader;

/* events, arg, cancel: borrowed. The entry of an event has no extents. */
struct sealed_reader *sealed_reader_new(
    const struct tar_events *events, void *arg, struct cob_cancel *cancel);
void sealed_reader_free(struct sealed_reader *reader);
COB_AUTOPTR(sealed_reader, sealed_reader_free)

/* Start its process before there is something for it, so that it need not be waited for later. */
COB_RESULT struct cob_error *sealed_reader_start(struct sealed_reader *reader);

/* errors: as tar_reader_write(); COB_INTERNAL when the process died or broke the rules. */
COB_RESULT struct cob_error *sealed_reader_write(
    struct sealed_reader *reader, const uint8_t *data, size_t len);
COB_RESULT struct cob_error *sealed_reader_finish(struct sealed_reader *reader);
