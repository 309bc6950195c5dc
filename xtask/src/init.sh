#!/bin/busybox sh
# PID 1 of every guest. Started by the kernel with its console (ttyS2, the kernel's log) as stdin and stdout.
# ttyS0 belongs to the command alone, so that no kernel message can fall into the middle of a line of results;
# ttyS1 carries what only the host reads.
export PATH=/bin HOME=/root TERM=linux
/bin/busybox --install -s /bin

mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmp /dev/shm
mount -t tmpfs tmp /tmp
mount -t securityfs security /sys/kernel/security
mount -t debugfs debug /sys/kernel/debug
mount -t tracefs trace /sys/kernel/tracing
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup /sys/fs/cgroup

for word in $(cat /proc/cmdline); do
    case $word in
    daxscope.nonce=*) export DAXSCOPE_NONCE=${word#*=} ;;
    esac
done

while read -r module; do
    modprobe "$module" || echo "init: module $module is not loaded"
done </etc/daxscope/modules

ip link set lo up
if [ -e /sys/class/net/eth0 ]; then
    ip address add 10.0.2.15/24 dev eth0
    ip link set eth0 up
fi
if [ -e /etc/daxscope/host ]; then
    # The host's whole file system, read-only, with the guest's own kernel files over it: chroot /host TOOL
    mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=262144,cache=loose host /host
    for dir in /proc /sys /dev /tmp; do
        mount --rbind "$dir" "/host$dir"
    done
fi

stty -F /dev/ttyS1 raw -echo
if [ -e /etc/daxscope/command ]; then
    stty -F /dev/ttyS0 raw -echo
    sh /etc/daxscope/command </dev/null >/dev/ttyS0 2>&1
else
    setsid -c sh -l </dev/ttyS0 >/dev/ttyS0 2>&1
fi
echo "DAXSCOPE-EXIT $DAXSCOPE_NONCE $?" >/dev/ttyS1
poweroff -f
