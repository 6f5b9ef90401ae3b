/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the first boot runs.  Lines that begin "hull-install: " are for boot.c:
 * "phase NAME", "failed TEXT", "initrd BYTES SHA256", "done".
 */
#ifndef HULL_MANAGE_INSTALL_SCRIPTS_H
#define HULL_MANAGE_INSTALL_SCRIPTS_H

/* /init of the initial RAM disk, in busybox's shell. */
static const char hull_script_init[] =
	"#!/bin/busybox sh\n"
	"/bin/busybox --install -s /bin\n"
	"export PATH=/bin\n"
	"say() { echo \"hull-install: $*\"; }\n"
	"fail() { say \"failed $*\"; sync; poweroff -f; sleep 60; }\n"
	"mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev\n"
	"cd /modules\n"
	"for m in *.xz; do [ ! -f \"$m\" ] || unxz \"$m\"; done\n"
	/* Each one when what it needs is there: no list of dependencies is necessary. */
	"for pass in 1 2 3 4 5 6; do for m in *.ko; do\n"
	"	[ ! -f \"$m\" ] || { insmod \"$m\" 2>/dev/null && rm \"$m\"; }\n"
	"done; done\n"
	"for t in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do\n"
	"	[ -b /dev/vda1 ] && break; usleep 100000\n"
	"done\n"
	/* A crash means to begin again, so nothing needs to be safe before the end. */
	"mount -t ext4 -o noatime,nobarrier,data=writeback,commit=600 /dev/vda1 /root ||\n"
	"	fail the disk cannot be mounted\n"
	"mount -t proc proc /root/proc; mount -t sysfs sys /root/sys\n"
	"mount -t devtmpfs dev /root/dev; mkdir -p /root/dev/pts\n"
	"mount -t devpts pts /root/dev/pts\n"
	"mount -t tmpfs -o mode=755 run /root/run; mount -t tmpfs tmp /root/tmp\n"
	"mkdir /root/run/hull; cp /hull/* /root/run/hull; chmod 700 /root/run/hull\n"
	"cd /; chroot /root /bin/sh /run/hull/setup </dev/null || fail \"the setup ended early\"\n"
	"say phase sync\n"
	"umount /root/tmp /root/run /root/dev/pts /root/dev /root/sys /root/proc\n"
	"umount /root || mount -o remount,ro /root || fail the disk cannot be released\n"
	"sync; say done; poweroff -f\n";

/* In the new system; /run/hull has: setup, settings, preinst, password, key. */
static const char hull_script_setup[] =
	". /run/hull/settings\n"
	"say() { echo \"hull-install: $*\"; }\n"
	"fail() { say \"failed $*\"; exit 1; }\n"
	"export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 SHELL=/bin/sh\n"
	"export DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true\n"
	"export DEBCONF_NOWARNINGS=yes SYSTEMD_OFFLINE=1\n"
	/* The initial RAM disk takes long and is made once, when everything is there. */
	"mkdir /run/hull/bin; PATH=/run/hull/bin:$PATH\n"
	"printf '#!/bin/sh\\nexit 0\\n' >/run/hull/bin/update-initramfs\n"
	"chmod 755 /run/hull/bin/update-initramfs\n"
	/* The lists of modules take long, too, and were made before. */
	"[ ! -s /lib/modules/$kernel/modules.dep.bin ] ||\n"
	"	cp /run/hull/bin/update-initramfs /run/hull/bin/depmod\n"
	"say phase configure-packages\n"
	"[ -e /usr/bin/awk ] || ln -s mawk /usr/bin/awk\n"
	"pre() {\n"
	"	[ -x /var/lib/dpkg/info/$1.preinst ] || return 0\n"
	"	DPKG_MAINTSCRIPT_NAME=preinst DPKG_MAINTSCRIPT_PACKAGE=${1%%:*} DPKG_ROOT= \\\n"
	"	DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT=1 DPKG_MAINTSCRIPT_ARCH=$arch \\\n"
	"	DPKG_ADMINDIR=/var/lib/dpkg /var/lib/dpkg/info/$1.preinst install ||\n"
	"		fail \"the preinst script of $1 fails\"\n"
	"}\n"
	"pre base-passwd\n"
	"while read -r p; do [ $p = base-passwd ] || pre $p; done </run/hull/preinst\n"
	"dpkg --force-unsafe-io --force-confold --configure -a ||\n"
	"	fail \"dpkg cannot configure all packages\"\n"
	"[ -z \"$(dpkg --audit)\" ] || { dpkg --audit; fail \"dpkg is not content\"; }\n"
	"rm -f /run/hull/bin/depmod; say phase initrd\n"
	"/usr/sbin/update-initramfs -c -k \"$kernel\" || fail \"no initial RAM disk was made\"\n"
	"say phase configure\n"
	"systemctl enable systemd-networkd systemd-resolved ssh >/dev/null 2>&1 ||\n"
	"	fail \"the services cannot be enabled\"\n"
	"[ -e \"/usr/share/zoneinfo/$timezone\" ] || fail \"there is no time zone $timezone\"\n"
	"ln -sf \"/usr/share/zoneinfo/$timezone\" /etc/localtime\n"
	"echo \"$timezone\" >/etc/timezone\n"
	"if [ -e /usr/sbin/locale-gen ]; then\n"
	"	grep -q \"^$locale \" /usr/share/i18n/SUPPORTED || fail \"there is no locale "
	"$locale\"\n"
	"	grep \"^$locale \" /usr/share/i18n/SUPPORTED >/etc/locale.gen\n"
	"	locale-gen || fail \"the locale cannot be made\"\n"
	"fi\n"
	"echo \"LANG=$locale\" >/etc/default/locale\n"
	"useradd -m -s /bin/bash -G sudo,adm \"$user\" || fail \"user $user cannot be made\"\n"
	"chpasswd </run/hull/password || fail \"the password is refused\"\n"
	"install -d -m 700 -o \"$user\" -g \"$user\" \"/home/$user/.ssh\"\n"
	"install -m 600 -o \"$user\" -g \"$user\" /run/hull/key "
	"\"/home/$user/.ssh/authorized_keys\"\n"
	"[ -s /etc/ssh/ssh_host_ed25519_key.pub ] || ssh-keygen -A || fail \"there are no host "
	"keys\"\n"
	"say \"hostkey $(cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub)\"\n"
	"[ -s /etc/machine-id ] || systemd-machine-id-setup\n"
	"rm -f /usr/sbin/policy-rc.d /var/lib/dpkg/*-old /var/cache/debconf/*-old\n"
	"set -- /boot/initrd.img-*\n"
	"[ -s \"$1\" ] || fail \"no initial RAM disk was made\"\n"
	"say phase copy\n"
	"dd if=\"$1\" of=/dev/vdb bs=1M conv=fsync 2>/dev/null || fail \"it cannot be copied\"\n"
	"say initrd $(stat -c %s \"$1\") $(sha256sum <\"$1\" | cut -d' ' -f1)\n"
	"exit 0\n";

#endif
