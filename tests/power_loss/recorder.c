/* Records what processes have a disk do, in the order in which they do it.
 *
 * Preloaded (LD_PRELOAD) into every process of an application. Whatever changes a file below the
 * folder $POWER_FOLDER, or syncs one, is also appended to the file $POWER_LOG: one record, written
 * at once, so that the records of all processes stand in one order.
 *
 * A write is recorded once it was made, and a sync twice, before and after it. So what stands in the
 * log before the beginning of a sync that has ended was surely there to be synced.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Read by recording.py: kind, process, inode, offset or size, and the lengths of what follows. */
struct record {
    uint32_t kind;
    uint32_t thread;
    uint64_t inode;
    uint64_t offset;
    uint32_t path_length;
    uint32_t data_length;
};

static char folder[PATH_MAX];
static size_t folder_length;
static int log_file = -1;

__attribute__((constructor)) static void begin(void) {
    const char *where = getenv("POWER_FOLDER"), *to = getenv("POWER_LOG");
    if (!where || !to || strlen(where) >= sizeof folder) return;
    strcpy(folder, where);
    folder_length = strlen(folder);
    int low = syscall(SYS_openat, AT_FDCWD, to, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    /* Out of the way of programs that expect low numbers. */
    log_file = syscall(SYS_fcntl, low, F_DUPFD_CLOEXEC, 700);
    syscall(SYS_close, low);
}

static void record(char kind, uint64_t inode, uint64_t offset, const char *path, const void *data,
                   size_t length) {
    int kept = errno;
    struct record head = {kind, syscall(SYS_gettid), inode, offset, strlen(path), length};
    struct iovec parts[3] = {
        {&head, sizeof head}, {(void *)path, head.path_length}, {(void *)data, length}};
    ssize_t whole = sizeof head + head.path_length + length;
    if (syscall(SYS_writev, log_file, parts, 3) != whole) {
        static const char sorry[] = "recorder: the log can not be written\n";
        syscall(SYS_write, 2, sorry, sizeof sorry - 1);
        abort();
    }
    errno = kept;
}

static int is_ours(const char *path) {
    return log_file >= 0 && !strncmp(path, folder, folder_length) &&
           (path[folder_length] == '/' || path[folder_length] == 0);
}

/* Whether a descriptor is that of a file below the folder, and if so, which. */
static int known(int file, char *path, uint64_t *inode) {
    char link[40];
    struct stat status;
    if (log_file < 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = 0;
    if (!is_ours(path) || fstat(file, &status)) return 0;
    *inode = status.st_ino;
    return 1;
}

#define REAL(type, name, ...)                                     \
    static type (*real)(__VA_ARGS__);                             \
    if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

/* -- files come and go ------------------------------------------------------------------------- */

static int opened(int file, int flags) {
    char path[PATH_MAX];
    uint64_t inode;
    int kept = errno;
    if (file >= 0 && (flags & (O_CREAT | O_TRUNC)) && known(file, path, &inode)) {
        if (flags & O_CREAT) record('L', inode, 0, path, "", 0);
        if (flags & O_TRUNC) record('T', inode, 0, path, "", 0);
    }
    errno = kept;
    return file;
}

#define MODE                                      \
    mode_t mode = 0;                              \
    if (flags & O_CREAT) {                        \
        va_list more;                             \
        va_start(more, flags);                    \
        mode = va_arg(more, mode_t);              \
        va_end(more);                             \
    }
#define OPEN(name)                                       \
    int name(const char *path, int flags, ...) {         \
        REAL(int, name, const char *, int, ...);         \
        MODE return opened(real(path, flags, mode), flags); \
    }
#define OPENAT(name)                                              \
    int name(int at, const char *path, int flags, ...) {          \
        REAL(int, name, int, const char *, int, ...);             \
        MODE return opened(real(at, path, flags, mode), flags);   \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

int unlink(const char *path) {
    REAL(int, unlink, const char *);
    int done = real(path);
    if (!done && is_ours(path)) record('U', 0, 0, path, "", 0);
    return done;
}

int rename(const char *from, const char *to) {
    REAL(int, rename, const char *, const char *);
    int done = real(from, to);
    if (!done && is_ours(from)) record('R', 0, 0, from, to, strlen(to));
    return done;
}

/* -- what is written --------------------------------------------------------------------------- */

static void written(int file, const void *data, ssize_t length, int64_t offset) {
    char path[PATH_MAX];
    uint64_t inode;
    int kept = errno;
    if (length > 0 && known(file, path, &inode)) {
        if (offset < 0) offset = lseek(file, 0, SEEK_CUR) - length;
        record('W', inode, offset, path, data, length);
    }
    errno = kept;
}

ssize_t write(int file, const void *data, size_t length) {
    REAL(ssize_t, write, int, const void *, size_t);
    ssize_t done = real(file, data, length);
    written(file, data, done, -1);
    return done;
}

#define PWRITE(name, offset_type)                                              \
    ssize_t name(int file, const void *data, size_t length, offset_type at) {  \
        REAL(ssize_t, name, int, const void *, size_t, offset_type);           \
        ssize_t done = real(file, data, length, at);                           \
        written(file, data, done, at);                                         \
        return done;                                                           \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

static void cut(int file, int64_t size) {
    char path[PATH_MAX];
    uint64_t inode;
    if (known(file, path, &inode)) record('T', inode, size, path, "", 0);
}

#define FTRUNCATE(name, offset_type)            \
    int name(int file, offset_type size) {      \
        REAL(int, name, int, offset_type);      \
        int done = real(file, size);            \
        if (!done) cut(file, size);             \
        return done;                            \
    }
FTRUNCATE(ftruncate, off_t)
FTRUNCATE(ftruncate64, off64_t)

/* -- what is synced ---------------------------------------------------------------------------- */

#define SYNC(name)                                             \
    int name(int file) {                                       \
        REAL(int, name, int);                                  \
        char path[PATH_MAX];                                   \
        uint64_t inode;                                        \
        int ours = known(file, path, &inode);                  \
        if (ours) record('B', inode, 0, path, "", 0);          \
        int done = real(file);                                 \
        if (ours && !done) record('E', inode, 0, path, "", 0); \
        return done;                                           \
    }
SYNC(fsync)
SYNC(fdatasync)
