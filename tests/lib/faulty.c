/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine that fails, for LD_PRELOAD: one call of many meets an error or the end of the process.
 *
 *     FAULTY_BELOW=/store   only calls that change something below this folder count
 *     FAULTY_AT=k           the k-th of them, from 1; 0: none, they are counted only
 *     FAULTY_LAST=m         ... up to the m-th, all of them: a disk that stays full; default k
 *     FAULTY_ERRNO=28       what they get; 0: the process is killed before the call
 *     FAULTY_LOG=file       a line for each call that failed, "number name path"; for each call
 *                           when FAULTY_AT=0
 *     FAULTY_CLOCK=seconds  added to the wall clock, and to nothing else
 *
 * Programs that are started from the one that is meant see nothing of it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static atomic_long n_calls;
static long first, last, clock_seconds;
static int error_number;
static char below[PATH_MAX], log_path[PATH_MAX];

static long number_of(const char *name, long otherwise)
{
    const char *text = getenv(name);

    return text && *text ? strtol(text, NULL, 10) : otherwise;
}

static void text_of(const char *name, char *to)
{
    const char *text = getenv(name);

    snprintf(to, PATH_MAX, "%s", text ? text : "");
    unsetenv(name);
}

__attribute__((constructor)) static void begin(void)
{
    first = number_of("FAULTY_AT", 0);
    last = number_of("FAULTY_LAST", first);
    error_number = (int)number_of("FAULTY_ERRNO", ENOSPC);
    clock_seconds = number_of("FAULTY_CLOCK", 0);
    text_of("FAULTY_BELOW", below);
    text_of("FAULTY_LOG", log_path);
    unsetenv("LD_PRELOAD");
}

static void write_log(long number, const char *name, const char *path)
{
    char line[PATH_MAX + 100];
    int len = snprintf(line, sizeof(line), "%ld %s %s\n", number, name, path);
    long fd =
        syscall(SYS_openat, AT_FDCWD, log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);

    if (fd >= 0) {
        syscall(SYS_write, fd, line, len);
        syscall(SYS_close, fd);
    }
}

