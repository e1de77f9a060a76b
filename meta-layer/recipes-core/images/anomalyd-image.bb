SUMMARY = "The anomalyd appliance for the Raspberry Pi 4"
DESCRIPTION = "A card image with two slots to update and a data partition for all that changes."
SECTION = "images"
LICENSE = "Apache-2.0"
CVE_PRODUCT = ""

COMPATIBLE_MACHINE = "^raspberrypi4-64$"

inherit core-image features_check

REQUIRED_DISTRO_FEATURES = "rauc systemd"

IMAGE_FEATURES = "overlayfs-etc read-only-rootfs"
IMAGE_LINGUAS = ""

IMAGE_INSTALL = "\
    anomalyd \
    anomalyd-appliance-config \
    anomalyd-models \
    ca-certificates \
    openssh-sftp-server \
    openssh-sshd \
    packagegroup-core-boot \
    rauc \
    zram \
"

# /etc is an overlay before systemd starts. The folder /data is in the image, which is read-only.
OVERLAYFS_ETC_MOUNT_POINT = "/data"
OVERLAYFS_ETC_DEVICE = "/dev/mmcblk0p6"
OVERLAYFS_ETC_FSTYPE = "ext4"
OVERLAYFS_ETC_MOUNT_OPTIONS = "noatime"
OVERLAYFS_ETC_CREATE_MOUNT_DIRS = "0"

# The first partition. What the boot slots hold is anomalyd-boot-image.
IMAGE_BOOT_FILES = "\
    anomalyd-boot-files/READ-ME.txt;READ-ME.txt \
    anomalyd-boot-files/autoboot.txt;autoboot.txt \
"

# The root slots take a squashfs; the card image holds it twice, as it is.
IMAGE_FSTYPES = "squashfs-zst wic.bmap wic.zst"
WKS_FILE = "anomalyd-rpi4.wks.in"
# nooelint: oelint.vars.specific oelint.vars.mispell
IMAGE_TYPEDEP:wic = "squashfs-zst"
# nooelint: oelint.vars.mispell.unknown
do_image_wic[depends] += "\
    anomalyd-boot-files:do_deploy \
    anomalyd-boot-image:do_deploy \
"
