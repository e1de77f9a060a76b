#!/bin/bash
# The root file system of the card images, as a squashfs. Run as root by scripts/build-image.sh, which
# sets what is used here:
#
#   board, work    the board's name; the folder to work in, with packages/ (the packages of the root)
#                  and boot/ (kernel, firmware and static busybox, unpacked)
#   deb            anomalyd's package
#   version        the image's version
#   certificate    of updates
#   overlay        a folder of files laid over all, or empty
#   torch_folder   libraries and worker, or empty
#
# Leaves in $work: root.squashfs, initramfs.img, kernel, packages.txt.
set -euo pipefail
export LC_ALL=C TZ=UTC PATH=/usr/sbin:/usr/bin:/sbin:/bin
umask 022
. "scripts/image/board-$board.sh"

root=$work/root
boot=$work/boot
tools="chroot $root"

# ---- packages, without manuals, locales and the hardware database of udev
mkdir -p "$root"
for package in "$work"/packages/*.deb; do
    name=${package##*/}
    if grep -qx -e "-${name%%_*}" scripts/image/packages.txt; then continue; fi
    dpkg-deb --fsys-tarfile "$package" | tar -C "$root" -xf - --keep-directory-symlink \
        --exclude='./usr/share/man/*' --exclude='./usr/share/info/*' --exclude='./usr/share/locale/*' \
        --exclude='./usr/share/lintian/*' --exclude='./usr/share/bug/*' --exclude='./usr/lib/udev/hwdb.d/*' \
        --exclude='./usr/share/doc/*/*[!t]' --exclude='./usr/share/doc/*/examples'
    # Packages of the other architectures that Debian has are named by it, too: name_version_arch.deb
    sed 's/%3a/:/; s/\.deb$//; y/_/\t/' <<<"$name" >>"$work/packages.part"
done
scripts/image/configure.sh "$root" "$triplet"
dpkg-deb --extract "$deb" "$root"
dpkg-deb --show --showformat='${Package}\t${Version}\t${Architecture}\n' "$deb" >>"$work/packages.part"

# ---- kernel modules: what the board has, and what mounts, updates and service need
modules=$(ls "$boot/usr/lib/modules")
[ "$(wc -w <<<"$modules")" = 1 ] || { echo "root.sh: not one kernel but: $modules" >&2; exit 1; }
[ -e "$boot/lib" ] || ln -s usr/lib "$boot/lib"
depmod -b "$boot" "$modules" 2>/dev/null
common_modules="zram loop nbd dm-verity vfat exfat nls_ascii nls_cp437 nls_iso8859-1 af_packet sha256_generic
    configfs autofs4 sch_fq_codel tun"
files_of() { # what has to be loaded for modules, each once, in order; what is built in has no file
    for module; do
        modprobe -d "$boot" -S "$modules" --show-depends "$module" 2>/dev/null && continue
        echo "root.sh: Debian's kernel $modules has no module $module (scripts/image/board-$board.sh)" >&2
        exit 1
    done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++'
}
# shellcheck disable=SC2086  # lists of names
files_of $early_modules $common_modules $board_modules | while read -r file; do
    install -D -m 644 "$file" "$root/usr/lib/modules/$modules/${file#*/modules/"$modules"/}"
done
if [ -n "$device_tree" ]; then
    # shellcheck disable=SC2086  # a list of names
    scripts/image/drivers.py "$boot/usr/lib/linux-image-$modules/$device_tree" "$boot/usr/lib/modules/$modules/modules.alias" \
        "$root/usr/lib/modules/$modules" $devices_left_out
fi
cp "$boot/usr/lib/modules/$modules"/modules.{builtin,builtin.modinfo,order} "$root/usr/lib/modules/$modules/"
if [ -d "$work/modules" ]; then
    # Our own, without which a restart does not try the other slot.
    install -D -m 644 -t "$root/usr/lib/modules/$modules/extra" "$work/modules"/*.ko
    basename -s .ko "$work/modules"/*.ko >"$root/usr/lib/modules-load.d/anomalyd.conf"
fi
depmod -b "$root" "$modules"

# ---- files of the appliance
cp -R --no-dereference --preserve=mode rootfs-overlay/appliance/. rootfs-overlay/debian/. "$root/"
mkdir -p "$root/boot" "$root/data" "$root/usr/lib/rauc"
sed "s/^compatible=.*/compatible=anomalyd-$board/" meta-layer/recipes-core/anomalyd-rauc-conf/files/system.conf \
    >"$root/usr/lib/rauc/system.conf"
install -m 644 "$certificate" "$root/usr/lib/rauc/keyring.pem"
rm -rf "$root/etc/rauc"
if [ -n "$torch_folder" ]; then cp -a "$torch_folder/." "$root/"; fi
if [ -n "$overlay" ]; then cp -R --no-dereference --preserve=mode "$overlay/." "$root/"; fi

