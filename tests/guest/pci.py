#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Linux with all its devices on PCI: what it finds, disks, shares, moved and misplaced BARs, drivers
that leave and come back, resets."""
# timeout: 600
import hashlib
import os
import random
import re
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tests", "support"))
import vm  # noqa: E402

SIZE = 8 << 20
# By their PCI ids: what the driver is called, how many of them.
DEVICES = {"1041": ("virtio_net", 1), "1042": ("virtio_blk", 2), "1043": ("virtio_console", 2),
           "1044": ("virtio_rng", 1), "1045": ("virtio_balloon", 1), "1049": ("9pnet_virtio", 1),
           "1053": ("vmw_vsock_virtio_transport", 1)}
MODULES = ("ext4", "9p", "9pnet_virtio", "vmw_vsock_virtio_transport", "virtio_balloon")

SCRIPT = r"""
wait_disk
mkdir -p /tools /share
mount -t ext4 -o ro /dev/vdb /tools || echo "hull: no tools"
for d in dev proc sys tmp; do mount -o bind /$d /tools/$d; done
tool() { chroot /tools "$@"; }
slot_of() { tool /usr/bin/lspci -Dn -d 1af4:$1 | head -1 | cut -d' ' -f1; }
driver_of() { basename "$(readlink /sys/bus/pci/devices/$1/virtio*/driver)"; }

tool /usr/bin/lspci -Dnk | grep 1af4: | while read -r slot _ id _; do
	echo "hull: found ${id#1af4:} $(driver_of $slot)"
done
tool /usr/bin/lspci -vv >/tmp/lspci 2>/tmp/lspci-errors
grep -c "MSI-X: Enable-" /tmp/lspci | sed 's/^/hull: msix off /'
grep -c "FLReset+" /tmp/lspci | sed 's/^/hull: flr /'
grep -c "VirtIO: Notify" /tmp/lspci | sed 's/^/hull: notify /'

echo "hull: before $(sha256sum <$disk)"
for half in 0 1; do
	dd if=$disk of=/tmp/half-$half bs=1M skip=$((4 * half)) count=4 2>/dev/null &
done
wait
for half in 0 1; do
	dd if=/tmp/half-$half of=$disk bs=4k seek=$((1024 * (1 - half))) conv=notrunc,fsync 2>/dev/null &
done
wait
sync
mount -t 9p -o trans=virtio,version=9p2000.L tree /share && cat /share/from-host
dd if=/dev/hwrng of=/tmp/random bs=64 count=4 2>/dev/null && echo "hull: random $(stat -c %s /tmp/random)"

# A function that nobody uses: sizes of its BARs, and everywhere but where they should be.
rng=$(slot_of 1044)
virtio=$(basename /sys/bus/pci/devices/$rng/virtio*)
echo $virtio >/sys/bus/virtio/drivers/virtio_rng/unbind
echo $rng >/sys/bus/pci/drivers/virtio-pci/unbind
pci() { tool /usr/bin/setpci -s $rng "$@"; }
for bar in 10 14 18; do eval "bar$bar=$(pci $bar.L)"; done
pci COMMAND=0
pci 10.L=ffffffff 14.L=ffffffff 18.L=ffffffff 1c.L=ffffffff
echo "hull: sizes $(pci 10.L) $(pci 14.L) $(pci 18.L) $(pci 1c.L)"
memory=$(sha256sum </bin/busybox)
for place in 80000000 30000000 10000000 0c000000 00000000 ffffffff; do
	pci 10.L=$place 14.L=0 18.L=$place
	pci COMMAND=7
	pci COMMAND=0
