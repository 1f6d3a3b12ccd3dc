/** The scripts in the ready initramfs. */

/**
 * Process 1: file systems, modules, the network if the command line has `rexen.ip=ADDRESS/BITS`, then a shell with job
 * control; `rexen.gw` and `rexen.dns` name its gateway and name server. `rexen.size=ROWSxCOLUMNS` is the terminal's, which a
 * PV console has no way to tell. `rexen.run=PATH` runs that program first. Leaving the shell starts another one.
 */
export const INIT = `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/sbin:/bin HOME=/root TERM=linux PS1='rexen:\\w# ' ENV=/etc/shinit
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
mount -t tmpfs tmp /tmp
while read m; do insmod /lib/modules/$m.ko || echo "rexen: $m was not loaded"; done < /lib/modules/order
for d in /sys/bus/xen/devices/v[bi][df]-*; do
  n=0
  while [ -d $d ] && [ "$(cat $d/state)" != Connected ] && [ $n -lt 50 ]; do n=$((n + 1)); usleep 20000; done
done
for word in $(cat /proc/cmdline); do case $word in
  rexen.ip=*) ip addr add \${word#*=} dev eth0; ip link set lo up; ip link set eth0 up ;;
  rexen.gw=*) ip route add default via \${word#*=} ;;
  rexen.dns=*) echo "nameserver \${word#*=}" > /etc/resolv.conf ;;
  rexen.size=*) size=\${word#*=}; stty -F /dev/console rows \${size%x*} cols \${size#*x} ;;
  rexen.run=*) run=\${word#*=} ;;
esac; done
[ "$(cat /sys/devices/system/cpu/online)" = "$(cat /sys/devices/system/cpu/possible)" ] || uevent /sbin/hotplug &
cd /root
[ -z "$run" ] || $run
echo "rexen: Linux $(uname -r) is ready; poweroff ends it"
while :; do setsid cttyhack sh; done
`;

/** A processor that xl vcpu-set plugged in is the user space's to switch on; elsewhere a rule of udev does it. */
export const HOTPLUG = `#!/bin/busybox sh
[ "$ACTION" != add ] || [ "$SUBSYSTEM" != cpu ] || echo 1 > /sys$DEVPATH/online
`;

/** Asks the terminal for its size by moving the cursor to the last place; Debian's busybox has no applet of the name. */
export const RESIZE = `#!/bin/busybox sh
stty -echo
printf '\\0337\\033[999;999H\\033[6n\\0338'
while read -r -n 1 -t 2 c && [ "$c" != R ]; do a=$a$c; done
a=\${a#*[}
stty echo
[ -z "$a" ] || stty rows \${a%;*} cols \${a#*;}
`;

/** For interactive shells: busybox's own shell would prefer its applets, which ask an init that is not there. */
export const SHELL_INIT = `alias poweroff=/sbin/poweroff reboot=/sbin/reboot halt=/sbin/halt
`;

/** Process 1 is no init that signals could tell; the kernel too runs these when the toolstack asks (xl shutdown). */
export const POWER_COMMANDS: readonly (readonly [path: string, text: string])[] = ['poweroff', 'reboot', 'halt'].map(
  (name) => [`sbin/${name}`, `#!/bin/busybox sh\nsync\nexec /bin/busybox ${name} -f\n`],
);
