#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# The developer's front door: ./do help
set -eu
cd "$(dirname "$0")"
jobs=$(nproc 2>/dev/null || echo 2)

usage() {
	cat <<'T'
./do demo [--run]             boot Linux with a disk: a shell, or (--run, no terminal) a self-check
./do demo metal               two Linux VMs on bare metal (emulated): one pings the other
./do test [OPTION] [PATTERN]  all tests under ASan and UBSan, and the checks
     --quick                  without booting guests     --tsan  unit tests and 4-CPU guests under TSan
     --long                   what takes too long for every day: a whole Debian machine, installed
./do test nested [PATTERN]    hull on emulated hosts with KVM: x86_64, aarch64, riscv64
./do test metal [PATTERN]     the hypervisor on emulated machines
./do check [PATTERN]          the rules of the code: layers, freestanding, headers, budgets, ...
./do bench [GROUP]            benchmarks beside QEMU: int ctl fp mem sys boot start; --quick, --smp
./do bench io [SECTION]        disks, networks and shares beside their peers
./do bench kvm                 exits, start and memory on this host's KVM; --quick
./do bench stress             Linux for an hour in a small code cache: memory, pauses; --seconds S
./do fuzz [TARGET] [SECONDS]  libFuzzer targets of tests/fuzz (default: all, 60 s each)
./do build [clang]            only compile, with gcc into build/ or clang-19 into build-clang/
./do format                   clang-format over the C files that differ from main
./do help
T
}

die() {
	echo "do: $*" >&2
	exit 1
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		env DEBIAN_FRONTEND=noninteractive "$@"
	elif command -v sudo >/dev/null; then
		sudo env DEBIAN_FRONTEND=noninteractive "$@"
	else
		die "neither root nor sudo here; install these packages by hand: $missing"
	fi
}

