/* SPDX-License-Identifier: Apache-2.0 */
#include "util/cancel.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

struct cob_cancel {
    int refs;    /* atomic */
    int is_set;  /* atomic; __atomic_*, since GLib's macros cast const away */
    int fd;      /* an eventfd, never read: once readable, readable for ever */
    int both_fd; /* an epoll of fd and the parent's; -1 without a parent */
    struct cob_cancel *parent;
};

struct cob_error *cob_cancel_new(struct cob_cancel **ret_cancel)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (fd < 0)
        return cob_fail_errno(errno, "make an eventfd");
    *ret_cancel = g_new(struct cob_cancel, 1);
    **ret_cancel = (struct cob_cancel){.refs = 1, .fd = fd, .both_fd = -1};
    return NULL;
}

static struct cob_error *watch_both(struct cob_cancel *cancel, struct cob_cancel *parent)
{
    struct epoll_event readable = {.events = EPOLLIN};

    cancel->both_fd = epoll_create1(EPOLL_CLOEXEC);
    if (cancel->both_fd < 0 ||
        epoll_ctl(cancel->both_fd, EPOLL_CTL_ADD, cancel->fd, &readable) < 0 ||
        epoll_ctl(cancel->both_fd, EPOLL_CTL_ADD, cob_cancel_fd(parent), &readable) < 0)
        return cob_fail_errno(errno, "make an epoll");
    cancel->parent = cob_cancel_ref(parent);
    return NULL;
}

struct cob_error *cob_cancel_new_below(struct cob_cancel *parent, struct cob_cancel **ret_cancel)
{
    g_autoptr(cob_cancel) cancel = NULL;

    COB_TRY(cob_cancel_new(&cancel));
    if (parent)
        COB_TRY(watch_both(cancel, parent));
    *ret_cancel = g_steal_pointer(&cancel);
    return NULL;
}

struct cob_cancel *cob_cancel_ref(struct cob_cancel *cancel)
{
    g_atomic_int_inc(&cancel->refs);
    return cancel;
}

void cob_cancel_unref(struct cob_cancel *cancel)
{
    if (!cancel || !g_atomic_int_dec_and_test(&cancel->refs))
        return;
    close(cancel->fd);
    cob_closep(&cancel->both_fd);
    cob_cancel_unref(cancel->parent);
    g_free(cancel);
}

void cob_cancel_trigger(struct cob_cancel *cancel)
{
    int saved = errno;
    const uint64_t one = 1;

    __atomic_store_n(&cancel->is_set, 1, __ATOMIC_SEQ_CST);
    while (write(cancel->fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
    errno = saved;
}

bool cob_cancel_is_set(const struct cob_cancel *cancel)
{
    for (; cancel; cancel = cancel->parent) {
        if (__atomic_load_n(&cancel->is_set, __ATOMIC_SEQ_CST)) /* GLib's would drop the const */
            return true;
    }
    return false;
}

int cob_cancel_fd(const struct cob_cancel *cancel)
{
    if (!cancel)
        return -1;
    return cancel->both_fd >= 0 ? cancel->both_fd : cancel->fd;
}

struct cob_error *cob_cancel_check(const struct cob_cancel *cancel)
{
    return cob_cancel_is_set(cancel) ? cob_fail(COB_CANCELLED, "cancelled") : NULL;
}
