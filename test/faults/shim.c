/*
 * Preloaded into sluice or Redis (LD_PRELOAD) by the fault campaign; see shim.ts. One page of shared memory, the file
 * named by FAULT_CONTROL, steers it while the process runs:
 *
 *   clock_s    seconds added to the wall clock (CLOCK_REALTIME); the monotonic clock stays as it is
 *   error      errno that writes and syncs of files below FAULT_DIRECTORY fail with; 0: none
 *   delay_us   how much longer each sync takes, so that a power loss finds something that was written and not synced
 *
 * Each sync that succeeded is noted in FAULT_SYNCED as "<inode> <size before the sync>": what a disk would still have after
 * a power loss, as far as files are concerned that only grow. Metadata (create, rename, remove) counts as journalled in order.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct control {
  volatile int64_t clock_s;
  volatile int64_t error;
  volatile int64_t delay_us;
};

static struct control none;
static struct control *control = &none;
static int synced = -1;
static const char *directory;

#define REAL(name) \
  static __typeof__(name) *real; \
  if (real == NULL) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void setup(void) {
  const char *path = getenv("FAULT_CONTROL");
  if (path != NULL) {
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0) {
      void *page = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
      if (page != MAP_FAILED) control = page;
      close(fd);
    }
  }
  path = getenv("FAULT_SYNCED");
  if (path != NULL) synced = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  directory = getenv("FAULT_DIRECTORY");
}

/* --- the wall clock --- */

int clock_gettime(clockid_t clock, struct timespec *now) {
  REAL(clock_gettime);
  int result = real(clock, now);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += control->clock_s;
  return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  REAL(gettimeofday);
  int result = real(now, zone);
  if (result == 0) now->tv_sec += control->clock_s;
  return result;
}

time_t time(time_t *where) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (where != NULL) *where = now.tv_sec;
  return now.tv_sec;
}

/* --- errors of the disk --- */

static int below(const char *path) {
  size_t length = strlen(directory);
  return strncmp(path, directory, length) == 0 && (path[length] == '/' || path[length] == 0);
}

static int fails(int fd) {
  if (control->error == 0 || directory == NULL) return 0;
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  if (!below(path)) return 0;
  errno = (int)control->error;
  return 1;
}

ssize_t write(int fd, const void *bytes, size_t count) {
  REAL(write);
  return fails(fd) ? -1 : real(fd, bytes, count);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
  REAL(pwrite);
  return fails(fd) ? -1 : real(fd, bytes, count, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
  REAL(pwrite64);
  return fails(fd) ? -1 : real(fd, bytes, count, at);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  REAL(writev);
  return fails(fd) ? -1 : real(fd, parts, count);
}

/* LevelDB writes through stdio, whose own writes do not come by here. */
#undef fwrite_unlocked /* a macro of glibc */
#define FWRITE_LIKE(name) \
  size_t name(const void *bytes, size_t size, size_t count, FILE *file) { \
    REAL(name); \
    return fails(fileno(file)) ? 0 : real(bytes, size, count, file); \
  }
FWRITE_LIKE(fwrite)
FWRITE_LIKE(fwrite_unlocked)

#define FFLUSH_LIKE(name) \
  int name(FILE *file) { \
    REAL(name); \
    return file != NULL && fails(fileno(file)) ? EOF : real(file); \
  }
FFLUSH_LIKE(fflush)
FFLUSH_LIKE(fflush_unlocked)

int ftruncate(int fd, off_t length) {
  REAL(ftruncate);
  return fails(fd) ? -1 : real(fd, length);
}

/* Making a file writes to the disk as well. */
static int creation_fails(const char *path, int flags) {
  if (control->error == 0 || directory == NULL || (flags & O_CREAT) == 0 || !below(path)) return 0;
  errno = (int)control->error;
  return 1;
}

#define OPEN_LIKE(name) \
  int name(const char *path, int flags, ...) { \
    REAL(name); \
    mode_t mode = 0; \
    if ((flags & O_CREAT) != 0) { \
      va_list rest; \
      va_start(rest, flags); \
      mode = (mode_t)va_arg(rest, int); \
      va_end(rest); \
    } \
    return creation_fails(path, flags) ? -1 : real(path, flags, mode); \
  }
OPEN_LIKE(open)
OPEN_LIKE(open64)

#define FOPEN_LIKE(name) \
  FILE *name(const char *restrict path, const char *restrict mode) { \
    REAL(name); \
    return creation_fails(path, mode[0] == 'r' ? 0 : O_CREAT) ? NULL : real(path, mode); \
  }
FOPEN_LIKE(fopen)
FOPEN_LIKE(fopen64)

/* --- syncs --- */

static void note(const struct stat *before) {
  char line[64];
  int length = snprintf(line, sizeof line, "%llu %lld\n", (unsigned long long)before->st_ino, (long long)before->st_size);
  /* One write of an O_APPEND file is atomic. */
  if (syscall(SYS_write, synced, line, (size_t)length) < 0) return;
}

static void linger(void) {
  int64_t left = control->delay_us;
  if (left <= 0) return;
  struct timespec pause = {.tv_sec = left / 1000000, .tv_nsec = (left % 1000000) * 1000};
  nanosleep(&pause, NULL);
}

#define SYNC_LIKE(name) \
  int name(int fd) { \
    REAL(name); \
    struct stat before; \
    int known = synced >= 0 && fstat(fd, &before) == 0 && S_ISREG(before.st_mode); \
    if (fails(fd)) return -1; \
    linger(); \
    int result = real(fd); \
    int saved = errno; \
    if (result == 0 && known) note(&before); \
    errno = saved; \
    return result; \
  }
SYNC_LIKE(fsync)
SYNC_LIKE(fdatasync)
