// SPDX-License-Identifier: GPL-2.0
/*
 * Shows what the Raspberry Pi's firmware knows of throttling and under-voltage, in hexadecimal, at
 * /sys/devices/platform/soc/soc:firmware/get_throttled.
 *
 * The Raspberry Pi's own kernel has this file and a mailbox for programs; of the mainline kernel, which Debian
 * builds, neither is there, nor does Debian build the sensor of the supply. Without it a board with a weak
 * supply would look well.
 */
#include <linux/device.h>
#include <linux/module.h>
#include <linux/of.h>
#include <linux/of_platform.h>
#include <linux/platform_device.h>
#include <linux/sysfs.h>
#include <soc/bcm2835/raspberrypi-firmware.h>

static struct platform_device *device;
static struct rpi_firmware *firmware;

static ssize_t get_throttled_show(struct device *dev, struct device_attribute *attribute, char *out)
{
	/* What is set here the firmware would forget of "since the start". */
	__le32 bits = 0;
	int error = rpi_firmware_property(firmware, RPI_FIRMWARE_GET_THROTTLED, &bits, sizeof(bits));

	return error ? error : sysfs_emit(out, "%x\n", le32_to_cpu(bits));
}
static DEVICE_ATTR_RO(get_throttled);

static int __init throttled_init(void)
{
	struct device_node *node;
	int error = -EPROBE_DEFER;

	node = of_find_compatible_node(NULL, NULL, "raspberrypi,bcm2835-firmware");
	if (!node)
		return -ENODEV;
	device = of_find_device_by_node(node);
	firmware = rpi_firmware_get(node);
	of_node_put(node);
	/* The driver may not have been there yet: loading again is all that is needed. */
	if (device && firmware)
		error = device_create_file(&device->dev, &dev_attr_get_throttled);
	if (error && firmware)
		rpi_firmware_put(firmware);
	if (error && device)
		platform_device_put(device);
	return error;
}
module_init(throttled_init);

static void __exit throttled_exit(void)
{
	device_remove_file(&device->dev, &dev_attr_get_throttled);
	rpi_firmware_put(firmware);
	platform_device_put(device);
}
module_exit(throttled_exit);

MODULE_DESCRIPTION("Shows the Raspberry Pi firmware's bits of throttling and under-voltage");
MODULE_LICENSE("GPL");
/* Loaded where the firmware's driver is. */
MODULE_ALIAS("of:N*T*Craspberrypi,bcm2835-firmwareC*");
