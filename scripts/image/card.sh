#!/bin/bash
# The card image from its parts: GPT, partition that the firmware reads first, boot slot A, root slot A,
# data partition. Slot B is empty (docs/decisions/0019-second-slot.md). Run by scripts/build-image.sh;
# the same parts give the same image.
#
# Needs board and work; reads root.squashfs, initramfs.img and kernel in $work. Leaves there card.img,
# boot.vfat, and mapped.txt with the ranges "OFFSET:LENGTH" that a card must have from the image.
set -euo pipefail
export LC_ALL=C TZ=UTC PATH=/usr/sbin:/usr/bin:/sbin:/bin
umask 022
. "scripts/image/board-$board.sh"

recipes=meta-layer/recipes-bsp
mib=$((1024 * 1024))
# As meta-layer/files/wic/anomalyd-rpi4.wks.in.
boot_mib=96 root_mib=256

dated() { find "$1" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +; }
fat() { # fat FILE MIB SERIAL LABEL FOLDER
    rm -f "$1"
    truncate -s "$2M" "$1"
    # One sector a cluster, because a FAT32 of this size has too few clusters otherwise.
    mkfs.vfat --invariant -F 32 -s 1 -i "$3" -n "$4" "$1" >/dev/null
    dated "$5"
    (cd "$5" && find . -type f -printf '%P\n' | sort | xargs -I{} mcopy -m -i "$1" {} ::/)
}

# ---- what the firmware reads first
first=$work/first
mkdir -p "$first"
cp "$recipes"/anomalyd-boot-files/files/{READ-ME.txt,autoboot.txt} "$first/"
fat "$work/first.vfat" 64 a0a1d001 ANOMALYD "$first"

# ---- a boot slot
slot=$work/slot
mkdir -p "$slot"
for letter in a b; do
    sed "s/console=serial0,115200/console=$console/" "$recipes/anomalyd-boot-image/files/cmdline-$letter.txt" \
        >"$slot/cmdline-$letter.txt"
done
sed "s/^kernel=.*/kernel=$kernel_name/" "$recipes/anomalyd-boot-image/files/config.txt" >"$slot/config.txt"
echo 'initramfs initramfs.img followkernel' >>"$slot/config.txt"
cp "$work/initramfs.img" "$slot/"
case $board in
    rpi4)
        gzip -9n <"$work/kernel" >"$slot/$kernel_name"
        cp "$work"/boot/usr/lib/raspi-firmware/{start4.elf,fixup4.dat} "$slot/"
        cp "$work"/boot/usr/lib/linux-image-*/"$device_tree" "$slot/"
        ;;
    *) cp "$work/kernel" "$slot/$kernel_name" ;;
esac
chmod 644 "$slot"/*
fat "$work/boot.vfat" $boot_mib a0a1d002 BOOT "$slot"

# ---- data: nothing but the word that slot B is empty
rm -f "$work/data.ext4"
truncate -s 128M "$work/data.ext4"
# By its size now it would get blocks of 1 KiB; it may grow to 2 TiB.
E2FSPROGS_FAKE_TIME=$SOURCE_DATE_EPOCH mke2fs -q -F -t ext4 -b 4096 -i 16384 -L data -U a0a1d000-0000-4000-8000-0000000000d6 -m 1 \
    -E root_owner=0:0,hash_seed=a0a1d000-0000-4000-8000-0000000000d7,lazy_itable_init=1,lazy_journal_init=0,resize=536870912 \
    "$work/data.ext4"
# Not by -d: that takes over when the files here were changed, which nobody can set.
: >"$work/empty"
E2FSPROGS_FAKE_TIME=$SOURCE_DATE_EPOCH debugfs -w -f - "$work/data.ext4" >"$work/debugfs.log" 2>&1 <<EOF
mkdir rauc
write $work/empty rauc/empty-B
write $work/empty rauc/bad-B
EOF
# debugfs ends well whatever happened.
e2fsck -fn "$work/data.ext4" >"$work/e2fsck.log" 2>&1 && debugfs -R 'stat rauc/bad-B' "$work/data.ext4" 2>/dev/null | grep -q 'Type: regular' \
    || { cat "$work/debugfs.log" "$work/e2fsck.log" >&2; exit 1; }

# ---- the card
bytes=$(stat -c %s "$work/root.squashfs")
[ "$bytes" -le $((root_mib * mib)) ] || { echo "card.sh: the root is $bytes bytes, a slot holds $((root_mib * mib))" >&2; exit 1; }
card=$work/card.img
rm -f "$card"
truncate -s 943735808 "$card"
fat_type=ebd0a0a2-b9e5-4433-87c0-68b6b72699c7
data_type=0fc63daf-8483-4772-8e79-3d69d8477de4
uuid=a0a1d000-0000-4000-8000-00000000000
options=(--disk-guid="${uuid}0" --set-alignment=8192)
number=0 at=4
: >"$work/mapped.txt"
part() { # part NAME MIB TYPE [FILE]
    number=$((number + 1))
    options+=("--new=$number:$((at * 2048)):$(((at + $2) * 2048 - 1))" "--change-name=$number:$1"
        "--typecode=$number:$3" "--partition-guid=$number:$uuid$number")
    if [ -n "${4:-}" ]; then
        local length
        length=$(((($(stat -c %s "$4") + 4095) / 4096) * 4096))
        dd if="$4" of="$card" bs=4M seek=$((at / 4)) conv=notrunc,sparse status=none
        echo "$((at * mib)):$length" >>"$work/mapped.txt"
    fi
    at=$((at + $2))
}
part boot 64 $fat_type "$work/first.vfat"
part boot-a $boot_mib $fat_type "$work/boot.vfat"
part boot-b $boot_mib $fat_type
part root-a $root_mib "$root_type" "$work/root.squashfs"
part root-b $root_mib "$root_type"
part data 128 $data_type "$work/data.ext4"
sgdisk "${options[@]}" "$card" >"$work/sgdisk.log" || { cat "$work/sgdisk.log" >&2; exit 1; }
# Both copies of the table.
echo "0:$((4 * mib))" >>"$work/mapped.txt"
echo "$((at * mib)):$((943735808 - at * mib))" >>"$work/mapped.txt"
