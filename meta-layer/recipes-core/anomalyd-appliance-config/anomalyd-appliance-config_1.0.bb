SUMMARY = "What makes a root file system an anomalyd appliance"
DESCRIPTION = "Data partition, overlay of /var, journal, watchdog, and the choice of the slot that starts."
SECTION = "base"
LICENSE = "Apache-2.0"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/Apache-2.0;md5=89aea4e17d99a7cacdbeed46a0096b10"
CVE_PRODUCT = ""

inherit allarch features_check systemd

REQUIRED_DISTRO_FEATURES = "systemd usrmerge"

# The tree mirrors the target: a new file needs no line here.
SRC_URI = "file://overlay"

S = "${UNPACKDIR}"

INHIBIT_DEFAULT_DEPS = "1"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install() {
    cp -R --no-dereference --preserve=mode ${S}/overlay/. ${D}/
    # Where the partitions are mounted: the root is read-only.
    install -d -m 0755 ${D}/boot ${D}/data
}

SYSTEMD_SERVICE:${PN} = "anomalyd-healthy.service boot.mount data-folders.service data.mount var.mount"

FILES:${PN} += "/boot /data ${nonarch_libdir}"

RDEPENDS:${PN} = "anomalyd"
