SUMMARY = "libtorch, prebuilt for 64-bit Arm"
DESCRIPTION = "PyTorch's C++ libraries and headers with the libraries that they need, as Debian 13 builds them."
HOMEPAGE = "https://pytorch.org/"
SECTION = "libs"
LICENSE = "\
    Apache-2.0 & BSD-2-Clause & BSD-3-Clause & BSL-1.0 & GPL-3.0-with-GCC-exception & \
    LGPL-2.1-or-later & LGPL-3.0-or-later & MIT & Zlib \
"
CVE_PRODUCT = "pytorch"

# Each package from Debian's archive with its checksum, what of it is installed, the licences.
require libtorch-debian.inc

# Debian builds for any 64-bit Arm, and so for the Raspberry Pi 4. PyTorch's own wheel does not: it has
# instructions that a Cortex-A72 lacks (docs/decisions/0017-card-layout.md).
COMPATIBLE_HOST = "aarch64.*-linux"
COMPATIBLE_HOST:libc-musl = "null"

# A build from source takes hours, and more memory than most build machines have. What is in the packages
# is taken as it is: changing the libraries broke their page alignment.
INHIBIT_PACKAGE_DEBUG_SPLIT = "1"
INHIBIT_PACKAGE_STRIP = "1"
INHIBIT_SYSROOT_STRIP = "1"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

LIBTORCH_DIR = "${libdir}/libtorch"

# A folder of their own: nothing but the worker shall load these. It has the shape that torch-sys wants.
do_install() {
    install -d ${D}${LIBTORCH_DIR}/lib ${D}${LIBTORCH_DIR}/include
    for library in ${LIBTORCH_LIBRARIES}; do
        install -m 0644 "${S}/${library%%:*}" "${D}${LIBTORCH_DIR}/lib/${library##*:}"
    done
    for library in libtorch libtorch_cpu libc10; do
        ln -s $library.so.2.6 ${D}${LIBTORCH_DIR}/lib/$library.so
    done
    for headers in ATen c10 caffe2 torch; do
        cp -R --no-dereference --preserve=mode ${S}/usr/include/$headers ${D}${LIBTORCH_DIR}/include/
    done
}

FILES:${PN} += "${LIBTORCH_DIR}/lib/*.so.*"
FILES:${PN}-dev += "${LIBTORCH_DIR}/include ${LIBTORCH_DIR}/lib/*.so"

# Stripped and linked by someone else, and outside of ${libdir} itself.
# nooelint: oelint.vars.insaneskip
INSANE_SKIP:${PN} += "already-stripped file-rdeps ldflags libdir"
