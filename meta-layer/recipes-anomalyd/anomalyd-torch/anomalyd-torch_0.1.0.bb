SUMMARY = "The torch worker and trainer of anomalyd"
DESCRIPTION = "Runs TorchScript models for anomalyd in a process of its own, and trains the LSTM autoencoder."
SECTION = "net"
CVE_PRODUCT = "anomalyd"

require recipes-anomalyd/anomalyd/anomalyd-source.inc
require recipes-anomalyd/anomalyd/anomalyd-crates.inc

inherit cargo

DEPENDS += "libtorch-bin"

# libtorch-bin is built for 64-bit Arm only; anomalyd itself runs anywhere, with its native engine.
COMPATIBLE_HOST = "aarch64.*-linux"

LIBTORCH_DIR = "${libdir}/libtorch"
export LIBTORCH = "${STAGING_DIR_TARGET}${LIBTORCH_DIR}"
export LIBTORCH_CXX11_ABI = "1"

# libtorch's own libraries carry no path: with the old kind of tag the worker's counts for them, too.
RUSTFLAGS:append = " \
    -Clink-arg=-Wl,--disable-new-dtags,-rpath,${LIBTORCH_DIR}/lib \
    -Clink-arg=-Wl,-rpath-link,${STAGING_DIR_TARGET}${LIBTORCH_DIR}/lib \
"

CARGO_BUILD_FLAGS:append = " --features torch --bin anomalyd-torch"

do_install() {
    install -D -m 0755 ${B}/target/${CARGO_TARGET_SUBDIR}/anomalyd-torch ${D}${libexecdir}/anomalyd/anomalyd-torch
    # The service's caps and sandbox with a worker.
    install -D -m 0644 ${S}/rootfs-overlay/service/usr/share/anomalyd/20-torch.conf \
        ${D}${systemd_system_unitdir}/anomalyd.service.d/20-torch.conf
}

FILES:${PN} += "${systemd_system_unitdir}/anomalyd.service.d"

RDEPENDS:${PN} += "anomalyd libtorch-bin"
