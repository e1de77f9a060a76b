// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hands the one-shot flag of an update on trial to the Raspberry Pi's firmware.
 *
 * A restart with the argument "0 tryboot" shall start the other slot once. Raspberry Pi's own kernel
 * tells the firmware so; Linux as kernel.org and Debian have it does not, and this module does it there.
 */
#include <linux/module.h>
#include <linux/of.h>
#include <linux/reboot.h>
#include <linux/string.h>
#include <soc/bcm2835/raspberrypi-firmware.h>

/* Tag of the firmware's property mailbox, and its bit for tryboot. */
#define SET_REBOOT_FLAGS 0x00038064
#define FLAG_TRYBOOT 1

static struct rpi_firmware *firmware;

static int before_restart(struct notifier_block *block, unsigned long action, void *argument)
{
	u32 flags = FLAG_TRYBOOT;
	int error;

	if (action != SYS_RESTART || !argument || !strstr(argument, "tryboot"))
		return NOTIFY_DONE;
	error = rpi_firmware_property(firmware, SET_REBOOT_FLAGS, &flags, sizeof(flags));
	/* Without the flag the slot of before starts, and nothing is lost but the trial. */
	if (error)
		pr_err("anomalyd-tryboot: the firmware does not take the flag (%d)\n", error);
	else
		pr_notice("anomalyd-tryboot: the other slot starts once\n");
	return NOTIFY_DONE;
}

static struct notifier_block notifier = {
	.notifier_call = before_restart,
};

static int __init tryboot_init(void)
{
	struct device_node *node = rpi_firmware_find_node();
	int error;

	if (!node)
		return -ENODEV;
	firmware = rpi_firmware_get(node);
	of_node_put(node);
	if (!firmware)
		return -EAGAIN;
	error = register_reboot_notifier(&notifier);
	if (error)
		rpi_firmware_put(firmware);
	return error;
}

static void __exit tryboot_exit(void)
{
	unregister_reboot_notifier(&notifier);
	rpi_firmware_put(firmware);
}

module_init(tryboot_init);
module_exit(tryboot_exit);

MODULE_AUTHOR("anomalyd maintainers");
MODULE_DESCRIPTION("The one-shot flag of an update on trial for the Raspberry Pi's firmware");
MODULE_LICENSE("GPL");