# need PROGRAM-OR-FILE PACKAGE ...: install the packages whose program or file is missing.
need() {
	missing=
	while [ $# -gt 0 ]; do
		case $1 in
		/*) [ -e "$1" ] || missing="$missing $2" ;;
		*) command -v "$1" >/dev/null || missing="$missing $2" ;;
		esac
		shift 2
	done
	[ -n "$missing" ] || return 0
	command -v apt-get >/dev/null || die "this is no Debian; install by hand:$missing"
	echo "installing:$missing" >&2
	log=$(mktemp)
	# shellcheck disable=SC2086
	if ! as_root apt-get install -qy --no-install-recommends $missing >"$log" 2>&1 </dev/null &&
		! { as_root apt-get update -q && as_root apt-get install -qy --no-install-recommends $missing; } \
			>"$log" 2>&1 </dev/null; then
		tail -n 30 "$log" >&2
		rm -f "$log"
		die "the packages cannot be installed:$missing"
	fi
	rm -f "$log"
}

need_build() {
	need gcc gcc /usr/include/stdio.h libc6-dev python3 python3 meson meson ninja ninja-build \
		pkg-config pkg-config /usr/include/zlib.h zlib1g-dev /usr/include/zstd.h libzstd-dev \
		/usr/include/slirp/libslirp.h libslirp-dev /usr/include/liburing.h liburing-dev git git
}

need_clang() {
	need clang-19 clang-19 /usr/lib/llvm-19/lib/clang/19/lib libclang-rt-19-dev
}

# configure DIR OPTION...: a Meson build folder, anew when the options or the list of files changed.
configure() {
	dir=$1
	shift
	want=$(
		echo "$*"
		cat meson.build meson_options.txt tests/meson.build | cksum
		find include src tests web -name '*.[ch]' -o -name '*.def' 2>/dev/null | LC_ALL=C sort
	)
	if [ -f "$dir/build.ninja" ] && [ "$want" = "$(cat "$dir/.configured" 2>/dev/null)" ]; then
		return 0
	fi
	again=
	[ ! -f "$dir/build.ninja" ] || again=--reconfigure
	mkdir -p "$dir"
	if ! meson setup $again "$dir" "$@" >"$dir/setup.log" 2>&1 </dev/null; then
		tail -n 30 "$dir/setup.log" >&2
		die "meson setup $dir failed"
	fi
	printf '%s\n' "$want" >"$dir/.configured"
}

# compile DIR [TARGET...]: one changing line on a terminal; elsewhere only what goes wrong.
compile() {
	dir=$1
	shift
	if [ -t 1 ]; then
		ninja -C "$dir" -j "$jobs" "$@"
	elif ! ninja --quiet -C "$dir" -j "$jobs" "$@" >"$dir/compile.log" 2>&1; then
		cat "$dir/compile.log" >&2
		die "$dir does not build"
	fi
}

build() {
	need_build
	configure build --buildtype=debugoptimized -Doptimization=3 -Dtests=false
	compile build
}

build_sanitized() {
	need_build
	need /usr/include/cmocka.h libcmocka-dev /usr/include/mpfr.h libmpfr-dev
	configure "build-$1" --buildtype=debugoptimized -Db_sanitize="$2"
	compile "build-$1"
}

# cross ARCH OPTION...: build-ARCH, ready to compile; sets $cross, where what runs its programs is.
cross() {
	arch=$1
	shift
	package=$(echo "$arch" | sed s/aarch64/arm64/)
	need "$arch-linux-gnu-gcc" "gcc-$arch-linux-gnu" "/usr/$arch-linux-gnu/include/stdio.h" "libc6-dev-$package-cross"
	cross=$(python3 tools/cross.py "$arch") || die "no libraries for $arch"
	configure "build-$arch" --buildtype=debugoptimized --cross-file "$cross/cross.ini" "$@"
}

# cross_as ARCH: as all tests want it; UBSan where there is a cross library of it.
cross_as() {
	case $1 in
	aarch64) cross aarch64 -Db_sanitize=undefined ;;
	*) cross "$1" ;;
	esac
}

# The engine's unit tests for ARCH; adds to $crosses what runs them.
build_cross() {
	cross_as "$1"
	# shellcheck disable=SC2046
	compile "build-$1" $(python3 tools/run_tests.py --suite "$1" --cross "$1:build-$1:" --list)
	crosses="$crosses --suite $1 --cross $1:build-$1:$cross/run"
}

# Emulators of hosts with KVM, and hull for them.
need_nested() {
	need dpkg-deb dpkg /usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring \
		qemu-system-x86_64 qemu-system-x86 qemu-system-aarch64 qemu-system-arm \
		qemu-system-riscv64 qemu-system-misc
}

build_nested() {
	for arch in aarch64 riscv64; do
		cross_as $arch
		compile build-$arch hull tests/test_kvm_host
	done
}

# The hypervisor as images for emulated machines.
build_metal() {
	need_build
	need aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu qemu-system-aarch64 qemu-system-arm \
		riscv64-linux-gnu-gcc gcc-riscv64-linux-gnu dtc device-tree-compiler \
		qemu-system-riscv64 qemu-system-misc /usr/share/qemu/opensbi-riscv64-generic-fw_dynamic.bin opensbi
	configure build-metal --buildtype=debugoptimized -Dmetal=true -Dtests=false \
		--cross-file tools/metal/aarch64.ini
	compile build-metal
	configure build-metal-riscv64 --buildtype=debugoptimized -Dmetal=true -Dtests=false \
		--cross-file tools/metal/riscv64.ini
	compile build-metal-riscv64
}

need_check() {
	need_build
	need clang-19 clang-19 clang-format-19 clang-format-19 \
		aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu riscv64-linux-gnu-gcc gcc-riscv64-linux-gnu
}

# Programs that the tests compare Hull with.
need_judges() {
	need mke2fs e2fsprogs sfdisk fdisk isoinfo genisoimage dtc device-tree-compiler pkg-config pkg-config qemu-img qemu-utils nbdinfo libnbd-bin iperf3 iperf3 curl curl \
		qemu-riscv64 qemu-user qemu-system-riscv64 qemu-system-misc llvm-mc-19 llvm-19 \
		iasl acpica-tools tcpdump tcpdump passt passt /usr/riscv64-linux-gnu/include/stdio.h libc6-dev-riscv64-cross
}

tests() {
	mode=all
	case ${1:-} in
	nested)
		shift
		need_nested
		build
		build_nested
		exec python3 tools/run_tests.py --fast build --suite nested -- "$@"
		;;
	metal)
		shift
		need dpkg-deb dpkg /usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring
		build
		build_metal
		exec python3 tools/run_tests.py --fast build --suite metal -- "$@"
		;;
	--quick | --tsan | --long) mode=${1#--} && shift ;;
	-*) die "unknown option $1; see ./do help" ;;
	esac
	if [ "$mode" = tsan ]; then
		need dpkg-deb dpkg /usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring
		build_sanitized tsan thread
		exec python3 tools/run_tests.py --build build-tsan --suite smp --suite unit -- "$@"
	fi
	if [ "$mode" = long ]; then
		need dpkg-deb dpkg /usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring \
			ssh openssh-client
		need_judges
		build
		exec python3 tools/run_tests.py --build build --fast build --suite long -- "$@"
	fi
	need_check
	need dpkg-deb dpkg /usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring
	need_judges
	build
	build_sanitized asan address,undefined
	suites="--suite selftest --suite cli --suite unit --suite check"
	[ "$mode" = quick ] || suites="--suite guest $suites" # the longest first
	build_metal
	suites="$suites --suite metal"
	if [ "$mode" = all ] && [ $# = 0 ]; then
		need_nested
		build_nested
		suites="--suite nested $suites"
	fi
	crosses=
	for arch in aarch64 riscv64; do
		case " $* " in
		"  " | *"$arch"*) build_cross $arch ;;
		esac
	done
	# shellcheck disable=SC2086
	exec python3 tools/run_tests.py --build build-asan --fast build $suites $crosses -- "$@"
}

fuzz() {
	need_build
	need_clang
	need /usr/include/cmocka.h libcmocka-dev /usr/include/mpfr.h libmpfr-dev
	CC=clang-19 configure build-fuzz --buildtype=debugoptimized -Dfuzz=true -Db_lundef=false \
		-Db_sanitize=address,undefined
	compile build-fuzz
	exec python3 tools/run_fuzz.py build-fuzz "${1:-all}" "${2:-60}"
}

command=${1:-help}
[ $# = 0 ] || shift
case $command in
demo)
	need dpkg-deb dpkg /usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring
	build
	if [ "${1:-}" = metal ]; then
		build_metal
		exec python3 tools/demo_metal.py build/hull build-metal/src/metal/hull-metal.img
	fi
	exec python3 tools/demo.py build/hull "$@"
	;;
test) tests "$@" ;;
check)
	need_check
	exec python3 tools/run_tests.py --suite check -- "$@"
	;;
bench)
	if [ "${1:-}" = io ]; then
		shift
		need qemu-storage-daemon qemu-system-common qemu-img qemu-utils valgrind valgrind \
			qemu-system-riscv64 qemu-system-misc dpkg-deb dpkg \
			/usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring
		build
		compile build bench-blk
		exec python3 bench/io/run.py --build build "$@"
	fi
	if [ "${1:-}" = kvm ]; then
		shift
		need qemu-system-x86_64 qemu-system-x86
		build
		compile build bench-kvm
		exec python3 bench/kvm/run.py --build build "$@"
	fi
	need dpkg-deb dpkg /usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring \
		riscv64-linux-gnu-gcc gcc-riscv64-linux-gnu \
		/usr/riscv64-linux-gnu/lib/libc.a libc6-dev-riscv64-cross qemu-system-riscv64 qemu-system-misc
	case " $* " in *' count '*) need valgrind valgrind ;; esac
	build
	if [ "${1:-}" = stress ]; then
		shift
		exec python3 bench/stress.py --hull build/hull "$@"
	fi
	exec python3 bench/run.py --hull build/hull "$@"
	;;
fuzz) fuzz "$@" ;;
build)
	case ${1:-gcc} in
	gcc) build ;;
	clang)
		need_build
		need_clang
		need /usr/include/cmocka.h libcmocka-dev /usr/include/mpfr.h libmpfr-dev
		CC=clang-19 configure build-clang --buildtype=debugoptimized
		compile build-clang
		;;
	*) die "unknown compiler $1; gcc or clang" ;;
	esac
	;;
format)
	need git git clang-format-19 clang-format-19 python3 python3
	exec python3 tools/check_format.py --fix
	;;
help | -h | --help) usage ;;
*)
	usage >&2
	die "unknown command $command"
	;;
esac
