SUMMARY = "libtorch, prebuilt for 64-bit Arm"
DESCRIPTION = "PyTorch's C++ libraries and headers with the libraries that they need, from PyTorch's wheel."
HOMEPAGE = "https://pytorch.org/"
SECTION = "libs"
LICENSE = "Apache-2.0 & BSD-2-Clause & BSD-3-Clause & BSL-1.0 & GPL-3.0-with-GCC-exception & MIT"
LIC_FILES_CHKSUM = "file://torch-2.6.0.dist-info/LICENSE;md5=e772b8b051da6b9591196966b94097c9"
CVE_PRODUCT = "pytorch"

COMPATIBLE_HOST = "aarch64.*-linux"
# Built against glibc 2.28; musl has no such symbols.
COMPATIBLE_HOST:libc-musl = "null"

inherit pypi

PYPI_PACKAGE = "torch"
PYPI_PACKAGE_EXT = "whl"
# The class knows source archives only. A wheel is below the name of its Python instead of below
# "source", and is a zip archive by another name.
LIBTORCH_WHEEL = "torch-${PV}-cp312-cp312-manylinux_2_28_aarch64.whl"
PYPI_SRC_URI = "${@libtorch_wheel_uri(d)}"
SRC_URI[sha256sum] = "b789069020c5588c70d5c2158ac0aa23fd24a028f34a8b4fcb8fcb4d7efcf5fb"

UPSTREAM_CHECK_REGEX = "torch-(?P<pver>\d+(\.\d+)+)-cp312-cp312-manylinux_2_28_aarch64\.whl"

def libtorch_wheel_uri(d):
    wheel = d.getVar('LIBTORCH_WHEEL')
    uri = pypi_src_uri(d).split(';')[0].replace('/source/', '/cp312/')
    return '%s/%s;downloadfilename=%s.zip' % (uri.rsplit('/', 1)[0], wheel, wheel)

S = "${UNPACKDIR}"

# A build from source takes hours, and more memory than most build machines have. What is in the wheel
# is taken as it is: stripping or changing paths broke its page alignment.
INHIBIT_PACKAGE_DEBUG_SPLIT = "1"
INHIBIT_PACKAGE_STRIP = "1"
INHIBIT_SYSROOT_STRIP = "1"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

LIBTORCH_DIR = "${libdir}/libtorch"

# The libraries find each other by paths relative to themselves, so the folders stay as they are. What
# is only for Python is left out.
do_install() {
    install -d ${D}${LIBTORCH_DIR}/torch/lib ${D}${LIBTORCH_DIR}/torch.libs
    for library in libtorch.so libtorch_cpu.so libc10.so; do
        install -m 0755 ${S}/torch/lib/$library ${D}${LIBTORCH_DIR}/torch/lib/
    done
    install -m 0755 ${S}/torch.libs/*.so* ${D}${LIBTORCH_DIR}/torch.libs/
    cp -R --no-dereference --preserve=mode ${S}/torch/include ${D}${LIBTORCH_DIR}/torch/
}

FILES:${PN} += "${LIBTORCH_DIR}"
FILES:${PN}-dev += "${LIBTORCH_DIR}/torch/include"

# Libraries without a version in their name, stripped and linked by someone else, outside ${libdir}
# itself, that find each other without the package manager's help.
# nooelint: oelint.vars.insaneskip
INSANE_SKIP:${PN} += "already-stripped dev-so file-rdeps ldflags libdir rpaths"
