SUMMARY = "What the Raspberry Pi's firmware reads first"
DESCRIPTION = "autoboot.txt for the first partition, which says from which boot slot to start."
SECTION = "bootloaders"
LICENSE = "Apache-2.0"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/Apache-2.0;md5=89aea4e17d99a7cacdbeed46a0096b10"
CVE_PRODUCT = ""

COMPATIBLE_MACHINE = "^raspberrypi4-64$"

inherit deploy nopackages

INHIBIT_DEFAULT_DEPS = "1"

SRC_URI = "\
    file://READ-ME.txt \
    file://autoboot.txt \
"

S = "${UNPACKDIR}"

PACKAGE_ARCH = "${MACHINE_ARCH}"

do_configure[noexec] = "1"
do_compile[noexec] = "1"
do_install[noexec] = "1"

do_deploy() {
    install -d ${DEPLOYDIR}/${BPN}
    install -m 0644 ${S}/READ-ME.txt ${S}/autoboot.txt ${DEPLOYDIR}/${BPN}/
}
addtask deploy after do_install before do_build
