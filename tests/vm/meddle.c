// Does harm to a running process through ptrace, so that the product needs no hooks for its tests.
//
//   meddle freeze PID THREAD    stops the thread of that name, and only it, until the process ends
//   meddle leak PID BYTES       lets the process map and touch this much memory
//
// x86-64 only: it runs in the virtual machine of scripts/vm-test.sh. Build: gcc -static -O1.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static pid_t thread_named(pid_t pid, const char *name) {
    char path[320], found[64];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    if (!tasks) fail(path);
    for (struct dirent *entry; (entry = readdir(tasks));) {
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/proc/%d/task/%s/comm", pid, entry->d_name);
        FILE *comm = fopen(path, "r");
        if (!comm) continue;
        int got = fscanf(comm, "%63s", found);
        fclose(comm);
        if (got == 1 && strcmp(found, name) == 0) return atoi(entry->d_name);
    }
    fprintf(stderr, "meddle: process %d has no thread %s\n", pid, name);
    exit(1);
}

static void stop(pid_t tid) {
    int status;
    if (ptrace(PTRACE_SEIZE, tid, 0, 0)) fail("PTRACE_SEIZE");
    if (ptrace(PTRACE_INTERRUPT, tid, 0, 0)) fail("PTRACE_INTERRUPT");
    if (waitpid(tid, &status, __WALL) != tid || !WIFSTOPPED(status)) fail("waiting for the stop");
}

static void freeze(pid_t pid, const char *name) {
    int status;
    pid_t tid = thread_named(pid, name);
    stop(tid);
    printf("stopped thread %s (%d)\n", name, tid);
    fflush(stdout);
    // Further stops (a signal to the process) stay stopped.
    while (waitpid(tid, &status, __WALL) == tid && WIFSTOPPED(status)) {}
}

static void leak(pid_t pid, unsigned long bytes) {
    int status;
    struct user_regs_struct before, call;
    for (int tries = 0;; tries++) {
        stop(pid);
        if (ptrace(PTRACE_GETREGS, pid, 0, &before)) fail("PTRACE_GETREGS");
        errno = 0;
        long code = ptrace(PTRACE_PEEKTEXT, pid, (void *)(before.rip - 2), 0);
        // It waits in a system call as a rule: the instruction before is `syscall`, for us to use.
        if (!errno && (code & 0xffff) == 0x050f) break;
        ptrace(PTRACE_DETACH, pid, 0, 0);
        if (tries == 1000) fail("never found in a system call");
        usleep(1000);
    }
    call = before;
    call.rip -= 2;
    call.orig_rax = -1;
    call.rax = SYS_mmap;
    call.rdi = 0;
    call.rsi = bytes;
    call.rdx = PROT_READ | PROT_WRITE;
    call.r10 = MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE;
    call.r8 = -1;
    call.r9 = 0;
    if (ptrace(PTRACE_SETREGS, pid, 0, &call)) fail("PTRACE_SETREGS");
    for (int stops = 0; stops < 2;) {
        if (ptrace(PTRACE_SYSCALL, pid, 0, 0)) fail("PTRACE_SYSCALL");
        if (waitpid(pid, &status, __WALL) != pid) fail("waiting for the system call");
        if (!WIFSTOPPED(status)) {
            printf("the process ended on the way\n");
            return;
        }
        if (WSTOPSIG(status) == SIGTRAP) stops++;
    }
    ptrace(PTRACE_GETREGS, pid, 0, &call);
    printf("mapped at %llx\n", call.rax);
    // A call that the kernel would have taken up again after our stop (ERESTART…) is made again.
    long result = before.rax;
    if (result <= -512 && result >= -516) {
        before.rax = result == -516 ? -EINTR : before.orig_rax;
        if (result != -516) before.rip -= 2;
    }
    before.orig_rax = -1;
    ptrace(PTRACE_SETREGS, pid, 0, &before);
    ptrace(PTRACE_DETACH, pid, 0, 0);
}

int main(int count, char **arguments) {
    if (count == 4 && strcmp(arguments[1], "freeze") == 0) {
        freeze(atoi(arguments[2]), arguments[3]);
    } else if (count == 4 && strcmp(arguments[1], "leak") == 0) {
        leak(atoi(arguments[2]), strtoul(arguments[3], 0, 10));
    } else {
        fprintf(stderr, "usage: meddle freeze PID THREAD | leak PID BYTES\n");
        return 2;
    }
    return 0;
}
