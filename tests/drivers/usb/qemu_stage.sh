#!/bin/sh
# The USB drivers through the real libusb and the real Linux USB stack: a guest without any network attaches the
# simulated devices by vhci_hcd from a USB/IP server of its own, and runs qemu_guest.py.
#
#   qemu_stage.sh KERNEL [PYTHON]
#
# KERNEL is a folder into which a Debian linux-image package was unpacked (dpkg -x; not the cloud flavour, which has no
# USB), PYTHON the interpreter that has balancecore and its extra 'usb' (default: python3). Needs qemu-system-x86_64,
# busybox (static) and cpio. The host's files are shared read-only.
set -eu
kernel=$(cd "$1" && pwd)
python=$(command -v "${2:-python3}")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

modules="virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci netfs fscache 9pnet 9pnet_virtio 9p
         overlay usb-common usbcore usbip-core vhci-hcd"
mkdir -p "$work/root/bin" "$work/root/modules"
cp "$(command -v busybox)" "$work/root/bin/busybox"
for module in $modules; do
    find "$kernel" -name "$module.ko" -exec cp {} "$work/root/modules/" \;
done

cat > "$work/root/init" <<GUEST
#!/bin/busybox sh
/bin/busybox --install -s /bin
mkdir -p /proc /sys /dev /ro /rw /new
mount -t proc proc /proc && mount -t sysfs sysfs /sys && mount -t devtmpfs dev /dev
# Not in the order in which they need each other: what could not be loaded at first can be later.
for round in 1 2 3; do
    for module in /modules/*.ko; do insmod \$module 2> /dev/null; done
done
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,ro,cache=loose root /ro
mount -t tmpfs rw /rw && mkdir /rw/upper /rw/work
mount -t overlay -o lowerdir=/ro,upperdir=/rw/upper,workdir=/rw/work overlay /new
for folder in proc sys dev; do mount --bind /\$folder /new/\$folder; done
ip link set lo up
PYTHONDONTWRITEBYTECODE=1 chroot /new $python $here/qemu_guest.py
echo "guest ended with \$?"
poweroff -f
GUEST
ln -s busybox "$work/root/bin/sh"
chmod +x "$work/root/init"
(cd "$work/root" && find . | cpio -o -H newc --quiet | gzip -1) > "$work/initrd"

timeout 600 qemu-system-x86_64 -accel tcg -cpu max -m 512 -nographic -no-reboot -nic none \
    -kernel "$(ls "$kernel"/boot/vmlinuz-*)" -initrd "$work/initrd" -append "console=ttyS0 quiet panic=-1" \
    -virtfs local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap < /dev/null | tee "$work/log"
grep -q "guest ended with 0" "$work/log"
