/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/layer/ring.h"

#include <string.h>

struct ring {
    unsigned n_buffers;
    size_t buffer_bytes;
    uint8_t **buffers;
    size_t *lens;               /* bytes in each */
    unsigned filling, draining; /* each its own thread's */
    size_t filled;              /* of the buffer that is being filled; the producer's */
    bool has_buffer;            /* the producer's: `filling` is free */
    GMutex lock;                /* guards what follows */
    GCond changed;
    unsigned n_full;
    bool is_closed, is_stopped;
};

struct ring *ring_new(unsigned n_buffers, size_t buffer_bytes)
{
    struct ring *ring = g_new0(struct ring, 1);

    ring->n_buffers = n_buffers;
    ring->buffer_bytes = buffer_bytes;
    ring->buffers = g_new0(uint8_t *, n_buffers); /* made when they are first needed */
    ring->lens = g_new0(size_t, n_buffers);
    g_mutex_init(&ring->lock);
    g_cond_init(&ring->changed);
    return ring;
}

void ring_free(struct ring *ring)
{
    if (!ring)
        return;
    for (unsigned i = 0; i < ring->n_buffers; i++)
        g_free(ring->buffers[i]);
    g_free(ring->buffers);
    g_free(ring->lens);
    g_mutex_clear(&ring->lock);
    g_cond_clear(&ring->changed);
    g_free(ring);
}

static bool wait_for_room(struct ring *ring)
{
    g_mutex_lock(&ring->lock);
    while (ring->n_full == ring->n_buffers && !ring->is_stopped)
        g_cond_wait(&ring->changed, &ring->lock);
    bool is_stopped = ring->is_stopped;
    g_mutex_unlock(&ring->lock);
    return !is_stopped;
}

uint8_t *ring_space(struct ring *ring, size_t *ret_cap)
{
    if (!ring->has_buffer && !wait_for_room(ring))
        return NULL;
    ring->has_buffer = true;
    if (!ring->buffers[ring->filling])
        ring->buffers[ring->filling] = g_malloc(ring->buffer_bytes);
    *ret_cap = ring->buffer_bytes - ring->filled;
    return ring->buffers[ring->filling] + ring->filled;
}

static void hand_over(struct ring *ring)
{
    ring->lens[ring->filling] = ring->filled;
    ring->filling = (ring->filling + 1) % ring->n_buffers;
    ring->filled = 0;
    ring->has_buffer = false;
    g_mutex_lock(&ring->lock);
    ring->n_full++;
    g_cond_broadcast(&ring->changed);
    g_mutex_unlock(&ring->lock);
}

void ring_commit(struct ring *ring, size_t len)
{
    g_assert(ring->has_buffer && len <= ring->buffer_bytes - ring->filled);
    ring->filled += len;
    if (ring->filled == ring->buffer_bytes)
        hand_over(ring);
}

bool ring_put(struct ring *ring, const void *data, size_t len)
{
    const uint8_t *at = data;

    while (len > 0) {
        size_t cap;
        uint8_t *room = ring_space(ring, &cap);

        if (!room)
            return false;
        size_t n = MIN(len, cap);
        memcpy(room, at, n);
        ring_commit(ring, n);
        at += n;
        len -= n;
    }
    return true;
}

void ring_close(struct ring *ring)
{
    if (ring->filled > 0)
        hand_over(ring);
    g_mutex_lock(&ring->lock);
    ring->is_closed = true;
    g_cond_broadcast(&ring->changed);
    g_mutex_unlock(&ring->lock);
}

const uint8_t *ring_take(struct ring *ring, size_t *ret_len)
{
    const uint8_t *buffer = NULL;

    g_mutex_lock(&ring->lock);
    while (ring->n_full == 0 && !ring->is_closed && !ring->is_stopped)
        g_cond_wait(&ring->changed, &ring->lock);
    if (ring->n_full > 0 && !ring->is_stopped) {
        buffer = ring->buffers[ring->draining];
        *ret_len = ring->lens[ring->draining];
    }
    g_mutex_unlock(&ring->lock);
    return buffer;
}

void ring_give(struct ring *ring)
{
    g_mutex_lock(&ring->lock);
    ring->draining = (ring->draining + 1) % ring->n_buffers;
    ring->n_full--;
    g_cond_broadcast(&ring->changed);
    g_mutex_unlock(&ring->lock);
}

void ring_stop(struct ring *ring)
{
    g_mutex_lock(&ring->lock);
    ring->is_stopped = true;
    g_cond_broadcast(&ring->changed);
    g_mutex_unlock(&ring->lock);
}
