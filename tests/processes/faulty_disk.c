/* A disk that fails when it is told to, for one database.
 *
 * Preloaded (LD_PRELOAD) into the processes of an application. While the file $FAULT_FILE holds the
 * name of a fault, what they do with the files whose path begins with $FAULT_PATH fails so. What is
 * mapped into memory (the index of the log) is not seen from here.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

enum { WRITES = 1, READS = 2, SYNCS = 4, OPENS = 8 };

static const struct {
    const char *name;
    int error, what;
} faults[] = {
    {"full", ENOSPC, WRITES},
    {"broken", EIO, WRITES | READS | SYNCS},
    {"readonly", EROFS, WRITES},
    {"forbidden", EACCES, OPENS},
};

/* Return the error with which something that is done to a file of this path fails now, or 0. */
static int fault_at(const char *where, int what) {
    const char *file = getenv("FAULT_FILE"), *path = getenv("FAULT_PATH");
    if (!file || !path) return 0;
    char name[32] = "";
    int kept = errno, error = 0;
    if (!strncmp(where, path, strlen(path))) {
        int control = syscall(SYS_openat, AT_FDCWD, file, O_RDONLY | O_CLOEXEC);
        if (control >= 0) {
            if (syscall(SYS_read, control, name, sizeof name - 1) > 0)
                for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
                    if (!strcmp(name, faults[i].name) && faults[i].what & what)
                        error = faults[i].error;
            syscall(SYS_close, control);
        }
    }
    errno = error ? error : kept;
    return error;
}

static int fault(int descriptor, int what) {
    char link[64], where[PATH_MAX] = "";
    int kept = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    int is_known = readlink(link, where, sizeof where - 1) > 0;
    errno = kept;
    return is_known ? fault_at(where, what) : 0;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t pwrite(int d, const void *data, size_t length, off_t at) {
    return fault(d, WRITES) ? -1 : REAL(pwrite)(d, data, length, at);
}
ssize_t pwrite64(int d, const void *data, size_t length, off64_t at) {
    return fault(d, WRITES) ? -1 : REAL(pwrite64)(d, data, length, at);
}
ssize_t write(int d, const void *data, size_t length) {
    return fault(d, WRITES) ? -1 : REAL(write)(d, data, length);
}
ssize_t pread(int d, void *data, size_t length, off_t at) {
    return fault(d, READS) ? -1 : REAL(pread)(d, data, length, at);
}
ssize_t pread64(int d, void *data, size_t length, off64_t at) {
    return fault(d, READS) ? -1 : REAL(pread64)(d, data, length, at);
}
int fsync(int d) { return fault(d, SYNCS) ? -1 : REAL(fsync)(d); }
int fdatasync(int d) { return fault(d, SYNCS) ? -1 : REAL(fdatasync)(d); }
int ftruncate(int d, off_t length) { return fault(d, WRITES) ? -1 : REAL(ftruncate)(d, length); }
int ftruncate64(int d, off64_t length) {
    return fault(d, WRITES) ? -1 : REAL(ftruncate64)(d, length);
}
int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int mode = va_arg(rest, int);
    va_end(rest);
    return fault_at(path, OPENS) ? -1 : REAL(open)(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int mode = va_arg(rest, int);
    va_end(rest);
    return fault_at(path, OPENS) ? -1 : REAL(open64)(path, flags, mode);
}
