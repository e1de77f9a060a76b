/*
 * A plugin for qemu-user that counts the instructions a program executes, and writes
 * "instructions N" to standard error at its end. Made and used by scripts/instructions.sh.
 *
 * The count is by translated block: a block that an exception leaves early counts whole, which is the
 * same in every run. Only those calls of the plugin interface are used that all its versions have
 * (QEMU 4.2 and later); QEMU_PLUGIN_API is the version to ask for. They are declared here because
 * Debian does not package the interface's header.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

struct qemu_plugin_tb;

typedef void translated_fn(uint64_t plugin, struct qemu_plugin_tb *block);
typedef void executed_fn(unsigned int cpu, void *data);
typedef void at_exit_fn(uint64_t plugin, void *data);

void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t plugin, translated_fn *call);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *block, executed_fn *call, int flags, void *data);
void qemu_plugin_register_atexit_cb(uint64_t plugin, at_exit_fn *call, void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);

int qemu_plugin_version = QEMU_PLUGIN_API;

static uint64_t instructions;

/* What is counted has one thread, so nothing needs to be atomic. */
static void executed(unsigned int cpu, void *length)
{
    (void)cpu;
    instructions += (uintptr_t)length;
}

static void translated(uint64_t plugin, struct qemu_plugin_tb *block)
{
    (void)plugin;
    void *length = (void *)(uintptr_t)qemu_plugin_tb_n_insns(block);
    /* Flags 0: the call looks at no register. */
    qemu_plugin_register_vcpu_tb_exec_cb(block, executed, 0, length);
}

static void at_exit(uint64_t plugin, void *data)
{
    (void)plugin;
    (void)data;
    fprintf(stderr, "instructions %" PRIu64 "\n", instructions);
}

int qemu_plugin_install(uint64_t plugin, const void *info, int argc, char **argv)
{
    (void)info;
    (void)argc;
    (void)argv;
    qemu_plugin_register_vcpu_tb_trans_cb(plugin, translated);
    qemu_plugin_register_atexit_cb(plugin, at_exit, NULL);
    return 0;
}
