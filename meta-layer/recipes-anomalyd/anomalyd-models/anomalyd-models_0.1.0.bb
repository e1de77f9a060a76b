# nooelint: oelint.var.mandatoryvar.SRC_URI
SUMMARY = "The models that anomalyd ships"
DESCRIPTION = "The model and the faults of the simulated plant: to try anomalyd without sensors."
SECTION = "net"
CVE_PRODUCT = "anomalyd"

require recipes-anomalyd/anomalyd/anomalyd-source.inc

inherit allarch

INHIBIT_DEFAULT_DEPS = "1"

do_compile[noexec] = "1"

do_install() {
    install -d ${D}${datadir}/anomalyd
    install -m 0644 ${S}/models/demo.pt ${S}/models/demo-faults.toml ${D}${datadir}/anomalyd/
}

FILES:${PN} += "${datadir}/anomalyd"

RRECOMMENDS:${PN} += "anomalyd"