done
[ "$memory" = "$(sha256sum </bin/busybox)" ] && echo "hull: memory same"
# Over the disk, which comes first on the bus.
blk=$(slot_of 1042)
pci 10.L=$(tool /usr/bin/setpci -s $blk 10.L) 14.L=$(tool /usr/bin/setpci -s $blk 14.L)
pci COMMAND=7
dd if=$disk of=/dev/null bs=1M iflag=direct count=2 2>/dev/null && echo "hull: disk reads"
pci COMMAND=0
pci $(for off in $(seq 0 4 252); do printf "%x.L=ffffffff " $off; done)
pci $(for off in $(seq 0 255); do printf "%x.B=0 " $off; done)
echo 1 >/sys/bus/pci/devices/$rng/remove
echo 1 >/sys/bus/pci/rescan
echo "hull: again $(driver_of $rng) $(tool /usr/bin/setpci -s $rng 0.L)"
dd if=/dev/hwrng of=/tmp/random bs=64 count=4 2>/dev/null && echo "hull: random again $(stat -c %s /tmp/random)"

# The driver of a disk that is read all the time leaves and comes back.
for round in 1 2 3; do
	(while dd if=$disk of=/dev/null bs=64k iflag=direct 2>/dev/null; do :; done) &
	usleep 300000
	virtio=$(basename /sys/bus/pci/devices/$blk/virtio*)
	echo $virtio >/sys/bus/virtio/drivers/virtio_blk/unbind
	wait
	echo $virtio >/sys/bus/virtio/drivers/virtio_blk/bind
	wait_disk || break
done
echo "hull: after $(sha256sum <$disk)"
# A reset that the driver does not know of, and a driver that then begins anew.
(dd if=$disk of=/dev/null bs=4k iflag=direct count=64 2>/dev/null; echo "hull: read ended") &
echo $blk >/sys/bus/pci/drivers/virtio-pci/unbind
echo 1 >/sys/bus/pci/devices/$blk/reset && echo "hull: function reset"
wait
echo $blk >/sys/bus/pci/drivers/virtio-pci/bind
wait_disk && echo "hull: at last $(sha256sum <$disk)"
"""


def boot(folder, disk):
    share = os.path.join(folder, "tree")
    os.mkdir(share)
    with open(os.path.join(share, "from-host"), "w", encoding="utf-8") as f:
        f.write("hull: shared\n")
    tools = vm.guest.tools(vm.ARCH)
    machine = vm.Vm(*vm.linux(folder, SCRIPT, modules=MODULES), *vm.cmdline(), "--cpus", "2", "--memory", "512M",
                    "--virtio-transport", "pci", "--disk", disk, "--disk", tools + ",ro", "--net", "none",
                    "--share", share + ":tree", "--vsock", os.path.join(folder, "vsock"), "--console", "pty",
                    "--channel", "org.example,to=none", "--balloon", "--exit-on", "poweroff")
    machine.end()
    return machine


def check(tap, machine, before, after):
    told = machine.out
    found = re.findall(r"^hull: found (\S+) (\S+)$", told, re.M)
    for number, (driver, many) in sorted(DEVICES.items()):
        tap.check(found.count((number, driver)) == many, "%d of %s with its driver" % (many, driver))
    n = sum(many for _, many in DEVICES.values())
    for text in ("msix off %d" % n, "flr %d" % n, "notify %d" % n):
        tap.check("hull: %s\n" % text in told, "lspci -vv: " + text)
    for text in ("before " + before, "shared", "random 256", "sizes ffffc00c ffffffff fffff000 00000000",
                 "memory same", "disk reads", "again virtio_rng 10441af4", "random again 256", "after " + after,
                 "function reset", "read ended", "at last " + after):
        tap.check("hull: " + text in told, text.split(" " + after)[0].split(" " + before)[0])
    done = machine.process.returncode == 0 and not machine.crashed() and not tap.failed
    tap.check(done, "it does all of that and switches itself off", machine.story())


def main():
    vm.need("mke2fs")
    tap = vm.Tap()
    data = random.Random(11).randbytes(SIZE)
    swapped = data[SIZE // 2:] + data[:SIZE // 2]
    with tempfile.TemporaryDirectory() as folder:
        disk = os.path.join(folder, "disk.img")
        vm.guest.write_whole(disk, data)
        machine = boot(folder, disk)
        check(tap, machine, hashlib.sha256(data).hexdigest(), hashlib.sha256(swapped).hexdigest())
        tap.check(vm.guest.read(disk) == swapped, "what was written is in the image")
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
