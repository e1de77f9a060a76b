# nooelint: oelint.var.mandatoryvar.SRC_URI
SUMMARY = "What makes a root file system an anomalyd appliance"
DESCRIPTION = "Data partition, overlay of /var, journal, watchdog, the choice of the slot that starts, and the user's file on the card."
SECTION = "base"
CVE_PRODUCT = ""

require recipes-anomalyd/anomalyd/anomalyd-source.inc

inherit allarch features_check systemd

REQUIRED_DISTRO_FEATURES = "systemd usrmerge"

INHIBIT_DEFAULT_DEPS = "1"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install[prefuncs] += "anomalyd_source_there"
do_install() {
    # The tree mirrors the target: a new file needs no line here.
    cp -R --no-dereference --preserve=mode ${S}/rootfs-overlay/appliance/. ${D}/
    # Where the partitions are mounted: the root is read-only.
    install -d -m 0755 ${D}/boot ${D}/data
}

SYSTEMD_SERVICE:${PN} = "anomalyd-healthy.service anomalyd-provision.service boot.mount data-folders.service data.mount var.mount"

FILES:${PN} += "/boot /data ${nonarch_libdir}"

RDEPENDS:${PN} = "anomalyd"
