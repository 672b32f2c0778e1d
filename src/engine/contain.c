/* The least that an engine needs, and no more: one capability, no new ones, the system calls it makes. What a system does not allow (a container without
 * CAP_SETPCAP, a kernel without seccomp) is left out: an engine that runs as root in such a place is no worse off than before. */
#include <errno.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "contain.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"

/* Sanitizers trace the process and ask for much; only in programs built with them may it be switched off. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif

static bool is_off(void)
{
#ifdef SANITIZED
    const char *value = getenv("WGDECK_SANDBOX");
    return value && strcmp(value, "0") == 0;
#else
    return false;
#endif
}

static void said(const char *what, bool failed)
{
    if (failed)
        log_verbose("left out, as this system does not allow it: %s: %s", what, strerror(errno));
}

void contain_begin(void)
{
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY}, none = {0, 0};
    if (setrlimit(RLIMIT_MEMLOCK, &limit) && getrlimit(RLIMIT_MEMLOCK, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        said("locking memory without limit", setrlimit(RLIMIT_MEMLOCK, &limit) != 0);
    }
    if (is_off())
        return;
    said("no core dumps", setrlimit(RLIMIT_CORE, &none) != 0);
    said("no tracing", prctl(PR_SET_DUMPABLE, 0) != 0);
}

/* --- capabilities. The three system calls are made by hand: libcap would be one more library for them. */

static int set_capabilities(uint64_t kept)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct now[2], wanted[2] = {{0}};
    if (syscall(SYS_capget, &header, now))
        return -1;
    for (unsigned i = 0; i < 2; i++) {
        uint32_t mask = (uint32_t)(kept >> (32 * i)) & now[i].permitted;
        wanted[i].permitted = wanted[i].effective = mask;
    }
    return (int)syscall(SYS_capset, &header, wanted);
}

static void drop_bounding(uint64_t kept)
{
    int failed = 0;
    for (int i = 0; i < 64 && prctl(PR_CAPBSET_READ, i) >= 0; i++)
        if (!(kept >> i & 1) && prctl(PR_CAPBSET_READ, i) == 1 && prctl(PR_CAPBSET_DROP, i))
            failed = errno;
    errno = failed;
    said("taking other capabilities from the bounding set", failed != 0);
}

void contain_capabilities(void)
{
    const uint64_t kept = UINT64_C(1) << CAP_NET_ADMIN;
    if (is_off())
        return;
    drop_bounding(kept);
    said("giving ambient capabilities up", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0);
    said("giving capabilities up", set_capabilities(kept) != 0);
    said("no new privileges", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0);
}

/* --- system calls. One that is not here fails with EPERM; one of the second table ends the process. None is judged by its arguments: the kernel then
 * remembers the verdict in a bitmap, and the data path pays nothing. */

static const int allowed[] = {
    /* data path */
    SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(pread64), SCMP_SYS(pwrite64), SCMP_SYS(poll), SCMP_SYS(ppoll),
    SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(sendmmsg), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(recvmmsg), SCMP_SYS(futex),
    SCMP_SYS(sched_yield), SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(getcpu), SCMP_SYS(ioctl),
    /* the loop */
    SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_create1), SCMP_SYS(eventfd2), SCMP_SYS(timerfd_create),
    SCMP_SYS(timerfd_settime), SCMP_SYS(timerfd_gettime), SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(nanosleep), SCMP_SYS(clock_nanosleep),
    SCMP_SYS(restart_syscall), SCMP_SYS(pipe2),
    /* sockets that come and go */
    SCMP_SYS(socket), SCMP_SYS(bind), SCMP_SYS(connect), SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(setsockopt), SCMP_SYS(getsockopt),
    SCMP_SYS(shutdown), SCMP_SYS(close), SCMP_SYS(fcntl), SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3),
    /* memory */
    SCMP_SYS(brk), SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(mprotect), SCMP_SYS(madvise), SCMP_SYS(mlock), SCMP_SYS(mlock2),
    SCMP_SYS(munlock), SCMP_SYS(membarrier), SCMP_SYS(getrandom),
    /* the socket's file, and what handshakes remember over restarts */
    SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(lseek),
    SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(rename),
    SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(fsync), SCMP_SYS(fdatasync), SCMP_SYS(ftruncate), SCMP_SYS(fchmod), SCMP_SYS(mkdir),
    SCMP_SYS(mkdirat), SCMP_SYS(flock),
    /* a process and its threads */
    SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack),
    SCMP_SYS(rt_sigtimedwait), SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(gettid), SCMP_SYS(getpid), SCMP_SYS(getppid), SCMP_SYS(getuid),
    SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(tgkill), SCMP_SYS(sched_getaffinity), SCMP_SYS(sysinfo), SCMP_SYS(uname),
    SCMP_SYS(prlimit64), SCMP_SYS(getrlimit), SCMP_SYS(getrusage), SCMP_SYS(umask),
};

static const int deadly[] = {
    SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(init_module),
    SCMP_SYS(finit_module), SCMP_SYS(kexec_load), SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot), SCMP_SYS(setns),
    SCMP_SYS(unshare), SCMP_SYS(bpf), SCMP_SYS(open_by_handle_at), SCMP_SYS(keyctl), SCMP_SYS(fork), SCMP_SYS(vfork),
};

static int add_rules(scmp_filter_ctx filter, const int *calls, size_t count, uint32_t action)
{
    for (size_t i = 0; i < count; i++) {
        int result = seccomp_rule_add(filter, action, calls[i], 0);
        if (result && result != -EDOM && result != -EACCES) /* a call that this machine does not have */
            return result;
    }
    return 0;
}

void contain_calls(void)
{
    if (is_off())
        return;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int result = filter ? 0 : -ENOMEM;
    if (filter) {
        (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
        (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
        /* Before Linux 5.16 a filter brings a costly guard against speculation with it, which is for programs that run others' code. */
        (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
        result = add_rules(filter, allowed, COUNT_OF(allowed), SCMP_ACT_ALLOW);
        if (!result)
            result = add_rules(filter, deadly, COUNT_OF(deadly), SCMP_ACT_KILL_PROCESS);
        if (!result)
            result = seccomp_load(filter);
        seccomp_release(filter);
    }
    errno = -result;
    said("a filter of system calls", result != 0);
}
