# nooelint: oelint.var.mandatoryvar.SRC_URI
SUMMARY = "Update of the anomalyd appliance"
DESCRIPTION = "A signed RAUC bundle of the very files that the card image of the same build is made of."
SECTION = "images"
LICENSE = "Apache-2.0"
CVE_PRODUCT = ""

COMPATIBLE_MACHINE = "^raspberrypi4-64$"

inherit bundle features_check

REQUIRED_DISTRO_FEATURES = "rauc systemd"

# Signed with RAUC_KEY_FILE and RAUC_CERT_FILE, which the user sets (README.md).
RAUC_BUNDLE_COMPATIBLE = "anomalyd-rpi4"
RAUC_BUNDLE_VERSION = "${DISTRO_VERSION}"
RAUC_BUNDLE_FORMAT = "verity"

RAUC_BUNDLE_SLOTS = "boot rootfs"

RAUC_SLOT_boot = "anomalyd-boot-image"
RAUC_SLOT_boot[type] = "file"
RAUC_SLOT_boot[file] = "anomalyd-boot.vfat"
# By the end of the name RAUC knows what it is; the class would add ".img".
RAUC_SLOT_boot[rename] = "anomalyd-boot.vfat"

RAUC_SLOT_rootfs = "anomalyd-image"
RAUC_SLOT_rootfs[fstype] = "squashfs-zst"
