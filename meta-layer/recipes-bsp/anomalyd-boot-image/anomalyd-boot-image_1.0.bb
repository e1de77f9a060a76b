SUMMARY = "The FAT image of a boot slot: firmware, device tree, kernel"
DESCRIPTION = "One file system image for both boot slots: card image and update bundle take the same file."
SECTION = "bootloaders"
LICENSE = "Apache-2.0"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/Apache-2.0;md5=89aea4e17d99a7cacdbeed46a0096b10"
CVE_PRODUCT = ""

COMPATIBLE_MACHINE = "^raspberrypi4-64$"

DEPENDS = "dosfstools-native mtools-native"

inherit deploy nopackages

INHIBIT_DEFAULT_DEPS = "1"

SRC_URI = "\
    file://cmdline-a.txt \
    file://cmdline-b.txt \
    file://config.txt \
"

S = "${UNPACKDIR}"
B = "${WORKDIR}/build"

# As large as the slot (files/wic/anomalyd-rpi4.wks.in).
BOOT_IMAGE_MIB = "96"
BOOT_IMAGE_SERIAL = "a0a1d002"

PACKAGE_ARCH = "${MACHINE_ARCH}"

do_configure[noexec] = "1"
do_install[noexec] = "1"

do_compile() {
    files=${WORKDIR}/boot
    rm -rf $files ${B}/anomalyd-boot.vfat
    install -d $files
    for file in start4.elf fixup4.dat; do
        install -m 0644 ${DEPLOY_DIR_IMAGE}/${BOOTFILES_DIR_NAME}/$file $files/
    done
    for file in config.txt cmdline-a.txt cmdline-b.txt; do
        install -m 0644 ${S}/$file $files/
    done
    install -m 0644 ${DEPLOY_DIR_IMAGE}/bcm2711-rpi-4-b.dtb $files/
    install -m 0644 ${DEPLOY_DIR_IMAGE}/${KERNEL_IMAGETYPE} $files/kernel8.img

    # The same files give the same image: dates, serial number and order are fixed. One sector a
    # cluster, because a FAT32 of this size has too few clusters otherwise.
    find $files -exec touch --no-dereference --date=@${SOURCE_DATE_EPOCH} {} +
    truncate --size=${BOOT_IMAGE_MIB}M ${B}/anomalyd-boot.vfat
    mkfs.vfat --invariant -F 32 -s 1 -i ${BOOT_IMAGE_SERIAL} -n BOOT ${B}/anomalyd-boot.vfat
    mcopy -m -i ${B}/anomalyd-boot.vfat $(find $files -type f | LC_ALL=C sort) ::/
}
do_compile[depends] += "\
    rpi-bootfiles:do_deploy \
    virtual/kernel:do_deploy \
"

do_deploy() {
    install -m 0644 ${B}/anomalyd-boot.vfat ${DEPLOYDIR}/anomalyd-boot.vfat
}
addtask deploy after do_compile before do_build
