#!/bin/busybox sh
# PID 1 of a guest with a Debian until systemd takes over: the modules that the kernel needs for it, and what this run adds to it.
# The serial ports are used as init.sh says.
export PATH=/bin
/bin/busybox --install -s /bin

mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
while read -r module; do
    modprobe "$module" || echo "init: module $module is not loaded"
done </etc/daxscope/modules

mount -o noatime /dev/vda /root || exit
cp -a /debian/. /root/
chmod -R u=rwX,go=rX /root/etc/daxscope-guest /root/etc/systemd/system/daxscope-guest.service
mkdir -p /root/etc/systemd/system/multi-user.target.wants /root/lib/modules
ln -s ../daxscope-guest.service /root/etc/systemd/system/multi-user.target.wants/
cp -a /lib/modules/. /root/lib/modules/
# Units are as they were installed: without this the first boot of a machine would set them anew.
echo 5a3cbd6e64a94e0fb6c7d0cd4e2b9f11 >/root/etc/machine-id
echo daxscope >/root/etc/hostname
# As Debian's installer leaves it: without it nobody knows localhost but the C library.
echo '127.0.0.1 localhost' >/root/etc/hosts

umount /proc /sys
mount --move /dev /root/dev
exec switch_root /root /sbin/init
