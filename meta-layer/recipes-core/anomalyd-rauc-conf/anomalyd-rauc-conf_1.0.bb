SUMMARY = "The appliance's slots, and whose updates it takes"
DESCRIPTION = "RAUC's configuration for the partitions of the card image, and the keyring for its bundles."
SECTION = "base"
LICENSE = "Apache-2.0"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/Apache-2.0;md5=89aea4e17d99a7cacdbeed46a0096b10"
CVE_PRODUCT = ""

COMPATIBLE_MACHINE = "^raspberrypi4-64$"

# A certificate in PEM form, by absolute path. There is no default: one that came with the layer would
# make appliances take updates from anybody.
RAUC_KEYRING_FILE ??= ""

SRC_URI = "\
    file://system.conf \
    ${@'file://' + d.getVar('RAUC_KEYRING_FILE') if d.getVar('RAUC_KEYRING_FILE') else ''} \
"

S = "${UNPACKDIR}"

INHIBIT_DEFAULT_DEPS = "1"

PACKAGE_ARCH = "${MACHINE_ARCH}"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install() {
    install -D -m 0644 ${S}/system.conf ${D}${nonarch_libdir}/rauc/system.conf
    if [ -n "${RAUC_KEYRING_FILE}" ]; then
        install -m 0644 ${S}${RAUC_KEYRING_FILE} ${D}${nonarch_libdir}/rauc/keyring.pem
    else
        bbwarn "RAUC_KEYRING_FILE is not set: this image will take no updates (meta-layer/README.md)"
    fi
}

FILES:${PN} += "${nonarch_libdir}/rauc"

# What rauc recommends by this name.
RPROVIDES:${PN} = "virtual-rauc-conf"
