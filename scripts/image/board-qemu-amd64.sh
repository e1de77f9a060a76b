# The twin for tests and trials: the same system for qemu-system-x86_64 with virtio devices. Read (not
# run) by scripts/build-image.sh and what it calls.
# shellcheck shell=bash disable=SC2034

arch=amd64
triplet=x86_64-linux-gnu
kernel_package=linux-image-amd64
firmware_package=
console=ttyS0,115200
kernel_name=vmlinuz
device_tree=
# Discoverable Partitions: root of this architecture.
root_type=4f68bce3-e8cd-4db1-96e7-fbcaf984b709
# Of zstd, from 1 to 22: a smaller image, or one that is made sooner.
squash_level=6

early_modules="virtio_pci virtio_blk squashfs overlay ext4 i6300esb"
board_modules="virtio_net virtio_rng virtio_console qemu_fw_cfg xhci-pci usb-storage sd_mod"