cat >>"$root/usr/lib/os-release" <<EOF
IMAGE_ID=anomalyd-$board
IMAGE_VERSION=$version
EOF
echo anomalyd >"$root/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 anomalyd\n::1 localhost\n' >"$root/etc/hosts"
# Made at the first start. Not "uninitialized": that would have systemd enable every unit there is.
: >"$root/etc/machine-id"

# In the target's own system, which for another architecture is emulated.
$tools systemd-sysusers
$tools journalctl --update-catalog
$tools ldconfig

# ---- units
# What scripts of System V are there double the units.
rm -rf "$root"/etc/init.d "$root"/etc/rc?.d
unit() { systemctl --quiet --root="$root" "$@"; }
enabled="anomalyd systemd-networkd systemd-resolved systemd-timesyncd ssh tmp.mount"
for file in "$root"/usr/lib/systemd/system/*; do
    name=${file##*/}
    if [ -e "rootfs-overlay/appliance/usr/lib/systemd/system/$name" ] || [ -e "rootfs-overlay/debian/usr/lib/systemd/system/$name" ]; then
        if [ -f "$file" ] && grep -q '^\[Install\]' "$file"; then enabled="$enabled $name"; fi
    fi
done
# shellcheck disable=SC2086  # lists of names
{
    unit disable ssh.socket rauc.service fstrim.timer e2scrub_all.timer e2scrub_reap.service dpkg-db-backup.timer \
        systemd-pstore.service systemd-network-generator.service getty@tty1.service 2>/dev/null || true
    unit enable $enabled
    # Nobody logs in at a console, no seat is managed, nothing waits for the network.
    unit mask getty@.service serial-getty@.service console-getty.service container-getty@.service \
        getty.target systemd-networkd-wait-online.service \
        systemd-hwdb-update.service ldconfig.service systemd-firstboot.service \
        dev-hugepages.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount \
        proc-sys-fs-binfmt_misc.automount
}
rm -f "$root"/usr/lib/systemd/system/{systemd-logind.service,dbus-org.freedesktop.login1.service} \
    "$root"/usr/lib/systemd/system/*.wants/systemd-logind.service "$root/usr/share/dbus-1/system-services/org.freedesktop.login1.service"
# Generators run at every start: those that are left have work here. One of them would open SSH to the
# host of a virtual machine, another a root shell by a word on the command line.
for generator in "$root"/usr/lib/systemd/system-generators/*; do
    case ${generator##*/} in
        zram-generator) ;;
        *) rm -f "$generator" ;;
    esac
done

# ---- what is not needed
rm -rf "$root"/var/lib/{dpkg,apt,pam,ucf} "$root"/var/cache/* "$root"/var/log/* \
    "$root"/var/backups "$root"/usr/lib/*/gconv "$root"/usr/share/{bug,lintian,doc-base,bash-completion,zsh,initramfs-tools,locale,man,info} \
    "$root"/etc/{apt,dpkg,cron*,logrotate.d,kernel,initramfs-tools,alternatives/README} \
    "$root"/usr/lib/udev/hwdb.bin "$root"/usr/lib/udev/hwdb.d "$root"/usr/lib/systemd/boot "$root"/tmp/* "$root"/run/*
find "$root/etc" "$root/usr/lib" -xdev \( -name '*.dpkg-*' -o -name '*-' -path '*/etc/*' \) -type f -delete
# So that the first start does not do what was done here.
touch "$root/etc/.updated" "$root/var/.updated"
# No password for anybody, the service's users included, and no day on which it was set.
sed -i -E 's/^([^:]*):[^:]*:[0-9]*:/\1:*:20000:/' "$root/etc/shadow"

# ---- lists
cat "$work/boot-packages.txt" >>"$work/packages.part"
sort -u "$work/packages.part" >"$work/packages.txt"
install -m 644 "$work/packages.txt" "$root/usr/share/anomalyd/packages.txt"

# ---- initramfs
early=$work/early
mkdir -p "$early/bin" "$early/modules"
install -m 755 "$boot/usr/bin/busybox" "$early/bin/busybox"
install -m 755 scripts/image/init "$early/init"
# shellcheck disable=SC2086  # a list of names
files_of $early_modules | while read -r file; do
    name=$(basename "${file%.xz}")
    case $file in
        *.xz) xz -dc "$file" >"$early/modules/$name" ;;
        *) cp "$file" "$early/modules/$name" ;;
    esac
    echo "$name"
done >"$work/order"
cp "$work/order" "$early/modules/order"
chmod -R u=rwX,go=rX "$early"
find "$early" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
(cd "$early" && find . -mindepth 1 | sort | cpio --reproducible --quiet -o -H newc -R 0:0 | zstd -q -19) >"$work/initramfs.img"
cp "$boot"/boot/vmlinuz-* "$work/kernel"

# ---- squashfs
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
rm -f "$work/root.squashfs"
# SOURCE_DATE_EPOCH is mksquashfs' own; the files' dates are set above.
mksquashfs "$root" "$work/root.squashfs" -comp zstd -Xcompression-level "$squash_level" -b 256K -noappend -no-xattrs -quiet -no-progress
chmod a+r "$work"/*
