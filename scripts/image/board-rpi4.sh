# The Raspberry Pi 4. Read (not run) by scripts/build-image.sh and what it calls.
# shellcheck shell=bash disable=SC2034

arch=arm64
triplet=aarch64-linux-gnu
kernel_package=linux-image-arm64
firmware_package=raspi-firmware
# Debian's kernel calls the serial port at pins 8 and 10 by this name; Raspberry Pi's calls it serial0.
console=ttyS1,115200
# The firmware unpacks it.
kernel_name=kernel8.img
device_tree=broadcom/bcm2711-rpi-4-b.dtb
# Discoverable Partitions: root of this architecture.
root_type=b921b045-1df0-41c3-af44-4c6f280d3fae
# Of zstd, from 1 to 22: a smaller image, or one that is made sooner.
squash_level=15

# In the initramfs: the card, the file systems, and the watchdog, so that systemd finds it.
early_modules="sdhci-iproc bcm2835 gpio-regulator fixed reset-raspberrypi squashfs overlay ext4 bcm2835_wdt"
# Ethernet, USB, disks on it, temperature, the processor's clock, random numbers, the green LED; serial adapters for
# sensors. What the device tree has and the image shall do without: devices_left_out.
board_modules="genet broadcom mdio-bcm-unimac pcie-brcmstb xhci-pci usb-storage uas sd_mod
    bcm2711_thermal raspberrypi-cpufreq cpufreq-dt iproc-rng200 leds-gpio
    ftdi_sio cp210x ch341 pl2303 cdc-acm sha256-arm64 sha2-ce"
# Screen, camera and sound; pins that are free; Bluetooth; USB at the socket of the supply.
devices_left_out="vc4 v3d vchiq i2c-bcm2835 i2c-mux-pinctrl pwm-bcm2835 hci_uart dwc2 phy-generic"