/* The path of (dir_fd, name), as far as it can be said without resolving it. */
static bool path_of(int dir_fd, const char *name, char *path)
{
    char link[64];
    ssize_t n = 0;

    if (name && name[0] == '/') {
        snprintf(path, PATH_MAX, "%s", name);
        return true;
    }
    snprintf(
        link, sizeof(link), dir_fd == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", dir_fd);
    n = readlink(link, path, PATH_MAX - 1);
    if (n < 0)
        return false;
    snprintf(path + n, PATH_MAX - (size_t)n, "%s%s", name ? "/" : "", name ? name : "");
    return true;
}

/* Is it this call's turn? Then errno is set. */
static bool fails(const char *name, int dir_fd, const char *object)
{
    char path[2 * PATH_MAX];

    if (!below[0] || !path_of(dir_fd, object, path) || strncmp(path, below, strlen(below)) != 0)
        return false;
    long number = atomic_fetch_add(&n_calls, 1) + 1;
    bool is_turn = first > 0 && number >= first && number <= last;

    if (is_turn || first == 0)
        write_log(number, name, path);
    if (is_turn && error_number == 0)
        kill(getpid(), SIGKILL);
    if (is_turn)
        errno = error_number;
    return is_turn;
}

/* The function behind ours. */
#define REAL(name, ...) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))(__VA_ARGS__)

#define ON_FD(type, name, params, ...)                                                             \
    type name params                                                                               \
    {                                                                                              \
        return fails(#name, fd, NULL) ? -1 : REAL(name, __VA_ARGS__);                              \
    }

#define ON_NAME(type, name, params, dir, object, ...)                                              \
    type name params                                                                               \
    {                                                                                              \
        return fails(#name, dir, object) ? -1 : REAL(name, __VA_ARGS__);                           \
    }

ON_FD(ssize_t, write, (int fd, const void *data, size_t len), fd, data, len)
ON_FD(ssize_t, pwrite64, (int fd, const void *data, size_t len, off64_t at), fd, data, len, at)
ON_FD(int, ftruncate64, (int fd, off64_t len), fd, len)
ON_FD(int, fallocate64, (int fd, int mode, off64_t at, off64_t len), fd, mode, at, len)
ON_FD(int, fsync, (int fd), fd)
ON_FD(int, fdatasync, (int fd), fd)
ON_FD(int, syncfs, (int fd), fd)
ON_FD(int, fchmod, (int fd, mode_t mode), fd, mode)
ON_FD(int, fchown, (int fd, uid_t uid, gid_t gid), fd, uid, gid)

ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
    return pwrite64(fd, data, len, at);
}

int ftruncate(int fd, off_t len)
{
    return ftruncate64(fd, len);
}

int fallocate(int fd, int mode, off_t at, off_t len)
{
    return fallocate64(fd, mode, at, len);
}

ssize_t copy_file_range(
    int from_fd, off64_t *from, int to_fd, off64_t *to, size_t len, unsigned flags)
{
    return fails("copy_file_range", to_fd, NULL)
               ? -1
               : REAL(copy_file_range, from_fd, from, to_fd, to, len, flags);
}

ON_NAME(int, mkdir, (const char *path, mode_t mode), AT_FDCWD, path, path, mode)
ON_NAME(int, mkdirat, (int dir_fd, const char *path, mode_t mode), dir_fd, path, dir_fd, path, mode)
ON_NAME(int, mknodat, (int dir_fd, const char *path, mode_t mode, dev_t device), dir_fd, path,
    dir_fd, path, mode, device)
ON_NAME(int, symlinkat, (const char *target, int dir_fd, const char *path), dir_fd, path, target,
    dir_fd, path)
ON_NAME(int, linkat, (int from_fd, const char *from, int dir_fd, const char *path, int flags),
    dir_fd, path, from_fd, from, dir_fd, path, flags)
ON_NAME(int, renameat, (int from_fd, const char *from, int dir_fd, const char *path), dir_fd, path,
    from_fd, from, dir_fd, path)
ON_NAME(int, renameat2,
    (int from_fd, const char *from, int dir_fd, const char *path, unsigned flags), dir_fd, path,
    from_fd, from, dir_fd, path, flags)

/* All opens count when descriptors are what runs out, else only those that make something. */
static int open_at(int dir_fd, const char *path, int flags, mode_t mode)
{
    bool is_making = (flags & O_CREAT) != 0;

    if ((is_making || error_number == EMFILE) && fails("openat", dir_fd, path))
        return -1;
    return (int)syscall(SYS_openat, dir_fd, path, flags, mode);
}

#define OPEN(name, head, dir_fd, path)                                                             \
    int name(head const char *path, int flags, ...)                                                \
    {                                                                                              \
        va_list args;                                                                              \
                                                                                                   \
        va_start(args, flags);                                                                     \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;                    \
        va_end(args);                                                                              \
        return open_at(dir_fd, path, flags, mode);                                                 \
    }
#define NO_HEAD
#define DIR_HEAD int dir_fd,

OPEN(open, NO_HEAD, AT_FDCWD, path)
OPEN(open64, NO_HEAD, AT_FDCWD, path)
OPEN(openat, DIR_HEAD, dir_fd, path)
OPEN(openat64, DIR_HEAD, dir_fd, path)

int clock_gettime(clockid_t clock, struct timespec *time)
{
    int result = (int)syscall(SYS_clock_gettime, clock, time);

    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        time->tv_sec += clock_seconds;
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec time = {0};
    int result = clock_gettime(CLOCK_REALTIME, &time);

    (void)zone;
    *now = (struct timeval){time.tv_sec, time.tv_nsec / 1000};
    return result;
}

time_t time(time_t *ret_time)
{
    struct timespec now = {0};

    clock_gettime(CLOCK_REALTIME, &now);
    if (ret_time)
        *ret_time = now.tv_sec;
    return now.tv_sec;
}
