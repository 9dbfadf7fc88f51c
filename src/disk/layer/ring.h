/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring of buffers from one thread to another: filled in place, taken in order.
 *
 *     producer  ring_space -> fill -> ring_commit, ... ring_close      waits while all are full
 *     consumer  ring_take -> read -> ring_give, ... NULL               waits while all are empty
 *
 * A buffer goes over when it is full, or with ring_close(). ring_stop() ends both sides at once.
 *
 * threads:  one producer and one consumer; ring_stop() any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/cleanup.h"

struct ring;

/* Memory is taken as buffers are first filled. */
struct ring *ring_new(unsigned n_buffers, size_t buffer_bytes);
/* Both sides are done with it. */
void ring_free(struct ring *ring);

/* Room to write, at least one byte; NULL when the ring was stopped. */
uint8_t *ring_space(struct ring *ring, size_t *ret_cap);
/* `len` bytes of that room were filled. */
void ring_commit(struct ring *ring, size_t len);
/* Copy bytes into it: space and commit, until all are there.  false: the ring was stopped. */
bool ring_put(struct ring *ring, const void *data, size_t len);
/* All that was committed goes over, and no more will come. */
void ring_close(struct ring *ring);

/* The next buffer; NULL at the end, or when the ring was stopped. */
const uint8_t *ring_take(struct ring *ring, size_t *ret_len);
/* The buffer is done with. */
void ring_give(struct ring *ring);

/* Both sides get NULL from now on. */
void ring_stop(struct ring *ring);
