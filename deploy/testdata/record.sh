#!/bin/sh
# Makes deploy/testdata/exposition.txt again: what a real daemon says on a real kernel, after some of everything that it counts.
#   deploy/testdata/record.sh > deploy/testdata/exposition.txt
# Needs `cargo build --release -p daxscope -p xtask`. Figures differ from one time to the next; names and labels should not.
set -eu
cd "$(dirname "$0")/../.."
guest='
mkdir -p /run
make() { ndctl create-namespace -f -e "namespace$1.0" -m "$2" -a "$3" -M "$4" >/dev/null; }
daxscope run >/tmp/log 2>&1 &
for i in 1 2 3 4 5 6 7 8 9; do wget -q -O /dev/null http://127.0.0.1:9954/healthz && break; sleep 2; done
make 0 fsdax 4K dev; make 1 devdax 4K mem; make 2 devdax 1G mem; make 4 devdax 2M mem
for i in 1 2 4; do
    d=dax$i.0
    for by in process_vm_readv o_direct vmsplice; do xtask guest pin --by $by --from /dev/$d --pages 65536; done
    echo $d >/sys/bus/dax/drivers/device_dax/unbind; echo $d >/sys/bus/dax/drivers/device_dax/bind
done
xtask guest pin --by process_vm_readv --pages 65536
xtask guest work --at-once --comm hole process_vm_readv:hole:4:25
(sleep 60) | xtask guest hold --by xdp --from /dev/dax4.0 --pages 1000 &
sleep 3
wget -q -O /dev/null http://127.0.0.1:9954/metrics
wget -q -O /dev/null http://127.0.0.1:9954/readyz
echo; echo BEGIN; wget -q -O - http://127.0.0.1:9954/metrics; echo END
'
timeout 300 target/release/xtask vm --kernel "${1:-trixie}" -- sh -c "$guest" 2>&1 | tr -d '\r' | sed -n '/^BEGIN$/,/^END$/{/^BEGIN$/d;/^END$/d;p}'
