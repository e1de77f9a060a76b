// SPDX-License-Identifier: GPL-2.0
/*
 * Hands `reboot "0 tryboot"` to the Raspberry Pi's firmware.
 *
 * With the flag set, the firmware starts the slot on trial once (docs/decisions/0017-card-layout.md). The
 * Raspberry Pi's own kernel does this in its firmware driver; the mainline kernel, which Debian builds,
 * does not, but exports what is needed to do it from here.
 */
#include <linux/init.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/of.h>
#include <linux/reboot.h>
#include <linux/string.h>
#include <soc/bcm2835/raspberrypi-firmware.h>

/* Not in the mainline kernel's list of tags. Its value is a word: bit 0 is the tryboot flag. */
#define SET_REBOOT_FLAGS ((enum rpi_firmware_property_tag)0x00038064)

static struct rpi_firmware *firmware;

static int on_reboot(struct notifier_block *block, unsigned long action, void *command)
{
	__le32 flags = cpu_to_le32(1);
	int error;

	/* As the Raspberry Pi's kernel reads it: a partition number, then words. */
	if (action != SYS_RESTART || !command || !strstr(command, " tryboot"))
		return NOTIFY_DONE;
	error = rpi_firmware_property(firmware, SET_REBOOT_FLAGS, &flags, sizeof(flags));
	if (error)
		pr_err("anomalyd-tryboot: the firmware refused the flag (error %d): the next start is the slot before\n",
		       error);
	else
		pr_info("anomalyd-tryboot: the next start is the slot on trial\n");
	return NOTIFY_DONE;
}

static struct notifier_block notifier = { .notifier_call = on_reboot };

static int __init tryboot_init(void)
{
	struct device_node *node;
	int error;

	node = of_find_compatible_node(NULL, NULL, "raspberrypi,bcm2835-firmware");
	if (!node)
		return -ENODEV;
	firmware = rpi_firmware_get(node);
	of_node_put(node);
	/* The driver may not have been there yet: loading again is all that is needed. */
	if (!firmware)
		return -EPROBE_DEFER;
	error = register_reboot_notifier(&notifier);
	if (error)
		rpi_firmware_put(firmware);
	return error;
}
module_init(tryboot_init);

static void __exit tryboot_exit(void)
{
	unregister_reboot_notifier(&notifier);
	rpi_firmware_put(firmware);
}
module_exit(tryboot_exit);

MODULE_DESCRIPTION("Hands the tryboot flag of a restart to the Raspberry Pi's firmware");
MODULE_LICENSE("GPL");
/* Loaded where the firmware's driver is. */
MODULE_ALIAS("of:N*T*Craspberrypi,bcm2835-firmwareC*");
